// SPDX-License-Identifier: Apache-2.0
/*
 * object.h: one Kubernetes object as control keeps it.
 *
 * An object is decoded once, validated and defaulted as its CRD says, and never changes afterwards:
 * an edit makes a new object. It owns its arena and is counted by reference, so that a view, a plan
 * and an answer in flight may share it. References between objects are keys (cluster, namespace,
 * name), never pointers.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/arena.h"
#include "dataplane/base/str.h"
#include "dataplane/yaml/yaml_decode.h"

enum kind {
#define KIND(e, ...) KIND_##e,
#include "control/model/kind.def"
#undef KIND
	KIND_COUNT,
};

struct yaml_schema;

struct kind_info {
	struct str name, group;
	const char *plural;	     /* as paths have it: "httproutes" */
	const char *const *versions; /* of the group, best first, NULL at the end */
	const char *api_version;     /* group and the first of them */
	bool namespaced;
	bool keeps_status; /* what an API server has in status stays with the object */
	const struct yaml_schema *schema; /* NULL: only the metadata matter */
};
extern const struct kind_info kind_info[KIND_COUNT];

/* The kind of an apiVersion and kind as a manifest has them; KIND_COUNT: not one of ours. */
enum kind kind_of(struct str api_version, struct str kind);

#define GATEWAY_GROUP STR("gateway.networking.k8s.io")

struct object {
	enum kind kind;
	struct str cluster, ns, name; /* ns is empty for kinds without namespaces */
	struct kv_list labels, annotations;
	int64_t created;      /* seconds since 1970; 0 when the manifest does not say */
	int64_t generation;   /* the server's; else the store's: +1 with each change of the spec */
	uint64_t spec_digest; /* equal specs have equal digests */
	const char *file;     /* where it was read; NULL: from an API server */
	uint32_t line;
	/* From an API server only; empty and 0 else. */
	struct str uid, resource_version;
	struct str status; /* of kinds with keeps_status: JSON, "" when there is none */
	struct str text;   /* object_remember()'s, without status; "": not remembered */
	const struct str *finalizers;
	uint32_t finalizers_count;
	int64_t deleted;	 /* deletionTimestamp: it goes when its finalizers are gone */
	uint64_t content_digest; /* of all but status, resourceVersion and managedFields */
	union {			 /* by kind; owned by the arena */
		const void *spec;
		const struct gateway_class *gateway_class;
		const struct gateway *gateway;
		const struct http_route *http_route;
		const struct reference_grant *reference_grant;
		const struct service *service;
		const struct endpoint_slice *endpoint_slice;
		const struct listener_set *listener_set;
		const struct backend_tls_policy *backend_tls_policy;
		const struct secret *secret;
		const struct config_map *config_map;
		const struct service_import *service_import;
		const struct service_export *service_export;
		const struct remote_cluster *remote_cluster;
		const struct ip_pool *ip_pool;
		const struct cluster_traffic_policy *traffic_policy;
	};
	struct arena arena;
	struct object *base;   /* owned reference: all of the above lives there; or NULL */
	_Atomic uint32_t refs; /* last: what stands before it never changes */
};

/* The same object under another generation; it holds a reference to <o>. */
struct object *object_regenerate(struct object *o, int64_t generation);
/* "file:line", or "cluster NAME" of an object from an API server, in <buf>. */
const char *object_place(const struct object *o, char *buf, size_t size);
#define OBJECT_PLACE_MAX 4200u
struct object *object_get(struct object *o);
void object_put(struct object *o); /* NULL is fine */
/* Order of the store: cluster, namespace, name. */
int object_cmp_key(const struct object *o, struct str cluster, struct str ns, struct str name);
/* Gateway API precedence: oldest first, then by cluster and "{namespace}/{name}". */
int object_cmp_age(const struct object *a, const struct object *b);
