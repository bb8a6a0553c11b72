// SPDX-License-Identifier: Apache-2.0
/*
 * watch_request.c: the requests of a watch: what is asked, and how it ended.
 */
#include <stdio.h>
#include <stdlib.h>

#include "control/kube/cluster.h"
#include "dataplane/base/bug.h"

#define ACCEPT_METADATA "application/json;as=PartialObjectMetadata"
#define ACCEPT_META_V1 ";g=meta.k8s.io;v=v1"

void refusal_read(const json_t *status, struct reflector_refusal *r, const char **ret_message)
{
	const char *reason = object_text(status, "reason"),
		   *message = object_text(status, "message");
	const json_t *details = json_object_get(status, "details"), *cause,
		     *after = json_object_get(details, "retryAfterSeconds");
	size_t i;

	json_array_foreach (json_object_get(details, "causes"), i, cause) {
		const char *why = object_text(cause, "reason");

		if (why != NULL && strcmp(why, "ResourceVersionTooLarge") == 0)
			r->rv_too_large = true;
	}
	if (reason != NULL && (strcmp(reason, "Expired") == 0 || strcmp(reason, "Gone") == 0))
		r->status = 410;
	if (r->retry_after_us < 0 && json_is_integer(after) && json_integer_value(after) > 0 &&
		json_integer_value(after) < 86400)
		r->retry_after_us = json_integer_value(after) * 1000000;
	*ret_message = message != NULL ? message : reason != NULL ? reason : "";
}

static bool on_body(void *arg, int status, const char *p, size_t len)
{
	struct kube_watch *w = arg;

	if (w->gone || w->c->closing || (w->todo & REFLECTOR_DO_CLOSE))
		return false;
	if (status != 200) {
		/* the beginning of what it says is enough */
		kube_text_add(&w->refusal, p, len, KUBE_STATUS_MAX);
		return true;
	}
	return watch_input(w, p, len);
}

static void on_head(void *arg, int status)
{
	struct kube_watch *w = arg;

	if (status != 200 || w->gone)
		return;
	watch_apply(w, reflector_on_answer(&w->reflector, cluster_now(w->c)));
	cluster_on_good(w->c);
}

static void on_refused(struct kube_watch *w, const struct transfer_end *end)
{
	struct reflector_refusal r = {.status = end->status, .retry_after_us = end->retry_after_us};
	json_t *status = object_parse(str_make(w->refusal.p, w->refusal.len), NULL);
	const char *message = "";

	if (status != NULL)
		refusal_read(status, &r, &message);
	watch_why(w, "status %d%s%.300s", end->status, message[0] ? ": " : "", message);
	json_decref(status);
	cluster_on_refusal(w->c, &r);
	if (w->asked == REFLECTOR_STREAM && w->reflector.phase == REFLECTOR_STREAM &&
		end->status == 422)
		w->why.msg[0] = '\0'; /* an older server: nothing is wrong */
	watch_apply(w, reflector_on_refusal(&w->reflector, &r, cluster_now(w->c)));
}

/* Why a request ended that was answered 200. */
static enum reflector_end end_of(struct kube_watch *w, const struct transfer_end *end)
{
	static const enum reflector_end of[] = {[TRANSFER_OK] = REFLECTOR_END_EOF,
		[TRANSFER_REFUSED] = REFLECTOR_END_REFUSED,
		[TRANSFER_TLS] = REFLECTOR_END_REFUSED,
		[TRANSFER_BROKEN] = REFLECTOR_END_BROKEN,
		[TRANSFER_TIMEOUT] = REFLECTOR_END_TIMEOUT,
		[TRANSFER_STOPPED] = REFLECTOR_END_BAD};

	if (w->end_as >= 0)
		return (enum reflector_end)w->end_as;
	watch_why(w, "%s", end->why[0] ? end->why : "the server ended the watch at once");
	if (end->outcome == TRANSFER_OK && !frame_is_whole(&w->frame)) {
		cluster_count(w->c, KUBE_COUNTER_BAD_FRAME);
		watch_why(w, "the answer ended within an object");
		cluster_complain(w->c, w->r.plural, "msg=\"%s\"", w->why.msg);
		return REFLECTOR_END_BROKEN;
	}
	return of[end->outcome];
}

