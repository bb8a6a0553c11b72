// SPDX-License-Identifier: Apache-2.0
/*
 * sources_private.h: what the files of control/sources share.
 */
#pragma once

#include "control/loop/watch.h"
#include "control/sources/cache.h"
#include "control/sources/sources.h"
#include "control/store/store_api.h"

struct api_cluster;
struct remote;

/* One kind of one API server. */
struct api_kind {
	struct api_cluster *cluster;
	enum kind kind;
	bool needed;
	bool awaited;		  /* before the cluster takes part */
	bool look;		  /* at what is served: its definition may have changed */
	struct kube_watch *watch; /* owned; NULL: not watched */
	struct store_kind *store; /* borrowed from the store */
	bool known;		  /* was listed once, or is absent */
	bool kept;		  /* absent, with objects from before */
	bool emptied; /* an empty list came; whether it means "absent" is not known yet */
	struct loop_timer settle;
};

struct api_cluster {
	struct sources *sources;
	struct str name;     /* owned by the source */
	struct cache *cache; /* the source's, or NULL */
	struct kube_cluster *kube;
	struct api_kind kinds[KIND_COUNT];
	struct remote *remote; /* owned; NULL: no config cluster */
	struct loop_timer optional, rediscover;
	unsigned rediscovered;	   /* how often since the definitions changed */
	uint64_t rediscover_at_us; /* not before */
	bool optional_over;
	bool synced; /* all kinds are known from the server, not from disk or an older connection */
};

/* One cluster of the registry, as it was applied. */
struct source {
	struct arena arena; /* of <def>'s strings */
	struct cluster_def def;
	struct sources *sources;
	struct api_cluster *api; /* owned; NULL: a directory, or not open */
	struct cache *cache;	 /* owned by <caches>; NULL: a directory, or nothing is kept */
	struct loop_timer disk;	 /* after that what is on disk will do */
	char error[400];
	uint64_t file_stamp; /* of the kubeconfig that is in use */
	int root;	     /* of the directory watch */
	bool wanted;	     /* by the list that is being applied */
	bool behind;	     /* the list says another kubeconfig, which cannot work */
};

struct sources {
	struct loop *loop;
	struct store *store;
	struct registry *registry;
	struct sources_events events;
	struct watch *watch;		   /* owned */
	struct caches *caches;		   /* owned; NULL: nothing is kept on disk */
	bool swept;			   /* of clusters that are no more */
	struct source *list[CLUSTERS_MAX]; /* owned */
	uint32_t count;
	struct loop_timer rescan, start;
	bool start_over;
};

/* sources.c; NULL: not in the list */
struct source *source_find(const struct sources *s, struct str name);

static inline bool source_is_api(const struct cluster_def *d)
{
	return d->directory == NULL;
}

/* disk.c */
void disk_init(struct source *c);
/* Reads what there is, once; it has SOURCES_DISK_US to be overtaken by the server. */
void disk_open(struct sources *s, struct source *c);
void disk_drop(struct source *c);
/* The server had its time: takes part as on disk. Not <strict>: it is this or nothing. */
void disk_take_part(struct source *c, bool strict);
/* The files are as good as what is in use, if it is. */
void disk_seen(const struct source *c);
/* Clusters that went while nobody looked; the remote ones are known by their config clusters. */
void disk_sweep(struct sources *s);

/* kinds.c */
struct watched {
	enum kind kind;
	unsigned roles;	 /* for which it is watched */
	unsigned needed; /* of these: a cluster cannot take part without knowing it */
	bool guard;	 /* it closes what would be open without it */
	const char *field_selector;
};

const struct watched *api_watched(size_t i); /* NULL behind the last */
bool api_is_watched(enum kind kind, unsigned roles);
bool api_is_needed(enum kind kind, unsigned roles);
bool api_is_guard(enum kind kind);

/* api_cluster.c */
int api_cluster_open(struct sources *s, const struct cluster_def *def, struct cache *cache,
	struct api_cluster **ret, struct err *err);
void api_cluster_close(struct api_cluster *c);
/* Watches what the roles ask for and nothing else. */
void api_cluster_roles(struct api_cluster *c, unsigned roles);
struct kube_source kube_source_of(const struct cluster_def *def);

/* remote.c: RemoteClusterConfigurations of a config cluster, with their Secrets */
struct remote *remote_new(struct api_cluster *c);
void remote_free(struct remote *r);
/* The store's RemoteClusterConfigurations of this cluster may have changed. */
void remote_refresh(struct remote *r);
