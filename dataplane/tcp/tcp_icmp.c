// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_icmp.c: what routers say about our segments, believed only as far as is safe.
 *
 * A message counts when the sequence number in it is of data in flight (RFC 5927 4.1), which a
 * blind attacker has to guess. In a synchronized state nothing an ICMP message says ends a
 * connection (RFC 5927 5.2, RFC 1122 4.2.3.9 as updated by RFC 5461): retransmission decides. In
 * SYN-SENT a hard error does. "Too big" lowers the MSS, never below what every path carries, and
 * what was too big goes out again at once, which is no sign of congestion.
 *
 * Standards: RFC 1191, RFC 8201, RFC 5927, RFC 5461, RFC 6633 (source quench never gets here).
 */
#include "dataplane/tcp/tcp_stack.h"

#define MTU_MIN_V4 552u	 /* as everybody: 68 (RFC 791) would only serve attackers */
#define MTU_MIN_V6 1280u /* RFC 8200 5 */

/* RFC 1191 7.1: an old router does not say which MTU: the next plateau below what was sent. */
static uint16_t plateau_below(uint16_t mtu)
{
	static const uint16_t plateau[] = {8166, 4352, 2002, 1492, 1006, 552};

	for (unsigned i = 0; i < RTE_DIM(plateau); i++)
		if (plateau[i] < mtu)
			return plateau[i];
	return MTU_MIN_V4;
}

/* Everything in flight may have been too big: it goes again, in smaller pieces. */
static void send_again(struct tcp *t, struct tcp_conn *c)
{
	struct tcp_recovery *r = &c->rec;

	if (tcp_sack_outstanding(&c->sack) == 0 || c->probe_out)
		return;
	tcp_sack_lose_all(&c->sack);
	if (r->phase == TCP_PHASE_OPEN) {
		/* from the present window on: the size was wrong, not the amount */
		r->phase = TCP_PHASE_LOSS;
		r->recover = c->sack.nxt;
		r->go_back = true;
		r->can_undo = false;
		r->has_rtx_ts = false;
		r->frto = false;
		r->reno_sacked = 0;
	}
	tcp_want_output(t, c);
}

static void too_big(struct tcp *t, struct tcp_conn *c, uint32_t mtu)
{
	bool v4 = ip_is_v4(&c->flow.remote);

	if (mtu == 0 && v4)
		mtu = plateau_below(c->mtu);
	mtu = RTE_MAX(mtu, v4 ? MTU_MIN_V4 : MTU_MIN_V6);
	if (mtu >= c->mtu) {
		/* RFC 1191 3, RFC 8201 4: a report never raises the MTU */
		tcp_count(t, TCP_N_DROP_ICMP_MTU);
		return;
	}
	tcp_count(t, TCP_N_PMTU_LOWERED);
	tcp_pmtu_learn(&t->pmtu, &c->flow.remote, (uint16_t)mtu, t->now_us);
	tcp_conn_set_mtu(t, c, (uint16_t)mtu);
	if (tcp_is_synchronized(c))
		send_again(t, c);
}

void tcp_icmp_input(struct tcp *t, const struct tcp_icmp_error *e, uint64_t now_us)
{
	uint64_t hash = tcp_flow_hash(t, &e->flow);
	uint32_t ref = tcp_flow_lookup(t, &e->flow, hash);
	struct tcp_conn *c;

	t->now_us = now_us;
	tcp_count(t, TCP_N_ICMP_IN);
	if (ref == TCP_TABLE_NONE || (ref & TCP_REF_KIND) != TCP_REF_CONN) {
		tcp_count(t, TCP_N_DROP_ICMP_NO_CONN);
		return;
	}
	c = &t->conns[ref & TCP_REF_INDEX];
	/* RFC 5927 4.1: SND.UNA =< SEG.SEQ < SND.NXT */
	if (!seq_in(e->seq, c->sack.una, c->sack.nxt)) {
		tcp_count(t, TCP_N_DROP_ICMP_SEQ);
		return;
	}
	if (e->too_big) {
		too_big(t, c, e->mtu);
	} else if (e->hard && c->state == TCP_SYN_SENT) {
		tcp_count(t, TCP_N_UNREACHABLE);
		tcp_conn_die(t, c, TCP_REASON_UNREACHABLE);
	} else {
		tcp_count(t, TCP_N_ICMP_SOFT);
	}
}
