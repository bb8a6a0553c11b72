// SPDX-License-Identifier: Apache-2.0
/*
 * store_private.h: what the files of control/store share.
 */
#pragma once

#include "control/store/store_api.h"

/* One file of one cluster, and what is in use of it. */
struct store_file {
	char *cluster, *path;	 /* owned */
	uint64_t text_hash;	 /* of the bytes that were read last; 0: none yet */
	struct object **objects; /* owned references, in the order of the file */
	uint32_t objects_count;
	struct problem *problems; /* texts live in problems_arena */
	uint32_t problems_count;
	struct arena problems_arena;
	bool seen; /* by the walk that is under way */
};

/* One object of an API server; one that was never valid has a problem and no object. */
struct store_entry {
	struct str ns, name;   /* owned */
	struct object *object; /* owned reference, or NULL */
	char *problem;	       /* owned; of a version that was not valid; NULL: none */
	bool seen;	       /* by the list that is under way */
	bool disk;	       /* not seen since a restart: its version proves nothing */
};

struct store_kind {
	struct store *store;
	struct store_cluster *cluster;
	enum kind kind;
	struct store_entry *entries; /* owned, by namespace and name */
	uint32_t count, room;
	uint32_t objects, problems; /* entries that have one */
	bool hidden;		    /* no part of views */
	bool unseen;		    /* which objects there are is not known */
	uint64_t broken;
};

struct store_cluster {
	struct str name;		      /* owned */
	bool open;			      /* its objects are part of views */
	size_t bytes;			      /* that its objects take */
	struct store_kind *kinds[KIND_COUNT]; /* owned; NULL: nothing was fed yet */
};

struct store {
	struct store_cluster **clusters; /* owned, those of API servers */
	uint32_t clusters_count;
	size_t cluster_bytes_max;
	store_listen_fn listen;
	void *listen_arg;
	struct store_file **files; /* owned, by cluster and path */
	uint32_t files_count, files_room;
	uint64_t revision;
	struct view *view; /* the newest that was made, or NULL */
};

struct store_file *store_file_find(struct store *s, struct str cluster, const char *path);
struct store_file *store_file_add(struct store *s, struct str cluster, const char *path);
/* Replaces the problems of <f> by this one. */
void store_file_problem(struct store *s, struct store_file *f, const char *text);
void store_file_text(struct store *s, struct store_file *f, struct str text);

void store_cluster_free(struct store_cluster *c);
void store_api_remove(struct store *s, struct str cluster);
const struct object *store_api_latest(const struct store *s, enum kind kind, struct str cluster,
	struct str ns, struct str name);

/* A view of all files; generations go on from <previous>. */
struct view *view_build(const struct store *s, const struct view *previous);
