// SPDX-License-Identifier: Apache-2.0
/*
 * routes.c: method, path, handler, query parameters, representations. A new row needs its
 * description in configs/api/openapi.json.
 */
#include "control/api/routes.h"

#include "control/api/view.h"

static const char *const json[] = {"application/json", NULL};
static const char *const events[] = {"text/event-stream", NULL};
static const char *const metrics[] = {"text/plain; version=0.0.4; charset=utf-8",
	"application/openmetrics-text; version=1.0.0; charset=utf-8", NULL};

const struct api_route api_routes[] = {
	{"GET", "/livez", view_livez, "", json},
	{"GET", "/healthz", view_healthz, "", json},
	{"GET", "/readyz", view_readyz, "", json},
	{"GET", "/metrics", view_metrics, "", metrics},
	{"GET", "/openapi.json", view_openapi, "", json},
	{"GET", "/api/v1/version", view_version, "", json},
	{"GET", "/api/v1/config", view_config, "", json},
	{"GET", "/api/v1/routes", view_routes, "", json},
	{"GET", "/api/v1/backends", view_backends, "name namespace cluster", json},
	{"GET", "/api/v1/status", view_status, "kind namespace cluster", json},
	{"GET", "/api/v1/status/{kind}", view_status_kind, "namespace cluster", json},
	{"GET", "/api/v1/status/{kind}/{name}", view_status_cluster_object, "cluster", json},
	{"GET", "/api/v1/status/{kind}/{namespace}/{name}", view_status_object, "cluster", json},
	{"GET", "/api/v1/clusters", view_clusters, "", json},
	{"GET", "/api/v1/clusters/{name}", view_cluster, "", json},
	{"PUT", "/api/v1/clusters/{name}", view_cluster_put, "", json},
	{"PATCH", "/api/v1/clusters/{name}", view_cluster_patch, "", json},
	{"DELETE", "/api/v1/clusters/{name}", view_cluster_delete, "", json},
	{"GET", "/api/v1/events", view_events, "", events},
	{"GET", "/api/v1/sites", view_sites, "", json},
	{"GET", "/api/v1/sites/{name}", view_site, "", json},
	{"GET", "/api/v1/weights", view_weights, "", json},
	{"GET", "/api/v1/weights/{cluster}", view_weight, "scope", json},
	{"PUT", "/api/v1/weights/{cluster}", view_weight_put, "scope", json},
	{"PATCH", "/api/v1/weights/{cluster}", view_weight_patch, "scope", json},
	{"DELETE", "/api/v1/weights/{cluster}", view_weight_delete, "scope actor reason", json},
	{"GET", "/api/v1/dataplanes", view_dataplanes, "", json},
	{"GET", "/api/v1/endpoints", view_endpoints, "", json},
	{"GET", "/api/v1/counters", view_counters, "", json},
	{"GET", "/api/v1/workers", view_workers, "dataplane", json},
	{"GET", "/api/v1/conns", view_conns, "dataplane worker cursor limit", json},
	{"GET", "/api/v1/trace", view_trace, "", json},
	{"POST", "/api/v1/trace", view_trace_start, "", json},
	{"DELETE", "/api/v1/trace", view_trace_stop, "", json},
};

const unsigned api_route_count = sizeof(api_routes) / sizeof(api_routes[0]);
