// SPDX-License-Identifier: Apache-2.0
/*
 * since.c: lastTransitionTime.
 *
 * A condition keeps the time at which its status last changed, whatever happens to reason and
 * message. So the same condition of the same thing is looked for in the previous plan, and when
 * there was none (control has just started, or the object is new to it) in the status that the
 * object itself carries: what an API server keeps outlives us.
 */
#include "control/model/decode.h"
#include "control/reconcile/present.h"
#include "control/reconcile/reconcile.h"

/* Where a thing's conditions stood before: in the previous plan, else in the object's status. */
struct before {
	const struct conditions *plan; /* NULL: not in there */
	const json_t *present;	       /* a list of conditions, NULL: none */
};

static bool time_of(const json_t *condition, int64_t *ret)
{
	return decode_time(present_text(condition, "lastTransitionTime"), ret);
}

static const char *const status_names[] = {"False", "True", "Unknown"};

static bool since_present(const json_t *list, const struct condition *c, int64_t *ret)
{
	const json_t *k;
	size_t i;

	json_array_foreach (list, i, k)
		if (str_eq(present_text(k, "type"), str_of(c->type)))
			return str_eq(present_text(k, "status"), str_of(status_names[c->status])) &&
				time_of(k, ret);
	return false;
}

static void carry(const struct reconcile *r, struct conditions *now, struct before was)
{
	for (uint32_t i = 0; i < now->count; i++) {
		struct condition *c = &now->c[i];
		const struct condition *old =
			was.plan != NULL ? condition_find(was.plan, c->type) : NULL;

		c->since = r->in->now_s;
		if (old != NULL && old->status == c->status)
			c->since = old->since;
		else if (was.plan == NULL)
			since_present(was.present, c, &c->since);
	}
}

static void carry_classes(struct reconcile *r, const struct plan *was)
{
	for (uint32_t i = 0; i < r->plan->classes_count; i++) {
		struct plan_class *c = &r->plan->classes[i];
		struct before before = {NULL, NULL};
		struct present present;

		for (uint32_t k = 0; was != NULL && k < was->classes_count; k++)
			if (object_cmp_key(was->classes[k].obj, c->obj->cluster, c->obj->ns,
				    c->obj->name) == 0)
				before.plan = &was->classes[k].conditions;
		present_open(&present, before.plan == NULL ? c->obj : NULL);
		before.present = present_conditions(&present);
		carry(r, &c->conditions, before);
		present_close(&present);
	}
}

static const struct conditions *listener_was(const struct plan_listener *l, uint32_t count,
	struct str name)
{
	for (uint32_t i = 0; i < count; i++)
		if (str_eq(l[i].spec->name, name))
			return &l[i].conditions;
	return NULL;
}

static void carry_listeners(const struct reconcile *r, struct plan_listener *l, uint32_t count,
	const struct plan_listener *old, uint32_t old_count, const struct present *present)
{
	for (uint32_t i = 0; i < count; i++)
		carry(r, &l[i].conditions,
			(struct before){listener_was(old, old_count, l[i].spec->name),
				present_listener(present, l[i].spec->name)});
}

static void carry_gateways(struct reconcile *r, const struct plan *was)
{
	for (uint32_t i = 0; i < r->plan->gateways_count; i++) {
		struct plan_gateway *gw = &r->plan->gateways[i];
		const struct object *o = gw->obj;
		const struct plan_gateway *old =
			was != NULL ? plan_find_gateway(was, o->cluster, o->ns, o->name) : NULL;
		struct present present;

		present_open(&present, old == NULL ? o : NULL);
		carry(r, &gw->conditions,
			(struct before){old != NULL ? &old->conditions : NULL,
				present_conditions(&present)});
		carry_listeners(r, gw->listeners, gw->own_count,
			old != NULL ? old->listeners : NULL, old != NULL ? old->own_count : 0,
			&present);
		present_close(&present);
	}
}

static void carry_sets(struct reconcile *r, const struct plan *was)
{
	for (uint32_t i = 0; i < r->plan->sets_count; i++) {
		struct plan_set *set = &r->plan->sets[i];
		const struct object *o = set->obj;
		const struct plan_set *old =
			was != NULL ? plan_find_set(was, o->cluster, o->ns, o->name) : NULL;
		struct present present;

		present_open(&present, old == NULL ? o : NULL);
		carry(r, &set->conditions,
			(struct before){old != NULL ? &old->conditions : NULL,
				present_conditions(&present)});
		carry_listeners(r, set->listeners, set->listeners_count,
			old != NULL ? old->listeners : NULL, old != NULL ? old->listeners_count : 0,
			&present);
		present_close(&present);
	}
}

