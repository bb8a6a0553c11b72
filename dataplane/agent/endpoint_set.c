// SPDX-License-Identifier: Apache-2.0
/*
 * endpoint_set.c: the endpoints of a service by the cluster in which they run.
 *
 * Clusters stand by name, so that each keeps its place in the weighted sequence of the workers
 * while endpoints come and go. A cluster weighs what its ready endpoints do; one whose endpoints
 * all drain weighs nothing. These first shares stand in the same block of memory behind the
 * endpoints, which is swapped and freed whole; derive.c puts those in their place that health and
 * priorities make of them.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/agent/live.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/hash.h"
#include "dataplane/route/route.h"

#define CLUSTERS_MAX PICK_BACKENDS_MAX /* more are treated as one */

static uint32_t clusters_of(uint32_t endpoints)
{
	return endpoints < CLUSTERS_MAX ? endpoints : CLUSTERS_MAX;
}

size_t endpoint_set_bytes(uint32_t count)
{
	uint32_t n = clusters_of(count);

	return sizeof(struct endpoint_set) + count * sizeof(struct endpoint) +
		sizeof(struct weight_vector) + n * sizeof(uint32_t) + n * sizeof(uint32_t);
}

struct names {
	struct str name[CLUSTERS_MAX];
	uint32_t count;
};

/* Where <name> stands, or where it belongs. */
static uint32_t place_of(const struct names *l, struct str name)
{
	uint32_t lo = 0, hi = l->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (str_cmp(l->name[mid], name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* False: too many. */
static bool collect(struct names *l, const struct message_endpoint *e, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = place_of(l, e[i].cluster);

		if (at < l->count && str_eq(l->name[at], e[i].cluster))
			continue;
		if (l->count == CLUSTERS_MAX)
			return false;
		memmove(&l->name[at + 1], &l->name[at], (l->count - at) * sizeof(l->name[0]));
		l->name[at] = e[i].cluster;
		l->count++;
	}
	return true;
}

/* Stable: within a cluster the order stays. Leaves in <end> where each cluster's end. */
static void sort_by_cluster(struct endpoint_set *set, const struct message_endpoint *e,
	const struct names *l, uint32_t *end)
{
	struct endpoint *copy = calloc(set->count, sizeof(*copy));
	uint32_t at = 0;

	bug_on(copy == NULL);
	memcpy(copy, set->e, set->count * sizeof(*copy));
	for (uint32_t i = 0; i < set->count; i++)
		end[place_of(l, e[i].cluster)]++;
	for (uint32_t c = 0; c < l->count; c++) {
		uint32_t n = end[c];

		end[c] = at; /* where the next one goes, and so its end at last */
		at += n;
	}
	for (uint32_t i = 0; i < set->count; i++)
		set->e[end[place_of(l, e[i].cluster)]++] = copy[i];
	free(copy);
}

/* Of equal ratio and small enough for pick_backend(); what weighs anything goes on doing so. */
static void scale(struct weight_vector *v, const uint64_t *weight)
{
	uint64_t all = 0;
	unsigned shift = 0;

	for (uint32_t c = 0; c < v->count; c++)
		all += weight[c];
	while ((all >> shift) + v->count >= 1u << 29)
		shift++;
	for (uint32_t c = 0; c < v->count; c++) {
		v->w[c] = (uint32_t)(weight[c] >> shift);
		if (v->w[c] == 0 && weight[c] != 0)
			v->w[c] = 1;
		v->total += v->w[c];
	}
}

void endpoint_set_finish(struct endpoint_set *set, const struct message_endpoint *e)
{
	struct weight_vector *v = (struct weight_vector *)(void *)&set->e[set->count];
	uint64_t weight[CLUSTERS_MAX] = {0};
	struct names names = {.count = 0};
	uint32_t *end;

	if (set->count == 0)
		return;
	if (!collect(&names, e, set->count))
		names.count = 1; /* too many: treated as one */
	end = &v->w[names.count];
	set->cluster_end = end;
	set->cluster_count = names.count;
	if (names.count == 1) {
		end[0] = set->count;
		return;
	}
	sort_by_cluster(set, e, &names, end);
	for (uint32_t i = 0, c = 0; i < set->count; i++) {
		while (i == end[c])
			c++;
		weight[c] += set->e[i].draining ? 0 : set->e[i].weight;
	}
	v->rule_id = set->service_id;
	/* A slot may pass to a backend of another service: its weights are others too. */
	v->revision = hash_mix(set->service_id, set->revision);
	v->count = names.count;
	scale(v, weight);
	atomic_init(&set->shares, v);
}
