# SPDX-License-Identifier: Apache-2.0
"""
bench_veth.py: one trial on the veth path: the subject on core 1, client and backend on core 0, CPU
times, packets and memory read at both ends of the client's measured time.
"""
import json
import os
import subprocess
import threading

import bench_net
import bench_peers
import lab
from bench_gateway import Gateway
from bench_machine import (BenchError, CpuTimes, Process, popen, process_memory, process_seconds,
                           stop_child)

OVERTIME_S = 20  # a client that takes so much longer than asked hangs and is killed


class Moment:
    """Everything that is read at one end of the measured time."""

    def __init__(self, path, subject):
        self.cpu = CpuTimes()
        self.user, self.system = process_seconds(subject.pids())
        self.packets = path.packets()
        self.turns = subject.turns()
        self.memory = process_memory(subject.pids())


class Veth:
    """The path with its backend; trial() runs one row once."""

    def __init__(self, name, folder, build):
        self.path, self.dir, self.build = bench_net.VethPath(name), folder, build
        self.backend, self.keepalive = None, None

    def __enter__(self):
        self.path.__enter__()
        bench_net.write_bodies(self.dir)
        return self

    def __exit__(self, *exc):
        self._backend_stop()
        self.path.__exit__()

    def facts(self, mode):
        return {}

    def _backend_stop(self):
        if self.backend is not None:
            self.backend.stop(timeout=3)
            self.backend = None

    def _backend(self, keepalive):
        if self.backend is not None and self.backend.alive() and self.keepalive == keepalive:
            return
        self._backend_stop()
        conf = bench_net.fill("backend.conf", self.dir, KEEPALIVE=keepalive,
                              BODY100=(bench_net.PATTERN * 2)[:100].decode())
        self.backend = Process("backend", ["nginx", "-e", "stderr", "-c", conf, "-p", self.dir],
                               os.path.join(self.dir, "backend.log"), "0", self.path.ns("backend"))
        self.keepalive = keepalive
        lab.wait_until("the backend", lambda: ":8083" in self.path.exec("backend", "ss", "-Hltn"))

    def trial(self, row, rate, warmup, duration, profile):
        self._backend(0 if row.variant == "upstream-close" else 3600)
        subject = bench_peers.SUBJECTS[row.subject](self.path, self.dir, self.build, row, profile)
        subject.start()
        try:
            return self._measure(row, subject, rate, warmup, duration)
        finally:
            subject.stop()

    def _measure(self, row, subject, rate, warmup, duration):
        port = bench_net.PORTS[row.body] if row.subject == "testpmd" else 80
        argv = ["ip", "netns", "exec", self.path.ns("client"), "taskset", "-c", "0",
                os.path.join(self.build, "tests/bench/bench_client"), subject.target, str(port),
                "--connections", str(row.connections), "--routes", str(row.routes),
                "--rate", str(rate or 0), "--case", "close" if row.close else "keepalive",
                "--body", str(row.body), "--warmup", str(warmup), "--duration", str(duration)]
        client = popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        timer = threading.Timer(warmup + duration + OVERTIME_S, client.kill)
        timer.start()
        try:
            if client.stdout.readline().strip() != "begin":
                raise BenchError(f"the client did not begin: {client.stderr.read().strip()}")
            begin = Moment(self.path, subject)
            client.stdout.readline()
            end = Moment(self.path, subject)
            out, err = client.stdout.read(), client.stderr.read().strip()
            client.wait()
        finally:
            timer.cancel()
            stop_child(client)
        if client.returncode not in (0, 1):
            raise BenchError(err or f"the client ended with {client.returncode}")
        answer = json.loads(out)
        return trial_values(row, answer, begin, end)


def trial_values(row, a, begin, end):
    """One trial's numbers, by the names of bench_report."""
    n, seconds = a["requests"], end.cpu.at - begin.cpu.at
    per = (a["requests_per_s"] * seconds) or float("nan")  # requests between the two moments
    core = end.cpu.since(begin.cpu, 1)
    busy = end.cpu.busy(begin.cpu, 1)
    idle = {c: 1 - end.cpu.busy(begin.cpu, c) / seconds for c in (0, 1)}
    v = {
        "requests_per_s": a["requests_per_s"], "gbit_per_s": a["gbit_per_s"], "requests": n,
        "errors": a["errors"], "error": a["error"], "unsent": a["unsent"],
        "p50_us": a["p50_us"], "p99_us": a["p99_us"], "p999_us": a["p999_us"], "max_us": a["max_us"],
        "user_s_per_1e6": (end.user - begin.user) / per * 1e6,
        "system_s_per_1e6": (end.system - begin.system) / per * 1e6,
        "softirq_s_per_1e6": core["softirq"] / per * 1e6,
        "busy_s_per_1e6": busy / per * 1e6,
        "packets_in_per_request": (end.packets[0] - begin.packets[0]) / per,
        "packets_out_per_request": (end.packets[1] - begin.packets[1]) / per,
        "memory_mib": end.memory,
        "idle": idle,
    }
    v["cpu_s_per_1e6"] = v["busy_s_per_1e6"]
    if end.turns is not None:
        v.update(Gateway.spent(begin.turns, end.turns))
    return v
