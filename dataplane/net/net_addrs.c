// SPDX-License-Identifier: Apache-2.0
/*
 * net_addrs.c: which addresses are ours, and telling the links about them.
 *
 * A hash table at most half full, looked up for every packet that comes in. A change builds the
 * spare table and swaps; addresses that were not there before are announced three times, a second
 * apart (RFC 4861 10: MAX_NEIGHBOR_ADVERTISEMENT, RetransTimer), a few per turn of the loop, so
 * that a thousand new VIPs are no burst. An announcement never asks for permission first (no
 * duplicate address detection): several appliances may hold a VIP at once.
 */
#include "dataplane/base/hash.h"
#include "dataplane/net/net_impl.h"

#define ANNOUNCEMENTS 3
#define ANNOUNCE_INTERVAL_US 1000000
#define ANNOUNCE_SCAN 512 /* slots looked at per turn */

static uint32_t addr_home(const struct net *n, const struct ip_addr *a)
{
	uint64_t hi = be64_get(a->b), lo = be64_get(a->b + 8);

	return (uint32_t)hash_mix(hi ^ n->neigh->key, lo) % ADDR_SLOTS;
}

/* The slot that holds <a>, or the free one where it would go. */
static struct addr_slot *addr_slot_of(const struct net *n, struct addr_table *t,
	const struct ip_addr *a)
{
	uint32_t i = addr_home(n, a);

	while (t->slot[i].kind != 0 && !ip_eq(&t->slot[i].addr, a))
		i = (i + 1) % ADDR_SLOTS;
	return &t->slot[i];
}

uint8_t addr_kind(const struct net *n, const struct ip_addr *a)
{
	return addr_slot_of(n, n->addrs, a)->kind;
}

bool net_is_source(const struct net *n, const struct ip_addr *dst)
{
	return addr_kind(n, dst) & ADDR_SOURCE;
}

/* Into the spare table; what the table in force did not know gets announcements. */
static void addr_add(struct net *n, const struct ip_addr *a, uint8_t kind)
{
	struct addr_slot *s = addr_slot_of(n, n->addrs_spare, a);
	const struct addr_slot *old = addr_slot_of(n, n->addrs, a);

	if (s->kind == 0)
		*s = (struct addr_slot){*a, 0, old->kind ? old->announce : ANNOUNCEMENTS};
	s->kind |= kind;
}

bool net_set_addrs(struct net *n, const struct ip_addr *vips, unsigned vip_count,
	const struct ip_addr *sources, unsigned source_count)
{
	struct addr_table *old = n->addrs;

	if (vip_count + source_count > NET_ADDRS_MAX)
		return false;
	memset(n->addrs_spare, 0, sizeof(*n->addrs_spare));
	for (unsigned i = 0; i < vip_count; i++)
		addr_add(n, &vips[i], ADDR_VIP);
	for (unsigned i = 0; i < source_count; i++)
		addr_add(n, &sources[i], ADDR_SOURCE);
	n->addrs = n->addrs_spare;
	n->ip4_vip = n->ip4_source = IP4_NONE;
	n->addrs_spare = old;
	n->announce_at = 0;
	n->announce_more = false;
	n->announce_us = n->announces ? n->now_us : TIMER_NEVER;
	return true;
}

void addr_announce_all(struct net *n)
{
	for (unsigned i = 0; i < ADDR_SLOTS; i++)
		if (n->addrs->slot[i].kind != 0)
			n->addrs->slot[i].announce = ANNOUNCEMENTS;
	n->announce_at = 0;
	n->announce_us = n->announces ? n->now_us : TIMER_NEVER;
}

static void announce_one(struct net *n, struct addr_slot *s)
{
	s->announce--;
	n->announce_more |= s->announce > 0;
	for (unsigned port = 0; port < n->queue_count; port++) {
		if (!net_link_is_up(n, port))
			continue;
		if (ip_is_v4(&s->addr))
			arp_announce(n, port, &s->addr);
		else
			nd_announce(n, port, &s->addr);
	}
}

void addr_announce_run(struct net *n, unsigned budget)
{
	uint32_t end = RTE_MIN(n->announce_at + ANNOUNCE_SCAN, (uint32_t)ADDR_SLOTS);

	if (n->now_us < n->announce_us)
		return;
	for (; n->announce_at < end && budget > 0; n->announce_at++) {
		struct addr_slot *s = &n->addrs->slot[n->announce_at];

		if (s->kind != 0 && s->announce > 0) {
			announce_one(n, s);
			budget--;
		}
	}
	if (n->announce_at < ADDR_SLOTS)
		return;
	n->announce_us = n->announce_more ? n->now_us + ANNOUNCE_INTERVAL_US : TIMER_NEVER;
	n->announce_at = 0;
	n->announce_more = false;
}

bool addr_is_iface(const struct net *n, unsigned port, const struct ip_addr *a)
{
	const struct fib_iface *f;

	if (n->fib == NULL)
		return false;
	f = fib_iface(n->fib, port);
	for (uint32_t i = 0; i < f->addr_count; i++)
		if (ip_eq(&f->addrs[i].addr, a))
			return true;
	return false;
}

static bool same_subnet(const struct ip_net *iface, const struct ip_addr *a)
{
	unsigned bytes = iface->len / 8, bits = iface->len % 8;
	uint8_t mask = (uint8_t)(0xff00 >> bits);

	if (memcmp(iface->addr.b, a->b, bytes) != 0)
		return false;
	return bits == 0 || ((iface->addr.b[bytes] ^ a->b[bytes]) & mask) == 0;
}

static bool is_link_local(const struct ip_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool addr_asker(const struct net *n, unsigned port, const struct ip_addr *target,
	struct ip_addr *ret)
{
	const struct fib_iface *f;

	if (n->fib == NULL)
		return false;
	f = fib_iface(n->fib, port);
	for (uint32_t i = 0; i < f->addr_count; i++) {
		const struct ip_net *a = &f->addrs[i];

		/* RFC 4861 7.2.2: any address of the interface; link-local ones always fit */
		if (same_subnet(a, target) || (!ip_is_v4(target) && is_link_local(&a->addr))) {
			*ret = a->addr;
			return true;
		}
	}
	return false;
}

bool addr_is_unicast(const struct ip_addr *a)
{
	static const struct ip_addr loopback6 = {{[15] = 1}};

	if (ip_is_any(a) || ip_eq(a, &loopback6))
		return false;
	return ip_is_v4(a) ? addr_is_unicast4(a->b + 12) : a->b[0] != 0xff;
}
