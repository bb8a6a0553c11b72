// SPDX-License-Identifier: Apache-2.0
/*
 * conditions.c: what every object is told about itself.
 *
 * Types and reasons are the API's (apis/v1: gatewayclass_types, gateway_types, httproute_types,
 * shared_types; release 1.7). Messages are sentences for people and hold nothing that changes by
 * itself, because a changed message is a changed status. Programmed is said only of what every live
 * dataplane has acknowledged: the plan that was acknowledged last is an input.
 */
#include <string.h>

#include "control/reconcile/reconcile.h"
#include "dataplane/base/bug.h"

struct condition *condition_set(struct conditions *c, const char *type,
	enum condition_status status, const char *reason, const char *message, int64_t generation)
{
	bug_on(c->count == CONDITIONS_MAX);
	c->c[c->count] = (struct condition){type, reason, status, message, generation, 0};
	return &c->c[c->count++];
}

const struct condition *condition_find(const struct conditions *c, const char *type)
{
	for (uint32_t i = 0; i < c->count; i++)
		if (strcmp(c->c[i].type, type) == 0)
			return &c->c[i];
	return NULL;
}

static void set(struct conditions *c, const struct object *o, const char *type, bool status,
	const char *reason, const char *message)
{
	condition_set(c, type, status ? CONDITION_TRUE : CONDITION_FALSE, reason, message,
		o->generation);
}

void conditions_class(struct reconcile *r, struct plan_class *c)
{
	const struct object_ref *ref = c->obj->gateway_class->parameters;

	if (c->accepted)
		set(&c->conditions, c->obj, "Accepted", true, "Accepted",
			"Gateways of this class are served");
	else
		set(&c->conditions, c->obj, "Accepted", false, "InvalidParameters",
			arena_printf(r->arena,
				"parametersRef to %.*s %.*s: parameters are not "
				"supported",
				STR_FMT(ref->kind), STR_FMT(ref->name)));
}

static uint32_t bad_listeners(const struct plan_gateway *gw)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < gw->listeners_count; i++)
		n += !gw->listeners[i].accepted;
	return n;
}

static const char *conflict_reason(const struct plan_gateway *gw, const struct plan_listener *l)
{
	for (uint32_t i = 0; i < gw->listeners_count; i++) {
		const struct listener *other = gw->listeners[i].spec;

		if (other != l->spec && other->port == l->spec->port &&
			str_eq(other->protocol, l->spec->protocol) &&
			str_eq(other->hostname, l->spec->hostname))
			return "HostnameConflict";
	}
	return "ProtocolConflict";
}

static void listener_accepted(struct reconcile *r, const struct plan_gateway *gw,
	struct plan_listener *l)
{
	struct conditions *c = &l->conditions;
	const char *reason, *message;

	if (l->conflicted) {
		reason = conflict_reason(gw, l);
		message = arena_printf(r->arena,
			"Another listener of this Gateway uses port %u "
			"in a way that excludes this one",
			l->spec->port);
		set(c, gw->obj, "Accepted", false, reason, message);
		set(c, gw->obj, "Conflicted", true, reason, message);
		return;
	}
	if (l->accepted)
		set(c, gw->obj, "Accepted", true, "Accepted", "The listener is valid");
	else
		set(c, gw->obj, "Accepted", false, "UnsupportedProtocol",
			arena_printf(r->arena, "Protocol %.*s is not supported",
				STR_FMT(l->spec->protocol)));
	set(c, gw->obj, "Conflicted", false, "NoConflicts", "No other listener is in the way");
}

static void listener_resolved(const struct plan_gateway *gw, struct plan_listener *l)
{
	if (l->resolved)
		set(&l->conditions, gw->obj, "ResolvedRefs", true, "ResolvedRefs",
			"All references are resolved");
	else
		set(&l->conditions, gw->obj, "ResolvedRefs", false, "InvalidRouteKinds",
			"allowedRoutes.kinds has kinds that this listener cannot carry");
}

static bool same_addresses(const struct plan_gateway *a, const struct plan_gateway *b)
{
	return a->addresses_count == b->addresses_count &&
		(a->addresses_count == 0 ||
			memcmp(a->addresses, b->addresses,
				a->addresses_count * sizeof(*a->addresses)) == 0);
}

