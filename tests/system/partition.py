# SPDX-License-Identifier: Apache-2.0
"""
partition.py: two sites that do not hear each other for a while, and agree afterwards.

The link between the two controls is cut without a word for 60 s (10 in the short form) while the
clock of west is two minutes ahead. Operators edit on both sides, one key both of them. Each site
serves on by what it knows, the other one's word is marked stale; attempts to connect end after 2 s.
After healing both say the same within 5 s, the edit that lost is kept and logged. Then a clock more
than 5 minutes ahead is refused with an alarm and changes nothing, one within that is taken; a control
that was killed and has lost its disk catches up within 5 s. No request fails in all that time.
"""
import json
import os
import re
import shutil
import signal
import sys
import time

from common import LONG, check, finish, lab, say

import sites  # noqa: E402: common.py says where

CUT_S = 60 if LONG else 10
MINUTE_MS = 60000


def weight_of(site, cluster):
    return next(c for c in site.get("/api/v1/clusters")["items"] if c["name"] == cluster)["weight"]


def weights(box, cluster):
    return [weight_of(s, cluster) for s in box.sites]


def in_step(box):
    return box.east.digest() == box.west.digest() and \
        all(s.peer()["peer"]["connected"] for s in box.sites)


def syn_sent(box, ctl):
    """Local ports that wait for an answer to their SYN."""
    out = box.exec(ctl, "ss", "-Htn", "state", "syn-sent")
    return set(re.findall(r":(\d+)\s+\S+:7700", out))


def watch_attempts(box, seconds, acts):
    """How long each attempt to connect was seen to last, while <acts> [(when, function)] happen."""
    start, first, longest, ports = time.monotonic(), {}, 0.0, set()
    acts = list(acts)
    while time.monotonic() - start < seconds:
        while acts and time.monotonic() - start >= acts[0][0]:
            acts.pop(0)[1]()
        before = time.monotonic()
        waiting = {(c, p) for c in ("ctl-east", "ctl-west") for p in syn_sent(box, c)}
        after = time.monotonic()  # a look takes a while on a busy machine: only what is certain counts
        for key in waiting:
            first.setdefault(key, after)
            longest = max(longest, before - first[key])
        first = {k: v for k, v in first.items() if k in waiting}
        ports |= waiting
        time.sleep(0.1)
    return len(ports), longest


def stale(site):
    return site.peer()["stale"]


def apart(box):
    def edit(site, cluster, weight, why):
        return lambda: site.ctl("weight", "set", cluster, str(weight), "--reason", why)

    def look():
        lab.wait_until("both call the other stale", lambda: all(stale(s) for s in box.sites), 5)
        check(True, "both sites say that what they know of the other is stale")

    box.cut(True)
    attempts, longest = watch_attempts(box, CUT_S, [
        (1.0, edit(box.east, "us-west", 10, "east thinks")),
        (2.0, edit(box.west, "us-west", 30, "west thinks")),
        (2.5, edit(box.east, "us-east", 70, "nobody else does")),
        (4.5, look)])
    check((weights(box, "us-west"), weights(box, "us-east")) == ([10, 30], [70, 100]),
          f"apart each goes by its own: us-west {weights(box, 'us-west')}, "
          f"us-east {weights(box, 'us-east')}")
    check(attempts >= int(CUT_S / 5) and longest <= 2.6,
          f"{attempts} attempts to connect, the longest {longest:.1f} s (want <= 2 and its timer)")
    box.cut(False)
    start = time.monotonic()
    lab.wait_until("the digests are equal", lambda: in_step(box), 15)
    took = time.monotonic() - start
    say(f"cut for {CUT_S} s: equal digests {took:.1f} s after healing")
    check(took <= 5, f"healed to equal digests in {took:.1f} s (want <= 5)")


