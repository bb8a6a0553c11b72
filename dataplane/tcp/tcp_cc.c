// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_cc.c: slow start and the parts of congestion control that no algorithm changes.
 *
 * A loss is answered in proportion to cwnd, not to FlightSize (RFC 5681 3.1 (4)): cwnd grows only
 * while it is what limits sending and shrinks after idleness, so it is never above what was used,
 * and a short response that loses its last segment keeps what its connection has learnt
 * (RFC 9438 4.6 allows it under that condition).
 *
 * Slow start counts bytes (RFC 3465) with at most eight segments of growth per ACK, because a
 * receiver that merges packets acknowledges many at once, and ends early by HyStart++: when the
 * smallest RTT of a round exceeds that of the last one, growth falls to a quarter, and after five
 * such rounds the window is good.
 *
 * Standards: RFC 5681, 6928, 9406.
 */
#include "dataplane/tcp/tcp_cc.h"

#include "dataplane/tcp/tcp_seq.h"

#define GROWTH_SEGMENTS_MAX 8u
/* RFC 9406 4.3 */
#define HYSTART_RTT_THRESH_MIN_US 4000u
#define HYSTART_RTT_THRESH_MAX_US 16000u
#define HYSTART_RTT_DIVISOR 8u
#define HYSTART_SAMPLES 8u
#define HYSTART_CSS_DIVISOR 4u
#define HYSTART_CSS_ROUNDS 5u

uint32_t tcp_cc_initial_window(uint32_t mss)
{
	uint32_t cap = 2 * mss > 14600 ? 2 * mss : 14600;

	return 10 * mss < cap ? 10 * mss : cap;
}

static void hystart_restart(struct tcp_cc *cc)
{
	cc->hystart = (struct tcp_hystart){.rtt_us = UINT32_MAX, .last_rtt_us = UINT32_MAX};
}

void tcp_cc_init(struct tcp_cc *cc, const struct tcp_cc_ops *ops, uint32_t mss)
{
	*cc = (struct tcp_cc){
		.ops = ops,
		.cwnd = tcp_cc_initial_window(mss),
		.ssthresh = TCP_CC_SSTHRESH_INF,
		.mss = mss,
	};
	hystart_restart(cc);
}

void tcp_cc_set_mss(struct tcp_cc *cc, uint32_t mss)
{
	cc->mss = mss;
	if (cc->cwnd < mss)
		cc->cwnd = mss;
}

/* RFC 9406 4.2: at the end of a round the minima move on. */
static void hystart_round(struct tcp_cc *cc, const struct tcp_cc_ack *a)
{
	struct tcp_hystart *h = &cc->hystart;

	if (h->started && seq_lt(a->una, h->round_end))
		return;
	if (h->started && h->css && ++h->css_rounds >= HYSTART_CSS_ROUNDS)
		cc->ssthresh = cc->cwnd;
	h->started = true;
	h->round_end = a->nxt;
	h->last_rtt_us = h->rtt_us;
	h->rtt_us = UINT32_MAX;
	h->samples = 0;
}

static void hystart_sample(struct tcp_cc *cc, const struct tcp_cc_ack *a)
{
	struct tcp_hystart *h = &cc->hystart;
	uint32_t thresh;

	if (a->rtt_us == 0)
		return;
	if (a->rtt_us < h->rtt_us)
		h->rtt_us = a->rtt_us;
	if (h->samples < HYSTART_SAMPLES)
		h->samples++;
	if (h->samples < HYSTART_SAMPLES || h->last_rtt_us == UINT32_MAX)
		return;
	if (h->css) {
		/* the growth was an accident: back to standard slow start */
		if (h->rtt_us < h->baseline_us)
			h->css = false;
		return;
	}
	thresh = h->last_rtt_us / HYSTART_RTT_DIVISOR;
	if (thresh < HYSTART_RTT_THRESH_MIN_US)
		thresh = HYSTART_RTT_THRESH_MIN_US;
	if (thresh > HYSTART_RTT_THRESH_MAX_US)
		thresh = HYSTART_RTT_THRESH_MAX_US;
	if (h->rtt_us >= h->last_rtt_us + thresh) {
		h->baseline_us = h->rtt_us;
		h->css = true;
		h->css_rounds = 0;
	}
}

/* Returns the bytes left over once ssthresh is reached. */
static uint32_t slow_start(struct tcp_cc *cc, const struct tcp_cc_ack *a)
{
	uint32_t cap = GROWTH_SEGMENTS_MAX * cc->mss;
	uint32_t grow = a->bytes < cap ? a->bytes : cap, room;

	/* RFC 9406 is about the first slow start; later ones end at a known ssthresh */
	if (cc->ssthresh == TCP_CC_SSTHRESH_INF) {
		hystart_round(cc, a);
		hystart_sample(cc, a);
		if (cc->hystart.css)
			grow /= HYSTART_CSS_DIVISOR;
	}
	room = cc->ssthresh > cc->cwnd ? cc->ssthresh - cc->cwnd : 0;
	if (grow <= room) {
		cc->cwnd += grow;
		return 0;
	}
	cc->cwnd += room;
	return a->bytes > room ? a->bytes - room : 0;
}

void tcp_cc_on_ack(struct tcp_cc *cc, const struct tcp_cc_ack *a)
{
	struct tcp_cc_ack rest = *a;

	if (cc->cwnd < cc->ssthresh) {
		rest.bytes = slow_start(cc, a);
		if (rest.bytes == 0)
			return;
	}
	cc->ops->on_ack(cc, &rest);
	if (cc->cwnd > TCP_CC_CWND_MAX)
		cc->cwnd = TCP_CC_CWND_MAX;
}

void tcp_cc_on_loss(struct tcp_cc *cc)
{
	uint32_t ssthresh = cc->ops->on_loss(cc);

	/* RFC 5681 3.1 (4): never below two segments */
	cc->ssthresh = ssthresh > 2 * cc->mss ? ssthresh : 2 * cc->mss;
}

void tcp_cc_on_idle(struct tcp_cc *cc)
{
	uint32_t iw = tcp_cc_initial_window(cc->mss);

	/* RFC 5681 4.1: RW = min(IW, cwnd) */
	if (cc->cwnd > iw)
		cc->cwnd = iw;
	/*
	 * What was learnt about the path is as old as the pause. A new connection in the place of
	 * this one would find the path's limit by slow start, and so does this one; a low ssthresh
	 * of an hour ago would make a pooled connection slower than a fresh one.
	 */
	cc->ssthresh = TCP_CC_SSTHRESH_INF;
	hystart_restart(cc);
	cc->ops->on_idle(cc);
}
