// SPDX-License-Identifier: Apache-2.0
/*
 * fib.c: longest-prefix match as a binary search over disjoint ranges.
 *
 * Prefixes nest or are disjoint, so a sweep over them in address order with a stack of the open
 * ones yields the table of ranges, each with the innermost route in force. n prefixes give at most
 * 2n + 1 ranges. Workers cache the answer per destination (struct net_dst), so a lookup happens
 * once per connection and table, not once per packet.
 */
#include "dataplane/net/fib.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bytes.h"

#define NO_ROUTE UINT32_MAX

typedef unsigned __int128 u128;

struct fib_range { /* in force from <first> to the next range's first */
	u128 first;
	uint32_t route; /* index, or NO_ROUTE */
};

struct fib {
	struct fib_iface ifaces[PORTS_MAX];
	struct fib_route *routes; /* owned; sorted by prefix */
	struct fib_range *ranges; /* owned; from :: on without a gap */
	uint32_t route_count, range_count;
	uint64_t serial;
};

/* IPv4's place: without a default route of its own it must not fall through to ::/0. */
static const struct ip_net v4_space = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}}, 96};

static u128 addr_key(const struct ip_addr *a)
{
	return ((u128)be64_get(a->b) << 64) | be64_get(a->b + 8);
}

static u128 net_last(const struct ip_net *n)
{
	u128 host = n->len == 0 ? ~(u128)0 : (((u128)1 << (128 - n->len)) - 1);

	return addr_key(&n->addr) | host;
}

static bool is_usable(const struct fib_route *r)
{
	for (uint32_t i = 0; i < r->path_count; i++)
		if (r->paths[i].port != FIB_PORT_NONE)
			return true;
	return false;
}

/* Outer before inner; of equal prefixes the best first. */
static int route_cmp(const void *pa, const void *pb)
{
	const struct fib_route *a = pa, *b = pb;
	int d = memcmp(a->prefix.addr.b, b->prefix.addr.b, 16);

	if (d == 0)
		d = a->prefix.len - b->prefix.len;
	if (d == 0)
		d = is_usable(b) - is_usable(a);
	if (d == 0)
		d = (a->metric > b->metric) - (a->metric < b->metric);
	return d;
}

static bool same_prefix(const struct fib_route *a, const struct fib_route *b)
{
	return a->prefix.len == b->prefix.len && ip_eq(&a->prefix.addr, &b->prefix.addr);
}

/* Sorts and leaves one route per prefix; returns how many. */
static uint32_t routes_settle(struct fib_route *r, uint32_t count)
{
	uint32_t kept = 0;

	qsort(r, count, sizeof(*r), route_cmp);
	for (uint32_t i = 0; i < count; i++)
		if (kept == 0 || !same_prefix(&r[kept - 1], &r[i]))
			r[kept++] = r[i];
	return kept;
}

static void range_emit(struct fib *f, u128 first, uint32_t route)
{
	struct fib_range *last = f->range_count ? &f->ranges[f->range_count - 1] : NULL;

	if (last != NULL && last->first == first)
		last->route = route;
	else
		f->ranges[f->range_count++] = (struct fib_range){first, route};
}

/* Ends the innermost open prefix: what is around it goes on behind it. */
static void range_close(struct fib *f, const uint32_t *open, unsigned *depth)
{
	u128 last = net_last(&f->routes[open[--*depth]].prefix);

	if (last != ~(u128)0)
		range_emit(f, last + 1, *depth ? open[*depth - 1] : NO_ROUTE);
}

static void ranges_sweep(struct fib *f)
{
	uint32_t open[129]; /* prefixes nest at most once per length */
	unsigned depth = 0;

	range_emit(f, 0, NO_ROUTE);
	for (uint32_t i = 0; i < f->route_count; i++) {
		u128 first = addr_key(&f->routes[i].prefix.addr);

		while (depth > 0 && net_last(&f->routes[open[depth - 1]].prefix) < first)
			range_close(f, open, &depth);
		open[depth++] = i;
		range_emit(f, first, i);
	}
	while (depth > 0)
		range_close(f, open, &depth);
}

const struct fib *fib_build(const struct fib_iface *ifaces, const struct fib_route *routes,
	uint32_t count)
{
	static _Atomic uint64_t last_serial;
	struct fib *f = calloc(1, sizeof(*f));

	bug_on(f == NULL || count > FIB_ROUTES_MAX);
	f->serial = ++last_serial;
	memcpy(f->ifaces, ifaces, sizeof(f->ifaces));
	f->routes = calloc(count + 1, sizeof(*f->routes));
	f->ranges = calloc(2 * (size_t)(count + 1) + 1, sizeof(*f->ranges));
	bug_on(f->routes == NULL || f->ranges == NULL);
	if (count > 0)
		memcpy(f->routes, routes, count * sizeof(*routes));
	f->routes[count] = (struct fib_route){.prefix = v4_space, .metric = UINT32_MAX};
	f->route_count = routes_settle(f->routes, count + 1);
	ranges_sweep(f);
	return f;
}

void fib_free(const struct fib *f)
{
	if (f == NULL)
		return;
	free(f->routes);
	free(f->ranges);
	free((void *)f);
}

const struct fib_route *fib_lookup(const struct fib *f, const struct ip_addr *dst)
{
	u128 key = addr_key(dst);
	uint32_t lo = 0, hi = f->range_count;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (f->ranges[mid].first <= key)
			lo = mid;
		else
			hi = mid;
	}
	return f->ranges[lo].route == NO_ROUTE ? NULL : &f->routes[f->ranges[lo].route];
}

const struct fib_iface *fib_iface(const struct fib *f, unsigned port)
{
	bug_on_hot(port >= PORTS_MAX);
	return &f->ifaces[port];
}

uint32_t fib_route_count(const struct fib *f)
{
	return f->route_count;
}

uint64_t fib_serial(const struct fib *f)
{
	return f->serial;
}
