// SPDX-License-Identifier: Apache-2.0
/*
 * upstream_test.c: endpoints are chosen by weight and load, ejected when they fail, and their
 * pooled connections leave with them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/upstream/endpoint.h"

#define SEC 1000000ull

struct fixture {
	struct upstream *u;
	struct rng rng;
	struct upstream_config cfg;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	rng_seed(&f->rng, 7);
	upstream_config_default(&f->cfg);
	f->u = upstream_new(&f->cfg, &f->rng, 0, 1);
	assert_non_null(f->u);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	upstream_free(f->u);
	free(f);
	return 0;
}

/* <n> endpoints with ids and slots 1..n and weight 1. */
static struct endpoint_set *make_set(uint32_t n)
{
	struct endpoint_set *s = calloc(1, sizeof(*s) + n * sizeof(s->e[0]));

	s->count = n;
	for (uint32_t i = 0; i < n; i++)
		s->e[i] = (struct endpoint){.id = i + 1, .slot = i + 1, .port = 80, .weight = 1};
	return s;
}

static struct upstream_ref ref(uint64_t id)
{
	return (struct upstream_ref){.id = id, .slot = (uint32_t)id};
}

static uint64_t pick(struct fixture *f, const struct endpoint_set *s, uint64_t exclude,
	uint64_t now)
{
	bool panic;
	const struct endpoint *e = upstream_pick(f->u, s, 3, exclude == 0, exclude, now, &panic);

	return e != NULL ? e->id : 0;
}

static void idle_endpoints_are_used_in_turn_by_weight(void **state)
{
	struct fixture *f = *state;
	struct endpoint_set *s = make_set(3);
	uint32_t got[4] = {0};

	s->e[2].weight = 2;
	for (int i = 0; i < 400; i++)
		got[pick(f, s, 0, 0)]++;
	assert_in_range(got[1], 97, 103);
	assert_in_range(got[2], 97, 103);
	assert_in_range(got[3], 196, 204);
	free(s);
}

static void a_busy_endpoint_gets_less(void **state)
{
	struct fixture *f = *state;
	struct endpoint_set *s = make_set(2);
	uint32_t got[3] = {0};

	for (int i = 0; i < 50; i++)
		upstream_started(f->u, ref(1));
	for (int i = 0; i < 1000; i++)
		got[pick(f, s, 0, 0)]++;
	/* only when both candidates are endpoint 1 */
	assert_in_range(got[1], 200, 300);
	for (int i = 0; i < 50; i++)
		upstream_ended(f->u, ref(1));
	free(s);
}

static void large_sets_are_used_evenly_too(void **state)
{
	struct fixture *f = *state;
	struct endpoint_set *s = make_set(1000);
	uint32_t *got = calloc(1001, sizeof(*got)), worst = 0;

	for (int i = 0; i < 100000; i++)
		got[pick(f, s, 0, 0)]++;
	for (int i = 1; i <= 1000; i++)
		worst = got[i] > worst ? got[i] : worst;
	assert_in_range(worst, 100, 160);
	free(got);
	free(s);
}

static void weight_zero_and_the_excluded_are_never_picked(void **state)
{
	struct fixture *f = *state;
	struct endpoint_set *s = make_set(3);

	s->e[0].weight = 0;
	for (int i = 0; i < 100; i++)
		assert_int_equal(pick(f, s, 2, 0), 3);
	s->e[2].weight = 0;
	assert_int_equal(pick(f, s, 2, 0), 0);
	assert_int_equal(pick(f, NULL, 0, 0), 0);
	free(s);
}

static void draining_endpoints_serve_only_when_nobody_else_does(void **state)
{
	struct fixture *f = *state;
	struct endpoint_set *s = make_set(2);

	s->e[0].draining = true;
	for (int i = 0; i < 50; i++)
		assert_int_equal(pick(f, s, 0, 0), 2);
	s->e[1].draining = true;
	assert_int_not_equal(pick(f, s, 0, 0), 0);
	free(s);
}

static void a_refused_connect_ejects_at_once_and_for_a_time(void **state)
{
	struct fixture *f = *state;
	struct endpoint_set *s = make_set(2);

	pick(f, s, 1, 0), pick(f, s, 2, 0);
	assert_true(upstream_failed(f->u, ref(1), UPSTREAM_REFUSED, SEC));
	for (int i = 0; i < 50; i++)
		assert_int_equal(pick(f, s, 0, SEC + i), 2);
	for (int i = 0; i < 50; i++)
		assert_int_not_equal(pick(f, s, 2, 32 * SEC), 2);
	assert_int_equal(upstream_counters(f->u, COUNTER_ENDPOINT, 1)[COUNTER_ENDPOINT_EJECTIONS],
		1);
	free(s);
}

