// SPDX-License-Identifier: Apache-2.0
/*
 * icmp6.c: ICMPv6 for our IPv6 addresses; Neighbour Discovery goes on to nd.c.
 *
 * Standards: RFC 4443, RFC 8201 (packet too big), RFC 4861 4 (which messages are ND's).
 */
#include "dataplane/net/net_impl.h"

#define ICMP_HDR 8
#define UNREACHABLE 1
#define TOO_BIG 2
#define TIME_EXCEEDED 3
#define PARAMETER_PROBLEM 4
#define ECHO_REQUEST 128
#define ECHO_REPLY 129
#define ROUTER_SOLICITATION 133
#define ROUTER_ADVERTISEMENT 134
#define NEIGHBOR_SOLICITATION 135
#define NEIGHBOR_ADVERTISEMENT 136
#define REDIRECT 137
#define QUOTE_MAX (PORT_MTU_MIN - IP6_HDR - ICMP_HDR) /* RFC 4443 2.4 (c) */

static void csum_put(uint8_t *p, const struct ip_addr *src, const struct ip_addr *dst, uint16_t len)
{
	uint16_t sum;

	memset(p + 2, 0, 2);
	sum = csum_fold(csum_add(csum_pseudo(src, dst, PROTO_ICMP6, len), p, len));
	memcpy(p + 2, &sum, 2);
}

static void echo_answer(struct net *n, struct rte_mbuf *m)
{
	struct ip_addr src = pkt_of(m)->dst, dst = pkt_of(m)->src;
	enum net_counter why = NET_C_ICMP6_GROUP;
	uint8_t *p;

	if (addr_kind(n, &src) == 0 || ip_is_any(&dst))
		goto drop;
	why = NET_C_ICMP6_RATE;
	if (!rate_take(&n->echo_rate, n->now_us))
		goto drop;
	p = (uint8_t *)rte_pktmbuf_adj(m, (uint16_t)(m->l2_len + m->l3_len));
	p[0] = ECHO_REPLY;
	csum_put(p, &src, &dst, m->data_len);
	net_count(n, NET_C_ICMP6_ECHO);
	ip_output(n, m, &src, &dst, PROTO_ICMP6, 0, NULL);
	return;
drop:
	net_drop(n, m, why);
}

/* Our own segments carry no extension headers, so a true quote has none. */
static bool quote_parse(const struct net *n, struct rte_mbuf *m, const uint8_t *q, unsigned len,
	struct net_icmp_error *ret)
{
	if (len < IP6_HDR + 8 || q[0] >> 4 != 6 || q[6] != PROTO_TCP)
		return false;
	ret->local = ip_from_v6(q + 8);
	ret->remote = ip_from_v6(q + 24);
	ret->local_port = be16_get(q + IP6_HDR);
	ret->remote_port = be16_get(q + IP6_HDR + 2);
	ret->seq = be32_get(q + IP6_HDR + 4);
	return ip_eq(&ret->local, &pkt_of(m)->dst) && addr_kind(n, &ret->local) != 0 &&
		!ip_is_v4(&ret->remote);
}

static void error_input(struct net *n, struct rte_mbuf *m, const uint8_t *p, unsigned len)
{
	struct net_icmp_error e = {0};

	if (!quote_parse(n, m, p + ICMP_HDR, len - ICMP_HDR, &e)) {
		net_drop(n, m, NET_C_ICMP6_EMBEDDED);
		return;
	}
	e.too_big = p[0] == TOO_BIG;
	e.mtu = e.too_big ? be32_get(p + 4) : 0;
	/* RFC 4443 3.1: 1 prohibited, 4 port, 5 and 6 policy; 3.4: 1 unknown next header */
	e.hard = (p[0] == UNREACHABLE && (p[1] == 1 || p[1] >= 4)) ||
		(p[0] == PARAMETER_PROBLEM && p[1] == 1);
	net_count(n, NET_C_ICMP6_ERROR);
	icmp_error_push(n, &e);
	rte_pktmbuf_free(m);
}

static void icmp6_input_one(struct net *n, struct rte_mbuf *m)
{
	const uint8_t *p = pkt_at(m, m->l2_len + m->l3_len);
	struct pkt *k = pkt_of(m);

	net_count(n, NET_C_ICMP6_IN);
	if (k->l4_len < ICMP_HDR) {
		net_drop(n, m, NET_C_ICMP6_SHORT);
		return;
	}
	if (csum_fold(csum_add(csum_pseudo(&k->src, &k->dst, PROTO_ICMP6, k->l4_len), p,
		    k->l4_len)) != 0) {
		net_drop(n, m, NET_C_ICMP6_CSUM);
		return;
	}
	switch (p[0]) {
	case ECHO_REQUEST:
		echo_answer(n, m);
		return;
	case UNREACHABLE:
	case TOO_BIG:
	case TIME_EXCEEDED:
	case PARAMETER_PROBLEM:
		error_input(n, m, p, k->l4_len);
		return;
	case NEIGHBOR_SOLICITATION:
	case NEIGHBOR_ADVERTISEMENT:
		nd_input(n, m);
		return;
	case ROUTER_SOLICITATION:
	case ROUTER_ADVERTISEMENT:
	case REDIRECT:
		net_drop(n, m, NET_C_ND_ROUTER);
		return;
	default:
		net_drop(n, m, NET_C_ICMP6_TYPE);
	}
}

void icmp6_input(struct net *n)
{
	struct rte_mbuf *m;

	while ((m = mbufq_pop(&n->icmp6)) != NULL)
		icmp6_input_one(n, m);
}

void icmp6_unreachable(struct net *n, struct rte_mbuf *m, uint8_t type, uint8_t code,
	uint32_t pointer)
{
	uint16_t quote = (uint16_t)RTE_MIN(m->data_len - m->l2_len, QUOTE_MAX);
	const struct pkt *k = pkt_of(m);
	struct rte_mbuf *e;
	uint8_t *p;

	/* RFC 4443 2.4 (e): never about a packet to a group or from nobody */
	if (addr_kind(n, &k->dst) == 0 || ip_is_any(&k->src))
		return;
	if (!rate_take(&n->unreach_rate, n->now_us)) {
		net_count(n, NET_C_ICMP_UNREACH_RATE);
		return;
	}
	e = net_packet_new(n, k->port, (uint16_t)(ICMP_HDR + quote), &p);
	if (e == NULL)
		return;
	p[0] = type;
	p[1] = code;
	be32_put(p + 4, pointer);
	memcpy(p + ICMP_HDR, pkt_at(m, m->l2_len), quote);
	csum_put(p, &k->dst, &k->src, (uint16_t)(ICMP_HDR + quote));
	net_count(n, NET_C_ICMP6_UNREACHABLE);
	ip_output(n, e, &k->dst, &k->src, PROTO_ICMP6, 0, NULL);
}
