// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_input.c: a burst of segments, each to where its flow's state says, in the order of RFC 9293
 * 3.10.7.
 *
 * tcp_input() verifies and looks up; CLOSED and LISTEN (3.10.7.1, .2) are tcp_listen.c, SYN-SENT
 * (.3) is tcp_synsent.c, TIME-WAIT is tcp_timewait_input.c. The other states (.4) go through the
 * numbered steps below, one function each, in file order; a step returns false when the segment's
 * journey ends there. Step 5 is tcp_ack.c, steps 7 and 8 are tcp_rcv.c. Nearly every segment is one
 * that no step minds: is_predicted() knows it, and spares it the walk.
 *
 * Standards: RFC 9293 3.10.7, RFC 5961, RFC 7323 5, RFC 1337 (by tcp_timewait_input.c).
 */
#include "dataplane/base/bytes.h"
#include "dataplane/base/prefetch.h"
#include "dataplane/port/trace.h"
#include "dataplane/tcp/tcp_stack.h"

#define BATCH 32u
#define AHEAD 6u /* segments between asking for a connection and looking at it */

/* RFC 9293 3.8.6.1: with RCV.NXT known, the window that the peer has been told. */
static uint32_t rcv_wnd(const struct tcp_conn *c)
{
	return c->rcv_adv - c->rcv_nxt;
}

/*
 * An unacceptable segment is answered with where we are, unless it is a RST. Bare ACKs count
 * against the challenge limit, lest two confused peers answer each other for ever, and so do SYNs
 * (RFC 5961 4.2, 7); a keepalive is no such.
 */
static bool refuse(struct tcp *t, struct tcp_conn *c, const struct tcp_segment *s,
	enum tcp_counter n)
{
	tcp_count(t, n);
	if (s->flags & TCP_RST)
		return false;
	if ((s->flags & TCP_SYN) || (tcp_segment_len(s) == 0 && s->seq != c->rcv_nxt - 1))
		tcp_challenge_ack(t, c);
	else if (!tcp_emit_ack(t, c))
		c->ack_now = true;
	return false;
}

/*
 * Step 0: timestamps (RFC 7323 5.3 R1). PAWS goes before the sequence check; a RST is exempt.
 */
static bool step_timestamps(struct tcp *t, struct tcp_conn *c, const struct tcp_segment *s)
{
	if (!c->ts_on || (s->flags & TCP_RST))
		return true;
	if (!s->opt.has_ts && (s->flags & TCP_SYN))
		return true; /* of another connection: step 4 challenges it */
	if (!s->opt.has_ts) {
		/* RFC 7323 3.2: SHOULD silently drop; MUST NOT abort */
		tcp_count(t, TCP_N_DROP_NO_TIMESTAMP);
		return false;
	}
	if (tcp_ts_is_old(t, c, s->opt.tsval))
		return refuse(t, c, s, TCP_N_DROP_PAWS);
	return true;
}

/*
 * Step 1: the sequence number. RFC 9293 3.10.7.4 table 6: acceptable when any part is in the
 * window.
 */
static bool is_acceptable(const struct tcp_conn *c, const struct tcp_segment *s)
{
	uint32_t len = tcp_segment_len(s), wnd = rcv_wnd(c);

	if (len == 0)
		return s->seq == c->rcv_nxt || seq_in(s->seq, c->rcv_nxt, c->rcv_nxt + wnd);
	if (wnd == 0)
		return false;
	return seq_in(s->seq, c->rcv_nxt, c->rcv_nxt + wnd) ||
		seq_in(s->seq + len - 1, c->rcv_nxt, c->rcv_nxt + wnd) ||
		(seq_lt(s->seq, c->rcv_nxt) && seq_gt(s->seq + len, c->rcv_nxt));
}

/* A whole duplicate: say so by DSACK (RFC 2883 4.1). */
static void note_old_text(struct tcp *t, struct tcp_conn *c, const struct tcp_segment *s)
{
	if (s->len == 0)
		return;
	tcp_count(t, TCP_N_DUPLICATE);
	if (c->sack_on && seq_le(s->seq + s->len, c->rcv_nxt))
		tcp_reasm_note_dsack(&c->reasm, s->seq, s->seq + s->len);
}

