// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_cluster.c: which clusters there are; adding, removing and changing them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl/cmd_cluster.h"

static void roles_text(const json_t *cluster, char *buf, size_t size)
{
	size_t i, n = 0;
	json_t *role;

	buf[0] = '\0';
	json_array_foreach (json_object_get(cluster, "roles"), i, role)
		if (n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? "," : "",
				json_string_value(role));
}

/* "connected", "stale", "from disk", the error: one look must do. */
static void state_text(const json_t *cluster, char *buf, size_t size)
{
	const json_t *st = json_object_get(cluster, "state");
	const char *error = text_of(st, "error");

	if (json_is_true(json_object_get(st, "fromDisk")))
		snprintf(buf, size, "from disk, %d s old: %s", (int)number_of(st, "staleSeconds"),
			*error != '\0' ? error : text_of(st, "lastError"));
	else if (*error != '\0')
		snprintf(buf, size, "error: %s", error);
	else if (json_object_get(st, "connected") == NULL)
		snprintf(buf, size, "ok");
	else if (!json_is_true(json_object_get(st, "takesPart")))
		snprintf(buf, size, "not known yet%s%s", *text_of(st, "lastError") ? ": " : "",
			text_of(st, "lastError"));
	else if (json_is_true(json_object_get(st, "stale")))
		snprintf(buf, size, "stale: %s", text_of(st, "lastError"));
	else
		snprintf(buf, size, "connected");
}

static const char *source_text(const json_t *cluster)
{
	static const char *const keys[] = {"directory", "kubeconfig",
		"remoteClusterConfigurationOf"};
	const json_t *source = json_object_get(cluster, "source");

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (*text_of(source, keys[i]) != '\0')
			return text_of(source, keys[i]);
	return "in cluster";
}

/* "active", "drain", or how far it is on its way. */
static void admin_text(const json_t *cluster, char *buf, size_t size)
{
	double drained = json_number_value(json_object_get(cluster, "drainedPercent"));

	if (drained > 0 && drained < 100)
		snprintf(buf, size, "%s (%.4g%% drained)", text_of(cluster, "adminState"), drained);
	else
		snprintf(buf, size, "%s", text_of(cluster, "adminState"));
}

static int list(struct ctl *c)
{
	static const char *const heads[] = {"NAME", "SITE", "ROLES", "ADMIN", "WEIGHT", "SAID BY",
		"SOURCE", "STATE", NULL};
	json_t *j, *cluster;
	struct table *t;
	size_t i;

	if (!ctl_args_ok(c, 0, 0))
		return CTL_USAGE;
	j = ctl_get(c, "/api/v1/clusters");
	if (j == NULL)
		return CTL_FAILED;
	if (c->json) {
		show_json(j);
		json_decref(j);
		return CTL_OK;
	}
	t = table_new(heads);
	json_array_foreach (json_object_get(j, "items"), i, cluster) {
		char roles[40], state[500], admin[40];

		roles_text(cluster, roles, sizeof(roles));
		state_text(cluster, state, sizeof(state));
		table_add(t, "%s", text_of(cluster, "name"));
		admin_text(cluster, admin, sizeof(admin));
		table_add(t, "%s", *text_of(cluster, "site") ? text_of(cluster, "site") : "-");
		table_add(t, "%s", roles);
		table_add(t, "%s", admin);
		table_add(t, "%d", (int)number_of(cluster, "weight"));
		table_add(t, "%s", text_of(cluster, "origin"));
		table_add(t, "%s", source_text(cluster));
		table_add(t, "%s", state);
	}
	table_print(t);
	json_decref(j);
	return CTL_OK;
}

static int call(struct ctl *c, const char *method, const char *name, json_t *body)
{
	char path[400] = "/api/v1/clusters";
	json_t *j;

	ctl_segment_add(path, sizeof(path), name);
	j = ctl_call(c, method, path, body, NULL);
	if (j == NULL)
		return CTL_FAILED;
	if (c->json)
		show_json(j);
	else if (strcmp(method, "GET") == 0)
		show_tree(j, 0);
	json_decref(j);
	return CTL_OK;
}

static json_t *roles_json(const char *text)
{
	json_t *list = json_array();
	char *copy = strdup(text), *rest = copy, *word;

	while ((word = strsep(&rest, ",")) != NULL)
		json_array_append_new(list, json_string(word));
	free(copy);
	return list;
}

/* What control thinks of the values is its to say. */
static json_t *weight_json(const char *text)
{
	char *end;
	long long v = strtoll(text, &end, 10);

	return *end == '\0' && end != text ? json_integer(v) : json_string(text);
}

/* Options into members; NULL when none was given. */
static json_t *body_of(struct ctl *c)
{
	static const struct {
		const char *option, *member;
	} texts[] = {{"--directory", "directory"}, {"--kubeconfig", "kubeconfig"},
		{"--context", "context"}, {"--state", "adminState"}};
	json_t *body = json_object();
	const char *v;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		v = ctl_option(c, texts[i].option);
		if (v != NULL)
			json_object_set_new(body, texts[i].member, json_string(v));
	}
	v = ctl_option(c, "--weight");
	if (v != NULL)
		json_object_set_new(body, "weight", weight_json(v));
	v = ctl_option(c, "--roles");
	if (v != NULL)
		json_object_set_new(body, "roles", roles_json(v));
	if (ctl_flag(c, "--in-cluster"))
		json_object_set_new(body, "inCluster", json_true());
	return body;
}

static int change(struct ctl *c, const char *method)
{
	json_t *body = body_of(c);

	if (!ctl_args_ok(c, 1, 1)) {
		json_decref(body);
		return CTL_USAGE;
	}
	if (json_object_size(body) == 0) {
		json_decref(body);
		return ctl_usage(c, "nothing to change is named");
	}
	return call(c, method, c->argv[0], body);
}

static int named(struct ctl *c, const char *method)
{
	return ctl_args_ok(c, 1, 1) ? call(c, method, c->argv[0], NULL) : CTL_USAGE;
}

int cmd_cluster(struct ctl *c)
{
	const char *verb = c->argc > 0 ? c->argv[0] : "list";

	if (c->argc > 0) {
		c->argc--;
		c->argv++;
	}
	if (strcmp(verb, "list") == 0)
		return list(c);
	if (strcmp(verb, "show") == 0)
		return named(c, "GET");
	if (strcmp(verb, "add") == 0)
		return change(c, "PUT");
	if (strcmp(verb, "set") == 0)
		return change(c, "PATCH");
	if (strcmp(verb, "drain") == 0)
		return cluster_drain(c);
	if (strcmp(verb, "undrain") == 0)
		return cluster_undrain(c);
	if (strcmp(verb, "remove") == 0)
		return named(c, "DELETE");
	return ctl_usage(c, "%s: list, show, add, set, drain, undrain or remove", verb);
}
