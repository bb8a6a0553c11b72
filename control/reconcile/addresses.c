// SPDX-License-Identifier: Apache-2.0
/*
 * addresses.c: a VIP belongs to one Gateway.
 *
 * Passes over the Gateways, oldest first in each, so that nobody loses what he has to somebody who
 * came later: what each had from pools and still wants is kept for it; then come addresses that
 * specs ask for by value; those that were kept; new ones from the pools, the lowest free one of the
 * first pool that has any. A Gateway without spec.addresses gets one of each family that the pools
 * have; an entry without a value gets one.
 * Standard: Gateway API v1.7, GatewaySpec.addresses.
 */
#include "control/reconcile/addresses.h"

#include <stdlib.h>

#include "control/model/check.h"
#include "control/reconcile/reconcile.h"
#include "dataplane/base/hash.h"

/* Addresses that are not free; open addressing, at most half full. */
struct taken {
	struct ip_addr *slots;
	enum holder { FREE = 0, RESERVED, KEPT, TAKEN } * holder;
	const struct plan_gateway **owner; /* of those that are kept or taken */
	uint32_t size, count;
};

static uint64_t addr_hash(const struct ip_addr *a)
{
	uint64_t w[2];

	memcpy(w, a->b, sizeof(w));
	return hash_mix(w[0], w[1]);
}

static uint32_t slot_of(const struct taken *t, const struct ip_addr *a)
{
	uint32_t i = (uint32_t)addr_hash(a) & (t->size - 1);

	while (t->holder[i] != FREE && !ip_eq(&t->slots[i], a))
		i = (i + 1) & (t->size - 1);
	return i;
}

/* Taken by anybody, or kept for another. */
static bool is_gone(const struct taken *t, const struct plan_gateway *gw, const struct ip_addr *a)
{
	uint32_t i = slot_of(t, a);

	return t->holder[i] == TAKEN || (t->holder[i] == KEPT && t->owner[i] != gw);
}

static bool is_free(const void *ctx, const struct ip_addr *a)
{
	const struct taken *t = ctx;

	return t->holder[slot_of(t, a)] == FREE;
}

static bool is_reserved(const void *ctx, const struct ip_addr *a)
{
	const struct taken *t = ctx;

	return t->holder[slot_of(t, a)] <= RESERVED;
}

static void hold(struct taken *t, const struct ip_addr *a, enum holder how,
	const struct plan_gateway *owner)
{
	uint32_t i = slot_of(t, a);

	t->count += t->holder[i] == FREE;
	t->slots[i] = *a;
	if (how <= t->holder[i])
		return;
	t->holder[i] = how;
	t->owner[i] = owner;
}

static void taken_init(struct reconcile *r, struct taken *t, uint32_t addresses)
{
	t->count = 0;
	t->size = 64;
	while (t->size < 2 * addresses)
		t->size *= 2;
	t->slots = arena_array(r->arena, struct ip_addr, t->size);
	t->holder = arena_array(r->arena, enum holder, t->size);
	t->owner = arena_array(r->arena, const struct plan_gateway *, t->size);
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
	hold(t, a, TAKEN, gw);
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
	else if (pools_any(r, gw->obj) && !pools_contain(r, gw->obj, &a))
		why = "lies in none of the address pools";
	else if (is_gone(t, gw, &a))
		why = "belongs to another Gateway";
	if (why == NULL)
		give(gw, t, &a);
	else
		blame(res, ADDRESS_NOT_USABLE,
			arena_printf(r->arena, "spec.addresses: %.*s %s",
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
				arena_printf(r->arena,
					"spec.addresses: type %.*s is not supported: use IPAddress",
					STR_FMT(str_first(a->type, 100))));
		else if (a->has_routability)
			blame(res, ADDRESS_UNSUPPORTED_TYPE,
				"spec.addresses: routability is not supported: remove it");
		else if (a->value.len != 0)
			take_static(r, gw, t, a, res);
	}
	gw->static_count = gw->addresses_count;
}

/* How many addresses the pools owe a Gateway: of IPv4, of IPv6, of any family. */
struct wish {
	uint32_t v4, v6, any;
};

struct asker {
	struct plan_gateway *gw;
	struct address_result *res;
	struct wish wish;
	const struct str *past; /* what it had from pools */
	uint32_t past_count;
	bool remembered; /* <past> is from the book; else from its status, which may be old */
};

/* As the book says, or its own status when the book is lost. */
static void past_of(struct reconcile *r, struct asker *k)
{
	const struct object *o = k->gw->obj;
	const struct address_entry *e = address_book_find(r->in->book, o->cluster, o->ns, o->name);

	if (e == NULL) {
		address_book_adopt(o, r->arena, &k->past, &k->past_count);
		return;
	}
	k->remembered = true;
	k->past = e->addresses;
	k->past_count = e->addresses_count;
}

static bool past_has(const struct reconcile *r, const struct asker *k, bool v4)
{
	struct ip_addr a;

	for (uint32_t i = 0; i < k->past_count; i++)
		if (ip_parse(k->past[i], &a) && ip_is_v4(&a) == v4 &&
			pools_contain(r, k->gw->obj, &a))
			return true;
	return false;
}

