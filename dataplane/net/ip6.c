// SPDX-License-Identifier: Apache-2.0
/*
 * ip6.c: IPv6 packets to our addresses, and Neighbour Discovery to the groups we listen to.
 *
 * Extension headers are walked, few and bounded, and must be skippable: a gateway's addresses are
 * final destinations, so every option that a router or a mobile node would need is none of ours.
 * Standards: RFC 8200, RFC 5095 (routing header type 0), RFC 6946 (atomic fragments).
 */
#include "dataplane/net/net_impl.h"

#define EXT_HOP_BY_HOP 0
#define EXT_ROUTING 43
#define EXT_FRAGMENT 44
#define EXT_NONE 59
#define EXT_DEST_OPTIONS 60
#define EXT_MAX 8	  /* headers of one packet; RFC 8200 4.1 names at most six kinds */
#define EXT_BYTES_MAX 256 /* IPv6 header and all of them */

/* RFC 8200 4.2: every option must be one that may be skipped. */
static int options_check(const uint8_t *o, unsigned len)
{
	unsigned i = 2;

	while (i < len) {
		if (o[i] == 0) { /* Pad1 */
			i++;
			continue;
		}
		if (o[i] >> 6 != 0 || i + 2 > len || i + 2 + o[i + 1] > len)
			return NET_C_IP6_EXT_OPTION;
		i += 2u + o[i + 1];
	}
	return -1;
}

/* One extension header of <len> bytes at <x>; -1: go on behind it. */
static int ext_check(uint8_t type, const uint8_t *x, unsigned len)
{
	switch (type) {
	case EXT_HOP_BY_HOP:
	case EXT_DEST_OPTIONS:
		return options_check(x, len);
	case EXT_ROUTING: /* RFC 8200 4.4: ignored when no segments are left */
		return x[3] == 0 ? -1 : NET_C_IP6_RH0;
	default: /* RFC 6946: a fragment that is the whole packet */
		return (be16_get(x + 2) & 0xfff9) == 0 ? -1 : NET_C_IP6_FRAGMENT;
	}
}

static bool is_ext(uint8_t proto)
{
	return proto == EXT_HOP_BY_HOP || proto == EXT_ROUTING || proto == EXT_FRAGMENT ||
		proto == EXT_DEST_OPTIONS;
}

/*
 * Walks the chain of a packet of <len> bytes; *ret_off is then the upper header's place, *ret_proto
 * its type, *ret_pointer where that type stands (RFC 4443 3.4). -1, or why it is dropped.
 */
static int ext_walk(const uint8_t *h, unsigned len, unsigned *ret_off, uint8_t *ret_proto,
	unsigned *ret_pointer)
{
	unsigned off = IP6_HDR, pointer = 6;
	uint8_t proto = h[6];
	int why;

	for (unsigned i = 0; is_ext(proto); i++) {
		unsigned size;

		/* RFC 8200 4.1: hop-by-hop options only directly behind the IPv6 header */
		if (i == EXT_MAX || (proto == EXT_HOP_BY_HOP && i > 0))
			return NET_C_IP6_EXT_CHAIN;
		if (off + 8 > len)
			return NET_C_IP6_EXT_SHORT;
		size = proto == EXT_FRAGMENT ? 8 : (h[off + 1] + 1u) * 8;
		if (off + size > EXT_BYTES_MAX)
			return NET_C_IP6_EXT_CHAIN;
		if (off + size > len)
			return NET_C_IP6_EXT_SHORT;
		why = ext_check(proto, h + off, size);
		if (why >= 0)
			return why;
		proto = h[off];
		pointer = off;
		off += size;
	}
	*ret_off = off;
	*ret_proto = proto;
	*ret_pointer = pointer;
	return -1;
}

static void ip6_deliver(struct net *n, struct rte_mbuf *m, unsigned pointer)
{
	struct pkt *p = pkt_of(m);

	net_count(n, NET_C_IP6_IN);
	switch (p->proto) {
	case PROTO_TCP:
		net_trace_in(m, "ip6_input");
		rte_pktmbuf_adj(m, (uint16_t)(m->l2_len + m->l3_len));
		mbufq_push(&n->tcp, m);
		return;
	case PROTO_ICMP6:
		mbufq_push(&n->icmp6, m);
		return;
	case PROTO_UDP:
		icmp6_unreachable(n, m, 1, 4, 0);
		net_drop(n, m, NET_C_UDP6_PORT);
		return;
	case EXT_NONE:
		net_drop(n, m, NET_C_IP6_NO_NEXT);
		return;
	default: /* RFC 4443 3.4: parameter problem, unrecognized next header */
		icmp6_unreachable(n, m, 4, 1, pointer);
		net_drop(n, m, NET_C_IP6_PROTO);
	}
}

