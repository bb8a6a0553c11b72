# SPDX-License-Identifier: Apache-2.0
"""
stop.py: how the dataplane ends when something does not: a request that takes longer than the drain
may, an operator who sends a second SIGTERM, a worker that is stuck.

The thread of one worker is held with ptrace(2), as a hang would hold it; the other worker goes on,
and the log names worker and stage.
"""
import ctypes
import os
import re
import signal
import sys
import time

from common import check, finish, lab, put_manifest, route, say, service, start_app

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000  # waitpid(2): threads too
STAGES = re.compile(r'WORKER_STAGE\(\w+, "(\w+)"\)')
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, tid):
    if libc.ptrace(request, tid, None, None) != 0:
        raise lab.LabError(f"ptrace: {os.strerror(ctypes.get_errno())}")


class Held:
    """One thread stands still."""

    def __init__(self, tid):
        self.tid = tid
        ptrace(PTRACE_SEIZE, tid)
        ptrace(PTRACE_INTERRUPT, tid)
        os.waitpid(tid, WALL)

    def release(self):
        ptrace(PTRACE_DETACH, self.tid)

    def buried(self):
        """The process has ended; its tracer has to take note of the thread's end."""
        os.waitpid(self.tid, WALL)


def worker_thread(box, index):
    """DPDK names the threads of its lcores; lcore index + 1 runs worker index."""
    top = f"/proc/{box.dataplane.pid}/task"
    for tid in os.listdir(top):
        with open(f"{top}/{tid}/comm") as f:
            if re.fullmatch(rf"(lcore|rte)-worker-{index + 1}", f.read().strip()):
                return int(tid)
    raise lab.LabError(f"no thread of worker {index}")


def log(box):
    with open(box.dataplane.log, errors="replace") as f:
        return f.read()


def started(box, drain, abort="20s"):
    def edit(name, text):
        if name != "gateway.yaml":
            return text
        text = re.sub(r"(?m)^(drainTimeout|watchdogAbort): .*\n", "", text)
        return text + f"\ndrainTimeout: {drain}\nwatchdogAbort: {abort}\n"
    start_app(box, 2, edit)


def request_that_lasts(box, v6):
    """A request whose answer takes 20 s is under way."""
    box.spawn("us-east", "sink", "/usr/bin/python3", os.path.join(lab.TOP, "tests/system/sink.py"),
              "10.203.0.2", "fd00:203::2", "9000", box.dir)
    put_manifest(box, "sink.yaml", service("sink", ["10.203.0.2"], 9000, ["fd00:203::2"]) +
                 "---\n" + route("sink", [("sink", 1)], host="sink.demo.lab"))
    lab.wait_until("sink", lambda: box.curl(host="sink.demo.lab", v6=v6)[0] == 200, 5)
    vip = f"[{lab.VIP6}]" if v6 else lab.VIP4
    slow = box.spawn("client", "slow", "curl", "-s", "--max-time", "30", "-H",
                     "Host: sink.demo.lab", f"http://{vip}/sleep/20")
    time.sleep(0.5)
    check(slow.alive(), "a request is under way")


def ended_within(box, start, low, high, what):
    code = box.dataplane.p.wait(20)
    took = time.monotonic() - start
    check(code == 0 and low <= took <= high, f"{what}: exit {code} after {took:.1f} s")


def drain_times_out():
    with lab.Lab() as box:
        started(box, "2s")
        request_that_lasts(box, False)
        start = time.monotonic()
        box.dataplane.kill(signal.SIGTERM)
        ended_within(box, start, 1.9, 5, "a drain that is not over in 2 s ends the process")
        check(re.search(r'level=warn .*connections=1 requests=1 msg="drain timed out"', log(box)),
              "and the log says what was cut off")


def second_signal():
    with lab.Lab() as box:
        started(box, "30s")
        request_that_lasts(box, True)
        box.dataplane.kill(signal.SIGTERM)
        time.sleep(1)
        check(box.dataplane.alive(), "the first SIGTERM waits for the request")
        start = time.monotonic()
        box.dataplane.kill(signal.SIGTERM)
        ended_within(box, start, 0, 3, "the second SIGTERM ends at once")
        check("second signal: ending at once" in log(box), "and the log says so")


def stuck(box):
    return re.findall(r'worker=(\d+) stage=(\w+) us=(\d+) msg="?stuck"?', log(box))


def stuck_worker():
    with open(os.path.join(lab.TOP, "dataplane/worker/worker.def")) as f:
        stages = STAGES.findall(f.read())
    with lab.Lab() as box:
        started(box, "2s")
        held = Held(worker_thread(box, 1))
        lab.wait_until("stuck", lambda: len(stuck(box)) >= 2, 8)
        worker, stage, _ = stuck(box)[0]
        check(worker == "1" and stage in stages, f"the log names worker {worker}, stage {stage}")
        gaps = [int(us) for _, _, us in stuck(box)]
        check(1000000 <= gaps[0] < 3000000 and gaps[1] >= 2 * gaps[0],
              f"after a second, then once per doubling: {gaps} us")
        check(box.dataplane.alive(), "the process lives")
        held.release()
        lab.wait_until("turning", lambda: "all workers turn again" in log(box), 5)
        status = [box.curl(v6=v6)[0] for v6 in (False, True) for _ in range(4)]
        check(set(status) == {200}, f"released, it serves again: {status}")
        say(f"stuck worker named with stage {stage}")


def stuck_for_good():
    with lab.Lab() as box:
        started(box, "2s", abort="3s")
        held = Held(worker_thread(box, 0))
        lab.wait_until("dump", lambda: "worker 1 stage=" in log(box), 10)
        held.buried()
        code = box.dataplane.p.wait(20)
        check(code == -signal.SIGABRT, f"after watchdogAbort the process ends itself ({code})")
        check(re.search(r"(?m)^worker 0 stage=\w+ turns=[1-9]", log(box)),
              "with a dump of its state")


def main():
    drain_times_out()
    second_signal()
    stuck_worker()
    stuck_for_good()
    finish()


if __name__ == "__main__":
    sys.exit(main())
