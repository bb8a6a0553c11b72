// SPDX-License-Identifier: Apache-2.0
/*
 * cache_test.c: which files there are of which cluster, when, and what a start makes of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/clusters/clusters.h"
#include "control/sources/cache.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"
#include "manifest_json.h"

#define WEST STR("us-west")
#define EAST STR("us-east")

/* What a workload cluster cannot be without. */
static const enum kind mandatory[] = {KIND_NAMESPACE, KIND_SERVICE, KIND_ENDPOINT_SLICE};
#define MANDATORY_COUNT (sizeof(mandatory) / sizeof(mandatory[0]))

struct bench {
	struct loop *loop;
	struct store *store;
	struct caches *caches;
	struct loop_timer timer;
	char top[40], dir[64];
};

static void on_stop(void *arg)
{
	loop_stop(((struct bench *)arg)->loop);
}

static void up(struct bench *b)
{
	struct err err;

	assert_int_equal(loop_new(&b->loop, &err), 0);
	loop_timer_init(&b->timer, on_stop, b);
	b->store = store_new();
	assert_int_equal(caches_new(b->loop, b->store, b->dir, &b->caches, &err), 0);
}

static void down(struct bench *b)
{
	caches_free(b->caches);
	store_free(b->store);
	loop_free(b->loop);
}

/* As control does at its end, and at its next start. */
static void restart(struct bench *b)
{
	down(b);
	up(b);
}

static void run_ms(struct bench *b, unsigned ms)
{
	loop_timer_set(b->loop, &b->timer, ms * 1000u);
	loop_run(b->loop);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	log_level_max = (enum log_level) - 1;
	strcpy(b->top, "/tmp/cache_test.XXXXXX");
	assert_non_null(mkdtemp(b->top));
	snprintf(b->dir, sizeof(b->dir), "%s/objects", b->top);
	up(b);
	*state = b;
	return 0;
}

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct bench *b = *state;

	down(b);
	nftw(b->top, unlink_one, 8, FTW_DEPTH | FTW_PHYS);
	free(b);
	return 0;
}

static const char *path_of(const struct bench *b, struct str cluster, enum kind kind)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/%.*s/%s", b->dir, STR_FMT(cluster),
		kind_info[kind].plural);
	return path;
}

static bool is_there(const struct bench *b, struct str cluster, enum kind kind)
{
	return access(path_of(b, cluster, kind), F_OK) == 0;
}

static void service(struct bench *b, struct cache *c, struct str cluster, const char *name)
{
	char text[256];
	json_t *j;

	snprintf(text, sizeof(text),
		"{apiVersion: v1, kind: Service, metadata: {name: %s, namespace: demo}, spec: "
		"{ports: [{port: 80}]}}",
		name);
	j = manifest_json_text(text);
	assert_int_equal(store_api_upsert(store_api_kind(b->store, cluster, KIND_SERVICE), j),
		STORE_CHANGED);
	json_decref(j);
	cache_changed(c, KIND_SERVICE);
}

static uint32_t services(struct bench *b, struct str cluster)
{
	return store_api_count(store_api_kind(b->store, cluster, KIND_SERVICE));
}

static uint64_t counter(const struct bench *b, enum cache_counter n)
{
	struct cache_state st;

	caches_state(b->caches, &st);
	return st.counters[n];
}

static uint64_t refused(const struct bench *b, enum store_disk_fault fault)
{
	struct cache_state st;

	caches_state(b->caches, &st);
	return st.refused[fault];
}

/* The disk takes its time. */
static void run_until(struct bench *b, enum cache_counter n, uint64_t value)
{
	uint64_t end = clock_mono_us() + 20000000;

	while (counter(b, n) < value) {
		assert_true(clock_mono_us() < end);
		run_ms(b, 20);
	}
	assert_int_equal(counter(b, n), value);
}

/* A workload cluster with one Service, listed whole and taking part. */
static struct cache *listed(struct bench *b, struct str cluster)
{
	struct cache *c = cache_open(b->caches, cluster, CLUSTER_ROLE_WORKLOAD);

	service(b, c, cluster, "app");
	for (size_t i = 0; i < MANDATORY_COUNT; i++)
		cache_listed(c, mandatory[i]);
	store_api_gate(b->store, cluster);
	cache_takes_part(c);
	return c;
}

