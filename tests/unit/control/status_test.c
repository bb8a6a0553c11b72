// SPDX-License-Identifier: Apache-2.0
/*
 * status_test.c: the status contract, row by row: tests/status/README.md says how a row is written.
 *
 * Each row is a claim, the manifests that make it, and what the status of each object must then be.
 * Here they go from text to plan, all dataplanes having acknowledged; the system row status-rows
 * takes the same rows to an API server.
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

#include "control/reconcile/plan.h"
#include "dataplane/base/cleanup.h"

#define STATUS_DIR "tests/status"
#define ROWS_MAX 256
#define CLUSTER STR("us-east")
#define CONTROLLER "gateway.sluice.internal/controller"

struct row {
	char claim[160];
	char place[300]; /* file:line of what is looked at now */
	char *base;	 /* what all rows of the file have */
	char *text;
};

/* The object whose expectations are being read, and its status; NULL: it has none of ours. */
struct subject {
	char kind[64], ns[64], name[260];
	const json_t *status;
	int64_t generation;
};

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static const json_t *find_named(const json_t *list, const char *name)
{
	const json_t *e;
	size_t i;

	json_array_foreach (list, i, e)
		if (strcmp(text_of(e, "name"), name) == 0)
			return e;
	return NULL;
}

/* "gw", "gw/section", "gw:80" or "gw/section:80" of a parentRef or ancestorRef. */
static bool ref_is(const json_t *ref, const char *want)
{
	const json_t *port = json_object_get(ref, "port");
	char have[600];
	int n = snprintf(have, sizeof(have), "%s", text_of(ref, "name"));

	if (*text_of(ref, "sectionName") != '\0')
		n += snprintf(have + n, sizeof(have) - (size_t)n, "/%s",
			text_of(ref, "sectionName"));
	if (port != NULL)
		snprintf(have + n, sizeof(have) - (size_t)n, ":%lld", json_integer_value(port));
	return strcmp(have, want) == 0;
}

static const json_t *find_ref(const json_t *list, const char *key, const char *want)
{
	const json_t *e;
	size_t i;

	json_array_foreach (list, i, e)
		if (strcmp(text_of(e, "controllerName"), CONTROLLER) == 0 &&
			ref_is(json_object_get(e, key), want))
			return e;
	return NULL;
}

/* "Type=Status/Reason", with " ~ words" that the message must have; or "no Type". */
static void expect_condition(const struct row *row, const struct subject *s, const json_t *of,
	const char *want)
{
	char type[64], status[16], reason[64], words[256] = "";
	const json_t *c, *found = NULL;
	size_t i;
	bool none = sscanf(want, "no %63s", type) == 1;

	if (!none &&
		sscanf(want, "%63[^=]=%15[^/]/%63s ~ %255[^\n]", type, status, reason, words) < 3)
		fail_msg("%s: cannot be read: %s", row->place, want);
	json_array_foreach (json_object_get(of, "conditions"), i, c) {
		if (strcmp(text_of(c, "type"), type) == 0)
			found = c;
		if (json_integer_value(json_object_get(c, "observedGeneration")) != s->generation)
			fail_msg("%s: %s has another observedGeneration", row->place,
				text_of(c, "type"));
	}
	if (none && found != NULL)
		fail_msg("%s: there is a condition %s", row->place, type);
	if (none)
		return;
	if (found == NULL)
		fail_msg("%s: there is no condition %s", row->place, type);
	if (strcmp(text_of(found, "status"), status) != 0 ||
		strcmp(text_of(found, "reason"), reason) != 0 ||
		strstr(text_of(found, "message"), words) == NULL)
		fail_msg("%s:\n  want %s\n  have %s=%s/%s ~ %s", row->place, want, type,
			text_of(found, "status"), text_of(found, "reason"),
			text_of(found, "message"));
}

/* Comma-separated <key>s of a list; "-" when it is empty. */
static void expect_list(const struct row *row, const json_t *list, const char *key,
	const char *want)
{
	char have[512] = "-";
	size_t n = 0, i;
	const json_t *e;

	json_array_foreach (list, i, e)
		n += (size_t)snprintf(have + n, sizeof(have) - n, "%s%s", i ? "," : "",
			text_of(e, key));
	if (strcmp(have, want) != 0)
		fail_msg("%s: want %s, have %s", row->place, want, have);
}

static void expect_number(const struct row *row, int64_t have, const char *want)
{
	if (have != strtoll(want, NULL, 10))
		fail_msg("%s: want %s, have %lld", row->place, want, (long long)have);
}

