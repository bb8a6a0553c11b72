// SPDX-License-Identifier: Apache-2.0
/*
 * gen_pure_test.c: the load generator judges right: percentiles against sorted values, checksums
 * against RFC 1071's plain loop, answers whole, in pieces, and wrong in each way there is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/base/rng.h"
#include "tests/bench/gen_http.h"
#include "tests/bench/gen_latency.h"

#define VALUES 20000
#define BUFFERS 4

static struct latency latency;
static struct body body;
static struct http http;
static struct head_buffer buffers[BUFFERS];
static const uint32_t sizes[] = {100, 10000, 5, 0};

static int cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void buckets_are_in_order_and_within_a_128th(void **state)
{
	uint64_t last = 0;

	(void)state;
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		uint64_t top = latency_bucket_top(i);

		assert_int_equal(latency_bucket(top), i);
		if (i > 0) {
			assert_int_equal(latency_bucket(last + 1), i);
			assert_true(top - last - 1 <= (last + 1) / 128);
		}
		last = top;
	}
	assert_true(last == UINT64_MAX);
}

static void percentiles_are_at_most_a_128th_above_the_sorted_value(void **state)
{
	static const uint32_t at[] = {1, 25000, 50000, 90000, 99000, 99900, 100000};
	static uint64_t v[VALUES];
	struct rng r;

	(void)state;
	rng_seed(&r, 7);
	assert_int_equal(latency_at(&latency, 50000), 0);
	for (unsigned i = 0; i < VALUES; i++) {
		v[i] = rng_u64(&r) >> (20 + rng_below(&r, 44));
		latency_add(&latency, v[i]);
	}
	qsort(v, VALUES, sizeof(v[0]), cmp);
	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		uint64_t rank = ((uint64_t)VALUES * at[i] + 99999) / 100000, want = v[rank - 1];
		uint64_t got = latency_at(&latency, at[i]);

		assert_true(got >= want && got - want <= want / 128);
	}
	assert_true(latency_at(&latency, 100000) == v[VALUES - 1]);
}

static void what_was_lost_is_slower_than_all_that_came(void **state)
{
	static struct latency l;

	(void)state;
	l.lost = 1;
	assert_true(latency_at(&l, 50000) == LATENCY_UNKNOWN);
	for (unsigned i = 0; i < 98; i++)
		latency_add(&l, 10);
	assert_int_equal(latency_at(&l, 98000), 10);
	assert_int_equal(latency_at(&l, 50000), 10);
	l.lost = 2;
	assert_int_equal(latency_at(&l, 98000), 10);
	assert_true(latency_at(&l, 99000) == LATENCY_UNKNOWN);
	assert_true(latency_at(&l, 100000) == LATENCY_UNKNOWN);
}

/* RFC 1071 4.1, as the text has it. */
static uint16_t plain_sum(const uint8_t *p, uint32_t len)
{
	uint32_t sum = 0;
	uint16_t w;

	for (uint32_t i = 0; i < len; i++)
		sum += (i & 1) ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	w = (uint16_t)(((sum & 0xff) << 8) |
		(sum >> 8)); /* in memory order on a small-endian host */
	return sum == 0 ? 0 : w;
}

/* Zero has two forms. */
static bool same_sum(uint16_t a, uint16_t b)
{
	return a % 0xffff == b % 0xffff;
}

static void sums_of_any_length_and_place_equal_the_plain_loop(void **state)
{
	static uint8_t buf[9100];
	struct rng r;

	(void)state;
	rng_seed(&r, 9);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)rng_u64(&r);
	memset(buf + 4000, 0xff, 3000);
	for (int i = 0; i < 3000; i++) {
		uint32_t len = (uint32_t)rng_below(&r, i < 300 ? (uint32_t)i + 1 : 9000);
		uint32_t at = (uint32_t)rng_below(&r, sizeof(buf) - len), cut;

		assert_true(same_sum(sum_fold(sum_of(buf + at, len)), plain_sum(buf + at, len)));
		assert_true(same_sum(sum_fold(sum_short(buf + at, len)), plain_sum(buf + at, len)));
		cut = (uint32_t)rng_below(&r, len + 1);
		assert_true(same_sum(sum_fold(sum_join(sum_of(buf + at, cut), cut,
					     sum_of(buf + at + cut, len - cut))),
			plain_sum(buf + at, len)));
	}
}

