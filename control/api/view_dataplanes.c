// SPDX-License-Identifier: Apache-2.0
/*
 * view_dataplanes.c: what the dataplanes are and do: links, endpoints, connections, trace.
 *
 * What only a dataplane knows is asked there (gather.h, verbs: agent.h). An answer that lacks some
 * dataplane names it under "errors".
 */
#include <inttypes.h>
#include <stdio.h>

#include "control/api/gather.h"
#include "control/api/view.h"

/* --- /api/v1/dataplanes --- */

static json_t *json_dataplane(const struct api_source *s, uint32_t i)
{
	struct publish_state st;

	publish_state(s->publish, i, &st);
	return json_pack("{s:o, s:s, s:b, s:b, s:b, s:o, s:{s:I, s:I}, s:I, s:I, s:s, s:I, s:I, "
			 "s:I, "
			 "s:I, s:I}",
		"name", view_str(st.name), "url", st.url, "connected", st.connected, "synced",
		st.synced, "draining", st.draining, "version", view_str(st.version), "applied",
		"generation", (json_int_t)st.generation, "revision", (json_int_t)st.revision,
		"lagUs", (json_int_t)st.lag_us, "ackUs", (json_int_t)st.ack_us, "error", st.error,
		"connects", (json_int_t)st.connects, "snapshotsSent", (json_int_t)st.snapshots_sent,
		"smallsSent", (json_int_t)st.smalls_sent, "refused", (json_int_t)st.refused,
		"badMessages", (json_int_t)st.bad_messages);
}

void view_dataplanes(struct api_request *r)
{
	const struct api_source *s = r->source;
	json_t *items = json_array();

	for (uint32_t i = 0; i < publish_count(s->publish); i++)
		json_array_append_new(items, json_dataplane(s, i));
	api_reply_json(r, 200,
		json_pack("{s:{s:I, s:I, s:I}, s:o}", "wanted", "epoch",
			(json_int_t)publish_epoch(s->publish), "generation",
			(json_int_t)publish_generation(s->publish), "revision",
			(json_int_t)publish_revision(s->publish), "items", items));
}

/* --- /api/v1/endpoints --- */

/* {id: what that dataplane says of the endpoint} */
static json_t *runtime_by_id(const json_t *answer)
{
	json_t *map = json_object(), *svc, *e;
	size_t i, k;

	json_array_foreach (json_object_get(answer, "services"), i, svc)
		json_array_foreach (json_object_get(svc, "endpoints"), k, e) {
			const char *id = json_string_value(json_object_get(e, "id"));

			if (id != NULL)
				json_object_set(map, id, e);
		}
	return map;
}

static json_t *runtime_of(const json_t *e)
{
	static const char *const keys[] = {"in_flight", "idle", "ejected_workers", "ejected_us",
		"health"};
	json_t *j = json_object();

	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (json_object_get(e, keys[i]) != NULL)
			json_object_set(j, keys[i], json_object_get(e, keys[i]));
	return j;
}

static json_t *json_endpoint(const struct gather *g, json_t *const *maps,
	const struct build_service *s, uint32_t i)
{
	const struct build_endpoint *e = &s->endpoints[i];
	json_t *dataplanes = json_object();
	char id[VIEW_ID_STRLEN], name[128];

	view_id_format(e->id, id);
	for (unsigned p = 0; p < g->part_count; p++) {
		const json_t *rt = json_object_get(maps[p], id);

		snprintf(name, sizeof(name), "%.*s", STR_FMT(g->parts[p].name));
		if (rt != NULL)
			json_object_set_new(dataplanes, name, runtime_of(rt));
	}
	return json_pack("{s:s, s:o, s:o, s:o, s:i, s:i, s:b, s:f, s:o}", "id", id, "name",
		view_str(e->name), "cluster", view_str(e->cluster), "address", view_addr(&e->addr),
		"port", (int)e->port, "weight", (int)e->weight, "draining", e->draining, "percent",
		view_endpoint_percent(g->req->source->compiled, s, i), "dataplanes", dataplanes);
}

