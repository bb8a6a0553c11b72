# SPDX-License-Identifier: Apache-2.0
"""
bench_compare.py: what a run is held to: target, stretch, what it got. A comparison whose rows did
not run, or failed, is left out; the line of errors counts those that failed.
"""
from bench_report import number
from bench_rows import HALF, HALF_PEER, LOW

BASE = "keepalive-100B"


class Found:
    """The results by what their rows vary."""

    def __init__(self, results, hz):
        self.results, self.hz = results, hz

    def row(self, case, port, subject, rate=None, connections=64, routes=1, workers=1, variant="",
            idle=False):
        for r in self.results:
            w = r.row
            if (w.case, w.port, w.subject, w.rate, w.connections, w.routes, w.workers, w.variant,
                    w.idle) == (case, port, subject, rate, connections, routes, workers, variant, idle):
                return r if r.trials else None
        return None

    def get(self, key, *a, **kw):
        r = self.row(*a, **kw)
        if r is None:
            return None
        return r.cycles(self.hz) if key == "cycles" else r.median(key)

    def better_peer(self, key, case, best=max, **kw):
        v = [(self.get(key, case, "veth", s, **kw), s) for s in ("haproxy", "nginx")]
        v = [x for x in v if x[0]]
        return best(v) if v else (None, None)


class Line:
    def __init__(self, what, target, got, met, stretch=None, note=""):
        self.what, self.target, self.got, self.met = what, target, got, met
        self.stretch, self.note = stretch, note


def at_most(what, got, target, stretch, unit="", note=""):
    if got is None:
        return None
    return Line(what, f"≤ {number(target)}{unit}", f"{number(got)}{unit}", got <= target,
                got <= stretch, note)


def at_least(what, got, target, stretch, unit="", note=""):
    if got is None:
        return None
    return Line(what, f"≥ {number(target)}{unit}", f"{number(got)}{unit}", got >= target,
                got >= stretch, note)


def ratio(a, b):
    return a / b if a is not None and b else None


def minus(a, b):
    return a - b if a is not None and b is not None else None


def note_of(r):
    return r.limit() if r is not None else ""


def fast_lines(f):
    base = f.get("cycles", BASE, "fast", "sluice")
    out = []
    for case, target, stretch in ((BASE, 4600, 2300), ("close-100B", 11500, 5750),
                                  ("keepalive-10kB", 15000, 10000)):
        out.append(at_most(f"fast {case}: cycles per request", f.get("cycles", case, "fast", "sluice"),
                           target, stretch, note=note_of(f.row(case, "fast", "sluice"))))
    gbit = f.get("gbit_per_s", "body-1MiB", "fast", "sluice")
    direct = f.get("gbit_per_s", "body-1MiB", "fast", "testpmd")
    if gbit is not None:
        part = ratio(gbit, direct)
        met = gbit >= 15 or (part is not None and part >= 0.9)
        alone = f", {part * 100:.0f} % of {number(direct)} without a proxy" if part else ""
        out.append(Line("fast body-1MiB", "≥ 15 Gbit/s or ≥ 90 % of the generator alone",
                        f"{number(gbit)} Gbit/s{alone}", met, gbit >= 20,
                        note_of(f.row("body-1MiB", "fast", "sluice"))))
    for n, target, stretch in ((1000, 1.2, 1.05), (10000, 1.3, 1.1)):
        out.append(at_most(f"fast: {n} connections against 64, cycles per request",
                           ratio(f.get("cycles", BASE, "fast", "sluice", connections=n), base),
                           target, stretch, " ×"))
    i = f.get("packets_in_per_request", BASE, "fast", "sluice")
    o = f.get("packets_out_per_request", BASE, "fast", "sluice")
    if i is not None and o is not None:
        # warm-up and the turn of a window leave fractions; half a percent is not a packet
        out.append(Line("fast: packets per keep-alive request", "≤ 3 in + 3 out",
                        f"{i:.2f} in + {o:.2f} out", i <= 3.015 and o <= 3.015,
                        i <= 2.01 and o <= 2.01))
    out.append(at_most("fast: 10 000 routes against 1, cycles per request",
                       ratio(f.get("cycles", BASE, "fast", "sluice", routes=10000), base),
                       1.15, 1.05, " ×"))
    return out