static const struct plan_route *route_was(const struct plan *was, const struct object *o)
{
	uint32_t lo = 0, hi = was != NULL ? was->routes_count : 0;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = plan_cmp_routes(o, was->routes[mid].obj);

		if (c == 0)
			return &was->routes[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

static const struct conditions *parent_was(const struct plan_route *route,
	const struct parent_ref *ref)
{
	for (uint32_t i = 0; route != NULL && i < route->parents_count; i++) {
		const struct parent_ref *p = route->parents[i].ref;

		if (str_eq(p->kind, ref->kind) && str_eq(p->ns, ref->ns) &&
			str_eq(p->name, ref->name) && str_eq(p->section_name, ref->section_name) &&
			p->port == ref->port)
			return &route->parents[i].conditions;
	}
	return NULL;
}

static void carry_routes(struct reconcile *r, const struct plan *was)
{
	for (uint32_t i = 0; i < r->plan->routes_count; i++) {
		struct plan_route *route = &r->plan->routes[i];
		const struct plan_route *old = route_was(was, route->obj);
		struct present present;

		present_open(&present, old == NULL ? route->obj : NULL);
		for (uint32_t k = 0; k < route->parents_count; k++)
			carry(r, &route->parents[k].conditions,
				(struct before){parent_was(old, route->parents[k].ref),
					present_parent(&present, r->in->config->controller_name,
						route->parents[k].ref)});
		present_close(&present);
	}
}

static bool same_ancestor(const struct plan_ancestor *a, const struct plan_ancestor *b)
{
	if ((a->gateway == NULL) != (b->gateway == NULL))
		return false;
	if (a->gateway != NULL)
		return object_cmp_key(a->gateway->obj, b->gateway->obj->cluster,
			       b->gateway->obj->ns, b->gateway->obj->name) == 0;
	return str_eq(a->target->group, b->target->group) &&
		str_eq(a->target->kind, b->target->kind) &&
		str_eq(a->target->name, b->target->name);
}

static const struct conditions *ancestor_was(const struct plan_policy *policy,
	const struct plan_ancestor *ancestor)
{
	for (uint32_t i = 0; policy != NULL && i < policy->ancestors_count; i++)
		if (same_ancestor(&policy->ancestors[i], ancestor))
			return &policy->ancestors[i].conditions;
	return NULL;
}

/* The order of plan->policies. */
static int cmp_policy(const struct object *a, const struct object *b)
{
	int c = (int)a->kind - (int)b->kind;

	return c != 0 ? c : object_cmp_key(a, b->cluster, b->ns, b->name);
}

static void carry_policies(struct reconcile *r, const struct plan *was)
{
	uint32_t at = 0; /* in <was>: both are in the same order */

	for (uint32_t i = 0; i < r->plan->policies_count; i++) {
		struct plan_policy *policy = &r->plan->policies[i];
		const struct object *o = policy->obj;
		const struct plan_policy *old = NULL;
		struct present present;

		while (was != NULL && at < was->policies_count &&
			cmp_policy(was->policies[at].obj, o) < 0)
			at++;
		if (was != NULL && at < was->policies_count &&
			cmp_policy(was->policies[at].obj, o) == 0)
			old = &was->policies[at];
		present_open(&present, old == NULL ? o : NULL);
		for (uint32_t k = 0; k < policy->ancestors_count; k++) {
			struct plan_ancestor *a = &policy->ancestors[k];

			carry(r, &a->conditions,
				(struct before){ancestor_was(old, a),
					present_ancestor(&present, r->in->config->controller_name,
						a->gateway != NULL ? a->gateway->obj->ns : o->ns,
						a->gateway != NULL ? a->gateway->obj->name
								   : a->target->name)});
		}
		present_close(&present);
	}
}

void conditions_since(struct reconcile *r)
{
	const struct plan *was = r->in->previous;

	carry_classes(r, was);
	carry_gateways(r, was);
	carry_sets(r, was);
	carry_routes(r, was);
	carry_policies(r, was);
}
