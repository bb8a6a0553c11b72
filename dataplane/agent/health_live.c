// SPDX-License-Identifier: Apache-2.0
/*
 * health_live.c: where health meets the configuration in use, the workers and the log.
 *
 * A few milliseconds apart: results of probes are taken from the workers' rings; if a worker has
 * news of traffic, or somebody is out, what workers have seen of endpoints is read; and after a
 * change of the configuration all endpoints are listed anew. Nothing here waits for a worker.
 */
#include <stdlib.h>

#include "dataplane/agent/live.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/log.h"
#include "dataplane/http/http.h"
#include "dataplane/worker/worker.h"

#define LOOK_US 5000u	   /* between two looks */
#define TRAFFIC_US 100000u /* between looks at endpoints while one is out */
#define LIST_US 20000u	   /* between listings, when changes come in a row */
#define BATCH 256u	   /* results judged together */
#define BATCHES_MAX 32u	   /* of one worker per look */
#define LINES_PER_S 50u	   /* in the log; the counters know all */

/* -- log ------------------------------------------------------------------------------------- */

/* False: enough has been said this second. */
static bool may_log(struct live_context *c, uint64_t now_us)
{
	struct health_live *v = &c->health_live;

	if (now_us - v->log_us >= 1000000u) {
		if (v->log_lines > LINES_PER_S)
			log_info("health", "msg=\"%u more verdicts have changed\"",
				v->log_lines - LINES_PER_S);
		v->log_us = now_us;
		v->log_lines = 0;
	}
	return v->log_lines++ < LINES_PER_S;
}

/* A verdict on the board has changed. */
static void on_changed(void *ctx, uint32_t slot, uint64_t now_us)
{
	struct live_context *c = ctx;
	const struct health_endpoint *e = &c->health.ep[slot];
	const struct slot *s = slots_get(&c->slots, AGENT_SLOT_ENDPOINT, slot);
	uint8_t v = health_verdict(&c->group->health, slot);

	live_health_changed(c, slot);
	if (e->suspected || e->id == 0 || !may_log(c, now_us))
		return;
	log_info("health", "endpoint=%s cluster=%s usable=%d why=%s", s->name ? s->name : "",
		s->cluster ? s->cluster : "", v == 0,
		verdict_why_str(health_why(&c->health, e, now_us)));
}

static void note_suspicion(struct live_context *c)
{
	const struct suspicion *s = &c->health.suspicion;
	unsigned clusters = 0;

	if (s->on == c->health_live.suspected)
		return;
	c->health_live.suspected = s->on;
	live_health_frozen(c, s->on);
	for (unsigned i = 0; i < SUSPICION_CLUSTERS_MAX; i++)
		clusters += s->c[i].suspected;
	if (s->on)
		log_warn("health",
			"msg=\"%u remote clusters fell silent together: we suspect our own site, "
			"judge none of them and send nothing new there\"",
			clusters);
	else
		log_info("health", "msg=\"a suspected cluster answers: suspicion is over\"");
}

/* -- who is there ---------------------------------------------------------------------------- */

static struct health_policy policy_of(const struct build_policy *p)
{
	struct health_policy h = {.rise = p->rise,
		.fall = p->fall,
		.check = {.method = p->method,
			.path = p->path,
			.host = p->host,
			.interval_us = (uint64_t)p->interval_ms * 1000u,
			.timeout_us = (uint64_t)p->timeout_ms * 1000u,
			.status_count = p->status_count,
			.kind = p->probe},
		.rules = {.base_ms = p->base_ejection_ms,
			.max_ms = p->max_ejection_ms,
			.errors = p->consecutive_5xx,
			.failures = p->consecutive_local_failures,
			.percent = p->max_ejection_percent,
			.given = true}};

	for (unsigned i = 0; i < BUILD_STATUS_RANGES_MAX; i++)
		h.check.status[i] = p->status[i];
	return h;
}

static void list_policies(struct live_context *c)
{
	const struct snapshot *s = &c->live->snap;
	uint32_t count = snapshot_count(s, SNAPSHOT_POLICY) + 1;
	struct health_policy *p = calloc(count, sizeof(*p));

	bug_on(p == NULL);
	for (uint32_t i = 0; i < count; i++) {
		struct build_policy b;

		snapshot_policy_read(s, i, &b);
		p[i] = policy_of(&b);
	}
	health_list_begin(&c->health, p, count);
	free(p);
}

/* The clusters of other sites among those of a service. */
struct remotes {
	uint64_t id[BUILD_CLUSTERS_MAX];
	uint32_t count;
};

static void remotes_of(const struct derive_service *d, struct remotes *ret)
{
	ret->count = 0;
	for (uint32_t i = 0; i < d->count && ret->count < BUILD_CLUSTERS_MAX; i++)
		if (d->c[i].part.remote)
			ret->id[ret->count++] = health_cluster_id(d->c[i].name);
}

static bool is_remote(const struct remotes *r, uint64_t id)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (r->id[i] == id)
			return true;
	return false;
}

