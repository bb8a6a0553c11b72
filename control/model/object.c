// SPDX-License-Identifier: Apache-2.0
/*
 * object.c: lifetime and order of objects.
 */
#include "control/model/object.h"

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"

struct object *object_regenerate(struct object *o, int64_t generation)
{
	struct object *copy = malloc(sizeof(*copy));

	bug_on(copy == NULL);
	memcpy(copy, o, offsetof(struct object, refs));
	copy->generation = generation;
	copy->base = object_get(o);
	arena_init(&copy->arena, 0);
	atomic_store(&copy->refs, 1);
	return copy;
}

const char *object_place(const struct object *o, char *buf, size_t size)
{
	if (o->file != NULL)
		snprintf(buf, size, "%s:%u", o->file, o->line);
	else
		snprintf(buf, size, "cluster %.*s", STR_FMT(o->cluster));
	return buf;
}

struct object *object_get(struct object *o)
{
	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
	return o;
}

void object_put(struct object *o)
{
	if (o == NULL)
		return;
	if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
		return;
	object_put(o->base);
	arena_fini(&o->arena);
	free(o);
}

int object_cmp_key(const struct object *o, struct str cluster, struct str ns, struct str name)
{
	int c = str_cmp(o->cluster, cluster);

	if (c == 0)
		c = str_cmp(o->ns, ns);
	return c != 0 ? c : str_cmp(o->name, name);
}

/* "{namespace}/{name}" as one string: '-' is less than '/', so "a-b/x" comes before "a/x". */
static int cmp_joined(const struct object *a, const struct object *b)
{
	struct str x = a->ns, y = b->ns;
	size_t n = x.len < y.len ? x.len : y.len;
	int c = str_cmp(str_first(x, n), str_first(y, n));

	if (c != 0 || x.len == y.len)
		return c != 0 ? c : str_cmp(a->name, b->name);
	return x.len > y.len ? (unsigned char)x.p[n] - '/' : '/' - (unsigned char)y.p[n];
}

int object_cmp_age(const struct object *a, const struct object *b)
{
	int c;

	if (a->created != b->created)
		return a->created < b->created ? -1 : 1;
	c = str_cmp(a->cluster, b->cluster);
	return c != 0 ? c : cmp_joined(a, b);
}
