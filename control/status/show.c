// SPDX-License-Identifier: Apache-2.0
/*
 * show.c: what metrics and REST tell of the writers, and which objects wait for what.
 */
#include <string.h>

#include "control/status/status_private.h"
#include "dataplane/base/clock.h"

bool status_state(const struct status *s, uint32_t i, struct status_state *ret)
{
	const struct writer *w;

	if (s == NULL || i >= s->writers_count)
		return false;
	w = s->writers[i];
	*ret = (struct status_state){
		.cluster = w->name,
		.leader = w->lease.held,
		.denied = w->lease.denied,
		.holder = w->lease.known ? w->lease.seen.holder : "",
		.identity = s->instance,
		.waiting = w->waiting,
		.under_way = w->under_way,
		.events_waiting = w->events_waiting,
	};
	memcpy(ret->counters, w->counters, sizeof(ret->counters));
	memcpy(ret->whys, w->whys, sizeof(ret->whys));
	return true;
}

/* Into its place among those that wait longest; how many there are then. */
static uint32_t insert(struct status_wait *list, uint32_t count, const struct status_wait *w)
{
	uint32_t i = count < STATUS_WAITS_MAX ? count : STATUS_WAITS_MAX - 1;

	if (count == STATUS_WAITS_MAX && list[i].waits_us >= w->waits_us)
		return count;
	for (; i > 0 && list[i - 1].waits_us < w->waits_us; i--)
		list[i] = list[i - 1];
	list[i] = *w;
	return count < STATUS_WAITS_MAX ? count + 1 : count;
}

uint32_t status_waits(const struct status *s, struct str cluster,
	struct status_wait ret[STATUS_WAITS_MAX])
{
	uint64_t now = clock_mono_us();
	uint32_t count = 0;

	for (uint32_t i = 0; s != NULL && i < ENTRY_BUCKETS; i++)
		list_for_each (l, &s->buckets[i]) {
			const struct entry *e = list_entry(l, struct entry, bucket);

			if (e->why == STATUS_WHY_SAID || !str_eq(e->writer->name, cluster))
				continue;
			count = insert(ret, count,
				&(struct status_wait){.kind = e->kind,
					.ns = e->ns,
					.name = e->name,
					.why = e->why,
					.waits_us = now - e->since_us,
					.failures = e->failures});
		}
	return count;
}
