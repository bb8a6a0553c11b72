// SPDX-License-Identifier: Apache-2.0
/*
 * registry.h: who says that there is a cluster, where its objects come from, and what holds.
 *
 *	control.yaml	wins for everything it says about a cluster
 *	REST		clusters of its own; weight and admin state of others where the file is silent
 *	a RemoteClusterConfiguration of a config cluster	a workload cluster, as Calico means it
 *
 *	an operator's order, at this site or another	weight and drain, over all of these
 *
 * What REST said is written to a journal in the state directory before it holds, and survives
 * restarts. What it said about a cluster that is gone is kept: the cluster may come back.
 */
#pragma once

#include "control/clusters/clusters.h"
#include "control/config/config.h"
#include "dataplane/base/err.h"

enum cluster_origin { CLUSTER_BY_FILE = 0, CLUSTER_BY_REST, CLUSTER_BY_REMOTE };

/* What one of them says. Exactly one source, or none when REST only sets weight or state. */
struct cluster_def {
	struct str name;
	const char *directory, *kubeconfig; /* paths, or NULL */
	const char *context;		    /* of the kubeconfig, or NULL */
	bool in_cluster;
	struct str text;  /* a kubeconfig's bytes: by a RemoteClusterConfiguration */
	bool awaited;	  /* the same, but its Secret is not known yet: <text> is empty */
	struct str owner; /* of that: the cluster in which it is */
	unsigned roles;	  /* 0: not said */
	struct str site;  /* of a cluster at another site; empty: at our own */
	bool has_weight, has_admin;
	uint32_t weight;
	enum cluster_admin admin;
};

/*
 * What an operator wants of a cluster while it runs; sites tell each other (control/federate). It
 * ends when it is taken back or its time is over, and then what was said before holds again.
 */
struct cluster_order {
	struct str cluster;
	uint32_t weight;
	bool has_weight; /* false: a drain alone, the weight is what was said before */
	bool drain;
	struct str site, actor, reason; /* where it was given, by whom, why */
	uint64_t since_ms, expires_ms;	/* Unix time; expires 0: never */
};

/* What holds for a cluster. The has_ flags say that the file has fixed it. */
struct cluster_entry {
	struct cluster_def def;
	enum cluster_origin origin;
	const struct cluster_order *order; /* NULL: none */
};

/* Both have their objects from the same place. */
bool cluster_def_same_source(const struct cluster_def *a, const struct cluster_def *b);

struct registry;

/* <journal>: path; NULL: nothing is remembered. An unreadable journal is an error. */
int registry_new(const char *journal, struct registry **ret, struct err *err);
void registry_free(struct registry *r); /* NULL is fine */

/* Each returns true when what holds has changed. */
bool registry_set_file(struct registry *r, const struct control_config *config);
/* All that RemoteClusterConfigurations of cluster <owner> say now. */
bool registry_set_remote(struct registry *r, struct str owner, const struct cluster_def *defs,
	uint32_t count);

/* All orders that hold now, also for clusters that are not there. */
bool registry_set_orders(struct registry *r, const struct cluster_order *orders, uint32_t count);

/*
 * What REST says about a cluster from now on, in place of what it said before. -EINVAL: <def> makes
 * no sense; -EEXIST: control.yaml says otherwise; -ENOENT: no source, and no such cluster; -ENOSPC:
 * too many; else the journal's errno. Then nothing has changed.
 */
int registry_put(struct registry *r, const struct cluster_def *def, struct err *err);
/*
 * -ENOENT: REST said nothing about it; -EEXIST: it said only things about another's cluster. What it
 * said about a cluster that is gone can be taken back.
 */
int registry_delete(struct registry *r, struct str name, struct err *err);
/* What REST said, or NULL; until the next change. */
const struct cluster_def *registry_said(const struct registry *r, struct str name);

/* What holds, by name; until the next change. */
const struct cluster_entry *registry_entries(const struct registry *r, uint32_t *ret_count);
const struct cluster_entry *registry_find(const struct registry *r, struct str name);
/* The same for plans; borrowed. */
struct clusters *registry_clusters(const struct registry *r);
