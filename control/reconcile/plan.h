// SPDX-License-Identifier: Apache-2.0
/*
 * plan.h: what the objects mean together.
 *
 * plan_build() is a pure function: the same view, configuration, address book and acknowledged plan
 * give the same plan. It holds both halves of reconcile's answer: what the dataplane shall do
 * (compile reads that) and what every object is told about itself (conditions, the status contract
 * of Gateway API v1.7). A user's mistake is never an error here but a condition on his object.
 *
 * A plan is immutable and counted; it holds its view. Pointers inside it live as long as it does.
 */
#pragma once

#include <stdatomic.h>
#include <stdio.h>

#include <jansson.h>

#include "control/clusters/clusters.h"
#include "control/config/config.h"
#include "control/model/gateway.h"
#include "control/model/service.h"
#include "control/store/store.h"
#include "dataplane/base/ip.h"

enum condition_status { CONDITION_FALSE = 0, CONDITION_TRUE, CONDITION_UNKNOWN };

struct condition {
	const char *type, *reason; /* names of the API */
	enum condition_status status;
	const char *message; /* one sentence, nothing that changes by itself */
	int64_t observed_generation;
	int64_t since; /* lastTransitionTime, seconds since 1970 */
};

#define CONDITIONS_MAX 8 /* the API's own limit */

struct conditions {
	uint32_t count;
	struct condition c[CONDITIONS_MAX];
};

/* What a backendRef resolves to; all but REF_OK answer 500 for their share of the weight. */
enum ref_status {
	REF_OK = 0,
	REF_INVALID_KIND,
	REF_BACKEND_NOT_FOUND,
	REF_NOT_PERMITTED,
	REF_UNSUPPORTED_PROTOCOL,
	REF_TLS_DEMANDED, /* by a BackendTLSPolicy; the reference itself resolves */
};

struct plan_endpoint {
	struct ip_addr addr;
	uint16_t port;
	uint16_t slice_weight;	/* against the others of its cluster; 0: in maintenance */
	uint16_t weight;	/* against all others of the service, clusters' shares included */
	bool draining;		/* serves on while it terminates */
	struct str name;	/* the pod; "<cluster>/<pod>" of another cluster */
	struct str cluster;	/* where it runs */
	uint32_t cluster_index; /* the same in plan_service.clusters */
};

struct plan_policy;

/* A cluster that has a part in a service, and the factors of its share. */
struct plan_cluster {
	struct str name;
	uint32_t weight;	/* the operator's */
	uint32_t policy_weight; /* the ClusterTrafficPolicy's */
	uint16_t withheld;	/* permille that a drain has taken back */
	uint8_t priority;	/* a higher one gets what the ones before cannot take */
	bool remote;		/* at another site */
	enum cluster_admin admin;
	uint32_t ready, draining; /* endpoints */
	uint32_t unready;	  /* endpoints that shall be ready, and are not */
};

/* One port of a Service or ServiceImport with the endpoints behind it, by address and port. */
struct plan_service {
	const struct object *obj;
	const struct service_port *port;
	struct plan_endpoint *endpoints;
	struct plan_cluster *clusters; /* by name; those without endpoints too */
	uint32_t endpoints_count, clusters_count;
	const struct plan_policy *policy; /* the ClusterTrafficPolicy that holds, or NULL */
};

struct plan_backend {
	const struct backend_ref *ref;
	uint32_t weight; /* the reference's own and the operator's factor */
	enum ref_status status;
	const struct plan_service *service; /* NULL unless REF_OK */
	const char *why;		    /* a sentence, NULL when REF_OK */
};

struct plan_rule {
	const struct http_rule *spec;
	uint32_t index;		       /* in spec.rules */
	const char *dropped;	       /* why it is left out (PartiallyInvalid), or NULL */
	struct plan_backend *backends; /* as spec->backends */
};

struct plan_parent { /* one entry of status.parents */
	const struct parent_ref *ref;
	struct plan_gateway *gateway;
	struct plan_set *set; /* of that Gateway, when the parent is a ListenerSet; else NULL */
	const char *no_room;  /* why it is full, or NULL */
	bool accepted;
	struct conditions conditions;
};

struct plan_route {
	const struct object *obj;
	struct plan_parent *parents; /* only those that are Gateways and ListenerSets of ours */
	struct plan_rule *rules;     /* as spec.rules */
	const struct plan_policy *policy; /* the ClusterTrafficPolicy that holds, or NULL */
	uint32_t parents_count;
	bool serves;	 /* some parent accepted it */
	uint32_t number; /* among those that serve */
};

struct plan_attachment { /* a route on a listener under one hostname */
	struct plan_route *route;
	struct str hostname; /* route and listener intersected; empty: any */
	struct str original; /* the route's own; empty: none */
};

