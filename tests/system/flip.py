# SPDX-License-Identifier: Apache-2.0
"""
flip.py: configuration changes under load cost nothing and take effect at once.

64 keep-alive connections send 1 000 requests a second. Then weights are edited (80/20 -> 50/50 ->
0/100 -> 100/0, again and again, 200 edits), and backends, routes and listeners are added, replaced
and removed, 200 changes. No request may fail, no connection may be closed by the gateway but those
of a removed listener, and every change must be seen to count. From the rename of a manifest to the
last request that still saw the old weights: 50 ms at the 99th percentile.
"""
import json
import os
import signal
import sys
import time

from common import V1, V2, check, finish, gateway, lab, percentile, put_manifest, route, \
    route_app, say, service, start_app

EDITS = [(80, 20), (50, 50), (0, 100), (100, 0)]


def start_load(box, rate, seconds, record, conns=64, port=80, host="app.demo.lab"):
    vip = lab.VIP6 if box.v6 else lab.VIP4
    return box.spawn("client", f"load-{os.path.basename(record)}",
                     os.path.join(box.build, "tests/tools/load"), vip, str(port), "--conns",
                     str(conns), "--rate", str(rate), "--seconds", str(seconds), "--record", record,
                     "--host", host)


def load_report(proc, timeout=120):
    proc.p.wait(timeout)
    with open(proc.log) as f:
        return json.loads(f.read().strip().splitlines()[-1])


def assert_clean(report, what):
    check(report["failed"] == 0 and report["malformed"] == 0 and report["connect_failed"] == 0 and
          report["in_flight"] == 0,
          f"{what}: 0 failed of {report['started']} requests "
          f"({ {k: report[k] for k in ('failed', 'malformed', 'connect_failed', 'in_flight')} })")
    check(set(report["status"]) == {"200"}, f"{what}: every answer 200: {report['status']}")
    check(report["closed_idle"] == 0, f"{what}: {report['closed_idle']} connections closed by us")


def weight_edits(box, workers):
    """200 edits; the delay of those after which a version gets nothing, and that all counted."""
    record = os.path.join(box.dir, f"edits-{workers}")
    # 200 weight edits of which half zero a version: repeat until 200 of those were timed
    total = 400
    p = start_load(box, 1000, 3600, record)
    time.sleep(1)
    before = revision(box)
    edits = []
    for i in range(total):
        w = EDITS[(i + 1) % 4]
        edits.append((put_manifest(box, "route.yaml", route_app(*w)), w))
        time.sleep(0.06)
        # Of two edits that control sees at once the first need not count.
        lab.wait_until(f"edit {i}", lambda n=before + i: revision(box) > n)
    time.sleep(0.3)
    counted = revision(box) - before
    p.kill(signal.SIGTERM)
    report = load_report(p)
    assert_clean(report, f"{total} weight edits, {workers} workers")
    check(counted >= total, f"{counted} changes counted of {total} edits")
    delays = edit_delays(record, edits)
    p99, worst = percentile(delays, .99), max(delays)
    say(f"{workers} workers: edit to last worker, {len(delays)} edits: median "
        f"{percentile(delays, .5):.1f} ms, p99 {p99:.1f} ms, max {worst:.1f} ms")
    check(len(delays) >= 200 and p99 <= 50, f"p99 of {len(delays)} edits {p99:.1f} ms (want <= 50)")


def edit_delays(record, edits):
    """For each edit that zeroes a version: how long after it that version was still chosen."""
    with open(record) as f:
        answers = [line.split(" ", 3) for line in f]
    sent = [(int(a[0]) / 1e6, a[3].strip()) for a in answers]
    delays = []
    for i, (t, w) in enumerate(edits):
        end = edits[i + 1][0] if i + 1 < len(edits) else t + 0.3
        gone = {(0, 100): "App Version 1", (100, 0): "App Version 2"}.get(w)
        if gone is None:
            continue
        late = [s - t for s, body in sent if t < s < end and body == gone]
        delays.append(max(late, default=0.0) * 1e3)
    return delays


