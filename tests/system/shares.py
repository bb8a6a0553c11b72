# SPDX-License-Identifier: Apache-2.0
"""
shares.py: what the operator says about a cluster, as its requests see it.

A ServiceImport stands for one pod in us-east and two in us-west; beside it a route has a backendRef
for each of the two. Weights and admin states are edited in control.yaml: shares are right within 2
per worker, a cluster that drains, is disabled or weighs nothing gets no new request, none fails
while they change, and what changes goes by message, not by a new snapshot. When no cluster is left
the answer is 503; weights that are all zero in the route are 500.
"""
import collections
import json
import os
import re
import signal
import sys

from common import check, finish, gateway, lab, put_manifest, say, service
from flip import assert_clean, load_report, start_load

EAST, WEST = ["10.203.0.31"], ["10.204.0.31", "10.204.0.32"]
IMPORT = "{group: multicluster.x-k8s.io, kind: ServiceImport, name: store, port: 80"


def export(text):
    return text + """---
apiVersion: multicluster.x-k8s.io/v1beta1
kind: ServiceExport
metadata: {name: store, namespace: demo}
"""


def routes(weight=1):
    out = """apiVersion: multicluster.x-k8s.io/v1beta1
kind: ServiceImport
metadata: {name: store, namespace: demo}
spec: {type: ClusterSetIP, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata:
  name: west
  namespace: demo
  annotations:
    federation.tigera.io/serviceSelector: federation.tigera.io/remoteClusterName == "us-west"
spec: {ports: [{name: http, port: 80}]}
"""
    for host, refs in (("spread", [f"{IMPORT}, weight: {weight}}}"]),
                       ("pair", ["{name: store, port: 80, weight: 60}",
                                 "{name: west, port: 80, weight: 40}"]),
                       ("app", [f"{IMPORT}}}"])):
        out += f"""---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {host}, namespace: demo}}
spec:
  parentRefs: [{{name: gw}}]
  hostnames: [{host}.demo.lab]
  rules:
  - backendRefs:
""" + "".join(f"    - {r}\n" for r in refs)
    return out


def start(box, workers):
    box.start_backends()
    box.load_example("mesh", workers)
    for cluster in ("us-east", "us-west"):
        folder = os.path.join(box.conf, "clusters", cluster)
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
    # Drains in one step: how they go by many is what cluster-dies looks at.
    box.edit_manifest(os.path.join(box.conf, "control.yaml"),
                      lambda text: text + "\nramp: {pointsPerSecond: 1000}\n")
    put_manifest(box, "gw.yaml", gateway())
    put_manifest(box, "routes.yaml", routes())
    put_manifest(box, "store.yaml", export(service("store", EAST, 3000)))
    with open(box.manifest("us-west", "store.yaml"), "w") as f:
        f.write(export(service("store", WEST, 3000)))
    box.start_dataplane()
    box.start_control()
    box.wait_ready()


def configured(box):
    j = box.get("/api/v1/config")
    return j["generation"], j["revision"]


def say_of_clusters(box, east="", west="", changes=True):
    """What control.yaml says of both from now on; returns when the dataplane does it."""
    before = configured(box)
    path = os.path.join(box.conf, "control.yaml")

    def edit(text):
        for cluster, words in (("us-east", east), ("us-west", west)):
            lines = "".join(f"  {w}\n" for w in words.split(", ") if w)
            text = re.sub(rf"(- name: {cluster}\n  directory: \S+\n)(  (weight|adminState): .*\n)*",
                          rf"\g<1>{lines}", text)
        return text
    box.edit_manifest(path, edit)
    box.control.kill(signal.SIGHUP)
    if changes:
        lab.wait_until("the change is counted", lambda: configured(box) > before, 5)
    lab.wait_until("the dataplane acknowledged it", lambda: acknowledged(box), 5)
    after = configured(box)
    if changes:
        check(after[0] == before[0] and after[1] > before[1],
              f"'{east}' and '{west}': by message, not by snapshot ({before} -> {after})")


