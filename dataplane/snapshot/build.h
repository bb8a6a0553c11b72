// SPDX-License-Identifier: Apache-2.0
/*
 * build.h: the meaning of a configuration, as control hands it to the dataplane.
 *
 * Control's compile step fills these plain structs from its plan; snapshot_build() turns them into
 * the flat image (layout: snapshot.h). Nothing here knows Kubernetes: names are for people, ids
 * are stable 64-bit hashes of (cluster, namespace, name, ...), computed by object_id().
 */
#pragma once

#include "dataplane/base/err.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/str.h"

#define BUILD_VIPS_MAX 4032u	   /* addresses of all listeners together */
#define BUILD_STATUS_RANGES_MAX 8u /* of a probe's expected statuses */
#define BUILD_CLUSTERS_MAX 64u	   /* of one service */
#define BUILD_PERMILLE 1000u	   /* the whole of a cluster */
#define BUILD_SERVICE_CLUSTER_PRIORITY_MAX 15u

enum build_protocol { BUILD_HTTP = 0 };

/* What a backendRef resolves to; everything but OK answers for its share of the weight. */
enum build_backend_status {
	BUILD_BACKEND_OK = 0,
	BUILD_BACKEND_INVALID_KIND,	 /* 500 */
	BUILD_BACKEND_NOT_FOUND,	 /* 500 */
	BUILD_BACKEND_REF_NOT_PERMITTED, /* 500 */
	BUILD_BACKEND_UNSUPPORTED,	 /* 500: protocol or port we cannot speak */
};

struct build_endpoint {
	uint64_t id; /* object_id("endpoint", cluster, address, port) */
	struct ip_addr addr;
	uint16_t port;	    /* host order */
	uint16_t weight;    /* default 1; 0: no new requests */
	bool draining;	    /* serving and terminating: used only when nothing is ready */
	struct str name;    /* pod, for people */
	struct str cluster; /* for people and counters */
};

enum build_probe { BUILD_PROBE_NONE = 0, BUILD_PROBE_HTTP, BUILD_PROBE_TCP };

struct build_status_range {
	uint16_t first, last; /* both expected */
};

/*
 * How the health of a service's endpoints is found out, and what it does to the shares. Names and
 * defaults (build_policy_default()) are those of Envoy Gateway's BackendTrafficPolicy.
 */
struct build_policy {
	uint64_t id;
	struct str name; /* "demo/app" */
	uint8_t probe;	 /* enum build_probe */
	uint32_t interval_ms, timeout_ms;
	uint16_t fall, rise;	       /* probes in a row that turn the verdict */
	struct str path, host, method; /* HTTP; host empty: the endpoint's address */
	struct build_status_range status[BUILD_STATUS_RANGES_MAX];
	uint8_t status_count;
	/* Passive. */
	uint16_t consecutive_5xx, consecutive_local_failures; /* 0: not looked at */
	uint32_t base_ejection_ms, max_ejection_ms;
	uint8_t max_ejection_percent; /* binds ejections for 5xx only */
	/* Shares. */
	uint8_t panic_percent;		   /* 0: never */
	uint16_t overprovisioning_percent; /* 100 or more */
	uint32_t slow_start_ms;		   /* 0: none */
	uint16_t ramp_points_per_s;	   /* hundredths of the whole; 0: rises at once */
};

/* A cluster that has a part in a service. Of one that is not listed nothing is known: all zero. */
struct build_service_cluster {
	struct str name;
	uint8_t priority;  /* 0 first; the next one only for what the ones before cannot take */
	bool remote;	   /* at another site */
	uint16_t withheld; /* permille of it that a drain has taken back so far */
	uint32_t unready;  /* endpoints that shall be ready, and are not */
};

