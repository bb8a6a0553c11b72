// SPDX-License-Identifier: Apache-2.0
/*
 * golden_test.c: manifests -> status, check and snapshot as text, compared with what was reviewed.
 *
 * Each folder of tests/golden is a row. in/ is a control.yaml with its clusters, as a user would
 * have it; beside it stand
 *
 *	status.yaml	the status of every object, once all dataplanes have acknowledged
 *	check.txt	what --check prints (nothing acknowledged)
 *	snapshot.txt	the image that the dataplanes get
 *
 * golden_test --update [case] rewrites them; the diff is then what is reviewed.
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
#include "control/reconcile/plan.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/snapshot/snapshot.h"

#define CASES_MAX 128
#define GOLDEN_DIR "tests/golden"

static bool update;

/* JSON as block YAML; every string is quoted as JSON quotes it, which YAML reads alike. */
static void emit(FILE *f, const json_t *j, int indent, bool in_list);

static void emit_scalar(FILE *f, const json_t *j)
{
	autofree char *s = json_dumps(j, JSON_ENCODE_ANY);

	fprintf(f, " %s\n", s);
}

static bool is_block(const json_t *j)
{
	return (json_is_object(j) && json_object_size(j) != 0) ||
		(json_is_array(j) && json_array_size(j) != 0);
}

static void emit_object(FILE *f, const json_t *j, int indent, bool in_list)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)j, key, v) {
		if (strcmp(key, "lastTransitionTime") == 0)
			continue;
		fprintf(f, "%*s%s:", in_list ? 0 : indent, "", key);
		in_list = false;
		if (is_block(v)) {
			fputc('\n', f);
			emit(f, v, json_is_array(v) ? indent : indent + 2, false);
		} else {
			emit_scalar(f, v);
		}
	}
}

static void emit(FILE *f, const json_t *j, int indent, bool in_list)
{
	size_t i;
	json_t *v;

	if (json_is_object(j)) {
		emit_object(f, j, indent, in_list);
		return;
	}
	json_array_foreach ((json_t *)j, i, v) {
		fprintf(f, "%*s- ", indent, "");
		emit(f, v, indent + 2, true);
	}
}

static char *status_text(const struct plan *p)
{
	json_t *j = plan_status_json(p);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	emit(f, j, 0, false);
	fclose(f);
	json_decref(j);
	return text;
}

static char *check_text(const struct plan *p)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	unsigned errors = plan_print(p, f);

	fprintf(f, "%u errors\n", errors);
	fclose(f);
	return text;
}

static char *snapshot_text(const struct plan *p)
{
	struct build_config config;
	struct snapshot snap;
	struct arena arena;
	struct err err;
	char *text = NULL;
	void *image;
	size_t image_len, len;
	FILE *f = open_memstream(&text, &len);

	arena_init(&arena, 0);
	compile_plan(p, 1, &arena, &config);
	if (snapshot_build(&config, &image, &image_len, &err) < 0)
		fail_msg("%s", err.msg);
	if (snapshot_open(image, image_len, &snap, &err) < 0)
		fail_msg("%s", err.msg);
	snapshot_dump(&snap, f);
	fclose(f);
	free(image);
	arena_fini(&arena);
	return text;
}

static char *read_text(const char *path)
{
	autofclose FILE *f = fopen(path, "re");
	char *text = calloc(1, 1 << 20);

	if (f != NULL && fread(text, 1, (1 << 20) - 1, f) == 0)
		text[0] = '\0';
	return text;
}

/* Prints the first line that differs, which is what one wants to know. */
static void compare(const char *name, const char *file, const char *have)
{
	autofree char *path = NULL, *want = NULL;
	int line = 1;

	assert_true(asprintf(&path, GOLDEN_DIR "/%s/%s", name, file) > 0);
	if (update) {
		autofclose FILE *f = fopen(path, "we");

		assert_non_null(f);
		fputs(have, f);
		return;
	}
	want = read_text(path);
	for (const char *a = want, *b = have; *a != '\0' || *b != '\0'; line++) {
		size_t na = strcspn(a, "\n"), nb = strcspn(b, "\n");

		if (na != nb || memcmp(a, b, na) != 0)
			fail_msg("%s:%d:\n  want %.*s\n  have %.*s", path, line, (int)na, a,
				(int)nb, b);
		a += na + (a[na] == '\n');
		b += nb + (b[nb] == '\n');
	}
}

static void golden_case(void **state)
{
	const char *name = *state;
	struct plan_input in = {.now_s = 1};
	struct control_config config;
	struct plan *first, *acked;
	struct store *store = store_new();
	autofree char *path = NULL, *status = NULL, *check = NULL, *snapshot = NULL;
	struct err err;

	assert_true(asprintf(&path, GOLDEN_DIR "/%s/in/control.yaml", name) > 0);
	if (control_config_load(path, &config, &err) < 0)
		fail_msg("%s", err.msg);
	for (uint32_t i = 0; i < config.clusters_count; i++)
		if (store_load_dir(store, config.clusters[i].name, config.clusters[i].directory,
			    &err) < 0)
			fail_msg("%s", err.msg);
	in.view = store_view(store);
	in.config = &config;
	first = plan_build(&in);
	in.previous = in.acked = first;
	in.now_s = 2;
	acked = plan_build(&in);
	status = status_text(acked);
	check = check_text(first);
	snapshot = snapshot_text(acked);
	plan_put(first);
	plan_put(acked);
	view_put(in.view);
	store_free(store);
	control_config_fini(&config);
	compare(name, "status.yaml", status);
	compare(name, "check.txt", check);
	compare(name, "snapshot.txt", snapshot);
}

static int is_case(const struct dirent *e)
{
	return e->d_name[0] != '.' && e->d_type == DT_DIR;
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[CASES_MAX] = {{0}};
	struct dirent **names;
	size_t count = 0;
	int n, failed;

	update = argc > 1 && strcmp(argv[1], "--update") == 0;
	if (chdir(SOURCE_ROOT) < 0 || (n = scandir(GOLDEN_DIR, &names, is_case, alphasort)) < 0) {
		perror(GOLDEN_DIR);
		return 1;
	}
	for (int i = 0; i < n && count < CASES_MAX; i++) {
		const char *only = update ? argv[2] : argv[1];

		if (argc > 1 && only != NULL && strcmp(only, names[i]->d_name) != 0)
			continue;
		tests[count++] = (struct CMUnitTest){names[i]->d_name, golden_case, NULL, NULL,
			names[i]->d_name};
	}
	failed = _cmocka_run_group_tests("golden", tests, count, NULL, NULL);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return failed;
}
