// SPDX-License-Identifier: Apache-2.0
/*
 * gen_reasm.c: the sorted list behind a hole.
 */
#include "tests/bench/gen_reasm.h"

static bool before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

bool reasm_add(struct reasm *r, struct rte_mbuf *m, uint32_t seq, bool fin)
{
	struct rte_mbuf **at = &r->head;
	uint32_t end = seq + m->pkt_len;

	/* behind everything that starts earlier; among equals the longer one first */
	while (*at != NULL &&
		(before(held_of(*at)->seq, seq) ||
			(held_of(*at)->seq == seq && (*at)->pkt_len >= m->pkt_len))) {
		struct held *h = held_of(*at);

		if (!before(h->seq + (*at)->pkt_len, end) && (h->fin || !fin)) {
			rte_pktmbuf_free(m);
			return false;
		}
		at = &h->next;
	}
	if (r->count == REASM_MAX) {
		rte_pktmbuf_free(m);
		return false;
	}
	*held_of(m) = (struct held){*at, seq, fin};
	*at = m;
	r->count++;
	r->recent = seq;
	return true;
}

struct rte_mbuf *reasm_take(struct reasm *r, uint32_t nxt)
{
	struct rte_mbuf *m = r->head;

	if (m == NULL || before(nxt, held_of(m)->seq))
		return NULL;
	r->head = held_of(m)->next;
	r->count--;
	return m;
}

/* RFC 2018 4: the first block holds the segment that triggered this ACK. */
unsigned reasm_blocks(const struct reasm *r, struct reasm_block out[REASM_BLOCKS])
{
	struct reasm_block b = {0, 0};
	unsigned n = 1; /* out[0] is for the recent one */
	bool have = false;

	for (struct rte_mbuf *m = r->head; m != NULL;) {
		bool recent = false;

		b.start = b.end = held_of(m)->seq;
		for (; m != NULL && !before(b.end, held_of(m)->seq); m = held_of(m)->next) {
			uint32_t end = held_of(m)->seq + m->pkt_len;

			recent |= held_of(m)->seq == r->recent;
			if (before(b.end, end))
				b.end = end;
		}
		if (b.start == b.end)
			continue; /* a bare FIN */
		if (recent) {
			out[0] = b;
			have = true;
		} else if (n < REASM_BLOCKS) {
			out[n++] = b;
		}
		if (have && n == REASM_BLOCKS)
			break;
	}
	if (have)
		return n;
	for (unsigned i = 1; i < n; i++)
		out[i - 1] = out[i];
	return n - 1;
}

void reasm_free(struct reasm *r)
{
	while (r->head != NULL) {
		struct rte_mbuf *m = r->head;

		r->head = held_of(m)->next;
		rte_pktmbuf_free(m);
	}
	r->count = 0;
}
