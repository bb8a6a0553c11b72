# SPDX-License-Identifier: Apache-2.0
"""
restart.py: control may die at any time, the dataplane comes back from what it last acknowledged.

Control is killed (SIGKILL) ten times under load: no request fails. Then the weights are edited
without a new snapshot, control is killed for good, the dataplane is killed: a new one serves new
connections within a second, with the weights of the last edit, although nobody is there to ask.
"""
import os
import signal
import sys
import time

from common import check, finish, lab, put_manifest, route_app, say, start_app
from flip import EDITS, assert_clean, load_report, start_load


def kill_control_under_load(box):
    p = start_load(box, 1000, 16, os.path.join(box.dir, "restart"))
    time.sleep(0.5)
    for i in range(10):
        box.control.stop(signal.SIGKILL)
        box.procs.remove(box.control)
        time.sleep(0.3)
        box.start_control()
        box.wait_ready()
        put_manifest(box, "route.yaml", route_app(*EDITS[i % 2]))
        time.sleep(0.5)
    assert_clean(load_report(p), "control killed ten times")


def request_until_served(box, limit):
    """Seconds until a new connection is answered; polls every 10 ms with a short time-out."""
    start = time.monotonic()
    while time.monotonic() - start < limit:
        status, _ = box.curl("/", "app.demo.lab", box.v6, 80, "--connect-timeout", "0.2",
                             "--max-time", "0.5", check=False)
        if status == 200:
            return time.monotonic() - start
        time.sleep(0.01)
    return None


def kill_dataplane_alone(box):
    put_manifest(box, "route.yaml", route_app(100, 0))
    lab.wait_until("100/0", lambda: set(box.curl_many(20, v6=box.v6)) == {"App Version 1"}, 5)
    put_manifest(box, "route.yaml", route_app(0, 100))
    lab.wait_until("0/100", lambda: set(box.curl_many(20, v6=box.v6)) == {"App Version 2"}, 5)
    box.control.stop(signal.SIGKILL)
    box.procs.remove(box.control)
    box.dataplane.stop(signal.SIGKILL)
    box.procs.remove(box.dataplane)
    box.start_dataplane()
    took = request_until_served(box, 5)
    say(f"dataplane killed: new connections served after {took and round(took, 2)} s")
    check(took is not None and took <= 1.0, f"served within 1 s of the restart ({took})")
    bodies = set(box.curl_many(40, v6=box.v6))
    check(bodies == {"App Version 2"}, f"with the weights last acknowledged, control down: {bodies}")


def main():
    for workers in (1, 2):
        with lab.Lab() as box:
            box.v6 = workers == 2  # clients come by IPv4 to one worker, by IPv6 to two
            start_app(box, workers)
            if workers == 2:
                kill_control_under_load(box)
            kill_dataplane_alone(box)
    finish()


if __name__ == "__main__":
    sys.exit(main())