def latency_lines(f):
    out = []
    for rate, what, t50, t99, s50, s99 in ((LOW, "10 000/s", 3, 10, 2, 5),
                                          (HALF, "half the peak", 10, 30, 5, 15)):
        for key, target, stretch in (("p50_us", t50, s50), ("p99_us", t99, s99)):
            ours = f.get(key, BASE, "fast", "sluice", rate=rate)
            wire = f.get(key, BASE, "fast", "testpmd", rate=rate)
            name = f"fast: {key[:3]} at {what} above testpmd's"
            ran = all(f.row(BASE, "fast", s, rate=rate) for s in ("sluice", "testpmd"))
            if ran and None in (ours, wire):  # more was lost than this percentile leaves out
                out.append(Line(name, f"≤ {number(target)} us", "unknown", False))
                continue
            out.append(at_most(name, minus(ours, wire), target, stretch, " us",
                               f"{number(ours)} against {number(wire)} us"))
    return out


def veth_lines(f):
    out = []
    for case, peer_t, peer_s, wire_t, wire_s in ((BASE, 1.0, 1.05, 0.95, 1.0),
                                                ("close-100B", 1.2, 1.3, 1.1, 1.2)):
        ours = f.get("requests_per_s", case, "veth", "sluice")
        best, who = f.better_peer("requests_per_s", case)
        note = note_of(f.row(case, "veth", "sluice"))
        out.append(at_least(f"veth {case}: against {who}", ratio(ours, best), peer_t, peer_s, " ×",
                            note))
        out.append(at_least(f"veth {case}: against testpmd's forwarding",
                            ratio(ours, f.get("requests_per_s", case, "veth", "testpmd")), wire_t,
                            wire_s, " ×", note))
    ours = f.get("cpu_s_per_1e6", BASE, "veth", "sluice", rate=HALF_PEER)
    best, who = f.better_peer("cpu_s_per_1e6", BASE, min, rate=HALF_PEER)
    out.append(at_most(f"veth adaptive at half the better peer's maximum: core-busy against {who}",
                       ratio(ours, best), 1.0, 0.9, " ×",
                       f"{number(ours)} against {number(best)} s per 1e6 requests"))
    return out


def total_lines(f):
    ours = [r for r in f.results if r.row.subject == "sluice"]
    out = []
    if ours:
        errors = sum(r.errors() for r in ours)
        failed = sum(1 for r in ours if r.failure)
        out.append(Line("errors in all rows of the gateway", "0",
                        f"{errors}" + (f", {failed} rows did not run" if failed else ""),
                        errors == 0 and failed == 0, errors == 0 and failed == 0))
    idle = next((r for r in ours if r.row.idle and r.trials), None)
    if idle:
        n = idle.trials[-1].get("opened", 0)
        out.append(at_most("bytes per idle client connection", idle.median("bytes_per_connection"),
                           512, 320, " B", f"{number(n)} open, counted"))
        if n < idle.row.connections:
            out[-1].met = False
    return out


def lines(results, hz):
    f = Found(results, hz)
    every = fast_lines(f) + latency_lines(f) + veth_lines(f) + total_lines(f)
    return [x for x in every if x is not None]


def text(results, hz):
    rows = lines(results, hz)
    if not rows:
        return ""
    w = max(len(x.what) for x in rows), max(len(x.target) for x in rows), max(len(x.got) for x in rows)
    out = ["what a run is held to:"]
    for x in rows:
        word = "MET, stretch too" if x.met and x.stretch else "MET" if x.met else "NOT MET"
        out.append(f"  {x.what:<{w[0]}}  {x.target:<{w[1]}}  {x.got:<{w[2]}}  {word:<16}  "
                   f"{x.note}".rstrip())
    out.append("Instructions per request, per connection and of the match are counted by scripts/test.")
    return "\n".join(out)