static void expect_listener(const struct row *row, const struct subject *s, const char *want)
{
	char name[260];
	int n = 0;
	const json_t *l;

	assert_true(sscanf(want, "%259s %n", name, &n) == 1 && n > 0);
	l = find_named(json_object_get(s->status, "listeners"), name);
	if (l == NULL)
		fail_msg("%s: there is no listener %s", row->place, name);
	want += n;
	if (strncmp(want, "kinds ", 6) == 0)
		expect_list(row, json_object_get(l, "supportedKinds"), "kind", want + 6);
	else if (strncmp(want, "routes ", 7) == 0)
		expect_number(row, json_integer_value(json_object_get(l, "attachedRoutes")),
			want + 7);
	else
		expect_condition(row, s, l, want);
}

/* "parent gw ...", "ancestor gw ..." */
static void expect_entry(const struct row *row, const struct subject *s, const char *list,
	const char *key, const char *want)
{
	char ref[600];
	int n = 0;
	const json_t *e;

	assert_true(sscanf(want, "%599s %n", ref, &n) == 1 && n > 0);
	e = find_ref(json_object_get(s->status, list), key, ref);
	if (e == NULL)
		fail_msg("%s: there is no entry for %s", row->place, ref);
	expect_condition(row, s, e, want + n);
}

/* "has NAME", "lacks NAME"; the list must be in order. */
static void expect_feature(const struct row *row, const struct subject *s, const char *want)
{
	const json_t *list = json_object_get(s->status, "supportedFeatures"), *e;
	const char *before = "", *name = strchr(want, ' ');
	size_t i;

	assert_non_null(name);
	if ((find_named(list, name + 1) != NULL) != (strncmp(want, "has ", 4) == 0))
		fail_msg("%s: it is not so: %s", row->place, want);
	json_array_foreach (list, i, e) {
		if (strcmp(before, text_of(e, "name")) >= 0)
			fail_msg("%s: %s is not in order", row->place, text_of(e, "name"));
		before = text_of(e, "name");
	}
}

static void expect(const struct row *row, const struct subject *s, const char *want)
{
	if (strcmp(want, "nothing") == 0) {
		if (s->status != NULL)
			fail_msg("%s: it has a status of ours", row->place);
		return;
	}
	if (s->status == NULL)
		fail_msg("%s: %s %s/%s has no status of ours", row->place, s->kind, s->ns, s->name);
	if (strncmp(want, "listener ", 9) == 0)
		expect_listener(row, s, want + 9);
	else if (strncmp(want, "parent ", 7) == 0)
		expect_entry(row, s, "parents", "parentRef", want + 7);
	else if (strncmp(want, "ancestor ", 9) == 0)
		expect_entry(row, s, "ancestors", "ancestorRef", want + 9);
	else if (strncmp(want, "parents ", 8) == 0)
		expect_number(row, (int64_t)json_array_size(json_object_get(s->status, "parents")),
			want + 8);
	else if (strncmp(want, "listeners ", 10) == 0)
		expect_list(row, json_object_get(s->status, "listeners"), "name", want + 10);
	else if (strncmp(want, "addresses ", 10) == 0)
		expect_list(row, json_object_get(s->status, "addresses"), "value", want + 10);
	else if (strncmp(want, "features ", 9) == 0)
		expect_feature(row, s, want + 9);
	else if (strncmp(want, "sets ", 5) == 0)
		expect_number(row,
			json_integer_value(json_object_get(s->status, "attachedListenerSets")),
			want + 5);
	else
		expect_condition(row, s, s->status, want);
}

static void find_subject(struct subject *s, const json_t *all)
{
	const json_t *o;
	size_t i;

	s->status = NULL;
	json_array_foreach (all, i, o) {
		const json_t *meta = json_object_get(o, "metadata");

		if (strcmp(text_of(o, "kind"), s->kind) != 0 ||
			strcmp(text_of(meta, "namespace"), s->ns) != 0 ||
			strcmp(text_of(meta, "name"), s->name) != 0)
			continue;
		s->status = json_object_get(o, "status");
		s->generation = json_integer_value(json_object_get(meta, "generation"));
	}
}

/* "HOST[:PORT] PATH CODE": sent by the system row; here it must only be readable. */
static void check_request(const struct row *row, const char *request)
{
	char host[260], path[260], code[64], end;

	if (sscanf(request, "%259s /%259s %63s %c", host, path, code, &end) != 3 &&
		sscanf(request, "%259s / %63s %c", host, code, &end) != 2)
		fail_msg("%s: cannot be read: %s", row->place, request);
}

