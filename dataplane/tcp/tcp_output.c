// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_output.c: what a connection may send now, and sending it.
 *
 * Order: lost bytes first (RFC 6675 NextSeg), then new data inside the peer's window and cwnd, then
 * the FIN, and an ACK only when none of these carried it. Nagle is off (a proxy writes what it has
 * and has nothing to wait for), silly windows are avoided on the sender's side all the same, and
 * all slices written in one turn of the loop share segments. One connection sends at most
 * TCP_BURST_MAX segments per turn, then the others have theirs.
 *
 * Standards: RFC 9293 3.8.6.2.1, RFC 6675 4, RFC 8985 7.3.
 */
#include "dataplane/tcp/tcp_stack.h"

#define TCP_BURST_MAX 64u
/* sends of one thirty-second of an RTT share a range of the scoreboard */
#define QUANTUM_SHIFT 5

/* One mbuf short: again soon, from the timer. */
static void retry_later(struct tcp *t, struct tcp_conn *c)
{
	tcp_due(c, TCP_DUE_RETRY, t->now_us + TCP_RETRY_US);
}

/* Borrows a large scoreboard when the small one gets tight; without one it merges (tcp_sack.c). */
static void board_room(struct tcp *t, struct tcp_conn *c)
{
	if (!tcp_sack_is_tight(&c->sack) || t->ranges_free_count == 0)
		return;
	tcp_sack_grow(&c->sack,
		&t->ranges[(size_t)t->ranges_free[--t->ranges_free_count] * TCP_SACK_LARGE]);
}

/*
 * Retransmission.
 */

static bool retransmit(struct tcp *t, struct tcp_conn *c, uint32_t seq, uint32_t len)
{
	if (!tcp_emit_data(t, c, seq, len)) {
		retry_later(t, c);
		return false;
	}
	board_room(t, c);
	tcp_recovery_on_rtx(t, c, seq, len);
	tcp_sack_resent(&c->sack, seq, len, (uint32_t)t->now_us);
	c->retransmits++;
	tcp_count(t, TCP_N_RTX_SEGMENTS);
	return true;
}

static bool has_lost(const struct tcp_conn *c)
{
	return c->sack.bytes[TCP_RANGE_LOST] > 0;
}

/* The lowest lost bytes, one segment of them. */
static bool retransmit_lost(struct tcp *t, struct tcp_conn *c)
{
	uint32_t seq, len;

	if (!tcp_sack_next_lost(&c->sack, &seq, &len))
		return false;
	/* a FIN rides on a full last segment as it did the first time */
	if (len > c->mss && !(len == c->mss + 1u && seq + len == c->snd_end + 1))
		len = c->mss;
	if (!c->rec.force && !tcp_cwnd_allows(c, len))
		return false;
	c->rec.force = false;
	return retransmit(t, c, seq, len);
}

bool tcp_retransmit_head(struct tcp *t, struct tcp_conn *c)
{
	bool sent;

	c->rec.force = true;
	sent = retransmit_lost(t, c);
	c->rec.force = false;
	return sent;
}

/*
 * New data.
 */

/* RFC 9293 3.8.6.2.1: is a segment of <len> out of <avail> bytes worth sending? */
static bool is_worthwhile(const struct tcp_conn *c, uint32_t len, uint32_t avail)
{
	if (len >= c->mss)
		return true; /* (1) a full segment */
	if (len == avail)
		return true;		  /* (2) all there is: Nagle is off */
	return len >= c->snd_wnd_max / 2; /* (3) half of the largest window */
}

/* Payload of one send: a segment, or as many as cwnd has room for and the ports cut by themselves. */
static uint32_t send_max(const struct tcp *t, const struct tcp_conn *c)
{
	uint32_t pipe, room;

	if (t->cfg.tx.tso_max == 0)
		return c->mss;
	pipe = tcp_pipe(c);
	room = c->cc.cwnd > pipe ? RTE_MIN(c->cc.cwnd - pipe, t->cfg.tx.tso_max) : 0;
	return RTE_MAX(room - room % c->mss, (uint32_t)c->mss);
}

/*
 * Payload bytes of the next send of up to <max>; 0: nothing may go. *ret_fin: the FIN goes with
 * it.
 */
static uint32_t next_new(struct tcp_conn *c, uint32_t max, bool *ret_fin)
{
	uint32_t avail = seq_lt(c->sack.nxt, c->snd_end) ? c->snd_end - c->sack.nxt : 0;
	int32_t usable = (int32_t)(c->sack.una + c->snd_wnd - c->sack.nxt);
	uint32_t len = RTE_MIN(avail, max);

	*ret_fin = false;
	if (usable <= 0)
		return 0;
	len = RTE_MIN(len, (uint32_t)usable);
	if (len > c->mss && len < avail)
		len -= len % c->mss; /* the window cuts it short: whole segments only */
	if (len > 0 && !is_worthwhile(c, len, avail))
		return 0;
	*ret_fin = c->fin_queued && len == avail && (uint32_t)usable > len;
	return len;
}

/*
 * The window has opened on an unanswered probe: its byte goes again at the head of a segment worth
 * the name. False when there is still no such segment: then the probe stays out.
 */
