// SPDX-License-Identifier: Apache-2.0
/*
 * pure_test.c: the parts of the API that need no configuration: negotiation, validators, targets,
 * error bodies, metric text. Rows: input and what must come out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "control/api/accept.h"
#include "control/api/etag.h"
#include "control/api/problem.h"
#include "control/api/prom.h"
#include "control/api/uri.h"
#include "control/api/view.h"

/* --- Accept --- */

static const char *const prom_types[] = {"text/plain; version=0.0.4",
	"application/openmetrics-text; version=1.0.0", NULL};

static const struct accept_row {
	const char *name, *accept;
	int pick;
} accept_rows[] = {
	{"no Accept takes the default", "", 0},
	{"anything takes the default", "*/*", 0},
	{"the exact type", "application/openmetrics-text", 1},
	{"what Prometheus sends",
		"application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;"
		"version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
		1},
	{"the higher q wins", "text/plain;q=0.9, application/openmetrics-text;q=0.8", 0},
	{"q of thousandths", "text/plain;q=0.899, application/openmetrics-text;q=0.9", 1},
	{"equal q goes to the default", "application/openmetrics-text, text/plain", 0},
	{"a specific range overrides a wide one", "*/*, text/plain;q=0", 1},
	{"a subtype wildcard", "application/*", 1},
	{"types are case-insensitive", "TEXT/Plain", 0},
	{"nothing we have", "image/png", -1},
	{"q=0 refuses", "text/plain;q=0", -1},
	{"a q that is none counts as 1", "application/openmetrics-text;q=high", 1},
	{"blanks around everything", "  text/html ,\tapplication/openmetrics-text ; q=1 ", 1},
};

static void accept_holds(void **state)
{
	const struct accept_row *r = *state;

	assert_int_equal(accept_pick(str_of(r->accept), prom_types), r->pick);
}

/* --- ETag --- */

static void equal_bodies_have_equal_tags(void **state)
{
	char a[ETAG_STRLEN], b[ETAG_STRLEN], c[ETAG_STRLEN];

	etag_of(STR("{}"), a);
	etag_of(STR("{}"), b);
	etag_of(STR("{} "), c);
	assert_string_equal(a, b);
	assert_string_not_equal(a, c);
	assert_int_equal(strlen(a), 18);
	assert_true(a[0] == '"' && a[17] == '"');
}

static void if_none_match_takes_lists_weak_tags_and_star(void **state)
{
	const char *tag = "\"0123456789abcdef\"";

	assert_true(etag_matches(STR("\"0123456789abcdef\""), tag));
	assert_true(etag_matches(STR("\"x\", W/\"0123456789abcdef\""), tag));
	assert_true(etag_matches(STR("*"), tag));
	assert_true(etag_matches_strongly(STR("\"x\", \"0123456789abcdef\""), tag));
	assert_true(etag_matches_strongly(STR("*"), tag));
	assert_false(etag_matches_strongly(STR("W/\"0123456789abcdef\""), tag));
	assert_false(etag_matches(STR("\"0123456789abcdee\""), tag));
	assert_false(etag_matches(STR("0123456789abcdef"), tag));
	assert_false(etag_matches(STR(""), tag));
	assert_false(etag_matches((struct str){NULL, 0}, tag));
}

/* --- target --- */

static const struct uri_row {
	const char *name, *target;
	const char *text; /* "seg|seg?name=value&..." decoded; NULL: refused */
} uri_rows[] = {
	{"segments", "/api/v1/status", "api|v1|status"},
	{"the root is one empty segment", "/", ""},
	{"a trailing slash is a segment", "/a/", "a|"},
	{"an encoded slash stays in its segment", "/a%2Fb/c", "a/b|c"},
	{"query parameters", "/a?x=1&y=2", "a?x=1&y=2"},
	{"a parameter without value", "/a?x", "a?x="},
	{"a plus is a blank in a query only", "/a+b?x=c+d", "a+b?x=c d"},
	{"an encoded ampersand stays in its value", "/a?x=1%262", "a?x=1&2"},
	{"empty parameters are skipped", "/a?&&x=1&", "a?x=1"},
	{"an equals sign in a value", "/a?x=b=c", "a?x=b=c"},
	{"an escape cut short", "/a%2", NULL},
	{"an escape of no digits", "/a%zz", NULL},
	{"NUL is refused", "/a%00b", NULL},
	{"a target that is no path", "http://x/", NULL},
	{"an empty target", "", NULL},
	{"too many segments", "/1/2/3/4/5/6/7/8/9", NULL},
	{"too many parameters", "/?1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17", NULL},
};

