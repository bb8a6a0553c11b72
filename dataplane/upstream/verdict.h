// SPDX-License-Identifier: Apache-2.0
/*
 * verdict.h: whether an endpoint may be used, from results to a yes or no. Pure: time is an
 * argument.
 *
 * Two machines, kept apart because they end differently. The verdict follows probes: so many
 * failures in a row and it is down, so many passes in a row and it is up again; before its first
 * result an endpoint is usable, for what the API server says of it is the base truth and we only
 * subtract. The sentence follows traffic: an offence puts an endpoint out for base times the
 * number of sentences in a row, and time alone brings it back, or a probe that passes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum verdict_state {
#define VERDICT_STATE(NAME, name, usable) VERDICT_##NAME,
#include "dataplane/upstream/verdict.def"
	VERDICT_STATE_COUNT
};

enum verdict_event {
	VERDICT_PASSED = 0,
	VERDICT_ROSE, /* passed, and that is enough of them in a row */
	VERDICT_FAILED,
	VERDICT_FELL,	  /* failed, and that is enough */
	VERDICT_ABSOLVED, /* its failures were ours: suspicion.h */
	VERDICT_EVENT_COUNT
};

enum verdict_why {
#define VERDICT_WHY(NAME, name, help) VERDICT_WHY_##NAME,
#include "dataplane/upstream/verdict.def"
	VERDICT_WHY_COUNT
};

const char *verdict_state_str(enum verdict_state s);
const char *verdict_event_str(enum verdict_event e);
const char *verdict_why_str(enum verdict_why w);
bool verdict_state_is_usable(enum verdict_state s);
/* Where <event> leads from <s>; <s> itself when the table has no such move. */
enum verdict_state verdict_next(enum verdict_state s, enum verdict_event event);

/* Zeroed is new. */
struct verdict {
	uint64_t since_us; /* of the state; 0: never moved */
	uint16_t run;	   /* equal results in a row, at most UINT16_MAX */
	uint8_t state;	   /* enum verdict_state */
	uint8_t why;	   /* enum verdict_why: of the newest failure; NONE after a pass */
	bool failing;	   /* what <run> counts */
};

/* <rise>, <fall>: 0 is taken for 1. True: usable has become unusable, or the other way round. */
bool verdict_result(struct verdict *v, bool passed, enum verdict_why why, uint16_t rise,
	uint16_t fall, uint64_t now_us);
/* Failures in a row are forgotten, and what they led to. True: usable again. */
bool verdict_absolve(struct verdict *v, uint64_t now_us);
static inline bool verdict_is_usable(const struct verdict *v)
{
	return verdict_state_is_usable((enum verdict_state)v->state);
}

/* Zeroed is free. Written by one thread, read relaxed by others. */
struct sentence {
	uint64_t since_us, until_us;
	uint32_t count; /* in a row */
	uint8_t why;	/* enum verdict_why */
};

static inline bool sentence_holds(const struct sentence *s, uint64_t now_us)
{
	return s->until_us > now_us;
}
/*
 * An offence: out for base times the sentences in a row, <max_us> at most. One that has served as
 * long as it was out starts afresh. <known>: the newest sentence that others have passed on the
 * same endpoint, or NULL: it counts too.
 */
void sentence_pass(struct sentence *s, const struct sentence *known, enum verdict_why why,
	uint64_t base_us, uint64_t max_us, uint64_t now_us);
/* Takes one over that somebody else has passed. */
void sentence_adopt(struct sentence *s, const struct sentence *from);
/* Ends it now; the count stays. */
void sentence_end(struct sentence *s, uint64_t now_us);
/* A consistent enough copy of one that another thread writes. */
struct sentence sentence_read(const struct sentence *s);
