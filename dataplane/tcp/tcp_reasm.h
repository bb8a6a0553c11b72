// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_reasm.h: segments that came before their turn, and what to tell the sender about them.
 *
 * Pure on mbuf queues: mbufs carry their first sequence number in pkt.seq.
 */
#pragma once

#include "dataplane/port/mbufq.h"
#include "dataplane/tcp/tcp_sack.h"

#define TCP_REASM_STEPS_MAX 2048 /* neighbours visited to find a segment's place */
#define TCP_MERGE_MAX 256	 /* payloads up to this are copied behind others where they fit */

struct tcp_reasm {
	struct mbufq q;		     /* owned; sorted by pkt.seq, disjoint */
	struct tcp_sack_block dsack; /* a duplicate to report once; empty when start == end */
	uint8_t sack_count;
	struct tcp_sack_block sack[TCP_SACK_BLOCKS_MAX]; /* newest first, each inside q's bytes */
};

enum tcp_reasm_result {
	TCP_REASM_STORED,    /* <m> is in the queue */
	TCP_REASM_MERGED,    /* its bytes were copied behind others; <m> was freed */
	TCP_REASM_DUPLICATE, /* nothing new; <m> was freed */
	TCP_REASM_FULL,	     /* <may_store> was false, or too many pieces; <m> was freed */
};

void tcp_reasm_init(struct tcp_reasm *r);
/* Frees everything; returns the charges. */
uint32_t tcp_reasm_fini(struct tcp_reasm *r);
/*
 * Takes <m>, whose bytes begin at <seq>, beyond what is in order. What the queue already holds
 * stays as it is: the first copy of a byte wins. <may_store> says whether the budget allows one
 * more mbuf to be kept; merging into tailroom is always allowed. The duplicate part is noted.
 */
enum tcp_reasm_result tcp_reasm_add(struct tcp_reasm *r, uint32_t seq, struct rte_mbuf *m,
	bool may_store, uint32_t *ret_charge);
/*
 * Moves what has become in order at *<nxt> to the end of <dst>, advancing *<nxt>; returns the
 * bytes. Charges of mbufs that turn out to be wholly old are added to *<ret_charge>.
 */
uint32_t tcp_reasm_take(struct tcp_reasm *r, uint32_t *nxt, struct mbufq *dst,
	uint32_t *ret_charge);
/* Bytes [start, end) came again: RFC 2883 wants to hear of it, once. */
static inline void tcp_reasm_note_dsack(struct tcp_reasm *r, uint32_t start, uint32_t end)
{
	r->dsack = (struct tcp_sack_block){start, end};
}
static inline bool tcp_reasm_has_blocks(const struct tcp_reasm *r)
{
	return r->sack_count > 0 || r->dsack.start != r->dsack.end;
}
/* Fills up to <max> blocks, a duplicate first, for an ACK of <nxt>; takes the duplicate. */
unsigned tcp_reasm_blocks(struct tcp_reasm *r, uint32_t nxt, struct tcp_sack_block *ret,
	unsigned max);
/* Copies <m>'s bytes behind those of <to> when they fit and <to> is unshared; frees <m> then. */
bool tcp_reasm_merge(struct rte_mbuf *to, struct rte_mbuf *m);
