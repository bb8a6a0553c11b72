# SPDX-License-Identifier: Apache-2.0
"""
kube_scale.py: many routes on a real API server.

    count   routes are created and deleted as fast as one client can: the Gateway's attachedRoutes
            follow with at most ten writes each way and are right 2 s after the last change; every
            route has its status 15 s after it
    probe   routes are created one by one, each asked for from its creation until the first 200:
            404 before, its own backend's page then, and never anything else
    rest    what all of them together cost: memory and processor of both programs

The short form has 200 routes; --long creates 1 000, probes 3 000 and rests with 5 000. What was
written is known by watches of our own, as any other client sees it.
"""
import concurrent.futures
import ctypes
import http.client
import json
import os
import re
import socket
import ssl
import threading
import time

from common import (LONG, TOP, V1, V2, check, cpu_seconds, finish, gateway, lab, percentile, say,
                    service)
from kube_lab import KubeLab, find_condition

EAST = "us-east"
COUNTED, PROBED, RESTING = (1000, 3000, 5000) if LONG else (200, 200, 200)
GROUP = "/apis/gateway.networking.k8s.io/v1"
ROUTES, GATEWAYS = (f"{GROUP}/namespaces/demo/{plural}" for plural in ("httproutes", "gateways"))
PAGES = ("App Version 1", "App Version 2")
WRITES_MAX, NUMBER_SECONDS, STATUS_SECONDS, PROBE_SECONDS = 10, 2, 15, 10
MEMORY_MAX = 128 << 10  # KiB, of control
CLONE_NEWNET = 0x40000000


def host_of(i):
    return f"r{i}.scale.lab"


def route(i):
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": f"r{i}", "namespace": "demo"},
            "spec": {"parentRefs": [{"name": "gw"}], "hostnames": [host_of(i)],
                     "rules": [{"backendRefs": [{"name": f"app-v{i % 2 + 1}", "port": 80}]}]}}


class ApiError(lab.LabError):
    """What the API server refuses, and how."""

    def __init__(self, what, status):
        super().__init__(what)
        self.status = status


class Api:
    """The API server by one connection that stays open, as a controller has it."""

    def __init__(self, cluster, timeout=60):
        p = cluster.pki.path
        tls = ssl.create_default_context(cafile=p("ca.crt"))
        tls.load_cert_chain(p("admin.crt"), p("admin.key"))
        self.http = http.client.HTTPSConnection(cluster.address, 6443, context=tls, timeout=timeout)

    def ask(self, method, path, body=None, kind="application/json"):
        """The answer's object. After an error of the connection the next one opens another."""
        try:
            self.http.request(method, path, body and json.dumps(body), {"Content-Type": kind})
            answer = self.http.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.http.close()
            raise
        if answer.status >= 300:
            raise ApiError(f"{method} {path}: {answer.status} {text[:300]}", answer.status)
        return json.loads(text)

    def create(self, i):
        self.ask("POST", ROUTES, route(i))

    def delete(self, i):
        self.ask("DELETE", f"{ROUTES}/r{i}")


class Watch:
    """A watch in a thread of its own: on_event(type, object) in the order of the server."""

    def __init__(self, cluster, path, on_event):
        self.api, self.error = Api(cluster, 3600), None
        version = self.api.ask("GET", path + "?limit=1")["metadata"]["resourceVersion"]
        self.thread = threading.Thread(target=self._run, daemon=True, args=(
            f"{path}?watch=1&resourceVersion={version}", on_event))
        self.thread.start()

    def _run(self, path, on_event):
        self.api.http.request("GET", path)
        for line in self.api.http.getresponse():
            event = json.loads(line)
            on_event(event["type"], event["object"])


class Machine:
    """Sleeps and looks for how long: what the machine itself adds to every time measured here."""

    def __init__(self):
        self.longest = 0.0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            start = time.monotonic()
            time.sleep(0.05)
            self.longest = max(self.longest, time.monotonic() - start - 0.05)


