// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_rack.h: which ranges of the scoreboard are lost, by time (RFC 8985 RACK).
 *
 * Pure: all times are the low 32 bits of the microsecond clock, as in the scoreboard.
 */
#pragma once

#include "dataplane/tcp/tcp_sack.h"

struct tcp_rack {
	uint32_t sent_us, end; /* RACK.xmit_ts, RACK.end_seq: the latest sent that has arrived */
	uint32_t rtt_us;       /* RACK.rtt, of that one */
	uint32_t round_end;    /* RACK.dsack_round: SND.NXT at the last DSACK */
	uint8_t reo_mult;      /* RACK.reo_wnd_mult, 1 .. TCP_RACK_MULT_MAX */
	uint8_t reo_persist;   /* recoveries until reo_mult falls back to 1 */
	bool valid;	       /* anything has arrived yet */
	bool reordering;       /* RACK.reordering_seen */
	bool in_round;	       /* round_end is set */
};

struct tcp_rack_path {
	uint32_t srtt_us, min_rtt_us;
	uint32_t mss;
	bool recovering; /* in fast recovery or after a timeout */
};

#define TCP_RACK_MULT_MAX 40 /* times min_rtt / 4; SRTT bounds it anyway */
#define TCP_RACK_PERSIST 16  /* RFC 8985 6.2 step 4 */
#define TCP_DUPTHRESH 3	     /* RFC 5681 3.2 */

void tcp_rack_init(struct tcp_rack *k);
/*
 * RFC 8985 6.2 steps 2 and 3. <min_rtt_us> tells an acknowledgement of a retransmission from that
 * of the original; <echo_is_old> says that the timestamp echo is the original's.
 */
void tcp_rack_on_delivery(struct tcp_rack *k, const struct tcp_delivery *d, uint32_t now_us,
	uint32_t min_rtt_us, bool echo_is_old);
/* A retransmission of ours was needless (step 4). <nxt> is SND.NXT, <ack> the segment's ACK. */
void tcp_rack_on_dsack(struct tcp_rack *k, uint32_t nxt, uint32_t ack);
/* A recovery has ended. */
void tcp_rack_on_recovered(struct tcp_rack *k);
uint32_t tcp_rack_reo_wnd(const struct tcp_rack *k, const struct tcp_sack *s,
	const struct tcp_rack_path *p);
/*
 * RFC 8985 6.2 step 5: declares lost what was sent long enough before something that arrived.
 * Returns the bytes newly lost; *ret_wait_us is the time after which to look again, 0 for never.
 */
uint32_t tcp_rack_detect(const struct tcp_rack *k, struct tcp_sack *s,
	const struct tcp_rack_path *p, uint32_t now_us, uint32_t *ret_wait_us);
