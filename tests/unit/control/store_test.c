// SPDX-License-Identifier: Apache-2.0
/*
 * store_test.c: what an edit of a file does to the objects that are in use, and what it never does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/model/gateway.h"
#include "control/model/service.h"
#include "control/store/store.h"

#define EAST STR("us-east")

/* A Service <name> with this port; port 0 is not valid. */
static const char *service_text(const char *name, int port)
{
	static char buf[8][256];
	static unsigned turn;
	char *b = buf[turn++ % 8];

	snprintf(b, sizeof(buf[0]),
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: %s, "
		"namespace: demo}\nspec: {ports: [{port: %d}]}\n",
		name, port);
	return b;
}

static void put2(struct store *s, const char *path, const char *a, const char *b)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s%s", a, b);
	store_put_text(s, EAST, path, str_of(text));
}

/* "a:80 b:81" of the Services of the present view, with generations as "@2" where not 1. */
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
		if (o->generation != 1)
			n += (size_t)snprintf(buf + n, sizeof(buf) - n, "@%d", (int)o->generation);
	}
	view_put(v);
	return buf;
}

/* The fatal problems, one per line, stale ones with a '*' before them. */
static const char *problems(struct store *s)
{
	static char buf[2048];
	struct view *v = store_view(s);
	size_t n = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < v->fatal_count; i++)
		n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%s%s%.*s", i ? "\n" : "",
			v->problems[i].stale ? "*" : "", STR_FMT(v->problems[i].text));
	view_put(v);
	return buf;
}

static void an_edit_replaces_the_objects_of_its_file_only(void **state)
{
	struct store *s = store_new();

	put2(s, "1.yaml", service_text("a", 80), service_text("b", 81));
	put2(s, "2.yaml", service_text("c", 82), "");
	assert_string_equal(services(s), "a:80 b:81 c:82");
	put2(s, "1.yaml", service_text("b", 91), service_text("d", 83));
	assert_string_equal(services(s), "b:91@2 c:82 d:83");
	store_remove_file(s, EAST, "1.yaml");
	assert_string_equal(services(s), "c:82");
	assert_string_equal(problems(s), "");
	store_free(s);
}

static void a_half_written_file_keeps_its_objects(void **state)
{
	struct store *s = store_new();

	put2(s, "1.yaml", service_text("a", 80), "");
	put2(s, "1.yaml", "kind: [", "");
	assert_string_equal(services(s), "a:80");
	assert_string_equal(problems(s),
		"*1.yaml:2: not YAML: while parsing a flow node, did not find "
		"expected node content");
	put2(s, "1.yaml", "", "");
	assert_string_equal(services(s), "a:80");
	assert_string_equal(problems(s),
		"*1.yaml: is empty; remove the file to remove its objects");
	put2(s, "1.yaml", service_text("a", 81), "");
	assert_string_equal(services(s), "a:81@2");
	assert_string_equal(problems(s), "");
	put2(s, "1.yaml", "# nothing any more\n", "");
	assert_string_equal(services(s), "");
	store_free(s);
}

static void an_invalid_object_keeps_its_last_good_version(void **state)
{
	struct store *s = store_new();

	put2(s, "1.yaml", service_text("a", 80), service_text("b", 81));
	assert_string_equal(services(s), "a:80 b:81");
	put2(s, "1.yaml", service_text("a", 0), service_text("b", 91));
	assert_string_equal(services(s), "a:80 b:91@2");
	assert_string_equal(problems(s),
		"*1.yaml:5: Service demo/a: spec.ports[0].port: must be between "
		"1 and 65535, but is 0");
	put2(s, "1.yaml", service_text("new", 0), service_text("b", 91));
	assert_string_equal(services(s), "b:91@2");
	assert_string_equal(problems(s),
		"1.yaml:5: Service demo/new: spec.ports[0].port: must be between "
		"1 and 65535, but is 0");
	store_free(s);
}

/* "web, db! " of the targets of the present policies, '!' behind those of one that is not valid. */
static const char *guarded(struct store *s)
{
	static char buf[256];
	struct view *v = store_view(s);
	size_t n = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < v->kinds[KIND_BACKEND_TLS_POLICY].count; i++) {
		const struct backend_tls_policy *p =
			v->kinds[KIND_BACKEND_TLS_POLICY].objects[i]->backend_tls_policy;

		for (uint32_t k = 0; k < p->targets_count; k++)
			n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%.*s%s ",
				STR_FMT(p->targets[k].name), p->invalid != NULL ? "!" : "");
	}
	view_put(v);
	return buf;
}