/* {dataplane: whom it suspects} */
static json_t *suspicion_by_dataplane(const struct gather *g)
{
	json_t *all = json_object();
	char name[128];

	for (unsigned p = 0; p < g->part_count; p++) {
		json_t *s = json_object_get(g->parts[p].answer, "suspicion");

		snprintf(name, sizeof(name), "%.*s", STR_FMT(g->parts[p].name));
		if (s != NULL)
			json_object_set(all, name, s);
	}
	return all;
}

static void endpoints_done(struct gather *g)
{
	const struct build_config *c = g->req->source->compiled;
	json_t *maps[PUBLISH_DATAPLANES_MAX], *items = json_array();

	for (unsigned p = 0; p < g->part_count; p++)
		maps[p] = runtime_by_id(g->parts[p].answer);
	for (uint32_t i = 0; i < c->service_count; i++) {
		json_t *list = json_array();

		for (uint32_t k = 0; k < c->services[i].endpoint_count; k++)
			json_array_append_new(list, json_endpoint(g, maps, &c->services[i], k));
		json_array_append_new(items,
			json_pack("{s:o, s:o, s:o}", "id", view_id(c->services[i].id), "service",
				view_str(c->services[i].name), "endpoints", list));
	}
	for (unsigned p = 0; p < g->part_count; p++)
		json_decref(maps[p]);
	api_reply_json(g->req, 200,
		json_pack("{s:o, s:o, s:o}", "items", items, "suspicion", suspicion_by_dataplane(g),
			"errors", gather_errors(g)));
}

void view_endpoints(struct api_request *r)
{
	const struct gather_options opt = {
		.queries = {{.verb = STR("endpoints")}},
		.query_count = 1,
		.partial = true,
		.fn = endpoints_done,
	};

	if (view_need_config(r))
		gather_start(r, &opt);
}

/* --- /api/v1/conns --- */

static void add_next(json_t *next, const struct gather_part *part)
{
	json_t *n = json_object_get(part->answer, "next");

	if (!json_is_object(n))
		return;
	n = json_copy(n);
	json_object_set_new(n, "dataplane", view_str(part->name));
	json_array_append_new(next, n);
}

static void conns_done(struct gather *g)
{
	json_t *items = json_array(), *next = json_array(), *conn;
	size_t i;

	for (unsigned p = 0; p < g->part_count; p++) {
		json_array_foreach (json_object_get(g->parts[p].answer, "conns"), i, conn) {
			json_object_set_new(conn, "dataplane", view_str(g->parts[p].name));
			json_array_append(items, conn);
		}
		add_next(next, &g->parts[p]);
	}
	api_reply_json(g->req, 200,
		json_pack("{s:o, s:o, s:o}", "items", items, "next", next, "errors",
			gather_errors(g)));
}

/* False when a problem was replied. An absent parameter is left out. */
static bool number_param(struct api_request *r, json_t *args, const char *name)
{
	struct str text = api_query_param(r, name);
	uint64_t v;

	if (text.p == NULL)
		return true;
	if (!str_to_u64(text, &v) || v > INT64_MAX) {
		api_reply_problem(r, PROBLEM_BAD_REQUEST, "%s=%.*s is not a number", name,
			STR_FMT(text));
		return false;
	}
	json_object_set_new(args, name, json_integer((json_int_t)v));
	return true;
}

void view_conns(struct api_request *r)
{
	struct gather_options opt = {
		.queries = {{.verb = STR("conns")}},
		.query_count = 1,
		.only = api_query_param(r, "dataplane"),
		.fn = conns_done,
	};
	json_t *args = json_object();
	char *text = NULL;

	if (number_param(r, args, "worker") && number_param(r, args, "cursor") &&
		number_param(r, args, "limit")) {
		text = json_dumps(args, JSON_COMPACT);
		opt.queries[0].args = str_of(text);
		gather_start(r, &opt);
	}
	free(text);
	json_decref(args);
}

/* --- /api/v1/workers --- */

static void workers_done(struct gather *g)
{
	json_t *items = json_array(), *w;
	size_t i;

	for (unsigned p = 0; p < g->part_count; p++)
		json_array_foreach (json_object_get(g->parts[p].answer, "workers"), i, w) {
			json_object_set_new(w, "dataplane", view_str(g->parts[p].name));
			json_array_append(items, w);
		}
	api_reply_json(g->req, 200,
		json_pack("{s:o, s:o}", "items", items, "errors", gather_errors(g)));
}

