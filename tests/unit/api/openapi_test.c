// SPDX-License-Identifier: Apache-2.0
/*
 * openapi_test.c: the table of routes and configs/api/openapi.json say the same, and answers are
 * as their schemas say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/api/openapi.h"
#include "control/api/routes.h"
#include "tests/unit/api/world.h"

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

	json_array_foreach (json_object_get(op, "parameters"), i, p)
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

/* Header fields are the server's, not the route's. */
static size_t count_params(const json_t *op)
{
	size_t i, n = 0;
	json_t *p;

	json_array_foreach (json_object_get(op, "parameters"), i, p)
		n += strcmp(json_string_value(json_object_get(p, "in")), "header") != 0;
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
		assert_int_equal(check_params(route, op), count_params(op));
		for (const char *const *type = route->produces; *type != NULL; type++) {
			const json_t *ok = json_object_get(json_object_get(op, "responses"), "200");

			assert_non_null(json_object_get(json_object_get(ok, "content"), *type));
		}
	}
	json_object_foreach (json_object_get(doc, "paths"), path, item)
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

	json_array_foreach (type, i, t)
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

	json_array_foreach (json_object_get(schema, "required"), i, name)
		if (json_object_get(v, json_string_value(name)) == NULL)
			fail_msg("%s lacks %s", where, json_string_value(name));
	json_object_foreach ((json_t *)v, key, m) {
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
						 "schemas"),
			strrchr(ref, '/') + 1);
		assert_non_null(schema);
		validate(doc, schema, v, where);
		return;
	}
	validate_type(schema, v, where);
	json_array_foreach (values, i, item)
		among |= json_equal(item, v);
	if (!among)
		fail_msg("%s is none of the values described", where);
	validate_members(doc, schema, v, where);
	if (json_object_get(schema, "items") != NULL)
		json_array_foreach ((json_t *)v, i, item)
			validate(doc, json_object_get(schema, "items"), item, where);
}

static void answers_are_as_described(void **state)
{
	static const char *const targets[] = {"/livez", "/healthz", "/readyz", "/api/v1/version",
		"/api/v1/config", "/api/v1/routes", "/api/v1/backends", "/api/v1/status",
		"/api/v1/dataplanes", "/api/v1/endpoints"};
	const struct str text = openapi_document();
	json_t *doc = json_loadb(text.p, text.len, 0, NULL);

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		json_t *j = get_json(targets[i]), *s = json_object_get(doc, "paths");
		static const char *const down[] = {"get", "responses", "200", "content",
			"application/json", "schema"};

		s = json_object_get(s, targets[i]);
		for (size_t k = 0; k < sizeof(down) / sizeof(down[0]); k++)
			s = json_object_get(s, down[k]);
		assert_non_null(s);
		validate(doc, s, j, targets[i]);
		json_decref(j);
	}
	json_decref(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_route_is_described_and_nothing_else),
		cmocka_unit_test(answers_are_as_described),
	};

	return cmocka_run_group_tests(tests, world_open, world_close);
}
