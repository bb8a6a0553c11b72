// SPDX-License-Identifier: Apache-2.0
/*
 * ip4.c: IPv4 packets to our addresses, checked and sorted by protocol.
 *
 * Packets to other addresses belong to the kernel and are let go before they are judged. Options
 * are stepped over, never acted upon: we are every packet's last hop. Fragments are dropped.
 * Standards: RFC 791, RFC 1122 3.2.
 */
#include "dataplane/net/net_impl.h"

/* The facts that the rest needs to be able to look at the packet at all. */
static int ip4_header_check(const struct rte_mbuf *m, const uint8_t *h, unsigned room)
{
	unsigned ihl = (h[0] & 15) * 4, total = be16_get(h + 2);

	if (h[0] >> 4 != 4)
		return NET_C_IP4_VERSION;
	if (ihl < IP4_HDR || ihl > room)
		return NET_C_IP4_IHL;
	if (total < ihl || total > m->pkt_len - m->l2_len)
		return NET_C_IP4_LENGTH;
	if (m->nb_segs > 1 && !is_chain_of_tcp(m, h[9], ihl))
		return NET_C_ETH_CHAINED;
	/* RFC 1122 3.2.1.2: "MUST verify the IP header checksum" */
	switch (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) {
	case RTE_MBUF_F_RX_IP_CKSUM_GOOD:
	case RTE_MBUF_F_RX_IP_CKSUM_NONE: /* not in the header, but verified */
		return -1;
	case RTE_MBUF_F_RX_IP_CKSUM_BAD:
		return NET_C_IP4_CSUM;
	default:
		return csum_fold(ihl == IP4_HDR ? csum_ip4(h) : csum_add(0, h, ihl)) == 0
			? -1
			: NET_C_IP4_CSUM;
	}
}

/* One of ours? Clients ask for few VIPs, backends answer few sources. */
static bool is_ours(struct net *n, const uint8_t *dst)
{
	uint32_t v4 = be32_get(dst);
	struct ip_addr addr;
	uint8_t kind;

	if (likely(v4 == n->ip4_vip || v4 == n->ip4_source))
		return true;
	addr = ip_from_v4(dst);
	kind = addr_kind(n, &addr);
	if (kind & ADDR_VIP)
		n->ip4_vip = v4;
	else if (kind & ADDR_SOURCE)
		n->ip4_source = v4;
	return kind != 0;
}

/* Header and buffer cut to what the length field says; pkt filled. */
static void ip4_fill(struct rte_mbuf *m, const uint8_t *h, const struct ip_addr *src)
{
	struct pkt *p = pkt_of(m);
	uint16_t total = be16_get(h + 2), ihl = (h[0] & 15) * 4;

	p->src = *src;
	p->dst = ip_from_v4(h + 16);
	p->proto = h[9];
	p->ttl = h[8];
	p->ecn = h[1] & 3;
	p->l4_len = (uint16_t)(total - ihl);
	m->l3_len = ihl;
	if (m->pkt_len > m->l2_len + (uint32_t)total) /* Ethernet's padding */
		pkt_cut(m, m->l2_len + total);
}

static void ip4_deliver(struct net *n, struct rte_mbuf *m)
{
	struct pkt *p = pkt_of(m);

	net_count(n, NET_C_IP4_IN);
	switch (p->proto) {
	case PROTO_TCP:
		if (trace_is_on())
			net_trace_in(m, "ip4_input");
		rte_pktmbuf_adj(m, (uint16_t)(m->l2_len + m->l3_len));
		mbufq_push(&n->tcp, m);
		return;
	case PROTO_ICMP:
		mbufq_push(&n->icmp4, m);
		return;
	case PROTO_UDP:
		icmp4_unreachable(n, m, 3);
		net_drop(n, m, NET_C_UDP4_PORT);
		return;
	default: /* RFC 1122 3.2.2.1: protocol unreachable */
		icmp4_unreachable(n, m, 2);
		net_drop(n, m, NET_C_IP4_PROTO);
	}
}

static void ip4_input_one(struct net *n, struct rte_mbuf *m)
{
	const uint8_t *h = pkt_at(m, m->l2_len);
	unsigned room = m->data_len - m->l2_len;
	struct ip_addr src;
	int why = NET_C_IP4_SHORT;

	if (room < IP4_HDR)
		goto drop;
	why = NET_C_IP4_HOST;
	if (!is_ours(n, h + 16))
		goto drop;
	why = ip4_header_check(m, h, room);
	if (why >= 0)
		goto drop;
	src = ip_from_v4(h + 12);
	why = NET_C_IP4_SOURCE; /* RFC 1122 3.2.1.3; our own: a loop or a LAND attack */
	if (!addr_is_unicast4(h + 12) || addr_kind(n, &src) != 0)
		goto drop;
	why = NET_C_IP4_L2_GROUP; /* RFC 1122 3.3.6: "SHOULD silently discard" */
	if (pkt_of(m)->flags & PKT_L2_GROUP)
		goto drop;
	why = NET_C_IP4_FRAGMENT;
	if (be16_get(h + 6) & 0x3fff)
		goto drop;
	ip4_fill(m, h, &src);
	ip4_deliver(n, m);
	return;
drop:
	net_drop(n, m, (enum net_counter)why);
}

void ip4_input(struct net *n)
{
	struct rte_mbuf *m;

	while ((m = mbufq_pop(&n->ip4)) != NULL)
		ip4_input_one(n, m);
}
