# SPDX-License-Identifier: Apache-2.0
"""
kube_restart.py: control is killed and started again while API servers cannot be asked.

The mesh of kubectl_mesh.py, 99 to 1, under load. With us-west's API server down, then us-east's,
which has the Gateway, then both, control is killed (SIGKILL; the last time ended) and started: it is
ready in seconds, no request fails, the canary keeps its share, the clusters are called stale and
"from disk". What was deleted meanwhile is gone once the server has listed, and no status is written
that follows from what was on disk. Broken files are refused and cost nothing while the server
answers. A cluster that leaves control.yaml takes its files with it.
"""
import json
import os
import re
import signal
import time

from common import check, finish, lab, say
from kube_lab import KubeLab, find_condition
from kubectl_mesh import EAST, WEST, Load, at_last, check_share, set_up

READY = 10  # seconds: a server has three to answer; 30 s would be a start without any cache
EXTRA = """apiVersion: v1
kind: Service
metadata: {name: extra, namespace: mesh}
spec:
  selector: {app: backend-us-east}
  ports:
  - {name: http, port: 3000, targetPort: 3000}
"""


def route(name):
    return f"""---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: mesh}}
spec:
  parentRefs:
  - {{name: gw}}
  hostnames: [{name}.demo.lab]
  rules:
  - backendRefs:
    - {{name: extra, port: 3000}}
"""


def objects(box, cluster):
    return os.path.join(box.dir, "lib", "control", "objects", cluster)


def stop_control(box, sig=signal.SIGKILL):
    box.control.stop(sig)
    box.procs.remove(box.control)


def start_control(box, what):
    start = time.monotonic()
    box.start_control()
    box.wait_ready(60)
    took = time.monotonic() - start
    check(took <= READY, f"{what}: ready after {took:.1f} s")
    say(f"{what}: ready after {took:.1f} s")


def state(box, cluster):
    return box.get(f"/api/v1/clusters/{cluster}")["state"]


def metric(box, name):
    """The sample with these labels, as it is written."""
    text = box.get("/metrics", code=True)[1]
    found = re.search(rf"(?m)^{re.escape(name)} (\S+)$", text)
    return float(found.group(1)) if found else None


def check_from_disk(box, cluster, what):
    st = state(box, cluster)
    kinds = {k["kind"]: k for k in st["kinds"]}
    check(st["takesPart"] and st["fromDisk"] and st["stale"] and st["staleSeconds"] < 600,
          f"{what}: {cluster} takes part, from disk, {st['staleSeconds']} s old")
    check(kinds["EndpointSlice"]["fromDisk"] and kinds["EndpointSlice"]["state"] == "stale" and
          kinds["EndpointSlice"]["objects"] > 0,
          f"{what}: {cluster}'s EndpointSlices are stale, from disk")
    check(metric(box, f'sluice_source_from_disk{{cluster="{cluster}",kind="Service"}}') == 1,
          f"{what}: the metric says so")
    line = [x for x in box.ctl("cluster").splitlines() if x.startswith(cluster + " ")]
    check(line and "from disk" in line[0], f"{what}: sluicectl says so: {line}")


def wait_listed(box, cluster):
    def listed(kinds):
        return kinds["Service"]["state"] == "synced" and all(
            k["state"] in ("synced", "absent") and not k["fromDisk"] for k in kinds.values())
    box.wait_kinds(cluster, listed, "listed anew", 120)
    check(not state(box, cluster)["fromDisk"], f"{cluster}: nothing is from disk any more")


def saved(box, cluster, plural, *names):
    """The file of that kind holds them."""
    with open(os.path.join(objects(box, cluster), plural), errors="replace") as f:
        text = f.read()
    return all(f'"{n}"' in text for n in names)


def answers(box, name):
    return box.curl("/", f"{name}.demo.lab", check=False)[0]


def west_down(box):
    with Load(box, "us-west down") as load:
        box.api_stop(WEST)
        stop_control(box)
        start_control(box, "us-west down")
        check_from_disk(box, WEST, "us-west down")
        check(not state(box, EAST)["fromDisk"], "us-east is not from disk")
        check_share(box, "us-west down, control killed")
        box.api_start(WEST)
        wait_listed(box, WEST)
        check_share(box, "us-west up again")
    load.all_ok()


def versions_since(box, name, rv):
    """Every version of an HTTPRoute of us-east since that resourceVersion."""
    path = (f"/apis/gateway.networking.k8s.io/v1/namespaces/mesh/httproutes?watch=1&timeoutSeconds=2"
            f"&resourceVersion={rv}&fieldSelector=metadata.name%3D{name}")
    out = box.kubectl(EAST, "get", "--raw", path)
    return [json.loads(line)["object"] for line in out.splitlines()]


def resolved(o):
    for parent in o.get("status", {}).get("parents", ()):
        for status in ("True", "False"):
            if find_condition(parent["conditions"], "ResolvedRefs", status):
                return status
    return None


