// SPDX-License-Identifier: Apache-2.0
/*
 * gateway.h: GatewayClass, Gateway, ListenerSet, the routes, ReferenceGrant and BackendTLSPolicy as
 * their CRDs (v1.7, standard channel) define them, defaults filled in. A string that is absent has
 * p == NULL.
 */
#pragma once

#include "control/model/object.h"

struct object_ref { /* to something that is named by group, kind, namespace, name */
	struct str group, kind, ns, name;
};

struct gateway_class {
	struct str controller_name;
	const struct object_ref *parameters; /* NULL: none */
};

/* As they stand: no CRD holds the rules of label selectors (control/reconcile/label.h does). */
struct label_requirement {
	struct str key;
	struct str op; /* In, NotIn, Exists, DoesNotExist */
	const struct str *values;
	uint32_t values_count;
};

struct label_selector { /* all parts must hold; an empty selector holds always */
	struct kv_list match_labels;
	const struct label_requirement *expressions;
	uint32_t expressions_count;
};

enum routes_from { ROUTES_FROM_SAME = 0, ROUTES_FROM_ALL, ROUTES_FROM_SELECTOR };

struct route_kind {
	struct str group, kind;
};

enum tls_mode { TLS_TERMINATE = 0, TLS_PASSTHROUGH };

struct listener_tls {
	enum tls_mode mode;
	bool has_certificates, has_options;
};

struct listener {
	struct str name;
	struct str hostname; /* absent: any */
	struct str protocol;
	uint16_t port;
	const struct listener_tls *tls; /* NULL: none */
	enum routes_from from;
	const struct label_selector *selector; /* NULL: none was given */
	const struct route_kind *kinds;	       /* allowedRoutes.kinds */
	uint32_t kinds_count;
	bool has_filters; /* experimental channel: before a route is looked for */
};

struct gateway_address {
	struct str type;
	struct str value;     /* absent or empty: any of that type */
	bool has_routability; /* experimental channel: who shall reach it */
};

enum listeners_from {
	LISTENERS_FROM_NONE = 0,
	LISTENERS_FROM_SAME,
	LISTENERS_FROM_ALL,
	LISTENERS_FROM_SELECTOR
};

struct gateway {
	struct str class_name;
	const struct listener *listeners;
	const struct gateway_address *addresses;
	uint32_t listeners_count, addresses_count;
	const struct object_ref *parameters; /* infrastructure.parametersRef, NULL: none */
	struct kv_list labels, annotations;  /* infrastructure: for what is made for it */
	bool has_backend_tls;		     /* tls.backend: a client certificate for backends */
	enum listeners_from listeners_from;  /* allowedListeners: whose ListenerSets */
	const struct label_selector *listeners_selector; /* NULL: none was given */
};

struct listener_set {
	struct object_ref parent; /* ns may be absent */
	const struct listener *listeners;
	uint32_t listeners_count;
};

struct parent_ref {
	struct str group, kind, ns, name, section_name; /* ns, section_name may be absent */
	uint16_t port;					/* 0: none given */
};

struct http_filter {
	struct str type;
};

struct backend_ref {
	struct str group, kind, ns, name; /* ns may be absent */
	uint16_t port;			  /* 0: none given */
	uint32_t weight;
	const struct http_filter *filters;
	uint32_t filters_count;
};

enum match_type { MATCH_EXACT = 0, MATCH_PREFIX, MATCH_REGEX };

struct value_match { /* a header or query parameter */
	enum match_type type;
	struct str name, value;
};

struct http_match {
	enum match_type path_type;
	struct str path;
	struct str method; /* absent: any */
	const struct value_match *headers, *queries;
	uint32_t headers_count, queries_count;
};

struct http_rule {
	struct str name; /* may be absent */
	const struct http_match *matches;
	const struct http_filter *filters;
	const struct backend_ref *backends;
	uint32_t matches_count, filters_count, backends_count;
	uint32_t request_timeout_ms, backend_timeout_ms; /* 0: none */
	bool has_retry, has_session_persistence;
};

/* An HTTPRoute; of routes of other kinds only the parents are read. */
struct http_route {
	const struct parent_ref *parents;
	const struct str *hostnames;
	const struct http_rule *rules;
	uint32_t parents_count, hostnames_count, rules_count;
};

struct grant_from {
	struct str group, kind, ns;
};

struct grant_to {
	struct str group, kind;
	struct str name; /* absent: all of that kind */
};

struct reference_grant {
	const struct grant_from *from;
	const struct grant_to *to;
	uint32_t from_count, to_count;
};

struct policy_target {
	struct str group, kind, name;
	struct str section_name; /* may be absent */
};

struct policy_san {
	struct str type, hostname, uri;
};

struct backend_tls_policy {
	const struct policy_target *targets;
	const struct object_ref *cas;
	const struct policy_san *sans;
	uint32_t targets_count, cas_count, sans_count;
	struct str well_known; /* absent: cas */
	struct str hostname;
	bool has_options;
	const char *invalid; /* what is wrong with it: then only its targets are known; or NULL */
};

struct yaml_node;

/*
 * A policy that is not valid still says whom it is for, and he must not be reached as if there were
 * none. Fills <ret> with what of <doc>'s targets can be read; false: none can.
 */
bool backend_tls_policy_salvage(struct arena *a, const struct yaml_node *doc, const char *why,
	struct backend_tls_policy *ret);
