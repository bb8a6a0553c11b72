# SPDX-License-Identifier: Apache-2.0
"""
kube_rights.py: accounts that may not see everything, and roles that are given while control runs: what
a cluster can do without it goes on without, and says so; what it cannot, it waits for; and no plan is
made of half of it.
"""
import os
import shutil
import signal
import tempfile
import time

from common import check, finish
from kube_fake import Fake
from kube_server import Certificates
from same_objects import Control, until
from server_answers import fill, kubeconfig, log, own

ROUTE = ("HTTPRoute", "r0")


def status_of(c, cluster, kind, name):
    """The conditions of an object of a cluster, those of its parents or ancestors in one list."""
    for o in c.get("/api/v1/status").get("items", []):
        if (o["cluster"], o["kind"], o["metadata"]["name"]) == (cluster, kind, name):
            s = o["status"]
            parts = s.get("parents", []) + s.get("ancestors", []) or [s]
            return {x["type"]: x for p in parts for x in p.get("conditions", [])}
    return None


def takes_part(c, cluster):
    return c.cluster(cluster).get("state", {}).get("takesPart", False)


def backend(api):
    """A Service in another namespace, which a grant permits, with one pod."""
    api.put("namespaces", "back")
    api.put("services", "web", "back", spec={"ports": [{"name": "http", "port": 80}]})
    api.put("endpointslices", "web-1", "back", addressType="IPv4",
            metadata={"labels": {"kubernetes.io/service-name": "web"}},
            ports=[{"name": "http", "port": 8080, "protocol": "TCP"}],
            endpoints=[{"addresses": ["10.1.0.1"]}])
    api.put("referencegrants", "g", "back", spec={
        "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "demo"}],
        "to": [{"group": "", "kind": "Service"}]})
    o = api.get("httproutes", "r0", "demo")
    api.put("httproutes", "r0", "demo", spec={**o["spec"], "rules": [
        {"backendRefs": [{"name": "web", "namespace": "back", "port": 80}]}]})


def forbid(api, *plurals):
    api.refuse = lambda r: 403 if r.plural in plurals and r.method == "GET" else None


def secrets(c, api):
    """Neither Secrets nor ConfigMaps may be listed: all else works, and it is said what is missing."""
    until("without the right to Secrets and ConfigMaps a cluster takes part",
          lambda: takes_part(c, "config"), 60)
    until("its routes are served", lambda: (status_of(c, "config", *ROUTE) or {}).get(
        "ResolvedRefs", {}).get("status") == "True", 60)
    for kind in ("Secret", "ConfigMap"):
        lines = [x for x in log(c).splitlines() if f"kind={kind} " in x and "goes on without" in x]
        check(len(lines) == 1 and "cluster=config" in lines[0] and "403" in lines[0],
              f"the log says why it goes on without {kind}s: {lines}")
        k = c.kind("config", kind)
        check(k.get("state") == "listing" and "403" in k.get("why", ""), f"so does its state: {k}")
    said = (status_of(c, "config", "BackendTLSPolicy", "tls") or {}).get("ResolvedRefs", {})
    check(said.get("reason") == "InvalidCACertificateRef" and "configmaps of cluster config" in
          said.get("message", ""), f"so does what refers to one: {said.get('message')}")
    api.refuse = lambda r: None
    until("a right that is given heals it", lambda: "does not exist" in (status_of(
        c, "config", "BackendTLSPolicy", "tls") or {}).get("ResolvedRefs", {}).get("message", ""), 120)


def workload(c):
    """What only routes are judged by is not needed where there are none."""
    until("a workload cluster whose account sees Services and endpoints only takes part",
          lambda: takes_part(c, "work"), 60)


def guard(c):
    """Who may not see policies that demand TLS must not send plaintext for them."""
    check(not takes_part(c, "blind") and status_of(c, "blind", *ROUTE) is None,
          "a cluster whose BackendTLSPolicies nobody may see serves nothing")
    k = c.kind("blind", "BackendTLSPolicy")
    check("403" in k.get("why", ""), f"its state says why: {k}")


def new_role(c, api, clusters):
    """The kinds of a role that is given at run time come into use at once, or not yet."""
    slow = []

    def refuse(r):
        if r.plural == "referencegrants" and r.kind in ("stream", "list"):
            slow.append(r)
            time.sleep(4)
    api.refuse = refuse
    clusters = [{**k, "roles": ["config", "workload"]} if k["name"] == "late" else k
                for k in clusters]
    c.write(clusters)
    c.p.send_signal(signal.SIGHUP)
    seen, end = [], time.monotonic() + 60
    while time.monotonic() < end:
        said = status_of(c, "late", *ROUTE)
        if said is not None:
            seen.append(said.get("ResolvedRefs", {}).get("reason"))
            if len(seen) >= 10:
                break
        time.sleep(0.1)
    check(slow and seen and set(seen) == {"ResolvedRefs"},
          f"a cluster that becomes a config cluster is never planned by halves: {sorted(set(seen))}")
    api.refuse = lambda r: None
    clusters = [{**k, "roles": ["workload"]} if k["name"] == "late" else k for k in clusters]
    c.write(clusters)
    c.p.send_signal(signal.SIGHUP)
    until("and taken back, nothing of it is served",
          lambda: status_of(c, "late", *ROUTE) is None, 10)
    check(takes_part(c, "late"), "it lends endpoints as before")


def main():
    folder = tempfile.mkdtemp(prefix="sluice-rights-")
    os.chmod(folder, 0o755)
    certs = Certificates(folder)
    own(certs.ca)
    names, control = ("config", "work", "blind", "late"), None
    apis = {n: Fake(certs) for n in names}
    try:
        clusters = []
        for n, api in apis.items():
            api.define("gateways")
            api.define("backendtlspolicies")
            fill(api, ["r0"])
            backend(api)
            api.put("services", "safe", "demo", spec={"ports": [{"port": 80}]})
            path = own(os.path.join(folder, n), kubeconfig(certs, api.port))
            roles = ["workload"] if n in ("work", "late") else ["config", "workload"]
            clusters.append({"name": n, "kubeconfig": path, "roles": roles})
        apis["config"].put("httproutes", "tls", "demo", spec={"parentRefs": [{"name": "gw"}], "rules": [
            {"backendRefs": [{"name": "safe", "port": 80}]}]})
        apis["config"].put("backendtlspolicies", "tls", "demo", spec={
            "targetRefs": [{"group": "", "kind": "Service", "name": "safe"}],
            "validation": {"hostname": "safe.demo.lab", "caCertificateRefs": [
                {"group": "", "kind": "ConfigMap", "name": "ca"}]}})
        forbid(apis["config"], "secrets", "configmaps")
        forbid(apis["work"], *(set(apis["work"].served) - {"services", "endpointslices"}))
        forbid(apis["blind"], "backendtlspolicies")
        control = c = Control(folder, "control", clusters)
        secrets(c, apis["config"])
        workload(c)
        guard(c)
        new_role(c, apis["late"], clusters)
        check(c.stop() == 0, "control ends without a leak")
        control = None
        check("Sanitizer" not in log(c) and "runtime error" not in log(c),
              "nothing for the sanitizers")
    finally:
        if control is not None:
            control.p.kill()
            print("".join(open(control.log).readlines()[-40:]))
        for api in apis.values():
            api.close()
        shutil.rmtree(folder, ignore_errors=True)
    finish()


main()
