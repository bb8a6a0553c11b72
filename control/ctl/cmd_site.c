// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_site.c: this site and its peers.
 */
#include <stdio.h>
#include <string.h>

#include "control/ctl/ctl.h"

static void peer_text(const json_t *site, char *buf, size_t size)
{
	const json_t *p = json_object_get(site, "peer");
	const json_t *heard = json_object_get(p, "heardSecondsAgo");

	if (p == NULL)
		snprintf(buf, size, "this site");
	else if (json_is_true(json_object_get(p, "connected")))
		snprintf(buf, size, "connected%s",
			json_is_true(json_object_get(p, "inStep")) ? "" : ", catching up");
	else if (json_is_number(heard))
		snprintf(buf, size, "stale: not heard for %.0f s", json_number_value(heard));
	else
		snprintf(buf, size, "never met");
}

/* "us-east 3/3, us-west 0/3 silent": endpoints that are used, of all. */
static void clusters_text(const json_t *site, char *buf, size_t size)
{
	json_t *c;
	size_t i, n = 0;

	buf[0] = '\0';
	json_array_foreach (json_object_get(site, "clusters"), i, c) {
		const char *state = text_of(c, "state");

		if (n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s %lld/%lld%s%s",
				i ? ", " : "", text_of(c, "name"),
				(long long)number_of(c, "usable"),
				(long long)number_of(c, "endpoints"),
				strcmp(state, "ok") == 0 ? "" : " ",
				strcmp(state, "ok") == 0 ? "" : state);
	}
}

static int list(struct ctl *c)
{
	static const char *const heads[] = {"NAME", "STATE", "LINK", "REQUESTS/S", "LOAD",
		"CLUSTERS AS IT SEES THEM", NULL};
	json_t *j, *site;
	struct table *t;
	size_t i;

	if (!ctl_args_ok(c, 0, 0))
		return CTL_USAGE;
	j = ctl_get(c, "/api/v1/sites");
	if (j == NULL)
		return CTL_FAILED;
	if (c->json) {
		show_json(j);
		json_decref(j);
		return CTL_OK;
	}
	t = table_new(heads);
	json_array_foreach (json_object_get(j, "items"), i, site) {
		char peer[80], clusters[500];

		peer_text(site, peer, sizeof(peer));
		clusters_text(site, clusters, sizeof(clusters));
		table_add(t, "%s", text_of(site, "name"));
		table_add(t, "%s", *text_of(site, "state") ? text_of(site, "state") : "unknown");
		table_add(t, "%s", peer);
		table_add(t, "%lld", (long long)number_of(site, "requestsPerSecond"));
		table_add(t, "%.0f%%", 100 * json_number_value(json_object_get(site, "load")));
		table_add(t, "%s", *clusters ? clusters : "-");
	}
	table_print(t);
	json_decref(j);
	return CTL_OK;
}

static int show(struct ctl *c)
{
	char path[400] = "/api/v1/sites";
	json_t *j;

	if (!ctl_args_ok(c, 1, 1))
		return CTL_USAGE;
	ctl_segment_add(path, sizeof(path), c->argv[0]);
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

int cmd_site(struct ctl *c)
{
	const char *what = c->argc > 0 ? c->argv[0] : "list";

	if (c->argc > 0) {
		c->argc--;
		c->argv++;
	}
	if (strcmp(what, "list") == 0)
		return list(c);
	if (strcmp(what, "show") == 0)
		return show(c);
	return ctl_usage(c, "\"%s\" is not among: list, show", what);
}