static void lost_connections_eject_after_five_in_a_row(void **state)
{
	struct fixture *f = *state;

	upstream_started(f->u, ref(1));
	for (int i = 0; i < 4; i++)
		assert_false(upstream_failed(f->u, ref(1), UPSTREAM_RESET, SEC));
	upstream_succeeded(f->u, ref(1), SEC);
	for (int i = 0; i < 4; i++)
		assert_false(upstream_failed(f->u, ref(1), UPSTREAM_RESET, 2 * SEC));
	assert_true(upstream_failed(f->u, ref(1), UPSTREAM_RESET, 2 * SEC));
	upstream_ended(f->u, ref(1));
}

static void timeouts_are_counted_and_left_to_the_agent(void **state)
{
	struct fixture *f = *state;
	uint64_t news = upstream_news(f->u), began;

	upstream_started(f->u, ref(1));
	for (uint64_t i = 1; i <= 100; i++)
		assert_false(upstream_failed(f->u, ref(1),
			i % 2 ? UPSTREAM_CONNECT_TIMEOUT : UPSTREAM_RESPONSE_TIMEOUT, i * SEC));
	assert_int_equal(upstream_timeouts(f->u, ref(1), &began), 100);
	assert_int_equal(began, SEC);
	assert_int_not_equal(upstream_news(f->u), news);
	upstream_succeeded(f->u, ref(1), 200 * SEC);
	assert_int_equal(upstream_timeouts(f->u, ref(1), &began), 0);
	upstream_ended(f->u, ref(1));
}

/* Time from <now> for which the endpoint stays out after one more refusal. */
static uint64_t sentence(struct fixture *f, uint64_t id, uint64_t now)
{
	struct upstream_endpoint_state st;

	assert_true(upstream_failed(f->u, ref(id), UPSTREAM_REFUSED, now));
	upstream_endpoint_state(f->u, (uint32_t)id, &st);
	return st.sentence.until_us - now;
}

static void ejections_in_a_row_grow_and_are_forgiven(void **state)
{
	struct fixture *f = *state;
	uint64_t now = 1000 * SEC;

	endpoint_claim(f->u, ref(1));
	for (uint64_t n = 1; n <= 40; n++) {
		uint64_t us = sentence(f, 1, now);

		assert_int_equal(us, n <= 10 ? n * 30 * SEC : 300 * SEC);
		now += us + 1; /* fails again right after its return */
	}
	now += 301 * SEC; /* served for longer than it was out */
	assert_int_equal(sentence(f, 1, now), 30 * SEC);
}

static void when_all_are_ejected_all_are_used(void **state)
{
	struct fixture *f = *state;
	struct endpoint_set *s = make_set(2);
	bool panic;

	endpoint_claim(f->u, ref(1)), endpoint_claim(f->u, ref(2));
	upstream_failed(f->u, ref(1), UPSTREAM_REFUSED, SEC);
	upstream_failed(f->u, ref(2), UPSTREAM_REFUSED, SEC);
	assert_non_null(upstream_pick(f->u, s, 3, true, 0, 2 * SEC, &panic));
	assert_true(panic);
	upstream_succeeded(f->u, ref(2), 2 * SEC); /* it does serve */
	for (int i = 0; i < 20; i++) {
		assert_int_equal(upstream_pick(f->u, s, 3, true, 0, 2 * SEC, &panic)->id, 2);
		assert_false(panic);
	}
	free(s);
}

static void a_slot_given_to_another_endpoint_forgets_the_first(void **state)
{
	struct fixture *f = *state;
	struct upstream_ref other = {.id = 99, .slot = 1};
	struct pool_conn pc;

	upstream_started(f->u, ref(1));
	upstream_failed(f->u, ref(1), UPSTREAM_REFUSED, SEC);
	pool_conn_init(&pc);
	pc.ep = ref(1);
	assert_true(pool_put(f->u, &pc, SEC));
	upstream_started(f->u, other);
	assert_null(pool_newest(f->u, other));
	assert_ptr_equal(upstream_stale_take(f->u), &pc);
	assert_null(upstream_stale_take(f->u));
	assert_int_equal(pool_count(f->u), 0);
	assert_false(endpoint_is_ejected(f->u, other, SEC));
	upstream_ended(f->u, ref(1)); /* late, and without effect */
	assert_int_equal(f->u->ep[1].in_flight, 1);
	upstream_ended(f->u, other);
}

static void the_pool_is_a_stack_per_endpoint_and_a_queue_of_all(void **state)
{
	struct fixture *f = *state;
	struct pool_conn pc[3];

	for (int i = 0; i < 3; i++) {
		pool_conn_init(&pc[i]);
		pc[i].ep = ref(i == 1 ? 2 : 1);
		endpoint_claim(f->u, pc[i].ep);
		assert_true(pool_put(f->u, &pc[i], SEC + (uint64_t)i));
	}
	assert_ptr_equal(pool_newest(f->u, ref(1)), &pc[2]);
	assert_ptr_equal(pool_oldest(f->u), &pc[0]);
	pool_remove(f->u, &pc[0]);
	assert_ptr_equal(pool_oldest(f->u), &pc[1]);
	pool_remove(f->u, &pc[1]);
	pool_remove(f->u, &pc[2]);
	assert_int_equal(pool_count(f->u), 0);
}

