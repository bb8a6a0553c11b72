# SPDX-License-Identifier: Apache-2.0
"""
sites.py: two sites in the lab: each with a dataplane, a control and a VIP of its own, and a cluster
beside each. The two controls speak over the router, from namespaces of their own:

   ctl-east 10.206.0.2 --- router --- ctl-west 10.207.0.2
   gw (east) 10.202.0.2, VIP 203.0.113.10       gw2 (west) 10.208.0.2, VIP 203.0.114.10
"""
import json
import os
import shutil

import lab
from lab import run

EXTRA = {"gw2": 208, "ctl-east": 206, "ctl-west": 207}
HOST = "store.demo.lab"
POD = {"us-east": "backend-us-east-0", "us-west": "backend-us-west-0"}


class Site:
    """One of the two: its files, its two programs, and how to talk to them."""

    def __init__(self, box, name, gw, vip):
        self.box, self.name, self.gw, self.vip = box, name, gw, vip
        self.api = os.path.join(box.dir, "run", f"control-{name}.sock")
        self.control = self.dataplane = None

    def config(self, kind):
        return os.path.join(self.box.conf, f"{kind}-{self.name}.yaml")

    def start_dataplane(self):
        self.dataplane = self.box.spawn(
            self.gw, f"dataplane-{self.name}", os.path.join(self.box.build, "sluice-dataplane"),
            "-c", self.config("gateway"))

    def start_control(self, skew_ms=0):
        env = dict(os.environ, SLUICE_TEST_CLOCK_SKEW_MS=str(skew_ms)) if skew_ms else None
        self.control = self.box.spawn(
            f"ctl-{self.name}", f"control-{self.name}",
            os.path.join(self.box.build, "sluice-control"), "-c", self.config("control"), env=env)

    def get(self, path, code=False):
        out = run("curl", "-s", "--max-time", "5", "--unix-socket", self.api, "-w",
                  "\n%{http_code}", f"http://sluice{path}")
        body, status = out.rsplit("\n", 1)
        if code:
            return int(status), body
        if status != "200":
            raise lab.LabError(f"GET {path}: {status} {body}")
        return json.loads(body)

    def ctl(self, *argv, check=True):
        return run(os.path.join(self.box.build, "sluicectl"), "--socket", self.api, *argv,
                   check=check)

    def peer(self):
        """What it says of the other site."""
        return next(s for s in self.get("/api/v1/sites")["items"] if not s["self"])

    def digest(self):
        return next(s for s in self.get("/api/v1/sites")["items"] if s["self"])["digest"]

    def ready(self):
        for p in (self.control, self.dataplane):
            if not p.alive():
                raise lab.LabError(f"{p.name} ended: {p.tail()}")
        return self.get("/readyz", code=True)[0] == 200

    def shares(self, n):
        """Of n requests to this site's VIP: how many each cluster answered."""
        out = self.box.exec("client", "curl", "-s", "--max-time", "60", "-H", f"Host: {HOST}",
                            f"http://{self.vip}/?n=[1-{n}]", timeout=90)
        counts = {"us-east": 0, "us-west": 0}
        for line in out.splitlines():
            counts[json.loads(line)["cluster"]] += 1
        return counts

    def load(self, rate, seconds, record, conns=16):
        return self.box.spawn(
            "client", f"load-{os.path.basename(record)}",
            os.path.join(self.box.build, "tests/tools/load"), self.vip, "80", "--conns", str(conns),
            "--rate", str(rate), "--seconds", str(seconds), "--record", record, "--host", HOST)


class SitesLab(lab.Lab):
    def up(self):
        super().up()
        for box, net in EXTRA.items():
            self._box(box)
            self._veth(box, "eth0", "router", f"to-{box}")
            self._addr("router", f"to-{box}", net, 1)
            self._addr(box, "eth0", net, 2)
            self.ip(box, "route", "add", "default", "via", f"10.{net}.0.1")
        for dest in ("203.0.114.0/24", "10.209.0.0/24"):
            self.ip("router", "route", "add", dest, "via", "10.208.0.2")
        self.east = Site(self, "east", "gw", lab.VIP4)
        self.west = Site(self, "west", "gw2", "203.0.114.10")
        self.sites = (self.east, self.west)

    def load_sites(self, workers=1, edit=None):
        """The example's files in the lab's folder; keys are made anew."""
        self.conf = os.path.join(self.dir, "conf")
        shutil.copytree(os.path.join(lab.TOP, "configs", "examples", "sites"), self.conf)
        run(os.path.join(lab.TOP, "scripts", "site-keys"), os.path.join(self.conf, "keys"), "east",
            "west")
        for folder, _, names in os.walk(os.path.join(self.conf, "keys")):
            os.chmod(folder, 0o755)
            for name in names:  # the programs give up root
                os.chmod(os.path.join(folder, name), 0o644)
        for sub in ("run", "lib", "lib/dataplane-east", "lib/dataplane-west", "log"):
            path = os.path.join(self.dir, sub)
            os.makedirs(path, exist_ok=True)
            os.chmod(path, 0o777)
        for name in os.listdir(self.conf):
            if not name.endswith(".yaml"):
                continue
            path = os.path.join(self.conf, name)
            with open(path) as f:
                text = f.read()
            text = (text.replace("/run/sluice", os.path.join(self.dir, "run"))
                    .replace("/var/lib/sluice", os.path.join(self.dir, "lib"))
                    .replace("/var/log/sluice", os.path.join(self.dir, "log"))
                    .replace("count: 1", f"count: {workers}"))
            if edit is not None:
                text = edit(name, text)
            with open(path, "w") as f:
                f.write(text)

    def start_sites(self, workers=1, edit=None):
        """Everything, until both serve and each has met the other."""
        self.start_backends()
        self.load_sites(workers, edit)
        for s in self.sites:
            s.start_dataplane()
            s.start_control()
        for s in self.sites:
            lab.wait_until(f"site {s.name} serves", s.ready, 30)
        for s in self.sites:
            lab.wait_until(f"site {s.name} has met its peer", lambda: s.peer()["peer"]["connected"],
                           15)

    def cut(self, on):
        """Packets between the two controls vanish without a word, or no longer do."""
        for net in (206, 207):
            self.ip("router", "route", "replace" if on else "del", "blackhole", f"10.{net}.0.2/32")
