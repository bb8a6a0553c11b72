// SPDX-License-Identifier: Apache-2.0
/*
 * watch_input.c: from the bytes of lists and watches to objects in the consumer's hands.
 *
 * While a list is taken its objects are kept as trimmed text, which is a fraction of what a tree of
 * them would need; the consumer gets them one by one when the list is whole. What cannot be an
 * object is left out, counted and named in the log, and nothing else suffers from it.
 */
#include <stdlib.h>

#include "control/kube/cluster.h"
#include "dataplane/base/bug.h"

#define INITIAL_END "k8s.io/initial-events-end"

static bool is_collecting(const struct kube_watch *w)
{
	return w->reflector.phase == REFLECTOR_STREAM || w->reflector.phase == REFLECTOR_LIST;
}

/* One that is left out: what was known of it stays. */
static void leave_out(struct kube_watch *w, enum kube_counter n, struct str text, const char *why)
{
	cluster_count(w->c, n);
	w->unreadable += is_collecting(w);
	cluster_complain(w->c, w->r.plural, "msg=\"left out: %s\" text=\"%.*s\"", why,
		STR_FMT(str_first(text, 120)));
}

static void leave_out_object(struct kube_watch *w, enum kube_counter n, const json_t *object,
	const char *why)
{
	const json_t *meta = json_object_get(object, "metadata");
	const char *ns = object_text(meta, "namespace"), *name = object_text(meta, "name");

	cluster_count(w->c, n);
	w->unreadable += is_collecting(w);
	cluster_complain(w->c, w->r.plural, "object=%.63s%s%.253s msg=\"left out: %s\"",
		ns ? ns : "", ns ? "/" : "", name ? name : "?", why);
}

static void stop(struct kube_watch *w, enum reflector_end as, enum kube_counter n, const char *why)
{
	cluster_count(w->c, n);
	watch_why(w, "%s", why);
	cluster_complain(w->c, w->r.plural, "msg=\"%s\"", why);
	w->end_as = (int)as;
}

/* --- collecting --- */

/* By all watches together: a server may give all its lists at once. */
static size_t collected(const struct kube_cluster *c)
{
	size_t n = 0;

	list_for_each (l, &c->watches)
		n += list_entry(l, struct kube_watch, link)->fresh.texts.used_bytes;
	return n;
}

static void collect(struct kube_watch *w, json_t *object, const struct object_meta *meta)
{
	struct objects_entry *e = objects_put(&w->fresh, meta);
	char *text;

	if (e == NULL) {
		leave_out_object(w, KUBE_COUNTER_TOO_MANY, object,
			"too many objects, or names too long together");
		return;
	}
	object_trim(object, &w->type);
	text = json_dumps(object, JSON_COMPACT);
	bug_on(text == NULL);
	if (collected(w->c) + strlen(text) > KUBE_LIST_BYTES_MAX ||
		!objects_keep(&w->fresh, e, str_of(text)))
		stop(w, REFLECTOR_END_TOO_LARGE, KUBE_COUNTER_LIST_TOO_LARGE,
			"all objects together are too large");
	free(text);
}

static void take_item(struct kube_watch *w, struct str text)
{
	struct object_meta meta;
	struct err err;
	json_t *object;

	if (++w->page_items > OBJECTS_MAX) {
		stop(w, REFLECTOR_END_BAD, KUBE_COUNTER_BAD_LIST, "a list without end");
		return;
	}
	if (w->asked != REFLECTOR_LIST)
		return; /* only the version is wanted */
	object = object_parse(text, &err);
	if (object == NULL)
		leave_out(w, KUBE_COUNTER_BAD_JSON, text, err.msg);
	else if (object_check(object, &w->as_sent, &meta, &err) < 0)
		leave_out_object(w, KUBE_COUNTER_BAD_OBJECT, object, err.msg);
	else
		collect(w, object, &meta);
	json_decref(object);
}

static bool is_list_of(const json_t *j, const char *kind)
{
	const char *k = object_text(j, "kind");
	size_t n = strlen(kind);

	return k != NULL && strncmp(k, kind, n) == 0 && strcmp(k + n, "List") == 0;
}

