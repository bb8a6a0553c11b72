// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_rtt.c: smoothed round-trip time, its variation, and the retransmission timeout.
 *
 * The formulae are RFC 6298's with alpha 1/8, beta 1/4, K 4 and a clock granularity of one
 * microsecond. Deviation: the floor is the configuration's (200 ms, not 1 s, RFC 6298 2.4), as in
 * every stack of today. The minimum is kept over one to two epochs of a minute, so that a longer
 * path is noticed.
 */
#include "dataplane/tcp/tcp_rtt.h"

#define RTT_EPOCH_US 60000000u
#define RTT_MAX_US 120000000u /* a sample above is an error of ours or of the peer's echo */
#define RTO_BACKOFF_MAX 16u

void tcp_rtt_init(struct tcp_rtt *r, uint32_t rto_us)
{
	*r = (struct tcp_rtt){.rto_us = rto_us};
}

static void note_min(struct tcp_rtt *r, uint32_t rtt_us, uint32_t now_us)
{
	if (r->min_us[0] == 0) {
		r->epoch_us = now_us;
		r->min_us[0] = rtt_us;
	} else if (now_us - r->epoch_us >= RTT_EPOCH_US) {
		r->epoch_us = now_us;
		r->min_us[1] = r->min_us[0];
		r->min_us[0] = rtt_us;
	} else if (rtt_us < r->min_us[0]) {
		r->min_us[0] = rtt_us;
	}
}

void tcp_rtt_sample(struct tcp_rtt *r, uint32_t rtt_us, uint32_t now_us,
	const struct tcp_rtt_limits *lim)
{
	uint32_t err, rto;

	if (rtt_us > RTT_MAX_US)
		return;
	if (rtt_us == 0)
		rtt_us = 1; /* 0 means "no sample" */
	note_min(r, rtt_us, now_us);
	if (r->srtt_us == 0) {
		/* RFC 6298 2.2: SRTT <- R, RTTVAR <- R/2 */
		r->srtt_us = rtt_us;
		r->rttvar_us = rtt_us / 2;
	} else {
		/* RFC 6298 2.3: RTTVAR first, with the old SRTT */
		err = rtt_us > r->srtt_us ? rtt_us - r->srtt_us : r->srtt_us - rtt_us;
		r->rttvar_us = r->rttvar_us - r->rttvar_us / 4 + err / 4;
		r->srtt_us = r->srtt_us - r->srtt_us / 8 + rtt_us / 8;
		if (r->srtt_us == 0)
			r->srtt_us = 1;
	}
	/* RFC 6298 2.3: RTO <- SRTT + max(G, K*RTTVAR); 2.4, 2.5: floor and ceiling */
	rto = r->srtt_us + (r->rttvar_us > 0 ? 4 * r->rttvar_us : 1);
	if (rto < lim->rto_min_us)
		rto = lim->rto_min_us;
	r->rto_us = rto < lim->rto_max_us ? rto : lim->rto_max_us;
	r->backoff = 0;
}

uint32_t tcp_rtt_timeout(const struct tcp_rtt *r, const struct tcp_rtt_limits *lim)
{
	uint64_t rto = (uint64_t)r->rto_us
		<< (r->backoff < RTO_BACKOFF_MAX ? r->backoff : RTO_BACKOFF_MAX);

	return rto < lim->rto_max_us ? (uint32_t)rto : lim->rto_max_us;
}
