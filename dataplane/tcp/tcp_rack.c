// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_rack.c: loss by time, not by counting.
 *
 * A range is lost when something sent later has arrived and a reordering window has passed since.
 * The window is zero until reordering has been seen and three segments' worth is SACKED (so plain
 * loss is repaired as fast as by RFC 6675), then a quarter of the minimal RTT, and grows with each
 * round in which a DSACK proves a retransmission needless. A lost retransmission is found the same
 * way, which counting cannot do.
 *
 * Standards: RFC 8985 6.2; the probe of its section 7 is in tcp_recovery.c.
 */
#include "dataplane/tcp/tcp_rack.h"

#include "dataplane/tcp/tcp_seq.h"

void tcp_rack_init(struct tcp_rack *k)
{
	*k = (struct tcp_rack){.reo_mult = 1};
}

/* RFC 8985 6.2: RACK_sent_after(t1, seq1, t2, seq2) */
static bool sent_after(uint32_t t1, uint32_t seq1, uint32_t t2, uint32_t seq2)
{
	return seq_gt(t1, t2) || (t1 == t2 && seq_gt(seq1, seq2));
}

static void update(struct tcp_rack *k, const struct tcp_arrival *a, uint32_t now_us)
{
	k->rtt_us = now_us - a->sent_us;
	if (k->valid && !sent_after(a->sent_us, a->end, k->sent_us, k->end))
		return;
	k->valid = true;
	k->sent_us = a->sent_us;
	k->end = a->end;
}

void tcp_rack_on_delivery(struct tcp_rack *k, const struct tcp_delivery *d, uint32_t now_us,
	uint32_t min_rtt_us, bool echo_is_old)
{
	if (d->newest[0].valid)
		update(k, &d->newest[0], now_us);
	/*
	 * Step 2: of something retransmitted it may be the original that arrived: ignored when the
	 * echo says so, or when less than a round trip has passed since.
	 */
	if (d->newest[1].valid && !echo_is_old && now_us - d->newest[1].sent_us >= min_rtt_us)
		update(k, &d->newest[1], now_us);
	if (d->reordered)
		k->reordering = true;
}

void tcp_rack_on_dsack(struct tcp_rack *k, uint32_t nxt, uint32_t ack)
{
	if (k->in_round && seq_ge(ack, k->round_end))
		k->in_round = false;
	if (k->in_round)
		return; /* once per round trip */
	k->in_round = true;
	k->round_end = nxt;
	k->reordering = true;
	if (k->reo_mult < TCP_RACK_MULT_MAX)
		k->reo_mult++;
	k->reo_persist = TCP_RACK_PERSIST;
}

void tcp_rack_on_recovered(struct tcp_rack *k)
{
	if (k->reo_persist > 0 && --k->reo_persist == 0)
		k->reo_mult = 1;
}

uint32_t tcp_rack_reo_wnd(const struct tcp_rack *k, const struct tcp_sack *s,
	const struct tcp_rack_path *p)
{
	uint64_t wnd;

	if (!k->reordering && (p->recovering || tcp_sack_head_is_lost(s, p->mss, TCP_DUPTHRESH)))
		return 0;
	wnd = (uint64_t)k->reo_mult * p->min_rtt_us / 4;
	return wnd < p->srtt_us ? (uint32_t)wnd : p->srtt_us;
}

uint32_t tcp_rack_detect(const struct tcp_rack *k, struct tcp_sack *s,
	const struct tcp_rack_path *p, uint32_t now_us, uint32_t *ret_wait_us)
{
	uint32_t reo = tcp_rack_reo_wnd(k, s, p), lost = 0;

	*ret_wait_us = 0;
	if (!k->valid)
		return 0;
	for (unsigned i = 0; i < s->n; i++) {
		const struct tcp_range *r = &s->r[i];
		uint32_t age;

		if (r->state != TCP_RANGE_FLIGHT ||
			!sent_after(k->sent_us, k->end, r->sent_us, r->end))
			continue;
		age = now_us - r->sent_us;
		if (age >= k->rtt_us + reo)
			lost += tcp_sack_lose_range(s, i);
		else if (k->rtt_us + reo - age > *ret_wait_us)
			*ret_wait_us = k->rtt_us + reo - age;
	}
	return lost;
}
