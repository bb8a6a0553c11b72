// SPDX-License-Identifier: Apache-2.0
/*
 * pick.c: the weighted choice among a rule's backends.
 *
 * Not a coin flip (200 requests at 80/20 would miss by six) and not a rhythm (every fifth asset of
 * a page would always go to the canary). Each backend is owed one pick in each of its strata, which
 * are 1/share requests long, and the pick falls at a random place in it.
 *
 * The state of a backend is its lag: what it is owed (share x requests) less what it got, in units
 * of 1/total. The choice keeps every lag strictly between -1 and 1 request, so that over any window
 * a count misses its share by less than two. To keep it there is the quota problem of apportionment
 * (Still 1979, "A class of new methods for congressional apportionment"), or Pfair scheduling
 * (Baruah et al. 1996): the k-th pick of a backend is a job that is released when its stratum
 * begins and due when it ends. Two rules are enough:
 *
 *   upper quota: only a backend whose stratum has begun may be picked (lag + share > 0);
 *   lower quota: a pick that is not the most urgent one must leave every slot that is already
 *                spoken for: no instant before its own deadline may be without slack.
 *
 * Within these rules a backend is picked with probability 1/(requests left in its stratum), which
 * is what makes its place uniform. The most urgent one is always allowed.
 */
#include "dataplane/route/route.h"

#include "dataplane/base/bug.h"
#include "dataplane/base/hash.h"

/* Steps of looking ahead for one pick. Tried with probability 1/slots, so the mean is a few. */
#define LOOK_AHEAD_STEPS 1024u

void pick_seq_init(struct pick_seq *s, uint32_t worker, uint32_t workers, uint64_t key)
{
	bug_on(workers == 0 || worker >= workers);
	*s = (struct pick_seq){.key = key, .phase = worker, .workers = workers};
}

static uint64_t random_next(struct pick_seq *s)
{
	s->key += 0x9e3779b97f4a7c15ull;
	return hash_mix(s->key, s->key >> 32);
}

/*
 * Requests until the current stratum of backend <i> ends, at least 1 (new weights may leave
 * somebody overdue for a few requests).
 */
static uint32_t slots_left(const struct pick_seq *s, const struct weight_vector *w, uint32_t i)
{
	int32_t owed = (int32_t)s->total - s->lag[i];

	return owed <= 0 ? 1 : ((uint32_t)owed + w->w[i] - 1) / w->w[i];
}

static bool is_released(const struct pick_seq *s, const struct weight_vector *w, uint32_t i)
{
	return w->w[i] != 0 && s->lag[i] + (int32_t)w->w[i] > 0;
}

/*
 * Is there, at each of the next <slots> - 1 instants, one request more than there are picks due by
 * then? Only then may one of those requests go to a backend that has until <slots>.
 */
static bool has_slack(const struct pick_seq *s, const struct weight_vector *w, uint32_t slots)
{
	int64_t due[PICK_BACKENDS_MAX];

	for (uint32_t i = 0; i < w->count; i++)
		due[i] = s->lag[i];
	for (uint32_t t = 1; t < slots; t++) {
		uint32_t promised = 0;

		for (uint32_t i = 0; i < w->count; i++) {
			due[i] += w->w[i];
			if (due[i] >= s->total)
				promised += (uint32_t)((uint64_t)due[i] / s->total);
		}
		if (promised >= t)
			return false;
	}
	return true;
}

/* The released backend whose stratum ends first; always allowed. */
static uint32_t pick_most_urgent(const struct pick_seq *s, const struct weight_vector *w)
{
	uint32_t best = SLOT_NONE, best_slots = UINT32_MAX;

	for (uint32_t i = 0; i < w->count; i++) {
		uint32_t slots;

		if (!is_released(s, w, i))
			continue;
		slots = slots_left(s, w, i);
		if (slots < best_slots) {
			best = i;
			best_slots = slots;
		}
	}
	return best;
}

