// SPDX-License-Identifier: Apache-2.0
/*
 * derive_state.c: the members of the formula, counted from endpoints and their verdicts.
 *
 * A cluster weighs what its ready endpoints do in control's set. Endpoints that drain count for
 * nothing; those of weight 0 are in maintenance, and a cluster that has no other ready ones takes no
 * part. One none of whose endpoints is ready does, with what it should have.
 */
#include "dataplane/agent/derive_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bug.h"
#include "dataplane/route/route.h"
#include "dataplane/upstream/board.h"
#include "dataplane/worker/worker.h"

#define STEPS_PER_S (1000000u / DERIVE_STEP_US)
#define POINT (TRAFFIC_WHOLE / 100)
#define PERMILLE (TRAFFIC_WHOLE / 1000)
#define UNREADY_MAX (1u << 20) /* more make no difference, and sums stay sums */

static_assert(PICK_BACKENDS_MAX <= TRAFFIC_MEMBERS_MAX &&
		SNAPSHOT_RULE_BACKENDS_MAX <= TRAFFIC_MEMBERS_MAX,
	"every cluster and backend is a member");
static_assert(BUILD_SERVICE_CLUSTER_PRIORITY_MAX < TRAFFIC_TIERS, "every priority is a tier");

struct endpoint_set *derive_set(const struct live *l, uint32_t service)
{
	struct endpoint_set *own = l->services[service].owned;

	return own != NULL ? own : l->image_sets[service];
}

const struct derive_service *derive_memory(const struct live_context *c, const struct live *l,
	uint32_t service, const struct endpoint_set **ret_set)
{
	uint32_t at = service;

	if (l->derived[service] == NULL) {
		uint64_t id = snapshot_service(&l->snap, service).id;

		l = c->live;
		at = l == NULL ? SLOT_NONE : snapshot_find_service(&l->snap, id);
	}
	if (at == SLOT_NONE)
		return NULL;
	*ret_set = derive_set(l, at);
	return l->derived[at];
}

static struct traffic_policy policy_of(const struct build_policy *p, bool each)
{
	return (struct traffic_policy){p->overprovisioning_percent, p->panic_percent, each};
}

static uint32_t step_of(const struct build_policy *p)
{
	return (p->ramp_points_per_s * POINT + STEPS_PER_S - 1) / STEPS_PER_S;
}

/* --- services --- */

static uint32_t first_of(const struct endpoint_set *set, uint32_t cluster)
{
	return cluster == 0 ? 0 : set->cluster_end[cluster - 1];
}

/* Copies the name to *<at>. */
static void add_cluster(struct derive_service *d, char **at, struct str name)
{
	struct derive_cluster *x = &d->c[d->count++];

	if (name.len > 0)
		memcpy(*at, name.p, name.len);
	x->name = str_make(*at, name.len);
	x->place = SLOT_NONE;
	*at += name.len;
}

static struct derive_cluster *find(struct derive_service *d, struct str name)
{
	for (uint32_t i = 0; i < d->count; i++)
		if (str_eq(d->c[i].name, name))
			return &d->c[i];
	return NULL;
}

static struct str cluster_name(const struct live_context *c, const struct endpoint_set *set,
	uint32_t cluster)
{
	const struct slot *s =
		slots_get(&c->slots, AGENT_SLOT_ENDPOINT, set->e[first_of(set, cluster)].slot);

	return str_of(s->cluster != NULL ? s->cluster : "");
}

/* Those that have endpoints come first: there is a place for each of them. */
static void add_all(struct derive_service *d, const struct live_context *c,
	const struct endpoint_set *set, const struct message_cluster *clusters, uint32_t count)
{
	char *at = d->text;

	for (uint32_t i = 0; i < set->cluster_count; i++) {
		add_cluster(d, &at, cluster_name(c, set, i));
		d->c[i].place = i;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct derive_cluster *x = find(d, clusters[i].name);

		if (x == NULL && d->count == TRAFFIC_MEMBERS_MAX)
			continue;
		if (x == NULL) {
			add_cluster(d, &at, clusters[i].name);
			x = &d->c[d->count - 1];
		}
		x->unready = clusters[i].unready < UNREADY_MAX ? clusters[i].unready : UNREADY_MAX;
		x->part.m.tier = clusters[i].priority;
		x->part.remote = clusters[i].remote;
		x->part.withheld = clusters[i].withheld * PERMILLE;
	}
}

