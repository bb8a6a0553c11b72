// SPDX-License-Identifier: Apache-2.0
/*
 * refs_test.c: what a ReferenceGrant permits and what it does not, part by part; and that references
 * and grants are not multiplied with each other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "control/reconcile/plan.h"

#define EAST STR("us-east")
#define WEST STR("us-west")

#define FRAME \
	"apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\n" \
	"metadata: {name: sluice}\nspec: {controllerName: gateway.sluice.internal/controller}\n" \
	"---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n" \
	"metadata: {name: gw, namespace: infra}\nspec:\n  gatewayClassName: sluice\n" \
	"  listeners: [{name: http, port: 80, protocol: HTTP, " \
	"allowedRoutes: {namespaces: {from: All}}}]\n"

static struct plan *plan_of(struct store *s, const struct control_config *config)
{
	struct plan_input in = {.view = store_view(s), .config = config, .now_s = 1};
	struct plan *p = plan_build(&in);

	view_put(in.view);
	return p;
}

/* Is the one reference of demo/r, to Service back/web, permitted under this grant? */
static bool permits(struct str cluster, const char *ns, const char *from, const char *to)
{
	struct control_config config = {
		.controller_name = STR("gateway.sluice.internal/controller")};
	struct store *s = store_new();
	struct plan *p;
	char text[1024];
	bool ok;

	store_put_text(s, EAST, "frame", STR(FRAME));
	store_put_text(s, EAST, "route",
		STR("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
		    "metadata: {name: r, namespace: demo}\nspec:\n"
		    "  parentRefs: [{name: gw, namespace: infra}]\n"
		    "  rules: [{backendRefs: [{name: web, namespace: back, port: 80}]}]\n"));
	snprintf(text, sizeof(text),
		"apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\n"
		"metadata: {name: g, namespace: %s}\nspec: {from: [%s], to: [%s]}\n",
		ns, from, to);
	store_put_text(s, cluster, "grant", str_of(text));
	p = plan_of(s, &config);
	assert_int_equal(p->view->fatal_count, 0);
	ok = p->routes[0].rules[0].backends[0].status != REF_NOT_PERMITTED;
	plan_put(p);
	store_free(s);
	return ok;
}

#define GW "group: gateway.networking.k8s.io"
#define FROM "{" GW ", kind: HTTPRoute, namespace: demo}"
#define TO "{group: '', kind: Service}"

static void each_part_of_a_grant_counts(void **state)
{
	assert_true(permits(EAST, "back", FROM, TO));
	assert_true(permits(EAST, "back", FROM, "{group: '', kind: Service, name: web}"));
	assert_true(permits(EAST, "back", "{" GW ", kind: HTTPRoute, namespace: x}, " FROM,
		"{group: '', kind: Secret}, {group: '', kind: Service, name: web}"));
	assert_false(permits(WEST, "back", FROM, TO));
	assert_false(permits(EAST, "demo", FROM, TO));
	assert_false(permits(EAST, "back", "{" GW ", kind: HTTPRoute, namespace: back}", TO));
	assert_false(permits(EAST, "back", "{" GW ", kind: GRPCRoute, namespace: demo}", TO));
	assert_false(permits(EAST, "back", "{group: x.io, kind: HTTPRoute, namespace: demo}", TO));
	assert_false(permits(EAST, "back", FROM, "{group: '', kind: Secret}"));
	assert_false(permits(EAST, "back", FROM, "{group: x.io, kind: Service}"));
	assert_false(permits(EAST, "back", FROM, "{group: '', kind: Service, name: we}"));
	/* the two halves of a permission must stand in one grant, which these pairs do not */
	assert_false(permits(EAST, "back", "{" GW ", kind: HTTPRoute, namespace: demo}",
		"{group: '', kind: Service, name: webb}, {group: '', kind: Secret, name: web}"));
}

#define ROUTES 40
#define REFS 256 /* of a route */
#define GRANTS (ROUTES * REFS)

static char big[1 << 18];

static void put_routes(struct store *s)
{
	for (int i = 0; i < ROUTES; i++) {
		size_t n = (size_t)snprintf(big, sizeof(big),
			"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
			"metadata: {name: r%d, namespace: demo}\nspec:\n"
			"  parentRefs: [{name: gw, namespace: infra}]\n  rules:\n",
			i);
		char path[32];

		for (int k = 0; k < REFS; k++)
			n += (size_t)snprintf(big + n, sizeof(big) - n,
				"%s  %s - {name: s%d, "
				"namespace: back, port: 80}\n",
				k % 16 ? "" : "  - backendRefs:\n", k % 16 ? "  " : "  ",
				i * REFS + k);
		snprintf(path, sizeof(path), "r%d", i);
		store_put_text(s, EAST, path, str_make(big, n));
	}
}

/* Each for one name. */
static void put_grants(struct store *s, int count)
{
	for (int i = 0; i < count;) {
		char path[32];
		size_t n = 0;

		snprintf(path, sizeof(path), "g%d", i);
		for (int end = i + 512; i < end && i < count; i++)
			n += (size_t)snprintf(big + n, sizeof(big) - n,
				"---\napiVersion: gateway.networking.k8s.io/v1\n"
				"kind: ReferenceGrant\nmetadata: {name: g%d, namespace: back}\n"
				"spec: {from: [" FROM "], to: [{group: '', kind: Service, "
				"name: s%d}]}\n",
				i, i);
		store_put_text(s, EAST, path, str_make(big, n));
	}
}

static uint32_t permitted(const struct plan *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->routes_count; i++)
		for (uint32_t k = 0; k < REFS; k++)
			n += p->routes[i].rules[k / 16].backends[k % 16].status !=
				REF_NOT_PERMITTED;
	return n;
}

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* The time of a plan with so many grants, of which all but the last are asked for. */
static double plan_ms(int grants)
{
	struct control_config config = {
		.controller_name = STR("gateway.sluice.internal/controller")};
	struct store *s = store_new();
	struct plan *p;
	double t;

	store_put_text(s, EAST, "frame", STR(FRAME));
	put_routes(s);
	put_grants(s, grants);
	view_put(store_view(s));
	t = cpu_ms();
	p = plan_of(s, &config);
	t = cpu_ms() - t;
	assert_int_equal(p->routes_count, ROUTES);
	assert_int_equal(permitted(p), grants);
	plan_put(p);
	store_free(s);
	return t;
}

static void ten_thousand_references_and_as_many_grants_are_not_multiplied(void **state)
{
	double few = plan_ms(100), many = plan_ms(GRANTS);

	print_message("%d references: 100 grants %.1f ms, %d grants %.1f ms\n", GRANTS, few, GRANTS,
		many);
	/* a hundred times as many grants: when multiplied, some fifty times as long */
	assert_true(many < 10 * few);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_part_of_a_grant_counts),
		cmocka_unit_test(ten_thousand_references_and_as_many_grants_are_not_multiplied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
