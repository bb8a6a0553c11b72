// SPDX-License-Identifier: Apache-2.0
/*
 * gen_neigh.c: everybody behind the port has our MAC address; the gateway's is asked for.
 *
 * Any question about an address other than the VIP and the asker's own is answered, so the gateway
 * finds its router, its backends and its clients whatever its configuration calls them. Probes of
 * duplicate address detection are not answered: they ask about the gateway's own addresses.
 * Standards: RFC 826, RFC 5227, RFC 4861 4.3-4.4, 7.2, RFC 4862 5.4.
 */
#include "tests/bench/gen_tcp.h"

#define ASK_AGAIN_US 200000u
#define ND_NS 135
#define ND_NA 136
#define PROTO_ICMP6 58

static const uint8_t arp_fixed[6] = {0, 1, 0x08, 0, 6, 4};
static const uint8_t zero[16];

void neigh_learn(struct gen *g, const uint8_t mac[6])
{
	memcpy(g->gateway_mac.addr_bytes, mac, 6);
	memcpy(g->l3, mac, 6);
	g->neigh_known = true;
}

static uint8_t *frame_new(struct gen *g, struct rte_mbuf **ret, const uint8_t dst[6], uint16_t type,
	uint16_t len)
{
	struct rte_mbuf *m = *ret = link_alloc(g);
	uint8_t *p;

	if (m == NULL)
		return NULL;
	m->data_len = 14 + len;
	m->pkt_len = m->data_len;
	p = rte_pktmbuf_mtod(m, uint8_t *);
	memset(p, 0, m->data_len);
	memcpy(p, dst, 6);
	memcpy(p + 6, g->link.mac, 6);
	be16_put(p + 12, type);
	return p + 14;
}

static void arp_send(struct gen *g, uint16_t op, const uint8_t sender[4],
	const uint8_t target_mac[6], const uint8_t target[4], const uint8_t dst[6])
{
	struct rte_mbuf *m;
	uint8_t *p = frame_new(g, &m, dst, 0x0806, 28);

	if (p == NULL)
		return;
	memcpy(p, arp_fixed, sizeof(arp_fixed));
	be16_put(p + 6, op);
	memcpy(p + 8, g->link.mac, 6);
	memcpy(p + 14, sender, 4);
	memcpy(p + 18, target_mac, 6);
	memcpy(p + 24, target, 4);
	link_send(g, m);
}

static void arp_input(struct gen *g, const uint8_t *p, uint32_t len)
{
	const uint8_t *vip = g->cfg.vip.b + 12, *sender, *target;
	uint16_t op;

	if (len < 28 || memcmp(p, arp_fixed, sizeof(arp_fixed)) != 0)
		return;
	op = be16_get(p + 6);
	sender = p + 14, target = p + 24;
	if (memcmp(p + 8, g->link.mac, 6) == 0)
		return; /* our own, reflected */
	if (memcmp(sender, vip, 4) == 0 && !g->v6)
		neigh_learn(g, p + 8);
	if (op != 1 || memcmp(sender, zero, 4) == 0 || memcmp(sender, target, 4) == 0 ||
		memcmp(target, vip, 4) == 0)
		return;
	arp_send(g, 2, target, p + 8, sender, p + 8);
}

/* An ICMPv6 message of ND: <mac> goes into the option of type <opt>. */
static void nd_send(struct gen *g, const uint8_t dst_mac[6], const uint8_t src[16],
	const uint8_t dst[16], uint8_t type, uint32_t flags, const uint8_t target[16], uint8_t opt)
{
	struct rte_mbuf *m;
	uint8_t *p = frame_new(g, &m, dst_mac, 0x86dd, 40 + 32), *icmp;
	uint8_t tail[4] = {0, PROTO_ICMP6, 0, 32};
	uint16_t sum;

	if (p == NULL)
		return;
	p[0] = 0x60;
	be16_put(p + 4, 32);
	p[6] = PROTO_ICMP6, p[7] = 255;
	memcpy(p + 8, src, 16);
	memcpy(p + 24, dst, 16);
	icmp = p + 40;
	icmp[0] = type;
	be32_put(icmp + 4, flags);
	memcpy(icmp + 8, target, 16);
	icmp[24] = opt, icmp[25] = 1;
	memcpy(icmp + 26, g->link.mac, 6);
	sum = (uint16_t)~sum_fold(sum_of(p + 8, 32) + sum_of(tail, 4) + sum_of(icmp, 32));
	memcpy(icmp + 2, &sum, 2);
	link_send(g, m);
}

static void nd_input(struct gen *g, const uint8_t *frame, const uint8_t *ip, uint32_t len)
{
	const uint8_t *icmp = ip + 40, *target = icmp + 8;

	if (len < 40 + 24 || ip[6] != PROTO_ICMP6 || ip[7] != 255)
		return;
	if (icmp[0] == ND_NA && memcmp(target, g->cfg.vip.b, 16) == 0) {
		neigh_learn(g, frame + 6);
	} else if (icmp[0] == ND_NS && memcmp(ip + 8, zero, 16) != 0 &&
		memcmp(target, g->cfg.vip.b, 16) != 0 && memcmp(target, ip + 8, 16) != 0) {
		/* solicited, override, and a router */
		nd_send(g, frame + 6, target, ip + 8, ND_NA, 0xe0000000, target, 2);
	}
}

void neigh_input(struct gen *g, const uint8_t *frame, uint32_t len)
{
	uint16_t type = len >= 14 ? be16_get(frame + 12) : 0;

	if (g->cfg.direct)
		return;
	if (type == 0x0806)
		arp_input(g, frame + 14, len - 14);
	else if (type == 0x86dd)
		nd_input(g, frame, frame + 14, len - 14);
	else
		gen_count(g, GEN_RX_OTHER);
}

void neigh_run(struct gen *g)
{
	static const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const uint8_t *vip = g->cfg.vip.b;
	uint8_t group[16] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, vip[13], vip[14],
		vip[15]};
	uint8_t group_mac[6] = {0x33, 0x33, 0xff, vip[13], vip[14], vip[15]};

	if (g->neigh_known || g->now_us - g->neigh_asked_us < ASK_AGAIN_US)
		return;
	g->neigh_asked_us = g->now_us;
	if (g->v6)
		nd_send(g, group_mac, g->cfg.router.b, group, ND_NS, 0, vip, 1);
	else
		arp_send(g, 1, g->cfg.router.b + 12, zero, vip + 12, everyone);
}
