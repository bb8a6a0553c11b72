# SPDX-License-Identifier: Apache-2.0
"""
kube_churn.py: objects of one cluster come, change and go, a few each second, drawn by a seed.

Namespaces with Gateways, routes, Services, EndpointSlices and grants are made and deleted as a whole
and in parts. Routes mean Gateways that are not there or not ours, Services that are missing or in
namespaces that do not permit it. Others write into the routes' status beside us, and now and then
somebody wipes our part of it. What is refused (409, a namespace that ends) and what no API server
heard is counted and left so: nothing here knows more than any client of a real API server knows.
"""
import collections
import http.client
import random
import threading
import time

from kube_scale import Api, ApiError

GATEWAY_API, SLICES = "gateway.networking.k8s.io/v1", "discovery.k8s.io/v1"
OTHER_CONTROLLER, OTHER_CLASS = "example.net/other", "other"
MERGE = "application/merge-patch+json"
PLURALS = {"Gateway": "gateways", "HTTPRoute": "httproutes", "ReferenceGrant": "referencegrants",
           "Service": "services", "EndpointSlice": "endpointslices", "Namespace": "namespaces"}
NAMESPACES_MAX, ROUTES_MAX, SERVICES_MAX = 5, 6, 3
ADDRESSES = ["10.203.0.11", "10.203.0.12", "10.203.0.21", "10.204.0.21"]  # of the lab, all alive
STEADY = ("mesh", "steady")  # namespace and Service that a load uses all the time
OPS = {"namespace": 2, "route": 6, "weights": 4, "retarget": 3, "service": 3, "again": 3,
       "endpoints": 8, "steady": 8, "gateway": 2, "grant": 3, "other_entry": 3, "wiped": 2}


def path_of(kind, namespace=None, name=None):
    group = {"Service": "/api/v1", "Namespace": "/api/v1",
             "EndpointSlice": f"/apis/{SLICES}"}.get(kind, f"/apis/{GATEWAY_API}")
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{group}{within}/{PLURALS[kind]}" + (f"/{name}" if name else "")


def gateway(namespace, name, class_name, listeners):
    return {"apiVersion": GATEWAY_API, "kind": "Gateway",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"gatewayClassName": class_name, "listeners": listeners}}


def service(namespace, name):
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}


def endpoints(addresses):
    return [{"addresses": [a], "conditions": {"ready": True}} for a in addresses]


def endpoint_slice(namespace, name, addresses):
    return {"apiVersion": SLICES, "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "namespace": namespace,
                         "labels": {"kubernetes.io/service-name": name}},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": endpoints(addresses)}


class Space:
    """What this client believes to be in one namespace."""

    def __init__(self):
        self.routes, self.services, self.gateways, self.grants = set(), set(), set(), set()


