// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_explain.c: explain backend: every factor of the share of a Service or ServiceImport.
 */
#include <stdio.h>
#include <string.h>

#include "control/ctl/ctl.h"

static void add_percent(struct table *t, const json_t *j)
{
	table_add(t, "%.4g%%", json_number_value(json_object_get(j, "percent")));
}

static const char *yes_or_dash(const json_t *j, const char *key)
{
	return json_is_true(json_object_get(j, key)) ? "yes" : "-";
}

static void add_number(struct table *t, const json_t *j, const char *key)
{
	table_add(t, "%.4g", json_number_value(json_object_get(j, key)));
}

/* What health does to the weights of backendRefs, where it may. */
static void show_failover(const json_t *backend)
{
	static const char *const heads[] = {"FAILOVER", "RULE", "BACKENDREF", "DATAPLANE",
		"AVAILABLE", "TOTAL", "HELD BACK", "RAMP", "x REACH", "SHARE", NULL};
	struct table *t = NULL;
	json_t *r, *x;
	size_t i, k;

	json_array_foreach (json_object_get(backend, "references"), i, r)
		json_array_foreach (json_object_get(r, "live"), k, x) {
			t = t != NULL ? t : table_new(heads);
			table_add(t, "%s/%s/%s", text_of(r, "cluster"), text_of(r, "namespace"),
				text_of(r, "route"));
			table_add_json(t, json_object_get(r, "rule"));
			table_add_json(t, json_object_get(r, "backendRef"));
			table_add_json(t, json_object_get(x, "dataplane"));
			table_add_json(t, json_object_get(x, "available"));
			table_add_json(t, json_object_get(x, "total"));
			table_add(t, "%.4g%%", json_number_value(json_object_get(x, "held")));
			table_add(t, "%s", yes_or_dash(x, "ramp"));
			table_add(t, "%.4g%%", json_number_value(json_object_get(x, "reach")));
			table_add(t, "%.4g%%", json_number_value(json_object_get(x, "share")));
		}
	if (t == NULL)
		return;
	putchar('\n');
	table_print(t);
}

static void show_references(const json_t *backend)
{
	static const char *const heads[] = {"ROUTE", "RULE", "BACKENDREF", "ROUTE WEIGHT",
		"x FACTOR", "= WEIGHT", "FAILOVER", "SHARE", NULL};
	struct table *t = table_new(heads);
	json_t *r;
	size_t i;

	json_array_foreach (json_object_get(backend, "references"), i, r) {
		table_add(t, "%s/%s/%s", text_of(r, "cluster"), text_of(r, "namespace"),
			text_of(r, "route"));
		table_add_json(t, json_object_get(r, "rule"));
		table_add_json(t, json_object_get(r, "backendRef"));
		table_add_json(t, json_object_get(r, "routeWeight"));
		add_number(t, r, "factor");
		table_add_json(t, json_object_get(r, "weight"));
		table_add(t, "%s", yes_or_dash(r, "failover"));
		add_percent(t, r);
	}
	table_print(t);
	show_failover(backend);
}

static void show_clusters(const json_t *backend)
{
	static const char *const heads[] = {"CLUSTER", "STATE", "WEIGHT", "DRAINED", "FACTOR",
		"x POLICY WEIGHT", "PRIORITY", "READY", "UNREADY", "DRAINING", "SHARE", NULL};
	struct table *t = table_new(heads);
	json_t *c;
	size_t i;

	json_array_foreach (json_object_get(backend, "clusters"), i, c) {
		table_add(t, "%s%s", text_of(c, "name"),
			json_is_true(json_object_get(c, "remote")) ? " (remote)" : "");
		table_add(t, "%s", text_of(c, "state"));
		table_add_json(t, json_object_get(c, "weight"));
		table_add(t, "%.4g%%", json_number_value(json_object_get(c, "drainedPercent")));
		add_number(t, c, "factor");
		table_add_json(t, json_object_get(c, "policyWeight"));
		table_add_json(t, json_object_get(c, "priority"));
		table_add_json(t, json_object_get(c, "ready"));
		table_add_json(t, json_object_get(c, "unready"));
		table_add_json(t, json_object_get(c, "draining"));
		add_percent(t, c);
	}
	table_print(t);
}

