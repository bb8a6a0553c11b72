// SPDX-License-Identifier: Apache-2.0
/*
 * rules.c: the rules of a route, and which of them cannot be served as they are meant.
 *
 * A rule that asks for something that this gateway does not do is left out whole, and the route
 * says so (PartiallyInvalid, "Dropped Rule"): serving it without its filter or its retry would be
 * another rule than the user wrote. A backendRef that does not resolve is no such case: it keeps
 * its weight and answers 500 for its share.
 */
#include "control/reconcile/reconcile.h"

static bool values_have_regex(const struct value_match *m, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (m[i].type == MATCH_REGEX)
			return true;
	return false;
}

static bool has_regex(const struct http_rule *rule)
{
	for (uint32_t i = 0; i < rule->matches_count; i++) {
		const struct http_match *m = &rule->matches[i];

		if (m->path_type == MATCH_REGEX ||
			values_have_regex(m->headers, m->headers_count) ||
			values_have_regex(m->queries, m->queries_count))
			return true;
	}
	return false;
}

/* The first filter of the rule or of one of its backendRefs; NULL: none. */
static const struct http_filter *first_filter(const struct http_rule *rule)
{
	if (rule->filters_count != 0)
		return &rule->filters[0];
	for (uint32_t i = 0; i < rule->backends_count; i++)
		if (rule->backends[i].filters_count != 0)
			return &rule->backends[i].filters[0];
	return NULL;
}

/* What of the rule is not supported, as a clause; NULL when all of it is. */
static const char *unsupported(struct reconcile *r, const struct http_rule *rule)
{
	const struct http_filter *f = first_filter(rule);

	if (f != NULL)
		return arena_printf(r->arena, "filter %.*s is not supported: remove it",
			STR_FMT(f->type));
	if (has_regex(rule))
		return "RegularExpression matches are not supported: use Exact or PathPrefix";
	if (rule->has_retry)
		return "retry is not supported: remove it";
	if (rule->has_session_persistence)
		return "sessionPersistence is not supported: remove it";
	return NULL;
}

void rules_build(struct reconcile *r, struct plan_route *route)
{
	const struct http_route *spec = route->obj->http_route;

	route->rules = arena_array(r->arena, struct plan_rule, spec->rules_count);
	for (uint32_t i = 0; i < spec->rules_count; i++) {
		struct plan_rule *rule = &route->rules[i];

		rule->spec = &spec->rules[i];
		rule->index = i;
		rule->dropped = unsupported(r, rule->spec);
		rule->backends =
			arena_array(r->arena, struct plan_backend, rule->spec->backends_count);
		for (uint32_t k = 0; k < rule->spec->backends_count; k++)
			backends_resolve(r, route->obj, &rule->spec->backends[k],
				&rule->backends[k]);
	}
}
