// SPDX-License-Identifier: Apache-2.0
/*
 * yaml_decode_test.c: tables read trees: every type with its limits, defaults, and the path and
 * line of every complaint.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/ip.h"
#include "dataplane/yaml/yaml_decode.h"

struct leaf {
	struct str name;
	uint16_t port;
};

struct thing {
	struct str text, word;
	const char *path;
	bool flag, there;
	enum tristate maybe;
	uint32_t count, wait_ms, size;
	int kind;
	struct kv_list labels;
	struct leaf inner;
	const struct leaf *extra;
	const struct leaf *leaves;
	const struct str *names;
	const struct ip_net *nets;
	uint32_t leaves_count, names_count, nets_count;
};

static const char *const words[] = {"one", "two", "three", NULL};

static void leaf_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct leaf *l = obj;

	if (l->port == 13)
		yaml_report(d, n, "port", "must not be %u", l->port);
}

static const struct yaml_field leaf_fields[] = {
	YAML_STR(struct leaf, "name", name, .required = true, .min = 1, .max = 5),
	YAML_U16(struct leaf, "port", port, .min = 1, .max = 100, .def = "7"),
};
static const struct yaml_schema leaf_schema =
	YAML_SCHEMA(struct leaf, leaf_fields, .finish = leaf_finish);

static const struct yaml_field optional_fields[] = {
	YAML_STR(struct leaf, "name", name),
	YAML_U16(struct leaf, "port", port, .def = "9"),
};
static const struct yaml_schema optional_schema = YAML_SCHEMA(struct leaf, optional_fields);

static const struct yaml_field name_field = {.type = YAML_TYPE_STR, .max = 4};
static const struct yaml_schema names_schema = YAML_SCALARS(struct str, &name_field);
static const struct yaml_field net_field = {.type = YAML_TYPE_IP_NET};
static const struct yaml_schema nets_schema = YAML_SCALARS(struct ip_net, &net_field);

static const struct yaml_field thing_fields[] = {
	YAML_STR(struct thing, "text", text),
	YAML_STR(struct thing, "word", word, .words = words, .def = "two"),
	YAML_CSTR(struct thing, "path", path),
	YAML_BOOL(struct thing, "flag", flag, .def = "true"),
	YAML_PRESENT(struct thing, "there", there),
	YAML_TRISTATE(struct thing, "maybe", maybe),
	YAML_U32(struct thing, "count", count, .max = 10),
	YAML_DURATION(struct thing, "wait", wait_ms, .def = "1s"),
	YAML_SIZE(struct thing, "size", size, .max = 1 << 20),
	YAML_ENUM(struct thing, "kind", kind, words, .def = "three"),
	YAML_MAP(struct thing, "labels", labels, .max = 3),
	YAML_OBJECT(struct thing, "inner", inner, &optional_schema),
	YAML_POINTER(struct thing, "extra", extra, &leaf_schema),
	YAML_LIST(struct thing, "leaves", leaves, &leaf_schema, .min = 1, .max = 3),
	YAML_LIST(struct thing, "names", names, &names_schema),
	YAML_LIST(struct thing, "nets", nets, &nets_schema),
	YAML_IGNORED("other"),
};
static const struct yaml_schema thing_schema = YAML_SCHEMA(struct thing, thing_fields);

/* The last complaint, with its severity in front. */
static char said[512];
static unsigned said_count;

static void on_report(struct yaml_decoder *d, bool fatal, uint32_t line, const char *path,
	const char *what)
{
	snprintf(said, sizeof(said), "%s%u: %s: %s", fatal ? "" : "(warning) ", line, path, what);
	said_count++;
}

static int decode(const char *text, bool strict, struct arena *arena, struct thing *ret)
{
	struct yaml_decoder d = {.arena = arena, .strict = strict, .report = on_report};
	struct yaml_file f;
	struct err err;
	int rc;

	arena_init(arena, 0);
	said[0] = '\0';
	said_count = 0;
	if (yaml_parse(str_of(text), "f", &f, &err) < 0)
		fail_msg("%s", err.msg);
	rc = yaml_decode(&d, f.docs, &thing_schema, ret);
	yaml_file_fini(&f); /* nothing in *ret points into the tree */
	return rc;
}

static void an_empty_map_gives_the_defaults(void **state)
{
	struct arena arena;
	struct thing t;

	assert_int_equal(decode("{}\n", true, &arena, &t), 0);
	assert_null(t.text.p);
	assert_true(str_eq(t.word, STR("two")));
	assert_null(t.path);
	assert_true(t.flag);
	assert_false(t.there);
	assert_int_equal(t.maybe, TRI_ABSENT);
	assert_int_equal(t.wait_ms, 1000);
	assert_int_equal(t.kind, 2);
	assert_int_equal(t.inner.port, 9);
	assert_null(t.extra);
	assert_int_equal(t.leaves_count, 0);
	arena_fini(&arena);
}

