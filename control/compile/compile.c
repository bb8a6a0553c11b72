// SPDX-License-Identifier: Apache-2.0
/*
 * compile.c: plan -> struct build_config; listeners, routes and services, each in its own pass.
 *
 * What does not serve is left out here: listeners that are not accepted or have no address, routes
 * that no parent accepted, rules that were dropped. A backendRef that does not resolve stays, with
 * its weight, because its share of the requests is answered 500.
 */
#include "control/compile/compile.h"

#include <stdio.h>

#include "control/model/traffic.h"
#include "dataplane/snapshot/message.h"

#define ID_PARTS_MAX 10
#define CLUSTERSET ".clusterset" /* tells a ServiceImport from the Service of its name */

/* Collects the parts of a stable id; numbers become their decimal text. */
struct id {
	struct str parts[ID_PARTS_MAX];
	unsigned count;
};

static struct id id_of(struct str type, const struct object *o)
{
	return (struct id){{type, o->cluster, o->ns, o->name}, 4};
}

static struct id id_with(struct id id, struct str part)
{
	id.parts[id.count++] = part;
	return id;
}

static uint64_t id_hash(const struct id *id)
{
	return object_id(id->parts, id->count);
}

static struct str number(struct arena *a, const char *prefix, uint32_t n)
{
	return str_of(arena_printf(a, "%s%u", prefix, n));
}

static const enum build_backend_status backend_status[] = {
	[REF_OK] = BUILD_BACKEND_OK,
	[REF_INVALID_KIND] = BUILD_BACKEND_INVALID_KIND,
	[REF_BACKEND_NOT_FOUND] = BUILD_BACKEND_NOT_FOUND,
	[REF_NOT_PERMITTED] = BUILD_BACKEND_REF_NOT_PERMITTED,
	[REF_UNSUPPORTED_PROTOCOL] = BUILD_BACKEND_UNSUPPORTED,
	[REF_TLS_DEMANDED] = BUILD_BACKEND_UNSUPPORTED,
};

static uint64_t service_id(struct arena *a, const struct plan_service *s)
{
	bool import = s->obj->kind == KIND_SERVICE_IMPORT;
	struct id id = id_with(id_of(import ? STR("serviceimport") : STR("service"), s->obj),
		number(a, "", s->port->port));

	return id_hash(&id);
}

static struct build_endpoint endpoint(struct arena *a, const struct plan_endpoint *e)
{
	char text[IP_ADDR_STRLEN];
	struct id id = {{STR("endpoint"), e->cluster, str_of(ip_format(&e->addr, text)),
				number(a, "", e->port)},
		4};

	return (struct build_endpoint){
		.id = id_hash(&id),
		.addr = e->addr,
		.port = e->port,
		.weight = e->weight,
		.draining = e->draining,
		/* For people; a longer one would keep the whole set from going by message. */
		.name = str_first(e->name, MESSAGE_ENDPOINT_NAME_MAX),
		.cluster = e->cluster,
	};
}

static const struct build_service_cluster *clusters(struct arena *a, const struct plan_service *s)
{
	struct build_service_cluster *out =
		arena_array(a, struct build_service_cluster, s->clusters_count);

	for (uint32_t i = 0; i < s->clusters_count; i++)
		out[i] = (struct build_service_cluster){
			.name = s->clusters[i].name,
			.priority = s->clusters[i].priority,
			.remote = s->clusters[i].remote,
			.withheld = s->clusters[i].withheld,
			.unready = s->clusters[i].unready,
		};
	return out;
}

static uint64_t policy_id(const struct plan_policy *p)
{
	struct id id = id_of(STR("trafficpolicy"), p->obj);

	return id_hash(&id);
}

