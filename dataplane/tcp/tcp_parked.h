// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_parked.h: what is kept of a connection on which nothing happens. Pure store.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/tcp/tcp.h"
#include "dataplane/tcp/tcp_rtt.h"

#define TCP_PARKED_NONE UINT32_MAX

/* Everything else of struct tcp_conn has its initial value, or follows from what is here. */
struct tcp_parked_record {
	struct tcp_flow flow;
	uint32_t prev, next; /* in order of expiry; <next>: of free ones too */
	uint32_t until_ms;   /* low 32 bits of the clock */
	uint64_t hash;
	struct tcp_note note;
	uint64_t ts_recent_us;
	uint64_t bytes_in, bytes_out;
	uint32_t rcv_nxt, rcv_adv, last_ack_sent, ts_recent;
	uint32_t snd_nxt, snd_wnd, snd_wnd_max, snd_wl1, snd_wl2;
	uint32_t cwnd, ssthresh;
	uint32_t bind;
	uint32_t retransmits, retransmits_spurious;
	struct tcp_rtt rtt;
	uint16_t mss_peer, mtu, rcv_mss;
	uint8_t rcv_wscale, snd_wscale;
	uint8_t quick_acks, dupthresh;
	bool ts_on, sack_on, counted, in_use;
};
_Static_assert(sizeof(struct tcp_parked_record) <= 216, "parking saves memory");

struct tcp_parked {
	struct tcp_parked_record *r; /* owned */
	uint32_t max, touched, used;
	uint32_t head, tail; /* first to expire, last */
	uint32_t free;	     /* by next */
};

/* False: no memory. */
bool tcp_parked_init(struct tcp_parked *p, uint32_t max);
void tcp_parked_fini(struct tcp_parked *p);
/* The last to expire, to be filled by the caller; TCP_PARKED_NONE when all are in use. */
uint32_t tcp_parked_alloc(struct tcp_parked *p);
void tcp_parked_release(struct tcp_parked *p, uint32_t i);
