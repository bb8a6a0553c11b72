// SPDX-License-Identifier: Apache-2.0
/*
 * conditions_route.c: what a route is told about each of its parents.
 *
 * Routes of kinds that no listener carries are refused like any other that its listeners do not
 * take (NotAllowedByListeners); what they refer to is not looked at.
 */
#include "control/reconcile/reconcile.h"

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
		text = arena_printf(r->arena, "%s%sspec.rules[%u]%s%.*s%s: %s", text,
			(*ret_count)++ ? "; " : "", i, rule->spec->name.len ? " (" : "",
			STR_FMT(rule->spec->name), rule->spec->name.len ? ")" : "", rule->dropped);
	}
	return text;
}

static const char *const refusal_reasons[] = {
	[ATTACH_NO_MATCHING_PARENT] = "NoMatchingParent",
	[ATTACH_NOT_CARRIED] = "NotAllowedByListeners",
	[ATTACH_NOT_ALLOWED] = "NotAllowedByListeners",
	[ATTACH_NO_MATCHING_HOSTNAME] = "NoMatchingListenerHostname",
};

static const char *not_carried(struct reconcile *r, const struct object *route, const char *parent)
{
	struct str kind = kind_info[route->kind].name;

	if (route->kind != KIND_HTTP_ROUTE)
		return arena_printf(r->arena,
			"%.*ss are not supported: no listener of %s takes any", STR_FMT(kind),
			parent);
	return arena_printf(r->arena,
		"No listener of %s that is meant can carry %.*ss: see its listeners' conditions "
		"and "
		"their allowedRoutes.kinds",
		parent, STR_FMT(kind));
}

static const char *not_allowed(struct reconcile *r, const struct object *route, const char *parent)
{
	return arena_printf(r->arena,
		"No listener of %s that is meant takes %.*ss from namespace %.*s: its owner can "
		"allow them in allowedRoutes",
		parent, STR_FMT(kind_info[route->kind].name), STR_FMT(route->ns));
}

static const char *refusal(struct reconcile *r, const struct object *route,
	const struct plan_parent *parent, enum attach_verdict verdict)
{
	const struct object *o = parent->set != NULL ? parent->set->obj : parent->gateway->obj;
	const char *name = arena_printf(r->arena, "%.*s %.*s/%.*s",
		STR_FMT(kind_info[o->kind].name), STR_FMT(o->ns), STR_FMT(o->name));

	if (verdict == ATTACH_NOT_CARRIED)
		return not_carried(r, route, name);
	if (verdict == ATTACH_NOT_ALLOWED)
		return not_allowed(r, route, name);
	if (verdict == ATTACH_NO_MATCHING_HOSTNAME)
		return arena_printf(r->arena,
			"spec.hostnames: no listener of %s that is meant has a hostname in common "
			"with "
			"these: change one or the other",
			name);
	if (parent->set != NULL && !parent->set->allowed)
		return arena_printf(r->arena, "spec.parentRefs: %s is not accepted by its Gateway",
			name);
	return arena_printf(r->arena,
		"spec.parentRefs: %s has no listener with this sectionName and port: name one that "
		"it "
		"has",
		name);
}

static void parent_accepted(struct reconcile *r, const struct plan_route *route,
	struct plan_parent *parent, enum attach_verdict verdict)
{
	struct conditions *c = &parent->conditions;
	uint32_t dropped;
	const char *text = dropped_rules(r, route, &dropped);
	bool all = dropped == route->obj->http_route->rules_count;

	parent->accepted = verdict == ATTACH_OK && !all && parent->no_room == NULL;
	if (verdict != ATTACH_OK)
		condition_set(c, route->obj, "Accepted", false, refusal_reasons[verdict],
			refusal(r, route->obj, parent, verdict));
	else if (all)
		condition_set(c, route->obj, "Accepted", false, "UnsupportedValue", text);
	else if (parent->no_room != NULL)
		condition_set(c, route->obj, "Accepted", false, "NoResources", parent->no_room);
	else
		condition_set(c, route->obj, "Accepted", true, "Accepted", "The route is accepted");
	/* "implementations MUST [...] prefix the message with 'Dropped Rule'" */
	if (parent->accepted && dropped != 0)
		condition_set(c, route->obj, "PartiallyInvalid", true, "UnsupportedValue",
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

			/* What a policy demands is said on the policy. */
			if (b->status == REF_OK || b->status == REF_TLS_DEMANDED)
				continue;
			condition_set(&parent->conditions, route->obj, "ResolvedRefs", false,
				ref_reasons[b->status],
				arena_printf(r->arena, "spec.rules[%u].backendRefs[%u]: %s", i, k,
					b->why));
			return;
		}
	}
	condition_set(&parent->conditions, route->obj, "ResolvedRefs", true, ref_reasons[REF_OK],
		"All references are resolved");
}

void conditions_parent(struct reconcile *r, const struct plan_route *route,
	struct plan_parent *parent, enum attach_verdict verdict)
{
	parent_accepted(r, route, parent, verdict);
	if (route->obj->kind == KIND_HTTP_ROUTE)
		parent_resolved(r, route, parent);
}
