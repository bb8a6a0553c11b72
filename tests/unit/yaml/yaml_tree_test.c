// SPDX-License-Identifier: Apache-2.0
/*
 * yaml_tree_test.c: files become trees with lines, and hostile files become sentences.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/yaml/yaml_tree.h"

struct bad_row {
	const char *name, *text, *want; /* <want>: the whole sentence */
};

static const struct bad_row bad_rows[] = {
	{"an anchor is refused", "a: &x 1\n",
		"f.yaml:1: anchors (&name) are not supported, "
		"write the value out"},
	{"an anchor on a map is refused", "a:\n  - &x {b: 1}\n",
		"f.yaml:2: anchors (&name) are "
		"not supported, write the value out"},
	{"an alias is refused", "a: 1\nb: *x\n",
		"f.yaml:2: aliases (*name) are not supported, write the value out"},
	{"a key twice is refused", "a: 1\nb: 2\na: 3\n",
		"f.yaml:3: a: this key stands twice in one map"},
	{"a key twice in a nested map is refused", "a:\n  b: 1\n  'b': 2\n",
		"f.yaml:3: b: this key stands twice in one map"},
	{"a map as key is refused", "{a: 1}: b\n",
		"f.yaml:1: a key must be a plain word, not a map or a list"},
	{"a foreign tag is refused", "a: !!binary aGk=\n",
		"f.yaml:1: tags (!type) are not supported, quote strings instead"},
	{"a tab as indent is a syntax error with its line", "a:\n\tb: 1\n",
		"f.yaml:2: not YAML: while scanning for the next token, found character that "
		"cannot start any token"},
	{"an unclosed quote is a syntax error", "a: 'b\n",
		"f.yaml:2: not YAML: while scanning a quoted scalar, found unexpected end of "
		"stream"},
	{"bytes that are not UTF-8 are refused", "a: \xff\xfe\n",
		"f.yaml: byte 3: invalid leading UTF-8 octet"},
};

static void bad_file(void **state)
{
	const struct bad_row *row = *state;
	struct yaml_file f;
	struct err err = {""};

	assert_int_equal(yaml_parse(str_of(row->text), "f.yaml", &f, &err), -22);
	assert_string_equal(err.msg, row->want);
}

static void lines_of_keys_and_values_are_kept(void **state)
{
	struct yaml_file f;
	struct err err;
	const struct yaml_node *n;

	assert_int_equal(yaml_parse(STR("# c\na:\n  - b: 1\n    c:\n      'x'\n---\n---\nd: []\n"),
				 "f.yaml", &f, &err),
		0);
	assert_int_equal(f.doc_count, 2);
	n = yaml_get(f.docs, "a");
	assert_int_equal(n->kind, YAML_KIND_SEQ);
	assert_int_equal(n->key_line, 2);
	assert_int_equal(n->line, 3);
	n = yaml_get(n->first, "c");
	assert_int_equal(n->key_line, 4);
	assert_int_equal(n->line, 5);
	assert_true(n->quoted);
	assert_int_equal(yaml_get(f.docs->next, "d")->line, 8);
	assert_null(yaml_get(f.docs->next, "a"));
	yaml_file_fini(&f);
}

static void null_is_absent(void **state)
{
	struct yaml_file f;

	assert_int_equal(yaml_parse(STR("a: null\nb:\nc: ~\nd: ''\ne: 'null'\n"), "f", &f, NULL),
		0);
	assert_null(yaml_get(f.docs, "a"));
	assert_null(yaml_get(f.docs, "b"));
	assert_null(yaml_get(f.docs, "c"));
	assert_non_null(yaml_get(f.docs, "d"));
	assert_non_null(yaml_get(f.docs, "e"));
	yaml_file_fini(&f);
}

struct read_row {
	const char *text;   /* the value of key v */
	const char *as_str; /* NULL: refused */
	int64_t as_int;	    /* -1: refused */
	int as_bool;	    /* -1: refused */
};

static const struct read_row read_rows[] = {
	{"80", NULL, 80, -1},
	{"\"80\"", "80", -1, -1},
	{"'80'", "80", -1, -1},
	{"!!str 80", "80", -1, -1},
	{"0", NULL, 0, -1},
	{"010", NULL, -1, -1},
	{"0x10", NULL, -1, -1},
	{"0xyz", "0xyz", -1, -1},
	{"0b12", "0b12", -1, -1},
	{"0b11", NULL, -1, -1},
	{"0o7", NULL, -1, -1},
	{"n", NULL, -1, 0},
	{"y", NULL, -1, 1},
	{"1_000", NULL, -1, -1},
	{"1.5", NULL, -1, -1},
	{"1e3", NULL, -1, -1},
	{".5", NULL, -1, -1},
	{".inf", NULL, -1, -1},
	{"1.2.3", "1.2.3", -1, -1},
	{"1e", "1e", -1, -1},
	{".", ".", -1, -1},
	{"10s", "10s", -1, -1},
	{"10.0.0.0/8", "10.0.0.0/8", -1, -1},
	{"a", "a", -1, -1},
	{"true", NULL, -1, 1},
	{"yes", NULL, -1, 1},
	{"off", NULL, -1, 0},
	{"'true'", "true", -1, -1},
	{"99999999999999999999", NULL, -1, -1},
	{"|\n  x\n", "x\n", -1, -1},
	{"[]", NULL, -1, -1},
	{"{}", NULL, -1, -1},
	{"-1", NULL, -1, -1},
	{"1000001", NULL, -1, -1},
};

