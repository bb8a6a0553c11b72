// SPDX-License-Identifier: Apache-2.0
/*
 * clusters.h: which clusters there are and what each is for: one immutable list per change.
 *
 * A plan is made from a view and such a list, and holds both. Whoever changes a cluster (the file,
 * REST, a RemoteClusterConfiguration) makes the registry give out a new list; nobody sees half a
 * change. Where a cluster's objects come from is the registry's business, not the plan's.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/arena.h"
#include "dataplane/base/str.h"

#define CLUSTERS_MAX 64u

#define CLUSTER_ROLE_CONFIG \
	1u /* its Gateways and routes are ours to serve, its status ours to write */
#define CLUSTER_ROLE_WORKLOAD 2u /* its Services lend endpoints to those of other clusters */
#define CLUSTER_ROLES_ALL (CLUSTER_ROLE_CONFIG | CLUSTER_ROLE_WORKLOAD)

enum cluster_admin {
	CLUSTER_ACTIVE = 0,
	CLUSTER_DRAIN,	  /* no new connections to its endpoints; those there are end in peace */
	CLUSTER_DISABLED, /* its endpoints do not exist */
	CLUSTER_ADMIN_COUNT,
};

#define CLUSTER_WEIGHT_DEFAULT 100u
#define CLUSTER_WEIGHT_MAX 1000000u
#define CLUSTER_WHOLE 1000u /* permille */

struct cluster {
	struct str name; /* RFC 1123 label */
	unsigned roles;	 /* CLUSTER_ROLE_... */
	enum cluster_admin admin;
	uint32_t weight;   /* against the other clusters of a federated service */
	uint16_t withheld; /* permille of its share that a drain has taken back (drain.h) */
	struct str site;   /* of one at another site; empty: at our own */
};

struct clusters {
	const struct cluster *items; /* by name */
	uint32_t count;
	struct arena arena;
	_Atomic uint32_t refs;
};

/* Copies <items>, which need no order; no name stands twice. */
struct clusters *clusters_new(const struct cluster *items, uint32_t count);
struct clusters *clusters_get(struct clusters *c); /* NULL is fine, here and below */
void clusters_put(struct clusters *c);

/*
 * Never NULL: without a list a cluster with all defaults. A name that is not in the list is one that
 * was removed, and whose objects go in a moment: no roles, no weight, disabled.
 */
const struct cluster *clusters_lookup(const struct clusters *c, struct str name);

/* "active", "drain", "disabled", and back. */
extern const char *const cluster_admin_names[CLUSTER_ADMIN_COUNT + 1]; /* NULL at the end */
bool clusters_equal(const struct clusters *a, const struct clusters *b);
