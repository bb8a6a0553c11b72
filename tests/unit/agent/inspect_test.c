// SPDX-License-Identifier: Apache-2.0
/*
 * inspect_test.c: how the agent looks into real workers: what it tells of those that answer, of one
 * that hangs, and of questions that mean nothing.
 *
 * Two workers with their whole stacks and no ports; threads of the test take their calls.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include <rte_eal.h>

#include "dataplane/agent/agent_inspect.h"
#include "dataplane/agent/inspect.h"

#define WORKERS 2u

static struct worker_group group;
static struct rte_mempool *pools[WORKERS];
static pthread_t threads[WORKERS];
static atomic_bool ended, hung; /* hung: worker 1 takes no calls */
static struct agent agent;

static void *turn_loop(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&ended)) {
		if (w->index == 0 || !atomic_load(&hung))
			worker_mailbox_run(w);
		usleep(200);
	}
	return NULL;
}

static int setup(void **state)
{
	struct worker_config cfg = {0};
	struct err err;

	tcp_config_default(&cfg.tcp);
	http_config_default(&cfg.http);
	cfg.tcp.conns_max = 64;
	group = (struct worker_group){0};
	if (worker_group_init(&group, &cfg, pools, WORKERS, &err) < 0)
		return -1;
	atomic_store(&ended, false);
	atomic_store(&hung, false);
	for (unsigned i = 0; i < WORKERS; i++)
		if (pthread_create(&threads[i], NULL, turn_loop, group.w[i]) != 0)
			return -1;
	return 0;
}

static int teardown(void **state)
{
	atomic_store(&ended, true);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	worker_group_fini(&group);
	return 0;
}

/* Asks until the verb has said all; the answer (NULL: refused) is the caller's. */
static json_t *ask(const char *verb, const char *args, enum message_result *ret, char sentence[256])
{
	const struct agent_ops *ops = agent_ops(&group);
	struct agent_query q = {.args = json_loads(args, 0, NULL)};
	agent_verb_fn fn = NULL;

	assert_non_null(q.args);
	for (unsigned i = 0; i < ops->verb_count; i++)
		if (strcmp(ops->verbs[i].name, verb) == 0)
			fn = ops->verbs[i].fn;
	assert_non_null(fn);
	while (fn(&agent, ops->ctx, &q))
		assert_true(++q.step < 1000);
	*ret = q.status;
	snprintf(sentence, 256, "%s", q.err.msg);
	json_decref((json_t *)q.args);
	free(q.state);
	if (q.status == MESSAGE_RESULT_OK)
		return q.answer;
	json_decref(q.answer);
	return NULL;
}

static json_t *answer_to(const char *verb, const char *args)
{
	enum message_result status;
	char sentence[256];
	json_t *j = ask(verb, args, &status, sentence);

	if (j == NULL)
		fail_msg("%s %s: %s", verb, args, sentence);
	return j;
}

static void refused(const char *verb, const char *args, enum message_result want, const char *why)
{
	enum message_result status;
	char sentence[256];

	assert_null(ask(verb, args, &status, sentence));
	assert_int_equal(status, want);
	if (strstr(sentence, why) == NULL)
		fail_msg("%s %s: \"%s\" does not say \"%s\"", verb, args, sentence, why);
}

/* -- counters -------------------------------------------------------------------------------- */

static void a_counter_is_the_sum_of_the_workers(void **state)
{
	json_t *j, *set, *row;
	size_t i, k, scopes = 0, found = 0;

	group.w[0]->stats.counters[WORKER_C_NAPS] = 3;
	group.w[1]->stats.counters[WORKER_C_NAPS] = 4;
	j = answer_to("counters", "{}");
	json_array_foreach (json_object_get(j, "sets"), i, set) {
		scopes++;
		json_array_foreach (json_object_get(set, "counters"), k, row) {
			assert_true(strlen(json_string_value(json_object_get(row, "help"))) > 0);
			if (strcmp(json_string_value(json_object_get(row, "name")), "naps") != 0)
				continue;
			found++;
			assert_int_equal(json_integer_value(json_object_get(row, "value")), 7);
			assert_int_equal(json_integer_value(
						 json_array_get(json_object_get(row, "workers"),
							 1)),
				4);
		}
	}
	assert_int_equal(scopes, 5); /* net, tcp, http, probe, worker; no port */
	assert_int_equal(found, 1);
	json_decref(j);
}

static void before_a_configuration_there_are_no_endpoints(void **state)
{
	json_t *j = answer_to("endpoints", "{\"service\":\"none\"}");

	assert_int_equal(json_array_size(json_object_get(j, "services")), 0);
	json_decref(j);
}

/* -- workers --------------------------------------------------------------------------------- */

static void a_worker_that_answers_tells_its_use(void **state)
{
	json_t *j = answer_to("workers", "{}"), *list = json_object_get(j, "workers"), *w;
	size_t i;

	assert_int_equal(json_array_size(list), WORKERS);
	json_array_foreach (list, i, w) {
		assert_int_equal(json_integer_value(json_object_get(w, "worker")), i);
		assert_int_equal(json_integer_value(
					 json_object_get(json_object_get(w, "tcp"), "conns")),
			0);
		assert_true(json_integer_value(
				    json_object_get(json_object_get(w, "packets"), "free")) > 0);
	}
	json_decref(j);
}

