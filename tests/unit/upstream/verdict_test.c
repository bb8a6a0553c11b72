// SPDX-License-Identifier: Apache-2.0
/*
 * verdict_test.c: what rows of results lead to, and how long offences keep an endpoint out.
 *
 * verdict_test --dump-fsm prints the machine as DOT.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/upstream/verdict.h"

#define SEC 1000000ull

/* One result per letter: p passed, f failed, s silent, a absolved; what it is afterwards. */
struct row {
	const char *name, *results;
	uint16_t rise, fall;
	const char *usable; /* + or - after each */
	enum verdict_state end;
	enum verdict_why why;
};

static const struct row rows[] = {
	{"an endpoint is usable before anything is known of it", "", 1, 3, "", VERDICT_NEW,
		VERDICT_WHY_NONE},
	{"the first pass makes it up, whatever rise is", "p", 3, 3, "+", VERDICT_UP,
		VERDICT_WHY_NONE},
	{"fall failures in a row take it down, one fewer does not", "pfff", 1, 3, "+++-",
		VERDICT_DOWN, VERDICT_WHY_PROBES},
	{"a new one falls by the same count", "fff", 1, 3, "++-", VERDICT_DOWN, VERDICT_WHY_PROBES},
	{"a pass in between starts the count afresh", "pffpff", 1, 3, "++++++", VERDICT_FAILING,
		VERDICT_WHY_PROBES},
	{"rise passes in a row bring it back", "fffpp", 2, 3, "++--+", VERDICT_UP,
		VERDICT_WHY_NONE},
	{"a failure on the way up starts that count afresh", "fffpfpp", 2, 3, "++----+", VERDICT_UP,
		VERDICT_WHY_NONE},
	{"fall 1 is at once, and so is rise 1", "pfp", 1, 1, "+-+", VERDICT_UP, VERDICT_WHY_NONE},
	{"0 is taken for 1", "fp", 0, 0, "-+", VERDICT_UP, VERDICT_WHY_NONE},
	{"the newest failure says why", "ffs", 1, 3, "++-", VERDICT_DOWN, VERDICT_WHY_SILENT},
	{"absolved, it is up at once", "fffa", 5, 3, "++-+", VERDICT_UP, VERDICT_WHY_NONE},
	{"absolved, it needs all of fall again", "ffafff", 1, 3, "+++++-", VERDICT_DOWN,
		VERDICT_WHY_PROBES},
};

static void apply(struct verdict *v, const struct row *r, char c, uint64_t now)
{
	bool before = verdict_is_usable(v), changed;

	if (c == 'a')
		changed = verdict_absolve(v, now);
	else
		changed = verdict_result(v, c == 'p',
			c == 's' ? VERDICT_WHY_SILENT : VERDICT_WHY_PROBES, r->rise, r->fall, now);
	assert_int_equal(changed, before != verdict_is_usable(v));
}

static void a_row(void **state)
{
	const struct row *r = *state;
	struct verdict v = {0};

	for (unsigned i = 0; r->results[i] != '\0'; i++) {
		apply(&v, r, r->results[i], (i + 1) * SEC);
		assert_int_equal(verdict_is_usable(&v), r->usable[i] == '+');
	}
	assert_string_equal(verdict_state_str((enum verdict_state)v.state),
		verdict_state_str(r->end));
	assert_int_equal(v.why, r->why);
}

static void the_state_knows_since_when(void **state)
{
	struct verdict v = {0};

	for (unsigned i = 1; i <= 9; i++)
		verdict_result(&v, false, VERDICT_WHY_PROBES, 1, 3, i * SEC);
	assert_int_equal(v.since_us, 3 * SEC);
}

static void endless_results_do_not_wrap(void **state)
{
	struct verdict v = {0};

	for (unsigned i = 0; i < 70000; i++)
		verdict_result(&v, false, VERDICT_WHY_PROBES, 1, 65535, i);
	assert_int_equal(v.state, VERDICT_DOWN);
	for (unsigned i = 0; i < 70000; i++)
		verdict_result(&v, false, VERDICT_WHY_PROBES, 1, 3, i);
	assert_int_equal(v.state, VERDICT_DOWN);
}