static bool step_sequence(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	if (is_acceptable(c, s))
		return true;
	/*
	 * "If RCV.WND is zero, no segments will be acceptable, but special allowance should be made
	 * to accept valid ACKs, URGs, and RSTs": the text is cut off and refused, the rest goes on.
	 */
	if (rcv_wnd(c) == 0 && s->seq == c->rcv_nxt && !(s->flags & TCP_SYN)) {
		tcp_count(t, TCP_N_ZERO_WINDOW_TEXT);
		tcp_segment_trim_back(s, s->len);
		if (!(s->flags & TCP_RST)) {
			c->ack_now = true;
			tcp_want_output(t, c);
		}
		return true;
	}
	if (seq_lt(s->seq, c->rcv_nxt))
		note_old_text(t, c, s);
	return refuse(t, c, s, TCP_N_DROP_SEQUENCE);
}

/* "the idealized segment that begins at RCV.NXT and does not exceed the window" */
static void trim(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	uint32_t end;

	if (seq_lt(s->seq, c->rcv_nxt) && s->len > 0) {
		uint32_t old = RTE_MIN(s->len, c->rcv_nxt - s->seq);

		tcp_count(t, TCP_N_OVERLAP);
		if (c->sack_on)
			tcp_reasm_note_dsack(&c->reasm, s->seq, s->seq + old);
		tcp_segment_trim_front(s, old);
	}
	end = s->seq + s->len;
	if (s->len > 0 && seq_gt(end, c->rcv_adv)) {
		tcp_count(t, TCP_N_BEYOND_WINDOW);
		tcp_segment_trim_back(s, RTE_MIN(s->len, end - c->rcv_adv));
	}
}

/*
 * Step 2: RST. RFC 5961 3.2: only the exact sequence number resets; inside the window it is
 * challenged (outside, step 1 has dropped it).
 */
static bool step_reset(struct tcp *t, struct tcp_conn *c, const struct tcp_segment *s)
{
	if (!(s->flags & TCP_RST))
		return true;
	if (s->seq != c->rcv_nxt) {
		tcp_count(t, TCP_N_DROP_RST_IN_WINDOW);
		tcp_challenge_ack(t, c);
		return false;
	}
	tcp_count(t, TCP_N_RESET_BY_PEER);
	tcp_conn_die(t, c, c->state == TCP_SYN_RECEIVED ? TCP_REASON_REFUSED : TCP_REASON_RESET);
	return false;
}

/* Step 3: security and compartment: there are none. Step 4: SYN, RFC 5961 4.2. */
static bool step_syn(struct tcp *t, struct tcp_conn *c, const struct tcp_segment *s)
{
	if (!(s->flags & TCP_SYN))
		return true;
	tcp_count(t, TCP_N_DROP_SYN_IN_CONN);
	tcp_challenge_ack(t, c);
	return false;
}

/* Step 5 in SYN-RECEIVED: the handshake ends, or a lost soul is reset. */
static bool step_ack_syn_received(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	/* "If SND.UNA < SEG.ACK =< SND.NXT, enter ESTABLISHED", else <SEQ=SEG.ACK><CTL=RST> */
	if (!seq_gt(s->ack, c->sack.una) || !seq_le(s->ack, c->sack.nxt)) {
		tcp_count(t, TCP_N_DROP_ACK_HANDSHAKE);
		tcp_emit_reset_for(t, &c->flow, s);
		return false;
	}
	tcp_established(t, c, s);
	return true;
}

/* Step 5: ACK. */
static bool step_ack(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	if (!(s->flags & TCP_ACK)) {
		tcp_count(t, TCP_N_DROP_NO_ACK);
		return false;
	}
	if (c->state == TCP_SYN_RECEIVED && !step_ack_syn_received(t, c, s))
		return false;
	return tcp_ack_input(t, c, s);
}

/* Step 6: URG. RFC 6093 and RFC 9293 3.8.5: the pointer is ignored, the octet is data. */
static void step_urg(struct tcp *t, const struct tcp_segment *s)
{
	if (s->flags & TCP_URG)
		tcp_count(t, TCP_N_URGENT_IGNORED);
}

