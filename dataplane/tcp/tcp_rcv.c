// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_rcv.c: steps 7 and 8 of RFC 9293 3.10.7.4: the segment's text and its FIN.
 *
 * The receive budget is enforced here, as a hard bound: a segment is kept in an mbuf of its own
 * only while the budget has a whole truesize left; otherwise it is copied behind the bytes before
 * it where they leave tailroom, or dropped under its own counter. Small segments are copied in any
 * case, so that a stream of single bytes pins kilobytes and not megabytes. Out-of-order segments
 * leave one truesize free, so that the segment everybody waits for always finds room; where the
 * budget has shrunk beneath them it may exceed it by that one.
 *
 * Acknowledgements: every second segment or after the delay; at once for anything that is out of
 * order, fills a hole or is a duplicate (RFC 5681 4.2), for a FIN, and for full segments while the
 * peer is in its first slow start.
 */
#include "dataplane/tcp/tcp_stack.h"

static void charge(struct tcp *t, struct tcp_conn *c, struct rte_mbuf *m)
{
	uint32_t n = pkt_truesize(m);

	pkt_of(m)->charge = n;
	c->charged += n;
	t->charged += n;
}

static void uncharge(struct tcp *t, struct tcp_conn *c, uint32_t n)
{
	bug_on_hot(n > c->charged);
	c->charged -= n;
	t->charged -= n;
}

/* Is there room for <m> and <spare> bytes more? */
static bool has_budget(const struct tcp_conn *c, const struct rte_mbuf *m, uint32_t spare)
{
	return (uint64_t)c->charged + pkt_truesize(m) + spare <= c->budget;
}

/*
 * RFC 9293 3.8.6.3: an ACK for at least every second segment, and within 500 ms. A burst that
 * arrives in one turn is acknowledged after 2, 4, 8, ... more segments: enough ACKs to keep the
 * sender's clock when some of them are lost or late, few enough not to double the work of a fast
 * upload.
 */
void tcp_ack_owe(struct tcp *t, struct tcp_conn *c)
{
	if (c->ack_pending < UINT8_MAX)
		c->ack_pending++;
	if (c->ack_pending >= c->ack_every) {
		c->ack_every = (uint8_t)RTE_MIN(2u * c->ack_every, 64u);
		c->ack_now = !tcp_emit_ack(t, c);
		tcp_want_output(t, c); /* the turn's end makes it 2 again */
	} else if (c->ack_pending >= TCP_ACK_EVERY || c->ack_now) {
		c->ack_now = true;
		tcp_want_output(t, c);
	} else if (c->due_us[TCP_DUE_DELACK] == TIMER_NEVER) {
		tcp_due(c, TCP_DUE_DELACK, t->now_us + t->cfg.delack_us);
	}
}

/*
 * Out of order, or old: the peer needs one ACK for each such segment (RFC 5681 4.2), so it goes out
 * here and does not wait for the end of the turn, where several would become one.
 */
static void ack_at_once(struct tcp *t, struct tcp_conn *c)
{
	tcp_count(t, TCP_N_DUP_ACK_OUT);
	if (!tcp_emit_ack(t, c)) {
		c->ack_now = true;
		tcp_want_output(t, c);
	}
}

static void ack_in_order(struct tcp *t, struct tcp_conn *c, uint32_t len, bool filled)
{
	if (filled || c->rcv_adv - c->rcv_nxt < c->rcv_mss || len >= TCP_ACK_EVERY * c->rcv_mss) {
		/* a hole is closed, the peer has used up what it was told, or it sent several at once */
		c->ack_now = true;
	} else if (c->quick_acks > 0 && len >= c->rcv_mss) {
		c->quick_acks--;
		c->ack_now = true;
	}
	tcp_ack_owe(t, c);
}

/* Nobody will read it: counted as received, and gone. */
static void drain(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	tcp_count(t, TCP_N_DRAINED);
	if (s->seq == c->rcv_nxt) {
		c->rcv_nxt += s->len;
		tcp_ack_owe(t, c);
	} else {
		ack_at_once(t, c);
	}
}

/* In order and nothing is waiting behind it: the common case. */
static bool append(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	bool fits = has_budget(c, s->m, 0);
	struct rte_mbuf *m = s->m;

	pkt_of(m)->seq = s->seq;
	pkt_of(m)->charge = 0;
	if ((s->len <= TCP_MERGE_MAX || !fits) && tcp_reasm_merge(c->rcvq.tail, m)) {
		tcp_count(t, TCP_N_MERGED);
		c->rcvq.bytes += s->len;
	} else if (fits) {
		charge(t, c, m);
		mbufq_push(&c->rcvq, m);
	} else {
		tcp_count(t, TCP_N_DROP_BUDGET);
		return false; /* the caller frees it */
	}
	s->m = NULL;
	c->rcv_nxt += s->len;
	return true;
}

/*
 * The segment that everybody waits for is kept even over a budget that has shrunk below what is
 * held, when all of that is out of order: no credit would ever make room for it.
 */
