// SPDX-License-Identifier: Apache-2.0
/*
 * trafficpolicy.c: the schema of ClusterTrafficPolicy (gateway.sluice.internal/v1alpha1).
 *
 * Two readings of one spec. The targets decide whom the policy concerns, so an object without them
 * is no object. Everything else is read by a decoder of its own, whose first complaint is kept in
 * the object: status can then say it where the user looks. An unknown field is such a complaint,
 * too: a health check that is quietly left out would be worse than none.
 * Names, bounds and defaults of healthCheck: Envoy Gateway v1.5, BackendTrafficPolicy. Durations:
 * GEP-2257.
 */
#include <stdio.h>

#include "control/model/check.h"
#include "control/model/schema.h"
#include "control/model/traffic.h"

#define PROBE_MS_MIN 10	     /* no shorter interval or time-out */
#define PROBE_MS_MAX 3600000 /* an hour */

static const char *check_query(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == '#')
			return "must hold only the characters of a URI (RFC 3986)";
	return NULL;
}

/* origin-form: absolute-path [ "?" query ] (RFC 9112 3.2.1) */
static const char *check_target(struct str s)
{
	struct str rest = s, path = str_cut(&rest, '?');
	const char *how = check_path(path);

	return how != NULL || rest.p == NULL ? how : check_query(rest);
}

/* --- active --- */

static const char *const probe_types[] = {"HTTP", "TCP", NULL};
/* A probe has no body, so methods that are nothing without one are left out. */
static const char *const methods[] = {"GET", "HEAD", "OPTIONS", NULL};

static const struct yaml_field status_field = {.type = YAML_TYPE_U16,
	.required = true,
	.min = 100,
	.max = 599};
static const struct yaml_schema statuses_schema = YAML_SCALARS(uint16_t, &status_field);

static void http_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct traffic_http *h = obj;

	if (h->has_response)
		yaml_report(d, n, "expectedResponse", "is not supported: bodies are not looked at");
}

static const struct yaml_field http_fields[] = {
	YAML_STR(struct traffic_http, "path", path, .required = true, .min = 1, .max = 1024,
		.check = check_target),
	YAML_STR(struct traffic_http, "hostname", hostname, .min = 1, .max = 253,
		.check = check_dns_name),
	YAML_STR(struct traffic_http, "method", method, .words = methods, .def = "GET"),
	YAML_LIST(struct traffic_http, "expectedStatuses", statuses, &statuses_schema, .max = 500),
	YAML_PRESENT(struct traffic_http, "expectedResponse", has_response),
};
static const struct yaml_schema http_schema =
	YAML_SCHEMA(struct traffic_http, http_fields, .finish = http_finish);

static void tcp_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct traffic_tcp *t = obj;

	if (t->has_send || t->has_receive)
		yaml_report(d, n, t->has_send ? "send" : "receive",
			"is not supported: a connection that opens is the answer");
}

static const struct yaml_field tcp_fields[] = {
	YAML_PRESENT(struct traffic_tcp, "send", has_send),
	YAML_PRESENT(struct traffic_tcp, "receive", has_receive),
};
static const struct yaml_schema tcp_schema =
	YAML_SCHEMA(struct traffic_tcp, tcp_fields, .finish = tcp_finish);

static void active_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct traffic_active *a = obj;
	bool http = a->type == TRAFFIC_PROBE_HTTP;

	if (http != (a->http != NULL))
		yaml_report(d, n, "http", "must be there when, and only when, type is HTTP");
	if (!http != (a->tcp != NULL))
		yaml_report(d, n, "tcp", "must be there when, and only when, type is TCP");
}

static const struct yaml_field active_fields[] = {
	YAML_ENUM(struct traffic_active, "type", type, probe_types, .required = true),
	YAML_DURATION(struct traffic_active, "timeout", timeout_ms, .min = PROBE_MS_MIN,
		.max = PROBE_MS_MAX, .def = "1s"),
	YAML_DURATION(struct traffic_active, "interval", interval_ms, .min = PROBE_MS_MIN,
		.max = PROBE_MS_MAX, .def = "3s"),
	YAML_U16(struct traffic_active, "unhealthyThreshold", fall, .min = 1, .max = 1000,
		.def = "3"),
	YAML_U16(struct traffic_active, "healthyThreshold", rise, .min = 1, .max = 1000,
		.def = "1"),
	YAML_POINTER(struct traffic_active, "http", http, &http_schema),
	YAML_POINTER(struct traffic_active, "tcp", tcp, &tcp_schema),
};
static const struct yaml_schema active_schema =
	YAML_SCHEMA(struct traffic_active, active_fields, .finish = active_finish);

