# SPDX-License-Identifier: Apache-2.0
"""
churn.py: everything changes for a long time, and at the end all is as if nothing had happened.

Two API servers. In both, namespaces, Gateways, routes, Services, endpoints and grants come, change
and go, others write into status (kube_churn.py), pods are rolled and scaled, a Service that a route
in use names is made anew. Meanwhile all API servers are restarted twice and control is killed twice, once of it while
an API server is down. Two loads ask all the time, one for pods of both clusters, one for a Service
whose endpoints never rest.

    none of their requests fails
    the memory of both programs is flat from the warm-up on
    the status of every object says what it must (kube_judge.py), and then nobody writes any more;
    who needed no change has seen none: conditions of before, addresses of before
    a control that starts beside, with an empty state directory, wants the very same

--long takes 20 minutes, the short form a good minute. The seed is printed; churn.py --seed N takes it
again.
"""
import json
import os
import random
import re
import shutil
import signal
import statistics
import sys
import threading
import time

from common import LONG, at_rest, check, finish, lab, packets_free, say
from flip import load_report, start_load
from kube_churn import (MERGE, OTHER_CLASS, OTHER_CONTROLLER, STEADY, Churn, endpoint_slice,
                        path_of, service)
from kube_judge import Judge
from kube_lab import ECHO, PROBE, KubeLab, deployment, linger
from kube_scale import Api, ApiError, Machine, memory, turns

EAST, WEST = "us-east", "us-west"
SECONDS = 1200 if LONG else 70
SEED = int(sys.argv[sys.argv.index("--seed") + 1]) if "--seed" in sys.argv else \
    time.time_ns() // 1000 % 1000000
RATE, OPS = 100, 8  # requests a second of each load, changes a second in each cluster
HOSTS = {"pods": "mesh.demo.lab", "steady": "steady.demo.lab"}
SETTLE = 300  # seconds: a namespace of a server that restarted may take minutes to end
QUIETLY = 15  # seconds at least, of churn alone
API_DOWN = 15 if LONG else 8  # seconds
BACK = 60  # until every kind of a server that is back is synced: 6 s, 19 on a machine at load 19
GROWTH = {"control": (0.05, 2048), "dataplane": (0.004, 512)}  # of what was, and KiB

FIXED = f"""
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: {OTHER_CLASS}}}
spec: {{controllerName: {OTHER_CONTROLLER}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: mesh}}
spec:
  gatewayClassName: sluice
ADDRESSES  listeners:
  - {{name: http, protocol: HTTP, port: 80, allowedRoutes: {{namespaces: {{from: All}}}}}}
"""

STATIC = f"  addresses: [{{type: IPAddress, value: {lab.VIP4}}}]\n"

FEDERATED = """---
apiVersion: v1
kind: Service
metadata:
  name: federated-us-west
  namespace: mesh
  annotations:
    federation.tigera.io/serviceSelector: >-
      app == "backend" && federation.tigera.io/remoteClusterName == "us-west"
spec:
  ports: [{name: http, port: 3000, targetPort: 3000}]
"""


def mesh_route(name, backends):
    refs = "".join(f"    - {{name: {n}, port: {p}, weight: {w}}}\n" for n, p, w in backends)
    return f"""---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: mesh}}
spec:
  parentRefs: [{{name: gw}}]
  hostnames: [{HOSTS[name]}]
  rules:
  - backendRefs:
{refs}"""


def backend(cluster):
    return deployment(f"backend-{cluster}", ECHO, 2, "mesh", service_port=3000, grace=8,
                      probe=PROBE, extra=linger(4), labels="app: backend")


# -- setting up -----------------------------------------------------------------------------------

