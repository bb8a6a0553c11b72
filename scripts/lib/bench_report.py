# SPDX-License-Identifier: Apache-2.0
"""
bench_report.py: from trials to medians and ranges, the table, and the JSON document.

A trial is a dictionary of numbers; what a path cannot know is missing or None. Closed-loop cycles
are all cycles of the core over the requests, nothing excluded; paced rows of the gateway leave out
turns that found nothing, and are marked.
"""
import json
import math
import statistics

from bench_rows import poll_of

FULL = 0.97  # a core busier than this is the limit
WAITS = 0.1  # share of a busy loop's cycles in empty turns above which its load is the limit


class Result:
    """A row, the rate that was offered, and what its rounds gave."""

    def __init__(self, row):
        self.row, self.trials, self.failure, self.offered = row, [], None, None

    def values(self, key):
        v = [t.get(key) for t in self.trials]
        return [x for x in v if x is not None and not math.isnan(x)]

    def median(self, key):
        v = self.values(key)
        return statistics.median(v) if v else None

    def spread(self, key):
        v = self.values(key)
        return {"median": statistics.median(v), "min": min(v), "max": max(v)} if v else \
            {"median": None, "min": None, "max": None}

    def errors(self):
        return sum(t.get("errors", 0) for t in self.trials)

    def cycles(self, hz):
        """Cycles of the subject's cores per request."""
        r = self.row
        if not self.values("requests_per_s") or self.median("requests_per_s") == 0:
            return None
        if self.offered is None and (poll_of(r) == "busy"):
            return hz * r.workers / self.median("requests_per_s")
        if self.values("work_cycles_per_request"):
            return self.median("work_cycles_per_request")
        busy = self.median("busy_s_per_1e6")
        return None if busy is None else busy * hz / 1e6

    def limit(self):
        """What else than the subject bound the rate; empty when nothing did."""
        notes = sorted({t["limit"] for t in self.trials if t.get("limit")})
        idle = [t["idle"] for t in self.trials if t.get("idle")]
        if idle and self.offered is None:
            c0 = statistics.median(i[0] for i in idle)
            c1 = statistics.median(i[1] for i in idle)
            waits = self.median("waits") or 0
            if c0 < 1 - FULL and (c1 > 2 * (1 - FULL) or waits > WAITS):
                notes.append("client and backend on core 0 are the limit")
            elif c0 < 1 - FULL:
                notes.append("core 0 is full too")
        owed = self.offered and self.median("requests_per_s")
        if owed is not None and self.offered and owed < 0.98 * self.offered:
            notes.append(f"only {owed / self.offered * 100:.0f} % of the offered rate")
        return "; ".join(notes)


def as_json(result, hz):
    r = result.row

    def num(v, digits=3):
        return None if v is None else round(float(v), digits)
    return {
        "case": "idle" if r.idle else r.case, "port": r.port, "subject": r.subject,
        "variant": r.variant, "offered_per_s": num(result.offered, 1), "poll": poll_of(r),
        "workers": r.workers, "connections": r.connections, "routes": r.routes,
        "requests_per_s": {k: num(v, 1) for k, v in result.spread("requests_per_s").items()},
        "gbit_per_s": num(result.median("gbit_per_s"), 4),
        "cpu_s_per_1e6": num(result.median("cpu_s_per_1e6")),
        "cycles_per_request": num(result.cycles(hz), 1),
        "cycles_outside_rxtx": num(result.median("cycles_outside_rxtx"), 1),
        "packets_in_per_request": num(result.median("packets_in_per_request")),
        "packets_out_per_request": num(result.median("packets_out_per_request")),
        "p50_us": num(result.median("p50_us"), 1), "p99_us": num(result.median("p99_us"), 1),
        "errors": result.errors() + (1 if result.failure else 0),
        "memory_mib": num(result.median("memory_mib"), 1),
    }


def write_json(path, machine, results):
    doc = {"machine": machine,
           "rows": [as_json(r, machine["tsc_hz"]) for r in results if r.trials or r.failure]}
    with open(path, "w") as f:
        json.dump(doc, f, indent=1)
        f.write("\n")


# -- the table -------------------------------------------------------------------------------

