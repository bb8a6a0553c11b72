// SPDX-License-Identifier: Apache-2.0
/*
 * health.c: results in, verdicts out.
 */
#include "dataplane/agent/health.h"

#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/hash.h"

static const struct {
	const char *name, *help;
} counter_rows[HEALTH_C_COUNT] = {
#define HEALTH_COUNTER(NAME, nm, hlp) {nm, hlp},
#include "dataplane/agent/health.def"
#undef HEALTH_COUNTER
};

const char *health_counter_name(unsigned i)
{
	return counter_rows[i].name;
}

const char *health_counter_help(unsigned i)
{
	return counter_rows[i].help;
}

void health_init(struct health *h, struct health_board *board)
{
	*h = (struct health){.board = board};
	h->ep = calloc(SLOTS_ENDPOINT_MAX, sizeof(*h->ep));
	bug_on(h->ep == NULL);
}

void health_fini(struct health *h)
{
	atomic_store_explicit(&h->board->probes, NULL, memory_order_release);
	free(h->list);
	free(h->policies);
	free(h->texts);
	free(h->ep);
	*h = (struct health){0};
}

uint64_t health_cluster_id(struct str name)
{
	return name.len == 0 ? 0 : object_id(&name, 1);
}

const struct health_endpoint *health_get(const struct health *h, uint64_t id, uint32_t slot)
{
	bug_on(slot >= SLOTS_ENDPOINT_MAX);
	return h->ep[slot].id == id && id != 0 ? &h->ep[slot] : NULL;
}

enum verdict_why health_why(const struct health *h, const struct health_endpoint *e,
	uint64_t now_us)
{
	if (e->suspected)
		return VERDICT_WHY_SUSPICION;
	if (!verdict_is_usable(&e->verdict))
		return (enum verdict_why)(
			e->verdict.why != VERDICT_WHY_NONE ? e->verdict.why : VERDICT_WHY_PROBES);
	if (sentence_holds(&e->sentence, now_us))
		return (enum verdict_why)e->sentence.why;
	return VERDICT_WHY_NONE;
}

bool health_publish(struct health *h, uint32_t slot, uint64_t now_us)
{
	struct health_endpoint *e = &h->ep[slot];
	uint8_t v = 0;

	v |= verdict_is_usable(&e->verdict) ? 0 : HEALTH_DOWN;
	v |= sentence_holds(&e->sentence, now_us) ? HEALTH_EJECTED : 0;
	v |= e->suspected ? HEALTH_SUSPECTED : 0;
	if (v == h->board->verdict[slot])
		return false;
	__atomic_store_n(&h->board->verdict[slot], v, __ATOMIC_RELAXED);
	e->changed_us = now_us;
	h->changes++;
	if (h->on_changed != NULL)
		h->on_changed(h->ctx, slot, now_us);
	return true;
}

/* Suspicion ---------------------------------------------------------------------------------- */

static struct suspicion_cluster *cluster_of(struct health *h, const struct health_endpoint *e)
{
	return e->cluster == 0 ? NULL : suspicion_find(&h->suspicion, e->cluster);
}

/*
 * Did it fall silent in the event that put its cluster under suspicion? One that was gone long
 * before stays gone. Probes of one interval make the event, and they may have waited a little.
 */
static bool fell_now(const struct health *h, const struct health_endpoint *e,
	const struct suspicion_cluster *c)
{
	return e->silent_us != 0 && e->silent_us + 2 * h->interval_us >= c->fell_us;
}

/* Failures of the event are forgotten, and what they have led to. */
static void absolve(struct health *h, uint32_t slot, uint64_t now_us)
{
	struct health_endpoint *e = &h->ep[slot];

	if (verdict_absolve(&e->verdict, now_us) || e->verdict.state == VERDICT_FAILING)
		h->counters[HEALTH_C_ABSOLVED]++;
}

static void put_under_suspicion(struct health *h, uint64_t now_us)
{
	for (uint32_t i = 0; i < h->top; i++) {
		struct health_endpoint *e = &h->ep[i];
		const struct suspicion_cluster *c;

		if (e->id == 0 || e->suspected || (c = cluster_of(h, e)) == NULL || !c->suspected)
			continue;
		e->suspected = true;
		if (!e->probed || fell_now(h, e, c))
			absolve(h, i, now_us);
		health_publish(h, i, now_us);
	}
	h->relist = true;
}

