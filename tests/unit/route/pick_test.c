// SPDX-License-Identifier: Apache-2.0
/*
 * pick_test.c: the weighted choice keeps its promise: less than two requests off over any window,
 * whatever the weights, from any worker's phase, across changes; and it keeps no rhythm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/route/route.h"

static struct weight_vector *vector(const uint32_t *w, uint32_t n, uint64_t revision)
{
	struct weight_vector *v = calloc(1, sizeof(*v) + n * sizeof(v->w[0]));

	v->count = n;
	v->revision = revision;
	for (uint32_t i = 0; i < n; i++) {
		v->w[i] = w[i];
		v->total += w[i];
	}
	return v;
}

/* Lags after every pick, which bound every window: max - min < 2 for each backend. */
static void assert_bounded(const struct weight_vector *v, uint32_t worker, uint32_t workers,
	uint64_t key, uint32_t picks)
{
	int64_t low[PICK_BACKENDS_MAX] = {0}, high[PICK_BACKENDS_MAX] = {0};
	int64_t lag[PICK_BACKENDS_MAX] = {0};
	struct pick_seq s;

	pick_seq_init(&s, worker, workers, key);
	for (uint32_t n = 0; n < picks; n++) {
		uint32_t got = pick_backend(&s, v);

		assert_true(got < v->count && v->w[got] != 0);
		for (uint32_t i = 0; i < v->count; i++) {
			lag[i] += v->w[i];
			if (i == got)
				lag[i] -= (int64_t)v->total;
			low[i] = lag[i] < low[i] ? lag[i] : low[i];
			high[i] = lag[i] > high[i] ? lag[i] : high[i];
			assert_true(high[i] - low[i] < 2 * (int64_t)v->total);
		}
	}
}

static void any_window_misses_by_less_than_two(void **state)
{
	struct rng r;

	rng_seed(&r, 7);
	for (int round = 0; round < 300; round++) {
		uint32_t n = 1 + (uint32_t)rng_below(&r, round % 10 == 0 ? 64 : 8), w[64], sum = 0;
		uint32_t top = (uint32_t[]){3, 10, 100, 1000, 1000000}[rng_below(&r, 5)];
		struct weight_vector *v;

		for (uint32_t i = 0; i < n; i++)
			sum += w[i] = (uint32_t)rng_below(&r, top + 1);
		if (sum == 0)
			w[0] = 1;
		v = vector(w, n, 1);
		assert_bounded(v, (uint32_t)rng_below(&r, 4), 4, rng_u64(&r), 5000);
		free(v);
	}
}

static uint32_t count_first(uint32_t w1, uint32_t w2, uint32_t worker, uint32_t workers,
	uint32_t picks, uint64_t key)
{
	struct weight_vector *v = vector((uint32_t[]){w1, w2}, 2, 1);
	uint32_t first = 0;
	struct pick_seq s;

	pick_seq_init(&s, worker, workers, key);
	for (uint32_t i = 0; i < picks; i++)
		first += pick_backend(&s, v) == 0;
	free(v);
	return first;
}

static void eighty_twenty_is_160_of_200(void **state)
{
	for (uint64_t key = 0; key < 500; key++)
		for (uint32_t worker = 0; worker < 4; worker++)
			assert_in_range(count_first(80, 20, worker, 4, 200, key), 159, 161);
}

static void ninetynine_one_is_495_of_500(void **state)
{
	for (uint64_t key = 0; key < 500; key++)
		for (uint32_t worker = 0; worker < 4; worker++)
			assert_in_range(count_first(99, 1, worker, 4, 500, key), 494, 496);
}

static void zero_weights_are_never_picked_and_all_zero_is_none(void **state)
{
	struct weight_vector *v = vector((uint32_t[]){0, 0, 0}, 3, 1);
	struct pick_seq s;

	pick_seq_init(&s, 0, 1, 1);
	assert_int_equal(pick_backend(&s, v), SLOT_NONE);
	free(v);
	v = vector((uint32_t[]){0, 1, 0}, 3, 2);
	for (int i = 0; i < 100; i++)
		assert_int_equal(pick_backend(&s, v), 1);
	free(v);
}

/* Each place of the stratum gets its share, so a page's fifth asset is nobody's in particular. */
static void the_place_in_the_stratum_is_random(void **state)
{
	struct weight_vector *v = vector((uint32_t[]){80, 20}, 2, 1);
	uint32_t place[5] = {0}, gap[16] = {0}, last = 0;
	struct pick_seq s;

	pick_seq_init(&s, 0, 1, 42);
	for (uint32_t i = 0; i < 50000; i++) {
		if (pick_backend(&s, v) != 1)
			continue;
		place[i % 5]++;
		gap[i - last < 15 ? i - last : 15]++;
		last = i;
	}
	for (int i = 0; i < 5; i++)
		assert_in_range(place[i], 1800, 2200);
	for (int i = 1; i < 10; i++)
		assert_true(gap[i] > 100);
	assert_int_equal(gap[10] + gap[11] + gap[12] + gap[13] + gap[14] + gap[15], 0);
	free(v);
}