def east_down(box):
    """While control is dead a route goes, and the Service of another, whose status is wiped."""
    box.apply(EAST, EXTRA + route("gone") + route("stays"))
    for name in ("gone", "stays"):
        box.parent_condition(EAST, f"httproute/{name}", "ResolvedRefs", namespace="mesh")
        lab.wait_until(f"{name} answers", lambda: answers(box, name) == 200, 10)
    with Load(box, "us-east down") as load:
        lab.wait_until("both routes and the Service are on disk", lambda: saved(
            box, EAST, "httproutes", "gone", "stays") and saved(box, EAST, "services", "extra"), 30)
        stop_control(box)
        box.remove(EAST, route("gone"))
        box.remove(EAST, EXTRA)
        box.kubectl(EAST, "-n", "mesh", "patch", "httproute/stays", "--subresource=status",
                    "--type=merge", "-p", '{"status": {"parents": []}}')
        box.api_stop(EAST)
        start_control(box, "us-east down")
        check_from_disk(box, EAST, "us-east down")
        check_share(box, "us-east down, control killed")
        check(answers(box, "gone") == 200 and answers(box, "stays") == 200,
              "us-east down: what was there last is served")
        box.wire(EAST).refuse()
        box.api_start(EAST)
        rv = box.resource_version(EAST)  # older ones are not told after a restart
        box.wire(EAST).heal()
        wait_listed(box, EAST)
        lab.wait_until("the route that was deleted is gone",
                       lambda: answers(box, "gone") == 404, 10)
        lab.wait_until("a Service that was deleted is gone",
                       lambda: answers(box, "stays") == 500, 10)
        box.parent_condition(EAST, "httproute/stays", "ResolvedRefs", "False", namespace="mesh")
        time.sleep(2)
        said = [resolved(o) for o in versions_since(box, "stays", rv)]
        check("True" not in said and "False" in said,
              f"no status was written from what was on disk: {said}")
        check_share(box, "us-east up again")
    load.all_ok()


def both_down(box):
    with Load(box, "both down") as load:
        box.api_stop(WEST)
        box.api_stop(EAST)
        stop_control(box, signal.SIGTERM)
        start_control(box, "both down")
        for cluster in (EAST, WEST):
            check_from_disk(box, cluster, "both down")
        check_share(box, "both down, control ended and started")
        for cluster in (EAST, WEST):
            box.api_start(cluster)
            wait_listed(box, cluster)
        check_share(box, "both up again")
    load.all_ok()


def broken_files(box):
    with Load(box, "broken files") as load:
        stop_control(box, signal.SIGTERM)
        folder = objects(box, WEST)
        os.truncate(os.path.join(folder, "endpointslices"), 200)
        with open(os.path.join(folder, "services"), "r+b") as f:
            f.seek(100)
            f.write(b"#")
        os.truncate(os.path.join(folder, "namespaces"), (256 << 20) + 1)
        start_control(box, "broken files")
        for reason in ("truncated", "corrupt", "too_large"):
            check(metric(box, f'sluice_cache_refused_total{{reason="{reason}"}}') == 1,
                  f"broken files: one is refused as {reason}")
        wait_listed(box, WEST)
        check_share(box, "broken files, refused")

        def replaced():
            sizes = {n: os.path.getsize(os.path.join(folder, n)) for n in os.listdir(folder)}
            return 200 < sizes["endpointslices"] and sizes["namespaces"] < 1 << 20 and sizes
        sizes = lab.wait_until("they are replaced", replaced, 30)
        check(True, f"broken files: they were replaced: {sizes}")
    load.all_ok()


def cluster_removed(box):
    """Its files go with it; no file of ours holds a key or is for others to read."""
    modes = {oct(os.stat(os.path.join(objects(box, c), n)).st_mode & 0o777)
             for c in (EAST, WEST) for n in os.listdir(objects(box, c))}
    check(modes == {"0o600"}, f"files are 0600: {modes}")
    check(not os.path.exists(os.path.join(objects(box, EAST), "secrets")), "no Secrets on disk")
    path = os.path.join(box.conf, "control.yaml")
    with open(path) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(re.sub(rf"(?m)^- {{name: {WEST},.*\n", "", text))
    box.control.kill(signal.SIGHUP)
    lab.wait_until("us-west's files are gone", lambda: not os.path.exists(objects(box, WEST)), 10)
    check(os.path.exists(objects(box, EAST)), "us-east's files stay")


def main():
    with KubeLab() as box:
        box.v6, box.workers = False, 2
        box.kubectl(EAST, "create", "namespace", "sluice-system")  # of the Lease
        set_up(box, 2)
        check_share(box, "99 to 1")
        for step in (west_down, east_down, both_down, broken_files, cluster_removed):
            took = time.monotonic()
            at_last(step, box)
            say(f"{step.__name__}: {time.monotonic() - took:.1f} s")
    finish()


main()
