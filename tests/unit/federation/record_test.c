// SPDX-License-Identifier: Apache-2.0
/*
 * record_test.c: records and messages between sites: what decodes, what does not, who wins, and
 * that bytes of another minor release still mean the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/hash.h"
#include "federation/hlc.h"
#include "federation/proto.h"
#include "federation/record.h"

#define WALL 1790000000000ull

static struct record weight(const char *site, const char *cluster, uint64_t ms)
{
	return (struct record){.kind = RECORD_WEIGHT,
		.site = str_of(site),
		.stamp = hlc_of_ms(ms),
		.cluster = str_of(cluster),
		.weight = {.weight = 10, .actor = STR("ann"), .reason = STR("canary")}};
}

static void every_kind_survives_the_wire(void **state)
{
	struct record in[] = {
		{.kind = RECORD_SITE,
			.site = STR("fra1"),
			.stamp = 1,
			.of_site = {.state = SITE_SUSPECT,
				.requests_per_s = 5,
				.capacity_per_s = 6,
				.load_permille = 1000,
				.vip_count = 2,
				.vips = {{{1, 2, 3}}, {{4, 5, 6}}}}},
		{.kind = RECORD_HEALTH,
			.site = STR("fra1"),
			.stamp = 2,
			.cluster = STR("us-west"),
			.health = {HEALTH_STALE, 10, 8, 7, 100}},
		weight("ams1", "us-west", WALL),
	};

	in[2].scope = STR("fra1");
	in[2].weight.drain = true;
	in[2].weight.weightless = true;
	in[2].weight.expires_ms = WALL + 1;
	in[2].weight.seen = 77;
	for (size_t i = 0; i < 3; i++) {
		uint8_t a[RECORD_BYTES_MAX], b[RECORD_BYTES_MAX];
		size_t n = record_encode(&in[i], a, sizeof(a));
		struct record out;

		assert_true(n > 0);
		assert_true(record_decode(a, n, &out));
		assert_int_equal(record_encode(&out, b, sizeof(b)), n);
		assert_memory_equal(a, b, n);
		assert_true(record_same_key(&in[i], &out) && record_compare(&in[i], &out) == 0);
		/* cut anywhere, also at every room too small to write it */
		for (size_t cut = 0; cut < n; cut++) {
			assert_int_equal(record_encode(&in[i], b, cut), 0);
			if (record_decode(a, cut, &out))
				assert_true(record_encode(&out, b, sizeof(b)) == cut);
		}
	}
}

static void impossible_values_are_not_records(void **state)
{
	static char long_text[RECORD_REASON_MAX + 1];
	struct record r[12];
	uint8_t b[2 * RECORD_BYTES_MAX];

	memset(long_text, 'x', sizeof(long_text));
	for (size_t i = 0; i < 12; i++)
		r[i] = weight("ams1", "us-west", WALL);
	r[0].weight.weight = RECORD_WEIGHT_MAX + 1;
	r[1].site = STR("");
	r[2].site = STR("Ams1");
	r[3].cluster = STR("us_west");
	r[4].cluster = STR("-west");
	r[5].weight.reason = str_make(long_text, sizeof(long_text));
	r[6].weight.actor = STR("ann\nlevel=error");
	r[7].stamp = 0;
	r[8].kind = 0;
	r[9].kind = RECORD_KIND_COUNT;
	r[10] = (struct record){.kind = RECORD_HEALTH,
		.site = STR("a"),
		.stamp = 1,
		.cluster = STR("c"),
		.health = {.total = 1, .ready = 2}};
	r[11] = (struct record){.kind = RECORD_SITE,
		.site = STR("a"),
		.stamp = 1,
		.of_site.vip_count = RECORD_VIPS_MAX + 1};
	for (size_t i = 0; i < 12; i++)
		assert_int_equal(record_encode(&r[i], b, sizeof(b)), 0);
}

