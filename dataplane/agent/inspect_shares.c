// SPDX-License-Identifier: Apache-2.0
/*
 * inspect_shares.c: every factor of the traffic formula, as the agent has it now: of each service its
 * clusters, priorities and endpoints, of each rule with failover its backends. Shares are in
 * percent of the service, or of the rule.
 */
#include "dataplane/agent/agent_json.h"
#include "dataplane/agent/derive_state.h"
#include "dataplane/agent/inspect.h"
#include "dataplane/upstream/board.h"

#define PERCENT_OF_WHOLE (100.0 / TRAFFIC_WHOLE)
#define PERCENT_OF_REACH (100.0 / TRAFFIC_REACH)

/* A cluster or a backend: <i> is its place in <t>. */
static json_t *part_json(const struct ramp_part *p, const struct traffic *t, uint32_t i)
{
	return json_pack("{s:I, s:i, s:i, s:i, s:f, s:f, s:b, s:f, s:b, s:f}", "weight",
		(json_int_t)p->m.weight, "total", (int)p->m.total, "ready", (int)p->m.ready,
		"available", (int)p->m.avail, "withheld", p->withheld * PERCENT_OF_WHOLE, "held",
		p->m.held * PERCENT_OF_WHOLE, "ramp", p->back != 0, "reach",
		t->reach[i] * PERCENT_OF_REACH, "panic", (t->panic >> i & 1) != 0, "share",
		traffic_share(t, i) * PERCENT_OF_WHOLE);
}

static json_t *tiers_json(const struct traffic *t)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < TRAFFIC_TIERS; i++) {
		const struct traffic_tier *x = &t->tier[i];

		if (x->total != 0)
			json_array_append_new(list,
				json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:b}", "priority", (int)i,
					"total", (int)x->total, "ready", (int)x->ready, "available",
					(int)x->avail, "health", (int)x->health, "load",
					(int)x->load, "panic", x->panic));
	}
	return list;
}

json_t *inspect_service_shares(const struct derive_service *d)
{
	json_t *clusters = json_array();

	for (uint32_t i = 0; i < d->count; i++) {
		const struct derive_cluster *c = &d->c[i];
		json_t *j = part_json(&c->part, &d->result, i);

		json_object_set_new(j, "name", agent_json_str(c->name));
		json_object_set_new(j, "priority", json_integer(c->part.m.tier));
		json_object_set_new(j, "remote", json_boolean(c->part.remote));
		json_array_append_new(clusters, j);
	}
	return json_pack("{s:i, s:i, s:I, s:f, s:i, s:o, s:o}", "overprovisioning",
		(int)d->policy.overprovisioning_percent, "panic_threshold",
		(int)d->policy.panic_percent, "slow_start_ms", (json_int_t)d->slow_start_ms,
		"ramp_points_per_s", d->step * PERCENT_OF_WHOLE * (1e6 / DERIVE_STEP_US), "norm",
		(int)d->result.norm, "tiers", tiers_json(&d->result), "clusters", clusters);
}

/* --- endpoints --- */

static const char *verdict_name(uint8_t v)
{
	if (v & HEALTH_SUSPECTED)
		return "suspected";
	if (v & HEALTH_DOWN)
		return "down";
	return v & HEALTH_EJECTED ? "ejected" : "usable";
}

/* What it weighs while nothing is against it; <panic>: also when something is. */
static uint64_t weight_now(const struct health_board *b, const struct endpoint *e, bool panic)
{
	if (e->draining || (!panic && health_verdict(b, e->slot) != 0))
		return 0;
	return (uint64_t)e->weight * (HEALTH_SLOW_WHOLE - health_slow(b, e->slot));
}

/* The share of endpoint <at> of the set, whose services' shares are <d>. */
static double endpoint_share(const struct health_board *b, const struct endpoint_set *set,
	const struct derive_service *d, uint32_t at)
{
	uint32_t c = 0, from;
	uint64_t sum = 0;
	bool panic;

	while (c + 1 < set->cluster_count && at >= set->cluster_end[c])
		c++;
	if (c >= d->count) /* more clusters than have a share of their own */
		return 0;
	panic = (d->result.panic >> c & 1) != 0;
	from = c == 0 ? 0 : set->cluster_end[c - 1];
	for (uint32_t i = from; i < set->cluster_end[c]; i++)
		sum += weight_now(b, &set->e[i], panic);
	return sum == 0 ? 0
			: traffic_share(&d->result, c) * PERCENT_OF_WHOLE *
			(double)weight_now(b, &set->e[at], panic) / (double)sum;
}

void inspect_endpoint_health(const struct agent *a, const struct endpoint_set *set,
	const struct derive_service *d, uint32_t at, json_t *to)
{
	const struct health_board *b = &a->ctx.group->health;
	uint32_t slot = set->e[at].slot;

	json_object_set_new(to, "verdict", json_string(verdict_name(health_verdict(b, slot))));
	json_object_set_new(to, "slow_start",
		json_real(100.0 * health_slow(b, slot) / HEALTH_SLOW_WHOLE));
	json_object_set_new(to, "share", json_real(endpoint_share(b, set, d, at)));
}

/* --- rules --- */

static json_t *rule_json(const struct live *l, const struct derive_rule *r)
{
	struct snapshot_rule rec = snapshot_rule(&l->snap, r->rule);
	json_t *backends = json_array();

	for (uint32_t i = 0; i < r->count; i++) {
		json_t *j = part_json(&r->part[i], &r->result, i);

		json_object_set_new(j, "id",
			agent_json_id(snapshot_backend(&l->snap, rec.backend_first + i).id));
		json_array_append_new(backends, j);
	}
	return json_pack("{s:o, s:o, s:i, s:i, s:o}", "id", agent_json_id(rec.id), "name",
		agent_json_str(snapshot_str(&l->snap, rec.name)), "overprovisioning",
		(int)r->policy.overprovisioning_percent, "panic_threshold",
		(int)r->policy.panic_percent, "backends", backends);
}

json_t *inspect_failover(const struct live *l)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < l->failover_count; i++)
		json_array_append_new(list, rule_json(l, l->failover[i]));
	return list;
}
