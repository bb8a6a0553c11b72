// SPDX-License-Identifier: Apache-2.0
/*
 * contract_hang_test.c: a worker that hangs in the middle of a turn holds up the acknowledgement, keeps what it
 * reads, and nothing else.
 */
#include <string.h>

#include "tests/unit/agent/contract_test.h"

static void hang(void)
{
	atomic_store(&w.hang, true);
	for (unsigned i = 0; i < WORLD_WAIT_MS && !atomic_load(&w.hung); i++)
		usleep(1000);
	assert_true(atomic_load(&w.hung));
}

/* The worker that does not hang. */
static bool other_has_weight(struct world *world, uint64_t weight)
{
	return atomic_load(&world->workers[0].seen_w[0]) == weight;
}

static bool other_has_endpoints(struct world *world, uint64_t count)
{
	return atomic_load(&world->workers[0].seen_endpoints) == count;
}

static bool other_has_more_than(struct world *world, uint64_t serial)
{
	return atomic_load(&world->workers[0].seen_serial) > serial;
}

static bool is_said_to_hang(struct world *world, uint64_t arg)
{
	return strstr(world_state_of(world).error, "quiesce") != NULL &&
		world_state_of(world).lag_us > 1000000;
}

static void a_hanging_worker_delays_the_acknowledgement_and_nothing_else(void **state)
{
	struct world_spec s = world_spec(4);
	struct publish_outcome out;

	start_both();
	publish_and_sync(&s);
	hang();
	s.w[0][0] = 3;
	out = world_publish(&w, &s);
	assert_true(world_run_until(&w, other_has_weight, 3));
	assert_true(world_run_until(&w, is_said_to_hang, 0));
	assert_false(publish_is_applied(w.publish, out.revision));
	atomic_store(&w.hang, false);
	assert_true(world_run_until(&w, world_is_applied, out.revision));
	assert_true(world_run_until(&w, world_is_synced, 0));
	assert_true(workers_see(&w, 3));
}

static void configurations_that_cannot_be_freed_are_not_piled_up(void **state)
{
	struct world_spec s = world_spec(4);

	start_both();
	publish_and_sync(&s);
	hang();
	for (unsigned i = 0; i < 8; i++) {
		s.listeners = 2 + i;
		world_publish(&w, &s);
		world_run(&w, 100);
	}
	world_run(&w, 1500);
	assert_false(world_state_of(&w).synced);
	atomic_store(&w.hang, false);
	assert_true(world_run_until(&w, world_is_synced, 0));
	assert_int_equal(world_state_of(&w).generation, publish_generation(w.publish));
}

/*
 * Weights, endpoints, a whole configuration: each was replaced once before, so that the one the
 * worker holds is freed by itself and not with the image. The sanitizer sees it read what is gone.
 */
static void what_a_worker_holds_outlives_its_replacement(void **state)
{
	struct world_spec s = world_spec(2);

	uint64_t serial;

	start_both();
	publish_and_sync(&s);
	for (unsigned round = 0; round < 3; round++) {
		s.w[0][0] = 10 + round;
		publish_and_sync(&s);
		s.endpoints = 3 + round;
		publish_and_sync(&s);
		hang();
		s.w[0][0] = 20 + round;
		world_publish(&w, &s);
		assert_true(world_run_until(&w, other_has_weight, 20 + round));
		s.endpoints = 6 + round;
		world_publish(&w, &s);
		assert_true(world_run_until(&w, other_has_endpoints, 6 + round));
		serial = atomic_load(&w.workers[0].seen_serial);
		s.listeners++;
		world_publish(&w, &s);
		assert_true(world_run_until(&w, other_has_more_than, serial));
		assert_int_equal(atomic_load(&w.workers[1].seen_w[0]), 10 + round);
		atomic_store(&w.hang, false);
		assert_true(world_run_until(&w, world_is_synced, 0));
		assert_true(workers_see(&w, 20 + round));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_hanging_worker_delays_the_acknowledgement_and_nothing_else, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			configurations_that_cannot_be_freed_are_not_piled_up, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_worker_holds_outlives_its_replacement, setup,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
