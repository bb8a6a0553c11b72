// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_port.c: source ports that cannot be guessed and do not collide.
 *
 * RFC 6056 3.3.4 (double-hash): the walk for a destination begins at a secret offset plus a
 * counter that a few destinations share, and goes on port by port, so a port that was used last is
 * tried last. Whether a candidate is free is asked of the table by tcp_connect.c.
 */
#include "dataplane/tcp/tcp_port.h"

#include "dataplane/base/bytes.h"

void tcp_ports_init(struct tcp_ports *p, struct rng *rng)
{
	memset(p, 0, sizeof(*p));
	for (unsigned i = 0; i < 2; i++) {
		p->key[i].k[0] = rng_u64(rng);
		p->key[i].k[1] = rng_u64(rng);
	}
	for (unsigned i = 0; i < TCP_PORT_COUNTERS; i++)
		p->counter[i] = (uint16_t)rng_u64(rng);
}

void tcp_port_walk(const struct tcp_ports *p, const struct ip_addr *local,
	const struct ip_addr *remote, uint16_t remote_port, struct tcp_port_walk *ret)
{
	uint8_t b[34];

	memcpy(b, local->b, 16);
	memcpy(b + 16, remote->b, 16);
	be16_put(b + 32, remote_port);
	ret->ports = p;
	ret->count = p->slice.count;
	ret->counter = (uint32_t)siphash(&p->key[1], b, sizeof(b)) % TCP_PORT_COUNTERS;
	ret->start = (uint32_t)siphash(&p->key[0], b, sizeof(b)) / 2 + p->counter[ret->counter];
}

uint16_t tcp_port_at(const struct tcp_port_walk *w, uint32_t i)
{
	return (uint16_t)(w->ports->slice.first + (w->start + i) % w->count);
}

void tcp_port_took(struct tcp_ports *p, const struct tcp_port_walk *w, uint32_t i)
{
	p->counter[w->counter] = (uint16_t)(p->counter[w->counter] + i + 1);
}
