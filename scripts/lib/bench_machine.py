# SPDX-License-Identifier: Apache-2.0
"""
bench_machine.py: what the benchmark knows and borrows of the machine: its facts for the head of the
table, CPU times, memory of processes, hugepages that are given back, processes that end with us.
"""
import contextlib
import ctypes
import glob
import os
import platform
import re
import shutil
import signal
import subprocess
import time

import lab

NOTES = "/run/sluice-bench-"  # of what a run has borrowed, should it be killed
HUGE = "/sys/kernel/mm/hugepages/hugepages-2048kB/"
TICK = os.sysconf("SC_CLK_TCK")
QUIET = 0.15  # a core busier than this before a run is not ours alone
_libc = ctypes.CDLL(None, use_errno=True)


class BenchError(Exception):
    """A run that cannot be finished; the sentence is for the user."""


def read(path, default=""):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return default


# -- facts ------------------------------------------------------------------------------------

def tsc_hz():
    """x86 calibrates loops per jiffy by the TSC, so BogoMIPS is twice its MHz."""
    m = re.search(r"bogomips\s*:\s*([\d.]+)", read("/proc/cpuinfo"))
    return float(m.group(1)) * 1e6 / 2 if m else 0.0


def version(*argv):
    """The first thing like a version number that a program says about itself."""
    if not shutil.which(argv[0]):
        return "missing"
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=10)
    m = re.search(r"\d+\.\d+(?:\.\d+)*", p.stdout)
    return m.group(0) if m else "unknown"


def facts():
    cpu = re.search(r"model name\s*:\s*(.*)", read("/proc/cpuinfo"))
    dpdk = subprocess.run(["pkg-config", "--modversion", "libdpdk"], stdout=subprocess.PIPE, text=True)
    busy = core_busy(0.5)
    return {
        "cpu": cpu.group(1).strip() if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "tsc_hz": tsc_hz(),
        "hypervisor": "hypervisor" in read("/proc/cpuinfo"),
        "memory_mib": int(re.search(r"MemTotal:\s*(\d+)", read("/proc/meminfo")).group(1)) // 1024,
        "kernel": platform.release(),
        "dpdk": dpdk.stdout.strip() or "unknown",
        "haproxy": version("haproxy", "-v"),
        "nginx": version("nginx", "-v"),
        "commit": lab.run("git", "-C", lab.TOP, "describe", "--always", "--dirty",
                          check=False).strip() or "unknown",
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "busy_before": {str(c): round(b, 3) for c, b in busy.items()},
        "quiet": all(b < QUIET for b in busy.values()),
    }


# -- CPU time -----------------------------------------------------------------------------------

class CpuTimes:
    """/proc/stat of every core, in seconds."""

    FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")

    def __init__(self):
        self.at = time.monotonic()
        self.core = {}
        for line in read("/proc/stat").splitlines():
            m = re.match(r"cpu(\d+) (.*)", line)
            if m:
                v = [int(x) / TICK for x in m.group(2).split()]
                self.core[int(m.group(1))] = dict(zip(self.FIELDS, v))

    def since(self, before, core):
        return {k: self.core[core][k] - before.core[core][k] for k in self.FIELDS}

    def busy(self, before, core):
        """Seconds in which this core did something, softirq included."""
        d = self.since(before, core)
        return sum(v for k, v in d.items() if k not in ("idle", "iowait"))


def core_busy(seconds):
    before = CpuTimes()
    time.sleep(seconds)
    after = CpuTimes()
    return {c: min(1.0, after.busy(before, c) / (after.at - before.at)) for c in after.core}


def process_seconds(pids):
    """(user, system) seconds of these processes so far."""
    user = system = 0
    for pid in pids:
        fields = read(f"/proc/{pid}/stat").rsplit(")", 1)[-1].split()
        if len(fields) > 12:
            user += int(fields[11])
            system += int(fields[12])
    return user / TICK, system / TICK


def process_memory(pids):
    """MiB that these processes hold: resident, plus hugepages, which RSS leaves out."""
    kib = 0
    for pid in pids:
        status = read(f"/proc/{pid}/status")
        for key in ("VmRSS", "HugetlbPages"):
            m = re.search(rf"{key}:\s*(\d+) kB", status)
            kib += int(m.group(1)) if m else 0
    return kib / 1024


