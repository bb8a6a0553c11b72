# SPDX-License-Identifier: Apache-2.0
"""
soak.py: a million requests (short: a quarter) over 64 connections on two workers, sanitizers on.

The dataplane is the ASan and UBSan build with poisoned pools: no report may appear, it must end
cleanly with its leak check, and its counters must show nothing left over.
"""
import json
import os
import re
import sys

from common import LONG, at_rest, check, finish, lab, packets_free, say

TOTAL = 1000000 if LONG else 250000


def load(box, n, v6):
    out = box.exec("client", os.path.join(box.build, "tests/tools/load"),
                   lab.VIP6 if v6 else lab.VIP4, "80", "--conns", "64", "--requests", str(n),
                   "--seconds", "3000", check=False, timeout=3100)
    return json.loads(out.strip().splitlines()[-1])


def main():
    say(f"{TOTAL} requests, {TOTAL / 1e6:.2f} of the million")
    with lab.Lab(build=os.path.join(lab.TOP, "build-asan")) as box:
        box.start("canary", 2)
        free = packets_free(box)
        for v6 in (False, True):
            r = load(box, TOTAL // 2, v6)
            check(r["answered"] == TOTAL // 2 and r["failed"] == 0 and r["malformed"] == 0,
                  f"{'v6' if v6 else 'v4'}: {r['answered']} answered, {r['failed']} failed, "
                  f"{r['rate']:.0f}/s")
            one = sum(n for b, n in r["bodies"].items() if b == "App Version 1")
            check(abs(one - 0.8 * TOTAL / 2) <= 4, f"split {one} of {TOTAL // 2} to v1 (± 4)")
        at_rest(box, free)
        for p in (box.dataplane, box.control):
            code = p.stop(timeout=60)
            with open(p.log, errors="replace") as f:
                text = f.read()
            bad = re.findall(r".*(?:ERROR: \w+Sanitizer|runtime error:).*", text)
            check(code == 0 and not bad, f"{p.name}: exit {code}, no sanitizer report {bad[:3]}")
    finish()


if __name__ == "__main__":
    sys.exit(main())
