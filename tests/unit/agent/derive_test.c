// SPDX-License-Identifier: Apache-2.0
/*
 * derive_test.c: from control's objects and verdicts on the board to the vectors that workers read,
 * on a virtual clock.
 *
 * A world of one route with one rule over two services. Service 0 is an import over clusters a (of
 * priority 0) and b, service 1 runs in c alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/agent/live.h"
#include "dataplane/upstream/board.h"
#include "dataplane/worker/worker.h"

#define N 10u /* endpoints of each cluster */

struct fixture {
	struct worker_group group;
	struct live_context ctx;
	struct agent_ops ops;
	uint64_t now_us, generation, revision;
	/* What the next image says. */
	uint8_t b_priority;
	bool failover, b_remote;
	uint32_t w[2], slow_start_ms;
	uint8_t panic;
};

static struct str name_of(unsigned cluster)
{
	return str_make(&"abc"[cluster], 1);
}

static uint64_t endpoint_id(unsigned cluster, unsigned i)
{
	return 1000 + cluster * 100 + i;
}

static void fill_endpoints(struct build_endpoint *e, unsigned cluster)
{
	for (unsigned i = 0; i < N; i++) {
		const uint8_t v4[4] = {10, (uint8_t)cluster, 0, (uint8_t)(i + 1)};

		e[i] = (struct build_endpoint){.id = endpoint_id(cluster, i),
			.addr = ip_from_v4(v4),
			.port = 80,
			.weight = 1,
			.cluster = name_of(cluster)};
	}
}

/* Builds and publishes the image that the fixture describes. */
static void publish(struct fixture *f)
{
	struct build_endpoint e[3][N];
	struct build_endpoint both[2 * N];
	struct build_service_cluster clusters[] = {{.name = STR("a")},
		{.name = STR("b"), .priority = f->b_priority, .remote = f->b_remote}};
	struct build_policy policy;
	struct build_service services[] = {{.id = 1,
						   .name = STR("import"),
						   .endpoints = both,
						   .endpoint_count = 2 * N,
						   .clusters = clusters,
						   .cluster_count = 2,
						   .policy_id = 9},
		{.id = 2,
			.name = STR("plain"),
			.endpoints = e[2],
			.endpoint_count = N,
			.policy_id = 9}};
	struct build_backend backends[] =
		{{.id = 11, .name = STR("x"), .weight = f->w[0], .service_id = 1},
			{.id = 12, .name = STR("y"), .weight = f->w[1], .service_id = 2}};
	struct build_match match = {.path_type = BUILD_MATCH_PREFIX, .path = STR("/")};
	struct build_rule rule = {.id = 21,
		.name = STR("r"),
		.matches = &match,
		.match_count = 1,
		.backends = backends,
		.backend_count = 2,
		.failover = f->failover,
		.policy_id = 9};
	struct build_route route = {.id = 31, .name = STR("r"), .rules = &rule, .rule_count = 1};
	struct build_attachment at = {.route = 0};
	struct ip_addr vip;
	struct build_listener listener = {.id = 41,
		.name = STR("l"),
		.addrs = &vip,
		.addr_count = 1,
		.port = 80,
		.attachments = &at,
		.attachment_count = 1};
	struct build_config cfg = {.generation = ++f->generation,
		.listeners = &listener,
		.listener_count = 1,
		.routes = &route,
		.route_count = 1,
		.services = services,
		.service_count = 2,
		.policies = &policy,
		.policy_count = 1};
	struct journal_head head = {.epoch = 1, .revision = ++f->revision};
	struct err err = {0};
	struct live *l;
	void *image;
	size_t len;

	build_policy_default(&policy);
	policy.id = 9;
	policy.name = STR("p");
	policy.slow_start_ms = f->slow_start_ms;
	policy.panic_percent = f->panic;
	for (unsigned c = 0; c < 3; c++)
		fill_endpoints(e[c], c);
	memcpy(both, e[0], sizeof(e[0]));
	memcpy(both + N, e[1], sizeof(e[1]));
	assert_true(ip_parse(STR("192.0.2.1"), &vip));
	assert_int_equal(snapshot_build(&cfg, &image, &len, &err), 0);
	if (swap_open(&f->ctx, image, len, &head, f->now_us, &l, &err) != MESSAGE_RESULT_OK)
		fail_msg("%s", err.msg);
	swap_publish(&f->ctx, l, f->now_us);
	reclaim_commit(&f->ctx.reclaim);
	reclaim_run(&f->ctx.reclaim, f->now_us);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	size_t bytes = rte_rcu_qsbr_get_memsize(1);

	f->group.qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, bytes);
	rte_rcu_qsbr_init(f->group.qsbr, 1);
	live_init(&f->ctx, &f->group, &f->ops);
	f->now_us = 1000000;
	f->w[0] = 99;
	f->w[1] = 1;
	f->panic = 50;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	live_fini(&f->ctx);
	free(f->group.qsbr);
	free(f);
	return 0;
}

