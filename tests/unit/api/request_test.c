// SPDX-License-Identifier: Apache-2.0
/*
 * request_test.c: every route through the dispatcher, without a server: what is refused and how,
 * validators, the views over a real plan, and metrics.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/api/world.h"

/* --- refusals --- */

static const struct refused {
	const char *name, *method, *target, *accept, *type, *body;
	unsigned status;
	const char *allow;
} refusals[] = {
	{"an unknown path is 404", "GET", "/api/v1/nothing", "", "", "", 404, NULL},
	{"a path with a slash too many is 404", "GET", "/livez/", "", "", "", 404, NULL},
	{"an empty parameter is 404", "GET", "/api/v1/status//x", "", "", "", 404, NULL},
	{"a method that is not known there is 405 and says which are", "POST", "/livez", "", "", "",
		405, "GET, HEAD"},
	{"every method of the path is named", "PUT", "/api/v1/trace", "", "", "", 405,
		"GET, HEAD, POST, DELETE"},
	{"a method in lower case is another method", "get", "/livez", "", "", "", 405, "GET, HEAD"},
	{"a type that nobody makes is 406", "GET", "/livez", "text/html", "", "", 406, NULL},
	{"an unknown query parameter is 400", "GET", "/api/v1/status?kin=Gateway", "", "", "", 400,
		NULL},
	{"a broken escape is 400", "GET", "/api/v1/status?kind=%g", "", "", "", 400, NULL},
	{"a number that is none is 400", "GET", "/api/v1/conns?limit=ten", "", "", "", 400, NULL},
	{"an object that is not there is 404", "GET", "/api/v1/status/gateway/demo/none", "", "",
		"", 404, NULL},
	{"no dataplane to ask is 503", "GET", "/api/v1/conns", "", "", "", 503, NULL},
	{"a dataplane that is not there is 503", "GET", "/api/v1/conns?dataplane=dp9", "", "", "",
		503, NULL},
	{"a body of no type is 415", "POST", "/api/v1/trace", "", "", "{}", 415, NULL},
	{"a body that is no JSON is 400", "POST", "/api/v1/trace", "", "application/json", "{", 400,
		NULL},
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
	{"a good trace without dataplanes is 503", "POST", "/api/v1/trace", "", "application/json",
		"{\"client\":\"[2001:db8::1]:80\",\"seconds\":3}", 503, NULL},
};

static void refusal_holds(void **state)
{
	const struct refused *f = *state;
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
	struct api_input in = input_get(target);
	struct api_request r;

	memset(target, 'a', sizeof(target) - 1);
	target[0] = '/';
	in.target = str_of(target);
	ask(&r, &in);
	assert_int_equal(r.reply.status, 414);
	api_request_fini(&r);

	in = input_get("/api/v1/trace");
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
		const struct api_input in = input_get(targets[i]);
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
	struct api_input in = input_get("/api/v1/config");
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
	struct api_input in = input_get("/api/v1/config");
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
	assert_string_equal(json_string_value(at(j, "routes.0.rules.0.matches.0.path.value")), "/");
	assert_true(real_at(j, "services.0.endpoints.0.percent") +
			real_at(j, "services.0.endpoints.1.percent") ==
		100.0);
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

	json_array_foreach (json_object_get(j, "services"), i, svc)
		json_array_foreach (json_object_get(svc, "endpoints"), k, e) {
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

	assert_string_equal(json_string_value(at(j, "items.0.listeners.0.listener")),
		"demo/gw/http");
	assert_string_equal(json_string_value(at(j, "items.0.listeners.0.hostname")),
		"app.demo.lab");
	assert_true(real_at(j, "items.0.rules.0.clusters.east") == 100.0);
	json_decref(j);
}

static void status_filters_by_kind_in_any_spelling(void **state)
{
	static const char *const targets[] = {"/api/v1/status?kind=HTTPRoute",
		"/api/v1/status/httproute",
		"/api/v1/status/HTTPRoutes?namespace=demo&cluster=east"};

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
	struct api_input in = input_get("/metrics");
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
	};
	struct CMUnitTest tests[COUNT(plain) + COUNT(refusals)];
	size_t n = COUNT(plain);

	memcpy(tests, plain, sizeof(plain));
	for (size_t i = 0; i < COUNT(refusals); i++)
		tests[n++] = (struct CMUnitTest){.name = refusals[i].name,
			.test_func = refusal_holds,
			.initial_state = (void *)&refusals[i]};
	return _cmocka_run_group_tests("request", tests, n, world_open, world_close);
}
