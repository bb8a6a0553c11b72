// SPDX-License-Identifier: Apache-2.0
/*
 * objects.h: which objects of a resource there are, and which incarnation of each: a table from
 * "namespace/name" to uid. While a list is taken its text is kept here too. The keys of all tables of
 * a cluster share a budget: names may be long, and a server may have as many as it likes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/kube/object.h"
#include "dataplane/base/arena.h"

#define OBJECTS_MAX 100000u

struct objects_budget {
	size_t used, max; /* bytes */
};

struct objects_entry {
	char *key;	     /* owned; "namespace/name", and behind its NUL the uid */
	const char *uid;     /* in <key> */
	struct str text;     /* JSON; in the table's arena; empty: not kept */
	uint32_t hash, next; /* index + 1 of the next in its bucket */
};

struct objects {
	struct objects_entry *entries; /* owned */
	uint32_t *buckets;	       /* owned; index + 1 */
	uint32_t count, room;	       /* room: a power of two, also the number of buckets */
	struct arena texts;
	struct objects_budget *budget; /* borrowed; of the keys */
};

void objects_init(struct objects *t, struct objects_budget *budget, size_t text_bytes_max);
void objects_fini(struct objects *t);
/* Forgets all. */
void objects_clear(struct objects *t);
/* The entry with the key of <e>, which belongs to another table. */
struct objects_entry *objects_match(const struct objects *t, const struct objects_entry *e);
struct objects_entry *objects_find(const struct objects *t, const char *ns, const char *name);
/*
 * The entry, new or not; its uid is now <meta>'s. NULL: there are too many, or they are together
 * too long.
 */
struct objects_entry *objects_put(struct objects *t, const struct object_meta *meta);
/* A copy of an entry of another table, without its text. */
void objects_carry(struct objects *t, const struct objects_entry *e);
void objects_remove(struct objects *t, const char *ns, const char *name);
/* Keeps a copy; false when all texts together are too large. */
bool objects_keep(struct objects *t, struct objects_entry *e, struct str text);
/* The text is not needed any more; the keys stay. */
void objects_drop_texts(struct objects *t);
