// SPDX-License-Identifier: Apache-2.0
/*
 * nd.c: neighbour solicitations and advertisements: ARP's work for IPv6.
 *
 * Router messages and redirects are the kernel's. We advertise without the router flag: nobody
 * should route through a VIP. Groups are not joined by MLD; a port receives every group instead.
 * Standards: RFC 4861 4.3, 4.4, 7.1, 7.2; RFC 4291 2.7.1; RFC 6980.
 */
#include "dataplane/net/net_impl.h"

#define ND_LEN 24 /* ICMPv6 header, flags, target */
#define ND_OPT_SOURCE 1
#define ND_OPT_TARGET 2
#define ND_OPT_LEN 8 /* a link-layer address option on Ethernet (RFC 2464 6) */
#define NEIGHBOR_SOLICITATION 135
#define NEIGHBOR_ADVERTISEMENT 136
#define FLAG_SOLICITED 0x40000000u
#define FLAG_OVERRIDE 0x20000000u

static const struct ip_addr all_nodes = {{0xff, 2, [15] = 1}};

static bool is_solicited_group(const uint8_t *a)
{
	static const uint8_t prefix[13] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};

	return memcmp(a, prefix, sizeof(prefix)) == 0;
}

static struct ip_addr solicited_group(const struct ip_addr *target)
{
	struct ip_addr g = {{0xff, 2, [11] = 1, [12] = 0xff}};

	memcpy(g.b + 13, target->b + 13, 3);
	return g;
}

/* RFC 2464 7 */
static struct rte_ether_addr group_mac(const struct ip_addr *group)
{
	struct rte_ether_addr mac = {{0x33, 0x33}};

	memcpy(mac.addr_bytes + 2, group->b + 12, 4);
	return mac;
}

struct nd_send {
	uint8_t type, option;
	uint32_t flags;
	struct ip_addr src, dst;
	const struct ip_addr *target;
	struct rte_ether_addr mac; /* where the frame goes */
};

static void nd_output(struct net *n, unsigned port, const struct nd_send *s)
{
	uint16_t sum, len = ND_LEN + ND_OPT_LEN;
	uint8_t *h, *p;
	struct rte_mbuf *m = net_packet_new(n, port, IP6_HDR + len, &h);

	if (m == NULL)
		return;
	p = h + IP6_HDR;
	/* RFC 4861 7.1: hop limit 255 proves that no router forwarded it */
	ip6_header_put(h, &s->src, &s->dst, len, PROTO_ICMP6, 255, 0);
	be32_put(p, (uint32_t)s->type << 24);
	be32_put(p + 4, s->flags);
	memcpy(p + 8, s->target->b, 16);
	p[ND_LEN] = s->option;
	p[ND_LEN + 1] = ND_OPT_LEN / 8;
	memcpy(p + ND_LEN + 2, net_port(n, port)->mac.addr_bytes, RTE_ETHER_ADDR_LEN);
	sum = csum_fold(csum_add(csum_pseudo(&s->src, &s->dst, PROTO_ICMP6, len), p, len));
	memcpy(p + 2, &sum, 2);
	eth_output(n, m, port, &s->mac, ETH_TYPE_IP6);
}

void nd_solicit(struct net *n, const struct neigh *e)
{
	struct nd_send s = {.type = NEIGHBOR_SOLICITATION,
		.option = ND_OPT_SOURCE,
		.src = e->asker,
		.dst = solicited_group(&e->addr),
		.target = &e->addr};

	addr_asker(n, e->port, &e->addr, &s.src);
	s.mac = group_mac(&s.dst);
	if (e->state == NEIGH_PROBE) { /* 7.3.3: "unicast Neighbor Solicitation" */
		s.dst = e->addr;
		memcpy(s.mac.addr_bytes, e->l2, RTE_ETHER_ADDR_LEN);
	}
	nd_output(n, e->port, &s);
	net_count(n, NET_C_ND_REQUEST);
}

void nd_announce(struct net *n, unsigned port, const struct ip_addr *addr)
{
	struct nd_send s = {.type = NEIGHBOR_ADVERTISEMENT,
		.option = ND_OPT_TARGET,
		.flags = FLAG_OVERRIDE,
		.src = *addr,
		.dst = all_nodes,
		.target = addr,
		.mac = group_mac(&all_nodes)};

	nd_output(n, port, &s);
	net_count(n, NET_C_ANNOUNCED);
}

struct nd_view {
	uint8_t type;
	uint32_t flags;
	struct ip_addr target;
	bool has_mac; /* the link-layer address option that fits the type */
	struct rte_ether_addr mac;
};