def agreed(box):
    # west wrote later, and its clock is ahead as well.
    check((weights(box, "us-west"), weights(box, "us-east")) == ([30, 30], [70, 70]),
          f"one result: us-west {weights(box, 'us-west')}, us-east {weights(box, 'us-east')}")
    for s in box.sites:
        lost = s.get("/api/v1/weights")["lostEdits"]
        check(any(w["weight"] == 10 and w["site"] == "east" and w["reason"] == "east thinks"
                  for w in lost), f"{s.name} keeps the edit that lost")
    text = log_of(box.east)
    check("lost_weight=10 lost_by=" in text, "and east has logged it")


def log_of(site):
    with open(site.control.log, errors="replace") as f:
        return f.read()


def restart(box, site, skew_ms, sig=signal.SIGTERM, empty=False):
    box.forget(site.control) if sig == signal.SIGTERM else site.control.stop(sig)
    if empty:
        shutil.rmtree(os.path.join(box.dir, "lib", f"control-{site.name}"))
    site.start_control(skew_ms)
    lab.wait_until(f"{site.name} is back", site.ready, 20)


def clocks(box):
    """West's clock goes wrong, first within measure, then beyond; each time its operator writes."""
    restart(box, box.west, int(4.5 * MINUTE_MS))
    lab.wait_until("in step again", lambda: box.west.peer()["peer"]["connected"], 10)
    box.west.ctl("weight", "set", "us-east", "60", "--reason", "a little early")
    lab.wait_until("four and a half minutes ahead are taken",
                   lambda: weights(box, "us-east") == [60, 60], 5)
    check(True, "four and a half minutes ahead: taken")
    before = refusals(box.east)
    restart(box, box.west, 6 * MINUTE_MS)
    box.west.ctl("weight", "set", "us-west", "5", "--reason", "from the future")

    def grown():
        now = refusals(box.east)
        return {k: n - before[k] for k, n in now.items()
                if n > before[k] and k in ("clock", "record_ahead", "stamp_ahead")}
    lab.wait_until("east refuses it", grown, 20)
    time.sleep(2)
    check(weights(box, "us-west")[0] == 30,
          f"six minutes ahead: refused by east and counted {grown()}, which keeps "
          f"{weights(box, 'us-west')[0]}")
    check(re.search(r"level=warn .*refused=(clock|record_ahead|stamp_ahead) peer=west",
                    log_of(box.east)), "with an alarm in its log")


def refusals(site):
    return site.get("/api/v1/sites")["refusals"]


def emptied(box):
    """West's control is killed and has lost its disk; all it knows comes back from east."""
    restart(box, box.west, 0, signal.SIGKILL, empty=True)
    start = time.monotonic()
    lab.wait_until("the digests are equal", lambda: in_step(box), 15)
    took = time.monotonic() - start
    say(f"killed and emptied control: equal digests {took:.1f} s after it was back")
    check(took <= 5, f"caught up in {took:.1f} s (want <= 5)")
    check(weights(box, "us-east")[0] == weights(box, "us-east")[1],
          f"and goes by it: {weights(box, 'us-east')}")


def main():
    with sites.SitesLab() as box:
        box.start_sites()
        restart(box, box.west, 2 * MINUTE_MS)
        lab.wait_until("both in step", lambda: in_step(box), 10)
        seconds = CUT_S + 45
        loads = [s.load(300, seconds, os.path.join(box.dir, f"answers-{s.name}"))
                 for s in box.sites]
        apart(box)
        agreed(box)
        clocks(box)
        emptied(box)
        for p, s in zip(loads, box.sites):
            p.p.wait(seconds + 60)
            with open(p.log) as f:
                r = json.loads(f.read().strip().splitlines()[-1])
            check(r["failed"] == 0 and r["malformed"] == 0 and r["connect_failed"] == 0 and
                  set(r["status"]) == {"200"}, f"{s.name}: 0 failed of {r['started']}: {r['status']}")
    finish()


if __name__ == "__main__":
    sys.exit(main())
