// SPDX-License-Identifier: Apache-2.0
/*
 * contract_damage_test.c: damage on the disk of a dataplane costs no more than what was damaged, and heals.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dataplane/base/cleanup.h"
#include "dataplane/base/file.h"
#include "tests/unit/agent/contract_test.h"

static void overwrite(const char *path, off_t at, const void *data, size_t len)
{
	FILE *f = fopen(path, "r+b");

	assert_non_null(f);
	fseeko(f, at, SEEK_SET);
	assert_int_equal(fwrite(data, 1, len, f), len);
	fclose(f);
}

/* Generation 1 with weight 10, then generation 2 with weight 20 and 21 in the journal. */
static void two_generations(struct world_spec *s)
{
	*s = world_spec(4);
	start_both();
	s->w[0][0] = 10;
	publish_and_sync(s);
	s->listeners = 2;
	s->w[0][0] = 20;
	publish_and_sync(s);
	s->w[0][0] = 21;
	publish_and_sync(s);
	world_control_stop(&w);
	world_dataplane_stop(&w);
}

static void expect_after_restart(uint32_t weight, const char *counter)
{
	world_dataplane_start(&w);
	assert_true(soon(workers_see, weight));
	world_control_start(&w);
	assert_true(world_run_until(&w, world_is_connected, 1));
	assert_int_equal(world_counter(&w, counter), 1);
}

static void heals(struct world_spec *s)
{
	publish_and_sync(s);
	assert_true(workers_see(&w, s->w[0][0]));
	assert_true(world_run(&w, 0));
}

static void a_torn_snapshot_falls_back_to_the_one_before(void **state)
{
	struct world_spec s;
	char path[256];
	struct stat st;

	two_generations(&s);
	world_file(&w, 0, "snapshot", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size / 2), 0);
	expect_after_restart(10, "snapshot_damaged");
	heals(&s);
}

static void a_flipped_bit_in_the_snapshot_falls_back_too(void **state)
{
	struct world_spec s;
	char path[256];

	two_generations(&s);
	world_file(&w, 0, "snapshot", path);
	overwrite(path, 700, "\xff\x00\xff", 3);
	expect_after_restart(10, "snapshot_damaged");
	heals(&s);
}

static void with_no_good_snapshot_control_is_awaited(void **state)
{
	struct world_spec s;
	char path[256];

	two_generations(&s);
	for (uint64_t n = 1; n <= 2; n++) {
		world_file(&w, n, "snapshot", path);
		assert_int_equal(truncate(path, 10), 0);
	}
	world_dataplane_start(&w);
	usleep(20000);
	assert_null(atomic_load(&w.group.config));
	world_control_start(&w);
	heals(&s);
}

static void a_damaged_journal_ends_where_it_is_torn(void **state)
{
	struct world_spec s = world_spec(4);
	char path[256];
	struct stat st;

	start_both();
	publish_and_sync(&s);
	for (uint32_t i = 1; i <= 3; i++) {
		s.w[0][0] = i;
		publish_and_sync(&s);
	}
	world_control_stop(&w);
	world_dataplane_stop(&w);
	world_file(&w, 0, "journal", path);
	assert_int_equal(stat(path, &st), 0);
	/* The third record: a header of 64, then records of equal size. */
	{
		autofree uint8_t *b = NULL;
		size_t len, end;

		assert_int_equal(file_read(path, 1u << 20, (void **)&b, &len, NULL), 0);
		for (end = len; b[end - 1] == 0; end--)
			;
		overwrite(path, (off_t)end - 2, "\x5a", 1);
	}
	expect_after_restart(2, "journal_damaged");
	/* The cut is clean: the next start finds nothing wrong. */
	world_control_stop(&w);
	world_dataplane_stop(&w);
	world_dataplane_start(&w);
	assert_true(soon(workers_see, 2));
	world_control_start(&w);
	assert_true(world_run_until(&w, world_is_connected, 1));
	assert_int_equal(world_counter(&w, "journal_damaged"), 0);
	heals(&s);
}

