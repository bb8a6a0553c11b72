# SPDX-License-Identifier: Apache-2.0
"""
minicluster.py: real Kubernetes clusters, small enough for tests: each has an etcd, a kube-apiserver
and a kube-controller-manager of its own, and a kubelet of ours (tests/cluster/node) that runs the
pods' programs.

    127.77.x.y  (one per cluster)            namespace PREFIX-us-east
      :2379 etcd    :6443 kube-apiserver       bridge "pods"  10.211.0.2/20  fd00:211::2/64
      :10250 kubelet                             |        |
                                     router .1 --+        +-- PREFIX-us-east-p16  10.211.0.16
                                                          +-- PREFIX-us-east-p17  ...

The servers are on the loopback of whoever starts them: every cluster has an address of its own, so
ports are the usual ones and nobody's else are taken. Pods are in namespaces. The router is whatever
namespace the caller names (the lab's, so that a gateway reaches pods), else the bridge itself.

Everything made is written to state.json before it is made: down() needs nothing but the folder.
"""
import concurrent.futures
import hashlib
import json
import os
import shutil
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab  # noqa: E402
import minicluster_build  # noqa: E402
import minicluster_pki as pki_of  # noqa: E402
from minicluster_build import SOURCE, say  # noqa: E402

NAMES = ("us-east", "us-west", "eu-north", "ap-south", "sa-east", "af-north", "me-west", "oc-south")
PORTS = {"etcd": 2379, "peer": 2380, "api": 6443, "kubelet": 10250}
API_CLIENT = "kube-apiserver"  # as kubelets know it
CONTROLLERS = ("deployment", "replicaset", "statefulset", "job", "endpointslice",
               "endpointslice-mirroring", "namespace", "serviceaccount", "serviceaccount-token",
               "root-ca-certificate-publisher", "garbage-collector", "clusterrole-aggregation")
READY_TIMEOUT = 120  # seconds; a machine that builds beside is slow
STATE = "state.json"
OWN_CRD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "configs", "kube",
                       "clustertrafficpolicies.yaml")


class ClusterError(lab.LabError):
    pass


def start_time(pid):
    """Field 22 of /proc/PID/stat, which tells a process from a later one with the same pid."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return None if fields[0] == "Z" else fields[19]
    except OSError:
        return None


def free_address(seed, taken):
    """An address of 127.77.0.0/16 on which none of our ports is in use."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
    for i in range(65000):
        n = (number + i) % 65024
        address = f"127.77.{n // 254}.{n % 254 + 1}"
        if address in taken:
            continue
        try:
            for port in PORTS.values():
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind((address, port))
            return address
        except OSError:
            continue
    raise ClusterError("no free address in 127.77.0.0/16")


