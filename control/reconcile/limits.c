// SPDX-License-Identifier: Apache-2.0
/*
 * limits.c: what one configuration can hold, and who goes without when it is full.
 *
 * A snapshot has bounded sections and the dataplane bounded tables of run-time slots. Whatever
 * passed one of these bounds would fail the whole snapshot, and with it everybody's next edit; so
 * the plan keeps within them and the object that goes over is told. The oldest come first, as in
 * every other conflict of the Gateway API: Gateways by their VIPs and listeners (Programmed, reason
 * NoResources), ListenerSets by theirs (Accepted, reason TooManyListeners), routes by what they add to a listener (Accepted, reason NoResources). Services carry
 * no status, so of endpoints beyond the bound only a note is left.
 */
#include <stdlib.h>

#include "control/reconcile/reconcile.h"
#include "dataplane/base/hash.h"
#include "dataplane/snapshot/build.h"
#include "dataplane/snapshot/snapshot.h"

/* Hosts and paths count once for each listener that has them; the listeners' own hosts are apart. */
#define HOSTS_MAX ((1u << 20) - 65536)
#define PATHS_MAX (1u << 20)
#define PREDICATES_MAX (1u << 20)
#define ENDPOINTS_MAX (1u << 18) /* of all Services, each with its own */
#define TEXT_MAX (24u << 20)	 /* paths, names and values to match; other names are in the rest */

static const struct {
	const char *what;
	uint64_t max;
} limits[LIMIT_COUNT] = {
	[LIMIT_VIPS] = {"addresses", BUILD_VIPS_MAX},
	[LIMIT_LISTENERS] = {"listeners", SLOTS_LISTENER_MAX},
	[LIMIT_RULES] = {"rules", SLOTS_RULE_MAX},
	[LIMIT_BACKENDS] = {"backendRefs", SLOTS_BACKEND_MAX},
	[LIMIT_HOSTS] = {"hostnames on listeners", HOSTS_MAX},
	[LIMIT_PATHS] = {"matches on listeners", PATHS_MAX},
	[LIMIT_PREDICATES] = {"header and query matches", PREDICATES_MAX},
	[LIMIT_TEXT] = {"bytes of paths and values", TEXT_MAX},
};

struct cost {
	uint64_t c[LIMIT_COUNT];
};

/* NULL: it fits and is charged; else what there is no room for, and nothing is. */
static const char *charge(struct reconcile *r, const struct cost *cost)
{
	for (unsigned i = 0; i < LIMIT_COUNT; i++)
		if (cost->c[i] != 0 && r->used[i] + cost->c[i] > limits[i].max)
			return arena_printf(r->arena,
				"There is no room for its %llu %s: a configuration holds %llu",
				(unsigned long long)cost->c[i], limits[i].what,
				(unsigned long long)limits[i].max);
	for (unsigned i = 0; i < LIMIT_COUNT; i++)
		r->used[i] += cost->c[i];
	return NULL;
}

static int cmp_age(const void *a, const void *b)
{
	return object_cmp_age((*(struct plan_gateway *const *)a)->obj,
		(*(struct plan_gateway *const *)b)->obj);
}

void limits_gateways(struct reconcile *r, struct address_result *results)
{
	struct plan *p = r->plan;
	uint32_t n = p->gateways_count;
	struct plan_gateway **by_age = arena_array(r->arena, struct plan_gateway *, n);

	for (uint32_t i = 0; i < n; i++)
		by_age[i] = &p->gateways[i];
	qsort(by_age, n, sizeof(*by_age), cmp_age);
	for (uint32_t i = 0; i < n; i++) {
		struct plan_gateway *gw = by_age[i];
		struct address_result *res = &results[gw - p->gateways];
		struct cost cost = {.c = {[LIMIT_VIPS] = gw->addresses_count,
					    [LIMIT_LISTENERS] = gw->own_count}};
		const char *why = charge(r, &cost);

		if (why == NULL)
			continue;
		gw->addresses_count = gw->static_count = 0;
		if (res->verdict == ADDRESS_OK)
			*res = (struct address_result){ADDRESS_NO_ROOM, why};
	}
}

