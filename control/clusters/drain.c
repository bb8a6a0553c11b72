// SPDX-License-Identifier: Apache-2.0
/*
 * drain.c: one step of a drain.
 */
#include "control/clusters/drain.h"

#include <string.h>

static uint16_t towards(uint16_t from, uint16_t to, uint32_t step)
{
	if (from < to)
		return (uint32_t)(to - from) > step ? (uint16_t)(from + step) : to;
	return (uint32_t)(from - to) > step ? (uint16_t)(from - step) : to;
}

static const struct cluster *find(const struct clusters *list, struct str name)
{
	const struct cluster *c = clusters_lookup(list, name);

	return str_eq(c->name, name) ? c : NULL;
}

static struct clusters *move(struct drains *r, const struct clusters *target, uint32_t step,
	bool *ret_moving)
{
	struct cluster items[CLUSTERS_MAX];
	struct clusters *fresh;

	*ret_moving = false;
	memcpy(items, target->items, target->count * sizeof(items[0]));
	for (uint32_t i = 0; i < target->count; i++) {
		const struct cluster *was = find(r->now, items[i].name);
		uint16_t to = items[i].withheld;

		if (was == NULL || items[i].admin == CLUSTER_DISABLED)
			continue;
		items[i].withheld = towards(was->withheld, to, step);
		*ret_moving |= items[i].withheld != to;
	}
	fresh = clusters_new(items, target->count);
	if (clusters_equal(fresh, r->now)) {
		clusters_put(fresh);
		return r->now;
	}
	clusters_put(r->now);
	r->now = fresh;
	return fresh;
}

struct clusters *drains_step(struct drains *r, const struct clusters *target, uint32_t points_per_s,
	bool *ret_moving)
{
	/* Points of 100 in a second are permille in a step of a tenth of one. */
	return move(r, target, points_per_s, ret_moving);
}

struct clusters *drains_take(struct drains *r, const struct clusters *target, bool *ret_moving)
{
	return move(r, target, 0, ret_moving);
}

void drains_fini(struct drains *r)
{
	clusters_put(r->now);
	r->now = NULL;
}