static void policy(struct store *s, const char *version, const char *spec)
{
	char text[512];

	snprintf(text, sizeof(text),
		"apiVersion: gateway.networking.k8s.io/%s\nkind: BackendTLSPolicy\n"
		"metadata: {name: p, namespace: demo}\nspec: {%s}\n",
		version, spec);
	store_put_text(s, EAST, "p.yaml", str_of(text));
}

#define TARGET(name) "{group: '', kind: Service, name: " name "}"
#define VALIDATION "validation: {hostname: a.lab, wellKnownCACertificates: System}"

static void what_forbids_plaintext_does_so_as_long_as_its_targets_can_be_read(void **state)
{
	struct store *s = store_new();

	policy(s, "v1", "targetRefs: [" TARGET("web") "], " VALIDATION);
	assert_string_equal(guarded(s), "web ");
	policy(s, "v1", "targetRefs: [" TARGET("web") ", " TARGET("db") "], validation: 7");
	assert_string_equal(guarded(s), "web! db! ");
	policy(s, "v1", "targetRefs: 7, " VALIDATION); /* whom it means is not known: the old one */
	assert_string_equal(guarded(s), "web! db! ");
	policy(s, "v1alpha2", "targetRef: " TARGET("web") ", " VALIDATION);
	assert_string_equal(guarded(s), "web! ");
	policy(s, "v2", "targetRefs: [" TARGET("db") "], " VALIDATION);
	assert_string_equal(guarded(s), "db! ");
	policy(s, "v1", "targetRefs: [" TARGET("db") "], " VALIDATION);
	assert_string_equal(guarded(s), "db ");
	store_free(s);
}

static void an_object_without_a_readable_name_may_be_any(void **state)
{
	struct store *s = store_new();

	put2(s, "1.yaml", service_text("a", 80), service_text("b", 81));
	assert_string_equal(services(s), "a:80 b:81");
	put2(s, "1.yaml", service_text("BAD_NAME", 80), service_text("b", 91));
	assert_string_equal(services(s), "a:80 b:91@2");
	put2(s, "1.yaml", "some: thing\n", service_text("b", 92));
	assert_string_equal(services(s), "a:80 b:92@3");
	put2(s, "1.yaml", service_text("b", 92), "");
	assert_string_equal(services(s), "b:92@3");
	store_free(s);
}

static void of_two_equal_objects_the_first_by_path_counts(void **state)
{
	struct store *s = store_new();

	put2(s, "2.yaml", service_text("a", 82), "");
	assert_string_equal(services(s), "a:82");
	put2(s, "1.yaml", service_text("a", 81), "");
	assert_string_equal(services(s), "a:81@2");
	assert_string_equal(problems(s),
		"2.yaml:2: Service demo/a: stands already in 1.yaml:2, which is "
		"the one that counts");
	put2(s, "1.yaml", service_text("a", 81), service_text("a", 83));
	assert_string_equal(services(s), "a:81@2");
	store_remove_file(s, EAST, "1.yaml");
	assert_string_equal(services(s), "a:82@3");
	assert_string_equal(problems(s), "");
	store_free(s);
}

static void generations_count_changes_of_the_spec_alone(void **state)
{
	struct store *s = store_new();

	put2(s, "1.yaml",
		"apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: demo}\n"
		"spec: {type: ClusterIP, ports: [{port: 80, name: x}]}\n",
		"");
	assert_string_equal(services(s), "a:80");
	put2(s, "1.yaml", "# a comment, labels, another order of keys, a status\n",
		"kind: Service\napiVersion: v1\nmetadata: {namespace: demo, name: a, labels: {x: "
		"y}}\n"
		"spec:\n  ports:\n  - name: \"x\"\n    port: 80\n  type: ClusterIP\nstatus: {a: "
		"b}\n");
	/* "x" in quotes and without are one value. */
	assert_string_equal(services(s), "a:80");
	put2(s, "2.yaml",
		"apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: demo}\n"
		"spec: {type: ClusterIP, ports: [{port: 80, name: z}]}\n",
		"");
	assert_string_equal(services(s), "a:80");
	store_remove_file(s, EAST, "1.yaml");
	assert_string_equal(services(s), "a:80@2");
	store_free(s);
}

static void a_view_is_not_touched_by_later_edits(void **state)
{
	struct store *s = store_new();
	struct view *v, *same;

	put2(s, "1.yaml", service_text("a", 80), "");
	v = store_view(s);
	same = store_view(s);
	assert_ptr_equal(v, same);
	view_put(same);
	put2(s, "1.yaml", service_text("a", 80), "");
	same = store_view(s);
	assert_ptr_equal(v, same);
	view_put(same);
	put2(s, "1.yaml", service_text("a", 81), "");
	store_free(s);
	assert_int_equal(v->kinds[KIND_SERVICE].objects[0]->service->ports[0].port, 80);
	view_put(v);
}

