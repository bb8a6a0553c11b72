// SPDX-License-Identifier: Apache-2.0
/*
 * addresses.c: a VIP belongs to one Gateway.
 *
 * Three passes over the Gateways, oldest first in each, so that nobody loses what he has to
 * somebody who came later: addresses that specs ask for by value; addresses that the book
 * remembers; new ones from the pools, the lowest free one of the first pool that has any. A Gateway
 * without spec.addresses gets one of each family that the pools have; an entry without a value
 * gets one.
 * Standard: Gateway API v1.7, GatewaySpec.addresses.
 */
#include "control/reconcile/addresses.h"

#include <stdlib.h>

#include "control/model/check.h"
#include "control/reconcile/reconcile.h"
#include "dataplane/base/hash.h"

/* Addresses that belong to somebody; open addressing, at most half full. */
struct taken {
	struct ip_addr *slots;
	bool *used;
	uint32_t size;
};

static uint64_t addr_hash(const struct ip_addr *a)
{
	uint64_t w[2];

	memcpy(w, a->b, sizeof(w));
	return hash_mix(w[0], w[1]);
}

static bool is_taken(const struct taken *t, const struct ip_addr *a)
{
	uint32_t i = (uint32_t)addr_hash(a) & (t->size - 1);

	for (; t->used[i]; i = (i + 1) & (t->size - 1))
		if (ip_eq(&t->slots[i], a))
			return true;
	return false;
}

static void take(struct taken *t, const struct ip_addr *a)
{
	uint32_t i = (uint32_t)addr_hash(a) & (t->size - 1);

	while (t->used[i])
		i = (i + 1) & (t->size - 1);
	t->used[i] = true;
	t->slots[i] = *a;
}

static void taken_init(struct reconcile *r, struct taken *t, uint32_t addresses)
{
	t->size = 64;
	while (t->size < 2 * addresses)
		t->size *= 2;
	t->slots = arena_array(r->arena, struct ip_addr, t->size);
	t->used = arena_array(r->arena, bool, t->size);
}

static bool in_pools(const struct control_config *c, const struct ip_addr *a)
{
	for (uint32_t i = 0; i < c->pools_count; i++)
		for (uint32_t k = 0; k < c->pools[i].cidrs_count; k++)
			if (ip_net_contains(&c->pools[i].cidrs[k], a))
				return true;
	return false;
}

static void blame(struct address_result *res, enum address_verdict verdict, const char *why)
{
	if (res->verdict == ADDRESS_OK || verdict < res->verdict) {
		res->verdict = verdict;
		res->why = why;
	}
}

static void give(struct plan_gateway *gw, struct taken *t, const struct ip_addr *a)
{
	take(t, a);
	gw->addresses[gw->addresses_count++] = *a;
}

static void take_static(struct reconcile *r, struct plan_gateway *gw, struct taken *t,
	const struct gateway_address *want, struct address_result *res)
{
	struct ip_addr a;
	const char *why = NULL;

	if (!ip_parse(want->value, &a))
		why = "is not an IP address";
	else if (check_is_special(&a))
		why = "cannot be the address of a service";
	else if (r->in->config->pools_count != 0 && !in_pools(r->in->config, &a))
		why = "lies in none of the address pools";
	else if (is_taken(t, &a))
		why = "belongs to an older Gateway";
	if (why == NULL)
		give(gw, t, &a);
	else
		blame(res, ADDRESS_NOT_USABLE,
			arena_printf(r->arena, "Address %.*s %s",
				STR_FMT(str_first(want->value, 60)), why));
}

static void pass_static(struct reconcile *r, struct plan_gateway *gw, struct taken *t,
	struct address_result *res)
{
	const struct gateway *spec = gw->obj->gateway;

	gw->addresses = arena_array(r->arena, struct ip_addr, spec->addresses_count + 2);
	for (uint32_t i = 0; i < spec->addresses_count; i++) {
		const struct gateway_address *a = &spec->addresses[i];

		if (!str_eq(a->type, STR("IPAddress")))
			blame(res, ADDRESS_UNSUPPORTED_TYPE,
				arena_printf(r->arena, "Addresses of type %.*s are not supported",
					STR_FMT(str_first(a->type, 100))));
		else if (a->value.len != 0)
			take_static(r, gw, t, a, res);
	}
	gw->static_count = gw->addresses_count;
}

/* How many addresses the pools owe this Gateway: of IPv4, of IPv6, of any family. */
struct wish {
	uint32_t v4, v6, any;
};

static bool pools_have(const struct control_config *c, bool v4)
{
	for (uint32_t i = 0; i < c->pools_count; i++)
		for (uint32_t k = 0; k < c->pools[i].cidrs_count; k++)
			if (ip_is_v4(&c->pools[i].cidrs[k].addr) == v4)
				return true;
	return false;
}

