# SPDX-License-Identifier: Apache-2.0
"""
lab.py: the lab that the demo, `scripts/lab` and the system tests share.

                          +-------- router --------+
   client ---(wire?)------|                        |------ us-east   (nginx, app-v1, app-v2, mesh)
   10.201.0.2             |   routes the VIPs and  |       10.203.0.0/24
                          |   the upstream sources |------ us-west   (nginx, app-v2, mesh)
                gw -------|   to the gateway       |       10.204.0.0/24
          10.202.0.2      +------------------------+

Every box is a network namespace of its own, joined by veth pairs with all offloads off (a veth
end that leaves checksums to its peer sends the dataplane broken packets). A wire, where asked
for, is a namespace in the middle of a link that runs tests/tools/wire. Everything that a Lab
starts it also ends: processes by pid, namespaces by name, files with its directory.
"""
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

BOXES = ("client", "router", "gw", "us-east", "us-west")
SUBNET = {"client": 201, "gw": 202, "us-east": 203, "us-west": 204}
HOST = {"canary": "app.demo.lab", "mesh": "mesh.demo.lab"}  # of each example
VIP4, VIP6 = "203.0.113.10", "2001:db8:113::10"
SOURCES4, SOURCES6 = "10.205.0.0/24", "fd00:205::/64"

# Pods: (host number, port, reply). The page text is the public canary tutorial's, the JSON with
# a pod name the federation tutorial's.
PODS = {
    "us-east": [
        (11, 8080, "page", "App Version 1"),
        (12, 8080, "page", "App Version 1"),
        (21, 8080, "page", "App Version 2"),
        (31, 3000, "json", "backend-us-east-0"),
    ],
    "us-west": [
        (21, 8080, "page", "App Version 2"),
        (31, 3000, "json", "backend-us-west-0"),
        (32, 3000, "json", "backend-us-west-1"),
    ],
}


class LabError(Exception):
    pass


def service_user():
    """Whom both programs become when their configuration names nobody."""
    try:
        return pwd.getpwnam("sluice").pw_name
    except KeyError:
        return "nobody"


def run(*argv, check=True, timeout=30, **kw):
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                       timeout=timeout, **kw)
    if check and p.returncode != 0:
        raise LabError(f"{' '.join(argv)}: exit {p.returncode}: {p.stderr.strip()}")
    return p.stdout


def wait_until(what, fn, timeout=10.0, step=0.05):
    """
    Calls fn until it returns something true; the last exception or value explains a time-out. It is
    called once more when the time is over: a machine that stood still has lost nothing.
    """
    end = time.monotonic() + timeout
    last, over = None, False
    while not over:
        over = time.monotonic() >= end
        try:
            last = fn()
            if last:
                return last
        except (LabError, OSError, ValueError, KeyError, subprocess.TimeoutExpired) as e:
            last = e
        time.sleep(step)
    raise LabError(f"{what}: not within {timeout:g} s (last: {last!r})")


class Proc:
    """A process the lab started: its log file, and an end that is certain."""

    def __init__(self, name, argv, log, env=None):
        self.name, self.log = name, log
        with open(log, "ab") as out:
            self.p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                      env=env, start_new_session=True)
        self.pid = self.p.pid

    def alive(self):
        return self.p.poll() is None

    def kill(self, sig):
        if self.alive():
            os.kill(self.pid, sig)

    def stop(self, sig=signal.SIGTERM, timeout=10):
        """Ends the process; returns its exit code (negative: the signal that killed it)."""
        if self.alive():
            os.kill(self.pid, sig)
            try:
                self.p.wait(timeout)
            except subprocess.TimeoutExpired:
                os.kill(self.pid, signal.SIGKILL)
                self.p.wait(5)
                return -signal.SIGKILL
        return self.p.returncode

    def tail(self, n=15):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-n:])