static void a_worker_that_hangs_is_shown_with_its_stage(void **state)
{
	json_t *j, *w;

	atomic_store(&hung, true);
	atomic_store(&group.w[1]->stats.stage, WORKER_STAGE_TCP_INPUT);
	agent_ops(&group)->tick(agent_ops(&group)->ctx, 1);
	j = answer_to("workers", "{}");
	assert_non_null(json_object_get(json_array_get(json_object_get(j, "workers"), 0), "tcp"));
	w = json_array_get(json_object_get(j, "workers"), 1);
	assert_null(json_object_get(w, "tcp"));
	assert_string_equal(json_string_value(json_object_get(w, "stage")), "tcp_input");
	assert_true(json_integer_value(json_object_get(w, "in_turn_us")) > 0);
	json_decref(j);
}

static void what_needs_a_worker_that_hangs_names_it(void **state)
{
	atomic_store(&hung, true);
	refused("conns", "{}", MESSAGE_RESULT_FAILED, "worker 1 does not answer");
	refused("neighbours", "{}", MESSAGE_RESULT_FAILED, "worker 1 does not answer");
	refused("trace", "{\"action\":\"start\"}", MESSAGE_RESULT_FAILED, "does not answer");
	atomic_store(&hung, false);
	json_decref(answer_to("trace", "{\"action\":\"stop\"}"));
	json_decref(answer_to("neighbours", "{}"));
}

static void questions_that_mean_nothing_are_refused(void **state)
{
	static const struct {
		const char *verb, *args, *why;
	} rows[] = {
		{"conns", "{\"worker\":-1}", "worker is no number"},
		{"conns", "{\"worker\":1000}", "worker is no number"},
		{"conns", "{\"cursor\":\"x\"}", "cursor is no number"},
		{"conns", "{\"limit\":20001}", "limit is no number"},
		{"trace", "{}", "action is"},
		{"trace", "{\"action\":7}", "action is"},
		{"trace", "{\"action\":\"start\",\"port\":65536}", "port is no number"},
		{"trace", "{\"action\":\"start\",\"seconds\":3601}", "seconds is no number"},
		{"trace", "{\"action\":\"start\",\"net\":\"10.0.0.0/33\"}", "no address"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refused(rows[i].verb, rows[i].args, MESSAGE_RESULT_BAD_ARGS, rows[i].why);
}

static void connections_end_with_the_last_worker(void **state)
{
	static const char *const args[] = {"{}", "{\"worker\":1}", "{\"worker\":2}",
		"{\"limit\":0}"};

	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
		json_t *j = answer_to("conns", args[i]);

		assert_int_equal(json_array_size(json_object_get(j, "conns")), 0);
		json_decref(j);
	}
}

/* -- trace ----------------------------------------------------------------------------------- */

static void say(unsigned worker, uint64_t us, const char *what)
{
	trace_self = group.w[worker]->trace;
	trace_self->now_us = us;
	trace_emit("tcp", "%s", what);
	trace_self = NULL;
}

static void lines_of_all_workers_come_in_the_order_of_time(void **state)
{
	static const char *const want[] = {"first", "second", "third", "fourth"};
	json_t *j, *lines;

	say(0, 1, "what an earlier trace left");
	j = answer_to("trace", "{\"action\":\"start\",\"net\":\"10.1.0.0/16\",\"port\":80}");
	assert_true(json_is_true(json_object_get(j, "on")));
	assert_int_equal(json_array_size(json_object_get(j, "lines")), 0);
	json_decref(j);
	assert_true(group.w[1]->trace->filter.on);
	assert_int_equal(group.w[1]->trace->filter.port, 80);
	say(0, 2000000, "second");
	say(0, 4000000, "fourth");
	say(1, 1000000, "first");
	say(1, 3000000, "third");
	j = answer_to("trace", "{\"action\":\"fetch\"}");
	lines = json_object_get(j, "lines");
	assert_int_equal(json_array_size(lines), 4);
	for (size_t i = 0; i < 4; i++)
		assert_non_null(strstr(json_string_value(json_array_get(lines, i)), want[i]));
	json_decref(j);
}

static void a_trace_ends_by_itself(void **state)
{
	const struct agent_ops *ops = agent_ops(&group);

	json_decref(answer_to("trace", "{\"action\":\"start\",\"seconds\":1}"));
	ops->tick(ops->ctx, 1);
	assert_true(group.w[0]->trace->filter.on);
	ops->tick(ops->ctx, UINT64_MAX);
	assert_false(group.w[0]->trace->filter.on);
	assert_false(group.w[1]->trace->filter.on);
}

static int eal_start(void **state)
{
	char *argv[] = {"inspect_test", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry",
		"--no-shconf", "--iova-mode=va", "--lcores=0", "--log-level=error", NULL};
	struct err err;

	if (rte_eal_init(10, argv) < 0)
		return -1;
	for (unsigned i = 0; i < WORKERS; i++) {
		pools[i] = port_pool_new(i == 0 ? "p0" : "p1", 4095, 1500, &err);
		if (pools[i] == NULL)
			return -1;
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_counter_is_the_sum_of_the_workers, setup,
			teardown),
		cmocka_unit_test_setup_teardown(before_a_configuration_there_are_no_endpoints,
			setup, teardown),
		cmocka_unit_test_setup_teardown(a_worker_that_answers_tells_its_use, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_worker_that_hangs_is_shown_with_its_stage, setup,
			teardown),
		cmocka_unit_test_setup_teardown(what_needs_a_worker_that_hangs_names_it, setup,
			teardown),
		cmocka_unit_test_setup_teardown(questions_that_mean_nothing_are_refused, setup,
			teardown),
		cmocka_unit_test_setup_teardown(connections_end_with_the_last_worker, setup,
			teardown),
		cmocka_unit_test_setup_teardown(lines_of_all_workers_come_in_the_order_of_time,
			setup, teardown),
		cmocka_unit_test_setup_teardown(a_trace_ends_by_itself, setup, teardown),
	};

	return cmocka_run_group_tests(tests, eal_start, NULL);
}
