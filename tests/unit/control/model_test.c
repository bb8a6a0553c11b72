// SPDX-License-Identifier: Apache-2.0
/*
 * model_test.c: what an API server would add to a manifest is added here: defaults, namespaces,
 * labels; and patterns hold at their edges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/model/check.h"
#include "control/model/decode.h"
#include "control/model/gateway.h"
#include "control/model/service.h"

/* The first good object of a text, and the problems joined by line ends. */
struct result {
	struct object *o;
	char problems[2048];
};

static void on_object(void *ctx, struct object *o)
{
	struct result *r = ctx;

	object_put(r->o);
	r->o = o;
}

static void on_broken(void *ctx, enum kind kind, struct str ns, struct str name)
{
}

static void on_problem(void *ctx, bool fatal, const char *text)
{
	struct result *r = ctx;
	size_t n = strlen(r->problems);

	snprintf(r->problems + n, sizeof(r->problems) - n, "%s\n", text);
}

static struct result decode(const char *text)
{
	struct result r = {NULL, ""};
	struct decode_handler h = {on_object, on_broken, on_problem, &r};
	struct yaml_file f;
	struct err err;

	if (yaml_parse(str_of(text), "f", &f, &err) < 0)
		fail_msg("%s", err.msg);
	for (const struct yaml_node *doc = f.docs; doc != NULL; doc = doc->next)
		object_decode(&f, doc, STR("c"), &h);
	yaml_file_fini(&f);
	return r;
}

#define ROUTE \
	"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: "

static void a_route_gets_the_defaults_of_its_crd(void **state)
{
	struct result r =
		decode(ROUTE "{parentRefs: [{name: gw}], rules: [{backendRefs: [{name: s, "
			     "port: 80}], matches: [{headers: [{name: a, value: b}]}]}]}\n");
	const struct http_rule *rule = &r.o->http_route->rules[0];

	assert_string_equal(r.problems, "");
	assert_true(str_eq(r.o->ns, STR("default")));
	assert_true(str_eq(r.o->http_route->parents[0].group, GATEWAY_GROUP));
	assert_true(str_eq(r.o->http_route->parents[0].kind, STR("Gateway")));
	assert_null(r.o->http_route->parents[0].ns.p);
	assert_int_equal(rule->matches[0].path_type, MATCH_PREFIX);
	assert_true(str_eq(rule->matches[0].path, STR("/")));
	assert_int_equal(rule->matches[0].headers[0].type, MATCH_EXACT);
	assert_null(rule->matches[0].method.p);
	assert_int_equal(rule->backends[0].weight, 1);
	assert_true(str_eq(rule->backends[0].kind, STR("Service")));
	assert_int_equal(rule->backends[0].group.len, 0);
	object_put(r.o);
}

static void a_route_without_rules_has_one_that_matches_everything(void **state)
{
	static const char *const texts[] = {ROUTE "{}\n", ROUTE "{rules: null}\n",
		ROUTE "{rules: [{}]}\n", ROUTE "{rules: [{matches: []}]}\n"};

	for (size_t i = 0; i < 4; i++) {
		struct result r = decode(texts[i]);

		assert_string_equal(r.problems, "");
		assert_int_equal(r.o->http_route->rules_count, 1);
		assert_int_equal(r.o->http_route->rules[0].matches_count, 1);
		assert_true(str_eq(r.o->http_route->rules[0].matches[0].path, STR("/")));
		assert_int_equal(r.o->http_route->rules[0].backends_count, 0);
		object_put(r.o);
	}
}

static void a_gateway_gets_the_defaults_of_its_crd(void **state)
{
	struct result r = decode("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
				 "metadata: {name: g, namespace: ns}\nspec: {gatewayClassName: c, "
				 "addresses: [{value: "
				 "192.0.2.1}], listeners: [{name: a, port: 443, protocol: HTTPS, "
				 "tls: {certificateRefs: "
				 "[{name: x}]}, allowedRoutes: {kinds: [{kind: HTTPRoute}]}}]}\n");
	const struct listener *l = &r.o->gateway->listeners[0];

	assert_string_equal(r.problems, "");
	assert_int_equal(l->from, ROUTES_FROM_SAME);
	assert_int_equal(l->tls->mode, TLS_TERMINATE);
	assert_true(str_eq(l->kinds[0].group, GATEWAY_GROUP));
	assert_null(l->hostname.p);
	assert_true(str_eq(r.o->gateway->addresses[0].type, STR("IPAddress")));
	object_put(r.o);
}