static void probe(const struct traffic_settings *s, struct build_policy *ret)
{
	const struct traffic_active *a = s->active;

	ret->probe = a->type == TRAFFIC_PROBE_HTTP ? BUILD_PROBE_HTTP : BUILD_PROBE_TCP;
	ret->interval_ms = a->interval_ms;
	ret->timeout_ms = a->timeout_ms;
	ret->fall = a->fall;
	ret->rise = a->rise;
	if (a->http == NULL)
		return;
	ret->path = a->http->path;
	ret->host = a->http->hostname;
	ret->method = a->http->method;
	ret->status_count = (uint8_t)s->ranges_count;
	for (uint32_t i = 0; i < s->ranges_count; i++)
		ret->status[i] = (struct build_status_range){s->ranges[i].first, s->ranges[i].last};
}

static struct build_policy policy(struct arena *a, const struct plan_policy *p)
{
	const struct traffic_settings *s = &p->obj->traffic_policy->settings;
	struct build_policy out;

	build_policy_default(&out);
	out.id = policy_id(p);
	out.name = str_of(arena_printf(a, "%.*s/%.*s/%.*s", STR_FMT(p->obj->cluster),
		STR_FMT(p->obj->ns), STR_FMT(p->obj->name)));
	if (s->active != NULL)
		probe(s, &out);
	out.consecutive_5xx = s->consecutive_5xx;
	out.consecutive_local_failures = s->consecutive_local_failures;
	out.base_ejection_ms = s->base_ejection_ms;
	out.max_ejection_ms = s->max_ejection_ms;
	out.max_ejection_percent = (uint8_t)s->max_ejection_percent;
	out.panic_percent = (uint8_t)s->panic_percent;
	out.overprovisioning_percent = s->overprovisioning;
	out.slow_start_ms = s->slow_start_ms;
	out.ramp_points_per_s = s->ramp_points;
	return out;
}

static void compile_policies(const struct plan *p, struct arena *a, struct build_config *ret)
{
	struct build_policy *out = arena_array(a, struct build_policy, p->policies_count);

	for (uint32_t i = 0; i < p->policies_count; i++)
		if (p->policies[i].holds)
			out[ret->policy_count++] = policy(a, &p->policies[i]);
	ret->policies = out;
}

static void compile_services(const struct plan *p, struct arena *a, struct build_config *ret)
{
	struct build_service *out = arena_array(a, struct build_service, p->services_count);

	for (uint32_t i = 0; i < p->services_count; i++) {
		const struct plan_service *s = p->services[i];
		struct build_endpoint *e =
			arena_array(a, struct build_endpoint, s->endpoints_count);

		for (uint32_t k = 0; k < s->endpoints_count; k++)
			e[k] = endpoint(a, &s->endpoints[k]);
		out[i] = (struct build_service){
			.id = service_id(a, s),
			.name = str_of(
				arena_printf(a, "%.*s/%.*s/%.*s%s:%.*s", STR_FMT(s->obj->cluster),
					STR_FMT(s->obj->ns), STR_FMT(s->obj->name),
					s->obj->kind == KIND_SERVICE_IMPORT ? CLUSTERSET : "",
					STR_FMT(s->port->name.len ? s->port->name
								  : number(a, "", s->port->port)))),
			.endpoints = e,
			.endpoint_count = s->endpoints_count,
			.clusters = clusters(a, s),
			.cluster_count = s->clusters_count,
			.policy_id = s->policy != NULL ? policy_id(s->policy) : 0,
		};
	}
	ret->services = out;
	ret->service_count = p->services_count;
}

static bool same_target(const struct backend_ref *a, const struct backend_ref *b)
{
	return a->port == b->port && str_eq(a->group, b->group) && str_eq(a->kind, b->kind) &&
		str_eq(a->ns, b->ns) && str_eq(a->name, b->name);
}

/* A rule may point to one backend twice; the second one is told apart by its turn. */
static uint32_t turn_of(const struct plan_rule *rule, uint32_t k)
{
	uint32_t turn = 0;

	for (uint32_t i = 0; i < k; i++)
		turn += same_target(rule->backends[i].ref, rule->backends[k].ref);
	return turn;
}

