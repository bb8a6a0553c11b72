// SPDX-License-Identifier: Apache-2.0
/*
 * orders.c: operators' weights, in and out.
 *
 * Of the records about a cluster the one that holds here becomes an order: that for this site alone
 * before that for all. Everything is made anew each time; there are few.
 */
#include <errno.h>

#include "control/federate/federate_private.h"

static bool stands_already(const struct cluster_order *o, uint32_t count, struct str cluster)
{
	for (uint32_t i = 0; i < count; i++)
		if (str_eq(o[i].cluster, cluster))
			return true;
	return false;
}

void orders_apply(void *arg)
{
	struct federate *f = arg;
	struct cluster_order orders[CLUSTERS_MAX];
	const struct record *r;
	uint32_t count = 0, pos = 0;

	while ((r = federation_next_record(f->federation, &pos)) != NULL) {
		const struct record *w;

		if (r->kind != RECORD_WEIGHT || count == CLUSTERS_MAX ||
			stands_already(orders, count, r->cluster))
			continue;
		w = federation_weight(f->federation, r->cluster);
		if (w == NULL)
			continue;
		orders[count++] = (struct cluster_order){
			.cluster = w->cluster,
			.weight = w->weight.weight,
			.drain = w->weight.drain,
			.site = w->site,
			.actor = w->weight.actor,
			.reason = w->weight.reason,
			.since_ms = hlc_ms(w->stamp),
			.expires_ms = w->weight.expires_ms,
		};
	}
	if (registry_set_orders(f->cfg.registry, orders, count))
		f->cfg.on_clusters(f->cfg.arg);
}

int federate_set_weight(struct federate *f, struct str cluster, bool local,
	const struct record_weight *w, struct err *err)
{
	int rc = federation_set_weight(f->federation, cluster, local ? federate_name(f) : STR(""),
		w, err);

	if (rc == 0)
		orders_apply(f);
	return rc;
}
