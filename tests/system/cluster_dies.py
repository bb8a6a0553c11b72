# SPDX-License-Identifier: Apache-2.0
"""
cluster_dies.py: a cluster dies, and its requests are answered by the others in about a second.

Two ways lead over both clusters: `spread`, a ServiceImport of two pods in each, and `pair`, a route
that sends 99 of 100 requests to us-west and one to us-east, with failover: BetweenBackendRefs. Pods
are probed every 250 ms, time-out 250 ms, three failures. us-west dies of being killed (connections
are reset or refused), of silence (its packets are dropped) and of 503s, comes back each time, and is
drained once. Each time: when the last request went wrong, how many did, and that what comes back
does so by steps. Then 100 pods in us-east before some in us-west, of which 50, and 71, are up: 70/30
and 99/1.
"""
import collections
import datetime
import json
import os
import re
import signal
import sys
import time

from common import LONG, check, finish, gateway, lab, put_manifest, say, service

EAST, WEST = ["10.203.0.31", "10.203.0.21"], ["10.204.0.31", "10.204.0.32"]
PORT = 3000
PROBE_MS, FALL, LIMIT_5XX = 250, 3, 5
MOVED_S = 1.2
BASE_EJECTION_S = 3
LOG_S = .05  # a line of the log may be older than what it says by so much
RAMP = 40  # points per second, of policies and of drains
RATE, CONNS = 150, 200  # per route
HUNDRED = [f"10.203.0.{100 + i}" for i in range(100)]
HOSTS = ("spread", "pair")

Answer = collections.namedtuple("Answer", "sent received status cluster")


# -- the lab ------------------------------------------------------------------------------------

def nginx_conf(box, cluster):
    return f"""worker_processes 1;
pid {box.dir}/{cluster}.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  client_body_temp_path {box.dir}/{cluster}-body;
  proxy_temp_path {box.dir}/{cluster}-proxy;
  fastcgi_temp_path {box.dir}/{cluster}-fcgi;
  uwsgi_temp_path {box.dir}/{cluster}-uwsgi;
  scgi_temp_path {box.dir}/{cluster}-scgi;
  server {{
    listen {PORT} backlog=4096;
    default_type text/plain;
    location = /healthz {{ return 200 "ok\\n"; }}
    location / {{
      if (-f {box.dir}/{cluster}.ill) {{ return 503 "{cluster}\\n"; }}
      return 200 "{cluster}\\n";
    }}
  }}
}}
"""


def start_nginx(box, cluster):
    conf = os.path.join(box.dir, f"{cluster}.conf")
    with open(conf, "w") as f:
        f.write(nginx_conf(box, cluster))
    p = box.spawn(cluster, f"pods-{cluster}", "nginx", "-e", "stderr", "-c", conf, "-p", box.dir,
                  "-g", "daemon off;")
    address = (EAST if cluster == "us-east" else WEST)[0]
    lab.wait_until(f"pods of {cluster}", lambda: box.exec(
        cluster, "curl", "-sf", "--max-time", "2", f"http://{address}:{PORT}/healthz"))
    return p


def export(name, addresses):
    return service(name, addresses, PORT) + f"""---
apiVersion: multicluster.x-k8s.io/v1beta1
kind: ServiceExport
metadata: {{name: {name}, namespace: demo}}
"""


def policy(name, targets, rest=""):
    return f"""---
apiVersion: gateway.sluice.internal/v1alpha1
kind: ClusterTrafficPolicy
metadata: {{name: {name}, namespace: demo}}
spec:
  targetRefs:
""" + "".join(f"  - {{group: '{g}', kind: {k}, name: {n}}}\n" for g, k, n in targets) + f"""\
  healthCheck:
    active:
      type: HTTP
      interval: {PROBE_MS}ms
      timeout: {PROBE_MS}ms
      unhealthyThreshold: {FALL}
      http: {{path: /healthz}}
    passive:
      consecutive5XxErrors: {LIMIT_5XX}
      baseEjectionTime: {BASE_EJECTION_S}s
      maxEjectionPercent: 100
  ramp: {{pointsPerSecond: {RAMP}}}
{rest}"""


MCS, GATEWAY_API = "multicluster.x-k8s.io", "gateway.networking.k8s.io"
IMPORT = "{group: multicluster.x-k8s.io, kind: ServiceImport, name: %s, port: 80}"


