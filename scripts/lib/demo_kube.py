# SPDX-License-Identifier: Apache-2.0
"""
demo_kube.py: `scripts/demo --kubernetes`: the demo on two real API servers.

The example's manifests are applied as they stand, but for the EndpointSlices that say by hand where
pods are: their Services get a selector and a Deployment instead, and Kubernetes says it.
"""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402

sys.path.insert(0, os.path.join(lab.TOP, "tests", "system"))
from kube_lab import ECHO, LINGER, PROBE, KubeLab  # noqa: E402

PAGES = {"app-v1": 1, "app-v2": 2, "app-v2-local": 2}  # Service: version that its pages name


def documents(folder):
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name)) as f:
            yield from (d for d in re.split(r"(?m)^---\s*$", f.read()) if "kind:" in d)


def field(doc, name):
    m = re.search(rf"(?m)^\s*{re.escape(name)}: (\S+)$", doc)
    return m.group(1) if m else None


def with_pods(folder):
    """The folder's manifests as one text, pods in place of EndpointSlices."""
    docs = list(documents(folder))
    slices = [d for d in docs if field(d, "kind") == "EndpointSlice"]
    count = {}  # Service: pods
    for d in slices:
        if field(d, "addressType") == "IPv4":
            count[field(d, "kubernetes.io/service-name")] = d.count("- addresses:")
    out = []
    for d in docs:
        name = field(d, "name")
        if d in slices:
            continue
        if field(d, "kind") == "Service" and name in count:
            d = re.sub(r"(?m)^spec:\n", f"spec:\n  selector: {{run: {name}}}\n", d)
            d += "---\n" + pods(name, field(d, "namespace"), count[name])
        out.append(d)
    return "---\n".join(out)


def pods(name, namespace, replicas):
    page = PAGES.get(name)
    head, body = "", f"""        image: {ECHO}
        env:
        - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
        readinessProbe: {PROBE}
{LINGER}"""
    if page is not None:
        head = f"""apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}-html, namespace: {namespace}}}
data:
  index.html: "App Version {page}\\n"
---
"""
        body = f"""        image: busybox:latest
        command: ["sh", "-c", "httpd -f -p 8080 -h /var/www/html"]
        readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}
{LINGER}        volumeMounts:
        - {{name: html, mountPath: /var/www/html}}
      volumes:
      - {{name: html, configMap: {{name: {name}-html}}}}
"""
    return f"""{head}apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{run: {name}}}}}
  template:
    metadata: {{labels: {{run: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: {name}
{body}"""


def start(box, example, workers):
    source = os.path.join(lab.TOP, "configs", "examples", example, "clusters")
    for cluster in box.names:
        box.apply(cluster, with_pods(os.path.join(source, cluster)))
    for cluster in box.names:
        box.kubectl(cluster, "wait", "deployment", "-A", "--all", "--for=condition=Available",
                    "--timeout=60s", timeout=80)
    box.start_gateway(example, workers, wired=False)
    host = lab.HOST[example]
    lab.wait_until(f"{host} answers", lambda: box.curl(host=host)[0] == 200, 30)


def show(args, uniq, weights):
    print("demo: client, router, gateway; clusters us-east and us-west with API servers of their own")
    with KubeLab(name="sluice-demo") as box:
        start(box, args.example, args.workers)
        host, old = lab.HOST[args.example], weights[args.example][0]
        route, namespace = {"canary": ("app", "demo"), "mesh": ("backend", "mesh")}[args.example]
        print(f"\n200 requests for Host: {host} to {lab.VIP4}, as `sort | uniq -c` sees them:\n")
        uniq(answers(box, host))
        print(f"""
Now try, in another terminal:
  export KUBECONFIG={box.kube.dir}/kubeconfig PATH={box.kube.bin}:$PATH
  a request     ip netns exec {box.ns('client')} curl -s -H 'Host: {host}' http://{lab.VIP4}/
  the objects   kubectl --context us-east get gateway,httproute -A
  edit a weight kubectl --context us-east -n {namespace} patch httproute {route} --type=json -p \\
                '[{{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": {old // 2}}}]'
  kill pods     kubectl --context us-west delete pods -A --all
  status        {box.build}/sluicectl --socket {box.api} status
  clusters      {box.build}/sluicectl --socket {box.api} cluster

Ctrl-C ends the demo and removes everything.""", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("\ndemo: ending")
    return 0


def answers(box, host):
    """Of 200 requests, what tells the pods apart: the page, or the name in echo's JSON."""
    lines = box.curl_many(200, host)
    names = re.findall(r'"pod": "([^"]*)-\w+-\w+"', "\n".join(lines))
    return names or lines


def check_all(args, check, uniq):
    """The same, asserted: both examples."""
    for example, first, want in (("canary", "App Version 1", 160), ("mesh", "backend-us-east", 198)):
        with KubeLab() as box:
            start(box, example, args.workers)
            count = uniq(answers(box, lab.HOST[example]))
            check(abs(count[first] - want) <= 2 and sum(count.values()) == 200,
                  f"{example} on API servers: {count[first]} of 200 to {first!r} (want {want} ± 2)")
