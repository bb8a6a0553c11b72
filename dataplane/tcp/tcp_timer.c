// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_timer.c: everything that happens because nothing happened.
 *
 * A connection has a handful of deadlines (enum tcp_deadline) and one timer, set to the earliest.
 * Moving a deadline away is a store; the wheel is told only when the earliest comes nearer
 * (timer_wheel.h). When the timer fires, each deadline that has passed is handled in enum order,
 * and a handler may end the connection.
 *
 * Standards: RFC 6298 5, RFC 9293 3.8.3 (R2), 3.8.4 (keepalive), 3.8.6.1 (zero-window probes),
 * RFC 8985 7.2.
 */
#include "dataplane/tcp/tcp_stack.h"

#define PROBE_MIN_US 10000u	/* below it timers, not paths, would be measured */
#define PROBE_DELACK_US 200000u /* RFC 8985 7.2: TLP.max_ack_delay of an unknown peer */
#define BLACKHOLE_RETRIES 2u	/* full segments lost so often: maybe they are too large */
#define BLACKHOLE_MTU_V4 576u	/* RFC 4821 7.7, one step instead of a search */
#define BLACKHOLE_MTU_V6 1280u

void tcp_due(struct tcp_conn *c, enum tcp_deadline which, uint64_t at_us)
{
	c->due_us[which] = at_us;
}

void tcp_timer_arm(struct tcp *t, struct tcp_conn *c)
{
	const uint64_t *d = c->due_us;
	uint64_t a = RTE_MIN(d[0], d[1]), b = RTE_MIN(d[2], d[3]), e = RTE_MIN(d[4], d[5]);

	static_assert(TCP_DUE_COUNT == 6, "in three pairs");
	a = RTE_MIN(a, b);
	timer_set(&t->timers, &c->timer, RTE_MIN(a, e));
}

static uint64_t persist_us(const struct tcp *t, const struct tcp_conn *c)
{
	uint64_t wait = (uint64_t)c->rtt.rto_us << RTE_MIN(c->persist_backoff, 16);

	return RTE_MIN(wait, (uint64_t)t->cfg.rto_max_us);
}

void tcp_rexmit_restart(struct tcp *t, struct tcp_conn *c)
{
	bool flight = tcp_sack_outstanding(&c->sack) > 0 && !c->probe_out;

	if (flight) {
		c->persist = false;
		tcp_due(c, TCP_DUE_REXMIT, t->now_us + tcp_rtt_timeout(&c->rtt, &t->rto));
	} else if (c->sack.nxt != tcp_snd_limit(c) || c->probe_out) {
		/* something to send, nothing in flight: only the peer's window can be the reason */
		if (!c->persist)
			c->persist_backoff = 0;
		c->persist = true;
		tcp_due(c, TCP_DUE_REXMIT, t->now_us + persist_us(t, c));
	} else {
		c->persist = false;
		tcp_due(c, TCP_DUE_REXMIT, TIMER_NEVER);
	}
}

/* RFC 6298 5.1: if the timer is not running, start it; persist gives way to flight. */
void tcp_rexmit_ensure(struct tcp *t, struct tcp_conn *c)
{
	bool flight = tcp_sack_outstanding(&c->sack) > 0 && !c->probe_out;

	if (c->due_us[TCP_DUE_REXMIT] == TIMER_NEVER || (c->persist && flight))
		tcp_rexmit_restart(t, c);
}

void tcp_probe_schedule(struct tcp *t, struct tcp_conn *c)
{
	uint64_t pto = 2 * (uint64_t)c->rtt.srtt_us;
	bool one = tcp_sack_outstanding(&c->sack) <= c->mss;

	/* RFC 8985 7.2: only in the open state, with SACK, one probe at a time */
	if (!c->sack_on || c->rec.phase != TCP_PHASE_OPEN || c->rec.tlp_out || c->persist ||
		tcp_sack_pipe(&c->sack) == 0 || c->sack.bytes[TCP_RANGE_SACKED] > 0 ||
		c->rtt.srtt_us == 0 || c->rtt.backoff > 0 || !tcp_is_synchronized(c)) {
		tcp_due(c, TCP_DUE_PROBE, TIMER_NEVER);
		return;
	}
	if (one)
		pto += PROBE_DELACK_US; /* the peer may be waiting for a second segment */
	if (pto < PROBE_MIN_US)
		pto = PROBE_MIN_US;
	/* it must come before the timeout to be of use */
	if (t->now_us + pto >= c->due_us[TCP_DUE_REXMIT])
		tcp_due(c, TCP_DUE_PROBE, TIMER_NEVER);
	else
		tcp_due(c, TCP_DUE_PROBE, t->now_us + pto);
}