/* tag 8, length 16, value: at the end of a good record, which must stay good or become bad. */
static void a_newer_minor_release_may_add_fields_but_not_repeat_or_reorder(void **state)
{
	static const struct {
		const char *name;
		uint8_t field[5];
		bool good;
	} rows[] = {
		{"an unknown tag", {200, 0, 2, 0xff, 0xff}, true},
		{"a known one again", {30, 0, 2, 0, 1}, false},
		{"an unknown one out of order", {6, 0, 2, 0, 1}, false},
		{"longer than the record", {200, 0, 3, 0, 1}, false},
	};
	struct record r = weight("ams1", "us-west", WALL), out;
	uint8_t b[RECORD_BYTES_MAX];
	size_t n = record_encode(&r, b, sizeof(b));

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memcpy(b + n, rows[i].field, 5);
		if (record_decode(b, n + 5, &out) != rows[i].good)
			fail_msg("%s", rows[i].name);
	}
}

static void the_newer_stamp_wins_and_names_break_ties(void **state)
{
	struct record a = weight("ams1", "c", WALL), b = weight("fra1", "c", WALL);
	struct record c = weight("ams1", "c", WALL + 1);

	assert_true(record_same_key(&a, &b));
	assert_true(record_key_hash(&a) == record_key_hash(&b));
	assert_true(record_compare(&b, &a) > 0 && record_compare(&a, &b) < 0);
	assert_true(record_compare(&c, &b) > 0 && record_compare(&b, &c) < 0);
	assert_int_equal(record_compare(&a, &a), 0);
}

/* It lost its memory and its clock is behind: the values decide, the same everywhere. */
static void of_two_with_one_stamp_of_one_site_the_same_wins_everywhere(void **state)
{
	struct record a = weight("ams1", "c", WALL), b = a;

	b.weight.weight++;
	assert_true(record_compare(&a, &b) != 0);
	assert_true((record_compare(&a, &b) > 0) == (record_compare(&b, &a) < 0));
}

static void views_of_two_sites_are_two_records(void **state)
{
	struct record a = {.kind = RECORD_HEALTH, .site = STR("ams1"), .cluster = STR("c")};
	struct record b = a;

	b.site = STR("fra1");
	assert_false(record_same_key(&a, &b));
	assert_true(record_key_hash(&a) != record_key_hash(&b));
}

static void a_weight_dies_at_its_time_and_is_forgotten_a_day_later(void **state)
{
	struct record r = weight("ams1", "c", WALL);

	assert_false(record_is_dead(&r, UINT64_MAX / 2));
	r.weight.expires_ms = WALL + 1000;
	assert_false(record_is_dead(&r, WALL + 999));
	assert_true(record_is_dead(&r, WALL + 1000));
	assert_false(record_is_gone(&r, WALL + 999 + RECORD_DEAD_KEPT_MS));
	assert_true(record_is_gone(&r, WALL + 1000 + RECORD_DEAD_KEPT_MS));
	r.weight.removed = true; /* a tombstone is dead from its stamp on */
	assert_true(record_is_dead(&r, WALL));
	assert_true(record_is_gone(&r, WALL + RECORD_DEAD_KEPT_MS));
}

static void stamps_are_later_than_all_that_was_seen(void **state)
{
	struct hlc h = {0};
	uint64_t a = hlc_stamp(&h, WALL), b = hlc_stamp(&h, WALL), c;

	assert_true(b == a + 1 && hlc_ms(b) == WALL);
	assert_true(hlc_observe(&h, hlc_of_ms(WALL + 5000), WALL));
	c = hlc_stamp(&h, WALL + 1);
	assert_true(c > hlc_of_ms(WALL + 5000));
	assert_int_equal(hlc_time_ms(&h, WALL), WALL + 5000);
	/* a clock that goes back does not make it go back */
	assert_true(hlc_stamp(&h, WALL - 100000) > c);
	/* a counter that is full takes the next millisecond */
	h.last = hlc_of_ms(WALL) | 0xffff;
	assert_int_equal(hlc_ms(hlc_stamp(&h, WALL)), WALL + 1);
}

static void stamps_up_to_five_minutes_ahead_are_seen_and_no_more(void **state)
{
	struct hlc h = {0};

	assert_true(hlc_observe(&h, hlc_of_ms(WALL + 300000) | 0xffff, WALL));
	assert_false(hlc_observe(&h, hlc_of_ms(WALL + 300001), WALL));
	assert_false(hlc_observe(&h, UINT64_MAX, WALL));
	assert_int_equal(hlc_ms(h.last), WALL + 300000);
}

