// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_ack.c: step 5 of RFC 9293 3.10.7.4: the ACK field of a segment for a synchronized state.
 *
 * In this order: is the ACK believable (RFC 5961 5), the peer's timestamp and window, what the
 * scoreboard learns from it, the round-trip time, loss and congestion (tcp_recovery.c), then what
 * the acknowledgement frees: bytes of the send queue, timers, and our FIN with the state it held up.
 * tcp_ack_plain() is the same with everything left out that only losses make necessary.
 */
#include "dataplane/tcp/tcp_stack.h"

/* RFC 9293 3.10.7.4: SND.WL1 < SEG.SEQ, or equal and SND.WL2 =< SEG.ACK. */
static void update_window(struct tcp_conn *c, const struct tcp_segment *s)
{
	if (!seq_lt(c->snd_wl1, s->seq) && !(c->snd_wl1 == s->seq && seq_le(c->snd_wl2, s->ack)))
		return;
	c->snd_wnd = (uint32_t)s->wnd << c->snd_wscale;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
	c->snd_wnd_max = RTE_MAX(c->snd_wnd_max, c->snd_wnd);
}

/*
 * RFC 5681 2: (a) data outstanding, (b) no data, (c) no SYN or FIN, (d) same ACK, (e) same window.
 * The answer to a window probe looks the same, but tells of a closed window and not of a loss.
 */
static bool is_duplicate(const struct tcp_conn *c, const struct tcp_segment *s, uint32_t old_wnd)
{
	return s->ack == c->sack.una && s->len == 0 && (s->flags & (TCP_SYN | TCP_FIN)) == 0 &&
		c->snd_wnd == old_wnd && c->snd_wnd > 0 && !c->probe_out &&
		tcp_sack_outstanding(&c->sack) > 0;
}

static void take_blocks(struct tcp_conn *c, const struct tcp_segment *s, struct tcp_ack_event *e)
{
	unsigned i = 0;

	if (!c->sack_on)
		return;
	if (tcp_sack_is_dsack(s->opt.sack, s->opt.sack_count, s->ack)) {
		e->dsack = tcp_recovery_is_ours(c, &s->opt.sack[0]);
		i = 1;
	}
	for (; i < s->opt.sack_count; i++)
		tcp_sack_block(&c->sack, s->opt.sack[i], &e->d);
}

/*
 * RFC 6298 3 (Karn): what was sent once is timed by the scoreboard; what was sent again only by the
 * timestamp echo, whose tick is a millisecond.
 */
static void take_rtt(struct tcp *t, struct tcp_conn *c, const struct tcp_segment *s,
	struct tcp_ack_event *e)
{
	uint32_t now = (uint32_t)t->now_us, ticks;

	if (e->acked == 0)
		return;
	if (c->syn_rtx) { /* RFC 6298 5.7: the 3 s stay until data is timed */
		c->syn_rtx = false;
		return;
	}
	if (e->d.has_rtt) {
		e->rtt_us = now - e->d.rtt_sent_us;
	} else if (c->ts_on && s->opt.has_ts && s->opt.tsecr != 0) {
		ticks = tcp_ts_now(t, c->ts_offset) - s->opt.tsecr;
		if ((int32_t)ticks < 0 || ticks > 100000)
			return; /* an echo of something we never sent */
		e->rtt_us = ticks * 1000 + 500;
	}
	if (e->rtt_us > 0 || e->d.has_rtt)
		tcp_rtt_sample(&c->rtt, e->rtt_us, now, &t->rto);
}

static void take_echo(const struct tcp_conn *c, const struct tcp_segment *s,
	struct tcp_ack_event *e)
{
	if (c->ts_on && s->opt.has_ts && s->opt.tsecr != 0 && c->rec.has_rtx_ts)
		e->echo_old = seq_lt(s->opt.tsecr, c->rec.rtx_ts);
}

/* The send queue lets go of what is acknowledged. */
static void release(struct tcp *t, struct tcp_conn *c, uint32_t una)
{
	struct rte_mbuf *m;
	bool any = false;

	while ((m = c->sndq.head) != NULL && seq_lt(pkt_of(m)->seq, una)) {
		uint32_t n = RTE_MIN((uint32_t)m->data_len, una - pkt_of(m)->seq);

		any = true;
		if (n < m->data_len) {
			rte_pktmbuf_adj(m, (uint16_t)n);
			pkt_of(m)->seq += n;
			c->sndq.bytes -= n;
			break;
		}
		if (c->snd_cursor == m)
			c->snd_cursor = NULL;
		if (c->rtx_cursor == m)
			c->rtx_cursor = NULL;
		mbufq_pop(&c->sndq);
		c->released += pkt_of(m)->charge;
		rte_pktmbuf_free(m);
	}
	if (any)
		tcp_event(t, c, TCP_EV_SENT);
}

/* SND.UNA moved. */
static void on_progress(struct tcp *t, struct tcp_conn *c)
{
	c->retries = 0;
	c->persist_backoff = 0;
	if (tcp_sack_outstanding(&c->sack) == 0)
		c->probe_out = false;
	release(t, c, c->sack.una);
	ip_confirm(t->net, &c->dst);
	tcp_rexmit_restart(t, c); /* RFC 6298 5.2, 5.3 */
	if (c->orphan)
		tcp_idle_restart(t, c);
}

