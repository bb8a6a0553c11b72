// SPDX-License-Identifier: Apache-2.0
/*
 * selector_test.c: Calico's selector grammar: each operator against labels, what is refused and
 * where, and random expressions against an evaluator that never saw their text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/reconcile/selector.h"
#include "dataplane/base/rng.h"

#define LABELS_MAX 4

struct match_row {
	const char *name, *text;
	const char *yes[4], *no[4]; /* labels as "k=v,k=v"; "-" is none at all */
};

static const struct match_row match_rows[] = {
	{"== needs the label and the value", "a == 'x'", {"a=x", "a=x,b=y"},
		{"-", "a=y", "b=x", "a="}},
	{"== takes double quotes", "a == \"x\"", {"a=x"}, {"-"}},
	{"!= holds without the label", "a != 'x'", {"-", "a=y", "b=x"}, {"a=x"}},
	{"in is one of a set", "a in {'x', \"y\"}", {"a=x", "a=y"}, {"-", "a=z"}},
	{"a set may end in a comma", "a in {'x', 'y',}", {"a=x", "a=y"}, {"-", "a=", "a=z"}},
	{"in an empty set is nothing", "a in {}", {NULL}, {"-", "a="}},
	{"not in holds without the label", "a not in {'x'}", {"-", "a=y"}, {"a=x"}},
	{"notin is not in", "a notin{'x'}", {"-", "a=y"}, {"a=x"}},
	{"contains looks inside the value", "a contains 'b'", {"a=b", "a=abc"},
		{"-", "a=ac", "b=b"}},
	{"contains '' needs the label only", "a contains ''", {"a=", "a=x"}, {"-"}},
	{"starts with", "a starts with 'ab'", {"a=ab", "a=abc"}, {"-", "a=a", "a=cab"}},
	{"startswith", "a startswith 'ab'", {"a=abc"}, {"a=cab"}},
	{"ends with", "a ends with 'bc'", {"a=bc", "a=abc"}, {"-", "a=c", "a=bcd"}},
	{"endswith", "a endswith 'bc'", {"a=abc"}, {"a=bcd"}},
	{"has", "has(a)", {"a=", "a=x"}, {"-", "b=a"}},
	{"has with blanks", "has( a )", {"a="}, {"-"}},
	{"all() is everything", "all()", {"-", "a=x"}, {NULL}},
	{"global() is everything", "global( )", {"-", "a=x"}, {NULL}},
	{"an empty expression is everything", "", {"-", "a=x"}, {NULL}},
	{"blanks are an empty expression", " \t ", {"-", "a=x"}, {NULL}},
	{"! negates what follows", "!a == 'x'", {"-", "a=y"}, {"a=x"}},
	{"!! is nothing", "!! has(a)", {"a="}, {"-"}},
	{"&& needs both", "a == 'x' && b == 'y'", {"a=x,b=y"}, {"a=x", "b=y", "-"}},
	{"|| needs one", "a == 'x' || b == 'y'", {"a=x", "b=y", "a=x,b=y"}, {"-", "a=y,b=x"}},
	{"&& binds tighter than ||", "has(a) || has(b) && has(c)", {"a=", "a=,b=", "b=,c="},
		{"b=", "c=", "-"}},
	{"! binds tighter than &&", "!has(a) && has(b)", {"b="}, {"a=,b=", "-"}},
	{"parentheses", "(has(a) || has(b)) && has(c)", {"a=,c=", "b=,c="}, {"a=", "a=,b=", "c="}},
	{"! before parentheses", "!(has(a) || has(b))", {"-", "c="}, {"a=", "b="}},
	{"labels have dots, slashes and dashes",
		"federation.tigera.io/remoteClusterName == 'us-west'",
		{"federation.tigera.io/remoteClusterName=us-west"}, {"-"}},
	{"blanks are free", " a=='x'\t&&!has( b )", {"a=x"}, {"a=x,b="}},
	{"a label may be spelled like an operator", "in in {'x'} && not != 'y'", {"in=x"},
		{"in=x,not=y"}},
	{"a label may be spelled like a function", "has == 'x' || all == 'x'", {"has=x", "all=x"},
		{"-"}},
	{"quotes of the other kind are text", "a == \"'\" || a == '\"'", {"a='", "a=\""}, {"-"}},
};