def set_up(box, workers):
    clusters = [{"name": c, "kubeconfig": box.install(c, "config-cluster", "gatewayclass",
                                                      wired=False)} for c in (EAST, WEST)]
    for c in (EAST, WEST):
        fixed = FIXED.replace("ADDRESSES", STATIC if c == EAST else "")
        box.apply(c, "{apiVersion: v1, kind: Namespace, metadata: {name: mesh}}")
        box.apply(c, fixed + "---\n" + backend(c))
    box.apply(EAST, FEDERATED + mesh_route("pods", [("backend-us-east", 3000, 50),
                                                    ("federated-us-west", 3000, 50)]) +
              mesh_route("steady", [(STEADY[1], 80, 1)]))
    for c in (EAST, WEST):  # us-west's is nobody's backend, and moves just the same
        for o in (service(*STEADY), endpoint_slice(*STEADY, ["10.203.0.11"])):
            box.apply(c, json.dumps(o))
        box.rolled_out(c, "mesh", f"backend-{c}")
    box.start_backends()
    box.load_example("mesh", workers, lambda name, text: text if name != "control.yaml" else re.sub(
        r"(?m)^clusters:\n([- ].*\n)+", f"clusters: {json.dumps(clusters)}\n"
        f"pools: [{{name: churn, cidrs: [{lab.VIP4}/32, 203.0.113.64/26]}}]\n", text))
    shutil.rmtree(os.path.join(box.conf, "clusters"))
    box.start_dataplane()
    box.start_control()
    box.wait_ready(60)
    for c in (EAST, WEST):
        box.condition(c, "gateway/gw", "Programmed", namespace="mesh", timeout=60)
    for host in HOSTS.values():
        lab.wait_until(host, lambda: box.curl(host=host)[0] == 200, 30)


# -- pods -----------------------------------------------------------------------------------------

class Movers(threading.Thread):
    """
    What pods and the Services in front of them go through. `still` is held meanwhile: who kills the
    only ones that could tell the gateway takes it first, for pods end whether it knows or not.
    """

    def __init__(self, box):
        super().__init__(name="pods", daemon=True)
        self.box, self.rng = box, random.Random(f"{SEED} pods")
        self.still, self.stop, self.error, self.done = threading.Lock(), threading.Event(), None, []

    def run(self):
        try:
            while not self.stop.wait(0.5):
                step = self.rng.choice((self.rolled, self.scaled, self.shifted, self.made_again))
                with self.still:
                    step()
                self.done.append(step.__name__)
        except Exception as e:
            self.error = f"{step.__name__}: {e!r}"

    def rolled(self):
        c, box = self.rng.choice((EAST, WEST)), self.box
        old = {p["metadata"]["name"] for p in box.objects(c, "pods", "mesh")}
        box.kubectl(c, "-n", "mesh", "rollout", "restart", f"deployment/backend-{c}")
        box.rolled_out(c, "mesh", f"backend-{c}")
        lab.wait_until("the old pods are gone", lambda: not old & {
            p["metadata"]["name"] for p in box.objects(c, "pods", "mesh")}, 60, 0.3)

    def scaled(self):
        c, n = self.rng.choice((EAST, WEST)), self.rng.choice((1, 2, 3))
        self.box.scale(c, "mesh", f"backend-{c}", n)
        lab.wait_until("as many pods", lambda: len(self.box.objects(c, "pods", "mesh")) == n, 60, 0.3)

    def weights(self, east, west):
        """Until the route's status says that every dataplane has them."""
        self.box.patch(EAST, "httproute/pods", [
            {"op": "replace", "path": f"/spec/rules/0/backendRefs/{i}/weight", "value": w}
            for i, w in enumerate((east, west))], "mesh", "json")
        self.box.parent_condition(EAST, "httproute/pods", "Accepted", namespace="mesh")

    def shifted(self):
        self.weights(*self.rng.choice(((50, 50), (80, 20), (1, 99), (100, 0), (0, 100))))

    def made_again(self):
        """us-east's Service, while all requests go to us-west."""
        box, name = self.box, "backend-us-east"
        self.weights(0, 100)
        text = json.dumps({k: v for k, v in box.object(EAST, f"service/{name}", "mesh").items()
                           if k in ("apiVersion", "kind", "spec")} | {
            "metadata": {"name": name, "namespace": "mesh", "labels": {"app": "backend"}}})
        spec = json.loads(text)
        for field in ("clusterIP", "clusterIPs"):
            spec["spec"].pop(field, None)
        box.kubectl(EAST, "-n", "mesh", "delete", f"service/{name}")
        lab.wait_until("its endpoints are gone", lambda: not known_endpoints(box, name), 60)
        box.apply(EAST, json.dumps(spec))
        pods = len(box.objects(EAST, "pods", "mesh"))
        lab.wait_until("and back", lambda: known_endpoints(box, name) == pods, 60)
        box.wait_applied()
        self.weights(50, 50)


