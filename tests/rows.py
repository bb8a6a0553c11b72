# SPDX-License-Identifier: Apache-2.0
"""
rows.py: the table of test rows, simplest tier first. A row is a name, a claim and a command.
Unit tests are found by themselves: every tests/unit/<area>/*_test.c is a row.
"""
import glob
import os
import re

ASAN, REL, TSAN = ("asan",), ("release",), ("tsan",)
ROOT = ("root",)


def claim_of(source):
    """The first sentence of a test file's essay."""
    with open(source, errors="replace") as f:
        m = re.search(r"\.c: (.*?)(?:\.\s|:|\*/|\n \*\n)", f.read(4096), re.S)
    return re.sub(r"\s*\n \*\s*", " ", m.group(1)) if m else ""


def inner(row, top):
    """The claims inside a row, for --list: the test functions of its source."""
    m = re.match(r"unit/(\w+)/(\w+)$", row.name)
    if not m:
        return []
    with open(os.path.join(top, "tests/unit", m.group(1), m.group(2) + ".c")) as f:
        return re.findall(r"cmocka_unit_test(?:_setup_teardown)?\(\s*(\w+)", f.read())


def make(Row, top):
    def system(script, *args):
        return ["/usr/bin/python3", os.path.join(top, "tests/system", script), *args]

    out = [Row("check", "check", "layers, style, spelling; gcc and clang without a warning",
               ["scripts/check"], timeout=1200)]
    for src in sorted(glob.glob(os.path.join(top, "tests/unit/*/*_test.c"))):
        area, base = src.split(os.sep)[-2], os.path.basename(src)[:-2]
        out.append(Row("unit", f"unit/{area}/{base}", claim_of(src),
                       [os.path.join(top, "build-asan/tests/unit", area, base)], build=ASAN))
    return out
