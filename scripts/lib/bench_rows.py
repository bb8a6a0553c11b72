# SPDX-License-Identifier: Apache-2.0
"""
bench_rows.py: the rows of the benchmark: one factor varied at a time around the base
(keepalive-100B, 64 connections, 1 route, 1 worker), and which of them belong to --quick and --smoke.
"""
from dataclasses import dataclass, replace

CASES = ("keepalive-100B", "keepalive-10kB", "close-100B", "body-1MiB", "mixed")
BODY = {"keepalive-100B": 100, "keepalive-10kB": 10000, "close-100B": 100, "body-1MiB": 1 << 20,
        "mixed": "mixed"}
SUBJECTS = ("sluice", "haproxy", "nginx", "testpmd")
HALF = "half"      # of the subject's own maximum, known when its closed-loop row has run
HALF_PEER = "half-peer"  # of the better kernel proxy's maximum
LOW = 10000        # the fixed low rate of the latency rows


@dataclass(frozen=True)
class Row:
    case: str
    port: str
    subject: str
    variant: str = ""
    rate: object = None  # None: closed loop; a number; HALF, HALF_PEER
    poll: str = "busy"
    workers: int = 1
    connections: int = 64
    routes: int = 1
    rounds: int = 3
    idle: bool = False   # connections are opened, counted and left alone

    @property
    def body(self):
        return BODY[self.case]

    @property
    def close(self):
        return self.case.startswith("close")

    def name(self):
        words = [self.port, self.case]
        if self.variant:
            words.append(self.variant)
        for key, base in (("connections", 64), ("routes", 1), ("workers", 1)):
            if getattr(self, key) != base:
                words.append(f"{getattr(self, key)} {key}")
        if self.poll != "busy":
            words.append(self.poll)
        if self.rate is not None:
            words.append(f"{self.rate}/s" if isinstance(self.rate, (int, float)) else self.rate)
        return " ".join(words)


def cell(case, port, subjects, **kw):
    return [Row(case, port, s, **kw) for s in subjects]


def poll_of(row):
    """Kernel proxies have no polling mode; the schema wants a word all the same."""
    return row.poll if row.subject == "sluice" else "busy" if row.subject == "testpmd" else "kernel"


def must_show():
    """The rows that the comparisons at the end need."""
    base = "keepalive-100B"
    rows = cell(base, "fast", ("sluice",)) + cell("close-100B", "fast", ("sluice",))
    rows += cell("keepalive-10kB", "fast", ("sluice",))
    rows += cell("body-1MiB", "fast", ("sluice", "testpmd"))
    rows += cell(base, "fast", ("sluice",), connections=1000)
    rows += cell(base, "fast", ("sluice",), connections=10000)
    rows += cell(base, "fast", ("sluice",), routes=10000)
    for rate in (LOW, HALF):
        rows += cell(base, "fast", ("sluice", "testpmd"), rate=rate, rounds=7)
    rows += [Row(base, "fast", "sluice", connections=1000000, rounds=1, idle=True)]
    for case in (base, "close-100B"):
        rows += cell(case, "veth", SUBJECTS)
    rows += [replace(r, poll="adaptive") if r.subject == "sluice" else r
             for r in cell(base, "veth", ("sluice", "haproxy", "nginx"), rate=HALF_PEER)]
    return rows


def all_rows():
    base = "keepalive-100B"
    rows = must_show()
    have = set(replace(r, rounds=0) for r in rows)

    def add(more):
        for r in more:
            key = replace(r, rounds=0)
            if key not in have:
                have.add(key)
                rows.append(r)
    for case in CASES:
        add(cell(case, "fast", ("sluice", "testpmd")))
        add(cell(case, "veth", SUBJECTS))
        add(cell(case, "fast", ("sluice",), rate=HALF))
        add(cell(case, "veth", ("sluice", "haproxy", "nginx"), rate=HALF))
    add(cell("close-100B", "fast", ("sluice",), variant="upstream-close"))
    add(cell("close-100B", "veth", ("sluice", "haproxy", "nginx"), variant="upstream-close"))
    add(cell("body-1MiB", "fast", ("sluice",), variant="tso"))
    add(cell(base, "fast", ("sluice",), rate=LOW))
    for conns in (1, 1000, 10000):
        add(cell(base, "fast", ("sluice",), connections=conns))
    for conns in (1, 1000, 8000):
        add(cell(base, "veth", ("sluice",), connections=conns))
    for routes in (1000, 10000):
        add(cell(base, "fast", ("sluice",), routes=routes))
        add(cell(base, "veth", ("sluice",), routes=routes))
    for port in ("fast", "veth"):
        add(cell(base, port, ("sluice",), workers=2))
    for rate in (LOW,):
        add(cell(base, "veth", SUBJECTS, rate=rate))
    return rows


def smoke():
    """A few rows that touch every part once."""
    base = "keepalive-100B"
    rows = cell(base, "fast", ("sluice", "testpmd")) + cell("close-100B", "fast", ("sluice",))
    rows += cell(base, "veth", SUBJECTS) + cell("mixed", "veth", ("sluice",))
    rows += cell("close-100B", "veth", ("sluice",)) + cell(base, "veth", ("sluice",), routes=1000)
    rows += cell(base, "veth", ("sluice",), rate=2000, poll="adaptive")
    return [replace(r, rounds=1) for r in rows]


def needs(row):
    """The closed-loop rows that this row takes a half of."""
    if row.rate == HALF_PEER:
        return [replace(row, subject=s, rate=None, poll="busy") for s in ("haproxy", "nginx")]
    if row.rate == HALF:
        subject = "sluice" if row.subject == "testpmd" else row.subject
        return [replace(row, subject=subject, rate=None, poll="busy")]
    return []


def with_needs(rows):
    """The rows, and before them those that they need and nobody chose."""
    have = {replace(r, rounds=0) for r in rows}
    first = []
    for r in rows:
        for n in needs(r):
            if replace(n, rounds=0) not in have:
                have.add(replace(n, rounds=0))
                first.append(replace(n, rounds=min(3, n.rounds)))
    return first + rows