static void show_tiers(const json_t *live)
{
	static const char *const heads[] = {"PRIORITY", "AVAILABLE", "READY", "TOTAL", "HEALTH",
		"LOAD", "PANIC", NULL};
	struct table *t = table_new(heads);
	json_t *x;
	size_t i;

	json_array_foreach (json_object_get(live, "tiers"), i, x) {
		table_add_json(t, json_object_get(x, "priority"));
		table_add_json(t, json_object_get(x, "available"));
		table_add_json(t, json_object_get(x, "ready"));
		table_add_json(t, json_object_get(x, "total"));
		table_add(t, "%d%%", (int)number_of(x, "health"));
		table_add(t, "%d%%", (int)number_of(x, "load"));
		table_add(t, "%s", yes_or_dash(x, "panic"));
	}
	table_print(t);
}

static void show_reach(const json_t *live)
{
	static const char *const heads[] = {"CLUSTER", "PRIORITY", "WEIGHT", "AVAILABLE", "TOTAL",
		"HELD BACK", "RAMP", "x REACH", "SHARE", NULL};
	struct table *t = table_new(heads);
	json_t *c;
	size_t i;

	json_array_foreach (json_object_get(live, "clusters"), i, c) {
		table_add_json(t, json_object_get(c, "name"));
		table_add_json(t, json_object_get(c, "priority"));
		table_add_json(t, json_object_get(c, "weight"));
		table_add_json(t, json_object_get(c, "available"));
		table_add_json(t, json_object_get(c, "total"));
		table_add(t, "%.4g%%", json_number_value(json_object_get(c, "held")));
		table_add(t, "%s", yes_or_dash(c, "ramp"));
		table_add(t, "%.4g%%", json_number_value(json_object_get(c, "reach")));
		table_add(t, "%.4g%%", json_number_value(json_object_get(c, "share")));
	}
	table_print(t);
}

/* The formula as each dataplane has it at this moment. */
static void show_live(const json_t *backend)
{
	json_t *live;
	size_t i;

	json_array_foreach (json_object_get(backend, "live"), i, live) {
		printf("\nDataplane %s: overprovisioning %d%%, panic below %d%%, health of all "
		       "priorities %d%%, ramp %.4g points/s, slow start %d ms\n",
			text_of(live, "dataplane"), (int)number_of(live, "overprovisioning"),
			(int)number_of(live, "panic_threshold"), (int)number_of(live, "norm"),
			json_number_value(json_object_get(live, "ramp_points_per_s")),
			(int)number_of(live, "slow_start_ms"));
		show_tiers(live);
		show_reach(live);
	}
}

/* "usable", or by dataplane where they differ: "dp0 down, dp1 usable"; how slow it still is. */
static void health_text(const json_t *e, char *buf, size_t size)
{
	const char *name, *first = NULL;
	bool differ = false;
	size_t n = 0;
	json_t *x;

	json_object_foreach (json_object_get(e, "dataplanes"), name, x) {
		first = first != NULL ? first : text_of(x, "verdict");
		differ |= strcmp(first, text_of(x, "verdict")) != 0;
	}
	snprintf(buf, size, "%s", first != NULL ? first : "-");
	if (!differ)
		return;
	json_object_foreach (json_object_get(e, "dataplanes"), name, x)
		if (n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s %s", n ? ", " : "", name,
				text_of(x, "verdict"));
}

/* The most that it lacks at any dataplane. */
static double slow_of(const json_t *e)
{
	double most = 0;
	const char *name;
	json_t *x;

	json_object_foreach (json_object_get(e, "dataplanes"), name, x) {
		double v = json_number_value(json_object_get(x, "slowStart"));

		most = v > most ? v : most;
	}
	return most;
}