void tcp_idle_restart(struct tcp *t, struct tcp_conn *c)
{
	uint64_t wait = t->cfg.keepalive_us;

	c->probes = 0;
	if (c->orphan)
		wait = t->cfg.fin_wait_2_us;
	else if (wait == 0 || !tcp_is_synchronized(c))
		wait = TIMER_NEVER - t->now_us;
	tcp_due(c, TCP_DUE_IDLE, t->now_us + wait);
}

/*
 * Handlers. Each returns false when the connection has ended.
 */

static bool give_up(struct tcp *t, struct tcp_conn *c, enum tcp_counter why, enum tcp_reason reason)
{
	tcp_count(t, why);
	/* RFC 9293 3.8.3: R2 is reached; a RST tells a peer that still lives */
	tcp_conn_reset(t, c, reason);
	return false;
}

/* Nothing was sent, for want of an mbuf: our trouble, it does not count against the peer. */
static bool again_soon(struct tcp *t, struct tcp_conn *c, enum tcp_deadline which)
{
	tcp_due(c, which, t->now_us + TCP_RETRY_US);
	return true;
}

static bool on_syn_timeout(struct tcp *t, struct tcp_conn *c)
{
	if (c->retries >= t->cfg.syn_retries)
		return give_up(t, c, TCP_N_TIMEOUT_SYN, TCP_REASON_TIMEOUT);
	if (!tcp_emit_syn(t, c))
		return again_soon(t, c, TCP_DUE_REXMIT);
	c->retries++;
	c->syn_rtx = true;
	c->rtt.backoff++;
	c->retransmits++;
	tcp_count(t, TCP_N_RTX_SYN);
	tcp_sack_resent(&c->sack, c->iss, 1, (uint32_t)t->now_us);
	tcp_due(c, TCP_DUE_REXMIT, t->now_us + tcp_rtt_timeout(&c->rtt, &t->rto));
	return true;
}

/* RFC 9293 3.8.6.1: the probes go on as long as the peer answers them. */
static bool on_persist(struct tcp *t, struct tcp_conn *c)
{
	if (c->retries >= t->cfg.retries)
		return give_up(t, c, TCP_N_TIMEOUT_PERSIST, TCP_REASON_TIMEOUT);
	if (!tcp_send_window_probe(t, c))
		return again_soon(t, c, TCP_DUE_REXMIT);
	c->retries++;
	if (c->persist_backoff < UINT8_MAX)
		c->persist_backoff++;
	tcp_due(c, TCP_DUE_REXMIT, t->now_us + persist_us(t, c));
	return true;
}

/* RFC 4821 7.7: full-sized segments that vanish again and again may be victims of a silent hole. */
static void suspect_blackhole(struct tcp *t, struct tcp_conn *c)
{
	uint16_t mtu = ip_is_v4(&c->flow.remote) ? BLACKHOLE_MTU_V4 : BLACKHOLE_MTU_V6;

	if (c->retries < BLACKHOLE_RETRIES || c->mtu <= mtu ||
		tcp_sack_outstanding(&c->sack) < c->mss)
		return;
	tcp_count(t, TCP_N_PMTU_BLACKHOLE);
	tcp_conn_set_mtu(t, c, mtu);
	tcp_pmtu_learn(&t->pmtu, &c->flow.remote, mtu, t->now_us);
}

static bool on_rto(struct tcp *t, struct tcp_conn *c)
{
	if (c->retries >= t->cfg.retries)
		return give_up(t, c, TCP_N_TIMEOUT_DATA, TCP_REASON_TIMEOUT);
	if (c->snd_wnd == 0) {
		/* the window was closed on what is in flight: ask with one byte, blame nobody */
		if (!tcp_send_window_probe(t, c))
			return again_soon(t, c, TCP_DUE_REXMIT);
		c->retries++;
	} else {
		if (!c->rec.rto_unsent) {
			suspect_blackhole(t, c);
			tcp_recovery_on_rto(t, c);
		}
		c->rec.rto_unsent = !tcp_retransmit_head(t, c);
		if (c->rec.rto_unsent)
			return again_soon(t, c, TCP_DUE_REXMIT);
		c->retries++;
		tcp_count(t, TCP_N_RTO);
	}
	/* RFC 6298 5.5, 5.6: back off the timer, start it */
	c->rtt.backoff++;
	tcp_due(c, TCP_DUE_REXMIT, t->now_us + tcp_rtt_timeout(&c->rtt, &t->rto));
	tcp_due(c, TCP_DUE_PROBE, TIMER_NEVER);
	tcp_due(c, TCP_DUE_REORDER, TIMER_NEVER);
	return true;
}

