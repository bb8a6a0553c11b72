// SPDX-License-Identifier: Apache-2.0
/*
 * orders.c: operators' weights, in and out.
 *
 * Of the records about a cluster the one that holds here becomes an order: that for this site alone
 * before that for all. Everything is made anew each time. Orders may name clusters that are not
 * there (yet), as many as sites may have weights: they take no place from those that are.
 */
#include <errno.h>
#include <stdlib.h>

#include "control/federate/federate_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"

/* The next record that holds here, or NULL; every cluster has one at most. */
static const struct record *next_that_holds(const struct federation *f, uint32_t *pos)
{
	const struct record *r;

	while ((r = federation_next_record(f, pos)) != NULL)
		if (r->kind == RECORD_WEIGHT && federation_weight(f, r->cluster) == r)
			return r;
	return NULL;
}

/* Of what holds here, who says the weight: a drain of this site alone leaves that of all. NULL: nobody. */
static const struct record *says_weight(const struct federation *f, const struct record *holds)
{
	const struct record *all;

	if (!holds->weight.weightless)
		return holds;
	all = federation_weight_at(f, holds->cluster, STR(""));
	return all != NULL && !all->weight.weightless ? all : NULL;
}

static uint32_t count_weights(const struct federation *f)
{
	const struct record *r;
	uint32_t count = 0, pos = 0;

	while ((r = federation_next_record(f, &pos)) != NULL)
		count += r->kind == RECORD_WEIGHT;
	return count;
}

void orders_apply(void *arg)
{
	struct federate *f = arg;
	uint32_t room = count_weights(f->federation), count = 0, pos = 0;
	autofree struct cluster_order *orders = calloc(room + 1ul, sizeof(*orders));
	const struct record *w, *said;

	bug_on(orders == NULL);
	while (count < room && (w = next_that_holds(f->federation, &pos)) != NULL) {
		said = says_weight(f->federation, w);
		orders[count++] = (struct cluster_order){
			.cluster = w->cluster,
			.weight = said != NULL ? said->weight.weight : 0,
			.has_weight = said != NULL,
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
