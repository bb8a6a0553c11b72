// SPDX-License-Identifier: Apache-2.0
/*
 * store_api_test.c: what an API server's lists and events do to the objects that are in use; and
 * that the same manifests mean the same whichever way they come.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/compile/compile.h"
#include "control/model/secret.h"
#include "control/reconcile/plan.h"
#include "control/store/store_api.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/snapshot/snapshot.h"
#include "manifest_json.h"

#define EAST STR("us-east")
#define GOLDEN_DIR "tests/golden"

static enum store_change upsert(struct store *s, enum kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static enum store_change upsert(struct store *s, enum kind kind, const char *fmt, ...)
{
	enum store_change change;
	char text[2048];
	va_list ap;
	json_t *j;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	j = manifest_json_text(text);
	assert_non_null(j);
	change = store_api_upsert(store_api_kind(s, EAST, kind), j);
	json_decref(j);
	return change;
}

/* Each upsert has a new resourceVersion, and a uid that a test may fix. */
static enum store_change service(struct store *s, const char *name, int port)
{
	char text[512];
	enum store_change change;
	json_t *j;

	snprintf(text, sizeof(text),
		"{apiVersion: v1, kind: Service, metadata: {name: %s, namespace: demo}, "
		"spec: {ports: [{port: %d}]}}",
		name, port);
	j = manifest_json_text(text);
	json_object_set_new(json_object_get(j, "metadata"), "uid", json_string(name));
	change = store_api_upsert(store_api_kind(s, EAST, KIND_SERVICE), j);
	json_decref(j);
	return change;
}

/* "a:80 b:81" of the Services of the present view, "!" behind it when there are problems. */
static const char *services(struct store *s)
{
	static char buf[512];
	struct view *v = store_view(s);
	size_t n = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < v->kinds[KIND_SERVICE].count; i++) {
		const struct object *o = v->kinds[KIND_SERVICE].objects[i];

		n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%s%.*s:%u", i ? " " : "",
			STR_FMT(o->name), o->service->ports[0].port);
	}
	if (v->fatal_count != 0)
		snprintf(buf + n, sizeof(buf) - n, "!");
	view_put(v);
	return buf;
}

static void nothing_takes_part_before_the_gate_is_open(void **state)
{
	struct store *s = store_new();
	uint64_t before = store_revision(s);

	assert_int_equal(service(s, "a", 80), STORE_CHANGED);
	assert_int_equal(store_revision(s), before);
	assert_string_equal(services(s), "");
	store_api_gate(s, EAST);
	assert_true(store_api_gate_is_open(s, EAST));
	assert_string_equal(services(s), "a:80");
	store_free(s);
}

static void an_object_that_is_not_valid_keeps_its_last_good_version(void **state)
{
	struct store *s = store_new();
	struct view *v;

	store_api_gate(s, EAST);
	service(s, "a", 80);
	assert_int_equal(service(s, "a", 0), STORE_BROKEN);
	assert_string_equal(services(s), "a:80!");
	v = store_view(s);
	assert_true(v->problems[0].stale);
	assert_true(str_starts(v->problems[0].text,
		STR("cluster us-east: Service demo/a: spec.ports[0].port: must be between")));
	view_put(v);
	assert_int_equal(service(s, "b", 0), STORE_BROKEN);
	assert_string_equal(services(s), "a:80!");
	assert_int_equal(store_api_problems(store_api_kind(s, EAST, KIND_SERVICE)), 2);
	assert_int_equal(service(s, "a", 81), STORE_CHANGED);
	assert_int_equal(service(s, "b", 82), STORE_CHANGED);
	assert_string_equal(services(s), "a:81 b:82");
	assert_int_equal(store_api_broken(store_api_kind(s, EAST, KIND_SERVICE)), 2);
	store_free(s);
}

static void what_is_written_wrongly_again_and_again_makes_no_new_view(void **state)
{
	struct store *s = store_new();
	uint64_t revision;

	store_api_gate(s, EAST);
	assert_int_equal(service(s, "a", 0), STORE_BROKEN);
	revision = store_revision(s);
	for (int i = 0; i < 3; i++)
		assert_int_equal(service(s, "a", 0), STORE_SAME);
	assert_int_equal(store_revision(s), revision);
	assert_int_equal(store_api_broken(store_api_kind(s, EAST, KIND_SERVICE)), 4);
	assert_int_equal(store_api_problems(store_api_kind(s, EAST, KIND_SERVICE)), 1);
	assert_int_equal(service(s, "a", 80), STORE_CHANGED);
	store_free(s);
}

