// SPDX-License-Identifier: Apache-2.0
/*
 * traffic.h: ClusterTrafficPolicy (gateway.sluice.internal/v1alpha1): how the clusters behind a
 * backend share its requests, and how it is found out which endpoints are healthy.
 *
 * A direct policy (GEP-2648): it names Services, ServiceImports and HTTPRoutes of its own namespace.
 * The fields of healthCheck are those of Envoy Gateway's BackendTrafficPolicy, with its defaults.
 */
#pragma once

#include "control/model/gateway.h"

#define TRAFFIC_CLUSTERS_MAX 64u
#define TRAFFIC_PRIORITY_MAX 7u
#define TRAFFIC_STATUS_RANGES_MAX 8u

struct traffic_cluster {
	struct str name;
	uint32_t weight; /* against the other clusters; 100 when it is not said */
	uint16_t priority;
};

enum traffic_failover { FAILOVER_NEVER = 0, FAILOVER_BETWEEN_BACKEND_REFS };
enum traffic_probe { TRAFFIC_PROBE_HTTP = 0, TRAFFIC_PROBE_TCP };

struct traffic_http {
	struct str path;
	struct str hostname; /* absent: the endpoint's address */
	struct str method;
	const uint16_t *statuses; /* absent: 200 */
	uint32_t statuses_count;
	bool has_response; /* expectedResponse: cannot be honoured */
};

struct traffic_tcp {
	bool has_send, has_receive; /* cannot be honoured */
};

struct traffic_active {
	int type; /* enum traffic_probe */
	uint32_t timeout_ms, interval_ms;
	uint16_t fall, rise; /* unhealthyThreshold, healthyThreshold */
	const struct traffic_http *http;
	const struct traffic_tcp *tcp;
};

struct traffic_range { /* of status codes, both ends included */
	uint16_t first, last;
};

/* All but the targets; what was left out has its default. */
struct traffic_settings {
	const struct traffic_cluster *clusters;
	uint32_t clusters_count;
	int failover;			     /* enum traffic_failover */
	uint16_t overprovisioning;	     /* percent */
	uint16_t panic_percent;		     /* 0: never */
	const struct traffic_active *active; /* NULL: no probes */
	bool has_passive, has_slow_start;
	struct traffic_range ranges[TRAFFIC_STATUS_RANGES_MAX]; /* statuses of active.http */
	uint32_t ranges_count;
	/* passive; 0: not for this reason */
	uint16_t consecutive_5xx, consecutive_local_failures;
	uint32_t sweep_ms, base_ejection_ms, max_ejection_ms;
	uint16_t max_ejection_percent;
	uint32_t slow_start_ms; /* 0: none */
	uint16_t ramp_points;	/* of 100, per second */
};

/*
 * Values that are impossible, or that cannot be honoured, are no reason to lose the object: it is
 * there, has its targets, and is told what is wrong.
 */
struct cluster_traffic_policy {
	const struct policy_target *targets;
	uint32_t targets_count;
	struct traffic_settings settings; /* good only without <invalid> */
	const char
		*invalid; /* the first thing that is wrong: "spec.ramp: must ..."; NULL: nothing */
};