static void answered(struct kube_watch *w, const struct transfer_end *end)
{
	enum reflector_end e = end_of(w, end);
	unsigned what;

	if (w->page_done && e == REFLECTOR_END_EOF) {
		what = reflector_on_page(&w->reflector, w->page_rv, w->page_cont,
			cluster_now(w->c));
		if (what & REFLECTOR_DO_BACK) {
			cluster_count(w->c, KUBE_COUNTER_WENT_BACK);
			cluster_complain(w->c, w->r.plural,
				"msg=\"the server is at version %s, before %s: all is listed "
				"again\"",
				w->page_rv, w->reflector.rv);
		} else if (w->reflector.phase == REFLECTOR_WAIT) {
			cluster_count(w->c, KUBE_COUNTER_BAD_LIST);
			watch_why(w, "the pages of the list do not belong together");
		}
		watch_apply(w, what);
		return;
	}
	watch_apply(w, reflector_on_end(&w->reflector, e, cluster_now(w->c)));
}

static void on_end(void *arg, const struct transfer_end *end)
{
	struct kube_watch *w = arg;
	struct kube_cluster *c = w->c;

	w->transfer = NULL;
	cluster_on_end(c, end);
	if (w->gone || c->closing)
		return;
	if (!(w->todo & REFLECTOR_DO_CLOSE)) { /* else it ended because the machine had enough */
		if (end->status == 200 || end->outcome != TRANSFER_OK)
			answered(w, end);
		else
			on_refused(w, end);
	}
	cluster_soon(c);
}

static const struct transfer_ops ops = {.on_head = on_head, .on_body = on_body, .on_end = on_end};

static void request_reset(struct kube_watch *w)
{
	enum reflector_phase p = w->reflector.phase;
	bool list = p == REFLECTOR_LIST || p == REFLECTOR_VERIFY;

	w->asked = p;
	w->end_as = -1;
	w->page_done = false;
	w->page_items = 0;
	kube_text_fini(&w->refusal);
	if (w->framing)
		frame_fini(&w->frame);
	frame_init(&w->frame, list ? FRAME_LIST : FRAME_STREAM, KUBE_OBJECT_MAX);
	w->framing = true;
}

static void add_query(char **query, const char *key, const char *value)
{
	char *escaped, *more;

	if (value == NULL || value[0] == '\0')
		return;
	escaped = curl_easy_escape(NULL, value, 0);
	bug_on(escaped == NULL || asprintf(&more, "%s&%s=%s", *query, key, escaped) < 0);
	curl_free(escaped);
	free(*query);
	*query = more;
}

static char *query_of(const struct kube_watch *w)
{
	char buf[512], *query;

	reflector_query(&w->reflector, buf, sizeof(buf));
	query = strdup(buf);
	bug_on(query == NULL);
	add_query(&query, "continue", reflector_cont(&w->reflector));
	add_query(&query, "labelSelector", w->r.label_selector);
	add_query(&query, "fieldSelector", w->r.field_selector);
	return query;
}

static void count_request(struct kube_watch *w)
{
	static const enum kube_counter of[REFLECTOR_PHASE_COUNT] = {
		[REFLECTOR_STREAM] = KUBE_COUNTER_STREAM_LISTS,
		[REFLECTOR_LIST] = KUBE_COUNTER_LIST_PAGES,
		[REFLECTOR_WATCH] = KUBE_COUNTER_WATCHES,
	};
	const struct reflector *r = &w->reflector;

	cluster_count(w->c, KUBE_COUNTER_REQUESTS);
	if (of[r->phase] != 0)
		cluster_count(w->c, of[r->phase]);
	if (r->phase == REFLECTOR_STREAM || (r->phase == REFLECTOR_LIST && r->pages == 0))
		w->relists++;
	if (r->phase == REFLECTOR_LIST && r->pages == 0)
		cluster_count(w->c, KUBE_COUNTER_PAGED_LISTS);
}

void watch_send(struct kube_watch *w)
{
	struct transfer_request r = {.method = "GET", .path = w->path};
	char *query;

	reflector_on_open(&w->reflector, cluster_now(w->c));
	request_reset(w);
	query = query_of(w);
	r.query = query;
	r.gzip = w->frame.mode == FRAME_LIST && !w->c->k.cluster.no_compression;
	if (w->r.metadata_only)
		r.accept = w->frame.mode == FRAME_LIST ? ACCEPT_METADATA "List" ACCEPT_META_V1
						       : ACCEPT_METADATA ACCEPT_META_V1;
	count_request(w);
	w->generation = w->c->credential.generation;
	w->transfer = transfer_start(&w->c->transfers, &r, &ops, w);
	free(query);
	if (w->transfer == NULL)
		watch_apply(w,
			reflector_on_end(&w->reflector, REFLECTOR_END_REFUSED, cluster_now(w->c)));
}