static void every_state_is_left_and_reached(void **state)
{
	for (unsigned s = 0; s < VERDICT_STATE_COUNT; s++) {
		unsigned leaves = 0, reaches = 0;

		for (unsigned e = 0; e < VERDICT_EVENT_COUNT; e++)
			leaves += verdict_next(s, e) != s;
		for (unsigned f = 0; f < VERDICT_STATE_COUNT; f++)
			for (unsigned e = 0; e < VERDICT_EVENT_COUNT; e++)
				reaches += f != s && verdict_next(f, e) == s;
		assert_true(leaves > 0);
		assert_true(reaches > 0 || s == VERDICT_NEW);
	}
}

/* Sentences ---------------------------------------------------------------------------------- */

static uint64_t offend(struct sentence *s, const struct sentence *known, uint64_t now)
{
	sentence_pass(s, known, VERDICT_WHY_REFUSED, 30 * SEC, 300 * SEC, now);
	assert_true(sentence_holds(s, now));
	assert_false(sentence_holds(s, s->until_us));
	return s->until_us - now;
}

static void sentences_in_a_row_grow_to_their_maximum(void **state)
{
	struct sentence s = {0};
	uint64_t now = SEC;

	for (unsigned i = 1; i <= 30; i++) {
		uint64_t us = offend(&s, NULL, now);

		assert_int_equal(us, i < 10 ? i * 30 * SEC : 300 * SEC);
		now = s.until_us;
	}
}

static void who_served_as_long_as_it_was_out_starts_afresh(void **state)
{
	struct sentence s = {0};
	uint64_t now = SEC;

	offend(&s, NULL, now);
	assert_int_equal(offend(&s, NULL, s.until_us + 30 * SEC), 60 * SEC);
	assert_int_equal(offend(&s, NULL, s.until_us + 60 * SEC + 1), 30 * SEC);
}

static void what_others_have_passed_counts_too(void **state)
{
	struct sentence mine = {0}, theirs = {0};

	offend(&theirs, NULL, SEC);
	assert_int_equal(offend(&mine, &theirs, theirs.until_us + SEC), 60 * SEC);
	assert_int_equal(offend(&theirs, &mine, mine.until_us), 90 * SEC);
}

static void an_ended_sentence_still_counts(void **state)
{
	struct sentence s = {0};

	offend(&s, NULL, SEC);
	sentence_end(&s, 3 * SEC);
	assert_false(sentence_holds(&s, 3 * SEC));
	sentence_end(&s, 9 * SEC);
	assert_int_equal(s.until_us, 3 * SEC);
	assert_int_equal(offend(&s, NULL, 10 * SEC), 60 * SEC);
}

static int dump_fsm(void)
{
	printf("digraph verdict {\n");
	for (unsigned s = 0; s < VERDICT_STATE_COUNT; s++)
		printf("\t%s [shape=%s]\n", verdict_state_str(s),
			verdict_state_is_usable(s) ? "ellipse" : "box");
	for (unsigned s = 0; s < VERDICT_STATE_COUNT; s++)
		for (unsigned e = 0; e < VERDICT_EVENT_COUNT; e++)
			if (verdict_next(s, e) != s)
				printf("\t%s -> %s [label=%s]\n", verdict_state_str(s),
					verdict_state_str(verdict_next(s, e)),
					verdict_event_str(e));
	printf("}\n");
	return 0;
}

#define ROWS (sizeof(rows) / sizeof(rows[0]))

int main(int argc, char **argv)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(the_state_knows_since_when),
		cmocka_unit_test(endless_results_do_not_wrap),
		cmocka_unit_test(every_state_is_left_and_reached),
		cmocka_unit_test(sentences_in_a_row_grow_to_their_maximum),
		cmocka_unit_test(who_served_as_long_as_it_was_out_starts_afresh),
		cmocka_unit_test(what_others_have_passed_counts_too),
		cmocka_unit_test(an_ended_sentence_still_counts),
	};
	struct CMUnitTest tests[ROWS + sizeof(others) / sizeof(others[0])];

	if (argc == 2 && strcmp(argv[1], "--dump-fsm") == 0)
		return dump_fsm();
	for (unsigned i = 0; i < ROWS; i++)
		tests[i] = (struct CMUnitTest){.name = rows[i].name,
			.test_func = a_row,
			.initial_state = (void *)&rows[i]};
	memcpy(&tests[ROWS], others, sizeof(others));
	return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
