# SPDX-License-Identifier: Apache-2.0
"""
bench.py: behind scripts/bench: the benchmark, one command and one table.

    scripts/bench                 every row, under 45 minutes on a quiet machine with two cores
    scripts/bench --quick         the rows that the comparisons at the end need, under 8 minutes
    scripts/bench --smoke         a second of a few rows: does everything work?
    scripts/bench --case C,...    these cases        --subject S,...  these subjects
    scripts/bench --port P        fast or veth       --rounds N, --duration S  of each row
    scripts/bench --row REGEX     the rows whose whole name it matches, as --list prints them
    scripts/bench --json FILE     the rows as JSON   --plot FILE.svg  latency against load
    scripts/bench --list          the rows, without running them

Rows run in turn and interleaved: a round of all, then the next round; medians and ranges stand in
the table. Needs root. Ctrl-C prints what there is and leaves nothing behind: no process, namespace,
socket, file or hugepage. Exit status: 0; 1 a row failed or counted errors; 2 usage; 130 Ctrl-C.
"""
import argparse
import contextlib
import glob
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import replace

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench_compare  # noqa: E402
import bench_fast  # noqa: E402
import bench_plot  # noqa: E402
import bench_report  # noqa: E402
import bench_rows as rows_of  # noqa: E402
import bench_veth  # noqa: E402
import lab  # noqa: E402
from bench_machine import BenchError, Hugepages, facts, signals_as_interrupt  # noqa: E402

PREFIX = "slb"
TIMES = {"full": (1.0, 3.0), "quick": (0.5, 2.0), "smoke": (0.3, 1.0)}  # warm-up, measured seconds
ROUND_COST_S = 3.0  # start and end of one trial besides


class Run:
    """The rows, their results so far, and the two paths, which are made when first needed."""

    def __init__(self, args, rows):
        self.args, self.stack = args, contextlib.ExitStack()
        self.results = [bench_report.Result(r) for r in rows]
        self.warmup, self.duration = TIMES[args.mode]
        self.duration = args.duration or self.duration
        self.machine = facts()
        self.paths = {}

    def path(self, port):
        """The path of this port; what could not be made once is not tried again."""
        if port not in self.paths:
            kind = bench_veth.Veth if port == "veth" else bench_fast.Fast
            try:
                made = kind(f"{PREFIX}{os.getpid()}", self.dir, self.args.build)
                self.paths[port] = self.stack.enter_context(made)
                self.machine.update(made.facts(self.args.mode))
            except (BenchError, lab.LabError, OSError) as e:
                self.paths[port] = BenchError(str(e))
        if isinstance(self.paths[port], BenchError):
            raise self.paths[port]
        return self.paths[port]

    def peak(self, row, subjects):
        """The best closed-loop rate that any of these subjects showed in this row's case."""
        want = [replace(row, subject=s, rate=None, rounds=0, poll="busy") for s in subjects]
        best = max((r.median("requests_per_s") or 0 for r in self.results
                    if replace(r.row, rounds=0) in want), default=0)
        if best == 0:
            raise BenchError("no closed-loop rate to take a half of")
        return best

    def rate(self, result):
        """What is offered in this row; settled once, so that all rounds are alike."""
        row = result.row
        if result.offered is None and row.rate is not None:
            if row.rate == rows_of.HALF_PEER:
                result.offered = self.peak(row, ("haproxy", "nginx")) / 2
            elif row.rate == rows_of.HALF:
                subject = "sluice" if row.subject == "testpmd" else row.subject
                result.offered = self.peak(row, (subject,)) / 2
            else:
                result.offered = float(row.rate)
        return result.offered

    def trial(self, result, number):
        """The first round counts cycles per stage; that costs 1 %, so the others do not."""
        row = result.row
        try:
            rate = self.rate(result)
            result.trials.append(self.path(row.port).trial(row, rate, self.warm_up(row),
                                                           self.duration, number == 0))
        except (BenchError, lab.LabError, OSError, ValueError, KeyError) as e:
            result.failure = str(e) or repr(e)
            print(f"  {row.name()} {row.subject}: {result.failure}", file=sys.stderr, flush=True)

    def warm_up(self, row):
        """The answer that holds the counters of 10 000 routes is made on the generator's core."""
        return self.warmup if row.routes < 1000 else max(self.warmup, 2.0)

    def progress(self, number, result):
        v = result.trials[-1]["requests_per_s"] if result.trials and not result.failure else None
        print(f"  round {number + 1}  {result.row.name()}  {result.row.subject}  "
              f"{bench_report.number(v)}/s", file=sys.stderr, flush=True)

    def go(self):
        self.dir = tempfile.mkdtemp(prefix=f"sluice-bench-{os.getpid()}-")
        self.stack.callback(shutil.rmtree, self.dir, ignore_errors=True)
        os.chmod(self.dir, 0o755)
        with self.stack:
            for number in range(max(r.row.rounds for r in self.results)):
                for result in self.results:
                    if number < result.row.rounds and result.failure is None:
                        self.trial(result, number)
                        self.progress(number, result)

    def report(self):
        hz = self.machine["tsc_hz"]
        print(bench_report.head(self.machine))
        print()
        print(bench_report.table(self.results, hz))
        print()
        print(bench_compare.text(self.results, hz), flush=True)
        if self.args.json:
            bench_report.write_json(self.args.json, self.machine, self.results)
        if self.args.plot:
            bench_plot.write(self.args.plot, self.results, self.machine)

    def status(self):
        return 1 if any(r.failure or r.errors() for r in self.results) else 0


