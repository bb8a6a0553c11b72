// SPDX-License-Identifier: Apache-2.0
/*
 * ramp_test.c: shares fall at once and rise by steps, whoever else moves meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/agent/ramp.h"

#define POINT 10000u /* a hundredth of the whole */

static const struct traffic_policy policy = {140, 50, false};

static struct ramp_part part(uint64_t weight, uint8_t tier, uint32_t n)
{
	return (struct ramp_part){
		.m = {.weight = weight, .tier = tier, .total = n, .ready = n, .avail = n}};
}

static uint32_t solve(struct ramp_part *p, uint32_t n, uint32_t of)
{
	struct traffic t;

	ramp_solve(p, n, &policy, true, &t);
	return p[of].share / POINT;
}

static uint32_t step(struct ramp_part *p, uint32_t n, uint32_t of)
{
	ramp_step(p, n, &policy, POINT, false);
	return solve(p, n, of);
}

static void what_dies_falls_at_once_and_comes_back_by_points(void **state)
{
	struct {
		struct ramp_part p[2];
		uint32_t before; /* share of the first */
	} rows[] = {
		{{part(1, 0, 10), part(1, 0, 10)}, 50},
		{{part(99, 0, 10), part(1, 0, 10)}, 99}, /* however heavy */
		{{part(1, 0, 10), part(1, 1, 10)}, 100}, /* and across tiers */
		{{part(1, 0, 10), part(99, 1, 10)}, 100},
	};

	for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct ramp_part *p = rows[r].p;

		assert_int_equal(solve(p, 2, 0), rows[r].before);
		p[0].m.avail = 0;
		assert_int_equal(solve(p, 2, 0), 0);
		p[0].m.avail = 10;
		assert_int_equal(solve(p, 2, 0), 0);
		for (uint32_t at = 0; at < rows[r].before;) {
			uint32_t next = step(p, 2, 0);

			assert_in_range(next, at, at + 2); /* rounding of a point */
			assert_true(p[0].share <= p[0].allow);
			at = next;
			if (p[0].back == 0)
				break;
		}
		assert_int_equal(solve(p, 2, 0), rows[r].before);
		assert_false(ramp_is_running(p, 2));
	}
}

static void the_whole_takes_a_hundred_steps(void **state)
{
	struct ramp_part p[] = {part(1, 0, 10), part(1, 1, 10)};
	unsigned n = 0;

	solve(p, 2, 0);
	p[0].m.avail = 0;
	solve(p, 2, 0);
	p[0].m.avail = 10;
	solve(p, 2, 0);
	for (; ramp_is_running(p, 2); n++)
		step(p, 2, 0);
	assert_in_range(n, 98, 100);
}

static void small_steps_get_there_too(void **state)
{
	struct ramp_part p[] = {part(1, 0, 10), part(1, 1, 10)};
	unsigned n = 0;

	solve(p, 2, 0);
	p[0].m.avail = 0;
	solve(p, 2, 0);
	p[0].m.avail = 10;
	solve(p, 2, 0);
	for (; ramp_is_running(p, 2) && n < 2000; n++) {
		ramp_step(p, 2, &policy, POINT / 10, false);
		solve(p, 2, 0);
	}
	assert_in_range(n, 980, 1000);
}

static void a_second_death_on_the_way_up_begins_again(void **state)
{
	struct ramp_part p[] = {part(1, 0, 10), part(1, 0, 10)};

	solve(p, 2, 0);
	p[0].m.avail = 0;
	solve(p, 2, 0);
	p[0].m.avail = 10;
	solve(p, 2, 0);
	for (unsigned i = 0; i < 30; i++)
		step(p, 2, 0);
	assert_in_range(p[0].share, 29 * POINT, 30 * POINT);
	p[0].m.avail = 0;
	assert_int_equal(solve(p, 2, 0), 0);
	p[0].m.avail = 10;
	assert_int_equal(solve(p, 2, 0), 0);
	assert_in_range(step(p, 2, 0), 0, 1);
}

static void when_the_others_die_it_takes_over_at_once(void **state)
{
	struct ramp_part p[] = {part(1, 0, 10), part(1, 0, 10)};

	solve(p, 2, 0);
	p[0].m.avail = 0;
	solve(p, 2, 0);
	p[0].m.avail = 10;
	solve(p, 2, 0);
	step(p, 2, 0);
	p[1].m.avail = 0;
	assert_int_equal(solve(p, 2, 0), 100);
}