/* Our FIN is acknowledged: RFC 9293 3.10.7.4, fifth, the states that waited for it. */
static bool on_fin_acked(struct tcp *t, struct tcp_conn *c)
{
	switch (c->state) {
	case TCP_FIN_WAIT_1:
		tcp_set_state(t, c, TCP_FIN_WAIT_2);
		c->linger_us = RTE_MAX(c->linger_us, t->now_us + t->cfg.linger_us);
		return true;
	case TCP_CLOSING:
		tcp_conn_to_timewait(t, c);
		return false;
	case TCP_LAST_ACK:
		tcp_conn_die(t, c, TCP_REASON_NONE);
		return false;
	default:
		return true;
	}
}

/* RFC 5961 5.2: (SND.UNA - MAX.SND.WND) =< SEG.ACK =< SND.NXT, else a challenge and out. */
static bool is_believable(struct tcp *t, struct tcp_conn *c, const struct tcp_segment *s)
{
	if (seq_le(s->ack, c->sack.nxt) && seq_ge(s->ack, c->sack.una - c->snd_wnd_max))
		return true;
	tcp_count(t, seq_gt(s->ack, c->sack.nxt) ? TCP_N_DROP_ACK_FUTURE : TCP_N_DROP_ACK_OLD);
	tcp_challenge_ack(t, c);
	return false;
}

/*
 * RFC 7323 4.3 (2): TS.Recent moves with segments that reach back to the last ACK. Only now that
 * the ACK is believed: a forged TSval left behind would have PAWS refuse the true peer.
 */
static void remember_timestamp(struct tcp *t, struct tcp_conn *c, const struct tcp_segment *s)
{
	if (!c->ts_on || !s->opt.has_ts || seq_gt(s->seq, c->last_ack_sent) ||
		tcp_ts_is_old(t, c, s->opt.tsval))
		return;
	c->ts_recent = s->opt.tsval;
	c->ts_recent_us = t->now_us;
}

bool tcp_ack_is_plain(const struct tcp_conn *c, const struct tcp_segment *s)
{
	uint32_t acked = s->ack - c->sack.una;

	if (acked > tcp_sack_outstanding(&c->sack) || (acked == 0 && s->len == 0))
		return false;
	if (c->rec.phase != TCP_PHASE_OPEN || c->rec.tlp_out || c->rec.reno_sacked > 0 ||
		c->due_us[TCP_DUE_REORDER] != TIMER_NEVER)
		return false;
	if (s->wnd == 0 || c->snd_wnd == 0 || c->persist || c->probe_out || c->syn_rtx)
		return false;
	return tcp_sack_is_plain(&c->sack);
}

void tcp_ack_plain(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	struct tcp_ack_event e = {.acked = s->ack - c->sack.una};

	remember_timestamp(t, c, s);
	update_window(c, s);
	if (e.acked > 0) {
		tcp_sack_ack_plain(&c->sack, s->ack, &e.d);
		e.rtt_us = (uint32_t)t->now_us - e.d.rtt_sent_us;
		tcp_rtt_sample(&c->rtt, e.rtt_us, (uint32_t)t->now_us, &t->rto);
		tcp_recovery_on_plain_ack(t, c, &e);
		on_progress(t, c);
	}
	if (c->sack.una == tcp_snd_limit(c)) { /* nothing in flight, nothing to send */
		tcp_due(c, TCP_DUE_PROBE, TIMER_NEVER);
		return;
	}
	tcp_want_output(t, c);
	tcp_probe_schedule(t, c);
}

bool tcp_ack_input(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	struct tcp_ack_event e = {.flight = tcp_pipe(c)};
	uint32_t old_wnd = c->snd_wnd;

	if (!is_believable(t, c, s))
		return false;
	remember_timestamp(t, c, s);
	if (seq_lt(s->ack, c->sack.una))
		return true; /* a duplicate: it can be ignored, its text cannot */
	update_window(c, s);
	e.is_dup = is_duplicate(c, s, old_wnd);
	if (e.is_dup)
		tcp_count(t, TCP_N_DUP_ACK_IN);
	e.acked = s->ack - c->sack.una;
	take_echo(c, s, &e);
	tcp_sack_ack(&c->sack, s->ack, &e.d);
	take_blocks(c, s, &e);
	bug_on_hot(!tcp_sack_is_sound(&c->sack));
	take_rtt(t, c, s, &e);
	tcp_recovery_on_ack(t, c, &e);
	if (c->persist || c->snd_wnd == 0)
		c->retries = 0; /* the peer lives, it only has no room */
	if (e.acked > 0)
		on_progress(t, c);
	else if (c->persist && old_wnd == 0 && c->snd_wnd > 0)
		c->persist_backoff = 0;
	if (tcp_sack_outstanding(&c->sack) > 0 || c->sack.nxt != tcp_snd_limit(c))
		tcp_want_output(t, c);
	tcp_probe_schedule(t, c);
	if (e.acked > 0 && tcp_fin_is_acked(c))
		return on_fin_acked(t, c);
	return true;
}
