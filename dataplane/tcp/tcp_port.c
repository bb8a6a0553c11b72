// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_port.c: source ports that cannot be guessed and do not collide.
 *
 * RFC 6056 3.3.4 (double-hash): the walk for a destination begins at a secret offset plus a counter
 * that a few destinations share, and goes on port by port, so a port that was used last is tried
 * last. On a port with RSS only the ports whose replies reach this worker are walked (port/rss.h),
 * in the same manner. Whether a candidate is free is asked of the table by tcp_connect.c.
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
	struct rss_base base;
	uint8_t b[34];
	uint64_t start;

	memcpy(b, local->b, 16);
	memcpy(b + 16, remote->b, 16);
	be16_put(b + 32, remote_port);
	*ret = (struct tcp_port_walk){.ports = p, .left = p->slice.count};
	ret->counter = (uint32_t)siphash(&p->key[1], b, sizeof(b)) % TCP_PORT_COUNTERS;
	start = siphash(&p->key[0], b, sizeof(b)) / 2 + p->counter[ret->counter];
	if (p->slice.rss != NULL) {
		base = rss_ports_base(p->slice.rss, local, remote, remote_port);
		rss_port_start(p->slice.rss, &base, p->slice.worker, start, &ret->rss);
	} else if (p->slice.count > 0) {
		ret->at = (uint32_t)(start % p->slice.count);
	}
}

bool tcp_port_next(struct tcp_port_walk *w, uint16_t *ret_port)
{
	const struct tcp_port_slice *s = &w->ports->slice;

	w->tried++;
	if (s->rss != NULL)
		return rss_port_next(s->rss, &w->rss, ret_port);
	if (w->left == 0)
		return false;
	w->left--;
	*ret_port = (uint16_t)(s->first + w->at);
	w->at = w->at + 1 < s->count ? w->at + 1 : 0;
	return true;
}

void tcp_port_took(struct tcp_ports *p, const struct tcp_port_walk *w)
{
	p->counter[w->counter] = (uint16_t)(p->counter[w->counter] + w->tried);
}
