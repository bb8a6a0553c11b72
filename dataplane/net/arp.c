// SPDX-License-Identifier: Apache-2.0
/*
 * arp.c: who has which IPv4 address on the link.
 *
 * Answers requests for our addresses, asks for next hops, learns from whoever speaks to us, tells
 * the link about new addresses. On a netdev shared with the kernel, questions are asked in the name
 * of a kernel address of the same subnet where there is one, so that the neighbour needs no route
 * back to a VIP to answer; both the kernel and we see that answer.
 * Standards: RFC 826, RFC 1122 2.3.2, RFC 5227 2.3 and 3 (announcement; ARP request form).
 */
#include "dataplane/net/net_impl.h"

#define ARP_LEN 28
#define ARP_REQUEST 1
#define ARP_REPLY 2

static const struct rte_ether_addr broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
static const struct rte_ether_addr unknown;

/* hardware type Ethernet, protocol IPv4, lengths 6 and 4 */
static const uint8_t arp_fixed[6] = {0, 1, 0x08, 0, 6, 4};

static void arp_output(struct net *n, unsigned port, uint16_t op, const struct ip_addr *sender,
	const struct rte_ether_addr *target_mac, const struct ip_addr *target,
	const struct rte_ether_addr *dst)
{
	uint8_t *p;
	struct rte_mbuf *m = net_packet_new(n, port, ARP_LEN, &p);

	if (m == NULL)
		return;
	memcpy(p, arp_fixed, sizeof(arp_fixed));
	be16_put(p + 6, op);
	memcpy(p + 8, net_port(n, port)->mac.addr_bytes, RTE_ETHER_ADDR_LEN);
	memcpy(p + 14, sender->b + 12, 4);
	memcpy(p + 18, target_mac->addr_bytes, RTE_ETHER_ADDR_LEN);
	memcpy(p + 24, target->b + 12, 4);
	eth_output(n, m, port, dst, ETH_TYPE_ARP);
}

void arp_solicit(struct net *n, const struct neigh *e)
{
	struct ip_addr sender = e->asker;
	struct rte_ether_addr known;

	addr_asker(n, e->port, &e->addr, &sender);
	memcpy(known.addr_bytes, e->l2, RTE_ETHER_ADDR_LEN);
	/* RFC 1122 2.3.2.1 (2): known neighbours are probed by unicast */
	arp_output(n, e->port, ARP_REQUEST, &sender, &unknown, &e->addr,
		e->state == NEIGH_PROBE ? &known : &broadcast);
	net_count(n, NET_C_ARP_REQUEST);
}

void arp_announce(struct net *n, unsigned port, const struct ip_addr *addr)
{
	arp_output(n, port, ARP_REQUEST, addr, &unknown, addr, &broadcast);
	net_count(n, NET_C_ANNOUNCED);
}

static void arp_answer(struct net *n, unsigned port, const struct ip_addr *ours,
	const struct rte_ether_addr *mac, const struct ip_addr *to)
{
	if (!rate_take(&n->answer_rate, n->now_us)) {
		net_count(n, NET_C_ARP_RATE);
		return;
	}
	arp_output(n, port, ARP_REPLY, ours, mac, to, mac);
	net_count(n, NET_C_ARP_REPLY);
}

struct arp_view {
	uint16_t op;
	struct rte_ether_addr mac;
	struct ip_addr sender, target;
	bool probe; /* RFC 5227 1.1: sender 0.0.0.0 */
};

/* 0, or why the packet is dropped. */
static int arp_parse(const struct net *n, struct rte_mbuf *m, struct arp_view *v)
{
	const uint8_t *p = pkt_at(m, m->l2_len);

	if (m->data_len < m->l2_len + ARP_LEN)
		return NET_C_ARP_SHORT;
	v->op = be16_get(p + 6);
	if (memcmp(p, arp_fixed, sizeof(arp_fixed)) != 0 ||
		(v->op != ARP_REQUEST && v->op != ARP_REPLY))
		return NET_C_ARP_FORMAT;
	memcpy(v->mac.addr_bytes, p + 8, RTE_ETHER_ADDR_LEN);
	v->sender = ip_from_v4(p + 14);
	v->target = ip_from_v4(p + 24);
	v->probe = v->op == ARP_REQUEST && ip_is_any(&v->sender);
	if (!rte_is_valid_assigned_ether_addr(&v->mac) ||
		rte_is_same_ether_addr(&v->mac, &net_port(n, pkt_of(m)->port)->mac) ||
		(!v->probe && !addr_is_unicast(&v->sender)))
		return NET_C_ARP_BAD_SENDER;
	return -1;
}

/* What the packet teaches; RFC 826: "merge", and make an entry when it was for us. */
static void arp_learn(struct net *n, unsigned port, const struct arp_view *v, bool unicast)
{
	struct net_note note = {v->sender, v->mac, (uint8_t)port, NET_NOTE_OVERRIDE};
	bool gratuitous = ip_eq(&v->sender, &v->target); /* news about an entry, nothing more */

	if (!gratuitous && v->op == ARP_REQUEST)
		note.flags |= NET_NOTE_ASKED;
	else if (!gratuitous && unicast)
		note.flags |= NET_NOTE_SOLICITED;
	neigh_tell(n, &note);
}

static void arp_input_one(struct net *n, struct rte_mbuf *m)
{
	unsigned port = pkt_of(m)->port;
	struct arp_view v;
	int why = arp_parse(n, m, &v);
	bool ours;

	net_count(n, NET_C_ARP_IN);
	if (why >= 0)
		goto drop;
	why = NET_C_ARP_CONFLICT; /* RFC 5227 2.4: we keep the address; the counter tells */
	if (!v.probe && addr_kind(n, &v.sender) != 0)
		goto drop;
	ours = addr_kind(n, &v.target) != 0;
	why = NET_C_ARP_NOT_OURS;
	if (!ours && !addr_is_iface(n, port, &v.target) && !ip_eq(&v.sender, &v.target))
		goto drop;
	if (!v.probe)
		arp_learn(n, port, &v, !(pkt_of(m)->flags & PKT_L2_GROUP));
	if (ours && v.op == ARP_REQUEST)
		arp_answer(n, port, &v.target, &v.mac, &v.sender);
	rte_pktmbuf_free(m);
	return;
drop:
	net_drop(n, m, (enum net_counter)why);
}

void arp_input(struct net *n)
{
	struct rte_mbuf *m;

	while ((m = mbufq_pop(&n->arp)) != NULL)
		arp_input_one(n, m);
}