class Seen:
    """What a client sees of the Gateway and the routes: when, and how many writes it took."""

    def __init__(self, cluster):
        self.writes, self.attached, self.attached_at = 0, 0, 0.0
        self.told = {}  # route: when its status was there first
        self.watches = [Watch(cluster, GATEWAYS, self.on_gateway),
                        Watch(cluster, ROUTES, self.on_route)]

    def on_gateway(self, kind, o):
        now = time.monotonic()
        number = sum(li["attachedRoutes"] for li in o.get("status", {}).get("listeners", ()))
        self.writes += 1
        if number != self.attached:
            self.attached, self.attached_at = number, now

    def on_route(self, kind, o):
        name = o["metadata"]["name"]
        if kind == "DELETED":
            self.told.pop(name, None)
            return
        for parent in o.get("status", {}).get("parents", ()):
            if find_condition(parent["conditions"], "Accepted", "True", None,
                              o["metadata"]["generation"]):
                self.told.setdefault(name, time.monotonic())


def set_up(box):
    for name in ("namespaces", "account", "config-cluster"):
        with open(os.path.join(TOP, "configs", "kube", name + ".yaml")) as f:
            box.apply(EAST, f.read())
    box.apply(EAST, "{apiVersion: v1, kind: Namespace, metadata: {name: demo}}")
    box.apply(EAST, gateway() + "---\n" + service("app-v1", V1, 8080) + "---\n" +
              service("app-v2", V2, 8080))
    kubeconfig = box.account_kubeconfig(EAST, "sluice-system", "sluice")

    def edit(name, text):
        clusters = f"clusters:\n- {{name: {EAST}, kubeconfig: {kubeconfig}}}\n\n"
        return re.sub(r"(?s)^clusters:\n.*?\n\n", clusters, text, flags=re.M) \
            if name == "control.yaml" else text
    box.start_backends()
    box.load_example("canary", 1, edit)
    box.start_dataplane()
    box.start_control()
    box.wait_ready(60)
    box.condition(EAST, "gateway/gw", "Programmed", namespace="demo", timeout=60)


# -- count ------------------------------------------------------------------------------------

def wait_for(what, test, seconds):
    try:
        lab.wait_until(what, test, seconds, 0.02)
        return True
    except lab.LabError as e:
        return check(False, str(e))


