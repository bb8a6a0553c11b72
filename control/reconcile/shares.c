// SPDX-License-Identifier: Apache-2.0
/*
 * shares.c: one traffic formula, two levels; every weight that dataplanes get is made here.
 *
 *	between the backendRefs of a rule	route weight * mean factor of the backend's clusters
 *	between the clusters of a backend	operator's * policy's weight, among those of one
 *						priority that have endpoints
 *	between the endpoints of a cluster	their slice's weight
 *
 * A cluster's factor is the operator's: weight / 100, less what a drain has taken back, and 0 when
 * it is disabled. Weights here are the base on which dataplanes work: what health, priorities and
 * the drain's present step make of them is theirs (route/traffic.c). Health shifts nothing between
 * backendRefs unless a policy says so: one whose endpoints are all gone answers 503 for its share,
 * as the API says. Only when the operator's factors leave a rule nothing at all, the route's own
 * weights stand, and what they lead to answers 503: weights that are all zero in the route itself
 * are the user's word, and 500.
 *
 * Both levels end in integers. They are exact where small integers can be, else the largest weight
 * is the largest that fits, and rounding is below a tenth of a percent of a share.
 */
#include "control/reconcile/reconcile.h"
#include "dataplane/base/bug.h"
#include "dataplane/snapshot/snapshot.h"

#define ENDPOINT_WEIGHT_MAX UINT16_MAX

uint32_t plan_cluster_factor(const struct plan_cluster *c)
{
	return c->admin == CLUSTER_DISABLED ? 0 : c->weight * (CLUSTER_WHOLE - c->withheld);
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b != 0) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* --- inside a backendRef --- */

/* The endpoints of a service that are ready, or those that drain. */
struct group {
	struct plan_service *s;
	bool draining;
	uint8_t priority; /* of clusters that are in it */
	uint64_t *weight; /* [cluster]: its factor, 0: gets nothing */
	uint64_t *sum;	  /* [cluster]: what its endpoints weigh by their slices */
};

static bool in_group(const struct group *g, const struct plan_endpoint *e)
{
	return e->draining == g->draining && e->slice_weight != 0 &&
		g->s->clusters[e->cluster_index].priority == g->priority;
}

static void set_weight(struct plan_endpoint *e, uint64_t w)
{
	e->weight = (uint16_t)(w == 0 ? 1 : w < ENDPOINT_WEIGHT_MAX ? w : ENDPOINT_WEIGHT_MAX);
}

/*
 * The least common multiple of what the clusters' weights have to be divided by, or 0: too large
 * for exact weights.
 */
static uint64_t common_multiple(const struct group *g)
{
	uint64_t all = 1;

	for (uint32_t c = 0; c < g->s->clusters_count; c++) {
		uint64_t part;

		if (g->weight[c] == 0)
			continue;
		part = g->sum[c] / gcd(g->sum[c], g->weight[c]);
		all = all / gcd(all, part) * part;
		if (all > UINT32_MAX)
			return 0;
	}
	return all;
}

/* <multiple> * weight / sum is whole for each cluster. False: an endpoint's weight gets too large. */
static bool weigh_exactly(struct group *g, uint64_t multiple)
{
	struct plan_service *s = g->s;
	uint64_t all = 0, max = 0;

	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < s->endpoints_count; i++) {
			struct plan_endpoint *e = &s->endpoints[i];
			uint64_t w;

			if (!in_group(g, e) || g->weight[e->cluster_index] == 0)
				continue;
			w = multiple * g->weight[e->cluster_index] / g->sum[e->cluster_index] *
				e->slice_weight;
			all = gcd(all, w);
			max = w > max ? w : max;
			if (pass == 1)
				set_weight(e, w / all);
		}
		if (all == 0 || max / all > ENDPOINT_WEIGHT_MAX)
			return false;
	}
	return true;
}

/* The largest weight is the largest there is; what is rounded off goes to the next endpoint. */
static void weigh_nearly(struct group *g)
{
	struct plan_service *s = g->s;
	double scale = 0;

	for (uint32_t i = 0; i < s->endpoints_count; i++) {
		const struct plan_endpoint *e = &s->endpoints[i];
		uint32_t c = e->cluster_index;
		double w;

		if (!in_group(g, e) || g->weight[c] == 0)
			continue;
		w = (double)g->weight[c] * e->slice_weight / (double)g->sum[c];
		scale = w > scale ? w : scale;
	}
	for (uint32_t c = 0; scale > 0 && c < s->clusters_count; c++) {
		double due = 0,
		       whole = (double)g->weight[c] / (double)g->sum[c] * ENDPOINT_WEIGHT_MAX /
			scale;
		uint64_t given = 0;

		for (uint32_t i = 0; g->weight[c] != 0 && i < s->endpoints_count; i++) {
			struct plan_endpoint *e = &s->endpoints[i];

			if (!in_group(g, e) || e->cluster_index != c)
				continue;
			due += whole * e->slice_weight;
			set_weight(e, (uint64_t)(due + 0.5) - given);
			given = (uint64_t)(due + 0.5);
		}
	}
}

/*
 * Of a cluster inside its priority: what the operator says times what the policy says. What a drain
 * holds back is told to the dataplane beside it, until nothing is left.
 */
static uint64_t cluster_weight(const struct plan_cluster *c)
{
	return plan_cluster_factor(c) == 0 ? 0 : (uint64_t)c->weight * c->policy_weight;
}

