// SPDX-License-Identifier: Apache-2.0
/*
 * sources.h: from where the clusters of the registry are to where their objects go.
 *
 *	registry ─→ sources ─┬─ a directory: inotify and a look every 30 s ─→ store
 *	    ↑                └─ an API server: one watch per kind ──────────→ store
 *	    └─ RemoteClusterConfigurations ←────────────┘
 *
 * Which kinds are watched follows from a cluster's roles. A cluster of an API server takes part once
 * all of them were listed; kinds that a cluster may do without (kinds.c) are waited for
 * SOURCES_OPTIONAL_US more, because the account may not be allowed to see them. Kinds that a new
 * role asks for stay out of views until that holds again. Whatever is lost later stays as it was last and is called stale, kinds that the
 * server no longer serves included; what the server says was deleted is gone, also when it was with
 * its definition.
 *
 * What API servers said last is kept on disk (cache.h). After a start each has SOURCES_DISK_US to
 * say it anew; a cluster whose server does not, and of which everything is on disk, takes part with
 * that, is called stale, and nothing is written to its server before all was listed.
 *
 * A kubeconfig that cannot work leaves its cluster as it is and is tried again; a file that changes
 * is read again. The other clusters do not notice.
 */
#pragma once

#include <jansson.h>

#include "control/clusters/registry.h"
#include "control/kube/kube.h"
#include "control/sources/cache.h"
#include "control/store/store.h"

#define SOURCES_RESCAN_US 30000000u /* what inotify might have missed (network file systems) */
#define SOURCES_OPTIONAL_US 10000000u
#define SOURCES_START_US 30000000u /* sources_ready() says yes then, whatever is missing */
#define SOURCES_DISK_US 3000000u

struct sources;

struct sources_events {
	void (*on_change)(void *arg);	/* the next view differs, or we have become ready */
	void (*on_status)(void *arg);	/* statuses of objects have changed: store_latest() */
	void (*on_clusters)(void *arg); /* the registry has a new list; apply it */
	/* The client of a cluster is about to go; NULL: nobody else uses it. */
	void (*on_closing)(void *arg, struct str cluster);
	void *arg;
};

/* <cache_dir> NULL: nothing is kept on disk. */
int sources_new(struct loop *loop, struct store *store, struct registry *registry,
	const char *cache_dir, const struct sources_events *events, struct sources **ret,
	struct err *err);
void sources_free(struct sources *s); /* NULL is fine */

/* Opens, closes and changes what the registry says now. Directories are read at once. */
void sources_apply(struct sources *s);
/* SIGHUP: every directory and kubeconfig is read again. */
void sources_reload(struct sources *s);
/* Every cluster that is open takes part, or there was time enough; plans before would lack some. */
bool sources_ready(const struct sources *s);
/* Whether a definition could work: its kubeconfig can be read and makes sense. */
int sources_check(const struct cluster_def *def, struct err *err);

/*
 * The client of a cluster, for writes that follow from its objects; NULL: no API server, not open,
 * or not all of its objects were listed yet since it was opened.
 */
struct kube_cluster *sources_kube(const struct sources *s, struct str cluster);

/* --- what REST and metrics show --- */

struct source_state {
	bool api;	    /* an API server; else a directory */
	bool takes_part;    /* its objects are in views */
	const char *error;  /* why it cannot be opened or read; "" */
	bool from_disk;	    /* some of its objects were not listed since the start */
	int64_t disk_age_s; /* of these: since when they may have changed; else 0 */
	bool open;	    /* <kube> is valid */
	struct kube_cluster_state kube;
};

struct source_kind_state {
	enum kind kind;
	struct kube_watch_state watch;
	uint32_t objects, problems; /* in the store */
	uint64_t broken;	    /* objects that came and were not valid */
	bool kept;		    /* the server has no such kind any more; its objects stay */
	bool from_disk;		    /* not listed since the start; "stale" rather than "listing" */
};

void sources_cache_state(const struct sources *s, struct cache_state *ret);
bool sources_state(const struct sources *s, struct str cluster, struct source_state *ret);
/* The <i>th kind that is watched in a cluster; false behind the last. */
bool sources_kind_state(const struct sources *s, struct str cluster, unsigned i,
	struct source_kind_state *ret);