static uint32_t slot_of(struct fixture *f, unsigned cluster, unsigned i)
{
	const struct config *cfg = &f->ctx.live->cfg;

	for (uint32_t s = 0; s < cfg->service_count; s++) {
		const struct endpoint_set *set = config_endpoints(cfg, s);

		for (uint32_t k = 0; k < set->count; k++)
			if (set->e[k].id == endpoint_id(cluster, i))
				return set->e[k].slot;
	}
	fail();
	return 0;
}

/* Verdict <v> on the first <n> endpoints of a cluster, none on the others. */
static void judge(struct fixture *f, unsigned cluster, unsigned n, uint8_t v)
{
	for (unsigned i = 0; i < N; i++) {
		uint32_t slot = slot_of(f, cluster, i);

		f->group.health.verdict[slot] = i < n ? v : 0;
		live_health_changed(&f->ctx, slot);
	}
}

static void run(struct fixture *f, uint64_t ms)
{
	f->now_us += ms * 1000;
	derive_run(&f->ctx, f->now_us);
	reclaim_commit(&f->ctx.reclaim);
	reclaim_run(&f->ctx.reclaim, f->now_us);
}

static uint32_t percent(const struct weight_vector *v, uint32_t i)
{
	return v->total == 0 ? 0 : (uint32_t)((v->w[i] * 200ull + v->total) / (2 * v->total));
}

static const struct weight_vector *shares(struct fixture *f, uint64_t service_id)
{
	uint32_t s = snapshot_find_service(&f->ctx.live->snap, service_id);

	return endpoint_set_shares(config_endpoints(&f->ctx.live->cfg, s));
}

static void assert_shares(struct fixture *f, uint32_t a, uint32_t b)
{
	const struct weight_vector *v = shares(f, 1);

	assert_int_equal(v->count, 2);
	assert_in_range(percent(v, 0), a > 0 ? a - 1 : 0, a);
	assert_in_range(percent(v, 1), b, b + 1);
}

static void assert_weights(struct fixture *f, uint32_t x, uint32_t y)
{
	const struct weight_vector *v = config_weights(&f->ctx.live->cfg, 0);

	assert_int_equal(percent(v, 0), x);
	assert_int_equal(percent(v, 1), y);
}

/* --- services --- */

static void without_verdicts_control_is_right(void **state)
{
	struct fixture *f = *state;
	const struct weight_vector *v;

	publish(f);
	v = shares(f, 1);
	assert_int_equal(v->w[0], 1);
	assert_int_equal(v->w[1], 1);
	assert_null(shares(f, 2));
	run(f, 10);
	assert_ptr_equal(shares(f, 1), v);
	assert_false(derive_is_running(&f->ctx));
}

static void a_priority_is_in_reserve_until_it_is_needed(void **state)
{
	struct fixture *f = *state;

	f->b_priority = 1;
	publish(f);
	assert_shares(f, 100, 0);
	judge(f, 0, 2, HEALTH_EJECTED);
	run(f, 1);
	assert_shares(f, 100, 0);
	judge(f, 0, 5, HEALTH_DOWN);
	run(f, 1);
	assert_shares(f, 70, 30);
	judge(f, 0, 10, HEALTH_DOWN);
	run(f, 1);
	assert_shares(f, 0, 100);
}

