// SPDX-License-Identifier: Apache-2.0
/*
 * pool.c: idle connections to endpoints.
 *
 * Per endpoint a stack: the connection used last is taken first, so that as few as the load needs
 * stay warm and the others age. All of them are also on one list by age, from which the owner
 * closes what is idle too long or in the way. The pool never touches a connection, it only keeps
 * and yields them.
 */
#include "dataplane/upstream/endpoint.h"

#define SWEEP_STEP 256u /* endpoints or connections looked at per call: a few microseconds */

void pool_conn_init(struct pool_conn *pc)
{
	*pc = (struct pool_conn){.ep = {.slot = SLOT_NONE}};
	list_init(&pc->endpoint_link);
	list_init(&pc->lru_link);
}

bool pool_put(struct upstream *u, struct pool_conn *pc, uint64_t now_us)
{
	struct endpoint_state *s = endpoint_lookup(u, pc->ep);

	bug_on_hot(list_is_linked(&pc->lru_link));
	if (s == NULL || s->draining || s->idle_count >= u->cfg.idle_per_endpoint_max)
		return false;
	pc->idle_us = now_us;
	list_add_head(&s->idle, &pc->endpoint_link);
	list_add_tail(&u->lru, &pc->lru_link);
	s->idle_count++;
	u->idle_count++;
	return true;
}

void pool_remove(struct upstream *u, struct pool_conn *pc)
{
	struct endpoint_state *s = endpoint_lookup(u, pc->ep);

	list_del(&pc->lru_link);
	if (!list_is_linked(&pc->endpoint_link))
		return; /* it was stale: counted out already */
	list_del(&pc->endpoint_link);
	bug_on(s == NULL || s->idle_count == 0 || u->idle_count == 0);
	s->idle_count--;
	u->idle_count--;
}

struct pool_conn *pool_newest(struct upstream *u, struct upstream_ref ep)
{
	struct endpoint_state *s = endpoint_lookup(u, ep);

	if (s == NULL || list_is_empty(&s->idle))
		return NULL;
	return list_entry(s->idle.next, struct pool_conn, endpoint_link);
}

struct pool_conn *pool_oldest(struct upstream *u)
{
	return list_is_empty(&u->lru) ? NULL : list_entry(u->lru.next, struct pool_conn, lru_link);
}

uint32_t pool_count(const struct upstream *u)
{
	return u->idle_count;
}

static void expel_one(struct upstream *u, struct pool_conn *pc)
{
	pool_remove(u, pc);
	list_add_tail(&u->stale, &pc->lru_link);
}

void pool_expel(struct upstream *u, struct endpoint_state *s)
{
	while (!list_is_empty(&s->idle))
		expel_one(u, list_entry(s->idle.next, struct pool_conn, endpoint_link));
}

struct pool_conn *upstream_stale_take(struct upstream *u)
{
	struct list *l = list_pop(&u->stale);

	return l != NULL ? list_entry(l, struct pool_conn, lru_link) : NULL;
}

/* Marks endpoints of the configuration; true when the last one was reached. */
static bool sweep_mark(struct upstream *u, const struct config *cfg)
{
	uint32_t budget = SWEEP_STEP;

	while (u->sweep.service < cfg->service_count && budget > 0) {
		const struct endpoint_set *set = config_endpoints(cfg, u->sweep.service);

		if (set == NULL || u->sweep.endpoint >= set->count) {
			u->sweep.service++;
			u->sweep.endpoint = 0;
		} else {
			const struct endpoint *e = &set->e[u->sweep.endpoint++];
			struct upstream_ref ref = {.id = e->id, .slot = e->slot};
			struct endpoint_state *s = endpoint_lookup(u, ref);

			if (s != NULL) {
				s->seen = u->sweep.pass;
				s->draining = e->draining;
			}
		}
		budget--;
	}
	return u->sweep.service >= cfg->service_count;
}

/* Expels what the marking did not see; true when the last slot was looked at. */
static bool sweep_expel(struct upstream *u)
{
	uint32_t end = u->sweep.slot + SWEEP_STEP;

	for (; u->sweep.slot < end && u->sweep.slot < SLOTS_ENDPOINT_MAX; u->sweep.slot++) {
		struct endpoint_state *s = &u->ep[u->sweep.slot];

		if (s->idle_count > 0 && (s->draining || s->seen != u->sweep.pass))
			pool_expel(u, s);
	}
	return u->sweep.slot >= SLOTS_ENDPOINT_MAX;
}

bool upstream_sweep(struct upstream *u, const struct config *cfg)
{
	if (!u->sweep.running || u->sweep.generation != cfg->generation) {
		u->sweep.pass++;
		u->sweep.generation = cfg->generation;
		u->sweep.service = u->sweep.endpoint = u->sweep.slot = 0;
		u->sweep.running = true;
	}
	if (sweep_mark(u, cfg) && sweep_expel(u))
		u->sweep.running = false;
	return !u->sweep.running;
}
