// SPDX-License-Identifier: Apache-2.0
/*
 * request_test.c: every route through the dispatcher, without a server: what is refused and how,
 * validators, the views over a real plan, and that the table and its document agree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/api/openapi.h"
#include "control/api/request.h"
#include "control/api/routes.h"
#include "control/compile/compile.h"
#include "tests/unit/api/manifests.h"

struct world {
	char dir[40];
	struct loop *loop;
	struct store *store;
	struct control_config config;
	struct plan *plan;
	struct arena arena;
	struct build_config build;
	struct publish *publish;
	struct api_source source;
} world;

static void world_plan(struct world *w)
{
	struct view *v = store_view(w->store);
	const struct plan_input in = {.view = v, .config = &w->config, .now_s = 1};

	w->plan = plan_build(&in);
	view_put(v);
	arena_init(&w->arena, 0);
	compile_plan(w->plan, 1, &w->arena, &w->build);
}

static int world_open(void **state)
{
	struct world *w = &world;
	char path[64], cmd[600];
	struct err err;

	*w = (struct world){.dir = "/tmp/sluice-api-XXXXXX"};
	assert_non_null(mkdtemp(w->dir));
	snprintf(path, sizeof(path), "%s/control.yaml", w->dir);
	snprintf(cmd, sizeof(cmd),
		"printf '%%s\\n' 'clusters: [{name: east, directory: east}]' "
		"'pools: [{name: p, cidrs: [203.0.113.0/24]}]' "
		"'trustedNetworks: [10.0.0.0/8]' 'stateDirectory: state' >%s && mkdir %s/state",
		path, w->dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(loop_new(&w->loop, NULL), 0);
	if (control_config_load(path, &w->config, &err) < 0)
		fail_msg("%s", err.msg);
	w->store = store_new();
	store_put_text(w->store, STR("east"), "class.yaml", STR(CLASS_YAML));
	store_put_text(w->store, STR("east"), "gw.yaml", STR(GATEWAY_YAML));
	store_put_text(w->store, STR("east"), "route.yaml", STR(ROUTE_YAML(80, 20)));
	store_put_text(w->store, STR("east"), "app.yaml", STR(SERVICES_YAML));
	store_put_text(w->store, STR("east"), "bad.yaml", STR("kind: [\n"));
	world_plan(w);
	const struct publish_config pc = {
		.name = STR("test"), .state_dir = w->config.state_directory};
	if (publish_new(&pc, &w->publish, &err) < 0)
		fail_msg("%s", err.msg);
	w->source = (struct api_source){.config = &w->config, .config_path = path,
		.plan = w->plan, .compiled = &w->build, .publish = w->publish,
		.compile_error = "", .started_s = 1};
	return 0;
}

static int world_close(void **state)
{
	char cmd[100];

	publish_free(world.publish);
	plan_put(world.plan);
	arena_fini(&world.arena);
	store_free(world.store);
	control_config_fini(&world.config);
	loop_free(world.loop);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", world.dir);
	return system(cmd);
}

/* --- one request --- */

static void ask(struct api_request *r, const struct api_input *in)
{
	api_request_init(r, &world.source, world.loop);
	api_dispatch(r, in);
	assert_int_not_equal(r->reply.status, 0);
}

static struct api_input get(const char *target)
{
	return (struct api_input){.method = STR("GET"), .target = str_of(target)};
}

static json_t *body_of(const struct api_request *r)
{
	json_error_t je;
	json_t *j = json_loadb(r->reply.body, r->reply.body_len, 0, &je);

	if (j == NULL)
		fail_msg("no JSON: %s", je.text);
	return j;
}

static json_t *get_json(const char *target)
{
	const struct api_input in = get(target);
	struct api_request r;
	json_t *j;

	ask(&r, &in);
	if (r.reply.status != 200)
		fail_msg("%s: %u %.*s", target, r.reply.status, (int)r.reply.body_len,
			r.reply.body);
	j = body_of(&r);
	api_request_fini(&r);
	return j;
}

