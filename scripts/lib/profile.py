# SPDX-License-Identifier: Apache-2.0
"""
profile.py: behind scripts/profile: what a request costs in instructions, and where.

    scripts/profile                       all cases: one line each
    scripts/profile CASE [--routes N] [--connections N]
                                          that case by stage of the loop, folder and function
    scripts/profile --check               all cases against tests/bench/bounds.json; exit 1 above
    scripts/profile --update              writes today's counts there

The gateway's worker of the release build runs on a port within one process (tests/bench/
profile_run.c), the clock is virtual, and callgrind counts the gateway's turns alone: the same
sources and compiler give the same number on any machine. Both legs of a request are in it.
"""
import argparse
import collections
import json
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BOUNDS = os.path.join(TOP, "tests/bench/bounds.json")
RUN = os.path.join(TOP, "build/tests/bench/profile_run")
CASES = [("keepalive-100B", 1), ("keepalive-100B", 10000), ("keepalive-10kB", 1),
         ("close-100B", 1), ("open", 1)]

# The stages of worker_turn() by what it calls; what is left is "loop".
STAGES = {"port_rx": "rx", "eth_input": "net", "arp_input": "net", "ip4_input": "net",
          "ip6_input": "net", "icmp4_input": "net", "icmp6_input": "net",
          "dispatch_packets": "dispatch", "dispatch_notes": "dispatch",
          "dispatch_collect": "dispatch", "tcp_input": "tcp_input", "net_timers_run": "timers",
          "tcp_timers_run": "timers", "http_run": "http", "tcp_output": "tcp_output",
          "port_tx_flush": "tx"}
THROUGH = {"worker_turn", "bursts_receive", "bursts_send"}  # may be functions of their own
ORDER = ["rx", "net", "dispatch", "tcp_input", "timers", "http", "tcp_output", "tx", "loop"]


class Profile:
    """Self cost by function, and by stage what worker_turn() and its callees cost."""

    def __init__(self, path):
        self.own = collections.Counter()
        self.folder = {}
        self.stage = collections.Counter()
        self.match = 0
        fn = callee = None
        calls = False
        source = ""
        with open(path) as f:
            for line in f:
                key, eq, value = line.rstrip("\n").partition("=")
                if eq and key == "fl":
                    source = value
                elif eq and key == "fn":
                    fn = re.sub(r"'\d+$", "", value)
                    self.folder.setdefault(fn, self.folder_of(source))
                elif eq and key == "cfn":
                    callee = re.sub(r"'\d+$", "", value)
                elif eq and key == "calls":
                    calls = True
                elif line[:1].isdigit() or line[:1] in "+-*":
                    cost = int(line.split()[1]) if len(line.split()) > 1 else 0
                    if calls:
                        self.called(fn, callee, cost)
                    else:
                        self.own[fn] += cost
                    calls = False
        self.own.pop("profile_turn", None)
        self.total = sum(self.own.values())
        self.stage["loop"] = self.total - sum(self.stage.values())

    def called(self, fn, callee, cost):
        if fn in THROUGH and callee in STAGES:
            self.stage[STAGES[callee]] += cost
        if callee == "route_match":
            self.match += cost

    @staticmethod
    def folder_of(source):
        m = re.search(r"dataplane/(\w+)/[^/]*$", source)
        return m.group(1) if m else "libraries"


def count(case, routes, connections=0, requests=0):
    """Runs one case; its Profile and what profile_run says it has played."""
    with tempfile.TemporaryDirectory() as tmp:
        out = os.path.join(tmp, "out")
        p = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--compress-strings=no",
             "--compress-pos=no", "--toggle-collect=profile_turn", "--callgrind-out-file=" + out,
             RUN, case, str(routes), str(connections), str(requests)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if p.returncode != 0:
            raise SystemExit(f"profile: {case}: {p.stdout}{p.stderr[-2000:]}")
        said = dict(w.split("=") for w in p.stdout.split())
        return Profile(out), said


