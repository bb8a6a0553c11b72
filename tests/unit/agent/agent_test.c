// SPDX-License-Identifier: Apache-2.0
/*
 * agent_test.c: the dataplane's end of the link against a control that errs, lies, floods or falls
 * silent.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"
#include "tests/unit/agent/agent_test.h"

static void hello_tells_what_is_in_place(void **state)
{
	struct world_spec s;

	begin(&s);
	assert_string_equal(r.name, "dp0");
	assert_int_equal(r.hello.hello.generation, 0);
	assert_int_equal(r.hello.hello.fence, 0);
	assert_int_equal(answer(weights(2, pair(60, 40))), MESSAGE_RESULT_OK);
	s.w[0][0] = 60;
	s.w[0][1] = 40;
	link_drop(r.l);
	raw_expect_down(&r);
	raw_be_control(&r, 5);
	assert_int_equal(r.hello.hello.generation, 1);
	assert_int_equal(r.hello.hello.revision, 2);
	assert_int_equal(r.hello.hello.revision_epoch, 5);
	assert_int_equal(r.hello.hello.structure, 4711);
	assert_int_equal(r.hello.hello.fence, 5);
	assert_true(r.hello.hello.state == world_state(&s));
}

static void nothing_counts_before_the_welcome(void **state)
{
	struct world_spec s = world_spec(2);

	r.hello = raw_expect(&r, MESSAGE_HELLO);
	r.session = r.hello.session;
	r.epoch = 5;
	raw_send(&r, snapshot_of(&s, 1, 1));
	assert_true(raw_is_quiet(&r, 100));
	assert_null(atomic_load(&w.group.config));
	r.seq[MESSAGE_STREAM_CONFIG] = 0;
	raw_send(&r,
		(struct message){.type = MESSAGE_WELCOME,
			.welcome = {.name = STR("raw"), .version = STR("1")}});
	assert_int_equal(raw_counter(&r, "message_early"), 1);
	assert_int_equal(answer(snapshot_of(&s, 1, 1)), MESSAGE_RESULT_OK);
}

/* Bytes that are no message: counted under their own name, nothing else happens. */
static void bad_bytes_are_counted_by_name(void **state)
{
	static const struct {
		const char *counter;
		unsigned at, value;
	} rows[] = {{"message_magic", 0, 0}, {"message_major", 2, 9}, {"message_header", 6, 0xff},
		{"message_length", 35, 0xff}, {"message_type", 4, 99}, {"message_stream", 25, 7}};
	struct world_spec s;
	size_t n;

	begin(&s);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct message m = weights(50, pair(1, 1));

		m.session = r.session;
		m.epoch = r.epoch;
		n = message_encode(&m, r.buf, sizeof(r.buf));
		r.buf[rows[i].at] = (uint8_t)rows[i].value;
		be32_put(r.buf + 36, 0);
		be32_put(r.buf + 36, crc32c(0, r.buf, n));
		raw_send_bytes(&r, r.buf, n);
		assert_int_equal(raw_counter(&r, rows[i].counter), 1);
	}
	raw_send_bytes(&r, "x", 1);
	assert_int_equal(raw_counter(&r, "message_short"), 1);
	memset(r.buf, 'z', sizeof(r.buf));
	memcpy(r.buf, "SL", 2);
	raw_send_bytes(&r, r.buf, 300);
	assert_int_equal(raw_counter(&r, "message_checksum"), 1);
	assert_true(worker_sees(80));
	assert_int_equal(answer(weights(2, pair(3, 4))), MESSAGE_RESULT_OK);
	assert_true(worker_sees(3));
}

static void a_bad_body_is_refused_to_its_sender(void **state)
{
	struct world_spec s;
	struct message m, ack;
	size_t n;

	begin(&s);
	m = weights(2, pair(1, 1));
	m.session = r.session;
	m.epoch = r.epoch;
	m.seq = ++r.seq[MESSAGE_STREAM_CONFIG];
	n = message_encode(&m, r.buf, sizeof(r.buf));
	be16_put(r.buf + MESSAGE_HEADER_BYTES, 99); /* the rule's id is missing */
	be32_put(r.buf + 36, 0);
	be32_put(r.buf + 36, crc32c(0, r.buf, n));
	raw_send_bytes(&r, r.buf, n);
	ack = raw_expect(&r, MESSAGE_ACK);
	assert_int_equal(ack.ack.result, MESSAGE_RESULT_BAD_MESSAGE);
	assert_int_equal(ack.ack.seq, 2);
	assert_int_equal(raw_counter(&r, "message_field_missing"), 1);
	assert_int_equal(answer(weights(2, pair(9, 9))),
		MESSAGE_RESULT_OK); /* its number is used up */
}

