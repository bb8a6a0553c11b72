// SPDX-License-Identifier: Apache-2.0
/*
 * agent_query.c: control asks, the agent answers, without holding up a change.
 *
 * Questions wait in a short queue; the loop runs one bounded step of the oldest between batches of
 * messages. The answer is one JSON object, cut into chunks. The verb `config` is answered here, the
 * others by whoever can look into the workers (agent_inspect.h).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/agent/agent_json.h"
#include "dataplane/agent/agent_state.h"
#include "dataplane/base/bug.h"
#include "dataplane/worker/worker.h"

struct query_job {
	struct list link;
	uint64_t id;
	const struct agent_verb *verb; /* NULL: `config` */
	json_t *args;		       /* owned */
	struct agent_query q;
};

static const char *const slot_kinds[AGENT_SLOT_KIND_COUNT] = {"listener", "rule", "backend",
	"endpoint"};

const char *agent_slot_kind_str(enum agent_slot_kind kind)
{
	return slot_kinds[kind];
}

json_t *agent_json_id(uint64_t id)
{
	char hex[17];

	snprintf(hex, sizeof(hex), "%016" PRIx64, id);
	return json_string(hex);
}

json_t *agent_json_str(struct str s)
{
	json_t *j = json_stringn(s.len ? s.p : "", s.len);

	return j != NULL ? j : json_string("?"); /* not UTF-8 */
}

void agent_json_counter(json_t *list, const char *name, const char *help, uint64_t value)
{
	json_array_append_new(list,
		json_pack("{s:s, s:s, s:I}", "name", name, "help", help, "value",
			(json_int_t)value));
}

static json_t *own_counters(const struct agent *a)
{
	json_t *list = json_array();
	char name[64];

	for (unsigned i = 0; i < AGENT_C_COUNT; i++)
		agent_json_counter(list, agent_counter_name(i), agent_counter_help(i),
			a->counters[i]);
	for (unsigned i = 0; i < HEALTH_C_COUNT; i++)
		agent_json_counter(list, health_counter_name(i), health_counter_help(i),
			a->ctx.health.counters[i]);
	for (unsigned i = 1; i < MESSAGE_ERR_COUNT; i++)
		agent_json_counter(list, message_error_name((enum message_error)i),
			message_error_help((enum message_error)i), a->errors[i]);
	for (unsigned i = 1; i < MESSAGE_RESULT_COUNT; i++) {
		snprintf(name, sizeof(name), "refused_%s", message_result_str((uint16_t)i));
		agent_json_counter(list, name, message_result_help((uint16_t)i), a->refusals[i]);
	}
	return list;
}

static json_t *link_counters(const struct agent *a)
{
	struct link_stats s;

	link_stats(a->link, &s);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "connects",
		(json_int_t)s.connects, "disconnects", (json_int_t)s.disconnects, "rejected_peers",
		(json_int_t)s.rejected_peers, "received", (json_int_t)s.received, "sent",
		(json_int_t)s.sent, "lost", (json_int_t)s.lost, "refused", (json_int_t)s.refused,
		"relistens", (json_int_t)s.relistens);
}

static bool verb_config(struct agent *a, void *ctx, struct agent_query *q)
{
	const struct live *l = a->ctx.live;
	struct disk_journal j = disk_journal(&a->disk);
	json_t *slots = json_object();

	for (unsigned k = 0; k < AGENT_SLOT_KIND_COUNT; k++)
		json_object_set_new(slots, slot_kinds[k],
			json_pack("{s:I, s:I, s:I}", "used", (json_int_t)a->ctx.slots.t[k].live,
				"given", (json_int_t)a->ctx.slots.t[k].used, "max",
				(json_int_t)a->ctx.slots.t[k].max));
	q->answer =
		json_pack("{s:s, s:s, s:I, s:{s:b, s:s, s:I, s:I}, s:I, s:I, s:I, s:o, s:o, s:o, "
			  "s:b, s:b, s:s, s:{s:b, s:I, s:I}, s:I, s:o, s:o, s:o}",
			"dataplane", a->cfg.name, "version", SLUICE_VERSION, "boot",
			(json_int_t)a->store.boot, "control", "connected", a->session.welcomed,
			"name", a->session.control, "epoch", (json_int_t)a->session.epoch, "fence",
			(json_int_t)a->fence, "generation", (json_int_t)(l ? l->cfg.generation : 0),
			"revision", (json_int_t)(l ? l->revision : 0), "revision_epoch",
			(json_int_t)(l ? l->epoch : 0), "structure",
			agent_json_id(l ? l->structure : 0), "state",
			agent_json_id(l ? l->state : 0), "image",
			agent_json_id(l ? l->snap.digest : 0), "draining",
			(int)atomic_load(&a->group->draining), "durable", a->durable, "trouble",
			a->trouble, "journal", "open", j.open, "records", (json_int_t)j.records,
			"bytes", (json_int_t)j.bytes, "pending", (json_int_t)a->ctx.reclaim.count,
			"slots", slots, "counters", own_counters(a), "link", link_counters(a));
	return false;
}

