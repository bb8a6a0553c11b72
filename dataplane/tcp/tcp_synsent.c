// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_synsent.c: RFC 9293 3.10.7.3, and the moment a handshake completes.
 *
 * A peer that still holds an old connection with our 4-tuple (we, or a predecessor of this process,
 * died without a FIN) answers our SYN with an ACK of something else. It gets the RST that the RFC
 * prescribes, and the next source port is tried at once instead of waiting for the SYN's timer.
 */
#include "dataplane/tcp/tcp_stack.h"

#define PORTS_TRIED_MAX 8	/* stale peers in a row, then the timer decides */
#define QUICK_ACKS 16		/* full segments acknowledged at once: the peer's slow start */
#define SYN_RTX_RTO_US 3000000u /* RFC 6298 5.7 */

/* First: "If SEG.ACK =< ISS or SEG.ACK > SND.NXT, send a reset (unless the RST bit is set)". */
static bool step_ack(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	if (!(s->flags & TCP_ACK))
		return true;
	if (seq_gt(s->ack, c->iss) && seq_le(s->ack, c->sack.nxt))
		return true;
	tcp_count(t, TCP_N_STALE_PEER);
	if (s->flags & TCP_RST)
		return false;
	tcp_emit_reset_for(t, &c->flow, s);
	if (c->ports_tried < PORTS_TRIED_MAX && tcp_connect_next_port(t, c))
		c->ports_tried++;
	return false;
}

/* Second: a RST that acknowledges our SYN refuses the connection, another is a blind guess. */
static bool step_reset(struct tcp *t, struct tcp_conn *c, const struct tcp_segment *s)
{
	if (!(s->flags & TCP_RST))
		return true;
	if (s->flags & TCP_ACK) {
		tcp_count(t, TCP_N_REFUSED);
		tcp_conn_die(t, c, TCP_REASON_REFUSED);
	} else {
		tcp_count(t, TCP_N_DROP_RST_SYN_SENT);
	}
	return false;
}

void tcp_synsent_negotiate(struct tcp *t, struct tcp_conn *c, const struct tcp_segment *s)
{
	const struct tcp_options *o = &s->opt;
	uint32_t open = c->rcv_adv - c->rcv_nxt;

	c->irs = s->seq;
	c->rcv_nxt = s->seq + 1;
	c->rcv_adv = c->rcv_nxt + open;
	c->last_ack_sent = c->rcv_nxt;
	c->ts_on = t->cfg.timestamps && o->has_ts;
	c->sack_on = t->cfg.sack && o->sack_permitted;
	if (t->cfg.window_scaling && o->has_wscale) {
		c->snd_wscale = RTE_MIN(o->wscale, TCP_WSCALE_MAX);
		c->rcv_wscale = TCP_RCV_WSCALE;
	}
	if (c->ts_on) {
		c->ts_recent = o->tsval;
		c->ts_recent_us = t->now_us;
	}
	c->mss_peer = tcp_peer_mss(t, &c->flow.remote, o);
	c->snd_wnd = c->snd_wnd_max = s->wnd; /* a SYN's window is not scaled */
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
	tcp_conn_set_mtu(t, c, c->mtu);
}

void tcp_established(struct tcp *t, struct tcp_conn *c, const struct tcp_segment *s)
{
	tcp_cc_init(&c->cc, c->cc.ops, c->mss);
	/* RFC 6298 5.7: after a retransmitted SYN start with 3 s; data corrects it */
	if (c->syn_rtx) {
		tcp_rtt_init(&c->rtt, RTE_MAX(SYN_RTX_RTO_US, t->cfg.rto_initial_us));
		/* RFC 5681 3.1: a lost SYN leaves an initial window of one segment */
		c->cc.cwnd = c->mss;
	}
	c->retries = 0;
	c->quick_acks = QUICK_ACKS;
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
	c->rcv_mss = tcp_mss_announced(t, &c->flow.remote, &c->dst);
	c->rcv_mss = (uint16_t)(c->rcv_mss - (c->ts_on ? 12 : 0));
	tcp_set_state(t, c, TCP_ESTABLISHED);
	if (c->fin_queued) /* RFC 9293 3.10.4: a CLOSE that waited for the handshake */
		tcp_set_state(t, c, TCP_FIN_WAIT_1);
	tcp_idle_restart(t, c);
	tcp_event(t, c, TCP_EV_CONNECTED);
}

/* Fourth: SYN. With our own SYN acknowledged it is over, else both sides opened at once. */
static void step_syn(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	tcp_synsent_negotiate(t, c, s);
	s->seq++;
	s->flags &= (uint8_t)~TCP_SYN;
	if (s->flags & TCP_ACK) {
		c->ack_now = true;
		tcp_want_output(t, c);
		tcp_established(t, c, s);
		if (tcp_ack_input(t, c, s) && !tcp_is_dead(c))
			tcp_text_input(t, c, s);
		return;
	}
	/* RFC 9293 3.5, figure 7: simultaneous open; text waits for its retransmission */
	tcp_count(t, TCP_N_SIMULTANEOUS_OPEN);
	tcp_set_state(t, c, TCP_SYN_RECEIVED);
	tcp_emit_syn(t, c);
	tcp_due(c, TCP_DUE_REXMIT, t->now_us + tcp_rtt_timeout(&c->rtt, &t->rto));
}

void tcp_synsent_input(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s)
{
	if (!step_ack(t, c, s) || !step_reset(t, c, s))
		return;
	/* third: security and compartment: there are none */
	if (s->flags & TCP_SYN)
		step_syn(t, c, s);
	else /* fifth: "if neither of the SYN or RST bits is set, then drop the segment" */
		tcp_count(t, TCP_N_DROP_NO_SYN);
}
