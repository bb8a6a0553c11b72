# SPDX-License-Identifier: Apache-2.0
"""
kubectl_canary.py: the public canary tutorial's steps as a user types them, on a real API server.

The class is tigera-gateway-class with the controllerName that it has, taken over by configuration.
The account, its rights and the namespaces are configs/kube as they stand, and control runs with that
account under RBAC. What users look at must be true: kubectl get, the VIP in the Service, kubectl
describe, and the answers themselves, counted.
"""
import json
import os
import re
import time

from common import TOP, check, finish, lab, say
from kube_lab import KubeLab, find_condition

EAST = "us-east"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
WORKERS = 1
HOST = "app.demo.lab"

CLASS = f"""
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: tigera-gateway-class}}
spec: {{controllerName: {CONTROLLER}}}
"""

GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: canary-gateway, namespace: default}
spec:
  gatewayClassName: tigera-gateway-class
  infrastructure: {labels: {team: edge}, annotations: {note: "of the tutorial"}}
  listeners:
  - {name: http, protocol: HTTP, port: 80, allowedRoutes: {namespaces: {from: All}}}
"""

GRANT = """
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: allow-routes, namespace: apps}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]
  to: [{group: "", kind: Service}]
"""

ROUTE = f"""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: canary, namespace: default}}
spec:
  parentRefs: [{{name: canary-gateway}}]
  hostnames: [{HOST}]
  rules:
  - matches: [{{path: {{type: PathPrefix, value: /}}}}]
    backendRefs:
    - {{name: app-v1, namespace: apps, port: 80, weight: 80}}
    - {{name: app-v2, namespace: apps, port: 80, weight: 20}}
"""


def app(n):
    return f"""---
