// SPDX-License-Identifier: Apache-2.0
/*
 * health_test.c: what several workers see of one endpoint counts together, and what the agent says
 * holds for all of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/upstream/endpoint.h"

#define SEC 1000000ull
#define WORKERS 3u

struct fixture {
	struct upstream *u[WORKERS];
	const struct upstream *all[WORKERS];
	struct health_board *board;
	struct rng rng;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct upstream_config cfg;

	rng_seed(&f->rng, 7);
	upstream_config_default(&cfg);
	f->board = calloc(1, sizeof(*f->board));
	for (uint32_t i = 0; i < WORKERS; i++)
		f->all[i] = f->u[i] = upstream_new(&cfg, &f->rng, i, WORKERS);
	for (uint32_t i = 0; i < WORKERS; i++)
		upstream_join(f->u[i], f->board, f->all);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < WORKERS; i++)
		upstream_free(f->u[i]);
	free(f->board);
	free(f);
	return 0;
}

static struct upstream_ref ref(uint64_t id)
{
	return (struct upstream_ref){.id = id, .slot = (uint32_t)id};
}

/* Endpoints 1 to <n>, which all workers have met. */
static struct endpoint_set *make_set(struct fixture *f, uint32_t n)
{
	struct endpoint_set *s = calloc(1, sizeof(*s) + n * sizeof(s->e[0]));

	s->service_id = 77;
	s->count = n;
	for (uint32_t i = 0; i < n; i++) {
		s->e[i] = (struct endpoint){.id = i + 1, .slot = i + 1, .port = 80, .weight = 1};
		for (uint32_t w = 0; w < WORKERS; w++)
			endpoint_claim(f->u[w], ref(i + 1));
	}
	return s;
}

static void errors_of_all_workers_count_together(void **state)
{
	struct fixture *f = *state;

	free(make_set(f, 1));
	for (uint64_t i = 1; i <= 4; i++)
		assert_false(upstream_error(f->u[i % 2], ref(1), i * SEC));
	assert_true(upstream_error(f->u[2], ref(1), 5 * SEC));
}

static void a_success_on_any_worker_starts_the_count_afresh(void **state)
{
	struct fixture *f = *state;

	free(make_set(f, 1));
	for (uint64_t i = 1; i <= 4; i++)
		assert_false(upstream_error(f->u[0], ref(1), i * SEC));
	upstream_succeeded(f->u[1], ref(1), 5 * SEC);
	for (uint64_t i = 6; i <= 9; i++)
		assert_false(upstream_error(f->u[2], ref(1), i * SEC));
	assert_true(upstream_error(f->u[2], ref(1), 10 * SEC));
}

static void what_one_worker_met_by_itself_is_never_lost(void **state)
{
	struct fixture *f = *state;

	free(make_set(f, 1));
	for (uint64_t i = 1; i <= 4; i++) {
		assert_false(upstream_error(f->u[0], ref(1), 2 * i * SEC));
		upstream_succeeded(f->u[1], ref(1), (2 * i + 1) * SEC);
	}
	assert_true(upstream_error(f->u[0], ref(1), 20 * SEC));
}

/* All endpoints answer 5xx all the time; how many are out in the end. */
static uint32_t out_of(struct fixture *f, uint32_t n, uint8_t percent)
{
	struct endpoint_set *s = make_set(f, n);
	uint32_t out = 0;

	for (uint32_t i = 1; i <= n; i++)
		f->board->entry[i].rules = (struct health_rules){.base_ms = 30000,
			.max_ms = 300000,
			.errors = 3,
			.percent = percent,
			.given = true};
	for (uint32_t k = 0; k < 20 * n; k++) {
		uint32_t i = k % n + 1;
		struct upstream *u = f->u[rng_below(&f->rng, WORKERS)];

		if (upstream_error(u, ref(i), SEC + k))
			out += upstream_eject_error(u, ref(i), s, SEC + k);
	}
	free(s);
	return out;
}

