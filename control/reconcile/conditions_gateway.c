// SPDX-License-Identifier: Apache-2.0
/*
 * conditions_gateway.c: what Gateways, ListenerSets and their listeners are told.
 *
 * A listener's conditions stand in the status of the object that it is written in, and carry that
 * object's generation. A ListenerSet's own conditions sum up its listeners and follow its Gateway;
 * the Gateway's say nothing about its sets (GEP-1713, Gateway Conditions).
 */
#include <string.h>

#include "control/reconcile/label.h"
#include "control/reconcile/reconcile.h"

static bool same_addresses(const struct plan_gateway *a, const struct plan_gateway *b)
{
	return a->addresses_count == b->addresses_count &&
		(a->addresses_count == 0 ||
			memcmp(a->addresses, b->addresses,
				a->addresses_count * sizeof(*a->addresses)) == 0);
}

/* The Gateway as the dataplanes have it, if they serve it under these addresses; else NULL. */
static const struct plan_gateway *acked_gateway(const struct reconcile *r,
	const struct plan_gateway *gw)
{
	const struct object *o = gw->obj;
	const struct plan_gateway *acked;

	if (r->in->acked == NULL || !gw->serves)
		return NULL;
	acked = plan_find_gateway(r->in->acked, o->cluster, o->ns, o->name);
	return acked != NULL && acked->serves && same_addresses(acked, gw) ? acked : NULL;
}

/* One that was deleted and made again counts its generations anew. */
static bool same_version(const struct object *a, const struct object *b)
{
	return a->generation == b->generation && str_eq(a->uid, b->uid);
}

/* The dataplanes have this Gateway as it stands here. */
static bool gateway_is_acked(const struct reconcile *r, const struct plan_gateway *gw)
{
	const struct plan_gateway *acked = acked_gateway(r, gw);

	return acked != NULL && same_version(acked->obj, gw->obj);
}

/* The same of a set; NULL: they have not. */
static const struct plan_set *acked_set(const struct reconcile *r, const struct plan_set *set)
{
	const struct object *o = set->obj;
	const struct plan_set *acked;

	if (acked_gateway(r, set->gateway) == NULL)
		return NULL;
	acked = plan_find_set(r->in->acked, o->cluster, o->ns, o->name);
	return acked != NULL && acked->accepted && same_version(acked->obj, o) ? acked : NULL;
}

static const char *conflict_message(struct reconcile *r, const struct plan_listener *l)
{
	const char *whom = l->set != NULL ? "A listener that comes first, of the Gateway or of an "
					    "older ListenerSet,"
					  : "Another listener of this Gateway";

	if (strcmp(l->conflict, "HostnameConflict") == 0)
		return arena_printf(r->arena,
			"%s has the same port, protocol and hostname: change one of them", whom);
	return arena_printf(r->arena,
		"%s uses port %u for another protocol: change port or protocol", whom,
		l->spec->port);
}

static void listener_accepted(struct reconcile *r, const struct object *o, struct plan_listener *l)
{
	struct conditions *c = &l->conditions;

	if (l->conflict != NULL)
		condition_set(c, o, "Accepted", false, l->conflict, conflict_message(r, l));
	else if (l->set != NULL && l->set->no_room != NULL)
		condition_set(c, o, "Accepted", false, "TooManyListeners", l->set->no_room);
	else if (l->accepted)
		condition_set(c, o, "Accepted", true, "Accepted", "The listener is valid");
	else if (l->spec->has_filters)
		condition_set(c, o, "Accepted", false, "UnsupportedValue",
			"filters of listeners are not supported: remove the field");
	else if (l->bad_selector != NULL)
		condition_set(c, o, "Accepted", false, "UnsupportedValue",
			arena_printf(r->arena, "allowedRoutes.namespaces.selector.%s",
				l->bad_selector));
	else
		condition_set(c, o, "Accepted", false, "UnsupportedProtocol",
			arena_printf(r->arena, "protocol %.*s is not supported: use HTTP",
				STR_FMT(str_first(l->spec->protocol, 100))));
	condition_set(c, o, "Conflicted", l->conflict != NULL,
		l->conflict != NULL ? l->conflict : "NoConflicts",
		l->conflict != NULL ? conflict_message(r, l) : "No other listener is in the way");
}