apiVersion: v1
kind: ConfigMap
metadata: {{name: app-v{n}-html, namespace: apps}}
data: {{index.html: "<html><body><h1>App Version {n}</h1></body></html>"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: app-v{n}, namespace: apps}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: demo, version: v{n}}}}}
  template:
    metadata: {{labels: {{app: demo, version: v{n}}}}}
    spec:
      containers:
      - name: busybox
        image: busybox:latest
        command: ["sh", "-c", "httpd -f -p 80 -h /var/www/html"]
        ports: [{{containerPort: 80}}]
        volumeMounts: [{{name: html, mountPath: /var/www/html}}]
      volumes: [{{name: html, configMap: {{name: app-v{n}-html}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: app-v{n}, namespace: apps}}
spec:
  selector: {{app: demo, version: v{n}}}
  ports: [{{name: http, port: 80, targetPort: 80}}]
"""


# -- installing ---------------------------------------------------------------------------------

def start(box, kubeconfig):
    def edit(name, text):
        if name != "control.yaml":
            return text
        text = re.sub(r"(?m)^clusters:\n([- ].*\n)+", "", text)
        return text + (f"controllerName: {CONTROLLER}\n"
                       f"clusters: [{{name: {EAST}, kubeconfig: {kubeconfig}}}]\n"
                       f"pools: [{{name: default, cidrs: [{lab.VIP4}/32, '{lab.VIP6}/128']}}]\n")
    box.load_example("canary", WORKERS, edit)
    box.start_dataplane()
    box.start_control()
    box.wait_ready(60)


# -- looking ------------------------------------------------------------------------------------

def count(box, vip, n=200, host=HOST):
    """App Version 1, App Version 2, others, of n requests on one connection."""
    out = box.exec("client", "curl", "-s", "--max-time", "60", "-H", f"Host: {host}", "-w",
                   " %{http_code}\n", f"http://{vip}/?n=[1-{n}]", timeout=90)
    v1, v2 = out.count("App Version 1"), out.count("App Version 2")
    return v1, v2, n - v1 - v2, sorted(set(re.findall(r" (\d+)$", out, re.M)))


def shares(box, vip, want, what):
    v1, v2, other, _ = count(box, vip)
    check(abs(v1 - want) <= 2 * WORKERS and other == 0, f"{what}: {v1} to {v2} of 200")


def settled(box, thing, kind="Accepted"):
    """Until the route's status speaks about its newest generation: every dataplane has it then."""
    return box.parent_condition(EAST, thing, kind)


def status_of(box, vip, host):
    return int(box.exec("client", "curl", "-s", "-o", "/dev/null", "--max-time", "10", "-w",
                        "%{http_code}", "-H", f"Host: {host}", f"http://{vip}/"))


# -- the tutorial -------------------------------------------------------------------------------

def deploy(box):
    box.kubectl(EAST, "create", "namespace", "apps")
    box.kubectl(EAST, "apply", "-f", "-", input=app(1) + app(2))
    for n in (1, 2):
        box.rolled_out(EAST, "apps", f"app-v{n}")
    for n in (1, 2):
        box.endpoints(EAST, "apps", f"app-v{n}", count=1)
    start_s = time.monotonic()
    box.kubectl(EAST, "apply", "-f", "-", input="---".join((CLASS, GATEWAY, GRANT, ROUTE)))
    box.condition(EAST, "gateway/canary-gateway", "Programmed", timeout=60)
    say(f"Programmed {time.monotonic() - start_s:.2f} s after kubectl apply was started")
    settled(box, "httproute/canary")


def get_shows(box):
    out = box.kubectl(EAST, "get", "gateway,httproute")
    line = next(li for li in out.splitlines() if "/canary-gateway" in li)
    check(lab.VIP4 in line and "True" in line, f"kubectl get shows address and Programmed: {line}")
    check(HOST in out, "and the route with its hostname")
    wide = box.kubectl(EAST, "get", "gatewayclass", "tigera-gateway-class")
    check("True" in wide, "the class is accepted")


def vip_of_service(box):
    def vip():
        return box.kubectl(
            EAST, "get", "svc", "-n", "tigera-gateway", "-l",
            "gateway.envoyproxy.io/owning-gateway-name=canary-gateway", "-o",
            "jsonpath={.items[0].status.loadBalancer.ingress[0].ip}")
    out = lab.wait_until("the VIP in the Service", vip, 30)
    check(out == lab.VIP4, f"the VIP read from the Service is {out}")
    s = box.objects(EAST, "svc", "tigera-gateway")[0]
    check(s["spec"]["type"] == "LoadBalancer" and "selector" not in s["spec"] and
          s["spec"]["allocateLoadBalancerNodePorts"] is False and
          "nodePort" not in s["spec"]["ports"][0] and
          all(i["ipMode"] == "Proxy" for i in s["status"]["loadBalancer"]["ingress"]),
          "it has no selector, no node ports, and ipMode Proxy")
    check(s["metadata"]["labels"].get("team") == "edge" and
          s["metadata"]["annotations"].get("note") == "of the tutorial",
          "it carries the infrastructure labels and annotations")
    return out


def patches(box, vip):
    shares(box, vip, 160, "80/20")
    for a, b in ((50, 50), (0, 100), (50, 50), (80, 20)):
        box.patch(EAST, "httproute/canary", [
            {"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": a},
            {"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": b}],
            kind="json")
        settled(box, "httproute/canary")
        shares(box, vip, a * 2, f"patched to {a}/{b}")


def without_host(box, vip):
    code = int(box.exec("client", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                        f"http://{vip}/"))
    check(code == 404, f"without the Host: {code}")


def grant_revoked(box, vip):
    box.kubectl(EAST, "delete", "-f", "-", input=GRANT)
    box.parent_condition(EAST, "httproute/canary", "ResolvedRefs", "False",
                         reason="RefNotPermitted")
    check(status_of(box, vip, HOST) == 500, "without the ReferenceGrant: 500")
    text = lab.wait_until("the Event", lambda: (lambda t: t if "Warning" in t else "")(
        box.kubectl(EAST, "describe", "httproute", "canary")), 15)
    check("RefNotPermitted" in text and "ReferenceGrant" in text,
          "kubectl describe says why, in conditions and Events: " +
          next((li.strip() for li in text.splitlines() if "Warning" in li), ""))
    box.kubectl(EAST, "apply", "-f", "-", input=GRANT)
    box.parent_condition(EAST, "httproute/canary", "ResolvedRefs")
    shares(box, vip, 160, "restored: 80/20")


# -- what must not happen -----------------------------------------------------------------------

def foreign_entries(box):
    """Another controller's parent and condition stay, byte for byte, through our own writes."""
    theirs = {"parentRef": {"name": "elsewhere"}, "controllerName": "example.com/them",
              "conditions": [{"type": "Accepted", "status": "True", "reason": "Theirs",
                              "message": "kept", "lastTransitionTime": "2020-01-02T03:04:05Z"}]}
    have = box.object(EAST, "httproute/canary")["status"]["parents"]
    box.kubectl(EAST, "patch", "httproute", "canary", "--subresource=status", "--type=merge", "-p",
                json.dumps({"status": {"parents": [theirs] + have}}))
    theirs = box.object(EAST, "httproute/canary")["status"]["parents"][0]  # with defaults
    box.patch(EAST, "httproute/canary", {"metadata": {"labels": {"x": "y"}},
                                         "spec": {"hostnames": [HOST, "b.demo.lab"]}})
    settled(box, "httproute/canary")
    parents = box.object(EAST, "httproute/canary")["status"]["parents"]
    check(parents[0] == theirs and len(parents) == 2, "another controller's entry stays as it was")


def written_once(box):
    """At rest nothing is written: versions stand still."""
    def versions():
        return [o["metadata"]["resourceVersion"] for kind in ("gateway", "httproute", "svc",
                                                              "gatewayclass")
                for o in box.objects(EAST, kind)]
    time.sleep(2)
    before = versions()
    time.sleep(3)
    check(versions() == before, "at rest no object's version moves")


def restart(box):
    """The Gateway goes while control is down: its Service goes when control is back."""
    box.control.stop()
    box.procs.remove(box.control)
    box.kubectl(EAST, "delete", "gateway", "canary-gateway", "--timeout=20s")
    check(len(box.objects(EAST, "svc", "tigera-gateway")) == 1, "its Service stands while we are down")
    lease = box.objects(EAST, "lease", "sluice-system")[0]["spec"]
    check(lease.get("holderIdentity", "") == "", "the Lease was given back")
    begin = time.monotonic()
    box.start_control()
    lab.wait_until("Service gone", lambda: not box.objects(EAST, "svc", "tigera-gateway"), 60)
    say(f"the Service of a Gateway that went meanwhile: gone {time.monotonic() - begin:.1f} s "
        "after the start")
    box.wait_object(EAST, "httproute/canary", lambda o: [
        p["controllerName"] for p in o["status"]["parents"]] == ["example.com/them"],
        "our entry is removed, theirs stays")
    check(True, "the route's entry of ours is removed, the other one stays")
    box.wait_object(EAST, "gatewayclass/tigera-gateway-class",
                    lambda o: not o["metadata"].get("finalizers"), "no finalizer")
    check(True, "the unused class has no finalizer any more")


def without_lease(box):
    """Without the right to the Lease nothing is written, and the log says so."""
    box.kubectl(EAST, "-n", "sluice-system", "delete", "rolebinding", "sluice-lease")
    text = lab.wait_until("the log line", lambda: (lambda t: t if "the Lease in namespace" in t
                                                   else "")(box.control.tail(400)), 30)
    check("no status is written to this cluster" in text, "the log says that nothing is written")
    box.kubectl(EAST, "apply", "-f", "-", input=GATEWAY)
    time.sleep(3)
    conditions = box.object(EAST, "gateway/canary-gateway")["status"]["conditions"]
    check(find_condition(conditions, "Accepted", "Unknown"), "and nothing is")


def main():
    build = os.environ.get("SLUICE_BUILD", os.path.join(TOP, "build"))
    with KubeLab(names=(EAST,), build=build) as box:
        start(box, box.install(EAST, "config-cluster", "clustertrafficpolicies", "gatewayclass",
                               wired=False))
        deploy(box)
        get_shows(box)
        vip = vip_of_service(box)
        patches(box, vip)
        without_host(box, vip)
        grant_revoked(box, vip)
        foreign_entries(box)
        written_once(box)
        restart(box)
        without_lease(box)
    finish()


if __name__ == "__main__":
    main()
