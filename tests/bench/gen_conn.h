// SPDX-License-Identifier: Apache-2.0
/*
 * gen_conn.h: one end of a TCP connection, and the table of them.
 *
 * A connection is found by its key: the bytes of a segment of the peer's from the source address to
 * the destination port, which stand next to each other in a packet without IP options. Only one
 * message is ever on its way in each direction (a request, an answer), and it can be made anew from
 * a few numbers, so there is no send buffer: a retransmission writes the same bytes again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/list.h"
#include "dataplane/base/timer_wheel.h"
#include "tests/bench/gen_http.h"
#include "tests/bench/gen_reasm.h"

struct gen;

#define CONN_KEY_MAX 36

enum conn_state { /* RFC 9293 3.3.2 without LISTEN and CLOSED */
	CONN_FREE = 0,
	CONN_SYN_SENT,
	CONN_SYN_RECEIVED,
	CONN_ESTABLISHED,
	CONN_FIN_WAIT_1,
	CONN_FIN_WAIT_2,
	CONN_CLOSE_WAIT,
	CONN_CLOSING,
	CONN_LAST_ACK,
	CONN_TIME_WAIT
};

enum {
	CONN_BACKEND = 1 << 0,	  /* else a client's */
	CONN_TS = 1 << 1,	  /* timestamps agreed on */
	CONN_SACK = 1 << 2,	  /* the peer takes SACK blocks */
	CONN_FIN_QUEUED = 1 << 3, /* a FIN follows the message */
	CONN_PINGPONG = 1 << 4,	  /* we answered the peer quickly: ACKs may wait for our data */
	CONN_RECOVERY = 1 << 5,	  /* fast recovery until snd_una reaches <recover> */
	CONN_TIMED = 1 << 6,	  /* a round trip is being measured */
	CONN_ACK_NOW = 1 << 7,	  /* an ACK is owed by the end of this segment's handling */
};

enum { /* of a client's connection */
	CLIENT_CONNECTING = 0,
	CLIENT_IDLE,
	CLIENT_WAITING, /* for an answer */
	CLIENT_ENDING,	/* answer complete, FIN expected */
	CLIENT_GONE	/* the client has forgotten it, TCP closes it */
};

struct conn {
	/* line 0: finding it, and what every segment changes */
	uint8_t key[CONN_KEY_MAX];
	uint32_t next; /* in its bucket, or in the free list */
	uint32_t rcv_nxt, snd_una, snd_nxt;
	uint8_t state, flags, snd_scale, app;
	uint32_t ts_recent;
	/* line 1: sending */
	uint32_t snd_max; /* highest sequence number ever sent, plus one */
	uint32_t msg_seq, msg_len;
	uint32_t snd_wnd, snd_wnd_max;
	uint32_t cwnd, ssthresh, recover;
	uint32_t ack_sent; /* rcv_nxt of our last ACK */
	uint32_t rcv_ms;   /* when data came in last */
	uint32_t srtt_us, rttvar_us, rto_us;
	uint16_t mss, rcv_mss;
	uint8_t dupacks, backoff, quick, tries;
	uint32_t index;
	/* line 2 */
	uint32_t timed_seq;
	uint64_t timed_us;
	uint64_t rto_at, ack_at, app_at; /* us or TIMER_NEVER */
	struct timer timer;
	struct reasm later; /* segments behind a hole */
	/* the client's or backend's part */
	struct list link; /* idle list, or TIME_WAIT list */
	uint64_t intended_tsc;
	struct ask ask;
	bool closing, measured;
	union {
		struct check check;   /* client */
		struct answer answer; /* backend */
	};
	struct head_buffer *head; /* backend: a request in pieces */
};

struct conn_table {
	struct conn *conns;
	uint32_t *buckets; /* index + 1 of the first, 0: none */
	uint32_t mask, size;
	uint32_t free; /* index + 1 */
	uint32_t used, used_high;
	uint32_t fresh; /* conns[fresh..] were never used */
	struct list time_wait;
	uint32_t time_wait_count;
};

static inline struct conn *conn_at(const struct conn_table *t, uint32_t index)
{
	return &t->conns[index];
}

/* False: not enough memory. */
bool conn_table_init(struct conn_table *t, uint32_t size);
void conn_table_fini(struct conn_table *t);
uint32_t conn_hash(const struct gen *g, const uint8_t *key);
struct conn *conn_find(const struct gen *g, const uint8_t *key, uint32_t hash);
/* A connection with nothing but its key; ends the oldest TIME_WAIT when there is no other. */
struct conn *conn_new(struct gen *g, const uint8_t *key, uint32_t hash);
void conn_free(struct gen *g, struct conn *c);
void conn_time_wait(struct gen *g, struct conn *c);

/* Has the connection looked at no later than <at_us>. */
void conn_wake(struct gen *g, struct conn *c, uint64_t at_us);
