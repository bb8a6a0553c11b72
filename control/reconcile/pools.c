// SPDX-License-Identifier: Apache-2.0
/*
 * pools.c: which addresses may be VIPs, and of whom.
 *
 * The pools of control.yaml are for every Gateway; a cluster's IPPool with LoadBalancer among its
 * allowedUses is for the Gateways of that cluster, and of those namespaces that its
 * namespaceSelector selects. A pool that is disabled, or whose assignmentMode is Manual, gives out
 * nothing by itself; addresses that were given stay, and a Gateway may ask for one by value.
 * Pools of control.yaml come first, then IPPools by name.
 * Standard: Calico, reference of the IPPool resource.
 */
#include "control/model/federation.h"
#include "control/reconcile/reconcile.h"
#include "control/reconcile/selector.h"

struct address_pool {
	struct str cluster; /* whose Gateways; p NULL: all */
	const struct selector *namespaces;
	const struct ip_net *nets;
	uint32_t nets_count;
	bool gives; /* new addresses without being asked for them */
};

static void add_ip_pool(struct reconcile *r, const struct object *o)
{
	const struct ip_pool *p = o->ip_pool;
	struct address_pool *pool = &r->pools[r->pools_count];
	struct err err;

	if (!p->for_load_balancers)
		return;
	*pool = (struct address_pool){.cluster = o->cluster,
		.nets = &p->cidr,
		.nets_count = 1,
		.gives = !p->disabled && !p->manual};
	if (selector_parse(p->namespace_selector, r->arena, &pool->namespaces, &err) < 0)
		note_add(r, true, o,
			"the namespaceSelector is not valid, so that no Gateway gets an address of "
			"this pool: %s",
			err.msg);
	else
		r->pools_count++;
}

void pools_prepare(struct reconcile *r)
{
	const struct control_config *c = r->in->config;
	const struct view_kind *vk = &r->view->kinds[KIND_IP_POOL];

	r->pools = arena_array(r->arena, struct address_pool, c->pools_count + vk->count);
	for (uint32_t i = 0; i < c->pools_count; i++)
		r->pools[r->pools_count++] = (struct address_pool){.nets = c->pools[i].cidrs,
			.nets_count = c->pools[i].cidrs_count,
			.gives = true};
	for (uint32_t i = 0; i < vk->count; i++)
		add_ip_pool(r, vk->objects[i]);
}

static bool serves(const struct reconcile *r, const struct address_pool *p, const struct object *gw)
{
	const struct object *ns;

	if (p->cluster.p == NULL)
		return true;
	if (!str_eq(p->cluster, gw->cluster))
		return false;
	ns = view_find(r->view, KIND_NAMESPACE, gw->cluster, STR(""), gw->ns);
	return selector_matches(p->namespaces, ns != NULL ? &ns->labels : &(struct kv_list){0});
}

bool pools_any(const struct reconcile *r, const struct object *gw)
{
	for (uint32_t i = 0; i < r->pools_count; i++)
		if (serves(r, &r->pools[i], gw))
			return true;
	return false;
}

bool pools_contain(const struct reconcile *r, const struct object *gw, const struct ip_addr *a)
{
	for (uint32_t i = 0; i < r->pools_count; i++) {
		const struct address_pool *p = &r->pools[i];

		for (uint32_t k = 0; k < p->nets_count; k++)
			if (ip_net_contains(&p->nets[k], a) && serves(r, p, gw))
				return true;
	}
	return false;
}

bool pools_give(const struct reconcile *r, const struct object *gw, bool v4)
{
	for (uint32_t i = 0; i < r->pools_count; i++) {
		const struct address_pool *p = &r->pools[i];

		for (uint32_t k = 0; k < p->nets_count; k++)
			if (p->gives && ip_is_v4(&p->nets[k].addr) == v4 && serves(r, p, gw))
				return true;
	}
	return false;
}

/* The address <n> places behind the first one of the network; false past its end. */
static bool net_at(const struct ip_net *net, uint32_t n, struct ip_addr *ret)
{
	struct ip_addr a = net->addr;
	uint64_t carry = n;

	for (int i = 15; i >= 0 && carry != 0; i--) {
		carry += a.b[i];
		a.b[i] = (uint8_t)carry;
		carry >>= 8;
	}
	if (carry != 0 || !ip_net_contains(net, &a))
		return false;
	*ret = a;
	return true;
}

/*
 * The lowest free address. The first of an IPv4 or IPv6 network is passed over where there are
 * others: many take it for the network's own (RFC 3021; RFC 4291 2.6.1, subnet-router anycast).
 * Each candidate that is not free belongs to somebody, so the search is bounded by those.
 */
static bool net_pick(const struct ip_net *net, const struct pool_filter *f, struct ip_addr *ret)
{
	uint32_t first = net->len >= 127 ? 0 : 1;

	for (uint32_t n = first; n <= first + f->used_max; n++) {
		if (!net_at(net, n, ret))
			return false;
		if (f->is_free(f->ctx, ret))
			return true;
	}
	return false;
}

bool pools_pick(const struct reconcile *r, const struct object *gw, bool v4,
	const struct pool_filter *f, struct ip_addr *ret)
{
	for (uint32_t i = 0; i < r->pools_count; i++) {
		const struct address_pool *p = &r->pools[i];

		for (uint32_t k = 0; k < p->nets_count; k++)
			if (p->gives && ip_is_v4(&p->nets[k].addr) == v4 && serves(r, p, gw) &&
				net_pick(&p->nets[k], f, ret))
				return true;
	}
	return false;
}
