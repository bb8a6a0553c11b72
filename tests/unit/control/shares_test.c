// SPDX-License-Identifier: Apache-2.0
/*
 * shares_test.c: the traffic formula: what operators say about clusters and routes about backends
 * becomes weights, at both levels.
 *
 * A backend's name says where it runs: "a3b7-1" is a ServiceImport exported by cluster a, where it
 * has three endpoints, and by cluster b, where it has seven and one more that drains.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/reconcile/plan.h"
#include "dataplane/base/rng.h"

struct row {
	const char *name;
	const char *
		clusters; /* "<name><weight>[drain[points]|disabled|config] ..."; others: defaults */
	const char *refs; /* "<weight> <backend>, ..." */
	const char *want; /* "<weight> ...", then of each backend "<cluster><weight> ..." */
};

static const struct row rows[] = {
	{"a lone cluster's endpoints are equal", "a7", "1 a2", "1; a2: a1 a1"},
	{"clusters are equal, however many endpoints they have", "", "1 a3b1",
		"1; a3b1: a1 a1 a1 b3"},
	{"and in the smallest numbers that say so", "", "1 a2b3", "1; a2b3: a3 a3 b2 b2 b2"},
	{"by the operator's weight", "a99 b1", "1 a1b1", "1; a1b1: a99 b1"},
	{"a third and two thirds", "a50", "1 a2b1", "1; a2b1: a1 a1 b4"},
	{"a cluster that drains keeps its endpoints without weight", "a100drain", "1 a1b2",
		"1; a1b2: a0 b1 b1"},
	{"on its way there it keeps their weight, and loses against other backendRefs",
		"a100drain40", "50 a1, 50 b1, 50 a1b1", "30 50 40; a1: a1; b1: b1; a1b1: a1 b1"},
	{"one that is disabled has none", "a100disabled", "1 a1b2", "1; a1b2: b1 b1"},
	{"weight 0 is as drained", "a0", "1 a1b2", "1; a1b2: a0 b1 b1"},
	{"one that is there for its configuration lends nothing", "b100config", "1 a1b2",
		"1; a1b2: a1"},
	{"one without endpoints leaves its share to the others", "a300", "1 a0b2c1",
		"1; a0b2c1: b1 b1 c2"},
	{"those that drain are weighed among themselves", "a300", "1 a0-2b2c1-1",
		"1; a0-2b2c1-1: a3 a3 b1 b1 c2 c2"},
	{"a factor weighs against the other backendRefs", "b50", "50 a1, 50 b1",
		"50 25; a1: a1; b1: b1"},
	{"the mean of those of its clusters", "b100drain", "50 a1b1, 50 a1",
		"25 50; a1b1: a1 b0; a1: a1"},
	{"whether they have endpoints or not", "b100drain", "50 a1b0, 50 a1",
		"25 50; a1b0: a1; a1: a1"},
	{"a drained backendRef leaves its share to the others", "a100drain", "80 a1, 20 b1",
		"0 20; a1: a0; b1: b1"},
	{"unless it is the last one: 503 for each one's share", "a100drain b100disabled",
		"80 a1, 20 b1", "80 20; a1: a0; b1:"},
	{"weights that are all zero stay so", "a50", "0 a1, 0 b1", "0 0; a1: a1; b1: b1"},
	{"no endpoints is no reason to shift anything", "", "80 a0, 20 b1", "80 20; a0:; b1: b1"},
	{"fractions are scaled up", "a55", "1 a1, 1 b1", "11 20; a1: a1; b1: b1"},
	{"thirds as exactly as there is room", "c100drain", "80 a1b1c1, 20 a1",
		"8 3; a1b1c1: a1 b1 c0; a1: a1"},
	{"the largest weights there are", "a1000000", "1000000 a1, 1000000 b1",
		"10000 1; a1: a1; b1: b1"},
	{"a trace of a share is no nothing", "a1000000 b1", "1000000 a1, 1 b1",
		"1000000 1; a1: a1; b1: b1"},
	{"inside a backend as well", "a1000000 b1", "1 a1b1", "1; a1b1: a65535 b1"},
};

/* --- manifests --- */

static void head(FILE *f)
{
	fprintf(f,
		"apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\n"
		"metadata: {name: sluice}\n"
		"spec: {controllerName: gateway.sluice.internal/controller}\n"
		"---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
		"metadata: {name: gw}\nspec: {gatewayClassName: sluice, addresses: "
		"[{value: 203.0.113.1}], listeners: [{name: http, port: 80, protocol: HTTP}]}\n"
		"---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
		"metadata: {name: r}\nspec:\n  parentRefs: [{name: gw}]\n  rules:\n"
		"  - backendRefs:\n");
}

