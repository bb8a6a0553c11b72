// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_window.c: how much the peer may send, derived from the receive budget.
 *
 * The budget counts memory (truesize), the window counts bytes. The bridge is the segment: every
 * free truesize is room for one segment of the size that the peer sends (rcv_mss, measured), and
 * what is held out of order has had its room already. So full segments inside the announced window
 * always find memory; an eighth of the budget is held back for segments that are smaller. The
 * right edge never moves left, and moves right in worthwhile steps only (RFC 9293 3.8.6.2.2).
 */
#include "dataplane/tcp/tcp_stack.h"

#define SLACK_MAX 4u	    /* mbufs */
#define SAMPLE_SEGMENTS 16u /* after so many smaller ones rcv_mss comes down */
#define WINDOW_FIELD_MAX 0xffffu

static uint32_t segments(const struct tcp *t, uint32_t bytes)
{
	return rte_reciprocal_divide(bytes, t->per_truesize);
}

/* An eighth of the budget, in segments, up to SLACK_MAX. */
static uint32_t slack_segments(const struct tcp *t, const struct tcp_conn *c)
{
	if (likely(c->budget / (8 * SLACK_MAX) >= t->truesize))
		return SLACK_MAX;
	return segments(t, c->budget) / 8;
}

static uint32_t free_segments(const struct tcp *t, const struct tcp_conn *c)
{
	return c->budget > c->charged ? segments(t, c->budget - c->charged) : 0;
}

uint32_t tcp_window_edge(const struct tcp *t, const struct tcp_conn *c)
{
	uint32_t slack = slack_segments(t, c);
	uint32_t free = free_segments(t, c);
	uint64_t room = free > slack ? (uint64_t)(free - slack) * c->rcv_mss : 0;
	uint64_t max = (uint64_t)WINDOW_FIELD_MAX << c->rcv_wscale;

	room += c->reasm.q.bytes;
	return c->rcv_nxt + (uint32_t)RTE_MIN(room, max);
}

/* RFC 9293 3.8.6.2.2: min(Fr * RCV.BUFF, Eff.snd.MSS), Fr = 1/2 */
static uint32_t worthwhile(const struct tcp *t, const struct tcp_conn *c)
{
	uint32_t half;

	if (likely(c->budget / 2 >= t->truesize))
		return c->rcv_mss;
	half = segments(t, c->budget) * c->rcv_mss / 2;
	return half < c->rcv_mss ? RTE_MAX(half, 1u) : c->rcv_mss;
}

/*
 * RFC 7323 2.4: with a scale the field cannot say every value. It is rounded up while an mbuf is
 * free for the difference, so that the edge does not retract; data up to rcv_adv, the furthest edge
 * ever announced, stays acceptable in any case.
 */
static uint32_t field_of(const struct tcp *t, const struct tcp_conn *c, uint32_t wnd)
{
	uint32_t unit = 1u << c->rcv_wscale;
	bool spare = c->budget > c->charged && c->budget - c->charged >= t->truesize;
	uint32_t field = (wnd + (spare ? unit - 1 : 0)) >> c->rcv_wscale;

	return RTE_MIN(field, WINDOW_FIELD_MAX);
}

uint16_t tcp_window_announce(const struct tcp *t, struct tcp_conn *c)
{
	uint32_t edge = tcp_window_edge(t, c), field;

	if (seq_lt(edge, c->rcv_adv) || edge - c->rcv_adv < worthwhile(t, c))
		edge = c->rcv_adv;
	if (seq_lt(edge, c->rcv_nxt)) /* the peer's FIN is one beyond a full window */
		edge = c->rcv_nxt;
	field = field_of(t, c, edge - c->rcv_nxt);
	c->rcv_adv = seq_max(c->rcv_adv, c->rcv_nxt + (field << c->rcv_wscale));
	return (uint16_t)field;
}

bool tcp_window_update_is_due(const struct tcp *t, const struct tcp_conn *c)
{
	uint32_t edge = tcp_window_edge(t, c), open = c->rcv_adv - c->rcv_nxt;
	uint32_t gain = edge - c->rcv_adv, step = worthwhile(t, c);

	if (!seq_gt(edge, c->rcv_adv) || gain < step)
		return false;
	/* the peer is, or will soon be, waiting for it; else it travels with the next ACK */
	return open < 2 * step || gain >= 2 * step;
}

void tcp_window_note_segment(struct tcp_conn *c, uint32_t len)
{
	uint16_t max = tcp_mss_of_mtu(&c->flow.remote, c->mtu);

	if (len <= TCP_MERGE_MAX)
		return; /* costs no memory of its own */
	c->rcv_mss_seen = (uint16_t)RTE_MAX((uint32_t)c->rcv_mss_seen, RTE_MIN(len, max));
	if (c->rcv_mss_seen > c->rcv_mss)
		c->rcv_mss = c->rcv_mss_seen;
	if (++c->rcv_mss_count < SAMPLE_SEGMENTS)
		return;
	c->rcv_mss = c->rcv_mss_seen;
	c->rcv_mss_seen = 0;
	c->rcv_mss_count = 0;
}
