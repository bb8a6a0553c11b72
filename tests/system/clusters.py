# SPDX-License-Identifier: Apache-2.0
"""
clusters.py: scripts/minicluster as a user types it. Two clusters come up, run pods whose programs
answer, log, end and start again as Kubernetes says, and go without leaving anything, also after a
crash.
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from common import TOP, check, finish, say
import lab
import minicluster

MINI = os.path.join(TOP, "scripts", "minicluster")
ECHO = "registry.k8s.io/gateway-api/conformance/echo-basic:v0.1.0"

ECHO_APP = f"""
apiVersion: v1
kind: Service
metadata: {{name: echo}}
spec:
  selector: {{app: echo}}
  ipFamilyPolicy: PreferDualStack
  ports:
  - {{name: http, port: 8080, targetPort: 3000}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: echo}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: echo}}}}
  template:
    metadata: {{labels: {{app: echo}}}}
    spec:
      containers:
      - name: echo
        image: {ECHO}
        env:
        - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
        - {{name: NAMESPACE, valueFrom: {{fieldRef: {{fieldPath: metadata.namespace}}}}}}
        - {{name: TLS_SERVER_CERT, value: /etc/secret-volume/crt}}
        - {{name: TLS_SERVER_PRIVKEY, value: /etc/secret-volume/key}}
        readinessProbe: {{httpGet: {{path: /health, port: 3000}}, periodSeconds: 1}}
        lifecycle: {{preStop: {{sleep: {{seconds: 2}}}}}}
        volumeMounts:
        - {{name: secret, mountPath: /etc/secret-volume}}
      volumes:
      - name: secret
        secret:
          secretName: cert
          items:
          - {{key: tls.crt, path: crt}}
          - {{key: tls.key, path: key}}
"""

# As the public canary tutorial has it, image and command too.
PAGE_APP = """
apiVersion: v1
kind: ConfigMap
metadata: {name: app-v1-html}
data:
  index.html: |
    <html><body><h1>App Version 1</h1></body></html>
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app-v1}
spec:
  replicas: 1
  selector: {matchLabels: {app: demo, version: v1}}
  template:
    metadata: {labels: {app: demo, version: v1}}
    spec:
      containers:
      - name: busybox
        image: busybox:latest
        command: ["sh", "-c", "httpd -f -p 80 -h /var/www/html"]
        ports:
        - containerPort: 80
        volumeMounts:
        - {name: html, mountPath: /var/www/html}
      volumes:
      - {name: html, configMap: {name: app-v1-html}}
