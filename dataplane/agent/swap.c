// SPDX-License-Identifier: Apache-2.0
/*
 * swap.c: open -> slots -> build -> publish -> quiesce -> free. The only file that frees a
 * configuration.
 *
 * Nothing of the image is trusted before snapshot_open() has checked it. The struct config is
 * complete before its pointer is stored; the workers take it over at the start of their next turn,
 * and the previous one waits in the line of reclaim.h until all of them have.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "dataplane/agent/live.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/net/net.h"
#include "dataplane/snapshot/build.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/worker/worker.h"

/* The sources of upstream connections share net's table of addresses with the VIPs. */
#define VIPS_MAX (NET_ADDRS_MAX - WORKER_SOURCES_MAX)
static_assert(VIPS_MAX == BUILD_VIPS_MAX, "control keeps within it");

void live_init(struct live_context *c, struct worker_group *g, const struct agent_ops *ops)
{
	c->group = g;
	c->live = NULL;
	c->serial = 0;
	slots_init(&c->slots, ops);
	reclaim_init(&c->reclaim, g->qsbr, c);
	health_live_init(c);
}

void live_fini(struct live_context *c)
{
	reclaim_drain(&c->reclaim);
	if (c->live != NULL) {
		atomic_store_explicit(&c->group->config, NULL, memory_order_release);
		swap_discard(c, c->live);
		c->live = NULL;
	}
	health_fini(&c->health);
	slots_fini(&c->slots);
}

static bool acquire(struct live_context *c, enum agent_slot_kind kind, uint64_t id, struct str name,
	uint64_t now_us, uint32_t *ret)
{
	*ret = slots_acquire(&c->slots, kind, id, name, (struct str){0}, now_us);
	return *ret != SLOT_NONE;
}

/* Arrays of objects, none of their slots held yet. */
static uint32_t *listeners_new(struct live *l)
{
	uint32_t *a = arena_array(&l->arena, uint32_t, l->cfg.listener_count + 1);

	for (uint32_t i = 0; i < l->cfg.listener_count; i++)
		a[i] = SLOT_NONE;
	l->cfg.listener_slot = a;
	return a;
}

static struct config_rule *rules_new(struct live *l)
{
	struct config_rule *a = arena_alloc_lines(&l->arena, (l->cfg.rule_count + 1) * sizeof(*a));

	for (uint32_t i = 0; i < l->cfg.rule_count; i++) {
		struct snapshot_rule r = snapshot_rule(&l->snap, i);

		a[i].slot = SLOT_NONE;
		a[i].backend_first = r.backend_first;
		a[i].backend_count = r.backend_count;
		a[i].request_timeout_ms = r.request_timeout_ms;
		a[i].backend_timeout_ms = r.backend_timeout_ms;
	}
	l->cfg.rules = l->config_rules = a;
	return a;
}

static struct config_backend *backends_new(struct live *l)
{
	struct config_backend *a =
		arena_array(&l->arena, struct config_backend, l->cfg.backend_count + 1);

	for (uint32_t i = 0; i < l->cfg.backend_count; i++)
		a[i] = (struct config_backend){SLOT_NONE, snapshot_backend(&l->snap, i).service};
	l->cfg.backends = l->config_backends = a;
	return a;
}

/* The kind that ran out, or AGENT_SLOT_KIND_COUNT when every object has its slot. */
static enum agent_slot_kind build_slots(struct live_context *c, struct live *l, uint64_t now_us)
{
	const struct snapshot *s = &l->snap;
	uint32_t *listener = listeners_new(l);
	struct config_rule *rule = rules_new(l);
	struct config_backend *backend = backends_new(l);

