# SPDX-License-Identifier: Apache-2.0
"""
same_objects.py: manifests mean the same whether control reads them from directories or from real
API servers; and what it does when a server stops, comes back, loses its CRDs, or is said by REST or
by a RemoteClusterConfiguration.
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from common import TOP, check, finish, say
import lab
import minicluster

BUILD = os.environ.get("SLUICE_BUILD", os.path.join(TOP, "build-asan"))
EAST, WEST = "us-east", "us-west"
NAMES = (EAST, WEST)
# One that holds, and one that is told why it does not.
POLICIES = """apiVersion: gateway.sluice.internal/v1alpha1
kind: ClusterTrafficPolicy
metadata: {name: good, namespace: mesh}
spec:
  targetRefs:
  - {group: "", kind: Service, name: federated-backend-us-west}
  - {group: gateway.networking.k8s.io, kind: HTTPRoute, name: backend}
  clusters: [{name: us-west, weight: 50, priority: 1}]
  failover: BetweenBackendRefs
  healthCheck:
    active: {type: HTTP, http: {path: /healthz, expectedStatuses: [200, 204]}}
    passive: {consecutive5XxErrors: 3}
  ramp: {}
---
apiVersion: gateway.sluice.internal/v1alpha1
kind: ClusterTrafficPolicy
metadata: {name: lost, namespace: mesh}
spec: {targetRefs: [{group: "", kind: Service, name: missing}]}
"""
REMOTE_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "remoteclusterconfigurations.projectcalico.org"},
    "spec": {"group": "projectcalico.org", "scope": "Cluster",
             "names": {"plural": "remoteclusterconfigurations",
                       "singular": "remoteclusterconfiguration",
                       "kind": "RemoteClusterConfiguration"},
             "versions": [{"name": "v3", "served": True, "storage": True, "schema": {
                 "openAPIV3Schema": {"type": "object",
                                     "x-kubernetes-preserve-unknown-fields": True}}}]}}


class Control:
    """sluice-control without a dataplane: what it makes of objects is in its API."""

    def __init__(self, folder, name, clusters):
        self.dir = os.path.join(folder, name)
        os.makedirs(os.path.join(self.dir, "state"))
        for path in (self.dir, os.path.join(self.dir, "state")):
            shutil.chown(path, lab.service_user())
        self.socket = os.path.join(self.dir, "s")
        self.config = os.path.join(self.dir, "control.yaml")
        self.log = os.path.join(self.dir, "log")
        self.write(clusters)
        self.start()

    def write(self, clusters):
        with open(self.config, "w") as f:
            f.write(f"clusters: {json.dumps(clusters)}\napi: {{socket: {self.socket}}}\n"
                    f"stateDirectory: {self.dir}/state\n")

    def start(self):
        self.p = subprocess.Popen([os.path.join(BUILD, "sluice-control"), "-c", self.config],
                                  stdout=open(self.log, "a"), stderr=subprocess.STDOUT)

    def ctl(self, *argv, ok=True):
        p = subprocess.run([os.path.join(BUILD, "sluicectl"), "--socket", self.socket, *argv],
                           text=True, capture_output=True, timeout=30)
        return p.stdout if ok else p.stderr + p.stdout

    def text(self, path):
        return subprocess.run(["curl", "-s", "--max-time", "10", "--unix-socket", self.socket,
                               "http://c" + path], text=True, capture_output=True).stdout

    def get(self, path):
        out = self.text(path)
        return json.loads(out) if out else {}

    def meaning(self):
        """Listeners, routes, services and statuses, without where and when they were read."""
        c, s = self.get("/api/v1/config"), self.get("/api/v1/status")
        if "listeners" not in c or "items" not in s:
            return None
        return json.dumps([c["listeners"], c["routes"], c["services"],
                           [plain(o) for o in s["items"]]], sort_keys=True)

    def cluster(self, name):
        return self.get(f"/api/v1/clusters/{name}")

    def kind(self, cluster, kind):
        kinds = self.cluster(cluster).get("state", {}).get("kinds", [])
        return next((k for k in kinds if k["kind"] == kind), {})

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        return self.p.wait(20)


def plain(o):
    if isinstance(o, dict):
        return {k: plain(v) for k, v in o.items()
                if k not in ("source", "lastTransitionTime", "generation", "observedGeneration")}
    return [plain(v) for v in o] if isinstance(o, list) else o


def until(what, fn, seconds=60):
    try:
        lab.wait_until(what, fn, seconds, 0.2)
        return check(True, what)
    except lab.LabError as e:
        return check(False, f"{what}: {e}")


def by_either_way(group, folder):
    source = os.path.join(TOP, "configs", "examples", "mesh", "clusters")
    copy = os.path.join(folder, "manifests")
    shutil.copytree(source, copy)
    with open(os.path.join(copy, EAST, "policies.yaml"), "w") as f:
        f.write(POLICIES)
    for name in NAMES:
        for attempt in range(20):  # namespaces first, and the CRDs may be a moment old
            try:
                group[name].kubectl("apply", "-R", "-f", os.path.join(copy, name))
                break
            except lab.LabError:
                time.sleep(1)
    a = Control(folder, "dir", [{"name": n, "directory": os.path.join(copy, n)} for n in NAMES] +
                [{"name": "lame", "kubeconfig": os.path.join(folder, "lame.kubeconfig")}])
    clusters = []
    for n in NAMES:
        path = os.path.join(folder, n + ".kubeconfig")
        group[n].write_kubeconfig(path, "admin")
        shutil.chown(path, lab.service_user())
        clusters.append({"name": n, "kubeconfig": path})
    b = Control(folder, "api", clusters)
    until("a plan of the directories, though another cluster cannot be opened", a.meaning, 10)
    check("lame.kubeconfig" in a.cluster("lame")["state"]["error"], "which its state says")
    until("the same plan of the API servers", lambda: a.meaning() and a.meaning() == b.meaning())
    if a.meaning() != b.meaning():
        say(f"directory:  {a.meaning()}")
        say(f"API server: {b.meaning()}")
    check(a.stop() == 0, "control by directory ends")
    out = subprocess.run([os.path.join(BUILD, "sluice-control"), "--check", b.config], text=True,
                         capture_output=True, timeout=60)
    check(out.returncode == 1 and "HTTPRoute" in out.stdout and "TargetNotFound" in out.stdout,
          f"--check reads API servers, and finds the mistake {out.returncode}")
    return b, clusters


def a_patch(group, c):
    patch = [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 17}]
    group[EAST].kubectl("-n", "mesh", "patch", "httproute", "backend", "--type=json", "-p",
                        json.dumps(patch))
    start = time.monotonic()
    until("a patched weight arrives", lambda: '"weight": 17' in (c.meaning() or ""), 10)
    say(f"seen through the API {1000 * (time.monotonic() - start):.0f} ms after kubectl ended")


def a_server_that_stops(group, c):
    before = c.meaning()
    group[WEST].stop("kube-apiserver", signal.SIGKILL)
    until("stale is said", lambda: c.cluster(WEST)["state"]["stale"])
    check(c.meaning() == before, "and nothing else has changed")
    brief = {b["name"]: b for b in c.get("/api/v1/status")["clusters"]}
    check(brief[WEST]["stale"] and not brief[EAST]["stale"], "status names the stale kinds")
    metrics = c.text("/metrics")
    check('sluice_cluster_stale_seconds{cluster="us-east"} 0\n' in metrics and
          'sluice_cluster_stale_seconds{cluster="us-west"} 0\n' not in metrics and
          'sluice_source_synced{cluster="us-west",kind="Service"} 0\n' in metrics,
          "metrics tell which is stale")
    group[WEST].start_apiserver()
    group[WEST].wait_ready()
    until("it is synced again", lambda: not c.cluster(WEST)["state"]["stale"], 90)
    check(c.meaning() == before, "to the same meaning")


def definitions_that_go(group, c):
    names = [n for n in group[WEST].kubectl("get", "crd", "-o", "name").split()
             if "gateway.networking" in n]
    before = c.meaning()
    group[WEST].kubectl("delete", *names)
    until("kinds are absent",
          lambda: c.kind(WEST, "HTTPRoute").get("state") == "absent", 120)
    check(c.meaning() == before, "CRDs removed: nothing has changed")
    group[WEST].install_crds()
    until("and are there again", lambda: c.kind(WEST, "HTTPRoute").get("state") == "synced", 30)
    check(c.meaning() == before, "CRDs installed again: nothing has changed")


def by_rest(group, c, clusters):
    before = c.meaning()
    c.write(clusters[:1])
    c.p.send_signal(signal.SIGHUP)
    until("a cluster that the file no longer names goes",
          lambda: c.cluster(WEST).get("status") == 404 and c.meaning() != before)
    c.ctl("cluster", "add", WEST, "--kubeconfig", clusters[1]["kubeconfig"])
    until("REST brings it back", lambda: c.meaning() == before)
    c.ctl("cluster", "set", WEST, "--state", "disabled")
    until("disabled: its endpoints go", lambda: c.meaning() != before)
    c.ctl("cluster", "set", WEST, "--state", "active")
    until("active: they are back", lambda: c.meaning() == before)
    check("409" in c.ctl("cluster", "remove", EAST, ok=False), "the file's cluster is the file's")
    with open(clusters[1]["kubeconfig"] + ".bad", "w") as f:
        f.write("apiVersion: v1\nkind: Config\nclusters: []\n")
    out = c.ctl("cluster", "add", "bad", "--kubeconfig", clusters[1]["kubeconfig"] + ".bad",
                ok=False)
    check(".bad:1: " in out and "422" in out, f"a kubeconfig that cannot work: {out.strip()}")
    check(c.stop() == 0, "control ends")
    c.start()
    until("REST's cluster survives a restart", lambda: c.meaning() == before)


def remote(group, c, clusters):
    before = c.meaning()
    group[EAST].kubectl("apply", "-f", "-", input=json.dumps(REMOTE_CRD))
    group[EAST].kubectl("create", "namespace", "federation")
    group[EAST].kubectl("-n", "federation", "create", "secret", "generic", "west",
                        "--from-literal=datastoreType=kubernetes",
                        f"--from-file=kubeconfig={clusters[1]['kubeconfig']}")
    c.ctl("cluster", "remove", WEST)
    until("us-west is gone", lambda: c.meaning() != before)
    obj = {"apiVersion": "projectcalico.org/v3", "kind": "RemoteClusterConfiguration",
           "metadata": {"name": WEST},
           "spec": {"clusterAccessSecret": {"kind": "Secret", "namespace": "federation",
                                            "name": "west"}}}
    lab.wait_until("the kind is served", lambda: group[EAST].kubectl(
        "apply", "-f", "-", input=json.dumps(obj), check=False), 20, 0.5)
    until("a RemoteClusterConfiguration brings it back",
          lambda: c.meaning() == before, 120)
    check(c.cluster(WEST).get("roles") == ["workload"], "as a workload cluster")
    group[EAST].kubectl("delete", "remoteclusterconfiguration", WEST)
    until("and takes it away", lambda: c.cluster(WEST).get("status") == 404)


def main():
    folder = tempfile.mkdtemp(prefix="sluice-same-")
    os.chmod(folder, 0o755)
    group = minicluster.Group(os.path.join(folder, "kube"), f"so{os.getpid()}", NAMES)
    control = None
    try:
        group.up()
        control, clusters = by_either_way(group, folder)
        a_patch(group, control)
        a_server_that_stops(group, control)
        definitions_that_go(group, control)
        by_rest(group, control, clusters)
        remote(group, control, clusters)
        check(control.stop() == 0, "control ends without a leak")
        control = None
        log = open(os.path.join(folder, "api", "log")).read()
        check("Sanitizer" not in log and "runtime error" not in log, "nothing for the sanitizers")
    finally:
        if control is not None:
            control.p.kill()
            print("".join(open(control.log).readlines()[-30:]))
        group.down()
        shutil.rmtree(folder, ignore_errors=True)
    finish()


if __name__ == "__main__":
    main()
