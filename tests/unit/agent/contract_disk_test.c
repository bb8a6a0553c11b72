// SPDX-License-Identifier: Apache-2.0
/*
 * contract_disk_test.c: a disk that takes seconds for a sync holds up the acknowledgement and nothing
 * else: not the next edit, no question, and nothing is lost at the end.
 */
#include <sys/syscall.h>

#include "dataplane/base/clock.h"
#include "tests/unit/agent/contract_test.h"

#define STALL_MS 4000u

/* While it is not 0, the dataplane's disk takes so long for each sync. */
static atomic_uint sync_ms;

static void sync_slowly(void)
{
	if (gettid() != getpid()) /* control is this thread */
		usleep(atomic_load(&sync_ms) * 1000);
}

__attribute__((visibility("default"))) int fdatasync(int fd)
{
	sync_slowly();
	return (int)syscall(SYS_fdatasync, fd);
}

__attribute__((visibility("default"))) int fsync(int fd)
{
	sync_slowly();
	return (int)syscall(SYS_fsync, fd);
}

static void a_slow_disk_delays_the_acknowledgement_and_nothing_else(void **state)
{
	struct world_spec s = world_spec(4);
	struct publish_outcome first, last;
	uint64_t begin;

	start_both();
	publish_and_sync(&s);
	atomic_store(&sync_ms, STALL_MS);
	begin = clock_mono_us();
	s.w[0][0] = 1;
	first = world_publish(&w, &s);
	assert_true(world_run_until(&w, workers_see, 1));
	s.w[0][0] = 2;
	world_publish(&w, &s);
	assert_true(world_run_until(&w, workers_see, 2));
	s.listeners = 2;
	s.w[0][0] = 3;
	last = world_publish(&w, &s);
	assert_true(world_run_until(&w, workers_see, 3));
	json_decref(world_query(&w, "config", NULL));
	assert_true(clock_mono_us() - begin < (STALL_MS - 500) * 1000);
	assert_false(publish_is_applied(w.publish, first.revision));
	atomic_store(&sync_ms, 0);
	assert_true(world_run_until(&w, world_is_applied, last.revision));
	assert_true(workers_see(&w, 3));
}

static void what_waits_for_a_slow_disk_is_written_before_the_end(void **state)
{
	struct world_spec s = world_spec(4);

	start_both();
	publish_and_sync(&s);
	atomic_store(&sync_ms, 300);
	for (uint32_t i = 1; i <= 3; i++) {
		s.w[0][0] = i;
		world_publish(&w, &s);
		assert_true(world_run_until(&w, workers_see, i));
	}
	world_control_stop(&w);
	world_dataplane_stop(&w);
	atomic_store(&sync_ms, 0);
	world_dataplane_start(&w);
	assert_true(soon(workers_see, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_slow_disk_delays_the_acknowledgement_and_nothing_else, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_waits_for_a_slow_disk_is_written_before_the_end, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