static void what_others_lose_is_no_ramp(void **state)
{
	struct ramp_part p[] = {part(1, 0, 10), part(1, 0, 10)};

	solve(p, 2, 0);
	p[1].m.avail = 0;
	assert_int_equal(solve(p, 2, 0), 100);
	assert_false(ramp_is_running(p, 2));
}

static void weights_and_drains_act_at_once(void **state)
{
	struct ramp_part p[] = {part(1, 0, 10), part(1, 0, 10)};

	solve(p, 2, 0);
	p[0].m.weight = 9;
	assert_int_equal(solve(p, 2, 0), 90);
	p[0].withheld = TRAFFIC_WHOLE;
	assert_int_equal(solve(p, 2, 0), 0);
	p[0].withheld = 0;
	assert_int_equal(solve(p, 2, 0), 90);
	assert_false(ramp_is_running(p, 2));
}

static void more_endpoints_are_no_recovery(void **state)
{
	struct ramp_part p[] = {part(1, 0, 2), part(1, 0, 10)};

	solve(p, 2, 0);
	p[0].m.total = p[0].m.ready = p[0].m.avail = 10;
	assert_int_equal(solve(p, 2, 0), 50);
	p[0].m.total = p[0].m.ready = p[0].m.avail = 0; /* scaled to nothing, and up again */
	assert_int_equal(solve(p, 2, 0), 0);
	p[0].m.total = p[0].m.ready = p[0].m.avail = 4;
	assert_int_equal(solve(p, 2, 0), 50);
}

static void suspicion_ends_as_it_began(void **state)
{
	struct ramp_part p[] = {part(1, 0, 10), part(1, 0, 10)};

	solve(p, 2, 0);
	p[0].suspected = true;
	p[0].m.avail = 0;
	assert_int_equal(solve(p, 2, 0), 0);
	p[0].suspected = false;
	p[0].m.avail = 10;
	assert_int_equal(solve(p, 2, 0), 50);
	assert_false(ramp_is_running(p, 2));
}

static void ramps_of_remote_parts_rest_while_we_suspect_ourselves(void **state)
{
	struct ramp_part p[] = {part(1, 0, 10), part(1, 0, 10)};

	p[0].remote = true;
	solve(p, 2, 0);
	p[0].m.avail = 0;
	solve(p, 2, 0);
	p[0].m.avail = 10;
	solve(p, 2, 0);
	for (unsigned i = 0; i < 10; i++)
		step(p, 2, 0);
	assert_in_range(p[0].share, 9 * POINT, 10 * POINT);
	for (unsigned i = 0; i < 10; i++) {
		ramp_step(p, 2, &policy, POINT, true);
		assert_in_range(solve(p, 2, 0), 9, 10);
	}
	assert_in_range(step(p, 2, 0), 10, 11);
}

static void without_a_ramp_it_is_back_at_once(void **state)
{
	struct ramp_part p[] = {part(1, 0, 10), part(1, 0, 10)};
	struct traffic t;

	for (unsigned i = 0; i < 3; i++) {
		p[0].m.avail = i == 1 ? 0 : 10;
		ramp_solve(p, 2, &policy, false, &t);
		assert_int_equal(p[0].share / POINT, i == 1 ? 0 : 50);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_dies_falls_at_once_and_comes_back_by_points),
		cmocka_unit_test(the_whole_takes_a_hundred_steps),
		cmocka_unit_test(small_steps_get_there_too),
		cmocka_unit_test(a_second_death_on_the_way_up_begins_again),
		cmocka_unit_test(when_the_others_die_it_takes_over_at_once),
		cmocka_unit_test(what_others_lose_is_no_ramp),
		cmocka_unit_test(weights_and_drains_act_at_once),
		cmocka_unit_test(more_endpoints_are_no_recovery),
		cmocka_unit_test(suspicion_ends_as_it_began),
		cmocka_unit_test(ramps_of_remote_parts_rest_while_we_suspect_ourselves),
		cmocka_unit_test(without_a_ramp_it_is_back_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
