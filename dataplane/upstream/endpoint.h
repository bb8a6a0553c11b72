// SPDX-License-Identifier: Apache-2.0
/*
 * endpoint.h: upstream's inside, for the files of this folder and their tests.
 */
#pragma once

#include "dataplane/base/bug.h"
#include "dataplane/upstream/board.h"
#include "dataplane/upstream/upstream.h"

enum health_run_kind { HEALTH_RUN_ERRORS = 0, HEALTH_RUN_RESETS, HEALTH_RUN_TIMEOUTS, HEALTH_RUNS };

/* Failures of one kind in a row, as one worker saw them. Other workers and the agent read it. */
struct health_run {
	uint64_t began_us; /* the first of them */
	uint32_t count;
};

struct endpoint_state {
	uint64_t id;	  /* owner of the slot; 0: never used */
	uint64_t good_us; /* the newest response without an error */
	uint64_t seen;	  /* number of the last sweep that found it in a configuration */
	struct list idle; /* pool_conn.endpoint_link, used last first */
	uint32_t idle_count;
	uint32_t in_flight;
	bool draining;
	bool failing; /* a run has begun or a sentence was passed: there is something to clear */
	struct health_run run[HEALTH_RUNS];
	struct sentence sentence; /* this worker's own */
};

/* Of a backend whose endpoints run in several clusters. */
struct cluster_seq {
	struct pick_seq seq;		   /* which cluster is next; seq.workers 0: never used */
	uint32_t rotor[PICK_BACKENDS_MAX]; /* picks of each so far */
};

#define EJECTED_RECENTLY 16u /* between two turns of another worker; the agent tells the rest */

struct upstream {
	struct upstream_rows rows;	    /* first: upstream.h's inline functions */
	void *row_mem[COUNTER_SCOPE_COUNT]; /* owned: what they lie in */
	struct upstream_config cfg;
	struct rng *rng;	     /* borrowed */
	struct endpoint_state *ep;   /* owned, [SLOTS_ENDPOINT_MAX] */
	struct pick_seq *seq;	     /* owned, [SLOTS_RULE_MAX] */
	struct cluster_seq *cluster; /* owned, [SLOTS_BACKEND_MAX] */
	uint32_t worker, workers;
	const struct health_board *board;     /* borrowed; an empty one until upstream_join() */
	const struct upstream *const *others; /* borrowed, [workers], this one included; or NULL */
	struct upstream_ref recent[EJECTED_RECENTLY]; /* those this worker has ejected last */
	uint64_t ejected;			      /* how many so far; the others follow it */
	uint64_t *heard;     /* owned, [workers]: the others' <ejected> as we know them */
	uint64_t news;	     /* grows with what the agent may want to look at */
	uint64_t no_room_id; /* service whose share of ejections was used up, until <no_room_us> */
	uint64_t no_room_us;
	struct list lru; /* pool_conn.lru_link, idle longest first */
	uint32_t idle_count;
	struct list stale; /* pool_conn.lru_link: taken from their endpoint, to be closed */
	struct {
		uint64_t pass;	     /* number of the sweep under way */
		uint64_t generation; /* of the configuration it walks: services keep their places */
		uint32_t service, endpoint; /* marking: where it stands */
		uint32_t slot;		    /* expelling: where it stands */
		bool running;
	} sweep;
};

/* The state of <ref>, which a configuration of this turn names: the slot is its own from now on. */
struct endpoint_state *endpoint_claim(struct upstream *u, struct upstream_ref ref);

/* The state of <ref>, or NULL when the slot belongs to another by now. */
static inline struct endpoint_state *endpoint_lookup(const struct upstream *u,
	struct upstream_ref ref)
{
	bug_on_hot(ref.slot >= SLOTS_ENDPOINT_MAX);
	return u->ep[ref.slot].id == ref.id ? &u->ep[ref.slot] : NULL;
}

/* This worker has put it out, and the agent has not pardoned it since. */
static inline bool endpoint_is_out(const struct upstream *u, const struct endpoint_state *s,
	uint32_t slot, uint64_t now_us)
{
	return unlikely(sentence_holds(&s->sentence, now_us)) &&
		s->sentence.since_us >
		__atomic_load_n(&u->board->entry[slot].pardon_us, __ATOMIC_RELAXED);
}

/* Nothing new is to be sent there as long as others will do. */
static inline bool endpoint_is_ejected(const struct upstream *u, struct upstream_ref ref,
	uint64_t now_us)
{
	const struct endpoint_state *s = endpoint_lookup(u, ref);

	return health_verdict(u->board, ref.slot) != 0 ||
		(s != NULL && endpoint_is_out(u, s, ref.slot, now_us));
}

/* Puts all pooled connections of <s> on the stale list. */
void pool_expel(struct upstream *u, struct endpoint_state *s);