static void uri_holds(void **state)
{
	const struct uri_row *r = *state;
	struct arena a;
	struct uri u;
	char text[256] = "";
	size_t n = 0;

	arena_init(&a, 4096);
	if (r->text == NULL) {
		assert_false(uri_parse(str_of(r->target), &a, &u));
		arena_fini(&a);
		return;
	}
	assert_true(uri_parse(str_of(r->target), &a, &u));
	for (unsigned i = 0; i < u.segment_count; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s", i ? "|" : "",
			STR_FMT(u.segments[i]));
	for (unsigned i = 0; i < u.param_count; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s=%.*s", i ? "&" : "?",
			STR_FMT(u.params[i].name), STR_FMT(u.params[i].value));
	assert_string_equal(text, r->text);
	arena_fini(&a);
}

/* --- problem+json --- */

static void a_problem_has_the_members_of_rfc_9457(void **state)
{
	for (int t = 0; t < PROBLEM_COUNT; t++) {
		char *text = problem_json((enum problem_type)t, "why \"so\"", STR("/x"));
		json_t *j = json_loads(text, 0, NULL);

		assert_non_null(j);
		assert_int_equal(json_integer_value(json_object_get(j, "status")),
			problem_status((enum problem_type)t));
		assert_true(problem_status((enum problem_type)t) >= 400);
		assert_true(strncmp(json_string_value(json_object_get(j, "type")),
				    "urn:sluice:problem:", 19) == 0);
		assert_non_null(json_string_value(json_object_get(j, "title")));
		assert_string_equal(json_string_value(json_object_get(j, "detail")), "why \"so\"");
		assert_string_equal(json_string_value(json_object_get(j, "instance")), "/x");
		json_decref(j);
		free(text);
	}
}

static void a_problem_survives_bytes_that_are_no_text(void **state)
{
	char *text = problem_json(PROBLEM_NOT_FOUND, "bad \xff byte", STR("/\xc3("));
	json_t *j = json_loads(text, 0, NULL);

	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "detail")), "bad ? byte");
	assert_string_equal(json_string_value(json_object_get(j, "instance")), "/?(");
	json_decref(j);
	free(text);
}

/* --- shares --- */

static void an_endpoints_percent_knows_priorities_and_readiness(void **state)
{
	struct build_endpoint e[] = {{.id = 1, .weight = 2, .cluster = STR("a")},
		{.id = 2, .weight = 1, .cluster = STR("b")},
		{.id = 3, .weight = 1, .cluster = STR("b")}};
	struct build_service_cluster k[] = {{.name = STR("a")}, {.name = STR("b")}};
	struct build_service s = {.endpoints = e,
		.endpoint_count = 3,
		.clusters = k,
		.cluster_count = 2};
	struct build_config c = {.services = &s, .service_count = 1};

	assert_true(view_endpoint_percent(&c, &s, 0) == 50.0);
	assert_true(view_endpoint_percent(&c, &s, 1) == 25.0);
	k[1].priority = 1;
	assert_true(view_endpoint_percent(&c, &s, 0) == 100.0);
	assert_true(view_endpoint_percent(&c, &s, 1) == 0.0);
	k[0].unready = 1; /* half of it takes 70 % */
	assert_true(view_endpoint_percent(&c, &s, 0) == 70.0);
	assert_true(view_endpoint_percent(&c, &s, 2) == 15.0);
	s.cluster_count = 0; /* nothing known of clusters */
	assert_true(view_endpoint_percent(&c, &s, 0) == 50.0);
}

/* --- metrics --- */

