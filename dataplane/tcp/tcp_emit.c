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
#define TS_LEN 12u	    /* of the timestamps option with what aligns it */
#define COPY_SLICE_MAX 192u /* in a longer one slices up to this are copied */

struct header {
	uint32_t seq, ack;
	uint16_t wnd;
	uint8_t flags;
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

/* The fixed part of a header of <len> bytes; its sum. The checksum comes later, urgent data never. */
static uint64_t fixed_put(uint8_t *p, const struct tcp_flow *f, const struct header *h, size_t len)
{
	uint32_t ports = (uint32_t)f->local_port << 16 | f->remote_port;
	uint32_t rest = (uint32_t)len / 4 << 28 | (uint32_t)h->flags << 16 | h->wnd;
	uint64_t sum = csum_put32(p, ports);

	sum += csum_put32(p + 4, h->seq);
	sum += csum_put32(p + 8, h->ack);
	sum += csum_put32(p + 12, rest);
	return sum + csum_put32(p + 16, 0);
}

/* Any header; its sum. */
static uint64_t header_append(struct rte_mbuf *m, const struct tcp_flow *f, const struct header *h,
	const struct tcp_options *opt)
{
	size_t opt_len = tcp_options_len(opt);
	uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(TCP_HEADER_LEN + opt_len));

	bug_on_hot(p == NULL);
	tcp_options_emit(opt, p + TCP_HEADER_LEN);
	return fixed_put(p, f, h, TCP_HEADER_LEN + opt_len) +
		csum_words(p + TCP_HEADER_LEN, opt_len);
}

/* What nearly every segment has: timestamps as RFC 7323 appendix A lays them out, or nothing. */
static uint64_t header_append_plain(struct rte_mbuf *m, const struct tcp_flow *f,
	const struct header *h, bool ts, uint32_t tsval, uint32_t tsecr)
{
	size_t len = TCP_HEADER_LEN + (ts ? TS_LEN : 0);
	uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)len);
	uint64_t sum;

	bug_on_hot(p == NULL);
	sum = fixed_put(p, f, h, len);
	if (ts) {
		sum += csum_put32(p + TCP_HEADER_LEN, 0x0101080a); /* NOP, NOP, kind 8, length 10 */
		sum += csum_put32(p + TCP_HEADER_LEN + 4, tsval);
		sum += csum_put32(p + TCP_HEADER_LEN + 8, tsecr);
	}
	return sum;
}

/*
 * Leaves the checksum to the port, and what is longer than <mss> to be cut by it. The field holds
 * the pseudo-header's sum, without the length where each segment will have another (rte_mbuf(3),
 * RTE_MBUF_F_TX_TCP_SEG).
 */
