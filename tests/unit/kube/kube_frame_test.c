// SPDX-License-Identifier: Apache-2.0
/*
 * kube_frame_test.c: streams and lists are cut into the same objects however the bytes are split.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/kube/frame.h"

struct row {
	const char *name;
	enum frame_mode mode;
	const char *in;
	/* items in <>, too large ones in (), a list's envelope in {}; ! bad; $ may not end here */
	const char *out;
};

static const struct row rows[] = {
	{"objects with blanks or nothing between", FRAME_STREAM, "{\"a\":1}{}\n\r\t {\"b\":2} ",
		"<{\"a\":1}><{}><{\"b\":2}>"},
	{"braces and escaped quotes in strings", FRAME_STREAM, "{\"a\":\"}{\\\"]\\\\\"}{}",
		"<{\"a\":\"}{\\\"]\\\\\"}><{}>"},
	{"nesting", FRAME_STREAM, "{\"a\":[{},[{}]]}", "<{\"a\":[{},[{}]]}>"},
	{"wrong insides are the parser's affair", FRAME_STREAM, "{:,,}{]", "<{:,,}><{]>"},
	{"text between objects", FRAME_STREAM, "{}x{}", "<{}>!"},
	{"an array is no event", FRAME_STREAM, "[{}]", "!"},
	{"HTML", FRAME_STREAM, "<html>", "!"},
	{"cut off within an object", FRAME_STREAM, "{}{\"a\":", "<{}>$"},
	{"cut off within a string", FRAME_STREAM, "{\"a", "$"},
	{"too large, and the next one", FRAME_STREAM,
		"{\"a\":\"0123456789012345678901234567890123456789\"}{}",
		"({\"a\":\"012345678901234567890123456)<{}>"},
	{"nothing at all", FRAME_STREAM, "", ""},
	{"a list", FRAME_LIST,
		"{\"kind\":\"L\",\"items\":[{\"a\":1},{\"b\":[]}],\"m\":{\"items\":[1]}}",
		"<{\"a\":1}><{\"b\":[]}>{{\"kind\":\"L\",\"items\":[],\"m\":{\"items\":[1]}}}"},
	{"an empty list", FRAME_LIST, "{\"items\":[]}", "{{\"items\":[]}}"},
	{"null in place of items", FRAME_LIST, "{\"items\":null}", "{{\"items\":null}}"},
	{"blanks everywhere", FRAME_LIST, " { \"items\" : [ {} , { } ] } ",
		"<{}><{ }>{{ \"items\" : [] }}"},
	{"items that are no objects", FRAME_LIST, "{\"items\":[1,\"a]\",null,[2],{}]}",
		"<1><\"a]\"><null><[2]><{}>{{\"items\":[]}}"},
	{"items twice is left to the parser", FRAME_LIST, "{\"items\":[{}],\"items\":[{}]}",
		"<{}><{}>{{\"items\":[],\"items\":[]}}"},
	{"a key that only looks like items", FRAME_LIST, "{\"xitems\":[{}],\"item\":[{}]}",
		"{{\"xitems\":[{}],\"item\":[{}]}}"},
	{"a value that only looks like the key", FRAME_LIST, "{\"a\":\"items\",\"b\":[{}]}",
		"{{\"a\":\"items\",\"b\":[{}]}}"},
	{"items deeper down", FRAME_LIST, "{\"a\":{\"items\":[{}]}}", "{{\"a\":{\"items\":[{}]}}}"},
	{"a large item", FRAME_LIST, "{\"items\":[{\"a\":\"0123456789012345678901234567890\"},{}]}",
		"({\"a\":\"012345678901234567890123456)<{}>{{\"items\":[]}}"},
	{"no list", FRAME_LIST, "[]", "!"},
	{"text behind the list", FRAME_LIST, "{\"items\":[]}{", "{{\"items\":[]}}!"},
	{"a list cut off", FRAME_LIST, "{\"items\":[{}", "<{}>$"},
	{"a number with a brace in it", FRAME_LIST, "{\"items\":[1{}]}", "!"},
	{"a brace in the place of a bracket", FRAME_LIST, "{\"items\":[{}}", "<{}>!"},
};

static void note(char *out, const char *open, struct str s, const char *close)
{
	/* what is kept of a large one is its beginning; how much depends on the split */
	size_t n = open[0] == '(' ? 31 : s.len;

	strcat(out, open);
	if (open[0] == '(')
		strcat(out, "{\"a\":\"012345678901234567890123456");
	else
		strncat(out, s.p, n);
	strcat(out, close);
}

/* False when nothing more may be fed. */
static bool feed(struct frame *f, const char *p, size_t len, char *out)
{
	while (len > 0) {
		enum frame_result r;
		struct str item;
		size_t n = frame_feed(f, p, len, &r, &item);

		assert_true(n <= len && (n > 0 || r != FRAME_MORE));
		p += n;
		len -= n;
		if (r == FRAME_BAD) {
			strcat(out, "!");
			return false;
		}
		if (r == FRAME_ITEM)
			note(out, "<", item, ">");
		else if (r == FRAME_TOO_LARGE)
			note(out, "(", item, ")");
		else if (r == FRAME_END)
			note(out, "{", item, "}");
	}
	return true;
}

