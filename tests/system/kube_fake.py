# SPDX-License-Identifier: Apache-2.0
"""
kube_fake.py: a small API server in memory: discovery, lists, watches, writes with optimistic locks.
It behaves as a real one until a test tells it otherwise: refuse(request) may answer first, kinds come
and go with define() and undefine(), and everything that was asked stands in writes.
"""
import copy
import json
import re
import threading
import urllib.parse

from kube_server import Server, status

GATEWAY = "gateway.networking.k8s.io"
CALICO = "projectcalico.org"
# plural: (group, version, kind, namespaced)
KINDS = {
    "gatewayclasses": (GATEWAY, "v1", "GatewayClass", False),
    "gateways": (GATEWAY, "v1", "Gateway", True),
    "httproutes": (GATEWAY, "v1", "HTTPRoute", True),
    "referencegrants": (GATEWAY, "v1", "ReferenceGrant", True),
    "backendtlspolicies": (GATEWAY, "v1", "BackendTLSPolicy", True),
    "secrets": ("", "v1", "Secret", True),
    "configmaps": ("", "v1", "ConfigMap", True),
    "namespaces": ("", "v1", "Namespace", False),
    "services": ("", "v1", "Service", True),
    "endpointslices": ("discovery.k8s.io", "v1", "EndpointSlice", True),
    "leases": ("coordination.k8s.io", "v1", "Lease", True),
    "events": ("events.k8s.io", "v1", "Event", True),
    "customresourcedefinitions": ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", False),
    "remoteclusterconfigurations": (CALICO, "v3", "RemoteClusterConfiguration", False),
}
SERVED = set(KINDS) - {"backendtlspolicies", "remoteclusterconfigurations"}
PATH = re.compile(r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)"
                  r"(?:/namespaces/(?P<ns>[^/]+)(?=/))?/(?P<plural>[^/]+)"
                  r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?$")