static void checksum_leave(struct tcp *t, struct rte_mbuf *m, const struct tcp_flow *f,
	uint32_t hlen, uint16_t mss)
{
	bool v4 = ip_is_v4(&f->remote);
	uint32_t len = m->pkt_len, cut = 0;
	uint16_t c;

	m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM | (v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
	if (len - hlen > mss) {
		t->counters[TCP_N_TX_SEGMENTS] += (len - hlen - 1) / mss;
		tcp_count(t, TCP_N_TX_CUT);
		cut = mss;
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		if (v4 && t->cfg.tx.ip_csum)
			m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
		len = 0;
	}
	/* in one store: member by member, each would wait for those before it to leave the core */
	m->tx_offload = rte_mbuf_tx_offload(RTE_ETHER_HDR_LEN, v4 ? 20 : 40, hlen, cut, 0, 0, 0);
	c = csum_fold(csum_pseudo(&f->local, &f->remote, len));
	memcpy(rte_pktmbuf_mtod_offset(m, char *, 16), &c, 2);
}

static void checksum_put(struct rte_mbuf *m, const struct tcp_flow *f, uint64_t sum)
{
	uint16_t c = (uint16_t)~csum_fold(sum + csum_pseudo(&f->local, &f->remote, m->pkt_len));

	memcpy(rte_pktmbuf_mtod_offset(m, char *, 16), &c, 2);
}

/*
 * The checksum, then down. <m> is a chain of pkt_len bytes, the first <hlen> of them the header,
 * whose sum is <sum> (where the ports do not make it), in segments of up to <mss>.
 */
static void transmit(struct tcp *t, struct rte_mbuf *m, uint32_t hlen, uint64_t sum,
	const struct tcp_flow *f, uint16_t mss, struct net_dst *dst)
{
	if (t->cfg.tx.csum)
		checksum_leave(t, m, f, hlen, mss);
	else
		checksum_put(m, f, sum);
	pkt_of(m)->l4_len = (uint16_t)m->pkt_len;
	tcp_count(t, TCP_N_TX_SEGMENTS);
	ip_output(t->net, m, &f->local, &f->remote, IPPROTO_TCP, 0, dst);
}

/* A segment that has no payload. */
static bool emit_header(struct tcp *t, const struct tcp_flow *f, const struct header *h,
	const struct tcp_options *opt, struct net_dst *dst)
{
	struct rte_mbuf *m = mbuf_alloc(t);
	uint64_t sum;

	if (m == NULL)
		return false;
	sum = header_append(m, f, h, opt);
	transmit(t, m, m->pkt_len, sum, f, TCP_MSS_MIN, dst);
	return true;
}

/*
 * Payload.
 */

/* A segment in the making. */
struct chain {
	struct rte_mbuf *head, *last;
	uint64_t sum; /* of its bytes so far, unless the ports do it */
};

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

static uint64_t payload_sum(struct rte_mbuf *m, uint32_t off, uint32_t n)
{
	if (pkt_of(m)->sum_len > 0)
		return tcp_csum_take(m, off, n);
	return csum_bytes(rte_pktmbuf_mtod_offset(m, const void *, off), n);
}

static bool payload_append(struct tcp *t, struct tcp_conn *c, struct chain *ch, uint32_t seq,
	uint32_t len)
{
	bool rtx = seq_lt(seq, c->sack.nxt), short_one = len <= COPY_MAX;
	uint16_t refs_max = len > c->mss ? t->cfg.tx.refs_max : UINT16_MAX;
	struct rte_mbuf *m = sndq_find(c, rtx ? &c->rtx_cursor : &c->snd_cursor, seq);

	for (uint32_t done = 0; done < len; m = pkt_of(m)->next) {
		uint32_t off = seq + done - pkt_of(m)->seq;
		uint32_t n = RTE_MIN(m->data_len - off, len - done);
		bool ok;

		if (short_one || n <= COPY_SLICE_MAX || ch->head->nb_segs > refs_max)
			ok = copy(t, ch, m, off, n);
		else
			ok = refer(t, ch, m, off, n);
		if (!ok)
			return false;
		if (!t->cfg.tx.csum)
			ch->sum = csum_add(ch->sum, payload_sum(m, off, n), done);
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

/* A header with the blocks of what is out of order. */
static uint64_t header_append_sack(struct rte_mbuf *m, struct tcp_conn *c, const struct header *h,
	uint32_t tsval, uint32_t bytes)
{
	struct tcp_options opt = {.has_ts = c->ts_on, .tsval = tsval, .tsecr = c->ts_recent};
	uint32_t room = sack_room(c, bytes);
	/* with timestamps three blocks fit into the 40 bytes, RFC 2018 3 */
	unsigned max = c->ts_on ? 3 : 4;

	if (room >= 12)
		opt.sack_count = (uint8_t)tcp_reasm_blocks(&c->reasm, c->rcv_nxt, opt.sack,
			RTE_MIN((room - 4) / 8, max));
	return header_append(m, &c->flow, h, &opt);
}

static void ack_settled(struct tcp_conn *c)
{
	c->last_ack_sent = c->rcv_nxt;
	c->ack_pending = 0;
	c->ack_now = false;
	c->due_us[TCP_DUE_DELACK] = TIMER_NEVER;
}

/* A segment with ACK and <bytes> of payload. */
static bool emit(struct tcp *t, struct tcp_conn *c, uint32_t seq, uint32_t bytes, uint8_t flags)
{
	uint32_t tsval = tcp_ts_now(t, c->ts_offset);
	struct header h = {.seq = seq, .ack = c->rcv_nxt, .flags = flags | TCP_ACK};
	struct chain ch;
	uint32_t hlen;

	ch.head = ch.last = mbuf_alloc(t);
	if (ch.head == NULL)
		return false;
	pkt_alloc_ahead(t->pool);
	h.wnd = tcp_window_announce(t, c);
	if (unlikely(c->sack_on && tcp_reasm_has_blocks(&c->reasm)))
		ch.sum = header_append_sack(ch.head, c, &h, tsval, bytes);
	else
		ch.sum = header_append_plain(ch.head, &c->flow, &h, c->ts_on, tsval, c->ts_recent);
	hlen = ch.head->pkt_len;
	if (bytes > 0 && !payload_append(t, c, &ch, seq, bytes)) {
		rte_pktmbuf_free(ch.head);
		return false;
	}
	ack_settled(c);
	transmit(t, ch.head, hlen, ch.sum, &c->flow, c->mss, &c->dst);
	return true;
}

bool tcp_emit_data(struct tcp *t, struct tcp_conn *c, uint32_t seq, uint32_t len)
{
	bool fin = seq + len == c->snd_end + 1;
	uint32_t bytes = len - fin;
	uint8_t flags = fin ? TCP_FIN : 0;

	if (bytes > 0 && seq + bytes == c->snd_end)
		flags |= TCP_PSH; /* RFC 9293 3.9.1: the last of what was written */
	return emit(t, c, seq, bytes, flags);
}

bool tcp_emit_ack(struct tcp *t, struct tcp_conn *c)
{
	return emit(t, c, c->sack.nxt, 0, 0);
}

bool tcp_emit_keepalive(struct tcp *t, struct tcp_conn *c)
{
	return emit(t, c, c->sack.nxt - 1, 0, 0);
}

bool tcp_emit_rst(struct tcp *t, struct tcp_conn *c)
{
	struct header h = {.seq = c->sack.nxt,
		.ack = c->rcv_nxt,
		.flags = TCP_RST | TCP_ACK,
		.wnd = 0};
	struct tcp_options opt = {.has_ts = c->ts_on,
		.tsval = tcp_ts_now(t, c->ts_offset),
		.tsecr = c->ts_recent};

	if (!emit_header(t, &c->flow, &h, &opt, &c->dst))
		return false;
	tcp_count(t, TCP_N_TX_RST);
	return true;
}

/* SYN in SYN-SENT, SYN with ACK in SYN-RECEIVED. */
bool tcp_emit_syn(struct tcp *t, struct tcp_conn *c)
{
	bool ack = c->state == TCP_SYN_RECEIVED;
	struct header h = {.seq = c->iss, .flags = (uint8_t)(TCP_SYN | (ack ? TCP_ACK : 0))};
	uint8_t wscale = c->rcv_wscale;
	struct tcp_options opt = {.has_mss = true,
		.mss = tcp_mss_announced(t, &c->flow.remote, &c->dst),
		.sack_permitted = ack ? c->sack_on : t->cfg.sack,
		.has_ts = ack ? c->ts_on : t->cfg.timestamps,
		.tsval = tcp_ts_now(t, c->ts_offset),
		.tsecr = ack ? c->ts_recent : 0,
		.has_wscale = ack ? wscale > 0 : t->cfg.window_scaling,
		.wscale = TCP_RCV_WSCALE};

	c->rcv_wscale = 0; /* RFC 7323 2.2: the window of a SYN is never scaled */
	h.ack = ack ? c->rcv_nxt : 0;
	h.wnd = tcp_window_announce(t, c);
	c->rcv_wscale = wscale;
	if (!emit_header(t, &c->flow, &h, &opt, &c->dst))
		return false;
	ack_settled(c);
	return true;
}

/*
 * Segments without a connection.
 */

bool tcp_emit_raw(struct tcp *t, const struct tcp_raw *r, struct net_dst *dst)
{
	struct header h = {.seq = r->seq, .ack = r->ack, .wnd = r->wnd, .flags = r->flags};

	if (!emit_header(t, r->flow, &h, &r->opt, dst))
		return false;
	if (r->flags & TCP_RST)
		tcp_count(t, TCP_N_TX_RST);
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