static void every_type_is_read(void **state)
{
	static const char text[] =
		"text: ''\nword: one\npath: /a\nflag: false\nthere: [any, {thing: 1}]\n"
		"maybe: false\ncount: 10\nwait: 1h2m3s4ms\nsize: 1Mi\nkind: two\n"
		"labels: {b: '2', a: '1', c: }\ninner: {name: x}\nextra: {name: e, port: 1}\n"
		"leaves: [{name: l}, {name: m, port: 100}]\nnames: [a, '2']\n"
		"nets: [10.0.0.0/8, '2001:db8::1']\nother: {not: [read]}\n";
	struct arena arena;
	struct thing t;

	if (decode(text, true, &arena, &t) < 0)
		fail_msg("%s", said);
	assert_true(t.text.p != NULL && t.text.len == 0);
	assert_string_equal(t.path, "/a");
	assert_false(t.flag);
	assert_true(t.there);
	assert_int_equal(t.maybe, TRI_FALSE);
	assert_int_equal(t.count, 10);
	assert_int_equal(t.wait_ms, 3723004);
	assert_int_equal(t.size, 1 << 20);
	assert_int_equal(t.kind, 1);
	assert_int_equal(t.labels.count, 3);
	assert_true(str_eq(t.labels.items[0].key, STR("a")));
	assert_true(str_eq(kv_find(&t.labels, STR("b")), STR("2")));
	assert_int_equal(kv_find(&t.labels, STR("c")).len, 0);
	assert_null(kv_find(&t.labels, STR("d")).p);
	assert_int_equal(t.inner.port, 9);
	assert_int_equal(t.extra->port, 1);
	assert_int_equal(t.leaves_count, 2);
	assert_int_equal(t.leaves[0].port, 7);
	assert_int_equal(t.leaves[1].port, 100);
	assert_true(str_eq(t.names[1], STR("2")));
	assert_int_equal(t.nets[0].len, 104);
	assert_int_equal(t.nets[1].len, 128);
	arena_fini(&arena);
}

static const struct {
	const char *text, *want;
} bad_rows[] = {
	{"colour: red\n", "1: colour: unknown field"},
	{"inner: {colour: red}\n", "1: inner.colour: unknown field"},
	{"leaves:\n- name: a\n- name: b\n  colour: red\n", "4: leaves[1].colour: unknown field"},
	{"leaves: []\n", "1: leaves: must have at least 1 items, but has 0"},
	{"leaves: [{name: a}, {name: b}, {name: c}, {name: d}]\n",
		"1: leaves: must have at most 3 items, but has 4"},
	{"leaves:\n- {}\n", "2: leaves[0].name: is required"},
	{"leaves:\n- {name: toolong}\n", "2: leaves[0].name: must have at most 5 bytes, but has 7"},
	{"leaves:\n- {name: ''}\n", "2: leaves[0].name: must not be empty"},
	{"leaves: [{name: a, port: 0}]\n",
		"1: leaves[0].port: must be between 1 and 100, but is 0"},
	{"leaves: [{name: a, port: 13}]\n", "1: leaves[0].port: must not be 13"},
	{"leaves: [a]\n", "1: leaves[0]: must be a map, but is the string \"a\""},
	{"leaves: [null]\n", "1: leaves[0]: must be a map, but is nothing"},
	{"names: [a, ]\nextra: {}\n", "2: extra.name: is required"},
	{"names: [~]\n", "1: names[0]: must not be empty"},
	{"names: [long1]\n", "1: names[0]: must have at most 4 bytes, but has 5"},
	{"names: x\n", "1: names: must be a list, but is the string \"x\""},
	{"inner: []\n", "1: inner: must be a map, but is a list"},
	{"labels: {a: 1}\n",
		"1: labels.a: must be a string, but is the number 1 (put it in quotes)"},
	{"labels: {a: '', b: '', c: '', d: ''}\n",
		"1: labels: must have at most 3 entries, but has 4"},
	{"word: four\n", "1: word: must be one, two or three, but is \"four\""},
	{"kind: four\n", "1: kind: must be one, two or three, but is \"four\""},
	{"count: 11\n", "1: count: must be between 0 and 10, but is 11"},
	{"flag: 'true'\n", "1: flag: must be true or false, but is the string \"true\""},
	{"path: \"a\\0b\"\n", "1: path: must not hold a NUL byte"},
	{"size: 2Mi\n", "1: size: must be between 0 and 1048576, but is 2097152"},
	{"nets: [10.0.0.1/8]\n",
		"1: nets[0]: must be an address or a network like 192.0.2.0/24 with no "
		"bits set behind the prefix, but is \"10.0.0.1/8\""},
};

static void every_complaint_has_its_line_and_path(void **state)
{
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
		struct arena arena;
		struct thing t;

		assert_int_equal(decode(bad_rows[i].text, true, &arena, &t), -22);
		assert_string_equal(said, bad_rows[i].want);
		assert_int_equal(said_count, 1);
		arena_fini(&arena);
	}
}

static void an_unknown_field_can_be_a_warning(void **state)
{
	struct arena arena;
	struct thing t;

	assert_int_equal(decode("colour: red\ncount: 3\n", false, &arena, &t), 0);
	assert_string_equal(said, "(warning) 1: colour: unknown field");
	assert_int_equal(t.count, 3);
	arena_fini(&arena);
}

static void durations_are_gep_2257(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} rows[] = {{"0s", 0}, {"1h", 3600000}, {"10m", 600000}, {"500ms", 500},
		{"1h1m1s1ms", 3661001}, {"99999s", 99999000}, {"100000s", -1}, {"1h1m1s1ms1s", -1},
		{"", -1}, {"1", -1}, {"s", -1}, {"1.5s", -1}, {"-1s", -1}, {"1d", -1}, {"1s ", -1},
		{"99999h", -1}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t ms = 0;
		bool ok = yaml_duration_ms(str_of(rows[i].text), &ms);

		if (ok != (rows[i].ms >= 0) || (ok && ms != (uint32_t)rows[i].ms))
			fail_msg("%s: %d %u", rows[i].text, ok, ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_map_gives_the_defaults),
		cmocka_unit_test(every_type_is_read),
		cmocka_unit_test(every_complaint_has_its_line_and_path),
		cmocka_unit_test(an_unknown_field_can_be_a_warning),
		cmocka_unit_test(durations_are_gep_2257),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