def import_of(name):
    return f"""---
apiVersion: multicluster.x-k8s.io/v1beta1
kind: ServiceImport
metadata: {{name: {name}, namespace: demo}}
spec: {{type: ClusterSetIP, ports: [{{name: http, port: 80}}]}}
"""


def http_route(name, *refs):
    return f"""---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: demo}}
spec:
  parentRefs: [{{name: gw}}]
  hostnames: [{name}.demo.lab]
  rules:
  - backendRefs: [{", ".join(refs)}]
"""


def routes():
    return """apiVersion: v1
kind: Service
metadata:
  name: west
  namespace: demo
  annotations:
    federation.tigera.io/serviceSelector: federation.tigera.io/remoteClusterName == "us-west"
spec: {ports: [{name: http, port: 80}]}
""" + import_of("store") + import_of("many") + http_route("spread", IMPORT % "store") + \
        http_route("pair", "{name: store, port: 80, weight: 1}",
                   "{name: west, port: 80, weight: 99}") + \
        http_route("many", IMPORT % "many") + \
        policy("health", [(MCS, "ServiceImport", "store"), ("", "Service", "store"),
                          ("", "Service", "west"), (GATEWAY_API, "HTTPRoute", "pair")],
               "  failover: BetweenBackendRefs\n") + \
        policy("tiers", [(MCS, "ServiceImport", "many")],
               "  clusters: [{name: us-east, priority: 0}, {name: us-west, priority: 1}]\n")


def edit_config(name, text):
    if name != "control.yaml":
        return text
    return text + (f"\ntimeouts: {{connect: 500ms, response: 2s}}\n"
                   f"ramp: {{pointsPerSecond: {RAMP}}}\n")


def start(box, workers):
    box.pods = {c: start_nginx(box, c) for c in ("us-east", "us-west")}
    for address in HUNDRED:
        box.ip("us-east", "addr", "add", f"{address}/24", "dev", "eth0")
    box.load_example("mesh", workers, edit_config)
    for cluster in ("us-east", "us-west"):
        folder = os.path.join(box.conf, "clusters", cluster)
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
    put_manifest(box, "gw.yaml", gateway())
    put_manifest(box, "routes.yaml", routes())
    put_manifest(box, "store.yaml", export("store", EAST))
    put_manifest(box, "many.yaml", export("many", HUNDRED))
    for name, text in (("store", export("store", WEST)), ("many", export("many", WEST))):
        with open(box.manifest("us-west", f"{name}.yaml"), "w") as f:
            f.write(text)
    box.start_dataplane()
    box.start_control()
    box.wait_ready()
    lab.wait_until("both clusters answer", lambda: {"us-east", "us-west"} <= set(
        box.curl_many(20, "spread.demo.lab")), 10)


# -- requests -----------------------------------------------------------------------------------

class Load:
    """Requests to both routes at a steady rate; afterwards every answer with its times."""

    def __init__(self, box, what, seconds):
        self.box, self.start = box, time.monotonic()
        self.procs = {}
        for host in HOSTS:
            record = os.path.join(box.dir, f"{what}-{host}")
            self.procs[host] = record, box.spawn(
                "client", f"load-{what}-{host}", os.path.join(box.build, "tests/tools/load"),
                lab.VIP4, "80", "--conns", str(CONNS), "--rate", str(RATE), "--seconds",
                str(int(seconds)), "--host", f"{host}.demo.lab", "--record", record)

    def answers(self):
        """{host: [Answer]}; a request without any answer fails the test."""
        out = {}
        for host, (record, p) in self.procs.items():
            p.p.wait(60)
            with open(p.log) as f:
                report = json.loads(f.read().strip().splitlines()[-1])
            check(report["failed"] == report["malformed"] == 0,
                  f"{host}: every request got an answer ({report['failed']} did not)")
            with open(record) as f:
                out[host] = [Answer(int(a) / 1e6, int(b) / 1e6, int(s), body.strip())
                             for a, b, s, body in (x.split(" ", 3) for x in f)]
            self.box.forget(p)
        return out


def bad(answers):
    return [a for a in answers if a.status != 200]


def share(answers, begin, end):
    """us-west's part of the requests sent in this time that were answered well."""
    part = [a for a in answers if begin <= a.sent < end and a.status == 200]
    return sum(a.cluster == "us-west" for a in part) / len(part) if part else float("nan")


def most_at_once(answers):
    """How many of these were under way at the same time, at most."""
    events = sorted([(a.sent, 1) for a in answers] + [(a.received, -1) for a in answers])
    most = now = 0
    for _, d in events:
        now += d
        most = max(most, now)
    return most