	for (uint32_t i = 0; i < l->cfg.listener_count; i++) {
		struct snapshot_listener r = snapshot_listener(s, i);

		if (!acquire(c, AGENT_SLOT_LISTENER, r.id, snapshot_str(s, r.name), now_us,
			    &listener[i]))
			return AGENT_SLOT_LISTENER;
	}
	for (uint32_t i = 0; i < l->cfg.rule_count; i++) {
		struct snapshot_rule r = snapshot_rule(s, i);

		if (!acquire(c, AGENT_SLOT_RULE, r.id, snapshot_str(s, r.name), now_us,
			    &rule[i].slot))
			return AGENT_SLOT_RULE;
	}
	for (uint32_t i = 0; i < l->cfg.backend_count; i++) {
		struct snapshot_backend r = snapshot_backend(s, i);

		if (!acquire(c, AGENT_SLOT_BACKEND, r.id, snapshot_str(s, r.name), now_us,
			    &backend[i].slot))
			return AGENT_SLOT_BACKEND;
	}
	return AGENT_SLOT_KIND_COUNT;
}

static void build_weights(struct live *l)
{
	struct message_weight w[SNAPSHOT_RULE_BACKENDS_MAX];

	l->rules = arena_array(&l->arena, struct live_object, l->cfg.rule_count + 1);
	l->failover_of = arena_array(&l->arena, struct derive_rule *, l->cfg.rule_count + 1);
	l->failover = arena_array(&l->arena, struct derive_rule *, l->cfg.rule_count + 1);
	for (uint32_t i = 0; i < l->cfg.rule_count; i++) {
		struct snapshot_rule r = snapshot_rule(&l->snap, i);
		struct weight_vector *v =
			arena_alloc(&l->arena, sizeof(*v) + r.backend_count * sizeof(v->w[0]));

		bug_on(r.backend_count > SNAPSHOT_RULE_BACKENDS_MAX);
		v->rule_id = r.id;
		v->revision = l->revision;
		v->count = r.backend_count;
		for (uint32_t k = 0; k < r.backend_count; k++) {
			struct snapshot_backend b = snapshot_backend(&l->snap, r.backend_first + k);

			w[k] = (struct message_weight){b.id, b.weight};
			v->w[k] = b.weight;
			v->total += b.weight;
		}
		atomic_init(&l->config_rules[i].weights, v);
		l->rules[i] = (struct live_object){.epoch = l->epoch,
			.revision = l->revision,
			.digest = message_weights_digest(r.id, w, r.backend_count)};
		l->state += l->rules[i].digest;
	}
}

/* False: no slot left; the set holds those it lists. */
static bool fill_set(struct live_context *c, struct live *l, const struct snapshot_service *r,
	struct endpoint_set *set, struct message_endpoint *scratch, uint64_t now_us)
{
	const struct snapshot *s = &l->snap;

	for (uint32_t k = 0; k < r->endpoint_count; k++) {
		struct snapshot_endpoint e = snapshot_endpoint(s, r->endpoint_first + k);
		struct str name = snapshot_str(s, e.name), cluster = snapshot_str(s, e.cluster);
		uint32_t slot =
			slots_acquire(&c->slots, AGENT_SLOT_ENDPOINT, e.id, name, cluster, now_us);

		if (slot == SLOT_NONE)
			return false;
		set->e[set->count++] = (struct endpoint){.id = e.id,
			.addr = e.addr,
			.port = e.port,
			.weight = e.weight,
			.slot = slot,
			.draining = e.draining != 0};
		scratch[k] = (struct message_endpoint){e.id, e.addr, e.port, e.weight,
			e.draining != 0, name, cluster};
	}
	return true;
}

/* What the image knows of the clusters of a service; the number of them. */
static uint32_t clusters_of(const struct snapshot *s, const struct snapshot_service *r,
	struct message_cluster *ret)
{
	for (uint32_t k = 0; k < r->cluster_count; k++) {
		struct snapshot_service_cluster c =
			snapshot_service_cluster(s, r->cluster_first + k);

		ret[k] = (struct message_cluster){snapshot_str(s, c.name), c.priority,
			c.remote != 0, c.withheld, c.unready};
	}
	return r->cluster_count;
}

