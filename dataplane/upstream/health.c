// SPDX-License-Identifier: Apache-2.0
/*
 * health.c: passive health, from what requests experience.
 *
 * A refused connect says plainly that nobody listens: the endpoint is ejected at once. Responses
 * with a 5xx status and connections lost under a request eject after so many in a row. Time-outs
 * are only counted here: a site that has lost its uplink must not eject everybody, so the agent
 * decides about them, who sees all endpoints.
 *
 * In a row means over all workers. Each has cells of its own, and who meets a failure looks at the
 * others': failures that began after everybody's last success count together. No cell has two
 * writers, and nobody waits; two workers that fail in the same moment may each count one too few.
 *
 * Ejection only reorders the choice: when all endpoints of a service are ejected, all are used
 * (pick.c), so no verdict of ours can empty a service.
 */
#include "dataplane/upstream/endpoint.h"

#define NO_ROOM_US 100000u /* how long a full share of ejections is believed to stay full */

static const struct health_rules *rules_of(const struct upstream *u, uint32_t slot)
{
	const struct health_rules *r = &u->board->entry[slot].rules;

	return __atomic_load_n(&r->given, __ATOMIC_RELAXED) ? r : &u->cfg.health;
}

/* What worker <i> knows of the endpoint, or NULL. */
static const struct endpoint_state *seen_by(const struct upstream *u, uint32_t i,
	struct upstream_ref ep)
{
	const struct endpoint_state *s;

	if (u->others == NULL)
		return i == u->worker ? endpoint_lookup(u, ep) : NULL;
	s = &u->others[i]->ep[ep.slot];
	return __atomic_load_n(&s->id, __ATOMIC_ACQUIRE) == ep.id ? s : NULL;
}

static uint64_t last_good_us(const struct upstream *u, struct upstream_ref ep)
{
	uint64_t last = 0;

	for (uint32_t i = 0; i < u->workers; i++) {
		const struct endpoint_state *s = seen_by(u, i, ep);
		uint64_t us = s != NULL ? __atomic_load_n(&s->good_us, __ATOMIC_RELAXED) : 0;

		last = us > last ? us : last;
	}
	return last;
}

/* Failures in a row over all workers; never fewer than any one of them has met by itself. */
static uint32_t run_over_all(const struct upstream *u, struct upstream_ref ep,
	enum health_run_kind kind, uint64_t *ret_began_us)
{
	uint64_t good_us = last_good_us(u, ep);
	uint32_t sum = 0, most = 0;

	*ret_began_us = UINT64_MAX;
	for (uint32_t i = 0; i < u->workers; i++) {
		const struct endpoint_state *s = seen_by(u, i, ep);
		uint64_t began_us;
		uint32_t n;

		if (s == NULL)
			continue;
		n = __atomic_load_n(&s->run[kind].count, __ATOMIC_RELAXED);
		began_us = __atomic_load_n(&s->run[kind].began_us, __ATOMIC_RELAXED);
		if (n == 0)
			continue;
		most = n > most ? n : most;
		sum += began_us >= good_us ? n : 0;
		*ret_began_us = began_us < *ret_began_us ? began_us : *ret_began_us;
	}
	return sum > most ? sum : most;
}

static void run_clear(struct health_run *r)
{
	__atomic_store_n(&r->count, 0, __ATOMIC_RELAXED);
}

/* One more failure; how many there are in a row now. */
static uint32_t run_add(struct upstream *u, struct endpoint_state *s, struct upstream_ref ep,
	enum health_run_kind kind, uint64_t now_us)
{
	struct health_run *r = &s->run[kind];
	uint64_t began_us;

	if (r->count == 0)
		__atomic_store_n(&r->began_us, now_us, __ATOMIC_RELAXED);
	if (r->count < UINT16_MAX)
		__atomic_store_n(&r->count, r->count + 1, __ATOMIC_RELAXED);
	s->failing = true;
	return run_over_all(u, ep, kind, &began_us);
}

static void tell_news(struct upstream *u)
{
	__atomic_store_n(&u->news, u->news + 1, __ATOMIC_RELAXED);
}

uint64_t upstream_news(const struct upstream *u)
{
	return __atomic_load_n(&u->news, __ATOMIC_RELAXED);
}

/* The newest sentence that anybody else has passed. */
static struct sentence known_sentence(const struct upstream *u, struct upstream_ref ep)
{
	struct sentence known = sentence_read(&u->board->entry[ep.slot].sentence);