/* <all> once the dataplanes have acknowledged, <before> while none has. */
static void check_row(struct row *row, const json_t *all, const json_t *before)
{
	struct subject s = {.status = NULL}, then = s;
	size_t place = strlen(row->place);
	unsigned line = 0, wants = 0;

	for (char *p = row->text, *end; *p != '\0'; p = end) {
		char buf[1024];
		size_t n = strcspn(p, "\n");

		end = p + n + (p[n] == '\n');
		snprintf(buf, sizeof(buf), "%.*s", (int)n, p);
		line++;
		snprintf(row->place + place, sizeof(row->place) - place, " +%u", line);
		if (sscanf(buf, "kind: %63s", s.kind) == 1)
			s.ns[0] = s.name[0] = '\0';
		if (sscanf(buf, "metadata: {name: %259[^,}], namespace: %63[^,}]", s.name, s.ns) >=
			1)
			find_subject(&s, all);
		if (strncmp(buf, "#? ", 3) == 0)
			check_request(row, buf + 3);
		if (strncmp(buf, "#- ", 3) == 0) {
			then = s;
			find_subject(&then, before);
			expect(row, &then, buf + 3);
		}
		if (strncmp(buf, "#> ", 3) != 0)
			continue;
		expect(row, &s, buf + 3);
		wants++;
	}
	if (wants == 0)
		fail_msg("%s: expects nothing", row->place);
}

static void row_case(void **state)
{
	struct row *row = *state;
	struct control_config config = {.controller_name = STR(CONTROLLER)};
	struct store *store = store_new();
	struct plan_input in = {.config = &config, .now_s = 1};
	struct plan *first, *acked;
	json_t *all, *before;

	store_put_text(store, CLUSTER, "base.yaml", str_of(row->base));
	store_put_text(store, CLUSTER, "row.yaml", str_of(row->text));
	in.view = store_view(store);
	for (uint32_t i = 0; i < in.view->problem_count; i++)
		fail_msg("%s: %.*s", row->place, STR_FMT(in.view->problems[i].text));
	first = plan_build(&in);
	in.previous = in.acked = first;
	acked = plan_build(&in);
	all = plan_status_json(acked);
	before = plan_status_json(first);
	plan_put(first);
	plan_put(acked);
	view_put(in.view);
	store_free(store);
	check_row(row, all, before);
	json_decref(all);
	json_decref(before);
}

static struct row *rows[ROWS_MAX];
static size_t rows_count;

static void add_row(const char *file, unsigned line, const char *claim, const char *base)
{
	struct row *row = calloc(1, sizeof(*row));

	assert_true(rows_count < ROWS_MAX);
	snprintf(row->claim, sizeof(row->claim), "%s", claim);
	snprintf(row->place, sizeof(row->place), "%s:%u", file, line);
	row->base = strdup(base);
	row->text = calloc(1, 1);
	rows[rows_count++] = row;
}

static char *append(char *text, const char *line)
{
	size_t have = strlen(text), more = strlen(line);

	text = realloc(text, have + more + 1);
	memcpy(text + have, line, more + 1);
	return text;
}

static void read_rows(const char *file)
{
	autofree char *path = NULL, *base = calloc(1, 1);
	autofclose FILE *f = NULL;
	struct row *row = NULL;
	char line[1024];

	assert_true(asprintf(&path, STATUS_DIR "/%s", file) > 0);
	f = fopen(path, "re");
	assert_non_null(f);
	for (unsigned n = 1; fgets(line, sizeof(line), f) != NULL; n++) {
		if (strncmp(line, "#= ", 3) == 0) {
			line[strcspn(line, "\n")] = '\0';
			add_row(file, n, line + 3, base);
			row = rows[rows_count - 1];
		} else if (row != NULL) {
			row->text = append(row->text, line);
		} else {
			base = append(base, line);
		}
	}
}

static int is_rows(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 5 && strcmp(e->d_name + n - 5, ".yaml") == 0;
}

int main(void)
{
	struct CMUnitTest tests[ROWS_MAX] = {{0}};
	struct dirent **files;
	int n, failed;

	if (chdir(SOURCE_ROOT) < 0 || (n = scandir(STATUS_DIR, &files, is_rows, alphasort)) < 0) {
		perror(STATUS_DIR);
		return 1;
	}
	for (int i = 0; i < n; i++) {
		read_rows(files[i]->d_name);
		free(files[i]);
	}
	free(files);
	for (size_t i = 0; i < rows_count; i++)
		tests[i] = (struct CMUnitTest){rows[i]->claim, row_case, NULL, NULL, rows[i]};
	failed = _cmocka_run_group_tests("status", tests, rows_count, NULL, NULL);
	for (size_t i = 0; i < rows_count; i++) {
		free(rows[i]->base);
		free(rows[i]->text);
		free(rows[i]);
	}
	return failed;
}
