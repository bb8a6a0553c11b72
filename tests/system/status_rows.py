# SPDX-License-Identifier: Apache-2.0
"""
status_rows.py: the status contract against a real API server: every row of tests/status.

A row's manifests are applied as kubectl applies them; then each object's own status, as anybody
reads it, must come to say what the row expects, and the requests of the row are sent. Rows that need
other definitions of the API, and what only holds before the first acknowledgement, are left to the
unit test.
"""
import collections
import glob
import json
import os
import re
import sys
import time

from common import TOP, check, finish, lab, say
from kube_lab import KubeLab

BUILD = os.environ.get("SLUICE_BUILD", os.path.join(TOP, "build-asan"))
CLUSTER = "us-east"
CONTROLLER = "gateway.sluice.internal/controller"
KINDS = ("gatewayclasses", "gateways", "listenersets", "httproutes", "grpcroutes", "tlsroutes",
         "tcproutes", "udproutes", "backendtlspolicies")
KINDS_ARG = ",".join([k + ".gateway.networking.k8s.io" for k in KINDS] +
                     ["clustertrafficpolicies.gateway.sluice.internal"])
NOT_HERE = ("(experimental channel)", "(older release)")
ROW_TIMEOUT = 20
QUIET = 0.5  # seconds in which a status that shall not come could still come
STAMP = re.compile(r',? ?creationTimestamp: "([^"]*)"')
META = re.compile(r"^metadata: \{name: ([^,}]+)(?:, namespace: ([^,}]+))?", re.M)

Object = collections.namedtuple("Object", "kind namespace name stamp text wants requests")


def objects_of(text):
    """The objects of a text, with the expectations that stand in each."""
    out = []
    for doc in re.split(r"(?m)^---\n", text):
        kind, meta = re.search(r"^kind: (\S+)", doc, re.M), META.search(doc)
        if not kind or not meta:
            continue
        stamp = STAMP.search(doc)
        out.append(Object(kind.group(1), meta.group(2) or "", meta.group(1),
                          stamp.group(1) if stamp else "", STAMP.sub("", doc),
                          re.findall(r"(?m)^#> (.*)$", doc), re.findall(r"(?m)^#\? (.*)$", doc)))
    return out


def rows_of(path):
    """(what all rows have, [(claim, objects)])"""
    with open(path) as f:
        base, *rows = re.split(r"(?m)^#= ", f.read())
    return objects_of(base), [(r.split("\n", 1)[0], objects_of(r.split("\n", 1)[1])) for r in rows]


# -- what a status says ---------------------------------------------------------------------

def ref_text(ref):
    return (ref["name"] + ("/" + ref["sectionName"] if "sectionName" in ref else "") +
            (f":{ref['port']}" if "port" in ref else ""))


def entry_of(status, field, key, want):
    return next((e for e in status.get(field) or () if e["controllerName"] == CONTROLLER and
                 ref_text(e[key]) == want), None)


def condition_fault(o, holder, want):
    """What is wrong about a condition; None: nothing."""
    conditions = {c["type"]: c for c in (holder or {}).get("conditions") or ()}
    if want.startswith("no "):
        return f"there is {want[3:]}" if want[3:] in conditions else None
    kind, status, reason, words = re.fullmatch(r"([^=]+)=([^/]+)/(\S+)(?: ~ (.*))?", want).groups()
    c = conditions.get(kind)
    if c is None:
        return f"no {kind}"
    have = f"{kind}={c['status']}/{c['reason']} ~ {c['message']}"
    if (c["status"], c["reason"]) != (status, reason) or (words or "") not in c["message"]:
        return have
    if c.get("observedGeneration") != o["metadata"]["generation"]:
        return have + " of another generation"
    return None


def list_fault(items, key, want):
    have = ",".join(i[key] for i in items or ()) or "-"
    return None if have == want else have