static void what_comes_back_rises_by_a_point_in_100_ms(void **state)
{
	struct fixture *f = *state;

	f->b_priority = 1;
	publish(f);
	judge(f, 0, 10, HEALTH_DOWN);
	run(f, 1000);
	judge(f, 0, 0, 0);
	run(f, 1);
	assert_shares(f, 0, 100);
	for (unsigned n = 1; n <= 50; n++) {
		run(f, 100);
		assert_shares(f, n, 100 - n);
		assert_true(derive_is_running(&f->ctx));
	}
	for (unsigned n = 0; n < 51; n++)
		run(f, 100);
	assert_shares(f, 100, 0);
	assert_false(derive_is_running(&f->ctx));
}

static void turns_between_two_steps_change_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t published;

	publish(f);
	judge(f, 0, 10, HEALTH_DOWN);
	run(f, 1000);
	judge(f, 0, 0, 0);
	run(f, 100);
	published = f->ctx.derive.published;
	for (unsigned i = 0; i < 9; i++)
		run(f, 10);
	assert_int_equal(f->ctx.derive.published, published);
	run(f, 10);
	assert_int_equal(f->ctx.derive.published, published + 1);
}

static void a_ramp_goes_on_in_the_next_configuration(void **state)
{
	struct fixture *f = *state;

	f->b_priority = 1;
	publish(f);
	judge(f, 0, 10, HEALTH_DOWN);
	run(f, 1000);
	judge(f, 0, 0, 0);
	for (unsigned i = 0; i < 30; i++)
		run(f, 100);
	assert_shares(f, 30, 70);
	publish(f);
	assert_shares(f, 30, 70);
	run(f, 100);
	assert_shares(f, 31, 69);
}

static void suspicion_takes_all_away_and_gives_it_back_at_once(void **state)
{
	struct fixture *f = *state;

	f->b_remote = true;
	publish(f);
	judge(f, 1, 10, HEALTH_SUSPECTED);
	live_health_frozen(&f->ctx, true);
	run(f, 1);
	assert_shares(f, 100, 0);
	judge(f, 1, 0, 0);
	live_health_frozen(&f->ctx, false);
	run(f, 1);
	assert_shares(f, 50, 50);
}

static void too_few_are_a_panic_in_which_verdicts_are_not_heeded(void **state)
{
	struct fixture *f = *state;

	publish(f);
	judge(f, 2, 5, HEALTH_DOWN); /* half: none yet */
	run(f, 1);
	assert_null(shares(f, 2));
	judge(f, 2, 6, HEALTH_DOWN);
	run(f, 1);
	assert_non_null(shares(f, 2));
	assert_int_equal(shares(f, 2)->panic, 1);
	judge(f, 2, 5, HEALTH_DOWN);
	run(f, 1);
	assert_null(shares(f, 2));
}

static void without_panic_nobody_is_better_than_anybody(void **state)
{
	struct fixture *f = *state;

	f->panic = 0;
	publish(f);
	judge(f, 0, 10, HEALTH_DOWN);
	judge(f, 1, 10, HEALTH_DOWN);
	judge(f, 2, 10, HEALTH_DOWN);
	run(f, 1);
	assert_int_equal(shares(f, 1)->total, 0);
	assert_null(shares(f, 2));
	assert_true(config_endpoints(&f->ctx.live->cfg, 0)->panic_never);
}

/* --- messages --- */

