# SPDX-License-Identifier: Apache-2.0
"""
bench_gen.py: the load generator itself: it counts right answers and nothing else, survives a bad
wire, and ends by itself with a sentence and partial results when the gateway is down, wrong, slow
or silent, or when it is interrupted; nothing stays behind.

On a ring and against testpmd without a gateway; through the gateway on a veth pair.
"""
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

from common import check, finish, gateway, lab, load_manifests, route, say, service

GEN = os.path.join(lab.TOP, "build", "tests", "bench", "bench_gen")
HOST = "app.bench.lab"
BOUND = 60  # seconds that no run here may take
MANY = ["--warmup", "0.1", "--duration", "0.4"]


class Run:
    """One run of the generator, to its end or to a signal."""

    def __init__(self, *args, ns=None):
        argv = [GEN, "--no-huge", "--json", "--file-prefix", f"gen{os.getpid()}", *args]
        if ns is not None:
            argv = ["ip", "netns", "exec", ns, *argv]
        self.start = time.monotonic()
        self.p = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def await_phase(self, name):
        """Reads on until the generator (with --verbose) says that this phase begins."""
        watchdog = threading.Timer(BOUND, self.p.kill)
        watchdog.start()
        for line in self.p.stderr:
            if line.strip() == f"bench_gen: {name}":
                break
        watchdog.cancel()
        self.start = time.monotonic()

    def end(self):
        try:
            out, self.err = self.p.communicate(timeout=BOUND)
        except subprocess.TimeoutExpired:
            self.p.kill()
            out, self.err = self.p.communicate()
            check(False, f"the run ends within {BOUND} s: {self.p.args}")
        self.code, self.took = self.p.returncode, time.monotonic() - self.start
        self.json = json.loads(out) if out.strip() else {}
        return self


def good(what, *args, ns=None):
    """A run that must count requests and no errors, if it takes long; its result."""
    r = Run("--answer-time", "40", *args, ns=ns).end()
    j = r.json
    check(r.code == 0 and j.get("requests", 0) > 0 and j.get("errors") == 0,
          f"{what}: {j.get('requests')} requests, errors {j.get('errors_by_kind')}, exit {r.code}"
          f" {r.err.strip()}")
    return j


def bad(what, code, sentence, *args, ns=None, within=15):
    r = Run(*args, ns=ns).end()
    check(r.code == code and sentence in r.err and r.took < within,
          f"{what}: exit {r.code} (want {code}), {r.took:.1f} s: {r.err.strip()}")
    return r.json


def on_a_ring():
    ring = ["--vdev", "net_ring0", "--direct", *MANY]
    j = good("ring, keep-alive", *ring)
    check(j["packets_in_per_request"] < 2.1, "a request and an answer, ACKs ride along: "
          f"{j['packets_in_per_request']:.2f} packets")
    j = good("ring, a connection per request", *ring, "--case", "close")
    check(6.5 < j["packets_in_per_request"] < 7.5, "SYN, SYN-ACK, ACK, request, answer with FIN, "
          f"FIN, ACK: {j['packets_in_per_request']:.2f} packets")
    good("ring, backends close", *ring, "--upstream-close", "--case", "close")
    good("ring, 10 kB", *ring, "--body", "10000")
    good("ring, 1 MiB", *ring, "--body", "1048576", "--connections", "8", "--duration", "1")
    good("ring, mixed", *ring, "--body", "mixed", "--routes", "1000")
    good("ring, 3000 connections", *ring, "--connections", "3000")
    good("ring, IPv6", *ring, "--vip", "2001:db8::1", "--clients", "fd00:64::/112",
         "--backend-net", "fd00:65::/112")
    j = good("ring, open loop", *ring, "--rate", "2000", "--duration", "1")
    check(abs(j["answered"] - 2000) <= 1 and 0 < j["p50_us"] <= j["p99_us"] <= j["max_us"],
          f"2000/s for a second: {j['answered']} answered, p50 {j['p50_us']} us")
    r = Run(*ring, "--case", "idle", "--connections", "20000").end()
    check(r.code == 0 and r.json["connections_open"] == 20000,
          f"ring, idle: {r.json.get('connections_open')} connections rest")
    bad("offered rate out of reach", 4, "rate was not kept", *ring, "--rate", "50000000",
        "--answer-time", "60")


