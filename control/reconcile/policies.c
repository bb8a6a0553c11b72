// SPDX-License-Identifier: Apache-2.0
/*
 * policies.c: BackendTLSPolicy and ClusterTrafficPolicy: what they are attached to, which of several
 * holds, and who has to hear of it.
 *
 * A BackendTLSPolicy names Services of its own namespace, or one port of them by sectionName. TLS
 * towards backends is not built, and a backend that was meant to be reached by TLS must never be
 * reached without: so every policy makes its backend answer 500 for its share, whatever else is
 * wrong with it. A ClusterTrafficPolicy holds for all of its targets or, when anything is wrong with
 * it, for none; of two that are good the oldest has the target (GEP-2648).
 *
 * Status stands by ancestor, and an ancestor is each Gateway of ours that has an accepted route to
 * the target. A ClusterTrafficPolicy of which no Gateway knows yet has its first target as ancestor:
 * its mistakes are to be told before there is a route, too.
 * Standard: Gateway API v1.7, BackendTLSPolicy, PolicyAncestorStatus; GEP-713, GEP-2648.
 */
#include <stdlib.h>

#include "control/model/traffic.h"
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
	if (c == 0)
		c = (int)x->policy->obj->kind - (int)y->policy->obj->kind;
	return c != 0 ? c : str_cmp(x->target->section_name, y->target->section_name);
}

static const struct policy_target *targets_of(const struct object *o, uint32_t *ret_count)
{
	if (o->kind == KIND_TRAFFIC_POLICY) {
		*ret_count = o->traffic_policy->targets_count;
		return o->traffic_policy->targets;
	}
	*ret_count = o->backend_tls_policy->targets_count;
	return o->backend_tls_policy->targets;
}

static bool demands_tls(const struct policy_use *u)
{
	return u->policy->obj->kind == KIND_BACKEND_TLS_POLICY;
}

static bool same_target(const struct policy_use *a, const struct policy_use *b)
{
	return cmp_target(a, b->policy->obj, b->target->group, b->target->kind, b->target->name) ==
		0;
}

/* By target and section, and of one section the oldest first. */
static int cmp_claims(const void *a, const void *b)
{
	const struct policy_use *x = *(struct policy_use *const *)a,
				*y = *(struct policy_use *const *)b;
	int c = cmp_target(x, y->policy->obj, y->target->group, y->target->kind, y->target->name);

	if (c == 0)
		c = str_cmp(x->target->section_name, y->target->section_name);
	return c != 0 ? c : object_cmp_age(x->policy->obj, y->policy->obj);
}

/* Of several policies for one target and section the oldest wins; one that is not valid claims none. */
static void find_conflicts(struct reconcile *r)
{
	struct policy_use **claims =
		arena_array(r->arena, struct policy_use *, r->policy_uses_count);
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->policy_uses_count; i++)
		if (demands_tls(&r->policy_uses[i]) &&
			r->policy_uses[i].policy->obj->backend_tls_policy->invalid == NULL)
			claims[n++] = &r->policy_uses[i];
	qsort(claims, n, sizeof(struct policy_use *), cmp_claims);
	for (uint32_t i = 1; i < n; i++)
		if (same_target(claims[i], claims[i - 1]) &&
			str_eq(claims[i]->target->section_name,
				claims[i - 1]->target->section_name))
			claims[i]->policy->conflicted = true;
}

static void take_kind(struct reconcile *r, enum kind kind)
{
	const struct view_kind *vk = &r->view->kinds[kind];
	struct plan *p = r->plan;

	for (uint32_t i = 0; i < vk->count; i++)
		p->policies[p->policies_count++].obj = vk->objects[i];
}

static void take_uses(struct reconcile *r)
{
	struct plan *p = r->plan;
	uint32_t uses = 0, count;

	for (uint32_t i = 0; i < p->policies_count; i++) {
		targets_of(p->policies[i].obj, &count);
		uses += count;
	}
	r->policy_uses = arena_array(r->arena, struct policy_use, uses);
	for (uint32_t i = 0; i < p->policies_count; i++) {
		const struct policy_target *t = targets_of(p->policies[i].obj, &count);

		for (uint32_t k = 0; k < count; k++)
			r->policy_uses[r->policy_uses_count++] =
				(struct policy_use){&p->policies[i], &t[k]};
	}
	qsort(r->policy_uses, r->policy_uses_count, sizeof(*r->policy_uses), cmp_uses);
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
		const struct policy_use *u = &r->policy_uses[i];
		struct str section = u->target->section_name;

		if (demands_tls(u) && (section.len == 0 || str_eq(section, port->name)))
			return true;
	}
	return false;
}

const struct plan_policy *policies_traffic(const struct reconcile *r, const struct object *at,
	const struct policy_target *target)
{
	uint32_t end, i = uses_of(r, at, target->group, target->kind, target->name, &end);

	for (; i < end; i++)
		if (r->policy_uses[i].policy->holds)
			return r->policy_uses[i].policy;
	return NULL;
}