static struct build_backend backend(struct arena *a, struct id rule_id, const struct object *route,
	const struct plan_rule *rule, uint32_t k)
{
	const struct plan_backend *b = &rule->backends[k];
	const struct backend_ref *ref = b->ref;
	struct str ns = ref->ns.len ? ref->ns : route->ns;
	struct str target = str_of(arena_printf(a, "%.*s/%.*s/%.*s/%.*s:%u", STR_FMT(ref->group),
		STR_FMT(ref->kind), STR_FMT(ns), STR_FMT(ref->name), ref->port));
	struct id id = id_with(id_with(rule_id, target), number(a, "", turn_of(rule, k)));

	return (struct build_backend){
		.id = id_hash(&id),
		.name = str_of(arena_printf(a, "%.*s/%.*s%s:%u", STR_FMT(ns), STR_FMT(ref->name),
			str_eq(ref->kind, kind_info[KIND_SERVICE_IMPORT].name) ? CLUSTERSET : "",
			ref->port)),
		.weight = b->weight,
		.status = backend_status[b->status],
		.service_id = b->service != NULL ? service_id(a, b->service) : 0,
	};
}

static const struct build_predicate *predicates(struct arena *a, const struct value_match *m,
	uint32_t count)
{
	struct build_predicate *out = arena_array(a, struct build_predicate, count);

	for (uint32_t i = 0; i < count; i++)
		out[i] = (struct build_predicate){BUILD_MATCH_EXACT, m[i].name, m[i].value};
	return out;
}

static const struct build_match *matches(struct arena *a, const struct http_rule *spec)
{
	struct build_match *out = arena_array(a, struct build_match, spec->matches_count);

	for (uint32_t i = 0; i < spec->matches_count; i++) {
		const struct http_match *m = &spec->matches[i];

		out[i] = (struct build_match){
			.path_type = m->path_type == MATCH_EXACT ? BUILD_MATCH_EXACT
								 : BUILD_MATCH_PREFIX,
			.path = m->path,
			.method = m->method,
			.headers = predicates(a, m->headers, m->headers_count),
			.queries = predicates(a, m->queries, m->queries_count),
			.header_count = m->headers_count,
			.query_count = m->queries_count,
		};
	}
	return out;
}

static bool fails_over(const struct plan_route *route)
{
	return route->policy != NULL &&
		route->policy->obj->traffic_policy->settings.failover ==
		FAILOVER_BETWEEN_BACKEND_REFS;
}

static struct build_rule build_rule(struct arena *a, const struct plan_route *plan_route,
	const struct plan_rule *rule)
{
	const struct object *route = plan_route->obj;
	const struct http_rule *spec = rule->spec;
	struct str key = spec->name.len ? spec->name : number(a, "#", rule->index);
	struct id id = id_with(id_of(STR("rule"), route), key);
	struct id of_backends = id_with(id_of(STR("backend"), route), key);
	struct build_backend *b = arena_array(a, struct build_backend, spec->backends_count);

	for (uint32_t k = 0; k < spec->backends_count; k++)
		b[k] = backend(a, of_backends, route, rule, k);
	return (struct build_rule){
		.id = id_hash(&id),
		.name = str_of(arena_printf(a, "%.*s/%.*s rule %.*s", STR_FMT(route->ns),
			STR_FMT(route->name),
			STR_FMT(spec->name.len ? spec->name : number(a, "", rule->index)))),
		.matches = matches(a, spec),
		.match_count = spec->matches_count,
		.backends = b,
		.backend_count = spec->backends_count,
		.request_timeout_ms = spec->request_timeout_ms,
		.backend_timeout_ms = spec->backend_timeout_ms,
		.failover = fails_over(plan_route),
		.policy_id = plan_route->policy != NULL ? policy_id(plan_route->policy) : 0,
	};
}

static struct build_route build_route(struct arena *a, const struct plan_route *route)
{
	const struct object *o = route->obj;
	uint32_t count = o->http_route->rules_count;
	struct build_rule *rules = arena_array(a, struct build_rule, count);
	struct id id = id_of(STR("route"), o);
	struct build_route out = {
		.id = id_hash(&id),
		.name = str_of(arena_printf(a, "%.*s/%.*s", STR_FMT(o->ns), STR_FMT(o->name))),
		.created = o->created,
		.rules = rules,
	};