static char *page(bool openmetrics)
{
	struct prom *p = prom_new();
	char *text;
	size_t len;

	prom_add(p, PROM_COUNTER, "sluice_a_total", "Help with \\ and\nline \"end\".",
		PROM_LABELS({"l", STR("q\"b\\s\nn\xffu")}), 1);
	prom_add(p, PROM_GAUGE, "sluice_b", "B.", PROM_NO_LABELS, 7);
	prom_add(p, PROM_COUNTER, "sluice_a_total", "other", PROM_LABELS({"l", STR("z")}), 2);
	prom_add(p, PROM_COUNTER, "sluice_a_total", "other", PROM_LABELS({"l", STR("z")}), 3);
	prom_add_f(p, PROM_GAUGE, "sluice-c.d", "C.", PROM_LABELS({"x", STR("1")}, {"y", STR("2")}),
		0.25);
	text = prom_write(p, openmetrics, &len);
	assert_int_equal(len, strlen(text));
	prom_free(p);
	return text;
}

static void text_format_escapes_and_groups_by_family(void **state)
{
	char *text = page(false);

	assert_string_equal(text,
		"# HELP sluice_a_total Help with \\\\ and\\nline \"end\".\n"
		"# TYPE sluice_a_total counter\n"
		"sluice_a_total{l=\"q\\\"b\\\\s\\nn?u\"} 1\n"
		"sluice_a_total{l=\"z\"} 5\n"
		"# HELP sluice_b B.\n"
		"# TYPE sluice_b gauge\n"
		"sluice_b 7\n"
		"# HELP sluice_c_d C.\n"
		"# TYPE sluice_c_d gauge\n"
		"sluice_c_d{x=\"1\",y=\"2\"} 0.25\n");
	free(text);
}

static void openmetrics_names_the_family_without_total_and_ends(void **state)
{
	char *text = page(true);

	assert_non_null(strstr(text, "# TYPE sluice_a counter\nsluice_a_total{"));
	assert_non_null(strstr(text, "# HELP sluice_a Help with \\\\ and\\nline \\\"end\\\".\n"));
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	free(text);
}

static void a_page_has_an_upper_bound(void **state)
{
	struct prom *p = prom_new();
	char value[16], *text;
	size_t len;

	for (unsigned i = 0; i < PROM_SERIES_MAX + 3; i++) {
		snprintf(value, sizeof(value), "%u", i);
		prom_add(p, PROM_GAUGE, "g", "G.", PROM_LABELS({"i", str_of(value)}), 1);
	}
	text = prom_write(p, false, &len);
	assert_non_null(strstr(text, "\n# 3 series more than a page may have were left out\n"));
	free(text);
	prom_free(p);
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int main(void)
{
	const struct CMUnitTest plain[] = {
		cmocka_unit_test(equal_bodies_have_equal_tags),
		cmocka_unit_test(if_none_match_takes_lists_weak_tags_and_star),
		cmocka_unit_test(a_problem_has_the_members_of_rfc_9457),
		cmocka_unit_test(a_problem_survives_bytes_that_are_no_text),
		cmocka_unit_test(an_endpoints_percent_knows_priorities_and_readiness),
		cmocka_unit_test(text_format_escapes_and_groups_by_family),
		cmocka_unit_test(openmetrics_names_the_family_without_total_and_ends),
		cmocka_unit_test(a_page_has_an_upper_bound),
	};
	struct CMUnitTest tests[COUNT(plain) + COUNT(accept_rows) + COUNT(uri_rows)];
	size_t n = COUNT(plain);

	memcpy(tests, plain, sizeof(plain));
	for (size_t i = 0; i < COUNT(accept_rows); i++)
		tests[n++] = (struct CMUnitTest){.name = accept_rows[i].name,
			.test_func = accept_holds,
			.initial_state = (void *)&accept_rows[i]};
	for (size_t i = 0; i < COUNT(uri_rows); i++)
		tests[n++] = (struct CMUnitTest){.name = uri_rows[i].name,
			.test_func = uri_holds,
			.initial_state = (void *)&uri_rows[i]};
	return _cmocka_run_group_tests("api", tests, n, NULL, NULL);
}
