// SPDX-License-Identifier: Apache-2.0
/*
 * view_backends.c: why a backend gets the requests that it gets: every factor of the traffic
 * formula, as control has it (reconcile/shares.c) and as each dataplane does at this moment, health
 * included (route/traffic.c), and what they make of each cluster and endpoint.
 *
 * Shares are those of the dataplanes, their mean where they differ. When none answers they follow
 * from what control knows alone: readiness, and no verdict (view.c).
 */
#include <stdio.h>

#include "control/api/gather.h"
#include "control/api/view.h"

/* One backend, and what each part of <g> says of it: {"shares", "endpoints"} or NULL. */
struct seen {
	const struct gather *g;
	const struct plan_service *s;
	const struct build_service *built; /* as dataplanes are told it; NULL: not yet */
	const json_t *live[PUBLISH_DATAPLANES_MAX];
	unsigned count; /* of those that are not NULL */
};

static double factor_of(const struct plan_cluster *c)
{
	return plan_cluster_factor(c) / (double)PLAN_FACTOR_ONE;
}

static const json_t *find_by(const json_t *list, const char *key, const char *text)
{
	const json_t *e;
	size_t i;

	json_array_foreach (list, i, e) {
		const char *have = json_string_value(json_object_get(e, key));

		if (have != NULL && strcmp(have, text) == 0)
			return e;
	}
	return NULL;
}

/* --- shares as control knows them --- */

static double base_endpoint(const struct seen *b, uint32_t endpoint)
{
	if (b->built == NULL || endpoint >= b->built->endpoint_count)
		return 0;
	return view_endpoint_percent(b->g->req->source->compiled, b->built, endpoint);
}

static double base_cluster(const struct seen *b, uint32_t cluster)
{
	double sum = 0;

	for (uint32_t i = 0; i < b->s->endpoints_count; i++)
		if (b->s->endpoints[i].cluster_index == cluster)
			sum += base_endpoint(b, i);
	return sum;
}

/* --- shares as dataplanes have them --- */

static void see(struct seen *b)
{
	char id[VIEW_ID_STRLEN] = "";

	if (b->built != NULL)
		view_id_format(b->built->id, id);
	for (unsigned p = 0; p < b->g->part_count; p++) {
		const json_t *services = json_object_get(b->g->parts[p].answer, "services");

		b->live[p] = find_by(services, "id", id);
		b->count += b->live[p] != NULL;
	}
}

/* The mean of what they say under "share"; <base>: nobody says anything. */
static double mean_of(double sum, unsigned count, double base)
{
	return count > 0 ? sum / count : base;
}

static double cluster_percent(const struct seen *b, uint32_t cluster)
{
	double sum = 0;
	char name[128];

	snprintf(name, sizeof(name), "%.*s", STR_FMT(b->s->clusters[cluster].name));
	for (unsigned p = 0; p < b->g->part_count; p++) {
		const json_t *shares = json_object_get(b->live[p], "shares");

		sum += json_number_value(
			json_object_get(find_by(json_object_get(shares, "clusters"), "name", name),
				"share"));
	}
	return b->count > 0 ? sum / b->count : base_cluster(b, cluster);
}

static const json_t *find_endpoint(const json_t *service, const char *address, uint16_t port)
{
	const json_t *e;
	size_t i;

	json_array_foreach (json_object_get(service, "endpoints"), i, e) {
		const char *have = json_string_value(json_object_get(e, "address"));

		if (have != NULL && strcmp(have, address) == 0 &&
			json_integer_value(json_object_get(e, "port")) == port)
			return e;
	}
	return NULL;
}

/* {dataplane: {"verdict", "slowStart", "percent"}} */
static json_t *endpoint_health(const struct seen *b, const struct plan_endpoint *e, double *ret_sum)
{
	json_t *map = json_object();
	char address[IP_ADDR_STRLEN], name[128];

	ip_format(&e->addr, address);
	*ret_sum = 0;
	for (unsigned p = 0; p < b->g->part_count; p++) {
		const json_t *x = find_endpoint(b->live[p], address, e->port);
		const char *verdict = json_string_value(json_object_get(x, "verdict"));
		double share = json_number_value(json_object_get(x, "share"));

		if (x == NULL)
			continue;
		*ret_sum += share;
		snprintf(name, sizeof(name), "%.*s", STR_FMT(b->g->parts[p].name));
		json_object_set_new(map, name,
			json_pack("{s:s, s:f, s:f}", "verdict",
				verdict != NULL ? verdict : "usable", "slowStart",
				json_number_value(json_object_get(x, "slow_start")), "percent",
				share));
	}
	return map;
}

