// SPDX-License-Identifier: Apache-2.0
/*
 * worker_call_test.c: a call runs on the worker's thread, or not at all; a watchdog sees who hangs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include <rte_eal.h>

#include "dataplane/base/clock.h"
#include "dataplane/worker/worker.h"

static struct worker_group group;
static struct worker worker; /* a mailbox and a nap's word; the loop is the test's own */
static atomic_bool paused, ended;

static void *turn_loop(void *arg)
{
	while (!atomic_load(&ended)) {
		if (!atomic_load(&paused)) {
			worker_mailbox_run(&worker);
			atomic_fetch_add(&worker.stats.turns, 1);
		}
		usleep(200);
	}
	return NULL;
}

static pthread_t loop_start(void)
{
	pthread_t t;

	group = (struct worker_group){.count = 1, .w = {&worker}};
	atomic_store(&paused, false);
	atomic_store(&ended, false);
	assert_int_equal(pthread_create(&t, NULL, turn_loop, NULL), 0);
	return t;
}

static void loop_stop(pthread_t t)
{
	atomic_store(&ended, true);
	pthread_join(t, NULL);
}

struct seen {
	pthread_t thread;
	unsigned times;
};

static void look(struct worker *w, void *arg)
{
	struct seen *s = arg;

	s->thread = pthread_self();
	s->times++;
}

static void look_slowly(struct worker *w, void *arg)
{
	usleep(100000);
	look(w, arg);
}

static void a_call_runs_on_the_workers_thread(void **state)
{
	struct seen s = {0};
	pthread_t t = loop_start();

	for (unsigned i = 0; i < 100; i++)
		assert_true(worker_call(&group, 0, look, &s, 2000000));
	assert_int_equal(s.times, 100);
	assert_true(pthread_equal(s.thread, t));
	loop_stop(t);
}

static void a_call_that_was_given_up_never_runs(void **state)
{
	struct seen s = {0};
	pthread_t t = loop_start();
	uint64_t start;

	atomic_store(&paused, true);
	usleep(2000);
	start = clock_mono_us();
	assert_false(worker_call(&group, 0, look, &s, 20000));
	assert_in_range(clock_mono_us() - start, 20000, 1000000);
	atomic_store(&paused, false);
	usleep(5000);
	assert_int_equal(s.times, 0);
	assert_true(worker_call(&group, 0, look, &s, 2000000));
	assert_int_equal(s.times, 1);
	loop_stop(t);
}

static void a_call_that_has_begun_is_waited_for(void **state)
{
	struct seen s = {0};
	pthread_t t = loop_start();

	assert_true(worker_call(&group, 0, look_slowly, &s, 10000));
	assert_int_equal(s.times, 1);
	loop_stop(t);
}

static void a_worker_without_turns_is_named_with_its_stage(void **state)
{
	struct worker_watch watch = {{0}, {0}};
	enum worker_stage stage = WORKER_STAGE_CONFIG;
	struct worker other = {.index = 1};
	unsigned index = 99;

	group = (struct worker_group){.count = 2, .w = {&other, &worker}};
	assert_int_equal(worker_watchdog_check(&watch, &group, 1000, &index, &stage), 0);
	atomic_fetch_add(&worker.stats.turns, 1);
	atomic_fetch_add(&other.stats.turns, 1);
	assert_int_equal(worker_watchdog_check(&watch, &group, 2000, &index, &stage), 0);
	atomic_fetch_add(&other.stats.turns, 1);
	atomic_store(&worker.stats.stage, WORKER_STAGE_TCP_INPUT);
	assert_int_equal(worker_watchdog_check(&watch, &group, 9000, &index, &stage), 7000);
	assert_int_equal(index, 1);
	assert_string_equal(worker_stage_name(stage), "tcp_input");
	atomic_fetch_add(&worker.stats.turns, 1);
	atomic_fetch_add(&other.stats.turns, 1);
	assert_int_equal(worker_watchdog_check(&watch, &group, 10000, &index, &stage), 0);
}

static void time_of_the_counter_follows_the_kernels(void **state)
{
	struct worker_clock c;
	uint64_t last = 0;

	worker_clock_init(&c);
	for (unsigned i = 0; i < 60; i++) {
		uint64_t before = clock_mono_us(), now = worker_clock_us(&c, last);

		assert_true(now >= last);
		assert_in_range(now + 200, before, before + 20000);
		last = now;
		usleep(20000);
	}
}

static int setup(void **state)
{
	char *argv[] = {"worker_call_test", "--no-huge", "-m", "32", "--no-pci", "--no-telemetry",
		"--no-shconf", "--iova-mode=va", "--lcores=0", "--log-level=error", NULL};

	return rte_eal_init(10, argv) < 0 ? -1 : 0; /* it measures the counter */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_runs_on_the_workers_thread),
		cmocka_unit_test(a_call_that_was_given_up_never_runs),
		cmocka_unit_test(a_call_that_has_begun_is_waited_for),
		cmocka_unit_test(a_worker_without_turns_is_named_with_its_stage),
		cmocka_unit_test(time_of_the_counter_follows_the_kernels),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
