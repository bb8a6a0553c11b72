// SPDX-License-Identifier: Apache-2.0
/*
 * status.c: plans come in, passes go over all objects; the life of the writers.
 */
#include "control/status/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/status/status_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"

#define PASS_US 10000u	    /* what comes together is looked at together */
#define PASS_SHARE 10u	    /* passes take at most this part of the loop's time, ... */
#define PASS_MAX_US 500000u /* ... but come this often */
#define STOP_US 2000000u    /* for giving Leases back */

const struct status_counter_info status_counter_info[STATUS_COUNTER_COUNT] = {
#define STATUS_COUNTER(NAME, name, help) [STATUS_##NAME] = {name, help},
#include "control/status/status.def"
#undef STATUS_COUNTER
};

const struct status_counter_info status_why_info[STATUS_WHY_COUNT] = {
#define STATUS_WHY(NAME, word, help) [STATUS_WHY_##NAME] = {word, help},
#include "control/status/why.def"
#undef STATUS_WHY
};

int64_t status_wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void status_instance(const char *state_dir, char *buf, size_t size)
{
	static const struct hash_key key = {{0x736c756963652d69ull, 0x6e7374616e636531ull}};
	char boot[64] = "", host[65] = "control";
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	struct stat st;
	uint64_t h;

	if (f != NULL && fgets(boot, sizeof(boot), f) == NULL)
		boot[0] = '\0';
	if (f != NULL)
		fclose(f);
	gethostname(host, sizeof(host) - 1);
	h = hash_mix(siphash(&key, boot, strlen(boot)),
		siphash(&key, state_dir, strlen(state_dir)));
	/* containers of one host may have one path and one host name, but not one directory */
	if (stat(state_dir, &st) == 0)
		h = hash_mix(h, hash_mix((uint64_t)st.st_dev, (uint64_t)st.st_ino));
	snprintf(buf, size, "%s_%016" PRIx64, host, h);
}

/* --- writers --- */

static void writer_connect(struct writer *w)
{
	struct kube_cluster *kube = w->status->ops.kube(w->status->ops.arg, w->name);

	if (kube == w->kube || w->kube != NULL || w->status->controller[0] == '\0')
		return;
	w->kube = kube;
	leader_start(w);
}

struct writer *writer_get(struct status *s, struct str cluster)
{
	struct writer *w;

	for (uint32_t i = 0; i < s->writers_count; i++)
		if (str_eq(s->writers[i]->name, cluster))
			return s->writers[i];
	bug_on(s->writers_count == CLUSTERS_MAX);
	w = calloc(1, sizeof(*w));
	bug_on(w == NULL);
	w->status = s;
	w->name = (struct str){strndup(cluster.p, cluster.len), cluster.len};
	list_init(&w->urgent);
	list_init(&w->normal);
	list_init(&w->delayed);
	list_init(&w->events);
	lease_init(&w->lease, s->instance);
	s->writers[s->writers_count++] = w;
	writer_connect(w);
	return w;
}

/* Nothing that was asked will be answered. */
static void writer_disconnect(struct writer *w)
{
	struct status *s = w->status;

	if (w->kube == NULL)
		return;
	leader_stop(w);
	announce_drop(w);
	for (uint32_t i = 0; i < ENTRY_BUCKETS; i++)
		list_for_each (l, &s->buckets[i]) {
			struct entry *e = list_entry(l, struct entry, bucket);

			if (e->writer != w)
				continue;
			e->under_way = false;
			e->looked_at = 0;
		}
	w->under_way = 0;
	w->kube = NULL;
}

static void writer_free(struct writer *w)
{
	struct status *s = w->status;

	writer_disconnect(w);
	for (uint32_t i = 0; i < ENTRY_BUCKETS; i++)
		list_for_each_safe (l, &s->buckets[i]) {
			struct entry *e = list_entry(l, struct entry, bucket);

			if (e->writer == w)
				entry_free(e);
		}
	free((char *)w->name.p);
	free(w);
}

/*
 * Of clusters that are gone nothing is left to be written; others may come with names of their own.
 * So there are never more writers than sources have clusters.
 */
static void drop_gone(struct status *s)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->writers_count; i++) {
		struct writer *w = s->writers[i];

		if (w->kube == NULL && s->ops.kube(s->ops.arg, w->name) == NULL)
			writer_free(w);
		else
			s->writers[kept++] = w;
	}
	s->writers_count = kept;
}

void status_cluster_closed(struct status *s, struct str cluster)
{
	for (uint32_t i = 0; s != NULL && i < s->writers_count; i++)
		if (str_eq(s->writers[i]->name, cluster))
			writer_disconnect(s->writers[i]);
}

/* --- passes --- */

static void schedule_pass(struct status *s)
{
	uint64_t now = clock_mono_us(), rest = s->pass_cost_us * PASS_SHARE;
	uint64_t at = s->pass_end_us + (rest < PASS_MAX_US ? rest : PASS_MAX_US);
	uint64_t wait = at > now ? at - now : 0;

	if (!loop_timer_is_set(&s->pass_timer))
		loop_timer_set(s->loop, &s->pass_timer, wait > PASS_US ? wait : PASS_US);
}