def known_endpoints(box, service_name):
    """How many control knows of that Service of us-east."""
    return sum(len(s["endpoints"]) for s in box.get("/api/v1/config")["services"]
               if f"{EAST}/mesh/{service_name}" in s["name"])


# -- harm -----------------------------------------------------------------------------------------

def synced(box):
    def of(kinds):
        return all(k["state"] in ("synced", "absent") for k in kinds.values()) and \
            kinds["HTTPRoute"]["state"] == "synced"
    for c in (EAST, WEST):
        box.wait_kinds(c, of, "synced", 90)


def start_control(box):
    start = time.monotonic()
    box.start_control()
    box.wait_ready(60)
    return time.monotonic() - start


def kill_control(box):
    box.control.stop(signal.SIGKILL)
    box.procs.remove(box.control)


def control_killed(box):
    kill_control(box)
    time.sleep(2)  # in which objects come, change and go
    say(f"control killed; ready {start_control(box):.1f} s after its start")
    synced(box)


def killed_without_server(box):
    """The new control knows what us-west said last, and all that us-west lends stays in use."""
    before = lab.wait_until("us-west's endpoints have come to rest", lambda: at_ease(box), 60)
    box.api_stop(WEST)
    kill_control(box)
    time.sleep(1)
    took = start_control(box)
    now = lent(box)
    check(now == before, f"without us-west's API server its endpoints are known: {now}, {took:.1f} s "
          "after control's start" + ("" if now == before else f", before {before}"))
    time.sleep(API_DOWN)
    box.api_start(WEST)
    up = time.monotonic()
    synced(box)
    say(f"control killed without us-west's API server, which came back {API_DOWN} s later; ready "
        f"{took:.1f} s after its start, all synced {time.monotonic() - up:.1f} s after the server")


def at_ease(box):
    """
    us-west's endpoints, once nothing moves them: nobody moves pods now, none of them ends, and the
    API server, control and control's disk have the same ones. Else None.
    """
    name = f"backend-{WEST}"
    pods = box.objects(WEST, "pods", "mesh", f"app={name}")
    ips = sorted(p["status"].get("podIP", "") for p in pods)
    ready = box.endpoints(WEST, "mesh", name)
    still = not any(p["metadata"].get("deletionTimestamp") for p in pods)
    return ips if ips and still and ips == ready == lent(box) == on_disk(box, name) else None


def on_disk(box, service_name):
    """Of a Service of us-west, in the file that control reads when the server is not there."""
    path = os.path.join(box.dir, "lib", "control", "objects", WEST, "endpointslices")
    with open(path) as f:  # a line each: the object, a tab, its status
        items = [json.loads(line.split("\t")[0]) for line in f.readlines()[1:-1]]
    return sorted(a for o in items for e in o.get("endpoints") or ()
                  if o["metadata"].get("labels", {}).get("kubernetes.io/service-name") == service_name
                  for a in e["addresses"])


def lent(box):
    """us-west's endpoints that control hands out."""
    return sorted(e["address"] for s in box.get("/api/v1/config")["services"]
                  for e in s["endpoints"] if e["cluster"] == WEST and "federated" in s["name"])


