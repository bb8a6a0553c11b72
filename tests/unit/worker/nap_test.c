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
	uint64_t rest_us; /* since the last turn with work */
	uint64_t due_us;  /* from now; TIMER_NEVER: no timer */
	uint64_t want;
};

static const struct row rows[] = {
	{"woken: sleeps at the first empty turn", true, 1, TIMER_NEVER, 4000},
	{"woken: no longer after a second of rest", true, 1000000, TIMER_NEVER, 4000},
	{"woken: until the next timer", true, 1, 1500, 1500},
	{"woken: does not spin until a timer that is near", true, 1, 3, 20},
	{"woken: what is due is done at once", true, 1000, 0, 0},
	{"asked: asks on while answers may come soon", false, 49, TIMER_NEVER, 0},
	{"asked: then sleeps, shortly", false, 50, TIMER_NEVER, 20},
	{"asked: an eighth of the rest", false, 800, TIMER_NEVER, 100},
	{"asked: a packet is never later than a millisecond", false, 1000000, TIMER_NEVER, 1000},
	{"asked: until the next timer", false, 1000000, 300, 300},
	{"asked: not for a nap that costs more than it saves", false, 1000000, 19, 0},
	{"asked: what is due is done at once", false, 1000000, 0, 0},
};

static void a_nap_is_as_long_as_it_may_be(void **state)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct nap n = {r->is_woken, NOW - r->rest_us,
			r->due_us == TIMER_NEVER ? TIMER_NEVER : NOW + r->due_us};

		if (nap_length(&n, NOW) != r->want)
			fail_msg("%s: %lu us, not %lu", r->claim, nap_length(&n, NOW), r->want);
	}
}

static void a_timer_of_the_past_is_due(void **state)
{
	struct nap n = {true, 0, NOW - 5};

	assert_int_equal(nap_length(&n, NOW), 0);
	n.is_woken = false;
	assert_int_equal(nap_length(&n, NOW), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_nap_is_as_long_as_it_may_be),
		cmocka_unit_test(a_timer_of_the_past_is_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