class Cluster:
    """One cluster: where it is, and its processes by name."""

    def __init__(self, group, name, index, address):
        self.group, self.name, self.index, self.address = group, name, index, address
        self.dir = os.path.join(group.dir, name)
        self.netns = f"{group.prefix}-{name}"
        self.pods4, self.pods6 = f"10.{211 + index}.0.0/20", f"fd00:{211 + index}::/64"
        self.url = f"https://{address}:{PORTS['api']}"
        self.kubeconfig = os.path.join(group.dir, f"{name}.kubeconfig")

    def path(self, *names):
        return os.path.join(self.dir, *names)

    # -- made once --------------------------------------------------------------------------

    def prepare(self):
        for folder in ("log", "etcd"):
            os.makedirs(self.path(folder), mode=0o700)
        pki = self.pki = pki_of.Pki(self.path("pki"))
        ip = f"IP:{self.address}"
        pki.authority("ca", f"/CN={self.name}-ca")
        pki.server("apiserver", "/CN=kube-apiserver", [
            ip, f"IP:10.{96 + self.index}.0.1", "DNS:localhost", "DNS:kubernetes",
            "DNS:kubernetes.default", "DNS:kubernetes.default.svc",
            "DNS:kubernetes.default.svc.cluster.local"])
        pki.server("kubelet", "/CN=kubelet", [ip])
        pki.client("apiserver-kubelet", f"/CN={API_CLIENT}")
        pki.client("admin", "/O=system:masters/CN=admin")
        pki.client("node", "/O=system:masters/CN=node")
        pki.client("controllers", "/O=system:masters/CN=system:kube-controller-manager")
        pki.key_pair("sa")
        self.write_kubeconfig(self.kubeconfig, "admin")
        for user in ("node", "controllers"):
            self.write_kubeconfig(self.path(f"{user}.kubeconfig"), user)
        self._network()

    def write_kubeconfig(self, path, cert=None, user=None, url=None):
        """For one of the certificates, or a user as kubeconfigs have it, e.g. {"token": ...}."""
        user = user or pki_of.user_of_cert(self.pki, cert)
        pki_of.write_kubeconfig(path, pki_of.kubeconfig(
            [(self.name, url or self.url, self.pki.data("ca.crt"), user)]))
        return path

    def _network(self):
        net, router = 211 + self.index, self.group.router
        lab.run("ip", "netns", "add", self.netns)
        batch = ["link set lo up", "link add pods type bridge forward_delay 0", "link set pods up",
                 f"addr add 10.{net}.0.2/20 dev pods", f"addr add fd00:{net}::2/64 dev pods nodad"]
        if router is None:
            batch += [f"addr add 10.{net}.0.1/20 dev pods",
                      f"addr add fd00:{net}::1/64 dev pods nodad"]
        self._ip(self.netns, batch)
        if router is not None:
            port = f"pods{self.index}"
            lab.run("ip", "link", "add", "router", "netns", self.netns, "type", "veth", "peer",
                    "name", port, "netns", router)
            self._ip(self.netns, ["link set router master pods up",
                                  f"route add default via 10.{net}.0.1",
                                  f"route add default via fd00:{net}::1"])
            self._ip(router, [f"addr add 10.{net}.0.1/20 dev {port}",
                              f"addr add fd00:{net}::1/64 dev {port} nodad",
                              f"link set {port} up"])

    @staticmethod
    def _ip(netns, lines):
        lab.run("ip", "-n", netns, "-batch", "-", input="\n".join(lines) + "\n")

    # -- processes --------------------------------------------------------------------------

    def _spawn(self, name, *argv):
        self.group.spawn(self, name, [self.group.programs.path(name), *argv])

    def start_etcd(self):
        client, peer = (f"http://{self.address}:{PORTS[p]}" for p in ("etcd", "peer"))
        self._spawn("etcd", "--name=etcd", f"--data-dir={self.path('etcd')}", "--unsafe-no-fsync",
                    f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
                    f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
                    f"--initial-cluster=etcd={peer}", "--log-level=warn")

    def start_apiserver(self):
        p = self.pki.path
        extra = []
        if self.group.channel == "experimental":  # whose ClusterTrustBundle is GA only in 1.37
            extra = ["--feature-gates=ClusterTrustBundle=true",
                     "--runtime-config=certificates.k8s.io/v1beta1/clustertrustbundles=true"]
        self._spawn(
            "kube-apiserver", f"--etcd-servers=http://{self.address}:{PORTS['etcd']}",
            f"--bind-address={self.address}", f"--secure-port={PORTS['api']}",
            # No endpoints of the "kubernetes" Service: nothing in a pod can reach a loopback.
            f"--advertise-address=10.{211 + self.index}.0.2", "--endpoint-reconciler-type=none",
            f"--tls-cert-file={p('apiserver.crt')}", f"--tls-private-key-file={p('apiserver.key')}",
            f"--client-ca-file={p('ca.crt')}", f"--kubelet-certificate-authority={p('ca.crt')}",
            f"--kubelet-client-certificate={p('apiserver-kubelet.crt')}",
            f"--kubelet-client-key={p('apiserver-kubelet.key')}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-key-file={p('sa.pub')}",
            f"--service-account-signing-key-file={p('sa.key')}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-cluster-ip-range=10.{96 + self.index}.0.0/16,fd00:{96 + self.index}::/112",
            "--authorization-mode=RBAC", "--enable-priority-and-fairness=false",
            "--profiling=false", "--shutdown-send-retry-after=false", *extra)

    def start_controllers(self):
        self._spawn("kube-controller-manager",
                    f"--kubeconfig={self.path('controllers.kubeconfig')}", "--leader-elect=false",
                    "--secure-port=0", "--profiling=false",
                    "--controllers=" + ",".join(c + "-controller" for c in CONTROLLERS),
                    f"--service-account-private-key-file={self.pki.path('sa.key')}",
                    f"--root-ca-file={self.pki.path('ca.crt')}",
                    "--kube-api-qps=500", "--kube-api-burst=1000")

    def start_kubelet(self):
        p = self.pki.path
        self._spawn("kubelet", "-kubeconfig", self.path("node.kubeconfig"),
                    "-images", os.path.join(SOURCE, "images.json"),
                    "-programs", self.group.bin, "-dir", self.path("pods"),
                    "-node", f"{self.name}-node", "-region", self.name,
                    "-address", self.address, "-port", str(PORTS["kubelet"]),
                    "-tls-cert", p("kubelet.crt"), "-tls-key", p("kubelet.key"),
                    "-client-ca", p("ca.crt"), "-client-name", API_CLIENT,
                    "-net-node", self.netns, "-net-prefix", self.netns,
                    "-net-pods4", self.pods4, "-net-pods6", self.pods6)

    def alive(self, name):
        return self.group.alive(self, name)

    def stop(self, name, sig=signal.SIGTERM, timeout=10):
        """Ends one of the cluster's processes; it may be started again."""
        self.group.end(self, name, sig, timeout)

    def signal(self, name, sig):
        self.group.signal(self, name, sig)

    # -- talking to it ----------------------------------------------------------------------

    def kubectl(self, *argv, check=True, timeout=60, **kw):
        return lab.run(self.group.programs.path("kubectl"), "--kubeconfig", self.kubeconfig,
                       *argv, check=check, timeout=timeout, **kw)

    def tail(self, name, n=15):
        try:
            with open(self.path("log", f"{name}.log"), errors="replace") as f:
                return "".join(f.readlines()[-n:])
        except OSError:
            return ""

    def wait_ready(self, timeout=READY_TIMEOUT):
        def ready():
            for name in ("etcd", "kube-apiserver"):
                if not self.alive(name):
                    raise lab.LabError(f"{name} ended")
            return lab.run("curl", "-s", "--max-time", "5", "--cacert", self.pki.path("ca.crt"),
                           f"{self.url}/readyz") == "ok"
        try:
            lab.wait_until(f"{self.name}: readyz", ready, timeout, 0.1)
        except lab.LabError as e:
            tails = self.tail("kube-apiserver") + self.tail("etcd", 5)
            raise ClusterError(f"{e}\n{tails}") from None

    def install_crds(self):
        for name in (self.group.channel, "mcs"):
            lab.wait_until(f"{self.name}: {name} CRDs", lambda: self.kubectl(
                "apply", "--server-side", "-f", self.group.programs.crds(name)), READY_TIMEOUT, 1)
        self.kubectl("apply", "--server-side", "-f", OWN_CRD)
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")

    def finish(self):
        """After the API server is ready: until pods can run."""
        self.install_crds()
        lab.wait_until(f"{self.name}: node and default service account", lambda: (
            self.kubectl("wait", "node", "--all", "--for=condition=Ready", "--timeout=5s")
            and self.kubectl("get", "serviceaccount", "default", "-o", "name")), READY_TIMEOUT, 0.2)