/* Another backend that the dice favour and that may go before <urgent>; else <urgent>. */
static uint32_t pick_by_chance(struct pick_seq *s, const struct weight_vector *w, uint32_t urgent)
{
	uint32_t at = (uint32_t)(random_next(s) % w->count);

	for (uint32_t n = 0; n < w->count; n++, at = at + 1 == w->count ? 0 : at + 1) {
		uint32_t slots;

		if (at == urgent || !is_released(s, w, at))
			continue;
		slots = slots_left(s, w, at);
		/* far from its end a rare backend waits until looking ahead is affordable */
		if (slots > LOOK_AHEAD_STEPS / w->count || random_next(s) % slots != 0)
			continue;
		if (has_slack(s, w, slots))
			return at;
	}
	return urgent;
}

static uint32_t pick_next(struct pick_seq *s, const struct weight_vector *w)
{
	uint32_t i = pick_most_urgent(s, w);

	bug_on_hot(i == SLOT_NONE); /* the lags sum to zero: somebody is owed something */
	i = pick_by_chance(s, w, i);
	for (uint32_t k = 0; k < w->count; k++)
		s->lag[k] += (int32_t)w->w[k];
	s->lag[i] -= (int32_t)s->total;
	return i;
}

/*
 * The weights are new: lags keep their meaning in requests, so a series of small steps is as exact
 * as one. What the scaling rounds off, and what a backend without weight was owed, goes to the
 * others, the largest first, each within its bound.
 */
static void rescale(struct pick_seq *s, const struct weight_vector *w)
{
	int32_t total = (int32_t)w->total;
	int64_t rest = 0;

	for (uint32_t i = 0; i < w->count; i++) {
		int64_t lag = i < s->count ? (int64_t)s->lag[i] * total / s->total : 0;

		lag = lag >= total ? total - 1 : lag <= -total ? 1 - total : lag;
		s->lag[i] = w->w[i] != 0 ? (int32_t)lag : 0;
		rest -= s->lag[i];
	}
	for (uint32_t i = 0; i < w->count && rest != 0; i++) {
		int64_t room = rest > 0 ? total - 1 - s->lag[i] : 1 - total - s->lag[i];

		if (w->w[i] == 0)
			continue;
		if ((rest > 0 && room > rest) || (rest < 0 && room < rest))
			room = rest;
		s->lag[i] += (int32_t)room;
		rest -= room;
	}
}

/* First use: workers start i/N of the rarest backend's stratum apart. */
static void start(struct pick_seq *s, const struct weight_vector *w)
{
	uint32_t least = UINT32_MAX, skip;

	for (uint32_t i = 0; i < w->count; i++) {
		s->lag[i] = 0;
		if (w->w[i] != 0 && w->w[i] < least)
			least = w->w[i];
	}
	skip = (uint32_t)((w->total / least) * s->phase / s->workers);
	for (uint32_t i = skip < PICK_PHASE_MAX ? skip : PICK_PHASE_MAX; i > 0; i--)
		pick_next(s, w);
}

/* The backend that has all the weight, or SLOT_NONE. */
static uint32_t pick_only(const struct weight_vector *w)
{
	for (uint32_t i = 0; i < w->count; i++)
		if (w->w[i] != 0)
			return w->w[i] == w->total ? i : SLOT_NONE;
	return SLOT_NONE;
}

uint32_t pick_backend(struct pick_seq *s, const struct weight_vector *w)
{
	uint32_t only = pick_only(w);

	/* No choice, nothing owed: the sequence rests, and most rules never touch theirs. */
	if (w->total == 0 || only != SLOT_NONE)
		return only;
	bug_on_hot(w->count > PICK_BACKENDS_MAX || w->total > INT32_MAX / 2);
	if (unlikely(s->revision != w->revision || s->total != w->total || s->count != w->count)) {
		bool first = s->total == 0;

		if (!first)
			rescale(s, w);
		s->revision = w->revision;
		s->total = (uint32_t)w->total;
		s->count = w->count;
		if (first)
			start(s, w);
	}
	s->n++;
	return pick_next(s, w);
}