/* The dataplanes have this Gateway as it stands here. */
static bool is_acked(const struct reconcile *r, const struct plan_gateway *gw)
{
	const struct object *o = gw->obj;
	const struct plan_gateway *acked;

	if (r->in->acked == NULL)
		return false;
	acked = plan_find_gateway(r->in->acked, o->cluster, o->ns, o->name);
	return acked != NULL && acked->serves && acked->obj->generation == o->generation &&
		same_addresses(acked, gw);
}

#define MESSAGE_PENDING "Not every dataplane has acknowledged this configuration yet"

static void listener_programmed(const struct plan_gateway *gw, struct plan_listener *l, bool acked)
{
	struct conditions *c = &l->conditions;

	if (!l->accepted || !gw->accepted)
		set(c, gw->obj, "Programmed", false, "Invalid", "The listener is not served");
	else if (!gw->serves)
		set(c, gw->obj, "Programmed", false, "Pending", "The Gateway has no address");
	else if (!acked)
		set(c, gw->obj, "Programmed", false, "Pending", MESSAGE_PENDING);
	else
		set(c, gw->obj, "Programmed", true, "Programmed",
			"Every live dataplane has this listener");
}

/* Also decides whether the Gateway is accepted: the condition is the decision. */
static void gateway_accepted(struct reconcile *r, struct plan_gateway *gw,
	const struct plan_class *class, const struct address_result *addresses)
{
	struct conditions *c = &gw->conditions;
	const struct object_ref *ref = gw->obj->gateway->parameters;
	uint32_t bad = bad_listeners(gw);

	gw->accepted = false;
	if (!class->accepted) {
		condition_set(c, "Accepted", CONDITION_UNKNOWN, "Pending",
			"The GatewayClass is not accepted", gw->obj->generation);
	} else if (ref != NULL) {
		set(c, gw->obj, "Accepted", false, "InvalidParameters",
			arena_printf(r->arena,
				"infrastructure.parametersRef to %.*s %.*s: parameters are not "
				"supported",
				STR_FMT(ref->kind), STR_FMT(ref->name)));
	} else if (addresses->verdict == ADDRESS_UNSUPPORTED_TYPE) {
		set(c, gw->obj, "Accepted", false, "UnsupportedAddress", addresses->why);
	} else if (bad == gw->listeners_count) {
		set(c, gw->obj, "Accepted", false, "ListenersNotValid", "No listener is valid");
	} else {
		gw->accepted = true;
		set(c, gw->obj, "Accepted", true, bad ? "ListenersNotValid" : "Accepted",
			bad ? "Some listeners are not valid" : "The Gateway is valid");
	}
}

static void gateway_programmed(struct plan_gateway *gw, const struct address_result *addresses,
	bool acked)
{
	struct conditions *c = &gw->conditions;

	if (!gw->accepted)
		set(c, gw->obj, "Programmed", false, "Invalid", "The Gateway is not accepted");
	else if (addresses->verdict == ADDRESS_NOT_USABLE)
		set(c, gw->obj, "Programmed", false, "AddressNotUsable", addresses->why);
	else if (addresses->verdict == ADDRESS_NOT_ASSIGNED)
		set(c, gw->obj, "Programmed", false, "AddressNotAssigned", addresses->why);
	else if (addresses->verdict == ADDRESS_NO_ROOM)
		set(c, gw->obj, "Programmed", false, "NoResources", addresses->why);
	else if (!acked)
		set(c, gw->obj, "Programmed", false, "Pending", MESSAGE_PENDING);
	else
		set(c, gw->obj, "Programmed", true, "Programmed",
			"Every live dataplane serves this Gateway");
}

void conditions_gateway(struct reconcile *r, struct plan_gateway *gw,
	const struct plan_class *class, const struct address_result *addresses)
{
	bool acked;

	gateway_accepted(r, gw, class, addresses);
	gw->serves = gw->accepted && gw->addresses_count != 0;
	acked = gw->serves && is_acked(r, gw);
	gateway_programmed(gw, addresses, acked);
	if (gw->obj->gateway->has_backend_tls)
		set(&gw->conditions, gw->obj, "ResolvedRefs", false, "InvalidClientCertificateRef",
			"Client certificates towards backends are not supported");
	for (uint32_t i = 0; i < gw->listeners_count; i++) {
		struct plan_listener *l = &gw->listeners[i];

		listener_accepted(r, gw, l);
		listener_resolved(gw, l);
		listener_programmed(gw, l, acked);
	}
}

