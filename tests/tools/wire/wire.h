// SPDX-License-Identifier: Apache-2.0
/*
 * wire.h: the parts of the seeded wire: what happens to a packet (wire_queue), and what TCP was
 * seen to send twice (wire_flow). Times are microseconds of CLOCK_MONOTONIC.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/rng.h"

#define WIRE_FRAME_MAX 2048
#define WIRE_SLOTS 8192 /* packets inside one direction, in the queue and in flight */

struct wire_profile {
	double loss, reorder, dup, corrupt; /* probability per TCP packet, 0..1 */
	unsigned reorder_by_max;	    /* held back behind 1..max later packets */
	uint64_t delay_us;		    /* propagation, each way */
	uint64_t rate_bps;		    /* 0: no limit */
	unsigned queue_max;		    /* packets waiting for the line; more are dropped */
};

struct wire_stats {
	uint64_t packets, bytes, lost, duplicated, reordered, corrupted, queue_drops, oversize;
	uint64_t data_segments; /* TCP segments with payload that came in */
	uint64_t again;		/* of them: every byte had already been delivered intact */
};

struct wire_packet {
	uint64_t arrive_us; /* when it leaves the far end */
	uint16_t len;
	uint8_t data[WIRE_FRAME_MAX];
};

/* One direction: a line with a queue in front and a propagation delay behind. */
struct wire_queue {
	struct wire_profile prof;
	struct rng rng;
	uint64_t line_free_us;	  /* when the line has sent what it holds */
	uint32_t head, tail;	  /* ring of slots, in order of arrival at the far end */
	struct wire_packet *slot; /* owned, WIRE_SLOTS */
	struct wire_packet held;  /* a packet that waits for <held_behind> later ones */
	unsigned held_behind;	  /* 0: nothing held */
	uint64_t held_until_us;	  /* released then even without later packets */
	struct wire_stats stats;
};

void wire_queue_init(struct wire_queue *q, const struct wire_profile *prof, uint64_t seed);
void wire_queue_fini(struct wire_queue *q);
/*
 * A frame arrives at the near end. <impair>: false for frames that are only delayed (not TCP).
 * *ret_intact tells whether it will arrive, unharmed, at least once.
 */
void wire_queue_put(struct wire_queue *q, const uint8_t *frame, uint16_t len, uint16_t l4_off,
	bool impair, uint64_t now_us, bool *ret_intact);
/* Next frame due at <now_us>, or NULL; valid until the next call. */
const struct wire_packet *wire_queue_get(struct wire_queue *q, uint64_t now_us);
/* When the next frame is due; UINT64_MAX when empty. */
uint64_t wire_queue_next_us(const struct wire_queue *q);

#define WIRE_FLOWS 64
#define WIRE_RANGES 512

/* Bytes of one TCP flow and direction that were delivered intact, as sorted disjoint ranges. */
struct wire_flow {
	uint8_t key[36];
	uint32_t isn;
	unsigned count;
	struct {
		uint32_t from, to; /* relative to isn */
	} range[WIRE_RANGES];
};

struct wire_flows {
	unsigned count, next;
	struct wire_flow flow[WIRE_FLOWS];
};

struct wire_segment {
	uint8_t key[36];   /* addresses (v4 in the last 4 of 16 bytes) and ports */
	uint32_t seq, len; /* payload bytes */
	bool syn;
	uint16_t l4_off;
};

/* Reads a frame; false when it is not an unfragmented TCP packet. */
bool wire_segment_parse(const uint8_t *frame, uint16_t len, struct wire_segment *ret);
/* True when all payload was delivered intact before; then notes it if <intact>. */
bool wire_flows_note(struct wire_flows *f, const struct wire_segment *s, bool intact);