static struct wish wish_of(const struct control_config *c, const struct gateway *spec)
{
	struct wish w = {0, 0, 0};

	if (spec->addresses_count == 0) {
		w.v4 = pools_have(c, true);
		w.v6 = pools_have(c, false);
		w.any = !w.v4 && !w.v6;
	}
	for (uint32_t i = 0; i < spec->addresses_count; i++)
		w.any += str_eq(spec->addresses[i].type, STR("IPAddress")) &&
			spec->addresses[i].value.len == 0;
	return w;
}

static bool wish_take(struct wish *w, bool v4)
{
	uint32_t *family = v4 ? &w->v4 : &w->v6;

	if (*family != 0)
		(*family)--;
	else if (w->any != 0)
		w->any--;
	else
		return false;
	return true;
}

/* What the book says, as far as it still lies in a pool and nobody has it. */
static void pass_book(struct reconcile *r, struct plan_gateway *gw, struct taken *t, struct wish *w)
{
	const struct object *o = gw->obj;
	const struct address_entry *e = address_book_find(r->in->book, o->cluster, o->ns, o->name);
	struct ip_addr a;

	for (uint32_t i = 0; e != NULL && i < e->addresses_count; i++)
		if (ip_parse(e->addresses[i], &a) && in_pools(r->in->config, &a) &&
			!is_taken(t, &a) && wish_take(w, ip_is_v4(&a)))
			give(gw, t, &a);
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
static bool net_pick(const struct ip_net *net, const struct taken *t, struct ip_addr *ret)
{
	uint32_t first = net->len >= 127 ? 0 : 1;

	for (uint32_t n = first; n <= first + t->size; n++) {
		if (!net_at(net, n, ret))
			return false;
		if (!is_taken(t, ret))
			return true;
	}
	return false;
}

static bool pools_pick(const struct control_config *c, const struct taken *t, bool v4,
	struct ip_addr *ret)
{
	for (uint32_t i = 0; i < c->pools_count; i++) {
		for (uint32_t k = 0; k < c->pools[i].cidrs_count; k++) {
			const struct ip_net *net = &c->pools[i].cidrs[k];

			if (ip_is_v4(&net->addr) == v4 && net_pick(net, t, ret))
				return true;
		}
	}
	return false;
}

static bool give_from_pools(struct reconcile *r, struct plan_gateway *gw, struct taken *t, bool v4,
	bool v6)
{
	const struct control_config *c = r->in->config;
	struct ip_addr a;

	if (!(v4 && pools_pick(c, t, true, &a)) && !(v6 && pools_pick(c, t, false, &a)))
		return false;
	give(gw, t, &a);
	return true;
}

static void pass_pools(struct reconcile *r, struct plan_gateway *gw, struct taken *t,
	struct wish *w, struct address_result *res)
{
	bool all = true;

	for (; w->v4 != 0; w->v4--)
		all &= give_from_pools(r, gw, t, true, false);
	for (; w->v6 != 0; w->v6--)
		all &= give_from_pools(r, gw, t, false, true);
	for (; w->any != 0; w->any--)
		all &= give_from_pools(r, gw, t, true, true);
	if (!all)
		blame(res, ADDRESS_NOT_ASSIGNED,
			r->in->config->pools_count == 0
				? "spec.addresses names no address and there is no address pool"
				: "The address pools have no free address");
}

static int cmp_age(const void *a, const void *b)
{
	return object_cmp_age((*(struct plan_gateway *const *)a)->obj,
		(*(struct plan_gateway *const *)b)->obj);
}

void addresses_assign(struct reconcile *r, struct address_result *ret_results)
{
	struct plan *p = r->plan;
	uint32_t n = p->gateways_count, addresses = 0;
	struct plan_gateway **by_age = arena_array(r->arena, struct plan_gateway *, n);
	struct wish *wishes = arena_array(r->arena, struct wish, n);
	struct taken t;

	for (uint32_t i = 0; i < n; i++) {
		by_age[i] = &p->gateways[i];
		addresses += by_age[i]->obj->gateway->addresses_count + 2;
	}
	qsort(by_age, n, sizeof(*by_age), cmp_age);
	taken_init(r, &t, addresses);
	for (uint32_t i = 0; i < n; i++)
		pass_static(r, by_age[i], &t, &ret_results[by_age[i] - p->gateways]);
	for (uint32_t i = 0; i < n; i++) {
		wishes[i] = wish_of(r->in->config, by_age[i]->obj->gateway);
		pass_book(r, by_age[i], &t, &wishes[i]);
	}
	for (uint32_t i = 0; i < n; i++)
		pass_pools(r, by_age[i], &t, &wishes[i], &ret_results[by_age[i] - p->gateways]);
}