/* The import's endpoints, of each cluster so many; what is missing is not ready. */
static void say_endpoints(struct fixture *f, unsigned a, unsigned b, uint16_t weight_a)
{
	struct build_endpoint from[2][N];
	struct message_endpoint e[2 * N];
	struct message_cluster clusters[] = {{.name = STR("a"), .unready = N - a},
		{.name = STR("b"), .priority = f->b_priority, .unready = N - b}};
	struct message m = {.type = MESSAGE_ENDPOINTS,
		.epoch = 1,
		.endpoints = {.service_id = 1,
			.generation = f->generation,
			.revision = ++f->revision,
			.e = e,
			.cluster_count = 2,
			.clusters = clusters}};
	struct err err = {0};

	for (unsigned c = 0; c < 2; c++) {
		fill_endpoints(from[c], c);
		for (unsigned i = 0; i < (c == 0 ? a : b); i++) {
			const struct build_endpoint *x = &from[c][i];

			e[m.endpoints.count++] = (struct message_endpoint){.id = x->id,
				.addr = x->addr,
				.port = x->port,
				.weight = c == 0 ? weight_a : x->weight,
				.cluster = x->cluster};
		}
	}
	assert_int_equal(live_apply_endpoints(&f->ctx, f->ctx.live, &m, 100, f->now_us, &err),
		MESSAGE_RESULT_OK);
	run(f, 1);
}

static void what_is_not_ready_counts_as_what_is_down(void **state)
{
	struct fixture *f = *state;

	f->b_priority = 1;
	publish(f);
	say_endpoints(f, 5, 10, 1);
	assert_shares(f, 70, 30);
	say_endpoints(f, 0, 10, 1); /* a has no place in the set any more */
	assert_null(shares(f, 1));
	say_endpoints(f, 10, 10, 1); /* ready again: by steps */
	assert_shares(f, 0, 100);
	for (unsigned i = 0; i < 101; i++)
		run(f, 100);
	assert_shares(f, 100, 0);
}

/* Service 2 has <count> of a's endpoints, from number <first> on, and <unready> that are not ready. */
static void say_more_of_a(struct fixture *f, unsigned first, unsigned count, uint32_t unready)
{
	struct build_endpoint from[N];
	struct message_endpoint e[N];
	struct message_cluster cluster = {.name = STR("a"), .unready = unready};
	struct message m = {.type = MESSAGE_ENDPOINTS,
		.epoch = 1,
		.endpoints = {.service_id = 2,
			.generation = f->generation,
			.revision = ++f->revision,
			.e = e,
			.count = count,
			.cluster_count = 1,
			.clusters = &cluster}};
	struct err err = {0};

	fill_endpoints(from, 0);
	for (unsigned i = 0; i < count; i++)
		e[i] = (struct message_endpoint){.id = from[first + i].id,
			.addr = from[first + i].addr,
			.port = 80,
			.weight = 1,
			.cluster = STR("a")};
	assert_int_equal(live_apply_endpoints(&f->ctx, f->ctx.live, &m, 100, f->now_us, &err),
		MESSAGE_RESULT_OK);
}

static uint64_t unready_of(const struct fixture *f, struct str cluster)
{
	struct derive_unready u[4];
	uint32_t count = derive_unready(&f->ctx, u, 4);

	for (uint32_t i = 0; i < count; i++)
		if (str_eq(u[i].cluster, cluster))
			return u[i].unready;
	return 0;
}

static void pods_behind_two_services_are_unready_once(void **state)
{
	struct fixture *f = *state;

	publish(f);
	assert_int_equal(unready_of(f, STR("a")), 0);
	say_endpoints(f, 5, 0, 1);
	assert_int_equal(unready_of(f, STR("a")), 5);
	assert_int_equal(unready_of(f, STR("b")),
		N);		   /* none of it is ready: it is there all the same */
	say_more_of_a(f, 0, 5, 5); /* the same pods */
	assert_int_equal(unready_of(f, STR("a")), 5);
	say_more_of_a(f, 5, 5, 5); /* others */
	assert_int_equal(unready_of(f, STR("a")), 10);
	say_more_of_a(f, 0, 5, 3);
	assert_int_equal(unready_of(f, STR("a")), 8);
}