def is_untouched(o):
    """Nothing of ours: no entry under our name, no condition but those of the CRD's defaults."""
    status = o.get("status") or {}
    entries = (status.get("parents") or []) + (status.get("ancestors") or [])
    return (all(e["controllerName"] != CONTROLLER for e in entries) and
            all(c.get("observedGeneration", 0) == 0 for c in status.get("conditions") or ()))


def feature_fault(status, want):
    names = [f["name"] for f in status.get("supportedFeatures") or ()]
    verb, name = want.split(" ")
    good = (name in names) == (verb == "has") and names == sorted(names)
    return None if good else ",".join(names)


def fault(o, want):
    if o is None:
        return "there is no such object"
    if want == "nothing":
        return None if is_untouched(o) else json.dumps(o["status"])
    status = o.get("status") or {}
    word, _, rest = want.partition(" ")
    if word == "listener":
        name, _, rest = rest.partition(" ")
        holder = next((x for x in status.get("listeners") or () if x["name"] == name), {})
        if rest.startswith("kinds "):
            return list_fault(holder.get("supportedKinds"), "kind", rest[6:])
        if rest.startswith("routes "):
            have = holder.get("attachedRoutes")
            return None if str(have) == rest[7:] else f"{have} routes"
        return condition_fault(o, holder, rest)
    if word in ("parent", "ancestor"):
        ref, _, rest = rest.partition(" ")
        return condition_fault(o, entry_of(status, word + "s", word + "Ref", ref), rest)
    if word == "parents":
        have = sum(e["controllerName"] == CONTROLLER for e in status.get("parents") or ())
        return None if str(have) == rest else f"{have} entries"
    if word in ("listeners", "addresses"):
        return list_fault(status.get(word), "name" if word == "listeners" else "value", rest)
    if word == "sets":
        have = status.get("attachedListenerSets", 0)
        return None if str(have) == rest else f"{have} sets"
    if word == "features":
        return feature_fault(status, rest)
    return condition_fault(o, status, want)


# -- one row --------------------------------------------------------------------------------

class Rows:
    def __init__(self, box):
        self.box, self.count = box, 0

    def apply(self, objects):
        """In their order, and where they have ages a second apart: a server counts in seconds."""
        batch, stamp = [], ""
        for o in objects:
            if o.kind == "CustomResourceDefinition":
                self.annotate(o)
                continue
            if o.stamp and stamp and o.stamp != stamp:
                self.send(batch)
                batch = []
                time.sleep(1.1)
            stamp = o.stamp or stamp
            batch.append(o)
        self.send(batch)

    def send(self, objects):
        if objects:
            self.box.apply(CLUSTER, "\n---\n".join(o.text for o in objects))

    def annotate(self, o, value=None):
        key = "gateway.networking.k8s.io/bundle-version"
        if value is None:
            value = re.search(re.escape(key) + r": \"?([^\"}]*)", o.text).group(1)
        self.box.kubectl(CLUSTER, "annotate", "--overwrite", "crd", o.name, f"{key}={value}")

    def release(self, o):
        crd = self.box.object(CLUSTER, f"crd/{o.name}")
        return crd["metadata"]["annotations"]["gateway.networking.k8s.io/bundle-version"]

    def present(self):
        out = self.box.kubectl(CLUSTER, "get", KINDS_ARG, "-A", "-o", "json", timeout=120)
        return {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o
                for o in json.loads(out)["items"]}

    def faults(self, objects):
        have = self.present()
        return [f"{o.kind} {o.namespace}/{o.name}: want {w}, have {f}" for o in objects
                for w in o.wants
                for f in [fault(have.get((o.kind, o.namespace, o.name)), w)] if f is not None]

    def same_age(self, objects):
        """Did the server give objects that shall be of one age one age?"""
        have, by = self.present(), collections.defaultdict(set)
        for o in objects:
            if o.stamp:
                real = have[(o.kind, o.namespace, o.name)]["metadata"]["creationTimestamp"]
                by[o.stamp].add(real)
        return all(len(s) == 1 for s in by.values())

    def settle(self, objects):
        end = time.monotonic() + ROW_TIMEOUT
        if any(w == "nothing" for o in objects for w in o.wants):
            time.sleep(QUIET)
        while True:
            faults = self.faults(objects)
            if not faults or time.monotonic() > end:
                return faults
            time.sleep(0.1)

    def ask(self, request):
        host, path, want = request.split(" ")
        name, _, port = host.partition(":")
        if want == "refused":
            code = self.box.curl(path, name, False, int(port or 80), check=False)[0]
            return None if code == 0 else f"{request}: {code}"
        shares = dict(p.split("=") for p in want.split(",")) if "=" in want else {want: "2"}
        shares = {int(k): int(v) for k, v in shares.items()}
        have = collections.Counter(self.box.curl(path, name, False, int(port or 80))[0]
                                   for _ in range(sum(shares.values())))
        good = set(have) <= set(shares) and all(abs(have[k] - n) <= 2 for k, n in shares.items())
        return None if good else f"{request}: {dict(have)}"

    def answers(self, objects):
        """Requests are asked again for a while: a status may be true before the last worker."""
        requests = [r for o in objects for r in o.requests]
        end = time.monotonic() + 5
        while True:
            faults = [f for r in requests for f in [self.ask(r)] if f is not None]
            if not faults or time.monotonic() > end:
                return faults
            time.sleep(0.2)

    def remove(self, objects):
        plain = [o for o in objects if o.kind != "CustomResourceDefinition"]
        if plain:
            self.box.remove(CLUSTER, "\n---\n".join(o.text for o in plain))

    def run(self, claim, objects):
        crds = [(o, self.release(o)) for o in objects if o.kind == "CustomResourceDefinition"]
        for _ in range(5):
            self.apply(objects)
            if self.same_age(objects):
                break
            self.remove(objects)
        faults = self.settle(objects)
        faults = faults or self.answers(objects)
        check(not faults, claim)
        for f in faults:
            print(f"      {f}", flush=True)
        self.remove(objects)
        for o, value in crds:
            self.annotate(o, value)
        self.count += 1


