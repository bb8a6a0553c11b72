// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_yaml.c: any bytes as a manifest: parsed, decoded, stored over a good file, planned, printed.
 *
 * Whatever the bytes are, the good objects of other files stay, the same bytes give the same view,
 * and every sentence is one printable line. Annotations and labels that the fuzzer finds reach the
 * selector parser through the plan.
 */
#include <string.h>

#include "control/reconcile/plan.h"
#include "control/reconcile/selector.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "tests/fuzz/fuzz.h"

static const char good[] =
	"apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: sluice}\n"
	"spec: {controllerName: gateway.sluice.internal/controller}\n"
	"---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
	"metadata: {name: gw, namespace: infra}\nspec:\n  gatewayClassName: sluice\n"
	"  addresses: [{value: 203.0.113.10}]\n"
	"  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: "
	"All}}}]\n"
	"---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
	"metadata: {name: app, namespace: demo}\nspec:\n  parentRefs: [{name: gw, namespace: "
	"infra}]\n"
	"  rules: [{backendRefs: [{name: app, port: 80}, {name: fed, port: 80}]}]\n"
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: app, namespace: demo}\n"
	"spec: {ports: [{port: 80}]}\n";

static void check_view(const struct view *v)
{
	for (uint32_t i = 0; i < v->problem_count; i++) {
		struct str t = v->problems[i].text;

		bug_on(t.len == 0);
		for (size_t k = 0; k < t.len; k++)
			bug_on((unsigned char)t.p[k] < 0x20 || t.p[k] == 0x7f);
	}
}

static void plan_all(struct view *v)
{
	static const struct control_config config = {
		.controller_name = {"gateway.sluice.internal/controller", 34}};
	struct plan_input in = {.view = v, .config = &config, .now_s = 1};
	struct plan *p = plan_build(&in);
	json_t *status = plan_status_json(p);
	autofree char *text = json_dumps(status, 0);
	autofclose FILE *null = fopen("/dev/null", "we");

	bug_on(text == NULL || strstr(text, "null") != NULL);
	bug_on(p->gateways_count == 0 || p->routes_count == 0);
	plan_print(p, null);
	json_decref(status);
	plan_put(p);
}

void fuzz_one(const uint8_t *data, size_t len)
{
	struct store *s = store_new();
	const struct selector *selector;
	struct view *v, *again;
	struct arena arena;

	store_put_text(s, STR("us-east"), "good.yaml", str_of(good));
	store_put_text(s, STR("us-east"), "other.yaml", str_make(data, len));
	v = store_view(s);
	bug_on(view_find(v, KIND_GATEWAY, STR("us-east"), STR("infra"), STR("gw")) == NULL);
	bug_on(view_find(v, KIND_SERVICE, STR("us-east"), STR("demo"), STR("app")) == NULL);
	check_view(v);
	plan_all(v);
	store_put_text(s, STR("us-east"), "other.yaml", str_make(data, len));
	again = store_view(s);
	bug_on(again != v); /* nothing has changed */
	view_put(again);
	view_put(v);
	store_free(s);
	arena_init(&arena, 0);
	(void)selector_parse(str_make(data, len), &arena, &selector, NULL);
	arena_fini(&arena);
}
