// SPDX-License-Identifier: Apache-2.0
/*
 * upstream.c: storage by slot: endpoints' states, weighted sequences, rows of counters.
 *
 * Sized for the largest configuration (SLOTS_*_MAX, about 35 MiB of address space per worker,
 * touched only as far as slots are used), so that no configuration change allocates on a worker.
 */
#include <stdlib.h>

#include "dataplane/upstream/endpoint.h"
#include "dataplane/base/pages.h"

void upstream_config_default(struct upstream_config *cfg)
{
	*cfg = (struct upstream_config){
		.idle_per_endpoint_max = 256,
		.health =
			{
				/* Envoy Gateway's BackendTrafficPolicy, passive health check */
				.errors = 5,
				.failures = 5,
				.base_ms = 30000,
				.max_ms = 300000,
				.percent = 10,
			},
	};
}

/* Until the agent has one for us: nothing is known against anybody. */
static const struct health_board empty_board;

void upstream_join(struct upstream *u, const struct health_board *board,
	const struct upstream *const *others)
{
	u->board = board;
	u->others = others;
}

/* calloc(): pages that no slot uses are never touched. */
static bool rows_new(struct upstream *u)
{
	for (unsigned s = 0; s < COUNTER_SCOPE_COUNT; s++) {
		size_t bytes = counter_slots(s) * UPSTREAM_ROW_BYTES(counter_count(s)) + 64;
		char *mem = u->row_mem[s] = calloc(1, bytes);

		if (mem == NULL)
			return false;
		u->rows.at[s] = mem + (-(uintptr_t)mem & 63);
		pages_wish_large(mem, bytes);
	}
	return true;
}

struct upstream *upstream_new(const struct upstream_config *cfg, struct rng *rng, uint32_t worker,
	uint32_t workers)
{
	struct upstream *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->cfg = *cfg;
	u->rng = rng;
	u->worker = worker;
	u->workers = workers;
	u->board = &empty_board;
	list_init(&u->lru);
	list_init(&u->stale);
	u->ep = calloc(SLOTS_ENDPOINT_MAX, sizeof(*u->ep));
	u->seq = calloc(SLOTS_RULE_MAX, sizeof(*u->seq));
	u->cluster = calloc(SLOTS_BACKEND_MAX, sizeof(*u->cluster));
	u->heard = calloc(workers, sizeof(*u->heard));
	if (!rows_new(u) || u->heard == NULL || u->ep == NULL || u->seq == NULL ||
		u->cluster == NULL) {
		upstream_free(u);
		return NULL;
	}
	for (uint32_t i = 0; i < SLOTS_ENDPOINT_MAX; i++)
		list_init(&u->ep[i].idle);
	for (uint32_t i = 0; i < SLOTS_RULE_MAX; i++)
		pick_seq_init(&u->seq[i], worker, workers, rng_u64(rng));
	return u;
}

void upstream_free(struct upstream *u)
{
	if (u == NULL)
		return;
	bug_on(!list_is_empty(&u->lru) || !list_is_empty(&u->stale));
	for (unsigned s = 0; s < COUNTER_SCOPE_COUNT; s++)
		free(u->row_mem[s]);
	free(u->ep);
	free(u->seq);
	free(u->cluster);
	free(u->heard);
	free(u);
}

struct pick_seq *upstream_seq(struct upstream *u, uint32_t rule_slot)
{
	bug_on(rule_slot >= SLOTS_RULE_MAX);
	return &u->seq[rule_slot];
}

struct endpoint_state *endpoint_claim(struct upstream *u, struct upstream_ref ref)
{
	struct endpoint_state *s;

	bug_on(ref.slot >= SLOTS_ENDPOINT_MAX);
	s = &u->ep[ref.slot];
	if (unlikely(s->id != ref.id)) {
		pool_expel(u, s);
		*s = (struct endpoint_state){.seen = u->sweep.pass};
		list_init(&s->idle);
		/* The agent reads the id without a lock: last, so that the rest is never older. */
		__atomic_store_n(&s->id, ref.id, __ATOMIC_RELEASE);
	}
	return s;
}

void upstream_started(struct upstream *u, struct upstream_ref ep)
{
	endpoint_claim(u, ep)->in_flight++;
}

void upstream_ended(struct upstream *u, struct upstream_ref ep)
{
	struct endpoint_state *s = endpoint_lookup(u, ep);

	if (s == NULL)
		return;
	bug_on_hot(s->in_flight == 0);
	s->in_flight--;
}

uint32_t upstream_users(const struct upstream *u, enum counter_scope scope, uint32_t slot)
{
	bug_on(slot >= counter_slots(scope));
	return __atomic_load_n(&upstream_row(u, scope, slot)->users, __ATOMIC_RELAXED);
}

const uint64_t *upstream_counters(const struct upstream *u, enum counter_scope scope, uint32_t slot)
{
	bug_on(slot >= counter_slots(scope));
	return upstream_row(u, scope, slot)->counters;
}

void upstream_endpoint_state(const struct upstream *u, uint32_t slot,
	struct upstream_endpoint_state *ret)
{
	const struct endpoint_state *s;

	bug_on(slot >= SLOTS_ENDPOINT_MAX);
	s = &u->ep[slot];
	*ret = (struct upstream_endpoint_state){
		.endpoint_id = __atomic_load_n(&s->id, __ATOMIC_ACQUIRE),
		.good_us = __atomic_load_n(&s->good_us, __ATOMIC_RELAXED),
		.sentence = sentence_read(&s->sentence),
		.in_flight = __atomic_load_n(&s->in_flight, __ATOMIC_RELAXED),
		.idle = __atomic_load_n(&s->idle_count, __ATOMIC_RELAXED),
		.timeouts = __atomic_load_n(&s->run[HEALTH_RUN_TIMEOUTS].count, __ATOMIC_RELAXED),
		.timeouts_us =
			__atomic_load_n(&s->run[HEALTH_RUN_TIMEOUTS].began_us, __ATOMIC_RELAXED),
	};
}