static void slices_of_answers_come_with_their_sum(void **state)
{
	static uint8_t whole[20000], part[20000];
	struct answer a = {.id = http_id(0xdeadbeef), .class = 1};
	uint32_t len = answer_len(&http, &a);
	struct rng r;
	uint64_t sum;

	(void)state;
	rng_seed(&r, 11);
	sum = answer_write(&http, &a, 0, len, whole);
	assert_true(same_sum(sum_fold(sum), plain_sum(whole, len)));
	for (int i = 0; i < 3000; i++) {
		uint32_t at = (uint32_t)rng_below(&r, i & 1 ? 300 : len), n;

		n = (uint32_t)rng_below(&r, i & 2 ? 40 : len - at);
		n = n < len - at ? n : len - at;
		sum = answer_write(&http, &a, at, n, part);
		assert_true(same_sum(sum_fold(sum), plain_sum(part, n)));
		assert_memory_equal(part, whole + at, n);
	}
}

static void a_request_is_read_back_as_it_was_written(void **state)
{
	uint8_t text[HTTP_TEXT_MAX];
	struct ask in = {.id = http_id(0xfeed0042), .route = 9876, .class = 1, .close = true}, out;
	uint32_t len = ask_write(&http, &in, text);

	(void)state;
	assert_int_equal(http_head_end(text, len), len);
	for (uint32_t n = 0; n < len; n++)
		assert_int_equal(http_head_end(text, n), 0);
	assert_true(ask_read(&http, text, len, &out));
	assert_int_equal(out.id, in.id);
	assert_int_equal(out.route, in.route);
	assert_int_equal(out.class, in.class);
	for (uint32_t i = 0; i < 43; i++) { /* nothing but the number may be anything */
		uint8_t kept = text[i];

		text[i] = '~';
		assert_int_equal(ask_read(&http, text, len, &out),
			i >= HTTP_ID_AT && i < HTTP_ID_AT + 8);
		text[i] = kept;
	}
}

static void numbers_are_written_as_printf_does(void **state)
{
	struct rng r;

	(void)state;
	rng_seed(&r, 13);
	for (int i = 0; i < 20000; i++) {
		uint32_t n = (uint32_t)(i < 10000 ? (uint32_t)i : rng_u64(&r));
		uint64_t id = http_id(n);
		char want[16];

		snprintf(want, sizeof(want), "%08x", n);
		assert_memory_equal(&id, want, 8);
	}
}

static void the_head_ends_at_the_first_empty_line(void **state)
{
	uint8_t text[80];

	(void)state;
	for (uint32_t at = 0; at + 4 <= sizeof(text); at++) {
		memset(text, '\r', sizeof(text));
		memcpy(text + at, "\r\n\r\n", 4);
		assert_int_equal(http_head_end(text, sizeof(text)), at + 4);
	}
}

/* The answer to request 1 of <class> in pieces of <step>; the check's result. */
static int feed(const uint8_t *p, uint32_t len, uint32_t step, unsigned class, struct check *c)
{
	struct ask ask = {.id = http_id(1), .class = (uint8_t) class};
	uint32_t at = 0;

	check_start(c, &ask);
	while (at < len) {
		uint32_t n = step < len - at ? step : len - at;
		int rc = check_feed(&http, c, p + at, n);

		if (rc < 0 || (uint32_t)rc < n) {
			check_end(&http, c);
			return rc < 0 ? rc : (int)at + rc;
		}
		at += n;
	}
	check_end(&http, c);
	return (int)at;
}

static void a_right_answer_is_right_in_pieces_of_any_size(void **state)
{
	static uint8_t text[20000];
	struct check c = {0};

	(void)state;
	for (unsigned class = 0; class < http.classes; class ++) {
		struct answer a = {.id = http_id(1), .class = (uint8_t) class};
		uint32_t len = answer_len(&http, &a);

		answer_write(&http, &a, 0, len, text);
		for (uint32_t step = 1; step <= len; step += step < 200 ? 1 : 777) {
			assert_int_equal(feed(text, len, step, class, &c), len);
			assert_true(c.done);
		}
		assert_int_equal(feed(text, len - 1, len, class, &c), len - 1);
		assert_false(c.done);
	}
}

