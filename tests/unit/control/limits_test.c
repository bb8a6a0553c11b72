// SPDX-License-Identifier: Apache-2.0
/*
 * limits_test.c: whoever goes over a bound of the configuration is told; nobody else notices, and
 * what is left always makes a snapshot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/compile/compile.h"
#include "control/reconcile/plan.h"
#include "dataplane/snapshot/snapshot.h"

struct world {
	struct store *store;
	struct control_config config;
	struct ip_net net;
	struct config_pool pool;
	struct plan *plan;
	FILE *f; /* the manifests, while they are written */
	char *text;
	size_t len;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->store = store_new();
	w->config.controller_name = STR("gateway.sluice.internal/controller");
	assert_true(ip_net_parse(STR("203.0.113.0/24"), &w->net));
	w->pool = (struct config_pool){STR("p"), &w->net, 1, 0};
	w->config.pools = &w->pool;
	w->config.pools_count = 1;
	w->f = open_memstream(&w->text, &w->len);
	fprintf(w->f,
		"apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\n"
		"metadata: {name: sluice}\n"
		"spec: {controllerName: gateway.sluice.internal/controller}\n");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	plan_put(w->plan);
	store_free(w->store);
	free(w->text);
	free(w);
	return 0;
}

static void gateway(struct world *w, unsigned number, unsigned listeners)
{
	fprintf(w->f,
		"---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
		"metadata: {name: gw-%04u, namespace: demo}\nspec:\n"
		"  gatewayClassName: sluice\n  listeners:\n",
		number);
	for (unsigned i = 0; i < listeners; i++)
		fprintf(w->f, "  - {name: l%u, port: %u, protocol: HTTP}\n", i, i + 1);
}

static void route(struct world *w, unsigned number, unsigned hostnames, unsigned rules,
	unsigned matches)
{
	fprintf(w->f,
		"---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
		"metadata: {name: r-%04u, namespace: demo}\nspec:\n"
		"  parentRefs: [{name: gw-0000}]\n",
		number);
	for (unsigned i = 0; i < hostnames; i++)
		fprintf(w->f, "%s  - h%u-%u.example.com\n", i ? "" : "  hostnames:\n", number, i);
	fprintf(w->f, "  rules:\n");
	for (unsigned i = 0; i < rules; i++)
		for (unsigned k = 0; k < matches; k++)
			fprintf(w->f, "%s    - {path: {value: /%u/%u}}\n",
				k ? "" : "  - matches:\n", i, k);
}

/* A Service with <slices> times 1000 endpoints, and the route to it. */
static void service(struct world *w, unsigned slices)
{
	fprintf(w->f,
		"---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
		"metadata: {name: to-web, namespace: demo}\nspec:\n"
		"  parentRefs: [{name: gw-0000}]\n"
		"  rules: [{backendRefs: [{name: web, port: 80}]}]\n"
		"---\napiVersion: v1\nkind: Service\n"
		"metadata: {name: web, namespace: demo}\n"
		"spec: {ports: [{name: http, port: 80}]}\n");
	for (unsigned i = 0; i < slices; i++) {
		fprintf(w->f,
			"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
			"metadata: {name: web-%u, namespace: demo, "
			"labels: {kubernetes.io/service-name: web}}\n"
			"addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints:\n",
			i);
		for (unsigned k = 0; k < 1000; k++)
			fprintf(w->f, "- {addresses: ['10.%u.%u.%u']}\n", i, k / 250, k % 250);
	}
}

static const struct plan *plan_of(struct world *w)
{
	struct plan_input in = {.config = &w->config, .now_s = 1};

	fclose(w->f);
	store_put_text(w->store, STR("us-east"), "all.yaml", str_make(w->text, w->len));
	in.view = store_view(w->store);
	assert_int_equal(in.view->fatal_count, 0);
	w->plan = plan_build(&in);
	view_put(in.view);
	return w->plan;
}

static void makes_a_snapshot(const struct plan *p)
{
	struct build_config c;
	struct snapshot s;
	struct arena a;
	struct err err;
	void *image;
	size_t len;

	arena_init(&a, 0);
	compile_plan(p, 1, &a, &c);
	if (snapshot_build(&c, &image, &len, &err) != 0 || snapshot_open(image, len, &s, &err) != 0)
		fail_msg("%s", err.msg);
	free(image);
	arena_fini(&a);
}

static void is(const struct conditions *c, const char *type, bool status, const char *reason)
{
	for (uint32_t i = 0; i < c->count; i++) {
		if (strcmp(c->c[i].type, type) != 0)
			continue;
		assert_string_equal(c->c[i].reason, reason);
		assert_int_equal(c->c[i].status, status);
		return;
	}
	fail_msg("no condition %s", type);
}

/* All but the last route are accepted. */
static void last_route_goes_without(const struct plan *p, uint32_t routes)
{
	assert_int_equal(p->routes_count, routes);
	for (uint32_t i = 0; i < routes; i++)
		is(&p->routes[i].parents[0].conditions, "Accepted", i + 1 < routes,
			i + 1 < routes ? "Accepted" : "NoResources");
	assert_int_equal(p->serving_routes, routes - 1);
}

static void the_youngest_route_goes_without_when_rules_run_out(void **state)
{
	struct world *w = *state;

	gateway(w, 0, 1);
	for (unsigned i = 0; i < SLOTS_RULE_MAX / 16 + 1; i++)
		route(w, i, 0, 16, 1);
	last_route_goes_without(plan_of(w), SLOTS_RULE_MAX / 16 + 1);
	makes_a_snapshot(w->plan);
}

static void a_route_that_multiplies_on_listeners_costs_itself(void **state)
{
	struct world *w = *state;

	gateway(w, 0, 64);
	for (unsigned i = 0; i < 9; i++) /* 16 hostnames x 128 matches x 64 listeners each */
		route(w, i, 16, 2, 64);
	last_route_goes_without(plan_of(w), 9);
}

static void the_youngest_gateway_goes_without_when_listeners_run_out(void **state)
{
	unsigned n = SLOTS_LISTENER_MAX / 64 + 1;
	struct world *w = *state;
	const struct plan *p;

	for (unsigned i = 0; i < n; i++)
		gateway(w, i, 64);
	p = plan_of(w);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(p->gateways[i].serves, i + 1 < n);
		is(&p->gateways[i].conditions, "Programmed", false,
			i + 1 < n ? "Pending" : "NoResources");
	}
	makes_a_snapshot(p);
}

static void endpoints_beyond_the_bound_are_left_out_and_noted(void **state)
{
	struct world *w = *state;
	const struct plan *p;

	gateway(w, 0, 1);
	service(w, SLOTS_ENDPOINT_MAX / 1000 + 1);
	p = plan_of(w);
	assert_int_equal(p->services[0]->endpoints_count, SLOTS_ENDPOINT_MAX);
	assert_int_equal(p->notes_count, 1);
	assert_true(p->notes[0].fatal);
	makes_a_snapshot(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_youngest_route_goes_without_when_rules_run_out,
			setup, teardown),
		cmocka_unit_test_setup_teardown(a_route_that_multiplies_on_listeners_costs_itself,
			setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_youngest_gateway_goes_without_when_listeners_run_out, setup, teardown),
		cmocka_unit_test_setup_teardown(endpoints_beyond_the_bound_are_left_out_and_noted,
			setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
