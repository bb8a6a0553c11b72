// SPDX-License-Identifier: Apache-2.0
/*
 * since.c: lastTransitionTime.
 *
 * A condition keeps the time at which its status last changed, whatever happens to reason and
 * message; so the previous plan is searched for the same condition of the same thing. Objects of
 * both plans are sorted alike.
 */
#include "control/reconcile/reconcile.h"

static void carry(const struct reconcile *r, struct conditions *now, const struct conditions *was)
{
	for (uint32_t i = 0; i < now->count; i++) {
		const struct condition *old =
			was != NULL ? condition_find(was, now->c[i].type) : NULL;

		now->c[i].since =
			old != NULL && old->status == now->c[i].status ? old->since : r->in->now_s;
	}
}

static void carry_classes(struct reconcile *r, const struct plan *was)
{
	for (uint32_t i = 0; i < r->plan->classes_count; i++) {
		struct plan_class *c = &r->plan->classes[i];
		const struct conditions *old = NULL;

		for (uint32_t k = 0; was != NULL && k < was->classes_count; k++)
			if (object_cmp_key(was->classes[k].obj, c->obj->cluster, c->obj->ns,
				    c->obj->name) == 0)
				old = &was->classes[k].conditions;
		carry(r, &c->conditions, old);
	}
}

static const struct conditions *listener_was(const struct plan_gateway *gw, struct str name)
{
	for (uint32_t i = 0; gw != NULL && i < gw->listeners_count; i++)
		if (str_eq(gw->listeners[i].spec->name, name))
			return &gw->listeners[i].conditions;
	return NULL;
}

static void carry_gateways(struct reconcile *r, const struct plan *was)
{
	for (uint32_t i = 0; i < r->plan->gateways_count; i++) {
		struct plan_gateway *gw = &r->plan->gateways[i];
		const struct object *o = gw->obj;
		const struct plan_gateway *old =
			was != NULL ? plan_find_gateway(was, o->cluster, o->ns, o->name) : NULL;

		carry(r, &gw->conditions, old != NULL ? &old->conditions : NULL);
		for (uint32_t k = 0; k < gw->listeners_count; k++)
			carry(r, &gw->listeners[k].conditions,
				listener_was(old, gw->listeners[k].spec->name));
	}
}

static const struct plan_route *route_was(const struct plan *was, const struct object *o)
{
	uint32_t lo = 0, hi = was != NULL ? was->routes_count : 0;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = object_cmp_age(o, was->routes[mid].obj);

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

		if (str_eq(p->ns, ref->ns) && str_eq(p->name, ref->name) &&
			str_eq(p->section_name, ref->section_name) && p->port == ref->port)
			return &route->parents[i].conditions;
	}
	return NULL;
}

void conditions_since(struct reconcile *r)
{
	const struct plan *was = r->in->previous;

	carry_classes(r, was);
	carry_gateways(r, was);
	for (uint32_t i = 0; i < r->plan->routes_count; i++) {
		struct plan_route *route = &r->plan->routes[i];
		const struct plan_route *old = route_was(was, route->obj);

		for (uint32_t k = 0; k < route->parents_count; k++)
			carry(r, &route->parents[k].conditions,
				parent_was(old, route->parents[k].ref));
	}
}