static bool build_endpoints(struct live_context *c, struct live *l, uint64_t now_us)
{
	uint32_t all = snapshot_count(&l->snap, SNAPSHOT_ENDPOINT);
	struct message_endpoint *scratch = calloc(all + 1, sizeof(*scratch));
	bool fits = true;

	bug_on(scratch == NULL);
	l->services = arena_array(&l->arena, struct live_object, l->cfg.service_count + 1);
	l->image_sets = arena_array(&l->arena, struct endpoint_set *, l->cfg.service_count + 1);
	l->endpoints = arena_alloc(&l->arena, (l->cfg.service_count + 1) * sizeof(l->endpoints[0]));
	l->derived = arena_array(&l->arena, struct derive_service *, l->cfg.service_count + 1);
	l->cfg.endpoints = l->endpoints;
	for (uint32_t i = 0; i < l->cfg.service_count && fits; i++) {
		struct snapshot_service r = snapshot_service(&l->snap, i);
		struct message_cluster clusters[BUILD_CLUSTERS_MAX];
		uint32_t cluster_count = clusters_of(&l->snap, &r, clusters);
		struct endpoint_set *set =
			arena_alloc(&l->arena, endpoint_set_bytes(r.endpoint_count));

		set->service_id = r.id;
		set->revision = l->revision;
		l->image_sets[i] = set;
		atomic_init(&l->endpoints[i], set);
		fits = fill_set(c, l, &r, set, scratch, now_us);
		if (fits) {
			endpoint_set_finish(set, scratch);
			derive_service_set(c, l, i, set, clusters, cluster_count, now_us);
		}
		l->services[i] = (struct live_object){.epoch = l->epoch,
			.revision = l->revision,
			.digest = message_endpoints_digest(r.id, scratch, set->count, clusters,
				cluster_count)};
		l->state += l->services[i].digest;
	}
	free(scratch);
	return fits;
}

/* Binds are sorted by address, then port, and unique: so are listeners, and addresses come in runs. */
static bool build_listeners(struct live *l)
{
	uint32_t n = snapshot_count(&l->snap, SNAPSHOT_BIND);
	struct tcp_listeners *t = arena_alloc(&l->arena, sizeof(*t) + n * sizeof(t->e[0]));
	struct ip_addr *vips = arena_array(&l->arena, struct ip_addr, n + 1);
	uint32_t vip_count = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct snapshot_bind b = snapshot_bind(&l->snap, i);

		t->e[t->count++] = (struct tcp_listener){.addr = b.addr, .port = b.port, .bind = i};
		if (vip_count == 0 || !ip_eq(&vips[vip_count - 1], &b.addr))
			vips[vip_count++] = b.addr;
	}
	l->cfg.tcp_listeners = t;
	l->cfg.vips = vips;
	l->cfg.vip_count = vip_count;
	return vip_count <= VIPS_MAX;
}

static enum message_result build(struct live_context *c, struct live *l, uint64_t now_us,
	struct err *err)
{
	static const char *const kinds[] = {"listeners", "rules", "backends", "endpoints"};
	enum agent_slot_kind kind;

	l->cfg.snap = &l->snap;
	l->cfg.generation = l->snap.generation;
	l->cfg.serial = ++c->serial;
	l->cfg.listener_count = snapshot_count(&l->snap, SNAPSHOT_LISTENER);
	l->cfg.rule_count = snapshot_count(&l->snap, SNAPSHOT_RULE);
	l->cfg.backend_count = snapshot_count(&l->snap, SNAPSHOT_BACKEND);
	l->cfg.service_count = snapshot_count(&l->snap, SNAPSHOT_SERVICE);
	kind = build_slots(c, l, now_us);
	if (kind == AGENT_SLOT_KIND_COUNT && !build_endpoints(c, l, now_us))
		kind = AGENT_SLOT_ENDPOINT;
	if (kind != AGENT_SLOT_KIND_COUNT) {
		err_set(err, ENOSPC, "no room for so many %s (%u in all)", kinds[kind],
			c->slots.t[kind].max);
		return MESSAGE_RESULT_SLOTS;
	}
	build_weights(l);
	derive_rules_open(c, l, now_us);
	if (!build_listeners(l)) {
		err_set(err, ENOSPC, "%u VIPs, at most %u", l->cfg.vip_count, VIPS_MAX);
		return MESSAGE_RESULT_SLOTS;
	}
	return MESSAGE_RESULT_OK;
}

