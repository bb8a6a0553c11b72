// SPDX-License-Identifier: Apache-2.0
/*
 * access_log_test.c: the ring drops when full and loses nothing else; a line is JSON whatever the
 * client sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "dataplane/http/access_log.h"
#include "dataplane/http/outcome.h"
#include "dataplane/snapshot/config.h"

static void a_full_ring_refuses_and_an_emptied_one_takes_again(void **state)
{
	struct access_ring *r = access_ring_new(3); /* rounded up to 4 */
	struct access_record *rec;

	assert_null(access_ring_peek(r));
	for (uint64_t round = 0; round < 5; round++) {
		for (uint64_t i = 0; i < 4; i++) {
			rec = access_ring_reserve(r);
			assert_non_null(rec);
			assert_int_equal(rec->start_us, 0); /* zeroed */
			rec->start_us = round * 4 + i + 1;
			access_ring_commit(r);
		}
		assert_null(access_ring_reserve(r));
		for (uint64_t i = 0; i < 4; i++) {
			assert_int_equal(access_ring_peek(r)->start_us, round * 4 + i + 1);
			access_ring_pop(r);
		}
		assert_null(access_ring_peek(r));
	}
	access_ring_free(r);
}

static void fields_are_cut_to_their_size(void **state)
{
	char field[4];
	uint8_t len;

	assert_true(access_copy(field, sizeof(field), STR("abcdef"), &len));
	assert_int_equal(len, 4);
	assert_memory_equal(field, "abcd", 4);
	assert_false(access_copy(field, sizeof(field), STR("xy"), &len));
	assert_int_equal(len, 2);
}

static json_t *format(const struct access_record *rec, const struct access_names *names)
{
	char buf[ACCESS_LINE_MAX];
	size_t n = access_log_format(rec, names, 1700000000000000ull, buf);
	json_error_t e;
	json_t *j;

	assert_true(n > 0 && n <= sizeof(buf) && buf[n - 1] == '\n');
	j = json_loadb(buf, n - 1, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
	if (j == NULL)
		fail_msg("%s in %.*s", e.text, (int)n, buf);
	return j;
}

static void a_line_holds_what_the_record_holds(void **state)
{
	struct access_record rec = {
		.start_us = 1500,
		.total_us = 900,
		.ttfb_us = 800,
		.connect_us = 100,
		.bytes_in = 5,
		.bytes_out = 1ull << 40,
		.client_port = 4711,
		.upstream_port = 8080,
		.status = 502,
		.outcome = OUTCOME_UP_RESET,
		.retries = 1,
		.minor = 1,
		.flags = ACCESS_REUSED | ACCESS_CLOSED,
	};
	struct access_names names = {.listener = STR("infra/gw/http"),
		.rule = STR("demo/app rule 0"),
		.backend = STR("demo/app-v1:80"),
		.cluster = STR("us-east"),
		.endpoint = STR("pod-1")};
	json_t *j;

	ip_parse(STR("192.0.2.1"), &rec.client);
	ip_parse(STR("2001:db8::5"), &rec.upstream);
	access_copy(rec.method, sizeof(rec.method), STR("GET"), &rec.method_len);
	access_copy(rec.path, sizeof(rec.path), STR("/a"), &rec.path_len);
	j = format(&rec, &names);
	assert_string_equal(json_string_value(json_object_get(j, "ts")),
		"2023-11-14T22:13:20.001500Z");
	assert_string_equal(json_string_value(json_object_get(j, "client")), "192.0.2.1:4711");
	assert_string_equal(json_string_value(json_object_get(j, "upstream")),
		"[2001:db8::5]:8080");
	assert_string_equal(json_string_value(json_object_get(j, "reason")), "up_reset");
	assert_string_equal(json_string_value(json_object_get(j, "flags")), "reused,closed");
	assert_string_equal(json_string_value(json_object_get(j, "cluster")), "us-east");
	assert_int_equal(json_integer_value(json_object_get(j, "bytes_out")), 1ll << 40);
	assert_int_equal(json_integer_value(json_object_get(j, "status")), 502);
	assert_null(json_object_get(j, "host"));
	json_decref(j);
}

static void the_longest_and_ugliest_record_is_one_json_line(void **state)
{
	static char ugly[ACCESS_LINE_MAX];
	struct access_record rec;
	struct access_names names;
	struct str s = str_make(ugly, sizeof(ugly));
	json_t *j;

	for (size_t i = 0; i < sizeof(ugly); i++)
		ugly[i] = (char)(i * 7);
	memset(&rec, 0xff, sizeof(rec));
	rec.outcome = OUTCOME_BAD_REQUEST;
	rec.h1_error = 1;
	rec.start_us = 0;
	rec.bytes_in = rec.bytes_out = INT64_MAX;
	access_copy(rec.method, sizeof(rec.method), s, &rec.method_len);
	access_copy(rec.host, sizeof(rec.host), s, &rec.host_len);
	access_copy(rec.path, sizeof(rec.path), s, &rec.path_len);
	access_copy(rec.id, sizeof(rec.id), s, &rec.id_len);
	memset(ugly, 1, sizeof(ugly)); /* names: every byte takes six */
	names = (struct access_names){s, s, s, s, s};
	j = format(&rec, &names);
	assert_non_null(json_object_get(j, "flags"));
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest rows[] = {
		cmocka_unit_test(a_full_ring_refuses_and_an_emptied_one_takes_again),
		cmocka_unit_test(fields_are_cut_to_their_size),
		cmocka_unit_test(a_line_holds_what_the_record_holds),
		cmocka_unit_test(the_longest_and_ugliest_record_is_one_json_line),
	};

	return cmocka_run_group_tests(rows, NULL, NULL);
}
