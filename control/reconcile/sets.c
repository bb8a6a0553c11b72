// SPDX-License-Identifier: Apache-2.0
/*
 * sets.c: ListenerSets: listeners that others lend to a Gateway.
 *
 * The Gateway says from which namespaces it takes any (allowedListeners; by default from none).
 * "Listeners in a Gateway and their attached ListenerSets are concatenated as a list": here the
 * Gateway's own, then those of its sets, oldest set first. A set that is not allowed lends nothing
 * and hears why; one whose parent is no Gateway of ours is none of our business.
 * Standard: Gateway API v1.7, ListenerSet (GEP-1713).
 */
#include <stdlib.h>

#include "control/reconcile/reconcile.h"

static bool is_allowed(const struct reconcile *r, const struct plan_set *set)
{
	const struct gateway *spec = set->gateway->obj->gateway;

	switch (spec->listeners_from) {
	case LISTENERS_FROM_NONE:
		return false;
	case LISTENERS_FROM_SAME:
		return str_eq(set->obj->ns, set->gateway->obj->ns);
	case LISTENERS_FROM_ALL:
		return true;
	case LISTENERS_FROM_SELECTOR:
		return namespace_selected(r, spec->listeners_selector, set->obj->cluster,
			set->obj->ns);
	}
	return false;
}

/* The Gateway of ours that the set is for, or NULL. */
static struct plan_gateway *parent_of(struct reconcile *r, const struct object *o)
{
	const struct object_ref *ref = &o->listener_set->parent;
	struct str ns = ref->ns.len ? ref->ns : o->ns;

	if (!str_eq(ref->group, GATEWAY_GROUP) || !str_eq(ref->kind, STR("Gateway")))
		return NULL;
	if (view_find(r->view, KIND_GATEWAY, o->cluster, ns, ref->name) == NULL)
		note_add(r, false, o, "parentRef: Gateway %.*s/%.*s does not exist", STR_FMT(ns),
			STR_FMT(ref->name));
	return plan_find_gateway(r->plan, o->cluster, ns, ref->name);
}

static void find_sets(struct reconcile *r)
{
	const struct view_kind *vk = &r->view->kinds[KIND_LISTENER_SET];
	struct plan *p = r->plan;

	p->sets = arena_array(r->arena, struct plan_set, vk->count);
	for (uint32_t i = 0; i < vk->count; i++) {
		struct plan_set set = {.obj = vk->objects[i]};

		set.gateway = plan_may_serve(r, set.obj) ? parent_of(r, set.obj) : NULL;
		if (set.gateway == NULL)
			continue;
		set.allowed = is_allowed(r, &set);
		p->sets[p->sets_count++] = set;
	}
}

static int cmp_age(const void *a, const void *b)
{
	return object_cmp_age((*(struct plan_set *const *)a)->obj,
		(*(struct plan_set *const *)b)->obj);
}

static void sort_sets(struct reconcile *r)
{
	struct plan *p = r->plan;

	r->sets = arena_array(r->arena, struct plan_set *, p->sets_count);
	for (uint32_t i = 0; i < p->sets_count; i++)
		r->sets[i] = &p->sets[i];
	qsort(r->sets, p->sets_count, sizeof(*r->sets), cmp_age);
}

/* Makes room for all, with the Gateway's own in front. */
static void take_own(struct reconcile *r, struct plan_gateway *gw)
{
	gw->listeners = arena_array(r->arena, struct plan_listener, gw->listeners_count);
	for (uint32_t i = 0; i < gw->own_count; i++)
		gw->listeners[i].spec = &gw->obj->gateway->listeners[i];
	gw->listeners_count = gw->own_count;
}

static void take_lent(struct plan_set *set)
{
	struct plan_gateway *gw = set->gateway;

	set->listeners = &gw->listeners[gw->listeners_count];
	set->listeners_count = set->obj->listener_set->listeners_count;
	for (uint32_t i = 0; i < set->listeners_count; i++)
		set->listeners[i] =
			(struct plan_listener){.spec = &set->obj->listener_set->listeners[i],
				.set = set};
	gw->listeners_count += set->listeners_count;
}

void sets_build(struct reconcile *r)
{
	struct plan *p = r->plan;

	find_sets(r);
	sort_sets(r);
	for (uint32_t i = 0; i < p->gateways_count; i++)
		p->gateways[i].listeners_count = p->gateways[i].own_count;
	for (uint32_t i = 0; i < p->sets_count; i++)
		if (p->sets[i].allowed)
			p->sets[i].gateway->listeners_count +=
				p->sets[i].obj->listener_set->listeners_count;
	for (uint32_t i = 0; i < p->gateways_count; i++)
		take_own(r, &p->gateways[i]);
	for (uint32_t i = 0; i < p->sets_count; i++)
		if (r->sets[i]->allowed)
			take_lent(r->sets[i]);
}

struct plan_set *plan_find_set(const struct plan *p, struct str cluster, struct str ns,
	struct str name)
{
	uint32_t lo = 0, hi = p->sets_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = -object_cmp_key(p->sets[mid].obj, cluster, ns, name);

		if (c == 0)
			return &p->sets[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}