enum message_result swap_open(struct live_context *c, void *image, size_t len,
	const struct journal_head *head, uint64_t now_us, struct live **ret, struct err *err)
{
	struct live *l = calloc(1, sizeof(*l));
	enum message_result res;

	bug_on(l == NULL);
	arena_init(&l->arena, 0);
	if (snapshot_open(image, len, &l->snap, err) != 0) {
		swap_discard(c, l);
		return MESSAGE_RESULT_SNAPSHOT_INVALID;
	}
	l->structure = head->structure;
	l->epoch = l->snapshot_epoch = head->epoch;
	l->revision = l->snapshot_revision = head->revision;
	res = build(c, l, now_us, err);
	if (res != MESSAGE_RESULT_OK) {
		swap_discard(c, l);
		return res;
	}
	l->image = image;
	*ret = l;
	return MESSAGE_RESULT_OK;
}

static void release(struct live_context *c, enum agent_slot_kind kind, uint32_t slot,
	uint64_t now_us)
{
	if (slot != SLOT_NONE)
		slots_release(&c->slots, kind, slot, now_us);
}

/* Those of an image that could not be opened are NULL, and none were taken. */
static void release_all(struct live_context *c, const struct config *cfg, uint64_t now_us)
{
	for (uint32_t i = 0; cfg->listener_slot != NULL && i < cfg->listener_count; i++)
		release(c, AGENT_SLOT_LISTENER, cfg->listener_slot[i], now_us);
	for (uint32_t i = 0; cfg->rules != NULL && i < cfg->rule_count; i++)
		release(c, AGENT_SLOT_RULE, cfg->rules[i].slot, now_us);
	for (uint32_t i = 0; cfg->backends != NULL && i < cfg->backend_count; i++)
		release(c, AGENT_SLOT_BACKEND, cfg->backends[i].slot, now_us);
}

static void release_set(struct live_context *c, const struct endpoint_set *set, uint64_t now_us)
{
	for (uint32_t i = 0; set != NULL && i < set->count; i++)
		slots_release(&c->slots, AGENT_SLOT_ENDPOINT, set->e[i].slot, now_us);
}

void swap_discard(struct live_context *c, struct live *l)
{
	uint64_t now_us = clock_mono_us();

	release_all(c, &l->cfg, now_us);
	for (uint32_t i = 0; l->services != NULL && i < l->cfg.service_count; i++) {
		release_set(c, l->image_sets[i], now_us);
		release_set(c, l->services[i].owned, now_us);
		free(l->services[i].owned);
	}
	for (uint32_t i = 0; l->rules != NULL && i < l->cfg.rule_count; i++)
		free(l->rules[i].owned);
	derive_free(l);
	arena_fini(&l->arena);
	free(l->image);
	free(l);
}

static void discard_late(void *ctx, void *obj, bool late)
{
	swap_discard(ctx, obj);
}

void swap_publish(struct live_context *c, struct live *l, uint64_t now_us)
{
	struct live *old = c->live;

	c->live = l;
	atomic_store_explicit(&c->group->config, &l->cfg, memory_order_release);
	health_live_stale(c);
	if (old != NULL)
		reclaim_add(&c->reclaim, discard_late, old, true, false, now_us);
}
