// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_accept.c: the ACK that completes a handshake makes a connection out of a half-open record or
 * of a cookie, and is then its first segment.
 */
#include "dataplane/tcp/tcp_stack.h"

/* Our SYN-ACK as the scoreboard would remember it: one byte, timed unless sent twice. */
static void replay_syn_ack(struct tcp *t, struct tcp_conn *c, const struct tcp_syn *y)
{
	uint32_t sent_us = (uint32_t)y->sent_us;

	tcp_sack_reset(&c->sack, y->iss);
	tcp_sack_sent(&c->sack, 1, sent_us, 0);
	if (y->retries > 0 || y->again || y->cookie)
		tcp_sack_resent(&c->sack, y->iss, 1, sent_us);
	c->syn_rtx = y->retries > 0;
}

void tcp_accept(struct tcp *t, const struct tcp_syn *y, struct tcp_segment *s)
{
	struct tcp_conn *c = tcp_conn_alloc(t);

	if (c == NULL) {
		tcp_count(t, TCP_N_DROP_CONNS_LIMIT);
		return;
	}
	c->dst = y->dst; /* the SYN-ACK's way */
	tcp_conn_init(t, c, &y->flow, y->hash);
	tcp_set_state(t, c, TCP_SYN_RECEIVED);
	c->iss = y->iss;
	c->irs = y->irs;
	c->bind = y->bind;
	c->snd_end = y->iss + 1;
	c->rcv_nxt = c->last_ack_sent = c->rcv_adv = y->irs + 1;
	c->ts_on = y->ts_on;
	c->sack_on = y->sack_on;
	c->ts_recent = y->ts_recent;
	c->ts_recent_us = t->now_us;
	c->ts_offset = y->ts_offset;
	c->snd_wscale = y->ws_on ? y->wscale : 0;
	c->rcv_wscale = y->ws_on ? TCP_RCV_WSCALE : 0;
	c->mss_peer = y->mss;
	c->snd_wnd = c->snd_wnd_max = y->wnd;
	tcp_conn_set_mtu(t, c, c->mtu);
	tcp_recovery_init(c);
	replay_syn_ack(t, c, y);
	if (t->source.e != NULL) {
		tcp_source_add(&t->source, &y->flow.remote);
		c->counted = true;
	}
	/* what the SYN-ACK announced is what the peer may have sent already */
	c->rcv_adv += tcp_syn_window(t);
	tcp_conn_input(t, c, s);
}
