// SPDX-License-Identifier: Apache-2.0
/*
 * store_api.h: objects of API servers, beside those of files.
 *
 * One struct store_kind holds one kind of one cluster, fed with whole lists and single changes in
 * the order in which the server tells them. As with files nothing is replaced by something worse:
 *
 *	an object is not valid		its last good version stays, and a problem says so
 *	a list could not be read whole	what is not in it stays
 *	the kind is gone, or the server	all stays; whoever feeds us says "stale"
 *
 * A cluster takes part in views once its gate is open, which its source does when all kinds have
 * been listed once: half a cluster would be a wrong one. The gate does not close again; kinds that
 * come behind it, with a new role of the cluster, are hidden until all of these were listed.
 *
 * A change that is one of status alone (our own writes come back as such) makes no new view: plans
 * do not depend on it. Who compares status asks store_latest().
 */
#pragma once

#include <jansson.h>

#include "control/store/store.h"

struct store_kind;

enum store_change {
	STORE_SAME = 0, /* known already */
	STORE_STATUS,	/* status or resourceVersion, nothing else */
	STORE_CHANGED,	/* the next view differs, once the gate is open */
	STORE_BROKEN,	/* not valid; a problem says why, which is new */
};

#define STORE_KIND_PROBLEMS_MAX 256u /* kept, of one kind; all are counted */
#define STORE_CLUSTER_BYTES_MAX ((size_t)512 << 20)

/*
 * What the objects of one cluster may take; those beyond are as not valid ones. A server that gives
 * more and more must not take the memory of all others.
 */
void store_api_bound(struct store *s, size_t cluster_bytes_max);

/*
 * Told of each object that is another one now than before, status aside; <o> NULL: it is gone. Of a
 * cluster that goes as a whole nothing is told.
 */
typedef void (*store_listen_fn)(void *arg, struct str cluster, enum kind kind, struct str ns,
	struct str name, const struct object *o);
void store_api_listen(struct store *s, store_listen_fn fn, void *arg);

/* The same pointer each time, valid until store_remove_cluster(). */
struct store_kind *store_api_kind(struct store *s, struct str cluster, enum kind kind);
/* NULL: it was never asked for. */
struct store_kind *store_api_find(const struct store *s, struct str cluster, enum kind kind);
/* Its objects are no part of views, though the gate is open. */
void store_api_hide(struct store_kind *k, bool hidden);
bool store_api_is_hidden(const struct store_kind *k);
/* Views say that nobody knows which objects there are (view_is_unseen()). */
enum store_change store_api_unseen(struct store_kind *k, bool unseen);

/*
 * A list: what is not given between begin and end is gone at the end, if the list was <whole>. The
 * answer: did anything go, and be it what was never valid, whose problem goes with it.
 */
void store_api_begin(struct store_kind *k);
enum store_change store_api_end(struct store_kind *k, bool whole);
enum store_change store_api_upsert(struct store_kind *k, const json_t *object);
/* Needs metadata's namespace and name only. */
enum store_change store_api_delete(struct store_kind *k, const json_t *object);

/* Every object, by namespace and name. */
void store_api_each(const struct store_kind *k, void (*fn)(void *arg, const struct object *o),
	void *arg);
uint32_t store_api_count(const struct store_kind *k);
uint32_t store_api_problems(const struct store_kind *k); /* objects that are not valid now */
uint64_t store_api_broken(const struct store_kind *k);	 /* how often one came that was not */

void store_api_gate(struct store *s, struct str cluster);
bool store_api_gate_is_open(const struct store *s, struct str cluster);
/* The next view is a new one, whether anything in it is or not. */
void store_touch(struct store *s);

/* --- what is kept on disk (store_disk.h) --- */

/*
 * An object as it was before a restart. One that is here already is newer and stays; whatever the
 * server says of it, its version included, is taken as new. False: it is not valid, or there is no
 * room.
 */
bool store_api_restore(struct store_kind *k, const json_t *object);

/* Objects as they are now, by namespace and name: for another thread to read. */
struct store_shot {
	enum kind kind;
	struct str cluster;	 /* owned */
	struct object **objects; /* owned references */
	uint32_t count;
};

void store_shot_take(const struct store_kind *k, struct store_shot *ret);
void store_shot_fini(struct store_shot *s);
