// SPDX-License-Identifier: Apache-2.0
/*
 * publish_test.c: control's end of the link against dataplanes that refuse, dawdle, lie or vanish.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/publish/publish_state.h"
#include "dataplane/base/clock.h"
#include "tests/unit/agent/contract_world.h"
#include "tests/unit/agent/raw.h"

static struct world w;
static struct raw r; /* the dataplane */

/* What the dataplane says it has. */
static struct message hello;

static int setup(void **state)
{
	world_open(&w);
	raw_open(&r, w.url, true);
	hello = (struct message){.type = MESSAGE_HELLO,
		.hello = {.name = STR("dp0"), .version = STR("9")}};
	world_control_start(&w);
	return 0;
}

static int teardown(void **state)
{
	world_control_stop(&w);
	raw_close(&r);
	world_close(&w);
	return 0;
}

#define WAIT_US 15000000u

static bool has_heard(struct world *x, uint64_t stream)
{
	return x->publish->dps[0].s.seq_in[stream] == r.seq[stream];
}

/* Says it, and lets control run until it has taken it. */
static void say(struct message m)
{
	raw_send(&r, m);
	assert_true(world_run_until(&w, has_heard, message_type_stream(m.type)));
}

/* Lets control run for a moment. The dataplane is alive meanwhile, and says nothing new. */
static void run_alive(void)
{
	const struct pub_dataplane *d = &w.publish->dps[0];

	if (d->s.welcomed && clock_mono_us() - d->s.heard_us >= MESSAGE_HEARTBEAT_US)
		say((struct message){.type = MESSAGE_HEARTBEAT,
			.heartbeat = {.seq_high = UINT64_MAX,
				.generation = d->using_generation,
				.draining = d->draining}});
	world_run(&w, 1);
}

/* The next message from control while control runs; heartbeats are skipped. */
static struct message expect(enum message_type type)
{
	uint64_t end = clock_mono_us() + WAIT_US;
	struct link_event ev;
	struct message m;

	for (;;) {
		if (clock_mono_us() > end)
			fail_msg("nothing came, wanted %s", message_type_str(type));
		run_alive();
		if (!link_next(r.l, &ev) || ev.type == LINK_UP)
			continue;
		assert_int_equal(ev.type, LINK_MESSAGE);
		memcpy(r.in, ev.data, ev.len);
		assert_int_equal(message_decode(r.in, ev.len, &r.scratch, &m), 0);
		if (m.type == MESSAGE_HEARTBEAT)
			continue;
		if (m.type != type)
			fail_msg("%s, wanted %s", message_type_str(m.type), message_type_str(type));
		return m;
	}
}

static bool is_quiet(unsigned ms)
{
	uint64_t end = clock_mono_us() + ms * 1000;
	struct link_event ev;
	struct message m;

	while (clock_mono_us() < end) {
		run_alive();
		while (link_next(r.l, &ev)) {
			if (ev.type != LINK_MESSAGE)
				return false;
			memcpy(r.in, ev.data, ev.len);
			assert_int_equal(message_decode(r.in, ev.len, &r.scratch, &m), 0);
			if (m.type != MESSAGE_HEARTBEAT)
				return false;
		}
	}
	return true;
}

static void expect_event(enum link_event_type type)
{
	uint64_t end = clock_mono_us() + WAIT_US;
	struct link_event ev = {.type = LINK_MESSAGE};

	while (ev.type != type) {
		if (clock_mono_us() > end)
			fail_msg("no event %d", type);
		world_run(&w, 1);
		if (!link_next(r.l, &ev))
			ev.type = LINK_MESSAGE;
	}
}

/* A connection with this session number, welcomed. */
static void connect_as(uint32_t session)
{
	struct message m;

	while (!link_is_up(r.l)) {
		struct link_event ev;

		world_run(&w, 1);
		link_next(r.l, &ev);
	}
	r.session = session;
	r.epoch = 3; /* the boot */
	memset(r.seq, 0, sizeof(r.seq));
	raw_send(&r, hello);
	m = expect(MESSAGE_WELCOME);
	assert_int_equal(m.session, session);
	assert_int_equal(m.epoch, publish_epoch(w.publish));
}