"""

ODD_PODS = f"""
apiVersion: v1
kind: Pod
metadata: {{name: never-ready}}
spec:
  containers:
  - name: echo
    image: {ECHO}
    readinessProbe: {{tcpSocket: {{port: 9}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Pod
metadata: {{name: short}}
spec:
  containers:
  - {{name: sleep, image: busybox, command: [sleep, "0.2"]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: once}}
spec:
  restartPolicy: Never
  containers:
  - {{name: sleep, image: busybox, command: [sleep, "0.1"]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: stranger}}
spec:
  containers:
  - {{name: x, image: example.com/nobody:1}}
---
apiVersion: v1
kind: Pod
metadata: {{name: stubborn}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {{name: sleep, image: busybox, command: [sleep, "600"]}}
"""


class User:
    """Somebody at a shell: kubectl with the kubeconfig that `up` names."""

    def __init__(self, folder):
        self.folder = folder
        self.kubectl_path = os.path.join(folder, "bin", "kubectl")

    def kubectl(self, cluster, *argv, check=True, **kw):
        return lab.run(self.kubectl_path, "--kubeconfig", os.path.join(self.folder, "kubeconfig"),
                       "--context", cluster, *argv, check=check, timeout=90, **kw)

    def get(self, cluster, *argv):
        return json.loads(self.kubectl(cluster, "get", *argv, "-o", "json"))

    def pod(self, cluster, name):
        return self.get(cluster, "pod", name)

    def state(self):
        return minicluster.load(self.folder)

    def curl(self, cluster, url, *argv):
        netns = self.state()["clusters"][cluster]["netns"]
        return lab.run("ip", "netns", "exec", netns, "curl", "-s", "--max-time", "5", *argv, url)


def mini(*argv):
    p = subprocess.run([MINI, *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       timeout=5400)
    return p.returncode, p.stdout


def namespaces(prefix):
    return [n for n in os.listdir("/run/netns") if n.startswith(prefix)]


def comes_up(user):
    start = time.monotonic()
    code, out = mini("up", "--clusters", "2", "--dir", user.folder)
    took = time.monotonic() - start
    if not check(code == 0, f"up: exit {code}"):
        print(out)
        finish()
    say(f"two clusters up in {took:.1f} s, what was to build included")
    check(mini("status", "--dir", user.folder)[0] == 0, "status says that all runs")
    code, out = mini("up", "--dir", user.folder)
    check(code != 0 and "is up already" in out, "a second up in the same folder is refused")
    for cluster in ("us-east", "us-west"):
        version = json.loads(user.kubectl(cluster, "version", "-o", "json"))
        check(version["serverVersion"]["gitVersion"] == "v1.36.3", f"{cluster} is a v1.36.3")
        crds = [c["metadata"]["name"] for c in user.get(cluster, "crd")["items"]]
        check("httproutes.gateway.networking.k8s.io" in crds and
              "serviceimports.multicluster.x-k8s.io" in crds, f"{cluster} has {len(crds)} CRDs")
    urls = {c["address"] for c in user.state()["clusters"].values()}
    check(len(urls) == 2, "each has an address of its own")


def runs_pods(user):
    pki = os.path.join(user.folder, "us-east", "pki")
    user.kubectl("us-east", "apply", "-f", "-", input=ECHO_APP)
    pending = lab.wait_until("a pod waits for its Secret", lambda: [
        c["state"]["waiting"]["message"]
        for p in user.get("us-east", "pods", "-l", "app=echo")["items"]
        for c in p["status"].get("containerStatuses", ())
        if c["state"]["waiting"].get("message")], 30)
    check('secrets "cert" not found' in pending[0], f"a pod says what it waits for: {pending[0]}")
    user.kubectl("us-east", "create", "secret", "tls", "cert", f"--cert={pki}/apiserver.crt",
                 f"--key={pki}/apiserver.key")
    user.kubectl("us-east", "apply", "-f", "-", input=PAGE_APP)
    for name in ("echo", "app-v1"):
        user.kubectl("us-east", "rollout", "status", f"deployment/{name}", "--timeout=60s")
    pods = {a["ip"]: p["metadata"]["name"]
            for p in user.get("us-east", "pods", "-l", "app=echo")["items"]
            for a in p["status"]["podIPs"]}
    slices = user.get("us-east", "endpointslices", "-l", "kubernetes.io/service-name=echo")["items"]
    ready = sorted(a for s in slices for e in s["endpoints"] for a in e["addresses"]
                   if e["conditions"]["ready"])
    check(len(ready) == 4 and ready == sorted(pods), f"EndpointSlices of both families: {ready}")
    for ip in ready:
        host = f"[{ip}]" if ":" in ip else ip
        answer = json.loads(user.curl("us-east", f"http://{host}:3000/where?delay=0s"))
        check(answer["pod"] == pods[ip] and answer["namespace"] == "default", f"{ip} is {pods[ip]}")
    tls = json.loads(user.curl("us-east", f"https://{ready[0]}:8443/", "-k"))
    check(tls["tls"]["version"].startswith("TLS"), "the Secret is mounted: TLS answers")
    page = user.get("us-east", "pods", "-l", "app=demo")["items"][0]["status"]["podIP"]
    check("App Version 1" in user.curl("us-east", f"http://{page}/"),
          "the tutorial's page comes from its ConfigMap")
    return pods


def logs(user, pods):
    name = next(iter(pods.values()))
    text = user.kubectl("us-east", "logs", name)
    check("Echoing back request made to /where" in text, "kubectl logs shows what the pod printed")
    tail = user.kubectl("us-east", "logs", name, "--tail=1", "--timestamps")
    check(len(tail.splitlines()) == 1 and tail[:2] == "20", "--tail and --timestamps")
    none = user.kubectl("us-east", "logs", name, "--since-time=2999-01-01T00:00:00Z")
    check(none == "", "--since-time")
    follow = subprocess.Popen([user.kubectl_path, "--kubeconfig", f"{user.folder}/kubeconfig",
                               "logs", "-f", "--tail=0", name], stdout=subprocess.PIPE, text=True)
    time.sleep(1)
    ip = next(ip for ip, n in pods.items() if n == name and ":" not in ip)
    user.curl("us-east", f"http://{ip}:3000/followed")
    line = follow.stdout.readline()
    follow.kill()
    follow.wait()
    check("/followed" in line, "logs -f shows a line when it is printed")


def odd_pods(user):
    user.kubectl("us-west", "apply", "-f", "-", input=ODD_PODS)

    def status(name, test, what):
        try:
            lab.wait_until(what, lambda: test(user.pod("us-west", name)["status"]), 30, 0.2)
            check(True, what)
        except lab.LabError as e:
            check(False, str(e))

    status("short", lambda s: s["containerStatuses"][0]["restartCount"] >= 1,
           "a program that ends is started again")
    status("once", lambda s: s["phase"] == "Succeeded", "restartPolicy Never: Succeeded")
    status("stranger", lambda s: "no program for image" in
           s["containerStatuses"][0]["state"]["waiting"]["message"], "an unknown image is said")
    status("never-ready", lambda s: s["phase"] == "Running" and not
           s["containerStatuses"][0]["ready"], "a failing readinessProbe: Running, not ready")
    denied = user.kubectl("us-west", "auth", "can-i", "get", "secrets", "--as",
                          "system:serviceaccount:default:default", check=False).strip()
    check(denied == "no", "RBAC: the default account may not read Secrets")
    token = user.kubectl("us-west", "create", "token", "default").strip()
    out = lab.run("curl", "-sk", "--max-time", "5", "-H", f"Authorization: Bearer {token}",
                  f"https://{user.state()['clusters']['us-west']['address']}:6443/api/v1/nodes")
    check(json.loads(out)["code"] == 403, "its token is known, and forbidden")


def ends_gracefully(user, pods):
    ip, name = next((ip, n) for ip, n in pods.items() if ":" not in ip)
    start = time.monotonic()
    user.kubectl("us-east", "delete", "pod", name, "--wait=false")
    time.sleep(0.7)
    answer = json.loads(user.curl("us-east", f"http://{ip}:3000/"))
    check(answer["pod"] == name, "a pod that ends still answers in its preStop time")
    slices = user.get("us-east", "endpointslices", "-l", "kubernetes.io/service-name=echo")["items"]
    seen = [e["conditions"] for s in slices for e in s["endpoints"] if ip in e["addresses"]]
    check(seen and not seen[0]["ready"] and seen[0]["serving"] and seen[0]["terminating"],
          f"its endpoint is serving and terminating: {seen}")
    user.kubectl("us-east", "wait", "--for=delete", f"pod/{name}", "--timeout=30s")
    took = time.monotonic() - start
    check(2 <= took < 12, f"it went after its preStop time of 2 s: {took:.1f} s")
    user.kubectl("us-east", "rollout", "status", "deployment/echo", "--timeout=60s")
    pids = lab.run("ip", "netns", "pids", netns_of(user, "us-west", "stubborn")).split()
    check(len(pids) == 1, "one process per container")
    os.kill(int(pids[0]), signal.SIGSTOP)  # it will not hear SIGTERM
    start = time.monotonic()
    user.kubectl("us-west", "delete", "pod", "stubborn", "--timeout=30s")
    took = time.monotonic() - start
    check(1 <= took < 10, f"one that does not end is killed after its grace of 1 s: {took:.1f} s")
    user.kubectl("us-east", "create", "namespace", "short-lived")
    user.kubectl("us-east", "-n", "short-lived", "apply", "-f", "-", input=PAGE_APP)
    start = time.monotonic()
    user.kubectl("us-east", "delete", "namespace", "short-lived", "--timeout=30s")
    check(True, f"a namespace with a pod goes in {time.monotonic() - start:.1f} s")


def netns_of(user, cluster, pod):
    last = user.pod(cluster, pod)["status"]["podIP"].split(".")
    return f"{user.state()['clusters'][cluster]['netns']}-p{int(last[2]) * 256 + int(last[3])}"


def goes(user, prefix):
    before = minicluster.living(user.state())
    check(len(before) == 8, f"eight processes: {len(before)}")
    for _, _, pid in before:  # a crash of everything, then up in the same folder
        os.kill(pid, signal.SIGKILL)
    lab.wait_until("crash", lambda: not minicluster.living(user.state()), 10)
    check(namespaces(prefix), "a crash leaves namespaces behind")
    start = time.monotonic()
    code, out = mini("up", "--clusters", "1", "--dir", user.folder)
    say(f"one cluster up in {time.monotonic() - start:.1f} s, cleaning after a crash included")
    check(code == 0 and "cleaning what an earlier run left" in out, "up cleans what a crash left")
    left = namespaces(prefix)
    check(len(left) == 1, f"one node's namespace: {left}")
    pids = [pid for _, _, pid in minicluster.living(user.state())]
    start = time.monotonic()
    code, _ = mini("down", "--dir", user.folder)
    check(code == 0, f"down in {time.monotonic() - start:.1f} s")
    check(not any(minicluster.start_time(pid) for pid in pids), "no process is left")
    check(not namespaces(prefix), "no namespace is left")
    check(not os.path.exists(user.folder), "no file is left")


def main():
    base = tempfile.mkdtemp(prefix="sluice-mini-")
    user = User(os.path.join(base, "clusters"))
    try:
        comes_up(user)
        prefix = user.state()["prefix"]
        pods = runs_pods(user)
        logs(user, pods)
        odd_pods(user)
        ends_gracefully(user, pods)
        goes(user, prefix)
    finally:
        minicluster.clean(user.folder)
        shutil.rmtree(base, ignore_errors=True)
    finish()


main()