/* Counts from what the endpoints remember. */
static void recount(struct health *h, uint64_t now_us)
{
	suspicion_recount(&h->suspicion);
	for (uint32_t i = 0; i < h->top; i++) {
		struct suspicion_cluster *c;

		if (h->ep[i].id == 0 || !h->ep[i].probed || (c = cluster_of(h, &h->ep[i])) == NULL)
			continue;
		suspicion_count(c, h->ep[i].silent_us);
	}
	suspicion_recounted(&h->suspicion, now_us);
}

/* Everybody has to fall silent anew before anything is said of him. */
static void lift_suspicion(struct health *h, uint64_t now_us)
{
	for (uint32_t i = 0; i < h->top; i++) {
		struct health_endpoint *e = &h->ep[i];

		if (!e->suspected)
			continue;
		e->suspected = false;
		if (verdict_is_usable(&e->verdict))
			e->silent_us = 0;
		health_publish(h, i, now_us);
	}
	recount(h, now_us);
	h->relist = true;
}

void health_peer_silent(struct health *h, uint64_t cluster, bool silent)
{
	struct suspicion_cluster *c = cluster == 0 ? NULL : suspicion_find(&h->suspicion, cluster);

	if (c != NULL)
		c->peer_silent = silent;
}

/* Probes ------------------------------------------------------------------------------------- */

static struct health_endpoint *reported(struct health *h, const struct probe_report *r)
{
	struct health_endpoint *e = r->slot < SLOTS_ENDPOINT_MAX ? &h->ep[r->slot] : NULL;

	return e != NULL && e->id == r->id && e->probed ? e : NULL;
}

/*
 * Who answers and who is silent, before anybody is judged for it. A connection without an answer is
 * neither: what is on the way may have accepted it, or the cut has caught it.
 */
static void note_silence(struct health *h, const struct probe_report *r, uint64_t now_us)
{
	enum probe_class class = probe_result_class((enum probe_result)r->result);
	struct health_endpoint *e = reported(h, r);
	struct suspicion_cluster *c;
	bool was_silent;

	if (e == NULL || class == PROBE_OURS || class == PROBE_MUTE)
		return;
	c = cluster_of(h, e);
	was_silent = e->silent_us != 0;
	if (class == PROBE_SILENT) {
		if (was_silent)
			return;
		e->silent_us = r->sent_us;
		if (c != NULL)
			suspicion_silent(c, r->sent_us);
		return;
	}
	e->silent_us = 0;
	if (was_silent)
		__atomic_store_n(&h->board->entry[r->slot].answers_us, r->sent_us,
			__ATOMIC_RELAXED);
	if (c != NULL && suspicion_answered(&h->suspicion, c, was_silent, now_us))
		lift_suspicion(h, now_us);
}

/* Workers see it in the board and count on from there. */
static void sentence_show(struct health *h, uint32_t slot)
{
	sentence_adopt(&h->board->entry[slot].sentence, &h->ep[slot].sentence);
}

/* Probes pass: what connections have met before is over. Errors are, when it had been down. */
static void pardon(struct health *h, uint32_t slot, bool came_up, uint64_t now_us)
{
	struct health_endpoint *e = &h->ep[slot];

	if (!sentence_holds(&e->sentence, now_us) || e->verdict.state != VERDICT_UP ||
		(e->sentence.why == VERDICT_WHY_ERRORS && !came_up))
		return;
	sentence_end(&e->sentence, now_us);
	sentence_show(h, slot);
	__atomic_store_n(&h->board->entry[slot].pardon_us, now_us, __ATOMIC_RELAXED);
	h->counters[HEALTH_C_PARDONED]++;
}

