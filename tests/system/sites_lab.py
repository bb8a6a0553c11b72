# SPDX-License-Identifier: Apache-2.0
"""
sites_lab.py: an operator's weight, set at one site, is live at both within a quarter of a second.

Two sites, two clusters, 500 requests a second at each site's VIP. 50 times the weight of us-west goes
from nothing to nearly everything and back, set at one site and then at the other, by sluicectl. A
change is live at a site when the last request that still went by the old weights was sent; counted
from when sluicectl was started. Then what people see: who, when, why, until when; weights of one site
alone; weights that end by themselves; drains; and that nothing failed.
"""
import json
import os
import signal
import sys
import time

from common import check, finish, lab, percentile, say

import sites  # noqa: E402: common.py says where

CHANGES = 50
RATE = 500
BOUND_MS = 250
MOST = 1000000  # against 100 of us-east: one request in 10 000 goes east


def answers(record):
    """(when it was sent, the cluster that answered) of each."""
    out = []
    with open(record) as f:
        for line in f:
            sent, _, status, body = line.split(" ", 3)
            cluster = next((c for c in ("us-east", "us-west") if f"backend-{c}" in body), None)
            out.append((int(sent) / 1e6, cluster))
    return out


def report(proc):
    proc.p.wait(180)
    with open(proc.log) as f:
        return json.loads(f.read().strip().splitlines()[-1])


def changes_are_live_at_both(box):
    pause = 0.45
    seconds = 2 + CHANGES * (pause + 0.1)
    loads, records, edits = [], [], []
    for s in box.sites:
        records.append(os.path.join(box.dir, f"answers-{s.name}"))
        loads.append(s.load(RATE, seconds, records[-1]))
    time.sleep(1)
    for i in range(CHANGES):
        weight = 0 if i % 2 == 0 else MOST
        start = time.monotonic()
        box.sites[i % 3 % 2].ctl("weight", "set", "us-west", str(weight))
        edits.append((start, "us-east" if weight == 0 else "us-west"))
        time.sleep(pause)
    for p, s in zip(loads, box.sites):
        r = report(p)
        check(r["failed"] == 0 and r["malformed"] == 0 and r["connect_failed"] == 0 and
              set(r["status"]) == {"200"}, f"{s.name}: 0 failed of {r['started']}: {r['status']}")
    for s, record in zip(box.sites, records):
        judge(s, answers(record), edits)


def judge(site, sent, edits):
    delays, seen = [], 0
    for i, (t, cluster) in enumerate(edits):
        end = edits[i + 1][0] if i + 1 < len(edits) else t + 0.5
        of_this = [(when - t, c) for when, c in sent if t < when < end]
        late = [d for d, c in of_this if c != cluster and d < end - t]
        # One request in 10 000 rightly goes the other way.
        stray = [d for d in late if cluster == "us-west" and
                 all(c == cluster for e, c in of_this if d - 0.1 < e < d)]
        late = [d for d in late if d not in stray]
        delays.append(max(late, default=0.0) * 1e3)
        seen += any(c == cluster for _, c in of_this)
    p99 = percentile(delays, .99)
    say(f"{site.name}: set to live, {len(delays)} changes: median {percentile(delays, .5):.0f} ms, "
        f"p99 {p99:.0f} ms, max {max(delays):.0f} ms")
    check(seen == len(edits), f"{site.name}: {seen} of {len(edits)} changes were seen in answers")
    check(p99 <= BOUND_MS, f"{site.name}: p99 {p99:.0f} ms (want <= {BOUND_MS})")


def whole_numbers(box):
    """The formula, counted at both sites: 100 : 25 is 4 to 1."""
    box.east.ctl("weight", "set", "us-west", "25", "--reason", "canary of the week", "--ttl", "1h")
    lab.wait_until("both know", lambda: all(weight_of(s) == 25 for s in box.sites))
    for s in box.sites:
        settled(s)
    for s in box.sites:
        n = s.shares(500)
        check(abs(n["us-east"] - 400) <= 2, f"{s.name}: 500 requests at 100 : 25: {n}")


def weight_of(site):
    return next(c for c in site.get("/api/v1/clusters")["items"] if c["name"] == "us-west")["weight"]


def settled(site):
    """What REST shows is in control's next turn, and then soon in its dataplane."""
    def applied():
        d = site.get("/api/v1/dataplanes")
        want = {k: d["wanted"][k] for k in ("generation", "revision")}
        return all(x["applied"] == want for x in d["items"])
    time.sleep(0.3)
    lab.wait_until(f"{site.name}'s dataplane has it", applied)


