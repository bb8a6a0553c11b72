// SPDX-License-Identifier: Apache-2.0
/*
 * gateway_test.c: every page of tests/scenario/gateway, over IPv4 and IPv6, and once with all that
 * is sent cut into small pieces.
 *
 * An argument is a part of a claim or file name: only those pages are played.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/scenario/gateway/scenario.h"

static struct rte_mempool *gw_pool, *peer_pool;

struct row {
	const struct scenario *s;
	const struct scenario_way *way;
	char name[256];
};

static const struct scenario_way ways[] = {
	{"v4", true, 0},
	{"v6", false, 0},
	{"v4 in pieces", true, 7},
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void play(void **state)
{
	const struct row *row = *state;
	const char *why = scenario_run(row->s, row->way, gw_pool, peer_pool);

	if (why != NULL)
		fail_msg("%s", why);
}

int main(int argc, char **argv)
{
	struct scenarios all;
	struct CMUnitTest *tests;
	struct row *rows;
	size_t n = 0;
	int rc;

	world_setup(&gw_pool, &peer_pool);
	scenarios_load(&all, SCENARIO_DIR);
	rows = calloc(all.count * WAYS, sizeof(*rows));
	tests = calloc(all.count * WAYS, sizeof(*tests));
	for (size_t i = 0; i < all.count; i++) {
		const struct scenario *s = &all.s[i];

		if (argc > 1 && strstr(s->claim, argv[1]) == NULL &&
			strstr(s->file, argv[1]) == NULL)
			continue;
		for (size_t k = 0; k < WAYS; k++, n++) {
			rows[n] = (struct row){.s = s, .way = &ways[k]};
			snprintf(rows[n].name, sizeof(rows[n].name), "%s: %s [%s]", s->file,
				s->claim, ways[k].name);
			tests[n] = (struct CMUnitTest){.name = rows[n].name,
				.test_func = play,
				.initial_state = &rows[n]};
		}
	}
	rc = _cmocka_run_group_tests("gateway", tests, n, NULL, NULL);
	free(rows);
	free(tests);
	scenarios_free(&all);
	return rc;
}
