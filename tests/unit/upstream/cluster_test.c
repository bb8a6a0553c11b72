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
#include <pthread.h>

#include "dataplane/upstream/endpoint.h"

#define SEC 1000000ull

struct fixture {
	struct upstream *u;
	const struct upstream *all[1];
	struct health_board *board;
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
	f->all[0] = f->u;
	f->board = calloc(1, sizeof(*f->board));
	upstream_join(f->u, f->board, f->all);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	upstream_free(f->u);
	free(f->board);
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

static bool panicked; /* by the newest pick */

static uint64_t pick_as(struct fixture *f, struct spanning *s, bool first, uint64_t exclude,
	uint64_t now)
{
	const struct endpoint *e;

	s->set->shares = s->shares;
	s->set->cluster_end = s->end;
	s->set->cluster_count = 2;
	e = upstream_pick(f->u, s->set, 3, first, exclude, now, &panicked);
	return e != NULL ? e->id : 0;
}

static uint64_t pick(struct fixture *f, struct spanning *s, uint64_t exclude, uint64_t now)
{
	return pick_as(f, s, exclude == 0, exclude, now);
}

static void set_shares(struct spanning *s, uint32_t a, uint32_t b)
{
	s->shares->w[0] = a;
	s->shares->w[1] = b;
	s->shares->total = a + b;
	s->shares->revision++;
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

/* One that is sent again, to the same or to another, is still one request. */
static void a_request_takes_one_turn_however_often_it_is_sent(void **state)
{
	struct fixture *f = *state;
	struct spanning s = make_spanning(1, 1, 1, 1);
	double lag = 0, low = 0, high = 0;

	for (int i = 0; i < 5000; i++) {
		lag += (pick(f, &s, 0, 0) == 1) - 0.5;
		low = lag < low ? lag : low;
		high = lag > high ? lag : high;
		for (int k = 0; k < i % 3; k++)
			pick_as(f, &s, false, 0, 0);
	}
	assert_true(high - low < 2);
	spanning_free(&s);
}

static void a_cluster_without_a_share_stands_in_when_nobody_else_is_left(void **state)
{
	struct fixture *f = *state;
	struct spanning s = make_spanning(2, 1, 2, 1);

	set_shares(&s, 1, 0);
	for (int i = 0; i < 100; i++) {
		assert_in_range(pick(f, &s, 0, 0), 1, 2);
		assert_int_equal(pick(f, &s, 1, 0), 2); /* retries as well */
	}
	f->board->verdict[1] = HEALTH_DOWN;
	for (int i = 0; i < 100; i++)
		assert_int_equal(pick(f, &s, 0, 0), 2);
	f->board->verdict[2] = HEALTH_EJECTED;
	for (int i = 0; i < 100; i++)
		assert_in_range(pick(f, &s, 0, 0), 3, 4);
	assert_false(panicked);
	f->board->verdict[3] = f->board->verdict[4] = HEALTH_SUSPECTED;
	assert_in_range(pick(f, &s, 0, 0), 1, 2);
	assert_true(panicked);
	spanning_free(&s);
}

static void retries_follow_the_shares_too(void **state)
{
	struct fixture *f = *state;
	struct spanning s = make_spanning(2, 1, 2, 1);
	uint32_t other = 0;

	set_shares(&s, 9, 1);
	for (int i = 0; i < 2000; i++)
		other += pick(f, &s, 1, 0) >= 3;
	assert_in_range(other, 140, 260);
	spanning_free(&s);
}

static void in_panic_verdicts_are_not_heeded(void **state)
{
	struct fixture *f = *state;
	struct spanning s = make_spanning(2, 1, 1, 1);
	uint32_t got[4] = {0}, bad = 0;

	f->board->verdict[1] = f->board->verdict[3] = HEALTH_DOWN;
	set_shares(&s, 3, 1);
	s.shares->panic = 1; /* the first cluster's */
	for (int i = 0; i < 400; i++) {
		got[pick(f, &s, 0, 0)]++;
		bad += panicked;
	}
	assert_in_range(got[1], 145, 155); /* of the 300 of its cluster */
	assert_int_equal(bad, got[1]);	   /* and only those are told that it is a panic */
	assert_int_equal(got[3], 0);
	spanning_free(&s);
}

static void without_panic_rather_nobody(void **state)
{
	struct fixture *f = *state;
	struct spanning s = make_spanning(1, 1, 1, 1);

	f->board->verdict[1] = f->board->verdict[2] = HEALTH_DOWN;
	assert_in_range(pick(f, &s, 0, 0), 1, 2);
	s.set->panic_never = true;
	assert_int_equal(pick(f, &s, 0, 0), 0);
	f->board->verdict[2] = 0;
	assert_int_equal(pick(f, &s, 0, 0), 2);
	spanning_free(&s);
}

static void one_that_comes_up_gets_its_part_of_its_weight(void **state)
{
	struct fixture *f = *state;
	struct spanning s = make_spanning(2, 1, 1, 1);
	uint32_t got[4] = {0};

	set_shares(&s, 1, 0);
	s.set->slow_start = true;
	f->board->slow[1] = HEALTH_SLOW_WHOLE * 3 / 4;
	for (int i = 0; i < 5000; i++)
		got[pick(f, &s, 0, 0)]++;
	assert_in_range(got[1], 990, 1010); /* a quarter against one whole */
	s.set->slow_start = false;
	assert_in_range(pick(f, &s, 0, 0), 1, 2);
	spanning_free(&s);
}

/* The agent, which writes verdicts and slow starts whenever it likes. */
struct writer {
	struct health_board *board;
	uint32_t slots;
	_Atomic(bool) stop;
};

static void *write_verdicts(void *arg)
{
	struct writer *w = arg;

	for (uint32_t n = 0; !atomic_load(&w->stop); n++)
		for (uint32_t i = 1; i <= w->slots; i++) {
			__atomic_store_n(&w->board->verdict[i], n % 3 != 0, __ATOMIC_RELAXED);
			__atomic_store_n(&w->board->slow[i], n % 2 ? HEALTH_SLOW_WHOLE * 3 / 4 : 0,
				__ATOMIC_RELAXED);
		}
	return NULL;
}

static void verdicts_may_change_under_a_pick(void **state)
{
	struct fixture *f = *state;
	struct spanning s = make_spanning(40, 1, 40, 1);
	struct writer w = {.board = f->board, .slots = 80};
	pthread_t t;

	s.set->slow_start = true;
	assert_int_equal(pthread_create(&t, NULL, write_verdicts, &w), 0);
	for (int i = 0; i < 30000; i++)
		assert_in_range(pick(f, &s, 0, 0), 1, 80);
	atomic_store(&w.stop, true);
	pthread_join(t, NULL);
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
		ROW(a_request_takes_one_turn_however_often_it_is_sent),
		ROW(a_cluster_without_a_share_stands_in_when_nobody_else_is_left),
		ROW(retries_follow_the_shares_too),
		ROW(in_panic_verdicts_are_not_heeded),
		ROW(without_panic_rather_nobody),
		ROW(one_that_comes_up_gets_its_part_of_its_weight),
		ROW(verdicts_may_change_under_a_pick),
	};

	return cmocka_run_group_tests(rows, NULL, NULL);
}
