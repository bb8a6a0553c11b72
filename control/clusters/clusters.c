// SPDX-License-Identifier: Apache-2.0
/*
 * clusters.c: the immutable list.
 */
#include "control/clusters/clusters.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bug.h"

const char *const cluster_admin_names[CLUSTER_ADMIN_COUNT + 1] = {
	[CLUSTER_ACTIVE] = "active",
	[CLUSTER_DRAIN] = "drain",
	[CLUSTER_DISABLED] = "disabled",
};

static int cmp_name(const void *a, const void *b)
{
	return str_cmp(((const struct cluster *)a)->name, ((const struct cluster *)b)->name);
}

struct clusters *clusters_new(const struct cluster *items, uint32_t count)
{
	struct clusters *c = calloc(1, sizeof(*c));
	struct cluster *copy;

	bug_on(c == NULL);
	arena_init(&c->arena, 0);
	atomic_store(&c->refs, 1);
	copy = arena_array(&c->arena, struct cluster, count);
	for (uint32_t i = 0; i < count; i++) {
		copy[i] = items[i];
		copy[i].name = arena_str(&c->arena, items[i].name);
		copy[i].site = arena_str(&c->arena, items[i].site);
	}
	qsort(copy, count, sizeof(*copy), cmp_name);
	c->items = copy;
	c->count = count;
	return c;
}

struct clusters *clusters_get(struct clusters *c)
{
	if (c != NULL)
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void clusters_put(struct clusters *c)
{
	if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	arena_fini(&c->arena);
	free(c);
}

const struct cluster *clusters_lookup(const struct clusters *c, struct str name)
{
	static const struct cluster removed = {.name = {"", 0}, .admin = CLUSTER_DISABLED};
	static const struct cluster unlisted = {
		.name = {"", 0},
		.roles = CLUSTER_ROLES_ALL,
		.admin = CLUSTER_ACTIVE,
		.weight = CLUSTER_WEIGHT_DEFAULT,
	};
	uint32_t lo = 0, hi = c != NULL ? c->count : 0;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int order = str_cmp(name, c->items[mid].name);

		if (order == 0)
			return &c->items[mid];
		if (order < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return c != NULL ? &removed : &unlisted;
}

bool clusters_equal(const struct clusters *a, const struct clusters *b)
{
	if (a == NULL || b == NULL || a->count != b->count)
		return a == b;
	for (uint32_t i = 0; i < a->count; i++) {
		const struct cluster *x = &a->items[i], *y = &b->items[i];

		if (!str_eq(x->name, y->name) || x->roles != y->roles || x->admin != y->admin ||
			x->weight != y->weight || x->withheld != y->withheld ||
			!str_eq(x->site, y->site))
			return false;
	}
	return true;
}
