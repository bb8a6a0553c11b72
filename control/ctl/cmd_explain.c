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

static void show_references(const json_t *backend)
{
	static const char *const heads[] = {"ROUTE", "RULE", "BACKENDREF", "ROUTE WEIGHT",
		"x FACTOR", "= WEIGHT", "SHARE", NULL};
	struct table *t = table_new(heads);
	json_t *r;
	size_t i;

	json_array_foreach (json_object_get(backend, "references"), i, r) {
		table_add(t, "%s/%s/%s", text_of(r, "cluster"), text_of(r, "namespace"),
			text_of(r, "route"));
		table_add_json(t, json_object_get(r, "rule"));
		table_add_json(t, json_object_get(r, "backendRef"));
		table_add_json(t, json_object_get(r, "routeWeight"));
		table_add(t, "%.4g", json_number_value(json_object_get(r, "factor")));
		table_add_json(t, json_object_get(r, "weight"));
		add_percent(t, r);
	}
	table_print(t);
}

static void show_clusters(const json_t *backend)
{
	static const char *const heads[] = {"CLUSTER", "STATE", "WEIGHT", "FACTOR", "READY",
		"DRAINING", "SHARE", NULL};
	struct table *t = table_new(heads);
	json_t *c;
	size_t i;

	json_array_foreach (json_object_get(backend, "clusters"), i, c) {
		table_add_json(t, json_object_get(c, "name"));
		table_add(t, "%s", text_of(c, "state"));
		table_add_json(t, json_object_get(c, "weight"));
		table_add(t, "%.4g", json_number_value(json_object_get(c, "factor")));
		table_add_json(t, json_object_get(c, "ready"));
		table_add_json(t, json_object_get(c, "draining"));
		add_percent(t, c);
	}
	table_print(t);
}

static void show_endpoints(const json_t *backend)
{
	static const char *const heads[] = {"ENDPOINT", "NAME", "CLUSTER", "STATE", "SLICE WEIGHT",
		"WEIGHT", "SHARE", NULL};
	struct table *t = table_new(heads);
	json_t *e;
	size_t i;

	json_array_foreach (json_object_get(backend, "endpoints"), i, e) {
		const char *address = text_of(e, "address");
		bool v6 = strchr(address, ':') != NULL;

		table_add(t, "%s%s%s:%d", v6 ? "[" : "", address, v6 ? "]" : "",
			(int)number_of(e, "port"));
		table_add_json(t, json_object_get(e, "name"));
		table_add_json(t, json_object_get(e, "cluster"));
		table_add(t, "%s",
			json_is_true(json_object_get(e, "draining")) ? "draining" : "ready");
		table_add_json(t, json_object_get(e, "sliceWeight"));
		table_add_json(t, json_object_get(e, "weight"));
		add_percent(t, e);
	}
	table_print(t);
}

static void show_backend(const json_t *b)
{
	printf("%s %s/%s/%s port %d %s\n\n", text_of(b, "kind"), text_of(b, "cluster"),
		text_of(b, "namespace"), text_of(b, "name"), (int)number_of(b, "port"),
		text_of(b, "portName"));
	show_references(b);
	putchar('\n');
	show_clusters(b);
	putchar('\n');
	show_endpoints(b);
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
	json_decref(j);
	return count > 0 ? CTL_OK : CTL_FAILED;
}
