// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_timewait_input.c: segments for a connection that is over.
 *
 * A retransmitted FIN is acknowledged and the wait starts anew; a RST is ignored, because it could
 * be an old duplicate that ends the wait early (RFC 1337); a SYN that is provably newer than the
 * old connection begins a new one (RFC 6191, RFC 9293 3.10.7.4, fourth step).
 */
#include "dataplane/tcp/tcp_stack.h"

/* More than a turn's packets can make; the others' wait is longer by a turn, which harms nobody. */
#define TIMEWAIT_PER_TURN 256u

void tcp_timewait_forget(struct tcp *t, uint32_t i)
{
	tcp_table_remove(&t->table, t->timewait.r[i].hash, TCP_REF_TIMEWAIT | i);
	tcp_timewait_release(&t->timewait, i);
}

uint32_t tcp_timewait_enter(struct tcp *t)
{
	uint32_t i = tcp_timewait_alloc(&t->timewait);

	if (unlikely(i == TCP_TIMEWAIT_NONE) && t->timewait.max > 0) {
		tcp_count(t, TCP_N_TIMEWAIT_OVERFLOW);
		tcp_timewait_forget(t, tcp_timewait_oldest(&t->timewait));
		i = tcp_timewait_alloc(&t->timewait);
	}
	return i;
}

uint32_t tcp_timewait_until_ms(const struct tcp *t)
{
	return (uint32_t)(t->now_us / 1000) + t->cfg.timewait_us / 1000;
}

/*
 * Moving a record costs a place in the ring, so it happens once in an eighth of the wait: a peer
 * that floods us with FINs must not push the records of others out.
 */
static bool is_worth_restarting(const struct tcp *t, const struct tcp_timewait_record *r)
{
	return tcp_timewait_until_ms(t) - r->until_ms > t->cfg.timewait_us / 8000;
}

/* The wait starts anew: the record becomes the youngest. */
static uint32_t restart(struct tcp *t, uint32_t i)
{
	struct tcp_timewait_record r = t->timewait.r[i];
	uint32_t j;

	/* its own place is given up first; if it was the oldest, that makes the room */
	tcp_timewait_release(&t->timewait, i);
	j = tcp_timewait_enter(t);
	tcp_table_replace(&t->table, r.hash, TCP_REF_TIMEWAIT | i, TCP_REF_TIMEWAIT | j);
	r.until_ms = tcp_timewait_until_ms(t);
	t->timewait.r[j] = r;
	return j;
}

static void emit_ack(struct tcp *t, const struct tcp_timewait_record *r, const struct tcp_flow *f)
{
	struct tcp_raw raw = {
		.flow = f,
		.seq = r->snd_nxt,
		.ack = r->rcv_nxt,
		.wnd = r->wnd,
		.flags = TCP_ACK,
		.opt = {.has_ts = r->ts_on,
			.tsval = r->ts_on ? tcp_ts_now(t, tcp_flow_secrets(t, f).ts_offset) : 0,
			.tsecr = r->ts_recent},
	};
	struct net_dst dst = {0};

	tcp_emit_raw(t, &raw, &dst);
}

/* Bare ACKs only within the limit: the other side may be as confused as this one. */
static void answer(struct tcp *t, const struct tcp_timewait_record *r, const struct tcp_flow *f,
	const struct tcp_segment *s)
{
	if (tcp_segment_len(s) > 0 || tcp_challenge_allowed(t))
		emit_ack(t, r, f);
}

/* RFC 6191 2: a later timestamp, or without timestamps a later sequence number. */
static bool is_newer(const struct tcp_timewait_record *r, const struct tcp_segment *s)
{
	if (r->ts_on && s->opt.has_ts && s->opt.tsval != r->ts_recent)
		return seq_gt(s->opt.tsval, r->ts_recent);
	return seq_gt(s->seq, r->rcv_nxt);
}

static void on_syn(struct tcp *t, uint32_t i, const struct tcp_flow *f, uint64_t hash,
	struct tcp_segment *s)
{
	struct tcp_timewait_record *r = &t->timewait.r[i];
	const struct tcp_listener *l = tcp_listener_lookup(t, &f->local, f->local_port);
	uint32_t iss_min = r->snd_nxt;

	if ((s->flags & (TCP_ACK | TCP_FIN)) || l == NULL || t->draining || !is_newer(r, s)) {
		tcp_count(t, TCP_N_DROP_SYN_IN_CONN);
		if (tcp_challenge_allowed(t))
			emit_ack(t, r, f);
		return;
	}
	tcp_count(t, TCP_N_TIMEWAIT_REUSED);
	tcp_count(t, TCP_N_SYN_IN);
	tcp_timewait_forget(t, i);
	tcp_listen_syn(t, f, hash, l, s, &iss_min);
}

void tcp_timewait_input(struct tcp *t, uint32_t i, const struct tcp_flow *f, uint64_t hash,
	struct tcp_segment *s)
{
	struct tcp_timewait_record *r = &t->timewait.r[i];

	if (s->flags & TCP_RST) {
		tcp_count(t, TCP_N_DROP_RST_TIMEWAIT);
		return;
	}
	if (s->flags & TCP_SYN) {
		on_syn(t, i, f, hash, s);
		return;
	}
	if (r->ts_on && s->opt.has_ts && seq_lt(s->opt.tsval, r->ts_recent)) {
		tcp_count(t, TCP_N_DROP_PAWS);
		answer(t, r, f, s);
		return;
	}
	if (tcp_segment_len(s) == 0 && s->seq == r->rcv_nxt) {
		tcp_count(t, TCP_N_TIMEWAIT_ACK); /* of our FIN, once more */
		return;
	}
	tcp_count(t, TCP_N_TIMEWAIT_SEGMENT);
	/* "The only thing that can arrive in this state is a retransmission of the remote FIN" */
	if ((s->flags & TCP_FIN) && s->seq + s->len + 1 == r->rcv_nxt && is_worth_restarting(t, r))
		r = &t->timewait.r[restart(t, i)];
	answer(t, r, f, s);
}

void tcp_timewait_run(struct tcp *t)
{
	uint32_t now_ms = (uint32_t)(t->now_us / 1000);

	for (unsigned left = TIMEWAIT_PER_TURN; left > 0 && t->timewait.span > 0; left--) {
		if (!seq_le(t->timewait.r[t->timewait.head].until_ms, now_ms))
			return;
		tcp_timewait_forget(t, t->timewait.head);
	}
}
