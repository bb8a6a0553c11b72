# SPDX-License-Identifier: Apache-2.0
"""
self_suspect.py: when two remote clusters fall silent at once it is our own uplink that is gone.

us-east is at our site, us-west and eu-north at others; a ServiceImport spans the three, probed every
250 ms. First one remote cluster alone falls silent: that one is simply gone, judged and left. Then the
uplink to both is cut: new requests go to us-east, no verdict on a remote endpoint is passed, nothing
is ejected, the site says that it suspects itself, in its log, its endpoints, its counters and its
record. With the uplink back the first request reaches a remote cluster within a second.
"""
import collections
import os
import sys
import time

from common import check, finish, gateway, lab, put_manifest, say, service
from cluster_dies import Answer, MCS, export, http_route, import_of, policy, start_nginx

PORT = 3000
EAST, WEST, NORTH = ["10.203.0.31"], ["10.204.0.31"], ["10.204.0.32"]
REMOTE = {"us-west": WEST[0], "eu-north": NORTH[0]}
RATE = 200
CONNECT_S = .5  # timeouts.connect
IMPORT = "{group: multicluster.x-k8s.io, kind: ServiceImport, name: store, port: 80}"


def edit_config(name, text):
    if name != "control.yaml":
        return text
    return text.replace("  directory: clusters/us-west",
                        "  directory: clusters/us-west\n  site: west\n"
                        "- name: eu-north\n  directory: clusters/eu-north\n  site: north") + \
        "site: {name: east}\ntimeouts: {connect: 500ms, response: 2s}\n"


def start(box):
    for cluster in ("us-east", "us-west"):
        start_nginx(box, cluster)
    box.load_example("mesh", 2, edit_config)
    os.makedirs(os.path.join(box.conf, "clusters", "eu-north"))
    for cluster in ("us-east", "us-west"):
        folder = os.path.join(box.conf, "clusters", cluster)
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
    put_manifest(box, "gw.yaml", gateway())
    put_manifest(box, "routes.yaml", import_of("store") + http_route("spread", IMPORT) +
                 policy("health", [(MCS, "ServiceImport", "store")]))
    for cluster, addresses in (("us-east", EAST), ("us-west", WEST), ("eu-north", NORTH)):
        with open(box.manifest(cluster, "store.yaml"), "w") as f:
            f.write(export("store", addresses))
    box.start_dataplane()
    box.start_control()
    box.wait_ready()
    lab.wait_until("all three are probed and usable", lambda: all(
        h["usable"] and h["probe"] for h in health(box).values()) and len(health(box)) == 3)


def endpoints(box):
    return box.get("/api/v1/endpoints")


def health(box):
    """{cluster: what the dataplane thinks of its endpoint}"""
    return {e["cluster"]: e["dataplanes"]["dp0"]["health"]
            for s in endpoints(box)["items"] for e in s["endpoints"]}


def suspicion(box):
    return endpoints(box)["suspicion"]["dp0"]


def ejections(box):
    """All that were ever passed, over workers and agent."""
    out = box.ctl("counters")
    return {line.split()[0]: int(line.split()[-1]) for line in out.splitlines()
            if "ejection" in line and "held" not in line and line.split()[-1].isdigit()}


def cut(box, clusters, on):
    for c in clusters:
        box.ip("router", "route", "replace" if on else "del", "blackhole", f"{REMOTE[c]}/32")


class Load:
    def __init__(self, box, what, seconds):
        self.record, self.box = os.path.join(box.dir, what), box
        self.p = box.spawn("client", f"load-{what}", os.path.join(box.build, "tests/tools/load"),
                           lab.VIP4, "80", "--conns", "300", "--rate", str(RATE), "--seconds",
                           str(seconds), "--host", "spread.demo.lab", "--record", self.record)

    def answers(self):
        self.p.p.wait(60)
        with open(self.record) as f:
            return [Answer(int(a) / 1e6, int(b) / 1e6, int(s), self.cluster(body.strip()))
                    for a, b, s, body in (x.split(" ", 3) for x in f)]

    @staticmethod
    def cluster(body):
        return body


