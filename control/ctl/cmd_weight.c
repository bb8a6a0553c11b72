// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_weight.c: what operators want of clusters while they run.
 *
 * Who it was is asked of the machine: the name behind sudo, else that of the process's user.
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/ctl/cmd_cluster.h"

const char *weight_actor(void)
{
	const char *sudo = getenv("SUDO_USER");
	const struct passwd *pw;

	if (sudo != NULL && *sudo != '\0')
		return sudo;
	pw = getpwuid(getuid());
	return pw != NULL ? pw->pw_name : "unknown";
}

#define PATH_BYTES 2000u

static void path_of(char *path, size_t size, const char *cluster, const char *scope)
{
	snprintf(path, size, "/api/v1/weights");
	ctl_segment_add(path, size, cluster);
	if (scope != NULL)
		ctl_query_add(path, size, "scope", scope);
}

static const char *or_dash(const char *s)
{
	return *s != '\0' ? s : "-";
}

static void row(struct table *t, const json_t *w)
{
	table_add(t, "%s", text_of(w, "cluster"));
	if (json_is_true(json_object_get(w, "drain")))
		table_add(t, "drain");
	else
		table_add(t, "%lld", (long long)number_of(w, "weight"));
	table_add(t, "%s", text_of(w, "scope"));
	table_add(t, "%s", json_is_true(json_object_get(w, "holdsHere")) ? "yes" : "no");
	table_add(t, "%s@%s", text_of(w, "actor"), text_of(w, "site"));
	table_add(t, "%s", text_of(w, "since"));
	table_add(t, "%s",
		json_is_null(json_object_get(w, "until")) ? "for good" : text_of(w, "until"));
	table_add(t, "%s", or_dash(text_of(w, "reason")));
}

static void table_of(const json_t *items)
{
	static const char *const heads[] = {"CLUSTER", "WEIGHT", "SITES", "HOLDS HERE", "BY",
		"SINCE", "UNTIL", "REASON", NULL};
	struct table *t = table_new(heads);
	json_t *w;
	size_t i;

	json_array_foreach (items, i, w)
		row(t, w);
	table_print(t);
}

static int list(struct ctl *c)
{
	const json_t *lost;
	json_t *j;

	if (!ctl_args_ok(c, 0, 0))
		return CTL_USAGE;
	j = ctl_get(c, "/api/v1/weights");
	if (j == NULL)
		return CTL_FAILED;
	lost = json_object_get(j, "lostEdits");
	if (c->json) {
		show_json(j);
	} else {
		table_of(json_object_get(j, "items"));
		if (json_array_size(lost) > 0) {
			printf("\nedits that lost against a later one, newest first:\n");
			table_of(lost);
		}
	}
	json_decref(j);
	return CTL_OK;
}

/* The name of the site that control is, owned by the caller; NULL: said why not. */
static char *own_site(struct ctl *c)
{
	json_t *j = ctl_get(c, "/api/v1/sites");
	char *name = j != NULL ? strdup(text_of(j, "self")) : NULL;

	json_decref(j);
	return name;
}

bool weight_call(struct ctl *c, const char *method, const char *cluster, bool local, json_t *body,
	json_t **ret)
{
	char path[PATH_BYTES], *scope = NULL;

	if (local) {
		scope = own_site(c);
		if (scope == NULL) {
			json_decref(body);
			return false;
		}
	}
	path_of(path, sizeof(path), cluster, scope);
	free(scope);
	if (strcmp(method, "DELETE") == 0) { /* it has no body: who and why stand in the query */
		const char *key;
		json_t *v;

		json_object_foreach (body, key, v)
			ctl_query_add(path, sizeof(path), key, json_string_value(v));
		json_decref(body);
		body = NULL;
	}
	*ret = ctl_call(c, method, path, body, NULL);
	return *ret != NULL;
}

static int call(struct ctl *c, const char *method, const char *cluster, bool local, json_t *body)
{
	json_t *j;

	if (!weight_call(c, method, cluster, local, body, &j))
		return CTL_FAILED;
	if (c->json)
		show_json(j);
	json_decref(j);
	return CTL_OK;
}

static int set(struct ctl *c)
{
	const char *ttl = ctl_option(c, "--ttl"), *reason = ctl_option(c, "--reason");
	bool local = ctl_flag(c, "--local");
	json_t *body;
	char *end;
	long long n;

	if (!ctl_args_ok(c, 2, 2))
		return CTL_USAGE;
	n = strtoll(c->argv[1], &end, 10);
	if (*end != '\0' || end == c->argv[1])
		return ctl_usage(c, "\"%s\" is no weight: a number from 0 to 1000000", c->argv[1]);
	body = json_pack("{s:I, s:s, s:s*, s:s*}", "weight", (json_int_t)n, "actor", weight_actor(),
		"ttl", ttl, "reason", reason);
	return call(c, "PUT", c->argv[0], local, body);
}

static int clear(struct ctl *c)
{
	const char *reason = ctl_option(c, "--reason");
	bool local = ctl_flag(c, "--local");

	if (!ctl_args_ok(c, 1, 1))
		return CTL_USAGE;
	return call(c, "DELETE", c->argv[0], local,
		json_pack("{s:s, s:s*}", "actor", weight_actor(), "reason", reason));
}

int cmd_weight(struct ctl *c)
{
	const char *what = c->argc > 0 ? c->argv[0] : "list";

	if (c->argc > 0) {
		c->argc--;
		c->argv++;
	}
	if (strcmp(what, "list") == 0)
		return list(c);
	if (strcmp(what, "set") == 0)
		return set(c);
	if (strcmp(what, "clear") == 0)
		return clear(c);
	return ctl_usage(c, "\"%s\" is not among: list, set, clear", what);
}
