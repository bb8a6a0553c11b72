// SPDX-License-Identifier: Apache-2.0
/*
 * suspicion_test.c: who falls silent, in which order, and whom we then suspect. One step per word:
 *
 *	a-@100	an endpoint of cluster a was silent to the probe sent at 100 ms
 *	a+@900	one of a's silent ones answered
 *	a!	control does not hear a's site either
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/upstream/suspicion.h"

#define INTERVAL_US 250000ull

/* Clusters a, b, c are remote, l is our own; each has two probed endpoints. */
static const char clusters[] = "abcl";

struct row {
	const char *name, *steps;
	const char *suspected; /* at the end; "": nobody */
	unsigned times;
};

static const struct row rows[] = {
	{"two clusters that fall silent together put us under suspicion",
		"a-@100 a-@150 b-@120 b-@300", "ab", 1},
	{"as long as one of their endpoints answers, nothing is suspected", "a-@100 a-@150 b-@120",
		"", 0},
	{"one cluster alone is simply gone", "a-@100 a-@150", "", 0},
	{"unless its site is silent towards control too", "a! a-@100 a-@150", "a", 1},
	{"our own cluster does not count", "l-@100 l-@150 a-@100 a-@150", "", 0},
	{"two that die one after the other are gone both", "a-@100 a-@150 b-@900 b-@950", "", 0},
	{"one interval is still together, the moment of the last counts",
		"a-@100 a-@150 b-@120 b-@400", "ab", 1},
	{"a little more is not", "a-@100 a-@150 b-@120 b-@401", "", 0},
	{"a third that went silent with them joins", "a-@100 a-@150 b-@120 b-@300 c-@200 c-@310",
		"abc", 1},
	{"a third that was gone before does not", "c-@10 c-@20 a-@1000 a-@1050 b-@1020 b-@1200",
		"ab", 1},
	{"the first answer ends it", "a-@100 a-@150 b-@120 b-@300 b+@900", "", 1},
	{"an answer of our own cluster does not", "a-@100 a-@150 b-@120 b-@300 l-@400 l+@900", "ab",
		1},
	{"it may begin again", "a-@100 a-@150 b-@120 b-@300 b+@900 b-@1000 a+@910 a-@1010", "ab",
		2},
};

static struct suspicion_cluster *find(struct suspicion *s, char name)
{
	return suspicion_cluster(s, (uint64_t)name);
}

static void step(struct suspicion *s, const char *word)
{
	struct suspicion_cluster *c = find(s, word[0]);
	uint64_t us = word[1] == '!' ? 0 : strtoull(word + 3, NULL, 10) * 1000;

	if (word[1] == '!')
		c->peer_silent = true;
	else if (word[1] == '-')
		suspicion_silent(c, us);
	else
		suspicion_answered(s, c, true, us);
	suspicion_judge(s, INTERVAL_US, us + 1000000);
}

static void a_row(void **state)
{
	const struct row *r = *state;
	struct suspicion *s = calloc(1, sizeof(*s));
	char *steps = strdup(r->steps), *rest = steps, *word;

	for (const char *p = clusters; *p != '\0'; p++) {
		struct suspicion_cluster *c = find(s, *p);

		c->remote = *p != 'l';
		c->probed = 2;
	}
	while ((word = strsep(&rest, " ")) != NULL)
		step(s, word);
	for (const char *p = clusters; *p != '\0'; p++)
		assert_int_equal(find(s, *p)->suspected, strchr(r->suspected, *p) != NULL);
	assert_int_equal(s->on, r->suspected[0] != '\0');
	assert_int_equal(s->times, r->times);
	free(steps);
	free(s);
}

static void clusters_that_leave_are_forgotten_and_end_it(void **state)
{
	struct suspicion *s = calloc(1, sizeof(*s));

	for (char name = 'a'; name <= 'b'; name++) {
		find(s, name)->remote = true;
		suspicion_count(find(s, name), 1000);
	}
	assert_true(suspicion_judge(s, INTERVAL_US, 2000));
	suspicion_recount(s);
	suspicion_count(find(s, 'a'), 1000);
	suspicion_recounted(s, 3000);
	assert_true(s->on && find(s, 'a')->suspected);
	suspicion_recount(s);
	suspicion_recounted(s, 4000);
	assert_false(s->on);
	free(s);
}

static void more_clusters_than_there_is_room_for_are_not_watched(void **state)
{
	struct suspicion *s = calloc(1, sizeof(*s));

	for (unsigned i = 1; i <= SUSPICION_CLUSTERS_MAX; i++)
		assert_non_null(suspicion_cluster(s, i));
	assert_null(suspicion_cluster(s, 1000));
	assert_non_null(suspicion_cluster(s, 1));
	free(s);
}

#define ROWS (sizeof(rows) / sizeof(rows[0]))

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(clusters_that_leave_are_forgotten_and_end_it),
		cmocka_unit_test(more_clusters_than_there_is_room_for_are_not_watched),
	};
	struct CMUnitTest tests[ROWS + sizeof(others) / sizeof(others[0])];

	for (unsigned i = 0; i < ROWS; i++)
		tests[i] = (struct CMUnitTest){.name = rows[i].name,
			.test_func = a_row,
			.initial_state = (void *)&rows[i]};
	memcpy(&tests[ROWS], others, sizeof(others));
	return cmocka_run_group_tests_name("suspicion", tests, NULL, NULL);
}
