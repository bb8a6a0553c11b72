# SPDX-License-Identifier: Apache-2.0
"""
bench_fast.py: one trial on the fast virtual port: the gateway or testpmd on core 1; on core 0
bench_gen, which is all clients, the router and all backends behind the same wire.

   bench_gen (core 0)                                    sluice-dataplane (core 1)
   clients 10.64.0.0/24, router 10.66.0.1,  ── port ──   10.66.0.2, VIP, sources 10.205.0.0/24
   backends 10.65.0.0/24
"""
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import replace

import bench_gateway
import bench_wire
import lab
from bench_machine import (BenchError, CpuTimes, Hugepages, children, popen, process_memory,
                           process_seconds, stop_child)

VIP = "203.0.113.10"
CLIENTS, BACKENDS, SOURCES = "10.64.0.0/24", "10.65.0.0/24", 8
ROUTER, OWN = "10.66.0.1", "10.66.0.2/24"
BACKEND_COUNT = 4
HUGE_MIB, HUGE_IDLE_MIB = 1536, 4096  # the tso row's generator takes 640 of them
OVERTIME_S = 40
IDLE_RAMP_S = 120
IDLE_S = 6  # of rest, before the end of which they are counted
IFACE = "fast0"


class Forwarder:
    """testpmd in the gateway's place: every frame goes back where it came from."""

    def __init__(self, fast, kind):
        self.fast, self.kind = fast, kind
        self.p = None

    def start(self):
        argv = bench_wire.testpmd_argv(self.fast.name + "d", bench_wire.CORE_UNDER_TEST,
                                       self.kind.vdev(), "--forward-mode=io")
        self.p = bench_wire.Testpmd(argv, os.path.join(self.fast.dir, "testpmd.log"))
        self.p.wait()
        self.p.say("start")

    def stop(self):
        if self.p is not None:
            self.p.stop()

    def pids(self):
        return children(self.p.pid)

    def counters(self):
        return None

    def check_alive(self):
        if self.p.p.poll() is not None:
            raise BenchError(f"testpmd ended by itself, {self.p.p.returncode}")


