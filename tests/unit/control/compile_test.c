// SPDX-License-Identifier: Apache-2.0
/*
 * compile_test.c: ids that survive what does not concern them, shares of references that do not
 * resolve, and the time that an edit costs among a thousand routes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "control/compile/compile.h"

#define EAST STR("us-east")

#define BASE \
	"apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: sluice}\n" \
	"spec: {controllerName: gateway.sluice.internal/controller}\n---\n" \
	"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n" \
	"metadata: {name: gw, namespace: demo}\nspec:\n  gatewayClassName: sluice\n" \
	"  addresses: [{value: 203.0.113.10}]\n" \
	"  listeners: [{name: http, port: 80, protocol: HTTP}]\n"
#define ROUTE \
	"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n" \
	"metadata: {name: %s, namespace: demo}\nspec:\n  parentRefs: [{name: gw}]\n  rules:\n"
#define SERVICE \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: demo}\n" \
	"spec: {ports: [{port: 80}]}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n" \
	"metadata: {name: %s, namespace: demo, labels: {kubernetes.io/service-name: %s}}\n" \
	"addressType: IPv4\nports: [{port: 8080}]\nendpoints: [{addresses: [10.0.%d.%d]}]\n"

static const struct control_config config = {
	.controller_name = {"gateway.sluice.internal/controller", 34}};

/* A configuration with everything that it was made from. */
struct compiled {
	struct store *store;
	struct plan *plan;
	struct arena arena;
	struct build_config c;
};

static void compile(struct compiled *k)
{
	struct plan_input in = {.view = store_view(k->store),
		.config = &config,
		.now_s = 1,
		.previous = k->plan};
	struct plan *p = plan_build(&in);

	view_put(in.view);
	plan_put(k->plan);
	k->plan = p;
	arena_fini(&k->arena);
	arena_init(&k->arena, 0);
	compile_plan(p, 1, &k->arena, &k->c);
}

static void compiled_init(struct compiled *k, const char *rules)
{
	char text[4096];

	*k = (struct compiled){.store = store_new()};
	arena_init(&k->arena, 0);
	store_put_text(k->store, EAST, "base", STR(BASE));
	snprintf(text, sizeof(text), ROUTE "%s", "r", rules);
	store_put_text(k->store, EAST, "route", str_of(text));
	for (int i = 0; i < 3; i++) {
		char name[8];

		snprintf(name, sizeof(name), "s%d", i);
		snprintf(text, sizeof(text), SERVICE, name, name, name, 0, i + 1);
		store_put_text(k->store, EAST, name, str_of(text));
	}
	compile(k);
}

static void compiled_fini(struct compiled *k)
{
	plan_put(k->plan);
	arena_fini(&k->arena);
	store_free(k->store);
}

static const struct build_rule *rule(const struct compiled *k, uint32_t i)
{
	assert_int_equal(k->c.route_count, 1);
	assert_true(i < k->c.routes[0].rule_count);
	return &k->c.routes[0].rules[i];
}

static void ids_survive_weights_and_order(void **state)
{
	struct compiled a, b;

	compiled_init(&a,
		"  - {name: main, backendRefs: [{name: s0, port: 80, weight: 80}, {name: s1, "
		"port: 80, weight: 20}]}\n");
	compiled_init(&b,
		"  - {name: other, matches: [{path: {value: /x}}]}\n"
		"  - {name: main, backendRefs: [{name: s2, port: 80}, {name: s1, port: 80, weight: "
		"50}, "
		"{name: s0, port: 80, weight: 50}]}\n");
	assert_true(rule(&a, 0)->id == rule(&b, 1)->id);
	assert_true(rule(&a, 0)->backends[0].id == rule(&b, 1)->backends[2].id);
	assert_true(rule(&a, 0)->backends[1].id == rule(&b, 1)->backends[1].id);
	assert_true(rule(&a, 0)->backends[0].service_id == rule(&b, 1)->backends[2].service_id);
	assert_true(a.c.listeners[0].id == b.c.listeners[0].id);
	assert_true(a.c.routes[0].id == b.c.routes[0].id);
	assert_true(rule(&b, 0)->id != rule(&b, 1)->id);
	compiled_fini(&a);
	compiled_fini(&b);
}