static void judge(struct health *h, const struct probe_report *r, uint64_t now_us)
{
	enum probe_class class = probe_result_class((enum probe_result)r->result);
	struct health_endpoint *e = reported(h, r);
	const struct health_policy *k;
	bool usable, changed;

	if (e == NULL) {
		h->counters[HEALTH_C_STRAY]++;
		return;
	}
	e->last = *r;
	if (class == PROBE_OURS || (e->suspected && (class == PROBE_SILENT || class == PROBE_MUTE)))
		return;
	k = &h->policies[e->policy];
	changed = verdict_result(&e->verdict, class == PROBE_GOOD,
		class == PROBE_SILENT ? VERDICT_WHY_SILENT : VERDICT_WHY_PROBES, k->rise, k->fall,
		now_us);
	usable = verdict_is_usable(&e->verdict);
	if (changed)
		h->counters[usable ? HEALTH_C_CAME_UP : HEALTH_C_WENT_DOWN]++;
	if (class == PROBE_GOOD && r->sent_us > e->sentence.since_us)
		pardon(h, r->slot, changed && usable, now_us);
	health_publish(h, r->slot, now_us);
}

void health_reports(struct health *h, const struct probe_report *r, unsigned count, uint64_t now_us)
{
	for (unsigned i = 0; i < count; i++)
		note_silence(h, &r[i], now_us);
	if (suspicion_judge(&h->suspicion, h->interval_us, now_us)) {
		h->counters[HEALTH_C_SUSPICIONS] = h->suspicion.times;
		put_under_suspicion(h, now_us);
	}
	for (unsigned i = 0; i < count; i++)
		judge(h, &r[i], now_us);
}

/* Traffic ------------------------------------------------------------------------------------ */

/* Does it answer probes while requests time out? Then it is not its network. */
static bool answers_probes(const struct health_endpoint *e, uint64_t since_us)
{
	return e->silent_us == 0 && e->last.done_us != 0 && e->last.sent_us >= since_us;
}

static void judge_timeouts(struct health *h, uint32_t slot, const struct health_traffic *t,
	uint64_t now_us)
{
	struct health_endpoint *e = &h->ep[slot];
	const struct health_rules *r = &h->policies[e->policy].rules;

	if (t->timeouts < e->timeouts_seen)
		e->timeouts_seen = 0; /* it has served in between */
	if (e->silent_us != 0 && t->timeouts != e->timeouts_seen) {
		e->timeouts_seen = t->timeouts; /* these are the silence's, whatever comes of it */
		h->counters[HEALTH_C_HELD_BACK]++;
	}
	if (r->failures == 0 || t->timeouts - e->timeouts_seen < r->failures)
		return;
	if (e->suspected || (e->probed && !answers_probes(e, t->timeouts_us))) {
		if (e->timeouts_held != t->timeouts)
			h->counters[HEALTH_C_HELD_BACK]++;
		e->timeouts_held = t->timeouts;
		return;
	}
	e->timeouts_seen = t->timeouts;
	sentence_pass(&e->sentence, NULL, VERDICT_WHY_TIMEOUTS, (uint64_t)r->base_ms * 1000u,
		(uint64_t)r->max_ms * 1000u, now_us);
	sentence_show(h, slot);
	h->counters[HEALTH_C_EJECTED]++;
}

void health_traffic(struct health *h, uint32_t slot, const struct health_traffic *t,
	uint64_t now_us)
{
	struct health_endpoint *e = &h->ep[slot];
	bool pardoned = t->sentence.since_us <= h->board->entry[slot].pardon_us;

	if (t->sentence.until_us > e->sentence.until_us && !pardoned &&
		sentence_holds(&t->sentence, now_us)) {
		e->sentence = t->sentence;
		sentence_show(h, slot);
		h->counters[HEALTH_C_SPREAD]++;
	}
	/* It was used in panic and has served: it is no longer the worst choice. */
	if (sentence_holds(&e->sentence, now_us) && e->sentence.why != VERDICT_WHY_ERRORS &&
		t->good_us > e->sentence.since_us) {
		sentence_end(&e->sentence, now_us);
		__atomic_store_n(&h->board->entry[slot].pardon_us, now_us, __ATOMIC_RELAXED);
	}
	if (!sentence_holds(&e->sentence, now_us))
		judge_timeouts(h, slot, t, now_us);
	health_publish(h, slot, now_us);
}
