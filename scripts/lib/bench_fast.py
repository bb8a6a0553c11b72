# SPDX-License-Identifier: Apache-2.0
"""
bench_fast.py: one trial on the fast virtual port: the gateway or testpmd on core 1, bench_gen on
core 0 as client side and backend side of the same wire.
"""
from bench_machine import BenchError


class Fast:
    def __init__(self, name, folder, build):
        self.name, self.dir, self.build = name, folder, build

    def __enter__(self):
        raise BenchError("the load generator tests/bench/bench_gen is not built")
