// SPDX-License-Identifier: Apache-2.0
/*
 * plan_test.c: what golden files cannot show: plans that follow each other. Programmed and the
 * dataplanes' acknowledgement, lastTransitionTime, addresses that stay, and equal inputs in any
 * order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/reconcile/addresses.h"
#include "control/reconcile/plan.h"
#include "dataplane/base/rng.h"

#define EAST STR("us-east")

#define CLASS \
	"---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\n" \
	"metadata: {name: sluice}\nspec: {controllerName: gateway.sluice.internal/controller}\n"

static const char *gateway_text(const char *name, const char *rest)
{
	static char buf[16][512];
	static unsigned turn;
	char *b = buf[turn++ % 16];

	snprintf(b, sizeof(buf[0]),
		"---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
		"metadata: {name: %s, namespace: infra}\nspec:\n  gatewayClassName: sluice\n"
		"  listeners: [{name: http, port: 80, protocol: HTTP}]\n%s",
		name, rest);
	return b;
}

/* A store with one pool's configuration, and the chain of plans made from it. */
struct world {
	struct store *store;
	struct control_config config;
	struct ip_net nets[2];
	struct config_pool pool;
	struct plan *plan, *acked;
	struct address_book *book;
	struct clusters *clusters;
	int64_t now;
};

static void world_init(struct world *w)
{
	*w = (struct world){.store = store_new(), .now = 100};
	w->config.controller_name = STR("gateway.sluice.internal/controller");
	assert_true(ip_net_parse(STR("203.0.113.0/28"), &w->nets[0]));
	assert_true(ip_net_parse(STR("2001:db8::/124"), &w->nets[1]));
	w->pool = (struct config_pool){STR("p"), w->nets, 2, 0};
	w->config.pools = &w->pool;
	w->config.pools_count = 1;
}

static void world_fini(struct world *w)
{
	plan_put(w->plan);
	plan_put(w->acked);
	store_free(w->store);
	address_book_free(w->book);
}

/* The next plan; time moves on by one second. */
static const struct plan *next(struct world *w)
{
	struct plan_input in = {.view = store_view(w->store),
		.config = &w->config,
		.acked = w->acked,
		.previous = w->plan,
		.book = w->book,
		.clusters = w->clusters,
		.now_s = w->now++};
	struct plan *p = plan_build(&in);

	view_put(in.view);
	plan_put(w->plan);
	w->plan = p;
	return p;
}

static void acknowledge(struct world *w)
{
	plan_put(w->acked);
	w->acked = plan_get(w->plan);
}

static void put(struct world *w, const char *path, const char *text)
{
	store_put_text(w->store, EAST, path, str_of(text));
}

static const struct condition *condition(const struct conditions *c, const char *type)
{
	for (uint32_t i = 0; i < c->count; i++)
		if (strcmp(c->c[i].type, type) == 0)
			return &c->c[i];
	fail_msg("no condition %s", type);
	return NULL;
}

/* "Programmed=True/Programmed@1 since 100" */
static const char *programmed(const struct conditions *c)
{
	static const char *const status[] = {"False", "True", "Unknown"};
	static char buf[128];
	const struct condition *k = condition(c, "Programmed");

	snprintf(buf, sizeof(buf), "%s/%s@%d since %d", status[k->status], k->reason,
		(int)k->observed_generation, (int)k->since);
	return buf;
}

static const char *addresses(const struct plan *p, const char *name)
{
	static char buf[256];
	char text[IP_ADDR_STRLEN];
	size_t n = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < p->gateways_count; i++) {
		const struct plan_gateway *g = &p->gateways[i];

		if (!str_eq(g->obj->name, str_of(name)))
			continue;
		for (uint32_t k = 0; k < g->addresses_count; k++)
			n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%s%s", k ? " " : "",
				ip_format(&g->addresses[k], text));
	}
	return buf;
}