# -- deaths -------------------------------------------------------------------------------------

def kill(box):
    os.killpg(box.pods["us-west"].pid, signal.SIGKILL)
    box.pods["us-west"].p.wait(5)


def revive(box):
    box.forget(box.pods["us-west"])
    box.pods["us-west"] = start_nginx(box, "us-west")


def nft(box, cluster, text):
    box.exec(cluster, "nft", text)


def silence(box):
    nft(box, "us-west", "add table ip dead; "
        "add chain ip dead in { type filter hook input priority 0 ; }; "
        f"add rule ip dead in tcp dport {PORT} drop")


def speak(box):
    nft(box, "us-west", "delete table ip dead")


def fall_ill(box):
    with open(os.path.join(box.dir, "us-west.ill"), "w"):
        pass


def recover(box):
    os.unlink(os.path.join(box.dir, "us-west.ill"))


def verdict_at(box, t0):
    """When the last of us-west's pods was taken out, by the dataplane's log; in our clock."""
    offset = time.time() - time.monotonic()
    first = {}
    with open(box.dataplane.log, errors="replace") as f:
        for m in re.finditer(r"^(\S+)Z .*mod=health endpoint=(\S+) cluster=us-west usable=0", f.read(),
                             re.M):
            at = datetime.datetime.fromisoformat(m[1] + "+00:00").timestamp() - offset
            if at >= t0:
                first.setdefault(m[2], at)
    check(len(first) == len(WEST), f"the log has a verdict for each of us-west's pods: {first}")
    return max(first.values(), default=t0)


def rst_bound(box, answers, workers, t0):
    return len(WEST) * workers, "one per endpoint and worker"


def silence_bound(box, answers, workers, t0):
    """All of them were sent before the verdict, which came within the time (see died())."""
    verdict = verdict_at(box, t0)
    return sum(a.sent < verdict + LOG_S for a in bad(answers)), \
        f"those sent before the verdict, {1000 * (verdict - t0):.0f} ms after the death"


def ill_bound(box, answers, workers, t0):
    return LIMIT_5XX * len(WEST) + most_at_once(bad(answers)), \
        "the limit per endpoint and those in flight"


DEATHS = (("rst", kill, revive, rst_bound), ("silence", silence, speak, silence_bound),
          ("503", fall_ill, recover, ill_bound))


def died(box, what, answers, t0, workers, bound):
    both = [a for host in HOSTS for a in answers[host] if a.sent >= t0]
    failed = bad(both)
    last = max((a.sent - t0 for a in failed), default=0)
    late = [a for a in both if a.sent >= t0 + MOVED_S and
            (a.status != 200 or a.cluster != "us-east")]
    most, why = bound(box, both, workers, t0)
    say(f"{workers} workers, {what}: {len(failed)} of {len(both)} failed, the last one sent "
        f"{1000 * last:.0f} ms after the death; {dict(collections.Counter(a.status for a in failed))}")
    check(not late, f"{what}: all that was sent {MOVED_S} s later is answered by us-east: {late[:3]}")
    check(len(failed) <= most, f"{what}: {len(failed)} failed, {why}: {most}")
    for host in HOSTS:
        before = [a for a in answers[host] if a.sent < t0 - .05]
        check(not bad(before), f"{what}: none failed on {host} before")


def comes_back(what, host, answers, t1, end):
    """From nothing to what it had, never faster than the ramp."""
    want = {"spread": .5, "pair": .99}[host]
    back = [a for a in answers if a.sent >= t1]
    first = min((a.sent for a in back if a.cluster == "us-west" and a.status == 200),
                default=end)
    steps = [(t - first, share(back, t, t + .25)) for t in
             [first + .25 * i for i in range(int(max(0, end - first) / .25))]]
    fast = [(round(t, 2), s) for t, s in steps if s > (t + .25) * RAMP / 100 + .15]
    check(not fast, f"{what}: {host}: us-west comes back by steps, none too fast: {fast}")
    last = share(back, end - 1, end)
    check(abs(last - want) <= .08, f"{what}: {host}: us-west has {last:.2f} again, want {want}")
    say(f"{what}: {host}: share of us-west every 250 ms: "
        + " ".join(f"{s:.2f}" for _, s in steps[:12]) + f"; at the end {last:.3f}")