static void a_rule_without_name_is_known_by_its_place(void **state)
{
	struct compiled a, b;

	compiled_init(&a,
		"  - backendRefs: [{name: s0, port: 80}]\n"
		"  - backendRefs: [{name: s1, port: 80}]\n");
	compiled_init(&b,
		"  - filters: [{type: URLRewrite, urlRewrite: {}}]\n"
		"  - backendRefs: [{name: s1, port: 80}]\n");
	/* A dropped rule does not move those behind it. */
	assert_int_equal(b.c.routes[0].rule_count, 1);
	assert_true(rule(&a, 1)->id == rule(&b, 0)->id);
	assert_true(str_eq(rule(&b, 0)->name, STR("demo/r rule 1")));
	compiled_fini(&a);
	compiled_fini(&b);
}

static void one_backend_twice_has_two_ids(void **state)
{
	struct compiled a;

	compiled_init(&a, "  - backendRefs: [{name: s0, port: 80}, {name: s0, port: 80}]\n");
	assert_true(rule(&a, 0)->backends[0].id != rule(&a, 0)->backends[1].id);
	assert_true(rule(&a, 0)->backends[0].service_id == rule(&a, 0)->backends[1].service_id);
	assert_int_equal(a.c.service_count, 1);
	compiled_fini(&a);
}

static void what_does_not_resolve_keeps_its_share(void **state)
{
	struct compiled a;
	const struct build_backend *b;

	compiled_init(&a,
		"  - backendRefs: [{name: s0, port: 80, weight: 3}, {name: nowhere, port: 80, "
		"weight: 1}, {kind: Odd, group: x.y, name: s0, weight: 2}, {name: s0, namespace: "
		"other, "
		"port: 80, weight: 4}, {name: s1, port: 80, weight: 0}]\n");
	b = rule(&a, 0)->backends;
	assert_int_equal(rule(&a, 0)->backend_count, 5);
	assert_int_equal(b[0].status, BUILD_BACKEND_OK);
	assert_int_equal(b[1].status, BUILD_BACKEND_NOT_FOUND);
	assert_int_equal(b[1].weight, 1);
	assert_int_equal(b[2].status, BUILD_BACKEND_INVALID_KIND);
	assert_int_equal(b[2].weight, 2);
	assert_int_equal(b[3].status, BUILD_BACKEND_REF_NOT_PERMITTED);
	assert_int_equal(b[3].weight, 4);
	assert_int_equal(b[4].weight, 0);
	compiled_fini(&a);
}

/* Of this thread: what others do meanwhile costs it nothing. */
static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* 1 000 routes, one Service and one slice each; then one weight is edited, again and again. */
static void an_edit_among_a_thousand_routes_costs_milliseconds(void **state)
{
	struct compiled k;
	double compile_ms = 1e9, edit_ms = 1e9;
	char text[2048], name[16];

	compiled_init(&k, "  - backendRefs: [{name: s0, port: 80}]\n");
	for (int i = 3; i < 1003; i++) {
		int n;

		snprintf(name, sizeof(name), "s%d", i);
		n = snprintf(text, sizeof(text),
			ROUTE "  - {matches: [{path: {value: /%s}}], "
			      "backendRefs: [{name: %s, port: 80, weight: 80}, {name: s0, port: "
			      "80, weight: "
			      "20}]}\n",
			name, name, name);
		snprintf(text + n, sizeof(text) - (size_t)n, SERVICE, name, name, name, i / 250,
			i % 250);
		store_put_text(k.store, EAST, name, str_of(text));
	}
	for (int i = 0; i < 6; i++) {
		double t = cpu_ms(), c;

		snprintf(text, sizeof(text),
			ROUTE "  - backendRefs: [{name: s0, port: 80, weight: "
			      "%d}]\n",
			"r", i);
		store_put_text(k.store, EAST, "route", str_of(text));
		compile(&k);
		edit_ms = cpu_ms() - t < edit_ms ? cpu_ms() - t : edit_ms;
		arena_fini(&k.arena);
		arena_init(&k.arena, 0);
		c = cpu_ms();
		compile_plan(k.plan, 1, &k.arena, &k.c);
		compile_ms = cpu_ms() - c < compile_ms ? cpu_ms() - c : compile_ms;
	}
	assert_int_equal(k.c.route_count, 1001);
	print_message("compile %.2f ms, edit to configuration %.2f ms\n", compile_ms, edit_ms);
	/* The sanitizers cost a factor of three to five, a busy machine two. */
	assert_true(compile_ms < 50);
	compiled_fini(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_survive_weights_and_order),
		cmocka_unit_test(a_rule_without_name_is_known_by_its_place),
		cmocka_unit_test(one_backend_twice_has_two_ids),
		cmocka_unit_test(what_does_not_resolve_keeps_its_share),
		cmocka_unit_test(an_edit_among_a_thousand_routes_costs_milliseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
