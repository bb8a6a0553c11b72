// SPDX-License-Identifier: Apache-2.0
/*
 * sim_wire.c: the wire of the simulation: a line, a queue, a delay and everything that goes wrong.
 *
 * Packets under way sit in a heap ordered by arrival (then by number, so that a seed repeats).
 */
#include "tests/unit/tcp/sim_wire.h"

static bool earlier(const struct flying *a, const struct flying *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

static void heap_push(struct world *w, uint64_t at_us, struct rte_mbuf *m)
{
	unsigned i = w->flying++;
	struct flying f = {at_us, w->numbers++, m};

	bug_on(w->flying > HEAP_MAX);
	for (; i > 0 && earlier(&f, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = f;
}

struct rte_mbuf *wire_heap_pop(struct world *w)
{
	struct rte_mbuf *m = w->heap[0].m;
	struct flying f = w->heap[--w->flying];
	unsigned i = 0;

	for (;;) {
		unsigned k = 2 * i + 1;

		if (k >= w->flying)
			break;
		if (k + 1 < w->flying && earlier(&w->heap[k + 1], &w->heap[k]))
			k++;
		if (!earlier(&w->heap[k], &f))
			break;
		w->heap[i] = w->heap[k];
		i = k;
	}
	w->heap[i] = f;
	return m;
}

static bool chance(struct world *w, double p)
{
	return p > 0 && (double)(rng_u64(&w->rng) >> 11) / 9007199254740992.0 < p;
}

/* A copy in the receiver's pool, as its port would have put it there. */
static struct rte_mbuf *copy_for(struct world *w, unsigned to, const struct rte_mbuf *m,
	const struct pkt *p)
{
	struct rte_mbuf *n = rte_pktmbuf_alloc(w->pool[to]);
	uint32_t off = 0;

	if (n == NULL)
		return NULL;
	rte_pktmbuf_adj(n, 0);
	n->data_off += w->cfg.v6 ? 54 : 34; /* where Ethernet and IP headers were */
	for (; m != NULL; m = m->next) {
		memcpy(rte_pktmbuf_mtod_offset(n, char *, off), rte_pktmbuf_mtod(m, const char *),
			m->data_len);
		off += m->data_len;
	}
	n->data_len = (uint16_t)off;
	n->pkt_len = off;
	*pkt_of(n) = *p;
	pkt_of(n)->next = NULL;
	return n;
}

static void arrive(struct world *w, unsigned d, struct rte_mbuf *m, uint64_t at_us)
{
	pkt_of(m)->port = (uint8_t)(1 - d);
	heap_push(w, at_us, m);
}

/* The packet is through the queue and on the line; when it is not lost it arrives at <at_us>. */
static void cross(struct world *w, unsigned d, struct rte_mbuf *m, bool data, uint64_t at_us)
{
	struct direction *dir = &w->dir[d];

	if (chance(w, dir->wire.corrupt)) {
		uint64_t bit = rng_below(&w->rng, (uint64_t)m->data_len * 8);

		dir->stats.data_lost += data;
		rte_pktmbuf_mtod(m, uint8_t *)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	if (chance(w, dir->wire.dup)) {
		struct rte_mbuf *again = copy_for(w, 1 - d, m, pkt_of(m));

		dir->stats.duplicated++;
		if (again != NULL)
			arrive(w, d, again, at_us);
	}
	if (dir->held == NULL && chance(w, dir->wire.reorder)) {
		dir->stats.reordered++;
		dir->held = m;
		dir->held_for = 1 + (unsigned)rng_below(&w->rng, dir->wire.reorder_max);
		dir->held_until_us = at_us + HOLD_US;
		return;
	}
	arrive(w, d, m, at_us);
	if (dir->held != NULL && --dir->held_for == 0) {
		arrive(w, d, dir->held, at_us);
		dir->held = NULL;
	}
}

void wire_release_held(struct world *w)
{
	for (unsigned d = 0; d < 2; d++) {
		struct direction *dir = &w->dir[d];

		if (dir->held != NULL && dir->held_until_us <= w->now_us) {
			arrive(w, d, dir->held, w->now_us);
			dir->held = NULL;
		}
	}
}

/* Packets that wait for the line, or are on it. */
static unsigned backlog(struct direction *d, uint64_t now_ns)
{
	for (; d->queued > 0 && d->leaves_ns[d->first] <= now_ns; d->queued--)
		d->first = (d->first + 1) % QUEUE_MAX;
	return d->queued;
}

/* The packet takes its place in the queue; false when it is full. */
static bool enqueue(struct direction *d, uint64_t now_ns, uint64_t ns)
{
	if (ns == 0)
		return true;
	if (backlog(d, now_ns) >= (d->wire.queue ? d->wire.queue : QUEUE_MAX))
		return false;
	d->free_ns = RTE_MAX(d->free_ns, now_ns) + ns;
	d->leaves_ns[(d->first + d->queued++) % QUEUE_MAX] = d->free_ns;
	return true;
}

static bool has_payload(const struct rte_mbuf *m)
{
	const uint8_t *h = rte_pktmbuf_mtod(m, const uint8_t *);

	return m->pkt_len > (uint32_t)(h[12] >> 4) * 4;
}

void ip_output(struct net *n, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t proto, uint8_t ecn, struct net_dst *cache)
{
	struct world *w = n->w;
	struct direction *dir = &w->dir[n->side];
	uint32_t ip_len = m->pkt_len + (w->cfg.v6 ? 40 : 20);
	uint64_t ns = dir->wire.mbit ? (uint64_t)(ip_len + 38) * 8000 / dir->wire.mbit : 0;
	bool data = has_payload(m), lost;
	struct pkt p = {.src = *src, .dst = *dst, .proto = proto, .l4_len = (uint16_t)m->pkt_len};
	struct rte_mbuf *copy;

	rte_mbuf_sanity_check(m, 1);
	dir->stats.packets++;
	dir->stats.data_packets += data;
	lost = !enqueue(dir, w->now_us * 1000, ns);
	dir->stats.queue_drops += lost;
	if (!lost) {
		lost = chance(w, dir->wire.loss) ||
			(dir->wire.drop_above && ip_len > dir->wire.drop_above);
	}
	copy = lost ? NULL : copy_for(w, 1 - n->side, m, &p);
	dir->stats.data_lost += data && copy == NULL;
	rte_pktmbuf_free(m);
	if (copy != NULL)
		cross(w, n->side, copy, data,
			RTE_MAX(dir->free_ns / 1000, w->now_us) + dir->wire.delay_us);
}