static void check_split(const struct row *row, size_t at, size_t step)
{
	size_t len = strlen(row->in);
	char out[1024] = "";
	struct frame f;
	bool go;

	frame_init(&f, row->mode, 32);
	go = feed(&f, row->in, at, out);
	for (size_t i = at; go && i < len; i += step)
		go = feed(&f, row->in + i, step < len - i ? step : len - i, out);
	if (go && !frame_is_whole(&f))
		strcat(out, "$");
	frame_fini(&f);
	if (row->mode == FRAME_LIST && len == 0)
		return;
	if (strcmp(out, row->out) != 0)
		print_error("%s, split at %zu, step %zu\n", row->name, at, step);
	assert_string_equal(out, row->out);
}

static void every_split_gives_the_same_objects(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t at = 0; at <= strlen(rows[i].in); at++)
			for (size_t step = 1; step <= strlen(rows[i].in) + 1; step += 3)
				check_split(&rows[i], at, step);
}

static void an_envelope_without_end_is_bad(void **state)
{
	char fill[4096], out[8192] = "";
	struct frame f;
	bool go = true;

	memset(fill, ' ', sizeof(fill));
	fill[0] = '{';
	frame_init(&f, FRAME_LIST, 1024);
	for (int i = 0; go && i < 64; i++) {
		go = feed(&f, fill, sizeof(fill), out);
		fill[0] = ' ';
	}
	go = go && feed(&f, "}", 1, out);
	assert_string_equal(out, "!");
	assert_true(f.envelope.room <= FRAME_ENVELOPE_MAX);
	frame_fini(&f);
}

static void an_item_without_end_is_bad(void **state)
{
	char fill[100], out[64] = "";
	struct frame f;
	int i;

	memset(fill, '[', sizeof(fill));
	fill[0] = '{';
	frame_init(&f, FRAME_STREAM, 32);
	for (i = 0; i < 100 && feed(&f, fill, sizeof(fill), out); i++)
		;
	assert_string_equal(out, "!");
	assert_int_equal(i, 32 * FRAME_SKIP_TIMES / sizeof(fill));
	frame_fini(&f);
}

/* Nothing, for ever: before, between and behind items. */
static void blanks_without_end_are_bad(void **state)
{
	static const struct {
		enum frame_mode mode;
		const char *before, *blank;
	} rows_[] = {{FRAME_STREAM, "", "\n"}, {FRAME_STREAM, "{}", " "}, {FRAME_LIST, "", " "},
		{FRAME_LIST, "{\"items\":[", " "}, {FRAME_LIST, "{\"items\":[{}", ","},
		{FRAME_LIST, "{\"items\":[]}", "\n"}};

	for (size_t i = 0; i < sizeof(rows_) / sizeof(rows_[0]); i++) {
		enum frame_result result = FRAME_MORE;
		struct frame f;
		struct str item;
		uint32_t n = 0;

		frame_init(&f, rows_[i].mode, 1 << 10);
		for (size_t k = 0; k < strlen(rows_[i].before);)
			k += frame_feed(&f, rows_[i].before + k, strlen(rows_[i].before) - k,
				&result, &item);
		while (result != FRAME_BAD && n++ < 2 * FRAME_BETWEEN_MAX)
			frame_feed(&f, rows_[i].blank, 1, &result, &item);
		assert_int_equal(result, FRAME_BAD);
		frame_fini(&f);
	}
}

static void a_large_buffer_is_given_back(void **state)
{
	char *big = malloc(1u << 20), out[16] = "";
	struct frame f;

	memset(big, '1', 1u << 20);
	frame_init(&f, FRAME_STREAM, 1u << 21);
	assert_true(feed(&f, "{", 1, out));
	assert_true(feed(&f, big, 1u << 20, out));
	assert_true(f.item.room >= 1u << 20);
	out[0] = '\0';
	{
		enum frame_result r;
		struct str item;

		frame_feed(&f, "}", 1, &r, &item);
		assert_int_equal(r, FRAME_ITEM);
		assert_int_equal(item.len, (1u << 20) + 2);
	}
	assert_true(feed(&f, "{}", 2, out));
	assert_true(f.item.room <= 8192);
	frame_fini(&f);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_split_gives_the_same_objects),
		cmocka_unit_test(an_envelope_without_end_is_bad),
		cmocka_unit_test(an_item_without_end_is_bad),
		cmocka_unit_test(blanks_without_end_are_bad),
		cmocka_unit_test(a_large_buffer_is_given_back),
	};

	return cmocka_run_group_tests_name("kube_frame", tests, NULL, NULL);
}
