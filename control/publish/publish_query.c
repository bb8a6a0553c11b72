// SPDX-License-Identifier: Apache-2.0
/*
 * publish_query.c: questions to dataplanes, each answered exactly once.
 *
 * An answer that never comes (link lost, too late, never connected) is an answer too. Callbacks run
 * from pub_query_run() only, so nobody is called back from inside publish_query().
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/publish/publish_state.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/str.h"

static void pub_query_free(struct publish *p, struct pub_query *q)
{
	list_del(&q->link);
	p->query_count--;
	free(q->text);
	free(q);
}

static bool pub_query_append(struct pub_query *q, struct str s)
{
	char *text;

	if (q->len + s.len > MESSAGE_REPLY_MAX)
		return false;
	text = realloc(q->text, q->len + s.len + 1);
	bug_on(text == NULL);
	if (s.len > 0)
		memcpy(text + q->len, s.p, s.len);
	q->text = text;
	q->len += s.len;
	return true;
}

/* What came so far is replaced by a sentence. */
static void pub_query_fail(struct pub_query *q, enum message_result status, const char *sentence)
{
	q->len = 0;
	q->status = status;
	q->done = true;
	pub_query_append(q, str_of(sentence));
}

uint64_t publish_query(struct publish *p, uint32_t dataplane, struct str verb, struct str args,
	publish_reply_fn fn, void *arg)
{
	struct message m = {.type = MESSAGE_QUERY, .query = {.verb = verb, .args = args}};
	struct pub_query *q;
	uint64_t one = 1;

	if (p->query_count == PUBLISH_QUERIES_MAX || dataplane >= p->dp_count)
		return 0;
	q = calloc(1, sizeof(*q));
	bug_on(q == NULL);
	*q = (struct pub_query){.id = ++p->query_last,
		.dataplane = dataplane,
		.fn = fn,
		.arg = arg,
		.deadline_us = clock_mono_us() + PUBLISH_QUERY_US};
	list_add_tail(&p->queries, &q->link);
	p->query_count++;
	m.query.id = q->id;
	if (verb.len > MESSAGE_NAME_MAX || args.len > MESSAGE_ARGS_MAX)
		pub_query_fail(q, MESSAGE_RESULT_BAD_ARGS, "the question is too long");
	else if (!pub_dataplane_send(&p->dps[dataplane], &m))
		pub_query_fail(q, MESSAGE_RESULT_LINK_LOST, "the dataplane is not connected");
	if (q->done && write(p->wake_fd, &one, sizeof(one)) < 0)
		return q->id; /* the tick will find it */
	return q->id;
}

static struct pub_query *pub_query_lookup(struct publish *p, uint64_t id)
{
	list_for_each (l, &p->queries) {
		struct pub_query *q = list_entry(l, struct pub_query, link);

		if (q->id == id)
			return q;
	}
	return NULL;
}

void publish_query_cancel(struct publish *p, uint64_t id)
{
	struct pub_query *q = pub_query_lookup(p, id);

	if (q != NULL)
		pub_query_free(p, q);
}

void pub_query_reply(struct publish *p, uint32_t dataplane, const struct message *m)
{
	struct pub_query *q = pub_query_lookup(p, m->reply.id);

	if (q == NULL || q->done || q->dataplane != dataplane)
		return; /* cancelled, or too late */
	if (!pub_query_append(q, m->reply.chunk)) {
		pub_query_fail(q, MESSAGE_RESULT_FAILED, "the answer is too long");
		return;
	}
	q->status = (enum message_result)m->reply.status;
	q->done = !(m->flags & MESSAGE_FLAG_MORE);
}

void pub_query_lost(struct publish *p, uint32_t dataplane)
{
	list_for_each (l, &p->queries) {
		struct pub_query *q = list_entry(l, struct pub_query, link);

		if (q->dataplane == dataplane && !q->done)
			pub_query_fail(q, MESSAGE_RESULT_LINK_LOST, "the dataplane was lost");
	}
}

/* One that is complete or late; a callback may open and cancel others, so we look anew each time. */
static struct pub_query *pub_query_ripe(struct publish *p, uint64_t now_us)
{
	list_for_each (l, &p->queries) {
		struct pub_query *q = list_entry(l, struct pub_query, link);

		if (!q->done && now_us >= q->deadline_us)
			pub_query_fail(q, MESSAGE_RESULT_FAILED, "no answer in time");
		if (q->done)
			return q;
	}
	return NULL;
}

void pub_query_run(struct publish *p, uint64_t now_us)
{
	struct pub_query *q;

	for (unsigned i = 0; i < PUBLISH_QUERIES_MAX && (q = pub_query_ripe(p, now_us)) != NULL;
		i++) {
		publish_reply_fn fn = q->fn;
		enum message_result status = q->status;
		struct str text = {q->text, q->len};
		void *arg = q->arg;

		q->text = NULL;
		pub_query_free(p, q);
		fn(arg, status, text);
		free((void *)text.p);
	}
}

void pub_query_free_all(struct publish *p)
{
	while (!list_is_empty(&p->queries))
		pub_query_free(p, list_entry(p->queries.next, struct pub_query, link));
}
