# SPDX-License-Identifier: Apache-2.0
"""
bench_plot.py: latency against load as plain SVG: one curve per port and subject of the base case,
p50 drawn through, p99 dashed; both axes logarithmic.
"""
import math
from xml.sax.saxutils import escape

W, H, LEFT, RIGHT, TOP, BOTTOM = 900, 520, 70, 230, 40, 60
COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#34495e", "#16a085", "#7f8c8d")


class Axis:
    """Logarithmic, from a power of ten to a power of ten."""

    def __init__(self, values, start, end):
        self.lo = math.floor(math.log10(max(min(values), 1)))
        self.hi = max(math.ceil(math.log10(max(max(values), 1))), self.lo + 1)
        self.start, self.end = start, end

    def at(self, v):
        part = (math.log10(max(v, 1)) - self.lo) / (self.hi - self.lo)
        return self.start + part * (self.end - self.start)

    def ticks(self):
        return [10 ** k for k in range(self.lo, self.hi + 1)]


def curves(results):
    """{label: [(load, p50, p99)]} of the base case's paced rows, and its peak as the last point."""
    out = {}
    for r in results:
        w = r.row
        base = (w.case, w.connections, w.routes, w.workers, w.variant) == \
            ("keepalive-100B", 64, 1, 1, "")
        p50, p99, load = (r.median(k) for k in ("p50_us", "p99_us", "requests_per_s"))
        if base and not w.idle and None not in (p50, p99, load) and load > 0:
            out.setdefault(f"{w.port} {w.subject}", []).append((load, p50, p99))
    return {k: sorted(v) for k, v in sorted(out.items())}


def text(x, y, s, anchor="start", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(s)}</text>'


def line(points, colour, dashed):
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    at = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points)
    return f'<polyline points="{at}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>{dots}'


def short(v):
    return f"{v / 1e6:g}M" if v >= 1e6 else f"{v / 1e3:g}k" if v >= 1e3 else f"{v:g}"


def grid(x, y):
    out = []
    for v in x.ticks():
        out.append(f'<line x1="{x.at(v):.1f}" y1="{TOP}" x2="{x.at(v):.1f}" y2="{H - BOTTOM}" '
                   f'stroke="#ddd"/>' + text(x.at(v), H - BOTTOM + 18, short(v), "middle"))
    for v in y.ticks():
        out.append(f'<line x1="{LEFT}" y1="{y.at(v):.1f}" x2="{W - RIGHT}" y2="{y.at(v):.1f}" '
                   f'stroke="#ddd"/>' + text(LEFT - 6, y.at(v) + 4, short(v), "end"))
    return out


def svg(results, title):
    data = curves(results)
    points = [p for v in data.values() for p in v] or [(1, 1, 1)]
    x = Axis([p[0] for p in points], LEFT, W - RIGHT)
    y = Axis([p[1] for p in points] + [p[2] for p in points], H - BOTTOM, TOP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{W}" height="{H}" '
           f'viewBox="0 0 {W} {H}" font-family="sans-serif" font-size="12">',
           f'<rect width="{W}" height="{H}" fill="white"/>', text(LEFT, 22, title)]
    out += grid(x, y)
    out.append(text((LEFT + W - RIGHT) / 2, H - 16, "requests per second", "middle"))
    out.append(text(18, (TOP + H - BOTTOM) / 2, "latency, us", "middle",
                    f' transform="rotate(-90 18 {(TOP + H - BOTTOM) / 2})"'))
    for i, (label, rows) in enumerate(data.items()):
        colour = COLOURS[i % len(COLOURS)]
        for k, dashed in ((1, False), (2, True)):
            out.append(line([(x.at(r[0]), y.at(r[k])) for r in rows], colour, dashed))
        out.append(f'<rect x="{W - RIGHT + 16}" y="{TOP + 20 * i}" width="12" height="12" '
                   f'fill="{colour}"/>' + text(W - RIGHT + 34, TOP + 20 * i + 11, label))
    out.append(text(W - RIGHT + 16, TOP + 20 * len(data) + 16, "solid p50, dashed p99"))
    return "\n".join(out + ["</svg>"]) + "\n"


def write(path, results, machine):
    with open(path, "w") as f:
        f.write(svg(results, f"keepalive-100B, 64 connections, {machine['cpu']}"))