def against_testpmd(folder):
    dev = f"net_memif0,role=client,socket={os.path.join(folder, 'm.sock')},socket-abstract=no,id=0"
    with reflector(folder):
        j = good("testpmd reflects", "--vdev", dev, "--direct", "--warmup", "0.2", "--duration", "1")
        say(f"testpmd, keep-alive 100 B: {j.get('requests_per_s', 0):.0f} requests/s")
    for rate in ((), ("--rate", "2000")):
        # One that was stopped may not have taken leave of its last client when the next one knocks.
        with reflector(folder) as p:
            silent_at_the_end(p, dev, rate)


@contextlib.contextmanager
def reflector(folder):
    """A testpmd that sends back what comes over the memif socket of this folder."""
    sock = os.path.join(folder, "m.sock")
    if os.path.exists(sock):
        os.unlink(sock)
    argv = ["/usr/bin/dpdk-testpmd", "-l", "0,1", "--no-pci", "--no-huge", "-m", "256",
            "--no-shconf", "--no-telemetry", "--log-level=error", f"--file-prefix=tp{os.getpid()}",
            "--vdev", f"net_memif0,role=server,socket={sock},socket-abstract=no,id=0", "--",
            "--port-topology=loop", "--total-num-mbufs=8192", "--forward-mode=io", "--auto-start",
            "--no-mlockall"]
    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
    try:
        lab.wait_until("testpmd's socket", lambda: os.path.exists(sock))
        yield p
    finally:
        p.stdin.close()
        p.terminate()
        try:
            p.wait(10)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


def silent_at_the_end(wire, dev, rate):
    """Nothing comes back at the end, with less time left than the patience with an answer."""
    r = Run("--vdev", dev, "--direct", "--warmup", "0.2", "--duration", "4", "--answer-time", "5",
            "--connections", "64", "--verbose", *rate)
    r.await_phase("measure")
    time.sleep(2.5)
    wire.send_signal(signal.SIGSTOP)
    try:
        r.end()
    finally:
        wire.send_signal(signal.SIGCONT)
    lost = r.json.get("errors_by_kind", {}).get("timeout", 0)
    check(r.code == 3 and lost == 64, f"answers that never come are errors: {lost}, exit {r.code}"
          f" {r.err.strip() if r.code != 3 else ''}")
    if rate:
        check(r.json["p50_us"] is not None and r.json["p99_us"] is None and r.json["max_us"] is None,
              f"and slower than all others: p50 {r.json['p50_us']} p99 {r.json['p99_us']}")


def nobody_there(folder):
    sock = os.path.join(folder, "none.sock")
    for dev in (f"net_memif0,role=client,socket={sock},socket-abstract=no,id=0",
                f"net_memif0,role=server,socket={sock},socket-abstract=no,id=0",
                f"net_vhost0,iface={sock}"):
        j = bad(f"nobody at {dev.split(',')[0]}", 2, "did not come up", "--vdev", dev,
                "--port-time", "1")
        check(j.get("complete") is False and j.get("requests") == 0, "it says that nothing was seen")
        check(not os.path.exists(sock), "no socket stays behind")
    bad("no such device", 1, "net_nothing0", "--vdev", "net_nothing0")
    bad("too few clients", 1, "fewer than 256", "--vdev", "net_ring0", "--clients", "10.0.0.0/25")


def bad_wire():
    """Direct, over a wire that loses, repeats and reorders; a reflector at its end."""
    with lab.Lab(name=f"sg{os.getpid()}w") as box:
        for name in ("g", "w", "r"):
            box._box(name)
        box._veth("g", "eth0", "w", "wa")
        box._veth("w", "wb", "r", "eth0")
        for name in ("g", "r"):
            box.sysctl(name, "net.ipv6.conf.all.disable_ipv6", 1)
        stats = os.path.join(box.dir, "wire.json")
        wire = box.spawn("w", "wire", os.path.join(box.build, "tests/tools/wire"), "wa", "wb",
                         "--stats", stats, "--loss", "1", "--dup", "1", "--reorder", "2",
                         "--reorder-by", "2", "--delay-us", "500", "--seed", "4")
        box.spawn("r", "testpmd", "/bin/sh", "-c", "sleep 120 | exec /usr/bin/dpdk-testpmd -l 0,1 "
                  "--no-pci --no-huge -m 256 --no-shconf --no-telemetry --log-level=error "
                  f"--file-prefix=tw{os.getpid()} --vdev net_af_packet0,iface=eth0 -- "
                  "--port-topology=loop --total-num-mbufs=8192 --forward-mode=io --auto-start "
                  "--no-mlockall")
        lab.wait_until("testpmd's port", lambda: len(
            box.exec("r", "cat", "/proc/net/packet").splitlines()) > 1, 30)
        time.sleep(1)  # it forwards a moment later; what comes before is sent again
        dev = ["--vdev", "net_af_packet0,iface=eth0", "--direct", "--warmup", "0.5", "--duration", "2"]
        j = good("bad wire, 100 B", *dev, ns=box.ns("g"))
        check(j["retransmits"] > 0, f"what is lost is sent again: {j['retransmits']}")
        good("bad wire, 1 MiB", *dev, "--body", "300000", "--connections", "8", ns=box.ns("g"))
        good("bad wire, closing", *dev, "--case", "close", "--upstream-close", ns=box.ns("g"))
        box.forget(wire)


