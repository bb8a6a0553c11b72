# SPDX-License-Identifier: Apache-2.0
"""
runner.py: behind scripts/test: every test of Sluice, by name.

    scripts/test                 all rows in their short form, simplest tier first
    scripts/test --list          names, tiers and what each row holds
    scripts/test --only NAME     one row (or several, comma-separated), short form
    scripts/test --long NAME     the long form that the row's claim asks for
    scripts/test --tier TIER     one tier

Builds what it needs (build-asan with poisoned pools for everything but the benchmark's and the
system tests' release build, build-tsan for the programs with threads). Prints one line per row and
last "N passed, N failed, N skipped". A row, or a test inside of one, that cannot run says why and
is counted as skipped; with CI=true that is a failure, unless the reason is another kind of machine.
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.chdir(TOP)

ROOT = "root"  # needs namespaces


class Row:
    def __init__(self, tier, name, claim, short, long=None, build=(), needs=(), timeout=600,
                 long_timeout=5400):
        self.tier, self.name, self.claim = tier, name, claim
        self.short, self.long = short, long
        self.build, self.needs = build, needs
        self.timeout, self.long_timeout = timeout, long_timeout


BUILDS = {
    "release": ("build", []),
    "asan": ("build-asan", ["-Db_sanitize=address,undefined", "-Ddebug_checks=true",
                            "-Db_lundef=false"]),
    "tsan": ("build-tsan", ["-Db_sanitize=thread", "-Ddebug_checks=true", "-Db_lundef=false"]),
}
SAN_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:halt_on_error=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:suppressions=" +
                    os.path.join(TOP, "tests/tsan.supp"),
}

sys.path.insert(0, os.path.join(TOP, "tests"))
import rows  # noqa: E402  the table of rows: tests/rows.py

ROWS = rows.make(Row, TOP)


def build(kind, quiet=True):
    folder, options = BUILDS[kind]
    env = dict(os.environ)
    env.setdefault("CC", "ccache gcc")
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        subprocess.run(["meson", "setup", folder, *options], check=True, env=env,
                       stdout=subprocess.DEVNULL)
    p = subprocess.run(["ninja", "-C", folder], env=env, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True)
    if p.returncode != 0:
        print("\n".join(p.stdout.splitlines()[-40:]))
        raise SystemExit(f"test: building {folder} failed")


def missing(row):
    if ROOT in row.needs and os.geteuid() != 0:
        return "needs root for network namespaces"
    return None


SKIP_EXIT = 77  # of a program that skips all it has


def skips_of(out, code):
    """
    What a row's programs skipped: [(test, reason, whether this machine could run it)]. A test says
    "# skip NAME: needs WHAT" or "# skip NAME: elsewhere: WHY" (tests/unit/skip.h); one that cmocka
    counts as skipped without such a line is unexplained, and counts as one that could run.
    """
    said = dict(re.findall(r"(?m)^# skip (\w+): (.*)$", out))
    silent = set(re.findall(r"(?m)^\[\s*SKIPPED\s*\] (\w+)$", out)) - set(said)
    if code == SKIP_EXIT and not said:
        silent.add("all")
    skips = [(test, why, not why.startswith("elsewhere: ")) for test, why in said.items()]
    return skips + [(test, "gives no reason", True) for test in sorted(silent)]


def run_row(row, command, timeout, verbose):
    """(passed, failed, or None: skipped as a whole; what the row skipped; seconds it took)."""
    env = dict(os.environ, **SAN_ENV)
    start = time.monotonic()
    try:
        p = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout,
                           start_new_session=True)
        out, code = p.stdout, p.returncode
    except subprocess.TimeoutExpired as e:
        out, code = (e.stdout or b"").decode(errors="replace") if isinstance(e.stdout, bytes) \
            else (e.stdout or ""), f"timeout after {timeout} s"
    took = time.monotonic() - start
    skips = skips_of(out, code)
    ok = code in (0, SKIP_EXIT)
    word = "skip" if code == SKIP_EXIT else "ok  " if ok else "FAIL"
    print(f"{word}  {row.name:<28} {took:7.1f} s", flush=True)
    for test, why, _ in skips:
        print(f"skip      {row.name}: {test}: {why}")
    if verbose or not ok:
        print("\n".join("      " + line for line in out.splitlines()[-(400 if verbose else 80):]))
    else:  # what a row says for people
        for line in out.splitlines():
            if line.startswith("# ") and not line.startswith("# skip "):
                print("      " + line[2:])
    if not ok:
        print(f"      exit: {code}; again with: scripts/test --only {row.name}")
    sys.stdout.flush()
    return None if code == SKIP_EXIT else ok, skips, took


def select(args):
    chosen = ROWS
    names = args.only or args.long
    if names:
        wanted = names.split(",")
        known = {r.name for r in ROWS}
        unknown = [n for n in wanted if n not in known]
        if unknown:
            raise SystemExit(f"test: no row named {', '.join(unknown)}; see scripts/test --list")
        chosen = [r for r in ROWS if r.name in wanted]
    if args.tier:
        chosen = [r for r in chosen if r.tier == args.tier]
    return chosen


def list_rows():
    tier = None
    for r in ROWS:
        if r.tier != tier:
            tier = r.tier
            print(f"\n{tier}")
        print(f"  {r.name:<28} {r.claim}" + ("  [--long]" if r.long else ""))
        for sub in rows.inner(r, TOP):
            print(f"      {sub}")


def main():
    ap = argparse.ArgumentParser(description="runs Sluice's tests", usage=__doc__)
    ap.add_argument("--list", action="store_true")
    ap.add_argument("--only")
    ap.add_argument("--long")
    ap.add_argument("--tier")
    ap.add_argument("-v", "--verbose", action="store_true")
    args = ap.parse_args()
    if args.list:
        list_rows()
        return 0
    chosen = select(args)
    start = time.monotonic()
    passed, failed, skipped = [], [], []  # rows; of skipped: (row, could it run here)
    tiers = {}  # tier: [rows, seconds]
    for kind in [k for k in BUILDS if any(k in r.build for r in chosen)]:
        t = time.monotonic()
        build(kind)
        print(f"built {BUILDS[kind][0]} in {time.monotonic() - t:.1f} s", flush=True)
    verbose = args.verbose or bool(args.only or args.long)
    for r in chosen:
        why = missing(r)
        if why:
            print(f"skip  {r.name:<28} {why}")
            skipped.append((r, True))
            continue
        command = r.short
        timeout = r.timeout
        if args.long and r.long:
            command, timeout = r.long, r.long_timeout
        ok, skips, took = run_row(r, command, timeout, verbose)
        skipped += [(r, could) for _, _, could in skips]
        if ok is not None:
            (passed if ok else failed).append(r)
        tier = tiers.setdefault(r.tier, [0, 0.0])
        tier[0], tier[1] = tier[0] + 1, tier[1] + took
    minutes = (time.monotonic() - start) / 60
    for tier, (count, seconds) in tiers.items():
        print(f"tier  {tier:<28} {seconds:7.1f} s in {count} rows")
    for r in failed:
        print(f"failed: {r.name}: {r.claim}")
    print(f"took {minutes:.1f} min")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
    ci = re.match("(?i)true|1", os.environ.get("CI", ""))
    ci_skip = ci and any(could for _, could in skipped)
    return 1 if failed or ci_skip or not passed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `scripts/test | head` ends without a word
    sys.exit(main())