struct plan_listener {
	const struct listener *spec;
	const struct plan_set *set;	     /* that it comes from; NULL: the Gateway's own */
	const char *conflict;		     /* the reason, or NULL */
	const char *bad_selector;	     /* what is wrong with allowedRoutes' one, or NULL */
	const struct route_kind *wrong_kind; /* the first one that it cannot carry, or NULL */
	bool accepted;
	const struct route_kind *supported_kinds;
	struct plan_attachment *attachments;
	uint32_t supported_kinds_count, attachments_count;
	uint32_t attached_routes; /* status.listeners[].attachedRoutes */
	struct conditions conditions;
};

struct plan_gateway {
	const struct object *obj;
	const struct object *class_obj;
	struct ip_addr *addresses; /* the VIPs: static_count from the spec, then from pools */
	/* own_count as in spec.listeners, then those of its ListenerSets, by precedence. */
	struct plan_listener *listeners;
	uint32_t addresses_count, static_count, own_count, listeners_count;
	uint32_t attached_sets; /* status.attachedListenerSets */
	bool accepted;
	bool serves; /* accepted, with an address and an accepted listener */
	struct conditions conditions;
};

/* A ListenerSet whose parent is a Gateway of ours (GEP-1713). */
struct plan_set {
	const struct object *obj;
	struct plan_gateway *gateway;
	struct plan_listener *listeners; /* among the Gateway's; none unless allowed */
	uint32_t listeners_count;
	bool allowed; /* by the Gateway's allowedListeners */
	bool accepted;
	const char *no_room; /* why its listeners find no place, or NULL */
	struct conditions conditions;
};

struct plan_ancestor {			    /* one entry of status.ancestors */
	struct plan_gateway *gateway;	    /* NULL: the target itself */
	const struct policy_target *target; /* then only */
	struct conditions conditions;
};

/* A BackendTLSPolicy or a ClusterTrafficPolicy. Without ancestors it concerns nothing of ours. */
struct plan_policy {
	const struct object *obj;
	struct plan_ancestor *ancestors;
	uint32_t ancestors_count;
	bool conflicted; /* an older one has the same target */
	bool told;	 /* has a status of ours, or had one that shall go */
	/* Of a ClusterTrafficPolicy. */
	bool holds;		      /* for all of its targets */
	const char *reason, *message; /* of its condition Accepted */
};

struct plan_class {
	const struct object *obj;
	bool accepted;
	const char **features; /* status.supportedFeatures */
	uint32_t features_count;
	struct conditions conditions;
};

struct plan {
	struct view *view;		     /* held */
	struct clusters *clusters;	     /* held, or NULL: all with defaults */
	const struct control_config *config; /* borrowed, outlives the plan */
	struct plan_class *classes;	     /* those with our controllerName */
	struct plan_gateway *gateways;	     /* those of our classes, by cluster, namespace, name */
	struct plan_set *sets;		     /* those with a parent of ours, by the same */
	struct plan_policy *policies;	     /* all, by kind, then by the same */
	struct plan_route *routes;	     /* all routes with a parent of ours, oldest first */
	const struct object *
		*left; /* routes with entries of ours in their status, without a parent */
	struct plan_service **services; /* every one that a backend points to, sorted */
	const struct problem *notes;	/* on objects that carry no status; objects left alone */
	uint32_t classes_count, gateways_count, sets_count, policies_count, left_count,
		routes_count, services_count, notes_count;
	uint32_t serving_routes;
	bool pending; /* a condition waits for the dataplanes' acknowledgement */
	struct arena arena;
	_Atomic uint32_t refs;
};

struct address_book; /* addresses.h */

struct plan_input {
	struct view *view;	   /* the plan takes a reference of its own */
	struct clusters *clusters; /* the same; NULL: every cluster with all defaults */
	const struct control_config *config;
	const struct plan *acked;	 /* newest that every live dataplane has, or NULL */
	const struct plan *previous;	 /* for lastTransitionTime; NULL: everything changes now */
	const struct address_book *book; /* assignments of the past, or NULL */
	int64_t now_s;
};

struct plan *plan_build(const struct plan_input *in);
/* The operator's part in the share of a cluster: weight and drain, in 1/PLAN_FACTOR_ONE. */
#define PLAN_FACTOR_ONE (CLUSTER_WEIGHT_DEFAULT * CLUSTER_WHOLE)
uint32_t plan_cluster_factor(const struct plan_cluster *c);
struct plan *plan_get(struct plan *p);
void plan_put(struct plan *p); /* NULL is fine */

/*
 * [{"cluster", "apiVersion", "kind", "metadata": {"namespace", "name", "generation"}, "source":
 * "file:line", "status": {...}}] for every object that carries a status, as the API writes it. Of
 * status.parents and status.ancestors only our own entries are in it: an empty list means that those
 * that are there under our name shall go.
 */
json_t *plan_status_json(const struct plan *p);
/* For --check: problems first, then a table of all conditions. Returns the number of errors. */
unsigned plan_print(const struct plan *p, FILE *out);