static void add_refs(FILE *f, const char *refs)
{
	unsigned weight;
	char name[64];
	int len;

	for (; sscanf(refs, " %u %63[^,]%n", &weight, name, &len) == 2; refs += len) {
		fprintf(f,
			"    - {group: multicluster.x-k8s.io, kind: ServiceImport, name: %s, "
			"port: 80, weight: %u}\n",
			name, weight);
		len += refs[len] == ',';
	}
}

static void add_endpoints(FILE *f, char cluster, unsigned n, unsigned ready)
{
	fprintf(f, "- {addresses: [10.%d.%u.%u]%s}\n", cluster - 'a' + 1, n / 250, n % 250 + 1,
		n < ready ? "" : ", conditions: {ready: false, serving: true, terminating: true}");
}

/* The part of <name> that is in <cluster>. */
static void add_service(FILE *f, const char *name, char cluster)
{
	const char *at = strchr(name, cluster);
	unsigned ready = 0, draining = 0;

	if (at == NULL || sscanf(at + 1, "%u-%u", &ready, &draining) < 1)
		return;
	fprintf(f,
		"---\napiVersion: multicluster.x-k8s.io/v1beta1\nkind: ServiceExport\n"
		"metadata: {name: %s}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: %s}\n"
		"spec: {ports: [{port: 80}]}\n---\napiVersion: discovery.k8s.io/v1\n"
		"kind: EndpointSlice\nmetadata: {name: %s, labels: {kubernetes.io/service-name: "
		"%s}}\naddressType: IPv4\nports: [{port: 8080}]\nendpoints:%s\n",
		name, name, name, name, ready + draining == 0 ? " []" : "");
	for (unsigned n = 0; n < ready + draining; n++)
		add_endpoints(f, cluster, n, ready);
}

static void add_import(FILE *f, const char *name)
{
	fprintf(f,
		"---\napiVersion: multicluster.x-k8s.io/v1beta1\nkind: ServiceImport\n"
		"metadata: {name: %s}\nspec: {type: ClusterSetIP, ports: [{port: 80}]}\n",
		name);
}

static void put_cluster(struct store *s, char cluster, const char *refs)
{
	char name[64], path[2] = {cluster, '\0'};
	unsigned weight;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int len;

	if (cluster == 'a') {
		head(f);
		add_refs(f, refs);
	}
	for (const char *at = refs; sscanf(at, " %u %63[^,]%n", &weight, name, &len) == 2;
		at += len) {
		if (cluster == 'a')
			add_import(f, name);
		add_service(f, name, cluster);
		len += at[len] == ',';
	}
	fclose(f);
	if (size != 0)
		store_put_text(s, (struct str){path, 1}, path,
			cluster == 'a' ? str_of(text) : str_from(str_of(text), 4));
	free(text);
}

static struct clusters *clusters_of(const char *text)
{
	static const char rest[] = "abcdef";
	struct cluster list[16] = {0};
	uint32_t n = 0;
	unsigned points;
	char word[16];
	int len;

	for (; sscanf(text, " %*c%u%n", &list[n].weight, &len) == 1; text += len, n++) {
		list[n].name = (struct str){text + strspn(text, " "), 1};
		list[n].roles = CLUSTER_ROLES_ALL;
		list[n].admin = CLUSTER_ACTIVE;
		text += len;
		len = 0;
		if (sscanf(text, "%15[a-z]%n", word, &len) != 1)
			continue;
		if (strcmp(word, "config") == 0)
			list[n].roles = CLUSTER_ROLE_CONFIG;
		else
			list[n].admin =
				strcmp(word, "drain") == 0 ? CLUSTER_DRAIN : CLUSTER_DISABLED;
		if (list[n].admin == CLUSTER_DRAIN) {
			int more = 0;

			sscanf(text + len, "%u%n", &points, &more);
			list[n].withheld = (uint16_t)(more > 0 ? 10 * points : CLUSTER_WHOLE);
			len += more;
		}
	}
	for (unsigned i = 0; i < sizeof(rest) - 1; i++) { /* those of which nothing is said */
		bool named = false;

		for (unsigned k = 0; k < n; k++)
			named |= list[k].name.p[0] == rest[i];
		if (!named)
			list[n++] = (struct cluster){.name = {&rest[i], 1},
				.roles = CLUSTER_ROLES_ALL,
				.admin = CLUSTER_ACTIVE,
				.weight = CLUSTER_WEIGHT_DEFAULT};
	}
	return clusters_new(list, n);
}

