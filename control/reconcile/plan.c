// SPDX-License-Identifier: Apache-2.0
/*
 * plan.c: the steps of reconcile in their order, and the life of a plan.
 *
 *	classes -> gateways -> listener sets -> addresses -> listeners -> their conditions
 *	-> routes: rules (backends, refs, policies), parents (attach, limits), their conditions
 *	-> policies: whom they concern
 *	-> shares: weights of endpoints and backendRefs
 *	-> lastTransitionTime
 *
 * Level-triggered: each plan is made from nothing but its inputs, which costs a millisecond or two
 * for a thousand routes and leaves no state that could be wrong.
 */
#include <stdio.h>
#include <stdlib.h>

#include "control/reconcile/present.h"
#include "control/reconcile/reconcile.h"
#include "dataplane/base/bug.h"

void note_add(struct reconcile *r, bool fatal, const struct object *o, const char *fmt, ...)
{
	struct note *n = arena_new(r->arena, struct note);
	char text[512], place[OBJECT_PLACE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p != '\0'; p++) /* what a manifest holds may be anything */
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	n->text = arena_printf(r->arena, "%s: %.*s %.*s%s%.*s: %s",
		object_place(o, place, sizeof(place)), STR_FMT(kind_info[o->kind].name),
		STR_FMT(o->ns), o->ns.len ? "/" : "", STR_FMT(o->name), text);
	n->fatal = fatal;
	n->next = r->notes;
	r->notes = n;
	r->plan->notes_count++;
}