static const struct agent_verb config_verb = {"config", verb_config};

static void reply(struct agent *a, uint64_t id, enum message_result status, struct str text)
{
	do {
		struct str chunk = str_first(text, MESSAGE_CHUNK_MAX);
		struct message m = {.type = MESSAGE_REPLY,
			.reply = {.id = id, .status = (uint16_t)status, .chunk = chunk}};

		text = str_from(text, chunk.len);
		m.flags = text.len > 0 ? MESSAGE_FLAG_MORE : 0;
		if (!agent_session_send(a, &m))
			return;
	} while (text.len > 0);
}

static void refuse(struct agent *a, uint64_t id, enum message_result status, const char *text)
{
	agent_count(a, AGENT_C_QUERIES);
	a->refusals[status]++;
	reply(a, id, status, str_of(text));
}

static const struct agent_verb *verb_lookup(const struct agent *a, struct str name)
{
	for (unsigned i = 0; i < a->ops.verb_count; i++)
		if (str_eq(name, str_of(a->ops.verbs[i].name)))
			return &a->ops.verbs[i];
	return str_eq(name, str_of(config_verb.name)) ? &config_verb : NULL;
}

void agent_query_message(struct agent *a, const struct message *m)
{
	const struct agent_verb *verb = verb_lookup(a, m->query.verb);
	struct query_job *job;
	json_t *args;

	if (verb == NULL) {
		refuse(a, m->query.id, MESSAGE_RESULT_UNKNOWN_VERB, "no such query");
		return;
	}
	if (a->query_count == AGENT_QUERIES_MAX) {
		refuse(a, m->query.id, MESSAGE_RESULT_BUSY, "too many queries wait");
		return;
	}
	/* jansson bounds the depth (JSON_PARSER_MAX_DEPTH), the message bounds the length. */
	args = m->query.args.len == 0
		? json_object()
		: json_loadb(m->query.args.p, m->query.args.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(args)) {
		json_decref(args);
		refuse(a, m->query.id, MESSAGE_RESULT_BAD_ARGS, "the arguments are no JSON object");
		return;
	}
	job = calloc(1, sizeof(*job));
	bug_on(job == NULL);
	job->id = m->query.id;
	job->verb = verb;
	job->args = args;
	job->q.args = args;
	list_add_tail(&a->queries, &job->link);
	a->query_count++;
}

static void job_free(struct agent *a, struct query_job *job)
{
	list_del(&job->link);
	a->query_count--;
	json_decref(job->args);
	json_decref(job->q.answer);
	free(job->q.state);
	free(job);
}

static void job_answer(struct agent *a, const struct query_job *job)
{
	char *text;

	if (job->q.status != MESSAGE_RESULT_OK) {
		refuse(a, job->id, job->q.status, job->q.err.msg);
		return;
	}
	text = json_dumps(job->q.answer, JSON_COMPACT);
	if (text == NULL || strlen(text) > MESSAGE_REPLY_MAX) {
		refuse(a, job->id, MESSAGE_RESULT_FAILED, "the answer is too long");
	} else {
		agent_count(a, AGENT_C_QUERIES);
		reply(a, job->id, MESSAGE_RESULT_OK, str_of(text));
	}
	free(text);
}

bool agent_query_run(struct agent *a)
{
	struct query_job *job;
	bool more;

	if (list_is_empty(&a->queries))
		return false;
	job = list_entry(a->queries.next, struct query_job, link);
	more = job->verb->fn(a, a->ops.ctx, &job->q);
	job->q.step++;
	if (!more) {
		bug_on(job->q.status == MESSAGE_RESULT_OK && job->q.answer == NULL);
		job_answer(a, job);
		job_free(a, job);
	}
	return !list_is_empty(&a->queries);
}

void agent_query_drop_all(struct agent *a)
{
	list_for_each_safe (l, &a->queries)
		job_free(a, list_entry(l, struct query_job, link));
}