static void programmed_waits_for_the_acknowledgement_of_this_generation(void **state)
{
	struct world w;

	world_init(&w);
	put(&w, "1.yaml", CLASS);
	put(&w, "2.yaml", gateway_text("gw", ""));
	assert_string_equal(programmed(&next(&w)->gateways[0].conditions),
		"False/Pending@1 since 100");
	assert_string_equal(programmed(&next(&w)->gateways[0].conditions),
		"False/Pending@1 since 100");
	acknowledge(&w);
	assert_string_equal(programmed(&next(&w)->gateways[0].conditions),
		"True/Programmed@1 since 102");
	assert_string_equal(programmed(&w.plan->gateways[0].listeners[0].conditions),
		"True/Programmed@1 since 102");
	/* An edit: the dataplanes still have the old one. */
	put(&w, "2.yaml", gateway_text("gw", "  infrastructure: {labels: {a: b}}\n"));
	assert_string_equal(programmed(&next(&w)->gateways[0].conditions),
		"False/Pending@2 since 103");
	acknowledge(&w);
	assert_string_equal(programmed(&next(&w)->gateways[0].conditions),
		"True/Programmed@2 since 104");
	/* Another object's edit is nothing to this one. */
	put(&w, "3.yaml", gateway_text("other", ""));
	assert_string_equal(programmed(&next(&w)->gateways[0].conditions),
		"True/Programmed@2 since 104");
	world_fini(&w);
}

static void a_reason_may_change_without_the_transition_time(void **state)
{
	struct world w;

	world_init(&w);
	put(&w, "1.yaml", CLASS);
	put(&w, "2.yaml", gateway_text("gw", "  addresses: [{value: 192.0.2.1}]\n"));
	assert_string_equal(programmed(&next(&w)->gateways[0].conditions),
		"False/AddressNotUsable@1 since 100");
	put(&w, "2.yaml", gateway_text("gw", "  addresses: [{value: 203.0.113.3}]\n"));
	assert_string_equal(programmed(&next(&w)->gateways[0].conditions),
		"False/Pending@2 since 100");
	assert_int_equal(condition(&w.plan->gateways[0].conditions, "Accepted")->since, 100);
	world_fini(&w);
}

static void an_assigned_address_stays(void **state)
{
	char path[] = "/tmp/plan_test.XXXXXX";
	struct world w;
	struct err err;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(unlink(path), 0);
	world_init(&w);
	assert_int_equal(address_book_load(path, &w.book, &err), 0);
	put(&w, "1.yaml", CLASS);
	put(&w, "m.yaml", gateway_text("m", ""));
	assert_string_equal(addresses(next(&w), "m"), "203.0.113.1 2001:db8::1");
	assert_int_equal(address_book_update(w.book, w.plan, path, &err), 0);
	/* One that comes first in the alphabet takes the next ones. */
	put(&w, "a.yaml", gateway_text("a", ""));
	assert_string_equal(addresses(next(&w), "m"), "203.0.113.1 2001:db8::1");
	assert_string_equal(addresses(w.plan, "a"), "203.0.113.2 2001:db8::2");
	assert_int_equal(address_book_update(w.book, w.plan, path, &err), 0);
	/* After a restart too. */
	address_book_free(w.book);
	assert_int_equal(address_book_load(path, &w.book, &err), 0);
	put(&w, "0.yaml", gateway_text("a0", ""));
	assert_string_equal(addresses(next(&w), "m"), "203.0.113.1 2001:db8::1");
	assert_string_equal(addresses(w.plan, "a"), "203.0.113.2 2001:db8::2");
	assert_string_equal(addresses(w.plan, "a0"), "203.0.113.3 2001:db8::3");
	/* Nor does somebody get it by asking for it, unless its Gateway asks for another. */
	put(&w, "s.yaml", gateway_text("s", "  addresses: [{value: 203.0.113.1}]\n"));
	assert_string_equal(addresses(next(&w), "s"), "");
	assert_string_equal(addresses(w.plan, "m"), "203.0.113.1 2001:db8::1");
	put(&w, "m.yaml", gateway_text("m", "  addresses: [{value: 203.0.113.4}]\n"));
	assert_string_equal(addresses(next(&w), "s"), "203.0.113.1");
	assert_string_equal(addresses(w.plan, "m"), "203.0.113.4");
	assert_int_equal(unlink(path), 0);
	world_fini(&w);
}

