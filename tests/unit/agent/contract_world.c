// SPDX-License-Identifier: Apache-2.0
/*
 * contract_world.c: see contract_world.h.
 */
#include "tests/unit/agent/contract_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <dirent.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/publish/publish_state.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/snapshot/snapshot.h"

/* The sanitizer cannot see the atomics inside nng (link_test.c says more). */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:pthread_mutex_destroy";
}

/* -- workers --------------------------------------------------------------------------------- */

static void worker_weights(struct world_worker *me, const struct weight_vector *v)
{
	uint64_t sum = 0;

	for (uint32_t k = 0; k < v->count; k++)
		sum += v->w[k];
	bug_on(sum != v->total || v->count != 2);
	if (v->rule_id == world_rule_id(0)) {
		atomic_store(&me->seen_w[0], v->w[0]);
		atomic_store(&me->seen_w[1], v->w[1]);
	}
}

static void worker_endpoints(struct world_worker *me, const struct endpoint_set *e)
{
	for (uint32_t k = 0; k < e->count; k++)
		bug_on(e->e[k].slot >= SLOTS_ENDPOINT_MAX || e->e[k].port != 8080);
	if (e->service_id == world_service_id(0))
		atomic_store(&me->seen_endpoints, e->count);
}

/* Everything a real worker would trust. */
static void worker_look(struct world_worker *me, const struct config *c)
{
	bug_on(c->snap->generation != c->generation);
	for (uint32_t i = 0; i < c->rule_count; i++) {
		bug_on(c->rules[i].slot >= SLOTS_RULE_MAX);
		worker_weights(me, config_weights(c, i));
	}
	for (uint32_t i = 0; i < c->service_count; i++)
		worker_endpoints(me, config_endpoints(c, i));
	bug_on(c->tcp_listeners->count != c->listener_count || c->vip_count != c->listener_count);
	atomic_store(&me->seen_serial, c->serial);
}

/* Stops in the middle of a turn, then reads once more what it took before. */
static void worker_hang(struct world_worker *me, const struct config *c)
{
	const struct weight_vector *v = config_weights(c, 0);
	const struct endpoint_set *e = config_endpoints(c, 0);
	struct world *w = me->world;

	atomic_store(&w->hung, true);
	while (atomic_load(&w->hang) && !atomic_load(&w->stop))
		usleep(1000);
	atomic_store(&w->hung, false);
	worker_weights(me, v);
	worker_endpoints(me, e);
	worker_look(me, c);
}

static void *worker_main(void *arg)
{
	struct world_worker *me = arg;
	struct world *w = me->world;

	rte_rcu_qsbr_thread_register(w->group.qsbr, me->index);
	rte_rcu_qsbr_thread_online(w->group.qsbr, me->index);
	while (!atomic_load(&w->stop)) {
		const struct config *c;

		rte_rcu_qsbr_quiescent(w->group.qsbr, me->index);
		c = atomic_load_explicit(&w->group.config, memory_order_acquire);
		if (c != NULL)
			worker_look(me, c);
		if (c != NULL && me->index == 1 && atomic_load(&w->hang))
			worker_hang(me, c);
		atomic_fetch_add(&me->turns, 1);
		usleep(50);
	}
	rte_rcu_qsbr_thread_offline(w->group.qsbr, me->index);
	rte_rcu_qsbr_thread_unregister(w->group.qsbr, me->index);
	return NULL;
}

static void workers_start(struct world *w)
{
	size_t bytes = rte_rcu_qsbr_get_memsize(WORKERS_MAX);

	w->group = (struct worker_group){.count = WORLD_WORKERS};
	w->group.qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, bytes);
	rte_rcu_qsbr_init(w->group.qsbr, WORKERS_MAX);
	atomic_store(&w->stop, false);
	atomic_store(&w->hang, false);
	atomic_store(&w->hung, false);
	for (unsigned i = 0; i < WORLD_WORKERS; i++) {
		struct world_worker *me = &w->workers[i];

		me->world = w;
		me->index = i;
		atomic_store(&me->seen_serial, 0);
		assert_int_equal(pthread_create(&me->thread, NULL, worker_main, me), 0);
	}
}