static const struct {
	const char *text, *want;
} bad_rows[] = {
	{"a",
		"an operator (==, !=, in, not in, contains, starts with, ends with) expected at "
		"the end"},
	{"a = 'x'",
		"an operator (==, !=, in, not in, contains, starts with, ends with) expected at "
		"byte 2, before \"= 'x'\""},
	{"a == x", "a string in quotes expected at byte 5, before \"x\""},
	{"a == 'x", "a string in quotes expected at byte 5, before \"'x\""},
	{"'a' == 'x'", "a label, has(label), all() or ( expected at byte 0, before \"'a' == 'x'\""},
	{"a in 'x'", "{ expected at byte 5, before \"'x'\""},
	{"a in {'x'", ", or } expected at the end"},
	{"a in {'x',,}", "a string in quotes expected at byte 10, before \",}\""},
	{"a in {,}", "a string in quotes expected at byte 6, before \",}\""},
	{"a inx {'x'}",
		"an operator (==, !=, in, not in, contains, starts with, ends with) expected "
		"at byte 2, before \"inx {'x'}\""},
	{"a containsx 'x'",
		"an operator (==, !=, in, not in, contains, starts with, ends with) "
		"expected at byte 2, before \"containsx 'x'\""},
	{"has(a", ") expected at the end"},
	{"has()", "a label expected at byte 4, before \")\""},
	{"all(a)", ") expected at byte 4, before \"a)\""},
	{"(has(a)", "&&, || or ) expected at the end"},
	{"has(a))", "&&, || or the end expected at byte 6, before \")\""},
	{"has(a) has(b)", "&&, || or the end expected at byte 7, before \"has(b)\""},
	{"has(a) &&", "a label, has(label), all() or ( expected at the end"},
	{"has(a) & has(b)", "&&, || or the end expected at byte 7, before \"& has(b)\""},
	{"!", "a label, has(label), all() or ( expected at the end"},
	{"()", "a label, has(label), all() or ( expected at byte 1, before \")\""},
	{"%", "a label, has(label), all() or ( expected at byte 0, before \"%\""},
};

/* "k=v,k=v" into sorted labels (the rows are written in order). */
static struct kv_list labels_of(const char *text, struct kv *kv)
{
	struct kv_list l = {kv, 0};
	struct str rest = str_of(text);

	while (strcmp(text, "-") != 0 && rest.p != NULL) {
		struct str v = str_cut(&rest, ','), k = str_cut(&v, '=');

		kv[l.count++] = (struct kv){k, v};
	}
	return l;
}

static void expression_selects(void **state)
{
	const struct match_row *row = *state;
	const struct selector *s;
	struct kv kv[LABELS_MAX];
	struct arena arena;
	struct err err;

	arena_init(&arena, 0);
	if (selector_parse(str_of(row->text), &arena, &s, &err) < 0)
		fail_msg("%s", err.msg);
	for (int i = 0; i < 4 && row->yes[i] != NULL; i++) {
		struct kv_list l = labels_of(row->yes[i], kv);

		if (!selector_matches(s, &l))
			fail_msg("does not select %s", row->yes[i]);
	}
	for (int i = 0; i < 4 && row->no[i] != NULL; i++) {
		struct kv_list l = labels_of(row->no[i], kv);

		if (selector_matches(s, &l))
			fail_msg("selects %s", row->no[i]);
	}
	arena_fini(&arena);
}

static void bad_expressions_say_what_was_expected_where(void **state)
{
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
		const struct selector *s;
		struct arena arena;
		struct err err = {""};

		arena_init(&arena, 0);
		assert_int_equal(selector_parse(str_of(bad_rows[i].text), &arena, &s, &err), -22);
		assert_string_equal(err.msg, bad_rows[i].want);
		arena_fini(&arena);
	}
}

static void nesting_and_length_are_bounded(void **state)
{
	char text[9000];
	const struct selector *s;
	struct arena arena;
	struct err err;

	arena_init(&arena, 0);
	memset(text, '(', sizeof(text));
	assert_int_equal(selector_parse(str_make(text, 8000), &arena, &s, &err), -22);
	assert_non_null(strstr(err.msg, "fewer parentheses"));
	assert_int_equal(selector_parse(str_make(text, sizeof(text)), &arena, &s, &err), -22);
	assert_string_equal(err.msg, "longer than 8192 bytes");
	memset(text, '!', sizeof(text));
	assert_int_equal(selector_parse(str_make(text, 8000), &arena, &s, &err), -22);
	memset(text, 'a', sizeof(text));
	assert_int_equal(selector_parse(str_make(text, 600), &arena, &s, &err), -22);
	arena_fini(&arena);
}

/*
 * The oracle: a random expression is written down and evaluated in the same step, each subtree as
 * one truth value per set of labels, so that no parser is involved.
 */
#define SETS 27 /* labels a and b, each absent, "x" or "xy"; times 3 to have c too */

struct writer {
	struct rng *rng;
	char text[4096];
	size_t len;
};

static void put(struct writer *w, const char *s)
{
	int blanks = (int)rng_below(w->rng, 2);

	w->len += (size_t)snprintf(w->text + w->len, sizeof(w->text) - w->len, "%*s%s ", blanks, "",
		s);
}