static void a_cluster_that_only_lends_endpoints_has_nothing_to_be_served(void **state)
{
	struct cluster east = {.name = EAST, .roles = CLUSTER_ROLE_WORKLOAD, .weight = 100};
	struct world w;

	world_init(&w);
	w.clusters = clusters_new(&east, 1);
	put(&w, "1.yaml", CLASS);
	put(&w, "2.yaml", gateway_text("gw", ""));
	put(&w, "3.yaml",
		"---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
		"metadata: {name: r}\nspec: {parentRefs: [{name: gw, namespace: infra}]}\n");
	next(&w);
	assert_int_equal(w.plan->classes_count + w.plan->gateways_count + w.plan->routes_count, 0);
	assert_int_equal(w.plan->notes_count, 0);
	clusters_put(w.clusters);
	w.clusters = NULL;
	next(&w);
	assert_int_equal(w.plan->classes_count + w.plan->gateways_count + w.plan->routes_count, 3);
	world_fini(&w);
}

/* Its objects go with the next step of the sources, and a plan may come before. */
static void a_cluster_that_was_removed_has_no_part_in_anything(void **state)
{
	struct cluster east = {.name = EAST, .roles = CLUSTER_ROLES_ALL, .weight = 100};
	struct world w;

	world_init(&w);
	w.clusters = clusters_new(&east, 1);
	put(&w, "1.yaml", CLASS);
	put(&w, "2.yaml", gateway_text("gw", ""));
	put(&w, "3.yaml",
		"---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
		"metadata: {name: r, namespace: infra}\nspec: {parentRefs: [{name: gw}], "
		"rules: [{backendRefs: [{name: all, port: 80}]}]}\n---\n"
		"apiVersion: v1\nkind: Service\nmetadata: {name: all, namespace: infra, "
		"annotations: "
		"{service.cilium.io/global: 'true'}}\nspec: {ports: [{port: 80}]}\n");
	store_put_text(w.store, STR("us-west"), "4.yaml",
		STR("apiVersion: v1\nkind: Service\nmetadata: {name: all, namespace: infra, "
		    "annotations: {service.cilium.io/global: 'true'}}\n"
		    "spec: {ports: [{port: 80}]}\n---\n"
		    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: all, "
		    "namespace: infra, labels: {kubernetes.io/service-name: all}}\n"
		    "addressType: IPv4\nports: [{port: 80}]\nendpoints: [{addresses: "
		    "[10.0.0.1]}]\n"));
	next(&w);
	assert_int_equal(w.plan->services_count, 1);
	assert_int_equal(w.plan->services[0]->endpoints_count, 0);
	clusters_put(w.clusters);
	w.clusters = clusters_new(&east, 0);
	next(&w);
	assert_int_equal(w.plan->gateways_count + w.plan->routes_count, 0);
	clusters_put(w.clusters);
	w.clusters = NULL;
	next(&w);
	assert_int_equal(w.plan->services[0]->endpoints_count, 1);
	world_fini(&w);
}

static void a_broken_address_book_is_an_error(void **state)
{
	char path[] = "/tmp/plan_test.XXXXXX";
	struct address_book *b;
	struct err err;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "gateways: [{name: x}]\n", 22), 22);
	close(fd);
	assert_int_equal(address_book_load(path, &b, &err), -22);
	assert_non_null(strstr(err.msg, "line 1: gateways[0].cluster: is required"));
	unlink(path);
}

static char *status_text(const struct plan *p)
{
	json_t *j = plan_status_json(p);
	char *text = json_dumps(j, 0);

	json_decref(j);
	return text;
}