static void a_list_forgets_what_it_does_not_name(void **state)
{
	struct store *s = store_new();
	struct store_kind *k = store_api_kind(s, EAST, KIND_SERVICE);

	store_api_gate(s, EAST);
	service(s, "a", 80);
	service(s, "b", 80);
	service(s, "c", 80);
	store_api_begin(k);
	service(s, "b", 81);
	store_api_end(k, false);
	assert_string_equal(services(s), "a:80 b:81 c:80");
	store_api_begin(k);
	service(s, "b", 82);
	store_api_end(k, true);
	assert_string_equal(services(s), "b:82");
	assert_int_equal(store_api_count(k), 1);
	store_free(s);
}

/* A role that comes later brings kinds of which half a list may be here. */
static void a_kind_may_be_hidden_behind_an_open_gate(void **state)
{
	struct store *s = store_new();
	struct store_kind *k;
	uint64_t revision;

	store_api_gate(s, EAST);
	assert_null(store_api_find(s, EAST, KIND_SERVICE));
	k = store_api_kind(s, EAST, KIND_SERVICE);
	assert_ptr_equal(store_api_find(s, EAST, KIND_SERVICE), k);
	store_api_hide(k, true);
	revision = store_revision(s);
	service(s, "a", 80);
	service(s, "b", 0);
	assert_string_equal(services(s), "");
	assert_int_equal(store_revision(s), revision);
	store_api_hide(k, false);
	assert_true(store_revision(s) > revision);
	assert_string_equal(services(s), "a:80!");
	store_free(s);
}

static void a_view_knows_what_could_not_be_seen(void **state)
{
	struct store *s = store_new();
	struct store_kind *k = store_api_kind(s, EAST, KIND_CONFIG_MAP);
	struct view *v;

	store_api_gate(s, EAST);
	assert_int_equal(store_api_unseen(k, true), STORE_CHANGED);
	assert_int_equal(store_api_unseen(k, true), STORE_SAME);
	v = store_view(s);
	assert_true(view_is_unseen(v, KIND_CONFIG_MAP, EAST));
	assert_false(view_is_unseen(v, KIND_CONFIG_MAP, STR("us-west")));
	assert_false(view_is_unseen(v, KIND_SECRET, EAST));
	view_put(v);
	assert_int_equal(store_api_unseen(k, false), STORE_CHANGED);
	v = store_view(s);
	assert_false(view_is_unseen(v, KIND_CONFIG_MAP, EAST));
	view_put(v);
	store_free(s);
}

/* Nothing is kept of those beyond the problems that are told. */
static void objects_that_are_not_valid_take_bounded_room(void **state)
{
	struct store *s = store_new();
	struct store_kind *k = store_api_kind(s, EAST, KIND_SERVICE);
	struct view *v;
	char name[16];

	store_api_gate(s, EAST);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "b%d", i);
		assert_int_equal(service(s, name, 0),
			i < (int)STORE_KIND_PROBLEMS_MAX ? STORE_BROKEN : STORE_SAME);
	}
	assert_int_equal(store_api_problems(k), STORE_KIND_PROBLEMS_MAX);
	assert_int_equal(store_api_broken(k), 1000);
	assert_int_equal(service(s, "b999", 80), STORE_CHANGED);
	assert_int_equal(service(s, "b999", 0), STORE_SAME); /* its good version stays */
	v = store_view(s);
	assert_int_equal(v->kinds[KIND_SERVICE].count, 1);
	view_put(v);
	store_free(s);
}

static void the_end_of_a_problem_is_news(void **state)
{
	struct store *s = store_new();
	struct store_kind *k = store_api_kind(s, EAST, KIND_SERVICE);
	uint64_t revision;

	store_api_gate(s, EAST);
	service(s, "a", 80);
	assert_int_equal(service(s, "b", 0), STORE_BROKEN);
	revision = store_revision(s);
	store_api_begin(k);
	service(s, "a", 80);
	assert_int_equal(store_api_end(k, true), STORE_CHANGED);
	assert_true(store_revision(s) > revision);
	assert_string_equal(services(s), "a:80");
	assert_int_equal(service(s, "a", 0), STORE_BROKEN);
	assert_int_equal(service(s, "a", 80), STORE_CHANGED);
	store_api_begin(k);
	service(s, "a", 80);
	assert_int_equal(store_api_end(k, true), STORE_SAME);
	assert_string_equal(services(s), "a:80");
	store_free(s);
}