struct derive_service *derive_service_new(const struct live_context *c,
	const struct endpoint_set *set, const struct message_cluster *clusters, uint32_t count,
	const struct build_policy *policy)
{
	uint32_t n = set->cluster_count + count;
	struct derive_service *d;
	size_t bytes = 1;

	n = n < TRAFFIC_MEMBERS_MAX ? n : TRAFFIC_MEMBERS_MAX;
	d = calloc(1, sizeof(*d) + n * sizeof(d->c[0]));
	for (uint32_t i = 0; i < set->cluster_count; i++)
		bytes += cluster_name(c, set, i).len;
	for (uint32_t i = 0; i < count; i++)
		bytes += clusters[i].name.len;
	bug_on(d == NULL || set->cluster_count > TRAFFIC_MEMBERS_MAX);
	d->text = malloc(bytes);
	bug_on(d->text == NULL);
	d->policy = policy_of(policy, false);
	d->step = step_of(policy);
	d->slow_start_ms = policy->slow_start_ms;
	add_all(d, c, set, clusters, count);
	return d;
}

void derive_service_adopt(struct derive_service *d, const struct derive_service *old)
{
	for (uint32_t i = 0; i < old->count; i++) {
		struct derive_cluster *x = find(d, old->c[i].name);

		if (x != NULL)
			ramp_adopt(&x->part, &old->c[i].part);
	}
}

void derive_service_free(struct derive_service *d)
{
	free(d->text);
	free(d);
}

/* Counts the endpoints of <x>, which has a place in the set; *ret_suspected: among the ready ones. */
static bool count_endpoints(const struct live_context *c, const struct endpoint_set *set,
	struct derive_cluster *x, uint32_t *ret_suspected)
{
	bool idle = false;

	for (uint32_t i = first_of(set, x->place); i < set->cluster_end[x->place]; i++) {
		const struct endpoint *e = &set->e[i];
		uint8_t verdict = health_verdict(&c->group->health, e->slot);

		if (e->draining)
			continue;
		if (e->weight == 0) {
			idle = true;
			continue;
		}
		x->part.m.weight += e->weight;
		x->part.m.ready++;
		x->part.m.avail += verdict == 0;
		*ret_suspected += (verdict & HEALTH_SUSPECTED) != 0;
	}
	x->part.suspected = *ret_suspected != 0;
	return idle;
}

/*
 * As long as anybody else is well, those whom we suspect to be well while we are cut off are not
 * there: they neither get anything nor count as ill, which would be panic and send them most.
 */
static void leave_out_suspected(struct derive_service *d, const uint32_t *suspected)
{
	uint32_t avail = 0;

	for (uint32_t i = 0; i < d->count; i++)
		avail += d->c[i].part.m.avail;
	if (avail == 0)
		return;
	for (uint32_t i = 0; i < d->count; i++)
		d->c[i].part.m.ready -= suspected[i];
}

void derive_service_solve(const struct live_context *c, const struct endpoint_set *set,
	struct derive_service *d)
{
	struct ramp_part parts[TRAFFIC_MEMBERS_MAX];
	uint32_t suspected[TRAFFIC_MEMBERS_MAX] = {0};
	bool idle[TRAFFIC_MEMBERS_MAX] = {false};

	for (uint32_t i = 0; i < d->count; i++) {
		struct derive_cluster *x = &d->c[i];

		x->part.m.weight = x->part.m.ready = x->part.m.avail = 0;
		x->part.suspected = false;
		if (x->place != SLOT_NONE)
			idle[i] = count_endpoints(c, set, x, &suspected[i]);
	}
	leave_out_suspected(d, suspected);
	for (uint32_t i = 0; i < d->count; i++) {
		struct derive_cluster *x = &d->c[i];

		x->part.m.total = x->part.m.ready + (suspected[i] != 0 ? 0 : x->unready);
		if (x->part.m.ready == 0 && x->unready != 0 && !idle[i] && suspected[i] == 0 &&
			x->part.withheld < TRAFFIC_WHOLE)
			x->part.m.weight = 1; /* of which nobody gets anything, but it counts */
		parts[i] = x->part;
	}
	ramp_solve(parts, d->count, &d->policy, d->step != 0, &d->result);
	for (uint32_t i = 0; i < d->count; i++)
		d->c[i].part = parts[i];
}

