// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_reasm.c: the out-of-order queue and the SACK blocks that describe it.
 *
 * The queue is a sorted list of disjoint mbufs. The first copy of a byte wins: of a segment that
 * overlaps what is held only the rest is kept, and where it covers a held mbuf whole it takes over
 * that mbuf's bytes, so that one arrival never needs a second mbuf. Memory is bounded by the
 * caller's budget, work by TCP_REASM_STEPS_MAX.
 *
 * SACK blocks are not derived from the queue but kept beside it, newest first (RFC 2018 4): an
 * arrival unites with the blocks it touches. A block pushed out by newer ones is forgotten, its
 * bytes are not; what is reported is always held, and nothing reported is ever thrown away.
 *
 * Standards: RFC 9293 3.10.7.4 (seventh), RFC 2018, RFC 2883.
 */
#include "dataplane/tcp/tcp_reasm.h"

#include "dataplane/tcp/tcp_seq.h"

void tcp_reasm_init(struct tcp_reasm *r)
{
	*r = (struct tcp_reasm){.sack_count = 0};
}

uint32_t tcp_reasm_fini(struct tcp_reasm *r)
{
	uint32_t charge = mbufq_free(&r->q);

	tcp_reasm_init(r);
	return charge;
}

static uint32_t mbuf_end(const struct rte_mbuf *m)
{
	return pkt_of((struct rte_mbuf *)(uintptr_t)m)->seq + m->data_len;
}

static bool is_writable(const struct rte_mbuf *m)
{
	return RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1;
}

bool tcp_reasm_merge(struct rte_mbuf *to, struct rte_mbuf *m)
{
	if (to == NULL || !is_writable(to) || rte_pktmbuf_tailroom(to) < m->data_len)
		return false;
	memcpy(rte_pktmbuf_append(to, m->data_len), rte_pktmbuf_mtod(m, const void *), m->data_len);
	pkt_sum_forget(to);
	rte_pktmbuf_free(m);
	return true;
}

/*
 * SACK blocks.
 */

static void block_remove(struct tcp_reasm *r, unsigned i)
{
	r->sack_count--;
	memmove(&r->sack[i], &r->sack[i + 1], (r->sack_count - i) * sizeof(r->sack[0]));
}

/* [start, end) has just arrived: its block is the newest. */
static void block_add(struct tcp_reasm *r, uint32_t start, uint32_t end)
{
	for (unsigned i = 0; i < r->sack_count;) {
		struct tcp_sack_block *b = &r->sack[i];

		if (seq_lt(b->end, start) || seq_gt(b->start, end)) {
			i++;
			continue;
		}
		start = seq_min(start, b->start);
		end = seq_max(end, b->end);
		block_remove(r, i);
	}
	if (r->sack_count == TCP_SACK_BLOCKS_MAX)
		r->sack_count--;
	memmove(&r->sack[1], &r->sack[0], r->sack_count * sizeof(r->sack[0]));
	r->sack[0] = (struct tcp_sack_block){start, end};
	r->sack_count++;
}

unsigned tcp_reasm_blocks(struct tcp_reasm *r, uint32_t nxt, struct tcp_sack_block *ret,
	unsigned max)
{
	unsigned n = 0;

	if (r->dsack.start != r->dsack.end && n < max) {
		ret[n++] = r->dsack;
		r->dsack.end = r->dsack.start;
	}
	for (unsigned i = 0; i < r->sack_count && n < max; i++)
		if (seq_gt(r->sack[i].start, nxt))
			ret[n++] = r->sack[i];
	return n;
}

/*
 * Storing.
 */

/* The last mbuf that begins at or before <seq>; *ret_found is false when the walk was too long. */
static struct rte_mbuf *find_before(const struct tcp_reasm *r, uint32_t seq, bool *ret_found)
{
	struct rte_mbuf *prev = NULL, *m = r->q.head;

	*ret_found = true;
	if (r->q.tail != NULL && seq_le(pkt_of(r->q.tail)->seq, seq))
		return r->q.tail; /* the usual case: behind all others */
	for (unsigned steps = 0; m != NULL && seq_le(pkt_of(m)->seq, seq); steps++) {
		if (steps == TCP_REASM_STEPS_MAX) {
			*ret_found = false;
			return NULL;
		}
		prev = m;
		m = pkt_of(m)->next;
	}
	return prev;
}

static struct rte_mbuf *next_of(const struct tcp_reasm *r, struct rte_mbuf *prev)
{
	return prev != NULL ? pkt_of(prev)->next : r->q.head;
}

static void insert_after(struct tcp_reasm *r, struct rte_mbuf *prev, struct rte_mbuf *m)
{
	pkt_of(m)->next = next_of(r, prev);
	if (prev != NULL)
		pkt_of(prev)->next = m;
	else
		r->q.head = m;
	if (pkt_of(m)->next == NULL)
		r->q.tail = m;
	r->q.bytes += m->data_len;
	r->q.count++;
}

static struct rte_mbuf *remove_after(struct tcp_reasm *r, struct rte_mbuf *prev)
{
	struct rte_mbuf *m = next_of(r, prev);

