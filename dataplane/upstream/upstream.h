// SPDX-License-Identifier: Apache-2.0
/*
 * upstream.h: what one worker knows about endpoints, whatever protocol it speaks with them.
 *
 * State per endpoint (requests in flight, passive health, pooled connections), the choice of one
 * endpoint of a service, the weighted sequences of rules, and the counters of listeners, rules,
 * backends and endpoints. Everything is kept in arrays by run-time slot (snapshot/config.h), so it
 * survives configurations; nothing here holds a pointer into a configuration.
 *
 * A slot that is given to another endpoint id forgets what it knew: each call that names an
 * endpoint carries its id, and the pooled connections of the former owner are handed back to be
 * closed (upstream_stale_take).
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/list.h"
#include "dataplane/base/rng.h"
#include "dataplane/route/route.h"
#include "dataplane/snapshot/config.h"
#include "dataplane/upstream/board.h"
#include "dataplane/upstream/counters.h"

struct upstream;

struct upstream_config {
	uint32_t idle_per_endpoint_max; /* 256 pooled connections per endpoint */
	struct health_rules health;	/* of endpoints of which the agent has said nothing else */
};
void upstream_config_default(struct upstream_config *cfg);

/* What is kept of one object, in whole cache lines: the start of one is all a good request needs. */
struct upstream_row {
	uint32_t users; /* who outlive a turn and count on the slot */
	uint32_t turns; /* backends: endpoints picked so far */
	uint64_t counters[];
};
#define UPSTREAM_ROW_BYTES(count) ((sizeof(struct upstream_row) + (count)*8u + 63u) / 64u * 64u)
static_assert(sizeof(struct upstream_row) + COUNTERS_FIRST_LINE * 8u == 64, "a cache line");

/* The start of a struct upstream. */
struct upstream_rows {
	char *at[COUNTER_SCOPE_COUNT]; /* [slot], aligned to lines */
};

/* The row of an object; <slot> is one, not SLOT_NONE. */
static inline struct upstream_row *upstream_row(const struct upstream *u, enum counter_scope scope,
	uint32_t slot)
{
	static const uint32_t bytes[COUNTER_SCOPE_COUNT] = {
		[COUNTER_LISTENER] = UPSTREAM_ROW_BYTES(COUNTER_LISTENER_COUNT),
		[COUNTER_RULE] = UPSTREAM_ROW_BYTES(COUNTER_RULE_COUNT),
		[COUNTER_BACKEND] = UPSTREAM_ROW_BYTES(COUNTER_BACKEND_COUNT),
		[COUNTER_ENDPOINT] = UPSTREAM_ROW_BYTES(COUNTER_ENDPOINT_COUNT),
	};
	const struct upstream_rows *rows = (const struct upstream_rows *)u;

	bug_on_hot(slot >= counter_slots(scope));
	return (struct upstream_row *)(rows->at[scope] + (size_t)slot * bytes[scope]);
}

/* Lifecycle. NULL: out of memory. The pools must be empty when it is freed. */
struct upstream *upstream_new(const struct upstream_config *cfg, struct rng *rng, uint32_t worker,
	uint32_t workers);
void upstream_free(struct upstream *u);
/* From now on heeds <board> and looks at the states of all <others>, one per worker, [workers]. */
void upstream_join(struct upstream *u, const struct health_board *board,
	const struct upstream *const *others);

/* The weighted sequence of a rule. */
struct pick_seq *upstream_seq(struct upstream *u, uint32_t rule_slot);

/*
 * One endpoint of <set>: by weight, and of two candidates the less busy one. Left out: weight 0
 * and <exclude_id> (0: none; the one that just failed); as long as others remain also draining ones
 * and those against whom there is a verdict (*ret_panic: this is one). <first> takes a turn of the
 * clusters' sequence: a request does once, however often it is sent. <backend_slot> keeps the
 * rotation. NULL: there is none.
 */
const struct endpoint *upstream_pick(struct upstream *u, const struct endpoint_set *set,
	uint32_t backend_slot, bool first, uint64_t exclude_id, uint64_t now_us, bool *ret_panic);

/* An endpoint as those hold it who outlive a turn. */
struct upstream_ref {
	uint64_t id;
	uint32_t slot;
};

/* A request goes to an endpoint of the current configuration; it has left it again. */
void upstream_started(struct upstream *u, struct upstream_ref ep);
void upstream_ended(struct upstream *u, struct upstream_ref ep);

/* Passive health (health.c). */
enum upstream_failure {
	UPSTREAM_REFUSED = 0,	/* RST or ICMP unreachable in answer to our SYN */
	UPSTREAM_CONNECT_RESET, /* accepted, and thrown away before anything was sent */
	UPSTREAM_CONNECT_TIMEOUT,
	UPSTREAM_RESET, /* lost while a response was due, on a connection not reused */
	UPSTREAM_RESPONSE_TIMEOUT,
};
/* True when this failure ejected the endpoint. */
bool upstream_failed(struct upstream *u, struct upstream_ref ep, enum upstream_failure why,
	uint64_t now_us);
