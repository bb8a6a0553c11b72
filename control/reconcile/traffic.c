// SPDX-License-Identifier: Apache-2.0
/*
 * traffic.c: is a ClusterTrafficPolicy good, and does it hold?
 *
 * What it asks for has to be something that can be done for the targets that it names. Endpoints
 * are probed, counted and started slowly once, for all routes that lead to them: so clusters,
 * healthCheck.active, healthCheck.passive and slowStart belong to a Service or ServiceImport, while
 * failover is a matter between the backendRefs of an HTTPRoute. A policy with any of them and no
 * target that it could mean is Invalid; nothing is left out in silence.
 * Standard: GEP-713 (reasons), GEP-2648.
 */
#include "control/model/traffic.h"
#include "control/reconcile/reconcile.h"

static const enum kind target_kinds[] = {KIND_SERVICE, KIND_SERVICE_IMPORT, KIND_HTTP_ROUTE};
#define TARGET_KINDS (sizeof(target_kinds) / sizeof(target_kinds[0]))

/* KIND_COUNT: none that a policy can be attached to. */
static enum kind target_kind(const struct policy_target *t)
{
	for (size_t i = 0; i < TARGET_KINDS; i++)
		if (str_eq(t->group, kind_info[target_kinds[i]].group) &&
			str_eq(t->kind, kind_info[target_kinds[i]].name))
			return target_kinds[i];
	return KIND_COUNT;
}

static const char *wrong_kind(struct reconcile *r, const struct cluster_traffic_policy *spec)
{
	for (uint32_t i = 0; i < spec->targets_count; i++)
		if (target_kind(&spec->targets[i]) == KIND_COUNT)
			return arena_printf(r->arena,
				"spec.targetRefs[%u]: must be a Service, ServiceImport or "
				"HTTPRoute, but is %.*s %.*s",
				i, STR_FMT(spec->targets[i].group), STR_FMT(spec->targets[i].kind));
	return NULL;
}

/* What none of the targets could mean, as a sentence; NULL: nothing. */
static const char *misplaced(const struct cluster_traffic_policy *spec)
{
	const struct traffic_settings *s = &spec->settings;
	bool routes = false, backends = false;

	for (uint32_t i = 0; i < spec->targets_count; i++)
		*(target_kind(&spec->targets[i]) == KIND_HTTP_ROUTE ? &routes : &backends) = true;
	if (s->failover != FAILOVER_NEVER && !routes)
		return "spec.failover: is between the backendRefs of an HTTPRoute: name one in "
		       "targetRefs";
	if (backends)
		return NULL;
	if (s->clusters_count != 0)
		return "spec.clusters: belongs to a Service or ServiceImport: name one in "
		       "targetRefs";
	if (s->active != NULL || s->has_passive)
		return "spec.healthCheck: only panicThreshold can be for an HTTPRoute, the rest "
		       "belongs to a Service or ServiceImport: name one in targetRefs";
	return s->has_slow_start ? "spec.slowStart: belongs to a Service or ServiceImport: name "
				   "one in targetRefs"
				 : NULL;
}

static const char *missing_target(struct reconcile *r, const struct object *o)
{
	const struct cluster_traffic_policy *spec = o->traffic_policy;

	for (uint32_t i = 0; i < spec->targets_count; i++) {
		const struct policy_target *t = &spec->targets[i];

		if (view_find(r->view, target_kind(t), o->cluster, o->ns, t->name) == NULL)
			return arena_printf(r->arena,
				"spec.targetRefs[%u]: %.*s %.*s does not exist", i,
				STR_FMT(t->kind), STR_FMT(t->name));
	}
	return NULL;
}

/* Another one, which is older, holds for a target of this one. */
static const char *taken_target(struct reconcile *r, const struct object *o)
{
	const struct cluster_traffic_policy *spec = o->traffic_policy;

	for (uint32_t i = 0; i < spec->targets_count; i++) {
		const struct policy_target *t = &spec->targets[i];
		const struct plan_policy *holder = policies_traffic(r, o, t);

		if (holder != NULL)
			return arena_printf(r->arena,
				"spec.targetRefs[%u]: the older policy %.*s has %.*s %.*s: change "
				"one of them",
				i, STR_FMT(holder->obj->name), STR_FMT(t->kind), STR_FMT(t->name));
	}
	return NULL;
}

/* The first cluster that nobody knows (yet). */
static const struct traffic_cluster *unknown_cluster(const struct reconcile *r,
	const struct traffic_settings *s)
{
	const struct clusters *known = r->in->clusters;

	for (uint32_t i = 0; known != NULL && i < s->clusters_count; i++) {
		bool found = false;

		for (uint32_t k = 0; k < known->count && !found; k++)
			found = str_eq(known->items[k].name, s->clusters[i].name);
		if (!found)
			return &s->clusters[i];
	}
	return NULL;
}

static void refuse(struct plan_policy *policy, const char *reason, const char *message)
{
	policy->reason = reason;
	policy->message = message;
}

static void accept_policy(struct reconcile *r, struct plan_policy *policy)
{
	const struct traffic_settings *s = &policy->obj->traffic_policy->settings;
	const struct traffic_cluster *unknown = unknown_cluster(r, s);

	policy->holds = true;
	policy->reason = "Accepted";
	policy->message = "The policy holds for all of its targets";
	if (unknown != NULL)
		policy->message = arena_printf(r->arena,
			"The policy holds for all of its targets; there is no cluster %.*s so far",
			STR_FMT(unknown->name));
}

void traffic_judge(struct reconcile *r, struct plan_policy *policy)
{
	const struct object *o = policy->obj;
	const struct cluster_traffic_policy *spec = o->traffic_policy;
	const char *why;

	if (!plan_may_serve(r, o))
		return;
	if (spec->invalid != NULL)
		refuse(policy, "Invalid", spec->invalid);
	else if ((why = wrong_kind(r, spec)) != NULL || (why = misplaced(spec)) != NULL)
		refuse(policy, "Invalid", why);
	else if ((why = missing_target(r, o)) != NULL)
		refuse(policy, "TargetNotFound", why);
	else if ((why = taken_target(r, o)) != NULL)
		refuse(policy, "Conflicted", why);
	else
		accept_policy(r, policy);
}

void traffic_weigh(struct plan_service *s)
{
	const struct traffic_settings *t = &s->policy->obj->traffic_policy->settings;

	for (uint32_t i = 0; i < s->clusters_count; i++)
		for (uint32_t k = 0; k < t->clusters_count; k++) {
			if (!str_eq(s->clusters[i].name, t->clusters[k].name))
				continue;
			s->clusters[i].policy_weight = t->clusters[k].weight;
			s->clusters[i].priority = (uint8_t)t->clusters[k].priority;
		}
}