static void a_service_gets_the_defaults_of_its_kind(void **state)
{
	struct result r = decode("apiVersion: v1\nkind: Service\nmetadata: {name: s}\n"
				 "spec: {selector: {}, ports: [{port: 80}]}\n");

	assert_true(str_eq(r.o->service->type, STR("ClusterIP")));
	assert_true(str_eq(r.o->service->ports[0].protocol, STR("TCP")));
	assert_non_null(r.o->service->ports[0].name.p);
	assert_false(r.o->service->has_selector);
	object_put(r.o);
	r = decode("apiVersion: v1\nkind: Service\nmetadata: {name: s}\n"
		   "spec: {clusterIP: None, selector: {a: b}}\n");
	assert_string_equal(r.problems, "");
	assert_true(r.o->service->has_selector);
	object_put(r.o);
}

static void a_namespace_carries_its_name_as_a_label(void **state)
{
	static const char *const texts[] = {"metadata: {name: ns}",
		"metadata: {name: ns, labels: {a: b, "
		"z: x}}",
		"metadata: {name: ns, labels: {kubernetes.io/metadata.name: ns}}"};

	for (size_t i = 0; i < 3; i++) {
		char text[256];
		struct result r;

		snprintf(text, sizeof(text), "apiVersion: v1\nkind: Namespace\n%s\n", texts[i]);
		r = decode(text);
		assert_true(str_eq(kv_find(&r.o->labels, STR("kubernetes.io/metadata.name")),
			STR("ns")));
		assert_int_equal(r.o->labels.count, i == 1 ? 3 : 1);
		for (uint32_t k = 1; k < r.o->labels.count; k++)
			assert_true(str_cmp(r.o->labels.items[k - 1].key,
					    r.o->labels.items[k].key) < 0);
		object_put(r.o);
	}
}

static void a_creation_time_is_read(void **state)
{
	static const char *const never[] = {"2026-13-01T09:00:00Z", "2026-00-01T09:00:00Z",
		"2026-02-30T09:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T09:60:00Z"};
	struct result r = decode("apiVersion: v1\nkind: Namespace\nmetadata: {name: ns, "
				 "creationTimestamp: 2026-11-21T09:00:00Z}\n");

	assert_int_equal(r.o->created, 1795251600);
	object_put(r.o);
	r = decode(
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: ns, creationTimestamp: null}\n");
	assert_int_equal(r.o->created, 0);
	object_put(r.o);
	r = decode("apiVersion: v1\nkind: Namespace\nmetadata: {name: ns, creationTimestamp: "
		   "today}\n");
	assert_null(r.o);
	assert_string_equal(r.problems,
		"f:3: Namespace ns: metadata.creationTimestamp: must be a time "
		"like 2026-11-21T09:00:00Z\n");
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		char text[160];

		snprintf(text, sizeof(text),
			"apiVersion: v1\nkind: Namespace\n"
			"metadata: {name: ns, creationTimestamp: %s}\n",
			never[i]);
		r = decode(text);
		assert_null(r.o);
	}
}

static void versions_with_the_same_fields_are_read(void **state)
{
	assert_int_equal(kind_of(STR("gateway.networking.k8s.io/v1"), STR("Gateway")),
		KIND_GATEWAY);
	assert_int_equal(kind_of(STR("gateway.networking.k8s.io/v1beta1"), STR("ReferenceGrant")),
		KIND_REFERENCE_GRANT);
	/* one that is not seen would be answered in plain text */
	assert_int_equal(kind_of(STR("gateway.networking.k8s.io/v1alpha3"),
				 STR("BackendTLSPolicy")),
		KIND_BACKEND_TLS_POLICY);
	assert_int_equal(kind_of(STR("gateway.networking.k8s.io/v1alpha2"), STR("Gateway")),
		KIND_COUNT);
	assert_int_equal(kind_of(STR("v1"), STR("Service")), KIND_SERVICE);
	assert_int_equal(kind_of(STR("v1beta1"), STR("Service")), KIND_COUNT);
	assert_int_equal(kind_of(STR("discovery.k8s.io/v1"), STR("EndpointSlice")),
		KIND_ENDPOINT_SLICE);
	assert_int_equal(kind_of(STR("serving.knative.dev/v1"), STR("Service")), KIND_COUNT);
	assert_int_equal(kind_of(STR(""), STR("")), KIND_COUNT);
}

struct check_row {
	const char *(*check)(struct str s);
	const char *text;
	bool good;
};

