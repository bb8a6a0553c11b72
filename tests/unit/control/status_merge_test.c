// SPDX-License-Identifier: Apache-2.0
/*
 * status_merge_test.c: what of a status we touch, and what we leave as others wrote it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/status/merge.h"
#include "dataplane/base/cleanup.h"

#define OURS "x.io/us"

/* Shorthand of rows, with ' for ". A condition: C(type, status, reason, message, generation, day) */
#define C(t, s, r, m, g, d) \
	"{'type':'" t "','status':'" s "','reason':'" r "','message':'" m \
	"','observedGeneration':" #g ",'lastTransitionTime':'2026-11-" #d "T00:00:00Z'}"
#define OK(g, d) C("Accepted", "True", "Accepted", "fine", g, d)
#define BAD(g, d) C("Accepted", "False", "Invalid", "not fine", g, d)
#define FOREIGN "{'type':'x.io/Seen','status':'True','reason':'B','message':'','odd':[1.50]}"
#define PARENT(c, name, conditions) \
	"{'controllerName':'" c "','parentRef':{'name':'" name "'},'conditions':[" conditions "]}"
#define LISTENER(name, n, conditions) \
	"{'name':'" name "','attachedRoutes':" #n ",'supportedKinds':[],'conditions':[" conditions \
	"]}"

