// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_config.c: routes, weights, endpoints, dataplanes, version: what is configured and where it is
 * in force.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "control/ctl/ctl.h"

static bool wanted(const struct ctl *c, const char *name)
{
	return c->argc == 0 || fnmatch(c->argv[0], name, 0) == 0;
}

/* Takes <j> over. */
static int shown(json_t *j)
{
	json_decref(j);
	return CTL_OK;
}

/* --- routes --- */

static const char *match_text(const json_t *m, char *buf, size_t size)
{
	const json_t *path = json_object_get(m, "path");
	size_t n = (size_t)snprintf(buf, size, "%s%s%s %s", text_of(m, "method"),
		*text_of(m, "method") ? " " : "", text_of(path, "type"), text_of(path, "value"));
	size_t headers = json_array_size(json_object_get(m, "headers"));
	size_t queries = json_array_size(json_object_get(m, "queryParams"));

	if (headers > 0 && n < size)
		n += (size_t)snprintf(buf + n, size - n, " +%zu headers", headers);
	if (queries > 0 && n < size)
		snprintf(buf + n, size - n, " +%zu query parameters", queries);
	return buf;
}

static void add_places(struct table *t, const json_t *route)
{
	char places[500] = "";
	size_t i, n = 0;
	json_t *p;

	json_array_foreach (json_object_get(route, "listeners"), i, p) {
		const char *host = text_of(p, "hostname");

		if (n < sizeof(places))
			n += (size_t)snprintf(places + n, sizeof(places) - n, "%s%s=%s",
				n ? " " : "", text_of(p, "listener"), *host ? host : "*");
	}
	table_add(t, "%s", places);
}

static void add_backends(struct table *t, const json_t *rule)
{
	char text[500] = "";
	size_t i, n = 0;
	json_t *b;

	json_array_foreach (json_object_get(rule, "backends"), i, b) {
		const char *status = text_of(b, "status");
		bool ok = strcmp(status, "OK") == 0;

		if (n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %.4g%%%s%s",
				n ? ", " : "", text_of(b, "name"),
				json_number_value(json_object_get(b, "percent")), ok ? "" : " !",
				ok ? "" : status);
	}
	table_add(t, "%s", text);
}

int cmd_routes(struct ctl *c)
{
	static const char *const heads[] = {"RULE", "LISTENER=HOSTNAME", "MATCH", "BACKENDS", NULL};
	json_t *j, *route, *rule, *match;
	struct table *t;
	size_t i, k, m;

	if (!ctl_args_ok(c, 0, 0))
		return CTL_USAGE;
	j = ctl_get(c, "/api/v1/routes");
	if (j == NULL)
		return CTL_FAILED;
	if (c->json) {
		show_json(j);
		return shown(j);
	}
	t = table_new(heads);
	json_array_foreach (json_object_get(j, "items"), i, route)
		json_array_foreach (json_object_get(route, "rules"), k, rule)
			json_array_foreach (json_object_get(rule, "matches"), m, match) {
				char text[400];

				table_add(t, "%s", text_of(rule, "name"));
				add_places(t, route);
				table_add(t, "%s", match_text(match, text, sizeof(text)));
				add_backends(t, rule);
			}
	table_print(t);
	return shown(j);
}

/* --- weights --- */

static void add_clusters(struct table *t, const json_t *backend)
{
	char text[400] = "";
	const char *key;
	size_t n = 0;
	json_t *v;

	json_object_foreach (json_object_get(backend, "clusters"), key, v)
		if (n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %.4g%%",
				n ? ", " : "", key, json_number_value(v));
	table_add(t, "%s", text);
}

static void add_rule_weights(struct table *t, const json_t *rule)
{
	size_t i;
	json_t *b;

	json_array_foreach (json_object_get(rule, "backends"), i, b) {
		table_add_json(t, json_object_get(rule, "name"));
		table_add_json(t, json_object_get(b, "name"));
		table_add_json(t, json_object_get(b, "weight"));
		table_add(t, "%.4g%%", json_number_value(json_object_get(b, "percent")));
		table_add_json(t, json_object_get(b, "status"));
		add_clusters(t, b);
	}
}

int cmd_weights(struct ctl *c)
{
	static const char *const heads[] = {"RULE", "BACKEND", "WEIGHT", "SHARE", "STATUS",
		"ENDS IN", NULL};
	json_t *j, *route, *rule;
	struct table *t;
	size_t i, k;

	if (!ctl_args_ok(c, 0, 1))
		return CTL_USAGE;
	j = ctl_get(c, "/api/v1/routes");
	if (j == NULL)
		return CTL_FAILED;
	if (c->json) {
		show_json(j);
		return shown(j);
	}
	t = table_new(heads);
	json_array_foreach (json_object_get(j, "items"), i, route)
		json_array_foreach (json_object_get(route, "rules"), k, rule)
			if (wanted(c, text_of(rule, "name")))
				add_rule_weights(t, rule);
	table_print(t);
	return shown(j);
}

/* --- endpoints --- */

struct runtime {
	int64_t in_flight, idle, ejected;
	const char *bad, *why; /* of the first dataplane that does not use it; NULL: all do */
	bool known;
};

static struct runtime runtime_sum(const json_t *endpoint)
{
	struct runtime r = {0};
	const char *key;
	json_t *d, *health;

