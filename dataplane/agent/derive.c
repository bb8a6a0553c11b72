// SPDX-License-Identifier: Apache-2.0
/*
 * derive.c: when weights are derived anew, and what of it is published.
 *
 * Three things set it off: a message of control (one service, one rule), verdicts (those services
 * that have such an endpoint, and the rules on them) and time (ramps and slow starts, by steps). A
 * vector is complete before its pointer is stored; the one before waits in the line of reclaim.h.
 */
#include "dataplane/agent/derive.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/agent/derive_state.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/hash.h"

static void free_vector(void *ctx, void *obj, bool late)
{
	free(obj);
}

/* What was published: workers may read it. */
static void drop_vector(struct live_context *c, const struct live *l, struct weight_vector *v,
	uint64_t now_us)
{
	if (v == NULL)
		return;
	if (l == c->live)
		reclaim_add(&c->reclaim, free_vector, v, false, false, now_us);
	else
		free(v);
}

static struct weight_vector *vector_new(struct live_context *c, uint64_t id, uint32_t count)
{
	struct weight_vector *v = calloc(1, sizeof(*v) + count * sizeof(v->w[0]));

	bug_on(v == NULL);
	v->rule_id = id;
	/* Of each its own: a worker's sequence notices that the weights are others by it. */
	v->revision = hash_mix(id, ++c->derive.serial);
	v->count = count;
	return v;
}

static bool same_weights(const struct weight_vector *a, const struct weight_vector *b)
{
	return a != NULL && b != NULL && a->count == b->count && a->total == b->total &&
		a->panic == b->panic && memcmp(a->w, b->w, a->count * sizeof(a->w[0])) == 0;
}

/* --- services --- */

/* What each cluster of the set gets; NULL: there is nothing to choose. */
static struct weight_vector *shares_of(struct live_context *c, const struct endpoint_set *set,
	const struct derive_service *d)
{
	struct weight_vector *v = vector_new(c, set->service_id, set->cluster_count);

	for (uint32_t i = 0; i < d->count; i++) {
		uint32_t place = d->c[i].place;

		if (place == SLOT_NONE)
			continue;
		v->w[place] = d->result.share[i];
		v->total += v->w[place];
		v->panic |= (d->result.panic >> i & 1) << place;
	}
	if (set->cluster_count > 1 || v->panic != 0)
		return v;
	free(v);
	return NULL;
}

static void publish_shares(struct live_context *c, struct live *l, struct endpoint_set *set,
	struct derive_service *d, uint64_t now_us)
{
	struct weight_vector *v = shares_of(c, set, d);
	const struct weight_vector *now = endpoint_set_shares(set);

	if (v == now || same_weights(v, now)) {
		free(v);
		return;
	}
	atomic_store_explicit(&set->shares, v, memory_order_release);
	drop_vector(c, l, d->shares, now_us);
	d->shares = v;
	c->derive.published++;
}

static void solve_service(struct live_context *c, struct live *l, uint32_t service, uint64_t now_us)
{
	struct derive_service *d = l->derived[service];
	struct endpoint_set *set = derive_set(l, service);

	derive_service_solve(c, set, d);
	d->touched = true;
	publish_shares(c, l, set, d, now_us);
}

void derive_service_set(struct live_context *c, struct live *l, uint32_t service,
	struct endpoint_set *set, const struct message_cluster *clusters, uint32_t count,
	uint64_t now_us)
{
	struct snapshot_service rec = snapshot_service(&l->snap, service);
	const struct endpoint_set *old_set = NULL;
	const struct derive_service *old = derive_memory(c, l, service, &old_set);
	struct build_policy policy;
	struct derive_service *d;

	snapshot_policy_read(&l->snap, rec.policy, &policy);
	set->panic_never = policy.panic_percent == 0;
	set->slow_start = policy.slow_start_ms != 0;
	d = derive_service_new(c, set, clusters, count, &policy);
	if (old != NULL) {
		derive_service_adopt(d, old);
		if (set->slow_start)
			derive_slow_start_new(c, set, old_set, d->slow_start_ms, now_us);
	}
	derive_service_solve(c, set, d);
	publish_shares(c, l, set, d, now_us);
	if (l->derived[service] != NULL) {
		drop_vector(c, l, l->derived[service]->shares, now_us);
		derive_service_free(l->derived[service]);
	}
	l->derived[service] = d;
	c->derive.running |= derive_service_is_running(d);
}

/* --- rules --- */

static struct weight_vector *weights_of(struct live_context *c, const struct derive_rule *r)
{
	struct weight_vector *v;

	if (r->result.total == 0 || derive_rule_is_base(r))
		return NULL;
	v = vector_new(c, r->base->rule_id, r->count);
	for (uint32_t i = 0; i < r->count; i++) {
		v->w[i] = r->result.share[i];
		v->total += v->w[i];
	}
	return v;
}

static void publish_weights(struct live_context *c, struct live *l, struct derive_rule *r,
	uint64_t now_us)
{
	struct weight_vector *v = weights_of(c, r);
	const struct weight_vector *want = v != NULL ? v : r->base;
	const struct weight_vector *now = config_weights(&l->cfg, r->rule);

	if (want == now || (v != NULL && same_weights(v, now))) {
		free(v);
		return;
	}
	atomic_store_explicit(&l->config_rules[r->rule].weights, want, memory_order_release);
	drop_vector(c, l, r->weights, now_us);
	r->weights = v;
	c->derive.published++;
}

