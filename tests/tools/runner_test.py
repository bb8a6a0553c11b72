# SPDX-License-Identifier: Apache-2.0
"""
runner_test.py: scripts/test says what it left out and why, and stays quiet where nobody listens.
"""
import os
import subprocess
import sys
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "scripts", "lib"))
import runner  # noqa: E402

SKIPPED = "[  SKIPPED ] root_is_given_up\n"


class Skips(unittest.TestCase):
    def test_a_reason_is_taken_along(self):
        out = "# skip root_is_given_up: needs root\n" + SKIPPED
        self.assertEqual(runner.skips_of(out, 0), [("root_is_given_up", "needs root", True)])

    def test_another_machine_is_no_failure_of_this_one(self):
        out = "# skip scanners_agree: elsewhere: a processor without SSSE3\n"
        self.assertFalse(runner.skips_of(out, 0)[0][2])

    def test_a_skip_without_a_reason_is_not_overlooked(self):
        unexplained = ("root_is_given_up", "gives no reason", True)
        self.assertEqual(runner.skips_of(SKIPPED, 0), [unexplained])
        self.assertEqual(runner.skips_of("", runner.SKIP_EXIT), [("all", "gives no reason", True)])

    def test_what_ran_is_not_skipped(self):
        self.assertEqual(runner.skips_of("[       OK ] a\n[  PASSED  ] 1 test(s).\n", 0), [])


class Words(unittest.TestCase):
    def run_shell(self, command):
        return subprocess.run(["/bin/bash", "-c", command], cwd=TOP, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

    def test_asking_for_the_list_says_nothing_else(self):
        for option in ("--list", "--help"):
            p = self.run_shell(f"scripts/test {option}")
            self.assertEqual((p.returncode, p.stderr), (0, ""), option)

    def test_a_closed_pipe_is_no_traceback(self):
        self.assertEqual(self.run_shell("scripts/test --list | head -n 1").stderr, "")

    def test_an_unknown_row_is_named(self):
        p = self.run_shell("/usr/bin/python3 scripts/lib/runner.py --only no-such-row")
        self.assertIn("no row named no-such-row", p.stderr)
        self.assertEqual(p.returncode, 1)


class Run(unittest.TestCase):
    def row(self, code):
        row = runner.Row("unit", "some/row", "", [])
        command = ["/bin/sh", "-c", f"echo '# skip a: needs root'; exit {code}"]
        with open(os.devnull, "w") as nowhere:
            out, sys.stdout = sys.stdout, nowhere
            try:
                return runner.run_row(row, command, 10, False)[:2]
            finally:
                sys.stdout = out

    def test_a_row_passes_with_what_it_skipped(self):
        self.assertEqual(self.row(0), (True, [("a", "needs root", True)]))

    def test_a_row_that_skipped_all_has_not_passed(self):
        self.assertEqual(self.row(77), (None, [("a", "needs root", True)]))

    def test_a_row_that_fails_fails_whatever_it_skipped(self):
        self.assertEqual(self.row(1)[0], False)


if __name__ == "__main__":
    unittest.main()
