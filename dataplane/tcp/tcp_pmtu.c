// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_pmtu.c: a small cache, so that the next connection does not rediscover a narrow path.
 *
 * An entry ages after ten minutes (RFC 8201 4: not sooner than five), then the interface's MTU is
 * tried again. Only messages that passed the checks of RFC 5927 get here.
 *
 * Standards: RFC 1191, RFC 8201.
 */
#include "dataplane/tcp/tcp_pmtu.h"

#define PMTU_AGE_US 600000000ull

void tcp_pmtu_init(struct tcp_pmtu *p, struct rng *rng)
{
	memset(p, 0, sizeof(*p));
	p->key[0] = rng_u64(rng);
	p->key[1] = rng_u64(rng);
}

static unsigned slot_of(const struct tcp_pmtu *p, const struct ip_addr *dst)
{
	uint64_t w[2];

	memcpy(w, dst->b, 16);
	return (unsigned)(hash_mix(w[0] ^ p->key[0], w[1] ^ p->key[1]) % TCP_PMTU_SLOTS);
}

uint16_t tcp_pmtu_lookup(const struct tcp_pmtu *p, const struct ip_addr *dst, uint64_t now_us)
{
	unsigned i = slot_of(p, dst);

	if (p->e[i].mtu == 0 || p->e[i].until_us <= now_us || !ip_eq(&p->e[i].dst, dst))
		return 0;
	return p->e[i].mtu;
}

void tcp_pmtu_learn(struct tcp_pmtu *p, const struct ip_addr *dst, uint16_t mtu, uint64_t now_us)
{
	unsigned i = slot_of(p, dst);

	p->e[i].dst = *dst;
	p->e[i].mtu = mtu;
	p->e[i].until_us = now_us + PMTU_AGE_US;
}
