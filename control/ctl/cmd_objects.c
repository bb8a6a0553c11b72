// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_objects.c: status, get, describe: what objects are told about themselves.
 */
#include <stdio.h>
#include <string.h>

#include "control/ctl/ctl.h"

#define CONDITIONS_TEXT_MAX 400

static const char *full_name(const json_t *obj, char *buf, size_t size)
{
	const json_t *meta = json_object_get(obj, "metadata");
	const char *ns = text_of(meta, "namespace");

	snprintf(buf, size, "%s%s%s", ns, *ns ? "/" : "", text_of(meta, "name"));
	return buf;
}

static bool is_kind(const json_t *obj, const char *kind)
{
	return strcmp(text_of(obj, "kind"), kind) == 0;
}

/* One row per object, or per parent of a route; false when one of them is bad news. */
static bool add_conditions(struct table *t, const json_t *obj, const char *part,
	const json_t *conditions)
{
	char name[700], text[CONDITIONS_TEXT_MAX];
	bool good = show_conditions(conditions, text, sizeof(text));

	table_add(t, "%s", text_of(obj, "kind"));
	table_add(t, "%s", text_of(obj, "cluster"));
	table_add(t, "%s", full_name(obj, name, sizeof(name)));
	table_add(t, "%s", part);
	table_add(t, "%s", text);
	table_add(t, "%s", text_of(obj, "source"));
	return good;
}

static bool add_route(struct table *t, const json_t *obj, const json_t *status)
{
	bool good = true;
	json_t *parent;
	size_t i;

	json_array_foreach (json_object_get(status, "parents"), i, parent) {
		const json_t *ref = json_object_get(parent, "parentRef");
		const char *section = text_of(ref, "sectionName");
		char part[600];

		snprintf(part, sizeof(part), "parent %s%s%s", text_of(ref, "name"),
			*section ? "/" : "", section);
		good &= add_conditions(t, obj, part, json_object_get(parent, "conditions"));
	}
	return good;
}

static bool add_gateway(struct table *t, const json_t *obj, const json_t *status)
{
	char part[600] = "";
	size_t i, n = 0;
	json_t *a, *l;
	bool good;

	json_array_foreach (json_object_get(status, "addresses"), i, a)
		if (n < sizeof(part))
			n += (size_t)snprintf(part + n, sizeof(part) - n, "%s%s", n ? " " : "",
				text_of(a, "value"));
	good = add_conditions(t, obj, part, json_object_get(status, "conditions"));
	json_array_foreach (json_object_get(status, "listeners"), i, l) {
		snprintf(part, sizeof(part), "listener %s (%d routes)", text_of(l, "name"),
			(int)number_of(l, "attachedRoutes"));
		good &= add_conditions(t, obj, part, json_object_get(l, "conditions"));
	}
	return good;
}

static bool add_object(struct table *t, const json_t *obj)
{
	const json_t *status = json_object_get(obj, "status");

	if (is_kind(obj, "Gateway"))
		return add_gateway(t, obj, status);
	if (json_object_get(status, "parents") != NULL)
		return add_route(t, obj, status);
	return add_conditions(t, obj, "", json_object_get(status, "conditions"));
}

static bool show_objects(const json_t *items)
{
	static const char *const heads[] = {"KIND", "CLUSTER", "NAME", "PART", "CONDITIONS",
		"SOURCE", NULL};
	struct table *t = table_new(heads);
	bool good = true;
	json_t *obj;
	size_t i;

	json_array_foreach ((json_t *)items, i, obj)
		good &= add_object(t, obj);
	table_print(t);
	return good;
}

/* --- status --- */

static bool show_ready(const json_t *ready)
{
	bool ok = strcmp(text_of(ready, "status"), "ready") == 0;
	json_t *check;
	size_t i;

	printf("control: %s\n", text_of(ready, "status"));
	json_array_foreach (json_object_get(ready, "checks"), i, check)
		printf("  %-4s %s: %s\n", json_is_true(json_object_get(check, "ok")) ? "ok" : "NOT",
			text_of(check, "name"), text_of(check, "detail"));
	return ok;
}

