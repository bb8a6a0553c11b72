// SPDX-License-Identifier: Apache-2.0
/*
 * view_config.c: what control wants: control.yaml with its defaults, and the manifests as the
 * dataplanes are told them, with each backend's and endpoint's share.
 */
#include "control/api/view.h"
#include "dataplane/base/log.h"

/* --- control.yaml --- */

static json_t *json_clusters(const struct control_config *c)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < c->clusters_count; i++)
		json_array_append_new(list,
			json_pack("{s:o, s:s?, s:s?, s:b}", "name", view_str(c->clusters[i].name),
				"directory", c->clusters[i].directory, "kubeconfig",
				c->clusters[i].kubeconfig, "inCluster", c->clusters[i].in_cluster));
	return list;
}

static json_t *json_nets(const struct ip_net *nets, uint32_t count)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(list, view_net(&nets[i]));
	return list;
}

static json_t *json_pools(const struct control_config *c)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < c->pools_count; i++)
		json_array_append_new(list,
			json_pack("{s:o, s:o}", "name", view_str(c->pools[i].name), "cidrs",
				json_nets(c->pools[i].cidrs, c->pools[i].cidrs_count)));
	return list;
}

static json_t *json_targets(const struct control_config *c)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < c->dataplanes_count; i++)
		json_array_append_new(list,
			json_pack("{s:o, s:s}", "name", view_str(c->dataplanes[i].name), "url",
				c->dataplanes[i].url));
	return list;
}

static json_t *json_control(const struct api_source *s)
{
	const struct control_config *c = s->config;

	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:{s:s}, s:s, s:o, s:{s:i, s:i, s:i, s:i}, "
			 "s:i}",
		"file", s->config_path, "controllerName", view_str(c->controller_name), "clusters",
		json_clusters(c), "pools", json_pools(c), "dataplanes", json_targets(c), "api",
		"socket", c->api_socket, "stateDirectory", c->state_directory, "trustedNetworks",
		json_nets(c->trusted, c->trusted_count), "timeoutsMs", "header",
		(int)c->header_timeout_ms, "idle", (int)c->idle_timeout_ms, "connect",
		(int)c->connect_timeout_ms, "response", (int)c->response_timeout_ms,
		"exchangeBytesMax", (int)c->exchange_bytes_max);
}

/* --- listeners, routes, services --- */

static json_t *json_attachment(const struct build_config *c, const struct build_attachment *a)
{
	return json_pack("{s:o, s:o}", "route", view_str(c->routes[a->route].name), "hostname",
		view_str(a->hostname));
}

static json_t *json_listener(const struct build_config *c, const struct build_listener *l)
{
	json_t *addrs = json_array(), *routes = json_array();

	for (uint32_t i = 0; i < l->addr_count; i++)
		json_array_append_new(addrs, view_addr(&l->addrs[i]));
	for (uint32_t i = 0; i < l->attachment_count; i++)
		json_array_append_new(routes, json_attachment(c, &l->attachments[i]));
	return json_pack("{s:o, s:o, s:s, s:o, s:i, s:o, s:o}", "id", view_id(l->id), "name",
		view_str(l->name), "protocol", "HTTP", "addresses", addrs, "port", (int)l->port,
		"hostname", view_str(l->hostname), "routes", routes);
}

static const char *match_type(enum build_match_type t)
{
	static const char *const names[] = {"Exact", "PathPrefix", "RegularExpression"};

	return names[t];
}

static json_t *json_predicates(const struct build_predicate *p, uint32_t count)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:o, s:o}", "type", match_type(p[i].type), "name",
				view_str(p[i].name), "value", view_str(p[i].value)));
	return list;
}

static json_t *json_match(const struct build_match *m)
{
	json_t *j = json_pack("{s:{s:s, s:o}}", "path", "type", match_type(m->path_type), "value",
		view_str(m->path));

	if (m->method.len > 0)
		json_object_set_new(j, "method", view_str(m->method));
	if (m->header_count > 0)
		json_object_set_new(j, "headers", json_predicates(m->headers, m->header_count));
	if (m->query_count > 0)
		json_object_set_new(j, "queryParams", json_predicates(m->queries, m->query_count));
	return j;
}

static json_t *json_backend(const struct build_config *c, const struct build_backend *b,
	uint64_t total)
{
	const struct build_service *s =
		b->status == BUILD_BACKEND_OK ? view_service_lookup(c, b->service_id) : NULL;

	return json_pack("{s:o, s:o, s:i, s:f, s:s, s:o}", "id", view_id(b->id), "name",
		view_str(b->name), "weight", (int)b->weight, "percent",
		view_percent(b->weight, total), "status", view_backend_status(b->status), "service",
		s != NULL ? view_str(s->name) : json_null());
}

static json_t *json_rule(const struct build_config *c, const struct build_rule *r)
{
	json_t *matches = json_array(), *backends = json_array();
	uint64_t total = 0;

	for (uint32_t i = 0; i < r->match_count; i++)
		json_array_append_new(matches, json_match(&r->matches[i]));
	for (uint32_t i = 0; i < r->backend_count; i++)
		total += r->backends[i].weight;
	for (uint32_t i = 0; i < r->backend_count; i++)
		json_array_append_new(backends, json_backend(c, &r->backends[i], total));
	return json_pack("{s:o, s:o, s:o, s:o, s:i, s:i}", "id", view_id(r->id), "name",
		view_str(r->name), "matches", matches, "backends", backends, "requestTimeoutMs",
		(int)r->request_timeout_ms, "backendTimeoutMs", (int)r->backend_timeout_ms);
}

