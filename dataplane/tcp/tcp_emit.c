// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_emit.c: segments onto the wire.
 *
 * Every segment is a fresh header mbuf. Short payload is copied behind the header, longer payload
 * is chained as indirect mbufs that refer to the send queue's, so nothing in the queue is ever
 * written to and a retransmission is built anew from it. The checksum is complete when ip_output()
 * gets the chain, or left to the ports where all of them do it; then one send may be many segments
 * long. Every segment with ACK carries the current window and settles the ACK that was owed.
 */
#include "dataplane/base/bytes.h"
#include "dataplane/tcp/tcp_csum.h"
#include "dataplane/tcp/tcp_stack.h"

#define COPY_MAX 512u	    /* a segment's payload up to this is copied whole */
#define COPY_SLICE_MAX 192u /* in a longer one slices up to this are copied */

struct header {
	uint32_t seq, ack;
	uint16_t wnd;
	uint8_t flags;
	struct tcp_options opt;
};

static struct rte_mbuf *mbuf_alloc(struct tcp *t)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(t->pool);

	if (m == NULL) {
		tcp_count(t, TCP_N_NO_MBUF);
		return NULL;
	}
	*pkt_of(m) = (struct pkt){0};
	return m;
}

static void header_append(struct rte_mbuf *m, const struct tcp_flow *f, const struct header *h)
{
	size_t opt_len = tcp_options_len(&h->opt);
	uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(TCP_HEADER_LEN + opt_len));

	bug_on_hot(p == NULL);
	be16_put(p, f->local_port);
	be16_put(p + 2, f->remote_port);
	be32_put(p + 4, h->seq);
	be32_put(p + 8, h->ack);
	p[12] = (uint8_t)((TCP_HEADER_LEN + opt_len) / 4 << 4);
	p[13] = h->flags;
	be16_put(p + 14, h->wnd);
	be32_put(p + 16, 0); /* the checksum comes later, the urgent pointer never */
	tcp_options_emit(&h->opt, p + TCP_HEADER_LEN);
}

/*
 * Leaves the checksum to the port, and what is longer than <mss> to be cut by it. The field holds
 * the pseudo-header's sum, without the length where each segment will have another (rte_mbuf(3),
 * RTE_MBUF_F_TX_TCP_SEG).
 */