/* --- passive --- */

/* Fields of which one value is what happens anyway, and no other can be had. */
static void passive_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct traffic_settings *t = obj;
	const struct yaml_node *split = yaml_get(n, "splitExternalLocalOriginErrors"),
			       *gateway = yaml_get(n, "consecutiveGatewayErrors");

	if (split != NULL && !str_eq(split->text, STR("true")))
		yaml_report(d, n, "splitExternalLocalOriginErrors",
			"can only be true: failures to connect have a count of their own");
	if (gateway != NULL && !str_eq(gateway->text, STR("0")))
		yaml_report(d, n, "consecutiveGatewayErrors",
			"is not supported: use consecutive5XxErrors, which counts 502 to 504, too");
	if (t->max_ejection_ms < t->base_ejection_ms)
		yaml_report(d, n, "maxEjectionTime", "must not be less than baseEjectionTime");
}

static const struct yaml_field passive_fields[] = {
	YAML_IGNORED("splitExternalLocalOriginErrors"), /* passive_finish() */
	YAML_IGNORED("consecutiveGatewayErrors"),	/* the same */
	YAML_U16(struct traffic_settings, "consecutive5XxErrors", consecutive_5xx, .max = 1000,
		.def = "5"),
	YAML_U16(struct traffic_settings, "consecutiveLocalOriginFailures",
		consecutive_local_failures, .max = 1000, .def = "5"),
	/* How late an ejection may end; ours end on time. */
	YAML_DURATION(struct traffic_settings, "interval", sweep_ms, .min = 1, .max = PROBE_MS_MAX,
		.def = "3s"),
	YAML_DURATION(struct traffic_settings, "baseEjectionTime", base_ejection_ms, .min = 1,
		.max = 86400000, .def = "30s"),
	YAML_DURATION(struct traffic_settings, "maxEjectionTime", max_ejection_ms, .min = 1,
		.max = 86400000, .def = "300s"),
	YAML_U16(struct traffic_settings, "maxEjectionPercent", max_ejection_percent, .max = 100,
		.def = "10"),
};
static const struct yaml_schema passive_schema =
	YAML_SCHEMA(struct traffic_settings, passive_fields, .finish = passive_finish);

static const struct yaml_field health_fields[] = {
	YAML_POINTER(struct traffic_settings, "active", active, &active_schema),
	{.key = "passive", .type = YAML_TYPE_OBJECT, .schema = &passive_schema},
	YAML_PRESENT(struct traffic_settings, "passive", has_passive),
	YAML_U16(struct traffic_settings, "panicThreshold", panic_percent, .max = 100, .def = "50"),
};
static const struct yaml_schema health_schema = YAML_SCHEMA(struct traffic_settings, health_fields);

/* --- the settings as a whole --- */

static const struct yaml_field cluster_fields[] = {
	YAML_STR(struct traffic_cluster, "name", name, .required = true, .min = 1, .max = 63,
		.check = check_dns_label),
	YAML_U32(struct traffic_cluster, "weight", weight, .max = 1000000, .def = "100"),
	YAML_U16(struct traffic_cluster, "priority", priority, .max = TRAFFIC_PRIORITY_MAX,
		.def = "0"),
};
static const struct yaml_schema cluster_schema =
	YAML_SCHEMA(struct traffic_cluster, cluster_fields);

static const struct yaml_field slow_start_fields[] = {
	YAML_DURATION(struct traffic_settings, "window", slow_start_ms, .min = 1,
		.max = PROBE_MS_MAX),
};
static const struct yaml_schema slow_start_schema =
	YAML_SCHEMA(struct traffic_settings, slow_start_fields);

static const struct yaml_field ramp_fields[] = {
	YAML_U16(struct traffic_settings, "pointsPerSecond", ramp_points, .min = 1, .max = 1000,
		.def = "10"),
};
static const struct yaml_schema ramp_schema = YAML_SCHEMA(struct traffic_settings, ramp_fields);

static const char *const failovers[] = {"Never", "BetweenBackendRefs", NULL};

static bool expects(const struct traffic_http *h, uint16_t status)
{
	for (uint32_t i = 0; i < h->statuses_count; i++)
		if (h->statuses[i] == status)
			return true;
	return h->statuses_count == 0 && status == 200;
}

/* 200, 201, 204 are two ranges. False: too many. */
static bool find_ranges(struct traffic_settings *t, const struct traffic_http *h)
{
	for (uint16_t s = 100; s < 600; s++) {
		if (!expects(h, s))
			continue;
		if (t->ranges_count > 0 && t->ranges[t->ranges_count - 1].last + 1 == s) {
			t->ranges[t->ranges_count - 1].last = s;
			continue;
		}
		if (t->ranges_count == TRAFFIC_STATUS_RANGES_MAX)
			return false;
		t->ranges[t->ranges_count++] = (struct traffic_range){s, s};
	}
	return true;
}