void derive_service_step(const struct live_context *c, struct derive_service *d)
{
	struct ramp_part parts[TRAFFIC_MEMBERS_MAX];

	for (uint32_t i = 0; i < d->count; i++)
		parts[i] = d->c[i].part;
	ramp_step(parts, d->count, &d->policy, d->step, c->derive.frozen);
	for (uint32_t i = 0; i < d->count; i++)
		d->c[i].part = parts[i];
}

bool derive_service_is_running(const struct derive_service *d)
{
	for (uint32_t i = 0; i < d->count; i++)
		if (d->c[i].part.back != 0)
			return true;
	return false;
}

/* --- rules --- */

static uint64_t backend_id(const struct live *l, uint32_t first, uint32_t i)
{
	return snapshot_backend(&l->snap, first + i).id;
}

static void adopt_rule(struct derive_rule *r, const struct live *l, const struct derive_rule *old,
	const struct live *old_l)
{
	uint32_t first = l->config_rules[r->rule].backend_first;
	uint32_t old_first = old_l->config_rules[old->rule].backend_first;

	for (uint32_t i = 0; i < r->count; i++)
		for (uint32_t k = 0; k < old->count; k++)
			if (backend_id(l, first, i) == backend_id(old_l, old_first, k)) {
				ramp_adopt(&r->part[i], &old->part[k]);
				break;
			}
}

struct derive_rule *derive_rule_new(const struct live_context *c, const struct live *l,
	uint32_t rule)
{
	struct snapshot_rule rec = snapshot_rule(&l->snap, rule);
	struct derive_rule *r = calloc(1, sizeof(*r) + rec.backend_count * sizeof(r->part[0]));
	struct build_policy policy;
	uint32_t old;

	bug_on(r == NULL || rec.backend_count > TRAFFIC_MEMBERS_MAX);
	snapshot_policy_read(&l->snap, rec.policy, &policy);
	r->rule = rule;
	r->policy = policy_of(&policy, true);
	r->step = step_of(&policy);
	r->base = config_weights(&l->cfg, rule);
	r->count = rec.backend_count;
	old = c->live == NULL ? SLOT_NONE : snapshot_find_rule(&c->live->snap, rec.id);
	if (old != SLOT_NONE && c->live->failover_of[old] != NULL)
		adopt_rule(r, l, c->live->failover_of[old], c->live);
	return r;
}

/* All clusters of the backend's service together, but for those that take no part. */
static void add_service(struct ramp_part *p, const struct derive_service *d)
{
	for (uint32_t i = 0; i < d->count; i++) {
		const struct ramp_part *x = &d->c[i].part;

		if (x->m.weight == 0)
			continue;
		p->m.total += x->m.total;
		p->m.ready += x->m.ready;
		p->m.avail += x->m.avail;
		p->remote |= x->remote;
		p->suspected |= x->suspected;
	}
}

void derive_rule_solve(const struct live *l, struct derive_rule *r)
{
	uint32_t first = l->config_rules[r->rule].backend_first;

	for (uint32_t i = 0; i < r->count; i++) {
		struct ramp_part *p = &r->part[i];
		uint32_t service = l->config_backends[first + i].service;

		p->m = (struct traffic_member){.weight = r->base->w[i]};
		p->remote = p->suspected = false;
		if (service == SLOT_NONE) /* answers 500 for its share, as well as ever */
			p->m.total = p->m.ready = p->m.avail = 1;
		else
			add_service(p, l->derived[service]);
	}
	ramp_solve(r->part, r->count, &r->policy, r->step != 0, &r->result);
}

bool derive_rule_is_base(const struct derive_rule *r)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (r->base->w[i] != 0 && r->result.reach[i] != TRAFFIC_REACH)
			return false;
	return true;
}
