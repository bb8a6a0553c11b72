// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_timewait.h: what is remembered of a finished connection (RFC 9293 3.6.1). Pure store.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TCP_TIMEWAIT_NONE UINT32_MAX

struct tcp_timewait_record {
	uint64_t hash; /* keyed, of the 4-tuple: with the ports it stands for the flow */
	uint16_t local_port, remote_port;
	uint32_t snd_nxt, rcv_nxt;
	uint32_t ts_recent, ts_offset;
	uint32_t entered_ms, until_ms; /* low 32 bits of the clock */
	uint32_t prev, next;	       /* in order of expiry */
	uint16_t wnd;		       /* field of the ACKs we send */
	bool ts_on, in_use;
};
_Static_assert(sizeof(struct tcp_timewait_record) <= 56, "TIME_WAIT is cheap");

struct tcp_timewait {
	struct tcp_timewait_record *r; /* owned */
	uint32_t max, touched, used;
	uint32_t head, tail; /* first to expire, last */
	uint32_t free;	     /* by next */
};

bool tcp_timewait_init(struct tcp_timewait *w, uint32_t max);
void tcp_timewait_fini(struct tcp_timewait *w);
/* TCP_TIMEWAIT_NONE when all records are in use: release the head first. */
uint32_t tcp_timewait_alloc(struct tcp_timewait *w);
void tcp_timewait_release(struct tcp_timewait *w, uint32_t i);
/* Becomes the last one to expire, at <until_ms>. */
void tcp_timewait_restart(struct tcp_timewait *w, uint32_t i, uint32_t until_ms);