static void ack(const struct message *m, enum message_result result, uint64_t generation,
	uint64_t revision)
{
	say((struct message){.type = MESSAGE_ACK,
		.ack = {.seq = m->seq,
			.generation = generation,
			.revision = revision,
			.result = (uint16_t)result,
			.text = STR("says the test")}});
}

static void heartbeat(uint64_t seq_high, uint64_t generation, uint64_t state)
{
	say((struct message){.type = MESSAGE_HEARTBEAT,
		.heartbeat = {.seq_high = seq_high, .generation = generation, .state = state}});
}

/* Connected, generation 1 in place. */
static struct world_spec begin(void)
{
	struct world_spec s = world_spec(3);
	struct message m;

	connect_as(1);
	world_publish(&w, &s);
	m = expect(MESSAGE_SNAPSHOT);
	assert_int_equal(m.snapshot.generation, 1);
	ack(&m, MESSAGE_RESULT_OK, 1, m.snapshot.revision);
	assert_true(world_state_of(&w).synced);
	return s;
}

static void a_refused_change_is_followed_by_a_snapshot_of_all(void **state)
{
	struct world_spec s = begin();
	struct publish_outcome first, second;
	struct message a, b, m;

	s.w[0][0] = 5;
	first = world_publish(&w, &s);
	a = expect(MESSAGE_WEIGHTS);
	s.w[1][0] = 6;
	second = world_publish(&w, &s);
	b = expect(MESSAGE_WEIGHTS);
	ack(&b, MESSAGE_RESULT_OK, 1, second.revision);
	ack(&a, MESSAGE_RESULT_JOURNAL_FULL, 1, first.revision);
	assert_false(publish_is_applied(w.publish, first.revision));
	assert_false(publish_is_applied(w.publish, second.revision)); /* not without the first */
	assert_non_null(strstr(world_state_of(&w).error, "journal_full"));
	s.w[2][0] = 7; /* does not wait for the snapshot */
	world_publish(&w, &s);
	m = expect(MESSAGE_WEIGHTS);
	ack(&m, MESSAGE_RESULT_OK, 1, m.weights.revision);
	m = expect(MESSAGE_SNAPSHOT);
	assert_int_equal(m.snapshot.generation, 1);
	assert_int_equal(m.snapshot.revision,
		publish_revision(w.publish)); /* everything is in it */
	ack(&m, MESSAGE_RESULT_OK, 1, m.snapshot.revision);
	assert_true(publish_is_applied(w.publish, publish_revision(w.publish)));
	assert_true(world_state_of(&w).synced);
	assert_string_equal(world_state_of(&w).error, "");
	assert_int_equal(world_state_of(&w).refused, 1);
}

static void a_refused_snapshot_is_tried_later_and_later(void **state)
{
	const struct pub_dataplane *d = &w.publish->dps[0];
	struct world_spec s = begin();
	uint64_t due = 0;
	struct message m;

	s.listeners = 2;
	world_publish(&w, &s);
	for (unsigned i = 0; i < 3; i++) {
		m = expect(MESSAGE_SNAPSHOT);
		assert_true(clock_mono_us() >= due);
		ack(&m, MESSAGE_RESULT_SLOTS, 2, m.snapshot.revision);
		assert_false(publish_is_programmed(w.publish, 2));
		assert_true(publish_is_programmed(w.publish, 1));
		due = d->snapshot_due_us;
		assert_int_equal(due - d->s.heard_us, PUBLISH_RETRY_MIN_US << i);
	}
	/* Weights of a generation that it does not have are not sent. */
	s.w[0][0] = 1;
	world_publish(&w, &s);
	assert_true(is_quiet(100));
	/* A new structure is tried at once. */
	s.listeners = 3;
	world_publish(&w, &s);
	m = expect(MESSAGE_SNAPSHOT);
	ack(&m, MESSAGE_RESULT_OK, 3, m.snapshot.revision);
	assert_true(publish_is_programmed(w.publish, 3));
}

