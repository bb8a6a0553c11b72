// SPDX-License-Identifier: Apache-2.0
/*
 * view_backends.c: why a backend gets the requests that it gets: every factor of the traffic
 * formula (reconcile/shares.c), and what they make of each cluster and endpoint.
 */
#include "control/api/view.h"

/* Endpoints that drain have a share only where no other has any weight. */
static double endpoint_percent(const struct plan_service *s, uint32_t endpoint)
{
	const struct plan_endpoint *e = &s->endpoints[endpoint];
	uint64_t ready = 0, draining = 0;

	for (uint32_t i = 0; i < s->endpoints_count; i++)
		*(s->endpoints[i].draining ? &draining : &ready) += s->endpoints[i].weight;
	if (e->draining)
		return ready > 0 ? 0.0 : view_percent(e->weight, draining);
	return view_percent(e->weight, ready);
}

static double factor_of(const struct plan_cluster *c)
{
	return plan_cluster_factor(c) / (double)PLAN_FACTOR_ONE;
}

static json_t *json_cluster(const struct plan_service *s, uint32_t cluster)
{
	const struct plan_cluster *c = &s->clusters[cluster];
	double percent = 0;

	for (uint32_t i = 0; i < s->endpoints_count; i++)
		if (s->endpoints[i].cluster_index == cluster)
			percent += endpoint_percent(s, i);
	return json_pack("{s:o, s:s, s:I, s:f, s:i, s:i, s:i, s:f}", "name", view_str(c->name),
		"state", cluster_admin_names[c->admin], "weight", (json_int_t)c->weight, "factor",
		factor_of(c), "priority", (int)c->priority, "ready", (int)c->ready, "draining",
		(int)c->draining, "percent", percent);
}

static json_t *json_endpoint(const struct plan_service *s, uint32_t endpoint)
{
	const struct plan_endpoint *e = &s->endpoints[endpoint];

	return json_pack("{s:o, s:o, s:o, s:i, s:b, s:i, s:i, s:f}", "name", view_str(e->name),
		"cluster", view_str(e->cluster), "address", view_addr(&e->addr), "port",
		(int)e->port, "draining", e->draining, "sliceWeight", (int)e->slice_weight,
		"weight", (int)e->weight, "percent", endpoint_percent(s, endpoint));
}

static double mean_factor(const struct plan_service *s)
{
	double sum = 0;

	for (uint32_t c = 0; c < s->clusters_count; c++)
		sum += factor_of(&s->clusters[c]);
	return s->clusters_count > 0 ? sum / s->clusters_count : 1.0;
}

static void add_references(json_t *list, const struct plan_service *s,
	const struct plan_route *route, const struct plan_rule *rule)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < rule->spec->backends_count; i++)
		total += rule->backends[i].weight;
	for (uint32_t i = 0; i < rule->spec->backends_count; i++) {
		const struct plan_backend *b = &rule->backends[i];

		if (b->service != s)
			continue;
		json_array_append_new(list,
			json_pack("{s:o, s:o, s:o, s:i, s:i, s:I, s:f, s:I, s:f}", "cluster",
				view_str(route->obj->cluster), "namespace",
				view_str(route->obj->ns), "route", view_str(route->obj->name),
				"rule", (int)rule->index, "backendRef", (int)i, "routeWeight",
				(json_int_t)b->ref->weight, "factor", mean_factor(s), "weight",
				(json_int_t)b->weight, "percent", view_percent(b->weight, total)));
	}
}

static json_t *json_references(const struct plan *p, const struct plan_service *s)
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

static json_t *json_backend(const struct plan *p, const struct plan_service *s)
{
	json_t *clusters = json_array(), *endpoints = json_array();

	for (uint32_t i = 0; i < s->clusters_count; i++)
		json_array_append_new(clusters, json_cluster(s, i));
	for (uint32_t i = 0; i < s->endpoints_count; i++)
		json_array_append_new(endpoints, json_endpoint(s, i));
	return json_pack("{s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o}", "kind",
		view_str(kind_info[s->obj->kind].name), "cluster", view_str(s->obj->cluster),
		"namespace", view_str(s->obj->ns), "name", view_str(s->obj->name), "port",
		(int)s->port->port, "portName", view_str(s->port->name), "clusters", clusters,
		"endpoints", endpoints, "references", json_references(p, s));
}

static bool is_wanted(const struct api_request *r, const char *param, struct str have)
{
	struct str want = api_query_param(r, param);

	return want.p == NULL || str_eq(want, have);
}

void view_backends(struct api_request *r)
{
	const struct plan *p = r->source->plan;
	json_t *items;

	if (!view_need_config(r))
		return;
	items = json_array();
	for (uint32_t i = 0; i < p->services_count; i++) {
		const struct plan_service *s = p->services[i];

		if (is_wanted(r, "name", s->obj->name) && is_wanted(r, "namespace", s->obj->ns) &&
			is_wanted(r, "cluster", s->obj->cluster))
			json_array_append_new(items, json_backend(p, s));
	}
	api_reply_json(r, 200, json_pack("{s:o}", "items", items));
}
