// SPDX-License-Identifier: Apache-2.0
/*
 * inspect.c: the real struct agent_ops.
 */
#include "dataplane/agent/inspect.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/agent/agent_inspect.h"
#include "dataplane/agent/agent_json.h"
#include "dataplane/base/bug.h"
#include "dataplane/http/http.h"

static_assert((int)AGENT_SLOT_LISTENER == COUNTER_LISTENER &&
		(int)AGENT_SLOT_RULE == COUNTER_RULE &&
		(int)AGENT_SLOT_BACKEND == COUNTER_BACKEND &&
		(int)AGENT_SLOT_ENDPOINT == COUNTER_ENDPOINT,
	"kinds of slots are scopes of counters");

static struct inspect inspect;

/* -- helpers --------------------------------------------------------------------------------- */

bool inspect_fail(struct agent_query *q, enum message_result status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(q->err.msg, sizeof(q->err.msg), fmt, ap);
	va_end(ap);
	q->status = status;
	return false;
}

bool inspect_number(struct agent_query *q, const char *name, uint64_t fallback, uint64_t max,
	uint64_t *ret)
{
	const json_t *v = json_object_get(q->args, name);

	*ret = fallback;
	if (v == NULL || json_is_null(v))
		return true;
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
		(uint64_t)json_integer_value(v) > max) {
		inspect_fail(q, MESSAGE_RESULT_BAD_ARGS, "%s is no number from 0 to %llu", name,
			(unsigned long long)max);
		return false;
	}
	*ret = (uint64_t)json_integer_value(v);
	return true;
}

json_t *inspect_addr(const struct ip_addr *a)
{
	char text[IP_ADDR_STRLEN];

	return json_string(ip_format(a, text));
}

json_t *inspect_addr_port(const struct ip_addr *a, uint16_t port)
{
	char text[IP_ADDR_STRLEN], all[IP_ADDR_STRLEN + 10];

	snprintf(all, sizeof(all), ip_is_v4(a) ? "%s:%u" : "[%s]:%u", ip_format(a, text), port);
	return json_string(all);
}

static uint64_t object_sum(const struct inspect *in, enum counter_scope scope, uint32_t slot,
	unsigned counter)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < in->g->count; i++) {
		const uint64_t *v =
			upstream_counters(http_upstream(in->g->w[i]->http), scope, slot);

		sum += __atomic_load_n(&v[counter], __ATOMIC_RELAXED);
	}
	return sum;
}

uint64_t inspect_object_counter(const struct inspect *in, enum counter_scope scope, uint32_t slot,
	unsigned counter)
{
	const uint64_t *zero = in->zero[scope];
	uint64_t sum = object_sum(in, scope, slot, counter);

	return zero == NULL ? sum : sum - zero[(size_t)slot * counter_count(scope) + counter];
}

/* -- slots ----------------------------------------------------------------------------------- */

static bool slot_busy(void *ctx, enum agent_slot_kind kind, uint32_t slot)
{
	const struct inspect *in = ctx;

	for (unsigned i = 0; i < in->g->count; i++)
		if (upstream_users(http_upstream(in->g->w[i]->http), (enum counter_scope)kind,
			    slot) > 0)
			return true;
	return false;
}

static void slot_assigned(void *ctx, enum agent_slot_kind kind, uint32_t slot)
{
	enum counter_scope scope = (enum counter_scope)kind;
	struct inspect *in = ctx;
	unsigned n = counter_count(scope);

	if (in->zero[scope] == NULL) {
		/* Pages that are never written cost nothing. */
		in->zero[scope] = calloc((size_t)counter_slots(scope) * n, sizeof(uint64_t));
		bug_on(in->zero[scope] == NULL);
	}
	for (unsigned i = 0; i < n; i++) {
		uint64_t sum = object_sum(in, scope, slot, i);

		if (sum != 0)
			in->zero[scope][(size_t)slot * n + i] = sum;
	}
}

/* -- time ------------------------------------------------------------------------------------ */

static void tick(void *ctx, uint64_t now_us)
{
	struct inspect *in = ctx;

	for (unsigned i = 0; i < in->g->count; i++) {
		uint64_t turns =
			atomic_load_explicit(&in->g->w[i]->stats.turns, memory_order_relaxed);

		if (turns != in->turns[i] || in->turn_us[i] == 0)
			in->turn_us[i] = now_us;
		in->turns[i] = turns;
	}
	if (in->trace_end_us != 0 && now_us >= in->trace_end_us)
		inspect_trace_stop(in);
}

const struct agent_ops *agent_ops(struct worker_group *g)
{
	static const struct agent_verb verbs[] = {
		{"counters", inspect_counters},
		{"endpoints", inspect_endpoints},
		{"load", inspect_load},
		{"conns", inspect_conns},
		{"workers", inspect_workers},
		{"neighbours", inspect_neighbours},
		{"trace", inspect_trace},
	};
	static const struct agent_ops ops = {
		.ctx = &inspect,
		.verbs = verbs,
		.verb_count = sizeof(verbs) / sizeof(verbs[0]),
		.slot_busy = slot_busy,
		.slot_assigned = slot_assigned,
		.tick = tick,
	};

	inspect.g = g;
	return &ops;
}
