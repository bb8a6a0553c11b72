# SPDX-License-Identifier: Apache-2.0
"""
ports.py PROFILE: the gateway behind a port that the kernel does not drive.

The demo's canary runs over the port with one and with two workers, over IPv4 and IPv6. memif,
virtio_user and vhost_user ports end in tests/tools/bridge, which joins them with the gateway's link
to the router; af_xdp takes that link's queues. So every frame that the gateway sends is judged by a
kernel: its counter of wrong checksums has to stay at zero, with all offloads that the port has and
with none, and a body of 16 MiB has to arrive with the same SHA-256 both ways. Frames that a wire
has harmed are dropped by name; frames whose checksum a backend's kernel has left to its device are
taken where the port can say so.
"""
import hashlib
import os
import signal
import subprocess
import sys

from common import check, counters, file_of, finish, lab, say

import demo

PROFILE = sys.argv[1]
SIZE = 16 << 20
# what the port has, by its driver: checksums and segmentation on transmit
CHECKSUMS = PROFILE in ("virtio_user", "vhost_user")
SEGMENTATION = PROFILE == "virtio_user"


class PortLab(lab.Lab):
    """The lab with PROFILE between the gateway and its link."""

    def __init__(self, workers, offloads, **kw):
        super().__init__(**kw)
        self.workers, self.offloads = workers, offloads

    def port(self):
        sock = os.path.join(self.dir, "run", "port.sock")
        own = {"memif": f"memif: {{socket: {sock}}}",
               "virtio_user": f"virtioUser: {{socket: {sock}, mergeable: true}}",
               "vhost_user": f"vhostUser: {{socket: {sock}}}",
               "af_xdp": "afXdp: {device: eth0}"}[PROFILE]
        peer = {"memif": f"net_memif0,role=client,socket={sock},socket-abstract=no,id=0",
                "virtio_user": f"net_vhost0,iface={sock},queues={self.workers},tso=1",
                "vhost_user": f"net_virtio_user0,path={sock},queues={self.workers}",
                "af_xdp": None}[PROFILE]
        return own, peer

    def edit(self, name, text):
        if name != "gateway.yaml":
            return text
        return text.replace("  profile: af_packet\n  iface: eth0\n",
                            f"  profile: {PROFILE}\n  iface: wan0\n  offloads: {self.offloads}\n"
                            f"  {self.port()[0]}\n")

    def start_bridge(self):
        peer = self.port()[1]
        if peer is None:
            return
        p = self.spawn("gw", "bridge", os.path.join(self.build, "tests/tools/bridge"), "eth0",
                       str(self.workers), peer)
        lab.wait_until("bridge", lambda: "ready" in p.tail())

    def start_port(self):
        """The link loses its addresses: they are the port's, on the tap beside it."""
        self.sysctl("gw", "net.ipv6.conf.eth0.disable_ipv6", 1)
        self.ip("gw", "addr", "flush", "dev", "eth0")
        if PROFILE == "af_xdp":  # one queue per worker, and the sender fills no others
            for box, dev, kind in (("router", "to-gw", "tx"), ("gw", "eth0", "rx")):
                self.exec(box, "ethtool", "-L", dev, kind, str(self.workers))
        if PROFILE == "virtio_user":  # its socket is the bridge's
            self.start_bridge()
        self.start_dataplane()
        lab.wait_until("tap", lambda: "wan0" in self.ip("gw", "-br", "link"))
        self._addr("gw", "wan0", lab.SUBNET["gw"], 2)
        self.ip("gw", "link", "set", "wan0", "up")
        self.ip("gw", "route", "add", "default", "via", "10.202.0.1")
        self.ip("gw", "-6", "route", "add", "default", "via", "fd00:202::1")
        if PROFILE in ("memif", "vhost_user"):
            sock = os.path.join(self.dir, "run", "port.sock")
            lab.wait_until("the port's socket", lambda: os.path.exists(sock))
            self.start_bridge()

    def route_on_link(self):
        """Nothing answers for the gateway's own address: VIPs and sources are asked for."""
        for dest in ("203.0.113.0/24", lab.SOURCES4):
            self.ip("router", "route", "replace", dest, "dev", "to-gw")
        for dest in ("2001:db8:113::/64", lab.SOURCES6):
            self.ip("router", "-6", "route", "replace", dest, "dev", "to-gw")

    def bring_up(self):
        root = os.path.join(self.dir, "www")
        os.makedirs(root)
        self.sha = file_of(os.path.join(root, "blob"), SIZE)
        self.start_backends(root)
        self.load_example("canary", self.workers, self.edit)
        self.start_port()
        self.route_on_link()
        self.start_control()
        self.wait_ready()

    def wrong_checksums(self):
        out = 0
        for box in ("client", "us-east", "us-west"):
            for line in self.exec(box, "nstat", "-asz", "TcpInCsumErrors").splitlines():
                if "CsumErrors" in line:
                    out += int(line.split()[1])
        return out


def count(box, name):
    return sum(v for k, v in counters(box).items() if k.split(".")[-1] == name)