static void objects_are_found_by_cluster_namespace_and_name(void **state)
{
	struct store *s = store_new();
	struct view *v;

	put2(s, "1.yaml", service_text("a", 80), service_text("b", 81));
	store_put_text(s, STR("us-west"), "1.yaml", str_of(service_text("a", 90)));
	v = store_view(s);
	assert_int_equal(view_find(v, KIND_SERVICE, STR("us-west"), STR("demo"), STR("a"))
				 ->service->ports[0]
				 .port,
		90);
	assert_int_equal(view_find(v, KIND_SERVICE, EAST, STR("demo"), STR("b"))
				 ->service->ports[0]
				 .port,
		81);
	assert_null(view_find(v, KIND_SERVICE, STR("us-west"), STR("demo"), STR("b")));
	assert_null(view_find(v, KIND_GATEWAY, EAST, STR("demo"), STR("a")));
	view_put(v);
	store_free(s);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void a_folder_is_read_like_kubectl_reads_it(void **state)
{
	char dir[] = "/tmp/store_test.XXXXXX", path[512];
	struct store *s = store_new();
	struct err err;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sub", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	write_file(dir, "a.yaml", service_text("a", 80));
	write_file(dir, "sub/b.yml", service_text("b", 81));
	write_file(dir, "c.json",
		"{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": "
		"{\"name\": \"c\"}, \"spec\": {\"ports\": [{\"port\": 82}]}}");
	write_file(dir, ".hidden.yaml", service_text("hidden", 83));
	write_file(dir, "notes.txt", "not read");
	snprintf(path, sizeof(path), "%s/loop", dir);
	assert_int_equal(symlink(dir, path), 0);
	assert_int_equal(store_load_dir(s, EAST, dir, &err), 0);
	assert_string_equal(services(s), "c:82 a:80 b:81");
	assert_string_equal(problems(s), "");

	/* What is gone is forgotten, by a walk and by an event. */
	snprintf(path, sizeof(path), "%s/a.yaml", dir);
	assert_int_equal(unlink(path), 0);
	store_reload_file(s, EAST, path);
	assert_string_equal(services(s), "c:82 b:81");
	snprintf(path, sizeof(path), "%s/c.json", dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(store_load_dir(s, EAST, dir, &err), 0);
	assert_string_equal(services(s), "b:81");

	/* A folder that cannot be read takes nothing away. */
	assert_int_equal(store_load_dir(s, EAST, "/nonexistent", &err), -2);
	assert_string_equal(err.msg, "/nonexistent: No such file or directory");
	assert_string_equal(services(s), "b:81");
	snprintf(path, sizeof(path), "rm -r %s", dir);
	assert_int_equal(system(path), 0);
	store_free(s);
}

static void hostile_text_reaches_no_terminal(void **state)
{
	struct store *s = store_new();

	put2(s, "1.yaml",
		"apiVersion: v1\nkind: \"Odd\\e[31m\\nkind\"\nmetadata: {name: \"\\a\"}\n", "");
	{
		struct view *v = store_view(s);

		assert_int_equal(v->problem_count, 1);
		for (size_t i = 0; i < v->problems[0].text.len; i++)
			assert_true((unsigned char)v->problems[0].text.p[i] >= 0x20);
		view_put(v);
	}
	store_free(s);
}

/* Any cut of a good file leaves the store with objects it had or that stand in the rest. */
static void every_cut_of_a_file_is_survived(void **state)
{
	char text[600];

	snprintf(text, sizeof(text), "%s%s", service_text("a", 80), service_text("b", 81));
	for (size_t n = 0; n <= strlen(text); n++) {
		struct store *s = store_new();

		store_put_text(s, EAST, "1.yaml", str_of(text));
		store_put_text(s, EAST, "1.yaml", str_make(text, n));
		services(s);
		problems(s);
		store_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_edit_replaces_the_objects_of_its_file_only),
		cmocka_unit_test(a_half_written_file_keeps_its_objects),
		cmocka_unit_test(an_invalid_object_keeps_its_last_good_version),
		cmocka_unit_test(what_forbids_plaintext_does_so_as_long_as_its_targets_can_be_read),
		cmocka_unit_test(an_object_without_a_readable_name_may_be_any),
		cmocka_unit_test(of_two_equal_objects_the_first_by_path_counts),
		cmocka_unit_test(generations_count_changes_of_the_spec_alone),
		cmocka_unit_test(a_view_is_not_touched_by_later_edits),
		cmocka_unit_test(objects_are_found_by_cluster_namespace_and_name),
		cmocka_unit_test(a_folder_is_read_like_kubectl_reads_it),
		cmocka_unit_test(hostile_text_reaches_no_terminal),
		cmocka_unit_test(every_cut_of_a_file_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
