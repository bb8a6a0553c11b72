// SPDX-License-Identifier: Apache-2.0
/*
 * kube_rate_test.c: a thousand writes within 15 s on a quick server, gentle on others, never below
 * the floor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "control/kube/rate.h"
#include "control/kube/rv.h"

/* Writes <n> things one after the other, each answered after <took_us>; the seconds it takes. */
static double write_all(struct rate *r, unsigned n, uint64_t took_us, uint64_t *now)
{
	uint64_t began = *now;

	while (n > 0) {
		uint64_t wait = rate_take(r, *now);

		*now += wait;
		if (wait > 0)
			continue;
		rate_on_answer(r, took_us, *now + took_us);
		n--;
	}
	return (double)(*now - began) / 1e6;
}

static void a_quick_server_gets_1000_writes_in_15_s(void **state)
{
	uint64_t now = 1000000;
	struct rate r;

	rate_init(&r, now);
	assert_true(write_all(&r, 1000, 5000, &now) < 15);
	assert_true(r.per_second > RATE_START);
	for (int i = 0; i < 20; i++)
		write_all(&r, 1000, 5000, &now);
	assert_true(r.per_second <= RATE_MAX);
}

static void a_slow_server_is_spared_down_to_the_floor(void **state)
{
	uint64_t now = 1000000;
	struct rate r;

	rate_init(&r, now);
	write_all(&r, 2000, 3000000, &now);
	assert_true(r.per_second == RATE_MIN);
	assert_true(write_all(&r, 200, 3000000, &now) <= 200 / RATE_MIN + 1);
}

static void retry_after_is_waited_out_but_not_for_ever(void **state)
{
	uint64_t now = 1000000;
	struct rate r;

	rate_init(&r, now);
	assert_int_equal(rate_on_refused(&r, 3000000, now), 3000000);
	assert_int_equal(rate_take(&r, now), 3000000);
	assert_int_equal(rate_take(&r, now + 3000000), 0);
	/* not even the request that was refused: its writer would wait for it a whole day */
	assert_int_equal(rate_on_refused(&r, 86400ull * 1000000, now), RATE_PAUSE_MAX_US);
	assert_int_equal(rate_take(&r, now), RATE_PAUSE_MAX_US);
}

static void many_refusals_at_once_are_one(void **state)
{
	uint64_t now = 1000000;
	struct rate r;

	rate_init(&r, now);
	for (int i = 0; i < 8; i++)
		rate_on_refused(&r, 0, now);
	assert_true(r.per_second == RATE_START / 2);
}

static void versions_are_ordered_when_they_are_numbers(void **state)
{
	static const struct {
		const char *a, *b;
		bool older;
	} rows[] = {
		{"9", "10", true}, {"10", "9", false}, {"10", "10", false},
		{"340282366920938463463374607431768211454",
			"340282366920938463463374607431768211455", true},
		{"09", "10", false}, /* not comparable */
		{"a9", "b1", false}, {"", "1", false}, {"-1", "1", false},
		{"1", "1000000000000000000000000000000000000000", false}, /* 40 digits */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(rv_is_older(rows[i].a, rows[i].b), rows[i].older);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_quick_server_gets_1000_writes_in_15_s),
		cmocka_unit_test(a_slow_server_is_spared_down_to_the_floor),
		cmocka_unit_test(retry_after_is_waited_out_but_not_for_ever),
		cmocka_unit_test(many_refusals_at_once_are_one),
		cmocka_unit_test(versions_are_ordered_when_they_are_numbers),
	};

	return cmocka_run_group_tests_name("kube_rate", tests, NULL, NULL);
}
