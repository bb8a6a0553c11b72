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
	uint32_t ts_recent;
	uint32_t until_ms; /* low 32 bits of the clock */
	uint16_t wnd;	   /* field of the ACKs we send */
	bool ts_on, in_use;
};
_Static_assert(sizeof(struct tcp_timewait_record) == 32, "TIME_WAIT is cheap");

struct tcp_timewait {
	struct tcp_timewait_record *r; /* owned: a ring */
	uint32_t max;
	uint32_t used; /* records in use */
	uint32_t head; /* the oldest one, in use unless <span> is 0 */
	uint32_t span; /* slots from <head> to the youngest, released ones among them included */
};

bool tcp_timewait_init(struct tcp_timewait *w, uint32_t max);
void tcp_timewait_fini(struct tcp_timewait *w);
/* The first to expire, TCP_TIMEWAIT_NONE when there is none. */
static inline uint32_t tcp_timewait_oldest(const struct tcp_timewait *w)
{
	return w->span > 0 ? w->head : TCP_TIMEWAIT_NONE;
}
/* The last to expire. TCP_TIMEWAIT_NONE when the ring is full: release the oldest first. */
uint32_t tcp_timewait_alloc(struct tcp_timewait *w);
void tcp_timewait_release(struct tcp_timewait *w, uint32_t i);
