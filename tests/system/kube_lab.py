# SPDX-License-Identifier: Apache-2.0
"""
kube_lab.py: the lab beside real API servers, for system tests.

    with KubeLab() as box:                          # us-east and us-west, pods behind the router
        box.apply("us-east", manifests)             # kubectl apply
        box.rolled_out("us-east", "demo", "echo")   # Deployment has its pods, all ready
        box.condition("us-east", "gateway/gw", "Programmed", namespace="demo")
        box.api_stop("us-west") ... box.api_start("us-west")
        box.wire("us-west").delay = 30              # control must use box.kubeconfig("us-west")

The API servers are on loopback addresses of this machine, where sluice-control runs too; pods are
in namespaces behind the lab's router, where the gateway reaches them as it reaches the lab's own.
What a test may do to a cluster: stop, pause and restart its API server, make it slow or deaf by the
wire in front of it, take its etcd back in time, remove and restore its CRDs, crash its nodes.
"""
import base64
import json
import os
import re
import shutil
import signal
import sys
import time

import common  # finds scripts/lib
import lab
import minicluster
import minicluster_build
import minicluster_pki
from kube_wire import Wire

KUBE = os.path.join(common.TOP, "configs", "kube")
ROLES = {"config": "", "workload": ", roles: [workload]"}  # a config cluster lends endpoints, too
WIRE_PORT = 16443
FOLDER = "sluice-kube-"