static void a_deletion_needs_only_the_name(void **state)
{
	struct store *s = store_new();
	struct store_kind *k = store_api_kind(s, EAST, KIND_SERVICE);
	json_t *j = json_pack("{s:{s:s, s:s}}", "metadata", "namespace", "demo", "name", "a");

	store_api_gate(s, EAST);
	service(s, "a", 80);
	assert_int_equal(store_api_delete(k, j), STORE_CHANGED);
	assert_int_equal(store_api_delete(k, j), STORE_SAME);
	assert_string_equal(services(s), "");
	json_decref(j);
	store_free(s);
}

static void a_change_of_status_alone_makes_no_new_view(void **state)
{
	static const char class[] =
		"{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, "
		"metadata: {name: x, annotations: {a: b}}, "
		"spec: {controllerName: a.b/c}, status: {conditions: [{type: %s}]}}";
	struct store *s = store_new();
	struct store_kind *k = store_api_kind(s, EAST, KIND_GATEWAY_CLASS);
	struct view *v, *w;
	char text[512];
	json_t *j[2];

	store_api_gate(s, EAST);
	for (int i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), class, i ? "Two" : "One");
		j[i] = manifest_json_text(text);
		json_object_set_new(json_object_get(j[i], "metadata"), "uid", json_string("u"));
	}
	assert_int_equal(store_api_upsert(k, j[0]), STORE_CHANGED);
	assert_int_equal(store_api_upsert(k, j[0]), STORE_SAME);
	v = store_view(s);
	assert_int_equal(store_api_upsert(k, j[1]), STORE_STATUS);
	w = store_view(s);
	assert_ptr_equal(v, w);
	assert_true(str_eq(store_latest(s, KIND_GATEWAY_CLASS, EAST, STR(""), STR("x"))->status,
		STR("{\"conditions\":[{\"type\":\"Two\"}]}")));
	json_object_set_new(json_object_get(json_object_get(j[1], "metadata"), "annotations"), "a",
		json_string("c"));
	json_object_set_new(json_object_get(j[1], "metadata"), "resourceVersion", json_string("0"));
	assert_int_equal(store_api_upsert(k, j[1]), STORE_CHANGED);
	view_put(v);
	view_put(w);
	json_decref(j[0]);
	json_decref(j[1]);
	store_free(s);
}

static void what_the_server_knows_of_an_object_stays_with_it(void **state)
{
	struct store *s = store_new();
	const struct object *o;

	assert_int_equal(
		upsert(s, KIND_GATEWAY,
			"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: "
			"{name: g, namespace: ns, creationTimestamp: '2026-01-02T03:04:05Z', "
			"deletionTimestamp: '2026-01-02T03:04:06Z', managedFields: [{a: b}], "
			"annotations: {kubectl.kubernetes.io/last-applied-configuration: x, k: "
			"v}}, "
			"spec: {gatewayClassName: c, listeners: [{name: l, port: 80, protocol: "
			"HTTP}]}}"),
		STORE_CHANGED);
	o = store_latest(s, KIND_GATEWAY, EAST, STR("ns"), STR("g"));
	assert_non_null(o);
	assert_int_equal(o->generation, 1);
	assert_true(o->uid.len != 0 && o->resource_version.len != 0);
	assert_int_equal(o->created, 1767323045);
	assert_int_equal(o->deleted, 1767323046);
	assert_int_equal(o->annotations.count, 1);
	assert_null(o->file);
	store_free(s);
}

static void wrong_types_cost_the_object_only(void **state)
{
	static const char *const rows[] = {
		"{apiVersion: v1, kind: Service, metadata: {name: a, namespace: ns, labels: [1]}, "
		"spec: {ports: [{port: 80}]}}",
		"{apiVersion: v1, kind: Service, metadata: {name: a, namespace: ns}, spec: 5}",
		"{apiVersion: v1, kind: Service, metadata: {name: a, namespace: ns}, "
		"spec: {ports: {port: 80}}}",
		"{apiVersion: v1, kind: Service, metadata: {name: a, namespace: ns}, "
		"spec: {ports: [{port: 80.5}]}}",
		"{apiVersion: v1, kind: Service, metadata: {name: a, namespace: ns, "
		"creationTimestamp: yesterday}, spec: {ports: [{port: 80}]}}",
	};
	struct store *s = store_new();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(upsert(s, KIND_SERVICE, "%s", rows[i]), STORE_BROKEN);
	assert_int_equal(store_api_count(store_api_kind(s, EAST, KIND_SERVICE)), 0);
	store_free(s);
}