/* --- one backend --- */

static json_t *json_cluster(const struct seen *b, uint32_t cluster)
{
	const struct plan_cluster *c = &b->s->clusters[cluster];

	return json_pack("{s:o, s:s, s:I, s:f, s:I, s:i, s:f, s:b, s:i, s:i, s:i, s:f}", "name",
		view_str(c->name), "state", cluster_admin_names[c->admin], "weight",
		(json_int_t)c->weight, "factor", factor_of(c), "policyWeight",
		(json_int_t)c->policy_weight, "priority", (int)c->priority, "drainedPercent",
		100.0 * c->withheld / CLUSTER_WHOLE, "remote", c->remote, "ready", (int)c->ready,
		"unready", (int)c->unready, "draining", (int)c->draining, "percent",
		cluster_percent(b, cluster));
}

static json_t *json_endpoint(const struct seen *b, uint32_t endpoint)
{
	const struct plan_endpoint *e = &b->s->endpoints[endpoint];
	double sum;
	json_t *health = endpoint_health(b, e, &sum);
	bool by_base = e->draining || b->count == 0;

	return json_pack("{s:o, s:o, s:o, s:i, s:b, s:i, s:i, s:f, s:o}", "name", view_str(e->name),
		"cluster", view_str(e->cluster), "address", view_addr(&e->addr), "port",
		(int)e->port, "draining", e->draining, "sliceWeight", (int)e->slice_weight,
		"weight", (int)e->weight, "percent",
		by_base ? base_endpoint(b, endpoint) : mean_of(sum, b->count, 0), "dataplanes",
		health);
}

static double mean_factor(const struct plan_service *s)
{
	double sum = 0;

	for (uint32_t c = 0; c < s->clusters_count; c++)
		sum += factor_of(&s->clusters[c]);
	return s->clusters_count > 0 ? sum / s->clusters_count : 1.0;
}

/* [{"dataplane", "available", "total", "held", "ramp", "reach", "share"}] of a backendRef. */
static json_t *failover_live(const struct gather *g, const struct build_rule *rule, uint32_t k)
{
	static const char *const keys[] = {"available", "total", "held", "ramp", "reach", "share"};
	char rule_id[VIEW_ID_STRLEN], id[VIEW_ID_STRLEN];
	json_t *list = json_array();

	view_id_format(rule->id, rule_id);
	view_id_format(rule->backends[k].id, id);
	for (unsigned p = 0; p < g->part_count; p++) {
		const json_t *rules = json_object_get(g->parts[p].answer, "failover");
		const json_t *x =
			find_by(json_object_get(find_by(rules, "id", rule_id), "backends"), "id",
				id);
		json_t *j;

		if (x == NULL)
			continue;
		j = json_pack("{s:o}", "dataplane", view_str(g->parts[p].name));
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			json_object_set(j, keys[i], json_object_get(x, keys[i]));
		json_array_append_new(list, j);
	}
	return list;
}

/* What it gets by these; <base> where nobody says anything. */
static double failover_percent(const json_t *live, double base)
{
	double sum = 0;
	json_t *x;
	size_t i;

	json_array_foreach (live, i, x)
		sum += json_number_value(json_object_get(x, "share"));
	return mean_of(sum, (unsigned)json_array_size(live), base);
}

/* What was compiled of a rule; NULL: the plan has changed since. */
static const struct build_rule *compiled_rule(const struct gather *g,
	const struct plan_route *route, const struct plan_rule *rule)
{
	const struct build_config *c = g->req->source->compiled;
	uint32_t at = 0;

	for (const struct plan_rule *x = route->rules; x < rule; x++)
		at += x->dropped == NULL;
	if (c == NULL || route->number >= c->route_count ||
		at >= c->routes[route->number].rule_count ||
		c->routes[route->number].rules[at].backend_count != rule->spec->backends_count)
		return NULL;
	return &c->routes[route->number].rules[at];
}