uint32_t view_first(const struct view_kind *vk, struct str cluster, struct str ns)
{
	uint32_t lo = 0, hi = vk->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (object_cmp_key(vk->objects[mid], cluster, ns, STR("")) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const char *plan_why_absent(struct reconcile *r, enum kind kind, struct str cluster)
{
	if (!view_is_unseen(r->view, kind, cluster))
		return "does not exist";
	return arena_printf(r->arena,
		"cannot be seen: %s of cluster %.*s could not be listed, may the account do that?",
		kind_info[kind].plural, STR_FMT(cluster));
}

/* Of other clusters' objects we serve none, and tell none of them anything. */
bool plan_may_serve(const struct reconcile *r, const struct object *o)
{
	return (clusters_lookup(r->in->clusters, o->cluster)->roles & CLUSTER_ROLE_CONFIG) != 0;
}

static const struct plan_class *find_class(const struct plan *p, const struct object *gateway)
{
	for (uint32_t i = 0; i < p->classes_count; i++)
		if (object_cmp_key(p->classes[i].obj, gateway->cluster, STR(""),
			    gateway->gateway->class_name) == 0)
			return &p->classes[i];
	return NULL;
}

static void note_foreign_gateway(struct reconcile *r, const struct object *o)
{
	struct str class = o->gateway->class_name;

	if (view_find(r->view, KIND_GATEWAY_CLASS, o->cluster, STR(""), class) == NULL)
		note_add(r, false, o, "is left alone: GatewayClass %.*s does not exist",
			STR_FMT(class));
	else
		note_add(r, false, o,
			"is left alone: GatewayClass %.*s belongs to another controller",
			STR_FMT(class));
}

static void build_gateways(struct reconcile *r)
{
	const struct view_kind *vk = &r->view->kinds[KIND_GATEWAY];
	struct plan *p = r->plan;

	p->gateways = arena_array(r->arena, struct plan_gateway, vk->count);
	for (uint32_t i = 0; i < vk->count; i++) {
		const struct object *o = vk->objects[i];
		const struct plan_class *class = find_class(p, o);
		struct plan_gateway *gw = &p->gateways[p->gateways_count];

		if (class == NULL) {
			if (plan_may_serve(r, o))
				note_foreign_gateway(r, o);
			continue;
		}
		gw->obj = o;
		gw->class_obj = class->obj;
		gw->own_count = o->gateway->listeners_count;
		p->gateways_count++;
	}
}

static void decide_gateways(struct reconcile *r)
{
	struct plan *p = r->plan;
	struct address_result *addresses =
		arena_array(r->arena, struct address_result, p->gateways_count);

	addresses_assign(r, addresses);
	limits_gateways(r, addresses);
	limits_sets(r);
	for (uint32_t i = 0; i < p->gateways_count; i++) {
		listeners_judge(r, &p->gateways[i]);
		conditions_gateway(r, &p->gateways[i], find_class(p, p->gateways[i].obj),
			&addresses[i]);
	}
	for (uint32_t i = 0; i < p->sets_count; i++)
		conditions_set(r, &p->sets[i]);
}

struct plan_gateway *plan_find_gateway(const struct plan *p, struct str cluster, struct str ns,
	struct str name)
{
	uint32_t lo = 0, hi = p->gateways_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = object_cmp_key(p->gateways[mid].obj, cluster, ns, name);

		if (c == 0)
			return &p->gateways[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/*
 * The Gateway or ListenerSet of ours that a parentRef means; false when it is none: then the
 * reference's status is none of our business.
 */
static bool find_parent(struct reconcile *r, const struct object *route,
	const struct parent_ref *ref, struct plan_parent *ret)
{
	struct str ns = ref->ns.len ? ref->ns : route->ns;
	bool gateway = str_eq(ref->kind, STR("Gateway"));

	if (!str_eq(ref->group, GATEWAY_GROUP) ||
		(!gateway && !str_eq(ref->kind, STR("ListenerSet"))))
		return false;
	if (view_find(r->view, gateway ? KIND_GATEWAY : KIND_LISTENER_SET, route->cluster, ns,
		    ref->name) == NULL)
		note_add(r, false, route, "parentRef: %.*s %.*s/%.*s does not exist",
			STR_FMT(ref->kind), STR_FMT(ns), STR_FMT(ref->name));
	*ret = (struct plan_parent){.ref = ref};
	if (gateway)
		ret->gateway = plan_find_gateway(r->plan, route->cluster, ns, ref->name);
	else
		ret->set = plan_find_set(r->plan, route->cluster, ns, ref->name);
	if (ret->set != NULL)
		ret->gateway = ret->set->gateway;
	return ret->gateway != NULL;
}

static bool find_parents(struct reconcile *r, struct plan_route *route)
{
	const struct http_route *spec = route->obj->http_route;

	route->parents = arena_array(r->arena, struct plan_parent, spec->parents_count);
	for (uint32_t i = 0; i < spec->parents_count; i++)
		route->parents_count += find_parent(r, route->obj, &spec->parents[i],
			&route->parents[route->parents_count]);
	return route->parents_count != 0;
}

static void build_route(struct reconcile *r, struct plan_route *route)
{
	rules_build(r, route);
	route->policy = policies_of(r, route->obj);
	for (uint32_t i = 0; i < route->parents_count; i++) {
		struct plan_parent *parent = &route->parents[i];

		enum attach_verdict verdict = attach_judge(r, route, parent);

		if (verdict == ATTACH_OK)
			parent->no_room = limits_route(r, route, parent);
		conditions_parent(r, route, parent, verdict);
		if (!parent->accepted)
			continue;
		attach_route(r, route, parent);
		route->serves = true;
	}
	if (route->serves)
		route->number = r->plan->serving_routes++;
}

int plan_cmp_routes(const struct object *a, const struct object *b)
{
	int c = object_cmp_age(a, b);

	return c != 0 ? c : (int)a->kind - (int)b->kind;
}

static int cmp_route_age(const void *a, const void *b)
{
	return plan_cmp_routes(((const struct plan_route *)a)->obj,
		((const struct plan_route *)b)->obj);
}

/* Of kinds that no listener carries too: they are told so. */
static const enum kind route_kinds[] = {KIND_HTTP_ROUTE, KIND_GRPC_ROUTE, KIND_TLS_ROUTE,
	KIND_TCP_ROUTE, KIND_UDP_ROUTE};
#define ROUTE_KINDS (sizeof(route_kinds) / sizeof(route_kinds[0]))

bool plan_has_left(const struct reconcile *r, const struct object *o)
{
	return plan_may_serve(r, o) && present_has_entries(o, r->in->config->controller_name);
}

static void find_routes(struct reconcile *r, const struct view_kind *vk)
{
	struct plan *p = r->plan;

	for (uint32_t i = 0; i < vk->count; i++) {
		struct plan_route *route = &p->routes[p->routes_count];

		*route = (struct plan_route){.obj = vk->objects[i]};
		if (plan_may_serve(r, vk->objects[i]) && find_parents(r, route))
			p->routes_count++;
		else if (plan_has_left(r, route->obj))
			p->left[p->left_count++] = route->obj;
	}
}

static void build_routes(struct reconcile *r)
{
	const struct view_kind *kinds = r->view->kinds;
	struct plan *p = r->plan;
	uint32_t count = 0;

	for (size_t i = 0; i < ROUTE_KINDS; i++)
		count += kinds[route_kinds[i]].count;
	p->routes = arena_array(r->arena, struct plan_route, count);
	p->left = arena_array(r->arena, const struct object *, count);
	for (size_t i = 0; i < ROUTE_KINDS; i++)
		find_routes(r, &kinds[route_kinds[i]]);
	qsort(p->routes, p->routes_count, sizeof(*p->routes), cmp_route_age);
	for (uint32_t i = 0; i < p->routes_count; i++)
		build_route(r, &p->routes[i]);
}

static void take_notes(struct reconcile *r)
{
	uint32_t i = r->plan->notes_count;
	struct problem *notes = arena_array(r->arena, struct problem, i);

	for (const struct note *n = r->notes; n != NULL; n = n->next)
		notes[--i] = (struct problem){n->fatal, false, str_of(n->text)};
	r->plan->notes = notes;
}

struct plan *plan_build(const struct plan_input *in)
{
	struct plan *p = calloc(1, sizeof(*p));
	struct reconcile r = {.in = in, .view = in->view, .plan = p};

	bug_on(p == NULL);
	arena_init(&p->arena, 0);
	atomic_store(&p->refs, 1);
	p->view = view_get(in->view);
	p->clusters = clusters_get(in->clusters);
	p->config = in->config;
	r.arena = &p->arena;
	classes_build(&r);
	build_gateways(&r);
	sets_build(&r);
	decide_gateways(&r);
	endpoints_prepare(&r);
	backends_prepare(&r);
	policies_prepare(&r);
	build_routes(&r);
	backends_finish(&r);
	refs_finish(&r);
	policies_finish(&r);
	limits_endpoints(&r);
	shares_build(&r);
	conditions_since(&r);
	take_notes(&r);
	return p;
}

struct plan *plan_get(struct plan *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void plan_put(struct plan *p)
{
	if (p == NULL || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	view_put(p->view);
	clusters_put(p->clusters);
	arena_fini(&p->arena);
	free(p);
}