static bool take_back_probe(struct tcp *t, struct tcp_conn *c)
{
	uint32_t una = c->sack.una;
	bool fin;

	tcp_sack_reset(&c->sack, una);
	if (next_new(c, c->mss, &fin) == 0 && !fin) {
		tcp_sack_sent(&c->sack, 1, (uint32_t)t->now_us, 0);
		tcp_sack_resent(&c->sack, una, 1, (uint32_t)t->now_us);
		return false;
	}
	c->probe_out = false;
	c->snd_cursor = NULL;
	return true;
}

static void restart_after_idle(struct tcp *t, struct tcp_conn *c)
{
	if (tcp_sack_outstanding(&c->sack) > 0 || c->sent_us == 0 ||
		t->now_us - c->sent_us <= c->rtt.rto_us)
		return;
	tcp_cc_on_idle(&c->cc);
	tcp_rtt_forget_min(&c->rtt); /* RACK's window is made of it */
}

/* How many segments of new data went out; 0: none may. */
static unsigned send_new(struct tcp *t, struct tcp_conn *c)
{
	uint32_t len, quantum = c->rtt.srtt_us >> QUANTUM_SHIFT;
	bool fin;

	if (c->probe_out && (c->snd_wnd == 0 || !take_back_probe(t, c)))
		return 0;
	if (c->sack.nxt == tcp_snd_limit(c))
		return 0;
	len = next_new(c, send_max(t, c), &fin);
	if ((len == 0 && !fin) || !tcp_cwnd_allows(c, len))
		return 0;
	restart_after_idle(t, c);
	if (!tcp_emit_data(t, c, c->sack.nxt, len + fin)) {
		retry_later(t, c);
		return 0;
	}
	board_room(t, c);
	tcp_sack_sent(&c->sack, len + fin, (uint32_t)t->now_us, quantum);
	tcp_recovery_on_sent(c, len);
	c->sent_us = t->now_us;
	c->bytes_out += len;
	return len <= c->mss ? 1 : (len + c->mss - 1) / c->mss;
}

void tcp_send_tail_probe(struct tcp *t, struct tcp_conn *c)
{
	uint32_t nxt = c->sack.nxt, seq, len;
	bool fin;

	/* RFC 8985 7.3: new data when there is some, else the last segment again */
	len = next_new(c, c->mss, &fin);
	if (nxt != tcp_snd_limit(c) && (len > 0 || fin)) {
		if (!tcp_emit_data(t, c, nxt, len + fin))
			return;
		board_room(t, c);
		tcp_sack_sent(&c->sack, len + fin, (uint32_t)t->now_us, 0);
		c->sent_us = t->now_us;
		c->bytes_out += len;
		c->rec.tlp_rtx = false;
	} else {
		if (!tcp_sack_tail(&c->sack, c->mss, &seq, &len) || !retransmit(t, c, seq, len))
			return;
		c->rec.tlp_rtx = true;
	}
	tcp_count(t, TCP_N_TAIL_PROBE);
	c->rec.tlp_out = true;
	c->rec.tlp_end = c->sack.nxt;
	tcp_rexmit_restart(t, c);
}

bool tcp_send_window_probe(struct tcp *t, struct tcp_conn *c)
{
	bool fresh = tcp_sack_outstanding(&c->sack) == 0;
	uint32_t len = 1;

	/* RFC 9293 3.8.6.2.1 (4): the override: a small open window is used at last */
	if (fresh && c->snd_wnd > 1)
		len = RTE_MIN(RTE_MIN(c->snd_wnd, (uint32_t)c->mss),
			tcp_snd_limit(c) - c->sack.nxt);
	if (!tcp_emit_data(t, c, c->sack.una, len))
		return false;
	tcp_count(t, TCP_N_WINDOW_PROBE);
	if (fresh) {
		tcp_sack_sent(&c->sack, len, (uint32_t)t->now_us, 0);
		c->probe_out = c->snd_wnd == 0;
		c->bytes_out += seq_le(c->sack.nxt, c->snd_end) ? len : len - 1;
	} else {
		tcp_sack_resent(&c->sack, c->sack.una, len, (uint32_t)t->now_us);
	}
	return true;
}

/*
 * The turn.
 */

static bool may_send_data(const struct tcp_conn *c)
{
	return tcp_is_synchronized(c) && c->state != TCP_FIN_WAIT_2;
}

static void send_data(struct tcp *t, struct tcp_conn *c)
{
	unsigned sent = 0, n = 1;

	c->rec.cwnd_limited = false;
	while (sent < TCP_BURST_MAX && n > 0) {
		bool again = unlikely(has_lost(c)) && retransmit_lost(t, c);

		n = again ? 1 : send_new(t, c);
		sent += n;
	}
	if (sent >= TCP_BURST_MAX)
		tcp_want_output(t, c); /* the others first */
	tcp_rexmit_ensure(t, c);
	if (sent > 0)
		tcp_probe_schedule(t, c);
}

void tcp_conn_output(struct tcp *t, struct tcp_conn *c)
{
	c->ack_every = TCP_ACK_EVERY;
	if (may_send_data(c))
		send_data(t, c);
	if (c->ack_now && tcp_is_synchronized(c) && !tcp_emit_ack(t, c))
		retry_later(t, c);
	tcp_timer_arm(t, c);
}

void tcp_output(struct tcp *t, uint64_t now_us)
{
	struct list turn, *l;

	t->now_us = now_us;
	list_init(&turn);
	while ((l = list_pop(&t->out)) != NULL)
		list_add_tail(&turn, l);
	while ((l = list_pop(&turn)) != NULL)
		tcp_conn_output(t, list_entry(l, struct tcp_conn, out_link));
}
