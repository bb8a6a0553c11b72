# SPDX-License-Identifier: Apache-2.0
"""
server_answers.py: control against an API server of our own that says what a test wants it to: writes
that meet a newer object, that are not allowed, that fail for a while or come too fast; clusters that
come and go; remote clusters while the client is opened anew, and while control is; kinds that appear
and vanish.
"""
import base64
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from common import check, finish, lab, say
from kube_fake import CALICO, GATEWAY, Fake
from kube_server import Certificates
from same_objects import BUILD, Control, until

NAME = "fake"
CONTROLLER = "gateway.sluice.internal/controller"
ROUTES = [f"r{i}" for i in range(4)]


def kubeconfig(certs, port, inline=False):
    if inline:
        with open(certs.ca, "rb") as f:
            ca = f"certificate-authority-data: {base64.b64encode(f.read()).decode()}"
    else:
        ca = f"certificate-authority: {certs.ca}"
    return (f"apiVersion: v1\nkind: Config\ncurrent-context: c\n"
            f"contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n"
            f"clusters: [{{name: k, cluster: {{server: 'https://127.0.0.1:{port}', {ca}}}}}]\n"
            f"users: [{{name: u, user: {{token: secret}}}}]\n")


def own(path, text=None):
    """Readable by whom control becomes."""
    if text is not None:
        with open(path, "w") as f:
            f.write(text)
    shutil.chown(path, lab.service_user())
    return path


def fill(api, routes=ROUTES):
    """A class, a Gateway, and routes to it."""
    for ns in ("demo", "sluice-system", "tigera-gateway"):
        api.put("namespaces", ns)
    api.put("gatewayclasses", "sluice", spec={"controllerName": CONTROLLER})
    api.put("gateways", "gw", "demo", spec={"gatewayClassName": "sluice", "listeners": [
        {"name": "http", "protocol": "HTTP", "port": 80}]})
    for name in routes:
        api.put("httproutes", name, "demo", spec={"parentRefs": [{"name": "gw"}],
                                                  "hostnames": [f"{name}.demo.lab"]})


def said(api, name, plural="httproutes", ns="demo"):
    """Our status speaks about the object's newest generation."""
    o = api.get(plural, name, ns) or {"metadata": {}}
    parents = o.get("status", {}).get("parents", [])
    conditions = [c for p in parents for c in p["conditions"]] or \
        o.get("status", {}).get("conditions", [])
    return bool(conditions) and all(
        c["observedGeneration"] == o["metadata"]["generation"] for c in conditions)


def edit(api, name, **spec):
    o = api.get("httproutes", name, "demo")
    api.put("httproutes", name, "demo", spec={**o["spec"], **spec})


def log(c):
    with open(c.log) as f:
        return f.read()


def counter(c, name, cluster=NAME):
    m = re.search(rf'(?m)^sluice_status_{name}_total{{cluster="{cluster}"}} (\d+)',
                  c.text("/metrics"))
    return int(m[1]) if m else 0


# -- what a write is answered -------------------------------------------------------------------

def conflict(api, c):
    """409: somebody wrote in between. Read again, written once more, and his words stay."""
    api.edits = 1

    def refuse(r):
        if r.method == "PATCH" and r.plural == "httproutes" and r.name == "r0" and api.edits:
            api.edits -= 1
            o = api.get("httproutes", "r0", "demo")
            theirs = {"parentRef": {"name": "else"}, "controllerName": "example.com/them",
                      "conditions": []}
            api.put("httproutes", "r0", "demo", spec=o["spec"],
                    status={"parents": [theirs] + o["status"]["parents"]})
    before, conflicts = api.count_writes("httproutes", "r0", 200), counter(c, "conflicts")
    api.refuse = refuse
    edit(api, "r0", hostnames=["conflict.demo.lab"])
    until("409: written all the same", lambda: said(api, "r0"), 10)
    time.sleep(0.5)
    check(api.count_writes("httproutes", "r0", 409) == 1 and
          api.count_writes("httproutes", "r0", 200) == before + 1,
          "409: read again and written once more, no oftener")
    check(counter(c, "conflicts") == conflicts + 1, "409: counted")
    owners = [p["controllerName"] for p in api.get("httproutes", "r0", "demo")["status"]["parents"]]
    check(owners == ["example.com/them", CONTROLLER], f"409: what came between stays: {owners}")