/* "routes.0.rules.0.name": members and indexes from the root. */
static const json_t *at(const json_t *j, const char *path)
{
	struct str rest = str_of(path);

	while (rest.p != NULL) {
		struct str part = str_cut(&rest, '.');
		char key[100];
		uint64_t i;

		snprintf(key, sizeof(key), "%.*s", STR_FMT(part));
		if (json_is_array(j) && str_to_u64(part, &i))
			j = json_array_get(j, i);
		else
			j = json_object_get(j, key);
	}
	if (j == NULL)
		fail_msg("nothing at %s", path);
	return j;
}

/* --- refusals --- */

static const struct refusal {
	const char *name, *method, *target, *accept, *type, *body;
	unsigned status;
	const char *allow;
} refusals[] = {
	{"an unknown path is 404", "GET", "/api/v1/nothing", "", "", "", 404, NULL},
	{"a path with a slash too many is 404", "GET", "/livez/", "", "", "", 404, NULL},
	{"an empty parameter is 404", "GET", "/api/v1/status//x", "", "", "", 404, NULL},
	{"a method that is not known there is 405 and says which are", "POST", "/livez", "", "",
		"", 405, "GET, HEAD"},
	{"every method of the path is named", "PUT", "/api/v1/trace", "", "", "", 405,
		"GET, HEAD, POST, DELETE"},
	{"a method in lower case is another method", "get", "/livez", "", "", "", 405,
		"GET, HEAD"},
	{"a type that nobody makes is 406", "GET", "/livez", "text/html", "", "", 406, NULL},
	{"an unknown query parameter is 400", "GET", "/api/v1/status?kin=Gateway", "", "", "",
		400, NULL},
	{"a broken escape is 400", "GET", "/api/v1/status?kind=%g", "", "", "", 400, NULL},
	{"a number that is none is 400", "GET", "/api/v1/conns?limit=ten", "", "", "", 400, NULL},
	{"an object that is not there is 404", "GET", "/api/v1/status/gateway/demo/none", "", "",
		"", 404, NULL},
	{"no dataplane to ask is 503", "GET", "/api/v1/conns", "", "", "", 503, NULL},
	{"a dataplane that is not there is 503", "GET", "/api/v1/conns?dataplane=dp9", "", "", "",
		503, NULL},
	{"a body of no type is 415", "POST", "/api/v1/trace", "", "", "{}", 415, NULL},
	{"a body that is no JSON is 400", "POST", "/api/v1/trace", "", "application/json", "{",
		400, NULL},
	{"a body of another type is 400", "POST", "/api/v1/trace", "", "application/json", "[]",
		400, NULL},
	{"a member twice is 400", "POST", "/api/v1/trace", "", "application/json",
		"{\"seconds\":1,\"seconds\":2}", 400, NULL},
	{"an unknown member is 422", "POST", "/api/v1/trace", "", "application/json; charset=x",
		"{\"host\":\"a\"}", 422, NULL},
	{"a client that is no address is 422", "POST", "/api/v1/trace", "", "application/json",
		"{\"client\":\"somewhere\"}", 422, NULL},
	{"a port out of range is 422", "POST", "/api/v1/trace", "", "application/json",
		"{\"client\":\"10.0.0.1:70000\"}", 422, NULL},
	{"a good trace without dataplanes is 503", "POST", "/api/v1/trace", "",
		"application/json", "{\"client\":\"[2001:db8::1]:80\",\"seconds\":3}", 503, NULL},
};

static void refusal_holds(void **state)
{
	const struct refusal *f = *state;
	const struct api_input in = {str_of(f->method), str_of(f->target), str_of(f->accept),
		STR(""), str_of(f->type), str_of(f->body)};
	struct api_request r;
	json_t *j;

	ask(&r, &in);
	assert_int_equal(r.reply.status, f->status);
	assert_string_equal(r.reply.content_type, "application/problem+json");
	if (f->allow != NULL)
		assert_string_equal(r.reply.allow, f->allow);
	else
		assert_null(r.reply.allow);
	j = body_of(&r);
	assert_int_equal(json_integer_value(json_object_get(j, "status")), f->status);
	json_decref(j);
	api_request_fini(&r);
}