def merge(have, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    out = dict(have) if isinstance(have, dict) else {}
    for k, v in patch.items():
        if v is None:
            out.pop(k, None)
        else:
            out[k] = merge(out.get(k), v)
    return out


class Fake(Server):
    def __init__(self, certs):
        self.lock = threading.Condition()
        self.rv, self.store, self.log = 100, {}, []
        self.served, self.closed = set(SERVED), False
        self.writes = []  # (method, plural, name, subresource, status)
        self.refuse = lambda r: None  # a status, or (status, headers)
        super().__init__(certs, Fake.handle)

    # -- what a test does -------------------------------------------------------------------

    def put(self, plural, name, ns=None, **body):
        """Creates it, or takes its place: a change of spec is a new generation."""
        with self.lock:
            old = self.store.get((plural, ns, name))
            group, version, kind, _ = KINDS[plural]
            meta = dict(body.pop("metadata", {}), name=name)
            if ns:
                meta["namespace"] = ns
            new = {"apiVersion": f"{group}/{version}" if group else version, "kind": kind,
                   "metadata": meta, **body}
            if old is not None and "status" in old:
                new.setdefault("status", old["status"])
            return self._keep(plural, ns, name, new)

    def get(self, plural, name, ns=None):
        with self.lock:
            return copy.deepcopy(self.store.get((plural, ns, name)))

    def delete(self, plural, name, ns=None):
        with self.lock:
            o = self.store.pop((plural, ns, name), None)
            if o is not None:
                self._say("DELETED", plural, o)
            return o

    def define(self, plural):
        """A definition, and then the kind."""
        self.put("customresourcedefinitions", f"{plural}.{KINDS[plural][0]}", spec={},
                 metadata={"annotations": {f"{GATEWAY}/bundle-version": "v1.7.0"}})
        with self.lock:
            self.served.add(plural)

    def undefine(self, plural, say=True):
        """The objects go first, as a real server does it; say False: the kind only vanishes."""
        with self.lock:
            for key in [k for k in self.store if k[0] == plural]:
                o = self.store.pop(key)
                if say:
                    self._say("DELETED", plural, o)
            self.served.discard(plural)
            self.lock.notify_all()
        self.delete("customresourcedefinitions", f"{plural}.{KINDS[plural][0]}")

    def count_writes(self, plural, name=None, code=None):
        with self.lock:
            return sum(1 for w in self.writes if w[1] == plural and name in (None, w[2]) and
                       code in (None, w[4]))

    def close(self):
        with self.lock:
            self.closed = True
            self.lock.notify_all()
        super().close()

    # -- the store --------------------------------------------------------------------------

    def _keep(self, plural, ns, name, new):
        old = self.store.get((plural, ns, name))
        meta, was = new["metadata"], old["metadata"] if old else {}
        self.rv += 1
        meta["resourceVersion"] = str(self.rv)
        meta["uid"] = was.get("uid", f"u-{self.rv}")
        meta["creationTimestamp"] = was.get("creationTimestamp", "2026-01-01T00:00:00Z")
        same = old is not None and old.get("spec") == new.get("spec")
        meta["generation"] = was.get("generation", 0) + (0 if same else 1)
        self.store[plural, ns, name] = new
        self._say("MODIFIED" if old else "ADDED", plural, new)
        return copy.deepcopy(new)

    def _say(self, kind, plural, o):
        o = copy.deepcopy(o)
        if kind == "DELETED":
            self.rv += 1
            o["metadata"]["resourceVersion"] = str(self.rv)
        self.log.append((self.rv, kind, plural, o))
        self.lock.notify_all()

    # -- requests ---------------------------------------------------------------------------

    def discover(self, r):
        parts = r.path.split("/")[2:]
        group, version = ("", parts[0]) if len(parts) == 1 else parts
        with self.lock:
            names = [(p, k) for p, k in KINDS.items()
                     if p in self.served and k[:2] == (group, version)]
        if not names:
            return 404
        return {"kind": "APIResourceList", "groupVersion": f"{group}/{version}", "resources": [
            {"name": p, "kind": k[2], "namespaced": k[3], "verbs": ["list", "watch"]}
            for p, k in names]}

    def handle(self, r):
        m = PATH.match(r.path)
        if not m or m["plural"] not in self.served:
            return r.answer(404, status(404, "NotFound"))
        r.plural, r.name, r.sub = m["plural"], m["name"], m["sub"]
        r.ns = m["ns"] if KINDS[r.plural][3] else None
        r.doc = json.loads(r.body) if r.body else None
        refused = self.refuse(r)
        if refused is not None:
            code, headers = refused if isinstance(refused, tuple) else (refused, "")
            self._note(r, code)
            return r.answer(code, status(code), headers)
        if r.kind in ("stream", "watch"):
            return self._watch(r)
        if r.name is None and r.method == "GET":
            return r.answer(200, self._list(r))
        with self.lock:
            code, doc = self._one(r)
        self._note(r, code)
        return r.answer(code, doc)

    def _note(self, r, code):
        with self.lock:
            if r.method != "GET":
                self.writes.append((r.method, r.plural, r.name, r.sub, code))

    def _one(self, r):
        """GET, POST, PUT, PATCH, DELETE of one object; the status and the body."""
        name = r.name or r.doc["metadata"]["name"]
        old = self.store.get((r.plural, r.ns, name))
        apply = "apply-patch" in r.headers.get("content-type", "")
        if r.method == "POST" and old is not None:
            return 409, status(409, "AlreadyExists")
        if r.method not in ("POST",) and old is None and not (apply and not r.sub):
            return 404, status(404, "NotFound")
        if r.method == "GET":
            return 200, old
        if r.method == "DELETE":
            del self.store[r.plural, r.ns, name]
            self._say("DELETED", r.plural, old)
            return 200, status(200)
        version = r.doc.get("metadata", {}).get("resourceVersion")
        if old is not None and version not in (None, old["metadata"]["resourceVersion"]):
            return 409, status(409, "Conflict")
        new = merge(old, r.doc) if r.method == "PATCH" else copy.deepcopy(r.doc)
        new.setdefault("metadata", {}).update({"name": name, **({"namespace": r.ns} if r.ns else {})})
        return 200 if old else 201, self._keep(r.plural, r.ns, name, new)

    # -- lists and watches ------------------------------------------------------------------

    def _picks(self, r, plural, o):
        """fieldSelector, and the namespace of the path."""
        selector = urllib.parse.unquote(r.query.get("fieldSelector", ""))
        key, _, value = selector.partition("=")
        have = o["metadata"]["name"] if key == "metadata.name" else o.get(key)
        return plural == r.plural and (not selector or have == value) and \
            (r.ns is None or o["metadata"].get("namespace") == r.ns)

    @staticmethod
    def _form(r, o):
        if "as=PartialObjectMetadata" not in r.headers.get("accept", ""):
            return o
        return {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                "metadata": o["metadata"]}

    def _items(self, r):
        return [self._form(r, o) for (p, _, _), o in sorted(
            self.store.items(), key=lambda kv: int(kv[1]["metadata"]["resourceVersion"]))
                if self._picks(r, p, o)]

    def _list(self, r):
        group, version, kind, _ = KINDS[r.plural]
        if "as=PartialObjectMetadataList" in r.headers.get("accept", ""):
            group, version, kind = "meta.k8s.io", "v1", "PartialObjectMetadata"
        with self.lock:
            return {"apiVersion": f"{group}/{version}" if group else version, "kind": kind + "List",
                    "metadata": {"resourceVersion": str(self.rv)}, "items": self._items(r)}

    def _watch(self, r):
        with self.lock:
            items, at = self._items(r), self.rv
            if r.kind == "watch":
                items, at = [], int(r.query["resourceVersion"])
        r.begin()
        for o in items:
            r.event("ADDED", o)
        if r.kind == "stream":
            r.event("BOOKMARK", {"kind": KINDS[r.plural][2], "metadata": {
                "resourceVersion": str(at),
                "annotations": {"k8s.io/initial-events-end": "true"}}})
        while True:
            with self.lock:
                while not (news := [e for e in self.log if e[0] > at]) and not self.closed and \
                        r.plural in self.served:
                    self.lock.wait()
                if self.closed or (not news and r.plural not in self.served):
                    return False
            for rv, kind, plural, o in news:
                at = rv
                if self._picks(r, plural, o):
                    r.event(kind, self._form(r, o))