static void strangers_of_the_session_are_ignored(void **state)
{
	struct world_spec s;
	struct message m;

	begin(&s);
	m = weights(2, pair(1, 1));
	m.session = r.session + 1;
	m.epoch = r.epoch;
	m.seq = r.seq[MESSAGE_STREAM_CONFIG] + 1;
	raw_send_head(&r, m);
	assert_int_equal(raw_counter(&r, "message_session"), 1);
	m = (struct message){.type = MESSAGE_ACK,
		.session = r.session,
		.epoch = r.epoch,
		.seq = r.seq[MESSAGE_STREAM_CONFIG] + 1};
	raw_send_head(&r, m);
	assert_int_equal(raw_counter(&r, "message_direction"), 1);
	raw_send(&r,
		(struct message){.type = MESSAGE_WELCOME,
			.welcome = {.name = STR("again"), .version = STR("1")}});
	assert_int_equal(raw_counter(&r, "message_twice"), 1);
	assert_int_equal(answer(weights(2, pair(5, 5))), MESSAGE_RESULT_OK);
}

/* Each ends the connection; the next one begins anew and nothing was applied. */
static void gaps_and_foreign_epochs_end_the_connection(void **state)
{
	struct world_spec s;
	struct message m;

	begin(&s);
	m = weights(2, pair(1, 1));
	m.session = r.session;
	m.epoch = r.epoch;
	m.seq = r.seq[MESSAGE_STREAM_CONFIG] + 2;
	raw_send_head(&r, m);
	raw_expect_down(&r);
	raw_be_control(&r, 5);
	assert_int_equal(raw_counter(&r, "message_gap"), 1);
	m.session = r.session;
	m.seq = 0;
	raw_send_head(&r, m);
	raw_expect_down(&r);
	raw_be_control(&r, 5);
	assert_int_equal(raw_counter(&r, "message_gap"), 2);
	m.session = r.session;
	m.seq = 1;
	m.epoch = 6;
	raw_send_head(&r, m);
	raw_expect_down(&r);
	raw_be_control(&r, 5);
	assert_int_equal(raw_counter(&r, "message_epoch"), 1);
	assert_true(worker_sees(80));
}

static void a_lower_epoch_is_fenced_also_after_a_restart(void **state)
{
	struct world_spec s;
	struct message ack;

	begin(&s);
	for (unsigned i = 0; i < 2; i++) {
		link_drop(r.l);
		raw_expect_down(&r);
		r.hello = raw_expect(&r, MESSAGE_HELLO);
		assert_int_equal(r.hello.hello.fence, 5);
		r.session = r.hello.session;
		r.epoch = 4;
		memset(r.seq, 0, sizeof(r.seq));
		raw_send(&r,
			(struct message){.type = MESSAGE_WELCOME,
				.welcome = {.name = STR("old"), .version = STR("1")}});
		ack = raw_expect(&r, MESSAGE_ACK);
		assert_int_equal(ack.ack.result, MESSAGE_RESULT_FENCED);
		raw_send(&r, snapshot_of(&s, 2, 1)); /* it goes on all the same */
		assert_true(raw_is_quiet(&r, 200));
		assert_int_equal(atomic_load(&w.group.config)->generation, 1);
		if (i == 0) {
			world_dataplane_stop(&w);
			world_dataplane_start(&w);
		}
	}
}

static void who_does_not_welcome_or_falls_silent_is_let_go(void **state)
{
	uint64_t start = clock_mono_us();
	struct world_spec s;

	raw_expect(&r, MESSAGE_HELLO);
	raw_expect_down(&r);
	assert_true(clock_mono_us() - start < MESSAGE_WELCOME_US + 10000000);
	begin(&s);
	start = r.said_us;
	raw_expect_down(&r); /* we send no heartbeats */
	assert_true(clock_mono_us() - start >= MESSAGE_DEAD_US);
	raw_be_control(&r, 5);
	assert_int_equal(raw_counter(&r, "welcome_late"), 1);
	assert_int_equal(raw_counter(&r, "peer_silent"), 1);
	assert_true(worker_sees(80)); /* and traffic goes on */
}

static void an_oversized_message_costs_the_connection_only(void **state)
{
	static uint8_t big[MESSAGE_RECV_BYTES_MAX + 1];
	struct world_spec s;

	begin(&s);
	raw_send_bytes(&r, big, sizeof(big));
	raw_expect_down(&r);
	raw_be_control(&r, 5);
	memset(big, 0, sizeof(big));
	memcpy(big, "SL", 2);
	raw_send_bytes(&r, big, MESSAGE_BYTES_MAX + 1); /* passes the carrier, not the codec */
	assert_int_equal(raw_counter(&r, "message_too_long"), 1);
	assert_int_equal(answer(weights(2, pair(2, 2))), MESSAGE_RESULT_OK);
}