def revision(box):
    """Changes that the first dataplane has acknowledged so far."""
    d = box.get("/api/v1/dataplanes")
    d = d.get("items", d) if isinstance(d, dict) else d
    return d[0]["applied"]["revision"] if "applied" in d[0] else d[0]["applied_revision"]


def structure_changes(box, workers):
    """Backends, routes and listeners come, change and go while requests for app.demo.lab flow."""
    record = os.path.join(box.dir, f"structure-{workers}")
    changes = 200
    p = start_load(box, 1000, 2 + changes * 0.1 + 2, record)
    time.sleep(1)
    seen = 0
    for i in range(changes):
        kind, n = ("backend", "route", "listener", "endpoints")[i % 4], i // 4
        seen += {"backend": change_backend, "route": change_route, "listener": change_listener,
                 "endpoints": change_endpoints}[kind](box, n)
    report = load_report(p)
    assert_clean(report, f"{changes} changes of backends, routes and listeners, {workers} workers")
    check(seen == changes, f"{seen} of {changes} changes were seen to take effect")


def soon(fn, timeout=2.0):
    try:
        lab.wait_until("effect", fn, timeout, 0.01)
        return 1
    except lab.LabError as e:
        print(f"      {e}")
        return 0


def change_backend(box, n):
    """The rule's second backend is another Service, which answers as the first did."""
    name = f"app-alt{n % 2}"
    put_manifest(box, f"{name}.yaml", service(name, V2, 8080))
    put_manifest(box, "route.yaml", route("app", [("app-v1", 50), (name, 50)], host="app.demo.lab"))
    return soon(lambda: name in json.dumps(box.get("/api/v1/config")))


def change_route(box, n):
    """A new route appears and answers, then goes and gives 404."""
    host = f"r{n}.demo.lab"
    if n % 2 == 0:
        put_manifest(box, "extra.yaml", route("extra", [("app-v2", 1)], host=host))
        return soon(lambda: box.curl(host=host, v6=box.v6) == (200, "App Version 2\n"))
    put_manifest(box, "extra.yaml", None)
    return soon(lambda: box.curl(host=f"r{n - 1}.demo.lab", v6=box.v6)[0] == 404)


def change_listener(box, n):
    """A second listener opens on another port, then closes."""
    if n % 2 == 0:
        put_manifest(box, "gw.yaml", gateway() + "  - {name: alt, protocol: HTTP, port: 8081}\n")
        return soon(lambda: box.curl(port=8081, v6=box.v6)[0] == 200)
    put_manifest(box, "gw.yaml", gateway())
    return soon(lambda: box.curl("/", "app.demo.lab", box.v6, 8081, "--connect-timeout", "1",
                                 check=False)[0] == 0)


def change_endpoints(box, n):
    """app-v1 loses and regains one of its two endpoints."""
    left = V1[:1] if n % 2 == 0 else V1
    put_manifest(box, "v1.yaml", service("app-v1", left, 8080))
    return soon(lambda: ("10.203.0.12" in json.dumps(box.get("/api/v1/config"))) == (n % 2 == 1))


def removed_listener(box):
    """Connections of a removed listener are closed after their answer, none of the others."""
    put_manifest(box, "gw.yaml", gateway() + "  - {name: alt, protocol: HTTP, port: 8082}\n")
    soon(lambda: box.curl(port=8082, v6=box.v6)[0] == 200)
    keep = start_load(box, 200, 4, os.path.join(box.dir, "keep"), conns=8)
    gone = start_load(box, 200, 4, os.path.join(box.dir, "gone"), conns=8, port=8082)
    time.sleep(1.5)
    put_manifest(box, "gw.yaml", gateway())
    assert_clean(load_report(keep), "listener removed, the other one's connections")
    report = load_report(gone)
    check(report["failed"] == 0, f"removed listener: {report['failed']} requests failed half-way")
    check(report["closed_idle"] + report["connect_failed"] >= 8,
          "removed listener: its 8 connections were closed")


def main():
    for workers in (1, 2):
        with lab.Lab() as box:
            box.v6 = workers == 2  # clients come by IPv4 to one worker, by IPv6 to two
            start_app(box, workers)
            weight_edits(box, workers)
            structure_changes(box, workers)
            removed_listener(box)
    finish()


if __name__ == "__main__":
    sys.exit(main())