static json_t *json_route(const struct build_config *c, const struct build_route *r)
{
	json_t *rules = json_array();

	for (uint32_t i = 0; i < r->rule_count; i++)
		json_array_append_new(rules, json_rule(c, &r->rules[i]));
	return json_pack("{s:o, s:o, s:o}", "id", view_id(r->id), "name", view_str(r->name),
		"rules", rules);
}

static json_t *json_service(const struct build_config *c, const struct build_service *s)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < s->endpoint_count; i++) {
		const struct build_endpoint *e = &s->endpoints[i];

		json_array_append_new(list,
			json_pack("{s:o, s:o, s:o, s:o, s:i, s:i, s:b, s:f}", "id", view_id(e->id),
				"name", view_str(e->name), "cluster", view_str(e->cluster),
				"address", view_addr(&e->addr), "port", (int)e->port, "weight",
				(int)e->weight, "draining", e->draining, "percent",
				view_endpoint_percent(c, s, i)));
	}
	return json_pack("{s:o, s:o, s:o}", "id", view_id(s->id), "name", view_str(s->name),
		"endpoints", list);
}

static json_t *json_compiled(const struct build_config *c)
{
	json_t *listeners = json_array(), *routes = json_array(), *services = json_array();

	for (uint32_t i = 0; i < c->listener_count; i++)
		json_array_append_new(listeners, json_listener(c, &c->listeners[i]));
	for (uint32_t i = 0; i < c->route_count; i++)
		json_array_append_new(routes, json_route(c, &c->routes[i]));
	for (uint32_t i = 0; i < c->service_count; i++)
		json_array_append_new(services, json_service(c, &c->services[i]));
	return json_pack("{s:o, s:o, s:o}", "listeners", listeners, "routes", routes, "services",
		services);
}

void view_config(struct api_request *r)
{
	const struct api_source *s = r->source;
	json_t *j;

	if (!view_need_config(r))
		return;
	j = json_compiled(s->compiled);
	json_object_set_new(j, "generation",
		json_integer((json_int_t)publish_generation(s->publish)));
	json_object_set_new(j, "revision", json_integer((json_int_t)publish_revision(s->publish)));
	json_object_set_new(j, "control", json_control(s));
	api_reply_json(r, 200, j);
}

/* --- routes: the same from the reader's end: where each comes in, where it goes --- */

static json_t *json_places(const struct build_config *c, uint32_t route)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < c->listener_count; i++) {
		const struct build_listener *l = &c->listeners[i];

		for (uint32_t k = 0; k < l->attachment_count; k++)
			if (l->attachments[k].route == route)
				json_array_append_new(list,
					json_pack("{s:o, s:o}", "listener", view_str(l->name),
						"hostname", view_str(l->attachments[k].hostname)));
	}
	return list;
}

static void add_cluster_share(json_t *shares, struct str cluster, double percent)
{
	char name[256];

	snprintf(name, sizeof(name), "%.*s", STR_FMT(cluster));
	json_object_set_new(shares, name,
		json_real(json_real_value(json_object_get(shares, name)) + percent));
}

static void add_shares(json_t *shares, const struct build_config *c, const struct build_backend *b,
	double percent)
{
	const struct build_service *s =
		b->status == BUILD_BACKEND_OK ? view_service_lookup(c, b->service_id) : NULL;

	for (uint32_t e = 0; s != NULL && e < s->endpoint_count; e++)
		add_cluster_share(shares, s->endpoints[e].cluster,
			percent * view_endpoint_percent(c, s, e) / 100.0);
}

/* {"us-east": 80.0, "us-west": 20.0}: the rule's requests by the cluster in which they end. */
static void add_cluster_shares(json_t *rule, const struct build_config *c,
	const struct build_rule *r)
{
	json_t *all = json_object(), *list = json_object_get(rule, "backends");

	for (uint32_t i = 0; i < r->backend_count; i++) {
		json_t *backend = json_array_get(list, i), *shares = json_object();
		double percent = json_real_value(json_object_get(backend, "percent"));

		add_shares(all, c, &r->backends[i], percent);
		add_shares(shares, c, &r->backends[i], percent);
		json_object_set_new(backend, "clusters", shares);
	}
	json_object_set_new(rule, "clusters", all);
}

void view_routes(struct api_request *r)
{
	const struct build_config *c = r->source->compiled;
	json_t *items = json_array();

	if (!view_need_config(r)) {
		json_decref(items);
		return;
	}
	for (uint32_t i = 0; i < c->route_count; i++) {
		json_t *j = json_route(c, &c->routes[i]);
		json_t *rule;
		size_t k;

		json_array_foreach (json_object_get(j, "rules"), k, rule)
			add_cluster_shares(rule, c, &c->routes[i].rules[k]);
		json_object_set_new(j, "listeners", json_places(c, i));
		json_array_append_new(items, j);
	}
	api_reply_json(r, 200, json_pack("{s:o}", "items", items));
}
