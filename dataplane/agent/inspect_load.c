// SPDX-License-Identifier: Apache-2.0
/*
 * inspect_load.c: what a site says of itself once a second, in a few numbers; and what control
 * knows of other sites, for suspicion.
 *
 * A worker's load is the share of time that it did not sleep, times the share of its turns that did
 * something: near enough for a busy and for an adaptive loop. It covers the time since the last
 * question.
 */
#include <string.h>

#include "dataplane/agent/agent_json.h"
#include "dataplane/agent/inspect.h"
#include "dataplane/base/clock.h"
#include "dataplane/http/http.h"

struct cluster_load {
	struct str name;
	uint64_t id, requests;
	unsigned ready, usable;
	uint64_t unready;
	bool suspected;
};

struct loads {
	struct cluster_load c[SUSPICION_CLUSTERS_MAX];
	unsigned count;
};

static unsigned busy_permille(struct inspect_load *was, const struct inspect_load *now)
{
	uint64_t us = now->at_us - was->at_us, nap = now->nap_us - was->nap_us;
	uint64_t working = now->working - was->working;
	uint64_t turns = working + now->empty - was->empty;
	uint64_t awake = us > nap ? us - nap : 0;

	if (was->at_us == 0 || us == 0 || turns == 0)
		return 0;
	return (unsigned)(1000 * awake / us * working / turns);
}

/* Of the busiest worker. */
static unsigned take_busy(struct inspect *in, uint64_t now_us)
{
	unsigned max = 0;

	for (unsigned i = 0; i < in->g->count; i++) {
		const uint64_t *c = in->g->w[i]->stats.counters;
		const struct inspect_load now = {
			.at_us = now_us,
			.working = __atomic_load_n(&c[WORKER_C_TURNS_WORK], __ATOMIC_RELAXED),
			.empty = __atomic_load_n(&c[WORKER_C_TURNS_EMPTY], __ATOMIC_RELAXED),
			.nap_us = __atomic_load_n(&c[WORKER_C_NAP_US], __ATOMIC_RELAXED),
		};
		unsigned busy = busy_permille(&in->load[i], &now);

		in->load[i] = now;
		max = busy > max ? busy : max;
	}
	return max < 1000 ? max : 1000;
}

static struct cluster_load *cluster_of(struct loads *l, uint64_t id, struct str name)
{
	for (unsigned i = 0; i < l->count; i++)
		if (l->c[i].id == id)
			return &l->c[i];
	if (l->count == SUSPICION_CLUSTERS_MAX)
		return NULL;
	l->c[l->count] = (struct cluster_load){.name = name, .id = id};
	return &l->c[l->count++];
}

static void take_clusters(struct agent *a, const struct inspect *in, struct loads *ret)
{
	const struct health *h = &a->ctx.health;

	for (uint32_t slot = 0; slot < h->top; slot++) {
		const struct health_endpoint *e = &h->ep[slot];
		const struct slot *s;
		struct cluster_load *c;

		if (e->id == 0 || e->cluster == 0)
			continue;
		s = slots_get(&a->ctx.slots, AGENT_SLOT_ENDPOINT, slot);
		c = cluster_of(ret, e->cluster, str_of(s->cluster));
		if (c == NULL)
			continue;
		c->ready++;
		c->usable += health_verdict(h->board, slot) == 0;
		c->suspected |= e->suspected;
		c->requests += inspect_object_counter(in, COUNTER_ENDPOINT, slot,
			COUNTER_ENDPOINT_REQUESTS);
	}
}

/* Pods that do not get ready are their cluster's all the same, and may be all that it has. */
static void take_unready(const struct agent *a, struct loads *ret)
{
	struct derive_unready u[SUSPICION_CLUSTERS_MAX];
	uint32_t count = derive_unready(&a->ctx, u, SUSPICION_CLUSTERS_MAX);

	for (uint32_t i = 0; i < count; i++) {
		uint64_t id = health_cluster_id(u[i].cluster);
		struct cluster_load *c = id != 0 ? cluster_of(ret, id, u[i].cluster) : NULL;

		if (c != NULL)
			c->unready = u[i].unready;
	}
}

static uint64_t all_requests(const struct inspect *in)
{
	struct worker_work work;
	uint64_t sum = 0;

	for (unsigned i = 0; i < in->g->count; i++) {
		worker_work(in->g->w[i], &work);
		sum += work.requests;
	}
	return sum;
}

/* "silent": the clusters whose own site control does not hear. */
static void take_peers(struct agent *a, const json_t *silent, const struct loads *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		bool found = false;
		json_t *name;
		size_t k;

		json_array_foreach (silent, k, name)
			found |= json_is_string(name) &&
				str_eq(str_of(json_string_value(name)), l->c[i].name);
		health_peer_silent(&a->ctx.health, l->c[i].id, found);
	}
}

static json_t *clusters_json(const struct loads *l)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < l->count; i++)
		json_array_append_new(list,
			json_pack("{s:o, s:I, s:i, s:i, s:b, s:I}", "name",
				agent_json_str(l->c[i].name), "total",
				(json_int_t)(l->c[i].ready + l->c[i].unready), "ready",
				(int)l->c[i].ready, "usable", (int)l->c[i].usable, "silent",
				l->c[i].suspected, "requests", (json_int_t)l->c[i].requests));
	return list;
}

bool inspect_load(struct agent *a, void *ctx, struct agent_query *q)
{
	struct inspect *in = ctx;
	struct loads l = {.count = 0};

	if (a->ctx.live != NULL)
		take_clusters(a, in, &l);
	take_unready(a, &l);
	take_peers(a, json_object_get(q->args, "silent"), &l);
	q->answer = json_pack("{s:I, s:i, s:b, s:b, s:o}", "requests", (json_int_t)all_requests(in),
		"busy_permille", (int)take_busy(in, clock_mono_us()), "draining",
		atomic_load_explicit(&in->g->draining, memory_order_relaxed), "suspect",
		a->ctx.health.suspicion.on, "clusters", clusters_json(&l));
	return false;
}