static void a_late_acknowledgement_has_two_parts(void **state)
{
	struct world_spec s = begin();
	struct publish_outcome out;
	struct message m;

	s.w[0][0] = 5;
	out = world_publish(&w, &s);
	m = expect(MESSAGE_WEIGHTS);
	ack(&m, MESSAGE_RESULT_QUIESCE, 1, out.revision);
	assert_false(publish_is_applied(w.publish, out.revision));
	assert_non_null(strstr(world_state_of(&w).error, "quiesce"));
	ack(&m, MESSAGE_RESULT_OK, 1, out.revision);
	assert_true(publish_is_applied(w.publish, out.revision));
	ack(&m, MESSAGE_RESULT_OK, 1, out.revision); /* once too often */
	assert_int_equal(world_state_of(&w).bad_messages, 1);
}

static void who_does_not_answer_is_not_buried_in_messages(void **state)
{
	struct world_spec s = begin();
	struct message m = {0};

	for (unsigned i = 0; i < 10; i++)
		for (unsigned k = 0; k < 3; k++) {
			s.w[k][0] = 1000 + i;
			world_publish(&w, &s);
		}
	for (unsigned i = 0; i < 30; i++)
		m = expect(MESSAGE_WEIGHTS);
	for (unsigned i = 0; i < 2 * PUBLISH_WINDOW; i++) {
		s.w[0][0] = 2000 + i;
		world_publish(&w, &s);
	}
	for (unsigned i = 30; i < PUBLISH_WINDOW; i++)
		m = expect(MESSAGE_WEIGHTS);
	assert_true(is_quiet(50));
	assert_true(world_state_of(&w).lag_us > 0);
	/* Room for one: it carries the newest, what lay between is never sent. */
	m.seq = 2;
	ack(&m, MESSAGE_RESULT_OK, 1, 2);
	m = expect(MESSAGE_WEIGHTS);
	assert_int_equal(m.weights.revision, publish_revision(w.publish));
	assert_true(is_quiet(50));
}

static void what_fits_no_message_waits_for_a_disk_that_takes_the_snapshot(void **state)
{
	struct world_spec s = begin();
	char path[sizeof(w.control_dir) + 8];
	struct message m;

	snprintf(path, sizeof(path), "%s-away", w.control_dir);
	assert_int_equal(rename(w.control_dir, path), 0);
	s.name_len = MESSAGE_ENDPOINT_NAME_MAX + 1;
	world_publish(&w, &s); /* needs a snapshot, which cannot be written */
	for (unsigned i = 0; i < 3; i++)
		s.w[i][0] = 5;
	world_publish(&w, &s); /* these need not wait */
	for (unsigned i = 0; i < 3; i++) {
		m = expect(MESSAGE_WEIGHTS);
		ack(&m, MESSAGE_RESULT_OK, 1, m.weights.revision);
	}
	assert_false(publish_is_applied(w.publish, publish_revision(w.publish)));
	assert_int_equal(rename(path, w.control_dir), 0);
	m = expect(MESSAGE_SNAPSHOT);
	ack(&m, MESSAGE_RESULT_OK, 1, m.snapshot.revision);
	assert_true(publish_is_applied(w.publish, publish_revision(w.publish)));
	assert_true(world_state_of(&w).synced);
}

static void a_dataplane_that_holds_something_else_gets_a_snapshot(void **state)
{
	struct world_spec s = begin();
	struct message m;

	heartbeat(1, 1, world_state(&s));
	assert_true(is_quiet(700));
	heartbeat(0, 1, 99); /* from before it saw all: means nothing */
	assert_true(is_quiet(700));
	heartbeat(1, 1, 99);
	assert_false(world_state_of(&w).synced);
	m = expect(MESSAGE_SNAPSHOT);
	ack(&m, MESSAGE_RESULT_OK, 1, m.snapshot.revision);
	assert_true(world_state_of(&w).synced);
}

