// SPDX-License-Identifier: Apache-2.0
/*
 * kube_object_test.c: what is no object is refused with the field that is wrong; the table of
 * objects against a naive one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/kube/objects.h"
#include "dataplane/base/rng.h"

#define META(more) "{\"apiVersion\":\"v1\",\"kind\":\"K\",\"metadata\":{" more "}}"
#define GOOD "\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"1\""

static const struct object_type type = {"v1", "K", true};

static void wrong_objects_are_refused_by_field(void **state)
{
	static const struct {
		const char *text, *why; /* NULL: fine */
	} rows[] = {
		{META(GOOD), NULL},
		{"{\"metadata\":{" GOOD "}}", NULL},
		{"{\"a\":1,\"a\":2}", "duplicate object key near '\"a\"'"},
		{"[]", "not an object"},
		{"{\"metadata\":{\"name\":\"\\u0000\"}}",
			"\\u0000 is not allowed without JSON_ALLOW_NUL near '\"\\u0000\"'"},
		{"{}", "metadata is missing"},
		{"{\"metadata\":[]}", "metadata is missing"},
		{META("\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"1\""),
			"metadata.name is missing"},
		{META("\"name\":1"), "metadata.name is not a string"},
		{META("\"name\":\"a/b\""), "metadata.name holds a byte it must not"},
		{META("\"name\":\"a\",\"namespace\":\"\""), "metadata.namespace is missing"},
		{META("\"name\":\"a\",\"namespace\":{}"), "metadata.namespace is not a string"},
		{META("\"name\":\"a\",\"namespace\":\"n\",\"resourceVersion\":\"1\""),
			"metadata.uid is missing"},
		{META("\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":1"),
			"metadata.resourceVersion is not a string"},
		{META("\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"1&"
		      "labelSelector=x\""),
			"metadata.resourceVersion holds a byte it must not"},
		{"{\"kind\":\"Other\",\"metadata\":{" GOOD "}}", "kind is Other instead of K"},
		{"{\"apiVersion\":1,\"metadata\":{" GOOD "}}",
			"apiVersion is no string instead of v1"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct object_meta m;
		struct err err = {""};
		json_t *j = object_parse(str_of(rows[i].text), &err);
		int rc = j != NULL ? object_check(j, &type, &m, &err) : -1;

		if (rows[i].why == NULL)
			assert_int_equal(rc, 0);
		else if (strcmp(err.msg, rows[i].why) != 0)
			fail_msg("%s: \"%s\"", rows[i].text, err.msg);
		json_decref(j);
	}
}

/* Four bytes of it are two values, and a hundred and more of memory. */
static void values_are_bounded(void **state)
{
	const uint32_t room = 4u << 20;
	char *text = malloc(room);
	struct err err = {""};
	json_t *j;
	size_t n;

	memcpy(text, "{\"a\":[1", 7);
	for (n = 7; n + 8 < room; n += 3)
		memcpy(text + n, ",{}", 3);
	memcpy(text + n, "]}", 2);
	assert_null(object_parse(str_make(text, n + 2), &err));
	assert_string_equal(err.msg, "holds more than 262144 values");
	/* but a text may hold what looks like them */
	memcpy(text, "{\"a\":\"\\\"", 8);
	memset(text + 8, ',', room - 10);
	memcpy(text + room - 2, "\"}", 2);
	j = object_parse(str_make(text, room), &err);
	assert_non_null(j);
	json_decref(j);
	free(text);
}

static void what_nobody_reads_is_taken_away(void **state)
{
	json_t *j =
		object_parse(STR("{\"metadata\":{" GOOD
				 ",\"managedFields\":[{}],\"annotations\":{\"kubectl."
				 "kubernetes.io/last-applied-configuration\":\"x\",\"b\":\"c\"}}}"),
			NULL);
	char *text;

	object_trim(j, &type);
	text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(text,
		"{\"apiVersion\":\"v1\",\"kind\":\"K\",\"metadata\":{\"annotations\":{\"b\":\"c\"},"
		"\"name\":\"a\",\"namespace\":\"n\",\"resourceVersion\":\"1\",\"uid\":\"u\"}}");
	free(text);
	json_decref(j);
}

static void a_tombstone_says_which_one_it_was(void **state)
{
	json_t *j = object_tombstone(&type, "n/a", "u"), *k = object_tombstone(&type, "/a", "u");
	const json_t *m = json_object_get(j, "metadata");

	assert_string_equal(object_text(m, "namespace"), "n");
	assert_string_equal(object_text(m, "name"), "a");
	assert_string_equal(object_text(m, "uid"), "u");
	assert_null(json_object_get(json_object_get(k, "metadata"), "namespace"));
	json_decref(j);
	json_decref(k);
}

#define NAMES 300

static void the_table_agrees_with_a_naive_one(void **state)
{
	int have[NAMES] = {0}; /* the uid, 0: absent */
	unsigned count = 0;
	struct objects_budget budget = {0, 1 << 20};
	struct objects t;
	struct rng r;

	rng_seed(&r, 7);
	objects_init(&t, &budget, 0);
	for (int i = 0; i < 30000; i++) {
		unsigned n = (unsigned)rng_below(&r, NAMES);
		int uid = 1 + (int)rng_below(&r, 3);
		char ns[8], name[8], text[8];
		struct object_meta m = {ns, name, text, "1"};

		snprintf(ns, sizeof(ns), "n%u", n % 7);
		snprintf(name, sizeof(name), "a%u", n);
		snprintf(text, sizeof(text), "%d", uid);
		if (rng_below(&r, 5) < 2) {
			objects_remove(&t, ns, name);
			count -= have[n] != 0;
			have[n] = 0;
		} else {
			const struct objects_entry *e = objects_put(&t, &m);

			assert_string_equal(e->uid, text);
			count += have[n] == 0;
			have[n] = uid;
		}
		assert_int_equal(t.count, count);
		n = (unsigned)rng_below(&r, NAMES);
		snprintf(ns, sizeof(ns), "n%u", n % 7);
		snprintf(name, sizeof(name), "a%u", n);
		assert_int_equal(objects_find(&t, ns, name) != NULL, have[n] != 0);
	}
	objects_fini(&t);
	assert_int_equal(budget.used, 0);
}

/* Two tables of one cluster: what is known, and the list that is to replace it. */
static void names_are_bounded_together(void **state)
{
	struct objects_budget budget = {0, 64 << 10};
	struct object_meta m = {"n", NULL, "u", "1"}, other = {"n", "a0", "another uid", "1"};
	struct objects t[2];
	char name[254];
	int n = 0;

	for (int i = 0; i < 2; i++)
		objects_init(&t[i], &budget, 0);
	m.name = name;
	do
		snprintf(name, sizeof(name), "a%d", n);
	while (objects_put(&t[0], &m) != NULL && ++n < 10000);
	assert_in_range(n, 300, 1000);
	assert_in_range(budget.used, budget.max - 8192, budget.max);
	assert_null(objects_put(&t[1], &m));
	assert_non_null(objects_put(&t[0], &other)); /* made again, not one more */
	objects_clear(&t[0]);
	assert_int_equal(budget.used, 0);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (n = 0; n < 10000 && objects_put(&t[1], &m) != NULL; n++)
		snprintf(name, 8, "%07d", n), name[7] = 'x';
	assert_in_range(n, 50, 250);
	for (int i = 0; i < 2; i++)
		objects_fini(&t[i]);
	assert_int_equal(budget.used, 0);
}

static void texts_are_bounded_together(void **state)
{
	struct object_meta m = {"n", "a", "u", "1"};
	struct objects_budget budget = {0, 1 << 20};
	struct objects t;
	struct objects_entry *e;

	objects_init(&t, &budget, 64);
	e = objects_put(&t, &m);
	assert_true(objects_keep(&t, e, STR("0123456789")));
	assert_true(objects_keep(&t, e, STR("0123456789")));
	for (int i = 0; i < 2; i++)
		objects_keep(&t, e, STR("0123456789"));
	assert_false(objects_keep(&t, e, STR("0123456789")));
	objects_clear(&t);
	assert_int_equal(t.count, 0);
	e = objects_put(&t, &m);
	assert_true(objects_keep(&t, e, STR("0123456789")));
	objects_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_bounded),
		cmocka_unit_test(wrong_objects_are_refused_by_field),
		cmocka_unit_test(what_nobody_reads_is_taken_away),
		cmocka_unit_test(a_tombstone_says_which_one_it_was),
		cmocka_unit_test(the_table_agrees_with_a_naive_one),
		cmocka_unit_test(names_are_bounded_together),
		cmocka_unit_test(texts_are_bounded_together),
	};

	return cmocka_run_group_tests_name("kube_object", tests, NULL, NULL);
}
