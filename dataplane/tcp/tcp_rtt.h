// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_rtt.h: round-trip times and the retransmission timeout made of them (RFC 6298).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct tcp_rtt {
	uint32_t srtt_us; /* 0: no sample yet */
	uint32_t rttvar_us;
	uint32_t rto_us;    /* without back-off */
	uint32_t min_us[2]; /* smallest sample of this and of the last epoch; 0: none */
	uint32_t epoch_us;  /* begin of this epoch, low 32 bits of the clock */
	uint8_t backoff;    /* expiries since the last good sample: rto doubles each time */
};

struct tcp_rtt_limits {
	uint32_t rto_min_us, rto_max_us;
};

/* RFC 6298 2.1: before the first sample RTO is <rto_us>. */
void tcp_rtt_init(struct tcp_rtt *r, uint32_t rto_us);
void tcp_rtt_sample(struct tcp_rtt *r, uint32_t rtt_us, uint32_t now_us,
	const struct tcp_rtt_limits *lim);
/* The path may have changed: the minimum is taken anew; RTO and what it is made of stay. */
static inline void tcp_rtt_forget_min(struct tcp_rtt *r)
{
	r->min_us[0] = r->min_us[1] = 0;
}
/* The timeout to arm now, back-off included. */
uint32_t tcp_rtt_timeout(const struct tcp_rtt *r, const struct tcp_rtt_limits *lim);
/* Smallest sample of the last one to two epochs; 0: none. */
static inline uint32_t tcp_rtt_min(const struct tcp_rtt *r)
{
	return r->min_us[1] != 0 && r->min_us[1] < r->min_us[0] ? r->min_us[1] : r->min_us[0];
}