static void take_envelope(struct kube_watch *w, struct str text)
{
	struct err err;
	json_t *j = object_parse(text, &err);
	const json_t *items = json_object_get(j, "items");
	const char *rv = j != NULL ? object_rv(j) : NULL,
		   *cont = object_text(json_object_get(j, "metadata"), "continue");

	cont = cont != NULL ? cont : "";
	/* an empty list may have no items, or null, as Go writes it */
	if (j == NULL || rv == NULL || !is_list_of(j, w->as_sent.kind) ||
		json_array_size(items) > 0 ||
		(items != NULL && !json_is_array(items) && !json_is_null(items)) ||
		strlen(cont) >= sizeof(w->page_cont)) {
		stop(w, REFLECTOR_END_BAD, KUBE_COUNTER_BAD_LIST,
			j == NULL	     ? err.msg
				: rv == NULL ? "a list without metadata.resourceVersion"
					     : "not a list of what was asked for");
	} else {
		snprintf(w->page_rv, sizeof(w->page_rv), "%s", rv);
		snprintf(w->page_cont, sizeof(w->page_cont), "%s", cont);
		w->page_done = true;
	}
	json_decref(j);
}

/* --- events --- */

static bool may_call(const struct kube_watch *w)
{
	return !w->gone && !w->c->closing;
}

static void say_recreated(struct kube_watch *w, const struct objects_entry *e)
{
	json_t *dead = object_tombstone(&w->type, e->key, e->uid);

	cluster_count(w->c, KUBE_COUNTER_RECREATED);
	if (may_call(w))
		w->ev.on_delete(w->arg, dead);
	json_decref(dead);
}

static void upsert(struct kube_watch *w, json_t *object, const struct object_meta *meta)
{
	struct objects_entry *e = objects_find(&w->known, meta->ns, meta->name);

	if (e != NULL && strcmp(e->uid, meta->uid) != 0)
		say_recreated(w, e);
	if (objects_put(&w->known, meta) == NULL) {
		leave_out_object(w, KUBE_COUNTER_TOO_MANY, object,
			"too many objects, or names too long together");
		return;
	}
	object_trim(object, &w->type);
	if (may_call(w))
		w->ev.on_upsert(w->arg, object);
}

static void delete (struct kube_watch *w, json_t *object, const struct object_meta *meta)
{
	/* one that was left out may be known to the consumer from before */
	objects_remove(&w->known, meta->ns, meta->name);
	object_trim(object, &w->type);
	if (may_call(w))
		w->ev.on_delete(w->arg, object);
}

static void apply_event(struct kube_watch *w, enum reflector_event e, json_t *object,
	const struct object_meta *meta)
{
	cluster_count(w->c, KUBE_COUNTER_EVENTS);
	if (is_collecting(w)) {
		if (e == REFLECTOR_EVENT_DELETED)
			objects_remove(&w->fresh, meta->ns, meta->name);
		else
			collect(w, object, meta);
	} else if (e == REFLECTOR_EVENT_DELETED) {
		delete (w, object, meta);
	} else {
		upsert(w, object, meta);
	}
}

static void take_object(struct kube_watch *w, enum reflector_event e, json_t *object)
{
	struct object_meta meta;
	struct err err;
	unsigned what;

	if (object_check(object, &w->as_sent, &meta, &err) < 0) {
		leave_out_object(w, KUBE_COUNTER_BAD_OBJECT, object, err.msg);
		return;
	}
	what = reflector_on_event(&w->reflector, e, meta.rv, cluster_now(w->c));
	if (what & REFLECTOR_DO_BACK)
		leave_out_object(w, KUBE_COUNTER_BAD_VERSION, object,
			"its version is older than what came before; all is listed again");
	if (what & REFLECTOR_DO_TAKE)
		apply_event(w, e, object, &meta);
	watch_apply(w, what);
}

static void take_bookmark(struct kube_watch *w, const json_t *object, struct str text)
{
	const json_t *meta = json_object_get(object, "metadata");
	const char *rv = object_rv(object),
		   *end = object_text(json_object_get(meta, "annotations"), INITIAL_END);
	bool is_end = end != NULL && strcmp(end, "true") == 0;
	unsigned what;

	if (rv == NULL) {
		leave_out(w, KUBE_COUNTER_BAD_EVENT, text, "a bookmark without a version");
		return;
	}
	cluster_count(w->c, KUBE_COUNTER_BOOKMARKS);
	what = reflector_on_event(&w->reflector,
		is_end ? REFLECTOR_EVENT_INITIAL_END : REFLECTOR_EVENT_BOOKMARK, rv,
		cluster_now(w->c));
	if (what & REFLECTOR_DO_BACK)
		leave_out(w, KUBE_COUNTER_BAD_VERSION, text,
			"its version is older than what came before; all is listed again");
	watch_apply(w, what);
}