def conflict_for_long(api, c):
    """409 to every try: each waits longer than the one before."""
    times = []

    def refuse(r):
        if r.method == "PATCH" and r.name == "r0":
            times.append(time.monotonic())
            return 409
        return None
    api.refuse = refuse
    edit(api, "r0", hostnames=["stubborn.demo.lab"])
    time.sleep(3)
    check(3 <= len(times) <= 12, f"409 for 3 s: tried {len(times)} times")
    api.refuse = lambda r: None
    until("409 no more: written in the end", lambda: said(api, "r0"), 15)


def denied(api, c):
    """403: said once, asked again ever more seldom, and other kinds go on."""
    api.refuse = lambda r: 403 if r.method == "PATCH" and r.plural == "httproutes" else None
    for name in ("r1", "r2"):
        edit(api, name, hostnames=[f"denied-{name}.demo.lab"])
    api.put("gateways", "gw2", "demo", spec={"gatewayClassName": "sluice", "listeners": [
        {"name": "http", "protocol": "HTTP", "port": 8080}]})
    until("403: others are written", lambda: said(api, "gw2", "gateways"), 10)
    until("403: both are tried", lambda: counter(c, "denied") >= 2, 10)
    time.sleep(3)
    tries = [api.count_writes("httproutes", n, 403) for n in ("r1", "r2")]
    check(max(tries) <= 2, f"403: tried {tries} times within 3 s")
    lines = [x for x in log(c).splitlines() if "may not write" in x]
    check(len(lines) == 1 and "kind=HTTPRoute" in lines[0] and "configs/kube" in lines[0],
          f"403: said once for the kind: {lines}")
    for i in range(12):
        edit(api, f"r{i % 4}", hostnames=[f"denied-{i}.demo.lab"])
        time.sleep(1.5)
    api.refuse = lambda r: None
    began = time.monotonic()
    until("403 no more: all are written soon, as one got through",
          lambda: all(said(api, f"r{i}") for i in range(4)), 18)
    say(f"403 for 20 s: all written {time.monotonic() - began:.1f} s after it was over")


def failing(api, c):
    """5xx: backed off, and written in the end; others are not held up."""
    times = []

    def refuse(r):
        if r.method == "PATCH" and r.name == "r3":
            times.append(time.monotonic())
            return 503 if len(times) % 2 else 500
        return None
    api.refuse = refuse
    edit(api, "r3", hostnames=["failing.demo.lab"])
    edit(api, "r0", hostnames=["healthy.demo.lab"])
    until("5xx: others are written", lambda: said(api, "r0"), 10)
    until("5xx: tried again", lambda: len(times) >= 3, 40)
    gaps = [b - a for a, b in zip(times, times[1:])]
    check(min(gaps) > 0.3, f"5xx: backed off, {[round(g, 1) for g in gaps]} s between tries")
    failed = counter(c, "failed")
    api.refuse = lambda r: None
    until("5xx no more: written in the end", lambda: said(api, "r3"), 45)
    check(failed >= 2, f"5xx: counted {failed} times")


def too_fast(api, c):
    """429 with Retry-After: waited out, nothing is lost and nothing is said of it."""
    times, failed = [], counter(c, "failed")

    def refuse(r):
        if r.method == "PATCH" and r.name == "r1":
            times.append(time.monotonic())
            if len(times) <= 2:
                return 429, "Retry-After: 1\r\n"
        return None
    api.refuse = refuse
    edit(api, "r1", hostnames=["fast.demo.lab"])
    until("429: written after what Retry-After says", lambda: said(api, "r1"), 20)
    gaps = [round(b - a, 1) for a, b in zip(times, times[1:])]
    check(len(times) == 3 and min(gaps) >= 0.9, f"429: {gaps} s between tries")
    check(counter(c, "failed") == failed, "429: no failure is counted")
    api.refuse = lambda r: None


def not_valid(api, c):
    """422: said with its reason, not repeated at once; the next edit is written."""
    api.refuse = lambda r: 422 if r.method == "PATCH" and r.name == "r2" else None
    edit(api, "r2", hostnames=["invalid.demo.lab"])
    until("422: counted", lambda: counter(c, "refused") == 1, 10)
    time.sleep(2)
    check(api.count_writes("httproutes", "r2", 422) == 1, "422: not tried again by itself")
    check("object=demo/r2 status=422" in log(c), "422: the log names the object")
    api.refuse = lambda r: None
    edit(api, "r2", hostnames=["valid.demo.lab"])
    until("422 no more: the next edit is written at once", lambda: said(api, "r2"), 5)


