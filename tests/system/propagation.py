# SPDX-License-Identifier: Apache-2.0
"""
propagation.py: how long a route's change takes from kubectl's point of view.

A real API server, two Services of pages, 1 000 requests a second over 64 connections. The weights go
from 100/0 to 0/100 and back by PATCH, each after a quiet period, so that the first change is
compiled at once. From the API server's answer to the PATCH until the first answer of the other
version: p50 <= 20 ms, p99 <= 100 ms; from then on no request sees the old one, and none fails.

With --long 200 flips; the short form makes 20, of which the 99th percentile is the worst. The times
are judged only on a machine that had a core to spare meanwhile: on another they are its own.
"""
import http.client
import json
import os
import ssl
import time

from common import LONG, check, finish, gateway, lab, percentile, route, say
from flip import assert_clean, load_report, start_load
from kube_lab import KubeLab

EAST = "us-east"
FLIPS = 200 if LONG else 20
QUIET = 0.3  # seconds between flips
PATH = "/apis/gateway.networking.k8s.io/v1/namespaces/demo/httproutes/app"


def page(version):
    """As the public canary tutorial has it: a Deployment of busybox, its page from a ConfigMap."""
    name = f"app-v{version}"
    return f"""---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: demo}}
data:
  index.html: "App Version {version}"
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: demo}}
spec:
  selector: {{app: {name}}}
  ports:
  - {{name: http, port: 80}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: demo}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: busybox
        image: busybox:latest
        command: ["sh", "-c", "httpd -f -p 80 -h /var/www/html"]
        readinessProbe: {{httpGet: {{path: /, port: 80}}, periodSeconds: 1}}
        volumeMounts:
        - {{name: html, mountPath: /var/www/html}}
      volumes:
      - {{name: html, configMap: {{name: {name}}}}}
"""


def set_up(box, workers):
    box.apply(EAST, "{apiVersion: v1, kind: Namespace, metadata: {name: demo}}")
    box.apply(EAST, gateway() + "---\n" + route("app", [("app-v1", 100), ("app-v2", 0)],
                                                host="app.demo.lab") + page(1) + page(2))
    for version in (1, 2):
        box.rolled_out(EAST, "demo", f"app-v{version}")
        box.endpoints(EAST, "demo", f"app-v{version}", count=2)
    box.start_gateway("canary", workers, wired=False)
    lab.wait_until("the first version answers", lambda: box.curl()[0] == 200, 20)


class Api:
    """The API server by one connection that stays open, as a controller has it."""

    def __init__(self, cluster):
        p = cluster.pki.path
        tls = ssl.create_default_context(cafile=p("ca.crt"))
        tls.load_cert_chain(p("admin.crt"), p("admin.key"))
        self.http = http.client.HTTPSConnection(cluster.address, 6443, context=tls, timeout=10)

    def weights(self, w1, w2):
        """PATCHes the route; when it was sent and when the answer's head had come, in seconds."""
        ops = [{"op": "replace", "path": f"/spec/rules/0/backendRefs/{i}/weight", "value": w}
               for i, w in enumerate((w1, w2))]
        sent = time.monotonic()
        self.http.request("PATCH", PATH, json.dumps(ops),
                          {"Content-Type": "application/json-patch+json"})
        answer = self.http.getresponse()
        when = time.monotonic()
        if answer.status != 200:
            raise lab.LabError(f"PATCH: {answer.status} {answer.read()}")
        answer.read()
        return sent, when


def flip(box, record):
    """[(when the PATCH was sent, when it was answered, version from then on)]"""
    api = Api(box.kube[EAST])
    p = start_load(box, 1000, 3 + FLIPS * (QUIET + 0.05), record)
    time.sleep(1)
    flips = []
    for i in range(FLIPS):
        new = 2 - i % 2
        flips.append((*api.weights(*((0, 100) if new == 2 else (100, 0))), new))
        time.sleep(QUIET)
    return flips, load_report(p, FLIPS)


def delays(record, flips):
    """
    Of each flip, when the first answer of the new version came after the PATCH was sent and after it
    was answered (0: before), in ms; and how many requests saw the old version again.
    """
    with open(record) as f:
        answers = [line.split(" ", 3) for line in f]
    answers = sorted((int(a[1]) / 1e6, int(a[0]) / 1e6, a[3].strip()) for a in answers)
    whole, after, back = [], [], 0
    for i, (sent, answered, version) in enumerate(flips):
        end = flips[i + 1][0] if i + 1 < len(flips) else answered + QUIET
        mine = [(came, asked, body == f"App Version {version}") for came, asked, body in answers
                if sent < came < end]
        first = next((came for came, _, new in mine if new), float("inf"))
        whole.append((first - sent) * 1e3)
        after.append(max(0.0, first - answered) * 1e3)
        # Two workers take a change each in a turn of its own, not in the same instant.
        back += sum(1 for _, asked, new in mine if asked > first + 0.05 and not new)
    return whole, after, back


def cpu_idle():
    with open("/proc/stat") as f:
        fields = [int(x) for x in f.readline().split()[1:]]
    return fields[3], sum(fields[:8])


def main():
    for workers in (1, 2) if LONG else (2,):
        with KubeLab(names=(EAST,)) as box:
            box.v6 = False
            set_up(box, workers)
            record = os.path.join(box.dir, "propagation")
            idle, total = cpu_idle()
            flips, report = flip(box, record)
            now_idle, now = cpu_idle()
            spare = (now_idle - idle) / max(1, now - total)
            assert_clean(report, f"{FLIPS} flips, {workers} workers")
            whole, took, back = delays(record, flips)
            p50, p99 = percentile(took, .5), percentile(took, .99)
            say(f"{workers} workers, {FLIPS} flips: PATCH answered to first answer by it: median "
                f"{p50:.1f} ms, p99 {p99:.1f} ms, max {max(took):.1f} ms (from its sending: median "
                f"{percentile(whole, .5):.1f} ms); {spare:.0%} of the processor idle")
            check(max(took) < float("inf"), "every flip was seen to count")
            check(back == 0, f"{back} requests saw the old version after the new one")
            if spare >= 0.25 or LONG:
                check(p50 <= 20 and p99 <= 100, f"p50 {p50:.1f} ms (want <= 20), p99 {p99:.1f} ms "
                      "(want <= 100)")
    finish()


main()
