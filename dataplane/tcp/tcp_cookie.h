// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_cookie.h: SYN cookies: a half-open connection held by the peer instead of by us. Pure.
 */
#pragma once

#include "dataplane/base/hash.h"
#include "dataplane/tcp/tcp.h"

struct tcp_cookies {
	struct hash_key key[2]; /* secrets */
	uint64_t rotated_us;	/* when <current> became current */
	uint64_t issued_us;	/* last cookie made; 0: none yet */
	uint8_t current;	/* index of the key for new cookies */
};

/* What a cookie carries. */
struct tcp_cookie {
	uint16_t mss; /* rounded down to a value of the table */
	bool ts_on;   /* without timestamps the two below are lost */
	bool sack_on, ws_on;
	uint8_t wscale;
};

void tcp_cookies_init(struct tcp_cookies *k, struct rng *rng, uint64_t now_us);
/*
 * Makes the initial sequence number that answers the SYN <irs> of <f>. With timestamps the SYN-ACK
 * must carry the TSval that *tsval becomes: it is taken back by up to 63 ticks to hold options.
 */
uint32_t tcp_cookie_make(struct tcp_cookies *k, struct rng *rng, const struct tcp_flow *f,
	uint32_t irs, const struct tcp_cookie *c, uint64_t now_us, uint32_t *tsval);
/*
 * Is <iss> a cookie of ours for <f> and <irs>, not older than two rotations? <tsecr> is the echo
 * in the segment, when it <has_ts>. Fills *ret.
 */
bool tcp_cookie_check(struct tcp_cookies *k, struct rng *rng, const struct tcp_flow *f,
	uint32_t irs, uint32_t iss, bool has_ts, uint32_t tsecr, uint64_t now_us,
	struct tcp_cookie *ret);
/* May a cookie that was issued still come back? */
bool tcp_cookies_are_out(const struct tcp_cookies *k, uint64_t now_us);
