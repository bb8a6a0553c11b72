// SPDX-License-Identifier: Apache-2.0
/*
 * cache.h: what API servers said last, in the state directory, for the time after a restart.
 *
 *	<state directory>/objects/<cluster>/<plural>	one file per kind (store_disk.h), 0600
 *
 * A kind's file is replaced CACHE_SAVE_US after its objects have changed, by a thread of its own; a
 * clean end writes what is missing. Until then the change itself stands beside the file, written
 * before a plan is made of it (tail.h), so that a control that is killed and comes back while API
 * servers are away goes on where it was, and never publishes what is older than what dataplanes
 * have. A change of status alone waits for one that is more. Secrets
 * are left out. The folder's mtime says when its objects were last known to be all there is.
 *
 * At a start the files are read before the servers are asked. A kind is "from disk" until its
 * server has listed it: then the list is what counts, and what it does not name is gone. A file
 * that is broken, another's or too large costs a line in the log and a counter; its cluster is then
 * waited for as one of which nothing is known.
 *
 * All functions of one cluster accept NULL: nothing is kept.
 */
#pragma once

#include "control/loop/loop.h"
#include "control/store/store_disk.h"

#define CACHE_SAVE_US 2000000u
#define CACHE_SAVE_SHARE 10u	 /* of the time, the thread works one part at most */
#define CACHE_AGAIN_US 30000000u /* after a failure */

enum cache_counter {
#define CACHE_COUNTER(NAME, name, help) CACHE_##NAME,
#include "control/sources/cache.def"
#undef CACHE_COUNTER
	CACHE_COUNTER_COUNT
};

struct cache_counter_info {
	const char *name, *help;
};
extern const struct cache_counter_info cache_counter_info[CACHE_COUNTER_COUNT];

struct cache_state {
	uint64_t counters[CACHE_COUNTER_COUNT];
	uint64_t refused[STORE_DISK_FAULT_COUNT];
};

struct caches; /* of all clusters */
struct cache;  /* of one */

/* <dir>: made when the first file is; copied. */
int caches_new(struct loop *loop, struct store *store, const char *dir, struct caches **ret,
	struct err *err);
/* Writes what is missing and waits for it; every cache must be closed afterwards or before. */
void caches_free(struct caches *cs); /* NULL is fine */
void caches_state(const struct caches *cs, struct cache_state *ret);
/* Removes the folders of clusters for which <wanted> is false. */
void caches_sweep(struct caches *cs, bool (*wanted)(void *arg, struct str cluster), void *arg);

/* Reads what there is of a cluster with these roles. NULL when <cs> is. */
struct cache *cache_open(struct caches *cs, struct str cluster, unsigned roles);
void cache_close(struct cache *c);
/* The cluster is gone for good: its files, too. Closes it. */
void cache_drop(struct cache *c);

void cache_changed(struct cache *c, enum kind kind);
/* The store has what the server has; or nothing is wanted of the kind any more. */
void cache_listed(struct cache *c, enum kind kind);
/* From now on changes are written: before, the cluster's objects may be a part of them only. */
void cache_takes_part(struct cache *c);
/* Everything is known at this moment. */
void cache_seen(struct cache *c);

/*
 * Files and lists together make a cluster that can take part. Not <strict>: of kinds that it may do
 * without, files that were refused are no matter.
 */
bool cache_suffices(const struct cache *c, unsigned roles, bool strict);
bool cache_kind_is_from_disk(const struct cache *c, enum kind kind);
/* Any of its kinds; *ret_age_s: since when they may have changed. */
bool cache_is_from_disk(const struct cache *c, int64_t *ret_age_s);