def number(v):
    if v is None:
        return "-"
    if v == 0 or abs(v) >= 1000:
        return f"{v:,.0f}".replace(",", " ")
    return f"{v:.0f}" if abs(v) >= 100 else f"{v:.1f}" if abs(v) >= 10 else f"{v:.2f}"


def packets(result):
    i, o = result.median("packets_in_per_request"), result.median("packets_out_per_request")
    return "-" if i is None else f"{i:.2f}+{o:.2f}"


def cycles_per_packet(result, hz):
    i, o = result.median("packets_in_per_request"), result.median("packets_out_per_request")
    c = result.cycles(hz)
    return None if c is None or not i else c / (i + o)


def latency(result):
    keys = ("p50_us", "p99_us", "p999_us", "max_us")
    if result.median("p50_us") is None:
        return "-"
    return " / ".join(number(result.median(k)) for k in keys)


def cpu(result):
    u, s, i = (result.median(k) for k in ("user_s_per_1e6", "system_s_per_1e6", "softirq_s_per_1e6"))
    return "-" if u is None else f"{u:.1f}+{s:.1f} ({i:.1f})"


HEADINGS = ("case", "subject", "n", "requests/s [min-max]", "Gbit/s", "cyc/req", "no rx/tx", "cyc/pkt",
            "pkts in+out", "core s/1e6", "user+sys (softirq)", "p50 / p99 / p99.9 / max us", "err",
            "MiB", "note")


def cells(result, hz):
    r, s = result.row, result.spread("requests_per_s")
    rate = "-" if s["median"] is None else \
        f"{number(s['median'])} [{number(s['min'])}-{number(s['max'])}]"
    note = result.failure or result.limit()
    if result.offered is not None and result.values("work_cycles_per_request"):
        note = "; ".join(x for x in (note, "cycles without empty turns") if x)
    if r.workers == 2:
        note = "; ".join(x for x in (note, "2 cores in all: function, not scaling") if x)
    return (r.name(), r.subject, str(len(result.trials)), rate, number(result.median("gbit_per_s")),
            number(result.cycles(hz)), number(result.median("cycles_outside_rxtx")),
            number(cycles_per_packet(result, hz)), packets(result),
            number(result.median("cpu_s_per_1e6")), cpu(result), latency(result),
            str(result.errors()), number(result.median("memory_mib")), note)


def table(results, hz):
    lines = [HEADINGS] + [cells(r, hz) for r in results if r.trials or r.failure]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
    left = {0, 1, len(HEADINGS) - 1}
    out = []
    for line in lines:
        out.append("  ".join(c.ljust(w) if i in left else c.rjust(w)
                             for i, (c, w) in enumerate(zip(line, widths))).rstrip())
    out.insert(1, "-" * min(200, max(len(x) for x in out)))
    return "\n".join(out)


def head(machine):
    quiet = "quiet before the run" if machine["quiet"] else \
        f"NOT QUIET before the run: cores busy {machine['busy_before']}; do not quote these numbers"
    lines = [f"{machine['cpu']}, {machine['cores']} cores, TSC {machine['tsc_hz'] / 1e6:.0f} MHz"
             f"{', virtual' if machine['hypervisor'] else ''}, {machine['memory_mib']} MiB, "
             f"Linux {machine['kernel']}",
             f"sluice {machine['commit']}, DPDK {machine['dpdk']}, HAProxy {machine['haproxy']}, "
             f"nginx {machine['nginx']}; {quiet}"]
    if machine.get("fast_port"):
        f = machine["fast_port"]
        lines.append(f"port=fast is {f['profile']}: {f['why']}; {f['copies']}")
        for c in f.get("ceiling", ()):
            lines.append(f"  ceiling, testpmd on the same port and side, {c['frame']} B frames: "
                         f"{c['mpps']:.2f} Mpps, {c['cycles_per_packet']:.0f} cycles per packet")
    lines.append("Medians of n rounds. The gateway or its peer has core 1 to itself, client and "
                 "backend core 0. core s: all that core 1 was busy, softirq included; user+sys of the "
                 "subject's processes and core 1's softirq apart (its ticks are also inside sys).")
    return "\n".join(lines)