static void weight_changes_keep_what_was_owed(void **state)
{
	static const uint32_t steps[][2] = {{95, 5}, {90, 10}, {50, 50}, {80, 20}, {1, 999},
		{7, 3}};
	double owed[2] = {0, 0}, got[2] = {0, 0};
	struct pick_seq s;

	pick_seq_init(&s, 1, 2, 9);
	for (uint64_t i = 0; i < 6000; i++) {
		const uint32_t *w = steps[(i / 3) % 6];
		struct weight_vector *v = vector(w, 2, i / 3);

		got[pick_backend(&s, v)]++;
		owed[0] += (double)w[0] / (double)v->total;
		owed[1] += (double)w[1] / (double)v->total;
		free(v);
	}
	assert_true(got[0] - owed[0] < 4 && owed[0] - got[0] < 4);
}

static void changes_between_zero_and_all_are_at_once(void **state)
{
	struct weight_vector *all = vector((uint32_t[]){0, 100}, 2, 1);
	struct weight_vector *none = vector((uint32_t[]){100, 0}, 2, 2);
	struct pick_seq s;

	pick_seq_init(&s, 0, 1, 3);
	for (int i = 0; i < 200; i++)
		assert_int_equal(pick_backend(&s, i / 10 % 2 ? all : none), i / 10 % 2);
	free(all);
	free(none);
}

static void one_usable_backend_leaves_the_sequence_alone(void **state)
{
	struct weight_vector *v = vector((uint32_t[]){0, 7, 0}, 3, 1);
	struct pick_seq s, fresh;

	pick_seq_init(&s, 1, 2, 3);
	pick_seq_init(&fresh, 1, 2, 3);
	for (int i = 0; i < 100; i++)
		assert_int_equal(pick_backend(&s, v), 1);
	assert_memory_equal(&s, &fresh, sizeof(s));
	free(v);
}

/* 80/20, for a while everything to one of them, 80/20 again: as if the while had not been. */
static void what_was_owed_waits_while_there_is_no_choice(void **state)
{
	struct weight_vector *both = vector((uint32_t[]){80, 20}, 2, 1);
	struct weight_vector *first = vector((uint32_t[]){100, 0}, 2, 2);
	struct weight_vector *again = vector((uint32_t[]){80, 20}, 2, 3);

	for (uint64_t key = 0; key < 200; key++) {
		uint32_t got = 0;
		struct pick_seq s;

		pick_seq_init(&s, 0, 1, key);
		for (uint32_t i = 0; i < 103; i++)
			got += pick_backend(&s, both) == 1;
		for (uint32_t i = 0; i < 50; i++)
			assert_int_equal(pick_backend(&s, first), 0);
		for (uint32_t i = 0; i < 97; i++)
			got += pick_backend(&s, again) == 1;
		assert_in_range(got, 39, 41);
	}
	free(both);
	free(first);
	free(again);
}

static void backends_may_come_and_go(void **state)
{
	struct rng r;
	struct pick_seq s;

	rng_seed(&r, 5);
	pick_seq_init(&s, 0, 1, 3);
	for (uint64_t i = 0; i < 2000; i++) {
		uint32_t n = 1 + (uint32_t)rng_below(&r, 64), w[64] = {0};
		struct weight_vector *v;

		for (uint32_t k = 0; k < n; k++)
			w[k] = (uint32_t)rng_below(&r, 3) ? (uint32_t)rng_below(&r, 1000001) : 0;
		v = vector(w, n, i);
		for (int k = 0; k < 20; k++) {
			uint32_t got = pick_backend(&s, v);

			assert_true(v->total == 0 ? got == SLOT_NONE : got < n && w[got] != 0);
		}
		free(v);
	}
}

static void workers_start_at_different_phases(void **state)
{
	uint32_t firsts[4], same = 0;
	struct weight_vector *v = vector((uint32_t[]){99, 1}, 2, 1);

	for (uint32_t worker = 0; worker < 4; worker++) {
		struct pick_seq s;

		pick_seq_init(&s, worker, 4, 1);
		for (firsts[worker] = 0; pick_backend(&s, v) == 0;)
			firsts[worker]++;
		for (uint32_t k = 0; k < worker; k++)
			same += firsts[k] == firsts[worker];
	}
	assert_true(same < 3);
	free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(eighty_twenty_is_160_of_200),
		cmocka_unit_test(ninetynine_one_is_495_of_500),
		cmocka_unit_test(zero_weights_are_never_picked_and_all_zero_is_none),
		cmocka_unit_test(any_window_misses_by_less_than_two),
		cmocka_unit_test(one_usable_backend_leaves_the_sequence_alone),
		cmocka_unit_test(what_was_owed_waits_while_there_is_no_choice),
		cmocka_unit_test(the_place_in_the_stratum_is_random),
		cmocka_unit_test(weight_changes_keep_what_was_owed),
		cmocka_unit_test(changes_between_zero_and_all_are_at_once),
		cmocka_unit_test(backends_may_come_and_go),
		cmocka_unit_test(workers_start_at_different_phases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