class KubeLab(lab.Lab):
    def __init__(self, names=minicluster.NAMES[:2], channel="standard", **kw):
        self.names, self.channel = names, channel
        self.programs = minicluster_build.Programs()
        super().__init__(**kw)
        self.kube, self.wires = None, {}

    # -- up and down ------------------------------------------------------------------------

    def up(self):
        base = os.path.dirname(self.dir)
        minicluster.sweep(base, FOLDER)
        super().up()
        self.kube_dir = os.path.join(base, FOLDER + self.name)
        self.kube = minicluster.Group(self.kube_dir, self.name + "k", self.names, self.channel,
                                      router=self.ns("router"), programs=self.programs)
        start = time.monotonic()
        self.kube.up()
        self.kube_seconds = time.monotonic() - start

    def down(self):
        for wire in self.wires.values():
            wire.close()
        self.wires = {}
        if self.kube is not None:
            self.kube.down()
            self.kube = None
        super().down()

    def report(self, out):
        super().report(out)
        if self.kube is not None:
            self.kube.report(out)

    # -- kubectl ----------------------------------------------------------------------------

    def kubectl(self, cluster, *argv, check=True, timeout=60, **kw):
        """kubectl with the administrator's kubeconfig; its standard output."""
        return self.kube[cluster].kubectl(*argv, check=check, timeout=timeout, **kw)

    def apply(self, cluster, text, *argv):
        return self.kubectl(cluster, "apply", "--server-side", "--force-conflicts", *argv,
                            "-f", "-", input=text)

    def remove(self, cluster, text, *argv):
        return self.kubectl(cluster, "delete", "--ignore-not-found", *argv, "-f", "-", input=text)

    def patch(self, cluster, thing, body, namespace="default", kind="merge"):
        """thing: "httproute/app"; kind: merge, json or strategic."""
        return self.kubectl(cluster, "-n", namespace, "patch", thing, f"--type={kind}",
                            "-p", json.dumps(body))

    def object(self, cluster, thing, namespace="default"):
        """The object as it is now, or None."""
        out = self.kubectl(cluster, "-n", namespace, "get", thing, "-o", "json",
                           "--ignore-not-found")
        return json.loads(out) if out.strip() else None

    def objects(self, cluster, kind, namespace=None, selector=None):
        argv = ["-n", namespace] if namespace else ["-A"]
        if selector:
            argv += ["-l", selector]
        return json.loads(self.kubectl(cluster, "get", kind, *argv, "-o", "json"))["items"]

    # -- waiting ----------------------------------------------------------------------------

    def wait_object(self, cluster, thing, test, what, namespace="default", timeout=30):
        """Until test(object) is true; the object. It is None while it does not exist."""
        seen = {}

        def holds():
            seen["o"] = self.object(cluster, thing, namespace)
            return test(seen["o"])
        lab.wait_until(f"{cluster} {namespace}/{thing}: {what}", holds, timeout, 0.1)
        return seen["o"]

    def condition(self, cluster, thing, kind, status="True", namespace="default", timeout=30,
                  reason=None):
        """Until status.conditions has it at the object's generation; that condition."""
        def test(o):
            return o and find_condition(o["status"].get("conditions", ()), kind, status, reason,
                                        o["metadata"].get("generation"))
        o = self.wait_object(cluster, thing, test, f"{kind}={status} {reason or ''}", namespace,
                             timeout)
        return test(o)

    def parent_condition(self, cluster, route, kind, status="True", namespace="default",
                         timeout=30, reason=None):
        """The same of a route's status.parents; true of the first parent that has it."""
        def test(o):
            for parent in (o or {}).get("status", {}).get("parents", ()):
                c = find_condition(parent.get("conditions", ()), kind, status, reason,
                                   o["metadata"].get("generation"))
                if c:
                    return c
            return None
        o = self.wait_object(cluster, route, test, f"{kind}={status} {reason or ''}", namespace,
                             timeout)
        return test(o)

    def rolled_out(self, cluster, namespace, deployment, timeout=60):
        self.kubectl(cluster, "-n", namespace, "rollout", "status", f"deployment/{deployment}",
                     f"--timeout={timeout}s", timeout=timeout + 10)

    def scale(self, cluster, namespace, deployment, replicas, timeout=60):
        """Scales and waits; with 0, until the pods' objects are gone."""
        self.kubectl(cluster, "-n", namespace, "scale", f"deployment/{deployment}",
                     f"--replicas={replicas}")
        if replicas:
            return self.rolled_out(cluster, namespace, deployment, timeout)
        labels = self.object(cluster, f"deployment/{deployment}",
                             namespace)["spec"]["selector"]["matchLabels"]
        return lab.wait_until("pods gone", lambda: not self.objects(
            cluster, "pods", namespace, ",".join(f"{k}={v}" for k, v in labels.items())), timeout)

    def endpoints(self, cluster, namespace, service, timeout=0, count=None):
        """Addresses that are ready in a Service's EndpointSlices; waits for count of them."""
        def ready():
            slices = self.objects(cluster, "endpointslices", namespace,
                                  f"kubernetes.io/service-name={service}")
            return sorted(a for s in slices for e in s.get("endpoints") or ()
                          if e["conditions"].get("ready") for a in e["addresses"])
        if count is None:
            return ready()
        lab.wait_until(f"{cluster}: {count} endpoints of {service}",
                       lambda: len(ready()) == count, timeout or 30, 0.1)
        return ready()

    # -- kubeconfigs ------------------------------------------------------------------------

    def kubeconfig(self, cluster, wired=True):
        """The administrator's, through the wire unless told otherwise."""
        url = self.kube[cluster].url
        if wired:
            self.wire(cluster)
            url = self.url(cluster)
        path = os.path.join(self.dir, f"{cluster}-admin.kubeconfig")
        return self._own(self.kube[cluster].write_kubeconfig(path, "admin", url=url))

    def account_kubeconfig(self, cluster, namespace, account, hours=1):
        """That of a ServiceAccount, by a token of the TokenRequest API, through the wire."""
        self.wire(cluster)
        token = self.kubectl(cluster, "-n", namespace, "create", "token", account,
                             f"--duration={hours}h").strip()
        path = os.path.join(self.dir, f"{cluster}-{account}.kubeconfig")
        return self._own(self.kube[cluster].write_kubeconfig(path, user={"token": token},
                                                             url=self.url(cluster)))

    def install(self, cluster, *files, wired=True):
        """
        configs/kube/README.md, step by step: namespaces, the account, then these files; the
        kubeconfig of that account, by the token that does not expire.
        """
        for name in ("namespaces", "account", *files):
            self.kubectl(cluster, "apply", "-f", os.path.join(KUBE, f"{name}.yaml"))
        token = lab.wait_until("the token", lambda: (self.object(
            cluster, "secret/sluice-token", "sluice-system") or {}).get("data", {}).get("token"), 30)
        if wired:
            self.wire(cluster)
        path = os.path.join(self.dir, f"{cluster}-sluice.kubeconfig")
        return self._own(self.kube[cluster].write_kubeconfig(
            path, user={"token": base64.b64decode(token).decode()},
            url=self.url(cluster) if wired else self.kube[cluster].url))

    @staticmethod
    def _own(path):
        """Readable by whom control becomes."""
        shutil.chown(path, lab.service_user())
        return path

    def url(self, cluster):
        """The API server through the wire."""
        return f"https://{self.kube[cluster].address}:{WIRE_PORT}"

    def wire(self, cluster):
        if cluster not in self.wires:
            address = self.kube[cluster].address
            self.wires[cluster] = Wire((address, WIRE_PORT), (address, minicluster.PORTS["api"]))
        return self.wires[cluster]

    def authority(self, cluster):
        """Folder and functions to make more certificates of that cluster (minicluster_pki.Pki)."""
        return self.kube[cluster].pki

    # -- the gateway ------------------------------------------------------------------------

    def load_config(self, example="mesh", workers=1, wired=True, roles=None):
        """
        The programs' configuration of that example, API servers in place of its directories. With
        roles ({"us-west": "workload"}) under RBAC, by the accounts of configs/kube.
        """
        def entry(c):
            if roles is None:
                return f"- {{name: {c}, kubeconfig: {self.kubeconfig(c, wired)}}}\n"
            path = self.install(c, f"{roles[c]}-cluster", wired=wired)
            return f"- {{name: {c}, kubeconfig: {path}{ROLES[roles[c]]}}}\n"

        def edit(name, text):
            if name != "control.yaml":
                return text
            names = "".join(entry(c) for c in self.names)
            return re.sub(r"(?m)^clusters:\n([- ].*\n)+", f"clusters:\n{names}\n", text)
        self.load_example(example, workers, edit)
        shutil.rmtree(os.path.join(self.conf, "clusters"))

    def start_gateway(self, example="mesh", workers=1, wired=True, roles=None):
        self.load_config(example, workers, wired, roles)
        self.start_dataplane()
        self.start_control()
        self.wait_ready(60)

    def kinds(self, cluster):
        """What control says of that cluster's kinds: {"Service": {"state": ..., "objects": ...}}"""
        state = self.get(f"/api/v1/clusters/{cluster}")["state"]
        return {k["kind"]: k for k in state["kinds"]}

    def wait_kinds(self, cluster, test, what, timeout=60):
        lab.wait_until(f"{cluster}: {what}", lambda: test(self.kinds(cluster)), timeout, 0.1)

    def wait_applied(self, what="the dataplane has acknowledged it", timeout=10):
        """Until every dataplane has what control has."""
        def applied():
            want = self.get("/api/v1/config")
            return all((d["applied"]["generation"], d["applied"]["revision"]) >=
                       (want["generation"], want["revision"])
                       for d in self.get("/api/v1/dataplanes")["items"])
        lab.wait_until(what, applied, timeout)

    # -- doing harm -------------------------------------------------------------------------

    def api_stop(self, cluster, sig=signal.SIGKILL):
        self.kube[cluster].stop("kube-apiserver", sig)

    def api_start(self, cluster, wait=True):
        self.kube[cluster].start_apiserver()
        if wait:
            self.kube[cluster].wait_ready()

    def api_restart(self, cluster):
        self.api_stop(cluster)
        self.api_start(cluster)

    def api_pause(self, cluster):
        """It accepts connections (the kernel does) and says nothing."""
        self.kube[cluster].signal("kube-apiserver", signal.SIGSTOP)

    def api_resume(self, cluster):
        self.kube[cluster].signal("kube-apiserver", signal.SIGCONT)

    def snapshot(self, cluster):
        """A copy of etcd's data as it is now; for restore()."""
        c = self.kube[cluster]
        copy = c.path(f"etcd-{time.monotonic_ns()}")
        c.signal("etcd", signal.SIGSTOP)  # a crash-consistent copy: its log is checked when read
        try:
            shutil.copytree(c.path("etcd"), copy)
        finally:
            c.signal("etcd", signal.SIGCONT)
        return copy

    def restore(self, cluster, copy, node=True):
        """
        Puts back such a copy: resourceVersions run from there again. Pods start anew with their
        node; node=False leaves it and them running, for a copy in which the pods are the same.
        """
        c = self.kube[cluster]
        controllers = c.alive("kube-controller-manager")
        for name in ("kubelet", "kube-controller-manager", "kube-apiserver", "etcd")[not node:]:
            c.stop(name, signal.SIGTERM if name == "kubelet" else signal.SIGKILL)
        shutil.rmtree(c.path("etcd"))
        shutil.copytree(copy, c.path("etcd"))
        c.start_etcd()
        c.start_apiserver()
        c.wait_ready()
        if controllers:
            c.start_controllers()
        if node:
            self.node_start(cluster)

    def node_stop(self, cluster, sig=signal.SIGKILL):
        """Pods die with it, and nobody says so to the API server."""
        self.kube[cluster].stop("kubelet", sig)

    def node_start(self, cluster, timeout=60):
        """Starts it, and waits until it has said of every pod that it runs anew."""
        def restarts():
            return {p["metadata"]["uid"]: [s["restartCount"] for s in
                                           p["status"].get("containerStatuses", ())]
                    for p in self.objects(cluster, "pods") if p["status"]["phase"] == "Running"}
        before = restarts()
        self.kube[cluster].start_kubelet()

        def anew():
            now = restarts()
            return all(uid not in now or now[uid] != n for uid, n in before.items())
        lab.wait_until(f"{cluster}: pods run anew", anew, timeout, 0.1)

    def resource_version(self, cluster):
        out = self.kubectl(cluster, "get", "--raw", "/api/v1/namespaces?limit=1")
        return int(json.loads(out)["metadata"]["resourceVersion"])

    def crds_remove(self, cluster, names=None):
        """Deletes CRDs (default: all of the Gateway API), their objects with them."""
        names = names or [n for n in self.kubectl(cluster, "get", "crd", "-o", "name").split()
                          if n.endswith(".gateway.networking.k8s.io")]
        self.kubectl(cluster, "delete", *names, "--timeout=60s", timeout=90)

    def crds_restore(self, cluster):
        self.kube[cluster].install_crds()