static void scalars_have_the_type_an_api_server_gives_them(void **state)
{
	for (size_t i = 0; i < sizeof(read_rows) / sizeof(read_rows[0]); i++) {
		const struct read_row *r = &read_rows[i];
		char text[64];
		struct yaml_file f;
		struct str s = {NULL, 0};
		int64_t v = -1;
		bool b = false;
		const struct yaml_node *n;

		snprintf(text, sizeof(text), "v: %s\n", r->text);
		assert_int_equal(yaml_parse(str_of(text), "f", &f, NULL), 0);
		n = yaml_get(f.docs, "v");
		yaml_read_str(&f, n, "v", &s, NULL);
		assert_true(r->as_str ? str_eq(s, str_of(r->as_str)) : s.p == NULL);
		yaml_read_int(&f, n, "v", 0, 1000000, &v, NULL);
		assert_int_equal(v, r->as_int);
		assert_int_equal(yaml_read_bool(&f, n, "v", &b, NULL) < 0 ? -1 : b, r->as_bool);
		yaml_file_fini(&f);
	}
}

static void errors_name_file_line_field_and_reason(void **state)
{
	struct yaml_file f;
	struct err err;
	struct str s;
	int64_t v;

	assert_int_equal(yaml_parse(STR("\nport: '80'\nname: 80\nbig: 70000\n"), "x/gw.yaml", &f,
				 &err),
		0);
	yaml_read_int(&f, yaml_get(f.docs, "port"), "spec.port", 1, 65535, &v, &err);
	assert_string_equal(err.msg,
		"x/gw.yaml:2: spec.port: must be a number, but is the string "
		"\"80\" (remove the quotes)");
	yaml_read_str(&f, yaml_get(f.docs, "name"), "spec.name", &s, &err);
	assert_string_equal(err.msg,
		"x/gw.yaml:3: spec.name: must be a string, but is the number 80 "
		"(put it in quotes)");
	yaml_read_int(&f, yaml_get(f.docs, "big"), "spec.big", 1, 65535, &v, &err);
	assert_string_equal(err.msg,
		"x/gw.yaml:4: spec.big: must be between 1 and 65535, but is 70000");
	yaml_file_fini(&f);
}

/* <count> times <unit>, parsed; returns the result and the sentence. */
static int parse_repeated(const char *head, const char *unit, unsigned count, struct err *err)
{
	size_t u = strlen(unit), h = strlen(head);
	char *text = malloc(h + u * count + 1);
	struct yaml_file f;
	int rc;

	memcpy(text, head, h);
	for (unsigned i = 0; i < count; i++)
		memcpy(text + h + i * u, unit, u);
	rc = yaml_parse(str_make(text, h + u * count), "f", &f, err);
	if (rc == 0)
		yaml_file_fini(&f);
	free(text);
	return rc;
}

static void limits_hold(void **state)
{
	struct err err;

	assert_int_equal(parse_repeated("", "[", 80, &err), -22);
	assert_string_equal(err.msg, "f:1: nested deeper than 64 levels");
	assert_int_equal(parse_repeated("", "- 1\n", 1u << 20, &err), -22);
	assert_string_equal(err.msg, "f:1048576: more than 1048576 values in one file");
	assert_int_equal(parse_repeated("", "- a: {b: c}\n", 1000, &err), 0);
	assert_int_equal(parse_repeated("", "# 67890123456789\n", 1u << 20, &err), -22);
	assert_string_equal(err.msg, "f: larger than 16 MiB");
}

static void a_map_has_at_most_1024_keys(void **state)
{
	char *text = malloc(1025 * 8 + 1);
	struct yaml_file f;
	struct err err;
	size_t n = 0;

	for (int i = 0; i < 1025; i++)
		n += (size_t)sprintf(text + n, "k%d: 1\n", i);
	assert_int_equal(yaml_parse(str_make(text, n), "f", &f, &err), -22);
	assert_string_equal(err.msg, "f:1025: more than 1024 keys in one map");
	free(text);
}

static void every_prefix_of_a_file_is_handled(void **state)
{
	static const char text[] = "a:\n  - {b: 'c', d: [1, \"2\"]}\n  - |\n    text\n---\ne: f\n";

	for (size_t n = 0; n < sizeof(text); n++) {
		struct yaml_file f;
		struct err err;

		if (yaml_parse(str_make(text, n), "f", &f, &err) == 0)
			yaml_file_fini(&f);
	}
}

static void a_missing_file_and_a_folder_are_errors(void **state)
{
	struct yaml_file f;
	struct err err;

	assert_int_equal(yaml_load("/nonexistent/x.yaml", &f, &err), -2);
	assert_string_equal(err.msg, "/nonexistent/x.yaml: No such file or directory");
	assert_int_equal(yaml_load("/", &f, &err), -22);
	assert_string_equal(err.msg, "/: not a regular file");
}

int main(void)
{
	enum { BAD = sizeof(bad_rows) / sizeof(bad_rows[0]) };
	struct CMUnitTest tests[BAD + 8] = {
		cmocka_unit_test(lines_of_keys_and_values_are_kept),
		cmocka_unit_test(null_is_absent),
		cmocka_unit_test(scalars_have_the_type_an_api_server_gives_them),
		cmocka_unit_test(errors_name_file_line_field_and_reason),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(a_map_has_at_most_1024_keys),
		cmocka_unit_test(every_prefix_of_a_file_is_handled),
		cmocka_unit_test(a_missing_file_and_a_folder_are_errors),
	};

	for (size_t i = 0; i < BAD; i++)
		tests[8 + i] = (struct CMUnitTest){bad_rows[i].name, bad_file, NULL, NULL,
			(void *)&bad_rows[i]};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