class Group:
    """Clusters that are started and ended together, and all that is theirs on this machine."""

    def __init__(self, folder, prefix, names=NAMES[:2], channel="standard", router=None,
                 programs=None):
        self.dir, self.prefix, self.channel, self.router = folder, prefix, channel, router
        self.programs = programs or minicluster_build.Programs()
        self.bin = os.path.join(folder, "bin")
        taken = set()
        self.clusters = {}
        for i, name in enumerate(names):
            address = free_address(f"{folder} {os.getpid()} {i}", taken)
            taken.add(address)
            self.clusters[name] = Cluster(self, name, i, address)
        self.procs = {}  # (cluster, program): Proc
        self.pids = {}  # the same: [pid, start time]

    def __getitem__(self, name):
        return self.clusters[name]

    def __iter__(self):
        return iter(self.clusters.values())

    # -- state ------------------------------------------------------------------------------

    def save(self, complete=False):
        state = {
            "prefix": self.prefix, "complete": complete,
            "owner": [os.getpid(), start_time(os.getpid())],
            "clusters": {c.name: {"address": c.address, "kubeconfig": c.kubeconfig,
                                  "netns": c.netns} for c in self},
            "procs": [[c, name, *pid] for (c, name), pid in self.pids.items()],
        }
        tmp = os.path.join(self.dir, STATE + ".tmp")
        with open(tmp, "w") as f:
            json.dump(state, f, indent=1)
        os.rename(tmp, os.path.join(self.dir, STATE))
        self.complete = complete

    def spawn(self, cluster, name, argv):
        key = (cluster.name, name)
        proc = lab.Proc(name, argv, cluster.path("log", f"{name}.log"))
        self.procs[key], self.pids[key] = proc, [proc.pid, start_time(proc.pid)]
        self.save(getattr(self, "complete", False))

    def alive(self, cluster, name):
        proc = self.procs.get((cluster.name, name))
        return proc is not None and proc.alive()

    def signal(self, cluster, name, sig):
        self.procs[(cluster.name, name)].kill(sig)

    def end(self, cluster, name, sig, timeout):
        proc = self.procs.pop((cluster.name, name), None)
        if proc is not None:
            proc.kill(signal.SIGCONT)
            proc.stop(sig, timeout)

    # -- up and down ------------------------------------------------------------------------

    def up(self):
        os.makedirs(self.dir, mode=0o755, exist_ok=True)
        self.save()
        os.makedirs(self.bin)
        for program in ("echo-basic", "pages", "kubectl"):
            os.symlink(self.programs.path(program), os.path.join(self.bin, program))
        for c in self:
            os.makedirs(c.dir, mode=0o755)
            c.prepare()
            c.start_etcd()
            c.start_apiserver()
        pki_of.write_kubeconfig(os.path.join(self.dir, "kubeconfig"), pki_of.kubeconfig(
            [(c.name, c.url, c.pki.data("ca.crt"), pki_of.user_of_cert(c.pki, "admin"))
             for c in self]))
        for c in self:
            c.wait_ready()
            c.start_controllers()
            c.start_kubelet()
        with concurrent.futures.ThreadPoolExecutor(len(self.clusters)) as pool:
            for done in [pool.submit(c.finish) for c in self]:
                done.result()
        self.save(complete=True)

    def down(self):
        for proc in self.procs.values():
            proc.kill(signal.SIGCONT)
        _kubelets_first([(name, proc.pid) for (_, name), proc in self.procs.items()])
        for proc in self.procs.values():
            proc.stop(signal.SIGKILL)
        self.procs = {}
        clean(self.dir)

    def report(self, out):
        for c in self:
            for name in ("kube-apiserver", "kube-controller-manager", "kubelet", "etcd"):
                print(f"--- {c.name} {name} ({'alive' if c.alive(name) else 'ended'}) ---\n"
                      f"{c.tail(name)}", file=out)


