# SPDX-License-Identifier: Apache-2.0
"""
bench_wire.py: the fast virtual port: which kinds there are, what each side is told about them, and
testpmd's ceiling on them.

virtio-user: the side under test (core 1) is virtio's driver and lends its packet buffers; the other
side (core 0: bench_gen, testpmd) copies into and out of them. memif: both sides copy, one into shared
memory and one out of it. (memif's zero copy is left out: DPDK 22.11's driver hands buffers out that
it has freed when long bursts wrap its ring.)
"""
import os
import pty
import re
import select
import shutil
import termios
import time

from bench_machine import BenchError, popen, stop_child

CORE_UNDER_TEST, CORE_LOAD = 1, 0
FRAMES = (64, 1500)


class Memif:
    copies = "both sides copy"

    def __init__(self, folder, queues=1):
        self.socket = os.path.join(folder, "memif.sock")

    def load_vdev(self):
        return f"net_memif0,role=server,socket={self.socket},socket-abstract=no,id=0,rsize=10,bsize=2048"

    def vdev(self):
        return (f"net_memif0,role=client,socket={self.socket},socket-abstract=no,id=0,rsize=10,"
                "bsize=2048")

    def yaml(self, iface):
        return (f"{{name: fast, profile: memif, iface: {iface}, memif: {{socket: {self.socket}, "
                "role: client, id: 0, ringSize: 1024}}")


class Virtio:
    copies = "the load's side copies, the gateway's side lends its buffers"

    def __init__(self, folder, queues=1, tso=False):
        self.socket, self.queues, self.tso = os.path.join(folder, "vhost.sock"), queues, tso

    def load_vdev(self):
        return f"net_vhost0,iface={self.socket},queues={self.queues}" + (",tso=1" if self.tso else "")

    def vdev(self):
        return (f"net_virtio_user0,path={self.socket},queues=1,queue_size=1024,packed_vq=1,"
                f"mrg_rxbuf={int(self.tso)},in_order=1")

    def yaml(self, iface):
        more = ", mergeable: true" if self.tso else ""
        return (f"{{name: fast, profile: virtio_user, iface: {iface}, "
                f"virtioUser: {{socket: {self.socket}, queueSize: 1024{more}}}}}")


KINDS = {"memif": Memif, "virtio-user": Virtio}


class Testpmd:
    """A testpmd that is spoken with, over a pseudo-terminal as it wants it."""

    def __init__(self, argv, log):
        if shutil.which("dpdk-testpmd") is None:
            raise BenchError("dpdk-testpmd is not installed; scripts/setup does that")
        self.master, slave = pty.openpty()
        mode = termios.tcgetattr(slave)
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, mode)
        self.log, self.text = open(log, "a"), ""
        self.p = popen(["dpdk-testpmd"] + argv, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.pid = self.p.pid

    def wait(self, words="testpmd> ", seconds=15):
        end = time.monotonic() + seconds
        while words not in self.text:
            left = end - time.monotonic()
            ready = select.select([self.master], [], [], max(0, left))[0] if left > 0 else []
            if not ready or not self._read():
                raise BenchError(f"testpmd does not answer: {self.text[-400:].strip()}")
        said, self.text = self.text.split(words, 1)
        return said

    def _read(self):
        try:
            data = os.read(self.master, 65536).decode(errors="replace")
        except OSError:
            return False
        self.text += data
        self.log.write(data)
        return bool(data)

    def say(self, command):
        os.write(self.master, (command + "\n").encode())
        return self.wait()

    def stop(self):
        if self.p.poll() is None:
            try:
                os.write(self.master, b"quit\n")
                self.wait("Bye...", 3)
                self.p.wait(3)
            except Exception:  # it is ended by force below, whatever kept it
                pass
        stop_child(self.p, 2)
        os.close(self.master)
        self.log.close()


def testpmd_argv(prefix, core, vdev, *app):
    # the main lcore sleeps at the prompt, on the other core
    return ["--lcores", f"0@{1 - core},1@{core}", "--no-pci", "--in-memory", "--single-file-segments",
            "--no-telemetry", "--file-prefix", prefix, "--log-level", "error", "--vdev", vdev, "--",
            "--port-topology=loop", "--total-num-mbufs=32768", "--record-core-cycles", *app, "-i"]


def forward_stats(text):
    """(packets sent, cycles per packet) of the last forwarding statistics in this text."""
    sent = re.findall(r"TX-packets:\s*(\d+)", text)
    cycles = re.findall(r"CPU cycles/packet=([\d.]+)", text)
    if not sent or not cycles:
        raise BenchError("testpmd shows no statistics")
    return int(sent[-1]), float(cycles[-1])


def ceiling(kind, folder, prefix, frame, seconds):
    """testpmd in the gateway's place against testpmd's flowgen in the generator's."""
    k = KINDS[kind](folder)
    load = under_test = None
    try:
        load = Testpmd(testpmd_argv(prefix + "g", CORE_LOAD, k.load_vdev(), "--forward-mode=flowgen"),
                       os.path.join(folder, "ceiling-load.log"))
        load.wait()
        under_test = Testpmd(testpmd_argv(prefix + "d", CORE_UNDER_TEST, k.vdev(),
                                          "--forward-mode=io"),
                             os.path.join(folder, "ceiling.log"))
        under_test.wait()
        load.say(f"set txpkts {frame}")
        under_test.say("start")
        load.say("start")
        time.sleep(0.3)
        under_test.say("clear fwd stats all")
        start = time.monotonic()
        time.sleep(seconds)
        said = under_test.say("show fwd stats all")
        sent, cycles = forward_stats(said)
        return {"frame": frame, "mpps": sent / (time.monotonic() - start) / 1e6,
                "cycles_per_packet": cycles}
    finally:
        for p in (under_test, load):
            if p is not None:
                p.stop()


def choose(folder, prefix, seconds):
    """(kind, why, its ceilings): the kind that costs the fewer cycles here, a small and a full frame."""
    found, failures = {}, []
    for kind in KINDS:
        try:
            found[kind] = [ceiling(kind, folder, prefix, frame, seconds) for frame in FRAMES]
        except BenchError as e:
            failures.append(f"{kind}: {e}")
    if not found:
        raise BenchError("no virtual port works: " + "; ".join(failures))
    cost = {k: sum(c["cycles_per_packet"] for c in v) for k, v in found.items()}
    best = min(cost, key=cost.get)
    said = [f"{k} " + " and ".join(f"{c['cycles_per_packet']:.0f}" for c in v)
            for k, v in found.items()] + failures
    return best, f"cycles per packet of 64 B and 1500 B here: {', '.join(said)}", found[best]