static const struct merge_row {
	const char *name, *present, *desired, *patch; /* NULL: nothing to write */
} merge_rows[] = {
	{"an object without status gets all of it", NULL, "{'conditions':[" OK(1, 20) "]}",
		"{'conditions':[" OK(1, 20) "]}"},
	{"a status that says the same is not written", "{'conditions':[" OK(1, 20) "]}",
		"{'conditions':[" OK(1, 21) "]}", NULL},
	{"another generation is written, the time stays", "{'conditions':[" OK(1, 20) "]}",
		"{'conditions':[" OK(2, 21) "]}", "{'conditions':[" OK(2, 20) "]}"},
	{"the time moves when status flips", "{'conditions':[" OK(1, 20) "]}",
		"{'conditions':[" BAD(1, 21) "]}", "{'conditions':[" BAD(1, 21) "]}"},
	{"a condition of another's type stays in its place",
		"{'conditions':[" FOREIGN "," OK(1, 20) "]}", "{'conditions':[" BAD(1, 21) "]}",
		"{'conditions':[" FOREIGN "," BAD(1, 21) "]}"},
	{"and alone is no reason to write", "{'conditions':[" FOREIGN "," OK(1, 20) "]}",
		"{'conditions':[" OK(1, 21) "]}", NULL},
	{"the order of conditions is no difference",
		"{'conditions':[" C("Programmed", "True", "P", "", 1, 20) "," OK(1, 20) "]}",
		"{'conditions':[" OK(1, 20) "," C("Programmed", "True", "P", "", 1, 20) "]}", NULL},
	{"a condition of ours that is no longer said goes",
		"{'conditions':[" OK(1, 20) "," C("PartiallyInvalid", "True", "U", "", 1, 20) "]}",
		"{'conditions':[" OK(1, 20) "]}", "{'conditions':[" OK(1, 20) "]}"},
	{"a field that nobody knows is left alone", "{'odd':{'a':1},'conditions':[]}",
		"{'conditions':[" OK(1, 20) "]}", "{'conditions':[" OK(1, 20) "]}"},
	{"conditions that are no list are as none", "{'conditions':'odd'}",
		"{'conditions':[" OK(1, 20) "]}", "{'conditions':[" OK(1, 20) "]}"},
	{"a condition that is no object goes", "{'conditions':[7," FOREIGN "]}",
		"{'conditions':[" OK(1, 20) "]}", "{'conditions':[" FOREIGN "," OK(1, 20) "]}"},

	{"an empty list is as none", NULL, "{'addresses':[],'attachedListenerSets':0}", NULL},
	{"addresses that go are written", "{'addresses':[{'value':'1.2.3.4'}]}", "{'addresses':[]}",
		"{'addresses':[]}"},
	{"a member that is not wanted stays", "{'addresses':[{'value':'1.2.3.4'}]}", "{}", NULL},

	{"another controller's parent stays byte for byte",
		"{'parents':[" PARENT("y.io/them", "gw", FOREIGN) "]}",
		"{'parents':[" PARENT(OURS, "gw", OK(1, 20)) "]}",
		"{'parents':[" PARENT("y.io/them", "gw", FOREIGN) "," PARENT(OURS, "gw",
			OK(1, 20)) "]}"},
	{"our parent is changed in its place",
		"{'parents':[" PARENT(OURS, "gw", OK(1, 20)) "," PARENT("y.io/them", "gw",
			FOREIGN) "]}",
		"{'parents':[" PARENT(OURS, "gw", BAD(2, 21)) "]}",
		"{'parents':[" PARENT(OURS, "gw", BAD(2, 21)) "," PARENT("y.io/them", "gw",
			FOREIGN) "]}"},
	{"a parent of ours that was removed goes, others stay",
		"{'parents':[" PARENT(OURS, "old", OK(1, 20)) "," PARENT("y.io/them", "gw",
			FOREIGN) "]}",
		"{'parents':[]}", "{'parents':[" PARENT("y.io/them", "gw", FOREIGN) "]}"},
	{"others' parents alone are no reason to write",
		"{'parents':[" PARENT("y.io/them", "gw", FOREIGN) "]}", "{'parents':[]}", NULL},
	{"the last parent leaves an empty list", "{'parents':[" PARENT(OURS, "old", OK(1, 20)) "]}",
		"{'parents':[]}", "{'parents':[]}"},
	{"a parent of ours that stands twice is left once",
		"{'parents':[" PARENT(OURS, "gw", OK(1, 20)) "," PARENT(OURS, "gw", OK(1, 19)) "]}",
		"{'parents':[" PARENT(OURS, "gw", OK(1, 21)) "]}",
		"{'parents':[" PARENT(OURS, "gw", OK(1, 20)) "]}"},
	{"our parents in another order are no difference",
		"{'parents':[" PARENT(OURS, "a", OK(1, 20)) "," PARENT(OURS, "b", OK(1, 20)) "]}",
		"{'parents':[" PARENT(OURS, "b", OK(1, 20)) "," PARENT(OURS, "a", OK(1, 20)) "]}",
		NULL},
	{"another's condition in our parent stays",
		"{'parents':[" PARENT(OURS, "gw", FOREIGN "," OK(1, 20)) "]}",
		"{'parents':[" PARENT(OURS, "gw", BAD(1, 21)) "]}",
		"{'parents':[" PARENT(OURS, "gw", FOREIGN "," BAD(1, 21)) "]}"},
	{"a parent by sectionName is another one",
		"{'parents':[{'controllerName':'" OURS
		"','parentRef':{'name':'gw','sectionName':'a'},"
		"'conditions':[" OK(1, 20) "]}]}",
		"{'parents':[" PARENT(OURS, "gw", OK(1, 20)) "]}",
		"{'parents':[" PARENT(OURS, "gw", OK(1, 20)) "]}"},
	{"ancestors are as parents",
		"{'ancestors':[{'controllerName':'y','ancestorRef':{'name':'gw'}}]}",
		"{'ancestors':[{'controllerName':'" OURS "','ancestorRef':{'name':'gw'},"
		"'conditions':[" OK(1, 20) "]}]}",
		"{'ancestors':[{'controllerName':'y','ancestorRef':{'name':'gw'}},"
		"{'controllerName':'" OURS
		"','ancestorRef':{'name':'gw'},'conditions':[" OK(1, 20) "]}]}"},

	{"listeners are a map: order is no difference",
		"{'listeners':[" LISTENER("a", 1, OK(1, 20)) "," LISTENER("b", 2, OK(1, 20)) "]}",
		"{'listeners':[" LISTENER("b", 2, OK(1, 21)) "," LISTENER("a", 1, OK(1, 21)) "]}",
		NULL},
	{"a listener that went is removed",
		"{'listeners':[" LISTENER("a", 1, OK(1, 20)) "," LISTENER("b", 2, OK(1, 20)) "]}",
		"{'listeners':[" LISTENER("b", 2, OK(1, 21)) "]}",
		"{'listeners':[" LISTENER("b", 2, OK(1, 20)) "]}"},
	{"another's condition on a listener stays", "{'listeners':[" LISTENER("a", 1, FOREIGN) "]}",
		"{'listeners':[" LISTENER("a", 1, OK(1, 21)) "]}",
		"{'listeners':[" LISTENER("a", 1, FOREIGN "," OK(1, 21)) "]}"},
};