def namespaces(rows, objects):
    names = {o.namespace for o in objects if o.namespace}
    if names:
        rows.box.apply(CLUSTER, "---\n".join(
            f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {n}}}\n" for n in sorted(names)))


def run_file(rows, path):
    base, all_rows = rows_of(path)
    # A row that makes a namespace with labels of its own only adds to it.
    namespaces(rows, base + [o for _, objects in all_rows for o in objects])
    rows.apply(base)
    for claim, objects in all_rows:
        if not claim.endswith(NOT_HERE):
            rows.run(claim, [o for o in objects if o.kind != "Namespace" or keep(rows, o)])
    rows.remove([o for o in base if o.kind != "Namespace"])


def keep(rows, namespace):
    """Namespaces stay once they are there: taking them down takes longer than all else."""
    rows.send([namespace])
    return False


def start(box):
    def edit(name, text):
        if name != "control.yaml":
            return text
        text = re.sub(r"(?m)^(clusters|addressPools):\n([- ].*\n|\n)*", "", text)
        return text + f"\nclusters:\n- {{name: {CLUSTER}, kubeconfig: {box.kubeconfig(CLUSTER)}}}\n"
    box.start_backends()
    box.load_example("canary", 1, edit)
    box.start_dataplane()
    box.start_control()
    box.wait_ready(60)


def main():
    only = [a for a in sys.argv[1:] if not a.startswith("--")]  # names of files
    with KubeLab(names=(CLUSTER,), build=BUILD) as box:
        with open(os.path.join(TOP, "configs", "kube", "namespaces.yaml")) as f:
            box.apply(CLUSTER, f.read())  # where the Lease and the Services are
        start(box)
        rows, begin = Rows(box), time.monotonic()
        for path in sorted(glob.glob(os.path.join(TOP, "tests", "status", "*.yaml"))):
            if not only or os.path.basename(path)[:-5] in only:
                run_file(rows, path)
        say(f"{rows.count} rows in {time.monotonic() - begin:.0f} s")
        check(box.control.alive() and box.dataplane.alive(), "both programs are alive")
    finish()


main()