static void listener_resolved(struct reconcile *r, const struct object *o, struct plan_listener *l)
{
	const struct route_kind *k = l->wrong_kind;

	if (k == NULL)
		condition_set(&l->conditions, o, "ResolvedRefs", true, "ResolvedRefs",
			"All references are resolved");
	else
		condition_set(&l->conditions, o, "ResolvedRefs", false, "InvalidRouteKinds",
			arena_printf(r->arena,
				"allowedRoutes.kinds: %.*s%s%.*s is not a kind that this listener "
				"can carry: remove it (HTTPRoute is one)",
				STR_FMT(k->kind), k->group.len ? "." : "", STR_FMT(k->group)));
}

/* <status>: a Gateway's own condition is False until then, a set's is Unknown. */
static void set_pending(struct reconcile *r, struct conditions *c, const struct object *o,
	enum condition_status status)
{
	condition_set(c, o, "Programmed", status, "Pending",
		"Not every dataplane has acknowledged this configuration yet");
	r->plan->pending = true;
}

/* <acked>: the dataplanes have it. */
static void listener_programmed(struct reconcile *r, const struct plan_gateway *gw,
	struct plan_listener *l, bool acked)
{
	enum condition_status pending = l->set != NULL ? CONDITION_UNKNOWN : CONDITION_FALSE;
	const struct object *o = listener_owner(gw, l);
	struct conditions *c = &l->conditions;

	if (l->set != NULL && l->conflict != NULL)
		condition_set(c, o, "Programmed", false, l->conflict,
			"The listener is not accepted: see its condition Accepted");
	else if (!l->accepted)
		condition_set(c, o, "Programmed", false, "Invalid",
			"The listener is not accepted: see its condition Accepted");
	else if (!gw->accepted)
		condition_set(c, o, "Programmed", false, "Invalid",
			"The Gateway is not accepted: see its condition Accepted");
	else if (acked)
		condition_set(c, o, "Programmed", true, "Programmed",
			"Every live dataplane has this listener");
	else if (gw->serves)
		set_pending(r, c, o, pending);
	else
		condition_set(c, o, "Programmed", pending, "Pending",
			"The Gateway has no address: see its condition Programmed");
}

static uint32_t bad_listeners(const struct plan_listener *l, uint32_t count)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++)
		n += !l[i].accepted;
	return n;
}

/* Also decides whether the Gateway is accepted: the condition is the decision. */
static void gateway_accepted(struct reconcile *r, struct plan_gateway *gw,
	const struct plan_class *class, const struct address_result *addresses)
{
	struct conditions *c = &gw->conditions;
	const struct object *o = gw->obj;
	const struct object_ref *ref = o->gateway->parameters;
	uint32_t bad = bad_listeners(gw->listeners, gw->own_count);

	gw->accepted = false;
	if (!class->accepted) {
		condition_set(c, o, "Accepted", CONDITION_UNKNOWN, "Pending",
			"The GatewayClass is not accepted: see its condition Accepted");
	} else if (ref != NULL) {
		condition_set(c, o, "Accepted", false, "InvalidParameters",
			arena_printf(r->arena,
				"spec.infrastructure.parametersRef: %.*s %.*s cannot be used, "
				"parameters are not supported: remove the field",
				STR_FMT(ref->kind), STR_FMT(ref->name)));
	} else if (addresses->verdict == ADDRESS_UNSUPPORTED_TYPE) {
		condition_set(c, o, "Accepted", false, "UnsupportedAddress", addresses->why);
	} else if (bad == gw->own_count) {
		condition_set(c, o, "Accepted", false, "ListenersNotValid",
			"No listener is valid: see the conditions of each");
	} else {
		gw->accepted = true;
		condition_set(c, o, "Accepted", true, bad ? "ListenersNotValid" : "Accepted",
			bad ? "Some listeners are not valid: see the conditions of each"
			    : "The Gateway is valid");
	}
}

static void gateway_programmed(struct reconcile *r, struct plan_gateway *gw,
	const struct address_result *addresses, bool acked)
{
	struct conditions *c = &gw->conditions;
	const struct object *o = gw->obj;

	if (!gw->accepted)
		condition_set(c, o, "Programmed", false, "Invalid",
			"The Gateway is not accepted: see its condition Accepted");
	else if (addresses->verdict == ADDRESS_NOT_USABLE)
		condition_set(c, o, "Programmed", false, "AddressNotUsable", addresses->why);
	else if (addresses->verdict == ADDRESS_NOT_ASSIGNED)
		condition_set(c, o, "Programmed", false, "AddressNotAssigned", addresses->why);
	else if (addresses->verdict == ADDRESS_NO_ROOM)
		condition_set(c, o, "Programmed", false, "NoResources", addresses->why);
	else if (!acked)
		set_pending(r, c, o, CONDITION_FALSE);
	else
		condition_set(c, o, "Programmed", true, "Programmed",
			"Every live dataplane serves this Gateway");
}