def sweep():
    """
    What a killed run left: namespaces and folders named after a process that is no more, and the
    hugepages it had taken.
    """
    for line in lab.run("ip", "netns", "list", check=False).splitlines():
        name = line.split()[0]
        m = re.match(PREFIX + r"(\d+)-", name)
        if not m or os.path.exists(f"/proc/{m.group(1)}"):
            continue
        for pid in lab.run("ip", "netns", "pids", name, check=False).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        lab.run("ip", "netns", "del", name, check=False)
    for path in glob.glob(os.path.join(tempfile.gettempdir(), "sluice-bench-[0-9]*-*")):
        if not os.path.exists(f"/proc/{os.path.basename(path).split('-')[2]}"):
            shutil.rmtree(path, ignore_errors=True)
    Hugepages.sweep()


def words(known, what):
    def parse(text):
        chosen = text.split(",")
        for w in chosen:
            if w not in known:
                raise argparse.ArgumentTypeError(f"no {what} {w}; there are {', '.join(known)}")
        return chosen
    return parse


def arguments():
    ap = argparse.ArgumentParser(prog="bench", usage=__doc__)
    mode = ap.add_mutually_exclusive_group()
    for m in ("quick", "smoke"):
        mode.add_argument(f"--{m}", dest="mode", action="store_const", const=m, default="full")
    ap.add_argument("--case", type=words(rows_of.CASES, "case"))
    ap.add_argument("--subject", type=words(rows_of.SUBJECTS, "subject"))
    ap.add_argument("--port", type=words(("fast", "veth"), "port"))
    ap.add_argument("--row", type=re.compile)
    ap.add_argument("--rounds", type=int)
    ap.add_argument("--duration", type=float)
    ap.add_argument("--json")
    ap.add_argument("--plot")
    ap.add_argument("--list", action="store_true")
    ap.add_argument("--build", default=os.path.join(lab.TOP, "build"))
    args = ap.parse_args()
    if args.rounds is not None and args.rounds < 1 or args.duration is not None and args.duration <= 0:
        ap.error("--rounds and --duration must be above zero")
    args.build = os.path.abspath(args.build)
    return args


def chosen_rows(args):
    rows = {"full": rows_of.all_rows, "quick": rows_of.must_show, "smoke": rows_of.smoke}[args.mode]()
    for key in ("case", "subject", "port"):
        wanted = getattr(args, key)
        if wanted:
            rows = [r for r in rows if getattr(r, key) in wanted]
    if args.row:
        rows = [r for r in rows if args.row.fullmatch(r.name())]
    if args.rounds:
        rows = [r if r.idle else replace(r, rounds=args.rounds) for r in rows]
    return rows_of.with_needs(rows)


def list_rows(args, rows):
    warmup, duration = TIMES[args.mode]
    each = warmup + (args.duration or duration) + ROUND_COST_S
    for r in rows:
        print(f"{r.rounds} × {r.name()}  {r.subject}")
    print(f"{len(rows)} rows, about {sum(r.rounds for r in rows) * each / 60:.0f} min")


def main():
    args = arguments()
    rows = chosen_rows(args)
    if not rows:
        raise SystemExit("bench: no row is chosen; see --list")
    if args.list:
        list_rows(args, rows)
        return 0
    if os.geteuid() != 0:
        raise SystemExit("bench: needs root, for namespaces and hugepages")
    if os.cpu_count() < 2:
        raise SystemExit("bench: needs two cores: one for the subject, one for its load")
    sweep()
    run = Run(args, rows)
    interrupted = False
    with signals_as_interrupt():
        try:
            run.go()
        except KeyboardInterrupt:
            interrupted = True
            print("bench: interrupted; what was measured until now:", file=sys.stderr)
        run.report()
    return 130 if interrupted else run.status()


if __name__ == "__main__":
    sys.exit(main())