static struct plan *plan_of(const char *clusters, const char *refs)
{
	struct control_config config = {
		.controller_name = STR("gateway.sluice.internal/controller")};
	struct store *store = store_new();
	struct plan_input in = {.config = &config, .clusters = clusters_of(clusters)};
	struct plan *p;

	for (char c = 'a'; c <= 'c'; c++)
		put_cluster(store, c, refs);
	in.view = store_view(store);
	assert_int_equal(in.view->fatal_count, 0);
	p = plan_build(&in);
	clusters_put(in.clusters);
	view_put(in.view);
	store_free(store);
	return p;
}

/* --- rows --- */

static char *text_of(const struct plan *p)
{
	const struct plan_rule *rule = &p->routes[0].rules[0];
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	for (uint32_t i = 0; i < rule->spec->backends_count; i++)
		fprintf(f, "%s%u", i ? " " : "", rule->backends[i].weight);
	for (uint32_t i = 0; i < rule->spec->backends_count; i++) {
		const struct plan_service *s = rule->backends[i].service;

		assert_non_null(s);
		fprintf(f, "; %.*s:", STR_FMT(s->obj->name));
		for (uint32_t k = 0; k < s->endpoints_count; k++)
			fprintf(f, " %.*s%u", STR_FMT(s->endpoints[k].cluster),
				s->endpoints[k].weight);
	}
	fclose(f);
	return text;
}

static void row_holds(void **state)
{
	const struct row *row = *state;
	struct plan *p = plan_of(row->clusters, row->refs);
	char *text = text_of(p);

	assert_string_equal(text, row->want);
	free(text);
	plan_put(p);
}

/* --- all kinds of numbers --- */

static void check_service(const struct plan_service *s)
{
	double total = 0, factors = 0, sum[3] = {0};

	for (uint32_t i = 0; i < s->endpoints_count; i++) {
		assert_true(s->endpoints[i].weight > 0);
		sum[s->endpoints[i].cluster_index] += s->endpoints[i].weight;
		total += s->endpoints[i].weight;
	}
	for (uint32_t c = 0; c < s->clusters_count; c++)
		factors += plan_cluster_factor(&s->clusters[c]);
	for (uint32_t c = 0; c < s->clusters_count; c++) {
		double off = sum[c] / total - plan_cluster_factor(&s->clusters[c]) / factors;

		if (off > 0.001 || off < -0.001)
			fail_msg("%.*s cluster %u is off by %f", STR_FMT(s->obj->name), c, off);
	}
}

/* However uneven, a share is right within a tenth of a percent of all requests. */
static void shares_of_any_numbers_are_right(void **state)
{
	struct rng rng;

	rng_seed(&rng, 5);
	for (int i = 0; i < 100; i++) {
		uint32_t scale = 1u << (1 + rng_below(&rng, 7));
		char clusters[64], refs[64];
		struct plan *p;

		snprintf(clusters, sizeof(clusters), "a%u b%u c%u",
			(unsigned)rng_below(&rng, 200) + 1, (unsigned)rng_below(&rng, 200) + 1,
			(unsigned)rng_below(&rng, 200) + 1);
		snprintf(refs, sizeof(refs), "1 a%ub%uc%u", (unsigned)rng_below(&rng, scale) + 1,
			(unsigned)rng_below(&rng, 7) + 1, (unsigned)rng_below(&rng, scale) + 1);
		p = plan_of(clusters, refs);
		check_service(p->routes[0].rules[0].backends[0].service);
		plan_put(p);
	}
}

int main(void)
{
	struct CMUnitTest tests[sizeof(rows) / sizeof(rows[0]) + 1];
	size_t n = 0;

	for (; n < sizeof(rows) / sizeof(rows[0]); n++)
		tests[n] =
			(struct CMUnitTest){rows[n].name, row_holds, NULL, NULL, (void *)&rows[n]};
	tests[n++] =
		(struct CMUnitTest){"shares of any numbers are right within a tenth of a percent",
			shares_of_any_numbers_are_right, NULL, NULL, NULL};
	return _cmocka_run_group_tests("shares", tests, n, NULL, NULL);
}