	for (uint32_t i = 0; i < count; i++)
		if (route->rules[i].dropped == NULL)
			rules[out.rule_count++] = build_rule(a, route, &route->rules[i]);
	return out;
}

static void compile_routes(const struct plan *p, struct arena *a, struct build_config *ret)
{
	struct build_route *out = arena_array(a, struct build_route, p->serving_routes);

	for (uint32_t i = 0; i < p->routes_count; i++)
		if (p->routes[i].serves)
			out[p->routes[i].number] = build_route(a, &p->routes[i]);
	ret->routes = out;
	ret->route_count = p->serving_routes;
}

/* Of a Gateway "namespace/gateway/listener", of a ListenerSet the same behind its Gateway. */
static struct str listener_name(struct arena *a, const struct plan_gateway *gw,
	const struct plan_listener *l)
{
	const struct object *o = gw->obj, *set = l->set != NULL ? l->set->obj : NULL;

	if (set == NULL)
		return str_of(arena_printf(a, "%.*s/%.*s/%.*s", STR_FMT(o->ns), STR_FMT(o->name),
			STR_FMT(l->spec->name)));
	return str_of(arena_printf(a, "%.*s/%.*s/%.*s/%.*s/%.*s", STR_FMT(o->ns), STR_FMT(o->name),
		STR_FMT(set->ns), STR_FMT(set->name), STR_FMT(l->spec->name)));
}

static struct build_listener build_listener(struct arena *a, const struct plan_gateway *gw,
	const struct plan_listener *l)
{
	const struct object *o = l->set != NULL ? l->set->obj : gw->obj;
	struct build_attachment *at = arena_array(a, struct build_attachment, l->attachments_count);
	struct str type = l->set != NULL ? STR("setlistener") : STR("listener");
	struct id id = id_with(id_of(type, o), l->spec->name);

	for (uint32_t i = 0; i < l->attachments_count; i++)
		at[i] = (struct build_attachment){l->attachments[i].route->number,
			l->attachments[i].hostname, l->attachments[i].original};
	return (struct build_listener){
		.id = id_hash(&id),
		.name = listener_name(a, gw, l),
		.protocol = BUILD_HTTP,
		.addrs = gw->addresses,
		.addr_count = gw->addresses_count,
		.port = l->spec->port,
		.hostname = l->spec->hostname,
		.attachments = at,
		.attachment_count = l->attachments_count,
	};
}

static void compile_listeners(const struct plan *p, struct arena *a, struct build_config *ret)
{
	struct build_listener *out;
	uint32_t count = 0;

	for (uint32_t i = 0; i < p->gateways_count; i++)
		count += p->gateways[i].listeners_count;
	out = arena_array(a, struct build_listener, count);
	for (uint32_t i = 0; i < p->gateways_count; i++) {
		const struct plan_gateway *gw = &p->gateways[i];

		for (uint32_t k = 0; gw->serves && k < gw->listeners_count; k++)
			if (gw->listeners[k].accepted)
				out[ret->listener_count++] =
					build_listener(a, gw, &gw->listeners[k]);
	}
	ret->listeners = out;
}

void compile_plan(const struct plan *plan, uint64_t generation, struct arena *arena,
	struct build_config *ret)
{
	const struct control_config *c = plan->config;

	*ret = (struct build_config){
		.generation = generation,
		.settings =
			{
				.trusted = c->trusted,
				.trusted_count = c->trusted_count,
				.header_timeout_ms = c->header_timeout_ms,
				.idle_timeout_ms = c->idle_timeout_ms,
				.connect_timeout_ms = c->connect_timeout_ms,
				.response_timeout_ms = c->response_timeout_ms,
				.exchange_bytes_max = c->exchange_bytes_max,
			},
	};
	compile_listeners(plan, arena, ret);
	compile_routes(plan, arena, ret);
	compile_services(plan, arena, ret);
	compile_policies(plan, arena, ret);
}