class Lab:
    def __init__(self, name=None, build=None, keep=False, wire=None, dual_router=False):
        """
        name: prefix of the namespaces. build: build folder with the programs. wire: "client" or
        "backend" puts a wire on that link (see start_wire).
        """
        self.name = name or f"sl{os.getpid()}"
        self.build = os.path.abspath(build or os.path.join(TOP, "build"))
        self.keep, self.wire_at = keep, wire
        self.dir = tempfile.mkdtemp(prefix="sluice-lab-")
        os.chmod(self.dir, 0o755)
        self.procs = []
        self.boxes = []
        self.api = os.path.join(self.dir, "run", "control.sock")

    # -- namespaces -------------------------------------------------------------------------

    def ns(self, box):
        return f"{self.name}-{box}"

    def ip(self, box, *argv, **kw):
        return run("ip", "-n", self.ns(box), *argv, **kw)

    def exec(self, box, *argv, **kw):
        return run("ip", "netns", "exec", self.ns(box), *argv, **kw)

    def sysctl(self, box, key, value):
        self.exec(box, "sysctl", "-qw", f"{key}={value}")

    def _box(self, box):
        run("ip", "netns", "add", self.ns(box))
        self.boxes.append(box)
        self.ip(box, "link", "set", "lo", "up")
        for key, value in (("net.ipv4.tcp_congestion_control", "reno"),
                           ("net.ipv6.conf.all.accept_dad", 0),
                           ("net.ipv6.conf.default.accept_dad", 0),
                           ("net.ipv4.conf.all.rp_filter", 0),
                           ("net.ipv4.conf.default.rp_filter", 0),
                           ("net.ipv4.tcp_no_metrics_save", 1)):
            self.sysctl(box, key, value)

    def _veth(self, a, a_if, b, b_if):
        queues = ["numtxqueues", "4", "numrxqueues", "4"]
        run("ip", "link", "add", a_if, "netns", self.ns(a), *queues, "type", "veth",
            "peer", "name", b_if, "netns", self.ns(b), *queues)
        for box, dev in ((a, a_if), (b, b_if)):
            self.exec(box, "ethtool", "-K", dev, "tx", "off", "tso", "off", "gso", "off",
                      "gro", "off", "rx", "off", check=False)
            self.ip(box, "link", "set", dev, "up")

    def _addr(self, box, dev, net, host):
        self.ip(box, "addr", "add", f"10.{net}.0.{host}/24", "dev", dev)
        self.ip(box, "addr", "add", f"fd00:{net}::{host}/64", "dev", dev, "nodad")

    def up(self):
        for box in BOXES:
            self._box(box)
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.sysctl("router", key, 1)
        for box, net in SUBNET.items():
            port = f"to-{box}"
            if (box == "client" and self.wire_at == "client") or \
                    (box == "us-east" and self.wire_at == "backend"):
                self._box("wire")
                self._veth(box, "eth0", "wire", "wa")
                self._veth("wire", "wb", "router", port)
            else:
                self._veth(box, "eth0", "router", port)
            self._addr("router", port, net, 1)
            self._addr(box, "eth0", net, 2)
            self.ip(box, "route", "add", "default", "via", f"10.{net}.0.1")
            self.ip(box, "-6", "route", "add", "default", "via", f"fd00:{net}::1")
        for dest in ("203.0.113.0/24", SOURCES4):
            self.ip("router", "route", "add", dest, "via", "10.202.0.2")
        for dest in ("2001:db8:113::/64", SOURCES6):
            self.ip("router", "-6", "route", "add", dest, "via", "fd00:202::2")
        for cluster, pods in PODS.items():
            for host in sorted({p[0] for p in pods}):
                self._addr(cluster, "eth0", SUBNET[cluster], host)

    def down(self):
        for p in reversed(self.procs):
            p.stop()
        self.procs = []
        for box in self.boxes:
            run("ip", "netns", "del", self.ns(box), check=False)
        self.boxes = []
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *exc):
        if exc[0] not in (None, KeyboardInterrupt, SystemExit):
            self.report(sys.stderr)
        self.down()

    def report(self, out):
        for p in self.procs:
            print(f"--- {p.name} ({'alive' if p.alive() else p.p.returncode}) ---\n{p.tail()}",
                  file=out)

    # -- processes --------------------------------------------------------------------------

    def spawn(self, box, name, *argv, env=None):
        if box is not None:
            argv = ("ip", "netns", "exec", self.ns(box)) + argv
        p = Proc(name, list(argv), os.path.join(self.dir, f"{name}.log"), env)
        self.procs.append(p)
        return p

    def forget(self, proc):
        proc.stop()
        self.procs.remove(proc)

    def start_wire(self, *args):
        """Starts the wire with these options; returns the process and its statistics' path."""
        stats = os.path.join(self.dir, f"wire-{time.monotonic_ns()}.json")
        p = self.spawn("wire", "wire", os.path.join(self.build, "tests/tools/wire"), "wa", "wb",
                       "--stats", stats, *args)
        return p, stats

    def stop_wire(self, proc, stats):
        self.forget(proc)
        with open(stats) as f:
            return [json.loads(line) for line in f]

    def start_backends(self, root=None):
        """nginx in both clusters; `root`: a folder whose files all pods serve under /files/."""
        for cluster, pods in PODS.items():
            conf = os.path.join(self.dir, f"nginx-{cluster}.conf")
            with open(conf, "w") as f:
                f.write(nginx_conf(self.dir, cluster, pods, root))
            self.spawn(cluster, f"nginx-{cluster}", "nginx", "-e", "stderr", "-c", conf,
                       "-p", self.dir, "-g", "daemon off;")
        for cluster, pods in PODS.items():
            for host, port, _, _ in pods:
                url = f"http://10.{SUBNET[cluster]}.0.{host}:{port}/"
                wait_until(f"backend {url}",
                           lambda: self.exec(cluster, "curl", "-sf", "--max-time", "2", url))

    def load_example(self, example, workers=1, edit=None):
        """
        Copies configs/examples/<example> into the lab's directory with its run-time paths moved
        there too; `edit`: function (file name, text) -> text.
        """
        src = os.path.join(TOP, "configs", "examples", example)
        self.conf = os.path.join(self.dir, "conf")
        shutil.rmtree(self.conf, ignore_errors=True)
        shutil.copytree(src, self.conf)
        for sub in ("run", "lib", "lib/dp0", "log"):
            path = os.path.join(self.dir, sub)
            os.makedirs(path, exist_ok=True)
            os.chmod(path, 0o777)  # the programs give up root
        for name in ("control.yaml", "gateway.yaml"):
            path = os.path.join(self.conf, name)
            with open(path) as f:
                text = f.read()
            text = (text.replace("/run/sluice", os.path.join(self.dir, "run"))
                    .replace("/var/lib/sluice", os.path.join(self.dir, "lib"))
                    .replace("/var/log/sluice", os.path.join(self.dir, "log"))
                    .replace("/etc/sluice", self.conf))
            if name == "gateway.yaml":
                text = re.sub(r"(?m)^(\s*count:)\s*\d+", rf"\g<1> {workers}", text)
            if edit is not None:
                text = edit(name, text)
            with open(path, "w") as f:
                f.write(text)

    def start_dataplane(self):
        self.dataplane = self.spawn("gw", "dataplane", os.path.join(self.build, "sluice-dataplane"),
                                    "-c", os.path.join(self.conf, "gateway.yaml"))
        return self.dataplane

    def start_control(self):
        self.control = self.spawn(None, "control", os.path.join(self.build, "sluice-control"),
                                  "-c", os.path.join(self.conf, "control.yaml"))
        return self.control

    def wait_ready(self, timeout=20):
        def ready():
            for p in (self.control, self.dataplane):
                if not p.alive():
                    raise LabError(f"{p.name} ended: {p.tail()}")
            return self.get("/readyz", code=True)[0] == 200
        wait_until("readyz", ready, timeout)

    def start(self, example="canary", workers=1, edit=None):
        """Everything: backends, dataplane, control, until ready."""
        self.start_backends()
        self.load_example(example, workers, edit)
        self.start_dataplane()
        self.start_control()
        self.wait_ready()

    # -- talking to it ----------------------------------------------------------------------

    def get(self, path, code=False):
        """GET on control's REST socket; the decoded body, or (status, text) with code=True."""
        out = run("curl", "-s", "--max-time", "5", "--unix-socket", self.api, "-w", "\n%{http_code}",
                  f"http://sluice{path}")
        body, status = out.rsplit("\n", 1)
        if code:
            return int(status), body
        if status != "200":
            raise LabError(f"GET {path}: {status} {body}")
        return json.loads(body)

    def ctl(self, *argv, check=True):
        return run(os.path.join(self.build, "sluicectl"), "--socket", self.api, *argv, check=check)

    def curl(self, url_path="/", host="app.demo.lab", v6=False, port=80, *extra, check=True):
        """(status, body) of one request from the client to the VIP."""
        vip = f"[{VIP6}]" if v6 else VIP4
        out = self.exec("client", "curl", "-s", "--max-time", "10", "-H", f"Host: {host}",
                        "-w", "\n%{http_code}", *extra, f"http://{vip}:{port}{url_path}", check=check)
        body, _, status = out.rpartition("\n")
        return int(status or 0), body

    def curl_many(self, n, host="app.demo.lab", v6=False, port=80, keepalive=True):
        """n requests with one curl; the list of bodies."""
        vip = f"[{VIP6}]" if v6 else VIP4
        argv = ["curl", "-s", "--max-time", "120", "-H", f"Host: {host}"]
        if not keepalive:
            argv += ["-H", "Connection: close"]
        out = self.exec("client", *argv, f"http://{vip}:{port}/?n=[1-{n}]", timeout=150)
        return out.splitlines()

    def manifest(self, cluster, name):
        return os.path.join(self.conf, "clusters", cluster, name)

    def edit_manifest(self, path, fn):
        """
        Rewrites a manifest as kubectl-minded people do: new file, rename. Returns the time just
        before: by the time rename() has returned, the edit may be in force already.
        """
        with open(path) as f:
            text = fn(f.read())
        tmp = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.tmp")
        with open(tmp, "w") as f:
            f.write(text)
        start = time.monotonic()
        os.rename(tmp, path)
        return start


