// SPDX-License-Identifier: Apache-2.0
/*
 * store_api.c: a sorted table of objects per kind and cluster.
 *
 * Lists come in the server's order, which is nearly ours, so an insertion moves next to nothing.
 * Objects that have not changed since the last list are known by their resourceVersion and are not
 * decoded again.
 */
#include "control/store/store_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/model/decode.h"
#include "control/store/store_private.h"
#include "dataplane/base/bug.h"

static int cmp_entry(const struct store_entry *e, struct str ns, struct str name)
{
	int c = str_cmp(e->ns, ns);

	return c != 0 ? c : str_cmp(e->name, name);
}

/* Index of the entry, or of the first one behind its place. */
static uint32_t entry_place(const struct store_kind *k, struct str ns, struct str name)
{
	uint32_t lo = 0, hi = k->count;

	if (hi != 0 && cmp_entry(&k->entries[hi - 1], ns, name) < 0)
		return hi; /* the next of a list */
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (cmp_entry(&k->entries[mid], ns, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct store_entry *entry_find(const struct store_kind *k, struct str ns, struct str name)
{
	uint32_t i = entry_place(k, ns, name);

	return i < k->count && cmp_entry(&k->entries[i], ns, name) == 0 ? &k->entries[i] : NULL;
}

static struct str copy_str(struct str s)
{
	char *p = strndup(s.len ? s.p : "", s.len);

	bug_on(p == NULL);
	return (struct str){p, s.len};
}

static struct store_entry *entry_add(struct store_kind *k, struct str ns, struct str name)
{
	uint32_t i = entry_place(k, ns, name);

	if (k->count == k->room) {
		k->room = k->room ? k->room * 2 : 16;
		k->entries = reallocarray(k->entries, k->room, sizeof(*k->entries));
		bug_on(k->entries == NULL);
	}
	memmove(k->entries + i + 1, k->entries + i, (k->count - i) * sizeof(*k->entries));
	k->entries[i] = (struct store_entry){.ns = copy_str(ns), .name = copy_str(name)};
	k->count++;
	return &k->entries[i];
}

static void problem_clear(struct store_kind *k, struct store_entry *e)
{
	if (e->problem == NULL)
		return;
	free(e->problem);
	e->problem = NULL;
	k->problems--;
}

/* With its entry. */
static size_t bytes_of(const struct object *o)
{
	return o != NULL ? sizeof(*o) + arena_held_bytes(&o->arena) + sizeof(struct store_entry) +
			o->ns.len + o->name.len + 2
			 : 0;
}

/* Releases what the entry has; its place in the table is the caller's. */
static void entry_clear(struct store_kind *k, struct store_entry *e)
{
	problem_clear(k, e);
	k->cluster->bytes -= bytes_of(e->object);
	if (e->object != NULL)
		k->objects--;
	object_put(e->object);
	free((char *)e->ns.p);
	free((char *)e->name.p);
}

static void say(const struct store_kind *k, const struct store_entry *e, const struct object *o)
{
	const struct store *s = k->store;

	if (s->listen != NULL)
		s->listen(s->listen_arg, k->cluster->name, k->kind, e->ns, e->name, o);
}

/* It goes by itself, not with its cluster. */
static void entry_gone(struct store_kind *k, struct store_entry *e)
{
	if (e->object != NULL)
		say(k, e, NULL);
	entry_clear(k, e);
}

static void entry_remove(struct store_kind *k, struct store_entry *e)
{
	entry_gone(k, e);
	k->count--;
	memmove(e, e + 1, (size_t)(k->entries + k->count - e) * sizeof(*e));
}

static void changed(struct store_kind *k)
{
	if (k->cluster->open && !k->hidden)
		k->store->revision++;
}

/* --- one object --- */

struct arrival {
	struct object *object; /* owned; NULL: it was not valid */
	char *problem;	       /* owned: the first fatal sentence */
};

static void on_object(void *ctx, struct object *o)
{
	((struct arrival *)ctx)->object = o;
}

static void on_broken(void *ctx, enum kind kind, struct str ns, struct str name)
{
}

/* Warnings (unknown fields) are the server's business: it knows its schema. */
static void on_problem(void *ctx, bool fatal, const char *text)
{
	struct arrival *a = ctx;

	if (fatal && a->problem == NULL)
		a->problem = strdup(text);
}

static enum store_change take_broken(struct store_kind *k, struct store_entry *e, char *problem)
{
	bool had = e->problem != NULL,
	     told = k->problems - had < STORE_KIND_PROBLEMS_MAX && problem != NULL;

	k->broken++;
	/* somebody may write it again and again: that is nobody's news, and no reason for a plan */
	if (had && told && strcmp(e->problem, problem) == 0) {
		free(problem);
		return STORE_SAME;
	}
	problem_clear(k, e);
	if (told) {
		e->problem = problem;
		k->problems++;
	} else {
		free(problem);
	}
	if (!had && !told)
		return STORE_SAME;
	changed(k);
	return STORE_BROKEN;
}

static bool has_room(const struct store_kind *k, const struct object *old,
	const struct object *fresh)
{
	size_t was = bytes_of(old), is = bytes_of(fresh);

	return is <= was || k->cluster->bytes - was + is <= k->store->cluster_bytes_max;
}

static enum store_change take_no_room(struct store_kind *k, struct store_entry *e)
{
	char *problem;

	bug_on(asprintf(&problem,
		       "cluster %.*s: %.*s %.*s%s%.*s: the cluster's objects take %zu MiB "
		       "already: no room for this one",
		       STR_FMT(k->cluster->name), STR_FMT(kind_info[k->kind].name), STR_FMT(e->ns),
		       e->ns.len ? "/" : "", STR_FMT(e->name),
		       k->store->cluster_bytes_max >> 20) < 0);
	return take_broken(k, e, problem);
}

static enum store_change take_object(struct store_kind *k, struct store_entry *e,
	struct object *fresh)
{
	struct object *old = e->object;
	bool had_problem = e->problem != NULL;
	/* one that was not valid meanwhile is news even when it is as it was before */
	bool same = !had_problem && old != NULL && old->content_digest == fresh->content_digest &&
		str_eq(old->uid, fresh->uid);

	if (!has_room(k, old, fresh)) {
		object_put(fresh);
		return take_no_room(k, e);
	}
	problem_clear(k, e);
	k->cluster->bytes += bytes_of(fresh) - bytes_of(old);
	k->objects += old == NULL;
	e->object = fresh;
	e->disk = false;
	object_put(old);
	if (!same) {
		changed(k);
		say(k, e, fresh);
	}
	return same ? STORE_STATUS : STORE_CHANGED;
}

static struct str member(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(json_object_get(object, "metadata"), key);

	return str_make(json_string_value(v), json_string_length(v));
}

enum store_change store_api_upsert(struct store_kind *k, const json_t *object)
{
	struct str ns = member(object, "namespace"), name = member(object, "name");
	struct str version = member(object, "resourceVersion");
	struct store_entry *e = entry_find(k, ns, name);
	struct arrival a = {.object = NULL};
	const struct decode_handler handler = {on_object, on_broken, on_problem, &a};
	enum store_change change;

	if (e != NULL) {
		e->seen = true;
		if (e->object != NULL && e->problem == NULL && !e->disk && version.len != 0 &&
			str_eq(version, e->object->resource_version) &&
			str_eq(member(object, "uid"), e->object->uid))
			return STORE_SAME;
	}
	object_decode_json(object, k->cluster->name, k->kind, &handler);
	if (e == NULL) {
		e = entry_add(k, ns, name);
		e->seen = true;
	}
	if (a.object == NULL) {
		change = take_broken(k, e, a.problem);
	} else {
		k->broken += a.problem != NULL; /* a policy of which its targets are left */
		free(a.problem);
		change = take_object(k, e, a.object);
	}
	/* one of too many that are not valid: it is counted, and else nothing */
	if (e->object == NULL && e->problem == NULL)
		entry_remove(k, e);
	return change;
}

enum store_change store_api_delete(struct store_kind *k, const json_t *object)
{
	struct store_entry *e = entry_find(k, member(object, "namespace"), member(object, "name"));

	if (e == NULL)
		return STORE_SAME;
	entry_remove(k, e);
	changed(k);
	return STORE_CHANGED;
}

/* --- lists --- */

void store_api_begin(struct store_kind *k)
{
	for (uint32_t i = 0; i < k->count; i++)
		k->entries[i].seen = false;
}

enum store_change store_api_end(struct store_kind *k, bool whole)
{
	uint32_t kept = 0, count = k->count;

	for (uint32_t i = 0; i < k->count; i++) {
		struct store_entry *e = &k->entries[i];

		if (e->seen || !whole)
			k->entries[kept++] = *e;
		else
			entry_gone(k, e);
	}
	k->count = kept;
	if (kept == count)
		return STORE_SAME;
	changed(k);
	return STORE_CHANGED;
}

/* --- kinds and clusters --- */

static struct store_cluster *cluster_find(const struct store *s, struct str name)
{
	for (uint32_t i = 0; i < s->clusters_count; i++)
		if (str_eq(s->clusters[i]->name, name))
			return s->clusters[i];
	return NULL;
}

static struct store_cluster *cluster_add(struct store *s, struct str name)
{
	struct store_cluster *c = calloc(1, sizeof(*c));

	bug_on(c == NULL);
	c->name = copy_str(name);
	s->clusters = reallocarray(s->clusters, s->clusters_count + 1, sizeof(c));
	bug_on(s->clusters == NULL);
	s->clusters[s->clusters_count++] = c;
	return c;
}

struct store_kind *store_api_kind(struct store *s, struct str cluster, enum kind kind)
{
	struct store_cluster *c = cluster_find(s, cluster) ?: cluster_add(s, cluster);
	struct store_kind *k = c->kinds[kind];

	if (k == NULL) {
		k = c->kinds[kind] = calloc(1, sizeof(*k));
		bug_on(k == NULL);
		k->store = s;
		k->cluster = c;
		k->kind = kind;
	}
	return k;
}

struct store_kind *store_api_find(const struct store *s, struct str cluster, enum kind kind)
{
	const struct store_cluster *c = cluster_find(s, cluster);

	return c != NULL ? c->kinds[kind] : NULL;
}

void store_api_hide(struct store_kind *k, bool hidden)
{
	if (k->hidden == hidden)
		return;
	k->hidden = false; /* either way views change */
	changed(k);
	k->hidden = hidden;
}

bool store_api_is_hidden(const struct store_kind *k)
{
	return k->hidden;
}

enum store_change store_api_unseen(struct store_kind *k, bool unseen)
{
	if (k->unseen == unseen)
		return STORE_SAME;
	k->unseen = unseen;
	changed(k);
	return STORE_CHANGED;
}

static void kind_free(struct store_kind *k)
{
	if (k == NULL)
		return;
	for (uint32_t i = 0; i < k->count; i++)
		entry_clear(k, &k->entries[i]);
	free(k->entries);
	free(k);
}

void store_cluster_free(struct store_cluster *c)
{
	for (unsigned i = 0; i < KIND_COUNT; i++)
		kind_free(c->kinds[i]);
	free((char *)c->name.p);
	free(c);
}

void store_api_remove(struct store *s, struct str cluster)
{
	for (uint32_t i = 0; i < s->clusters_count; i++) {
		if (!str_eq(s->clusters[i]->name, cluster))
			continue;
		store_cluster_free(s->clusters[i]);
		s->clusters[i] = s->clusters[--s->clusters_count];
		s->revision++;
		return;
	}
}

void store_api_bound(struct store *s, size_t cluster_bytes_max)
{
	s->cluster_bytes_max = cluster_bytes_max;
}

void store_api_listen(struct store *s, store_listen_fn fn, void *arg)
{
	s->listen = fn;
	s->listen_arg = arg;
}

void store_api_gate(struct store *s, struct str cluster)
{
	struct store_cluster *c = cluster_find(s, cluster) ?: cluster_add(s, cluster);

	s->revision += !c->open;
	c->open = true;
}

bool store_api_gate_is_open(const struct store *s, struct str cluster)
{
	const struct store_cluster *c = cluster_find(s, cluster);

	return c != NULL && c->open;
}

void store_api_each(const struct store_kind *k, void (*fn)(void *arg, const struct object *o),
	void *arg)
{
	for (uint32_t i = 0; i < k->count; i++)
		if (k->entries[i].object != NULL)
			fn(arg, k->entries[i].object);
}

void store_touch(struct store *s)
{
	s->revision++;
}

uint32_t store_api_count(const struct store_kind *k)
{
	return k->objects;
}

uint32_t store_api_problems(const struct store_kind *k)
{
	return k->problems;
}

uint64_t store_api_broken(const struct store_kind *k)
{
	return k->broken;
}

/* The newest version of an object from an API server, whether the gate is open or not. */
const struct object *store_api_latest(const struct store *s, enum kind kind, struct str cluster,
	struct str ns, struct str name)
{
	const struct store_kind *k = store_api_find(s, cluster, kind);
	const struct store_entry *e = k != NULL ? entry_find(k, ns, name) : NULL;

	return e != NULL ? e->object : NULL;
}

/* --- disk --- */

bool store_api_restore(struct store_kind *k, const json_t *object)
{
	struct arrival a = {.object = NULL};
	const struct decode_handler handler = {on_object, on_broken, on_problem, &a};
	struct store_entry *e;

	object_decode_json(object, k->cluster->name, k->kind, &handler);
	free(a.problem);
	if (a.object == NULL)
		return false;
	e = entry_find(k, a.object->ns, a.object->name);
	if (e != NULL || !has_room(k, NULL, a.object)) {
		object_put(a.object);
		return e != NULL;
	}
	e = entry_add(k, a.object->ns, a.object->name);
	e->object = a.object;
	k->cluster->bytes += bytes_of(e->object);
	e->disk = true;
	k->objects++;
	changed(k);
	return true;
}

void store_shot_take(const struct store_kind *k, struct store_shot *ret)
{
	*ret = (struct store_shot){.kind = k->kind, .cluster = copy_str(k->cluster->name)};
	ret->objects = calloc((size_t)k->count + 1, sizeof(*ret->objects));
	bug_on(ret->objects == NULL);
	for (uint32_t i = 0; i < k->count; i++)
		if (k->entries[i].object != NULL)
			ret->objects[ret->count++] = object_get(k->entries[i].object);
}

void store_shot_fini(struct store_shot *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		object_put(s->objects[i]);
	free(s->objects);
	free((char *)s->cluster.p);
}
