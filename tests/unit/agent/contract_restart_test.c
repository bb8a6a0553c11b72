// SPDX-License-Identifier: Apache-2.0
/*
 * contract_restart_test.c: control and dataplane come and go in any order: whoever restarts finds everything in
 * place, and an older control is fenced.
 */
#include <errno.h>
#include <string.h>

#include "dataplane/base/cleanup.h"
#include "dataplane/base/file.h"
#include "tests/unit/agent/contract_test.h"

static void control_restarts_without_a_trace(void **state)
{
	struct world_spec s = world_spec(4);
	uint64_t serial, epoch;

	start_both();
	publish_and_sync(&s);
	s.w[0][0] = 33;
	publish_and_sync(&s);
	serial = atomic_load(&w.workers[0].seen_serial);
	epoch = publish_epoch(w.publish);
	for (unsigned i = 0; i < 5; i++) {
		struct publish_outcome out;

		world_control_stop(&w);
		world_control_start(&w);
		assert_int_equal(publish_epoch(w.publish), ++epoch);
		if (i % 2) /* connected before, or after the configuration is known */
			assert_true(world_run_until(&w, world_is_connected, 1));
		out = world_publish(&w, &s);
		assert_int_equal(out.generation, 1);
		assert_true(world_run_until(&w, world_is_synced, 0));
		assert_true(publish_is_programmed(w.publish, 1));
		assert_true(publish_is_applied(w.publish, out.revision));
		assert_int_equal(world_state_of(&w).snapshots_sent, 0);
		assert_int_equal(world_state_of(&w).smalls_sent, 0);
		assert_int_equal(atomic_load(&w.workers[0].seen_serial), serial);
	}
}

static void what_changed_while_control_was_away_is_sent(void **state)
{
	struct world_spec s = world_spec(4);

	start_both();
	publish_and_sync(&s);
	world_control_stop(&w);
	s.w[0][0] = 9;
	world_control_start(&w);
	publish_and_sync(&s);
	assert_true(workers_see(&w, 9));
	assert_int_equal(publish_generation(w.publish), 1);
}

static void a_dataplane_alone_serves_what_was_acknowledged(void **state)
{
	struct world_spec s = world_spec(4);

	start_both();
	publish_and_sync(&s);
	for (unsigned i = 0; i < 20; i++) {
		s.w[0][0] = 100 + i;
		s.endpoints = 1 + i % 4;
		publish_and_sync(&s);
	}
	world_control_stop(&w);
	world_dataplane_stop(&w);
	world_dataplane_start(&w);
	assert_true(soon(workers_see, 119));
	assert_int_equal(atomic_load(&w.workers[0].seen_endpoints), s.endpoints);
	/* And control, when it comes back, finds nothing to say. */
	world_control_start(&w);
	assert_true(world_run_until(&w, world_is_connected, 1));
	assert_int_equal(world_counter(&w, "journal_replayed"), 40);
	publish_and_sync(&s);
	assert_int_equal(world_state_of(&w).snapshots_sent, 0);
	assert_int_equal(world_state_of(&w).smalls_sent, 0);
}

static void a_restarted_dataplane_gets_only_what_it_missed(void **state)
{
	struct world_spec s = world_spec(4);
	struct publish_state before, after;

	start_both();
	publish_and_sync(&s);
	s.w[0][0] = 5;
	publish_and_sync(&s);
	world_dataplane_stop(&w);
	assert_true(world_run_until(&w, world_is_connected, 0));
	s.w[0][0] = 6;
	s.w[1][0] = 6;
	world_publish(&w, &s);
	assert_false(publish_is_programmed(w.publish, 1));
	before = world_state_of(&w);
	world_dataplane_start(&w);
	assert_true(world_run_until(&w, world_is_synced, 0));
	after = world_state_of(&w);
	assert_int_equal(after.snapshots_sent, before.snapshots_sent);
	assert_int_equal(after.smalls_sent - before.smalls_sent, 2);
	assert_true(workers_see(&w, 6));
}