# -- by folder alone: for another process than the one that started them ------------------------


def load(folder):
    try:
        with open(os.path.join(folder, STATE)) as f:
            return json.load(f)
    except (OSError, ValueError):
        return None


def living(state):
    return [(cluster, name, pid) for cluster, name, pid, since in state["procs"]
            if since is not None and start_time(pid) == since]


def _kubelets_first(procs):
    """A kubelet takes down its pods by itself when it is asked; the others have nothing to save."""
    kubelets = [pid for name, pid in procs if name == "kubelet"]
    for pid in kubelets:
        _kill(pid, signal.SIGTERM)
    _wait_gone(kubelets, 8)


def _kill(pid, sig):
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass


def _wait_gone(pids, timeout):
    end = time.monotonic() + timeout
    while time.monotonic() < end and any(start_time(pid) for pid in pids):
        time.sleep(0.02)


def clean(folder):
    """Removes what a folder's state says was made: processes, namespaces, files. Repeatable."""
    state = load(folder)
    if state is not None:
        procs = [(name, pid) for _, name, pid in living(state)]
        for _, pid in procs:
            _kill(pid, signal.SIGCONT)
        _kubelets_first(procs)
        for _, pid in procs:
            _kill(pid, signal.SIGKILL)
        _wait_gone([pid for _, pid in procs], 5)
        roots = [c["netns"] for c in state["clusters"].values()]
        for netns in os.listdir("/run/netns") if os.path.isdir("/run/netns") else ():
            root, _, pod = netns.rpartition("-p")
            if netns in roots or root in roots and pod.isdigit():
                lab.run("ip", "netns", "del", netns, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def sweep(base, prefix):
    """Cleans the folders of that name whose owners are dead."""
    for name in os.listdir(base):
        folder = os.path.join(base, name)
        state = load(folder) if name.startswith(prefix) else None
        if state is not None and start_time(state["owner"][0]) != state["owner"][1]:
            say(f"cleaning {folder}, left by a run that crashed")
            clean(folder)


def kubectl_path(folder):
    return os.path.join(folder, "bin", "kubectl")

