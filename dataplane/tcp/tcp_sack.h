// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_sack.h: the scoreboard: where every byte between SND.UNA and SND.NXT stands.
 *
 * The scoreboard is pure: it knows sequence numbers and times it is given, nothing else. See the
 * essay in tcp_sack.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TCP_SACK_SMALL 6      /* ranges inside the connection: enough while nothing is lost */
#define TCP_SACK_LARGE 128    /* ranges in a borrowed block: 60 holes and their history */
#define TCP_SACK_BLOCKS_MAX 4 /* blocks in one option, RFC 2018 3 */

enum tcp_range_state {
	TCP_RANGE_FLIGHT = 0, /* sent, nothing heard: it counts as being in the network */
	TCP_RANGE_SACKED,     /* the receiver holds it */
	TCP_RANGE_LOST,	      /* believed lost, not sent again yet */
	TCP_RANGE_STATE_COUNT
};

/* A run of bytes with one history. It begins where its predecessor ends. */
struct tcp_range {
	uint32_t end;	   /* first sequence number after it */
	uint32_t sent_us;  /* latest transmission of any of its bytes, low 32 bits */
	uint32_t first_us; /* earliest one: the range was sent between the two */
	uint8_t state;	   /* enum tcp_range_state */
	bool rtx;	   /* some byte was sent more than once */
};

struct tcp_sack {
	struct tcp_range *r; /* <small>, or a block borrowed by tcp_sack_grow() */
	uint16_t n, max;
	uint32_t una, nxt; /* r[0..n) covers [una, nxt) without a gap */
	uint32_t fack;	   /* end of the highest byte ever acknowledged, in either way */
	uint32_t bytes[TCP_RANGE_STATE_COUNT]; /* per state; their sum is nxt - una */
	struct tcp_range small[TCP_SACK_SMALL];
};

struct tcp_sack_block {
	uint32_t start, end;
};

/* The last transmission of something that has now arrived. */
struct tcp_arrival {
	bool valid;
	uint32_t sent_us, end;
};

/* What one ACK, with all its blocks, told us. Zeroed by the caller, filled by the calls below. */
struct tcp_delivery {
	uint32_t bytes;		      /* that left the network by it */
	struct tcp_arrival newest[2]; /* most recently sent: [0] of those sent once, [1] of rtx */
	bool has_rtt;	      /* a range sent once was acknowledged: Karn's algorithm allows it */
	uint32_t rtt_sent_us; /* its earliest transmission */
	bool reordered;	      /* it was sent once and is below something that arrived before */
	bool rtx_acked;	      /* some of the bytes had been retransmitted */
};

/* Lifecycle. <una> is the first byte that will be sent. */
void tcp_sack_init(struct tcp_sack *s, uint32_t una);
/* Forgets all history and starts anew at <una>, keeping the storage. */
void tcp_sack_reset(struct tcp_sack *s, uint32_t una);
/* True when a borrowed block would save history. */
static inline bool tcp_sack_is_tight(const struct tcp_sack *s)
{
	return s->r == s->small && s->n + 3 > s->max;
}
/* Moves to <block> of TCP_SACK_LARGE ranges (borrowed until tcp_sack_shrink()). */
void tcp_sack_grow(struct tcp_sack *s, struct tcp_range *block);
/* Moves home again and returns the block; NULL when none was borrowed. */
struct tcp_range *tcp_sack_shrink(struct tcp_sack *s);

/* Told by tcp_output.c. */
/* <len> new bytes at <nxt>; sends closer together than <quantum_us> share one range. */
void tcp_sack_sent(struct tcp_sack *s, uint32_t len, uint32_t now_us, uint32_t quantum_us);
/* [start, start + len) was sent again. */
void tcp_sack_resent(struct tcp_sack *s, uint32_t start, uint32_t len, uint32_t now_us);

/* Told by tcp_ack.c, for one ACK in this order. */
void tcp_sack_ack(struct tcp_sack *s, uint32_t ack, struct tcp_delivery *d);
/* False when the block is nonsense or older than the cumulative acknowledgement. */
bool tcp_sack_block(struct tcp_sack *s, struct tcp_sack_block b, struct tcp_delivery *d);
/* Is the first of <n> blocks a duplicate report (RFC 2883 4)? */
bool tcp_sack_is_dsack(const struct tcp_sack_block *b, unsigned n, uint32_t ack);

/*
 * True when nothing is SACKED, lost or sent twice: what an ACK covers then arrived in the order it
 * was sent, and tcp_sack_ack_plain() says so for less than tcp_sack_ack().
 */
static inline bool tcp_sack_is_plain(const struct tcp_sack *s)
{
	bool rtx = false;

	if (s->bytes[TCP_RANGE_FLIGHT] != s->nxt - s->una || s->fack != s->una)
		return false;
	for (unsigned i = 0; i < s->n; i++)
		rtx |= s->r[i].rtx;
	return !rtx;
}
/* <ack> is in (una, nxt]. */
void tcp_sack_ack_plain(struct tcp_sack *s, uint32_t ack, struct tcp_delivery *d);

/* Verdicts: all return the number of bytes that changed. */
uint32_t tcp_sack_lose(struct tcp_sack *s, uint32_t start, uint32_t len);
uint32_t tcp_sack_lose_range(struct tcp_sack *s, unsigned i);
uint32_t tcp_sack_lose_all(struct tcp_sack *s);
/* They were not lost after all: LOST becomes FLIGHT. */
uint32_t tcp_sack_unlose(struct tcp_sack *s);
/* The receiver threw away what it had reported (RFC 2018 8): SACKED becomes LOST. */
uint32_t tcp_sack_renege(struct tcp_sack *s);

/* Questions. */
/* RFC 6675 pipe: bytes believed to be in the network. */
static inline uint32_t tcp_sack_pipe(const struct tcp_sack *s)
{
	return s->bytes[TCP_RANGE_FLIGHT];
}
static inline uint32_t tcp_sack_outstanding(const struct tcp_sack *s)
{
	return s->nxt - s->una;
}
static inline uint32_t tcp_range_start(const struct tcp_sack *s, unsigned i)
{
	return i == 0 ? s->una : s->r[i - 1].end;
}
/* RFC 6675 NextSeg (1): the lowest lost bytes; false when there are none. */
bool tcp_sack_next_lost(const struct tcp_sack *s, uint32_t *ret_start, uint32_t *ret_len);
/* RFC 6675 IsLost of the first byte: enough was SACKed above it. */
bool tcp_sack_head_is_lost(const struct tcp_sack *s, uint32_t mss, unsigned dupthresh);
/* The first byte is SACKED although it is not acknowledged: only a reneging receiver does that. */
bool tcp_sack_head_is_sacked(const struct tcp_sack *s);
/* The last bytes, at most <max>, not SACKED and of one history (RFC 8985 7.3). */
bool tcp_sack_tail(const struct tcp_sack *s, uint32_t max, uint32_t *ret_start, uint32_t *ret_len);
/* Every invariant; for tests and debug builds. */
bool tcp_sack_is_sound(const struct tcp_sack *s);
