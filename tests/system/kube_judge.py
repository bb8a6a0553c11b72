# SPDX-License-Identifier: Apache-2.0
"""
kube_judge.py: what the status of every object of a cluster must say, worked out anew from the
objects alone, the plain way, and what is wrong with what it says.

It knows the part of the Gateway API that kube_churn.py uses: HTTP listeners on addresses of their
own, allowedRoutes Same or All, parentRefs to Gateways, backendRefs to Services, ReferenceGrants to
all Services of a namespace.
"""
import json

from kube_churn import GATEWAY_API, OTHER_CONTROLLER, path_of

CONTROLLER = "gateway.sluice.internal/controller"
SHOWN_IN = "tigera-gateway"
OWNER = "gateway.envoyproxy.io/owning-gateway-"
KINDS = ("Gateway", "HTTPRoute", "ReferenceGrant", "Service", "Namespace")


def key(o):
    return o["metadata"].get("namespace", ""), o["metadata"]["name"]


class Judge:
    """One look at a cluster."""

    def __init__(self, api, others=None):
        """others: {uid of a route: entries of which another controller's is one}"""
        self.others = others or {}
        for kind in KINDS:
            items = api.ask("GET", path_of(kind))["items"]
            setattr(self, PLURAL[kind], {key(o): o for o in items})
        self.classes = {o["metadata"]["name"]: o for o in api.ask(
            "GET", f"/apis/{GATEWAY_API}/gatewayclasses")["items"]}

    def is_ours(self, gateway):
        c = self.classes.get(gateway["spec"]["gatewayClassName"])
        return c is not None and c["spec"]["controllerName"] == CONTROLLER

    def ours(self):
        return {k: g for k, g in self.gateways.items() if self.is_ours(g)}

    # -- what shall be ----------------------------------------------------------------------

    @staticmethod
    def admits(gateway, listener, route):
        spaces = listener.get("allowedRoutes", {}).get("namespaces", {}).get("from", "Same")
        return spaces == "All" or key(gateway)[0] == key(route)[0]

    @staticmethod
    def shares_name(listener, route):
        name, names = listener.get("hostname"), route["spec"].get("hostnames")
        return not name or not names or any(
            h == name or name[0] == "*" and h.endswith(name[1:]) for h in names)

    def attached(self, gateway, listener):
        return sum(1 for r in self.routes.values() if any(
            self.target(r, ref) is gateway for ref in r["spec"]["parentRefs"]) and
            self.admits(gateway, listener, r) and self.shares_name(listener, r))

    def target(self, route, ref):
        g = self.gateways.get((ref.get("namespace", key(route)[0]), ref["name"]))
        return g if g is not None and self.is_ours(g) else None

    def accepted(self, route, gateway):
        listeners = gateway["spec"]["listeners"]
        admitting = [li for li in listeners if self.admits(gateway, li, route)]
        if not admitting:
            return "False", "NotAllowedByListeners"
        if not any(self.shares_name(li, route) for li in admitting):
            return "False", "NoMatchingListenerHostname"
        return "True", "Accepted"

    def resolved(self, route):
        """By the first reference that does not."""
        mine = key(route)[0]
        for rule in route["spec"]["rules"]:
            for ref in rule.get("backendRefs", ()):
                there = ref.get("namespace", mine)
                if there != mine and not self.permitted(mine, there):
                    return "False", "RefNotPermitted"
                if (there, ref["name"]) not in self.services:
                    return "False", "BackendNotFound"
        return "True", "ResolvedRefs"

    def permitted(self, mine, there):
        return any(ns == there and any(f["namespace"] == mine for f in g["spec"]["from"])
                   for (ns, _), g in self.grants.items())

    # -- what is ----------------------------------------------------------------------------

    @staticmethod
    def conditions(what, o, holder, want):
        """want: {type: (status, reason or None)}"""
        have = {c["type"]: c for c in holder.get("conditions") or ()}
        for kind, (status, reason) in want.items():
            c = have.get(kind)
            if c is None:
                yield f"{what}: no {kind}"
            elif c["status"] != status or reason not in (None, c["reason"]):
                yield f"{what}: {kind} {c['status']}/{c['reason']}, not {status}/{reason}"
            elif c.get("observedGeneration") != o["metadata"]["generation"]:
                yield (f"{what}: {kind} of generation {c.get('observedGeneration')}, not "
                       f"{o['metadata']['generation']}")

    def gateway(self, k, g):
        what, status = f"Gateway {k[0]}/{k[1]}", g.get("status", {})
        if not self.is_ours(g):
            if any(c.get("observedGeneration") for c in status.get("conditions", ())) or \
                    status.get("addresses") or status.get("listeners"):
                yield f"{what}: not ours, and written into: {json.dumps(status)[:200]}"
            return
        yield from self.conditions(what, g, status, {
            "Accepted": ("True", "Accepted"), "Programmed": ("True", "Programmed")})
        if not status.get("addresses"):
            yield f"{what}: no address"
        have = {li["name"]: li for li in status.get("listeners", ())}
        if sorted(have) != sorted(li["name"] for li in g["spec"]["listeners"]):
            yield f"{what}: listeners {sorted(have)}"
            return
        for li in g["spec"]["listeners"]:
            at = f"{what} {li['name']}"
            yield from self.conditions(at, g, have[li["name"]], {
                "Accepted": ("True", None), "Programmed": ("True", None),
                "ResolvedRefs": ("True", None), "Conflicted": ("False", None)})
            n = self.attached(g, li)
            if have[li["name"]]["attachedRoutes"] != n:
                yield f"{at}: {have[li['name']]['attachedRoutes']} attached routes, not {n}"

    def route(self, k, r):
        what, entries = f"HTTPRoute {k[0]}/{k[1]}", r.get("status", {}).get("parents", ())

        def name(ref):
            return ref.get("namespace", k[0]), ref["name"]
        want = {name(ref): self.target(r, ref) for ref in r["spec"]["parentRefs"]}
        want = {n: g for n, g in want.items() if g is not None}
        have = [name(e["parentRef"]) for e in entries if e["controllerName"] == CONTROLLER]
        if sorted(have) != sorted(want):
            yield f"{what}: our parents {sorted(have)}, not {sorted(want)}"
            return
        for e in entries:
            if e["controllerName"] == CONTROLLER:
                n = name(e["parentRef"])
                yield from self.conditions(f"{what} of {n[0]}/{n[1]}", r, e, {
                    "Accepted": self.accepted(r, want[n]), "ResolvedRefs": self.resolved(r)})
        yield from self.other_entries(what, r, entries)

    def other_entries(self, what, r, entries):
        """Entries of other controllers are as they were written."""
        have = [e for e in entries if e["controllerName"] == OTHER_CONTROLLER]
        want = self.others.get(r["metadata"]["uid"], (None,))
        if have and have[0] not in want or not have and None not in want or len(have) > 1:
            yield f"{what}: another controller's entries {have}, not one of {want}"
        names = {e["controllerName"] for e in entries}
        if names - {CONTROLLER, OTHER_CONTROLLER}:
            yield f"{what}: entries of {names}"

    def shown(self):
        """One Service per Gateway of ours, with its address; and no others."""
        have = {}
        for (ns, name), s in self.services.items():
            labels = s["metadata"].get("labels", {})
            if ns != SHOWN_IN:
                continue
            at = labels.get(OWNER + "namespace"), labels.get(OWNER + "name")
            if at in have:
                yield f"Service {name}: a second one of {at}"
            have[at] = sorted(i["ip"] for i in s["status"].get("loadBalancer", {})
                              .get("ingress", ()))
        want = {k: sorted(a["value"] for a in g.get("status", {}).get("addresses", ()))
                for k, g in self.ours().items()}
        for k in sorted(set(have) | set(want), key=str):
            orphan = k in want and not self.has_space(k)
            if not orphan and have.get(k) != want.get(k):
                yield f"Service of Gateway {k}: shows {have.get(k)}, not {want.get(k)}"

    def shared_addresses(self):
        seen = {}
        for k, g in self.ours().items():
            for a in g.get("status", {}).get("addresses", ()):
                if a["value"] in seen:
                    yield f"{a['value']}: of Gateways {seen[a['value']]} and {k}"
                seen[a["value"]] = k

    def ending(self):
        return sorted(n for (_, n), o in self.namespaces.items()
                      if o["status"]["phase"] == "Terminating")

    def has_space(self, k):
        return ("", k[0]) in self.namespaces

    def orphans(self):
        """
        Gateways and routes that outlived their namespace: it ended while the API server started and
        did not know their kinds yet, so the namespace controller left them out. The server answers
        404 to every write to them, so nobody can keep their status right.
        """
        return [path_of(kind, *k) for kind, some in (("Gateway", self.gateways),
                                                     ("HTTPRoute", self.routes))
                for k in sorted(some) if not self.has_space(k)]

    def faults(self):
        out = [f"namespace {n} has not ended" for n in self.ending()]
        for k, g in sorted(self.gateways.items()):
            out += self.gateway(k, g) if self.has_space(k) else ()
        for k, r in sorted(self.routes.items()):
            out += self.route(k, r) if self.has_space(k) else ()
        return out + [*self.shown(), *self.shared_addresses()]


PLURAL = {"Gateway": "gateways", "HTTPRoute": "routes", "ReferenceGrant": "grants",
          "Service": "services", "Namespace": "namespaces"}
