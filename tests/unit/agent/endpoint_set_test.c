// SPDX-License-Identifier: Apache-2.0
/*
 * endpoint_set_test.c: endpoints stand by cluster, and clusters weigh what is ready in them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/agent/live.h"

/* Endpoints "<cluster><weight>", ids from 1; lower case letters drain. */
static struct endpoint_set *make(const char *text, uint64_t revision)
{
	struct message_endpoint e[16];
	uint32_t n = 0;
	struct endpoint_set *set;
	int len;

	for (unsigned w; sscanf(text, " %*c%u%n", &w, &len) == 1; text += len, n++) {
		char c = text[strspn(text, " ")];

		e[n] = (struct message_endpoint){.id = n + 1,
			.weight = (uint16_t)w,
			.draining = c >= 'a',
			.cluster = str_first(str_of(&"ABC"[(c | 32) - 'a']), 1)};
	}
	set = calloc(1, endpoint_set_bytes(n));
	set->service_id = 7;
	set->revision = revision;
	for (uint32_t i = 0; i < n; i++)
		set->e[set->count++] = (struct endpoint){.id = e[i].id,
			.weight = e[i].weight,
			.draining = e[i].draining};
	endpoint_set_finish(set, e);
	return set;
}

static const struct {
	const char *in, *out; /* ids in their order, and after each cluster its weight */
} rows[] = {
	{"", ""},
	{"A1", "1 "},
	{"A1 A2 A3", "1 2 3 "},
	{"B1 A2", "2 |2 1 |1 "},
	{"B1 A2 B3 C4 A5", "2 5 |7 1 3 |4 4 |4 "},
	{"A1 b9 A1 B1", "1 3 |2 2 4 |1 "},
	{"A1 b9", "1 |1 2 |0 "},
	{"A0 B5", "1 |0 2 |5 "},
	{"a1 b1", "1 |0 2 |0 "},
};

static void endpoints_stand_by_cluster_with_its_weight(void **state)
{
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct endpoint_set *set = make(rows[r].in, 1);
		uint32_t clusters = set->shares != NULL ? set->shares->count : 0;
		char text[200] = "";
		size_t len = 0;

		for (uint32_t i = 0, c = 0; i < set->count; i++) {
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%d ",
				(int)set->e[i].id);
			if (c < clusters && i + 1 == set->cluster_end[c])
				len += (size_t)snprintf(text + len, sizeof(text) - len, "|%u ",
					set->shares->w[c++]);
		}
		assert_string_equal(text, rows[r].out);
		free(set);
	}
}

static void another_set_has_another_revision(void **state)
{
	struct endpoint_set *a = make("A1 B1", 1), *b = make("A1 B1", 2);

	assert_true(a->shares->revision != b->shares->revision);
	assert_int_equal(a->shares->total, 2);
	free(a);
	free(b);
}

/* As heavy as messages can make it: pick_backend() takes a total below 2^30. */
static void weights_stay_in_bounds(void **state)
{
	uint32_t n = 100000;
	struct endpoint_set *set = calloc(1, endpoint_set_bytes(n));
	struct message_endpoint *e = calloc(n, sizeof(*e));

	for (uint32_t i = 0; i < n; i++) {
		e[i].cluster = i == 0 ? STR("A") : STR("B");
		set->e[set->count++] =
			(struct endpoint){.id = i + 1, .weight = i == 0 ? 1 : UINT16_MAX};
	}
	endpoint_set_finish(set, e);
	assert_in_range(set->shares->total, 1u << 28, 1u << 29);
	assert_int_equal(set->shares->w[0], 1);
	free(set);
	free(e);
}

static void more_clusters_than_there_can_be_count_as_one(void **state)
{
	struct endpoint_set *set = calloc(1, endpoint_set_bytes(65));
	struct message_endpoint e[65] = {0};
	char names[65][4];

	for (uint32_t i = 0; i < 65; i++) {
		snprintf(names[i], sizeof(names[i]), "%u", i);
		e[i].cluster = str_of(names[i]);
		set->e[set->count++] = (struct endpoint){.id = i + 1, .weight = 1};
	}
	endpoint_set_finish(set, e);
	assert_null(set->shares);
	set->count = 64;
	endpoint_set_finish(set, e);
	assert_int_equal(set->shares->count, 64);
	free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_stand_by_cluster_with_its_weight),
		cmocka_unit_test(another_set_has_another_revision),
		cmocka_unit_test(weights_stay_in_bounds),
		cmocka_unit_test(more_clusters_than_there_can_be_count_as_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