static void take_error(struct kube_watch *w, const json_t *status)
{
	const json_t *code = json_object_get(status, "code");
	struct reflector_refusal r = {.status = 500, .retry_after_us = -1};
	const char *message;

	if (json_is_integer(code) && json_integer_value(code) >= 400 &&
		json_integer_value(code) < 600)
		r.status = (int)json_integer_value(code);
	else
		cluster_count(w->c, KUBE_COUNTER_BAD_EVENT);
	refusal_read(status, &r, &message);
	watch_why(w, "error %d in the stream: %.300s", r.status, message);
	cluster_on_refusal(w->c, &r);
	watch_apply(w, reflector_on_refusal(&w->reflector, &r, cluster_now(w->c)));
}

static void dispatch(struct kube_watch *w, const char *type, json_t *object, struct str text)
{
	static const char *const types[] = {"ADDED", "MODIFIED", "DELETED"};

	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(type, types[i]) == 0) {
			take_object(w, (enum reflector_event)i, object);
			return;
		}
	if (strcmp(type, "BOOKMARK") == 0)
		take_bookmark(w, object, text);
	else if (strcmp(type, "ERROR") == 0)
		take_error(w, object);
	else
		leave_out(w, KUBE_COUNTER_BAD_EVENT, text, "an event of an unknown type");
}

static void take_event(struct kube_watch *w, struct str text)
{
	struct err err;
	json_t *event = object_parse(text, &err), *object = json_object_get(event, "object");
	const char *type = object_text(event, "type");

	w->last_event_us = clock_mono_us();
	if (event == NULL)
		leave_out(w, KUBE_COUNTER_BAD_JSON, text, err.msg);
	else if (type == NULL || !json_is_object(object))
		leave_out(w, KUBE_COUNTER_BAD_EVENT, text, "an event without type or object");
	else
		dispatch(w, type, object, text);
	json_decref(event);
}

bool watch_input(struct kube_watch *w, const char *p, size_t len)
{
	enum frame_result result;
	struct str text;

	while (len > 0 && !(w->todo & REFLECTOR_DO_CLOSE) && w->end_as < 0 && may_call(w)) {
		size_t n = frame_feed(&w->frame, p, len, &result, &text);

		p += n;
		len -= n;
		if (result == FRAME_ITEM && w->frame.mode == FRAME_LIST)
			take_item(w, text);
		else if (result == FRAME_ITEM)
			take_event(w, text);
		else if (result == FRAME_TOO_LARGE)
			leave_out(w, KUBE_COUNTER_TOO_LARGE, text, "an object larger than 4 MiB");
		else if (result == FRAME_END)
			take_envelope(w, text);
		else if (result == FRAME_BAD)
			stop(w, REFLECTOR_END_BAD, KUBE_COUNTER_BAD_FRAME,
				"what came is no JSON object");
	}
	return !(w->todo & REFLECTOR_DO_CLOSE) && w->end_as < 0 && may_call(w);
}

/* --- handing over --- */

struct kube_items {
	const struct objects *t;
	uint32_t next, count;
	json_t *object; /* owned; the last one that was given */
};

json_t *kube_items_next(struct kube_items *items)
{
	json_decref(items->object);
	items->object = NULL;
	while (items->object == NULL && items->next < items->t->count) {
		struct str text = items->t->entries[items->next++].text;

		if (text.len > 0)
			items->object = object_parse(text, NULL);
	}
	return items->object;
}

uint32_t kube_items_count(const struct kube_items *items)
{
	return items->count;
}

static void hand_over(struct kube_watch *w, bool whole)
{
	struct kube_items items = {.t = &w->fresh};

	for (uint32_t i = 0; i < w->fresh.count; i++)
		items.count += w->fresh.entries[i].text.len > 0;
	if (may_call(w))
		w->ev.on_replace(w->arg, &items, whole);
	json_decref(items.object);
}

void watch_commit(struct kube_watch *w)
{
	bool whole = w->unreadable == 0;
	struct objects old;

	for (uint32_t i = 0; i < w->known.count; i++) {
		const struct objects_entry *was = &w->known.entries[i],
					   *is = objects_match(&w->fresh, was);

		if (is != NULL && strcmp(is->uid, was->uid) != 0)
			say_recreated(w, was);
		else if (is == NULL && !whole)
			objects_carry(&w->fresh, was);
	}
	hand_over(w, whole);
	objects_drop_texts(&w->fresh);
	old = w->known;
	w->known = w->fresh;
	w->fresh = old;
	objects_clear(&w->fresh);
	w->fresh.texts.max_bytes = KUBE_LIST_BYTES_MAX;
	w->unreadable = 0;
}

void watch_empty(struct kube_watch *w)
{
	objects_clear(&w->fresh);
	w->unreadable = 0;
	watch_commit(w);
}