static bool suffices(const struct cache *c)
{
	return cache_suffices(c, CLUSTER_ROLE_WORKLOAD, true);
}

static void a_clean_end_and_a_start_lose_nothing(void **state)
{
	struct bench *b = *state;
	struct cache *c = listed(b, WEST);
	struct stat st;
	int64_t age;

	assert_false(suffices(c)); /* of the server, not from disk */
	assert_false(cache_is_from_disk(c, &age));
	restart(b);
	assert_int_equal(stat(path_of(b, WEST, KIND_SERVICE), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	c = cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD);
	assert_int_equal(services(b, WEST), 1);
	assert_int_equal(counter(b, CACHE_LOADED), 1);
	assert_true(suffices(c));
	assert_true(cache_is_from_disk(c, &age));
	assert_in_range(age, 0, 20);
	assert_true(cache_kind_is_from_disk(c, KIND_SERVICE));
}

static void changes_are_written_in_a_while_and_together(void **state)
{
	struct bench *b = *state;
	uint64_t began = clock_mono_us();
	struct cache *c = listed(b, WEST);

	service(b, c, WEST, "more");
	run_until(b, CACHE_WRITTEN, MANDATORY_COUNT);
	assert_true(clock_mono_us() - began >= CACHE_SAVE_US);
	run_ms(b, CACHE_SAVE_US / 1000 + 300);
	assert_int_equal(counter(b, CACHE_WRITTEN), MANDATORY_COUNT);
	service(b, c, WEST, "most");
	run_until(b, CACHE_WRITTEN, MANDATORY_COUNT + 1);
	assert_int_equal(counter(b, CACHE_FAILED), 0);
}

static void nothing_is_written_of_a_cluster_that_does_not_take_part(void **state)
{
	struct bench *b = *state;
	struct cache *c = cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD);

	service(b, c, WEST, "app");
	cache_listed(c, KIND_SERVICE);
	restart(b);
	assert_false(is_there(b, WEST, KIND_SERVICE));
	assert_false(suffices(cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD)));
}

static void a_list_ends_being_from_disk(void **state)
{
	struct bench *b = *state;
	struct cache *c;
	int64_t age;

	listed(b, WEST);
	restart(b);
	c = cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD);
	cache_listed(c, KIND_SERVICE);
	assert_false(cache_kind_is_from_disk(c, KIND_SERVICE));
	assert_true(suffices(c)); /* the list and two files */
	cache_listed(c, KIND_NAMESPACE);
	cache_listed(c, KIND_ENDPOINT_SLICE);
	assert_false(cache_is_from_disk(c, &age));
	assert_int_equal(age, 0);
}

static void break_file(const struct bench *b, enum kind kind, const char *text)
{
	FILE *f = fopen(path_of(b, WEST, kind), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void a_bad_file_costs_its_kind_and_is_replaced(void **state)
{
	struct bench *b = *state;
	struct cache *c;

	listed(b, WEST);
	restart(b);
	break_file(b, KIND_SERVICE, "sluice-objects 1 us-west Service\n");
	break_file(b, KIND_NAMESPACE, "rubbish");
	c = cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD);
	assert_int_equal(refused(b, STORE_DISK_TRUNCATED), 1);
	assert_int_equal(refused(b, STORE_DISK_FOREIGN), 1);
	assert_int_equal(services(b, WEST), 0);
	assert_false(suffices(c));
	assert_false(cache_suffices(c, CLUSTER_ROLE_WORKLOAD, false));
	cache_listed(c, KIND_SERVICE);
	cache_listed(c, KIND_NAMESPACE);
	store_api_gate(b->store, WEST);
	restart(b);
	assert_true(suffices(cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD)));
	assert_int_equal(refused(b, STORE_DISK_TRUNCATED), 0);
}

static void a_bad_file_of_a_kind_that_may_be_missing_is_waited_for(void **state)
{
	struct bench *b = *state;
	struct cache *c;

	listed(b, WEST);
	restart(b);
	break_file(b, KIND_SERVICE_IMPORT, "rubbish");
	c = cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD);
	assert_false(suffices(c));
	assert_true(cache_suffices(c, CLUSTER_ROLE_WORKLOAD, false));
	cache_listed(c, KIND_SERVICE_IMPORT);
	assert_true(suffices(c));
}

