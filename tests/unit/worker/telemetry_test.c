// SPDX-License-Identifier: Apache-2.0
/*
 * telemetry_test.c: what DPDK's telemetry socket says about workers, and what it refuses.
 *
 * Two workers with their whole stacks and no ports, their counters set by hand; the questions go
 * through DPDK's own socket. Standards: the telemetry library's protocol version 2.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_eal.h>

#include "dataplane/worker/telemetry.h"
#include "dataplane/worker/worker.h"

#define WORKERS 2u
#define ANSWER_MAX 65536

static struct worker_group group;
static struct rte_mempool *pools[WORKERS];

static int setup(void **state)
{
	struct worker_config cfg = {.profile = true};
	struct err err;

	tcp_config_default(&cfg.tcp);
	http_config_default(&cfg.http);
	cfg.tcp.conns_max = 64;
	group = (struct worker_group){0};
	if (worker_group_init(&group, &cfg, pools, WORKERS, &err) < 0)
		return -1;
	return telemetry_start(&group, &err);
}

static int teardown(void **state)
{
	telemetry_stop();
	worker_group_fini(&group);
	return 0;
}

/* What stands in the answer behind the command's name; json_null: refused. The caller's. */
static json_t *ask(const char *question)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	static char buf[ANSWER_MAX];
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	json_t *j, *value;
	ssize_t n;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/dpdk_telemetry.v2",
		rte_eal_get_runtime_dir());
	assert_return_code(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_true(read(fd, buf, sizeof(buf)) > 0); /* its greeting */
	assert_int_equal(write(fd, question, strlen(question)), (ssize_t)strlen(question));
	n = read(fd, buf, sizeof(buf));
	close(fd);
	assert_true(n > 0);
	j = json_loadb(buf, (size_t)n, 0, NULL);
	assert_non_null(j);
	value = json_incref(json_object_iter_value(json_object_iter(j)));
	json_decref(j);
	return value;
}

static long number(const json_t *j, const char *key)
{
	return (long)json_integer_value(json_object_get(j, key));
}

static void workers_are_listed(void **state)
{
	json_t *j = ask("/sluice/workers");

	assert_int_equal(json_array_size(j), WORKERS);
	json_decref(j);
}

static void cycles_stand_by_stage_and_worker(void **state)
{
	json_t *j;

	group.w[1]->stats.cycles[WORKER_STAGE_HTTP] = 1234;
	group.w[1]->stats.counters[WORKER_C_TURNS_WORK] = 8;
	group.w[1]->stats.counters[WORKER_C_TURNS_EMPTY] = 77;
	group.w[1]->stats.counters[WORKER_C_EMPTY_CYCLES] = 5;
	j = ask("/sluice/cycles,1");
	for (unsigned s = 0; s < WORKER_STAGE_COUNT; s++)
		assert_non_null(json_object_get(j, worker_stage_name((enum worker_stage)s)));
	assert_int_equal(number(j, "http"), 1234);
	assert_int_equal(number(j, "turns_working"), 8);
	assert_int_equal(number(j, "turns_empty"), 77);
	assert_int_equal(number(j, "empty_cycles"), 5);
	assert_non_null(json_object_get(j, "packets_in_per_1000_turns"));
	assert_non_null(json_object_get(j, "requests_per_1000_turns"));
	json_decref(j);
	j = ask("/sluice/cycles,0");
	assert_int_equal(number(j, "http"), 0);
	json_decref(j);
}

static void every_layer_tells_all_its_counters(void **state)
{
	struct counter_set sets[WORKER_COUNTER_SETS_MAX];
	unsigned count = worker_counter_sets(group.w[0], sets);
	json_t *layers = ask("/sluice/counters,0"), *j;
	char question[64];

	assert_int_equal(json_array_size(layers), count);
	for (unsigned i = 0; i < count; i++) {
		snprintf(question, sizeof(question), "/sluice/counters,0,%s",
			json_string_value(json_array_get(layers, i)));
		j = ask(question);
		assert_int_equal(json_object_size(j), sets[i].count);
		json_decref(j);
	}
	json_decref(layers);
}

static void what_is_not_there_is_refused(void **state)
{
	static const char *const bad[] = {"/sluice/cycles", "/sluice/cycles,2", "/sluice/cycles,-1",
		"/sluice/cycles,x", "/sluice/cycles,1x", "/sluice/cycles,99999999999999999999",
		"/sluice/counters", "/sluice/counters,0,tcq", "/sluice/counters,2,tcp"};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *j = ask(bad[i]);

		if (!json_is_null(j))
			fail_msg("%s is answered", bad[i]);
		json_decref(j);
	}
}

static void after_the_end_nothing_is_said(void **state)
{
	json_t *j;

	telemetry_stop();
	j = ask("/sluice/cycles,0");
	assert_true(json_is_null(j));
	json_decref(j);
}

static int eal_start(void **state)
{
	char prefix[64];
	char *argv[] = {"telemetry_test", "--no-huge", "-m", "256", "--no-pci", "--iova-mode=va",
		"--lcores=0", "--log-level=error", prefix, NULL};
	struct err err;

	snprintf(prefix, sizeof(prefix), "--file-prefix=telemetry%d", (int)getpid());
	if (rte_eal_init(9, argv) < 0)
		return -1;
	for (unsigned i = 0; i < WORKERS; i++) {
		pools[i] = port_pool_new(i == 0 ? "p0" : "p1", 4095, 1500, &err);
		if (pools[i] == NULL)
			return -1;
	}
	return 0;
}

/* EAL leaves its files to the next one of this name; there is none. */
static void runtime_dir_remove(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		closedir(d);
	rmdir(path);
}

static int eal_stop(void **state)
{
	char dir[256];

	snprintf(dir, sizeof(dir), "%s", rte_eal_get_runtime_dir());
	for (unsigned i = 0; i < WORKERS; i++)
		port_pool_free(pools[i]);
	rte_eal_cleanup();
	runtime_dir_remove(dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(workers_are_listed, setup, teardown),
		cmocka_unit_test_setup_teardown(cycles_stand_by_stage_and_worker, setup, teardown),
		cmocka_unit_test_setup_teardown(every_layer_tells_all_its_counters, setup,
			teardown),
		cmocka_unit_test_setup_teardown(what_is_not_there_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(after_the_end_nothing_is_said, setup, teardown),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