def not_served(api, c):
    """404 of an object that is there: a server that starts has not found its definitions yet."""
    times = []

    def refuse(r):
        if r.method == "PATCH" and r.name == "r1":
            times.append(time.monotonic())
            return 404 if len(times) <= 2 else None
        return None
    api.refuse = refuse
    edit(api, "r1", hostnames=["served.demo.lab"])
    until("404 no more: written", lambda: said(api, "r1"), 15)
    check(len(times) == 3, f"404: tried {len(times)} times")
    api.refuse = lambda r: None


def late_answer(api, c):
    """A status that is on its way when its Gateway goes is taken back, though no object changes."""
    asked = []

    def slow(r):
        if r.method == "PATCH" and r.name == "late":
            asked.append(r)
            time.sleep(3)
    api.put("gateways", "brief", "demo", spec={"gatewayClassName": "sluice", "listeners": [
        {"name": "http", "protocol": "HTTP", "port": 8081}]})
    until("late: its Gateway has its status", lambda: said(api, "brief", "gateways"), 10)
    api.refuse = slow
    api.put("httproutes", "late", "demo", spec={"parentRefs": [{"name": "brief"}],
                                                "hostnames": ["late.demo.lab"]})
    until("late: its status is on its way", lambda: asked, 10)
    api.delete("gateways", "brief", "demo")
    until("late: the status was written", lambda: api.count_writes("httproutes", "late", 200), 10)
    until("late: and taken back", lambda: api.get("httproutes", "late", "demo")["status"][
        "parents"] == [], 10)
    api.refuse = lambda r: None
    api.delete("httproutes", "late", "demo")


# -- clusters -----------------------------------------------------------------------------------

def tags(api, c):
    """If-Match speaks of what is edited, and not of counters that move by themselves."""
    def ask(*argv):
        return subprocess.run(["curl", "-s", "-i", "--max-time", "10", "--unix-socket", c.socket,
                               *argv, f"http://c/api/v1/clusters/{NAME}"], text=True,
                              capture_output=True).stdout

    def tag():
        return re.search(r'(?mi)^etag: (".*")', ask())[1]

    def patch(tag_, weight):
        out = ask("-X", "PATCH", "-H", f"If-Match: {tag_}", "-H",
                  "Content-Type: application/merge-patch+json", "-d", json.dumps({"weight": weight}))
        return int(out.split(" ")[1])
    first, writes = tag(), c.cluster(NAME)["state"]["writer"]["writes"]
    edit(api, "r0", hostnames=["tag.demo.lab"])
    until("its state moves", lambda: c.cluster(NAME)["state"]["writer"]["writes"] > writes, 10)
    check(tag() == first, "a tag stands while only the state moves")
    check(patch(first, 90) == 200, "and is good to edit with")
    check(tag() != first and patch(first, 80) == 412, "but once: then it is 412")
    check(patch(tag(), 100) == 200, "until it is read anew")


def come_and_go(api, c, config):
    """70 names, ten at a time, each with a status to write."""
    def all_write(names):
        have = {i["name"] for i in c.get("/api/v1/clusters").get("items", [])
                if i["state"].get("writer")}
        return have >= set(names)
    for i in range(0, 70, 10):
        names = [f"c{n}" for n in range(i, i + 10)]
        for name in names:
            c.ctl("cluster", "add", name, "--kubeconfig", config)
        until(f"{names[0]} to {names[-1]} have writers", lambda: all_write(names), 60)
        for name in names:
            c.ctl("cluster", "remove", name)
    check(c.p.poll() is None, "all came and went, control is alive")
    until("of those that went nothing is left in the metrics",
          lambda: set(re.findall(r'sluice_status_leader{cluster="(\w+)"', c.text("/metrics"))) ==
          {NAME}, 10)


