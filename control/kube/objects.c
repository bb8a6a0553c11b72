// SPDX-License-Identifier: Apache-2.0
/*
 * objects.c: entries in an array, chained by index. The hash is SipHash, since names are anybody's.
 */
#include "control/kube/objects.h"

#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/rng.h"

static uint32_t hash_of(const char *ns, const char *name)
{
	static struct hash_key key;
	static bool have;

	if (!have)
		rng_secret(&key, sizeof(key));
	have = true;
	return (uint32_t)(siphash(&key, ns, strlen(ns)) * 31 + siphash(&key, name, strlen(name)));
}

#define KEY_OVERHEAD 16u /* of an allocation */

static size_t room_bytes(uint32_t room)
{
	return room * (sizeof(struct objects_entry) + sizeof(uint32_t));
}

static size_t key_bytes(const struct object_meta *m)
{
	return strlen(m->ns) + strlen(m->name) + strlen(m->uid) + 3 + KEY_OVERHEAD;
}

static void key_free(struct objects *t, struct objects_entry *e)
{
	t->budget->used -= strlen(e->key) + 1 + strlen(e->uid) + 1 + KEY_OVERHEAD;
	free(e->key);
}

void objects_init(struct objects *t, struct objects_budget *budget, size_t text_bytes_max)
{
	*t = (struct objects){.budget = budget};
	arena_init(&t->texts, text_bytes_max);
}

void objects_clear(struct objects *t)
{
	size_t max = t->texts.max_bytes;

	objects_fini(t);
	objects_init(t, t->budget, max);
}

void objects_fini(struct objects *t)
{
	for (uint32_t i = 0; i < t->count; i++)
		key_free(t, &t->entries[i]);
	t->budget->used -= room_bytes(t->room);
	free(t->entries);
	free(t->buckets);
	arena_fini(&t->texts);
	t->entries = NULL;
	t->buckets = NULL;
	t->count = t->room = 0;
}

static bool is_key(const char *key, const char *ns, const char *name)
{
	size_t n = strlen(ns);

	return strncmp(key, ns, n) == 0 && key[n] == '/' && strcmp(key + n + 1, name) == 0;
}

struct objects_entry *objects_find(const struct objects *t, const char *ns, const char *name)
{
	uint32_t h = hash_of(ns, name);

	for (uint32_t i = t->room ? t->buckets[h & (t->room - 1)] : 0; i != 0;
		i = t->entries[i - 1].next)
		if (t->entries[i - 1].hash == h && is_key(t->entries[i - 1].key, ns, name))
			return &t->entries[i - 1];
	return NULL;
}

struct objects_entry *objects_match(const struct objects *t, const struct objects_entry *e)
{
	for (uint32_t i = t->room ? t->buckets[e->hash & (t->room - 1)] : 0; i != 0;
		i = t->entries[i - 1].next)
		if (t->entries[i - 1].hash == e->hash && strcmp(t->entries[i - 1].key, e->key) == 0)
			return &t->entries[i - 1];
	return NULL;
}

static void link_entry(struct objects *t, uint32_t i)
{
	uint32_t *bucket = &t->buckets[t->entries[i].hash & (t->room - 1)];

	t->entries[i].next = *bucket;
	*bucket = i + 1;
}

static uint32_t next_room(const struct objects *t)
{
	return t->room ? t->room * 2 : 64;
}

static void grow(struct objects *t)
{
	uint32_t room = next_room(t);

	t->budget->used += room_bytes(room) - room_bytes(t->room);

	t->entries = realloc(t->entries, room * sizeof(*t->entries));
	free(t->buckets);
	t->buckets = calloc(room, sizeof(*t->buckets));
	bug_on(t->entries == NULL || t->buckets == NULL);
	t->room = room;
	for (uint32_t i = 0; i < t->count; i++)
		link_entry(t, i);
}

static char *key_new(const struct object_meta *m, const char **ret_uid)
{
	size_t ns = strlen(m->ns), name = strlen(m->name), uid = strlen(m->uid);
	char *key = malloc(ns + name + uid + 3);

	bug_on(key == NULL);
	memcpy(key, m->ns, ns);
	key[ns] = '/';
	memcpy(key + ns + 1, m->name, name + 1);
	memcpy(key + ns + name + 2, m->uid, uid + 1);
	*ret_uid = key + ns + name + 2;
	return key;
}

static bool has_room(const struct objects *t, const struct object_meta *meta)
{
	size_t more = key_bytes(meta);

	if (t->count == t->room)
		more += room_bytes(next_room(t)) - room_bytes(t->room);
	return t->count < OBJECTS_MAX && t->budget->used + more <= t->budget->max;
}

struct objects_entry *objects_put(struct objects *t, const struct object_meta *meta)
{
	struct objects_entry *e = objects_find(t, meta->ns, meta->name);

	if (e != NULL && strcmp(e->uid, meta->uid) == 0)
		return e;
	if (e != NULL) {
		key_free(t, e);
		e->key = key_new(meta, &e->uid);
		t->budget->used += key_bytes(meta);
		return e;
	}
	if (!has_room(t, meta))
		return NULL;
	if (t->count == t->room)
		grow(t);
	e = &t->entries[t->count];
	*e = (struct objects_entry){.hash = hash_of(meta->ns, meta->name)};
	e->key = key_new(meta, &e->uid);
	t->budget->used += key_bytes(meta);
	link_entry(t, t->count++);
	return e;
}

void objects_carry(struct objects *t, const struct objects_entry *e)
{
	const char *name = strchr(e->key, '/') + 1;
	char ns[256];
	struct object_meta meta = {.ns = ns, .name = name, .uid = e->uid};

	snprintf(ns, sizeof(ns), "%.*s", (int)(name - 1 - e->key), e->key);
	objects_put(t, &meta);
}

/* The place that points to entry <i>: a bucket, or the entry before it. */
static uint32_t *pointer_to(struct objects *t, uint32_t i)
{
	uint32_t *p = &t->buckets[t->entries[i].hash & (t->room - 1)];

	while (*p != i + 1)
		p = &t->entries[*p - 1].next;
	return p;
}

void objects_remove(struct objects *t, const char *ns, const char *name)
{
	struct objects_entry *e = objects_find(t, ns, name);
	uint32_t i, last = t->count - 1;

	if (e == NULL)
		return;
	i = (uint32_t)(e - t->entries);
	*pointer_to(t, i) = e->next;
	key_free(t, e);
	if (i != last) {
		*pointer_to(t, last) = i + 1;
		*e = t->entries[last];
	}
	t->count--;
}

bool objects_keep(struct objects *t, struct objects_entry *e, struct str text)
{
	struct str copy = arena_str(&t->texts, text);

	if (t->texts.overflow)
		return false;
	e->text = copy;
	return true;
}

void objects_drop_texts(struct objects *t)
{
	size_t max = t->texts.max_bytes;

	arena_fini(&t->texts);
	arena_init(&t->texts, max);
	for (uint32_t i = 0; i < t->count; i++)
		t->entries[i].text = (struct str){NULL, 0};
}