def one_alone(box):
    cut(box, ["eu-north"], True)
    lab.wait_until("eu-north is judged", lambda: not health(box)["eu-north"]["usable"], 5)
    time.sleep(1)
    s, h = suspicion(box), health(box)
    check(not s["on"] and s["times"] == 0 and h["us-west"]["usable"],
          f"one cluster alone is gone, and no suspicion: {h['eu-north']['state']}, {s}")
    cut(box, ["eu-north"], False)
    lab.wait_until("it is back", lambda: health(box)["eu-north"]["usable"], 5)
    lab.wait_until("with its whole share", lambda: share_is_even(box), 15, .5)


def share_is_even(box):
    n = collections.Counter(box.curl_many(60, "spread.demo.lab"))
    return n["us-east"] <= 24


def uplink(box):
    before, judged = ejections(box), health(box)
    load = Load(box, "uplink", 12)
    time.sleep(1.5)
    t0 = time.monotonic()
    cut(box, REMOTE, True)
    lab.wait_until("the site suspects itself", lambda: suspicion(box)["on"], 5)
    t_suspect = time.monotonic()
    time.sleep(max(0, t0 + 6 - time.monotonic()))
    s, h, now = suspicion(box), health(box), ejections(box)
    check(sorted(s["clusters"]) == sorted(REMOTE) and s["times"] == 1,
          f"six seconds on it suspects both and judges none: {s}")
    check(now == before, f"0 ejections: {before} -> {now}")
    check(all(h[c]["state"] == "suspected" and h[c]["ejections"] == judged[c]["ejections"]
              for c in REMOTE), f"no verdict on them is passed: { {c: h[c]['state'] for c in REMOTE} }")
    site = box.get("/api/v1/sites/east")
    check(site["state"] == "suspect" and all(
        c["state"] == "silent" for c in site["clusters"] if c["name"] in REMOTE),
        f"the site's own record says so: {site['state']}, {site['clusters']}")
    check("we suspect our own site" in log_of(box), "and its log")
    t1 = time.monotonic()
    cut(box, REMOTE, False)
    answers = load.answers()
    judge(answers, t0, t1, t_suspect)
    lab.wait_until("suspicion is over", lambda: not suspicion(box)["on"], 5)
    check(ejections(box) == before, "0 ejections afterwards as well")


def judge(answers, t0, t1, t_suspect):
    failed = [a for a in answers if a.status != 200]
    late = [a for a in failed if a.sent > t0 + 1.5]
    during = [a for a in answers if t0 + 1.5 <= a.sent < t1]
    strays = [(round(a.sent - t0, 3), round(a.received - t1, 3)) for a in during if a.cluster != "us-east"]
    check(during and {a.cluster for a in during} == {"us-east"},
          f"1.5 s after the cut all {len(during)} requests are answered by us-east: "
          f"{dict(collections.Counter((a.status, a.cluster) for a in during))}")
    slow = [a for a in answers if t_suspect + .3 < a.sent < t1 and a.received - a.sent > CONNECT_S]
    check(not slow, f"none of them was tried at a silent cluster first: {len(slow)} took over "
          f"{CONNECT_S} s")
    check(not late and all(t0 - 2.5 < a.sent for a in failed),
          f"{len(failed)} failed, all sent before the site suspected itself "
          f"({t_suspect - t0:.1f} s after the cut)")
    first = min((a.received for a in answers if a.sent >= t1 and a.cluster in REMOTE), default=None)
    check(first is not None and first - t1 <= 1,
          f"the first answer of a remote cluster {first - t1 if first else -1:.2f} s after the uplink "
          f"is back (want <= 1)")
    say(f"cut: {len(failed)} of {len(answers)} failed, suspicion after {t_suspect - t0:.2f} s; back: "
        f"first remote answer after {first - t1 if first else -1:.2f} s")


def log_of(box):
    with open(box.dataplane.log, errors="replace") as f:
        return f.read()


def main():
    with lab.Lab() as box:
        box.v6 = False
        start(box)
        one_alone(box)
        uplink(box)
        check(all(p.alive() for p in (box.control, box.dataplane)), "both programs are alive")
    finish()


if __name__ == "__main__":
    sys.exit(main())