def remote(api, c, certs, config):
    """RemoteClusterConfigurations while the config cluster's client is opened anew."""
    far = Fake(certs)
    far.put("namespaces", "demo")

    def secret():
        text = kubeconfig(certs, far.port, inline=True)
        api.put("secrets", "far", "federation", type="Opaque", data={
            k: base64.b64encode(v.encode()).decode()
            for k, v in (("kubeconfig", text), ("datastoreType", "kubernetes"))})
    api.define("remoteclusterconfigurations")
    secret()
    spec = {"clusterAccessSecret": {"kind": "Secret", "namespace": "federation", "name": "far"}}
    api.put("remoteclusterconfigurations", "far", spec=spec)
    until("a kind that appears is noticed within seconds, its remote cluster takes part",
          lambda: c.cluster("far").get("state", {}).get("takesPart"), 10)

    def slow(r):
        if r.plural == "secrets" and "metadata.name" in r.query.get("fieldSelector", ""):
            time.sleep(1.5)
    api.refuse = slow
    relists = counter_of_log(c, "cluster=far msg=\"removed\"")
    own(config, kubeconfig(certs, api.port) + "# anew\n")
    c.p.send_signal(signal.SIGHUP)
    time.sleep(0.7)
    api.put("remoteclusterconfigurations", "far", spec=spec, metadata={"labels": {"a": "b"}})
    time.sleep(3)
    check(counter_of_log(c, "cluster=far msg=\"removed\"") == relists and
          c.cluster("far").get("state", {}).get("takesPart"),
          "the client opened anew, the Secret late, an edit before it: the remote cluster stays")
    api.refuse = lambda r: None
    far.put("namespaces", "news")
    until("and is watched", lambda: c.kind("far", "Namespace").get("objects") == 2, 10)
    api.delete("secrets", "far", "federation")
    time.sleep(1)
    secret()
    time.sleep(1)
    check(counter_of_log(c, "cluster=far msg=\"removed\"") == relists,
          "a Secret that is written anew removes nothing")
    api.delete("secrets", "far", "federation")
    until("one that is gone for good removes it", lambda: c.cluster("far").get("status") == 404, 20)
    secret()
    until("and brings it back", lambda: c.cluster("far").get("state", {}).get("takesPart"), 10)
    api.delete("remoteclusterconfigurations", "far")
    until("so does the object", lambda: c.cluster("far").get("status") == 404, 10)
    far.close()


def killed(api, c):
    """Killed right after a change was planned, while the server goes away: the change is not lost."""
    time.sleep(2.6)  # until what was before is on disk
    edit(api, "r0", rules=[{"matches": [{"path": {"type": "PathPrefix", "value": "/killed"}}]}])
    gone = api.get("httproutes", "r1", "demo")
    api.delete("httproutes", "r1", "demo")

    def planned():
        text = c.text("/api/v1/config")
        return '"/killed"' in text and '"demo/r1"' not in text
    end = time.monotonic() + 20
    while not planned() and time.monotonic() < end:
        time.sleep(0.02)
    c.p.kill()
    c.p.wait()
    api.refuse = lambda r: 503
    c.start()
    until("killed: it takes part as it was on disk",
          lambda: c.cluster(NAME).get("state", {}).get("fromDisk") and planned(), 20)
    check(counter_of_log(c, "msg=\"takes part as it was on disk\"") == 1 and planned(),
          "killed: nothing older than what was published comes back")
    api.refuse = lambda r: None
    api.put("httproutes", "r1", "demo", spec=gone["spec"])
    until("killed: the server is back", lambda: not c.cluster(NAME)["state"]["fromDisk"] and
          said(api, "r1"), 60)