	if (prev != NULL)
		pkt_of(prev)->next = pkt_of(m)->next;
	else
		r->q.head = pkt_of(m)->next;
	if (r->q.tail == m)
		r->q.tail = prev;
	r->q.bytes -= m->data_len;
	r->q.count--;
	return m;
}

/*
 * <m> yields to the mbufs it overlaps: it takes over the bytes of each one it covers (a shared <m>
 * cannot, and ends before it), and ends before one that reaches further. Returns the end of what is
 * held from <m>'s begin on.
 */
static uint32_t yield_to_followers(struct tcp_reasm *r, struct rte_mbuf *prev, struct rte_mbuf *m,
	uint32_t *ret_charge)
{
	uint32_t end = mbuf_end(m);
	struct rte_mbuf *f;

	while ((f = next_of(r, prev)) != NULL && seq_lt(pkt_of(f)->seq, end)) {
		uint32_t off = pkt_of(f)->seq - pkt_of(m)->seq;

		if (r->dsack.start == r->dsack.end)
			tcp_reasm_note_dsack(r, pkt_of(f)->seq, seq_min(mbuf_end(f), end));
		if (seq_gt(mbuf_end(f), end) || !is_writable(m)) {
			rte_pktmbuf_trim(m, (uint16_t)(m->data_len - off));
			return mbuf_end(f);
		}
		memcpy(rte_pktmbuf_mtod_offset(m, char *, off), rte_pktmbuf_mtod(f, const char *),
			f->data_len);
		pkt_sum_forget(m);
		remove_after(r, prev);
		*ret_charge += pkt_of(f)->charge;
		rte_pktmbuf_free(f);
	}
	return end;
}

/* *end is the end of the run of held bytes that <m> begins. */
static enum tcp_reasm_result store(struct tcp_reasm *r, struct rte_mbuf *prev, struct rte_mbuf *m,
	bool may_store, uint32_t *end, uint32_t *ret_charge)
{
	struct rte_mbuf *f = next_of(r, prev);
	bool touches = prev != NULL && mbuf_end(prev) == pkt_of(m)->seq;
	bool clear = f == NULL || seq_ge(pkt_of(f)->seq, mbuf_end(m));
	uint32_t len = m->data_len;

	if (clear && touches && (len <= TCP_MERGE_MAX || !may_store) && tcp_reasm_merge(prev, m)) {
		r->q.bytes += len;
		return TCP_REASM_MERGED;
	}
	if (!may_store) {
		rte_pktmbuf_free(m);
		return TCP_REASM_FULL;
	}
	*end = yield_to_followers(r, prev, m, ret_charge);
	insert_after(r, prev, m);
	return TCP_REASM_STORED;
}

/* How far the bytes from inside <prev> on are held: by it, and <end> by what touches it. */
static uint32_t held_until(const struct rte_mbuf *prev, const struct rte_mbuf *f, uint32_t end)
{
	uint32_t have = seq_min(mbuf_end(prev), end);
	bool touches = f != NULL && pkt_of((struct rte_mbuf *)(uintptr_t)f)->seq == have;

	return touches && seq_ge(mbuf_end(f), end) ? end : have;
}

enum tcp_reasm_result tcp_reasm_add(struct tcp_reasm *r, uint32_t seq, struct rte_mbuf *m,
	bool may_store, uint32_t *ret_charge)
{
	uint32_t end = seq + m->data_len;
	enum tcp_reasm_result result;
	struct rte_mbuf *prev;
	bool found;

	prev = find_before(r, seq, &found);
	if (!found) {
		rte_pktmbuf_free(m);
		return TCP_REASM_FULL;
	}
	pkt_of(m)->seq = seq;
	if (prev != NULL && seq_gt(mbuf_end(prev), seq)) {
		uint32_t old = held_until(prev, next_of(r, prev), end) - seq;

		tcp_reasm_note_dsack(r, seq, seq + old);
		if (seq + old == end) {
			rte_pktmbuf_free(m);
			block_add(r, seq, end);
			return TCP_REASM_DUPLICATE;
		}
		rte_pktmbuf_adj(m, (uint16_t)old);
		pkt_of(m)->seq += old;
	}
	result = store(r, prev, m, may_store, &end, ret_charge);
	if (result != TCP_REASM_FULL)
		block_add(r, seq, end);
	return result;
}

uint32_t tcp_reasm_take(struct tcp_reasm *r, uint32_t *nxt, struct mbufq *dst, uint32_t *ret_charge)
{
	uint32_t bytes = 0;

	while (r->q.head != NULL && seq_le(pkt_of(r->q.head)->seq, *nxt)) {
		struct rte_mbuf *m = mbufq_pop(&r->q);
		uint32_t old = *nxt - pkt_of(m)->seq;

		if (old >= m->data_len) {
			*ret_charge += pkt_of(m)->charge;
			rte_pktmbuf_free(m);
			continue;
		}
		rte_pktmbuf_adj(m, (uint16_t)old);
		pkt_of(m)->seq = *nxt;
		*nxt += m->data_len;
		bytes += m->data_len;
		mbufq_push(dst, m);
	}
	for (unsigned i = 0; i < r->sack_count;) {
		if (seq_le(r->sack[i].end, *nxt))
			block_remove(r, i);
		else
			i++;
	}
	return bytes;
}
