// SPDX-License-Identifier: Apache-2.0
/*
 * gen_reasm.h: segments that came before the ones in front of them.
 *
 * A list sorted by sequence number, overlaps allowed: the reader trims. What is kept is a packet
 * whose data starts at its first payload byte. Bounded; what does not fit is forgotten, which costs
 * a retransmission.
 * Standards: RFC 9293 3.10.7.4 (a segment beyond RCV.NXT should be held), RFC 2018 3-4.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#define REASM_MAX 1024 /* segments of one connection */
#define REASM_BLOCKS 3 /* SACK blocks that fit beside timestamps */

/* Private area of the generator's mbufs. */
struct held {
	struct rte_mbuf *next;
	uint32_t seq;
	bool fin;
};

struct reasm {
	struct rte_mbuf *head; /* owned */
	uint32_t count;
	uint32_t recent; /* sequence number of the segment that came last */
};

struct reasm_block {
	uint32_t start, end;
};

/* Takes <m>. False: it was forgotten, because the same or too much is held already. */
bool reasm_add(struct reasm *r, struct rte_mbuf *m, uint32_t seq, bool fin);
/* The first segment when it starts at or before <nxt>, now the caller's; else NULL. */
struct rte_mbuf *reasm_take(struct reasm *r, uint32_t nxt);
/* What is held, the block with the segment that came last first; how many. */
unsigned reasm_blocks(const struct reasm *r, struct reasm_block out[REASM_BLOCKS]);
void reasm_free(struct reasm *r);

static inline struct held *held_of(struct rte_mbuf *m)
{
	return rte_mbuf_to_priv(m);
}