	json_object_foreach (json_object_get(endpoint, "dataplanes"), key, d) {
		r.known = true;
		r.in_flight += number_of(d, "in_flight");
		r.idle += number_of(d, "idle");
		r.ejected += number_of(d, "ejected_workers");
		health = json_object_get(d, "health");
		if (r.bad == NULL && json_is_false(json_object_get(health, "usable"))) {
			r.bad = text_of(health, "state");
			r.why = text_of(health, "why");
		}
	}
	return r;
}

static void add_endpoint(struct table *t, const json_t *svc, const json_t *e)
{
	struct runtime r = runtime_sum(e);
	const char *addr = text_of(e, "address");
	bool v6 = strchr(addr, ':') != NULL;

	table_add(t, "%s", text_of(svc, "service"));
	table_add(t, "%s", text_of(e, "cluster"));
	table_add(t, "%s", text_of(e, "name"));
	table_add(t, "%s%s%s:%d", v6 ? "[" : "", addr, v6 ? "]" : "", (int)number_of(e, "port"));
	table_add(t, "%.4g%%", json_number_value(json_object_get(e, "percent")));
	table_add(t, "%s",
		json_is_true(json_object_get(e, "draining")) ? "draining"
			: r.bad != NULL			     ? r.bad
			: r.ejected > 0			     ? "ejected"
			: r.known			     ? "ready"
							     : "unknown");
	table_add(t, "%s", r.bad != NULL ? r.why : "-");
	table_add(t, "%ld", (long)r.in_flight);
	table_add(t, "%ld", (long)r.idle);
}

/* Whoever suspects its own site says so before anything else. */
static void show_suspicion(const json_t *j)
{
	const char *name;
	json_t *s, *cluster;
	size_t i;

	json_object_foreach (json_object_get(j, "suspicion"), name, s) {
		if (!json_is_true(json_object_get(s, "on")))
			continue;
		fprintf(stderr, "sluicectl: dataplane %s suspects its own site for %.1f s:", name,
			(double)number_of(s, "since_us") / 1e6);
		json_array_foreach (json_object_get(s, "clusters"), i, cluster)
			fprintf(stderr, " %s", json_string_value(cluster));
		fprintf(stderr, " fell silent together\n");
	}
}

static void show_errors(const json_t *j)
{
	json_t *e;
	size_t i;

	json_array_foreach (json_object_get(j, "errors"), i, e)
		fprintf(stderr, "sluicectl: dataplane %s: %s\n", text_of(e, "dataplane"),
			text_of(e, "error"));
}

int cmd_endpoints(struct ctl *c)
{
	static const char *const heads[] = {"SERVICE", "CLUSTER", "ENDPOINT", "ADDRESS", "SHARE",
		"STATE", "WHY", "IN FLIGHT", "IDLE", NULL};
	json_t *j, *svc, *e;
	struct table *t;
	size_t i, k;

	if (!ctl_args_ok(c, 0, 1))
		return CTL_USAGE;
	j = ctl_get(c, "/api/v1/endpoints");
	if (j == NULL)
		return CTL_FAILED;
	if (c->json) {
		show_json(j);
		return shown(j);
	}
	t = table_new(heads);
	json_array_foreach (json_object_get(j, "items"), i, svc)
		if (wanted(c, text_of(svc, "service")))
			json_array_foreach (json_object_get(svc, "endpoints"), k, e)
				add_endpoint(t, svc, e);
	table_print(t);
	show_suspicion(j);
	show_errors(j);
	return shown(j);
}

/* --- dataplanes, version --- */

int cmd_dataplanes(struct ctl *c)
{
	static const char *const heads[] = {"NAME", "CONNECTED", "SYNCED", "DRAINING", "GENERATION",
		"REVISION", "ACK", "VERSION", "URL", "ERROR", NULL};
	json_t *j, *d;
	struct table *t;
	size_t i;

	if (!ctl_args_ok(c, 0, 0))
		return CTL_USAGE;
	j = ctl_get(c, "/api/v1/dataplanes");
	if (j == NULL)
		return CTL_FAILED;
	if (c->json) {
		show_json(j);
		return shown(j);
	}
	t = table_new(heads);
	json_array_foreach (json_object_get(j, "items"), i, d) {
		const json_t *applied = json_object_get(d, "applied");

		table_add_json(t, json_object_get(d, "name"));
		table_add_json(t, json_object_get(d, "connected"));
		table_add_json(t, json_object_get(d, "synced"));
		table_add_json(t, json_object_get(d, "draining"));
		table_add_json(t, json_object_get(applied, "generation"));
		table_add_json(t, json_object_get(applied, "revision"));
		table_add(t, "%.3f ms", (double)number_of(d, "ackUs") / 1e3);
		table_add_json(t, json_object_get(d, "version"));
		table_add_json(t, json_object_get(d, "url"));
		table_add_json(t, json_object_get(d, "error"));
	}
	table_print(t);
	return shown(j);
}

int cmd_version(struct ctl *c)
{
	json_t *j;

	if (!ctl_args_ok(c, 0, 0))
		return CTL_USAGE;
	j = ctl_get(c, "/api/v1/version");
	if (!c->json)
		printf("sluicectl %s\n", SLUICE_VERSION);
	if (j == NULL)
		return CTL_FAILED;
	if (c->json)
		show_json(j);
	else
		printf("control   %s (API %s, controller %s, since %s)\n", text_of(j, "version"),
			text_of(j, "api"), text_of(j, "controller_name"), text_of(j, "started"));
	return shown(j);
}
