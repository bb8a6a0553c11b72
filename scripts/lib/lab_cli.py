# SPDX-License-Identifier: Apache-2.0
"""
lab_cli.py: behind scripts/lab. `up` leaves everything running and writes what it started to a
state file; `down` ends exactly that: processes by pid (and only while the pid is still ours),
namespaces by name, the lab's directory.
"""
import argparse
import json
import os
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402

STATE = "/run/sluice-lab.json"


def start_time(pid):
    """Field 22 of /proc/PID/stat, which tells a process from a later one with the same pid."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None


def up(args):
    if os.path.exists(STATE):
        raise SystemExit("lab: is up already (scripts/lab down ends it)")
    box = lab.Lab(name="sluice", keep=True)
    try:
        box.up()
        box.start(args.example, args.workers)
    except BaseException:
        box.report(sys.stderr)
        box.keep = False
        box.down()
        raise
    state = {"dir": box.dir, "boxes": [box.ns(b) for b in box.boxes],
             "procs": [[p.name, p.pid, start_time(p.pid)] for p in box.procs]}
    with open(STATE, "w") as f:
        json.dump(state, f)
    print(f"""lab: up
  request:     ip netns exec {box.ns('client')} curl -H 'Host: {lab.HOST[args.example]}' http://{lab.VIP4}/
  manifests:   {box.conf}/clusters/
  programs:    {box.build}/sluicectl --socket {box.api} status
  logs:        {box.dir}/*.log
  end:         scripts/lab down""")


def load_state():
    try:
        with open(STATE) as f:
            return json.load(f)
    except FileNotFoundError:
        raise SystemExit("lab: is not up")


def down(args):
    state = load_state()
    ours = [(name, pid) for name, pid, since in reversed(state["procs"]) if start_time(pid) == since]
    for _, pid in ours:
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 10
    while time.monotonic() < end and any(os.path.exists(f"/proc/{pid}") for _, pid in ours):
        time.sleep(0.05)
    for name, pid in ours:
        if os.path.exists(f"/proc/{pid}"):
            print(f"lab: {name} did not end, killed")
            os.kill(pid, signal.SIGKILL)
    for ns in state["boxes"]:
        lab.run("ip", "netns", "del", ns, check=False)
    shutil.rmtree(state["dir"], ignore_errors=True)
    os.remove(STATE)
    print("lab: down")


def status(args):
    for name, pid, since in load_state()["procs"]:
        print(f"{name:<16} {pid:>7} {'running' if start_time(pid) == since else 'ended'}")


def main():
    ap = argparse.ArgumentParser(prog="lab")
    ap.add_argument("action", choices=["up", "down", "status"])
    ap.add_argument("example", nargs="?", default="canary", choices=["canary", "mesh"])
    ap.add_argument("--workers", type=int, default=1)
    args = ap.parse_args()
    {"up": up, "down": down, "status": status}[args.action](args)


main()
