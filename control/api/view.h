// SPDX-License-Identifier: Apache-2.0
/*
 * view.h: the handlers of routes.c, and the few shapes that they share.
 *
 * Numbers are numbers, ids are strings of 16 hex digits (JSON numbers lose the low bits of 64),
 * addresses and times are text (RFC 5952, RFC 3339), a share is a percentage with its fraction.
 */
#pragma once

#include <jansson.h>

#include "control/api/request.h"
#include "dataplane/base/ip.h"
#include "dataplane/snapshot/build.h"

/* view_health.c */
void view_livez(struct api_request *r);
void view_healthz(struct api_request *r);
void view_readyz(struct api_request *r);
void view_version(struct api_request *r);
void view_openapi(struct api_request *r);
/* view_config.c */
void view_config(struct api_request *r);
void view_routes(struct api_request *r);
/* view_backends.c */
void view_backends(struct api_request *r);
/* view_status.c */
void view_status(struct api_request *r);
void view_status_kind(struct api_request *r);
void view_status_cluster_object(struct api_request *r);
void view_status_object(struct api_request *r);
/* view_clusters.c */
void view_clusters(struct api_request *r);
void view_cluster(struct api_request *r);
void view_cluster_put(struct api_request *r);
void view_cluster_patch(struct api_request *r);
void view_cluster_delete(struct api_request *r);
/* view_sites.c */
void view_events(struct api_request *r);
/* What an event is called and says; NULL: nobody out there is interested. */
json_t *view_site_event(const struct federation_event *e, const char **ret_name);
void view_sites(struct api_request *r);
void view_site(struct api_request *r);
/* view_weights.c */
void view_weights(struct api_request *r);
void view_weight(struct api_request *r);
void view_weight_put(struct api_request *r);
void view_weight_patch(struct api_request *r);
void view_weight_delete(struct api_request *r);
/* view_dataplanes.c */
void view_dataplanes(struct api_request *r);
void view_endpoints(struct api_request *r);
void view_conns(struct api_request *r);
void view_workers(struct api_request *r);
void view_trace(struct api_request *r);
void view_trace_start(struct api_request *r);
void view_trace_stop(struct api_request *r);
/* view_counters.c */
void view_counters(struct api_request *r);
/* view_metrics.c */
void view_metrics(struct api_request *r);

/* --- shapes --- */

/* Bytes that are no UTF-8 become '?': never NULL but for lack of memory. */
json_t *view_str(struct str s);
json_t *view_str_or_null(struct str s); /* null when s.p is NULL */
json_t *view_id(uint64_t id);
json_t *view_addr(const struct ip_addr *a);
json_t *view_net(const struct ip_net *n);
json_t *view_time(int64_t seconds); /* since 1970 */
#define VIEW_ID_STRLEN 17
void view_id_format(uint64_t id, char buf[VIEW_ID_STRLEN]);

/* 100 * part / whole; 0 of nothing is 0. */
double view_percent(uint64_t part, uint64_t whole);
/*
 * The share in percent that an endpoint has of its service by weights, priorities and readiness;
 * what dataplanes think of its health does not enter.
 */
double view_endpoint_percent(const struct build_config *c, const struct build_service *s,
	uint32_t endpoint);
const char *view_backend_status(enum build_backend_status s);
/* NULL when the configuration has none of that id. */
const struct build_service *view_service_lookup(const struct build_config *c, uint64_t id);

/* An operator's order; null for NULL. */
json_t *view_weight_record(const struct record *w);
json_t *view_order(const struct cluster_order *o);
/* How each cluster is, in a few words. */
json_t *view_clusters_brief(const struct api_source *s);
/* The request's body, a JSON object; NULL when a problem was replied. */
json_t *view_body(struct api_request *r);
/* Replies and returns false when there is no configuration yet. */
bool view_need_config(struct api_request *r);
