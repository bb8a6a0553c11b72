// SPDX-License-Identifier: Apache-2.0
/*
 * announce.c: Events on their way: after the status that they are about, behind all other writes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "control/status/merge.h"
#include "control/status/status_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"

#define EVENTS_PATH "/apis/events.k8s.io/v1/namespaces/"

struct announcement {
	struct entry *entry;
	struct event_about about;
};

static void event_free(struct event_wait *v)
{
	list_del(&v->link);
	json_decref(v->body);
	free(v->path);
	free(v);
}

/* Takes <body> over. */
static void event_queue(struct writer *w, char *path, json_t *body, bool patch)
{
	struct event_wait *v;

	if (w->events_waiting >= EVENTS_WAITING_MAX) {
		w->counters[STATUS_EVENTS_DROPPED]++;
		json_decref(body);
		free(path);
		return;
	}
	v = calloc(1, sizeof(*v));
	bug_on(v == NULL);
	*v = (struct event_wait){.writer = w, .path = path, .body = body, .patch = patch};
	list_add_tail(&w->events, &v->link);
	w->events_waiting++;
}

static void on_said(void *arg, const struct event_said *e)
{
	struct announcement *a = arg;
	struct writer *w = a->entry->writer;
	struct status *s = w->status;
	struct str ns = event_namespace(a->about.ns);
	uint64_t now = clock_mono_us();
	int64_t wall = status_wall_us();
	struct event_slot *slot;
	char name[256] = "", *path = NULL;
	enum event_verdict verdict = event_ask(s->events, event_key(a->about.uid, e->reason),
		rng_u64(&s->rng), now, &slot);

	if (verdict == EVENT_LATER) {
		w->counters[STATUS_EVENTS_HELD]++;
		return;
	}
	if (verdict == EVENT_AGAIN)
		event_name(a->about.name, slot->stamp, name, sizeof(name));
	if (asprintf(&path, EVENTS_PATH "%.*s/events%s%s", STR_FMT(ns), name[0] ? "/" : "", name) <
		0)
		bug_on(true);
	event_queue(w, path,
		verdict == EVENT_NEW ? event_body(&a->about, e, slot->stamp, wall)
				     : event_series(slot->count, wall),
		verdict == EVENT_AGAIN);
}

void announce_changes(struct entry *e, const json_t *before, const json_t *after)
{
	const json_t *meta = json_object_get(e->known, "metadata");
	struct announcement a = {.entry = e,
		.about = {
			.api_version = str_of(kind_info[e->kind].api_version),
			.kind = kind_info[e->kind].name,
			.ns = e->ns,
			.name = e->name,
			.uid = str_of(status_text(meta, "uid")),
			.controller = str_of(e->writer->status->controller),
			.instance = e->writer->status->instance,
		}};

	/* A class has no namespace to look into, a Service's story is its Gateway's. */
	if (!kind_info[e->kind].namespaced || e->kind == KIND_SERVICE)
		return;
	event_compare(before, after, a.about.controller, on_said, &a);
}

static void on_done(void *arg, int status, json_t *body, const char *why)
{
	struct writer *w = arg;

	w->events_under_way--;
	w->counters[status >= 200 && status < 300 ? STATUS_EVENTS : STATUS_EVENTS_FAILED]++;
	writer_soon(w->status, 0);
}

void announce_pump(struct writer *w)
{
	struct list *l;

	while (w->events_under_way < EVENTS_UNDER_WAY && (l = list_pop(&w->events)) != NULL) {
		struct event_wait *v = list_entry(l, struct event_wait, link);
		struct err err;
		int rc = kube_request(w->kube,
			&(struct kube_request){.method = v->patch ? "PATCH" : "POST",
				.path = v->path,
				.content_type = v->patch ? KUBE_MERGE_PATCH : KUBE_JSON,
				.body = v->body,
				.done = on_done,
				.arg = w},
			NULL, &err);

		w->events_waiting--;
		if (rc == 0)
			w->events_under_way++;
		else
			w->counters[STATUS_EVENTS_FAILED]++;
		event_free(v);
	}
}

void announce_drop(struct writer *w)
{
	struct list *l;

	while ((l = list_pop(&w->events)) != NULL)
		event_free(list_entry(l, struct event_wait, link));
	w->events_waiting = 0;
	w->events_under_way = 0;
}