def through_the_gateway():
    with lab.Lab(name=f"sg{os.getpid()}") as box:
        # the generator takes the router's place on the gateway's link
        box.ip("router", "addr", "flush", "dev", "to-gw")
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            box.sysctl("router", key, 0)
        load_manifests(box, {"gw.yaml": gateway(), "route.yaml": route("r", [("app", 1)], HOST),
                             "app.yaml": service("app", [f"10.65.0.{i}" for i in range(1, 5)],
                                                 8080)})
        box.start_dataplane()
        box.start_control()
        box.wait_ready(30)
        ns = box.ns("router")
        base = ["--vdev", "net_af_packet0,iface=to-gw,framecnt=2048,qdisc_bypass=1", "--router",
                "10.202.0.1", "--vip", lab.VIP4, "--host", HOST, "--warmup", "0.3"]
        gen = base + ["--duration", "1"]
        j = good("gateway, keep-alive", *gen, ns=ns)
        # two when nobody is kept waiting; ACKs go by themselves after 40 ms
        check(j["packets_in_per_request"] < 3.5 and j["packets_out_per_request"] < 3.5,
              f"packets per request: {j['packets_in_per_request']:.2f} in, "
              f"{j['packets_out_per_request']:.2f} out")
        good("gateway, a connection per request", *gen, "--case", "close", ns=ns)
        good("gateway, backends close", *gen, "--upstream-close", ns=ns)
        good("gateway, 10 kB", *gen, "--body", "10000", "--connections", "16", ns=ns)
        good("gateway, mixed", *gen, "--body", "mixed", "--connections", "20", "--routes", "10000",
             ns=ns)
        good("gateway, open loop", *gen, "--rate", "200", ns=ns)
        j = bad("no listener", 2, "refuses all connections", *gen, "--vip-port", "81", ns=ns)
        check(j["errors_by_kind"].get("refused", 0) > 0, f"refusals are told: {j['errors_by_kind']}")
        j = bad("no route", 3, "", *gen, "--host", "other.lab", ns=ns)
        check(j["errors_by_kind"].get("bad_status", 0) > 0 and j["last_bad_status"] == 404 and
              j["requests"] == 0, f"404 is an error and no request: {j['errors_by_kind']}")
        interrupted(base, ns)
        silent(box, base, ns)
        check(box.dataplane.alive(), "the gateway has survived it all")


def interrupted(base, ns):
    for sig in (signal.SIGINT, signal.SIGTERM):
        r = Run(*base, "--duration", "30", "--verbose", ns=ns)
        r.await_phase("measure")
        time.sleep(0.5)
        r.p.send_signal(sig)
        r.end()
        check(r.code == 130 and r.took < 10 and r.json.get("complete") is False and
              r.json["requests"] > 0,
              f"{sig.name}: exit {r.code} after {r.took:.1f} s, {r.json.get('requests')} requests")


def silent(box, base, ns):
    """The gateway stops in the middle: a sentence and what was seen until then."""
    r = Run(*base, "--duration", "30", "--verbose", ns=ns)
    r.await_phase("measure")
    time.sleep(0.5)
    box.dataplane.kill(signal.SIGSTOP)
    try:
        r.end()
    finally:
        box.dataplane.kill(signal.SIGCONT)
    check(r.code == 2 and r.took < 20 and r.json["requests"] > 0 and "stopped answering" in r.err,
          f"silence: exit {r.code} after {r.took:.1f} s, {r.json.get('requests')} requests: "
          f"{r.err.strip()}")


def main():
    with tempfile.TemporaryDirectory(prefix="sluice-gen-") as folder:
        on_a_ring()
        against_testpmd(folder)
        nobody_there(folder)
    bad_wire()
    through_the_gateway()
    left = [f for f in os.listdir("/dev/hugepages") if f.startswith(f"gen{os.getpid()}")] \
        if os.path.isdir("/dev/hugepages") else []
    check(not left, f"no hugepages stay behind: {left}")
    finish()


if __name__ == "__main__":
    sys.exit(main())
