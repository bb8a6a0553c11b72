// SPDX-License-Identifier: Apache-2.0
/*
 * gather.c: one part per dataplane and query; the last one in, or the deadline, ends the wait.
 */
#include "control/api/gather.h"

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"

static void gather_free(struct gather *g)
{
	loop_timer_stop(&g->deadline);
	for (unsigned i = 0; i < g->part_count; i++) {
		struct gather_part *part = &g->parts[i];

		if (part->query_id != 0)
			publish_query_cancel(g->req->source->publish, part->query_id);
		json_decref(part->answer);
	}
	free(g);
}

static void on_cancel(struct api_request *r)
{
	gather_free(r->wait);
}

/* Nobody answered: say why, by the first part. */
static void reply_empty(struct gather *g)
{
	const struct gather_part *part = &g->parts[0];
	enum problem_type type = PROBLEM_DATAPLANE_FAILED;

	if (g->part_count == 0) {
		api_reply_problem(g->req, PROBLEM_NO_DATAPLANE,
			"control.yaml has no dataplane, or none of that name");
		return;
	}
	if (g->late > 0)
		type = PROBLEM_DATAPLANE_TIMEOUT;
	else if (g->asked == 0)
		type = PROBLEM_NO_DATAPLANE;
	else if (part->status == MESSAGE_RESULT_BAD_ARGS)
		type = PROBLEM_BAD_REQUEST;
	api_reply_problem(g->req, type, "dataplane %.*s: %s", STR_FMT(part->name), part->error);
}

static void finish(struct gather *g)
{
	struct api_request *r = g->req;

	loop_timer_stop(&g->deadline);
	if (g->answered == 0 && !g->partial)
		reply_empty(g);
	else
		g->fn(g);
	bug_on(r->reply.status == 0);
	gather_free(g);
}

static void on_answer(void *arg, enum message_result status, struct str text)
{
	struct gather_part *part = arg;
	struct gather *g = part->gather;
	json_error_t je;

	part->query_id = 0;
	part->status = status;
	g->open--;
	if (status == MESSAGE_RESULT_OK)
		part->answer = json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, &je);
	if (part->answer != NULL)
		g->answered++;
	else if (status == MESSAGE_RESULT_OK)
		snprintf(part->error, sizeof(part->error), "answered no JSON: %.100s", je.text);
	else
		snprintf(part->error, sizeof(part->error), "%s%s%.*s", message_result_str(status),
			text.len ? ": " : "", STR_FMT(text));
	if (g->open == 0)
		finish(g);
}

static void on_deadline(void *arg)
{
	struct gather *g = arg;

	for (unsigned i = 0; i < g->part_count; i++) {
		struct gather_part *part = &g->parts[i];

		if (part->query_id == 0)
			continue;
		publish_query_cancel(g->req->source->publish, part->query_id);
		part->query_id = 0;
		g->late++;
		snprintf(part->error, sizeof(part->error), "no answer within %u ms",
			GATHER_US / 1000);
	}
	finish(g);
}

static void ask(struct gather *g, struct gather_part *part, const struct gather_query *q)
{
	struct publish *p = g->req->source->publish;
	struct publish_state st;

	publish_state(p, part->dataplane, &st);
	part->gather = g;
	part->name = st.name;
	if (!st.connected) {
		snprintf(part->error, sizeof(part->error), "not connected");
		return;
	}
	part->query_id = publish_query(p, part->dataplane, q->verb, q->args, on_answer, part);
	if (part->query_id == 0)
		snprintf(part->error, sizeof(part->error), "too many queries are open");
	else
		g->asked++, g->open++;
}

static bool is_wanted(struct publish *p, uint32_t dataplane, struct str only)
{
	struct publish_state st;

	publish_state(p, dataplane, &st);
	return only.len == 0 || str_eq(only, st.name);
}

void gather_start(struct api_request *r, const struct gather_options *opt)
{
	struct publish *p = r->source->publish;
	uint32_t n = p != NULL ? publish_count(p) : 0;
	struct gather *g = calloc(1, sizeof(*g) + n * opt->query_count * sizeof(g->parts[0]));

	if (g == NULL) {
		api_reply_problem(r, PROBLEM_INTERNAL, "out of memory");
		return;
	}
	g->req = r;
	g->fn = opt->fn;
	g->partial = opt->partial;
	loop_timer_init(&g->deadline, on_deadline, g);
	for (uint32_t d = 0; d < n; d++) {
		if (!is_wanted(p, d, opt->only))
			continue;
		for (unsigned q = 0; q < opt->query_count; q++) {
			struct gather_part *part = &g->parts[g->part_count++];

			part->dataplane = d;
			part->query = q;
			ask(g, part, &opt->queries[q]);
		}
	}
	if (g->open == 0) {
		finish(g);
		return;
	}
	api_wait(r, g, on_cancel);
	loop_timer_set(r->loop, &g->deadline, GATHER_US);
}

json_t *gather_errors(const struct gather *g)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < g->part_count; i++) {
		const struct gather_part *part = &g->parts[i];

		if (part->answer == NULL)
			json_array_append_new(list,
				json_pack("{s:s%, s:s}", "dataplane", part->name.p, part->name.len,
					"error", part->error));
	}
	return list;
}