static void a_target_or_body_too_long_is_refused(void **state)
{
	static char target[API_TARGET_BYTES_MAX + 2];
	struct api_input in = get(target);
	struct api_request r;

	memset(target, 'a', sizeof(target) - 1);
	target[0] = '/';
	in.target = str_of(target);
	ask(&r, &in);
	assert_int_equal(r.reply.status, 414);
	api_request_fini(&r);

	in = get("/api/v1/trace");
	in.method = STR("POST");
	in.body = (struct str){NULL, API_BODY_BYTES_MAX + 1};
	ask(&r, &in);
	assert_int_equal(r.reply.status, 413);
	api_request_fini(&r);
}

static void before_the_first_plan_there_is_503(void **state)
{
	static const char *const targets[] = {"/api/v1/config", "/api/v1/routes", "/api/v1/status",
		"/api/v1/status/gateway/demo/gw", "/api/v1/endpoints", "/readyz"};

	world.source.compiled = NULL;
	world.source.plan = NULL;
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		const struct api_input in = get(targets[i]);
		struct api_request r;

		ask(&r, &in);
		assert_int_equal(r.reply.status, 503);
		api_request_fini(&r);
	}
	json_decref(get_json("/livez"));
	json_decref(get_json("/healthz"));
	json_decref(get_json("/api/v1/version"));
	world.source.compiled = &world.build;
	world.source.plan = world.plan;
}

/* --- validators --- */

static void a_client_that_has_it_gets_304(void **state)
{
	struct api_input in = get("/api/v1/config");
	struct api_request r, again;

	ask(&r, &in);
	assert_int_equal(r.reply.status, 200);
	in.if_none_match = str_of(r.reply.etag);
	ask(&again, &in);
	assert_int_equal(again.reply.status, 304);
	assert_null(again.reply.body);
	assert_string_equal(again.reply.etag, r.reply.etag);
	api_request_fini(&again);
	in.if_none_match = STR("\"other\"");
	ask(&again, &in);
	assert_int_equal(again.reply.status, 200);
	api_request_fini(&again);
	api_request_fini(&r);
}

static void head_is_get_without_looking_at_the_body(void **state)
{
	struct api_input in = get("/api/v1/config");
	struct api_request a, b;

	ask(&a, &in);
	in.method = STR("HEAD");
	ask(&b, &in);
	assert_int_equal(b.reply.status, 200);
	assert_int_equal(b.reply.body_len, a.reply.body_len);
	assert_string_equal(b.reply.etag, a.reply.etag);
	api_request_fini(&a);
	api_request_fini(&b);
}

/* --- views --- */

static double real_at(const json_t *j, const char *path)
{
	return json_number_value(at(j, path));
}

static void config_shows_shares(void **state)
{
	json_t *j = get_json("/api/v1/config");

	assert_string_equal(json_string_value(at(j, "listeners.0.name")), "demo/gw/http");
	assert_string_equal(json_string_value(at(j, "listeners.0.addresses.0")), "203.0.113.10");
	assert_true(real_at(j, "routes.0.rules.0.backends.0.percent") == 80.0);
	assert_true(real_at(j, "routes.0.rules.0.backends.1.percent") == 20.0);
	assert_string_equal(
		json_string_value(at(j, "routes.0.rules.0.matches.0.path.value")), "/");
	assert_true(real_at(j, "services.0.endpoints.0.percent") +
			real_at(j, "services.0.endpoints.1.percent") == 100.0);
	assert_string_equal(json_string_value(at(j, "control.clusters.0.name")), "east");
	assert_string_equal(json_string_value(at(j, "control.trustedNetworks.0")), "10.0.0.0/8");
	json_decref(j);
}

