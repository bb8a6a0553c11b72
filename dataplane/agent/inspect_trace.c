// SPDX-License-Identifier: Apache-2.0
/*
 * inspect_trace.c: arms the workers' trace filters and collects their lines.
 *
 * A trace ends by itself: who asked for it may be gone. Lines of different workers are put in the
 * order of their time, those of one worker stay as they are.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/agent/agent_json.h"
#include "dataplane/agent/inspect.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"

#define TRACE_SECONDS_DEFAULT 10u
#define TRACE_SECONDS_MAX 3600u

static void take_filter(struct worker *w, void *arg)
{
	w->trace->filter = *(const struct trace_filter *)arg;
}

/* False: a worker did not answer and keeps its filter. */
static bool filter_set(const struct inspect *in, struct trace_filter f)
{
	bool all = true;

	for (unsigned i = 0; i < in->g->count; i++)
		all &= worker_call(in->g, i, take_filter, &f, INSPECT_CALL_US);
	return all;
}

void inspect_trace_stop(struct inspect *in)
{
	if (filter_set(in, (struct trace_filter){0}))
		in->trace_end_us = 0;
	else
		log_warn("agent", "msg=\"a worker does not answer, trace stays on\"");
}

struct line {
	char text[TRACE_LINE_MAX];
	double at; /* seconds, as the line says */
	unsigned order;
};

static int by_time(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static json_t *collect(const struct inspect *in)
{
	struct line *lines = calloc((size_t)in->g->count * TRACE_LINES + 1, sizeof(*lines));
	json_t *list = json_array();
	unsigned n = 0;

	bug_on(lines == NULL);
	for (unsigned w = 0; w < in->g->count; w++)
		for (unsigned k = 0;
			k < TRACE_LINES && trace_take(in->g->w[w]->trace, lines[n].text);
			k++, n++) {
			lines[n].at = strtod(lines[n].text, NULL);
			lines[n].order = n;
		}
	qsort(lines, n, sizeof(*lines), by_time);
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list, agent_json_str(str_of(lines[i].text)));
	free(lines);
	return list;
}

static void trace_answer(const struct inspect *in, struct agent_query *q)
{
	uint64_t lost = 0;

	for (unsigned i = 0; i < in->g->count; i++)
		lost += __atomic_load_n(&in->g->w[i]->trace->lost, __ATOMIC_RELAXED);
	q->answer = json_pack("{s:b, s:I, s:o}", "on", in->trace_end_us != 0, "lost",
		(json_int_t)lost, "lines", collect(in));
}

static bool trace_start(struct inspect *in, struct agent_query *q)
{
	const char *net = json_string_value(json_object_get(q->args, "net"));
	struct trace_filter f = {.on = true};
	uint64_t port, seconds;

	if (!inspect_number(q, "port", 0, UINT16_MAX, &port) ||
		!inspect_number(q, "seconds", TRACE_SECONDS_DEFAULT, TRACE_SECONDS_MAX, &seconds))
		return false;
	if (net != NULL && *net != '\0' && !ip_net_parse(str_of(net), &f.net))
		return inspect_fail(q, MESSAGE_RESULT_BAD_ARGS, "net is no address or prefix");
	f.port = (uint16_t)port;
	json_decref(collect(in)); /* what an earlier trace left */
	in->trace_end_us = clock_mono_us() + seconds * 1000000;
	if (!filter_set(in, f))
		return inspect_fail(q, MESSAGE_RESULT_FAILED, "a worker does not answer");
	trace_answer(in, q);
	return false;
}

bool inspect_trace(struct agent *a, void *ctx, struct agent_query *q)
{
	const char *action = json_string_value(json_object_get(q->args, "action"));
	struct inspect *in = ctx;

	if (action != NULL && strcmp(action, "start") == 0)
		return trace_start(in, q);
	if (action != NULL && strcmp(action, "stop") == 0)
		inspect_trace_stop(in);
	else if (action == NULL || strcmp(action, "fetch") != 0)
		return inspect_fail(q, MESSAGE_RESULT_BAD_ARGS,
			"action is \"start\", \"fetch\" or \"stop\"");
	trace_answer(in, q);
	return false;
}
