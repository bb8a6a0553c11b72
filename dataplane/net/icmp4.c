// SPDX-License-Identifier: Apache-2.0
/*
 * icmp4.c: ICMP for our IPv4 addresses: echo, errors about our segments, "nothing listens here".
 *
 * Standards: RFC 792, RFC 1122 3.2.2, RFC 1191 (next-hop MTU), RFC 6633 (source quench is ignored),
 * RFC 1812 4.3.2.3 (quote up to 576 bytes).
 */
#include "dataplane/net/net_impl.h"

#define ICMP_HDR 8
#define ECHO_REPLY 0
#define UNREACHABLE 3
#define ECHO_REQUEST 8
#define TIME_EXCEEDED 11
#define PARAMETER_PROBLEM 12
#define QUOTE_MAX (576 - IP4_HDR - ICMP_HDR)

/* Turns the request around in place. */
static void echo_answer(struct net *n, struct rte_mbuf *m)
{
	struct ip_addr src = pkt_of(m)->dst, dst = pkt_of(m)->src;
	uint8_t *p;
	uint16_t sum;

	if (!rate_take(&n->echo_rate, n->now_us)) {
		net_drop(n, m, NET_C_ICMP4_RATE);
		return;
	}
	p = (uint8_t *)rte_pktmbuf_adj(m, (uint16_t)(m->l2_len + m->l3_len));
	p[0] = ECHO_REPLY;
	memset(p + 2, 0, 2);
	sum = csum_fold(csum_add(0, p, m->data_len));
	memcpy(p + 2, &sum, 2);
	net_count(n, NET_C_ICMP4_ECHO);
	ip_output(n, m, &src, &dst, PROTO_ICMP, 0, NULL);
}

/* RFC 1122 4.2.3.9 and 3.2.2.1: which codes mean that trying on is useless. */
static bool is_hard(uint8_t code)
{
	return code == 2 || code == 3 || code == 9 || code == 10 || code == 13;
}

/* <q> of <len> bytes is the quoted packet. */
static bool quote_parse(const struct net *n, struct rte_mbuf *m, const uint8_t *q, unsigned len,
	struct net_icmp_error *ret)
{
	unsigned ihl;

	if (len < IP4_HDR || q[0] >> 4 != 4 || q[9] != PROTO_TCP || (be16_get(q + 6) & 0x1fff))
		return false;
	ihl = (q[0] & 15) * 4;
	if (ihl < IP4_HDR || len < ihl + 8)
		return false;
	ret->local = ip_from_v4(q + 12);
	ret->remote = ip_from_v4(q + 16);
	ret->local_port = be16_get(q + ihl);
	ret->remote_port = be16_get(q + ihl + 2);
	ret->seq = be32_get(q + ihl + 4);
	return ip_eq(&ret->local, &pkt_of(m)->dst) && addr_kind(n, &ret->local) != 0;
}

static void error_input(struct net *n, struct rte_mbuf *m, const uint8_t *p, unsigned len)
{
	struct net_icmp_error e = {0};

	if (!quote_parse(n, m, p + ICMP_HDR, len - ICMP_HDR, &e)) {
		net_drop(n, m, NET_C_ICMP4_EMBEDDED);
		return;
	}
	if (p[0] == UNREACHABLE) {
		e.too_big = p[1] == 4; /* RFC 1191 4: fragmentation needed and DF set */
		e.hard = is_hard(p[1]);
		e.mtu = e.too_big ? be16_get(p + 6) : 0;
	}
	net_count(n, NET_C_ICMP4_ERROR);
	icmp_error_push(n, &e);
	rte_pktmbuf_free(m);
}

static void icmp4_input_one(struct net *n, struct rte_mbuf *m)
{
	const uint8_t *p = pkt_at(m, m->l2_len + m->l3_len);
	unsigned len = pkt_of(m)->l4_len;

	net_count(n, NET_C_ICMP4_IN);
	if (len < ICMP_HDR) {
		net_drop(n, m, NET_C_ICMP4_SHORT);
		return;
	}
	if (csum_fold(csum_add(0, p, len)) != 0) {
		net_drop(n, m, NET_C_ICMP4_CSUM);
		return;
	}
	switch (p[0]) {
	case ECHO_REQUEST:
		echo_answer(n, m);
		return;
	case UNREACHABLE:
	case TIME_EXCEEDED:
	case PARAMETER_PROBLEM:
		error_input(n, m, p, len);
		return;
	default: /* RFC 1122 3.2.2: "MUST be silently discarded", or asked of hosts, not of us */
		net_drop(n, m, NET_C_ICMP4_TYPE);
	}
}

void icmp4_input(struct net *n)
{
	struct rte_mbuf *m;

	while ((m = mbufq_pop(&n->icmp4)) != NULL)
		icmp4_input_one(n, m);
}

void icmp4_unreachable(struct net *n, struct rte_mbuf *m, uint8_t code)
{
	uint16_t quote = (uint16_t)RTE_MIN(m->data_len - m->l2_len, QUOTE_MAX), sum;
	struct rte_mbuf *e;
	uint8_t *p;

	if (!rate_take(&n->unreach_rate, n->now_us)) {
		net_count(n, NET_C_ICMP_UNREACH_RATE);
		return;
	}
	e = net_packet_new(n, pkt_of(m)->port, (uint16_t)(ICMP_HDR + quote), &p);
	if (e == NULL)
		return;
	memset(p, 0, ICMP_HDR);
	p[0] = UNREACHABLE;
	p[1] = code;
	memcpy(p + ICMP_HDR, pkt_at(m, m->l2_len), quote);
	sum = csum_fold(csum_add(0, p, ICMP_HDR + quote));
	memcpy(p + 2, &sum, 2);
	net_count(n, NET_C_ICMP4_UNREACHABLE);
	ip_output(n, e, &pkt_of(m)->dst, &pkt_of(m)->src, PROTO_ICMP, 0, NULL);
}
