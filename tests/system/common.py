# SPDX-License-Identifier: Apache-2.0
"""
common.py: what the system tests share: checks that are printed one by one, and manifests for one
Gateway with any routes. Lines that start with "# " are shown by scripts/test also when all is well.
"""
import hashlib
import os
import re
import shutil
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "scripts", "lib"))
import lab  # noqa: E402,F401

LONG = "--long" in sys.argv

_failures = []


def check(ok, what):
    print(f"{'ok  ' if ok else 'FAIL'}  {what}", flush=True)
    if not ok:
        _failures.append(what)
    return ok


def say(what):
    """A line for people, shown in the short report too."""
    print(f"# {what}", flush=True)


class Clock(threading.Thread):
    """Knows for how long this process, which has nothing to do with the gateway, did not run."""

    def __init__(self):
        super().__init__(daemon=True)
        self.stop, self.longest, self.lost = threading.Event(), 0.0, 0.0  # lost: all in all
        self.start()

    def run(self):
        last = time.monotonic()
        while not self.stop.wait(0.1):
            now = time.monotonic()
            self.longest = max(self.longest, now - last)
            self.lost += max(0.0, now - last - 0.2)
            last = now


def finish():
    if _failures:
        print(f"{len(_failures)} checks failed")
    sys.exit(1 if _failures else 0)


def gateway(port=80, name="gw"):
    return f"""apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: sluice}}
spec: {{controllerName: gateway.sluice.internal/controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: demo}}
spec:
  gatewayClassName: sluice
  addresses:
  - {{type: IPAddress, value: {lab.VIP4}}}
  - {{type: IPAddress, value: '{lab.VIP6}'}}
  listeners:
  - {{name: http, protocol: HTTP, port: {port}}}
"""


def service(name, addresses, port, v6=()):
    """A Service of one port and its EndpointSlices (IPv4, and IPv6 when given)."""
    out = f"""apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: demo}}
spec:
  ports:
  - {{name: http, port: 80, targetPort: {port}}}
"""
    for family, addrs in (("IPv4", addresses), ("IPv6", v6)):
        if not addrs:
            continue
        out += f"""---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-{family.lower()}
  namespace: demo
  labels: {{kubernetes.io/service-name: {name}}}
addressType: {family}
ports:
- {{name: http, port: {port}, protocol: TCP}}
endpoints:
""" + "".join(f"- addresses: ['{a}']\n  conditions: {{ready: true}}\n" for a in addrs)
    return out


def route(name, backends, host=None, path="/", gateway_name="gw"):
    """An HTTPRoute of one rule; backends: [(service, weight)]."""
    hosts = f"  hostnames: ['{host}']\n" if host else ""
    refs = "".join(f"    - {{name: {svc}, port: 80, weight: {w}}}\n" for svc, w in backends)
    return f"""apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: demo}}
spec:
  parentRefs:
  - {{name: {gateway_name}}}
{hosts}  rules:
  - matches:
    - path: {{type: PathPrefix, value: '{path}'}}
    backendRefs:
{refs}"""


def load_manifests(box, files, workers=1, edit=None):
    """The canary example's programs' configuration with these manifests in cluster us-east."""
    box.load_example("canary", workers, edit)
    for cluster in os.listdir(os.path.join(box.conf, "clusters")):
        folder = os.path.join(box.conf, "clusters", cluster)
        shutil.rmtree(folder)
        os.makedirs(folder)
    for name, text in files.items():
        with open(box.manifest("us-east", name), "w") as f:
            f.write(text)


V1 = ["10.203.0.11", "10.203.0.12"]  # pods of lab.py that answer "App Version 1"
V2 = ["10.203.0.21"]


def route_app(w1, w2):
    return route("app", [("app-v1", w1), ("app-v2", w2)], host="app.demo.lab")


def start_app(box, workers, edit=None):
    """Everything, until ready: one Gateway, app.demo.lab 80/20 between app-v1 and app-v2."""
    box.start_backends()
    load_manifests(box, {
        "gw.yaml": gateway(), "route.yaml": route_app(80, 20),
        "v1.yaml": service("app-v1", V1, 8080), "v2.yaml": service("app-v2", V2, 8080)},
        workers, edit)
    box.start_dataplane()
    box.start_control()
    box.wait_ready()


def put_manifest(box, name, text):
    """Writes or replaces a manifest by rename; text None removes it. Returns the time before."""
    path = box.manifest("us-east", name)
    if text is None:
        start = time.monotonic()
        os.unlink(path)
        return start
    return box.edit_manifest(path, lambda _: text) if os.path.exists(path) else _create(path, text)


def _create(path, text):
    tmp = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.tmp")
    with open(tmp, "w") as f:
        f.write(text)
    start = time.monotonic()
    os.rename(tmp, path)
    return start


def counters(box):
    """All counters as one flat dictionary name -> sum over workers."""
    flat = {}

    def walk(prefix, node):
        for key, value in node.items():
            if isinstance(value, dict):
                walk(f"{prefix}{key}.", value)
            elif isinstance(value, (int, float)):
                flat[f"{prefix}{key}"] = flat.get(f"{prefix}{key}", 0) + value
    walk("", box.get("/api/v1/counters"))
    return flat


def in_use(box):
    """What is still in use although nobody is connected: names and values that should be zero."""
    use = {k: v for k, v in counters(box).items() if ".usage." in k}
    if len(use) < 5:
        return {"no counters of use": use}
    left = {}
    for name, value in use.items():
        stem, _, leaf = name.rpartition(".")
        idle = use.get(f"{stem}.up_idle", 0)
        if leaf in ("up_idle", "free") or "high_water" in leaf:
            continue  # pooled connections to backends rest; free is compared by at_rest()
        if leaf == "up":
            value -= idle
        elif leaf == "conns":
            value -= use.get(f"{stem.rpartition('.')[0]}.http.up_idle", 0)
        if value != 0:
            left[name] = value
    return left


def packets_free(box):
    return sum(v for k, v in counters(box).items() if k.endswith("packets.free"))


def at_rest(box, free_before, timeout=40):
    """Waits for every pool to come back; says what did not."""
    def rest():
        return not in_use(box) and packets_free(box) >= free_before
    try:
        lab.wait_until("rest", rest, timeout, 0.5)
    except lab.LabError:
        pass
    left, free = in_use(box), packets_free(box)
    check(not left, f"nothing is left in use: {left}")
    check(free >= free_before, f"every packet buffer is back: {free} of {free_before}")


def cpu_seconds(pid):
    """User plus system time of a process so far."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def file_of(path, size, seed=1):
    """A file of pseudo-random bytes; returns its SHA-256."""
    block = hashlib.shake_128(str(seed).encode()).digest(1 << 20)
    h = hashlib.sha256()
    with open(path, "wb") as f:
        left, n = size, 0
        while left > 0:
            part = (n.to_bytes(8, "big") + block[8:])[:left]
            f.write(part)
            h.update(part)
            left -= len(part)
            n += 1
    return h.hexdigest()


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p))] if values else float("nan")


def weights(text, new):
    """Replaces the weights of a manifest's backendRefs, in order."""
    it = iter(new)
    return re.sub(r"weight: \d+", lambda _: f"weight: {next(it)}", text)