/* Messages. */

static struct proto_message sample(uint8_t type)
{
	static const char record[] = "any bytes: a delta's records are looked into later";
	struct proto_message m = {.type = type, .epoch = 7, .seq = 3, .stamp = 9};

	switch (type) {
	case PROTO_CHALLENGE:
		m.challenge.site = STR("fra1");
		m.challenge.wall_ms = WALL;
		memset(m.challenge.nonce, 0xa5, sizeof(m.challenge.nonce));
		break;
	case PROTO_WELCOME:
		m.welcome.why = STR("clock");
		break;
	case PROTO_DELTA:
		m.delta.records = str_of(record);
		break;
	case PROTO_ACK:
		m.ack.seq = 12;
		m.ack.refused = 1;
		break;
	case PROTO_HEARTBEAT:
		m.heartbeat.root = 0x1234;
		m.heartbeat.wall_ms = WALL;
		break;
	}
	return m;
}

static void every_message_survives_the_wire_and_no_shortened_one(void **state)
{
	static uint8_t a[PROTO_MAX], b[PROTO_MAX];

	for (uint8_t type = 1; type < PROTO_TYPE_COUNT; type++) {
		struct proto_message in = sample(type), out;
		size_t n = proto_encode(&in, a);

		assert_true(n >= PROTO_HEAD_BYTES);
		assert_int_equal(proto_decode(a, n, &out), REFUSAL_NONE);
		assert_true(out.epoch == 7 && out.seq == 3 && out.stamp == 9);
		assert_int_equal(proto_encode(&out, b), n);
		assert_memory_equal(a, b, n);
		for (size_t cut = 0; cut < n; cut++)
			assert_int_equal(proto_decode(a, cut, &out), REFUSAL_FORMAT);
	}
}

static void repair(uint8_t *p, size_t len)
{
	be32_put(p + 36, 0);
	be32_put(p + 36, crc32c(0, p, len));
}

static void bytes_that_are_no_message_are_refused_by_name(void **state)
{
	static const struct {
		const char *name;
		size_t at;
		uint8_t value;
		bool repaired;
		enum refusal why;
	} rows[] = {
		{"no magic", 0, 'X', true, REFUSAL_FORMAT},
		{"another major version", 2, PROTO_MAJOR + 1, true, REFUSAL_VERSION},
		{"another major version, also with a wrong checksum", 2, 9, false, REFUSAL_VERSION},
		{"a newer minor version", 3, PROTO_MINOR + 1, true, REFUSAL_NONE},
		{"type 0", 4, 0, true, REFUSAL_TYPE},
		{"an unknown type", 4, 99, true, REFUSAL_TYPE},
		{"a header shorter than ours", 7, PROTO_HEAD_BYTES - 1, true, REFUSAL_FORMAT},
		{"a header longer than the message", 6, 0xff, true, REFUSAL_FORMAT},
		{"a body longer than the message", 35, 0xff, true, REFUSAL_FORMAT},
		{"a byte changed", 50, 0x77, false, REFUSAL_FORMAT},
		{"a field longer than the body", 50, 0x77, true, REFUSAL_FORMAT},
	};
	static uint8_t b[PROTO_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct proto_message m = sample(PROTO_HEARTBEAT);
		size_t n = proto_encode(&m, b);
		enum refusal why;

		b[rows[i].at] = rows[i].value;
		if (rows[i].repaired)
			repair(b, n);
		why = proto_decode(b, n, &m);
		if (why != rows[i].why)
			fail_msg("%s: %s", rows[i].name, refusal_metrics[why]);
	}
}

static void a_message_longer_than_its_type_allows_is_refused(void **state)
{
	static uint8_t b[PROTO_MAX + 1];
	struct proto_message m = sample(PROTO_HEARTBEAT);
	size_t n = proto_encode(&m, b);

	/* an unknown field that fills the body beyond 1024 bytes */
	b[n] = 250;
	be16_put(b + n + 1, 2000);
	be32_put(b + 32, (uint32_t)(n + 2003 - PROTO_HEAD_BYTES));
	repair(b, n + 2003);
	assert_int_equal(proto_decode(b, n + 2003, &m), REFUSAL_LENGTH);
	assert_int_equal(proto_decode(b, sizeof(b), &m), REFUSAL_LENGTH);
}