static const struct check_row check_rows[] = {
	{check_dns_label, "a", true},
	{check_dns_label, "a-1", true},
	{check_dns_label, "", false},
	{check_dns_label, "-a", false},
	{check_dns_label, "a-", false},
	{check_dns_label, "A", false},
	{check_dns_label, "a.b", false},
	{check_dns_name, "a.b-c.d", true},
	{check_dns_name, "a..b", false},
	{check_dns_name, ".a", false},
	{check_dns_name, "a.", false},
	{check_dns_name, "a_b", false},
	{check_hostname, "*.example.com", true},
	{check_hostname, "*", false},
	{check_hostname, "*.", false},
	{check_hostname, "a.*.com", false},
	{check_hostname, "*.*.com", false},
	{check_group, "", true},
	{check_group, "A.b", false},
	{check_kind, "HTTPRoute", true},
	{check_kind, "1a", false},
	{check_kind, "a-", false},
	{check_header_name, "X-A_b!", true},
	{check_header_name, "a b", false},
	{check_header_name, "a:", false},
	{check_header_name, "", false},
	{check_domain_path, "example.com/a/b", true},
	{check_domain_path, "example.com", false},
	{check_domain_path, "/a", false},
	{check_domain_path, "example.com/", false},
	{check_protocol, "HTTP", true},
	{check_protocol, "example.com/x", true},
	{check_protocol, "a b", false},
	{check_address_type, "IPAddress", true},
	{check_address_type, "example.com/x", true},
	{check_address_type, "Magic", false},
	{check_path, "/", true},
	{check_path, "/a/b.c", true},
	{check_path, "/%41", true},
	{check_path, "/a/", true},
	{check_path, "a", false},
	{check_path, "", false},
	{check_path, "/a//b", false},
	{check_path, "/a/./b", false},
	{check_path, "/a/../b", false},
	{check_path, "/a/..", false},
	{check_path, "/a/.", false},
	{check_path, "/a%2Fb", false},
	{check_path, "/a%2fb", false},
	{check_path, "/a#b", false},
	{check_path, "/a%4", false},
	{check_path, "/a%zz", false},
	{check_path, "/a b", false},
	{check_path, "/a?b", false},
	{check_label_key, "app", true},
	{check_label_key, "example.com/app", true},
	{check_label_key, "/app", false},
	{check_label_key, "example.com/", false},
	{check_label_value, "", true},
	{check_label_value, "a.B_c-1", true},
	{check_label_value, "-a", false},
	{check_label_value, "a b", false},
};

static void patterns_hold_at_their_edges(void **state)
{
	for (size_t i = 0; i < sizeof(check_rows) / sizeof(check_rows[0]); i++) {
		const struct check_row *r = &check_rows[i];

		if ((r->check(str_of(r->text)) == NULL) != r->good)
			fail_msg("row %zu: \"%s\"", i, r->text);
	}
	assert_non_null(check_dns_label(
		STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")));
	assert_non_null(check_path(str_make("/\0", 2)));
}

/* Bounded: one object gives at most 32 errors and 32 warnings. */
static void complaints_are_bounded(void **state)
{
	char *text = malloc(1 << 16);
	size_t n = (size_t)sprintf(text, ROUTE "\n");
	struct result r;
	int lines = 0;

	for (int i = 0; i < 100; i++)
		n += (size_t)sprintf(text + n, "  field%d: 1\n", i);
	n += (size_t)sprintf(text + n, "  hostnames: [");
	for (int i = 0; i < 16; i++)
		n += (size_t)sprintf(text + n, "A%d,", i);
	sprintf(text + n,
		"]\n  parentRefs: [{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, "
		"{}, {}, {}, {}, {}, {}, {}, {}, {}]\n");
	r = decode(text);
	assert_null(r.o);
	for (const char *p = r.problems; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_true(lines > 10 && lines <= 64);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_route_gets_the_defaults_of_its_crd),
		cmocka_unit_test(a_route_without_rules_has_one_that_matches_everything),
		cmocka_unit_test(a_gateway_gets_the_defaults_of_its_crd),
		cmocka_unit_test(a_service_gets_the_defaults_of_its_kind),
		cmocka_unit_test(a_namespace_carries_its_name_as_a_label),
		cmocka_unit_test(a_creation_time_is_read),
		cmocka_unit_test(versions_with_the_same_fields_are_read),
		cmocka_unit_test(patterns_hold_at_their_edges),
		cmocka_unit_test(complaints_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