def one_death(box, workers, what, death, life, bound):
    seconds = int(1 + 2 + BASE_EJECTION_S + 100 / RAMP + 3)
    load = Load(box, what, seconds)
    time.sleep(1)
    t0 = time.monotonic()
    death(box)
    time.sleep(max(0, t0 + 2 - time.monotonic()))
    t1 = time.monotonic()
    life(box)
    answers = load.answers()
    died(box, what, {h: [a for a in answers[h] if a.sent < t1] for h in HOSTS}, t0, workers, bound)
    after = [a for h in HOSTS for a in answers[h] if a.sent >= t1 + .1]
    check(not bad(after), f"{what}: none fails while it comes back: {bad(after)[:3]}")
    for host in HOSTS:
        comes_back(what, host, answers[host], t1, load.start + seconds - .2)


# -- drain --------------------------------------------------------------------------------------

def drain(box):
    seconds = int(100 / RAMP + 4)
    load = Load(box, "drain", seconds)
    time.sleep(1)
    t0 = time.monotonic()
    out = box.ctl("cluster", "drain", "us-west", "--timeout", "30")
    t1 = time.monotonic()
    check("100% drained, 0 requests in flight" in out, f"drained in {t1 - t0:.1f} s: "
          f"{out.strip().splitlines()[-1:]}")
    check(len(out.splitlines()) >= 4, f"progress is told {len(out.splitlines())} times")
    answers = load.answers()
    for host in HOSTS:
        check(not bad(answers[host]), f"drain: none failed on {host}")
        steps = [share(answers[host], t0 + .25 * i, t0 + .25 * (i + 1))
                 for i in range(int((t1 - t0) / .25))]
        weight = {"spread": 1, "pair": 99}[host]
        left = [weight * max(0, 1 - (.25 * (i + 1) + .3) * RAMP / 100) for i in range(len(steps))]
        least = [w / (w + 1) - .15 for w in left]
        check(all(s >= m for s, m in zip(steps, least)), f"drain: {host} goes by steps: "
              + " ".join(f"{s:.2f}" for s in steps))
        gone = [a for a in answers[host] if a.sent > t1 and a.cluster == "us-west"]
        check(not gone, f"drain: nothing of {host} goes there afterwards")
    box.ctl("cluster", "undrain", "us-west")
    lab.wait_until("it is back", lambda: box.get("/api/v1/clusters/us-west")["drainedPercent"] == 0,
                   100 / RAMP + 5)


# -- a hundred ----------------------------------------------------------------------------------

def only_up(box, count):
    """The last <count> of the hundred are up, all others refuse."""
    down = ", ".join(HUNDRED[:100 - count])
    nft(box, "us-east", "add table ip some")
    nft(box, "us-east", "delete table ip some")
    nft(box, "us-east", "add table ip some; "
        "add chain ip some in { type filter hook input priority 0 ; }; "
        f"add rule ip some in ip daddr {{ {down} }} tcp dport {PORT} reject with tcp reset")


def explained(box, name):
    j = json.loads(box.ctl("explain", "backend", f"demo/{name}", "-o", "json"))
    b = next(b for b in j["items"] if b["kind"] == "ServiceImport")
    return {c["name"]: c for c in b["clusters"]}


def tiers(box, workers):
    n = 1000
    for up, want in ((50, {"us-east": 700, "us-west": 300}), (71, {"us-east": 990, "us-west": 10})):
        only_up(box, up)
        lab.wait_until(f"{up} of 100 are up", lambda: abs(
            explained(box, "many")["us-east"]["percent"] - want["us-east"] / 10) < .01, 20, .2)
        have = collections.Counter(box.curl_many(n, "many.demo.lab", keepalive=workers == 1))
        check(set(have) == set(want) and
              all(abs(have[c] - w) <= 2 * workers for c, w in want.items()),
              f"{workers} workers, {up} of 100 endpoints up: {dict(have)}, want {want}")
        c = explained(box, "many")["us-east"]
        say(f"{up} of 100 up: {json.dumps(c)}")
    nft(box, "us-east", "delete table ip some")


def main():
    for workers in ((1, 2) if LONG else (2,)):
        with lab.Lab() as box:
            box.v6 = False
            start(box, workers)
            for what, death, life, bound in DEATHS:
                one_death(box, workers, what, death, life, bound)
            drain(box)
            tiers(box, workers)
            check(all(p.alive() for p in (box.control, box.dataplane)), "both programs are alive")
    finish()


if __name__ == "__main__":
    sys.exit(main())