static bool may_store(const struct tcp_conn *c, const struct tcp_segment *s)
{
	if (s->seq != c->rcv_nxt)
		return has_budget(c, s->m, pkt_truesize(s->m));
	return has_budget(c, s->m, 0) || c->charged <= c->reasm.q.count * pkt_truesize(s->m);
}

/* Into the out-of-order queue, and whatever that completes out of it. */
static bool reassemble(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	bool in_order = s->seq == c->rcv_nxt;
	bool fits = may_store(c, s);
	uint32_t truesize = pkt_truesize(s->m), freed = 0;
	enum tcp_reasm_result result;

	pkt_of(s->m)->charge = truesize;
	result = tcp_reasm_add(&c->reasm, s->seq, s->m, fits, &freed);
	s->m = NULL;
	if (result == TCP_REASM_STORED) {
		c->charged += truesize;
		t->charged += truesize;
	} else if (result == TCP_REASM_FULL) {
		tcp_count(t, in_order ? TCP_N_DROP_BUDGET : TCP_N_DROP_OOO_BUDGET);
	} else {
		tcp_count(t, result == TCP_REASM_MERGED ? TCP_N_MERGED : TCP_N_DUPLICATE);
	}
	tcp_reasm_take(&c->reasm, &c->rcv_nxt, &c->rcvq, &freed);
	uncharge(t, c, freed);
	return result != TCP_REASM_FULL;
}

/* One mbuf of text. */
static bool keep(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	if (s->seq == c->rcv_nxt && c->reasm.q.head == NULL)
		return append(t, c, s);
	if (s->seq != c->rcv_nxt)
		tcp_count(t, TCP_N_OUT_OF_ORDER);
	return reassemble(t, c, s);
}

/*
 * A send that its neighbour did not cut comes in several mbufs: as many segments, one behind the
 * other. Without room for one of them those behind it would be out of order, and are let go.
 */
static void keep_chain(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	bool kept = true;

	while (kept && s->m != NULL) {
		struct rte_mbuf *rest = pkt_unchain(s->m);
		struct tcp_segment one = *s;

		one.len = s->m->data_len;
		if (one.len > 0)
			kept = keep(t, c, &one);
		if (one.m != NULL)
			rte_pktmbuf_free(one.m);
		s->seq += one.len;
		s->m = rest;
	}
}

/* The segment lies inside the window, and begins at or after RCV.NXT. */
static void text(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	uint32_t before = c->rcv_nxt, len = s->len;
	bool waiting = c->reasm.q.head != NULL;

	if (c->orphan) {
		drain(t, c, s);
		return;
	}
	tcp_window_note_segment(c, len);
	if (likely(s->m->nb_segs == 1))
		keep(t, c, s);
	else
		keep_chain(t, c, s);
	if (c->rcv_nxt == before) {
		ack_at_once(t, c);
		return;
	}
	c->bytes_in += c->rcv_nxt - before;
	tcp_event(t, c, TCP_EV_READABLE);
	ack_in_order(t, c, len, waiting);
}

/* RFC 9293 3.10.7.4, eighth: the FIN is in order. */
static void on_fin(struct tcp *t, struct tcp_conn *c)
{
	c->rcv_nxt++;
	c->rcv_adv = seq_max(c->rcv_adv, c->rcv_nxt); /* it may lie just behind a full window */
	c->ack_now = true;
	tcp_want_output(t, c);
	tcp_event(t, c, TCP_EV_EOF);
	switch (c->state) {
	case TCP_ESTABLISHED:
		tcp_set_state(t, c, TCP_CLOSE_WAIT);
		break;
	case TCP_FIN_WAIT_1: /* ours is not acknowledged, or this would be FIN_WAIT_2 */
		tcp_set_state(t, c, TCP_CLOSING);
		break;
	case TCP_FIN_WAIT_2:
		tcp_conn_to_timewait(t, c);
		break;
	default:
		break;
	}
}

void tcp_text_input(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	/* after the peer's FIN there is no text: RFC 9293 3.10.7.4, "this should not occur" */
	bool open = c->state == TCP_ESTABLISHED || c->state == TCP_FIN_WAIT_1 ||
		c->state == TCP_FIN_WAIT_2;
	uint32_t end = s->seq + s->len;

	if (!open)
		return;
	if (c->has_fin && seq_gt(end, c->fin_seq)) {
		/* data behind a FIN that was already seen does not exist */
		tcp_count(t, TCP_N_AFTER_FIN);
		tcp_segment_trim_back(s, RTE_MIN(s->len, end - c->fin_seq));
	} else if ((s->flags & TCP_FIN) && !c->has_fin) {
		c->has_fin = true;
		c->fin_seq = end;
	}
	if (s->len > 0)
		text(t, c, s);
	else if ((s->flags & TCP_FIN) && s->seq != c->rcv_nxt)
		ack_at_once(t, c);
	if (c->has_fin && c->rcv_nxt == c->fin_seq)
		on_fin(t, c);
}