static void depth_is_bounded(void **state)
{
	struct store *s = store_new();
	json_t *j = manifest_json_text("{apiVersion: v1, kind: Service, metadata: {name: a, "
				       "namespace: ns}, spec: {ports: [{port: 80}]}}");
	json_t *deep = json_array();

	for (int i = 0; i < 1000; i++)
		deep = json_pack("[o]", deep);
	json_object_set_new(j, "deep", deep);
	assert_int_equal(store_api_upsert(store_api_kind(s, EAST, KIND_SERVICE), j), STORE_BROKEN);
	json_decref(j);
	store_free(s);
}

static void a_secret_keeps_what_a_gateway_reads(void **state)
{
	struct store *s = store_new();
	const struct object *o;

	assert_int_equal(
		upsert(s, KIND_SECRET,
			"{apiVersion: v1, kind: Secret, type: kubernetes.io/tls, metadata: "
			"{name: a, namespace: ns}, data: {tls.crt: aGVsbG8=, other: aGVsbG8=}, "
			"stringData: {kubeconfig: text}}"),
		STORE_CHANGED);
	o = store_latest(s, KIND_SECRET, EAST, STR("ns"), STR("a"));
	assert_int_equal(o->secret->known.count, 2);
	assert_true(str_eq(kv_find(&o->secret->known, STR("tls.crt")), STR("hello")));
	assert_true(str_eq(kv_find(&o->secret->known, STR("kubeconfig")), STR("text")));
	assert_int_equal(upsert(s, KIND_SECRET,
				 "{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: "
				 "n}, "
				 "data: {tls.crt: 'a?'}}"),
		STORE_BROKEN);
	store_free(s);
}

static void a_cluster_that_is_removed_takes_its_objects_with_it(void **state)
{
	struct store *s = store_new();

	store_api_gate(s, EAST);
	service(s, "a", 80);
	store_put_text(s, STR("us-west"), "f.yaml",
		STR("{apiVersion: v1, kind: Service, metadata: {name: w}, spec: {ports: [{port: "
		    "1}]}}"));
	assert_string_equal(services(s), "a:80 w:1");
	store_remove_cluster(s, EAST);
	assert_string_equal(services(s), "w:1");
	store_remove_cluster(s, STR("us-west"));
	assert_string_equal(services(s), "");
	store_free(s);
}

/* --- the same manifests by directory and by API server --- */

static char *outcome(struct store *s, const struct control_config *config)
{
	struct plan_input in = {.now_s = 1, .view = store_view(s), .config = config};
	struct plan *p = plan_build(&in);
	struct build_config build;
	struct snapshot snap;
	struct arena arena;
	struct err err;
	json_t *status, *j;
	char *text = NULL;
	void *image;
	size_t len, i;
	FILE *f = open_memstream(&text, &len);

	arena_init(&arena, 0);
	compile_plan(p, 1, &arena, &build);
	assert_int_equal(snapshot_build(&build, &image, &len, &err), 0);
	assert_int_equal(snapshot_open(image, len, &snap, &err), 0);
	snapshot_dump(&snap, f);
	free(image);
	status = plan_status_json(p);
	json_array_foreach (status, i, j)
		json_object_del(j, "source");
	json_dumpf(status, f, JSON_INDENT(1) | JSON_SORT_KEYS);
	json_decref(status);
	fclose(f);
	arena_fini(&arena);
	plan_put(p);
	view_put(in.view);
	return text;
}

/* Of two objects of one name a directory takes the first; a server has but one. */
static void feed(void *arg, struct str cluster, json_t *object)
{
	const json_t *meta = json_object_get(object, "metadata");
	enum kind kind = kind_of(str_of(json_string_value(json_object_get(object, "apiVersion"))),
		str_of(json_string_value(json_object_get(object, "kind"))));
	const char *ns = json_string_value(json_object_get(meta, "namespace"));
	const char *name = json_string_value(json_object_get(meta, "name"));

	if (!kind_info[kind].namespaced)
		ns = "";
	if (ns == NULL || name == NULL ||
		store_latest(arg, kind, cluster, str_of(ns), str_of(name)))
		return;
	store_api_upsert(store_api_kind(arg, cluster, kind), object);
}

/* A server says which release of the API it has, a directory does not. */
static void feed_definition(struct store *s, struct str cluster)
{
	json_t *crd = json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}}}", "apiVersion",
		"apiextensions.k8s.io/v1", "kind", "CustomResourceDefinition", "metadata", "uid",
		"crd", "name", "gateways.gateway.networking.k8s.io", "annotations",
		"gateway.networking.k8s.io/bundle-version", "v1.7.0");

	assert_non_null(crd);
	store_api_upsert(store_api_kind(s, cluster, KIND_CRD), crd);
	json_decref(crd);
}

