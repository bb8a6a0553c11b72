// SPDX-License-Identifier: Apache-2.0
/*
 * store.h: the last known good objects of every cluster; control's only mutable truth.
 *
 * Sources feed it, a directory or an API server (store_api.h) per cluster; reconcile reads it
 * through a view: an immutable list of all objects at one revision. Reading a file again replaces
 * exactly the objects that came from it, and never by something worse:
 *
 *	file cannot be parsed, or is empty	its objects stay as they were
 *	one object in it is not valid		that one stays as it was, the others are taken
 *	an object whose name is unreadable	might be any: none of the old ones is removed
 *	the file is gone			its objects are gone
 *	an object stands in two places		the first by path and line counts
 *
 * and what is wrong is a problem that the view carries.
 *
 * generation starts at 1 and grows when the spec changes, as API servers count it. An object without
 * metadata.creationTimestamp counts as older than all others and ties are broken by name: the same
 * files then always give the same precedence, whatever the order or time of their reading.
 *
 * One thread owns the store. Views may be read and released by any.
 */
#pragma once

#include "control/model/object.h"
#include "dataplane/base/err.h"

struct problem {
	bool fatal;	 /* false: a warning (an unknown field, a kind that is not used) */
	bool stale;	 /* an older version of the object or file is still in use */
	struct str text; /* "file:line: Kind namespace/name: field: what and why" */
};

struct view_kind {
	struct object *const *objects; /* by cluster, namespace, name */
	uint32_t count, unseen_count;
	struct str *unseen; /* clusters of which nobody knows what they have of it */
};

struct view {
	uint64_t revision; /* of the store; grows with every change of an object */
	struct view_kind kinds[KIND_COUNT];
	const struct problem *problems; /* fatal ones first, then by file and line */
	uint32_t problem_count, fatal_count;
	struct arena arena;
	_Atomic uint32_t refs;
};

struct store;

struct store *store_new(void);
void store_free(struct store *s); /* NULL is fine */

/*
 * Reads every *.yaml, *.yml and *.json below <dir> (hidden names are skipped) and forgets the files
 * of <cluster> that are no longer there. -errno when the folder itself cannot be read: then
 * everything stays. Trouble inside a file is a problem of the view, not an error here.
 */
int store_load_dir(struct store *s, struct str cluster, const char *dir, struct err *err);
/* After an event: reads one file again, or forgets it when it is gone. */
void store_reload_file(struct store *s, struct str cluster, const char *path);
void store_remove_file(struct store *s, struct str cluster, const char *path);
/* The same for text that does not come from a file (tests, fuzzing). */
void store_put_text(struct store *s, struct str cluster, const char *path, struct str text);

/* Forgets all objects of a cluster, whatever its source. */
void store_remove_cluster(struct store *s, struct str cluster);

/*
 * The newest version of an object, which may have another status than the view's. Borrowed until
 * the store is fed again.
 */
const struct object *store_latest(struct store *s, enum kind kind, struct str cluster,
	struct str ns, struct str name);

uint64_t store_revision(const struct store *s);
/* True for names that store_load_dir() would read; for the watcher of directories. */
bool store_wants_file(const char *name);

/* The present view; the same pointer as long as nothing changes. Release with view_put(). */
struct view *store_view(struct store *s);
struct view *view_get(struct view *v);
void view_put(struct view *v); /* NULL is fine */
const struct object *view_find(const struct view *v, enum kind kind, struct str cluster,
	struct str ns, struct str name);
/* The cluster takes part without it: there may be objects of the kind, or there may be none. */
bool view_is_unseen(const struct view *v, enum kind kind, struct str cluster);