void view_workers(struct api_request *r)
{
	const struct gather_options opt = {
		.queries = {{.verb = STR("workers")}},
		.query_count = 1,
		.only = api_query_param(r, "dataplane"),
		.partial = true,
		.fn = workers_done,
	};

	gather_start(r, &opt);
}

/* --- /api/v1/trace --- */

static void trace_done(struct gather *g)
{
	json_t *lines = json_array(), *line;
	bool on = false;
	json_int_t lost = 0;
	size_t i;

	for (unsigned p = 0; p < g->part_count; p++) {
		const json_t *a = g->parts[p].answer;

		on |= json_is_true(json_object_get(a, "on"));
		lost += json_integer_value(json_object_get(a, "lost"));
		json_array_foreach (json_object_get(a, "lines"), i, line)
			json_array_append_new(lines,
				json_pack("{s:o, s:O}", "dataplane", view_str(g->parts[p].name),
					"text", line));
	}
	api_reply_json(g->req, 200,
		json_pack("{s:b, s:I, s:o, s:o}", "on", on, "lost", lost, "lines", lines, "errors",
			gather_errors(g)));
}

/* Takes <args> over. */
static void trace_ask(struct api_request *r, json_t *args)
{
	char *text = json_dumps(args, JSON_COMPACT);
	const struct gather_options opt = {
		.queries = {{.verb = STR("trace"), .args = str_of(text)}},
		.query_count = 1,
		.fn = trace_done,
	};

	json_decref(args);
	gather_start(r, &opt);
	free(text);
}

void view_trace(struct api_request *r)
{
	trace_ask(r, json_pack("{s:s}", "action", "fetch"));
}

void view_trace_stop(struct api_request *r)
{
	trace_ask(r, json_pack("{s:s}", "action", "stop"));
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80", "192.0.2.0/24" */
static bool client_parse(struct str s, struct ip_net *ret_net, uint64_t *ret_port)
{
	ptrdiff_t colon = str_rfind(s, ':');
	struct str host = s;

	*ret_port = 0;
	if (str_starts(s, STR("["))) {
		ptrdiff_t end = str_find(s, ']');

		if (end < 0)
			return false;
		host = str_first(str_from(s, 1), (size_t)end - 1);
		s = str_from(s, (size_t)end + 1);
		if (s.len > 0 && (s.p[0] != ':' || !str_to_u64(str_from(s, 1), ret_port)))
			return false;
	} else if (colon >= 0 && str_find(s, ':') == colon) {
		host = str_first(s, (size_t)colon);
		if (!str_to_u64(str_from(s, (size_t)colon + 1), ret_port))
			return false;
	}
	return *ret_port <= 65535 && ip_net_parse(host, ret_net);
}

/* Builds the arguments of the verb; NULL when a problem was replied. */
static json_t *trace_args(struct api_request *r, const json_t *body)
{
	json_t *args = json_pack("{s:s}", "action", "start");
	const char *key, *why = NULL;
	struct ip_net net;
	uint64_t port;
	json_t *v;

	json_object_foreach ((json_t *)body, key, v) {
		if (strcmp(key, "client") == 0) {
			if (!json_is_string(v) ||
				!client_parse(str_of(json_string_value(v)), &net, &port)) {
				why = "client is an address, address:port or network";
				break;
			}
			json_object_set_new(args, "net", view_net(&net));
			if (port != 0)
				json_object_set_new(args, "port", json_integer((json_int_t)port));
		} else if (strcmp(key, "seconds") == 0) {
			if (json_integer_value(v) < 1 || json_integer_value(v) > 3600) {
				why = "seconds is a number from 1 to 3600";
				break;
			}
			json_object_set(args, "seconds", v);
		} else {
			why = "known members are client and seconds";
			break;
		}
	}
	if (why == NULL)
		return args;
	json_decref(args);
	api_reply_problem(r, PROBLEM_UNPROCESSABLE, "%s", why);
	return NULL;
}

void view_trace_start(struct api_request *r)
{
	json_t *body = view_body(r), *args;

	if (body == NULL)
		return;
	args = trace_args(r, body);
	json_decref(body);
	if (args != NULL)
		trace_ask(r, args);
}