static const char *const values[3] = {NULL, "x", "xy"};

static const char *value_in(unsigned set, char label)
{
	unsigned digit = label == 'a' ? set % 3 : label == 'b' ? set / 3 % 3 : set / 9;

	return values[digit];
}

static bool holds(int op, const char *v, const char *arg)
{
	switch (op) {
	case 0:
		return v != NULL && strcmp(v, arg) == 0;
	case 1:
		return v == NULL || strcmp(v, arg) != 0;
	case 2:
		return v != NULL && strstr(v, arg) != NULL;
	case 3:
		return v != NULL && strncmp(v, arg, strlen(arg)) == 0;
	case 4:
		return v != NULL && strlen(v) >= strlen(arg) &&
			strcmp(v + strlen(v) - strlen(arg), arg) == 0;
	case 5:
		return v != NULL && (strcmp(v, arg) == 0 || strcmp(v, "xy") == 0);
	case 6:
		return v == NULL || (strcmp(v, arg) != 0 && strcmp(v, "xy") != 0);
	default:
		return v != NULL;
	}
}

static void write_atom(struct writer *w, bool truth[SETS])
{
	static const char *const forms[] = {"%c == '%s'", "%c != \"%s\"", "%c contains '%s'",
		"%c starts with '%s'", "%c ends with '%s'", "%c in {'%s', 'xy'}",
		"%c not in {'xy', '%s'}", "has(%c)"};
	static const char *const args[] = {"x", "y", "xy"};
	char label = (char)('a' + rng_below(w->rng, 3));
	unsigned op = rng_below(w->rng, 8);
	const char *arg = args[rng_below(w->rng, 3)];
	char text[64];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), forms[op], label, arg);
#pragma GCC diagnostic pop
	put(w, text);
	for (unsigned i = 0; i < SETS; i++)
		truth[i] = holds((int)op, value_in(i, label), arg);
}

/* Precedence 0: or, 1: and, 2: not and below; what binds looser than asked for is put in (). */
static void write_expr(struct writer *w, int depth, int precedence, bool truth[SETS])
{
	unsigned form = depth == 0 ? 3 : rng_below(w->rng, 4);
	bool other[SETS];
	bool parens = form < 2 && (int)form < precedence;

	if (form == 3) {
		write_atom(w, truth);
		return;
	}
	if (form == 2) {
		put(w, "!");
		write_expr(w, depth - 1, 2, truth);
		for (unsigned i = 0; i < SETS; i++)
			truth[i] = !truth[i];
		return;
	}
	if (parens)
		put(w, "(");
	write_expr(w, depth - 1, (int)form, truth);
	put(w, form == 0 ? "||" : "&&");
	write_expr(w, depth - 1, (int)form, other);
	if (parens)
		put(w, ")");
	for (unsigned i = 0; i < SETS; i++)
		truth[i] = form == 0 ? truth[i] || other[i] : truth[i] && other[i];
}

static void random_expressions_mean_what_the_oracle_says(void **state)
{
	struct rng rng;

	rng_seed(&rng, 7);
	for (int round = 0; round < 3000; round++) {
		struct writer w = {.rng = &rng};
		const struct selector *s;
		bool truth[SETS];
		struct arena arena;
		struct err err;

		write_expr(&w, 4, 0, truth);
		arena_init(&arena, 0);
		if (selector_parse(str_make(w.text, w.len), &arena, &s, &err) < 0)
			fail_msg("%s: %s", w.text, err.msg);
		for (unsigned i = 0; i < SETS; i++) {
			struct kv kv[3];
			struct kv_list l = {kv, 0};

			for (char c = 'a'; c <= 'c'; c++)
				if (value_in(i, c) != NULL)
					kv[l.count++] =
						(struct kv){str_of(c == 'a'	       ? "a"
									    : c == 'b' ? "b"
										       : "c"),
							str_of(value_in(i, c))};
			if (selector_matches(s, &l) != truth[i])
				fail_msg("%s: set %u", w.text, i);
		}
		arena_fini(&arena);
	}
}

int main(void)
{
	enum { ROWS = sizeof(match_rows) / sizeof(match_rows[0]) };
	struct CMUnitTest tests[ROWS + 3] = {
		cmocka_unit_test(bad_expressions_say_what_was_expected_where),
		cmocka_unit_test(nesting_and_length_are_bounded),
		cmocka_unit_test(random_expressions_mean_what_the_oracle_says),
	};

	for (size_t i = 0; i < ROWS; i++)
		tests[3 + i] = (struct CMUnitTest){match_rows[i].name, expression_selects, NULL,
			NULL, (void *)&match_rows[i]};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
