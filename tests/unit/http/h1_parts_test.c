// SPDX-License-Identifier: Apache-2.0
/*
 * h1_parts_test.c: the pieces below the parser: scanners against their portable twins, the table
 * of names, slashes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/rng.h"
#include "dataplane/http/h1.h"
#include "dataplane/http/h1_header.h"
#include "dataplane/http/h1_line.h"
#include "dataplane/http/h1_scan.h"
#include "tests/unit/skip.h"

static void classes_hold_what_the_rfc_lists(void **state)
{
	for (int c = 0; c < 256; c++) {
		bool token = c != 0 &&
			strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
			       "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
				c) != NULL &&
			c < 128;

		assert_int_equal(h1_is(&h1_token, (char)c), token);
		assert_int_equal(h1_is(&h1_control, (char)c), (c < 32 && c != 9) || c == 127);
		assert_int_equal(h1_is(&h1_target, (char)c),
			c > 32 && c < 127 && c != '"' && c != '#' && c != '<' && c != '>');
	}
}

static void vector_and_portable_scanners_agree(void **state)
{
#ifdef __SSSE3__
	static const struct h1_class *const classes[] = {&h1_token, &h1_target, &h1_host,
		&h1_control};
	struct rng r;

	rng_seed(&r, 1);
	for (unsigned round = 0; round < 20000; round++) {
		size_t len = rng_below(&r, 70);
		char *p = malloc(len + 1); /* the sanitizer watches the end */
		const struct h1_class *cl = classes[round & 3];
		bool stop = cl == &h1_control;

		for (size_t i = 0; i < len; i++)
			p[i] = rng_below(&r, 40) ? 'a' : (char)rng_u64(&r);
		p = realloc(p, len ? len : 1);
		assert_ptr_equal(h1_scan_vector(p, p + len, cl, stop),
			h1_scan_portable(p, p + len, cl, stop));
		for (size_t from = 0; from <= len; from += 1 + len / 8)
			assert_ptr_equal(h1_scan_after_vector(p, p + from, p + len, cl, stop),
				h1_scan_portable(p + from, p + len, cl, stop));
		free(p);
	}
#else
	skip_elsewhere("a processor without SSSE3");
#endif
}

/* A name of the table or nearly so, blanks, a value with a line end or something else in it. */
static void line_make(struct rng *r, char *s, size_t size)
{
	struct str name = h1_header_name((enum h1_header_id)rng_below(r, H1_HDR_COUNT));
	size_t n = name.len;

	for (size_t i = 0; i < size; i++)
		s[i] = rng_below(r, 24) ? 'v' : (char)rng_u64(r);
	for (size_t i = 0; i < n; i++)
		s[i] = rng_below(r, 3) ? name.p[i] : (char)(name.p[i] ^ 0x20);
	if (rng_below(r, 4) == 0)
		s[rng_below(r, (uint32_t)n + 2)] = (char)rng_u64(r);
	s[n] = rng_below(r, 8) ? ':' : (char)rng_u64(r);
	memcpy(s + n + 1 + rng_below(r, (uint32_t)(size - n - 2)), "\r\n", 2);
}

static void line_lookers_agree(void **state)
{
#ifdef __SSSE3__
	char buf[H1_LINE_BEFORE + H1_LINE_BEHIND], *s = buf + H1_LINE_BEFORE;
	struct rng r;
	unsigned known = 0;

	rng_seed(&r, 3);
	memcpy(buf, "\r\n", H1_LINE_BEFORE);
	for (unsigned round = 0; round < 50000; round++) {
		struct h1_line vector = {0}, portable = {0};
		bool is_known;

		line_make(&r, s, H1_LINE_BEHIND);
		is_known = h1_line_look_portable(s, &portable);
		assert_int_equal(h1_line_look_vector(s, &vector), is_known);
		if (!is_known)
			continue;
		assert_ptr_equal(h1_scan_portable(s, s + H1_LINE_BEHIND, &h1_token, false),
			s + vector.row->len);
		assert_ptr_equal(vector.row, portable.row);
		assert_int_equal(vector.stop, portable.stop);
		known++;
	}
	assert_true(known > 2000);
#else
	skip_elsewhere("a processor without SSSE3");
#endif
}