def what_people_see(box):
    w = box.west.get("/api/v1/weights")["items"][0]
    check((w["weight"], w["site"], w["reason"], w["scope"], w["holdsHere"]) ==
          (25, "east", "canary of the week", "all", True) and w["actor"] and w["since"] and
          w["until"] > w["since"], f"west says who, when, why and until when: {w}")
    text = box.west.ctl("weight", "list")
    check("@east" in text and "canary of the week" in text, "sluicectl weight list shows it")
    text = box.west.ctl("site", "list")
    check("this site" in text and "connected" in text and "us-east 1/1" in text,
          f"sluicectl site list shows both:\n{text}")
    j = box.east.get("/api/v1/sites/west")
    check("203.0.114.10" in j["vips"] and j["state"] == "serving" and not j["stale"],
          f"east knows west's VIPs and state: {j['vips']} {j['state']}")


def one_site_alone(box):
    box.west.ctl("weight", "set", "us-west", "300", "--local")
    time.sleep(0.5)
    check((weight_of(box.east), weight_of(box.west)) == (25, 300),
          f"--local holds at west alone: east {weight_of(box.east)}, west {weight_of(box.west)}")
    box.west.ctl("weight", "clear", "us-west", "--local")
    box.east.ctl("weight", "set", "us-west", "50", "--ttl", "5s")
    lab.wait_until("50 at both", lambda: all(weight_of(s) == 50 for s in box.sites), 5)
    lab.wait_until("its time is over at both", lambda: all(weight_of(s) == 100 for s in box.sites),
                   15)
    check(True, "a weight with a time ends at both sites by itself")


def drains(box):
    """A drain at one site is a drain at both, by steps; and so is its end."""
    def states():
        c = [next(c for c in s.get("/api/v1/clusters")["items"] if c["name"] == "us-west")
             for s in box.sites]
        return [(x["adminState"], x["drainedPercent"]) for x in c]

    out = box.west.ctl("cluster", "drain", "us-west", "--reason", "new switches", "--timeout", "60")
    check("100% drained, 0 requests in flight" in out and len(out.splitlines()) >= 4,
          f"progress is told: {out.splitlines()[:2]} ... {out.splitlines()[-1:]}")
    lab.wait_until("drained at both", lambda: states() == [("drain", 100.0)] * 2)
    for s in box.sites:
        settled(s)
        n = s.shares(100)
        check(n == {"us-east": 100, "us-west": 0}, f"{s.name}: nothing goes to us-west: {n}")
    check("new switches" in box.east.ctl("weight", "list"), "east says why")
    box.east.ctl("cluster", "undrain", "us-west")
    lab.wait_until("back at both", lambda: states() == [("active", 0.0)] * 2, 30)
    left = [w for s in box.sites for w in s.get("/api/v1/weights")["items"]]
    check(not left, f"after a drain nothing is left that fixes a weight: {left}")
    settled(box.west)
    n = box.west.shares(100)
    check(abs(n["us-west"] - 50) <= 2, f"and has its share again: {n}")


def a_drain_outlives_control(box):
    """Control is killed while a drain is on its way, of a cluster that has an operator's weight."""
    def look(site):
        return site.get("/api/v1/clusters/us-west")

    west = box.west
    west.ctl("weight", "set", "us-west", "50")
    west.ctl("cluster", "drain", "us-west", "--timeout", "1", check=False)
    lab.wait_until("a fifth is drained", lambda: look(west)["drainedPercent"] >= 20, 30)
    west.control.stop(signal.SIGKILL)
    before = look(box.east)["drainedPercent"]  # east does the same steps, and goes on
    start = time.monotonic()
    west.start_control()
    lab.wait_until("control is back", west.ready, 30)
    percent, took = look(west)["drainedPercent"], time.monotonic() - start
    check(15 <= percent <= before + 10 * took + 5,
          f"{before:.0f} % were drained, and {percent:.0f} % {took:.1f} s after control's restart")
    lab.wait_until("drained", lambda: look(west)["drainedPercent"] == 100, 60)
    box.east.ctl("cluster", "undrain", "us-west")
    for s in box.sites:
        lab.wait_until(f"{s.name}: back, with the weight from before",
                       lambda s=s: (look(s)["drainedPercent"], look(s)["weight"]) == (0, 50), 60)
    west.ctl("weight", "clear", "us-west")
    for s in box.sites:
        lab.wait_until(f"{s.name}: and then without", lambda s=s: look(s)["weight"] == 100, 10)
    check(True, "a drain goes on after a restart, and its end leaves the operator's own weight")


def a_cluster_goes(box):
    """What a site said of a cluster that it no longer has is taken back everywhere."""
    path = os.path.join(box.conf, "clusters", "us-west", "30-store.yaml")
    os.rename(path, path + ".away")
    lab.wait_until("east takes back what it said of us-west", lambda: all(
        [c["name"] for c in site["clusters"]] == ["us-east"]
        for s in box.sites for site in s.get("/api/v1/sites")["items"]), 20)
    check(True, "a cluster without endpoints is in no site's word any more")


def main():
    with sites.SitesLab() as box:
        box.start_sites(workers=1)
        changes_are_live_at_both(box)
        whole_numbers(box)
        what_people_see(box)
        one_site_alone(box)
        drains(box)
        a_drain_outlives_control(box)
        a_cluster_goes(box)
    finish()


if __name__ == "__main__":
    sys.exit(main())