def body(box, title, v6):
    vip = f"[{lab.VIP6}]" if v6 else lab.VIP4
    p = subprocess.run(["ip", "netns", "exec", box.ns("client"), "curl", "-sg", "--max-time", "60",
                        "-H", "Host: app.demo.lab", f"http://{vip}/files/blob"],
                       stdout=subprocess.PIPE)
    check(hashlib.sha256(p.stdout).hexdigest() == box.sha,
          f"{title}: {len(p.stdout)} of {SIZE} bytes with an equal SHA-256, {'v6' if v6 else 'v4'}")


def judged(box, title):
    """Requests and a body; every checksum that the kernels saw was right."""
    # with af_xdp every buffer of the pool has to have been the socket's once
    for v6 in (False, True) * (3 if PROFILE == "af_xdp" else 1):
        body(box, title, v6)
    wrong = box.wrong_checksums()
    check(wrong == 0, f"{title}: every frame had a right checksum ({wrong} had not)")
    cut = count(box, "tcp_tx_cut_by_port")
    want = SEGMENTATION and box.offloads == "auto"
    check((cut > 0) == want, f"{title}: {cut} sends were left to the port to cut")


def partial(box, title):
    """Backends whose kernel leaves the checksum to its device."""
    before = count(box, "tcp_drop_checksum")
    for who, dev in (("us-east", "eth0"), ("us-west", "eth0"), ("router", "to-gw")):
        box.exec(who, "ethtool", "-K", dev, "tx", "on", check=False)
        box.exec(who, "ethtool", "-K", dev, "tso", "off", "gso", "off", check=False)
    body(box, f"{title}, backends' checksums unfinished", False)
    body(box, f"{title}, backends' checksums unfinished", True)
    check(count(box, "tcp_drop_checksum") == before, f"{title}: none of them was dropped")


def large(box, title):
    """Backends that leave cutting to their device: what the port takes whole comes in many buffers."""
    before = {k: count(box, k) for k in ("rx_packets", "rx_bytes", "rx_drop_chained")}
    ends = [(who, dev) for who, dev in (("us-east", "eth0"), ("us-west", "eth0"), ("router", "to-gw"))]
    for who, dev in ends:
        box.exec(who, "ethtool", "-K", dev, "tx", "on", check=False)
        box.exec(who, "ethtool", "-K", dev, "tso", "on", "gso", "on", check=False)
    body(box, f"{title}, backends' sends uncut", False)
    body(box, f"{title}, backends' sends uncut", True)
    for who, dev in ends:
        box.exec(who, "ethtool", "-K", dev, "tso", "off", "gso", "off", check=False)
    got = {k: count(box, k) - v for k, v in before.items()}
    mean = got["rx_bytes"] / max(1, got["rx_packets"])
    check(mean > 1514 and got["rx_drop_chained"] == 0,
          f"{title}: frames received hold {mean:.0f} bytes in the mean, none was dropped")


def harmed(box, title, wire):
    before = count(box, "tcp_drop_checksum")
    box.stop_wire(*wire)
    w = box.start_wire("--corrupt", "5", "--seed", "7")
    good = sum(1 for _ in range(20) if box.curl()[0] == 200)
    box.stop_wire(*w)
    dropped = count(box, "tcp_drop_checksum") - before
    check(good == 20 and dropped > 0,
          f"{title}: {good} of 20 requests good on a wire that harms frames, {dropped} dropped as "
          "tcp_drop_checksum")


def again(box, title):
    """What a killed one leaves behind (a socket, a program on the device) stops nobody."""
    for kill in (signal.SIGKILL, signal.SIGTERM):
        box.start_dataplane()
        # a log is appended to: one line of the first life, then one per life
        want = 2 if kill == signal.SIGKILL else 3

        def ready():
            with open(box.dataplane.log, errors="replace") as f:
                return f.read().count('msg="ready"') == want
        try:
            lab.wait_until("ready", ready, 10)
        except lab.LabError as e:
            return check(False, f"{title}: starts again: {e}: {box.dataplane.tail(3)}")
        box.dataplane.stop(kill)
    return check(True, f"{title}: starts again, also after SIGKILL")


def one(workers, offloads):
    title = f"{PROFILE}, {workers} worker{'s' * (workers > 1)}, offloads {offloads}"
    wire = "client" if workers == 1 else None
    with PortLab(workers, offloads, wire=wire) as box:
        w = box.start_wire() if wire else None
        box.bring_up()
        for v6 in (False, True):
            demo.check_canary(box, workers, v6)
        judged(box, title)
        if wire and offloads == "auto":
            if PROFILE != "af_xdp":
                partial(box, title)
            if SEGMENTATION:
                large(box, title)
            harmed(box, title, w)
        with open(box.dataplane.log, errors="replace") as f:
            text = f.read()
        check("capabilities=0 " in text, f"{title}: no capability is kept after start")
        code = box.dataplane.stop()
        check(code == 0, f"{title}: ends by itself (exit {code})")
        if workers == 1 and offloads == "auto":
            again(box, title)


def main():
    one(1, "auto")
    one(2, "auto")
    if CHECKSUMS:
        one(1, "checksum")
        one(1, "none")
    check(not demo.failures, "the canary's checks")
    say(f"{PROFILE}: checksums {'port' if CHECKSUMS else 'software'}, segmentation "
        f"{'port' if SEGMENTATION else 'software'}")
    finish()


if __name__ == "__main__":
    main()