def acknowledged(box):
    generation, revision = configured(box)
    return all(d["applied"]["generation"] == generation and d["applied"]["revision"] >= revision
               for d in box.get("/api/v1/dataplanes")["items"])


def shares(box, host, n, want, workers):
    pods = collections.Counter(json.loads(b)["cluster"] for b in
                               box.curl_many(n, f"{host}.demo.lab", keepalive=workers == 1))
    ok = all(abs(pods[c] - w) <= 2 * workers for c, w in want.items()) and sum(pods.values()) == n
    check(ok, f"{host}, {workers} workers: {dict(pods)} of {n}, want {want}")
    return pods


def only(box, workers, cluster, what):
    for host in ("spread", "pair"):
        pods = shares(box, host, 100, {cluster: 100}, workers)
        check(set(pods) == {cluster}, f"{what}: {host} goes to {cluster} alone")


def status(box, host, want, what):
    have = {box.curl("/", f"{host}.demo.lab")[0] for _ in range(5)}
    check(have == {want}, f"{what}: {host} answers {have}, want {want}")


def weights_and_states(box, workers):
    shares(box, "spread", 400, {"us-east": 200, "us-west": 200}, workers)
    shares(box, "pair", 200, {"us-east": 120, "us-west": 80}, workers)
    say_of_clusters(box, "weight: 99", "weight: 1")
    shares(box, "spread", 500, {"us-east": 495, "us-west": 5}, workers)
    say_of_clusters(box, "", "weight: 50")
    shares(box, "spread", 300, {"us-east": 200, "us-west": 100}, workers)
    shares(box, "pair", 240, {"us-east": 180, "us-west": 60}, workers)
    for words in ("adminState: drain", "weight: 0", "adminState: disabled"):
        say_of_clusters(box, "", words)
        only(box, workers, "us-east", words)
        say_of_clusters(box)
    say_of_clusters(box, "adminState: drain", "")
    only(box, workers, "us-west", "us-east drains")
    explained = box.ctl("explain", "backend", "demo/store", "-o", "json")
    states = {c["name"]: c["state"] for b in json.loads(explained)["items"]
              for c in b["clusters"] if b["kind"] == "ServiceImport"}
    check(states == {"us-east": "drain", "us-west": "active"}, f"explain says so: {states}")


def nobody_left(box):
    for east, west in (("adminState: disabled", "adminState: disabled"),
                       ("adminState: drain", "weight: 0")):
        say_of_clusters(box, east, west)
        for host in ("spread", "pair"):
            status(box, host, 503, f"{east}, {west}")
    say_of_clusters(box)
    put_manifest(box, "routes.yaml", routes(weight=0))
    lab.wait_until("weights that are all zero: 500",
                   lambda: box.curl("/", "spread.demo.lab")[0] == 500, 5)
    check(True, "weights that are all zero in the route: 500")
    put_manifest(box, "routes.yaml", routes())
    lab.wait_until("weights are back", lambda: box.curl("/", "spread.demo.lab")[0] == 200, 5)


def changes_under_load(box):
    p = start_load(box, 1000, 8, os.path.join(box.dir, "shares"))
    for west in ("weight: 1", "adminState: drain", "adminState: disabled", "", "weight: 0",
                 "adminState: disabled", "weight: 300", ""):
        say_of_clusters(box, "", west)
    assert_clean(load_report(p), "weights and states of a cluster changed under load")


def main():
    for workers in (1, 2):
        with lab.Lab() as box:
            box.v6 = False
            start(box, workers)
            weights_and_states(box, workers)
            nobody_left(box)
            if workers == 2:
                changes_under_load(box)
            say(f"{workers} workers: shares of clusters right")
    finish()


if __name__ == "__main__":
    sys.exit(main())