static void settings_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct traffic_settings *t = obj;

	for (uint32_t i = 0; i < t->clusters_count; i++)
		for (uint32_t k = 0; k < i; k++)
			if (str_eq(t->clusters[i].name, t->clusters[k].name))
				yaml_report(d, n, "clusters", "the name %.*s stands twice",
					STR_FMT(t->clusters[i].name));
	if (t->has_slow_start && t->slow_start_ms == 0)
		yaml_report(d, n, "slowStart.window", "is required");
	if (t->active != NULL && t->active->http != NULL && !find_ranges(t, t->active->http))
		yaml_report(d, n, "healthCheck.active.http.expectedStatuses",
			"must be at most %u ranges of codes", TRAFFIC_STATUS_RANGES_MAX);
}

static const struct yaml_field settings_fields[] = {
	YAML_IGNORED("targetRefs"), /* policy_fields */
	YAML_LIST(struct traffic_settings, "clusters", clusters, &cluster_schema,
		.max = TRAFFIC_CLUSTERS_MAX),
	YAML_ENUM(struct traffic_settings, "failover", failover, failovers, .def = "Never"),
	YAML_U16(struct traffic_settings, "overprovisioningFactor", overprovisioning, .min = 100,
		.max = 1000, .def = "140"),
	{.key = "healthCheck", .type = YAML_TYPE_OBJECT, .schema = &health_schema},
	{.key = "slowStart", .type = YAML_TYPE_OBJECT, .schema = &slow_start_schema},
	YAML_PRESENT(struct traffic_settings, "slowStart", has_slow_start),
	{.key = "ramp", .type = YAML_TYPE_OBJECT, .schema = &ramp_schema},
};
static const struct yaml_schema settings_schema =
	YAML_SCHEMA(struct traffic_settings, settings_fields, .finish = settings_finish);

/* --- the policy --- */

struct complaint {
	struct cluster_traffic_policy *policy;
	struct arena *arena;
};

/* The first is enough; bytes of the manifest may be anything, a condition's are printable. */
static void on_complaint(struct yaml_decoder *d, bool fatal, uint32_t line, const char *path,
	const char *what)
{
	const struct complaint *c = d->ctx;
	char *text;

	if (c->policy->invalid != NULL)
		return;
	text = arena_printf(c->arena, "spec%s%s: %s", path[0] != '\0' ? "." : "", path, what);
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	c->policy->invalid = text;
}

static void policy_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct cluster_traffic_policy *p = obj;
	struct complaint c = {p, d->arena};
	struct yaml_decoder settings = {.arena = d->arena,
		.strict = true,
		.report = on_complaint,
		.ctx = &c};

	for (uint32_t i = 0; i < p->targets_count; i++)
		for (uint32_t k = 0; k < i; k++)
			if (str_eq(p->targets[i].group, p->targets[k].group) &&
				str_eq(p->targets[i].kind, p->targets[k].kind) &&
				str_eq(p->targets[i].name, p->targets[k].name))
				yaml_report(d, n, "targetRefs", "the %.*s %.*s stands twice",
					STR_FMT(p->targets[i].kind), STR_FMT(p->targets[i].name));
	yaml_decode(&settings, n, &settings_schema, &p->settings);
}

static const struct yaml_field target_fields[] = {
	YAML_STR(struct policy_target, "group", group, .required = true, .max = 253,
		.check = check_group),
	YAML_STR(struct policy_target, "kind", kind, .required = true, .max = 63,
		.check = check_kind),
	YAML_STR(struct policy_target, "name", name, .required = true, .min = 1, .max = 253),
};
static const struct yaml_schema target_schema = YAML_SCHEMA(struct policy_target, target_fields);

static const struct yaml_field policy_fields[] = {
	YAML_LIST(struct cluster_traffic_policy, "targetRefs", targets, &target_schema,
		.required = true, .min = 1, .max = 16),
	YAML_IGNORED("clusters"), /* these: settings_fields */
	YAML_IGNORED("failover"),
	YAML_IGNORED("overprovisioningFactor"),
	YAML_IGNORED("healthCheck"),
	YAML_IGNORED("slowStart"),
	YAML_IGNORED("ramp"),
};
static const struct yaml_schema spec_schema =
	YAML_SCHEMA(struct cluster_traffic_policy, policy_fields, .finish = policy_finish);

SCHEMA_WITH_SPEC(traffic_policy, struct cluster_traffic_policy, spec_schema);