/* Into CLUSTER_WEIGHT_MAX, exactly where that can be. */
static void reduce_weights(struct group *g)
{
	uint64_t all = 0, max = 0;

	for (uint32_t c = 0; c < g->s->clusters_count; c++) {
		all = gcd(all, g->weight[c]);
		max = g->weight[c] > max ? g->weight[c] : max;
	}
	for (uint32_t c = 0; all != 0 && c < g->s->clusters_count; c++) {
		uint64_t w = g->weight[c] / all;

		if (max / all > CLUSTER_WEIGHT_MAX)
			w = w * CLUSTER_WEIGHT_MAX / (max / all);
		g->weight[c] = w == 0 && g->weight[c] != 0 ? 1 : w;
	}
}

static void weigh_group(struct reconcile *r, struct plan_service *s, bool draining,
	uint8_t priority)
{
	struct group g = {.s = s, .draining = draining, .priority = priority};
	uint64_t multiple;

	g.weight = arena_array(r->arena, uint64_t, s->clusters_count);
	g.sum = arena_array(r->arena, uint64_t, s->clusters_count);
	for (uint32_t i = 0; i < s->endpoints_count; i++)
		if (in_group(&g, &s->endpoints[i]))
			g.sum[s->endpoints[i].cluster_index] += s->endpoints[i].slice_weight;
	for (uint32_t c = 0; c < s->clusters_count; c++)
		g.weight[c] = g.sum[c] != 0 ? cluster_weight(&s->clusters[c]) : 0;
	reduce_weights(&g);
	multiple = common_multiple(&g);
	if (multiple == 0 || !weigh_exactly(&g, multiple))
		weigh_nearly(&g);
}

static bool has_priority(const struct plan_service *s, unsigned priority)
{
	for (uint32_t c = 0; c < s->clusters_count; c++)
		if (s->clusters[c].priority == priority)
			return true;
	return false;
}

static void weigh_service(struct reconcile *r, struct plan_service *s)
{
	for (uint32_t i = 0; i < s->endpoints_count; i++) {
		struct plan_endpoint *e = &s->endpoints[i];
		uint32_t c = 0;

		while (c < s->clusters_count && !str_eq(s->clusters[c].name, e->cluster))
			c++;
		bug_on(c == s->clusters_count);
		e->cluster_index = c;
		(*(e->draining ? &s->clusters[c].draining : &s->clusters[c].ready))++;
	}
	for (unsigned p = 0; p <= BUILD_SERVICE_CLUSTER_PRIORITY_MAX; p++) {
		if (!has_priority(s, p))
			continue;
		weigh_group(r, s, false, (uint8_t)p);
		weigh_group(r, s, true, (uint8_t)p);
	}
}

/* --- between backendRefs --- */

/* The mean of the clusters' factors as a fraction of the whole. */
struct fraction {
	uint64_t over, under;
};

static struct fraction backend_weight(const struct plan_backend *b)
{
	struct fraction f = {b->ref->weight, 1};
	uint64_t sum = 0;

	if (b->service == NULL || b->service->clusters_count == 0)
		return f;
	for (uint32_t c = 0; c < b->service->clusters_count; c++)
		sum += plan_cluster_factor(&b->service->clusters[c]);
	return (struct fraction){f.over * sum,
		(uint64_t)PLAN_FACTOR_ONE * b->service->clusters_count};
}

static void reduce(struct plan_backend *b, uint32_t count)
{
	uint64_t all = 0;

	for (uint32_t i = 0; i < count; i++)
		all = gcd(all, b[i].weight);
	for (uint32_t i = 0; i < count; i++)
		b[i].weight /= (uint32_t)all;
}

/* Whole numbers as they are, or at a scale of a power of ten. */
static bool weights_exact(struct plan_backend *b, const struct fraction *f, uint32_t count)
{
	for (uint64_t scale = 1; scale <= SNAPSHOT_WEIGHT_MAX; scale *= 10) {
		bool fits = true;

		for (uint32_t i = 0; i < count; i++) {
			uint64_t w = f[i].over * scale;

			if (f[i].over / f[i].under > SNAPSHOT_WEIGHT_MAX / scale)
				return false;
			fits &= w % f[i].under == 0 && w / f[i].under <= SNAPSHOT_WEIGHT_MAX;
			b[i].weight = (uint32_t)(w / f[i].under);
		}
		if (!fits)
			continue;
		if (scale > 1)
			reduce(b, count);
		return true;
	}
	return false;
}

static void weights_nearly(struct plan_backend *b, const struct fraction *f, uint32_t count)
{
	double max = 0;

	for (uint32_t i = 0; i < count; i++) {
		double w = (double)f[i].over / (double)f[i].under;

		max = w > max ? w : max;
	}
	for (uint32_t i = 0; i < count; i++) {
		double w = (double)f[i].over / (double)f[i].under * SNAPSHOT_WEIGHT_MAX / max;

		b[i].weight = f[i].over == 0 ? 0 : w < 1 ? 1 : (uint32_t)(w + 0.5);
	}
	reduce(b, count);
}

static void weigh_rule(struct reconcile *r, struct plan_rule *rule)
{
	uint32_t n = rule->spec->backends_count;
	struct fraction *f = arena_array(r->arena, struct fraction, n);
	bool any = false;

	for (uint32_t i = 0; i < n; i++) {
		f[i] = backend_weight(&rule->backends[i]);
		any |= f[i].over != 0;
	}
	if (!any)
		for (uint32_t i = 0; i < n; i++)
			rule->backends[i].weight = rule->backends[i].ref->weight;
	else if (!weights_exact(rule->backends, f, n))
		weights_nearly(rule->backends, f, n);
}

void shares_build(struct reconcile *r)
{
	struct plan *p = r->plan;

	for (uint32_t i = 0; i < p->services_count; i++)
		weigh_service(r, p->services[i]);
	for (uint32_t i = 0; i < p->routes_count; i++)
		for (uint32_t k = 0; k < p->routes[i].obj->http_route->rules_count; k++)
			weigh_rule(r, &p->routes[i].rules[k]);
}
