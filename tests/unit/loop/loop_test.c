// SPDX-License-Identifier: Apache-2.0
/*
 * loop_test.c: order of timers, removal from within callbacks, signals, and the debounce rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/loop/debounce.h"
#include "control/loop/loop.h"
#include "dataplane/base/clock.h"

struct seen {
	struct loop *loop;
	char order[16];
	size_t n;
	struct loop_fd *victim;
	int signo;
};

static void see(struct seen *s, char c)
{
	s->order[s->n++] = c;
	s->order[s->n] = '\0';
}

static int setup(void **state)
{
	struct seen *s = calloc(1, sizeof(*s));

	assert_int_equal(loop_new(&s->loop, NULL), 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct seen *s = *state;

	loop_free(s->loop);
	free(s);
	return 0;
}

static void on_a(void *arg)
{
	see(arg, 'a');
}

static void on_b(void *arg)
{
	see(arg, 'b');
}

static void on_end(void *arg)
{
	struct seen *s = arg;

	see(s, '.');
	loop_stop(s->loop);
}

static void timers_run_in_order_of_their_due_time(void **state)
{
	struct seen *s = *state;
	struct loop_timer a, b, end;

	loop_timer_init(&a, on_a, s);
	loop_timer_init(&b, on_b, s);
	loop_timer_init(&end, on_end, s);
	loop_timer_set(s->loop, &end, 3000);
	loop_timer_set(s->loop, &b, 2000);
	loop_timer_set(s->loop, &a, 1000);
	assert_int_equal(loop_run(s->loop), 0);
	assert_string_equal(s->order, "ab.");
}

static void a_timer_that_is_set_again_moves(void **state)
{
	struct seen *s = *state;
	struct loop_timer a, b, end;

	loop_timer_init(&a, on_a, s);
	loop_timer_init(&b, on_b, s);
	loop_timer_init(&end, on_end, s);
	loop_timer_set(s->loop, &a, 1000);
	loop_timer_set(s->loop, &b, 2000);
	loop_timer_set(s->loop, &end, 4000);
	loop_timer_set(s->loop, &a, 3000);
	loop_timer_stop(&b);
	assert_false(loop_timer_is_set(&b));
	loop_run(s->loop);
	assert_string_equal(s->order, "a.");
}

static void a_timer_does_not_fire_early(void **state)
{
	struct seen *s = *state;
	struct loop_timer end;
	uint64_t start = clock_mono_us();

	loop_timer_init(&end, on_end, s);
	loop_timer_set(s->loop, &end, 5000);
	loop_run(s->loop);
	assert_true(clock_mono_us() - start >= 5000);
}

static void on_fd_kill_other(void *arg, uint32_t events)
{
	struct seen *s = arg;

	see(s, 'x');
	loop_fd_remove(s->loop, s->victim);
}

static void on_fd_must_not_run(void *arg, uint32_t events)
{
	see(arg, '!');
}

static void a_descriptor_removed_in_the_same_turn_is_not_called(void **state)
{
	struct seen *s = *state;
	struct loop_fd a = {.fd = eventfd(1, EFD_NONBLOCK), .fn = on_fd_kill_other, .arg = s};
	struct loop_fd b = {.fd = eventfd(1, EFD_NONBLOCK), .fn = on_fd_must_not_run, .arg = s};
	struct loop_timer end;

	s->victim = &b;
	assert_int_equal(loop_fd_add(s->loop, &a, EPOLLIN | EPOLLET, NULL), 0);
	assert_int_equal(loop_fd_add(s->loop, &b, EPOLLIN | EPOLLET, NULL), 0);
	loop_timer_init(&end, on_end, s);
	loop_timer_set(s->loop, &end, 2000);
	loop_run(s->loop);
	assert_string_equal(s->order, "x.");
	loop_fd_remove(s->loop, &a);
	close(a.fd);
	close(b.fd);
}

static void on_signal(void *arg, int signo)
{
	struct seen *s = arg;

	s->signo = signo;
	loop_stop(s->loop);
}

static void a_signal_arrives_on_the_loop(void **state)
{
	struct seen *s = *state;
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, NULL, &old);
	assert_int_equal(loop_signals(s->loop, &set, on_signal, s, NULL), 0);
	raise(SIGUSR2);
	loop_run(s->loop);
	assert_int_equal(s->signo, SIGUSR2);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

/* --- debounce: times in microseconds, window 10 ms --- */

static void the_first_change_of_a_quiet_period_is_acted_on_at_once(void **state)
{
	struct debounce d = {.window_us = 10000};

	assert_int_equal(debounce_on_change(&d, 1), DEBOUNCE_NOW);
	assert_true(debounce_is_due(&d, 1));
	debounce_on_acted(&d, 2);
	assert_false(debounce_is_due(&d, 1000000));
	assert_int_equal(debounce_on_change(&d, 10002), DEBOUNCE_NOW);
}

static void followers_wait_no_longer_than_the_window(void **state)
{
	struct debounce d = {.window_us = 10000};

	debounce_on_change(&d, 100);
	debounce_on_acted(&d, 100);
	assert_int_equal(debounce_on_change(&d, 3100), 7000);
	assert_int_equal(debounce_on_change(&d, 9100), 1000);
	assert_false(debounce_is_due(&d, 10099));
	assert_true(debounce_is_due(&d, 10100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(timers_run_in_order_of_their_due_time, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_timer_that_is_set_again_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(a_timer_does_not_fire_early, setup, teardown),
		cmocka_unit_test_setup_teardown(a_descriptor_removed_in_the_same_turn_is_not_called,
			setup, teardown),
		cmocka_unit_test_setup_teardown(a_signal_arrives_on_the_loop, setup, teardown),
		cmocka_unit_test(the_first_change_of_a_quiet_period_is_acted_on_at_once),
		cmocka_unit_test(followers_wait_no_longer_than_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