static void what_a_dataplane_has_is_believed_by_digest_only(void **state)
{
	struct world_spec s = begin();
	const struct pub_dataplane *d = &w.publish->dps[0];
	struct message m;

	s.w[0][0] = 3;
	world_publish(&w, &s);
	m = expect(MESSAGE_WEIGHTS);
	ack(&m, MESSAGE_RESULT_OK, 1, m.weights.revision);
	hello.hello.generation = 1;
	hello.hello.structure = w.publish->structure;
	hello.hello.revision_epoch = publish_epoch(w.publish);
	hello.hello.revision = m.weights.revision - 1;
	hello.hello.state = 1; /* lacks the newest: that alone is sent */
	link_drop(r.l);
	expect_event(LINK_DOWN);
	connect_as(2);
	m = expect(MESSAGE_WEIGHTS);
	ack(&m, MESSAGE_RESULT_OK, 1, m.weights.revision);
	hello.hello.state = world_state(&s); /* has everything, whoever brought it */
	hello.hello.revision_epoch = 0;
	hello.hello.revision = 0;
	link_drop(r.l);
	expect_event(LINK_DOWN);
	connect_as(3);
	assert_true(is_quiet(100));
	assert_true(d->synced);
	hello.hello.state = 5; /* has something, from an epoch that is not ours */
	link_drop(r.l);
	expect_event(LINK_DOWN);
	connect_as(4);
	m = expect(MESSAGE_SNAPSHOT);
}

static bool has_refused(struct world *x, uint64_t messages)
{
	return world_state_of(x).bad_messages == messages;
}

static void nonsense_from_a_dataplane_costs_it_the_connection(void **state)
{
	struct world_spec s = begin();
	struct message m;

	raw_send_bytes(&r, "nonsense", 8);
	expect_event(LINK_DOWN);
	assert_int_equal(world_state_of(&w).bad_messages, 1);
	connect_as(2);
	m = (struct message){.type = MESSAGE_DRAIN, .drain.on = true};
	raw_send(&r, m); /* only control says that */
	assert_true(world_run_until(&w, has_refused, 2));
	assert_true(world_state_of(&w).connected);
	m = (struct message){.type = MESSAGE_ACK, .session = 2, .epoch = 3, .seq = 17};
	raw_send_head(&r, m);
	expect_event(LINK_DOWN);
	s.w[0][0] = 1;
	world_publish(&w, &s);
}

static bool was_told_of_its_end(struct world *x, uint64_t arg)
{
	return !x->told_live;
}

static void programmed_means_every_live_dataplane(void **state)
{
	struct world_spec s = begin();
	struct publish_state st;
	struct message m;

	assert_true(publish_is_programmed(w.publish, 1));
	s.listeners = 2;
	world_publish(&w, &s);
	m = expect(MESSAGE_SNAPSHOT);
	assert_false(publish_is_programmed(w.publish, 2));
	link_drop(r.l); /* gone, but only just */
	expect_event(LINK_DOWN);
	raw_close(&r);
	assert_true(world_run_until(&w, world_is_connected, 0));
	assert_false(publish_is_programmed(w.publish, 1));
	assert_true(world_run_until(&w, was_told_of_its_end, 0)); /* others may be waited for */
	st = world_state_of(&w);
	assert_false(st.connected);
	assert_false(publish_is_programmed(w.publish, 1)); /* and none is left */
	raw_open(&r, w.url, true);
	connect_as(2);
	m = expect(MESSAGE_SNAPSHOT);
	ack(&m, MESSAGE_RESULT_OK, 2, m.snapshot.revision);
	assert_true(publish_is_programmed(w.publish, 2));
}

static void who_says_nothing_is_called_again(void **state)
{
	uint64_t start = clock_mono_us();

	expect_event(LINK_UP);
	expect_event(LINK_DOWN); /* no HELLO */
	assert_true(clock_mono_us() - start >= MESSAGE_WELCOME_US - 300000);
	expect_event(LINK_UP);
	begin();
	start = w.publish->dps[0].s.heard_us;
	expect_event(LINK_DOWN); /* no heartbeats */
	assert_true(clock_mono_us() - start >= MESSAGE_DEAD_US);
}

/* -- questions ------------------------------------------------------------------------------- */

static unsigned answers;
static enum message_result last_status;
static char last_text[64];
static size_t last_len;

static void on_answer(void *arg, enum message_result status, struct str text)
{
	answers++;
	last_status = status;
	last_len = text.len;
	snprintf(last_text, sizeof(last_text), "%.*s", (int)(text.len < 60 ? text.len : 60),
		text.p);
}

static void reply(uint64_t id, enum message_result status, struct str text, bool more)
{
	say((struct message){.type = MESSAGE_REPLY,
		.flags = more ? MESSAGE_FLAG_MORE : 0,
		.reply = {.id = id, .status = (uint16_t)status, .chunk = text}});
}