static json_t *parse(const char *text)
{
	autofree char *copy = text != NULL ? strdup(text) : NULL;
	json_t *j;

	if (copy == NULL)
		return NULL;
	for (char *p = copy; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	j = json_loads(copy, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	return j;
}

static void test_merge(void **state)
{
	const struct merge_row *row = *state;
	json_t *present = parse(row->present), *desired = parse(row->desired);
	json_t *before = json_deep_copy(present), *wanted = parse(row->patch);
	json_t *patch = status_merge(present, desired, STR(OURS)), *again;

	if (wanted == NULL) {
		assert_null(patch);
	} else {
		autofree char *text = json_dumps(patch, JSON_COMPACT);

		if (!json_equal(patch, wanted))
			fail_msg("patch: %s", text);
		/* Written once: what was written needs no second write. */
		if (present == NULL)
			present = json_object();
		else
			assert_true(json_equal(present, before));
		json_object_update(present, patch);
		again = status_merge(present, desired, STR(OURS));
		assert_null(again);
	}
	json_decref(present);
	json_decref(before);
	json_decref(desired);
	json_decref(wanted);
	json_decref(patch);
}

static void counts_may_wait(void **state)
{
	json_t *present = parse("{'listeners':[" LISTENER("a", 1, OK(1, 20)) "]}");
	json_t *more = parse("{'listeners':[" LISTENER("a", 7, OK(1, 20)) "]}");
	json_t *other = parse("{'listeners':[" LISTENER("a", 7, BAD(1, 20)) "]}");
	json_t *both = parse("{'listeners':[" LISTENER("a", 7, OK(1, 20)) "],'conditions':[]}");

	assert_true(status_patch_only_counts(present, more));
	assert_false(status_patch_only_counts(present, other));
	assert_false(status_patch_only_counts(present, both));
	assert_false(status_patch_only_counts(NULL, more));
	json_decref(present);
	json_decref(more);
	json_decref(other);
	json_decref(both);
}

/* 40 of others' parents: ours do not make the list longer than the API allows. */
static void a_full_list_stays_as_long_as_it_may_be(void **state)
{
	json_t *present = json_object(), *list = json_array(), *patch;
	json_t *desired = parse(
		"{'parents':[" PARENT(OURS, "a", OK(1, 20)) "," PARENT(OURS, "b", OK(1, 20)) "]}");

	for (int i = 0; i < 31; i++)
		json_array_append_new(list, parse(PARENT("y.io/them", "gw", FOREIGN)));
	json_object_set_new(present, "parents", list);
	patch = status_merge(present, desired, STR(OURS));
	assert_int_equal(json_array_size(json_object_get(patch, "parents")), 32);
	json_decref(patch);
	json_array_append_new(list, parse(PARENT("y.io/them", "gw", FOREIGN)));
	assert_null(status_merge(present, desired, STR(OURS)));
	json_decref(present);
	json_decref(desired);
}

#define ROWS (sizeof(merge_rows) / sizeof(merge_rows[0]))

int main(void)
{
	struct CMUnitTest tests[ROWS + 2];

	for (size_t i = 0; i < ROWS; i++)
		tests[i] = (struct CMUnitTest){merge_rows[i].name, test_merge, NULL, NULL,
			(void *)&merge_rows[i]};
	tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(counts_may_wait);
	tests[ROWS + 1] =
		(struct CMUnitTest)cmocka_unit_test(a_full_list_stays_as_long_as_it_may_be);
	return cmocka_run_group_tests_name("status_merge", tests, NULL, NULL);
}
