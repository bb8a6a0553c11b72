# SPDX-License-Identifier: Apache-2.0
"""
bench_wire.py: the fast virtual port: which kinds there are, what each side is told about them, and
testpmd's ceiling on them.

The side under test (core 1) is memif's client with zero copy, or virtio's driver: in both it lends
its packet buffers and the other side (core 0: bench_gen, testpmd) copies into and out of them. So a
cycle of core 1 that the table shows is never a copy between the two programs.
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
COPIES = "the load's side copies, the gateway's side lends its buffers"


class Memif:
    name = "memif"

    def __init__(self, folder):
        self.socket = os.path.join(folder, "memif.sock")

    def load_vdev(self):
        return f"net_memif0,role=server,socket={self.socket},socket-abstract=no,id=0,rsize=10,bsize=2048"

    def vdev(self):
        return (f"net_memif0,role=client,socket={self.socket},socket-abstract=no,id=0,rsize=10,"
                "bsize=2048,zero-copy=yes")

    def yaml(self, iface):
        return (f"{{name: fast, profile: memif, iface: {iface}, memif: {{socket: {self.socket}, "
                "role: client, id: 0, ringSize: 1024, zeroCopy: true}}")


class Virtio:
    name = "virtio-user"

    def __init__(self, folder, tso=False):
        self.socket, self.tso = os.path.join(folder, "vhost.sock"), tso

    def load_vdev(self):
        return f"net_vhost0,iface={self.socket},queues=1" + (",tso=1" if self.tso else "")

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
    """The kind that is faster here for small frames, and how fast either is."""
    found = {}
    for kind in KINDS:
        try:
            found[kind] = ceiling(kind, folder, prefix, 64, seconds)
        except BenchError as e:
            found[kind] = {"frame": 64, "mpps": 0.0, "cycles_per_packet": float("inf"),
                           "failure": str(e)}
    best = min(found, key=lambda k: found[k]["cycles_per_packet"])
    if found[best]["mpps"] == 0:
        raise BenchError("no virtual port works: " + "; ".join(
            f"{k}: {v.get('failure', 'no packets')}" for k, v in found.items()))
    why = ", ".join(f"{k} {v['cycles_per_packet']:.0f}" for k, v in found.items())
    return best, f"cycles per 64 B packet here: {why}", [found[best]]