static void a_longer_header_and_an_unknown_field_of_a_newer_minor_are_skipped(void **state)
{
	static uint8_t b[PROTO_MAX];
	struct proto_message m = sample(PROTO_ACK);
	size_t n = proto_encode(&m, b);

	memmove(b + PROTO_HEAD_BYTES + 8, b + PROTO_HEAD_BYTES, n - PROTO_HEAD_BYTES);
	memset(b + PROTO_HEAD_BYTES, 0xee, 8);
	b[7] = PROTO_HEAD_BYTES + 8;
	b[3] = PROTO_MINOR + 1;
	memcpy(b + n + 8, (uint8_t[]){99, 0, 1, 0x55}, 4);
	be32_put(b + 32, (uint32_t)(n - PROTO_HEAD_BYTES + 4));
	repair(b, n + 12);
	assert_int_equal(proto_decode(b, n + 12, &m), REFUSAL_NONE);
	assert_true(m.ack.seq == 12 && m.ack.refused == 1);
}

/* As release 1.0 sent them: what is in the field must go on to be understood. */
static void recorded_bytes_of_release_1_0_mean_the_same(void **state)
{
	static const uint8_t ack[] = {
#include "tests/unit/federation/ack-1.0.inc"
	};
	static const uint8_t record[] = {
#include "tests/unit/federation/weight-1.0.inc"
	};
	struct proto_message m;
	struct record r;

	assert_int_equal(proto_decode(ack, sizeof(ack), &m), REFUSAL_NONE);
	assert_true(m.type == PROTO_ACK && m.ack.seq == 12 && m.ack.refused == 1 && m.epoch == 7);
	assert_true(record_decode(record, sizeof(record), &r));
	assert_true(r.kind == RECORD_WEIGHT && r.stamp == hlc_of_ms(WALL) && r.weight.weight == 10);
	assert_true(str_eq(r.site, STR("ams1")) && str_eq(r.weight.reason, STR("canary")));
	/* and this record is on disks: its key and place in the digest are the same for ever */
	assert_true(record_key_hash(&r) == 0xe6786f58e6092f7ull);
}

static void lengths_in_a_delta_that_do_not_add_up_are_noticed(void **state)
{
	uint8_t b[2 + 10 + RECORD_SIGNATURE_BYTES] = {0, 10};
	struct str all = str_make(b, sizeof(b)), rest = all;
	bool bad;

	assert_int_equal(proto_next_record(&rest, &bad).len, sizeof(b));
	assert_true(!bad && rest.len == 0);
	for (size_t cut = 1; cut < sizeof(b); cut++) {
		rest = str_first(all, cut);
		assert_int_equal(proto_next_record(&rest, &bad).len, 0);
		assert_true(bad);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_survives_the_wire),
		cmocka_unit_test(impossible_values_are_not_records),
		cmocka_unit_test(a_newer_minor_release_may_add_fields_but_not_repeat_or_reorder),
		cmocka_unit_test(the_newer_stamp_wins_and_names_break_ties),
		cmocka_unit_test(of_two_with_one_stamp_of_one_site_the_same_wins_everywhere),
		cmocka_unit_test(views_of_two_sites_are_two_records),
		cmocka_unit_test(a_weight_dies_at_its_time_and_is_forgotten_a_day_later),
		cmocka_unit_test(stamps_are_later_than_all_that_was_seen),
		cmocka_unit_test(stamps_up_to_five_minutes_ahead_are_seen_and_no_more),
		cmocka_unit_test(every_message_survives_the_wire_and_no_shortened_one),
		cmocka_unit_test(bytes_that_are_no_message_are_refused_by_name),
		cmocka_unit_test(a_message_longer_than_its_type_allows_is_refused),
		cmocka_unit_test(a_longer_header_and_an_unknown_field_of_a_newer_minor_are_skipped),
		cmocka_unit_test(recorded_bytes_of_release_1_0_mean_the_same),
		cmocka_unit_test(lengths_in_a_delta_that_do_not_add_up_are_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