static void same_objects(const char *name)
{
	struct store *dir = store_new(), *api = store_new();
	struct control_config config;
	autofree char *path = NULL, *a = NULL, *b = NULL;
	struct err err;

	assert_true(asprintf(&path, GOLDEN_DIR "/%s/in/control.yaml", name) > 0);
	assert_int_equal(control_config_load(path, &config, &err), 0);
	for (uint32_t i = 0; i < config.clusters_count; i++) {
		const struct config_cluster *k = &config.clusters[i];

		assert_int_equal(store_load_dir(dir, k->name, k->directory, &err), 0);
		manifest_json_dir(k->name, k->directory, feed, api);
		feed_definition(api, k->name);
		store_api_gate(api, k->name);
	}
	a = outcome(dir, &config);
	b = outcome(api, &config);
	for (const char *x = a, *y = b; *x != '\0' || *y != '\0';) {
		size_t m = strcspn(x, "\n"), n = strcspn(y, "\n");

		if (m != n || memcmp(x, y, m) != 0)
			fail_msg("%s:\n  directory  %.*s\n  API server %.*s", name, (int)m, x,
				(int)n, y);
		x += m + (x[m] == '\n');
		y += n + (y[n] == '\n');
	}
	store_free(dir);
	store_free(api);
	control_config_fini(&config);
}

/* It costs itself: what is there stays, may change, and makes room when it goes. */
static void a_cluster_has_so_much_room_and_no_more(void **state)
{
	struct store *s = store_new();
	struct store_kind *k = store_api_kind(s, EAST, KIND_SERVICE);
	char name[16];
	uint32_t n = 0;
	json_t *j;

	store_api_bound(s, 128 << 10);
	do
		snprintf(name, sizeof(name), "a%u", n++);
	while (n < 1000 && service(s, name, 80) == STORE_CHANGED);
	assert_true(n > 2 && n < 100);
	assert_int_equal(store_api_count(k), n - 1);
	assert_int_equal(store_api_problems(k), 1);
	assert_int_equal(service(s, "a0", 81), STORE_CHANGED);
	assert_int_equal(service(s, "b", 80), STORE_BROKEN);
	j = json_pack("{s:{s:s, s:s}}", "metadata", "namespace", "demo", "name", "a0");
	assert_int_equal(store_api_delete(k, j), STORE_CHANGED);
	json_decref(j);
	assert_int_equal(service(s, "b", 80), STORE_CHANGED);
	/* what is listed anew has all of it again */
	store_api_begin(k);
	store_api_end(k, true);
	for (uint32_t i = 0; i + 1 < n; i++) {
		snprintf(name, sizeof(name), "a%u", i);
		assert_int_equal(service(s, name, 80), STORE_CHANGED);
	}
	store_free(s);
}

static void the_same_manifests_mean_the_same_by_either_way(void **state)
{
	struct dirent **names;
	int n = scandir(GOLDEN_DIR, &names, NULL, alphasort), done = 0;

	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.') {
			same_objects(names[i]->d_name);
			done++;
		}
		free(names[i]);
	}
	free(names);
	assert_true(done >= 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_takes_part_before_the_gate_is_open),
		cmocka_unit_test(an_object_that_is_not_valid_keeps_its_last_good_version),
		cmocka_unit_test(what_is_written_wrongly_again_and_again_makes_no_new_view),
		cmocka_unit_test(a_list_forgets_what_it_does_not_name),
		cmocka_unit_test(a_kind_may_be_hidden_behind_an_open_gate),
		cmocka_unit_test(a_view_knows_what_could_not_be_seen),
		cmocka_unit_test(objects_that_are_not_valid_take_bounded_room),
		cmocka_unit_test(the_end_of_a_problem_is_news),
		cmocka_unit_test(a_deletion_needs_only_the_name),
		cmocka_unit_test(a_change_of_status_alone_makes_no_new_view),
		cmocka_unit_test(what_the_server_knows_of_an_object_stays_with_it),
		cmocka_unit_test(wrong_types_cost_the_object_only),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(a_secret_keeps_what_a_gateway_reads),
		cmocka_unit_test(a_cluster_that_is_removed_takes_its_objects_with_it),
		cmocka_unit_test(a_cluster_has_so_much_room_and_no_more),
		cmocka_unit_test(the_same_manifests_mean_the_same_by_either_way),
	};

	if (chdir(SOURCE_ROOT) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