static void the_pool_refuses_what_is_draining_or_too_many(void **state)
{
	struct fixture *f = *state;
	struct pool_conn *pc = calloc(f->cfg.idle_per_endpoint_max + 1, sizeof(*pc));
	uint32_t n = f->cfg.idle_per_endpoint_max;

	endpoint_claim(f->u, ref(1));
	for (uint32_t i = 0; i <= n; i++) {
		pool_conn_init(&pc[i]);
		pc[i].ep = ref(1);
		assert_int_equal(pool_put(f->u, &pc[i], SEC), i < n);
	}
	for (uint32_t i = 0; i < n; i++)
		pool_remove(f->u, &pc[i]);
	f->u->ep[1].draining = true;
	assert_false(pool_put(f->u, &pc[0], SEC));
	free(pc);
}

/* A configuration with one service. */
struct world {
	struct config cfg;
	_Atomic(const struct endpoint_set *) sets[1];
};

static void world_set(struct world *w, const struct endpoint_set *s, uint64_t generation)
{
	atomic_init(&w->sets[0], s);
	w->cfg =
		(struct config){.generation = generation, .service_count = 1, .endpoints = w->sets};
}

static void sweep_all(struct fixture *f, struct world *w)
{
	int i = 0;

	while (!upstream_sweep(f->u, &w->cfg))
		assert_in_range(i++, 0, 100000);
}

static void a_sweep_expels_connections_of_endpoints_that_left_or_drain(void **state)
{
	struct fixture *f = *state;
	struct endpoint_set *s = make_set(3);
	struct pool_conn pc[4];
	struct world w;

	for (uint32_t i = 0; i < 4; i++) {
		pool_conn_init(&pc[i]);
		pc[i].ep = ref(i + 1);
		endpoint_claim(f->u, pc[i].ep);
		assert_true(pool_put(f->u, &pc[i], SEC));
	}
	s->e[1].draining = true;
	world_set(&w, s, 1);
	sweep_all(f, &w); /* endpoint 4 is not in it, 2 drains */
	assert_int_equal(pool_count(f->u), 2);
	assert_true(upstream_stale_take(f->u) != NULL && upstream_stale_take(f->u) != NULL);
	assert_null(upstream_stale_take(f->u));
	assert_ptr_equal(pool_newest(f->u, ref(1)), &pc[0]);
	assert_ptr_equal(pool_newest(f->u, ref(3)), &pc[2]);
	world_set(&w, NULL, 2);
	sweep_all(f, &w);
	assert_int_equal(pool_count(f->u), 0);
	while (upstream_stale_take(f->u) != NULL)
		;
	free(s);
}

static void counters_and_users_belong_to_their_slot(void **state)
{
	struct fixture *f = *state;

	for (unsigned sc = 0; sc < COUNTER_SCOPE_COUNT; sc++) {
		uint32_t last = counter_slots(sc) - 1;

		for (unsigned i = 0; i < counter_count(sc); i++)
			upstream_count(f->u, sc, last, i, i + 1);
		for (unsigned i = 0; i < counter_count(sc); i++)
			assert_int_equal(upstream_counters(f->u, sc, last)[i], i + 1);
		assert_int_equal(upstream_counters(f->u, sc, last - 1)[0], 0);
		upstream_count(f->u, sc, SLOT_NONE, 0, 1);
		upstream_use(f->u, sc, last);
		assert_int_equal(upstream_users(f->u, sc, last), 1);
		upstream_unuse(f->u, sc, last);
		assert_int_equal(upstream_users(f->u, sc, last), 0);
		assert_true(counter_name(sc, 0)[0] != 0 && counter_help(sc, 0)[0] != 0);
	}
	assert_string_equal(counter_scope_name(COUNTER_ENDPOINT), "endpoint");
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest rows[] = {
		ROW(idle_endpoints_are_used_in_turn_by_weight),
		ROW(a_busy_endpoint_gets_less),
		ROW(large_sets_are_used_evenly_too),
		ROW(weight_zero_and_the_excluded_are_never_picked),
		ROW(draining_endpoints_serve_only_when_nobody_else_does),
		ROW(a_refused_connect_ejects_at_once_and_for_a_time),
		ROW(lost_connections_eject_after_five_in_a_row),
		ROW(timeouts_are_counted_and_left_to_the_agent),
		ROW(ejections_in_a_row_grow_and_are_forgiven),
		ROW(when_all_are_ejected_all_are_used),
		ROW(a_slot_given_to_another_endpoint_forgets_the_first),
		ROW(the_pool_is_a_stack_per_endpoint_and_a_queue_of_all),
		ROW(the_pool_refuses_what_is_draining_or_too_many),
		ROW(a_sweep_expels_connections_of_endpoints_that_left_or_drain),
		ROW(counters_and_users_belong_to_their_slot),
	};

	return cmocka_run_group_tests(rows, NULL, NULL);
}