static bool options_parse(const uint8_t *o, unsigned len, struct nd_view *v)
{
	uint8_t want = v->type == NEIGHBOR_SOLICITATION ? ND_OPT_SOURCE : ND_OPT_TARGET;

	/* 7.1.1: "All included options have a length that is greater than zero" */
	while (len > 0) {
		if (len < 2 || o[1] == 0 || o[1] * 8u > len)
			return false;
		if (o[0] == want && o[1] == 1) {
			memcpy(v->mac.addr_bytes, o + 2, RTE_ETHER_ADDR_LEN);
			v->has_mac = rte_is_valid_assigned_ether_addr(&v->mac);
		}
		len -= o[1] * 8u;
		o += o[1] * 8u;
	}
	return true;
}

/* RFC 4861 7.1.1 and 7.1.2, in their order; -1, or why it is dropped. */
static int nd_parse(const uint8_t *p, const struct pkt *k, struct nd_view *v)
{
	*v = (struct nd_view){.type = p[0]};
	if (k->ttl != 255)
		return NET_C_ND_HOP_LIMIT;
	if (p[1] != 0)
		return NET_C_ND_CODE;
	if (k->l4_len < ND_LEN)
		return NET_C_ND_SHORT;
	v->flags = be32_get(p + 4);
	v->target = ip_from_v6(p + 8);
	if (!addr_is_unicast(&v->target) || ip_is_v4(&v->target))
		return NET_C_ND_TARGET;
	if (!options_parse(p + ND_LEN, k->l4_len - ND_LEN, v))
		return NET_C_ND_OPTION;
	if (v->type == NEIGHBOR_SOLICITATION && ip_is_any(&k->src) &&
		(v->has_mac || !is_solicited_group(k->dst.b)))
		return NET_C_ND_DAD;
	if (v->type == NEIGHBOR_ADVERTISEMENT && ip_is_any(&k->src))
		return NET_C_ND_DAD;
	if (v->type == NEIGHBOR_ADVERTISEMENT && k->dst.b[0] == 0xff && (v->flags & FLAG_SOLICITED))
		return NET_C_ND_SOLICITED;
	return -1;
}

/* 7.2.4; <mac> of the asker, for whom there may be no entry. */
static void answer(struct net *n, struct rte_mbuf *m, const struct nd_view *v)
{
	const struct pkt *k = pkt_of(m);
	bool probe = ip_is_any(&k->src);
	struct nd_send s = {.type = NEIGHBOR_ADVERTISEMENT,
		.option = ND_OPT_TARGET,
		.flags = FLAG_OVERRIDE | (probe ? 0 : FLAG_SOLICITED),
		.src = v->target,
		.dst = probe ? all_nodes : k->src,
		.target = &v->target};

	if (!rate_take(&n->answer_rate, n->now_us)) {
		net_count(n, NET_C_ND_RATE);
		return;
	}
	if (probe)
		s.mac = group_mac(&all_nodes);
	else if (v->has_mac)
		s.mac = v->mac;
	else
		memcpy(s.mac.addr_bytes, pkt_at(m, 6), RTE_ETHER_ADDR_LEN);
	nd_output(n, k->port, &s);
	net_count(n, NET_C_ND_REPLY);
}

static void solicitation_input(struct net *n, struct rte_mbuf *m, const struct nd_view *v)
{
	const struct pkt *k = pkt_of(m);
	struct net_note note = {k->src, v->mac, k->port, NET_NOTE_OVERRIDE | NET_NOTE_ASKED};

	if (addr_kind(n, &v->target) == 0) {
		net_drop(n, m, NET_C_ND_NOT_OURS);
		return;
	}
	if (v->has_mac)
		neigh_tell(n, &note);
	answer(n, m, v);
	rte_pktmbuf_free(m);
}

static void advertisement_input(struct net *n, struct rte_mbuf *m, const struct nd_view *v)
{
	const struct pkt *k = pkt_of(m);
	struct net_note note = {v->target, v->mac, k->port, 0};

	if (addr_kind(n, &v->target) != 0) {
		net_drop(n, m, NET_C_ND_CONFLICT);
		return;
	}
	if (v->flags & FLAG_SOLICITED)
		note.flags |= NET_NOTE_SOLICITED;
	if (v->flags & FLAG_OVERRIDE)
		note.flags |= NET_NOTE_OVERRIDE;
	if (!v->has_mac) /* 7.2.5: may confirm what is known, cannot teach */
		note.flags |= NET_NOTE_NO_MAC;
	neigh_tell(n, &note);
	rte_pktmbuf_free(m);
}

void nd_input(struct net *n, struct rte_mbuf *m)
{
	const uint8_t *p = pkt_at(m, m->l2_len + m->l3_len);
	struct nd_view v;
	/* RFC 6980 5: no fragments, not even atomic ones; nobody has use for other extensions here */
	int why = m->l3_len == IP6_HDR ? nd_parse(p, pkt_of(m), &v) : NET_C_ND_EXT;

	net_count(n, NET_C_ND_IN);
	if (why >= 0)
		net_drop(n, m, (enum net_counter)why);
	else if (v.type == NEIGHBOR_SOLICITATION)
		solicitation_input(n, m, &v);
	else
		advertisement_input(n, m, &v);
}