/* Another controllerName is another's part of every status, and another Lease. */
static void take_config(struct status *s, const struct control_config *config)
{
	bool other = !str_eq(str_of(s->controller), config->controller_name) ||
		!str_eq(str_of(s->lease_namespace), config->lease_namespace);

	if (!other)
		return;
	for (uint32_t i = 0; i < s->writers_count; i++) {
		struct kube_call *call = s->writers[i]->lease_call;

		leader_stop(s->writers[i]);
		kube_call_cancel(call);
	}
	snprintf(s->controller, sizeof(s->controller), "%.*s", STR_FMT(config->controller_name));
	snprintf(s->lease_namespace, sizeof(s->lease_namespace), "%.*s",
		STR_FMT(config->lease_namespace));
	for (uint32_t i = 0; i < s->writers_count; i++)
		if (s->writers[i]->kube != NULL)
			leader_start(s->writers[i]);
}

static void queue_changed(struct status *s)
{
	for (uint32_t i = 0; i < ENTRY_BUCKETS; i++)
		list_for_each (l, &s->buckets[i]) {
			struct entry *e = list_entry(l, struct entry, bucket);
			const struct object *o;

			if (e->under_way || (list_is_linked(&e->queue) && !e->resting))
				continue;
			o = store_latest(s->store, e->kind, e->writer->name, e->ns, e->name);
			if (e->looked_at != version_hash(o != NULL ? o->resource_version : STR("")))
				writer_queue_changed(e);
		}
}

static void on_pass(void *arg)
{
	struct status *s = arg;
	uint64_t start = clock_mono_us();

	drop_gone(s);
	for (uint32_t i = 0; i < s->writers_count; i++)
		writer_connect(s->writers[i]);
	if (s->plan != NULL) {
		take_config(s, s->plan->config);
		wanted_build(s, s->plan);
		plan_put(s->plan);
		s->plan = NULL;
	}
	queue_changed(s);
	s->pass_end_us = clock_mono_us();
	s->pass_cost_us = s->pass_end_us - start;
	writer_soon(s, 0);
}

void status_update(struct status *s, struct plan *p, bool acked)
{
	struct plan **slot = acked ? &s->plan : &s->next;

	if (acked) {
		plan_put(s->next);
		s->next = NULL;
		loop_timer_stop(&s->grace_timer);
	}
	plan_get(p);
	plan_put(*slot);
	*slot = p;
	if (acked)
		schedule_pass(s);
	else if (!loop_timer_is_set(&s->grace_timer))
		loop_timer_set(s->loop, &s->grace_timer, STATUS_GRACE_US);
}

bool status_uses(const struct status *s, const struct control_config *config)
{
	return (s->plan != NULL && s->plan->config == config) ||
		(s->next != NULL && s->next->config == config);
}

static void on_grace(void *arg)
{
	struct status *s = arg;

	plan_put(s->plan);
	s->plan = s->next;
	s->next = NULL;
	schedule_pass(s);
}

void status_on_change(struct status *s)
{
	schedule_pass(s);
}

static void on_pump(void *arg)
{
	writer_pump(arg);
}

/* --- begin and end --- */

static void on_stop(void *arg)
{
	struct status *s = arg;
	void (*stopped)(void *) = s->stopped;

	for (uint32_t i = 0; i < s->writers_count; i++)
		if (s->writers[i]->lease.held && clock_mono_us() < s->pass_end_us + STOP_US) {
			loop_timer_set(s->loop, &s->stop_timer, STOP_US / 20);
			return;
		}
	s->stopped = NULL;
	if (stopped != NULL)
		stopped(s->stopped_arg);
}

void status_stop(struct status *s, void (*done)(void *arg), void *arg)
{
	if (s->stopping)
		return;
	s->stopping = true;
	s->stopped = done;
	s->stopped_arg = arg;
	s->pass_end_us = clock_mono_us();
	loop_timer_stop(&s->pass_timer);
	loop_timer_stop(&s->grace_timer);
	for (uint32_t i = 0; i < s->writers_count; i++)
		if (!leader_release(s->writers[i]))
			s->writers[i]->lease.held = false;
	loop_timer_set(s->loop, &s->stop_timer, 0);
}

struct status *status_new(struct loop *loop, struct store *store, const struct status_ops *ops,
	const char *instance)
{
	struct status *s = calloc(1, sizeof(*s));
	uint64_t seed;

	bug_on(s == NULL);
	s->loop = loop;
	s->store = store;
	s->ops = *ops;
	snprintf(s->instance, sizeof(s->instance), "%s", instance);
	s->buckets = calloc(ENTRY_BUCKETS, sizeof(*s->buckets));
	s->events = calloc(1, sizeof(*s->events));
	bug_on(s->buckets == NULL || s->events == NULL);
	for (uint32_t i = 0; i < ENTRY_BUCKETS; i++)
		list_init(&s->buckets[i]);
	rng_secret(&seed, sizeof(seed));
	rng_seed(&s->rng, seed);
	loop_timer_init(&s->pass_timer, on_pass, s);
	loop_timer_init(&s->grace_timer, on_grace, s);
	loop_timer_init(&s->pump_timer, on_pump, s);
	loop_timer_init(&s->stop_timer, on_stop, s);
	return s;
}

void status_free(struct status *s)
{
	if (s == NULL)
		return;
	loop_timer_stop(&s->pass_timer);
	loop_timer_stop(&s->grace_timer);
	loop_timer_stop(&s->pump_timer);
	loop_timer_stop(&s->stop_timer);
	for (uint32_t i = 0; i < s->writers_count; i++)
		writer_free(s->writers[i]);
	plan_put(s->plan);
	plan_put(s->next);
	free(s->buckets);
	free(s->events);
	free(s);
}