def children(pid):
    """The process and all below it."""
    out = [pid]
    for task in os.listdir(f"/proc/{pid}/task") if os.path.isdir(f"/proc/{pid}/task") else ():
        for child in read(f"/proc/{pid}/task/{task}/children").split():
            out += children(int(child))
    return out


# -- what is borrowed ----------------------------------------------------------------------------

def started(pid):
    """When this process began, in ticks since boot; empty: there is none."""
    fields = read(f"/proc/{pid}/stat").rsplit(")", 1)[-1].split()
    return fields[19] if len(fields) > 19 else ""


class Hugepages:
    """2 MiB pages added to the kernel's pool and taken out again, beside what others hold."""

    def __init__(self, mib):
        self.want, self.added = (mib + 1) // 2, 0
        self.note = f"{NOTES}{os.getpid()}.hugepages"

    @staticmethod
    def sweep():
        """
        Gives back what runs took that were killed. Who takes the note away gives back, so that two
        runs that begin together do not do it twice, at the cost of others' pages.
        """
        for path in glob.glob(NOTES + "*.hugepages"):
            pages, began = (read(path).split() + ["", ""])[:2]
            pid = path[len(NOTES):].split(".")[0]
            if began and started(pid) == began:
                continue
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue
            if pages.isdigit():
                Hugepages._resize(max(0, Hugepages._pool() - int(pages)))

    @staticmethod
    def _pool():
        """Without what leaves the pool anyhow when its last user, who may be dying, lets it go."""
        return int(read(HUGE + "nr_hugepages", "0")) - int(read(HUGE + "surplus_hugepages", "0"))

    @staticmethod
    def _resize(pages):
        with open(HUGE + "nr_hugepages", "w") as f:
            f.write(str(pages))

    def _write_note(self):
        """Whole or not at all: another run may be reading."""
        with open(self.note + ".new", "w") as f:
            f.write(f"{self.added} {started(os.getpid())}\n")
        os.rename(self.note + ".new", self.note)

    def __enter__(self):
        before = self._pool()
        try:
            self._resize(before + self.want)
            self.added = max(0, self._pool() - before)
            self._write_note()
        except OSError as e:
            self.__exit__()
            raise BenchError(f"hugepages: {e}") from None
        if self.added < self.want:
            self.__exit__()
            raise BenchError(f"the kernel has no {self.want * 2} MiB left for hugepages")
        return self

    def __exit__(self, *exc):
        """The note first: killed in between, we leave pages behind rather than take others'."""
        for path in (self.note, self.note + ".new"):
            with contextlib.suppress(OSError):
                os.unlink(path)
        if self.added > 0:
            self._resize(max(0, self._pool() - self.added))
            self.added = 0


def _dies_with_us():
    _libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: also when the driver is killed


class Process(lab.Proc):
    """A process on given cores, in a namespace or not, whose output goes to a file."""

    def __init__(self, name, argv, log, cores=None, ns=None):
        argv = list(argv)
        if cores is not None:
            argv = ["taskset", "-c", cores] + argv
        if ns is not None:
            argv = ["ip", "netns", "exec", ns] + argv
        self.name, self.log = name, log
        with open(log, "ab") as out:
            self.p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                      start_new_session=True, preexec_fn=_dies_with_us)
        self.pid = self.p.pid


def popen(argv, **kw):
    """A child that is spoken with; ends with us."""
    return subprocess.Popen(argv, start_new_session=True, preexec_fn=_dies_with_us, **kw)


def stop_child(p, timeout=5):
    if p.poll() is None:
        p.terminate()
        try:
            p.wait(timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait(5)


@contextlib.contextmanager
def signals_as_interrupt():
    """
    The first SIGINT, SIGTERM or SIGHUP ends the run by an exception that every clean-up sees; more
    of them do not cut the clean-up short.
    """
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def on_signal(number, frame):
        for s in signals:
            signal.signal(s, signal.SIG_IGN)
        raise KeyboardInterrupt
    old = {s: signal.signal(s, on_signal) for s in signals}
    try:
        yield
    finally:
        for s, handler in old.items():
            signal.signal(s, handler)