static void an_empty_dataplane_gets_everything(void **state)
{
	struct world_spec s = world_spec(4);
	char path[256];

	start_both();
	publish_and_sync(&s);
	s.w[0][0] = 5;
	publish_and_sync(&s);
	world_dataplane_stop(&w);
	world_file(&w, 0, "snapshot", path);
	assert_int_equal(unlink(path), 0);
	world_file(&w, 0, "journal", path);
	assert_int_equal(unlink(path), 0);
	world_dataplane_start(&w);
	assert_true(world_run_until(&w, world_is_connected, 0));
	assert_true(world_run_until(&w, world_is_synced, 0));
	assert_true(workers_see(&w, 5));
}

static void a_fresh_control_continues_above_the_dataplane(void **state)
{
	struct world_spec s = world_spec(4);
	char path[256];

	start_both();
	publish_and_sync(&s);
	for (unsigned i = 0; i < 3; i++) {
		world_control_stop(&w);
		world_control_start(&w);
	}
	s.listeners = 3;
	publish_and_sync(&s);
	world_control_stop(&w);
	snprintf(path, sizeof(path), "%s/publish.state", w.control_dir);
	assert_int_equal(unlink(path), 0);
	world_control_start(&w);
	assert_int_equal(publish_epoch(w.publish), 1);
	assert_true(world_run_until(&w, world_is_connected, 1));
	assert_int_equal(publish_epoch(w.publish), 5);
	publish_and_sync(&s);
	assert_int_equal(publish_generation(w.publish), 2);
	assert_int_equal(world_state_of(&w).snapshots_sent, 0);
	s.listeners = 4;
	publish_and_sync(&s);
	assert_int_equal(publish_generation(w.publish), 3);
}

static void a_fresh_control_that_publishes_first_is_numbered_anew(void **state)
{
	struct world_spec s = world_spec(4);
	char path[256];

	start_both();
	publish_and_sync(&s);
	world_control_stop(&w);
	snprintf(path, sizeof(path), "%s/publish.state", w.control_dir);
	assert_int_equal(unlink(path), 0);
	world_control_start(&w);
	s.listeners = 2; /* generation 1 again, with another structure */
	publish_and_sync(&s);
	assert_int_equal(publish_generation(w.publish), 2);
	assert_int_equal(world_state_of(&w).generation, 2);
}

static bool is_fenced(struct world *world, uint64_t arg)
{
	return strstr(world_state_of(world).error, "fenced") != NULL;
}

static void an_older_control_is_fenced(void **state)
{
	struct world_spec s = world_spec(2);
	char path[256];
	autofree void *old = NULL;
	size_t len;

	start_both();
	publish_and_sync(&s);
	snprintf(path, sizeof(path), "%s/publish.state", w.control_dir);
	assert_int_equal(file_read(path, 4096, &old, &len, NULL), 0);
	for (unsigned i = 0; i < 2; i++) {
		world_control_stop(&w);
		world_control_start(&w);
		assert_true(world_run_until(&w, world_is_connected, 1));
	}
	world_control_stop(&w);
	assert_int_equal(file_replace(path, old, len, 0600, NULL), 0);
	world_control_start(&w);
	s.w[0][0] = 1;
	world_publish(&w, &s);
	assert_true(world_run_until(&w, is_fenced, 0));
	assert_false(world_state_of(&w).connected);
	assert_false(publish_is_programmed(w.publish, publish_generation(w.publish)));
	assert_true(workers_see(&w, 80));
}

static void one_state_directory_has_one_control(void **state)
{
	const struct publish_config cfg = {.name = STR("second"), .state_dir = w.control_dir};
	struct publish *second;
	struct err err;

	start_both();
	assert_int_equal(publish_new(&cfg, &second, &err), -EBUSY);
	assert_non_null(strstr(err.msg, "another control process"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(control_restarts_without_a_trace, setup, teardown),
		cmocka_unit_test_setup_teardown(what_changed_while_control_was_away_is_sent, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_dataplane_alone_serves_what_was_acknowledged,
			setup, teardown),
		cmocka_unit_test_setup_teardown(a_restarted_dataplane_gets_only_what_it_missed,
			setup, teardown),
		cmocka_unit_test_setup_teardown(an_empty_dataplane_gets_everything, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_fresh_control_continues_above_the_dataplane,
			setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_fresh_control_that_publishes_first_is_numbered_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(an_older_control_is_fenced, setup, teardown),
		cmocka_unit_test_setup_teardown(one_state_directory_has_one_control, setup,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