	for (uint32_t i = 0; i < u->workers; i++) {
		const struct endpoint_state *s = seen_by(u, i, ep);
		struct sentence other;

		if (s == NULL || i == u->worker)
			continue;
		other = sentence_read(&s->sentence);
		if (other.until_us > known.until_us)
			known = other;
	}
	return known;
}

/*
 * Somebody else has put it out already, and we have not heard of it: so it is out for us too, and
 * the offence is the same one.
 */
static bool is_out_with_others(struct upstream *u, struct endpoint_state *s, struct upstream_ref ep,
	const struct sentence *known, uint64_t now_us)
{
	if (!sentence_holds(known, now_us) ||
		known->since_us <=
			__atomic_load_n(&u->board->entry[ep.slot].pardon_us, __ATOMIC_RELAXED))
		return false;
	sentence_adopt(&s->sentence, known);
	s->failing = true;
	return true;
}

/* False: it was out. */
static bool eject(struct upstream *u, struct endpoint_state *s, struct upstream_ref ep,
	enum verdict_why why, uint64_t now_us)
{
	const struct health_rules *r = rules_of(u, ep.slot);
	struct sentence known = known_sentence(u, ep);

	if (is_out_with_others(u, s, ep, &known, now_us))
		return false;
	sentence_pass(&s->sentence, &known, why, (uint64_t)r->base_ms * 1000u,
		(uint64_t)r->max_ms * 1000u, now_us);
	for (unsigned k = 0; k < HEALTH_RUNS; k++)
		run_clear(&s->run[k]);
	s->failing = true;
	upstream_count(u, COUNTER_ENDPOINT, ep.slot, COUNTER_ENDPOINT_EJECTIONS, 1);
	u->recent[u->ejected % EJECTED_RECENTLY] = ep;
	__atomic_store_n(&u->ejected, u->ejected + 1, __ATOMIC_RELEASE);
	tell_news(u);
	return true;
}

/* What another worker has ejected is out here too, if it was ever used here. */
static void heed(struct upstream *u, const struct upstream *other, uint64_t from, uint64_t to,
	uint64_t now_us)
{
	for (uint64_t n = to - from > EJECTED_RECENTLY ? to - EJECTED_RECENTLY : from; n < to;
		n++) {
		struct upstream_ref ep = other->recent[n % EJECTED_RECENTLY];
		struct endpoint_state *s =
			ep.slot < SLOTS_ENDPOINT_MAX ? endpoint_lookup(u, ep) : NULL;
		struct sentence known;

		if (s == NULL || endpoint_is_out(u, s, ep.slot, now_us))
			continue;
		known = known_sentence(u, ep);
		is_out_with_others(u, s, ep, &known, now_us);
	}
}

void upstream_heed(struct upstream *u, uint64_t now_us)
{
	for (uint32_t i = 0; u->others != NULL && i < u->workers; i++) {
		uint64_t n = __atomic_load_n(&u->others[i]->ejected, __ATOMIC_ACQUIRE);

		if (likely(n == u->heard[i]))
			continue;
		if (i != u->worker)
			heed(u, u->others[i], u->heard[i], n, now_us);
		u->heard[i] = n;
	}
}

static bool is_enough(uint32_t count, uint16_t limit)
{
	return limit != 0 && count >= limit;
}

/* <old>: it says nothing of how the endpoint is by now. */
static bool failed(struct upstream *u, struct upstream_ref ep, enum upstream_failure why, bool old,
	uint64_t now_us)
{
	static const unsigned counter[] = {
		[UPSTREAM_REFUSED] = COUNTER_ENDPOINT_CONNECT_FAILED,
		[UPSTREAM_CONNECT_RESET] = COUNTER_ENDPOINT_CONNECT_FAILED,
		[UPSTREAM_CONNECT_TIMEOUT] = COUNTER_ENDPOINT_CONNECT_FAILED,
		[UPSTREAM_RESET] = COUNTER_ENDPOINT_RESETS,
		[UPSTREAM_RESPONSE_TIMEOUT] = COUNTER_ENDPOINT_TIMEOUTS,
	};
	struct endpoint_state *s = endpoint_lookup(u, ep);

	if (s == NULL)
		return false;
	upstream_count(u, COUNTER_ENDPOINT, ep.slot, counter[why], 1);
	if (old || endpoint_is_out(u, s, ep.slot, now_us))
		return false;
	switch (why) {
	case UPSTREAM_CONNECT_TIMEOUT:
	case UPSTREAM_RESPONSE_TIMEOUT:
		run_add(u, s, ep, HEALTH_RUN_TIMEOUTS, now_us);
		tell_news(u);
		return false;
	case UPSTREAM_RESET:
		if (!is_enough(run_add(u, s, ep, HEALTH_RUN_RESETS, now_us),
			    rules_of(u, ep.slot)->failures))
			return false;
		return eject(u, s, ep, VERDICT_WHY_RESETS, now_us);
	default:
		return eject(u, s, ep, VERDICT_WHY_REFUSED, now_us);
	}
}