static void errors_put_out_one_at_least(void **state)
{
	assert_int_equal(out_of(*state, 4, 10), 1);
}

static void errors_put_out_no_more_than_their_share(void **state)
{
	assert_int_equal(out_of(*state, 50, 10), 5);
}

static void errors_put_out_nobody_where_the_share_is_none(void **state)
{
	assert_int_equal(out_of(*state, 20, 0), 0);
}

static void errors_may_put_out_all(void **state)
{
	assert_int_equal(out_of(*state, 20, 100), 20);
}

static void refusals_know_no_share(void **state)
{
	struct fixture *f = *state;

	free(make_set(f, 10));
	for (uint32_t i = 1; i <= 10; i++)
		assert_true(upstream_failed(f->u[0], ref(i),
			i % 2 ? UPSTREAM_REFUSED : UPSTREAM_CONNECT_RESET, SEC));
}

static void a_verdict_holds_on_all_workers_at_once(void **state)
{
	struct fixture *f = *state;
	struct endpoint_set *s = make_set(f, 2);
	bool panic;

	f->board->verdict[1] = HEALTH_DOWN;
	for (uint32_t i = 0; i < 30; i++)
		assert_int_equal(upstream_pick(f->u[i % WORKERS], s, 3, true, 0, SEC, &panic)->id,
			2);
	f->board->verdict[1] = 0;
	assert_int_equal(upstream_pick(f->u[0], s, 3, false, 2, SEC, &panic)->id, 1);
	assert_false(panic);
	free(s);
}

static void a_pardon_ends_what_was_passed_before_it(void **state)
{
	struct fixture *f = *state;

	free(make_set(f, 1));
	upstream_failed(f->u[0], ref(1), UPSTREAM_REFUSED, SEC);
	assert_true(endpoint_is_ejected(f->u[0], ref(1), 2 * SEC));
	f->board->entry[1].pardon_us = 2 * SEC;
	assert_false(endpoint_is_ejected(f->u[0], ref(1), 2 * SEC));
	upstream_failed(f->u[0], ref(1), UPSTREAM_REFUSED, 3 * SEC);
	assert_true(endpoint_is_ejected(f->u[0], ref(1), 3 * SEC));
}

static void sentences_of_others_make_the_next_one_longer(void **state)
{
	struct fixture *f = *state;
	struct upstream_endpoint_state st;

	free(make_set(f, 1));
	upstream_failed(f->u[0], ref(1), UPSTREAM_REFUSED, SEC);
	upstream_failed(f->u[1], ref(1), UPSTREAM_REFUSED, 40 * SEC);
	upstream_endpoint_state(f->u[1], 1, &st);
	assert_int_equal(st.sentence.until_us, 100 * SEC);
	f->board->entry[1].sentence =
		(struct sentence){.since_us = 100 * SEC, .until_us = 200 * SEC, .count = 4};
	upstream_failed(f->u[2], ref(1), UPSTREAM_REFUSED, 201 * SEC);
	upstream_endpoint_state(f->u[2], 1, &st);
	assert_int_equal(st.sentence.until_us, 351 * SEC);
}

static void workers_that_meet_one_failure_together_pass_one_sentence(void **state)
{
	struct fixture *f = *state;
	struct upstream_endpoint_state st;

	free(make_set(f, 1));
	assert_true(upstream_failed(f->u[0], ref(1), UPSTREAM_REFUSED, SEC));
	assert_false(upstream_failed(f->u[1], ref(1), UPSTREAM_REFUSED, SEC + 100));
	assert_true(endpoint_is_ejected(f->u[1], ref(1), 2 * SEC));
	for (int i = 0; i < 50; i++)
		assert_false(upstream_error(f->u[2], ref(1), SEC + 200));
	upstream_endpoint_state(f->u[2], 1, &st);
	assert_int_equal(st.sentence.until_us, 31 * SEC);
	assert_int_equal(st.sentence.count, 1);
}