def nginx_conf(rundir, cluster, pods, root):
    net = SUBNET[cluster]
    servers = []
    for host, port, kind, text in pods:
        if kind == "page":
            reply = f'return 200 "{text}\\n";'
            ctype = "text/plain"
        else:
            reply = ('return 200 "{\\"pod\\": \\"%s\\", \\"cluster\\": \\"%s\\"}\\n";'
                     % (text, cluster))
            ctype = "application/json"
        files = f"location /files/ {{ alias {root}/; }}" if root else ""
        servers.append(f"""
  server {{
    listen 10.{net}.0.{host}:{port} reuseport;
    listen [fd00:{net}::{host}]:{port} reuseport;
    default_type {ctype};
    location / {{ {reply} }}
    {files}
  }}""")
    return f"""worker_processes 1;
pid {rundir}/nginx-{cluster}.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 300s;
  client_body_temp_path {rundir}/nginx-{cluster}-body;
  proxy_temp_path {rundir}/nginx-{cluster}-proxy;
  fastcgi_temp_path {rundir}/nginx-{cluster}-fcgi;
  uwsgi_temp_path {rundir}/nginx-{cluster}-uwsgi;
  scgi_temp_path {rundir}/nginx-{cluster}-scgi;
  {''.join(servers)}
}}
"""
