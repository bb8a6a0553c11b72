// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_options_test.c: option lists as bytes, what they mean, and what is refused; every good list
 * is also cut at every place and read back from what emit makes of it.
 */
#include "tests/unit/tcp/tcp_test.h"

#include "dataplane/base/rng.h"
#include "dataplane/tcp/tcp_options.h"

struct row {
	const char *name;
	uint8_t p[44];
	size_t len;
	bool good;
	struct tcp_options o; /* of a good one */
};

#define B(...) .p = {__VA_ARGS__}, .len = sizeof((uint8_t[]){__VA_ARGS__})

static const struct row rows[] = {
	{"no options", .len = 0, .good = true},
	{"mss", B(2, 4, 5, 180), true, {.has_mss = true, .mss = 1460}},
	{"a Linux SYN", B(2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7), true,
		{.has_mss = true,
			.mss = 1460,
			.sack_permitted = true,
			.has_ts = true,
			.tsval = 1,
			.has_wscale = true,
			.wscale = 7}},
	{"timestamps alone, the usual form", B(1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8), true,
		{.has_ts = true, .tsval = 0x01020304, .tsecr = 0x05060708}},
	{"timestamps in another place", B(8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1), true,
		{.has_ts = true, .tsval = 0x01020304, .tsecr = 0x05060708}},
	{"one SACK block", B(1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9), true,
		{.sack_count = 1, .sack = {{1, 9}}}},
	{"four SACK blocks",
		B(1, 1, 5, 34, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0,
			6, 0, 0, 0, 7, 0, 0, 0, 8),
		true, {.sack_count = 4, .sack = {{1, 2}, {3, 4}, {5, 6}, {7, 8}}}},
	{"an unknown option is skipped (MUST-6)", B(254, 4, 1, 2, 2, 4, 2, 24), true,
		{.has_mss = true, .mss = 536}},
	{"a Fast Open cookie is skipped", B(34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1), true,
		{.mss = 0}},
	{"MPTCP is skipped", B(30, 12, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8), true, {.mss = 0}},
	{"what follows the end of the list is not read", B(0, 2, 1, 255), true, {.mss = 0}},
	{"a window scale above 14 is reported as it is", B(3, 3, 255, 0), true,
		{.has_wscale = true, .wscale = 255}},
	{"length zero is refused (MUST-7)", B(2, 0, 5, 180), false},
	{"length one is refused", B(254, 1, 0, 0), false},
	{"a length past the end is refused", B(1, 1, 8, 10, 1, 2, 3, 4), false},
	{"a kind without a length is refused", B(1, 1, 1, 2), false},
	{"mss of the wrong length is refused", B(2, 3, 5, 1), false},
	{"window scale of the wrong length is refused", B(3, 4, 1, 1), false},
	{"SACK-permitted of the wrong length is refused", B(4, 4, 0, 0), false},
	{"timestamps of the wrong length are refused", B(1, 1, 8, 6, 1, 2, 3, 4), false},
	{"an empty SACK is refused", B(1, 1, 5, 2), false},
	{"half a SACK block is refused", B(5, 6, 0, 0, 0, 1, 1, 1), false},
	{"five SACK blocks cannot be and are refused", .p = {5, 42}, .len = 44, false},
};

static void assert_same(const struct tcp_options *a, const struct tcp_options *b)
{
	assert_int_equal(a->has_mss, b->has_mss);
	assert_int_equal(a->mss, b->mss);
	assert_int_equal(a->has_wscale, b->has_wscale);
	assert_int_equal(a->wscale, b->wscale);
	assert_int_equal(a->has_ts, b->has_ts);
	assert_int_equal(a->tsval, b->tsval);
	assert_int_equal(a->tsecr, b->tsecr);
	assert_int_equal(a->sack_permitted, b->sack_permitted);
	assert_int_equal(a->sack_count, b->sack_count);
	assert_memory_equal(a->sack, b->sack, a->sack_count * sizeof(a->sack[0]));
}

/* The bytes at the end of an allocation, so that the sanitizer sees one byte too many. */
static bool parse_exact(const uint8_t *p, size_t len, struct tcp_options *o)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	bool good;

	memcpy(copy, p, len);
	good = tcp_options_parse(copy, len, o);
	free(copy);
	return good;
}

static void option_row(void **state)
{
	const struct row *r = *state;
	uint8_t out[TCP_OPTIONS_MAX];
	struct tcp_options o, again;
	size_t n;

	assert_int_equal(parse_exact(r->p, r->len, &o), r->good);
	for (size_t cut = 0; cut < r->len; cut++)
		parse_exact(r->p, cut, &again);
	if (!r->good)
		return;
	assert_same(&o, &r->o);
	n = tcp_options_emit(&o, out);
	assert_int_equal(n % 4, 0);
	assert_int_equal(n, tcp_options_len(&o));
	assert_true(parse_exact(out, n, &again));
	assert_same(&again, &o);
}

static void random_bytes_are_read_within_their_bounds(void **state)
{
	struct tcp_options o;
	uint8_t p[40];
	struct rng rng;

	rng_seed(&rng, 7);
	for (unsigned i = 0; i < 20000; i++) {
		size_t len = rng_below(&rng, sizeof(p) + 1);

		for (size_t k = 0; k < len; k++)
			p[k] = (uint8_t)rng_below(&rng, rng_below(&rng, 2) ? 12 : 256);
		parse_exact(p, len, &o);
	}
}

static void blocks_that_do_not_fit_are_left_out(void **state)
{
	struct tcp_options o = {.has_ts = true,
				   .sack_count = 4,
				   .sack = {{1, 2}, {3, 4}, {5, 6}, {7, 8}}},
			   again;
	uint8_t out[TCP_OPTIONS_MAX];

	assert_int_equal(tcp_options_emit(&o, out), 40);
	assert_true(tcp_options_parse(out, 40, &again));
	assert_int_equal(again.sack_count, 3);
}

static void a_syn_has_the_usual_order(void **state)
{
	static const uint8_t expect[] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3,
		7};
	struct tcp_options o = {.has_mss = true,
		.mss = 1460,
		.sack_permitted = true,
		.has_ts = true,
		.tsval = 9,
		.has_wscale = true,
		.wscale = 7};
	uint8_t out[TCP_OPTIONS_MAX];

	assert_int_equal(tcp_options_emit(&o, out), sizeof(expect));
	assert_memory_equal(out, expect, sizeof(expect));
}

int main(void)
{
	struct CMUnitTest tests[40] = {
		cmocka_unit_test(random_bytes_are_read_within_their_bounds),
		cmocka_unit_test(blocks_that_do_not_fit_are_left_out),
		cmocka_unit_test(a_syn_has_the_usual_order),
	};
	size_t n = 3;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		tests[n++] = (struct CMUnitTest){.name = rows[i].name,
			.test_func = option_row,
			.initial_state = (void *)(uintptr_t)&rows[i]};
	return _cmocka_run_group_tests("tcp_options", tests, n, NULL, NULL);
}
