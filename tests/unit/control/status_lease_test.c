// SPDX-License-Identifier: Apache-2.0
/*
 * status_lease_test.c: two processes, one Lease, on a virtual clock. The server here is a few lines:
 * a record with a version, refusing writes that were made from another one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/status/lease.h"
#include "control/status/status.h"

#define SECOND 1000000ull

struct server {
	bool exists, denied, mute;
	unsigned version;
	struct lease_record r;
};

struct world {
	struct server server;
	struct lease a, b;
	bool a_stopped, b_stopped;
	uint64_t now;
	unsigned both; /* steps at which both thought they held it */
};

static void take(struct server *s, const struct lease_record *r)
{
	s->exists = true;
	s->r = *r;
	snprintf(s->r.version, sizeof(s->r.version), "%u", ++s->version);
}

static void answer(struct server *s, struct lease *l, enum lease_step step, uint64_t now)
{
	bool fresh;
	struct lease_record r = lease_wanted(l, &fresh);

	if (s->mute)
		lease_on_failure(l, now);
	else if (s->denied)
		lease_on_denied(l, now);
	else if (step == LEASE_GET && s->exists)
		lease_on_record(l, &s->r, now);
	else if (step == LEASE_GET)
		lease_on_absent(l, now);
	else if ((step == LEASE_CREATE) == s->exists ||
		(s->exists && strcmp(r.version, s->r.version) != 0))
		lease_on_conflict(l, now);
	else {
		take(s, &r);
		lease_on_written(l, &s->r, now);
	}
}

static void step(struct world *w, struct lease *l)
{
	enum lease_step s = lease_due(l, w->now);

	if (s != LEASE_WAIT)
		answer(&w->server, l, s, w->now);
}

static void run(struct world *w, unsigned seconds)
{
	for (uint64_t end = w->now + seconds * SECOND; w->now < end; w->now += SECOND / 10) {
		if (!w->a_stopped)
			step(w, &w->a);
		if (!w->b_stopped)
			step(w, &w->b);
		w->both += w->a.held && w->b.held;
	}
}

static struct world world(void)
{
	struct world w = {.now = 1000 * SECOND};

	lease_init(&w.a, "a");
	lease_init(&w.b, "b");
	return w;
}

static void the_first_one_gets_it_and_keeps_it(void **state)
{
	struct world w = world();

	run(&w, 60);
	assert_true(w.a.held);
	assert_false(w.b.held);
	assert_int_equal(w.both, 0);
	assert_int_equal(w.server.r.transitions, 0);
	assert_in_range(w.server.version, 25, 32); /* renewed each two seconds */
}

static void another_takes_over_after_fifteen_seconds_of_silence(void **state)
{
	struct world w = world();

	run(&w, 20);
	w.a_stopped = true;
	run(&w, 12);
	assert_false(w.b.held);
	run(&w, 8);
	assert_true(w.b.held);
	assert_int_equal(w.server.r.transitions, 1);
	/* It still thinks that it holds it, until it looks at its clock. */
	w.a_stopped = false;
	run(&w, 1);
	assert_false(w.a.held);
	run(&w, 30);
	assert_true(w.b.held);
}

static void whoever_cannot_renew_gives_up_before_others_take_over(void **state)
{
	struct world w = world();

	run(&w, 20);
	w.server.mute = true;
	run(&w, 7);
	assert_true(w.a.held);
	run(&w, 4);
	assert_false(w.a.held);
	w.server.mute = false;
	run(&w, 20);
	assert_int_equal(w.both, 0);
	assert_int_equal(w.a.held + w.b.held, 1);
}

static void a_lease_given_back_is_taken_at_once(void **state)
{
	struct world w = world();

	run(&w, 20);
	w.a_stopped = true;
	w.server.r.holder[0] = '\0';
	take(&w.server, &w.server.r);
	run(&w, 3);
	assert_true(w.b.held);
}

static void the_same_process_after_a_restart_need_not_wait(void **state)
{
	struct world w = world();

	run(&w, 20);
	w.b_stopped = true;
	lease_init(&w.a, "a");
	run(&w, 1);
	assert_true(w.a.held);
	assert_int_equal(w.server.r.transitions, 0);
}