def servers_restarted(box):
    start = time.monotonic()
    for c in (EAST, WEST):
        box.api_stop(c)
    for c in (EAST, WEST):
        box.api_start(c, wait=False)
    for c in (EAST, WEST):
        box.kube[c].wait_ready()
    up = time.monotonic()
    synced(box)
    took = time.monotonic() - up
    say(f"API servers restarted: ready in {up - start:.1f} s, all synced {took:.1f} s later")
    check(took <= BACK, f"a server that is back is known to be: after {took:.1f} s (want <= {BACK})")


# When, of the whole; None: from here on memory must be flat.
PLAN = ((.05, control_killed), (.12, servers_restarted), (.30, servers_restarted),
        (.45, killed_without_server), (.72, None), *[(.80, servers_restarted)] * LONG)


# -- memory ---------------------------------------------------------------------------------------

class Memory(threading.Thread):
    """What both programs have resident, twice a second."""

    def __init__(self, box):
        super().__init__(daemon=True)
        self.box, self.seen, self.stop = box, [], threading.Event()

    def run(self):
        while not self.stop.wait(0.5):
            for name in GROWTH:
                try:
                    pid = getattr(self.box, name).pid
                    self.seen.append((name, pid, time.monotonic(), memory(pid, "VmRSS")))
                except (OSError, AttributeError):
                    pass  # it was killed just now

    def mean(self, name, pid, start, seconds):
        some = [kib for n, p, t, kib in self.seen
                if n == name and p == pid and start <= t <= start + seconds]
        return statistics.median(some) if some else float("nan")

    def judge(self, start, end):
        """From the window after the warm-up to the one at the end."""
        window = (end - start) / 6
        for name, (share, more) in GROWTH.items():
            pid = getattr(self.box, name).pid
            before, after = (self.mean(name, pid, t, window) for t in (start, end - window))
            bound = before * share + more
            say(f"{name}: {before / 1024:.1f} MiB resident after the warm-up, {after / 1024:.1f} "
                f"at the end, {end - start:.0f} s later; it may grow by {bound / 1024:.1f}; "
                f"{turns(self.box)}")
            check(after - before <= bound, f"{name}'s memory is flat: {after - before:+.0f} KiB")


# -- the end --------------------------------------------------------------------------------------

def settled(box, churns):
    """Until the status of every object is right; then until nobody writes any more."""
    start, apis = time.monotonic(), {c.name: Api(c.cluster) for c in churns}
    while True:
        faults = [f"{c.name}: {f}" for c in churns
                  for f in Judge(apis[c.name], c.entries).faults()]
        if not faults or time.monotonic() > start + SETTLE:
            break
        time.sleep(0.5)
    judges = {c.name: Judge(apis[c.name], c.entries) for c in churns}
    say("at the end: " + "; ".join(
        f"{name} {len(j.ours())} Gateways of ours of {len(j.gateways)}, {len(j.routes)} routes"
        for name, j in judges.items()) + f"; all said {time.monotonic() - start:.1f} s after it")
    for name, j in judges.items():
        orphans_refused(apis[name], name, j.orphans())
    check(not faults, f"the status of every object is right: {len(faults)} faults")
    for f in faults[:20]:
        print(f"      {f}", flush=True)
    if faults:
        complaints(box)
    waits, = lab.wait_until("control waits for nothing that it can get", lambda: rest(box), 60)
    named = {f"{c}: {path}" for c, j in judges.items() for path in j.orphans()}
    check(set(waits) <= named, f"who waits for ever is one of those, and control says which: {waits}")
    before = written(box)
    time.sleep(4)
    check(written(box) == before, f"then nothing is written: {before} and {written(box)}")


def orphans_refused(api, cluster, paths):
    """What is left out of the judgement is what nobody can write to."""
    answers = []
    for path in paths:
        try:
            api.ask("PATCH", f"{path}/status?dryRun=All", {"status": {}}, MERGE)
            answers.append(200)
        except ApiError as e:
            answers.append(e.status)
    if paths:
        check(set(answers) == {404}, f"{cluster}: {len(paths)} objects outlived their namespace, and "
              f"the server lets nobody write to them: {answers}")