static bool has_answered(struct world *x, uint64_t questions)
{
	return answers == questions;
}

static void every_question_has_exactly_one_answer(void **state)
{
	static char big[MESSAGE_CHUNK_MAX];
	uint64_t id, other;
	struct message m;

	begin();
	answers = 0;
	id = publish_query(w.publish, 0, STR("conns"), STR("{}"), on_answer, NULL);
	m = expect(MESSAGE_QUERY);
	assert_true(str_eq(m.query.verb, STR("conns")));
	assert_int_equal(m.query.id, id);
	reply(id, MESSAGE_RESULT_OK, STR("{\"a\":"), true);
	assert_int_equal(answers, 0);
	reply(id, MESSAGE_RESULT_OK, STR("1}"), false);
	assert_int_equal(answers, 1);
	assert_string_equal(last_text, "{\"a\":1}");
	reply(id, MESSAGE_RESULT_OK, STR("again"), false);
	assert_int_equal(answers, 1);
	id = publish_query(w.publish, 0, STR("conns"), STR(""), on_answer, NULL);
	other = publish_query(w.publish, 0, STR("workers"), STR(""), on_answer, NULL);
	publish_query_cancel(w.publish, id);
	reply(id, MESSAGE_RESULT_OK, STR("{}"), false);
	assert_int_equal(answers, 1);
	link_drop(r.l);
	expect_event(LINK_DOWN);
	assert_true(world_run_until(&w, has_answered, 2));
	assert_int_equal(last_status, MESSAGE_RESULT_LINK_LOST);
	assert_true(other != 0);
	connect_as(2);
	/* An answer without an end is cut off. */
	id = publish_query(w.publish, 0, STR("conns"), STR(""), on_answer, NULL);
	memset(big, 'x', sizeof(big));
	for (unsigned i = 0; i <= MESSAGE_REPLY_MAX / sizeof(big) && answers == 2; i++)
		reply(id, MESSAGE_RESULT_OK, str_make(big, sizeof(big)), true);
	assert_int_equal(answers, 3);
	assert_int_equal(last_status, MESSAGE_RESULT_FAILED);
}

static void questions_are_bounded(void **state)
{
	static char long_args[MESSAGE_ARGS_MAX + 1];

	begin();
	answers = 0;
	assert_true(publish_query(w.publish, 0, STR("x"), str_make(long_args, sizeof(long_args)),
			    on_answer, NULL) != 0);
	assert_int_equal(answers, 0); /* never from inside the call */
	assert_true(world_run_until(&w, has_answered, 1));
	assert_int_equal(last_status, MESSAGE_RESULT_BAD_ARGS);
	for (unsigned i = 0; i < PUBLISH_QUERIES_MAX; i++)
		assert_true(publish_query(w.publish, 0, STR("x"), STR(""), on_answer, NULL) != 0);
	assert_true(publish_query(w.publish, 0, STR("x"), STR(""), on_answer, NULL) == 0);
	assert_true(publish_query(w.publish, 1, STR("x"), STR(""), on_answer, NULL) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_refused_change_is_followed_by_a_snapshot_of_all,
			setup, teardown),
		cmocka_unit_test_setup_teardown(a_refused_snapshot_is_tried_later_and_later, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_late_acknowledgement_has_two_parts, setup,
			teardown),
		cmocka_unit_test_setup_teardown(who_does_not_answer_is_not_buried_in_messages,
			setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_fits_no_message_waits_for_a_disk_that_takes_the_snapshot, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			a_dataplane_that_holds_something_else_gets_a_snapshot, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_dataplane_has_is_believed_by_digest_only,
			setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_from_a_dataplane_costs_it_the_connection,
			setup, teardown),
		cmocka_unit_test_setup_teardown(programmed_means_every_live_dataplane, setup,
			teardown),
		cmocka_unit_test_setup_teardown(who_says_nothing_is_called_again, setup, teardown),
		cmocka_unit_test_setup_teardown(every_question_has_exactly_one_answer, setup,
			teardown),
		cmocka_unit_test_setup_teardown(questions_are_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