static void the_order_of_files_does_not_matter(void **state)
{
	static const char *const texts[] = {CLASS,
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: "
		"a}\nspec: {ports: [{port: 80}]}\n",
		"---\napiVersion: gateway.networking.k8s.io/v1\n"
		"kind: HTTPRoute\nmetadata: {name: b}\nspec: {parentRefs: [{name: g1, namespace: "
		"infra}]}\n",
		"---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: "
		"a}\n"
		"spec: {parentRefs: [{name: g0, namespace: infra}]}\n"};
	struct rng rng;
	char *want = NULL;

	rng_seed(&rng, 3);
	for (int round = 0; round < 20; round++) {
		struct world w;
		char name[8];
		char *have;

		world_init(&w);
		for (int done = 0; done != 63;) {
			int i = (int)rng_below(&rng, 6);

			snprintf(name, sizeof(name), "g%d", i - 4);
			put(&w, (const char *[]){"a", "b", "c", "d", "e", "f"}[i],
				i < 4 ? texts[i] : gateway_text(name, ""));
			done |= 1 << i;
			/* Plans in between leave no trace, either. */
			if (rng_below(&rng, 2) != 0)
				plan_put(w.plan), w.plan = NULL;
		}
		w.now = 100;
		have = status_text(next(&w));
		if (want == NULL)
			want = have;
		else
			assert_string_equal(have, want), free(have);
		world_fini(&w);
	}
	free(want);
}

/* 1 000 routes with a Service and a slice each, one file per route. */
static void big_world(struct world *w)
{
	char path[32], text[2048];

	world_init(w);
	put(w, "0.yaml", CLASS);
	put(w, "1.yaml",
		"apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
		"metadata: {name: gw, namespace: infra}\nspec:\n  gatewayClassName: sluice\n"
		"  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: "
		"{from: "
		"All}}}]\n");
	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "r%04d.yaml", i);
		snprintf(text, sizeof(text),
			"apiVersion: gateway.networking.k8s.io/v1\n"
			"kind: HTTPRoute\nmetadata: {name: r%d, namespace: demo}\nspec:\n"
			"  parentRefs: [{name: gw, namespace: infra}]\n  hostnames: "
			"[r%d.example.com]\n"
			"  rules:\n  - backendRefs: [{name: s%d, port: 80, weight: 80}]\n---\n"
			"apiVersion: v1\nkind: Service\nmetadata: {name: s%d, namespace: demo}\n"
			"spec: {ports: [{port: 80}]}\n---\napiVersion: discovery.k8s.io/v1\n"
			"kind: EndpointSlice\nmetadata: {name: s%d, namespace: demo, labels: "
			"{kubernetes.io/service-name: s%d}}\naddressType: IPv4\nports: [{port: "
			"8080}]\n"
			"endpoints: [{addresses: [10.0.%d.%d]}]\n",
			i, i, i, i, i, i, i / 250, i % 250);
		put(w, path, text);
	}
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void a_thousand_routes_are_planned_whole(void **state)
{
	struct world w;
	double best = 1e9;

	big_world(&w);
	for (int i = 0; i < 5; i++) {
		char text[512];
		double t;

		snprintf(text, sizeof(text),
			"apiVersion: gateway.networking.k8s.io/v1\n"
			"kind: HTTPRoute\nmetadata: {name: extra, namespace: demo}\nspec:\n"
			"  parentRefs: [{name: gw, namespace: infra}]\n  rules:\n"
			"  - backendRefs: [{name: s1, port: 80, weight: %d}]\n",
			i);
		t = now_ms();
		put(&w, "x.yaml", text);
		next(&w);
		t = now_ms() - t;
		if (t < best)
			best = t;
	}
	print_message("one edit, view and plan: %.2f ms\n", best);
	assert_int_equal(w.plan->serving_routes, 1001);
	assert_int_equal(w.plan->services_count, 1000);
	assert_int_equal(w.plan->gateways[0].listeners[0].attached_routes, 1001);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programmed_waits_for_the_acknowledgement_of_this_generation),
		cmocka_unit_test(a_reason_may_change_without_the_transition_time),
		cmocka_unit_test(an_assigned_address_stays),
		cmocka_unit_test(a_cluster_that_only_lends_endpoints_has_nothing_to_be_served),
		cmocka_unit_test(a_cluster_that_was_removed_has_no_part_in_anything),
		cmocka_unit_test(a_broken_address_book_is_an_error),
		cmocka_unit_test(the_order_of_files_does_not_matter),
		cmocka_unit_test(a_thousand_routes_are_planned_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
