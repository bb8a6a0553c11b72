// SPDX-License-Identifier: Apache-2.0
/*
 * pick.c: which endpoint of a service gets the next request.
 *
 * Two candidates: the first by a rotation that spreads picks by weight as evenly as a fixed order
 * would (the fractional parts of n * golden ratio: any k picks in a row lie nearly equidistant on
 * the line of weights), the second at random. The less busy one of the two, requests in flight by
 * weight, gets it (Mitzenmacher 2001, "the power of two choices"); between equals the rotation
 * wins, so that an idle service sees a smooth round robin.
 *
 * Sets of more than PICK_WINDOW endpoints are looked at through a window of that size whose place
 * follows the rotation, so the cost of a pick is bounded; only when a window holds no usable
 * endpoint the next one is tried.
 *
 * Where the endpoints run in several clusters, the cluster is chosen first, by the same weighted
 * sequence that serves a rule's backends: its share is what the operator and the health of all of
 * them make it (agent/derive.c), exact over any window, and no latency of a far cluster moves it.
 * When the chosen one has nobody to take it, and for retries, which are no part of that sequence,
 * the others stand in: those with a share by chance, those without one only after them.
 */
#include "dataplane/upstream/endpoint.h"

#define PICK_WINDOW 64u
#define PICK_GOLDEN 0x9e3779b9u /* 2^32 / golden ratio */

/* What a pick may take; tried in this order until one yields an endpoint. */
static const struct tier {
	bool ejected, draining;
} tiers[] = {{false, false}, {true, false}, {false, true}, {true, true}};

struct pick {
	struct upstream *u;
	const struct endpoint_set *set;
	const struct weight_vector *shares; /* NULL: one cluster */
	const struct tier *tier;
	uint64_t exclude_id, now_us;
	uint32_t from, all;    /* the endpoints in question: the set's, or those of one cluster */
	uint32_t first, count; /* the window among them; it wraps around their end */
};

static struct upstream_ref ref_of(const struct endpoint *e)
{
	return (struct upstream_ref){.id = e->id, .slot = e->slot};
}

static const struct endpoint *window_at(const struct pick *p, uint32_t i)
{
	uint32_t at = p->first + i;

	return &p->set->e[p->from + (at < p->all ? at : at - p->all)];
}

/* The weight of <e> in parts of HEALTH_SLOW_WHOLE. */
static uint32_t weight_of(const struct pick *p, const struct endpoint *e)
{
	if (unlikely(p->set->slow_start))
		return e->weight * (HEALTH_SLOW_WHOLE - health_slow(p->u->board, e->slot));
	return e->weight * HEALTH_SLOW_WHOLE;
}

/* What it has in this tier, 0: not usable. */
static uint32_t usable_weight(const struct pick *p, const struct endpoint *e)
{
	if (e->id == p->exclude_id || (e->draining && !p->tier->draining))
		return 0;
	if (!p->tier->ejected && endpoint_is_ejected(p->u, ref_of(e), p->now_us))
		return 0;
	return weight_of(p, e);
}

/* The place in the window that lies at <pos>, below the sum, on the line of usable weights. */
static uint32_t at_weight(const uint32_t *w, uint64_t pos)
{
	uint32_t i = 0;

	while (pos >= w[i])
		pos -= w[i++];
	return i;
}

static uint64_t busy(struct upstream *u, const struct endpoint *e)
{
	const struct endpoint_state *s = endpoint_lookup(u, ref_of(e));

	return s != NULL ? s->in_flight : 0;
}

static const struct endpoint *pick_in_window(const struct pick *p, uint32_t turn)
{
	uint32_t w[PICK_WINDOW]; /* looked at once: verdicts change under us, the sum must stay */
	const struct endpoint *a, *b;
	uint64_t total = 0;
	uint32_t i, k;

	for (i = 0; i < p->count; i++) {
		w[i] = usable_weight(p, window_at(p, i));
		total += w[i];
	}
	if (total == 0)
		return NULL;
	i = at_weight(w, (total * turn) >> 32);
	k = at_weight(w, rng_below(p->u->rng, total));
	a = window_at(p, i);
	b = window_at(p, k);
	/* busy(b) / weight(b) < busy(a) / weight(a), without dividing */
	return busy(p->u, b) * w[i] < busy(p->u, a) * w[k] ? b : a;
}