static void path_scanners_agree(void **state)
{
#ifdef __SSSE3__
	static const char alphabet[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa//..%\\";
	struct rng r;

	rng_seed(&r, 2);
	for (unsigned round = 0; round < 20000; round++) {
		size_t len = 1 + rng_below(&r, 70);
		char *p = malloc(len);

		for (size_t i = 0; i < len; i++)
			p[i] = alphabet[rng_below(&r, sizeof(alphabet) - 1)];
		assert_int_equal(h1_path_is_plain_vector(p, p + len),
			h1_path_is_plain_portable(p, p + len));
		free(p);
	}
#else
	skip_elsewhere("a processor without SSSE3");
#endif
}

static void every_name_of_the_table_is_found_in_any_case(void **state)
{
	static const struct {
		const char *name;
		char first, last_but_one;
		int id;
	} rows[] = {
#define HEADER(ID, name, first, last_but_one, flags) {name, first, last_but_one, H1_HDR_##ID},
#include "dataplane/http/header.def"
#undef HEADER
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char upper[32];
		size_t n = strlen(rows[i].name);

		assert_int_equal(rows[i].name[0], rows[i].first);
		assert_int_equal(rows[i].name[n - 2], rows[i].last_but_one);
		for (size_t j = 0; j < n; j++)
			upper[j] = rows[i].name[j] >= 'a' ? (char)(rows[i].name[j] - 32)
							  : rows[i].name[j];
		assert_int_equal(h1_header_lookup(str_of(rows[i].name)), rows[i].id);
		assert_int_equal(h1_header_lookup(str_make(upper, n)), rows[i].id);
		assert_int_equal(h1_header_lookup(str_make(upper, n - 1)), H1_HDR_OTHER);
		upper[n / 2] ^= 1;
		assert_int_equal(h1_header_lookup(str_make(upper, n)), H1_HDR_OTHER);
		assert_true(str_eq(h1_header_name((enum h1_header_id)rows[i].id),
			str_of(rows[i].name)));
	}
}

static void random_tokens_are_found_only_when_equal(void **state)
{
	static const char tokens[] = "abchostencig-_^~`|!-ABCTE";
	struct rng r;

	rng_seed(&r, 3);
	for (unsigned round = 0; round < 200000; round++) {
		char name[24];
		size_t n = 1 + rng_below(&r, 20);
		int want = H1_HDR_OTHER;

		for (size_t i = 0; i < n; i++)
			name[i] = tokens[rng_below(&r, sizeof(tokens) - 1)];
		for (int id = 1; id < H1_HDR_COUNT; id++)
			if (str_ieq(str_make(name, n), h1_header_name((enum h1_header_id)id)))
				want = id;
		assert_int_equal(h1_header_lookup(str_make(name, n)), want);
	}
}

static void errors_have_names_statuses_and_sentences(void **state)
{
	for (int e = 1; e < H1_ERR_COUNT; e++) {
		assert_true(strlen(h1_error_name(e)) > 0 && strlen(h1_error_help(e)) > 10);
		assert_true(h1_error_status(e) >= 400 && h1_error_status(e) <= 505);
	}
}

static void slashes_are_merged_in_the_path_alone(void **state)
{
	static const struct {
		const char *target, *path, *query;
	} rows[] = {
		{"//a///b//", "/a/b/", NULL},
		{"//", "/", NULL},
		{"/a//b?c//d", "/a/b", "c//d"},
		{"/a//b?", "/a/b", ""},
	};

	for (size_t i = 0; i < 4; i++) {
		char head[128], buf[32];
		struct h1_head h;
		int n = snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n",
			rows[i].target);

		assert_int_equal(h1_parse_request(head, (size_t)n, &h), n);
		assert_true(h.slashes);
		assert_false(h1_merge_slashes(&h, buf, h.path.len + h.query.len));
		assert_true(h1_merge_slashes(&h, buf, sizeof(buf)));
		assert_false(h.slashes);
		assert_true(str_eq(h.path, str_of(rows[i].path)));
		assert_true(str_eq(h.query, str_of(rows[i].query)));
		assert_int_equal(h.query.p == NULL, rows[i].query == NULL);
	}
}

static void first_field_of_an_id_is_found(void **state)
{
	static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nVia: 1\r\nvia: 2\r\n\r\n";
	struct h1_head h;

	assert_true(h1_parse_request(head, sizeof(head) - 1, &h) > 0);
	assert_true(str_eq(h1_header_get(&h, H1_HDR_VIA), STR("1")));
	assert_null(h1_header_get(&h, H1_HDR_DATE).p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes_hold_what_the_rfc_lists),
		cmocka_unit_test(vector_and_portable_scanners_agree),
		cmocka_unit_test(line_lookers_agree),
		cmocka_unit_test(path_scanners_agree),
		cmocka_unit_test(every_name_of_the_table_is_found_in_any_case),
		cmocka_unit_test(random_tokens_are_found_only_when_equal),
		cmocka_unit_test(errors_have_names_statuses_and_sentences),
		cmocka_unit_test(slashes_are_merged_in_the_path_alone),
		cmocka_unit_test(first_field_of_an_id_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
