// SPDX-License-Identifier: Apache-2.0
/*
 * attach.c: which routes serve on which listeners.
 *
 * attach_judge() takes one parentRef of a route and narrows the parent's own listeners down, in the
 * order in which the API names its reasons; attach_route() then puts the route on those that are
 * left:
 *
 *	those left after each question			none: the reason
 *	1. the parentRef means it (sectionName, port)	NoMatchingParent
 *	2. it admits the route's kind and namespace	NotAllowedByListeners
 *	3. it shares a hostname with the route		NoMatchingListenerHostname
 *
 * A route attaches to a listener even while that listener is in conflict and cannot serve:
 * attachedRoutes counts it, and it serves as soon as the listener does. Gateway and ListenerSet are
 * two parents: a reference to one never means a listener of the other (GEP-1713).
 * Standards: Gateway API v1.7, Listener, AllowedRoutes, ParentReference, HTTPRouteSpec.hostnames.
 */
#include "control/reconcile/hostname.h"
#include "control/reconcile/label.h"
#include "control/reconcile/reconcile.h"

#define LABEL_NAMESPACE_NAME STR("kubernetes.io/metadata.name")

/* Step 1: does the parentRef mean this listener? Section and port must both fit when both stand. */
static bool is_meant(const struct parent_ref *ref, const struct listener *l)
{
	if (ref->section_name.len != 0 && !str_eq(ref->section_name, l->name))
		return false;
	return ref->port == 0 || ref->port == l->port;
}

/* A namespace without an object still has the one label that every namespace has. */
bool namespace_selected(const struct reconcile *r, const struct label_selector *s,
	struct str cluster, struct str ns)
{
	const struct object *o = view_find(r->view, KIND_NAMESPACE, cluster, STR(""), ns);
	const struct kv name = {LABEL_NAMESPACE_NAME, ns};
	const struct kv_list only_name = {&name, 1};

	return s != NULL && label_selector_matches(s, o != NULL ? &o->labels : &only_name);
}

/* Step 2: kinds of the protocol and of allowedRoutes. */
static bool carries(const struct plan_listener *l, const struct object *route)
{
	for (uint32_t i = 0; i < l->supported_kinds_count; i++)
		if (str_eq(l->supported_kinds[i].kind, kind_info[route->kind].name) &&
			str_eq(l->supported_kinds[i].group, kind_info[route->kind].group))
			return true;
	return false;
}

/* Step 2: namespaces of allowedRoutes; "Same" is the listener's own namespace. */
static bool is_allowed(const struct reconcile *r, const struct plan_gateway *gw,
	const struct object *route, const struct plan_listener *l)
{
	switch (l->spec->from) {
	case ROUTES_FROM_ALL:
		return true;
	case ROUTES_FROM_SAME:
		return str_eq(listener_owner(gw, l)->ns, route->ns);
	case ROUTES_FROM_SELECTOR:
		return namespace_selected(r, l->spec->selector, route->cluster, route->ns);
	}
	return false;
}

/* Room grows by doubling; the arena keeps the smaller copies, at most as much again. */
static void add_attachment(struct reconcile *r, struct plan_listener *l, struct plan_attachment a)
{
	uint32_t n = l->attachments_count;

	if (n == 0 || (n >= 8 && (n & (n - 1)) == 0)) {
		struct plan_attachment *old = l->attachments;

		l->attachments = arena_array(r->arena, struct plan_attachment, n ? 2 * n : 8);
		if (n != 0)
			memcpy(l->attachments, old, n * sizeof(*old));
	}
	l->attachments[l->attachments_count++] = a;
}

static bool same_attachment(const struct plan_attachment *a, const struct plan_attachment *b)
{
	return a->route == b->route && str_eq(a->hostname, b->hostname) &&
		str_eq(a->original, b->original);
}

/* Routes come one after the other: what this one has attached already stands at the end. */
static bool is_last(const struct plan_listener *l, const struct plan_route *route)
{
	return l->attachments_count != 0 && l->attachments[l->attachments_count - 1].route == route;
}

