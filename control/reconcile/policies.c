// SPDX-License-Identifier: Apache-2.0
/*
 * policies.c: BackendTLSPolicy: who demands TLS towards which backend, and who has to hear of it.
 *
 * A policy names Services of its own namespace, or one port of them by sectionName. TLS towards
 * backends is not built, and a backend that was meant to be reached by TLS must never be reached
 * without: so every policy makes its backend answer 500 for its share, whatever else is wrong with
 * it. Its status stands by ancestor, and an ancestor is each Gateway of ours that has an accepted
 * route to the target.
 * Standard: Gateway API v1.7, BackendTLSPolicy, PolicyAncestorStatus.
 */
#include <stdlib.h>

#include "control/reconcile/reconcile.h"

#define ANCESTORS_MAX 16u /* the API's own limit */

static int cmp_target(const struct policy_use *u, const struct object *at, const struct str group,
	struct str kind, struct str name)
{
	int c = str_cmp(u->policy->obj->cluster, at->cluster);

	if (c == 0)
		c = str_cmp(u->policy->obj->ns, at->ns);
	if (c == 0)
		c = str_cmp(u->target->name, name);
	if (c == 0)
		c = str_cmp(u->target->kind, kind);
	return c != 0 ? c : str_cmp(u->target->group, group);
}

/* By target, and of one target the oldest policy first. */
static int cmp_uses(const void *a, const void *b)
{
	const struct policy_use *x = a, *y = b;
	int c = cmp_target(x, y->policy->obj, y->target->group, y->target->kind, y->target->name);

	if (c == 0)
		c = object_cmp_age(x->policy->obj, y->policy->obj);
	return c != 0 ? c : str_cmp(x->target->section_name, y->target->section_name);
}

static bool same_target(const struct policy_use *a, const struct policy_use *b)
{
	return cmp_target(a, b->policy->obj, b->target->group, b->target->kind, b->target->name) ==
		0;
}

/* Of several policies for one target and section the oldest wins. */
static void find_conflicts(struct reconcile *r)
{
	for (uint32_t i = 0; i < r->policy_uses_count; i++) {
		struct policy_use *u = &r->policy_uses[i];

		for (uint32_t k = i; k > 0 && same_target(u, &r->policy_uses[k - 1]); k--)
			if (str_eq(u->target->section_name,
				    r->policy_uses[k - 1].target->section_name))
				u->policy->conflicted = true;
	}
}

void policies_prepare(struct reconcile *r)
{
	const struct view_kind *vk = &r->view->kinds[KIND_BACKEND_TLS_POLICY];
	struct plan *p = r->plan;
	uint32_t uses = 0;

	p->policies = arena_array(r->arena, struct plan_policy, vk->count);
	p->policies_count = vk->count;
	for (uint32_t i = 0; i < vk->count; i++) {
		p->policies[i].obj = vk->objects[i];
		uses += vk->objects[i]->backend_tls_policy->targets_count;
	}
	r->policy_uses = arena_array(r->arena, struct policy_use, uses);
	for (uint32_t i = 0; i < vk->count; i++) {
		const struct backend_tls_policy *spec = vk->objects[i]->backend_tls_policy;

		for (uint32_t k = 0; k < spec->targets_count; k++)
			r->policy_uses[r->policy_uses_count++] =
				(struct policy_use){&p->policies[i], &spec->targets[k]};
	}
	qsort(r->policy_uses, r->policy_uses_count, sizeof(*r->policy_uses), cmp_uses);
	find_conflicts(r);
}

/* The first use of a target that lies beside <at>; *ret_end: one past its last. */
static uint32_t uses_of(const struct reconcile *r, const struct object *at, struct str group,
	struct str kind, struct str name, uint32_t *ret_end)
{
	uint32_t lo = 0, hi = r->policy_uses_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (cmp_target(&r->policy_uses[mid], at, group, kind, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (hi = lo; hi < r->policy_uses_count &&
		cmp_target(&r->policy_uses[hi], at, group, kind, name) == 0;
		hi++)
		;
	*ret_end = hi;
	return lo;
}

bool policies_demand_tls(const struct reconcile *r, const struct object *service,
	const struct service_port *port)
{
	const struct kind_info *info = &kind_info[service->kind];
	uint32_t end, i = uses_of(r, service, info->group, info->name, service->name, &end);

	for (; i < end; i++) {
		struct str section = r->policy_uses[i].target->section_name;

		if (section.len == 0 || str_eq(section, port->name))
			return true;
	}
	return false;
}

static void add_ancestor(struct reconcile *r, struct plan_policy *policy, struct plan_gateway *gw)
{
	for (uint32_t i = 0; i < policy->ancestors_count; i++)
		if (policy->ancestors[i].gateway == gw)
			return;
	if (policy->ancestors == NULL)
		policy->ancestors = arena_array(r->arena, struct plan_ancestor, ANCESTORS_MAX);
	if (policy->ancestors_count < ANCESTORS_MAX)
		policy->ancestors[policy->ancestors_count++].gateway = gw;
}

static void add_ancestors(struct reconcile *r, const struct plan_route *route,
	const struct backend_ref *ref)
{
	const struct object at = {.cluster = route->obj->cluster,
		.ns = ref->ns.len ? ref->ns : route->obj->ns};
	uint32_t end, i = uses_of(r, &at, ref->group, ref->kind, ref->name, &end);

	for (; i < end; i++)
		for (uint32_t k = 0; k < route->parents_count; k++)
			if (route->parents[k].accepted)
				add_ancestor(r, r->policy_uses[i].policy,
					route->parents[k].gateway);
}

static void find_ancestors(struct reconcile *r, const struct plan_route *route)
{
	for (uint32_t i = 0; i < route->obj->http_route->rules_count; i++) {
		const struct plan_rule *rule = &route->rules[i];

		for (uint32_t k = 0; k < rule->spec->backends_count; k++)
			if (rule->backends[k].status != REF_NOT_PERMITTED)
				add_ancestors(r, route, rule->backends[k].ref);
	}
}

void policies_finish(struct reconcile *r)
{
	struct plan *p = r->plan;

	for (uint32_t i = 0; i < p->routes_count && r->policy_uses_count != 0; i++)
		find_ancestors(r, &p->routes[i]);
	for (uint32_t i = 0; i < p->policies_count; i++) {
		struct plan_policy *policy = &p->policies[i];

		conditions_policy(r, policy);
		policy->told = policy->ancestors_count != 0 || plan_has_left(r, policy->obj);
	}
}