/* "rule 0 (name): why; rule 2: why" of those that are left out. */
static const char *dropped_rules(struct reconcile *r, const struct plan_route *route,
	uint32_t *ret_count)
{
	const char *text = "";

	*ret_count = 0;
	for (uint32_t i = 0; i < route->obj->http_route->rules_count; i++) {
		const struct plan_rule *rule = &route->rules[i];

		if (rule->dropped == NULL)
			continue;
		text = arena_printf(r->arena, "%s%srule %u%s%.*s%s: %s", text,
			(*ret_count)++ ? "; " : "", i, rule->spec->name.len ? " (" : "",
			STR_FMT(rule->spec->name), rule->spec->name.len ? ")" : "", rule->dropped);
	}
	return text;
}

static const struct {
	const char *reason, *message;
} refusals[] = {
	[ATTACH_NO_MATCHING_PARENT] = {"NoMatchingParent",
		"The Gateway has no listener with this sectionName and port"},
	[ATTACH_NOT_ALLOWED] = {"NotAllowedByListeners",
		"No listener admits routes of this kind from this namespace"},
	[ATTACH_NO_MATCHING_HOSTNAME] = {"NoMatchingListenerHostname",
		"No listener has a hostname in common with the route"},
};

static void parent_accepted(struct reconcile *r, const struct plan_route *route,
	struct plan_parent *parent, enum attach_verdict verdict)
{
	struct conditions *c = &parent->conditions;
	uint32_t dropped;
	const char *text = dropped_rules(r, route, &dropped);
	bool all = dropped == route->obj->http_route->rules_count;

	parent->accepted = verdict == ATTACH_OK && !all && parent->no_room == NULL;
	if (verdict != ATTACH_OK)
		set(c, route->obj, "Accepted", false, refusals[verdict].reason,
			refusals[verdict].message);
	else if (all)
		set(c, route->obj, "Accepted", false, "UnsupportedValue", text);
	else if (parent->no_room != NULL)
		set(c, route->obj, "Accepted", false, "NoResources", parent->no_room);
	else
		set(c, route->obj, "Accepted", true, "Accepted", "The route is accepted");
	/* "implementations MUST [...] prefix the message with 'Dropped Rule'" */
	if (parent->accepted && dropped != 0)
		set(c, route->obj, "PartiallyInvalid", true, "UnsupportedValue",
			arena_printf(r->arena, "Dropped Rule: %s", text));
}

static const char *const ref_reasons[] = {
	[REF_OK] = "ResolvedRefs",
	[REF_INVALID_KIND] = "InvalidKind",
	[REF_BACKEND_NOT_FOUND] = "BackendNotFound",
	[REF_NOT_PERMITTED] = "RefNotPermitted",
	[REF_UNSUPPORTED_PROTOCOL] = "UnsupportedProtocol",
};

/* The first reference that does not resolve gives the reason, its rule the place. */
static void parent_resolved(struct reconcile *r, const struct plan_route *route,
	struct plan_parent *parent)
{
	for (uint32_t i = 0; i < route->obj->http_route->rules_count; i++) {
		const struct plan_rule *rule = &route->rules[i];

		for (uint32_t k = 0; k < rule->spec->backends_count; k++) {
			const struct plan_backend *b = &rule->backends[k];

			if (b->status == REF_OK)
				continue;
			set(&parent->conditions, route->obj, "ResolvedRefs", false,
				ref_reasons[b->status],
				arena_printf(r->arena, "Rule %u backendRef %u: %s", i, k, b->why));
			return;
		}
	}
	set(&parent->conditions, route->obj, "ResolvedRefs", true, ref_reasons[REF_OK],
		"All references are resolved");
}

void conditions_parent(struct reconcile *r, const struct plan_route *route,
	struct plan_parent *parent, enum attach_verdict verdict)
{
	parent_accepted(r, route, parent, verdict);
	parent_resolved(r, route, parent);
}