/* The same of a time-out, of what was sent to it at <sent_us>. */
bool upstream_timed_out(struct upstream *u, struct upstream_ref ep, enum upstream_failure why,
	uint64_t sent_us, uint64_t now_us);
/* A response with a 5xx status. True: enough of them, upstream_eject_error() is due. */
bool upstream_error(struct upstream *u, struct upstream_ref ep, uint64_t now_us);
/* <set>: the service's endpoints, of which only so many may be out. True: it was ejected. */
bool upstream_eject_error(struct upstream *u, struct upstream_ref ep,
	const struct endpoint_set *set, uint64_t now_us);
void upstream_succeeded(struct upstream *u, struct upstream_ref ep, uint64_t now_us);

/* Pool of idle connections (pool.c). Embedded in whoever owns the connection. */
struct pool_conn {
	struct list endpoint_link, lru_link;
	struct upstream_ref ep;
	uint64_t idle_us; /* since when */
};
void pool_conn_init(struct pool_conn *pc);
/* False: the endpoint drains, changed owner or has enough; the caller closes the connection. */
bool pool_put(struct upstream *u, struct pool_conn *pc, uint64_t now_us);
/* The one used last (LIFO: the others may grow old and go), or NULL; it stays where it is. */
struct pool_conn *pool_newest(struct upstream *u, struct upstream_ref ep);
/* The one idle longest of all endpoints, or NULL; it stays where it is. */
struct pool_conn *pool_oldest(struct upstream *u);
void pool_remove(struct upstream *u, struct pool_conn *pc);
uint32_t pool_count(const struct upstream *u);

/*
 * Housekeeping, a bounded piece of work per call: notes which endpoints <cfg> still has and which
 * drain; true when a pass is complete. upstream_stale_take() then yields pooled connections of
 * endpoints that are gone, drain or lost their slot, one at a time, already removed.
 */
bool upstream_sweep(struct upstream *u, const struct config *cfg);
struct pool_conn *upstream_stale_take(struct upstream *u);

/*
 * Somebody who outlives a turn counts on this slot, or no longer does; SLOT_NONE is ignored. The
 * agent keeps the slot's id while upstream_users() is not 0.
 */
static inline void upstream_use(struct upstream *u, enum counter_scope scope, uint32_t slot)
{
	struct upstream_row *row;

	if (unlikely(slot == SLOT_NONE))
		return;
	row = upstream_row(u, scope, slot);
	__atomic_store_n(&row->users, row->users + 1, __ATOMIC_RELAXED);
}
static inline void upstream_unuse(struct upstream *u, enum counter_scope scope, uint32_t slot)
{
	struct upstream_row *row;

	if (unlikely(slot == SLOT_NONE))
		return;
	row = upstream_row(u, scope, slot);
	bug_on_hot(row->users == 0);
	__atomic_store_n(&row->users, row->users - 1, __ATOMIC_RELAXED);
}
uint32_t upstream_users(const struct upstream *u, enum counter_scope scope, uint32_t slot);

/* All counters of one object, to be written with counter_add(); NULL for SLOT_NONE. */
static inline uint64_t *upstream_cells(struct upstream *u, enum counter_scope scope, uint32_t slot)
{
	return unlikely(slot == SLOT_NONE) ? NULL : upstream_row(u, scope, slot)->counters;
}
/* Adds to a counter of an object; SLOT_NONE is ignored. */
static inline void upstream_count(struct upstream *u, enum counter_scope scope, uint32_t slot,
	unsigned counter, uint64_t n)
{
	uint64_t *row = upstream_cells(u, scope, slot);

	bug_on_hot(counter >= counter_count(scope));
	if (row != NULL)
		counter_add(&row[counter], n);
}

/*
 * For the agent, read relaxed: counters of one object in counters.def's order. They belong to the
 * slot: the agent takes the difference when it gives a slot to another id.
 */
const uint64_t *upstream_counters(const struct upstream *u, enum counter_scope scope,
	uint32_t slot);
/* What this worker has seen of the endpoint that last used the slot. */
struct upstream_endpoint_state {
	uint64_t endpoint_id; /* 0: never used by this worker */
	uint64_t good_us;     /* newest response without an error; 0: none */
	struct sentence sentence;
	uint32_t in_flight, idle;
	uint32_t timeouts;    /* in a row */
	uint64_t timeouts_us; /* since when */
};
void upstream_endpoint_state(const struct upstream *u, uint32_t slot,
	struct upstream_endpoint_state *ret);
/* Time-outs of <ep> in a row, over all workers; *ret_began_us: the first. */
uint32_t upstream_timeouts(const struct upstream *u, struct upstream_ref ep,
	uint64_t *ret_began_us);
/* Once per turn: what other workers have ejected since the last one is not used here either. */
void upstream_heed(struct upstream *u, uint64_t now_us);
/* Any thread: differs from what it was when there may be a new sentence or time-out. */
uint64_t upstream_news(const struct upstream *u);