static void checksum_leave(struct tcp *t, struct rte_mbuf *m, const struct tcp_flow *f,
	uint16_t mss)
{
	bool v4 = ip_is_v4(&f->remote);
	uint32_t hlen = (uint32_t)(rte_pktmbuf_mtod(m, const uint8_t *)[12] >> 4) * 4;
	uint32_t len = m->pkt_len;
	uint16_t c;

	m->l2_len = RTE_ETHER_HDR_LEN;
	m->l3_len = v4 ? 20 : 40;
	m->l4_len = hlen;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM | (v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
	if (len - hlen > mss) {
		t->counters[TCP_N_TX_SEGMENTS] += (len - hlen - 1) / mss;
		tcp_count(t, TCP_N_TX_CUT);
		m->tso_segsz = mss;
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		if (v4 && t->cfg.tx.ip_csum)
			m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
		len = 0;
	}
	c = csum_fold(csum_pseudo(&f->local, &f->remote, len));
	memcpy(rte_pktmbuf_mtod_offset(m, char *, 16), &c, 2);
}

/* <sum> is of what is behind the first <plain> bytes. */
static void checksum_put(struct rte_mbuf *m, const struct tcp_flow *f, uint32_t plain, uint64_t sum)
{
	uint16_t c;

	sum += csum_pseudo(&f->local, &f->remote, m->pkt_len);
	sum += csum_bytes(rte_pktmbuf_mtod(m, const void *), plain);
	c = (uint16_t)~csum_fold(sum);
	memcpy(rte_pktmbuf_mtod_offset(m, char *, 16), &c, 2);
}

/* A segment in the making. */
struct chain {
	struct rte_mbuf *head, *last;
	uint32_t plain; /* bytes in <head> that nobody has summed */
	uint64_t sum;	/* of those behind them, unless the ports do it */
};

/* The checksum, then down. The chain is of pkt_len bytes, in segments of up to <mss>. */
static void transmit(struct tcp *t, const struct chain *ch, const struct tcp_flow *f, uint16_t mss,
	struct net_dst *dst)
{
	struct rte_mbuf *m = ch->head;

	if (t->cfg.tx.csum)
		checksum_leave(t, m, f, mss);
	else
		checksum_put(m, f, ch->plain, ch->sum);
	pkt_of(m)->l4_len = (uint16_t)m->pkt_len;
	tcp_count(t, TCP_N_TX_SEGMENTS);
	ip_output(t->net, m, &f->local, &f->remote, IPPROTO_TCP, 0, dst);
}

static void transmit_bare(struct tcp *t, struct rte_mbuf *m, const struct tcp_flow *f, uint16_t mss,
	struct net_dst *dst)
{
	struct chain ch = {m, m, m->pkt_len, 0};

	transmit(t, &ch, f, mss, dst);
}

/*
 * Payload.
 */

static void chain_add(struct chain *ch, struct rte_mbuf *m)
{
	ch->last->next = m;
	ch->last = m;
	ch->head->nb_segs++;
}

/* <n> bytes of <from> at <off>, by reference. */
static bool refer(struct tcp *t, struct chain *ch, struct rte_mbuf *from, uint32_t off, uint32_t n)
{
	struct rte_mbuf *m = mbuf_alloc(t);

	if (m == NULL)
		return false;
	rte_pktmbuf_attach(m, from);
	m->data_off = (uint16_t)(from->data_off + off);
	m->data_len = (uint16_t)n;
	m->pkt_len = n;
	m->nb_segs = 1;
	m->next = NULL;
	chain_add(ch, m);
	ch->head->pkt_len += n;
	return true;
}

/* The same, copied: into what room the last mbuf has, and into fresh ones. */
static bool copy(struct tcp *t, struct chain *ch, struct rte_mbuf *from, uint32_t off, uint32_t n)
{
	const char *p = rte_pktmbuf_mtod_offset(from, const char *, off);

	while (n > 0) {
		struct rte_mbuf *m = ch->last;
		uint32_t room = RTE_MBUF_DIRECT(m) ? rte_pktmbuf_tailroom(m) : 0;
		uint32_t take = RTE_MIN(n, room);

		if (room == 0) {
			m = mbuf_alloc(t);
			if (m == NULL)
				return false;
			chain_add(ch, m);
			continue;
		}
		/* its own last segment, so that append opens poisoned tailroom */
		memcpy(rte_pktmbuf_append(m, (uint16_t)take), p, take);
		if (m != ch->head)
			ch->head->pkt_len += take; /* else append counted it */
		p += take;
		n -= take;
	}
	return true;
}

/* Where <seq> is in the send queue: from the nearer of a cursor and the head. */
static struct rte_mbuf *sndq_find(struct tcp_conn *c, struct rte_mbuf **cursor, uint32_t seq)
{
	struct rte_mbuf *m = *cursor;

	if (m == NULL || seq_gt(pkt_of(m)->seq, seq))
		m = c->sndq.head;
	while (m != NULL && seq_le(pkt_of(m)->seq + m->data_len, seq))
		m = pkt_of(m)->next;
	*cursor = m;
	return m;
}

/* All of a short payload behind the header: one piece to sum. */
static bool payload_copy(struct tcp *t, struct chain *ch, struct rte_mbuf *m, uint32_t seq,
	uint32_t len)
{
	for (uint32_t n; len > 0; m = pkt_of(m)->next, seq += n, len -= n) {
		uint32_t off = seq - pkt_of(m)->seq;

		n = RTE_MIN(m->data_len - off, len);
		if (!copy(t, ch, m, off, n))
			return false;
	}
	ch->plain = ch->head->pkt_len;
	return true;
}

static bool payload_append(struct tcp *t, struct tcp_conn *c, struct chain *ch, uint32_t seq,
	uint32_t len)
{
	bool rtx = seq_lt(seq, c->sack.nxt);
	uint16_t refs_max = len > c->mss ? t->cfg.tx.refs_max : UINT16_MAX;
	struct rte_mbuf *m;

	if (len == 0)
		return true;
	m = sndq_find(c, rtx ? &c->rtx_cursor : &c->snd_cursor, seq);
	if (len <= COPY_MAX)
		return payload_copy(t, ch, m, seq, len);
	for (uint32_t done = 0; done < len; m = pkt_of(m)->next) {
		uint32_t off = seq + done - pkt_of(m)->seq;
		uint32_t n = RTE_MIN(m->data_len - off, len - done);
		bool small = n <= COPY_SLICE_MAX || ch->head->nb_segs > refs_max;

		if (!(small ? copy : refer)(t, ch, m, off, n))
			return false;
		if (!t->cfg.tx.csum)
			ch->sum = csum_add(ch->sum, tcp_csum_take(m, off, n), done);
		done += n;
	}
	return true;
}

/*
 * Segments of a connection.
 */

/*
 * What is left for SACK behind <bytes> of payload. RFC 9293 3.7.1, MUST-16: the path and the peer
 * bound payload and options together.
 */
static uint32_t sack_room(const struct tcp_conn *c, uint32_t bytes)
{
	uint32_t full = RTE_MIN(tcp_mss_of_mtu(&c->flow.remote, c->mtu), c->mss_peer);
	uint32_t used = bytes + (c->ts_on ? 12 : 0);

	if (bytes == 0)
		return TCP_OPTIONS_MAX;
	return used < full ? full - used : 0;
}

static void sack_blocks(struct tcp_conn *c, struct header *h, uint32_t bytes)
{
	uint32_t room = sack_room(c, bytes);
	/* with timestamps three blocks fit into the 40 bytes, RFC 2018 3 */
	unsigned max = c->ts_on ? 3 : 4;

	if (room >= 12)
		h->opt.sack_count = (uint8_t)tcp_reasm_blocks(&c->reasm, c->rcv_nxt, h->opt.sack,
			RTE_MIN((room - 4) / 8, max));
}

/* The part of the header that every segment with ACK has; <bytes> of payload follow. */
static void ack_header(struct tcp *t, struct tcp_conn *c, struct header *h, uint32_t bytes)
{
	h->ack = c->rcv_nxt;
	h->wnd = tcp_window_announce(t, c);
	if (c->ts_on) {
		h->opt.has_ts = true;
		h->opt.tsval = tcp_ts_now(t, c->ts_offset);
		h->opt.tsecr = c->ts_recent;
	}
	if (c->sack_on && tcp_reasm_has_blocks(&c->reasm))
		sack_blocks(c, h, bytes);
}

static void ack_settled(struct tcp_conn *c)
{
	c->last_ack_sent = c->rcv_nxt;
	c->ack_pending = 0;
	c->ack_now = false;
	c->due_us[TCP_DUE_DELACK] = TIMER_NEVER;
}

bool tcp_emit_data(struct tcp *t, struct tcp_conn *c, uint32_t seq, uint32_t len)
{
	bool fin = seq + len == c->snd_end + 1;
	uint32_t bytes = len - fin;
	struct header h = {.seq = seq, .flags = TCP_ACK};
	struct rte_mbuf *m = mbuf_alloc(t);
	struct chain ch;

	if (m == NULL)
		return false;
	if (fin)
		h.flags |= TCP_FIN;
	if (bytes > 0 && seq + bytes == c->snd_end)
		h.flags |= TCP_PSH; /* RFC 9293 3.9.1: the last of what was written */
	ack_header(t, c, &h, bytes);
	header_append(m, &c->flow, &h);
	ch = (struct chain){m, m, m->pkt_len, 0};
	if (!payload_append(t, c, &ch, seq, bytes)) {
		rte_pktmbuf_free(m);
		return false;
	}
	ack_settled(c);
	transmit(t, &ch, &c->flow, c->mss, &c->dst);
	return true;
}

static bool emit_bare(struct tcp *t, struct tcp_conn *c, uint32_t seq)
{
	struct header h = {.seq = seq, .flags = TCP_ACK};
	struct rte_mbuf *m = mbuf_alloc(t);

	if (m == NULL)
		return false;
	ack_header(t, c, &h, 0);
	header_append(m, &c->flow, &h);
	ack_settled(c);
	transmit_bare(t, m, &c->flow, c->mss, &c->dst);
	return true;
}

bool tcp_emit_ack(struct tcp *t, struct tcp_conn *c)
{
	return emit_bare(t, c, c->sack.nxt);
}

bool tcp_emit_keepalive(struct tcp *t, struct tcp_conn *c)
{
	return emit_bare(t, c, c->sack.nxt - 1);
}

bool tcp_emit_rst(struct tcp *t, struct tcp_conn *c)
{
	struct header h = {.seq = c->sack.nxt,
		.ack = c->rcv_nxt,
		.flags = TCP_RST | TCP_ACK,
		.wnd = 0};
	struct rte_mbuf *m = mbuf_alloc(t);

	if (m == NULL)
		return false;
	if (c->ts_on) {
		h.opt.has_ts = true;
		h.opt.tsval = tcp_ts_now(t, c->ts_offset);
		h.opt.tsecr = c->ts_recent;
	}
	tcp_count(t, TCP_N_TX_RST);
	header_append(m, &c->flow, &h);
	transmit_bare(t, m, &c->flow, c->mss, &c->dst);
	return true;
}

/* SYN in SYN-SENT, SYN with ACK in SYN-RECEIVED. */
bool tcp_emit_syn(struct tcp *t, struct tcp_conn *c)
{
	bool ack = c->state == TCP_SYN_RECEIVED;
	struct header h = {.seq = c->iss, .flags = (uint8_t)(TCP_SYN | (ack ? TCP_ACK : 0))};
	struct rte_mbuf *m = mbuf_alloc(t);
	uint8_t wscale = c->rcv_wscale;

	if (m == NULL)
		return false;
	c->rcv_wscale = 0; /* RFC 7323 2.2: the window of a SYN is never scaled */
	h.ack = ack ? c->rcv_nxt : 0;
	h.wnd = tcp_window_announce(t, c);
	c->rcv_wscale = wscale;
	h.opt.has_mss = true;
	h.opt.mss = tcp_mss_announced(t, &c->flow.remote, &c->dst);
	h.opt.sack_permitted = ack ? c->sack_on : t->cfg.sack;
	h.opt.has_ts = ack ? c->ts_on : t->cfg.timestamps;
	h.opt.tsval = tcp_ts_now(t, c->ts_offset);
	h.opt.tsecr = ack ? c->ts_recent : 0;
	h.opt.has_wscale = ack ? c->rcv_wscale > 0 : t->cfg.window_scaling;
	h.opt.wscale = TCP_RCV_WSCALE;
	header_append(m, &c->flow, &h);
	ack_settled(c);
	transmit_bare(t, m, &c->flow, c->mss, &c->dst);
	return true;
}

/*
 * Segments without a connection.
 */

bool tcp_emit_raw(struct tcp *t, const struct tcp_raw *r, struct net_dst *dst)
{
	struct header h = {.seq = r->seq,
		.ack = r->ack,
		.wnd = r->wnd,
		.flags = r->flags,
		.opt = r->opt};
	struct rte_mbuf *m = mbuf_alloc(t);

	if (m == NULL)
		return false;
	if (r->flags & TCP_RST)
		tcp_count(t, TCP_N_TX_RST);
	header_append(m, r->flow, &h);
	transmit_bare(t, m, r->flow, TCP_MSS_MIN, dst);
	return true;
}

void tcp_emit_reset_for(struct tcp *t, const struct tcp_flow *f, const struct tcp_segment *s)
{
	struct tcp_raw r = {.flow = f, .flags = TCP_RST};
	struct net_dst dst = {0};

	if (s->flags & TCP_RST)
		return;
	/* <SEQ=SEG.ACK><CTL=RST>, or <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK> */
	if (s->flags & TCP_ACK) {
		r.seq = s->ack;
	} else {
		r.ack = s->seq + tcp_segment_len(s);
		r.flags |= TCP_ACK;
	}
	tcp_emit_raw(t, &r, &dst);
}

/* RFC 5961 7: limited, and by a number that an attacker cannot count on (CVE-2016-5696). */
bool tcp_challenge_allowed(struct tcp *t)
{
	uint64_t second = t->now_us / 1000000;

	if (second != t->challenge.second) {
		t->challenge.second = second;
		t->challenge.left = 50 + (uint32_t)rng_below(t->rng, 100);
	}
	if (t->challenge.left == 0) {
		tcp_count(t, TCP_N_CHALLENGE_LIMITED);
		return false;
	}
	t->challenge.left--;
	tcp_count(t, TCP_N_CHALLENGE_ACK);
	return true;
}

void tcp_challenge_ack(struct tcp *t, struct tcp_conn *c)
{
	if (tcp_challenge_allowed(t))
		tcp_emit_ack(t, c);
}