def rest(box):
    """(those that control says are orphans,), once no other object and no Event waits; else None."""
    out = []
    for c in (EAST, WEST):
        w = box.get(f"/api/v1/clusters/{c}")["state"]["writer"]
        if any(o["why"] != "orphan" for o in w["waits"]):
            return None
        out += [f"{c}: {path_of(o['kind'], o['namespace'], o['name'])}" for o in w["waits"]]
    busy = re.findall(r"(?m)^sluice_status_(?:under_way|events_waiting)\{\S* (\S+)$",
                      box.get("/metrics", code=True)[1])
    return None if any(float(n) for n in busy) else (out,)


def complaints(box):
    with open(box.control.log, errors="replace") as f:
        lines = [line for line in f if re.search("level=(warn|error)", line)]
    print("".join(f"      {line}" for line in lines[-30:]), flush=True)


def written(box):
    text = box.get("/metrics", code=True)[1]
    return sum(int(float(n)) for n in re.findall(
        r"(?m)^sluice_status_(?:writes|services_applied|events)_total\{\S* (\S+)$", text))


class Fixed:
    """Gateway mesh/gw of each cluster needs nothing: its addresses and conditions do not move."""

    def __init__(self, box):
        self.box, self.before = box, self.look(box)

    @staticmethod
    def look(box):
        out = {}
        for c in (EAST, WEST):
            status = box.object(c, "gateway/gw", "mesh")["status"]
            out[c] = [a["value"] for a in status["addresses"]], sorted(
                (k["type"], k["status"], k["lastTransitionTime"]) for k in status["conditions"])
        return out

    def judge(self):
        now = self.look(self.box)
        check(now == self.before, f"who needs no change sees none: {now}" +
              ("" if now == self.before else f" was {self.before}"))


class Fresh:
    """A control that knows nothing, beside the running one; it has no dataplanes."""

    def __init__(self, box):
        self.box, self.dir = box, os.path.join(box.dir, "fresh")
        os.mkdir(self.dir)
        with open(os.path.join(box.conf, "control.yaml")) as f:
            text = f.read()
        text = re.sub(r"(?m)^dataplanes:\n([- ].*\n)+", "", text)
        text = text.replace(box.api, self.path("s")).replace(
            os.path.join(box.dir, "lib", "control"), self.path("state"))
        with open(self.path("control.yaml"), "w") as f:
            f.write(text)

    def path(self, name):
        return os.path.join(self.dir, name)

    def wants(self, api):
        text = lab.run("curl", "-s", "--max-time", "10", "--unix-socket", api,
                       "http://c/api/v1/config", check=False)
        c = json.loads(text) if text else {}
        return [c[k] for k in ("listeners", "routes", "services")] if "services" in c else None

    def judge(self):
        box = self.box
        p = box.spawn(None, "fresh", os.path.join(box.build, "sluice-control"), "-c",
                      self.path("control.yaml"))
        try:
            fresh = lab.wait_until("a fresh control's plan", lambda: self.wants(self.path("s")), 60)
            now = self.wants(box.api)
            check(fresh == now and now[1],
                  f"a fresh control wants the same: {[len(x) for x in now]} listeners, routes, "
                  f"services ({len(json.dumps(now))} bytes)")
            if fresh != now:
                self.differences(now, fresh)
            who = lab.wait_until("it has seen both Leases", self.leases, 30)
            check(who == [f"{c} 0" for c in (EAST, WEST)], f"and writes to nobody: {who}")
        finally:
            box.forget(p)

    def leases(self):
        """Whether it writes to them; None while it has not seen who holds each."""
        text = lab.run("curl", "-s", "--max-time", "10", "--unix-socket", self.path("s"),
                       "http://c/metrics")
        seen = re.findall(r'(?m)^sluice_status_lease_holder\{.*holder="[^"]+"', text)
        return len(seen) == 2 and sorted(f"{c} {n}" for c, n in re.findall(
            r'(?m)^sluice_status_leader\{cluster="([^"]+)"\} (\d)', text))

    @staticmethod
    def differences(now, fresh):
        for one, two, what in ((now, fresh, "only the running"), (fresh, now, "only the fresh")):
            for a, b in zip(one, two):
                for item in [x for x in a if x not in b][:3]:
                    print(f"      {what}: {json.dumps(item)[:1000]}", flush=True)