static void add_references(json_t *list, const struct seen *s, const struct plan_route *route,
	const struct plan_rule *rule)
{
	const struct build_rule *built = compiled_rule(s->g, route, rule);
	bool failover = built != NULL && built->failover;
	uint64_t total = 0;

	for (uint32_t i = 0; i < rule->spec->backends_count; i++)
		total += rule->backends[i].weight;
	for (uint32_t i = 0; i < rule->spec->backends_count; i++) {
		const struct plan_backend *b = &rule->backends[i];
		json_t *live;

		if (b->service != s->s)
			continue;
		live = failover ? failover_live(s->g, built, i) : json_array();
		json_array_append_new(list,
			json_pack("{s:o, s:o, s:o, s:i, s:i, s:I, s:f, s:I, s:b, s:f, s:o}",
				"cluster", view_str(route->obj->cluster), "namespace",
				view_str(route->obj->ns), "route", view_str(route->obj->name),
				"rule", (int)rule->index, "backendRef", (int)i, "routeWeight",
				(json_int_t)b->ref->weight, "factor", mean_factor(s->s), "weight",
				(json_int_t)b->weight, "failover", failover, "percent",
				failover_percent(live, view_percent(b->weight, total)), "live",
				live));
	}
}

static json_t *json_references(const struct plan *p, const struct seen *s)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < p->routes_count; i++) {
		const struct plan_route *route = &p->routes[i];

		for (uint32_t k = 0; k < route->obj->http_route->rules_count; k++)
			if (route->serves && route->rules[k].dropped == NULL)
				add_references(list, s, route, &route->rules[k]);
	}
	return list;
}

/* [{"dataplane", and what it says of the service's shares}] */
static json_t *json_live(const struct seen *b)
{
	json_t *list = json_array();

	for (unsigned p = 0; p < b->g->part_count; p++) {
		json_t *j;

		if (b->live[p] == NULL)
			continue;
		j = json_copy(json_object_get(b->live[p], "shares"));
		if (j == NULL)
			continue;
		json_object_set_new(j, "dataplane", view_str(b->g->parts[p].name));
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *json_backend(const struct plan *p, struct seen *b)
{
	json_t *clusters = json_array(), *endpoints = json_array();
	const struct plan_service *s = b->s;

	for (uint32_t i = 0; i < s->clusters_count; i++)
		json_array_append_new(clusters, json_cluster(b, i));
	for (uint32_t i = 0; i < s->endpoints_count; i++)
		json_array_append_new(endpoints, json_endpoint(b, i));
	return json_pack("{s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "kind",
		view_str(kind_info[s->obj->kind].name), "cluster", view_str(s->obj->cluster),
		"namespace", view_str(s->obj->ns), "name", view_str(s->obj->name), "port",
		(int)s->port->port, "portName", view_str(s->port->name), "policy",
		s->policy != NULL ? view_str(s->policy->obj->name) : json_null(), "clusters",
		clusters, "endpoints", endpoints, "references", json_references(p, b), "live",
		json_live(b));
}

static bool is_wanted(struct api_request *r, const char *param, struct str have)
{
	struct str want = api_query_param(r, param);

	return want.p == NULL || str_eq(want, have);
}

static void backends_done(struct gather *g)
{
	const struct build_config *c = g->req->source->compiled;
	const struct plan *p = g->req->source->plan;
	json_t *items = json_array();

	for (uint32_t i = 0; i < p->services_count; i++) {
		struct seen b = {.g = g, .s = p->services[i]};

		if (!is_wanted(g->req, "name", b.s->obj->name) ||
			!is_wanted(g->req, "namespace", b.s->obj->ns) ||
			!is_wanted(g->req, "cluster", b.s->obj->cluster))
			continue;
		b.built = c != NULL && i < c->service_count ? &c->services[i] : NULL;
		see(&b);
		json_array_append_new(items, json_backend(p, &b));
	}
	api_reply_json(g->req, 200,
		json_pack("{s:o, s:o}", "items", items, "errors", gather_errors(g)));
}

void view_backends(struct api_request *r)
{
	const struct gather_options opt = {
		.queries = {{.verb = STR("endpoints")}},
		.query_count = 1,
		.partial = true,
		.fn = backends_done,
	};

	if (view_need_config(r))
		gather_start(r, &opt);
}