static void a_draining_endpoint_has_no_share_beside_a_ready_one(void **state)
{
	json_t *j = get_json("/api/v1/config");
	size_t i, k;
	json_t *svc, *e;
	int seen = 0;

	json_array_foreach(json_object_get(j, "services"), i, svc)
		json_array_foreach(json_object_get(svc, "endpoints"), k, e) {
			double percent = json_number_value(json_object_get(e, "percent"));
			const char *ip = json_string_value(json_object_get(e, "address"));

			if (strcmp(ip, "10.203.0.22") == 0)
				assert_true(++seen && percent == 0.0);
			if (strcmp(ip, "10.203.0.21") == 0)
				assert_true(++seen && percent == 100.0);
		}
	assert_int_equal(seen, 2);
	json_decref(j);
}

static void routes_show_where_traffic_ends(void **state)
{
	json_t *j = get_json("/api/v1/routes");

	assert_string_equal(
		json_string_value(at(j, "items.0.listeners.0.listener")), "demo/gw/http");
	assert_string_equal(
		json_string_value(at(j, "items.0.listeners.0.hostname")), "app.demo.lab");
	assert_true(real_at(j, "items.0.rules.0.clusters.east") == 100.0);
	json_decref(j);
}

static void status_filters_by_kind_in_any_spelling(void **state)
{
	static const char *const targets[] = {"/api/v1/status?kind=HTTPRoute",
		"/api/v1/status/httproute", "/api/v1/status/HTTPRoutes?namespace=demo&cluster=east"};

	for (size_t i = 0; i < 3; i++) {
		json_t *j = get_json(targets[i]);

		assert_int_equal(json_array_size(json_object_get(j, "items")), 1);
		assert_string_equal(json_string_value(at(j, "items.0.kind")), "HTTPRoute");
		assert_string_equal(json_string_value(at(j, "items.0.metadata.name")), "app");
		json_decref(j);
	}
}

static void status_tells_one_object_and_the_problems(void **state)
{
	json_t *j = get_json("/api/v1/status/gateways/demo/gw");

	assert_string_equal(json_string_value(at(j, "status.conditions.0.type")), "Accepted");
	json_decref(j);
	j = get_json("/api/v1/status/gatewayclasses/sluice");
	assert_string_equal(json_string_value(at(j, "kind")), "GatewayClass");
	json_decref(j);
	j = get_json("/api/v1/status?cluster=nowhere");
	assert_int_equal(json_array_size(json_object_get(j, "items")), 0);
	assert_non_null(strstr(json_string_value(at(j, "problems.0.text")), "bad.yaml:"));
	json_decref(j);
}

static void endpoints_are_shown_without_any_dataplane(void **state)
{
	json_t *j = get_json("/api/v1/endpoints");

	assert_int_equal(json_array_size(json_object_get(j, "items")), 2);
	json_decref(j);
}

static bool contains(const struct api_request *r, const char *text)
{
	return memmem(r->reply.body, r->reply.body_len, text, strlen(text)) != NULL;
}

static void metrics_are_served_in_both_formats(void **state)
{
	struct api_input in = get("/metrics");
	struct api_request r;

	ask(&r, &in);
	assert_int_equal(r.reply.status, 200);
	assert_true(strncmp(r.reply.content_type, "text/plain; version=0.0.4", 25) == 0);
	assert_true(contains(&r, "sluice_backend_share_ratio{rule=\"demo/app"));
	assert_true(contains(&r, "\nsluice_problems{severity=\"error\"} 1\n"));
	assert_true(contains(&r, "\nprocess_resident_memory_bytes "));
	assert_true(r.reply.vary);
	api_request_fini(&r);
	in.accept = STR("application/openmetrics-text; version=1.0.0");
	ask(&r, &in);
	assert_true(strncmp(r.reply.content_type, "application/openmetrics-text", 28) == 0);
	assert_memory_equal(r.reply.body + r.reply.body_len - 6, "# EOF\n", 6);
	api_request_fini(&r);
}

/* --- table and document --- */