static void wish_of(const struct reconcile *r, struct asker *k)
{
	const struct gateway *spec = k->gw->obj->gateway;
	struct wish *w = &k->wish;

	if (spec->addresses_count == 0) {
		w->v4 = pools_give(r, k->gw->obj, true) || past_has(r, k, true);
		w->v6 = pools_give(r, k->gw->obj, false) || past_has(r, k, false);
		w->any = !w->v4 && !w->v6;
	}
	for (uint32_t i = 0; i < spec->addresses_count; i++)
		w->any += str_eq(spec->addresses[i].type, STR("IPAddress")) &&
			spec->addresses[i].value.len == 0;
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

static bool asks_for(const struct plan_gateway *gw, const struct ip_addr *a)
{
	const struct gateway *spec = gw->obj->gateway;
	struct ip_addr want;

	for (uint32_t i = 0; i < spec->addresses_count; i++)
		if (ip_parse(spec->addresses[i].value, &want) && ip_eq(&want, a))
			return true;
	return false;
}

/* The <i>th address that it had, if it still lies in a pool and nobody else has it. */
static bool past_at(struct reconcile *r, const struct asker *k, const struct taken *t, uint32_t i,
	struct ip_addr *ret)
{
	return ip_parse(k->past[i], ret) && pools_contain(r, k->gw->obj, ret) &&
		!is_gone(t, k->gw, ret);
}

/*
 * Another who asks for it by value would end this one's traffic. But what only its status says it
 * may have lost while its API server was away.
 */
static void pass_keep(struct reconcile *r, struct asker *k, struct taken *t)
{
	struct wish wish = k->wish;
	struct ip_addr a;

	for (uint32_t i = 0; k->remembered && i < k->past_count; i++)
		if (past_at(r, k, t, i, &a) &&
			(asks_for(k->gw, &a) || wish_take(&wish, ip_is_v4(&a))))
			hold(t, &a, KEPT, k->gw);
}

static void pass_past(struct reconcile *r, struct asker *k, struct taken *t)
{
	struct ip_addr a;

	for (uint32_t i = 0; i < k->past_count; i++)
		if (past_at(r, k, t, i, &a) && wish_take(&k->wish, ip_is_v4(&a)))
			give(k->gw, t, &a);
}

/* One that somebody had who is gone, or cannot be seen now, only when there is no other. */
static bool give_from_pools(struct reconcile *r, struct plan_gateway *gw, struct taken *t, bool v4,
	bool v6)
{
	struct pool_filter f = {is_free, t, t->count};
	struct ip_addr a;

	for (int pass = 0; pass < 2; pass++, f.is_free = is_reserved) {
		if ((v4 && pools_pick(r, gw->obj, true, &f, &a)) ||
			(v6 && pools_pick(r, gw->obj, false, &f, &a))) {
			give(gw, t, &a);
			return true;
		}
	}
	return false;
}

static void pass_pools(struct reconcile *r, struct asker *k, struct taken *t)
{
	struct wish *w = &k->wish;
	bool all = true;

	for (; w->v4 != 0; w->v4--)
		all &= give_from_pools(r, k->gw, t, true, false);
	for (; w->v6 != 0; w->v6--)
		all &= give_from_pools(r, k->gw, t, false, true);
	for (; w->any != 0; w->any--)
		all &= give_from_pools(r, k->gw, t, true, true);
	if (!all)
		blame(k->res, ADDRESS_NOT_ASSIGNED,
			!pools_any(r, k->gw->obj)
				? "spec.addresses names no address and there is no address pool"
				: "The address pools have no free address");
}

/* Those of Gateways that the plan does not have. */
static void reserve(struct reconcile *r, struct taken *t)
{
	const struct address_book *b = r->in->book;
	struct ip_addr a;

	for (uint32_t i = 0; b != NULL && i < b->entries_count; i++) {
		const struct address_entry *e = &b->entries[i];

		if (plan_find_gateway(r->plan, e->cluster, e->ns, e->name) != NULL)
			continue;
		for (uint32_t k = 0; k < e->addresses_count; k++)
			if (ip_parse(e->addresses[k], &a))
				hold(t, &a, RESERVED, NULL);
	}
}

static uint32_t book_size(const struct address_book *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; b != NULL && i < b->entries_count; i++)
		n += b->entries[i].addresses_count;
	return n;
}

static int cmp_age(const void *a, const void *b)
{
	return object_cmp_age(((const struct asker *)a)->gw->obj,
		((const struct asker *)b)->gw->obj);
}

void addresses_assign(struct reconcile *r, struct address_result *ret_results)
{
	struct plan *p = r->plan;
	uint32_t n = p->gateways_count, addresses = book_size(r->in->book);
	struct asker *askers = arena_array(r->arena, struct asker, n);
	struct taken t;

	for (uint32_t i = 0; i < n; i++) {
		askers[i].gw = &p->gateways[i];
		askers[i].res = &ret_results[i];
		addresses += p->gateways[i].obj->gateway->addresses_count + 2;
	}
	qsort(askers, n, sizeof(*askers), cmp_age);
	pools_prepare(r);
	taken_init(r, &t, addresses);
	reserve(r, &t);
	for (uint32_t i = 0; i < n; i++) {
		past_of(r, &askers[i]);
		wish_of(r, &askers[i]);
		pass_keep(r, &askers[i], &t);
	}
	for (uint32_t i = 0; i < n; i++)
		pass_static(r, askers[i].gw, &t, askers[i].res);
	for (uint32_t i = 0; i < n; i++)
		pass_past(r, &askers[i], &t);
	for (uint32_t i = 0; i < n; i++)
		pass_pools(r, &askers[i], &t);
}