/* One port of one Service (or federated Service): a set of endpoints to choose from. */
struct build_service {
	uint64_t id;
	struct str name; /* "us-east/demo/app-v1:http" */
	const struct build_endpoint *endpoints;
	const struct build_service_cluster *clusters;
	uint64_t policy_id; /* of a build_policy; 0: the defaults */
	uint32_t endpoint_count, cluster_count;
};

struct build_backend {
	uint64_t id;	 /* stable under reordering of other backends */
	struct str name; /* "demo/app-v1:80" */
	uint32_t weight; /* 0..1 000 000, Gateway API weight x operator factor */
	enum build_backend_status status;
	uint64_t service_id; /* of a build_service; read only when OK */
};

enum build_match_type { BUILD_MATCH_EXACT = 0, BUILD_MATCH_PREFIX, BUILD_MATCH_REGEX };

struct build_predicate {	    /* a header or query parameter match */
	enum build_match_type type; /* EXACT or REGEX */
	struct str name, value;
};

/* One HTTPRouteMatch; all parts must hold. Path "/" PREFIX is the API's default. */
struct build_match {
	enum build_match_type path_type;
	struct str path;
	struct str method; /* empty: any */
	const struct build_predicate *headers, *queries;
	uint32_t header_count, query_count;
};

struct build_rule {
	uint64_t id;
	struct str name;		   /* "demo/app rule 0" */
	const struct build_match *matches; /* at least one */
	uint32_t match_count;
	const struct build_backend *backends; /* may be none: 500 */
	uint32_t backend_count;
	uint32_t request_timeout_ms, backend_timeout_ms; /* 0: none */
	bool failover;	    /* what a backend's endpoints cannot take goes to the others */
	uint64_t policy_id; /* of that failover; 0: the defaults */
};

struct build_route {
	uint64_t id;
	struct str name; /* "demo/app" */
	int64_t created; /* seconds since 1970, for precedence */
	const struct build_rule *rules;
	uint32_t rule_count;
};

/*
 * A route on a listener under one hostname. <hostname> is the one to match (route and listener
 * intersected), <original> the route's own, which decides precedence (empty: none given).
 */
struct build_attachment {
	uint32_t route;	     /* index into build_config.routes */
	struct str hostname; /* lower case; empty: any; "*.example.com": wildcard */
	struct str original;
};

struct build_listener {
	uint64_t id;
	struct str name; /* "infra/gw/http" */
	enum build_protocol protocol;
	const struct ip_addr *addrs;
	uint32_t addr_count;
	uint16_t port;	     /* host order */
	struct str hostname; /* as build_attachment.hostname */
	const struct build_attachment *attachments;
	uint32_t attachment_count;
};

struct build_settings {
	const struct ip_net *trusted; /* whose X-Forwarded-* and X-Request-Id are kept */
	uint32_t trusted_count;
	uint32_t header_timeout_ms, idle_timeout_ms; /* 0: the dataplane's default */
	uint32_t connect_timeout_ms, response_timeout_ms;
	uint32_t exchange_bytes_max; /* receive budget per leg of an exchange */
};

struct build_config {
	uint64_t generation;
	struct build_settings settings;
	const struct build_listener *listeners;
	const struct build_route *routes;
	const struct build_service *services;
	const struct build_policy *policies;
	uint32_t listener_count, route_count, service_count, policy_count;
};

/* No probes; the passive signals and the shares as above. */
void build_policy_default(struct build_policy *ret);
/* What is impossible about it, a sentence; NULL: nothing. */
const char *build_policy_fault(const struct build_policy *p);

/* Stable id: SipHash under a fixed key of the parts, each with its length. Never 0. */
uint64_t object_id(const struct str *parts, unsigned count);

/*
 * Builds the image into a malloc'ed buffer that the caller frees. The input may come in any
 * order; equal inputs give equal bytes, so equal digests. -EINVAL with a sentence when a limit of
 * snapshot.h is passed or an id occurs twice.
 */
int snapshot_build(const struct build_config *in, void **ret_image, size_t *ret_len,
	struct err *err);