static const json_t *operation_of(const json_t *doc, const struct api_route *route)
{
	const json_t *item = json_object_get(json_object_get(doc, "paths"), route->path);
	char method[16];
	size_t i;

	for (i = 0; route->method[i] != '\0'; i++)
		method[i] = ascii_lower(route->method[i]);
	method[i] = '\0';
	return json_object_get(item, method);
}

static bool has_param(const json_t *op, struct str name, const char *in)
{
	json_t *p;
	size_t i;

	json_array_foreach(json_object_get(op, "parameters"), i, p)
		if (str_eq(str_of(json_string_value(json_object_get(p, "name"))), name) &&
			strcmp(json_string_value(json_object_get(p, "in")), in) == 0)
			return true;
	return false;
}

/* Number of parameters that the route has, each of them described. */
static size_t check_params(const struct api_route *route, const json_t *op)
{
	struct str query = str_of(route->query), path = str_of(route->path);
	size_t n = 0;

	while (query.len > 0) {
		struct str name = str_cut(&query, ' ');

		if (!has_param(op, name, "query"))
			fail_msg("%s: ?%.*s is not described", route->path, STR_FMT(name));
		n++;
	}
	while (path.p != NULL) {
		struct str seg = str_cut(&path, '/');

		if (!str_starts(seg, STR("{")))
			continue;
		seg = str_first(str_from(seg, 1), seg.len - 2);
		if (!has_param(op, seg, "path"))
			fail_msg("%s: {%.*s} is not described", route->path, STR_FMT(seg));
		n++;
	}
	return n;
}

static void every_route_is_described_and_nothing_else(void **state)
{
	const struct str text = openapi_document();
	json_t *doc = json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, NULL);
	json_t *item;
	const char *path;
	size_t operations = 0;

	assert_non_null(doc);
	assert_string_equal(json_string_value(json_object_get(doc, "openapi")), "3.1.0");
	for (unsigned i = 0; i < api_route_count; i++) {
		const struct api_route *route = &api_routes[i];
		const json_t *op = operation_of(doc, route);

		if (op == NULL)
			fail_msg("%s %s is not described", route->method, route->path);
		assert_int_equal(check_params(route, op),
			json_array_size(json_object_get(op, "parameters")));
		for (const char *const *type = route->produces; *type != NULL; type++) {
			const json_t *ok = json_object_get(json_object_get(op, "responses"), "200");

			assert_non_null(json_object_get(json_object_get(ok, "content"), *type));
		}
	}
	json_object_foreach(json_object_get(doc, "paths"), path, item)
		operations += json_object_size(item);
	assert_int_equal(operations, api_route_count);
	json_decref(doc);
}

/*
 * As much of JSON Schema as the document uses, so that answers are held to what is said of them.
 */
static void validate(const json_t *doc, const json_t *schema, const json_t *v, const char *where);

static bool has_type(const json_t *v, const char *type)
{
	return (strcmp(type, "object") == 0 && json_is_object(v)) ||
		(strcmp(type, "array") == 0 && json_is_array(v)) ||
		(strcmp(type, "string") == 0 && json_is_string(v)) ||
		(strcmp(type, "integer") == 0 && json_is_integer(v)) ||
		(strcmp(type, "number") == 0 && json_is_number(v)) ||
		(strcmp(type, "boolean") == 0 && json_is_boolean(v)) ||
		(strcmp(type, "null") == 0 && json_is_null(v));
}

static void validate_type(const json_t *schema, const json_t *v, const char *where)
{
	json_t *type = json_object_get(schema, "type"), *t;
	bool ok = type == NULL || (json_is_string(type) && has_type(v, json_string_value(type)));
	size_t i;

	json_array_foreach(type, i, t)
		ok |= has_type(v, json_string_value(t));
	if (!ok)
		fail_msg("%s is of the wrong type", where);
}