static void solve_rule(struct live_context *c, struct live *l, struct derive_rule *r,
	uint64_t now_us)
{
	derive_rule_solve(l, r);
	publish_weights(c, l, r, now_us);
}

void derive_rule_set(struct live_context *c, struct live *l, uint32_t rule,
	const struct weight_vector *base, uint64_t now_us)
{
	struct derive_rule *r = l->failover_of[rule];

	if (r == NULL) {
		atomic_store_explicit(&l->config_rules[rule].weights, base, memory_order_release);
		return;
	}
	/* The old base goes: it must not stay published, whatever the new one says. */
	if (r->weights == NULL)
		atomic_store_explicit(&l->config_rules[rule].weights, base, memory_order_release);
	r->base = base;
	solve_rule(c, l, r, now_us);
	c->derive.running |= ramp_is_running(r->part, r->count);
}

void derive_rules_open(struct live_context *c, struct live *l, uint64_t now_us)
{
	for (uint32_t i = 0; i < l->cfg.rule_count; i++) {
		if (snapshot_rule(&l->snap, i).failover == 0)
			continue;
		l->failover_of[i] = derive_rule_new(c, l, i);
		l->failover[l->failover_count++] = l->failover_of[i];
		solve_rule(c, l, l->failover_of[i], now_us);
		c->derive.running |=
			ramp_is_running(l->failover_of[i]->part, l->failover_of[i]->count);
	}
}

static bool rule_is_touched(const struct live *l, const struct derive_rule *r)
{
	const struct config_rule *cr = &l->config_rules[r->rule];

	for (uint32_t k = 0; k < r->count; k++) {
		uint32_t service = l->config_backends[cr->backend_first + k].service;

		if (service != SLOT_NONE && l->derived[service]->touched)
			return true;
	}
	return false;
}

void derive_rules_of(struct live_context *c, struct live *l, uint32_t service, uint64_t now_us)
{
	l->derived[service]->touched = true;
	if (l == c->live) { /* with the next run, in this turn: there may be many */
		c->derive.pending = true;
		return;
	}
	for (uint32_t i = 0; i < l->failover_count; i++)
		if (rule_is_touched(l, l->failover[i]))
			solve_rule(c, l, l->failover[i], now_us);
	l->derived[service]->touched = false;
}

/* --- runs --- */

void live_health_changed(struct live_context *c, uint32_t slot)
{
	bug_on(slot >= SLOTS_ENDPOINT_MAX);
	c->derive.dirty[slot / 64] |= 1ull << slot % 64;
	c->derive.any_dirty = true;
}

void live_health_frozen(struct live_context *c, bool frozen)
{
	c->derive.frozen = frozen;
}

bool derive_is_running(const struct live_context *c)
{
	return c->derive.running || c->derive.slow_count != 0 || c->derive.any_dirty;
}

static void run_services(struct live_context *c, bool step, uint64_t now_us)
{
	struct live *l = c->live;

	for (uint32_t i = 0; i < l->cfg.service_count; i++) {
		struct derive_service *d = l->derived[i];
		bool due =
			c->derive.any_dirty && derive_set_is_dirty(c, derive_set(l, i), d, now_us);
		if (step && derive_service_is_running(d)) {
			derive_service_step(c, d);
			due = true;
		}
		if (due)
			solve_service(c, l, i, now_us);
		c->derive.running |= derive_service_is_running(d);
	}
}

static void run_rules(struct live_context *c, bool step, uint64_t now_us)
{
	struct live *l = c->live;

	for (uint32_t i = 0; i < l->failover_count; i++) {
		struct derive_rule *r = l->failover[i];
		bool due = rule_is_touched(l, r);

		if (step && ramp_is_running(r->part, r->count)) {
			ramp_step(r->part, r->count, &r->policy, r->step, c->derive.frozen);
			due = true;
		}
		if (due)
			solve_rule(c, l, r, now_us);
		c->derive.running |= ramp_is_running(r->part, r->count);
	}
}

void derive_run(struct live_context *c, uint64_t now_us)
{
	struct derive *d = &c->derive;
	bool step = now_us - d->step_us >= DERIVE_STEP_US;

	/* Half of the line is for control; what does not fit is done when workers have moved on. */
	if (c->live == NULL || c->reclaim.count > RECLAIM_ITEMS_MAX / 2)
		return;
	if (step) {
		d->step_us = now_us;
		derive_slow_step(c, now_us);
	}
	if (!d->any_dirty && !d->pending && !(step && d->running))
		return;
	d->running = d->pending = false;
	run_services(c, step, now_us);
	run_rules(c, step, now_us);
	for (uint32_t i = 0; i < c->live->cfg.service_count; i++)
		c->live->derived[i]->touched = false;
	derive_dirty_clear(c);
}

void derive_free(struct live *l)
{
	for (uint32_t i = 0; l->derived != NULL && i < l->cfg.service_count; i++) {
		if (l->derived[i] == NULL)
			continue;
		free(l->derived[i]->shares);
		derive_service_free(l->derived[i]);
	}
	for (uint32_t i = 0; i < l->failover_count; i++) {
		free(l->failover[i]->weights);
		free(l->failover[i]);
	}
}