static void show_endpoints(const json_t *backend)
{
	static const char *const heads[] = {"ENDPOINT", "NAME", "CLUSTER", "STATE", "HEALTH",
		"SLICE WEIGHT", "WEIGHT", "SLOW START", "SHARE", NULL};
	struct table *t = table_new(heads);
	json_t *e;
	size_t i;

	json_array_foreach (json_object_get(backend, "endpoints"), i, e) {
		const char *address = text_of(e, "address");
		bool v6 = strchr(address, ':') != NULL;
		char health[200];

		health_text(e, health, sizeof(health));
		table_add(t, "%s%s%s:%d", v6 ? "[" : "", address, v6 ? "]" : "",
			(int)number_of(e, "port"));
		table_add_json(t, json_object_get(e, "name"));
		table_add_json(t, json_object_get(e, "cluster"));
		table_add(t, "%s",
			json_is_true(json_object_get(e, "draining")) ? "draining" : "ready");
		table_add(t, "%s", health);
		table_add_json(t, json_object_get(e, "sliceWeight"));
		table_add_json(t, json_object_get(e, "weight"));
		table_add(t, slow_of(e) > 0 ? "-%.4g%%" : "-", slow_of(e));
		add_percent(t, e);
	}
	table_print(t);
}

static void show_backend(const json_t *b)
{
	const char *policy = text_of(b, "policy");

	printf("%s %s/%s/%s port %d %s, %s%s\n\n", text_of(b, "kind"), text_of(b, "cluster"),
		text_of(b, "namespace"), text_of(b, "name"), (int)number_of(b, "port"),
		text_of(b, "portName"),
		*policy ? "ClusterTrafficPolicy " : "no ClusterTrafficPolicy", policy);
	show_references(b);
	putchar('\n');
	show_clusters(b);
	show_live(b);
	putchar('\n');
	show_endpoints(b);
}

/* Of dataplanes that are silent nothing is known: said, because shares are then others'. */
static void show_errors(const json_t *answer)
{
	json_t *e;
	size_t i;

	json_array_foreach (json_object_get(answer, "errors"), i, e)
		fprintf(stderr, "sluicectl: dataplane %s: %s\n", text_of(e, "dataplane"),
			text_of(e, "error"));
}

/* "demo/app", or "app" with or without --namespace. */
static void path_of(struct ctl *c, const char *cluster, const char *ns, char *path, size_t size)
{
	char *name = c->argv[1], *slash = strchr(name, '/');

	snprintf(path, size, "/api/v1/backends");
	if (slash != NULL) {
		*slash = '\0';
		ns = name;
		name = slash + 1;
	}
	ctl_query_add(path, size, "name", name);
	if (ns != NULL)
		ctl_query_add(path, size, "namespace", ns);
	if (cluster != NULL)
		ctl_query_add(path, size, "cluster", cluster);
}

int cmd_explain(struct ctl *c)
{
	const char *cluster = ctl_option(c, "--cluster"), *ns = ctl_option(c, "--namespace");
	json_t *j, *items, *b;
	char path[2048];
	size_t i, count;

	if (!ctl_args_ok(c, 2, 2))
		return CTL_USAGE;
	if (strcmp(c->argv[0], "backend") != 0)
		return ctl_usage(c, "explain %s: backend is what can be explained", c->argv[0]);
	path_of(c, cluster, ns, path, sizeof(path));
	j = ctl_get(c, path);
	if (j == NULL)
		return CTL_FAILED;
	items = json_object_get(j, "items");
	count = json_array_size(items);
	if (c->json)
		show_json(j);
	else if (count == 0)
		fputs("sluicectl: no route leads to a backend of this name\n", stderr);
	json_array_foreach (items, i, b) {
		if (c->json)
			break;
		if (i > 0)
			putchar('\n');
		show_backend(b);
	}
	if (!c->json)
		show_errors(j);
	json_decref(j);
	return count > 0 ? CTL_OK : CTL_FAILED;
}