static void without_the_right_to_it_nobody_writes_and_few_ask(void **state)
{
	struct world w = world();

	w.server.denied = true;
	run(&w, 65);
	assert_false(w.a.held);
	assert_true(w.a.denied);
	assert_in_range(w.a.due_us, w.now, w.now + LEASE_DENIED_US);
	w.server.denied = false;
	run(&w, 35);
	assert_true(w.a.held || w.b.held);
	assert_int_equal(w.both, 0);
}

static void a_right_that_is_taken_away_ends_it(void **state)
{
	struct world w = world();

	run(&w, 20);
	w.server.denied = true;
	run(&w, 3);
	assert_false(w.a.held);
}

static void a_server_that_starts_and_knows_no_roles_yet_costs_seconds(void **state)
{
	struct world w = world();

	run(&w, 20);
	for (int i = 0; i < 3; i++) {
		w.server.denied = true;
		run(&w, 3);
		w.server.denied = false;
		run(&w, 5);
		assert_true(w.a.held || w.b.held);
	}
	assert_int_equal(w.both, 0);
}

static void a_label_edited_by_somebody_costs_one_look(void **state)
{
	struct world w = world();

	run(&w, 20);
	take(&w.server, &w.server.r);
	run(&w, 4);
	assert_true(w.a.held);
	assert_int_equal(w.a.lost, 0);
}

static void a_lease_that_was_deleted_is_made_again(void **state)
{
	struct world w = world();

	run(&w, 20);
	w.server.exists = false;
	run(&w, 5);
	assert_true(w.server.exists);
	assert_int_equal(w.a.held + w.b.held, 1);
}

/* Its clock is an hour behind, or ahead: only changes count. */
static void nobodys_clock_is_believed(void **state)
{
	struct world w = world();

	w.a_stopped = true;
	snprintf(w.server.r.holder, sizeof(w.server.r.holder), "stranger");
	w.server.r.duration_s = 15;
	for (int i = 0; i < 30; i++) {
		take(&w.server, &w.server.r);
		run(&w, 2);
		assert_false(w.b.held);
	}
	run(&w, 20);
	assert_true(w.b.held);
}

static void who_finds_his_own_name_takes_it_anew(void **state)
{
	struct lease_record r = {.holder = "a", .version = "7", .duration_s = 15, .transitions = 3};
	struct lease l;
	bool fresh;

	lease_init(&l, "a");
	assert_int_equal(lease_due(&l, SECOND), LEASE_GET);
	lease_on_record(&l, &r, SECOND);
	assert_int_equal(lease_due(&l, SECOND), LEASE_PUT);
	assert_int_equal(lease_wanted(&l, &fresh).transitions, 3);
	assert_true(fresh); /* acquireTime is now: nobody knows the one of before */
	lease_on_written(&l, &r, SECOND);
	lease_wanted(&l, &fresh);
	assert_false(fresh);
}

static void who_has_another_state_directory_is_another(void **state)
{
	char folder[] = "/tmp/status-lease-XXXXXX", path[64], away[64], first[128], other[128],
	     again[128];

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/state", folder);
	snprintf(away, sizeof(away), "%s/away", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	status_instance(path, first, sizeof(first));
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	status_instance(path, other, sizeof(other));
	assert_string_not_equal(first, other);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(away, path), 0);
	status_instance(path, again, sizeof(again));
	assert_string_equal(first, again);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_finds_his_own_name_takes_it_anew),
		cmocka_unit_test(who_has_another_state_directory_is_another),
		cmocka_unit_test(the_first_one_gets_it_and_keeps_it),
		cmocka_unit_test(another_takes_over_after_fifteen_seconds_of_silence),
		cmocka_unit_test(whoever_cannot_renew_gives_up_before_others_take_over),
		cmocka_unit_test(a_lease_given_back_is_taken_at_once),
		cmocka_unit_test(the_same_process_after_a_restart_need_not_wait),
		cmocka_unit_test(without_the_right_to_it_nobody_writes_and_few_ask),
		cmocka_unit_test(a_right_that_is_taken_away_ends_it),
		cmocka_unit_test(a_server_that_starts_and_knows_no_roles_yet_costs_seconds),
		cmocka_unit_test(a_label_edited_by_somebody_costs_one_look),
		cmocka_unit_test(a_lease_that_was_deleted_is_made_again),
		cmocka_unit_test(nobodys_clock_is_believed),
	};

	return cmocka_run_group_tests_name("status_lease", tests, NULL, NULL);
}
