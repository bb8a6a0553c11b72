// SPDX-License-Identifier: Apache-2.0
/*
 * gen_tcp_parse.c: from a frame to a segment.
 *
 * Whatever the port delivers is checked before anything is believed: lengths, fragments (none are
 * expected), the IP and TCP checksums unless the port vouches for them.
 * Standards: RFC 791, 8200, 9293 3.1-3.2, 7323 3.2.
 */
#include "tests/bench/gen_tcp.h"

#define ETH_IP4 0x0800
#define ETH_IP6 0x86dd
#define PROTO_TCP 6

/* Sum of everything from the <off>th byte on, over all parts of the packet. */
static uint64_t chain_sum(const struct rte_mbuf *m, uint32_t off)
{
	uint64_t sum = 0;
	uint32_t done = 0;

	for (; m != NULL; m = m->next) {
		uint32_t skip = off < m->data_len ? off : m->data_len;
		uint32_t len = m->data_len - skip;

		off -= skip;
		sum = sum_join(sum, done,
			sum_of(rte_pktmbuf_mtod_offset(m, const uint8_t *, skip), len));
		done += len;
	}
	return sum;
}

static bool sum_right(const struct gen *g, const struct rte_mbuf *m, const struct seg *s,
	uint32_t l4_at, uint32_t l4_len)
{
	uint64_t known = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
	uint8_t tail[4] = {0, PROTO_TCP, (uint8_t)(l4_len >> 8), (uint8_t)l4_len};

	/* GOOD: verified; NONE: never left memory, and the port says that it is right */
	if (known == RTE_MBUF_F_RX_L4_CKSUM_GOOD || known == RTE_MBUF_F_RX_L4_CKSUM_NONE)
		return true;
	return sum_fold(sum_short(s->key, g->key_len - 4u) + sum_short(tail, 4) +
		       chain_sum(m, l4_at)) == 0xffff;
}

/* Length of what follows the IP header, or 0: not ours. Cuts padding off <m>. */
static uint32_t ip_parse_header(struct gen *g, struct rte_mbuf *m, const uint8_t *ip)
{
	uint32_t room = m->pkt_len - 14, total;

	if (g->v6) {
		if (m->data_len < 14 + 40 + 20 || ip[6] != PROTO_TCP)
			return 0;
		total = 40u + be16_get(ip + 4);
	} else {
		/* no options, not a fragment */
		if (m->data_len < 14 + 20 + 20 || ip[0] != 0x45 || ip[9] != PROTO_TCP ||
			(be16_get(ip + 6) & 0x3fff) != 0)
			return 0;
		total = be16_get(ip + 2);
		if (sum_fold(sum_short(ip, 20)) != 0xffff) {
			gen_count(g, GEN_RX_BAD_SUM);
			return 0;
		}
	}
	if (total > room || total < g->l3_len + 20u)
		return 0;
	if (total < room && rte_pktmbuf_trim(m, (uint16_t)(room - total)) != 0)
		return 0;
	return total - g->l3_len;
}

static void ts_find(struct seg *s)
{
	static const uint8_t usual[4] = {1, 1, 8, 10};
	const uint8_t *p = s->tcp + 20, *end = p + s->options_len;

	s->has_ts = false;
	if (s->options_len >= 12 && memcmp(p, usual, 4) == 0)
		p += 2;
	while (p < end && *p != 0) {
		if (*p == 1) {
			p++;
			continue;
		}
		if (end - p < 2 || p[1] < 2 || p[1] > end - p)
			return;
		if (p[0] == 8 && p[1] == 10) {
			s->has_ts = true;
			s->ts_val = be32_get(p + 2);
			s->ts_echo = be32_get(p + 6);
			return;
		}
		p += p[1];
	}
}

void tcp_syn_options(const struct seg *s, struct tcp_syn_options *ret)
{
	const uint8_t *p = s->tcp + 20, *end = p + s->options_len;

	*ret = (struct tcp_syn_options){.mss = 536}; /* RFC 9293 3.7.1 */
	while (p < end && *p != 0) {
		if (*p == 1) {
			p++;
			continue;
		}
		if (end - p < 2 || p[1] < 2 || p[1] > end - p)
			return;
		if (p[0] == 2 && p[1] == 4)
			ret->mss = be16_get(p + 2);
		else if (p[0] == 3 && p[1] == 3)
			ret->has_scale = true, ret->scale = p[2] < 14 ? p[2] : 14;
		else if (p[0] == 4 && p[1] == 2)
			ret->sack = true;
		p += p[1];
	}
}

bool tcp_parse(struct gen *g, struct rte_mbuf *m, struct seg *s)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *), *ip = p + 14, *tcp;
	uint32_t l4_len, header;

	if (m->data_len < 14 || be16_get(p + 12) != (g->v6 ? ETH_IP6 : ETH_IP4) ||
		(l4_len = ip_parse_header(g, m, ip)) == 0) {
		neigh_input(g, p, m->data_len);
		return false;
	}
	s->m = m;
	s->key = ip + (g->v6 ? 8 : 12);
	s->tcp = tcp = ip + g->l3_len;
	header = (uint32_t)(tcp[12] >> 4) * 4;
	if (header < 20 || header > l4_len || (uint32_t)(tcp - p) + header > m->data_len) {
		gen_count(g, GEN_RX_OTHER);
		return false;
	}
	if (!sum_right(g, m, s, (uint32_t)(tcp - p), l4_len)) {
		gen_count(g, GEN_RX_BAD_SUM);
		return false;
	}
	s->seq = be32_get(tcp + 4);
	s->ack = be32_get(tcp + 8);
	s->flags = tcp[13];
	s->window = be16_get(tcp + 14);
	s->len = l4_len - header;
	s->data_at = (uint16_t)((uint32_t)(tcp - p) + header);
	s->options_len = (uint8_t)(header - 20);
	ts_find(s);
	s->hash = conn_hash(g, s->key);
	return true;
}