def remembered(api, c, certs):
    """Control is killed, and the config cluster, which has the Secret, does not answer when it is back."""
    far = Fake(certs)
    far.put("namespaces", "demo")
    text = kubeconfig(certs, far.port, inline=True)
    api.put("secrets", "far", "federation", type="Opaque", data={
        "kubeconfig": base64.b64encode(text.encode()).decode()})
    spec = {"clusterAccessSecret": {"kind": "Secret", "namespace": "federation", "name": "far"}}
    api.put("remoteclusterconfigurations", "far", spec=spec)
    until("a remote cluster takes part", lambda: c.cluster("far").get("state", {}).get("takesPart"),
          10)
    time.sleep(2.6)  # until it is on disk
    c.p.kill()
    c.p.wait()
    removed = counter_of_log(c, "cluster=far msg=\"removed\"")
    api.refuse = lambda r: 503
    c.start()

    def state(name):
        return c.cluster(name).get("state", {})
    until("both take part as they were on disk", lambda: all(
        state(n).get("takesPart") and state(n).get("fromDisk") for n in (NAME, "far")), 15)
    check("not known yet" in state("far")["error"], f"it is said why: {state('far')['error']}")
    leases = api.count_writes("leases")
    time.sleep(1)
    check(api.count_writes("leases") == leases, "nobody tries to write to a cluster from disk")
    api.refuse = lambda r: None
    until("its Secret read, it is watched", lambda: state("far").get("connected") and
          not state("far").get("fromDisk") and c.kind("far", "Namespace").get("objects") == 1, 60)
    until("and nothing is from disk", lambda: not state(NAME).get("fromDisk"), 30)
    check(counter_of_log(c, "cluster=far msg=\"removed\"") == removed, "it was never removed")
    with open(os.path.join(c.dir, "state", "objects", NAME, "remoteclusterconfigurations")) as f:
        check("token" not in f.read(), "no credential on disk")
    api.delete("remoteclusterconfigurations", "far")
    until("it goes with its object, its files with it", lambda: c.cluster("far").get("status") == 404
          and not os.path.exists(os.path.join(c.dir, "state", "objects", "far")), 10)
    far.close()


def counter_of_log(c, text):
    return log(c).count(text)


def definitions(api, c):
    """A definition that goes takes its objects with it when the server says so, else they stay."""
    def routes():
        return sum(r.get("cluster") == NAME for r in [
            o for o in c.get("/api/v1/status")["items"] if o["kind"] == "HTTPRoute"])
    begin = time.monotonic()
    api.define("backendtlspolicies")
    until("a kind that is defined is watched within seconds",
          lambda: c.kind(NAME, "BackendTLSPolicy").get("state") == "synced", 10)
    say(f"seen {time.monotonic() - begin:.1f} s after its definition")
    api.undefine("backendtlspolicies")
    until("and absent within seconds once it is not",
          lambda: c.kind(NAME, "BackendTLSPolicy").get("state") == "absent", 15)
    have = routes()
    check(have == len(ROUTES), f"{have} routes before")
    api.undefine("httproutes", say=False)
    until("a kind that only vanishes keeps its objects",
          lambda: c.kind(NAME, "HTTPRoute").get("kept"), 30)
    check(routes() == have, "they are served as before")
    api.define("httproutes")
    fill(api)
    until("back again", lambda: c.kind(NAME, "HTTPRoute").get("state") == "synced" and
          not c.kind(NAME, "HTTPRoute")["kept"] and routes() == have, 30)
    api.undefine("httproutes")
    until("objects that the server deletes with their definition are gone", lambda: routes() == 0, 10)
    until("and the kind is absent", lambda: c.kind(NAME, "HTTPRoute").get("state") == "absent", 30)
    api.define("httproutes")


def main():
    folder = tempfile.mkdtemp(prefix="sluice-answers-")
    os.chmod(folder, 0o755)
    certs = Certificates(folder)
    own(certs.ca)
    api, control = Fake(certs), None
    try:
        fill(api)
        api.define("gateways")  # the definition that tells the release
        config = own(os.path.join(folder, "fake.kubeconfig"), kubeconfig(certs, api.port))
        control = c = Control(folder, "control", [{"name": NAME, "kubeconfig": config}])
        until("statuses are written", lambda: all(said(api, r) for r in ROUTES), 30)
        for step in (conflict, conflict_for_long, denied, failing, too_fast, not_valid,
                     not_served, late_answer, tags):
            took = time.monotonic()
            step(api, c)
            say(f"{step.__name__}: {time.monotonic() - took:.1f} s")
        killed(api, c)
        remote(api, c, certs, config)
        remembered(api, c, certs)
        definitions(api, c)
        come_and_go(api, c, config)
        check(c.stop() == 0, "control ends without a leak")
        control = None
        check("Sanitizer" not in log(c) and "runtime error" not in log(c),
              "nothing for the sanitizers")
    finally:
        if control is not None:
            control.p.kill()
            print("".join(open(control.log).readlines()[-30:]))
        api.close()
        shutil.rmtree(folder, ignore_errors=True)
    finish()


if __name__ == "__main__":
    main()
