// SPDX-License-Identifier: Apache-2.0
/*
 * sample.c: the canary of two clusters, a federated service, predicates and broken backends.
 */
#include "tests/unit/snapshot/sample.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define V4(a, b, c, d) \
	{ \
		{ \
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d \
		} \
	}
#define V6(last) \
	{ \
		{ \
			0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last \
		} \
	}

static const struct build_endpoint v1_endpoints[] = {
	{.id = 102,
		.addr = V4(10, 1, 0, 2),
		.port = 8080,
		.weight = 1,
		.name = STR("app-v1-b"),
		.cluster = STR("us-east")},
	{.id = 101,
		.addr = V4(10, 1, 0, 1),
		.port = 8080,
		.weight = 1,
		.name = STR("app-v1-a"),
		.cluster = STR("us-east")},
};
static const struct build_endpoint v2_endpoints[] = {
	{.id = 201,
		.addr = V6(1),
		.port = 8080,
		.weight = 3,
		.draining = true,
		.name = STR("app-v2-a"),
		.cluster = STR("us-west")},
};
static const struct build_service_cluster v2_clusters[] = {
	{.name = STR("us-west"), .priority = 1, .remote = true, .withheld = 250, .unready = 2},
	{.name = STR("us-east")},
};
static const struct build_policy policies[] = {
	{.id = 62,
		.name = STR("demo/web"),
		.probe = BUILD_PROBE_HTTP,
		.interval_ms = 250,
		.timeout_ms = 250,
		.fall = 3,
		.rise = 2,
		.path = STR("/healthz?x=1"),
		.host = STR("app.demo.lab:80"),
		.method = STR("HEAD"),
		.status = {{200, 299}, {304, 304}},
		.status_count = 2,
		.consecutive_5xx = 5,
		.consecutive_local_failures = 2,
		.base_ejection_ms = 30000,
		.max_ejection_ms = 300000,
		.max_ejection_percent = 10,
		.panic_percent = 50,
		.overprovisioning_percent = 140,
		.slow_start_ms = 10000,
		.ramp_points_per_s = 10},
	{.id = 61,
		.name = STR("demo/tcp"),
		.probe = BUILD_PROBE_TCP,
		.interval_ms = 1000,
		.timeout_ms = 1000,
		.fall = 1,
		.rise = 1,
		.overprovisioning_percent = 100},
};
static const struct build_service services[] = {
	{.id = 12,
		.name = STR("us-west/demo/app-v2:http"),
		.endpoints = v2_endpoints,
		.endpoint_count = COUNT(v2_endpoints),
		.clusters = v2_clusters,
		.cluster_count = COUNT(v2_clusters),
		.policy_id = 62},
	{.id = 11,
		.name = STR("us-east/demo/app-v1:http"),
		.endpoints = v1_endpoints,
		.endpoint_count = COUNT(v1_endpoints)},
	{.id = 13, .name = STR("us-east/demo/empty:http")},
};

static const struct build_match any[] = {{.path_type = BUILD_MATCH_PREFIX, .path = STR("/")}};
static const struct build_backend canary[] = {
	{.id = 21, .name = STR("demo/app-v1:80"), .weight = 80, .service_id = 11},
	{.id = 22, .name = STR("demo/app-v2:80"), .weight = 20, .service_id = 12},
};
static const struct build_rule canary_rules[] = {
	{.id = 31,
		.name = STR("demo/app rule 0"),
		.matches = any,
		.match_count = 1,
		.backends = canary,
		.backend_count = COUNT(canary),
		.request_timeout_ms = 10000,
		.failover = true,
		.policy_id = 61},
};

static const struct build_predicate beta[] = {
	{.name = STR("X-Beta"), .value = STR("yes")},
	{.name = STR("x-beta"), .value = STR("never looked at")},
};
static const struct build_predicate version[] = {{.name = STR("v"), .value = STR("2\n3")}};
static const struct build_match api[] = {
	{.path_type = BUILD_MATCH_PREFIX,
		.path = STR("/api/"),
		.method = STR("GET"),
		.headers = beta,
		.header_count = COUNT(beta),
		.queries = version,
		.query_count = 1},
	{.path_type = BUILD_MATCH_EXACT, .path = STR("/api")},
	{.path_type = BUILD_MATCH_PREFIX, .path = STR("/api")},
};
static const struct build_backend broken[] = {
	{.id = 23, .name = STR("demo/gone:80"), .weight = 1, .status = BUILD_BACKEND_NOT_FOUND},
	{.id = 24,
		.name = STR("other/private:80"),
		.weight = 1,
		.status = BUILD_BACKEND_REF_NOT_PERMITTED},
	{.id = 25, .name = STR("demo/empty:80"), .weight = 0, .service_id = 13},
};
static const struct build_rule api_rules[] = {
	{.id = 32,
		.name = STR("demo/api rule 0"),
		.matches = api,
		.match_count = COUNT(api),
		.backends = broken,
		.backend_count = COUNT(broken),
		.backend_timeout_ms = 500},
	{.id = 33, .name = STR("demo/api rule 1"), .matches = any, .match_count = 1},
};
static const struct build_route routes[] = {
	{.id = 41,
		.name = STR("demo/app"),
		.created = 50,
		.rules = canary_rules,
		.rule_count = COUNT(canary_rules)},
	{.id = 42,
		.name = STR("demo/api"),
		.created = 100,
		.rules = api_rules,
		.rule_count = COUNT(api_rules)},
};

static const struct ip_addr addrs[] = {V6(0x10), V4(192, 0, 2, 10)};
static const struct build_attachment http_routes[] = {
	{.route = 0, .hostname = STR("app.demo.lab"), .original = STR("app.demo.lab")},
	{.route = 1, .hostname = STR("app.demo.lab"), .original = STR("app.demo.lab")},
	{.route = 1, .hostname = STR("*.demo.lab"), .original = STR("*.lab")},
};
static const struct build_attachment any_routes[] = {{.route = 0}};
static const struct build_listener listeners[] = {
	{.id = 52,
		.name = STR("infra/gw/other"),
		.addrs = addrs,
		.addr_count = 1,
		.port = 8080,
		.attachments = any_routes,
		.attachment_count = 1},
	{.id = 51,
		.name = STR("infra/gw/http"),
		.addrs = addrs,
		.addr_count = 2,
		.port = 80,
		.hostname = STR("*.demo.lab"),
		.attachments = http_routes,
		.attachment_count = COUNT(http_routes)},
};
static const struct ip_net trusted[] = {
	{.addr = V4(10, 0, 0, 0), .len = 104},
	{.addr = V6(0), .len = 64},
};

const struct build_config *sample_config(void)
{
	static const struct build_config config = {
		.generation = 7,
		.settings = {.trusted = trusted,
			.trusted_count = 2,
			.header_timeout_ms = 10000,
			.exchange_bytes_max = 262144},
		.listeners = listeners,
		.listener_count = COUNT(listeners),
		.routes = routes,
		.route_count = COUNT(routes),
		.services = services,
		.service_count = COUNT(services),
		.policies = policies,
		.policy_count = COUNT(policies),
	};

	return &config;
}