class FastGateway(bench_gateway.Gateway):
    """The gateway with one port, in a namespace whose tap carries the port's addresses."""

    def __init__(self, fast, kind, row, connections=None, profile=False):
        backends = [f"10.65.0.{i + 1}" for i in range(BACKEND_COUNT)]
        connections = connections or max(32768, row.connections + row.connections // 64)
        super().__init__(
            os.path.join(fast.dir, "gateway"), fast.build, [kind.yaml(IFACE)],
            [f"10.205.0.{i + 1}" for i in range(SOURCES)], VIP, backends, 8080, ns=fast.ns,
            routes=row.routes, workers=row.workers, poll=row.poll, connections=connections,
            packets=65536 if row.connections > 1000 else 32768, hugepages="auto",
            profile=profile)

    def stop(self):
        super().stop()
        shutil.rmtree(self.dir, ignore_errors=True)


class Moment:
    """
    What is read at one end of the measured time. Counters of 10 000 routes are a long answer, made
    on the generator's core: the first ones are asked for while it warms up (<counters>).
    """

    def __init__(self, subject, counters=None):
        self.cpu = CpuTimes()
        self.user, self.system = process_seconds(subject.pids())
        self.memory = process_memory(subject.pids())
        self.counters = counters or subject.counters()


class Fast:
    def __init__(self, name, folder, build):
        self.name, self.dir, self.build = name, os.path.join(folder, "fast"), build
        self.ns, self.huge, self.made = f"{name}-fast", None, False

    def __enter__(self):
        self.gen = os.path.join(self.build, "tests/bench/bench_gen")
        if not os.path.exists(self.gen):
            raise BenchError("the load generator tests/bench/bench_gen is not built")
        os.makedirs(self.dir, exist_ok=True)
        try:
            self._huge(HUGE_MIB)
            self.made = True
            lab.run("ip", "netns", "add", self.ns)
            self._ip("link", "set", "lo", "up")
            self._ip("tuntap", "add", "dev", IFACE, "mode", "tap")
            self._ip("addr", "add", OWN, "dev", IFACE)
            self._ip("link", "set", IFACE, "up")
            self._ip("route", "add", "default", "via", ROUTER, "dev", IFACE)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        if self.made:
            lab.run("ip", "netns", "del", self.ns, check=False)
            self.made = False
        if self.huge is not None:
            self.huge.__exit__()
            self.huge = None

    def _ip(self, *argv):
        lab.run("ip", "-n", self.ns, *argv)

    def _huge(self, mib):
        """So much of the kernel's memory is in our pool of hugepages from now on."""
        if self.huge is not None:
            self.huge.__exit__()
        self.huge = Hugepages(mib)
        self.huge.__enter__()

    def facts(self, mode):
        """Which kind of port the rows use; settled once."""
        seconds = {"smoke": 0.3, "quick": 0.5}.get(mode, 2.0)
        self.kind, why, rates = bench_wire.choose(self.dir, self.name, seconds)
        return {"fast_port": {"profile": self.kind, "why": why,
                              "copies": bench_wire.KINDS[self.kind].copies, "ceiling": rates}}

    def trial(self, row, rate, warmup, duration, profile):
        if row.idle:
            return self._idle(row)
        kind = bench_wire.Virtio(self.dir, tso=True) if row.variant == "tso" else \
            bench_wire.KINDS[self.kind](self.dir, queues=row.workers)
        subject = Forwarder(self, kind) if row.subject == "testpmd" else \
            FastGateway(self, kind, row, profile=profile)
        return self._measure(row, subject, self._argv(row, kind, rate, warmup, duration),
                             warmup + duration + OVERTIME_S)

    def _argv(self, row, kind, rate, warmup, duration):
        case = "idle" if row.idle else "close" if row.close else "keepalive"
        argv = [self.gen, "--vdev", kind.load_vdev(), "--lcore", str(bench_wire.CORE_LOAD),
                "--file-prefix", self.name + "g", "--vip", VIP, "--vip-port", "80",
                "--host", bench_gateway.HOST, "--clients", CLIENTS, "--backend-net", BACKENDS,
                "--backends", str(BACKEND_COUNT), "--backend-port", "8080", "--router", ROUTER,
                "--case", case, "--body", str(row.body), "--connections", str(row.connections),
                "--routes", str(row.routes), "--rate", str(rate or 0), "--warmup", str(warmup),
                "--duration", str(duration), "--json", "--verbose"]
        if row.workers > 1:
            argv += ["--queues", str(row.workers)]
        if row.subject == "testpmd":
            argv.append("--direct")
        if row.variant == "upstream-close":
            argv.append("--upstream-close")
        if row.variant == "tso":
            argv.append("--tso")
        return argv

    def _measure(self, row, subject, argv, limit):
        """The generator makes the port's socket, so it is there first."""
        for leftover in self._sockets():
            os.unlink(leftover)
        gen = popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        timer = threading.Timer(limit, gen.kill)
        timer.start()
        try:
            self._await_socket(gen)
            subject.start()
            begin, end, said = self._moments(gen, subject, row.idle)
            out = gen.stdout.read()
            gen.wait()
            subject.check_alive()
            return self._values(row, gen, out, said, begin, end)
        finally:
            timer.cancel()
            if gen.poll() is None:
                gen.send_signal(signal.SIGINT)
            stop_child(gen)
            subject.stop()

    def _await_socket(self, gen):
        def there():
            if gen.poll() is not None:
                raise BenchError(f"bench_gen ended: {gen.stderr.read().strip()}")
            return self._sockets()
        lab.wait_until("the generator's port", there, 30, 0.05)
        for path in self._sockets():
            os.chmod(path, 0o777)  # the gateway is nobody by the time it connects

    def _sockets(self):
        return [os.path.join(self.dir, f) for f in os.listdir(self.dir) if f.endswith(".sock")]

    def _moments(self, gen, subject, idle):
        """
        Both ends of the measured time, as the generator names its phases; idle connections are
        looked at while they are, and when the gateway has had time to notice.
        """
        begin = end = counters = None
        said = []
        for line in gen.stderr:
            word = line.strip()
            if word == "bench_gen: warm-up":
                counters = subject.counters()
            elif word == "bench_gen: measure":
                begin = Moment(subject, counters)
                if idle:
                    time.sleep(IDLE_S * 2 / 3)
                    end = Moment(subject)
            elif word in ("bench_gen: last answers", "bench_gen: end") and begin and not end:
                end = Moment(subject)
            else:
                said = (said + [word])[-5:]
        return begin, end, said

    def _values(self, row, gen, out, said, begin, end):
        try:
            a = json.loads(out)
        except ValueError:
            raise BenchError(f"bench_gen ended with {gen.returncode}: {' '.join(said)}") from None
        if not a.get("complete") or begin is None or end is None:
            raise BenchError(f"bench_gen: {a.get('error', 'did not measure')}; {why_of(a)}")
        return fast_values(row, a, begin, end)

    def _idle(self, row):
        """
        Memory of a gateway that holds so many connections, against the same one made for 64 of them
        and holding none: every table, pool and timer that a connection needs counts.
        """
        self._huge(HUGE_IDLE_MIB)
        try:
            kind = bench_wire.KINDS[self.kind](self.dir)
            few = self._measure(replace(row, connections=64), FastGateway(self, kind, row, 64),
                                self._argv(replace(row, connections=64), kind, 0, 0.5, IDLE_S),
                                IDLE_S + OVERTIME_S)["memory_mib"]
            subject = FastGateway(self, kind, row)
            v = self._measure(row, subject, self._argv(row, kind, 0, 0.5, IDLE_S),
                              IDLE_RAMP_S + OVERTIME_S)
        finally:
            self._huge(HUGE_MIB)
        v["bytes_per_connection"] = (v["memory_mib"] - few) * (1 << 20) / max(1, v["opened"])
        return v


def held(counters):
    """Client connections of the gateway now, those that it has put aside for being idle included."""
    return sum(counters.get(f"usage.0.{k}", 0) for k in ("http.down", "tcp.parked"))


def why_of(a):
    """What the generator counted, in words."""
    kinds = ", ".join(f"{k} {n}" for k, n in a.get("errors_by_kind", {}).items()) or "no errors"
    status = a.get("last_bad_status")
    return f"{kinds}; last bad status {status}" if status else kinds


def fast_values(row, a, begin, end):
    """One trial's numbers, by the names of bench_report."""
    seconds = end.cpu.at - begin.cpu.at
    per = (a["requests_per_s"] * seconds) or float("nan")
    core = end.cpu.since(begin.cpu, 1)
    busy = end.cpu.busy(begin.cpu, 1)
    v = {
        "requests_per_s": a["requests_per_s"], "gbit_per_s": a["gbit_per_s"],
        "requests": a["requests"], "errors": a["errors"], "error": a["errors_by_kind"],
        "p50_us": a["p50_us"], "p99_us": a["p99_us"], "p999_us": a["p999_us"], "max_us": a["max_us"],
        "user_s_per_1e6": (end.user - begin.user) / per * 1e6,
        "system_s_per_1e6": (end.system - begin.system) / per * 1e6,
        "softirq_s_per_1e6": core["softirq"] / per * 1e6,
        "busy_s_per_1e6": busy / per * 1e6, "cpu_s_per_1e6": busy / per * 1e6,
        "packets_in_per_request": a["packets_in_per_request"],
        "packets_out_per_request": a["packets_out_per_request"],
        "memory_mib": end.memory, "opened": a["connections_open"], "generator_busy": a["busy"],
    }
    if a["max_us"] == 0:  # no answer to what was intended in the measured time: unknown, not zero
        v.update(p50_us=None, p99_us=None, p999_us=None, max_us=None)
    if a["generator_limit"]:
        v["limit"] = f"the generator is the limit ({a['busy'] * 100:.0f} % busy)"
    if end.counters is not None:
        v.update(bench_gateway.Gateway.spent(begin.counters, end.counters))
        v["opened"] = min(v["opened"], held(end.counters))
    return v