def by_several(cluster, numbers, do):
    """do(Api, number) for all of them over four connections; when the last was answered."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        parts = [numbers[k::4] for k in range(4)]
        for done in [pool.submit(lambda part: [do(api, i) for api in (Api(cluster),)
                                               for i in part], part) for part in parts]:
            done.result()
    return time.monotonic()


def check_count(seen, what, want, last, writes):
    wait_for(f"attachedRoutes {want}", lambda: seen.attached == want, STATUS_SECONDS)
    took = seen.attached_at - last
    time.sleep(2)  # nothing more is written
    writes = seen.writes - writes
    say(f"{what}: attachedRoutes {want} {took:.2f} s after the last change, by {writes} writes")
    check(seen.attached == want and took <= NUMBER_SECONDS,
          f"{what}: {seen.attached} attached {took:.2f} s after the last change")
    check(0 < writes <= WRITES_MAX, f"{what}: {writes} writes of the Gateway")


def count(box, seen):
    cluster, numbers = box.kube[EAST], list(range(COUNTED))
    writes, start, cpu = seen.writes, time.monotonic(), cpu_seconds(box.control.pid)
    last = by_several(cluster, numbers, Api.create)
    say(f"{COUNTED} routes created in {last - start:.1f} s")
    check_count(seen, "created", COUNTED, last, writes)
    wait_for("every route has its status", lambda: len(seen.told) == COUNTED, STATUS_SECONDS + 5)
    took = max(seen.told.values(), default=last) - last
    check(len(seen.told) == COUNTED and took <= STATUS_SECONDS,
          f"{len(seen.told)} routes told within {took:.2f} s of the last")
    writes, start = seen.writes, time.monotonic()
    last = by_several(cluster, numbers, Api.delete)
    say(f"all statuses {took:.2f} s after the last; deleted in {last - start:.1f} s")
    check_count(seen, "deleted", 0, last, writes)
    say(f"control took {cpu_seconds(box.control.pid) - cpu:.1f} s of processor; "
        f"{turns(box)}")


# -- probe ------------------------------------------------------------------------------------

class Client:
    """One connection from the client's namespace that stays open."""

    def __init__(self, box):
        libc, here = ctypes.CDLL(None, use_errno=True), os.open("/proc/thread-self/ns/net", 0)
        there = os.open(f"/run/netns/{box.ns('client')}", 0)
        try:
            if libc.setns(there, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            sock = socket.create_connection((lab.VIP4, 80), 10)
        finally:
            libc.setns(here, CLONE_NEWNET)
            os.close(here)
            os.close(there)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.http = http.client.HTTPConnection(lab.VIP4, 80, timeout=10)
        self.http.sock = sock

    def get(self, i):
        self.http.request("GET", "/", headers={"Host": host_of(i)})
        answer = self.http.getresponse()
        return answer.status, answer.read().decode().strip()


def probe_one(api, client, i):
    """(seconds until the first 200, or None; wrong answers)"""
    wrong = [a for a in (client.get(i),) if a[0] != 404]
    api.create(i)
    start = time.monotonic()
    while time.monotonic() < start + PROBE_SECONDS:
        answer = client.get(i)
        if answer == (200, PAGES[i % 2]):
            return time.monotonic() - start, wrong
        if answer[0] != 404:
            wrong.append(answer)
        time.sleep(0.001)
    return None, wrong


def probe(box):
    api, client, took, wrong, lost = Api(box.kube[EAST]), Client(box), [], [], 0
    for i in range(PROBED):
        seconds, bad = probe_one(api, client, i)
        wrong += bad
        if seconds is None:
            lost += 1
        else:
            took.append(1000 * seconds)
    say(f"{PROBED} routes probed: first 200 after median {percentile(took, .5):.0f} ms, p99 "
        f"{percentile(took, .99):.0f} ms, max {max(took, default=0):.0f} ms; {turns(box)}")
    check(not wrong, f"{len(wrong)} wrong answers {wrong[:3]}")
    check(lost == 0, f"{lost} of {PROBED} routes not served within {PROBE_SECONDS} s")
    again = [i for i in range(PROBED) if client.get(i) != (200, PAGES[i % 2])]
    check(not again, f"every route still answers at the end; not: {again[:5]}")


# -- rest -------------------------------------------------------------------------------------

def memory(pid, field):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(rf"(?m)^{field}:\s+(\d+) kB", f.read()).group(1))


def turns(box):
    """How long the turns so far took, from control's log."""
    with open(box.control.log, errors="replace") as f:
        us = [int(n) for n in re.findall(r"errors=\d+ us=(\d+)", f.read())]
    last = sorted(us[-20:])
    return f"{len(us)} turns, of the last 20 the median {last[len(last) // 2] / 1000:.1f} ms"


def rest(box, seen):
    by_several(box.kube[EAST], list(range(PROBED, RESTING)), Api.create)
    wait_for("every route has its status", lambda: len(seen.told) == RESTING, 120)
    check(len(seen.told) == RESTING, f"{len(seen.told)} of {RESTING} routes have their status")
    time.sleep(3)
    pids = {"control": box.control.pid, "dataplane": box.dataplane.pid}
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    time.sleep(5)
    for name, pid in pids.items():
        say(f"{name} at {RESTING} routes: {memory(pid, 'VmRSS') / 1024:.0f} MiB resident, peak "
            f"{memory(pid, 'VmHWM') / 1024:.0f} MiB; at rest "
            f"{(cpu_seconds(pid) - before[name]) / 5:.1%} of a core, {cpu_seconds(pid):.1f} s in all")
    peak = memory(box.control.pid, "VmHWM")
    check(peak <= MEMORY_MAX, f"control's memory was never above 128 MiB: {peak / 1024:.0f} MiB")
    say(turns(box))


def main():
    with KubeLab(names=(EAST,)) as box:
        set_up(box)
        machine = Machine()
        seen = Seen(box.kube[EAST])
        lab.wait_until("watches", lambda: all(w.thread.is_alive() for w in seen.watches), 5)
        time.sleep(1)
        count(box, seen)
        probe(box)
        rest(box, seen)
        say(f"a sleep of 50 ms took at most {machine.longest:.2f} s more meanwhile")
    finish()


if __name__ == "__main__":
    main()
