// SPDX-License-Identifier: Apache-2.0
/*
 * cluster_test.c: a backend whose endpoints run in several clusters: each cluster gets its share,
 * whatever its endpoints do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/upstream/endpoint.h"

#define SEC 1000000ull

struct fixture {
	struct upstream *u;
	struct rng rng;
	struct upstream_config cfg;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	rng_seed(&f->rng, 7);
	upstream_config_default(&f->cfg);
	f->u = upstream_new(&f->cfg, &f->rng, 0, 1);
	assert_non_null(f->u);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	upstream_free(f->u);
	free(f);
	return 0;
}

static struct upstream_ref ref(uint64_t id)
{
	return (struct upstream_ref){.id = id, .slot = (uint32_t)id};
}

/* Endpoints 1..<n1> in one cluster, the next <n2> in another, of these weights each. */
struct spanning {
	uint32_t end[2];
	struct weight_vector *shares;
	struct endpoint_set *set;
};

static struct spanning make_spanning(uint32_t n1, uint16_t w1, uint32_t n2, uint16_t w2)
{
	struct spanning s = {.end = {n1, n1 + n2}};

	s.set = calloc(1, sizeof(*s.set) + (n1 + n2) * sizeof(s.set->e[0]));
	s.set->count = n1 + n2;
	s.shares = calloc(1, sizeof(*s.shares) + 2 * sizeof(uint32_t));
	s.shares->revision = 1;
	s.shares->count = 2;
	s.shares->w[0] = n1 * w1;
	s.shares->w[1] = n2 * w2;
	s.shares->total = s.shares->w[0] + s.shares->w[1];
	for (uint32_t i = 0; i < n1 + n2; i++)
		s.set->e[i] = (struct endpoint){.id = i + 1,
			.slot = i + 1,
			.port = 80,
			.weight = i < n1 ? w1 : w2};
	return s;
}

static void spanning_free(struct spanning *s)
{
	free(s->set);
	free(s->shares);
}

static uint64_t pick(struct fixture *f, struct spanning *s, uint64_t exclude, uint64_t now)
{
	const struct endpoint *e;
	bool panic;

	s->set->shares = s->shares;
	s->set->cluster_end = s->end;
	e = upstream_pick(f->u, s->set, 3, exclude == 0, exclude, now, &panic);
	return e != NULL ? e->id : 0;
}

static const struct {
	uint32_t n1, n2;
	uint16_t w1, w2;
	uint32_t busy; /* requests in flight at each endpoint of the first cluster */
} spans[] = {
	{1, 1, 99, 1, 0},
	{1, 1, 1, 1, 50},
	{3, 7, 7, 3, 0},
	{3, 7, 70, 20, 10},
	{10, 1, 2, 5, 0},
	{100, 2, 1, 25, 3}, /* more than a window */
	{2, 200, 65535, 1, 100},
};

/* Over any window of a share of 1/k: by counting from every start of one that is long enough. */
static void a_clusters_share_is_kept_over_any_window_however_busy_it_is(void **state)
{
	struct fixture *f = *state;

	for (size_t r = 0; r < sizeof(spans) / sizeof(spans[0]); r++) {
		struct spanning s =
			make_spanning(spans[r].n1, spans[r].w1, spans[r].n2, spans[r].w2);
		double share = (double)s.shares->w[0] / (double)s.shares->total;
		double lag = 0, low = 0, high = 0;

		s.shares->revision = r + 1;
		for (uint32_t i = 0; i < spans[r].n1 * spans[r].busy; i++)
			upstream_started(f->u, ref(1 + i % spans[r].n1));
		for (int i = 0; i < 5000; i++) {
			lag += (pick(f, &s, 0, 0) <= spans[r].n1) - share;
			low = lag < low ? lag : low;
			high = lag > high ? lag : high;
		}
		if (high - low >= 2)
			fail_msg("row %zu: off by %f", r, high - low);
		for (uint32_t i = 0; i < spans[r].n1 * spans[r].busy; i++)
			upstream_ended(f->u, ref(1 + i % spans[r].n1));
		spanning_free(&s);
	}
}

static void inside_a_cluster_endpoints_are_used_in_turn(void **state)
{
	struct fixture *f = *state;
	struct spanning s = make_spanning(4, 13, 4, 1);
	uint32_t got[9] = {0};

	for (int i = 0; i < 5600; i++)
		got[pick(f, &s, 0, 0)]++;
	for (int i = 1; i <= 8; i++)
		assert_in_range(got[i], i <= 4 ? 1295 : 96, i <= 4 ? 1305 : 104);
	spanning_free(&s);
}

static void a_cluster_without_weight_gets_nothing(void **state)
{
	struct fixture *f = *state;
	struct spanning s = make_spanning(2, 0, 1, 1);

	for (int i = 0; i < 100; i++)
		assert_int_equal(pick(f, &s, 0, 0), 3);
	s.set->e[2].weight = 0; /* nor does anybody when no cluster has any */
	s.shares->w[1] = 0;
	s.shares->total = 0;
	assert_int_equal(pick(f, &s, 0, 0), 0);
	spanning_free(&s);
}

static void the_others_stand_in_for_a_cluster_that_is_ejected(void **state)
{
	struct fixture *f = *state;
	struct spanning s = make_spanning(1, 1, 2, 1);

	pick(f, &s, 2, 0), endpoint_claim(f->u, ref(1));
	assert_true(upstream_failed(f->u, ref(1), UPSTREAM_REFUSED, SEC));
	for (int i = 0; i < 100; i++)
		assert_int_not_equal(pick(f, &s, 0, SEC + 1), 1);
	for (int i = 0; i < 100; i++) /* and for one whose only endpoint has just failed */
		assert_int_not_equal(pick(f, &s, 1, 100 * SEC), 1);
	spanning_free(&s);
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest rows[] = {
		ROW(a_clusters_share_is_kept_over_any_window_however_busy_it_is),
		ROW(inside_a_cluster_endpoints_are_used_in_turn),
		ROW(a_cluster_without_weight_gets_nothing),
		ROW(the_others_stand_in_for_a_cluster_that_is_ejected),
	};

	return cmocka_run_group_tests(rows, NULL, NULL);
}