void conditions_gateway(struct reconcile *r, struct plan_gateway *gw,
	const struct plan_class *class, const struct address_result *addresses)
{
	bool acked;

	gateway_accepted(r, gw, class, addresses);
	gw->serves = gw->accepted && gw->addresses_count != 0;
	acked = gateway_is_acked(r, gw);
	gateway_programmed(r, gw, addresses, acked);
	if (gw->obj->gateway->has_backend_tls)
		condition_set(&gw->conditions, gw->obj, "ResolvedRefs", false,
			"InvalidClientCertificateRef",
			"spec.tls.backend: client certificates towards backends are not "
			"supported: remove the field");
	for (uint32_t i = 0; i < gw->own_count; i++) {
		struct plan_listener *l = &gw->listeners[i];

		listener_accepted(r, gw->obj, l);
		listener_resolved(r, gw->obj, l);
		listener_programmed(r, gw, l, acked);
	}
}

static const char *not_allowed(struct reconcile *r, const struct object *gw)
{
	const struct gateway *spec = gw->gateway;
	const char *fault = NULL;

	if (spec->listeners_from == LISTENERS_FROM_SELECTOR && spec->listeners_selector != NULL)
		fault = label_selector_fault(r->arena, spec->listeners_selector);
	if (fault != NULL)
		return arena_printf(r->arena,
			"spec.parentRef: Gateway %.*s/%.*s selects no namespace, because of "
			"spec.allowedListeners.namespaces.selector.%s",
			STR_FMT(gw->ns), STR_FMT(gw->name), fault);
	return arena_printf(r->arena,
		"spec.parentRef: Gateway %.*s/%.*s takes no ListenerSets from this namespace: its "
		"owner can allow it in spec.allowedListeners",
		STR_FMT(gw->ns), STR_FMT(gw->name));
}

static void set_accepted(struct reconcile *r, struct plan_set *set)
{
	const struct object *o = set->obj, *gw = set->gateway->obj;
	uint32_t bad = bad_listeners(set->listeners, set->listeners_count);
	struct conditions *c = &set->conditions;

	set->accepted = false;
	if (!set->allowed) {
		condition_set(c, o, "Accepted", false, "NotAllowed", not_allowed(r, gw));
	} else if (!set->gateway->accepted) {
		condition_set(c, o, "Accepted", false, "ParentNotAccepted",
			arena_printf(r->arena,
				"spec.parentRef: Gateway %.*s/%.*s is not accepted: see its "
				"condition Accepted",
				STR_FMT(gw->ns), STR_FMT(gw->name)));
	} else if (bad == set->listeners_count) {
		condition_set(c, o, "Accepted", false, "ListenersNotValid",
			"No listener is valid: see the conditions of each");
	} else {
		set->accepted = true;
		set->gateway->attached_sets++;
		condition_set(c, o, "Accepted", true, bad ? "ListenersNotValid" : "Accepted",
			bad ? "Some listeners are not valid: see the conditions of each"
			    : "The ListenerSet is valid");
	}
}

static void set_programmed(struct reconcile *r, struct plan_set *set, bool acked)
{
	const struct condition *accepted = condition_find(&set->conditions, "Accepted");
	const struct object *o = set->obj;
	struct conditions *c = &set->conditions;

	if (set->allowed && (!set->gateway->accepted || !set->gateway->serves))
		condition_set(c, o, "Programmed", false, "ParentNotProgrammed",
			"The Gateway is not programmed: see its conditions");
	else if (!set->accepted)
		condition_set(c, o, "Programmed", false, accepted->reason, accepted->message);
	else if (!acked)
		set_pending(r, c, o, CONDITION_UNKNOWN);
	else
		condition_set(c, o, "Programmed", true, "Programmed",
			"Every live dataplane has these listeners");
}

void conditions_set(struct reconcile *r, struct plan_set *set)
{
	const struct plan_set *acked;

	set_accepted(r, set);
	acked = set->accepted ? acked_set(r, set) : NULL;
	set_programmed(r, set, acked != NULL);
	for (uint32_t i = 0; i < set->listeners_count; i++) {
		struct plan_listener *l = &set->listeners[i];

		listener_accepted(r, set->obj, l);
		listener_resolved(r, set->obj, l);
		/* Of one generation, so they are the same; only the others may have changed. */
		listener_programmed(r, set->gateway, l,
			acked != NULL && acked->listeners[i].accepted);
	}
}