static void what_one_worker_ejects_the_others_leave_with_their_next_turn(void **state)
{
	struct fixture *f = *state;
	struct upstream_endpoint_state st;

	free(make_set(f, 40));
	for (uint32_t i = 1; i <= 10; i++)
		upstream_failed(f->u[0], ref(i), UPSTREAM_REFUSED, SEC);
	assert_false(endpoint_is_ejected(f->u[1], ref(1), SEC));
	upstream_heed(f->u[1], SEC);
	for (uint32_t i = 1; i <= 40; i++)
		assert_int_equal(endpoint_is_ejected(f->u[1], ref(i), SEC), i <= 10);
	upstream_endpoint_state(f->u[1], 1, &st);
	assert_int_equal(st.sentence.count, 1);
	upstream_heed(f->u[1], SEC);
	/* more than it remembers: the agent tells the rest */
	for (uint32_t i = 11; i <= 40; i++)
		upstream_failed(f->u[0], ref(i), UPSTREAM_REFUSED, 2 * SEC);
	upstream_heed(f->u[1], 2 * SEC);
	assert_true(endpoint_is_ejected(f->u[1], ref(40), 2 * SEC));
	/* what was pardoned meanwhile is not out again */
	upstream_failed(f->u[0], ref(1), UPSTREAM_REFUSED, 100 * SEC);
	f->board->entry[1].pardon_us = 101 * SEC;
	upstream_heed(f->u[1], 102 * SEC);
	assert_false(endpoint_is_ejected(f->u[1], ref(1), 102 * SEC));
}

static void timeouts_of_what_was_sent_before_it_answered_are_old(void **state)
{
	struct fixture *f = *state;
	uint64_t began;

	free(make_set(f, 1));
	f->board->entry[1].answers_us = 5 * SEC;
	upstream_timed_out(f->u[0], ref(1), UPSTREAM_RESPONSE_TIMEOUT, 4 * SEC, 9 * SEC);
	assert_int_equal(upstream_timeouts(f->u[0], ref(1), &began), 0);
	upstream_timed_out(f->u[0], ref(1), UPSTREAM_RESPONSE_TIMEOUT, 6 * SEC, 9 * SEC);
	assert_int_equal(upstream_timeouts(f->u[0], ref(1), &began), 1);
	assert_int_equal(upstream_counters(f->u[0], COUNTER_ENDPOINT, 1)[COUNTER_ENDPOINT_TIMEOUTS],
		2);
}

static void limits_of_none_are_never_reached(void **state)
{
	struct fixture *f = *state;

	free(make_set(f, 1));
	f->board->entry[1].rules = (struct health_rules){.base_ms = 1, .max_ms = 1, .given = true};
	for (uint64_t i = 1; i < 1000; i++) {
		assert_false(upstream_error(f->u[0], ref(1), i * SEC));
		assert_false(upstream_failed(f->u[0], ref(1), UPSTREAM_RESET, i * SEC));
	}
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest rows[] = {
		ROW(errors_of_all_workers_count_together),
		ROW(a_success_on_any_worker_starts_the_count_afresh),
		ROW(what_one_worker_met_by_itself_is_never_lost),
		ROW(errors_put_out_one_at_least),
		ROW(errors_put_out_no_more_than_their_share),
		ROW(errors_put_out_nobody_where_the_share_is_none),
		ROW(errors_may_put_out_all),
		ROW(refusals_know_no_share),
		ROW(a_verdict_holds_on_all_workers_at_once),
		ROW(a_pardon_ends_what_was_passed_before_it),
		ROW(sentences_of_others_make_the_next_one_longer),
		ROW(workers_that_meet_one_failure_together_pass_one_sentence),
		ROW(what_one_worker_ejects_the_others_leave_with_their_next_turn),
		ROW(timeouts_of_what_was_sent_before_it_answered_are_old),
		ROW(limits_of_none_are_never_reached),
	};

	return cmocka_run_group_tests_name("health", rows, NULL, NULL);
}