static void a_snapshot_that_is_not_what_was_announced_is_refused(void **state)
{
	struct world_spec s;
	struct message good, m;
	char path[128];

	begin(&s);
	good = snapshot_of(&s, 2, 2);
#define REFUSED(change, result) \
	do { \
		m = good; \
		change; \
		assert_int_equal(answer(m), MESSAGE_RESULT_##result); \
	} while (0)
	REFUSED(m.snapshot.path = STR("relative/path"), SNAPSHOT_READ);
	REFUSED(m.snapshot.path = STR("/nonexistent/image"), SNAPSHOT_READ);
	REFUSED(m.snapshot.path = STR(""), SNAPSHOT_READ);
	REFUSED(m.snapshot.path = str_of(w.dir), SNAPSHOT_READ);
	REFUSED(m.snapshot.bytes = UINT64_MAX, SNAPSHOT_READ);
	REFUSED(m.snapshot.bytes--, SNAPSHOT_READ);
	REFUSED(m.snapshot.bytes++, SNAPSHOT_DIGEST);
	REFUSED(m.snapshot.image++, SNAPSHOT_DIGEST);
	REFUSED(m.snapshot.generation++, SNAPSHOT_DIGEST);
	REFUSED(m.snapshot.revision = 0, STALE);
	snprintf(path, sizeof(path), "%s/fifo", w.dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	REFUSED(m.snapshot.path = str_of(path), SNAPSHOT_READ);
	snprintf(path, sizeof(path), "%s/link", w.dir);
	assert_int_equal(symlink(good.snapshot.path.p, path), 0);
	REFUSED(m.snapshot.path = str_of(path), SNAPSHOT_READ);
	snprintf(path, sizeof(path), "%s/garbage", w.dir);
	assert_int_equal(file_replace(path, path, sizeof(path), 0600, NULL), 0);
	REFUSED(m.snapshot.path = str_of(path); m.snapshot.bytes = sizeof(path), SNAPSHOT_INVALID);
	assert_int_equal(atomic_load(&w.group.config)->generation, 1);
	assert_int_equal(answer(good), MESSAGE_RESULT_OK);
	assert_int_equal(atomic_load(&w.group.config)->generation, 2);
}

static void a_change_that_does_not_fit_is_refused(void **state)
{
	struct message_weight v[3] = {{world_backend_id(0, 0), 1}, {world_backend_id(0, 1), 2},
		{world_backend_id(1, 0), 3}};
	struct message_endpoint e = {.id = 1,
		.addr = {{[10] = 0xff, 0xff, 10, 1, 1, 1}},
		.port = 8080};
	struct world_spec s;
	struct message m;

	raw_be_control(&r, 5);
	assert_int_equal(answer(weights(1, pair(1, 1))), MESSAGE_RESULT_GENERATION); /* none yet */
	s = world_spec(2);
	assert_int_equal(answer(snapshot_of(&s, 1, 10)), MESSAGE_RESULT_OK);
#define WEIGHTS(change, result) \
	do { \
		m = weights(11, v); \
		change; \
		assert_int_equal(answer(m), MESSAGE_RESULT_##result); \
	} while (0)
	WEIGHTS(m.weights.generation = 2, GENERATION);
	WEIGHTS(m.weights.rule_id ^= 1, UNKNOWN_OBJECT);
	WEIGHTS(m.weights.count = 1, BAD_VECTOR);
	WEIGHTS(m.weights.count = 3, BAD_VECTOR);
	WEIGHTS(m.weights.count = 0, BAD_VECTOR);
	WEIGHTS(m.weights.w = v + 1, BAD_VECTOR); /* one of them is another rule's */
	WEIGHTS(m.weights.revision = 9, STALE);
	v[1].backend_id = v[0].backend_id;
	WEIGHTS((void)0, BAD_VECTOR);
	v[1].backend_id = world_backend_id(0, 1);
	v[1].weight = SNAPSHOT_WEIGHT_MAX + 1;
	WEIGHTS((void)0, BAD_VECTOR);
	v[1].weight = 0;
	WEIGHTS((void)0, OK);
	WEIGHTS((void)0, OK); /* once more does no harm */
	WEIGHTS(m.weights.revision = 10, STALE);
	m = (struct message){.type = MESSAGE_ENDPOINTS,
		.endpoints = {.service_id = world_service_id(0),
			.generation = 1,
			.revision = 12,
			.count = 1,
			.e = &e}};
	assert_int_equal(answer(m), MESSAGE_RESULT_OK);
	e.id = 0;
	assert_int_equal(answer(m), MESSAGE_RESULT_BAD_MESSAGE);
	e.id = 1;
	memset(e.addr.b, 0, 16);
	assert_int_equal(answer(m), MESSAGE_RESULT_BAD_MESSAGE);
	m.endpoints.service_id ^= 1;
	assert_int_equal(answer(m), MESSAGE_RESULT_UNKNOWN_OBJECT);
	assert_true(worker_sees(1));
	world_turn(&w);
	assert_int_equal(atomic_load(&w.workers[0].seen_endpoints), 1);
}

static void a_flood_of_changes_is_answered_one_by_one(void **state)
{
	struct world_spec s;
	uint64_t sent = 0, acked = 0;

	begin(&s);
	while (acked < 5000) {
		while (sent < 5000 && sent - acked < 400) {
			raw_send(&r, weights(2 + sent, pair((uint32_t)sent + 1, 1)));
			sent++;
		}
		assert_int_equal(raw_expect(&r, MESSAGE_ACK).ack.seq, 2 + acked);
		acked++;
	}
	assert_true(worker_sees(5000));
	/* The journal holds what matters, not five thousand records. */
	world_dataplane_stop(&w);
	world_dataplane_start(&w);
	assert_true(worker_sees(5000));
}

static void a_flood_of_questions_is_refused_politely(void **state)
{
	struct world_spec s;
	unsigned busy = 0, ok = 0;

	begin(&s);
	for (uint64_t i = 0; i < 100; i++)
		raw_send(&r,
			(struct message){.type = MESSAGE_QUERY,
				.query = {.id = i,
					.verb = STR("slow"),
					.args = STR("{\"steps\":5}")}});
	/* Changes pass the questions by. */
	raw_send(&r, weights(2, pair(7, 7)));
	for (unsigned i = 0; i < 101; i++) {
		struct message m;

		assert_int_equal(raw_next(&r, &m), LINK_MESSAGE);
		if (m.type == MESSAGE_ACK)
			assert_true(ok < 16);
		else if (m.reply.status == MESSAGE_RESULT_BUSY)
			busy++;
		else
			ok += m.reply.status == MESSAGE_RESULT_OK;
	}
	assert_true(busy > 0 && ok >= 16 && busy + ok == 100);
	assert_true(worker_sees(7));
}

static void a_long_answer_comes_in_pieces(void **state)
{
	struct world_spec s;
	struct message m;
	size_t total = 0;
	unsigned pieces = 0;

	begin(&s);
	raw_send(&r,
		(struct message){.type = MESSAGE_QUERY,
			.query = {.id = 1,
				.verb = STR("long"),
				.args = STR("{\"bytes\":1000000}")}});
	do {
		m = raw_expect(&r, MESSAGE_REPLY);
		assert_true(m.reply.chunk.len <= MESSAGE_CHUNK_MAX);
		total += m.reply.chunk.len;
		pieces++;
	} while (m.flags & MESSAGE_FLAG_MORE);
	assert_int_equal(total, 1000000 + strlen("{\"text\":\"\"}"));
	assert_int_equal(pieces, 4);
	raw_send(&r,
		(struct message){.type = MESSAGE_QUERY,
			.query = {.id = 1,
				.verb = STR("long"),
				.args = STR("{\"bytes\":17000000}")}});
	m = raw_expect(&r, MESSAGE_REPLY);
	assert_int_equal(m.reply.status, MESSAGE_RESULT_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(hello_tells_what_is_in_place, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_counts_before_the_welcome, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_bytes_are_counted_by_name, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bad_body_is_refused_to_its_sender, setup,
			teardown),
		cmocka_unit_test_setup_teardown(strangers_of_the_session_are_ignored, setup,
			teardown),
		cmocka_unit_test_setup_teardown(gaps_and_foreign_epochs_end_the_connection, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_lower_epoch_is_fenced_also_after_a_restart, setup,
			teardown),
		cmocka_unit_test_setup_teardown(who_does_not_welcome_or_falls_silent_is_let_go,
			setup, teardown),
		cmocka_unit_test_setup_teardown(an_oversized_message_costs_the_connection_only,
			setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_snapshot_that_is_not_what_was_announced_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_change_that_does_not_fit_is_refused, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_flood_of_changes_is_answered_one_by_one, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_flood_of_questions_is_refused_politely, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_long_answer_comes_in_pieces, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