static void a_short_journal_is_no_damage(void **state)
{
	struct world_spec s = world_spec(4);
	char path[256];

	start_both();
	publish_and_sync(&s);
	s.w[0][0] = 3;
	publish_and_sync(&s);
	world_control_stop(&w);
	world_dataplane_stop(&w);
	world_file(&w, 0, "journal", path);
	assert_int_equal(truncate(path, 4096), 0); /* zeros that never reached the disk */
	world_dataplane_start(&w);
	assert_true(soon(workers_see, 3));
	world_control_start(&w);
	assert_true(world_run_until(&w, world_is_connected, 1));
	assert_int_equal(world_counter(&w, "journal_damaged"), 0);
	s.w[0][0] = 4;
	heals(&s);
	world_control_stop(&w);
	world_dataplane_stop(&w);
	world_dataplane_start(&w);
	assert_true(soon(workers_see, 4));
}

static void a_journal_of_another_snapshot_is_not_used(void **state)
{
	struct world_spec s;
	char first[256], second[256];
	autofree void *data = NULL;
	size_t len;

	two_generations(&s);
	world_file(&w, 1, "journal", first);
	world_file(&w, 2, "journal", second);
	assert_int_equal(file_read(first, 1u << 20, &data, &len, NULL), 0);
	assert_int_equal(file_replace(second, data, len, 0600, NULL), 0);
	expect_after_restart(20, "journal_lost");
	heals(&s);
	assert_int_equal(world_state_of(&w).snapshots_sent, 1); /* nobody knows what is in place */
}

static void damaged_epochs_begin_anew(void **state)
{
	struct world_spec s;
	char path[256];

	two_generations(&s);
	snprintf(path, sizeof(path), "%s/epochs", w.dp_dir);
	assert_int_equal(truncate(path, 5), 0);
	expect_after_restart(21, "epochs_damaged");
}

static void a_folder_that_vanishes_does_not_stop_a_weight(void **state)
{
	struct world_spec s = world_spec(4);
	struct publish_outcome out;
	char path[256];

	start_both();
	publish_and_sync(&s);
	/* The folder vanishes from under the dataplane: nothing can be written any more. */
	snprintf(path, sizeof(path), "%s-away", w.dp_dir);
	assert_int_equal(rename(w.dp_dir, path), 0);
	s.listeners = 2;
	s.w[0][0] = 1;
	out = world_publish(&w, &s);
	assert_true(world_run_until(&w, world_is_applied, out.revision));
	assert_true(workers_see(&w, 1));
	assert_non_null(strstr(world_state_of(&w).error, "not_durable"));
	s.w[0][0] = 2;
	out = world_publish(&w, &s);
	assert_true(world_run_until(&w, world_is_applied, out.revision));
	assert_true(workers_see(&w, 2));
	assert_false(world_state_of(&w).synced);
	/* It comes back: the next try makes everything durable, without being asked. */
	assert_int_equal(rename(path, w.dp_dir), 0);
	assert_true(world_run_until(&w, world_is_synced, 0));
	assert_string_equal(world_state_of(&w).error, "");
	world_control_stop(&w);
	world_dataplane_stop(&w);
	world_dataplane_start(&w);
	assert_true(soon(workers_see, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_torn_snapshot_falls_back_to_the_one_before, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_flipped_bit_in_the_snapshot_falls_back_too, setup,
			teardown),
		cmocka_unit_test_setup_teardown(with_no_good_snapshot_control_is_awaited, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_damaged_journal_ends_where_it_is_torn, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_short_journal_is_no_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(a_journal_of_another_snapshot_is_not_used, setup,
			teardown),
		cmocka_unit_test_setup_teardown(damaged_epochs_begin_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(a_folder_that_vanishes_does_not_stop_a_weight,
			setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