static void a_cluster_that_is_dropped_takes_its_files_with_it(void **state)
{
	struct bench *b = *state;
	struct cache *c = listed(b, WEST);

	listed(b, EAST);
	run_until(b, CACHE_WRITTEN, 2 * MANDATORY_COUNT);
	assert_true(is_there(b, WEST, KIND_SERVICE));
	service(b, c, WEST, "more");
	cache_drop(c);
	store_remove_cluster(b->store, WEST);
	/* at once again: what is being removed is not read */
	c = cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD);
	assert_false(suffices(c));
	run_until(b, CACHE_REMOVED, 1);
	assert_false(is_there(b, WEST, KIND_SERVICE));
	assert_true(is_there(b, EAST, KIND_SERVICE));
}

static bool is_east(void *arg, struct str cluster)
{
	return str_eq(cluster, EAST);
}

static void clusters_that_nobody_names_are_swept(void **state)
{
	struct bench *b = *state;

	listed(b, WEST);
	listed(b, EAST);
	restart(b);
	caches_sweep(b->caches, is_east, NULL);
	restart(b);
	assert_false(is_there(b, WEST, KIND_SERVICE));
	assert_true(is_there(b, EAST, KIND_SERVICE));
}

static void the_age_is_that_of_the_last_look(void **state)
{
	const struct timespec hour_ago[2] = {{.tv_sec = time(NULL) - 3600},
		{.tv_sec = time(NULL) - 3600}};
	struct bench *b = *state;
	char folder[100];
	struct cache *c;
	int64_t age;

	listed(b, WEST);
	restart(b);
	snprintf(folder, sizeof(folder), "%s/us-west", b->dir);
	assert_int_equal(utimensat(AT_FDCWD, folder, hour_ago, 0), 0);
	c = cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD);
	assert_true(cache_is_from_disk(c, &age));
	assert_in_range(age, 3600, 3620);
	cache_seen(c);
	restart(b);
	c = cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD);
	assert_true(cache_is_from_disk(c, &age));
	assert_in_range(age, 0, 20);
}

static void a_disk_that_refuses_is_counted_and_does_no_harm(void **state)
{
	struct bench *b = *state;
	FILE *f = fopen(b->dir, "w");

	assert_non_null(f);
	fclose(f);
	listed(b, WEST);
	run_until(b, CACHE_FAILED, MANDATORY_COUNT);
	assert_int_equal(services(b, WEST), 1);
	unlink(b->dir);
	restart(b); /* its end tries again */
	assert_true(is_there(b, WEST, KIND_SERVICE));
}

/*
 * What a process did that ended without a word; the files are all that is left of it. Threads of ours
 * rest meanwhile: the sanitizer of threads lets a child of several begin none.
 */
static void killed(struct bench *b, void (*work)(struct bench *b))
{
	int status;
	pid_t pid;

	down(b);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		up(b);
		work(b);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	up(b);
	assert_int_equal(status, 0);
}

static void forget_app(struct bench *b)
{
	json_t *j = json_pack("{s:{s:s, s:s}}", "metadata", "namespace", "demo", "name", "app");

	store_api_delete(store_api_kind(b->store, WEST, KIND_SERVICE), j);
	json_decref(j);
}

/* Files are there; then one comes, and one goes, and it ends before the next files. */
static void work_once(struct bench *b)
{
	struct cache *c = listed(b, WEST);

	while (!is_there(b, WEST, KIND_ENDPOINT_SLICE))
		run_ms(b, 100);
	run_ms(b, 100);
	service(b, c, WEST, "more");
	forget_app(b);
}

/* The same on what was read from disk, without a file since. */
static void work_again(struct bench *b)
{
	struct cache *c = cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD);

	service(b, c, WEST, "most");
}

