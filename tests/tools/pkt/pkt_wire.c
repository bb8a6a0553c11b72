// SPDX-License-Identifier: Apache-2.0
/*
 * pkt_wire.c: segments as bytes, and the checks that hold for every segment of ours.
 *
 * Takes the place of the IP layer: ip_output() keeps what the stack sends, and keeps the mbuf as a
 * NIC would, so that a stack that changes a segment in a transmit queue is caught.
 */
#include <rte_mbuf.h>

#include "dataplane/base/bytes.h"
#include "dataplane/net/ip.h"
#include "tests/tools/pkt/pkt.h"

#include <netinet/in.h>
#include <stdlib.h>

struct page *pkt_page;

/* What the application of either side writes at this offset of its stream. */
uint8_t wire_byte(uint64_t offset, bool alt)
{
	uint8_t b = (uint8_t)(offset * 31 + (offset >> 8) * 7 + 1);

	return alt ? (uint8_t)~b : b;
}

static uint32_t sum_add(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static uint16_t tcp_sum(const struct ip_addr *a, const struct ip_addr *b, const uint8_t *seg,
	size_t len)
{
	size_t skip = ip_is_v4(a) ? 12 : 0;
	uint32_t sum = IPPROTO_TCP + (uint32_t)len;

	sum = sum_add(sum_add(sum, a->b + skip, 16 - skip), b->b + skip, 16 - skip);
	sum = sum_add(sum, seg, len);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The peer's bookkeeping of what it announced, to hold the stack to it. */
static void note_injected(struct peer *p, const struct seg *s)
{
	uint32_t scale = 0, edge;

	if (s->badsum || s->doff >= 0 || (s->flags & F_RST))
		return;
	if ((s->flags & F_ACK) && (s->flags & F_SYN))
		p->syn_in = *s;
	else if (s->flags & F_SYN)
		p->syn_offer = *s; /* a SYN that is only challenged negotiates nothing */
	else if (p->syn_in.opts & p->syn_out.opts & OPT_WSCALE)
		scale = RTE_MIN(p->syn_in.wscale, 14);
	edge = ((s->flags & F_ACK) ? s->ack : 1) + (s->win << scale);
	/* an ACK of what was never sent announces nothing */
	if ((s->flags & F_ACK) && p->snd_max - s->ack > 1u << 30)
		return;
	if ((int32_t)(edge - p->tx_edge) > 0)
		p->tx_edge = edge;
}

/*
 * The same bytes in several mbufs, as a virtio neighbour's large sends come: one with the headers
 * and a third of the text, one without anything, and two with the rest.
 */
static struct rte_mbuf *chained(struct page *g, struct rte_mbuf *m, uint32_t hlen)
{
	uint32_t len = m->pkt_len - hlen, at[4] = {len / 3, 0, len / 3, len - len / 3 * 2};
	struct rte_mbuf *ret = rte_pktmbuf_alloc(g->pool), *last = ret;
	const uint8_t *from = rte_pktmbuf_mtod_offset(m, const uint8_t *, hlen);

	bug_on(ret == NULL);
	memcpy(rte_pktmbuf_append(ret, (uint16_t)hlen), rte_pktmbuf_mtod(m, void *), hlen);
	for (unsigned i = 0; i < 4; i++) {
		if (i > 0) {
			last->next = rte_pktmbuf_alloc(g->pool);
			bug_on(last->next == NULL);
			last = last->next;
			ret->nb_segs++;
		}
		memcpy(rte_pktmbuf_append(ret, (uint16_t)at[i]), from, at[i]);
		from += at[i];
	}
	*pkt_of(ret) = *pkt_of(m);
	rte_pktmbuf_free(m);
	return ret;
}

static struct rte_mbuf *piece(struct page *g, const struct seg *s, uint32_t off, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(g->pool);
	bool first = off == 0, last = off + len == s->len;
	uint32_t hlen = 20 + (first || !(s->flags & F_SYN) ? s->raw_len : 0);
	uint32_t text = s->seq + off + ((s->flags & F_SYN) != 0); /* number of the first byte */
	uint8_t flags = s->flags, *b;

	bug_on(m == NULL);
	b = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(hlen + len));
	memset(b, 0, 20);
	if (!last)
		flags &= (uint8_t) ~(F_FIN | F_PSH);
	if (!first)
		flags &= (uint8_t)~F_SYN;
	be16_put(b, g->p->port);
	be16_put(b + 2, g->p->local_port);
	be32_put(b + 4, g->p->irs + text - ((flags & F_SYN) != 0));
	be32_put(b + 8, flags & F_ACK ? g->p->iss + s->ack : 0);
	b[12] = (uint8_t)((s->doff >= 0 ? (unsigned)s->doff : hlen / 4) << 4);
	b[13] = flags;
	be16_put(b + 14, (uint16_t)s->win);
	be16_put(b + 18, s->urg);
	memcpy(b + 20, s->raw, hlen - 20);
	for (uint32_t i = 0; i < len; i++)
		b[hlen + i] = wire_byte(text + i - 1, s->alt);
	be16_put(b + 16, (uint16_t)(tcp_sum(&g->p->addr, &g->local, b, hlen + len) + s->badsum));
	*pkt_of(m) = (struct pkt){.src = g->p->addr,
		.dst = g->local,
		.proto = IPPROTO_TCP,
		.l4_len = (uint16_t)(hlen + len),
		.ttl = 64};
	return g->chain && len > 2 ? chained(g, m, hlen) : m;
}

void wire_inject(struct page *g, const struct seg *s)
{
	struct mbufq q;
	uint32_t off = 0;

	note_injected(g->p, s);
	mbufq_init(&q);
	do {
		uint32_t len = RTE_MIN(s->len - off, s->each);

		mbufq_push(&q, piece(g, s, off, len));
		off += len;
	} while (off < s->len);
	page_turn(g, &q);
}

static bool opts_read(struct seg *s, const uint8_t *o, unsigned len)
{
	static const uint8_t size[9] = {0, 0, 4, 3, 2, 0, 0, 0, 10};

	for (unsigned i = 0; i < len && o[i] != 0; i += o[i] == 1 ? 1 : o[i + 1]) {
		if (o[i] == 1)
			continue;
		if (i + 1 >= len || o[i + 1] < 2 || i + o[i + 1] > len || o[i] > 8)
			return false;
		if (o[i] == 5 ? o[i + 1] % 8 != 2 || o[i + 1] < 10 : o[i + 1] != size[o[i]])
			return false;
		s->opts |= o[i] == 8 ? OPT_TS : 1u << (o[i] - 2);
		if (o[i] == 2) {
			s->mss = be16_get(o + i + 2);
		} else if (o[i] == 3) {
			s->wscale = o[i + 2];
		} else if (o[i] == 8) {
			s->tsval = be32_get(o + i + 2);
			s->tsecr = be32_get(o + i + 6);
		}
		for (unsigned k = 0; o[i] == 5 && k < (o[i + 1] - 2u) / 4; k++)
			s->sack[k / 2][k % 2] = be32_get(o + i + 2 + 4 * k);
		s->sacks = o[i] == 5 ? (o[i + 1] - 2u) / 8 : s->sacks;
	}
	return true;
}

static const char *header_read(struct page *g, const struct captured *c, struct seg *s)
{
	const uint8_t *b = c->bytes;
	unsigned hlen = b[12] >> 4 << 2;

	if (c->len < 20 || hlen < 20 || hlen > c->len)
		return "bad data offset";
	if (c->len + (g->v4 ? 20 : 40) > g->mtu + (g->v4 ? 0u : 20u))
		return "larger than the MTU";
	if (tcp_sum(&g->local, &g->peer[c->peer].addr, b, c->len) != 0)
		return "bad checksum";
	if ((b[12] & 15) != 0 || (b[13] & 0xc0) != 0)
		return "reserved or ECN bits set";
	*s = (struct seg){.flags = b[13] & 63,
		.seq = be32_get(b + 4),
		.ack = be32_get(b + 8),
		.len = c->len - hlen,
		.win = be16_get(b + 14),
		.urg = be16_get(b + 18),
		.win_op = '=',
		.src_port = be16_get(b),
		.dst_port = be16_get(b + 2)};
	if (!opts_read(s, b + 20, hlen - 20))
		return "malformed options";
	return NULL;
}

/* The stack's ISN is learnt from its SYN; from there all numbers are relative. */
static void make_relative(struct page *g, struct peer *p, struct seg *s)
{
	uint32_t next;

	if ((s->flags & F_SYN) && !(p->iss_known && p->iss == s->seq)) {
		p->iss = s->seq;
		p->iss_known = true;
		p->rx_edge_known = false;
	}
	if (s->flags & F_SYN)
		p->syn_out = *s;
	else if (p->syn_in.opts & p->syn_out.opts & OPT_WSCALE)
		s->win <<= RTE_MIN(p->syn_out.wscale, 14);
	s->seq -= p->iss;
	next = s->seq + s->len + ((s->flags & F_SYN) != 0) + ((s->flags & F_FIN) != 0);
	if (!(s->flags & F_RST) && ((s->flags & F_SYN) || (int32_t)(next - p->snd_max) > 0))
		p->snd_max = next;
	if (s->flags & F_ACK)
		s->ack -= p->irs;
	if ((s->flags & F_ACK) && (s->flags & F_SYN) && s->ack == p->syn_offer.seq + 1)
		p->syn_in = p->syn_offer;
	for (unsigned i = 0; i < 2 * s->sacks; i++)
		s->sack[i / 2][i % 2] -= p->irs;
	if (s->opts & OPT_TS)
		p->ts_last = s->tsval;
}

/* RFC 9293 3.4.1, RFC 6191: numbers of the connection before it must not come again. */
static const char *isn_check(const struct peer *p, const struct seg *s)
{
	const struct peer *b = p->before;

	if (!(s->flags & F_SYN) || b == NULL || !b->iss_known || s->src_port != b->local_port)
		return NULL;
	if ((int32_t)(p->iss - (b->iss + b->snd_max)) < 0)
		return "initial sequence number inside the connection before";
	return NULL;
}

static const char *options_check(const struct peer *p, const struct seg *s)
{
	unsigned both = p->syn_in.opts & p->syn_out.opts;

	if (s->flags & F_SYN)
		return s->opts & OPT_SACK ? "SACK on a SYN" : NULL;
	if (s->opts & (OPT_MSS | OPT_WSCALE | OPT_SACKOK))
		return "option of a SYN on another segment (RFC 9293 3.2)";
	if ((s->opts & OPT_SACK) && !(both & OPT_SACKOK))
		return "SACK was not permitted (RFC 2018 2)";
	if ((s->opts & OPT_TS) && !(both & OPT_TS))
		return "timestamp was not negotiated (RFC 7323 3.2)";
	if (!(s->opts & OPT_TS) && (both & OPT_TS) && !(s->flags & F_RST))
		return "timestamp missing (RFC 7323 3.2)";
	return NULL;
}

static const char *payload_check(struct page *g, const struct captured *c, const struct seg *s)
{
	const struct peer *p = &g->peer[c->peer];
	const uint8_t *data = c->bytes + c->len - s->len;
	uint32_t next = s->seq + s->len;

	for (uint32_t i = 0; i < s->len; i++)
		if (data[i] != wire_byte(s->seq - 1 + i, false))
			return "payload is not what was written there";
	if (s->len > 0 && next - 1 > p->written)
		return "payload that was never written";
	if (s->len > 0 && (s->flags & (F_SYN | F_RST)))
		return "payload on a SYN or RST";
	if (s->len > 0 && (int32_t)(next - p->tx_edge) > (s->len == 1))
		return "payload beyond the announced window";
	return NULL;
}

static const char *window_check(struct peer *p, const struct seg *s)
{
	uint32_t edge = s->ack + s->win, unit = 1;

	if (!(s->flags & F_ACK) || (s->flags & F_RST))
		return NULL;
	if (!(s->flags & F_SYN) && (p->syn_in.opts & p->syn_out.opts & OPT_WSCALE))
		unit <<= RTE_MIN(p->syn_out.wscale, 14);
	if (p->rx_edge_known && (int32_t)(edge + unit - 1 - p->rx_edge) < 0)
		return "window was taken back (RFC 9293 3.8.6)";
	if (!p->rx_edge_known || (int32_t)(edge - p->rx_edge) > 0)
		p->rx_edge = edge;
	p->rx_edge_known = true;
	return NULL;
}

static const char *flags_check(const struct seg *s)
{
	if ((s->flags & F_SYN) && (s->flags & (F_FIN | F_RST)))
		return "SYN with FIN or RST";
	if (!(s->flags & (F_SYN | F_RST | F_ACK)))
		return "no ACK on a synchronized connection";
	if ((s->flags & F_URG) || s->urg != 0)
		return "urgent data was never written";
	return NULL;
}

/* The bytes must still be those that were handed to the NIC. */
static const char *unchanged_check(const struct captured *c)
{
	uint8_t copy[sizeof(c->bytes)];
	const void *now = rte_pktmbuf_read(c->m, 0, c->len, copy);

	return memcmp(now, c->bytes, c->len) != 0 ? "changed while in the transmit queue" : NULL;
}

bool wire_read(struct page *g, struct captured *c, struct seg *ret)
{
	struct peer *p = &g->peer[c->peer];
	const char *why = header_read(g, c, ret);
	char text[512];

	if (why != NULL) {
		page_fail(g, "segment of %u bytes: %s", c->len, why);
		return false;
	}
	make_relative(g, p, ret);
	if ((why = unchanged_check(c)) == NULL && (why = flags_check(ret)) == NULL &&
		(why = isn_check(p, ret)) == NULL && (why = options_check(p, ret)) == NULL &&
		(why = payload_check(g, c, ret)) == NULL)
		why = window_check(p, ret);
	if (why != NULL)
		page_fail(g, "%s: %s", why, seg_format(ret, text, sizeof(text)));
	return why == NULL;
}

void wire_forget(struct captured *c)
{
	rte_pktmbuf_free(c->m);
	free(c);
}

/* The latest peer of this 4-tuple; a new connection's SYN comes from a port not known yet (0). */
static bool peer_of(struct page *g, const struct ip_addr *dst, const uint8_t *b, unsigned *ret)
{
	bool found = false;

	for (unsigned i = 0; i < PKT_PEERS; i++) {
		const struct peer *p = &g->peer[i];
		bool local = p->local_port == be16_get(b) || p->local_port == 0;

		if (p->port != be16_get(b + 2) || !ip_eq(&p->addr, dst) || (found && !local))
			continue;
		*ret = i;
		found = true;
	}
	return found;
}

static const char *capture(struct page *g, struct captured *c, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t proto)
{
	const void *bytes;

	c->len = rte_pktmbuf_pkt_len(c->m);
	c->at_us = g->now_us;
	if (proto != IPPROTO_TCP || !ip_eq(src, &g->local))
		return "not from our address, or not TCP";
	if (c->len > sizeof(c->bytes) || c->len < 20)
		return "impossible size";
	if (g->pending_count == PKT_PENDING)
		return "too many segments at once";
	bytes = rte_pktmbuf_read(c->m, 0, c->len, c->bytes);
	if (bytes != c->bytes)
		memcpy(c->bytes, bytes, c->len);
	if (!peer_of(g, dst, c->bytes, &c->peer))
		return "to nobody";
	g->pending[g->pending_count++] = c;
	return NULL;
}

void ip_output(struct net *n, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t proto, uint8_t ecn, struct net_dst *cache)
{
	struct captured *c = calloc(1, sizeof(*c));
	const char *why;

	bug_on(c == NULL);
	c->m = m;
	why = capture(pkt_page, c, src, dst, proto);
	if (why != NULL) {
		page_fail(pkt_page, "segment of %u bytes: %s", c->len, why);
		wire_forget(c);
	}
}

uint16_t ip_route_mtu(struct net *n, const struct ip_addr *dst, struct net_dst *cache)
{
	cache->generation = 1;
	cache->mtu = (uint16_t)(pkt_page->mtu + (pkt_page->v4 ? 0 : 20));
	return cache->mtu;
}

void ip_confirm(struct net *n, const struct net_dst *cache)
{
}