static void list_service(struct live_context *c, uint32_t service)
{
	struct snapshot_service r = snapshot_service(&c->live->snap, service);
	const struct endpoint_set *set = config_endpoints(&c->live->cfg, service);
	struct remotes remotes;

	remotes_of(c->live->derived[service], &remotes);
	for (uint32_t i = 0; i < set->count; i++) {
		const struct endpoint *e = &set->e[i];
		const struct slot *s = slots_get(&c->slots, AGENT_SLOT_ENDPOINT, e->slot);
		uint64_t cluster = health_cluster_id(str_of(s->cluster));

		health_list_add(&c->health,
			&(struct health_listed){.id = e->id,
				.cluster = cluster,
				.addr = e->addr,
				.slot = e->slot,
				.port = e->port,
				.policy = (uint16_t)r.policy,
				.remote = is_remote(&remotes, cluster),
				.draining = e->draining});
	}
}

static void list_all(struct live_context *c, uint64_t now_us)
{
	list_policies(c);
	for (uint32_t i = 0; i < c->live->cfg.service_count; i++)
		list_service(c, i);
	health_list_end(&c->health, now_us);
	c->health_live.stale = false;
	c->health_live.list_us = now_us;
}

static void free_list(void *ctx, void *obj, bool late)
{
	free(obj);
}

static void publish_list(struct live_context *c, uint64_t now_us)
{
	struct probe_list *old = NULL;
	const struct probe_list *list;

	if (!c->health.relist || !reclaim_has_room(&c->reclaim, 1, false))
		return;
	list = health_list_probes(&c->health, c->group->count, &old);
	if (list == NULL)
		return;
	atomic_store_explicit(&c->group->health.probes, list, memory_order_release);
	if (old != NULL)
		reclaim_add(&c->reclaim, free_list, old, false, false, now_us);
	worker_group_wake(c->group);
}

/* -- what the workers have ------------------------------------------------------------------- */

static void take_reports(struct live_context *c, uint64_t now_us)
{
	struct probe_report r[BATCH];

	for (unsigned w = 0; w < c->group->count; w++) {
		struct probe_ring *ring = http_probe_ring(c->group->w[w]->http);

		for (unsigned b = 0; b < BATCHES_MAX; b++) {
			unsigned n = 0;

			while (n < BATCH && probe_ring_take(ring, &r[n]))
				n++;
			if (n > 0)
				health_reports(&c->health, r, n, now_us);
			if (n < BATCH)
				break;
		}
	}
}

/* Everybody's sentence, success and time-outs; false: nobody has anything against it. */
static bool gather(const struct live_context *c, uint32_t slot, struct health_traffic *ret)
{
	const struct health_endpoint *e = &c->health.ep[slot];
	struct upstream_ref ref = {.id = e->id, .slot = slot};
	uint32_t timeouts = 0;

	*ret = (struct health_traffic){0};
	for (unsigned w = 0; w < c->group->count; w++) {
		struct upstream_endpoint_state st;

		upstream_endpoint_state(http_upstream(c->group->w[w]->http), slot, &st);
		if (st.endpoint_id != e->id)
			continue;
		timeouts += st.timeouts;
		if (st.sentence.until_us > ret->sentence.until_us)
			ret->sentence = st.sentence;
		if (st.good_us > ret->good_us)
			ret->good_us = st.good_us;
	}
	if (timeouts > 0)
		ret->timeouts = upstream_timeouts(http_upstream(c->group->w[0]->http), ref,
			&ret->timeouts_us);
	return timeouts > 0 || ret->sentence.until_us > 0;
}

static uint64_t news_of(const struct live_context *c)
{
	uint64_t news = 0;

	for (unsigned w = 0; w < c->group->count; w++)
		news += upstream_news(http_upstream(c->group->w[w]->http));
	return news;
}

static void look_at_traffic(struct live_context *c, uint64_t now_us)
{
	struct health_live *v = &c->health_live;
	uint64_t news = news_of(c);

	if (news == v->news && (!v->some_out || now_us - v->traffic_us < TRAFFIC_US))
		return;
	v->news = news;
	v->traffic_us = now_us;
	v->some_out = false;
	for (uint32_t i = 0; i < c->health.top; i++) {
		struct health_traffic t;

		if (c->health.ep[i].id == 0)
			continue;
		if (gather(c, i, &t) || c->health.ep[i].sentence.until_us != 0)
			health_traffic(&c->health, i, &t, now_us);
		v->some_out |= t.timeouts > 0 || sentence_holds(&c->health.ep[i].sentence, now_us);
	}
}

/* -- the agent's side ------------------------------------------------------------------------ */

void health_live_init(struct live_context *c)
{
	health_init(&c->health, &c->group->health);
	c->health.on_changed = on_changed;
	c->health.ctx = c;
}

void health_live_stale(struct live_context *c)
{
	c->health_live.stale = true;
}

void health_live_run(struct live_context *c, uint64_t now_us)
{
	struct health_live *v = &c->health_live;

	/* a group may have no workers yet, or in tests only their places */
	if (c->live == NULL || c->group->count == 0 || c->group->w[0] == NULL ||
		now_us - v->look_us < LOOK_US)
		return;
	v->look_us = now_us;
	if (v->stale && now_us - v->list_us >= LIST_US)
		list_all(c, now_us);
	take_reports(c, now_us);
	look_at_traffic(c, now_us);
	note_suspicion(c);
	publish_list(c, now_us);
}

bool health_live_is_running(const struct live_context *c)
{
	return c->health_live.stale || c->health.top > 0;
}
