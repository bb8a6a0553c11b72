// SPDX-License-Identifier: Apache-2.0
/*
 * eth.c: frames in, sorted by type; frames of our own out.
 *
 * A port may be shared with the kernel (af_packet), so most of what is dropped here is not wrong,
 * only not ours: the kernel has its own copy and treats it as it likes.
 * Standards: RFC 894, RFC 2464, IEEE 802.3.
 */
#include "dataplane/net/net_impl.h"

static bool is_group(const uint8_t *mac)
{
	return mac[0] & 1;
}

static void eth_input_one(struct net *n, struct rte_mbuf *m, const struct port *p)
{
	enum net_counter why;
	const uint8_t *h;

	if (m->data_len < RTE_ETHER_HDR_LEN) {
		net_drop(n, m, NET_C_ETH_SHORT);
		return;
	}
	h = pkt_at(m, 0);
	m->l2_len = RTE_ETHER_HDR_LEN;
	why = NET_C_ETH_BAD_SOURCE; /* IEEE 802: a group never sends */
	if (is_group(h + 6))
		goto drop;
	why = NET_C_ETH_OWN_SOURCE;
	if (memcmp(h + 6, p->mac.addr_bytes, RTE_ETHER_ADDR_LEN) == 0)
		goto drop;
	why = NET_C_ETH_OTHER_MAC;
	if (is_group(h))
		pkt_of(m)->flags |= PKT_L2_GROUP;
	else if (memcmp(h, p->mac.addr_bytes, RTE_ETHER_ADDR_LEN) != 0)
		goto drop;
	why = NET_C_ETH_VLAN;
	if (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)
		goto drop;
	switch (be16_get(h + 12)) {
	case ETH_TYPE_IP4:
		mbufq_push(&n->ip4, m);
		return;
	case ETH_TYPE_IP6:
		mbufq_push(&n->ip6, m);
		return;
	case ETH_TYPE_ARP:
		why = NET_C_ETH_CHAINED;
		if (m->nb_segs > 1)
			goto drop;
		mbufq_push(&n->arp, m);
		return;
	case ETH_TYPE_VLAN:
	case ETH_TYPE_QINQ:
		goto drop;
	default:
		why = NET_C_ETH_TYPE;
	}
drop:
	net_drop(n, m, why);
}

void eth_input(struct net *n, unsigned port, struct rte_mbuf **pkts, unsigned count)
{
	const struct port *p = net_port(n, port);

	bug_on_hot(port >= n->queue_count);
	for (unsigned i = 0; i < count; i++)
		eth_input_one(n, pkts[i], p);
}

void eth_output(struct net *n, struct rte_mbuf *m, unsigned port, const struct rte_ether_addr *dst,
	uint16_t type)
{
	uint8_t *h = (uint8_t *)rte_pktmbuf_prepend(m, RTE_ETHER_HDR_LEN);

	if (unlikely(h == NULL)) {
		net_drop(n, m, NET_C_OUT_HEADROOM);
		return;
	}
	memcpy(h, dst->addr_bytes, RTE_ETHER_ADDR_LEN);
	memcpy(h + 6, net_port(n, port)->mac.addr_bytes, RTE_ETHER_ADDR_LEN);
	be16_put(h + 12, type);
	port_tx(&n->queues[port], m);
}