# -- loads ----------------------------------------------------------------------------------------

class Loads:
    def __init__(self, box):
        self.box, self.procs = box, {}
        for name, host in HOSTS.items():
            self.procs[name] = start_load(box, RATE, 2 * SECONDS + 600, os.path.join(box.dir, name),
                                          conns=16, host=host)

    def judge(self, churns):
        for name, p in self.procs.items():
            p.kill(signal.SIGTERM)
            r = load_report(p, 20)
            self.box.procs.remove(p)
            bad = {k: r[k] for k in ("failed", "malformed", "connect_failed", "closed_idle",
                                     "in_flight") if r[k]}
            check(not bad and set(r["status"]) == {"200"} and r["started"] > RATE * SECONDS / 2,
                  f"{name}: 0 failed of {r['started']} requests in {r['seconds']:.0f} s, "
                  f"{r['status']} {bad or ''}")
            say(f"{name}: {r['started']} requests, answers {r['status']}, p50 "
                f"{r['p50_us'] / 1000:.1f} ms, p99 {r['p99_us'] / 1000:.1f} ms, p99.9 "
                f"{r['p999_us'] / 1000:.1f} ms")
            if set(r["status"]) != {"200"}:
                self.when(os.path.join(self.box.dir, name), churns)

    @staticmethod
    def when(record, churns):
        with open(record) as f:
            bad = [line for line in f if line.split(" ", 3)[2] != "200"]
        for line in bad[:10]:
            t = int(line.split()[0]) / 1e6
            near = [f"{c.name} {op} {t - at:.2f} s before" for c in churns for at, op in c.log
                    if 0 <= t - at < 1]
            print(f"      {line.strip()}: {near}", flush=True)


def main():
    workers = 2
    say(f"seed {SEED}, {SECONDS} s")
    with KubeLab() as box:
        box.v6 = False
        set_up(box, workers)
        free, machine, fixed = packets_free(box), Machine(), Fixed(box)
        loads, mem, movers = Loads(box), Memory(box), Movers(box)
        churns = [Churn(box.kube[c], SEED, OPS) for c in (EAST, WEST)]
        start = time.monotonic()
        for t in (mem, movers, *churns):
            t.start()
        warm = None
        for at, step in PLAN:
            time.sleep(max(0, start + at * SECONDS - time.monotonic()))
            if step is None:
                warm = time.monotonic()
                continue
            with movers.still:
                step(box)
        time.sleep(max(QUIETLY, start + SECONDS - time.monotonic()))
        mem.judge(warm, time.monotonic())
        for t in (mem, movers, *churns):
            t.stop.set()
        for t in (movers, *churns):
            t.join(120)
            check(t.error is None and not t.is_alive(), f"{t.name}: {t.error or 'went well'}")
        for c in churns:
            say(f"{c.name}: {dict(sorted(c.count.items()))}")
        say(f"pods: {dict((n, movers.done.count(n)) for n in sorted(set(movers.done)))}")
        settled(box, churns)
        fixed.judge()
        Fresh(box).judge()
        loads.judge(churns)
        at_rest(box, free, 150)  # ends of connections to pods are remembered for a minute
        check(box.control.stop() == 0, "control ends")
        say(f"a sleep of 50 ms took at most {machine.longest:.2f} s more meanwhile")
    finish()


if __name__ == "__main__":
    main()