/* An orphan's patience is over: RFC 9293 3.6.1, data that nobody will read is answered with RST. */
static bool linger_is_over(struct tcp *t, struct tcp_conn *c, const struct tcp_segment *s)
{
	if (!c->orphan || s->len == 0 || t->now_us < c->linger_us || !tcp_fin_is_acked(c) ||
		seq_le(s->seq + s->len, c->rcv_nxt))
		return false;
	tcp_count(t, TCP_N_LINGER_RST);
	tcp_conn_reset(t, c, TCP_REASON_ABORTED);
	return true;
}

static void steps(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	if (!step_timestamps(t, c, s) || !step_sequence(t, c, s))
		return;
	if (!step_reset(t, c, s) || !step_syn(t, c, s))
		return;
	trim(t, c, s);
	c->rcvd_us = t->now_us;
	if (!c->orphan)
		tcp_idle_restart(t, c);
	if (!step_ack(t, c, s) || tcp_is_dead(c))
		return;
	step_urg(t, s);
	if (!linger_is_over(t, c, s))
		tcp_text_input(t, c, s);
}

/*
 * Header prediction (Van Jacobson): the next bytes of a stream to which nothing unusual happens, or
 * an ACK of ours. Every step above would find nothing to object to; what they do is done at once.
 */
static bool is_predicted(const struct tcp *t, const struct tcp_conn *c, const struct tcp_segment *s)
{
	if (c->state != TCP_ESTABLISHED || (s->flags & ~TCP_PSH) != TCP_ACK || c->orphan)
		return false;
	if (s->seq != c->rcv_nxt || s->len > rcv_wnd(c) || s->opt.sack_count > 0)
		return false;
	if (s->opt.has_ts != c->ts_on || (c->ts_on && tcp_ts_is_old(t, c, s->opt.tsval)))
		return false;
	return tcp_ack_is_plain(c, s);
}

static void predicted(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	c->rcvd_us = t->now_us;
	tcp_idle_restart(t, c);
	tcp_ack_plain(t, c, s);
	if (s->len > 0)
		tcp_text_input(t, c, s);
}

void tcp_conn_input(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	if (likely(is_predicted(t, c, s)))
		predicted(t, c, s);
	else if (c->state == TCP_SYN_SENT)
		tcp_synsent_input(t, c, s);
	else
		steps(t, c, s);
	/*
	 * The connection may have ended, its slot is still ours to look at. Where something has to
	 * be sent, the end of the turn arms the timer.
	 */
	if (c->in_use && !tcp_is_dead(c) && !list_is_linked(&c->out_link))
		tcp_timer_arm(t, c);
}

/*
 * The burst.
 */

static const char *kind_str(const struct tcp *t, uint32_t ref)
{
	if (ref == TCP_TABLE_NONE)
		return "no connection";
	switch (ref & TCP_REF_KIND) {
	case TCP_REF_CONN:
		return tcp_state_str(t->conns[ref & TCP_REF_INDEX].state);
	case TCP_REF_PARKED:
		return "ESTABLISHED, parked";
	case TCP_REF_SYN:
		return tcp_state_str(TCP_SYN_RECEIVED);
	default:
		return tcp_state_str(TCP_TIME_WAIT);
	}
}

static void trace(const struct tcp *t, const struct tcp_segment *s, uint32_t ref)
{
	trace_pkt(s->m, "tcp_input", "%s flags=%s%s%s%s%s seq=%u ack=%u len=%u wnd=%u",
		kind_str(t, ref), s->flags & TCP_SYN ? "S" : "", s->flags & TCP_FIN ? "F" : "",
		s->flags & TCP_RST ? "R" : "", s->flags & TCP_PSH ? "P" : "",
		s->flags & TCP_ACK ? "." : "", s->seq, s->ack, s->len, s->wnd);
}

