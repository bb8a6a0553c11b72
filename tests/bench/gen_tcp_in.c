// SPDX-License-Identifier: Apache-2.0
/*
 * gen_tcp_in.c: segments on their way in, in the order of RFC 9293 3.10.7.
 *
 * A burst is taken in three passes, so that the table and the connections are in the cache when they
 * are needed: parse and hash, look up, handle.
 */
#include "tests/bench/gen_tcp.h"

#include <rte_prefetch.h>

static void effective_mss(const struct gen *g, struct conn *c, uint16_t peer)
{
	uint16_t mss = peer < g->mss ? peer : g->mss;

	if (mss < 88)
		mss = 88;
	c->mss = (uint16_t)(mss - ((c->flags & CONN_TS) ? 12 : 0));
	c->rcv_mss = 88;
}

static void synchronized(struct gen *g, struct conn *c)
{
	c->cwnd = TCP_CWND_SEGMENTS * (uint32_t)c->mss;
	c->ssthresh = UINT32_MAX;
	c->quick = TCP_QUICK_ACKS;
	c->tries = c->backoff = 0;
	c->rto_at = TIMER_NEVER;
	if (c->timed_us != 0 && c->srtt_us == 0)
		tcp_rtt_sample(c, (uint32_t)(g->now_us - c->timed_us));
	c->rto_us = c->srtt_us != 0 ? c->rto_us : TCP_SYN_RTO_US;
	c->state = CONN_ESTABLISHED;
}

static void options_agree(struct gen *g, struct conn *c, const struct seg *s)
{
	struct tcp_syn_options o;

	tcp_syn_options(s, &o);
	if (s->has_ts) {
		c->flags |= CONN_TS;
		c->ts_recent = s->ts_val;
	}
	if (o.sack)
		c->flags |= CONN_SACK;
	c->snd_scale = o.has_scale ? o.scale : 0xff;
	effective_mss(g, c, o.mss);
	c->rcv_nxt = c->ack_sent = s->seq + 1;
	c->snd_wnd = c->snd_wnd_max = s->window;
}

/* RFC 9293 3.10.7.2: a SYN for a backend. */
static void accept_syn(struct gen *g, struct seg *s)
{
	struct conn *c = conn_new(g, s->key, s->hash);

	if (c == NULL)
		return;
	c->flags |= CONN_BACKEND;
	c->state = CONN_SYN_RECEIVED;
	options_agree(g, c, s);
	c->snd_una = (uint32_t)rng_u64(&g->rng);
	c->snd_nxt = c->snd_max = c->msg_seq = c->snd_una + 1;
	c->rto_us = TCP_SYN_RTO_US;
	c->timed_us = g->now_us;
	tcp_send_syn(g, c);
}

static bool for_backend(const struct gen *g, const struct seg *s)
{
	struct ip_addr dst;
	const uint8_t *ports = s->key + g->key_len - 4;

	if (be16_get(ports + 2) != g->cfg.backend_port)
		return false;
	dst = g->v6 ? ip_from_v6(s->key + 16) : ip_from_v4(s->key + 4);
	return ip_net_contains(&g->cfg.backend_net, &dst);
}