/* Nothing that control says of a cluster can make sums wrap. */
static void more_unready_than_there_can_be_is_only_many(void **state)
{
	struct fixture *f = *state;
	struct message_endpoint e = {.id = endpoint_id(0, 0), .port = 80, .weight = 1};
	struct message_cluster clusters[MESSAGE_CLUSTERS_MAX];
	struct message m = {.type = MESSAGE_ENDPOINTS,
		.epoch = 1,
		.endpoints = {.service_id = 1,
			.count = 1,
			.e = &e,
			.cluster_count = MESSAGE_CLUSTERS_MAX,
			.clusters = clusters}};
	struct err err = {0};

	publish(f);
	for (unsigned i = 0; i < MESSAGE_CLUSTERS_MAX; i++)
		clusters[i] = (struct message_cluster){.name = str_make(&"abcd"[i % 4], 1),
			.unready = UINT32_MAX,
			.priority = (uint8_t)(i % 16)};
	e.addr = ip_from_v4((const uint8_t[4]){10, 0, 0, 1});
	e.cluster = STR("a");
	m.endpoints.generation = f->generation;
	m.endpoints.revision = ++f->revision;
	assert_int_equal(live_apply_endpoints(&f->ctx, f->ctx.live, &m, 100, f->now_us, &err),
		MESSAGE_RESULT_OK);
	run(f, 1);
	assert_int_equal(traffic_share(&f->ctx.live->derived[0]->result, 0), TRAFFIC_WHOLE);
}

static void weights_of_operators_act_at_once(void **state)
{
	struct fixture *f = *state;

	publish(f);
	say_endpoints(f, 10, 10, 3);
	assert_shares(f, 75, 25);
	assert_false(derive_is_running(&f->ctx));
}

static void controls_digests_are_those_of_its_own_objects(void **state)
{
	struct fixture *f = *state;
	uint64_t before;

	f->failover = true;
	publish(f);
	before = f->ctx.live->state;
	judge(f, 0, 10, HEALTH_DOWN);
	judge(f, 2, 10, HEALTH_DOWN);
	run(f, 1);
	assert_true(f->ctx.live->state == before);
}

/* --- rules --- */

static void say_weights(struct fixture *f, uint32_t x, uint32_t y)
{
	struct message_weight w[] = {{11, x}, {12, y}};
	struct message m = {.type = MESSAGE_WEIGHTS,
		.epoch = 1,
		.weights = {21, f->generation, ++f->revision, 2, w}};
	struct err err = {0};

	assert_int_equal(live_apply_weights(&f->ctx, f->ctx.live, &m, 100, f->now_us, &err),
		MESSAGE_RESULT_OK);
	run(f, 1);
}

static void without_failover_health_moves_nothing_between_backends(void **state)
{
	struct fixture *f = *state;

	publish(f);
	judge(f, 0, 10, HEALTH_DOWN);
	judge(f, 1, 10, HEALTH_DOWN);
	run(f, 1);
	assert_weights(f, 99, 1);
}

static void with_failover_the_others_take_over_and_give_back_by_steps(void **state)
{
	struct fixture *f = *state;

	f->failover = true;
	publish(f);
	assert_weights(f, 99, 1);
	judge(f, 0, 10, HEALTH_DOWN);
	run(f, 1);
	assert_weights(f, 99, 1); /* half of it takes 70 %: 99 * 0.7 against 1 */
	judge(f, 1, 10, HEALTH_DOWN);
	run(f, 1);
	assert_weights(f, 0, 100);
	judge(f, 0, 0, 0);
	judge(f, 1, 0, 0);
	run(f, 1);
	assert_weights(f, 0, 100);
	for (unsigned i = 0; i < 40; i++)
		run(f, 100);
	assert_weights(f, 40, 60);
	for (unsigned i = 0; i < 60; i++)
		run(f, 100);
	assert_weights(f, 99, 1);
	assert_int_equal(config_weights(&f->ctx.live->cfg, 0)->total,
		100); /* control's own again */
	assert_false(derive_is_running(&f->ctx));
}

static void new_weights_of_control_count_while_one_is_down(void **state)
{
	struct fixture *f = *state;

	f->failover = true;
	publish(f);
	judge(f, 2, 10, HEALTH_DOWN);
	run(f, 1);
	assert_weights(f, 100, 0);
	say_weights(f, 1, 1);
	assert_weights(f, 100, 0);
	judge(f, 2, 5, HEALTH_DOWN);
	for (unsigned i = 0; i < 100; i++)
		run(f, 100);
	assert_weights(f, 59, 41);
	judge(f, 2, 0, 0);
	for (unsigned i = 0; i < 100; i++)
		run(f, 100);
	assert_weights(f, 50, 50);
	say_weights(f, 3, 1);
	assert_weights(f, 75, 25);
}

