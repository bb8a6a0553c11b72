// SPDX-License-Identifier: Apache-2.0
/*
 * reconcile.h: what the steps of plan_build() share. Private to this folder.
 *
 * The steps and their order are in plan.c. Each step reads the view and what earlier steps put
 * into the plan, and adds to the plan; none keeps anything elsewhere.
 */
#pragma once

#include "control/reconcile/plan.h"

struct slice_ref { /* an EndpointSlice under the Service it belongs to */
	struct str cluster, ns, service;
	const struct endpoint_slice *slice;
	uint16_t weight;
};

struct note {
	struct note *next;
	bool fatal;
	const char *text;
};

struct policy_use { /* a policy under one of its targets */
	struct plan_policy *policy;
	const struct policy_target *target;
};

struct service_table;
struct permissions;
struct address_pool;

/* limits.c: what is counted against the bounds of a configuration. */
enum limit {
	LIMIT_VIPS = 0,
	LIMIT_LISTENERS,
	LIMIT_RULES,
	LIMIT_BACKENDS,
	LIMIT_HOSTS,
	LIMIT_PATHS,
	LIMIT_PREDICATES,
	LIMIT_TEXT,
	LIMIT_COUNT
};

struct reconcile {
	const struct plan_input *in;
	const struct view *view;
	struct plan *plan;
	struct arena *arena;	  /* the plan's */
	struct str *clusters;	  /* those that have Services, by name */
	struct slice_ref *slices; /* by cluster, namespace, service */
	uint32_t clusters_count, slices_count;
	struct address_pool *pools; /* in the order in which they are used */
	uint32_t pools_count;
	struct plan_set **sets;		/* oldest first */
	struct policy_use *policy_uses; /* by target, then age */
	uint32_t policy_uses_count;
	struct service_table *services;	 /* resolved so far */
	struct permissions *permissions; /* owned; of all ReferenceGrants, once one was asked for */
	struct note *notes;		 /* newest first */
	uint64_t used[LIMIT_COUNT];
};