static void workers_stop(struct world *w)
{
	atomic_store(&w->stop, true);
	for (unsigned i = 0; i < WORLD_WORKERS; i++)
		pthread_join(w->workers[i].thread, NULL);
}

/* -- both ends ------------------------------------------------------------------------------- */

void world_open(struct world *w)
{
	memset(w, 0, sizeof(*w));
	snprintf(w->dir, sizeof(w->dir), "/tmp/sluice-contract-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->dp_dir, sizeof(w->dp_dir), "%s/dp", w->dir);
	snprintf(w->control_dir, sizeof(w->control_dir), "%s/control", w->dir);
	snprintf(w->url, sizeof(w->url), "ipc://%s/dp.ipc", w->dir);
	assert_int_equal(mkdir(w->dp_dir, 0700), 0);
	assert_int_equal(mkdir(w->control_dir, 0700), 0);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

void world_close(struct world *w)
{
	world_control_stop(w);
	world_dataplane_stop(w);
	nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A JSON object with a text of {"bytes": n} in it. */
static bool verb_long(struct agent *a, void *ctx, struct agent_query *q)
{
	size_t n = (size_t)json_integer_value(json_object_get(q->args, "bytes"));
	char *text = malloc(n + 1);

	memset(text, 'x', n);
	q->answer = json_object();
	json_object_set_new(q->answer, "text", json_stringn(text, n));
	free(text);
	return false;
}

/* Takes {"steps": n} turns of the agent. */
static bool verb_slow(struct agent *a, void *ctx, struct agent_query *q)
{
	if (q->answer == NULL)
		q->answer = json_object();
	usleep(1000);
	return q->step + 1 < (unsigned)json_integer_value(json_object_get(q->args, "steps"));
}

void world_dataplane_start(struct world *w)
{
	static const struct agent_verb verbs[] = {{"long", verb_long}, {"slow", verb_slow}};
	static const struct agent_ops ops = {.verbs = verbs, .verb_count = 2};
	const struct agent_config cfg = {.name = "dp0", .url = w->url, .state_dir = w->dp_dir};
	struct err err;

	workers_start(w);
	if (agent_start(&cfg, &w->group, &ops, &w->agent, &err) != 0)
		fail_msg("%s", err.msg);
}

void world_dataplane_stop(struct world *w)
{
	if (w->agent == NULL)
		return;
	workers_stop(w);
	agent_stop(w->agent);
	agent_free(w->agent);
	w->agent = NULL;
	free(w->group.qsbr);
}

static void on_change(void *arg)
{
	struct world *w = arg;

	w->changes++;
	w->told_live = pub_dataplane_is_live(&w->publish->dps[0], clock_mono_us());
}

void world_control_start(struct world *w)
{
	const struct publish_target target = {.name = STR("dp0"), .url = w->url};
	const struct publish_config cfg = {.name = STR("test"),
		.state_dir = w->control_dir,
		.targets = &target,
		.target_count = 1,
		.on_change = on_change,
		.arg = w};
	struct err err;

	if (publish_new(&cfg, &w->publish, &err) != 0)
		fail_msg("%s", err.msg);
}

void world_control_stop(struct world *w)
{
	publish_free(w->publish);
	w->publish = NULL;
}

void world_file(const struct world *w, uint64_t number, const char *kind, char path[256])
{
	for (uint64_t n = number ? number : 1000; n > 0; n--) {
		snprintf(path, 256, "%s/%lu.%s", w->dp_dir, n, kind);
		if (number != 0 || access(path, F_OK) == 0)
			return;
	}
	fail_msg("no %s in %s", kind, w->dp_dir);
}

bool world_run_until(struct world *w, bool (*cond)(struct world *w, uint64_t arg), uint64_t arg)
{
	uint64_t end = clock_mono_us() + WORLD_WAIT_MS * 1000;

	while (cond == NULL || !cond(w, arg)) {
		struct pollfd fd = {.fd = publish_poll_fd(w->publish), .events = POLLIN};

		if (clock_mono_us() > end)
			return false;
		if (poll(&fd, 1, 5) > 0)
			publish_dispatch(w->publish);
	}
	return true;
}

static bool is_over(struct world *w, uint64_t end)
{
	return clock_mono_us() >= end;
}

bool world_run(struct world *w, unsigned ms)
{
	return world_run_until(w, is_over, clock_mono_us() + ms * 1000);
}

void world_run_child(const char *dir)
{
	static struct world w;

	snprintf(w.dir, sizeof(w.dir), "%s", dir);
	snprintf(w.dp_dir, sizeof(w.dp_dir), "%s/dp", dir);
	snprintf(w.url, sizeof(w.url), "ipc://%s/dp.ipc", dir);
	world_dataplane_start(&w);
	for (;;)
		pause();
}

void world_turn(struct world *w)
{
	uint64_t before[WORLD_WORKERS];

	for (unsigned i = 0; i < WORLD_WORKERS; i++)
		before[i] = atomic_load(&w->workers[i].turns);
	for (unsigned i = 0; i < WORLD_WORKERS; i++)
		for (unsigned n = 0; atomic_load(&w->workers[i].turns) == before[i]; n++) {
			if (n == WORLD_WAIT_MS * 10)
				fail_msg("worker %u stands still", i);
			usleep(100);
		}
}

struct publish_state world_state_of(struct world *w)
{
	struct publish_state s;

	publish_state(w->publish, 0, &s);
	return s;
}

bool world_is_synced(struct world *w, uint64_t arg)
{
	return world_state_of(w).synced;
}

bool world_is_applied(struct world *w, uint64_t revision)
{
	return publish_is_applied(w->publish, revision);
}

bool world_is_connected(struct world *w, uint64_t yes)
{
	return world_state_of(w).connected == (yes != 0);
}

struct answer {
	bool done;
	enum message_result status;
	json_t *json;
};

static void on_answer(void *arg, enum message_result status, struct str text)
{
	struct answer *a = arg;

	assert_false(a->done);
	a->done = true;
	a->status = status;
	a->json = status == MESSAGE_RESULT_OK ? json_loadb(text.p, text.len, 0, NULL) : NULL;
}

static bool is_answered(struct world *w, uint64_t arg)
{
	return ((const struct answer *)(uintptr_t)arg)->done;
}

static struct answer ask(struct world *w, const char *verb, const char *args)
{
	struct answer a = {0};

	assert_true(publish_query(w->publish, 0, str_of(verb), str_of(args), on_answer, &a) != 0);
	assert_false(a.done);
	assert_true(world_run_until(w, is_answered, (uintptr_t)&a));
	return a;
}

json_t *world_query(struct world *w, const char *verb, const char *args)
{
	struct answer a = ask(w, verb, args);

	assert_int_equal(a.status, MESSAGE_RESULT_OK);
	assert_true(json_is_object(a.json));
	return a.json;
}

enum message_result world_query_status(struct world *w, const char *verb, const char *args)
{
	struct answer a = ask(w, verb, args);

	json_decref(a.json);
	return a.status;
}

int64_t world_counter(struct world *w, const char *name)
{
	json_t *j = world_query(w, "config", ""), *row;
	int64_t value = -1;
	size_t i;

	json_array_foreach (json_object_get(j, "counters"), i, row)
		if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0)
			value = json_integer_value(json_object_get(row, "value"));
	json_decref(j);
	assert_true(value >= 0);
	return value;
}

int64_t world_config_int(struct world *w, const char *key)
{
	json_t *j = world_query(w, "config", "");
	int64_t value = json_integer_value(json_object_get(j, key));

	json_decref(j);
	return value;
}
