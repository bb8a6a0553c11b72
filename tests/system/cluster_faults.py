# SPDX-License-Identifier: Apache-2.0
"""
cluster_faults.py: the harness of the tests on real API servers does what it says: the gateway's
namespace reaches pods, and each fault is one: stopped, paused, slow, deaf, refusing, taken back in
time, without CRDs, without its node.
"""
import json
import os
import time

from common import check, finish, say
import lab
from kube_lab import ECHO, KubeLab, deployment

EAST = "us-east"


def version(box, kubeconfig, seconds):
    """Seconds until the API server has answered through the wire; None: not within those."""
    start = time.monotonic()
    try:
        lab.run(box.programs.path("kubectl"), "--kubeconfig", kubeconfig, "get", "--raw",
                "/version", f"--request-timeout={seconds}s", timeout=seconds + 20)
    except lab.LabError:
        return None
    return time.monotonic() - start


def reach(box, what):
    def answers():
        ready = box.endpoints(EAST, "default", "echo")
        return len(ready) == 3 and [box.exec("gw", "curl", "-sf", "--max-time", "2",
                                             f"http://{ip}:3000/") for ip in ready]
    lab.wait_until(what, answers, 30)
    check(True, what)


def pods_reached(box):
    box.apply(EAST, deployment("echo", ECHO, replicas=2))
    box.rolled_out(EAST, "default", "echo")
    for ip in box.endpoints(EAST, "default", "echo", count=2):
        body = json.loads(box.exec("gw", "curl", "-s", "--max-time", "5", f"http://{ip}:3000/"))
        check(body["pod"].startswith("echo-"), f"the gateway reaches {ip}: {body['pod']}")
    box.scale(EAST, "default", "echo", 0)
    check(box.endpoints(EAST, "default", "echo", count=0) == [], "scaled to nothing: no endpoints")
    box.scale(EAST, "default", "echo", 3)
    check(len(box.endpoints(EAST, "default", "echo", count=3)) == 3, "and back to three")


def wired(box):
    config, wire = box.kubeconfig(EAST), box.wire(EAST)
    check(version(box, config, 5) is not None, "an answer through the wire")
    wire.delay = 1.0
    took = version(box, config, 20)
    check(took is not None and took >= 2, f"slow by 1 s per answer: {took} s (TLS and request)")
    wire.mode, wire.delay = "hole", 0
    check(version(box, config, 2) is None, "a hole answers nothing")
    wire.refuse()
    check(version(box, config, 2) is None, "a refusing wire resets")
    wire.heal()
    check(version(box, config, 5) is not None, "healed")


def api_faults(box):
    config = box.kubeconfig(EAST)
    box.api_pause(EAST)
    check(version(box, config, 2) is None, "a paused API server answers nothing")
    box.api_resume(EAST)
    check(version(box, config, 10) is not None, "and goes on when resumed")
    box.api_stop(EAST)
    check(version(box, config, 2) is None, "a stopped one is gone")
    start = time.monotonic()
    box.api_start(EAST)
    say(f"API server back in {time.monotonic() - start:.1f} s")
    check(len(box.endpoints(EAST, "default", "echo")) == 3, "with what it knew")


def back_in_time(box):
    copy, then = box.snapshot(EAST), box.resource_version(EAST)
    box.kubectl(EAST, "create", "configmap", "after")
    box.scale(EAST, "default", "echo", 1)
    box.restore(EAST, copy)
    check(box.object(EAST, "configmap/after") is None, "what came after the copy never was")
    now = box.resource_version(EAST)
    check(now >= then, f"resourceVersion runs from the copy's again: {then}, {now}")
    box.rolled_out(EAST, "default", "echo")
    reach(box, "its pods run again")


def without_crds(box):
    box.apply(EAST, """{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass,
 metadata: {name: x}, spec: {controllerName: example.com/x}}""")
    box.condition(EAST, "gatewayclass/x", "Accepted", status="Unknown")
    box.crds_remove(EAST)
    check("httproutes" not in box.kubectl(EAST, "api-resources", "-o", "name"), "CRDs removed")
    box.crds_restore(EAST)
    check("httproutes" in box.kubectl(EAST, "api-resources", "-o", "name"), "CRDs are back")
    check(box.object(EAST, "gatewayclass/x") is None, "their objects are not")


def node_crash(box):
    ip = box.endpoints(EAST, "default", "echo", count=3)[0]
    box.node_stop(EAST)
    code = box.exec("gw", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "2",
                    f"http://{ip}:3000/", check=False)
    check(code == "000", "pods die with their node")
    box.node_start(EAST)
    check(all(p["status"]["containerStatuses"][0]["restartCount"] == 2  # restore() was the first
              for p in box.objects(EAST, "pods", "default")), "a node that is back runs them again")
    reach(box, "and they answer")
    path = box.account_kubeconfig(EAST, "default", "default")
    out = lab.run(box.programs.path("kubectl"), "--kubeconfig", path, "auth", "whoami",
                  "-o", "json")
    check("system:serviceaccount:default:default" in out, "a ServiceAccount's kubeconfig works")


def main():
    with KubeLab(names=(EAST,)) as box:
        say(f"one cluster up in {box.kube_seconds:.1f} s")
        pods_reached(box)
        wired(box)
        api_faults(box)
        back_in_time(box)
        without_crds(box)
        node_crash(box)
        name, folder = box.name, box.kube_dir
    left = [n for n in os.listdir("/run/netns") if n.startswith(name)]
    check(not left and not os.path.exists(folder), f"nothing is left: {left}")
    finish()


main()