/* There was none of a kind, which the server had said; then one comes. */
static void work_on_the_first(struct bench *b)
{
	struct cache *c = listed(b, WEST);
	struct store_kind *k = store_api_kind(b->store, WEST, KIND_SERVICE_IMPORT);
	json_t *j = manifest_json_text(
		"{apiVersion: multicluster.x-k8s.io/v1alpha1, kind: ServiceImport, metadata: "
		"{name: app, namespace: demo}, spec: {type: ClusterSetIP, ports: [{port: 80}]}}");

	cache_listed(c, KIND_SERVICE_IMPORT);
	for (int i = 0; i < 100 && !is_there(b, WEST, KIND_ENDPOINT_SLICE); i++)
		run_ms(b, 100);
	run_ms(b, 100);
	assert_int_equal(store_api_upsert(k, j), STORE_CHANGED);
	json_decref(j);
}

static const char *names(struct bench *b, struct str cluster)
{
	static char buf[256];
	struct store_shot shot;
	size_t n = 0;

	buf[0] = '\0';
	store_shot_take(store_api_kind(b->store, cluster, KIND_SERVICE), &shot);
	for (uint32_t i = 0; i < shot.count; i++)
		n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%.*s ",
			STR_FMT(shot.objects[i]->name));
	store_shot_fini(&shot);
	return buf;
}

static void tear(const struct bench *b)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s.new", path_of(b, WEST, KIND_SERVICE));
	f = fopen(path, "a");
	assert_non_null(f);
	fputs("0123abcd +{\"apiVersion\":", f);
	fclose(f);
}

static void who_is_killed_loses_nothing(void **state)
{
	struct bench *b = *state;
	struct cache *c;

	killed(b, work_once);
	c = cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD);
	assert_true(suffices(c));
	assert_string_equal(names(b, WEST), "more ");
	restart(b); /* it did not take part: nothing was written */
	tear(b);    /* killed within a line, which costs this line only */
	killed(b, work_again);
	c = cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD);
	assert_string_equal(names(b, WEST), "more most ");
	store_api_gate(b->store, WEST);
	cache_takes_part(c);
	restart(b);
	assert_int_equal(counter(b, CACHE_CHANGES), 0);
	c = cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD);
	assert_string_equal(names(b, WEST), "more most ");
}

static void who_is_killed_keeps_the_first_of_a_kind(void **state)
{
	struct bench *b = *state;

	killed(b, work_on_the_first);
	cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD);
	assert_int_equal(services(b, WEST), 1);
	assert_int_equal(store_api_count(store_api_kind(b->store, WEST, KIND_SERVICE_IMPORT)), 1);
}

/* What came after a file means nothing without it. */
static void changes_go_with_their_file(void **state)
{
	struct bench *b = *state;
	struct cache *c;

	killed(b, work_once);
	break_file(b, KIND_SERVICE, "rubbish");
	c = cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD);
	assert_string_equal(names(b, WEST), "");
	service(b, c, WEST, "other");
	cache_listed(c, KIND_SERVICE);
	store_api_gate(b->store, WEST);
	cache_takes_part(c);
	restart(b);
	cache_open(b->caches, WEST, CLUSTER_ROLE_WORKLOAD);
	assert_string_equal(names(b, WEST), "other ");
}

static void names_are_no_way_out(void **state)
{
	struct bench *b = *state;

	assert_null(cache_open(b->caches, STR("../us-west"), CLUSTER_ROLE_WORKLOAD));
	assert_null(cache_open(b->caches, STR(".."), CLUSTER_ROLE_WORKLOAD));
	assert_null(cache_open(b->caches, STR(""), CLUSTER_ROLE_WORKLOAD));
	assert_null(cache_open(NULL, WEST, CLUSTER_ROLE_WORKLOAD));
	assert_false(suffices(NULL));
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(a_clean_end_and_a_start_lose_nothing),
		ROW(changes_are_written_in_a_while_and_together),
		ROW(nothing_is_written_of_a_cluster_that_does_not_take_part),
		ROW(a_list_ends_being_from_disk),
		ROW(a_bad_file_costs_its_kind_and_is_replaced),
		ROW(a_bad_file_of_a_kind_that_may_be_missing_is_waited_for),
		ROW(a_cluster_that_is_dropped_takes_its_files_with_it),
		ROW(clusters_that_nobody_names_are_swept),
		ROW(the_age_is_that_of_the_last_look),
		ROW(a_disk_that_refuses_is_counted_and_does_no_harm),
		ROW(who_is_killed_loses_nothing),
		ROW(who_is_killed_keeps_the_first_of_a_kind),
		ROW(changes_go_with_their_file),
		ROW(names_are_no_way_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