static void when_all_are_down_control_is_right_again(void **state)
{
	struct fixture *f = *state;

	f->failover = true;
	publish(f);
	for (unsigned c = 0; c < 3; c++)
		judge(f, c, 10, HEALTH_DOWN);
	run(f, 1);
	assert_weights(f, 99, 1);
}

static void a_set_that_shrinks_moves_the_rule_too(void **state)
{
	struct fixture *f = *state;

	f->failover = true;
	publish(f);
	say_endpoints(f, 0, 0, 1);
	assert_weights(f, 0, 100);
}

/* --- slow start --- */

static uint32_t slow(struct fixture *f, unsigned cluster, unsigned i)
{
	return f->group.health.slow[slot_of(f, cluster, i)];
}

static void an_endpoint_that_is_back_begins_slowly(void **state)
{
	struct fixture *f = *state;

	f->slow_start_ms = 10000;
	publish(f);
	assert_int_equal(slow(f, 2, 0), 0); /* at the start everybody is equal */
	judge(f, 2, 1, HEALTH_DOWN);
	run(f, 1);
	judge(f, 2, 0, 0);
	run(f, 1);
	assert_int_equal(slow(f, 2, 0), 28);
	assert_int_equal(slow(f, 2, 1), 0);
	for (unsigned i = 0; i < 50; i++)
		run(f, 100);
	assert_in_range(slow(f, 2, 0), 13, 15);
	for (unsigned i = 0; i < 50; i++)
		run(f, 100);
	assert_int_equal(slow(f, 2, 0), 0);
	assert_false(derive_is_running(&f->ctx));
}

static void so_does_one_that_is_new(void **state)
{
	struct fixture *f = *state;

	f->slow_start_ms = 10000;
	publish(f);
	say_endpoints(f, 9, 10, 1);
	say_endpoints(f, 10, 10, 1);
	assert_int_equal(slow(f, 0, 9), 28);
	assert_int_equal(slow(f, 0, 8), 0);
}

static void by_default_nobody_does(void **state)
{
	struct fixture *f = *state;

	publish(f);
	judge(f, 2, 1, HEALTH_DOWN);
	run(f, 1);
	judge(f, 2, 0, 0);
	run(f, 1);
	say_endpoints(f, 9, 10, 1);
	say_endpoints(f, 10, 10, 1);
	assert_int_equal(slow(f, 2, 0), 0);
	assert_int_equal(slow(f, 0, 9), 0);
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(without_verdicts_control_is_right),
		ROW(a_priority_is_in_reserve_until_it_is_needed),
		ROW(what_comes_back_rises_by_a_point_in_100_ms),
		ROW(turns_between_two_steps_change_nothing),
		ROW(a_ramp_goes_on_in_the_next_configuration),
		ROW(suspicion_takes_all_away_and_gives_it_back_at_once),
		ROW(too_few_are_a_panic_in_which_verdicts_are_not_heeded),
		ROW(without_panic_nobody_is_better_than_anybody),
		ROW(what_is_not_ready_counts_as_what_is_down),
		ROW(pods_behind_two_services_are_unready_once),
		ROW(more_unready_than_there_can_be_is_only_many),
		ROW(weights_of_operators_act_at_once),
		ROW(controls_digests_are_those_of_its_own_objects),
		ROW(without_failover_health_moves_nothing_between_backends),
		ROW(with_failover_the_others_take_over_and_give_back_by_steps),
		ROW(new_weights_of_control_count_while_one_is_down),
		ROW(when_all_are_down_control_is_right_again),
		ROW(a_set_that_shrinks_moves_the_rule_too),
		ROW(an_endpoint_that_is_back_begins_slowly),
		ROW(so_does_one_that_is_new),
		ROW(by_default_nobody_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
