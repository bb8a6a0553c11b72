// SPDX-License-Identifier: Apache-2.0
/*
 * verdict.c: the table of moves, and the arithmetic of sentences.
 */
#include "dataplane/upstream/verdict.h"

#include <stddef.h>

#include "dataplane/base/bug.h"

static const struct {
	const char *name;
	bool usable;
} states[VERDICT_STATE_COUNT] = {
#define VERDICT_STATE(NAME, name, usable) {name, usable},
#include "dataplane/upstream/verdict.def"
};

static const struct {
	uint8_t from, event, to;
} moves[] = {
#define VERDICT_MOVE(from, event, to) {VERDICT_##from, VERDICT_##event, VERDICT_##to},
#include "dataplane/upstream/verdict.def"
};

static const char *const whys[VERDICT_WHY_COUNT] = {
#define VERDICT_WHY(NAME, name, help) name,
#include "dataplane/upstream/verdict.def"
};

static const char *const events[VERDICT_EVENT_COUNT] = {"passed", "rose", "failed", "fell",
	"absolved"};

const char *verdict_state_str(enum verdict_state s)
{
	return s < VERDICT_STATE_COUNT ? states[s].name : "?";
}

const char *verdict_event_str(enum verdict_event e)
{
	return e < VERDICT_EVENT_COUNT ? events[e] : "?";
}

const char *verdict_why_str(enum verdict_why w)
{
	return w < VERDICT_WHY_COUNT ? whys[w] : "?";
}

bool verdict_state_is_usable(enum verdict_state s)
{
	bug_on(s >= VERDICT_STATE_COUNT);
	return states[s].usable;
}

enum verdict_state verdict_next(enum verdict_state s, enum verdict_event event)
{
	for (unsigned i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
		if (moves[i].from == s && moves[i].event == event)
			return (enum verdict_state)moves[i].to;
	return s;
}

/* The only writer of the state. True: its usability has changed. */
static bool move(struct verdict *v, enum verdict_event event, uint64_t now_us)
{
	enum verdict_state from = (enum verdict_state)v->state, to = verdict_next(from, event);

	if (to == from)
		return false;
	v->state = (uint8_t)to;
	v->since_us = now_us;
	return states[from].usable != states[to].usable;
}

bool verdict_result(struct verdict *v, bool passed, enum verdict_why why, uint16_t rise,
	uint16_t fall, uint64_t now_us)
{
	uint16_t enough = passed ? rise : fall;

	if (v->failing == passed)
		v->run = 0;
	if (v->run < UINT16_MAX)
		v->run++;
	v->failing = !passed;
	v->why = (uint8_t)(passed ? VERDICT_WHY_NONE : why);
	if (v->run >= enough)
		return move(v, passed ? VERDICT_ROSE : VERDICT_FELL, now_us);
	return move(v, passed ? VERDICT_PASSED : VERDICT_FAILED, now_us);
}

bool verdict_absolve(struct verdict *v, uint64_t now_us)
{
	v->run = 0;
	v->why = VERDICT_WHY_NONE;
	return move(v, VERDICT_ABSOLVED, now_us);
}

/* Sentences ---------------------------------------------------------------------------------- */

static uint64_t length_us(uint64_t base_us, uint64_t max_us, uint32_t count)
{
	/* a base of hours times a count of millions still fits */
	uint64_t us = base_us * count;

	return us < max_us ? us : max_us;
}

static void set(uint64_t *field, uint64_t v)
{
	__atomic_store_n(field, v, __ATOMIC_RELAXED);
}

void sentence_adopt(struct sentence *s, const struct sentence *from)
{
	__atomic_store_n(&s->count, from->count, __ATOMIC_RELAXED);
	__atomic_store_n(&s->why, from->why, __ATOMIC_RELAXED);
	set(&s->since_us, from->since_us);
	set(&s->until_us, from->until_us);
}

void sentence_pass(struct sentence *s, const struct sentence *known, enum verdict_why why,
	uint64_t base_us, uint64_t max_us, uint64_t now_us)
{
	uint64_t until_us = s->until_us;
	uint32_t count = s->count;

	if (known != NULL && known->until_us > until_us) {
		until_us = known->until_us;
		count = known->count;
	}
	if (now_us > until_us && now_us - until_us > length_us(base_us, max_us, count))
		count = 0;
	if (count < UINT16_MAX)
		count++;
	sentence_adopt(s,
		&(struct sentence){.since_us = now_us,
			.until_us = now_us + length_us(base_us, max_us, count),
			.count = count,
			.why = (uint8_t)why});
}

void sentence_end(struct sentence *s, uint64_t now_us)
{
	if (sentence_holds(s, now_us))
		set(&s->until_us, now_us);
}

struct sentence sentence_read(const struct sentence *s)
{
	return (struct sentence){
		.since_us = __atomic_load_n(&s->since_us, __ATOMIC_RELAXED),
		.until_us = __atomic_load_n(&s->until_us, __ATOMIC_RELAXED),
		.count = __atomic_load_n(&s->count, __ATOMIC_RELAXED),
		.why = __atomic_load_n(&s->why, __ATOMIC_RELAXED),
	};
}
