// SPDX-License-Identifier: Apache-2.0
/*
 * nap_test.c: how long a worker with nothing to do sleeps, row by row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/base/timer_wheel.h"
#include "dataplane/worker/nap.h"

#define NOW 10000000u

struct row {
	const char *claim;
	bool is_woken;
	uint64_t per_ms;  /* packets that came lately */
	uint64_t rest_us; /* since the last turn with work */
	uint64_t due_us;  /* from now; TIMER_NEVER: no timer */
	uint64_t want;
};

static const struct row rows[] = {
	{"woken: sleeps at the first empty turn", true, 60, 1, TIMER_NEVER, 4000},
	{"woken: no longer after a second of rest", true, 60, 1000000, TIMER_NEVER, 4000},
	{"woken: until the next timer", true, 60, 1, 1500, 1500},
	{"woken: does not spin until a timer that is near", true, 60, 1, 3, 20},
	{"woken: what is due is done at once", true, 60, 1000, 0, 0},
	{"woken: full load: looks on", true, 84, 1, TIMER_NEVER, 0},
	{"woken: full load: but not for long", true, 84, 50, TIMER_NEVER, 4000},
	{"asked: asks on while answers may come soon", false, 60, 49, TIMER_NEVER, 0},
	{"asked: then sleeps, shortly", false, 60, 50, TIMER_NEVER, 20},
	{"asked: an eighth of the rest", false, 60, 800, TIMER_NEVER, 100},
	{"asked: a packet is never later than a millisecond", false, 60, 1000000, TIMER_NEVER,
		1000},
	{"asked: until the next timer", false, 60, 1000000, 300, 300},
	{"asked: not for a nap that costs more than it saves", false, 60, 1000000, 19, 0},
	{"asked: what is due is done at once", false, 60, 1000000, 0, 0},
};

static void a_nap_is_as_long_as_it_may_be(void **state)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct nap n = {.is_woken = r->is_woken,
			.worked_us = NOW - r->rest_us,
			.work_per_ms = r->per_ms};
		uint64_t due = r->due_us == TIMER_NEVER ? TIMER_NEVER : NOW + r->due_us;

		if (nap_length(&n, due, NOW) != r->want)
			fail_msg("%s: %lu us, not %lu", r->claim, nap_length(&n, due, NOW),
				r->want);
	}
}

static void a_timer_of_the_past_is_due(void **state)
{
	struct nap n = {.is_woken = true};

	assert_int_equal(nap_length(&n, NOW - 5, NOW), 0);
	n.is_woken = false;
	assert_int_equal(nap_length(&n, NOW - 5, NOW), 0);
}

/* A packet each <gap_us> for 3 ms; true: the worker then looks on. */
static bool spins_after(struct nap *n, uint64_t *now, uint64_t gap_us)
{
	for (uint64_t end = *now + 3000; *now < end; *now += gap_us)
		nap_note(n, *now, 1);
	nap_note(n, *now, 0);
	return nap_length(n, TIMER_NEVER, *now) == 0;
}

static void the_rate_of_the_last_millisecond_counts(void **state)
{
	uint64_t now = NOW;
	struct nap n = {.is_woken = true, .worked_us = NOW, .window_us = NOW};

	assert_true(spins_after(&n, &now, 10));
	assert_false(spins_after(&n, &now, 17));
	assert_true(spins_after(&n, &now, 7));
	now += 1000000;
	nap_note(&n, now, 1);
	assert_int_equal(nap_length(&n, TIMER_NEVER, now), 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_nap_is_as_long_as_it_may_be),
		cmocka_unit_test(a_timer_of_the_past_is_due),
		cmocka_unit_test(the_rate_of_the_last_millisecond_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