/* All nodes, or the solicited-node group of anybody (RFC 4291 2.7.1). */
static bool is_nd_group(const uint8_t *a)
{
	static const uint8_t solicited[13] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
	static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};

	return memcmp(a, solicited, 13) == 0 || memcmp(a, all_nodes, 16) == 0;
}

/* For us: our addresses, and ICMPv6 (so ND) to groups and to the kernel's address on this link. */
static bool is_wanted(const struct net *n, unsigned port, const uint8_t *h,
	const struct ip_addr *dst)
{
	if (addr_kind(n, dst) != 0)
		return true;
	return h[6] == PROTO_ICMP6 && (is_nd_group(h + 24) || addr_is_iface(n, port, dst));
}

/* RFC 4291 2.5.3, 2.7; :: may ask whether an address is in use (RFC 4861 7.1.1), nothing else. */
static bool source_is_good(const struct net *n, const struct ip_addr *src, uint8_t proto)
{
	if (ip_is_v4(src) || addr_kind(n, src) != 0)
		return false;
	return addr_is_unicast(src) || (ip_is_any(src) && proto == PROTO_ICMP6);
}

static void ip6_fill(struct rte_mbuf *m, const uint8_t *h, unsigned off, uint8_t proto)
{
	struct pkt *p = pkt_of(m);
	unsigned total = IP6_HDR + be16_get(h + 4);

	p->src = ip_from_v6(h + 8);
	p->dst = ip_from_v6(h + 24);
	p->proto = proto;
	p->ttl = h[7];
	p->ecn = (h[1] >> 4) & 3;
	p->l4_len = (uint16_t)(total - off);
	m->l3_len = off & 0x1ff; /* all of it: EXT_BYTES_MAX */
	if (m->pkt_len > m->l2_len + total)
		pkt_cut(m, m->l2_len + total);
}

static void ip6_input_one(struct net *n, struct rte_mbuf *m)
{
	const uint8_t *h = pkt_at(m, m->l2_len);
	unsigned room = m->data_len - m->l2_len, off = 0, pointer = 0;
	uint8_t proto = 0;
	struct ip_addr src, dst;
	int why = NET_C_IP6_SHORT;

	if (room < IP6_HDR)
		goto drop;
	why = NET_C_IP6_VERSION;
	if (h[0] >> 4 != 6)
		goto drop;
	src = ip_from_v6(h + 8);
	dst = ip_from_v6(h + 24);
	why = NET_C_IP6_SOURCE; /* RFC 4291 2.5.5.2: never on the wire; it would alias IPv4 here */
	if (ip_is_v4(&dst))
		goto drop;
	why = NET_C_IP6_HOST;
	if (!is_wanted(n, pkt_of(m)->port, h, &dst))
		goto drop;
	why = NET_C_IP6_LENGTH;
	if (IP6_HDR + (unsigned)be16_get(h + 4) > m->pkt_len - m->l2_len)
		goto drop;
	why = NET_C_IP6_L2_GROUP;
	if ((pkt_of(m)->flags & PKT_L2_GROUP) && dst.b[0] != 0xff)
		goto drop;
	room = RTE_MIN(room, IP6_HDR + (unsigned)be16_get(h + 4));
	why = ext_walk(h, room, &off, &proto, &pointer);
	if (why >= 0)
		goto drop;
	why = NET_C_ETH_CHAINED;
	if (m->nb_segs > 1 && !is_chain_of_tcp(m, proto, off))
		goto drop;
	why = NET_C_IP6_SOURCE;
	if (!source_is_good(n, &src, proto))
		goto drop;
	ip6_fill(m, h, off, proto);
	ip6_deliver(n, m, pointer);
	return;
drop:
	net_drop(n, m, (enum net_counter)why);
}

void ip6_input(struct net *n)
{
	struct rte_mbuf *m;

	while ((m = mbufq_pop(&n->ip6)) != NULL)
		ip6_input_one(n, m);
}
