// SPDX-License-Identifier: Apache-2.0
/*
 * gen_tcp_timer.c: round trips, retransmission time-outs, delayed ACKs, probes.
 *
 * A connection has one timer that is never moved later: when it fires, the connection's real times
 * are looked at and the earliest is armed anew. So the common case, a time-out that an answer makes
 * void, costs a store.
 * Standards: RFC 6298, RFC 9293 3.8.6.1, RFC 1122 4.2.3.2.
 */
#include "tests/bench/gen_tcp.h"

void tcp_rtt_sample(struct conn *c, uint32_t us)
{
	if (us == 0)
		us = 1;
	if (c->srtt_us == 0) { /* 2.2 */
		c->srtt_us = us;
		c->rttvar_us = us / 2;
	} else { /* 2.3 */
		uint32_t off = c->srtt_us > us ? c->srtt_us - us : us - c->srtt_us;

		c->rttvar_us += (uint32_t)(((int64_t)off - c->rttvar_us) / 4);
		c->srtt_us += (uint32_t)(((int64_t)us - c->srtt_us) / 8);
	}
	/* Linux keeps the variance term, not the sum, above the minimum */
	c->rto_us = c->srtt_us +
		(4 * c->rttvar_us > TCP_RTO_MIN_US ? 4 * c->rttvar_us : TCP_RTO_MIN_US);
}

void tcp_rto_arm(struct gen *g, struct conn *c)
{
	uint64_t rto = (uint64_t)c->rto_us << (c->backoff < 16 ? c->backoff : 16);

	if (c->rto_at != TIMER_NEVER)
		return;
	c->rto_at = g->now_us + (rto < TCP_RTO_MAX_US ? rto : TCP_RTO_MAX_US);
	conn_wake(g, c, c->rto_at);
}

void tcp_died(struct gen *g, struct conn *c, enum gen_count why)
{
	if (c->flags & CONN_BACKEND)
		gen_count(g, GEN_BACKEND_LOST);
	else if (c->state != CONN_TIME_WAIT)
		client_lost(g, c, why);
	conn_free(g, c);
}

/* RFC 6298 5.4-5.7, RFC 5681 3.1 (4): back to the first unacknowledged byte with one segment. */
static void rto_data(struct gen *g, struct conn *c)
{
	uint32_t flight = c->snd_max - c->snd_una;

	gen_count(g, GEN_RTO);
	if (c->backoff == 1) {
		c->ssthresh = flight / 2 > 2u * c->mss ? flight / 2 : 2u * c->mss;
		c->recover = c->snd_max;
	}
	c->cwnd = c->mss;
	c->flags &= (uint8_t) ~(CONN_RECOVERY | CONN_TIMED);
	c->dupacks = 0;
	c->snd_nxt = c->snd_una;
	tcp_output(g, c);
	tcp_rto_arm(g, c);
}

static void rto(struct gen *g, struct conn *c)
{
	bool handshake = c->state == CONN_SYN_SENT || c->state == CONN_SYN_RECEIVED;

	c->rto_at = TIMER_NEVER;
	c->backoff++;
	if (++c->tries > (handshake ? TCP_SYN_TRIES : TCP_TRIES)) {
		tcp_died(g, c, handshake ? GEN_CONNECT_TIMEOUT : GEN_TIMEOUT);
		return;
	}
	if (handshake) {
		gen_count(g, GEN_RETRANSMIT);
		c->flags &= (uint8_t)~CONN_TIMED;
		tcp_send_syn(g, c);
	} else if (c->snd_una != c->snd_max && c->snd_wnd > 0) {
		rto_data(g, c);
	} else if (c->snd_una != c->msg_seq + c->msg_len) {
		c->snd_nxt = c->snd_una;
		tcp_send_probe(g, c);
		tcp_rto_arm(g, c);
	} else {
		rto_data(g, c); /* a FIN against a closed window */
	}
}

void tcp_timer(struct timer *t, uint64_t now_us, void *gen)
{
	struct conn *c = (struct conn *)((char *)t - offsetof(struct conn, timer));
	struct gen *g = gen;
	uint64_t next;

	if (c->ack_at <= now_us)
		tcp_send_ack(g, c);
	if (c->state == CONN_TIME_WAIT && c->app_at <= now_us) {
		conn_free(g, c);
		return;
	}
	if (c->rto_at <= now_us) {
		uint32_t index = c->index;

		rto(g, c);
		if (conn_at(&g->conns, index)->state == CONN_FREE)
			return;
	}
	if (c->app_at <= now_us) {
		c->app_at = TIMER_NEVER;
		if (!(c->flags & CONN_BACKEND)) {
			client_timer(g, c);
			return; /* it may be gone; what it armed woke it */
		}
	}
	next = c->rto_at < c->ack_at ? c->rto_at : c->ack_at;
	conn_wake(g, c, next < c->app_at ? next : c->app_at);
}
