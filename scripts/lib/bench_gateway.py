# SPDX-License-Identifier: Apache-2.0
"""
bench_gateway.py: the gateway as the benchmark runs it: sluice-dataplane on core 1 and the real
sluice-control on core 0 with a directory of manifests like a user's; nothing is patched or preset.
"""
import os

import lab
from bench_machine import BenchError, Process, children

HOST = "app.bench.lab"
NAMES = 100  # HTTPRoute objects in one file

GATEWAY_YAML = """name: dp0
ports:
{ports}
sources: [{sources}]
workers:
  count: {workers}
  cpus: [{cpus}]
poll: {poll}
profileStages: {profile}
control:
  url: ipc://{dir}/run/dp0.ipc
stateDirectory: {dir}/lib/dp0
memory:
  hugepages: {hugepages}
  packets: {packets}
limits:
  connections: {connections}
  connectionsPerSource: 0
  upstreamConnections: 16384
  requests: 32768
  timeWait: {timewait}
logLevel: warn
drainTimeout: 0s
timeWaitTime: 60s
"""

CONTROL_YAML = """clusters:
- name: bench
  directory: {dir}/manifests
dataplanes:
- name: dp0
  url: ipc://{dir}/run/dp0.ipc
api:
  socket: {dir}/run/control.sock
stateDirectory: {dir}/lib/control
timeouts:
  idle: 300s  # a million connections are opened and counted before the first of them is closed
logLevel: warn
"""

GATEWAY = """apiVersion: v1
kind: Namespace
metadata: {{name: bench}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: sluice}}
spec: {{controllerName: gateway.sluice.internal/controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: bench}}
spec:
  gatewayClassName: sluice
  addresses:
  - {{type: IPAddress, value: {vip}}}
  listeners:
  - {{name: http, protocol: HTTP, port: 80}}
---
apiVersion: v1
kind: Service
metadata: {{name: app, namespace: bench}}
spec:
  ports:
  - {{name: http, port: 80, targetPort: {port}}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: app-1
  namespace: bench
  labels: {{kubernetes.io/service-name: app}}
addressType: IPv4
ports:
- {{name: http, port: {port}, protocol: TCP}}
endpoints:
{endpoints}"""

ROUTE = """---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: app-{n:04d}, namespace: bench}}
spec:
  parentRefs:
  - {{name: gw}}
  hostnames: [{host}]
  rules:
  - matches:
    - path: {{type: PathPrefix, value: /r{n:04d}}}
    backendRefs:
    - {{name: app, port: 80}}
"""


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def write_manifests(folder, vip, backends, port, routes):
    """One HTTPRoute per route, as teams write them; a hundred of them to a file."""
    os.makedirs(folder, exist_ok=True)
    endpoints = "".join(f"- addresses: ['{a}']\n  conditions: {{ready: true}}\n" for a in backends)
    write(os.path.join(folder, "gateway.yaml"),
          GATEWAY.format(vip=vip, port=port, endpoints=endpoints))
    for first in range(0, routes, NAMES):
        write(os.path.join(folder, f"routes-{first:04d}.yaml"),
              "".join(ROUTE.format(n=n, host=HOST) for n in range(first, min(routes, first + NAMES))))


class Gateway:
    """
    One start of both programs. `ports`: list of YAML flow maps, one per port; `ns`: the namespace of
    the dataplane, None for none.
    """

    def __init__(self, folder, build, ports, sources, vip, backends, backend_port, ns=None, routes=1,
                 workers=1, poll="busy", packets=16384, connections=32768, hugepages="never",
                 profile=False):
        self.dir, self.build, self.ns, self.procs = folder, build, ns, []
        self.api = os.path.join(folder, "run", "control.sock")
        for sub in ("run", "lib", "lib/dp0", "lib/control"):
            os.makedirs(os.path.join(folder, sub), exist_ok=True)
            os.chmod(os.path.join(folder, sub), 0o777)  # the programs give up root
        os.chmod(folder, 0o755)
        cpus = [1 % os.cpu_count(), 0][:workers]
        write(os.path.join(folder, "gateway.yaml"), GATEWAY_YAML.format(
            dir=folder, ports="".join(f"- {p}\n" for p in ports).rstrip(), sources=", ".join(sources),
            workers=workers, cpus=", ".join(map(str, cpus)), poll=poll, hugepages=hugepages,
            profile=str(profile).lower(), packets=packets, connections=connections,
            timewait=1 << 21))
        write(os.path.join(folder, "control.yaml"), CONTROL_YAML.format(dir=folder))
        write_manifests(os.path.join(folder, "manifests"), vip, backends, backend_port, routes)

    def _spawn(self, name, *argv, ns=None, cores=None):
        p = Process(name, argv, os.path.join(self.dir, f"{name}.log"), cores, ns)
        self.procs.append(p)
        return p

    def start(self, timeout=60):
        try:
            self.dataplane = self._spawn("dataplane", os.path.join(self.build, "sluice-dataplane"),
                                         "-c", os.path.join(self.dir, "gateway.yaml"), ns=self.ns)
            self.control = self._spawn("control", os.path.join(self.build, "sluice-control"),
                                       "-c", os.path.join(self.dir, "control.yaml"), cores="0")
            lab.wait_until("the gateway's configuration", self._ready, timeout, 0.1)
        except BaseException:
            self.stop()
            raise
        return self

    def check_alive(self):
        for p in self.procs:
            if not p.alive():
                raise BenchError(f"{p.name} ended by itself, {p.p.returncode}: {p.tail(3).strip()}")

    def _ready(self):
        self.check_alive()
        return self.get("/readyz", code=True)[0] == 200

    def get(self, path, code=False):
        return lab.Lab.get(self, path, code)

    def stop(self):
        for p in reversed(self.procs):
            p.stop(timeout=3)
        self.procs = []

    def pids(self):
        return children(self.dataplane.pid)

    @staticmethod
    def spent(before, after):
        """What the counters of two moments tell of the loop's cycles; empty without profileStages."""
        def grown(name):
            return after.get(name, 0) - before.get(name, 0)
        requests = grown("http.requests_ok")
        stages = {k: grown(k) for k in after if k.startswith("cycles.")}
        work, empty = sum(stages.values()), grown("worker.empty_cycles")
        if requests == 0 or work == 0:
            return {}
        return {"cycles_outside_rxtx": (work - stages["cycles.rx"] - stages["cycles.tx"]) / requests,
                "work_cycles_per_request": work / requests, "waits": empty / (work + empty)}

    def counters(self):
        """The dataplane's counters as one flat dictionary, by names like port.front.rx_packets."""
        flat = {}

        def walk(prefix, node):
            for key, value in node.items():
                if isinstance(value, dict):
                    walk(f"{prefix}{key}.", value)
                elif isinstance(value, (int, float)):
                    flat[f"{prefix}{key}"] = value
        walk("", self.get("/api/v1/counters")["dataplanes"]["dp0"])
        return flat
