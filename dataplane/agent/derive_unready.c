// SPDX-License-Identifier: Apache-2.0
/*
 * derive_unready.c: endpoints that shall be ready and are not, by cluster, over all services.
 *
 * Control says a number for each service and cluster, not who they are. The same pods often stand
 * behind several services (a Service and the ServiceImport of its name): where all that is ready in
 * a cluster is the same, and as many are not, those are taken for the same.
 */
#include "dataplane/agent/derive_state.h"

#define PODS_MAX 256u /* of different services; what is beyond is counted each time */

struct pods {
	uint32_t cluster, unready;
	uint64_t ready; /* all their ids in one */
};

static struct derive_unready *place_of(struct derive_unready *list, uint32_t *count, uint32_t max,
	struct str name)
{
	for (uint32_t i = 0; i < *count; i++)
		if (str_eq(list[i].cluster, name))
			return &list[i];
	if (*count == max)
		return NULL;
	list[*count] = (struct derive_unready){.cluster = name};
	return &list[(*count)++];
}

static uint64_t ready_of(const struct endpoint_set *set, const struct derive_cluster *x)
{
	uint64_t all = 0;

	if (x->place == SLOT_NONE)
		return 0;
	for (uint32_t i = x->place == 0 ? 0 : set->cluster_end[x->place - 1];
		i < set->cluster_end[x->place]; i++)
		if (!set->e[i].draining)
			all ^= set->e[i].id;
	return all;
}

static bool is_new(struct pods *seen, uint32_t *count, struct pods p)
{
	for (uint32_t i = 0; i < *count; i++)
		if (seen[i].cluster == p.cluster && seen[i].unready == p.unready &&
			seen[i].ready == p.ready)
			return false;
	if (*count < PODS_MAX)
		seen[(*count)++] = p;
	return true;
}

uint32_t derive_unready(const struct live_context *c, struct derive_unready *ret, uint32_t max)
{
	const struct live *l = c->live;
	struct pods seen[PODS_MAX];
	uint32_t count = 0, pods = 0;

	for (uint32_t s = 0; l != NULL && s < l->cfg.service_count; s++) {
		const struct derive_service *d = l->derived[s];
		const struct endpoint_set *set = config_endpoints(&l->cfg, s);

		for (uint32_t i = 0; i < d->count; i++) {
			const struct derive_cluster *x = &d->c[i];
			struct derive_unready *to = NULL;

			if (x->unready != 0)
				to = place_of(ret, &count, max, x->name);
			if (to != NULL &&
				is_new(seen, &pods,
					(struct pods){(uint32_t)(to - ret), x->unready,
						ready_of(set, x)}))
				to->unready += x->unready;
		}
	}
	return count;
}
