// SPDX-License-Identifier: Apache-2.0
/*
 * problem.c: the table of problem.def as JSON.
 */
#include "control/api/problem.h"

#include <jansson.h>

#include "dataplane/base/bug.h"

static const struct {
	unsigned status;
	const char *type, *title;
} problems[PROBLEM_COUNT] = {
#define PROBLEM(e, status, slug, title) {status, "urn:sluice:problem:" slug, title},
#include "control/api/problem.def"
#undef PROBLEM
};

unsigned problem_status(enum problem_type type)
{
	bug_on(type >= PROBLEM_COUNT);
	return problems[type].status;
}

/* A target may hold any byte; JSON text may not. */
static json_t *json_lenient(struct str s)
{
	json_t *j = json_stringn(s.len ? s.p : "", s.len);
	char buf[256];
	size_t n = s.len < sizeof(buf) ? s.len : sizeof(buf);

	if (j != NULL)
		return j;
	for (size_t i = 0; i < n; i++)
		buf[i] = s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?';
	return json_stringn(buf, n);
}

char *problem_json(enum problem_type type, const char *detail, struct str instance)
{
	json_t *j;
	char *text;

	bug_on(type >= PROBLEM_COUNT);
	j = json_pack("{s:s, s:s, s:i, s:o, s:o}", "type", problems[type].type, "title",
		problems[type].title, "status", (int)problems[type].status, "detail",
		json_lenient(str_of(detail)), "instance", json_lenient(instance));
	text = json_dumps(j, JSON_INDENT(2));
	json_decref(j);
	return text;
}
