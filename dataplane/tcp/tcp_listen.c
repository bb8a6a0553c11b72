// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_listen.c: segments for no connection: CLOSED, LISTEN and half-open (RFC 9293 3.10.7.1, .2,
 * and SYN-RECEIVED of 3.10.7.4).
 *
 * A SYN costs one small record (struct tcp_syn), a full connection is made by the ACK that
 * completes the handshake (tcp_accept.c). When the records are used up, SYNs are answered by
 * cookies and cost nothing. Limits are checked on the SYN already, and again by the ACK:
 * connections in all, and per source. Only open connections count, for the source of a SYN is not
 * proved: a forger must not use up the share of somebody else.
 *
 * Standards: RFC 9293 3.10.7, RFC 4987, RFC 5961 3.2 and 4.2, RFC 6528, RFC 7323.
 */
#include "dataplane/tcp/tcp_stack.h"

#define SYN_WINDOW_MAX 65535u

const struct tcp_listener *tcp_listener_lookup(const struct tcp *t, const struct ip_addr *addr,
	uint16_t port)
{
	uint32_t lo = 0, hi = t->listeners != NULL ? t->listeners->count : 0;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		const struct tcp_listener *l = &t->listeners->e[mid];
		int d = memcmp(&l->addr, addr, sizeof(*addr));

		if (d == 0)
			d = (l->port > port) - (l->port < port);
		if (d == 0)
			return l;
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

uint16_t tcp_peer_mss(const struct tcp *t, const struct ip_addr *remote,
	const struct tcp_options *o)
{
	/* RFC 9293 3.7.1, MUST-15: without the option 536, or 1220 for IPv6 */
	uint16_t mss = ip_is_v4(remote) ? 536 : 1220;

	if (o->has_mss)
		mss = o->mss;
	else if (t->cfg.mss_default != 0)
		mss = t->cfg.mss_default;
	return RTE_MAX(mss, TCP_MSS_MIN);
}

/*
 * Half-open records.
 */

static struct tcp_syn *syn_alloc(struct tcp *t)
{
	struct tcp_syn *y;

	if (t->syns_free == 0)
		return NULL;
	y = &t->syns[t->syns_free - 1];
	t->syns_free = y->next_free;
	memset(y, 0, sizeof(*y));
	timer_init(&y->timer);
	t->syns_used++;
	return y;
}

/* Also takes it out of the table. */
static void syn_release(struct tcp *t, struct tcp_syn *y)
{
	uint32_t index = (uint32_t)(y - t->syns);

	tcp_table_remove(&t->table, y->hash, TCP_REF_SYN | index);
	timer_cancel(&t->syn_timers, &y->timer);
	y->next_free = t->syns_free;
	t->syns_free = index + 1;
	t->syns_used--;
}

uint16_t tcp_syn_window(const struct tcp *t)
{
	uint32_t mbufs = t->cfg.rcv_budget / t->truesize;

	/* as tcp_window.c will see it: a full segment per mbuf, some slack */
	mbufs -= RTE_MIN(mbufs / 8, 4u);
	return (uint16_t)RTE_MIN(mbufs * 1400u, SYN_WINDOW_MAX);
}

/* RFC 9293 3.10.7.2: <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>; <tsval> differs for a cookie. */
static void emit_syn_ack(struct tcp *t, struct tcp_syn *y, uint32_t tsval)
{
	struct tcp_raw r = {
		.flow = &y->flow,
		.seq = y->iss,
		.ack = y->irs + 1,
		.wnd = tcp_syn_window(t),
		.flags = TCP_SYN | TCP_ACK,
		.opt =
			{
				.has_mss = true,
				.mss = tcp_mss_announced(t, &y->flow.remote, &y->dst),
				.sack_permitted = y->sack_on,
				.has_ts = y->ts_on,
				.tsval = tsval,
				.tsecr = y->ts_recent,
				.has_wscale = y->ws_on,
				.wscale = TCP_RCV_WSCALE,
			},
	};

	tcp_count(t, TCP_N_SYN_ACK);
	tcp_emit_raw(t, &r, &y->dst);
}

static void syn_fill(struct tcp *t, struct tcp_syn *y, const struct tcp_flow *f, uint64_t hash,
	const struct tcp_listener *l, const struct tcp_segment *s)
{
	const struct tcp_options *o = &s->opt;
	struct tcp_flow_secrets secrets = tcp_flow_secrets(t, f);

	y->flow = *f;
	y->hash = hash;
	y->bind = l->bind;
	y->irs = s->seq;
	y->iss = secrets.isn;
	y->ts_offset = secrets.ts_offset;
	y->sent_us = t->now_us;
	y->mss = tcp_peer_mss(t, &f->remote, o);
	y->wnd = s->wnd;
	y->ts_on = t->cfg.timestamps && o->has_ts;
	y->ts_recent = o->tsval;
	y->sack_on = t->cfg.sack && o->sack_permitted;
	y->ws_on = t->cfg.window_scaling && o->has_wscale;
	y->wscale = RTE_MIN(o->wscale, TCP_WSCALE_MAX);
}

static void syn_arm(struct tcp *t, struct tcp_syn *y)
{
	uint64_t wait = (uint64_t)t->cfg.rto_initial_us << y->retries;

	timer_set(&t->syn_timers, &y->timer, t->now_us + RTE_MIN(wait, t->cfg.rto_max_us));
}

static void answer_with_cookie(struct tcp *t, struct tcp_syn *y)
{
	struct tcp_cookie k = {
		.mss = y->mss,
		.ts_on = y->ts_on,
		.sack_on = y->sack_on,
		.ws_on = y->ws_on,
		.wscale = y->wscale,
	};
	uint32_t tsval = tcp_ts_now(t, y->ts_offset);

	tcp_count(t, TCP_N_COOKIE_SENT);
	if (!y->ts_on) /* nowhere to keep them */
		y->sack_on = y->ws_on = false;
	y->iss = tcp_cookie_make(&t->cookies, t->rng, &y->flow, y->irs, &k, t->now_us, &tsval);
	emit_syn_ack(t, y, tsval);
}

/* May <remote> have one more? */
static bool is_within_limits(struct tcp *t, const struct ip_addr *remote)
{
	if (t->source.e != NULL &&
		tcp_source_count(&t->source, remote) >= t->cfg.conns_per_source_max) {
		tcp_count(t, TCP_N_DROP_SOURCE_LIMIT);
		return false;
	}
	if (t->conns_used + t->parked.used >= t->cfg.conns_max && list_is_empty(&t->orphans)) {
		tcp_count(t, TCP_N_DROP_CONNS_LIMIT);
		return false;
	}
	return true;
}

void tcp_listen_syn(struct tcp *t, const struct tcp_flow *f, uint64_t hash,
	const struct tcp_listener *l, const struct tcp_segment *s, const uint32_t *iss_min)
{
	struct tcp_syn *y, once;

	if (!is_within_limits(t, &f->remote))
		return;
	y = t->cfg.syn_cookies_always ? NULL : syn_alloc(t);
	if (y == NULL) {
		memset(&once, 0, sizeof(once));
		syn_fill(t, &once, f, hash, l, s);
		answer_with_cookie(t, &once);
		return;
	}
	syn_fill(t, y, f, hash, l, s);
	/* RFC 6191 2: above everything that the connection before it used */
	if (iss_min != NULL && !seq_gt(y->iss, *iss_min))
		y->iss = *iss_min + 1 + (uint32_t)rng_below(t->rng, 1u << 16);
	tcp_table_insert(&t->table, hash, TCP_REF_SYN | (uint32_t)(y - t->syns));
	emit_syn_ack(t, y, tcp_ts_now(t, y->ts_offset));
	syn_arm(t, y);
}

/* LISTEN, third: the segment carries a SYN and nothing that speaks against it. */
static void listen_syn(struct tcp *t, const struct tcp_flow *f, uint64_t hash,
	const struct tcp_listener *l, const struct tcp_segment *s)
{
	tcp_count(t, TCP_N_SYN_IN);
	if (s->flags & TCP_FIN) {
		tcp_count(t, TCP_N_DROP_SYN_FIN);
	} else if (ip_eq(&f->local, &f->remote) && f->local_port == f->remote_port) {
		tcp_count(t, TCP_N_DROP_LAND);
	} else if (t->draining) {
		tcp_count(t, TCP_N_REFUSED_DRAINING);
		tcp_emit_reset_for(t, f, s);
	} else {
		tcp_listen_syn(t, f, hash, l, s, NULL);
	}
}

/* LISTEN, second: an ACK is the end of a cookie's journey or a stray. */
static void listen_ack(struct tcp *t, const struct tcp_flow *f, uint64_t hash,
	const struct tcp_listener *l, struct tcp_segment *s)
{
	struct tcp_syn y = {.flow = *f, .hash = hash, .bind = l->bind, .cookie = true};
	struct tcp_cookie k;

	if (!tcp_cookie_check(&t->cookies, t->rng, f, s->seq - 1, s->ack - 1,
		    t->cfg.timestamps && s->opt.has_ts, s->opt.tsecr, t->now_us, &k)) {
		/*
		 * While cookies are out, text without a good one may be the second segment of a
		 * peer whose first was lost: a RST would kill what its retransmission will open.
		 */
		if (tcp_segment_len(s) > 0 && tcp_cookies_are_out(&t->cookies, t->now_us)) {
			tcp_count(t, TCP_N_DROP_BEFORE_COOKIE);
			return;
		}
		tcp_count(t, TCP_N_DROP_ACK_LISTEN);
		tcp_emit_reset_for(t, f, s);
		return;
	}
	tcp_count(t, TCP_N_COOKIE_GOOD);
	if (!is_within_limits(t, &f->remote))
		return;
	y.irs = s->seq - 1;
	y.iss = s->ack - 1;
	y.mss = k.mss;
	y.wnd = s->wnd;
	y.ts_on = k.ts_on;
	y.ts_recent = s->opt.tsval;
	y.ts_offset = tcp_flow_secrets(t, f).ts_offset;
	y.sack_on = k.sack_on;
	y.ws_on = k.ws_on;
	y.wscale = RTE_MIN(k.wscale, TCP_WSCALE_MAX);
	tcp_accept(t, &y, s);
}

void tcp_listen_input(struct tcp *t, const struct tcp_flow *f, uint64_t hash, struct tcp_segment *s)
{
	const struct tcp_listener *l = tcp_listener_lookup(t, &f->local, f->local_port);

	/* first: "an incoming RST should be ignored" */
	if (s->flags & TCP_RST) {
		tcp_count(t, TCP_N_DROP_RST_NO_CONN);
	} else if (l == NULL) {
		tcp_count(t, TCP_N_DROP_NO_CONN);
		tcp_emit_reset_for(t, f, s);
	} else if (s->flags & TCP_ACK) {
		listen_ack(t, f, hash, l, s);
	} else if (s->flags & TCP_SYN) {
		listen_syn(t, f, hash, l, s);
	} else {
		/* fourth: "this should not be reached. Drop the segment" */
		tcp_count(t, TCP_N_DROP_LISTEN);
	}
}

/*
 * SYN-RECEIVED: the steps of 3.10.7.4 for a half-open record.
 */

static void syn_ack_again(struct tcp *t, struct tcp_syn *y)
{
	y->sent_us = t->now_us;
	emit_syn_ack(t, y, tcp_ts_now(t, y->ts_offset));
}

static bool syn_seq_is_acceptable(const struct tcp *t, const struct tcp_syn *y,
	const struct tcp_segment *s)
{
	uint32_t nxt = y->irs + 1;

	return s->seq == nxt || seq_in(s->seq, nxt, nxt + tcp_syn_window(t));
}

/* A bare ACK of where the handshake stands. */
static void syn_challenge(struct tcp *t, struct tcp_syn *y)
{
	struct tcp_raw r = {
		.flow = &y->flow,
		.seq = y->iss + 1,
		.ack = y->irs + 1,
		.wnd = (uint16_t)(tcp_syn_window(t) >> (y->ws_on ? TCP_RCV_WSCALE : 0)),
		.flags = TCP_ACK,
		.opt = {.has_ts = y->ts_on,
			.tsval = tcp_ts_now(t, y->ts_offset),
			.tsecr = y->ts_recent},
	};

	if (tcp_challenge_allowed(t))
		tcp_emit_raw(t, &r, &y->dst);
}

/* What is in order so far; false: the segment ends here. */
static bool syn_steps(struct tcp *t, struct tcp_syn *y, const struct tcp_segment *s)
{
	bool rst = (s->flags & TCP_RST) != 0;

	if ((s->flags & (TCP_SYN | TCP_RST | TCP_ACK)) == TCP_SYN && s->seq == y->irs) {
		tcp_count(t, TCP_N_SYN_AGAIN); /* our SYN-ACK was lost, or is slow */
		y->again = true;
		syn_ack_again(t, y);
		return false;
	}
	if (y->ts_on && !s->opt.has_ts && !(s->flags & (TCP_RST | TCP_SYN))) {
		tcp_count(t, TCP_N_DROP_NO_TIMESTAMP);
		return false;
	}
	if (y->ts_on && s->opt.has_ts && !rst && seq_lt(s->opt.tsval, y->ts_recent)) {
		tcp_count(t, TCP_N_DROP_PAWS);
		syn_challenge(t, y); /* RFC 7323 5.3 R1 */
		return false;
	}
	if (!syn_seq_is_acceptable(t, y, s)) {
		tcp_count(t, TCP_N_DROP_SEQUENCE);
		if (!rst)
			syn_challenge(t, y);
		return false;
	}
	if (rst) {
		/* passive: "return this connection to the LISTEN state"; RFC 5961 3.2 first */
		tcp_count(t, s->seq == y->irs + 1 ? TCP_N_SYN_RESET : TCP_N_DROP_RST_IN_WINDOW);
		if (s->seq == y->irs + 1)
			syn_release(t, y);
		else
			syn_challenge(t, y);
		return false;
	}
	if (s->flags & TCP_SYN) {
		tcp_count(t, TCP_N_DROP_SYN_IN_CONN);
		syn_challenge(t, y);
		return false;
	}
	return true;
}

void tcp_syn_input(struct tcp *t, struct tcp_syn *y, struct tcp_segment *s)
{
	struct tcp_syn done;

	if (!syn_steps(t, y, s))
		return;
	if (!(s->flags & TCP_ACK)) {
		tcp_count(t, TCP_N_DROP_NO_ACK);
		return;
	}
	if (s->ack != y->iss + 1) {
		/* <SEQ=SEG.ACK><CTL=RST>; the half-open connection stays */
		tcp_count(t, TCP_N_DROP_ACK_HANDSHAKE);
		tcp_emit_reset_for(t, &y->flow, s);
		return;
	}
	if (!is_within_limits(t, &y->flow.remote))
		return; /* the peer will try again */
	done = *y;
	syn_release(t, y);
	tcp_accept(t, &done, s);
}

static void on_syn_timer(struct timer *timer, uint64_t now_us, void *ctx)
{
	struct tcp_syn *y = list_entry(timer, struct tcp_syn, timer);
	struct tcp *t = ctx;

	if (y->retries >= t->cfg.syn_retries) {
		tcp_count(t, TCP_N_TIMEOUT_HALF_OPEN);
		syn_release(t, y);
		return;
	}
	y->retries++;
	tcp_count(t, TCP_N_RTX_SYN);
	syn_ack_again(t, y);
	syn_arm(t, y);
}

void tcp_syn_timers_run(struct tcp *t, unsigned budget)
{
	timer_wheel_run(&t->syn_timers, t->now_us, budget, on_syn_timer, t);
}