void limits_sets(struct reconcile *r)
{
	for (uint32_t i = 0; i < r->plan->sets_count; i++) {
		struct plan_set *set = r->sets[i];
		struct cost cost = {.c = {[LIMIT_LISTENERS] = set->listeners_count}};

		set->no_room = charge(r, &cost);
	}
}

static void add_values(struct cost *cost, const struct value_match *m, uint32_t count)
{
	cost->c[LIMIT_PREDICATES] += count;
	for (uint32_t i = 0; i < count; i++)
		cost->c[LIMIT_TEXT] += m[i].name.len + m[i].value.len;
}

/* Returns the number of matches. */
static uint32_t add_rules(struct cost *cost, const struct plan_route *route)
{
	uint32_t matches = 0;

	for (uint32_t i = 0; i < route->obj->http_route->rules_count; i++) {
		const struct plan_rule *rule = &route->rules[i];

		if (rule->dropped != NULL)
			continue;
		cost->c[LIMIT_RULES]++;
		cost->c[LIMIT_BACKENDS] += rule->spec->backends_count;
		matches += rule->spec->matches_count;
		for (uint32_t k = 0; k < rule->spec->matches_count; k++) {
			const struct http_match *m = &rule->spec->matches[k];

			cost->c[LIMIT_TEXT] += m->path.len;
			add_values(cost, m->headers, m->headers_count);
			add_values(cost, m->queries, m->queries_count);
		}
	}
	return matches;
}

const char *limits_route(struct reconcile *r, const struct plan_route *route,
	const struct plan_parent *parent)
{
	struct cost rules = {{0}}, cost;
	uint64_t hosts = attach_count(r, route, parent);
	uint32_t matches = add_rules(&rules, route);

	cost = route->serves ? (struct cost){{0}} : rules; /* another parent has paid for them */
	cost.c[LIMIT_HOSTS] = hosts;
	cost.c[LIMIT_PATHS] = hosts * matches;
	return charge(r, &cost);
}

/* Endpoints that have a run-time slot: one each, however many Services name it. */
struct seen {
	const struct plan_endpoint **slots; /* open addressing, at most half full */
	uint32_t mask, count, total;
};

static const struct plan_endpoint **seen_find(const struct seen *s, const struct plan_endpoint *e)
{
	uint64_t w[2];
	uint32_t i;

	memcpy(w, e->addr.b, sizeof(w));
	for (i = (uint32_t)hash_mix(w[0] ^ e->port, w[1]);; i++) {
		const struct plan_endpoint **at = &s->slots[i & s->mask];

		if (*at == NULL ||
			(ip_eq(&(*at)->addr, &e->addr) && (*at)->port == e->port &&
				str_eq((*at)->cluster, e->cluster)))
			return at;
	}
}

/* Keeps those that are known or find room. */
static uint32_t keep_seen(struct seen *s, struct plan_endpoint *e, uint32_t count)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct plan_endpoint **at = seen_find(s, &e[i]);

		if (s->total == ENDPOINTS_MAX || (*at == NULL && s->count == SLOTS_ENDPOINT_MAX))
			continue;
		s->total++;
		e[n] = e[i];
		if (*at == NULL) {
			*at = &e[n];
			s->count++;
		}
		n++;
	}
	return n;
}

void limits_endpoints(struct reconcile *r)
{
	struct plan *p = r->plan;
	struct seen s = {.mask = 2 * SLOTS_ENDPOINT_MAX - 1};
	uint64_t all = 0;

	for (uint32_t i = 0; i < p->services_count; i++)
		all += p->services[i]->endpoints_count;
	if (all <= SLOTS_ENDPOINT_MAX)
		return;
	s.slots = arena_array(r->arena, const struct plan_endpoint *, s.mask + 1);
	for (uint32_t i = 0; i < p->services_count; i++) {
		struct plan_service *svc = p->services[i];
		uint32_t n = svc->endpoints_count, kept = keep_seen(&s, svc->endpoints, n);

		svc->endpoints_count = kept;
		if (kept < n)
			note_add(r, true, svc->obj,
				"%u of its %u endpoints get no requests: a configuration holds %u",
				n - kept, n, SLOTS_ENDPOINT_MAX);
	}
}