class Churn(threading.Thread):
    def __init__(self, cluster, seed, rate):
        super().__init__(daemon=True)
        self.name, self.cluster, self.pause = cluster.name, cluster, 1 / rate
        self.rng = random.Random(f"{seed} {cluster.name}")
        self.api, self.stop = Api(cluster, 10), threading.Event()
        self.still = threading.Lock()  # who holds it sees no change
        self.spaces, self.number = {}, 0
        self.entries = {}  # uid of a route: the entry that another controller has in its status
        self.count, self.error = collections.Counter(), None
        self.log = collections.deque(maxlen=40)

    def run(self):
        names, weights = list(OPS), list(OPS.values())
        try:
            while not self.stop.wait(self.pause):
                op = self.rng.choices(names, weights)[0]
                self.count[op] += 1
                self.log.append((time.monotonic(), op))
                with self.still:
                    getattr(self, "do_" + op)()
        except Exception as e:  # a fault of the test's own: told when it is judged
            self.error = repr(e)

    # -- asking -----------------------------------------------------------------------------

    def ask(self, *args):
        """The answer, or None: refused, or nobody is there."""
        try:
            return self.api.ask(*args)
        except ApiError as e:
            self.count[f"answered {e.status}"] += 1
        except (OSError, http.client.HTTPException):
            self.count["not heard"] += 1
            self.stop.wait(0.3)
        return None

    def make(self, o):
        m = o["metadata"]
        return self.ask("POST", path_of(o["kind"], m.get("namespace")), o)

    def delete(self, kind, namespace, name):
        return self.ask("DELETE", path_of(kind, namespace, name))

    def patch(self, kind, namespace, name, body, sub=""):
        return self.ask("PATCH", path_of(kind, namespace, name) + sub, body, MERGE)

    def fresh(self, letter):
        self.number += 1
        return f"{letter}{self.number}"

    def pick(self, what=None):
        """A namespace, and something in it: (name, Space, name), or Nones."""
        some = [n for n, s in self.spaces.items() if what is None or getattr(s, what)]
        if not some:
            return None, None, None
        name = self.rng.choice(sorted(some))
        space = self.spaces[name]
        return name, space, what and self.rng.choice(sorted(getattr(space, what)))

    # -- namespaces and what is in them ------------------------------------------------------

    def do_namespace(self):
        if len(self.spaces) >= NAMESPACES_MAX:
            name = self.rng.choice(sorted(self.spaces))
            del self.spaces[name]
            self.delete("Namespace", None, name)
            return
        name = self.fresh("c")
        self.spaces[name] = Space()
        self.make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for _ in range(2):
            self.new_service(name)
        if self.rng.random() < 0.5:
            self.new_gateway(name)
        for _ in range(3):
            self.new_route(name)

    def new_service(self, namespace):
        name = self.fresh("s")
        self.spaces[namespace].services.add(name)
        self.make(service(namespace, name))
        self.make(endpoint_slice(namespace, name, self.addresses()))

    def addresses(self, least=0):
        return self.rng.sample(ADDRESSES, self.rng.randint(least, len(ADDRESSES)))

    def do_service(self):
        name, space, old = self.pick("services")
        if name is None:
            return
        if len(space.services) >= SERVICES_MAX:
            space.services.discard(old)
            self.delete("Service", name, old)
            self.delete("EndpointSlice", name, old)
        else:
            self.new_service(name)

    def do_again(self):
        """A Service is deleted and made again, its endpoints stay."""
        name, _, old = self.pick("services")
        if name is not None:
            self.delete("Service", name, old)
            self.make(service(name, old))

    def do_endpoints(self):
        name, _, old = self.pick("services")
        if name is not None:
            self.patch("EndpointSlice", name, old, {"endpoints": endpoints(self.addresses())})

    def do_steady(self):
        """Those of the Service that is asked all the time: another choice, never none."""
        self.patch("EndpointSlice", *STEADY, {"endpoints": endpoints(self.addresses(1))})

    def do_grant(self):
        name, space, _ = self.pick()
        if name is None:
            return
        if space.grants:
            self.delete("ReferenceGrant", name, space.grants.pop())
            return
        grant = self.fresh("g")
        space.grants.add(grant)
        froms = [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": n}
                 for n in sorted(self.spaces)]
        self.make({"apiVersion": GATEWAY_API, "kind": "ReferenceGrant",
                   "metadata": {"name": grant, "namespace": name},
                   "spec": {"from": froms, "to": [{"group": "", "kind": "Service"}]}})

    # -- Gateways ---------------------------------------------------------------------------

    def new_gateway(self, namespace):
        ours, name = self.rng.random() < 0.7, self.fresh("gw")
        self.spaces[namespace].gateways.add(name)
        listeners = [{"name": "http", "protocol": "HTTP", "port": 80, "allowedRoutes": {
            "namespaces": {"from": self.rng.choice(("Same", "All"))}}}]
        if self.rng.random() < 0.5:
            listeners.append({"name": "else", "protocol": "HTTP", "port": 8080,
                              "hostname": "*.elsewhere.lab"})
        self.make(gateway(namespace, name, "sluice" if ours else OTHER_CLASS, listeners))

    def do_gateway(self):
        name, space, old = self.pick("gateways")
        if name is not None and self.rng.random() < 0.5:
            space.gateways.discard(old)
            self.delete("Gateway", name, old)
            return
        name, space, _ = self.pick()
        if name is not None and len(space.gateways) < 2:
            self.new_gateway(name)

    # -- routes -----------------------------------------------------------------------------

    def backend(self, namespace):
        where = namespace if self.rng.random() < 0.7 else self.rng.choice(sorted(self.spaces))
        names = sorted(self.spaces[where].services) + ["missing"]
        return {"name": self.rng.choice(names), "namespace": where, "port": 80,
                "weight": self.rng.choice((0, 1, 20, 100))}

    def rules(self, namespace):
        return [{"matches": [{"path": {"type": "PathPrefix", "value": path}}],
                 "backendRefs": [self.backend(namespace) for _ in range(self.rng.randint(1, 3))]}
                for path in self.rng.sample(("/", "/a", "/b/c"), self.rng.randint(1, 2))]

    def parents(self, namespace):
        refs = [("mesh", "gw")]
        for where in {namespace, self.rng.choice(sorted(self.spaces))}:
            refs += [(where, g) for g in sorted(self.spaces[where].gateways)]
        refs = sorted(set(refs)) + [(namespace, "missing")]
        return [{"namespace": n, "name": g}
                for n, g in self.rng.sample(refs, min(len(refs), self.rng.randint(1, 2)))]

    def new_route(self, namespace):
        name = self.fresh("r")
        self.spaces[namespace].routes.add(name)
        self.make({"apiVersion": GATEWAY_API, "kind": "HTTPRoute",
                   "metadata": {"name": name, "namespace": namespace},
                   "spec": {"parentRefs": self.parents(namespace),
                            "hostnames": [f"{name}.{self.name}.churn.lab"],
                            "rules": self.rules(namespace)}})

    def do_route(self):
        name, space, old = self.pick("routes")
        if name is not None and len(space.routes) >= ROUTES_MAX:
            space.routes.discard(old)
            self.delete("HTTPRoute", name, old)
            return
        name, _, _ = self.pick()
        if name is not None:
            self.new_route(name)

    def do_weights(self):
        name, _, old = self.pick("routes")
        if name is not None:
            self.patch("HTTPRoute", name, old, {"spec": {"rules": self.rules(name)}})

    def do_retarget(self):
        name, _, old = self.pick("routes")
        if name is not None:
            self.patch("HTTPRoute", name, old, {"spec": {"parentRefs": self.parents(name)}})

    # -- others who write status ------------------------------------------------------------

    def do_other_entry(self):
        """As another controller does it: its entry is added to what stands there, or replaced."""
        name, _, old = self.pick("routes")
        route = name and self.ask("GET", path_of("HTTPRoute", name, old))
        if not route:
            return
        uid, meta = route["metadata"]["uid"], route["metadata"]
        ref = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "elsewhere"}
        entry = {"parentRef": ref, "controllerName": OTHER_CONTROLLER,
                 "conditions": [{"type": "Accepted", "status": "True", "reason": self.fresh("R"),
                                 "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
        parents = [p for p in route.get("status", {}).get("parents", ())
                   if p["controllerName"] != OTHER_CONTROLLER]
        body = {"metadata": {"resourceVersion": meta["resourceVersion"]},
                "status": {"parents": parents + [entry]}}
        self.entries[uid] = (*self.entries.get(uid, (None,)), entry)  # which, the answer says
        if self.patch("HTTPRoute", name, old, body, "/status"):
            self.entries[uid] = (entry,)

    def do_wiped(self):
        """Somebody who does not know better removes what we said."""
        name, _, old = self.pick("routes")
        route = name and self.ask("GET", path_of("HTTPRoute", name, old))
        if not route:
            return
        parents = [p for p in route.get("status", {}).get("parents", ())
                   if p["controllerName"] == OTHER_CONTROLLER]
        self.patch("HTTPRoute", name, old, {
            "metadata": {"resourceVersion": route["metadata"]["resourceVersion"]},
            "status": {"parents": parents}}, "/status")