/* The same may come twice: two parentRefs can mean one listener, two hostnames can be equal. */
static void attach_once(struct reconcile *r, struct plan_listener *l, struct plan_attachment a)
{
	for (uint32_t i = l->attachments_count; i > 0; i--) {
		const struct plan_attachment *have = &l->attachments[i - 1];

		if (have->route != a.route)
			break;
		if (same_attachment(have, &a))
			return;
	}
	add_attachment(r, l, a);
}

/* One attachment for each hostname that both have. */
static void attach_hostnames(struct reconcile *r, struct plan_listener *l, struct plan_route *route)
{
	const struct http_route *spec = route->obj->http_route;
	struct str common;

	if (spec->hostnames_count == 0)
		attach_once(r, l, (struct plan_attachment){route, l->spec->hostname, STR("")});
	for (uint32_t i = 0; i < spec->hostnames_count; i++)
		if (hostname_intersect(l->spec->hostname, spec->hostnames[i], &common))
			attach_once(r, l,
				(struct plan_attachment){route, common, spec->hostnames[i]});
}

/* Step 3: is there a name that both stand for? */
static bool shares_hostname(const struct listener *l, const struct http_route *route)
{
	struct str common;

	for (uint32_t i = 0; i < route->hostnames_count; i++)
		if (hostname_intersect(l->hostname, route->hostnames[i], &common))
			return true;
	return route->hostnames_count == 0;
}

/* How far one listener gets through the three questions. */
static enum attach_verdict ask_listener(const struct reconcile *r, const struct plan_route *route,
	const struct plan_parent *parent, const struct plan_listener *l)
{
	if (!is_meant(parent->ref, l->spec))
		return ATTACH_NO_MATCHING_PARENT;
	if (!carries(l, route->obj))
		return ATTACH_NOT_CARRIED;
	if (!is_allowed(r, parent->gateway, route->obj, l))
		return ATTACH_NOT_ALLOWED;
	if (!shares_hostname(l->spec, route->obj->http_route))
		return ATTACH_NO_MATCHING_HOSTNAME;
	return ATTACH_OK;
}

/* Those that stand in the parent itself. */
static struct plan_listener *listeners_of(const struct plan_parent *parent, uint32_t *ret_count)
{
	const struct plan_set *set = parent->set;

	*ret_count = set != NULL ? set->listeners_count : parent->gateway->own_count;
	return set != NULL ? set->listeners : parent->gateway->listeners;
}

enum attach_verdict attach_judge(const struct reconcile *r, const struct plan_route *route,
	const struct plan_parent *parent)
{
	enum attach_verdict best = ATTACH_NO_MATCHING_PARENT;
	uint32_t count;
	const struct plan_listener *l = listeners_of(parent, &count);

	for (uint32_t i = 0; i < count; i++) {
		enum attach_verdict v = ask_listener(r, route, parent, &l[i]);

		if (v > best)
			best = v;
	}
	return best;
}

uint64_t attach_count(const struct reconcile *r, const struct plan_route *route,
	const struct plan_parent *parent)
{
	const struct http_route *spec = route->obj->http_route;
	struct str common;
	uint64_t n = 0;
	uint32_t count;
	const struct plan_listener *l = listeners_of(parent, &count);

	for (const struct plan_listener *end = l + count; l < end; l++) {
		if (ask_listener(r, route, parent, l) != ATTACH_OK)
			continue;
		n += spec->hostnames_count == 0;
		for (uint32_t k = 0; k < spec->hostnames_count; k++)
			n += hostname_intersect(l->spec->hostname, spec->hostnames[k], &common);
	}
	return n;
}

void attach_route(struct reconcile *r, struct plan_route *route, const struct plan_parent *parent)
{
	uint32_t count;
	struct plan_listener *l = listeners_of(parent, &count);

	for (const struct plan_listener *end = l + count; l < end; l++) {
		if (ask_listener(r, route, parent, l) != ATTACH_OK)
			continue;
		if (!is_last(l, route))
			l->attached_routes++;
		attach_hostnames(r, l, route);
	}
}