static void no_conn(struct gen *g, struct seg *s)
{
	if ((s->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN && for_backend(g, s)) {
		accept_syn(g, s);
		return;
	}
	gen_count(g, GEN_RX_STRAY);
	tcp_send_rst_for(g, s);
}

/* RFC 9293 3.10.7.3. */
static void syn_sent(struct gen *g, struct conn *c, struct seg *s)
{
	bool acked = (s->flags & TCP_ACK) && s->ack == c->snd_nxt;

	if ((s->flags & TCP_ACK) && !acked) {
		/* an old connection's end still lives there; RST makes room for ours */
		gen_count(g, GEN_RX_STRAY);
		tcp_send_rst_for(g, s);
		return;
	}
	if (s->flags & TCP_RST) {
		if (acked)
			tcp_died(g, c, GEN_REFUSED);
		return;
	}
	if (!(s->flags & TCP_SYN) || !acked)
		return;
	c->snd_una = s->ack;
	options_agree(g, c, s);
	synchronized(g, c);
	tcp_send_ack(g, c); /* by itself, as Linux sends it */
	client_established(g, c);
}

/* RFC 9293 3.10.7.4, first check: some of it lies in the window. */
static bool acceptable(const struct gen *g, const struct conn *c, const struct seg *s)
{
	uint32_t window = (uint32_t)g->window << g->window_scale;
	uint32_t len = s->len + !!(s->flags & TCP_FIN);

	return seq_le(s->seq, c->rcv_nxt + window) && seq_le(c->rcv_nxt, s->seq + len);
}

static void cwnd_grow(struct conn *c, uint32_t acked)
{
	if (c->cwnd < c->ssthresh) /* RFC 5681 3.1, with RFC 3465's L = 2 */
		c->cwnd += acked < 2u * c->mss ? acked : 2u * c->mss;
	else
		c->cwnd += (uint32_t)((uint64_t)c->mss * c->mss / c->cwnd) + 1;
	if (c->cwnd > 1u << 24)
		c->cwnd = 1u << 24;
}

/* RFC 5681 3.2, RFC 6582 3.2. */
static void duplicate_ack(struct gen *g, struct conn *c)
{
	if (c->flags & CONN_RECOVERY) {
		c->cwnd += c->mss;
		return;
	}
	if (++c->dupacks != 3 || seq_lt(c->snd_una, c->recover))
		return;
	c->ssthresh = (c->snd_max - c->snd_una) / 2;
	if (c->ssthresh < 2u * c->mss)
		c->ssthresh = 2u * c->mss;
	c->recover = c->snd_max;
	c->flags |= CONN_RECOVERY;
	c->cwnd = c->ssthresh + 3u * c->mss;
	tcp_resend(g, c);
}

static void new_ack(struct gen *g, struct conn *c, uint32_t ack)
{
	uint32_t acked = ack - c->snd_una;

	c->snd_una = ack;
	if (seq_lt(c->snd_nxt, ack))
		c->snd_nxt = ack;
	c->tries = c->backoff = c->dupacks = 0;
	if ((c->flags & CONN_TIMED) && seq_le(c->timed_seq, ack)) {
		c->flags &= (uint8_t)~CONN_TIMED;
		tcp_rtt_sample(c, (uint32_t)(g->now_us - c->timed_us));
	}
	if (!(c->flags & CONN_RECOVERY)) {
		cwnd_grow(c, acked);
	} else if (seq_lt(ack,
			   c->recover)) { /* RFC 6582 3.2 (3): a partial ACK shows the next hole */
		c->cwnd = c->cwnd > acked ? c->cwnd - acked + c->mss : c->mss;
		tcp_resend(g, c);
	} else {
		c->flags &= (uint8_t)~CONN_RECOVERY;
		c->cwnd = c->ssthresh;
	}
	c->rto_at = TIMER_NEVER;
	if (c->snd_una != c->snd_max)
		tcp_rto_arm(g, c);
}

/* RFC 9293 3.10.7.4, fifth check. False: the segment ends here. */
static bool ack_process(struct gen *g, struct conn *c, const struct seg *s)
{
	uint32_t window = (uint32_t)s->window << (c->snd_scale == 0xff ? 0 : c->snd_scale);
	uint32_t old = c->snd_wnd;

	if (seq_lt(c->snd_max, s->ack)) {
		tcp_send_ack(g, c);
		return false;
	}
	if (seq_lt(s->ack, c->snd_una))
		return true;
	c->snd_wnd = window;
	if (window > c->snd_wnd_max)
		c->snd_wnd_max = window;
	if (s->ack != c->snd_una) {
		new_ack(g, c, s->ack);
	} else if (c->snd_una != c->snd_max && s->len == 0 && window == old &&
		!(s->flags & TCP_FIN)) {
		duplicate_ack(g, c);
	} else if (old == 0) {
		c->tries = 0; /* RFC 1122 4.2.2.17: a probe that is answered is no failure */
	}
	return true;
}

static void deliver(struct gen *g, struct conn *c, struct rte_mbuf *m, uint32_t skip, bool fin)
{
	uint32_t index = c->index;

	c->rcv_nxt += m->pkt_len - skip + fin;
	for (; m != NULL; m = m->next) {
		uint32_t off = skip < m->data_len ? skip : m->data_len;
		const uint8_t *p = rte_pktmbuf_mtod_offset(m, const uint8_t *, off);

		skip -= off;
		if (m->data_len == off)
			continue;
		if (c->flags & CONN_BACKEND)
			backend_data(g, c, p, m->data_len - off);
		else
			client_data(g, c, p, m->data_len - off);
		if (conn_at(&g->conns, index)->state == CONN_FREE)
			return;
	}
}

static void fin_received(struct gen *g, struct conn *c)
{
	/* Linux: tcp_fin() makes the connection interactive, so the ACK may wait for our FIN */
	c->flags |= CONN_PINGPONG;
	switch (c->state) {
	case CONN_ESTABLISHED:
		c->state = CONN_CLOSE_WAIT;
		if (c->flags & CONN_BACKEND)
			backend_fin(g, c);
		else
			client_fin(g, c);
		break;
	case CONN_FIN_WAIT_1:
		c->state = CONN_CLOSING;
		c->flags |= CONN_ACK_NOW;
		break;
	case CONN_FIN_WAIT_2:
		conn_time_wait(g, c);
		c->flags |= CONN_ACK_NOW;
		break;
	default:
		break;
	}
}

/* Linux' __tcp_ack_snd_check(). */
static void ack_decide(struct gen *g, struct conn *c)
{
	uint32_t owed = c->rcv_nxt - c->ack_sent;

	if (c->flags & CONN_ACK_NOW) {
		c->flags &= (uint8_t)~CONN_ACK_NOW;
		tcp_send_ack(g, c);
	} else if (owed == 0) {
		return;
	} else if (owed > c->rcv_mss || c->later.head != NULL ||
		(c->quick > 0 && !(c->flags & CONN_PINGPONG))) {
		tcp_send_ack(g, c);
	} else if (c->ack_at == TIMER_NEVER) {
		c->ack_at = g->now_us + TCP_DELACK_US;
		conn_wake(g, c, c->ack_at);
	}
}

/* In-order bytes, then those that waited behind them. The segment's mbuf stays the caller's. */
static void data_in_order(struct gen *g, struct conn *c, struct seg *s)
{
	uint32_t index = c->index, skip = c->rcv_nxt - s->seq;
	bool fin = s->flags & TCP_FIN;
	struct rte_mbuf *m;

	if (s->len > c->rcv_mss)
		c->rcv_mss = (uint16_t)(s->len < c->mss ? s->len : c->mss);
	c->rcv_ms = g->now_ms;
	deliver(g, c, s->m, s->data_at + skip, fin);
	while (conn_at(&g->conns, index)->state != CONN_FREE && !fin &&
		unlikely(c->later.head != NULL) &&
		(m = reasm_take(&c->later, c->rcv_nxt)) != NULL) {
		uint32_t end = held_of(m)->seq + m->pkt_len + held_of(m)->fin;

		if (seq_lt(c->rcv_nxt, end)) {
			fin = held_of(m)->fin;
			deliver(g, c, m, c->rcv_nxt - held_of(m)->seq, fin);
		}
		rte_pktmbuf_free(m);
	}
	if (conn_at(&g->conns, index)->state != CONN_FREE && fin)
		fin_received(g, c);
}

static void data_receive(struct gen *g, struct conn *c, struct seg *s)
{
	uint32_t end = s->seq + s->len + !!(s->flags & TCP_FIN);

	if (seq_lt(c->rcv_nxt, s->seq)) {
		gen_count(g, GEN_OUT_OF_ORDER);
		c->flags |= CONN_ACK_NOW;
		rte_pktmbuf_adj(s->m, s->data_at);
		reasm_add(&c->later, s->m, s->seq, s->flags & TCP_FIN);
		s->m = NULL;
		return;
	}
	if (!seq_lt(c->rcv_nxt, end)) {
		gen_count(g, GEN_DUPLICATE);
		c->flags |= CONN_ACK_NOW;
		return;
	}
	if (c->state >= CONN_CLOSE_WAIT)
		return; /* bytes behind a FIN */
	data_in_order(g, c, s);
}

static void our_fin_acked(struct gen *g, struct conn *c)
{
	switch (c->state) {
	case CONN_FIN_WAIT_1:
		c->state = CONN_FIN_WAIT_2;
		break;
	case CONN_CLOSING:
		conn_time_wait(g, c);
		break;
	case CONN_LAST_ACK:
		conn_free(g, c);
		break;
	default:
		break;
	}
}

/* RFC 9293 3.10.7.4, first to fourth check. False: the segment ends here. */
static bool checks(struct gen *g, struct conn *c, struct seg *s)
{
	if (s->has_ts && (c->flags & CONN_TS)) {
		if ((int32_t)(s->ts_val - c->ts_recent) < 0 && !(s->flags & TCP_RST)) {
			gen_count(g, GEN_DUPLICATE); /* RFC 7323 5.3 R1 */
			tcp_send_ack(g, c);
			return false;
		}
		if (seq_le(s->seq, c->ack_sent)) /* 4.3 (2) */
			c->ts_recent = s->ts_val;
	}
	if (!acceptable(g, c, s)) {
		if (s->flags & TCP_RST)
			return false;
		gen_count(g, GEN_DUPLICATE);
		tcp_send_ack(g, c);
		return false;
	}
	if (s->flags & TCP_RST) { /* RFC 5961 3.2 */
		if (s->seq == c->rcv_nxt)
			tcp_died(g, c, GEN_RESET);
		else
			tcp_send_ack(g, c);
		return false;
	}
	if (s->flags & TCP_SYN) { /* RFC 5961 4.2 */
		tcp_send_ack(g, c);
		return false;
	}
	return s->flags & TCP_ACK;
}

/* RFC 9293 3.10.7.4 for TIME-WAIT, with RFC 6191's way back. True: the segment is dealt with. */
static bool time_wait(struct gen *g, struct conn *c, struct seg *s)
{
	if ((s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN && for_backend(g, s) &&
		((s->has_ts && (int32_t)(s->ts_val - c->ts_recent) > 0) ||
			seq_lt(c->rcv_nxt, s->seq))) {
		conn_free(g, c);
		accept_syn(g, s);
		return true;
	}
	if (s->flags & TCP_FIN) {
		c->app_at = TIMER_NEVER;
		conn_time_wait(g, c);
		tcp_send_ack(g, c);
		return true;
	}
	if (s->len > 0 && !(s->flags & TCP_RST)) /* RFC 1337: RST is ignored */
		tcp_send_ack(g, c);
	return true;
}

static void syn_again(struct gen *g, struct conn *c, const struct seg *s)
{
	if (s->seq + 1 == c->rcv_nxt)
		tcp_send_syn(g, c);
}

static void segment(struct gen *g, struct conn *c, struct seg *s)
{
	uint32_t index = c->index;

	if (unlikely(c->state == CONN_SYN_SENT)) {
		syn_sent(g, c, s);
		return;
	}
	if (unlikely(c->state == CONN_TIME_WAIT) && time_wait(g, c, s))
		return;
	if (unlikely(c->state == CONN_SYN_RECEIVED)) {
		if ((s->flags & (TCP_SYN | TCP_RST)) == TCP_SYN) {
			syn_again(g, c, s);
			return;
		}
		if ((s->flags & (TCP_ACK | TCP_RST)) == TCP_ACK && s->ack == c->snd_nxt) {
			c->snd_una = s->ack;
			synchronized(g, c);
			gen_count(g, GEN_ACCEPTED);
		}
	}
	if (!checks(g, c, s) || !ack_process(g, c, s))
		return;
	if ((c->flags & CONN_FIN_QUEUED) && c->snd_una == c->msg_seq + c->msg_len + 1) {
		our_fin_acked(g, c);
		if (conn_at(&g->conns, index)->state == CONN_FREE)
			return;
	}
	if (s->len > 0 || (s->flags & TCP_FIN)) {
		data_receive(g, c, s);
		if (conn_at(&g->conns, index)->state == CONN_FREE)
			return;
	}
	if (c->snd_nxt != c->msg_seq + c->msg_len)
		tcp_output(g, c);
	ack_decide(g, c);
}

void tcp_input(struct gen *g, struct rte_mbuf **pkts, unsigned count)
{
	struct rte_mbuf *done[LINK_BURST];
	struct seg segs[LINK_BURST];
	unsigned n = 0, freed = 0;

	for (unsigned i = 0; i < count; i++) {
		if (i + 4 < count)
			rte_prefetch0(rte_pktmbuf_mtod(pkts[i + 4], void *));
		if (tcp_parse(g, pkts[i], &segs[n])) {
			rte_prefetch0(&g->conns.buckets[segs[n].hash & g->conns.mask]);
			n++;
		} else {
			done[freed++] = pkts[i];
		}
	}
	for (unsigned i = 0; i < n; i++) {
		uint32_t at = g->conns.buckets[segs[i].hash & g->conns.mask];

		if (at != 0) {
			struct conn *c = conn_at(&g->conns, at - 1);

			for (unsigned line = 0; line < sizeof(*c); line += 64)
				rte_prefetch0((uint8_t *)c + line);
		}
	}
	for (unsigned i = 0; i < n; i++) {
		struct conn *c = conn_find(g, segs[i].key, segs[i].hash);

		if (likely(c != NULL))
			segment(g, c, &segs[i]);
		else
			no_conn(g, &segs[i]);
		if (segs[i].m != NULL)
			done[freed++] = segs[i].m;
	}
	rte_pktmbuf_free_bulk(done, freed);
}