def find_condition(conditions, kind, status, reason=None, generation=None):
    for c in conditions:
        if c["type"] == kind and c["status"] == status and reason in (None, c["reason"]) and \
                (generation is None or c.get("observedGeneration", generation) == generation):
            return c
    return None


def _value(v):
    return (f"valueFrom: {{fieldRef: {{fieldPath: {v}}}}}" if v.startswith("metadata.")
            else f"value: '{v}'")


def deployment(name, image, replicas=1, namespace="default", port=3000, service_port=80, env=(),
               probe=None, grace=2, extra="", labels=""):
    """
    Manifests of a Deployment, with POD_NAME and NAMESPACE for echo-basic, and its Service, which
    carries the labels.
    """
    env = [("POD_NAME", "metadata.name"), ("NAMESPACE", "metadata.namespace"), *env]
    lines = "".join(f"        - {{name: {k}, {_value(v)}}}\n" for k, v in env)
    readiness = f"        readinessProbe: {json.dumps(probe)}\n" if probe else ""
    return f"""apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}}}
spec:
  selector: {{app: {name}}}
  ports:
  - {{name: http, port: {service_port}, targetPort: {port}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: {grace}
      containers:
      - name: {name}
        image: {image}
        ports:
        - {{containerPort: {port}}}
        env:
{lines}{readiness}{extra}"""


def linger(seconds):
    """Programs that end at once on SIGTERM need it, on real clusters too: until everybody knows."""
    return f"        lifecycle: {{preStop: {{sleep: {{seconds: {seconds}}}}}}}\n"


LINGER = linger(2)
PROBE = {"httpGet": {"path": "/health", "port": 3000}, "periodSeconds": 1}
ECHO = "registry.k8s.io/gateway-api/conformance/echo-basic:v0.1.0"

__all__ = ["ECHO", "LINGER", "PROBE", "KubeLab", "deployment", "find_condition", "linger",
           "minicluster_pki", "sys"]