const struct plan_policy *policies_of(const struct reconcile *r, const struct object *target)
{
	const struct kind_info *info = &kind_info[target->kind];

	return policies_traffic(r, target,
		&(struct policy_target){.group = info->group,
			.kind = info->name,
			.name = target->name});
}

static int cmp_age(const void *a, const void *b)
{
	return object_cmp_age((*(struct plan_policy *const *)a)->obj,
		(*(struct plan_policy *const *)b)->obj);
}

/* Oldest first: who is good and finds all of its targets free has them. */
static void decide_traffic(struct reconcile *r)
{
	struct plan *p = r->plan;
	struct plan_policy **all = arena_array(r->arena, struct plan_policy *, p->policies_count);
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->policies_count; i++)
		if (p->policies[i].obj->kind == KIND_TRAFFIC_POLICY)
			all[n++] = &p->policies[i];
	qsort(all, n, sizeof(*all), cmp_age);
	for (uint32_t i = 0; i < n; i++)
		traffic_judge(r, all[i]);
}

void policies_prepare(struct reconcile *r)
{
	const struct view_kind *kinds = r->view->kinds;

	r->plan->policies = arena_array(r->arena, struct plan_policy,
		kinds[KIND_BACKEND_TLS_POLICY].count + kinds[KIND_TRAFFIC_POLICY].count);
	take_kind(r, KIND_BACKEND_TLS_POLICY);
	take_kind(r, KIND_TRAFFIC_POLICY);
	take_uses(r);
	find_conflicts(r);
	decide_traffic(r);
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

static void add_gateways(struct reconcile *r, struct plan_policy *policy,
	const struct plan_route *route)
{
	for (uint32_t k = 0; k < route->parents_count; k++)
		if (route->parents[k].accepted)
			add_ancestor(r, policy, route->parents[k].gateway);
}

static void add_backend(struct reconcile *r, const struct plan_route *route,
	const struct backend_ref *ref)
{
	const struct object at = {.cluster = route->obj->cluster,
		.ns = ref->ns.len ? ref->ns : route->obj->ns};
	uint32_t end, i = uses_of(r, &at, ref->group, ref->kind, ref->name, &end);

	for (; i < end; i++)
		add_gateways(r, r->policy_uses[i].policy, route);
}

static void add_route(struct reconcile *r, const struct plan_route *route)
{
	const struct object *o = route->obj;
	const struct kind_info *info = &kind_info[o->kind];
	uint32_t end, i = uses_of(r, o, info->group, info->name, o->name, &end);

	for (; i < end; i++)
		if (!demands_tls(&r->policy_uses[i]))
			add_gateways(r, r->policy_uses[i].policy, route);
}

static void find_ancestors(struct reconcile *r, const struct plan_route *route)
{
	add_route(r, route);
	for (uint32_t i = 0; i < route->obj->http_route->rules_count; i++) {
		const struct plan_rule *rule = &route->rules[i];

		for (uint32_t k = 0; k < rule->spec->backends_count; k++)
			if (rule->backends[k].status != REF_NOT_PERMITTED)
				add_backend(r, route, rule->backends[k].ref);
	}
}

static void add_own_target(struct reconcile *r, struct plan_policy *policy)
{
	policy->ancestors = arena_array(r->arena, struct plan_ancestor, 1);
	policy->ancestors[0].target = &policy->obj->traffic_policy->targets[0];
	policy->ancestors_count = 1;
}

/* What no condition may tell, as long as no Gateway is concerned. Of files it is a problem already. */
static void note_policy(struct reconcile *r, const struct object *o)
{
	const struct backend_tls_policy *p = o->backend_tls_policy;

	if (p->invalid != NULL && o->file == NULL)
		note_add(r, true, o, "%s: its targets are answered 500", p->invalid);
	for (uint32_t i = 0; i < p->targets_count; i++)
		if (!str_eq(p->targets[i].kind, kind_info[KIND_SERVICE].name) &&
			!str_eq(p->targets[i].kind, kind_info[KIND_SERVICE_IMPORT].name))
			note_add(r, true, o,
				"spec.targetRefs[%u].kind: %.*s is not supported, and its requests "
				"are sent without TLS: use Service",
				i, STR_FMT(str_first(p->targets[i].kind, 63)));
}

static void tell(struct reconcile *r, struct plan_policy *policy)
{
	if (policy->obj->kind == KIND_BACKEND_TLS_POLICY) {
		note_policy(r, policy->obj);
		conditions_policy(r, policy);
		return;
	}
	if (policy->ancestors_count == 0 && plan_may_serve(r, policy->obj))
		add_own_target(r, policy);
	conditions_traffic(policy);
}

void policies_finish(struct reconcile *r)
{
	struct plan *p = r->plan;

	for (uint32_t i = 0; i < p->routes_count && r->policy_uses_count != 0; i++)
		find_ancestors(r, &p->routes[i]);
	for (uint32_t i = 0; i < p->policies_count; i++) {
		struct plan_policy *policy = &p->policies[i];

		tell(r, policy);
		policy->told = policy->ancestors_count != 0 || plan_has_left(r, policy->obj);
	}
}