bool upstream_failed(struct upstream *u, struct upstream_ref ep, enum upstream_failure why,
	uint64_t now_us)
{
	return failed(u, ep, why, false, now_us);
}

bool upstream_timed_out(struct upstream *u, struct upstream_ref ep, enum upstream_failure why,
	uint64_t sent_us, uint64_t now_us)
{
	uint64_t answers_us =
		__atomic_load_n(&u->board->entry[ep.slot].answers_us, __ATOMIC_RELAXED);

	return failed(u, ep, why, sent_us < answers_us, now_us);
}

bool upstream_error(struct upstream *u, struct upstream_ref ep, uint64_t now_us)
{
	struct endpoint_state *s = endpoint_lookup(u, ep);
	uint16_t limit = rules_of(u, ep.slot)->errors;
	struct sentence known;

	if (s == NULL || endpoint_is_out(u, s, ep.slot, now_us))
		return false;
	known = known_sentence(u, ep);
	if (is_out_with_others(u, s, ep, &known, now_us))
		return false;
	run_clear(&s->run[HEALTH_RUN_RESETS]);
	run_clear(&s->run[HEALTH_RUN_TIMEOUTS]);
	return is_enough(run_add(u, s, ep, HEALTH_RUN_ERRORS, now_us), limit);
}

/* Somebody has put it out for errors. */
static bool is_out_for_errors(const struct upstream *u, const struct endpoint *e, uint64_t now_us)
{
	struct upstream_ref ref = {.id = e->id, .slot = e->slot};
	uint64_t pardon_us = __atomic_load_n(&u->board->entry[e->slot].pardon_us, __ATOMIC_RELAXED);

	for (uint32_t i = 0; i < u->workers; i++) {
		const struct endpoint_state *s = seen_by(u, i, ref);
		struct sentence known;

		if (s == NULL)
			continue;
		known = sentence_read(&s->sentence);
		if (known.why == VERDICT_WHY_ERRORS && sentence_holds(&known, now_us) &&
			known.since_us > pardon_us)
			return true;
	}
	return false;
}

/*
 * May one more be out? One may always be, so that the limit of a small service is not none. A set
 * that is used up is not looked through again for a moment.
 */
static bool has_room(struct upstream *u, const struct endpoint_set *set, uint8_t percent,
	uint64_t now_us)
{
	uint64_t allowed = (uint64_t)set->count * percent / 100, out = 0;

	if (percent == 0 || (u->no_room_id == set->service_id && now_us < u->no_room_us))
		return false;
	allowed = allowed > 0 ? allowed : 1;
	for (uint32_t i = 0; i < set->count && out < allowed; i++)
		out += is_out_for_errors(u, &set->e[i], now_us);
	if (out < allowed)
		return true;
	u->no_room_id = set->service_id;
	u->no_room_us = now_us + NO_ROOM_US;
	return false;
}

bool upstream_eject_error(struct upstream *u, struct upstream_ref ep,
	const struct endpoint_set *set, uint64_t now_us)
{
	struct endpoint_state *s = endpoint_lookup(u, ep);

	if (s == NULL || set == NULL || !has_room(u, set, rules_of(u, ep.slot)->percent, now_us))
		return false;
	return eject(u, s, ep, VERDICT_WHY_ERRORS, now_us);
}

void upstream_succeeded(struct upstream *u, struct upstream_ref ep, uint64_t now_us)
{
	struct endpoint_state *s = endpoint_lookup(u, ep);

	if (s == NULL)
		return;
	__atomic_store_n(&s->good_us, now_us, __ATOMIC_RELAXED);
	if (likely(!s->failing))
		return;
	s->failing = false;
	for (unsigned k = 0; k < HEALTH_RUNS; k++)
		run_clear(&s->run[k]);
	/*
	 * One that is out serves only what was sent before, or in panic: it does serve, so it is no
	 * longer the worst choice.
	 */
	if (sentence_holds(&s->sentence, now_us)) {
		sentence_end(&s->sentence, now_us);
		tell_news(u);
	}
}

uint32_t upstream_timeouts(const struct upstream *u, struct upstream_ref ep, uint64_t *ret_began_us)
{
	return run_over_all(u, ep, HEALTH_RUN_TIMEOUTS, ret_began_us);
}
