# SPDX-License-Identifier: Apache-2.0
"""
ping.py: the dataplane beside the kernel, without control: addresses of ours are answered by us
alone, addresses of the kernel by the kernel, routes come from the kernel, and nothing stays behind.

Profiles af_packet (one and two workers) and tap, IPv4 and IPv6.
"""
import re
import signal
import sys

from common import check, finish, lab, say

OURS = ("10.205.0.1", "fd00:205::1")
KERNELS = ("10.202.0.2", "fd00:202::2")

TCP_CONNECT = """
import socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET)
s.settimeout(2)
try:
    s.connect((sys.argv[1], int(sys.argv[2])))
    print('open')
except OSError as e:
    print(type(e).__name__)
"""

UDP_SEND = """
import socket, sys, time
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], 53))
s.send(b'?')
time.sleep(0.3)
try:
    s.send(b'?')
    print('silence')
except OSError as e:
    print(type(e).__name__)
"""


def ping(box, addr, count=5, size=56, where="client", wait="1"):
    """How many of <count> were answered, each once."""
    out = box.exec(where, "ping", "-n", "-c", str(count), "-i", "0.05", "-W", wait, "-s", str(size),
                   addr, check=False)
    if "DUP!" in out:
        return -1
    return int(re.search(r"(\d+) received", out).group(1))


def python(box, code, *args):
    return box.exec("client", "/usr/bin/python3", "-c", code, *args).strip()


def kernel_counts(box):
    """Segments and packets that the gateway's kernel should have had no part in."""
    out = box.exec("gw", "nstat", "-asz", "TcpOutRsts", "IpForwDatagrams", "Ip6OutForwDatagrams")
    return dict(re.findall(r"^(\w+)\s+(\d+)", out, re.M))


def tables(box):
    return re.findall(r"table netdev (\S+)", box.exec("gw", "nft", "list", "tables"))


def answers(box, what):
    for addr in OURS:
        check(ping(box, addr) == 5, f"{what}: {addr} answers echo, each once")


def beside_the_kernel(box):
    """A kernel that would forward and reset gets no chance to."""
    before = kernel_counts(box)
    for addr in OURS:
        check(ping(box, addr, 3, 1400) == 3, f"{addr} answers echo of 1400 bytes")
        check(python(box, TCP_CONNECT, addr, "9") == "ConnectionRefusedError",
              f"a SYN to a closed port of {addr} is refused")
        check(python(box, UDP_SEND, addr) == "ConnectionRefusedError",
              f"a datagram to {addr} is answered with port unreachable")
    counts = kernel_counts(box)
    check(len(counts) == 3 and counts == before, f"the kernel had no part in it: {counts}")
    for addr in KERNELS:
        check(ping(box, addr) == 5, f"the kernel still answers for {addr}")
        check(python(box, TCP_CONNECT, addr, "8022") == "open", f"a server on {addr} is reachable")


def mirror(box):
    box.ip("gw", "route", "del", "default")
    box.ip("gw", "-6", "route", "del", "default")
    lab.time.sleep(0.4)
    for addr in OURS:
        check(ping(box, addr, 2) == 0, f"without a route there is no answer from {addr}")
    box.ip("gw", "route", "add", "default", "via", "10.202.0.1")
    box.ip("gw", "-6", "route", "add", "default", "via", "fd00:202::1")
    lab.time.sleep(0.4)
    answers(box, "with the route back")
    box.ip("gw", "link", "set", "eth0", "down")
    lab.time.sleep(0.3)
    box.ip("gw", "link", "set", "eth0", "up")
    box.ip("gw", "addr", "replace", "fd00:202::2/64", "dev", "eth0", "nodad")
    box.ip("gw", "route", "replace", "default", "via", "10.202.0.1")
    box.ip("gw", "-6", "route", "replace", "default", "via", "fd00:202::1")
    lab.time.sleep(1)
    answers(box, "after the link was down")
    box.ip("router", "neigh", "flush", "all")
    answers(box, "after the router forgot its neighbours")


def ends(box):
    check(tables(box) == ["sluice_eth0"], "one table of rules while running")
    box.dataplane.stop(signal.SIGKILL)
    check(tables(box) == ["sluice_eth0"], "a killed dataplane leaves its rules")
    start = lab.time.monotonic()
    box.start_dataplane()
    lab.wait_until("ping", lambda: ping(box, OURS[0], 1, wait="0.05") == 1, 10, 0.01)
    say(f"answers again {lab.time.monotonic() - start:.2f} s after the restart")
    answers(box, "restarted after a kill")
    code = box.dataplane.stop()
    check(code == 0, f"SIGTERM ends it with exit {code}")
    check(tables(box) == [], "no rules stay behind")


def af_packet(workers):
    with lab.Lab() as box:
        say(f"af_packet, {workers} workers")
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            box.sysctl("gw", key, 1)
        box.spawn("gw", "server", "/usr/bin/python3", "-m", "http.server", "8022", "--bind", "::")
        box.load_example("canary", workers)
        box.start_dataplane()
        lab.wait_until("ping", lambda: ping(box, OURS[0], 1) == 1)
        answers(box, "started")
        beside_the_kernel(box)
        mirror(box)
        ends(box)


def tap():
    """The kernel is the other side of the wire, and routes between it and the lab."""
    def edit(name, text):
        if name != "gateway.yaml":
            return text
        return text.replace("profile: af_packet", "profile: tap").replace("iface: eth0",
                                                                          "iface: slt0")
    with lab.Lab() as box:
        say("tap")
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            box.sysctl("gw", key, 1)
        box.load_example("canary", 1, edit)
        box.start_dataplane()
        lab.wait_until("slt0", lambda: "slt0" in box.ip("gw", "link"))
        box.ip("gw", "addr", "add", "10.206.0.1/24", "dev", "slt0")
        box.ip("gw", "addr", "add", "fd00:206::1/64", "dev", "slt0", "nodad")
        box.ip("gw", "link", "set", "slt0", "up")
        box.ip("gw", "route", "add", "10.205.0.0/24", "dev", "slt0")
        box.ip("gw", "-6", "route", "add", "fd00:205::/64", "dev", "slt0")
        lab.wait_until("ping", lambda: ping(box, OURS[0], 1, where="gw") == 1)
        for addr in OURS:
            check(ping(box, addr, where="gw") == 5, f"the kernel reaches {addr} over the tap")
        answers(box, "from afar, through the kernel and the tap")
        check(box.dataplane.stop() == 0, "SIGTERM ends it with exit 0")


def main():
    for workers in (1, 2):
        af_packet(workers)
    tap()
    finish()


if __name__ == "__main__":
    sys.exit(main())