static const struct endpoint *pick_in_tier(struct pick *p, uint32_t turn)
{
	uint32_t n = p->all;
	uint32_t start = n > PICK_WINDOW ? (uint32_t)(((uint64_t)n * turn) >> 32) : 0;

	p->count = n < PICK_WINDOW ? n : PICK_WINDOW;
	for (uint32_t seen = 0; seen < n; seen += p->count) {
		const struct endpoint *e;

		p->first = (start + seen) % n;
		e = pick_in_window(p, n > PICK_WINDOW ? (uint32_t)rng_u64(p->u->rng) : turn);
		if (e != NULL)
			return e;
	}
	return NULL;
}

static const struct endpoint *pick_in_cluster(struct pick *p, uint32_t c, uint32_t turn)
{
	p->from = c == 0 ? 0 : p->set->cluster_end[c - 1];
	p->all = p->set->cluster_end[c] - p->from;
	return pick_in_tier(p, turn);
}

/* NULL: no cluster is due anything, or the one that is has nobody who is ready. */
static const struct endpoint *pick_by_cluster(struct pick *p, uint32_t backend_slot)
{
	struct cluster_seq *s = &p->u->cluster[backend_slot];
	uint32_t c;

	if (unlikely(s->seq.workers == 0))
		pick_seq_init(&s->seq, p->u->worker, p->u->workers, rng_u64(p->u->rng));
	c = pick_backend(&s->seq, p->shares);
	if (c == SLOT_NONE)
		return NULL;
	p->tier = &tiers[p->shares->panic >> c & 1];
	return pick_in_cluster(p, c, s->rotor[c]++ * PICK_GOLDEN);
}

/* Of those with a share one by chance and then the next ones; then those that have none. */
static const struct endpoint *pick_other(struct pick *p, uint32_t turn)
{
	const struct weight_vector *w = p->shares;
	uint64_t pos = w->total == 0 ? 0 : rng_below(p->u->rng, w->total);
	uint32_t at = 0;

	while (at + 1 < w->count && pos >= w->w[at])
		pos -= w->w[at++];
	for (uint32_t n = 0; n < 2 * w->count; n++, at = at + 1 == w->count ? 0 : at + 1) {
		bool without = n >= w->count;
		const struct endpoint *e;

		e = (w->w[at] == 0) == without ? pick_in_cluster(p, at, turn) : NULL;
		if (e != NULL)
			return e;
	}
	return NULL;
}

static void note_chosen(struct upstream *u, const struct endpoint *e)
{
	struct endpoint_state *s = endpoint_claim(u, ref_of(e));

	s->draining = e->draining;
	s->seen = u->sweep.pass;
}

const struct endpoint *upstream_pick(struct upstream *u, const struct endpoint_set *set,
	uint32_t backend_slot, bool first, uint64_t exclude_id, uint64_t now_us, bool *ret_panic)
{
	struct pick p = {.u = u, .set = set, .exclude_id = exclude_id, .now_us = now_us};
	const struct endpoint *e = NULL;
	uint32_t turn;

	bug_on(backend_slot >= SLOTS_BACKEND_MAX);
	*ret_panic = false;
	if (set == NULL || set->count == 0)
		return NULL;
	turn = upstream_row(u, COUNTER_BACKEND, backend_slot)->turns++ * PICK_GOLDEN;
	p.tier = &tiers[0];
	if (set->count == 1 && usable_weight(&p, &set->e[0]) > 0) {
		note_chosen(u, &set->e[0]);
		return &set->e[0];
	}
	p.shares = endpoint_set_shares(set);
	if (p.shares != NULL && first)
		e = pick_by_cluster(&p, backend_slot);
	for (unsigned t = 0; e == NULL && t < sizeof(tiers) / sizeof(tiers[0]); t++) {
		p.tier = &tiers[t];
		if (p.tier->ejected && set->panic_never)
			continue;
		p.from = 0;
		p.all = set->count;
		e = p.shares != NULL ? pick_other(&p, turn) : pick_in_tier(&p, turn);
	}
	if (e == NULL)
		return NULL;
	note_chosen(u, e);
	*ret_panic = p.tier->ejected && endpoint_is_ejected(u, ref_of(e), now_us);
	return e;
}