static bool show_problems(const json_t *status)
{
	bool good = true;
	json_t *p;
	size_t i;

	json_array_foreach (json_object_get(status, "problems"), i, p) {
		bool fatal = json_is_true(json_object_get(p, "fatal"));

		printf("%s: %s%s\n", fatal ? "error" : "warning", text_of(p, "text"),
			json_is_true(json_object_get(p, "stale"))
				? " (what was read before stays in use)"
				: "");
		good &= !fatal;
	}
	json_array_foreach (json_object_get(status, "notes"), i, p)
		printf("note: %s\n", json_string_value(p));
	return good;
}

int cmd_status(struct ctl *c)
{
	json_t *ready, *status;
	bool good = false;
	long code = 0;

	if (!ctl_args_ok(c, 0, 0))
		return CTL_USAGE;
	ready = ctl_call(c, "GET", "/readyz", NULL, &code);
	if (ready == NULL)
		return CTL_FAILED;
	status = ctl_get(c, "/api/v1/status");
	if (status != NULL && c->json) {
		json_t *both = json_pack("{s:O, s:O}", "ready", ready, "status", status);

		show_json(both);
		json_decref(both);
		good = code == 200;
	} else if (status != NULL) {
		good = show_ready(ready);
		putchar('\n');
		good &= show_objects(json_object_get(status, "items"));
		good &= show_problems(status);
	}
	json_decref(ready);
	if (status == NULL)
		return CTL_FAILED;
	json_decref(status);
	return good ? CTL_OK : CTL_DEGRADED;
}

/* --- get, describe --- */

/* "demo/app", or "app" with or without --namespace. */
static void object_name_add(char *path, size_t size, const char *ns, char *name)
{
	char *slash = strchr(name, '/');

	if (slash != NULL) {
		*slash = '\0';
		ns = name;
		name = slash + 1;
	}
	if (ns != NULL)
		ctl_segment_add(path, size, ns);
	ctl_segment_add(path, size, name);
}

/* KIND and [NAMESPACE/]NAME of the command line to the path of the API. */
static bool object_path(struct ctl *c, char *path, size_t size)
{
	const char *cluster = ctl_option(c, "--cluster"), *ns = ctl_option(c, "--namespace");

	if (!ctl_args_ok(c, c->cmd->run == cmd_describe ? 2 : 1, 2))
		return false;
	snprintf(path, size, "/api/v1/status");
	if (strcmp(c->argv[0], "all") != 0 || c->argc == 2)
		ctl_segment_add(path, size, c->argv[0]);
	if (c->argc == 2)
		object_name_add(path, size, ns, c->argv[1]);
	if (cluster != NULL)
		ctl_query_add(path, size, "cluster", cluster);
	if (ns != NULL && c->argc == 1)
		ctl_query_add(path, size, "namespace", ns);
	return true;
}

int cmd_get(struct ctl *c)
{
	char path[2048];
	json_t *j, *items;

	if (!object_path(c, path, sizeof(path)))
		return CTL_USAGE;
	j = ctl_get(c, path);
	if (j == NULL)
		return CTL_FAILED;
	if (c->json) {
		show_json(j);
	} else {
		items = json_object_get(j, "items");
		items = items != NULL ? json_incref(items) : json_pack("[O]", j);
		show_objects(items);
		json_decref(items);
	}
	json_decref(j);
	return CTL_OK;
}

int cmd_describe(struct ctl *c)
{
	char path[2048];
	json_t *j;

	if (!object_path(c, path, sizeof(path)))
		return CTL_USAGE;
	j = ctl_get(c, path);
	if (j == NULL)
		return CTL_FAILED;
	if (c->json)
		show_json(j);
	else
		show_tree(j, 0);
	json_decref(j);
	return CTL_OK;
}