static void dispatch(struct tcp *t, struct tcp_segment *s, uint64_t hash)
{
	struct tcp_flow f = {*s->dst, *s->src, s->dst_port, s->src_port};
	uint32_t ref = tcp_flow_lookup(t, &f, hash);

	trace(t, s, ref);
	if (ref == TCP_TABLE_NONE)
		tcp_listen_input(t, &f, hash, s);
	else if ((ref & TCP_REF_KIND) == TCP_REF_CONN)
		tcp_conn_input(t, &t->conns[ref & TCP_REF_INDEX], s);
	else if ((ref & TCP_REF_KIND) == TCP_REF_PARKED)
		tcp_conn_input(t, tcp_unpark(t, ref & TCP_REF_INDEX), s);
	else if ((ref & TCP_REF_KIND) == TCP_REF_SYN)
		tcp_syn_input(t, &t->syns[ref & TCP_REF_INDEX], s);
	else
		tcp_timewait_input(t, ref & TCP_REF_INDEX, &f, hash, s);
}

static void input_one(struct tcp *t, struct rte_mbuf *m, uint64_t hash)
{
	struct tcp_segment s;
	enum tcp_counter why;

	tcp_count(t, TCP_N_RX_SEGMENTS);
	why = tcp_segment_parse(m, &s);
	if (why != TCP_N_NONE) {
		trace_pkt(m, "tcp_input", "dropped: %s", tcp_counter_name(why));
		tcp_count(t, why);
		trace_pkt(m, "drop", "%s", tcp_counter_name(why));
		rte_pktmbuf_free(m);
		return;
	}
	trace_pkt(m, "tcp_input", "seq=%u ack=%u len=%u wnd=%u flags=%#x", s.seq, s.ack, s.len,
		s.wnd, s.flags);
	dispatch(t, &s, hash);
	if (s.m != NULL)
		rte_pktmbuf_free(s.m);
}

/* The flow's hash, its bucket asked for ahead of its turn; 0 for a header too short to be one. */
static uint64_t hash_of(const struct tcp *t, struct rte_mbuf *m)
{
	const struct pkt *p = pkt_of(m);
	const uint8_t *h = rte_pktmbuf_mtod(m, const uint8_t *);
	uint64_t hash;

	if (m->data_len < 4)
		return 0;
	hash = tcp_table_hash(&t->table, &p->dst, &p->src, be16_get(h + 2), be16_get(h));
	tcp_table_prefetch(&t->table, hash);
	return hash;
}

/*
 * Asks for the connection that <hash> most likely stands for; nothing is verified. NULL: it is none,
 * or <last>, for which the segment before has asked.
 */
static const struct tcp_conn *ask_conn(const struct tcp *t, uint64_t hash, uint64_t last)
{
	struct tcp_table_iter it;
	const struct tcp_conn *c;
	uint32_t ref;

	if (hash == last)
		return NULL;
	ref = tcp_table_first(&t->table, &it, hash);
	if (ref == TCP_TABLE_NONE || (ref & TCP_REF_KIND) != TCP_REF_CONN)
		return NULL;
	c = &t->conns[ref & TCP_REF_INDEX];
	tcp_conn_prefetch(c);
	return c;
}

/* Asks for what an ACK would release. */
static void ask_sent(const struct tcp_conn *c)
{
	if (c != NULL && c->sndq.head != NULL)
		prefetch_lines(c->sndq.head, sizeof(struct rte_mbuf) + PKT_PRIV_SIZE);
}

/* A pipeline: bucket, connection, send queue, and only then the segment itself. */
void tcp_input(struct tcp *t, struct mbufq *in, uint64_t now_us)
{
	const struct tcp_conn *asked[BATCH];
	uint64_t hash[BATCH];

	t->now_us = now_us;
	while (in->head != NULL) {
		unsigned n = 0;

		for (struct rte_mbuf *m = in->head; n < BATCH && m != NULL; m = pkt_of(m)->next)
			hash[n++] = hash_of(t, m);
		for (unsigned i = 0; i < n + AHEAD; i++) {
			if (i < n)
				asked[i] = ask_conn(t, hash[i], i > 0 ? hash[i - 1] : 0);
			if (i >= AHEAD / 2 && i - AHEAD / 2 < n)
				ask_sent(asked[i - AHEAD / 2]);
			if (i >= AHEAD)
				input_one(t, mbufq_pop(in), hash[i - AHEAD]);
		}
	}
}