/* <fatal>: what the user wrote cannot work, and no condition can tell him. */
void note_add(struct reconcile *r, bool fatal, const struct object *o, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* class.c: the GatewayClasses of ours, and what each is told. */
void classes_build(struct reconcile *r);

/* sets.c: ListenerSets, and the listeners of every Gateway with those that are lent to it. */
void sets_build(struct reconcile *r);
struct plan_set *plan_find_set(const struct plan *p, struct str cluster, struct str ns,
	struct str name);

/* listeners.c: what each listener of a Gateway is good for, and who is in whose way. */
void listeners_judge(struct reconcile *r, struct plan_gateway *gw);
/* The object in whose status the listener stands, and whose namespace it is in. */
const struct object *listener_owner(const struct plan_gateway *gw, const struct plan_listener *l);

/* attach.c; in the order of the questions: a listener that gets further has the greater one. */
enum attach_verdict {
	ATTACH_NO_MATCHING_PARENT = 0,
	ATTACH_NOT_CARRIED, /* by listeners that are not valid, or of other kinds */
	ATTACH_NOT_ALLOWED,
	ATTACH_NO_MATCHING_HOSTNAME,
	ATTACH_OK,
};
enum attach_verdict attach_judge(const struct reconcile *r, const struct plan_route *route,
	const struct plan_parent *parent);
/* How many attachments attach_route() will make. */
uint64_t attach_count(const struct reconcile *r, const struct plan_route *route,
	const struct plan_parent *parent);
void attach_route(struct reconcile *r, struct plan_route *route, const struct plan_parent *parent);
/* Does <s> select the namespace? A missing selector selects nothing, an empty one everything. */
bool namespace_selected(const struct reconcile *r, const struct label_selector *s,
	struct str cluster, struct str ns);

/* plan.c: index of the first object of a namespace, or of what stands behind. */
uint32_t view_first(const struct view_kind *vk, struct str cluster, struct str ns);

/* Why an object is not found, as the end of a sentence. */
const char *plan_why_absent(struct reconcile *r, enum kind kind, struct str cluster);

/* refs.c: a reference that crosses namespaces; <from> is an HTTPRoute. */
bool refs_permitted(struct reconcile *r, const struct object *from, struct str to_group,
	struct str to_kind, struct str to_ns, struct str to_name);
void refs_finish(struct reconcile *r);

/* backends.c */
void backends_prepare(struct reconcile *r);
void backends_resolve(struct reconcile *r, const struct object *route,
	const struct backend_ref *ref, struct plan_backend *ret);
void backends_finish(struct reconcile *r);

/* endpoints.c: the endpoints of one port of a Service, and the clusters that lend them. */
struct endpoint_list {
	struct str home; /* the cluster of the Service that they stand behind */
	bool reserve;	 /* of clusters that come now */
	struct plan_endpoint *items;
	struct plan_cluster *clusters; /* by name */
	uint32_t count, room, clusters_count;
};
void endpoints_prepare(struct reconcile *r);
/* May the endpoints of <service> stand behind a Service of cluster <home>? */
bool endpoints_may_lend(const struct reconcile *r, const struct object *service, struct str home);
/* Adds those of the port that is like <port>, and its cluster; without such a port nothing. */
void endpoints_take(struct reconcile *r, const struct object *service,
	const struct service_port *port, struct endpoint_list *out);
/* Sorted by address and port, each once; one that is ready wins over one that drains. */
void endpoints_sort(struct reconcile *r, const struct object *service, struct endpoint_list *l);

/* federated.c: Calico's federated Services. */
#define ANNOTATION_FEDERATED STR("federation.tigera.io/serviceSelector")
bool federated_is(const struct object *service);
void federated_endpoints(struct reconcile *r, const struct object *service,
	const struct service_port *port, struct endpoint_list *out);

/* cilium.c: Cilium's global Services. */
bool cilium_is_global(const struct object *service);
void cilium_endpoints(struct reconcile *r, const struct object *service,
	const struct service_port *port, struct endpoint_list *out);

/* imports.c: ServiceImports. The port of this number, or NULL. */
const struct service_port *imports_port(struct reconcile *r, const struct object *import,
	uint16_t number, bool *ret_exported, bool *ret_other);
void imports_endpoints(struct reconcile *r, const struct object *import,
	const struct service_port *port, struct endpoint_list *out);

/* shares.c: the weights of backendRefs and endpoints. */
void shares_build(struct reconcile *r);

/* policies.c: which policies there are; after the routes: whom each of them concerns. */
void policies_prepare(struct reconcile *r);
/* The ClusterTrafficPolicy that holds for an object; of one that lies beside <at>. NULL: none. */
const struct plan_policy *policies_of(const struct reconcile *r, const struct object *target);
const struct plan_policy *policies_traffic(const struct reconcile *r, const struct object *at,
	const struct policy_target *target);
bool policies_demand_tls(const struct reconcile *r, const struct object *service,
	const struct service_port *port);
void policies_finish(struct reconcile *r);

/* traffic.c: does this ClusterTrafficPolicy hold, now that all older ones are decided? */
void traffic_judge(struct reconcile *r, struct plan_policy *policy);
/* What the policy of <s> says of its clusters. */
void traffic_weigh(struct plan_service *s);

/* rules.c: which rules can be served at all. */
void rules_build(struct reconcile *r, struct plan_route *route);

/* addresses.c */
enum address_verdict {
	ADDRESS_OK = 0,
	ADDRESS_UNSUPPORTED_TYPE, /* only IPAddress */
	ADDRESS_NOT_USABLE,	  /* not one that can be a VIP here, or another Gateway's */
	ADDRESS_NOT_ASSIGNED,	  /* no pool has one left */
	ADDRESS_NO_ROOM,	  /* the configuration is full */
};
struct address_result {
	enum address_verdict verdict;
	const char *why;
};
/* Oldest Gateway first: fills addresses of all Gateways and the verdict on each. */
void addresses_assign(struct reconcile *r, struct address_result *ret_results);

/* pools.c: of the pools that serve Gateway <gw>. */
struct pool_filter {
	bool (*is_free)(const void *ctx, const struct ip_addr *a);
	const void *ctx;
	uint32_t used_max; /* no more than these are not free */
};
void pools_prepare(struct reconcile *r);
bool pools_any(const struct reconcile *r, const struct object *gw);
bool pools_contain(const struct reconcile *r, const struct object *gw, const struct ip_addr *a);
/* Does any of them give out addresses of this family? */
bool pools_give(const struct reconcile *r, const struct object *gw, bool v4);
bool pools_pick(const struct reconcile *r, const struct object *gw, bool v4,
	const struct pool_filter *f, struct ip_addr *ret);

/* limits.c: Gateways, ListenerSets, each route in turn, then all endpoints; the oldest come first. */
void limits_gateways(struct reconcile *r, struct address_result *results);
void limits_sets(struct reconcile *r);
/* NULL: there is room on this parent, which is taken; else why not. */
const char *limits_route(struct reconcile *r, const struct plan_route *route,
	const struct plan_parent *parent);
void limits_endpoints(struct reconcile *r);

/* conditions.c, and conditions_....c by kind. */
/* About <o>, in whose status the condition stands. */
void condition_set(struct conditions *c, const struct object *o, const char *type,
	enum condition_status status, const char *reason, const char *message);
const struct condition *condition_find(const struct conditions *c, const char *type);
/* Decides gw->accepted and gw->serves on the way: the conditions are the decision. */
void conditions_gateway(struct reconcile *r, struct plan_gateway *gw,
	const struct plan_class *class, const struct address_result *addresses);
/* After its Gateway's: decides set->accepted. */
void conditions_set(struct reconcile *r, struct plan_set *set);
/* Decides parent->accepted. */
void conditions_parent(struct reconcile *r, const struct plan_route *route,
	struct plan_parent *parent, enum attach_verdict verdict);
void conditions_policy(struct reconcile *r, struct plan_policy *policy);
void conditions_traffic(struct plan_policy *policy);
/* lastTransitionTime: that of before where the status is the same, else now. */
void conditions_since(struct reconcile *r);

/* Of clusters that are not for configuration we serve no objects, and tell them nothing. */
bool plan_may_serve(const struct reconcile *r, const struct object *o);
/* Is there a status entry of ours in an object that nothing of ours concerns any more? */
bool plan_has_left(const struct reconcile *r, const struct object *o);
/* The order of plan->routes. */
int plan_cmp_routes(const struct object *a, const struct object *b);
struct plan_gateway *plan_find_gateway(const struct plan *p, struct str cluster, struct str ns,
	struct str name);