def name_of(case, routes):
    return case if routes == 1 else f"{case}/{routes} routes"


def detail(prof, said, top):
    n = int(said["count"])
    print(f"{said['case']}: {said['connections']} connections, {said['routes']} routes, {n} "
          f"{'connections' if said['case'] == 'open' else 'requests'} in {said['turns']} turns, "
          f"{int(said['in']) / n:.2f} packets in, {int(said['out']) / n:.2f} out each\n")
    print(f"{'instructions each':>18}  stage")
    for s in ORDER:
        print(f"{prof.stage[s] / n:18.1f}  {s}")
    print(f"{prof.total / n:18.1f}  in all\n")
    folders = collections.Counter()
    for fn, cost in prof.own.items():
        folders[prof.folder.get(fn, "libraries")] += cost
    print(f"{'own instructions':>18}  folder")
    for f, cost in folders.most_common():
        print(f"{cost / n:18.1f}  {f}")
    print(f"\n{'own instructions':>18}  function")
    for fn, cost in prof.own.most_common(top):
        print(f"{cost / n:18.1f}  {fn}  ({prof.folder.get(fn, 'libraries')})")


def measure_all():
    got = {}
    for case, routes in CASES:
        prof, said = count(case, routes)
        n = int(said["count"])
        got[name_of(case, routes)] = round(prof.total / n, 1)
        if case == "keepalive-100B":
            got[f"match/{routes} routes"] = round(prof.match / n, 1)
        print(f"{prof.total / n:10.1f}  {name_of(case, routes)}", flush=True)
    return got


def check(got):
    """Above a bound by more than the slack for other compiler versions is a failure."""
    with open(BOUNDS) as f:
        bounds = json.load(f)
    bad = 0
    for name, bound in bounds["instructions"].items():
        limit = bound * (1 + bounds["slack_percent"] / 100)
        ok = got[name] <= limit
        bad += not ok
        print(f"# {'ok  ' if ok else 'FAIL'} {name}: {got[name]:.0f}, bound {bound:.0f} "
              f"+ {bounds['slack_percent']} %")
    ratio = got["match/10000 routes"] / got["match/1 routes"]
    ok = ratio <= bounds["match_ratio_max"]
    bad += not ok
    print(f"# {'ok  ' if ok else 'FAIL'} match, 10 000 routes against 1: {ratio:.3f} x, "
          f"bound {bounds['match_ratio_max']} x")
    return bad


def update(got):
    with open(BOUNDS) as f:
        bounds = json.load(f)
    bounds["instructions"] = {k: v for k, v in got.items()}
    with open(BOUNDS, "w") as f:
        json.dump(bounds, f, indent=2)
        f.write("\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("case", nargs="?", choices=sorted({c for c, _ in CASES}))
    ap.add_argument("--routes", type=int, default=1)
    ap.add_argument("--connections", type=int, default=0)
    ap.add_argument("--requests", type=int, default=0)
    ap.add_argument("--top", type=int, default=50, help="functions to print")
    ap.add_argument("--check", action="store_true")
    ap.add_argument("--update", action="store_true")
    args = ap.parse_args()
    env = dict(os.environ)
    env.setdefault("CC", "ccache gcc")
    build = os.path.join(TOP, "build")
    if not os.path.exists(os.path.join(build, "build.ninja")):
        subprocess.run(["meson", "setup", build, TOP], check=True, env=env,
                       stdout=subprocess.DEVNULL)
    p = subprocess.run(["ninja", "-C", build, "tests/bench/profile_run"], env=env,
                       stdout=subprocess.PIPE, text=True)
    if p.returncode != 0:
        print(p.stdout[-4000:])
        return 1
    if args.case:
        detail(*count(args.case, args.routes, args.connections, args.requests), args.top)
        return 0
    got = measure_all()
    if args.update:
        update(got)
    return 1 if args.check and check(got) else 0


if __name__ == "__main__":
    sys.exit(main())