static bool on_rexmit(struct tcp *t, struct tcp_conn *c)
{
	if (c->state == TCP_SYN_SENT || c->state == TCP_SYN_RECEIVED)
		return on_syn_timeout(t, c);
	return c->persist ? on_persist(t, c) : on_rto(t, c);
}

static bool on_probe(struct tcp *t, struct tcp_conn *c)
{
	if (c->rec.phase == TCP_PHASE_OPEN && tcp_sack_pipe(&c->sack) > 0)
		tcp_send_tail_probe(t, c);
	return true;
}

static bool on_reorder(struct tcp *t, struct tcp_conn *c)
{
	tcp_recovery_on_reorder_timer(t, c);
	tcp_want_output(t, c);
	return true;
}

static bool on_delack(struct tcp *t, struct tcp_conn *c)
{
	tcp_count(t, TCP_N_DELAYED_ACK);
	if (!tcp_emit_ack(t, c)) {
		c->ack_now = true;
		tcp_due(c, TCP_DUE_RETRY, t->now_us + TCP_RETRY_US);
	}
	return true;
}

static bool on_idle(struct tcp *t, struct tcp_conn *c)
{
	if (c->orphan) {
		/* nobody is left to care for it: FIN_WAIT_2 or a peer that takes nothing */
		tcp_count(t, TCP_N_ORPHAN_TIMEOUT);
		if (c->state == TCP_FIN_WAIT_2)
			tcp_conn_die(t, c, TCP_REASON_TIMEOUT);
		else
			tcp_conn_reset(t, c, TCP_REASON_TIMEOUT);
		return false;
	}
	if (tcp_sack_outstanding(&c->sack) > 0 || c->persist) {
		/* other timers watch over the peer */
		tcp_idle_restart(t, c);
		return true;
	}
	if (c->probes >= t->cfg.keepalive_probes)
		return give_up(t, c, TCP_N_TIMEOUT_KEEPALIVE, TCP_REASON_KEEPALIVE);
	if (!tcp_emit_keepalive(t, c))
		return again_soon(t, c, TCP_DUE_IDLE);
	c->probes++;
	tcp_count(t, TCP_N_KEEPALIVE_PROBE);
	tcp_due(c, TCP_DUE_IDLE, t->now_us + t->cfg.keepalive_interval_us);
	return true;
}

static bool on_retry(struct tcp *t, struct tcp_conn *c)
{
	tcp_want_output(t, c);
	return true;
}

static void on_timer(struct timer *timer, uint64_t now_us, void *ctx)
{
	static bool (*const handler[TCP_DUE_COUNT])(struct tcp *, struct tcp_conn *) = {
		[TCP_DUE_REXMIT] = on_rexmit,
		[TCP_DUE_PROBE] = on_probe,
		[TCP_DUE_REORDER] = on_reorder,
		[TCP_DUE_DELACK] = on_delack,
		[TCP_DUE_IDLE] = on_idle,
		[TCP_DUE_RETRY] = on_retry,
	};
	struct tcp_conn *c = list_entry(timer, struct tcp_conn, timer);
	struct tcp *t = ctx;

	for (unsigned i = 0; i < TCP_DUE_COUNT; i++) {
		if (c->due_us[i] > now_us)
			continue;
		c->due_us[i] = TIMER_NEVER;
		if (!handler[i](t, c))
			return;
	}
	tcp_timer_arm(t, c);
}

void tcp_timers_run(struct tcp *t, uint64_t now_us, unsigned budget)
{
	t->now_us = now_us;
	budget -= timer_wheel_run(&t->timers, now_us, budget, on_timer, t);
	budget -= tcp_parked_run(t, budget);
	tcp_syn_timers_run(t, budget);
	tcp_timewait_run(t);
}

/* When the low 32 bits of the millisecond clock are <until_ms>. */
static uint64_t at_ms(const struct tcp *t, uint32_t until_ms)
{
	uint64_t now_ms = t->now_us / 1000;
	int32_t wait = (int32_t)(until_ms - (uint32_t)now_ms);

	return (now_ms + (wait > 0 ? (uint32_t)wait : 0)) * 1000;
}

uint64_t tcp_next_us(const struct tcp *t)
{
	uint64_t next = timer_wheel_next_us(&t->timers);
	uint64_t syn = timer_wheel_next_us(&t->syn_timers);

	if (!list_is_empty(&t->out))
		return t->now_us;
	next = RTE_MIN(next, syn);
	if (t->timewait.span > 0)
		next = RTE_MIN(next, at_ms(t, t->timewait.r[t->timewait.head].until_ms));
	if (t->parked.used > 0)
		next = RTE_MIN(next, at_ms(t, t->parked.r[t->parked.head].until_ms));
	return next;
}