static void every_flipped_byte_of_a_body_is_found(void **state)
{
	static uint8_t text[20000];
	struct answer a = {.id = http_id(1), .class = 1};
	uint32_t len = answer_len(&http, &a), head = answer_head(&http, &a)->len;
	struct check c = {0};

	(void)state;
	answer_write(&http, &a, 0, len, text);
	for (uint32_t i = head; i < len; i += i < head + 50 ? 1 : 331) {
		text[i] ^= 1;
		assert_int_equal(feed(text, len, 1448, 1, &c), CHECK_BAD_CONTENT);
		text[i] ^= 1;
	}
	a.id = http_id(2); /* another request's answer */
	answer_write(&http, &a, 0, len, text);
	assert_int_equal(feed(text, len, 1448, 1, &c), CHECK_BAD_CONTENT);
}

static void wrong_heads_are_told_apart(void **state)
{
	static const struct {
		const char *text;
		int want;
	} rows[] = {
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n", CHECK_BAD_STATUS},
		{"HTTP/1.1 2000 OK\r\nContent-Length: 100\r\n\r\n", CHECK_BAD_STATUS},
		{"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\n", CHECK_BAD_HEAD},
		{"HTTP/1.1 200 OK\r\n\r\n", CHECK_BAD_LENGTH},
		{"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", CHECK_BAD_LENGTH},
		{"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n", CHECK_BAD_LENGTH},
		{"HTTP/1.1 200 OK\r\nContent-Length: 100x\r\n\r\n", CHECK_BAD_LENGTH},
		{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nContent-Length: 100\r\n\r\n",
			CHECK_BAD_LENGTH},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHECK_BAD_HEAD},
		{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nX\r\r\n\r\n", CHECK_BAD_HEAD},
		{"\r\n\r\n", CHECK_BAD_HEAD},
	};
	struct check c = {0};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t len = (uint32_t)strlen(rows[i].text);

		for (uint32_t step = 1; step <= len; step += 7)
			assert_int_equal(feed((const uint8_t *)rows[i].text, len, step, 0, &c),
				rows[i].want);
	}
	assert_int_equal(http.last_status, 200); /* of "2000" */
}

static void a_head_without_end_is_given_up(void **state)
{
	static uint8_t text[HTTP_HEAD_MAX + 100];
	struct check c = {0};

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_int_equal(feed(text, sizeof(text), 50, 0, &c), CHECK_BAD_HEAD);
	assert_non_null(http.free);
}

static void head_buffers_run_out_and_come_back(void **state)
{
	struct ask ask = {.id = http_id(1)};
	struct check c[BUFFERS + 1] = {0};

	(void)state;
	for (int i = 0; i < BUFFERS + 1; i++) {
		check_start(&c[i], &ask);
		assert_int_equal(check_feed(&http, &c[i], (const uint8_t *)"HTTP", 4),
			i < BUFFERS ? 4 : CHECK_NO_BUFFER);
	}
	for (int i = 0; i < BUFFERS + 1; i++)
		check_end(&http, &c[i]);
	check_start(&c[0], &ask);
	assert_int_equal(check_feed(&http, &c[0], (const uint8_t *)"HTTP", 4), 4);
	check_end(&http, &c[0]);
}

static int setup(void **state)
{
	(void)state;
	body_init(&body);
	http_init(&http, &body, "app.bench.lab", sizes, sizeof(sizes) / sizeof(sizes[0]), buffers,
		BUFFERS);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_are_in_order_and_within_a_128th),
		cmocka_unit_test(percentiles_are_at_most_a_128th_above_the_sorted_value),
		cmocka_unit_test(what_was_lost_is_slower_than_all_that_came),
		cmocka_unit_test(sums_of_any_length_and_place_equal_the_plain_loop),
		cmocka_unit_test(slices_of_answers_come_with_their_sum),
		cmocka_unit_test(a_request_is_read_back_as_it_was_written),
		cmocka_unit_test(numbers_are_written_as_printf_does),
		cmocka_unit_test(the_head_ends_at_the_first_empty_line),
		cmocka_unit_test(a_right_answer_is_right_in_pieces_of_any_size),
		cmocka_unit_test(every_flipped_byte_of_a_body_is_found),
		cmocka_unit_test(wrong_heads_are_told_apart),
		cmocka_unit_test(a_head_without_end_is_given_up),
		cmocka_unit_test(head_buffers_run_out_and_come_back),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