static void validate_members(const json_t *doc, const json_t *schema, const json_t *v,
	const char *where)
{
	json_t *more = json_object_get(schema, "additionalProperties"), *m, *name;
	const char *key;
	size_t i;

	json_array_foreach(json_object_get(schema, "required"), i, name)
		if (json_object_get(v, json_string_value(name)) == NULL)
			fail_msg("%s lacks %s", where, json_string_value(name));
	json_object_foreach((json_t *)v, key, m) {
		const json_t *s = json_object_get(json_object_get(schema, "properties"), key);
		char path[300];

		snprintf(path, sizeof(path), "%.200s.%.80s", where, key);
		if (s == NULL && json_is_false(more))
			fail_msg("%s is not described", path);
		if (s != NULL || json_is_object(more))
			validate(doc, s != NULL ? s : more, m, path);
	}
}

static void validate(const json_t *doc, const json_t *schema, const json_t *v, const char *where)
{
	const char *ref = json_string_value(json_object_get(schema, "$ref"));
	json_t *item, *values = json_object_get(schema, "enum");
	bool among = values == NULL;
	size_t i;

	if (ref != NULL) {
		schema = json_object_get(json_object_get(json_object_get(doc, "components"),
						 "schemas"), strrchr(ref, '/') + 1);
		assert_non_null(schema);
		validate(doc, schema, v, where);
		return;
	}
	validate_type(schema, v, where);
	json_array_foreach(values, i, item)
		among |= json_equal(item, v);
	if (!among)
		fail_msg("%s is none of the values described", where);
	validate_members(doc, schema, v, where);
	if (json_object_get(schema, "items") != NULL)
		json_array_foreach((json_t *)v, i, item)
			validate(doc, json_object_get(schema, "items"), item, where);
}

static void answers_are_as_described(void **state)
{
	static const char *const targets[] = {"/livez", "/healthz", "/readyz", "/api/v1/version",
		"/api/v1/config", "/api/v1/routes", "/api/v1/status", "/api/v1/dataplanes",
		"/api/v1/endpoints"};
	const struct str text = openapi_document();
	json_t *doc = json_loadb(text.p, text.len, 0, NULL);

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		json_t *j = get_json(targets[i]), *s = json_object_get(doc, "paths");
		static const char *const down[] = {
			"get", "responses", "200", "content", "application/json", "schema"};

		s = json_object_get(s, targets[i]);
		for (size_t k = 0; k < sizeof(down) / sizeof(down[0]); k++)
			s = json_object_get(s, down[k]);
		assert_non_null(s);
		validate(doc, s, j, targets[i]);
		json_decref(j);
	}
	json_decref(doc);
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int main(void)
{
	const struct CMUnitTest plain[] = {
		cmocka_unit_test(a_target_or_body_too_long_is_refused),
		cmocka_unit_test(before_the_first_plan_there_is_503),
		cmocka_unit_test(a_client_that_has_it_gets_304),
		cmocka_unit_test(head_is_get_without_looking_at_the_body),
		cmocka_unit_test(config_shows_shares),
		cmocka_unit_test(a_draining_endpoint_has_no_share_beside_a_ready_one),
		cmocka_unit_test(routes_show_where_traffic_ends),
		cmocka_unit_test(status_filters_by_kind_in_any_spelling),
		cmocka_unit_test(status_tells_one_object_and_the_problems),
		cmocka_unit_test(endpoints_are_shown_without_any_dataplane),
		cmocka_unit_test(metrics_are_served_in_both_formats),
		cmocka_unit_test(every_route_is_described_and_nothing_else),
		cmocka_unit_test(answers_are_as_described),
	};
	struct CMUnitTest tests[COUNT(plain) + COUNT(refusals)];
	size_t n = COUNT(plain);

	memcpy(tests, plain, sizeof(plain));
	for (size_t i = 0; i < COUNT(refusals); i++)
		tests[n++] = (struct CMUnitTest){.name = refusals[i].name,
			.test_func = refusal_holds, .initial_state = (void *)&refusals[i]};
	return _cmocka_run_group_tests("request", tests, n, world_open, world_close);
}
