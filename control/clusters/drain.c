// SPDX-License-Identifier: Apache-2.0
/*
 * drain.c: one step of a drain.
 */
#include "control/clusters/drain.h"

#include <stdlib.h>
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

/* How far <name> was in a former life, asked once; false: it is not known. */
static bool take_kept(struct drains *r, struct str name, uint16_t *ret)
{
	for (uint32_t i = 0; i < r->kept_count; i++) {
		if (!str_eq(str_of(r->kept[i].name), name))
			continue;
		*ret = r->kept[i].withheld;
		r->kept[i] = r->kept[--r->kept_count];
		return true;
	}
	return false;
}

/* How far it is now; false: it is where it shall be. */
static bool withheld_now(struct drains *r, const struct cluster *target, uint16_t *ret)
{
	const struct cluster *was = find(r->now, target->name);
	bool kept = take_kept(r, target->name, ret);

	if (was != NULL)
		*ret = was->withheld;
	return (was != NULL || kept) && target->admin != CLUSTER_DISABLED;
}

static struct clusters *move(struct drains *r, const struct clusters *target, uint32_t step,
	bool *ret_moving)
{
	struct cluster items[CLUSTERS_MAX];
	struct clusters *fresh;

	*ret_moving = false;
	memcpy(items, target->items, target->count * sizeof(items[0]));
	for (uint32_t i = 0; i < target->count; i++) {
		uint16_t to = items[i].withheld, was;

		if (!withheld_now(r, &items[i], &was))
			continue;
		items[i].withheld = towards(was, to, step);
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
	free(r->path);
	*r = (struct drains){.now = NULL};
}
