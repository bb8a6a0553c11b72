// SPDX-License-Identifier: Apache-2.0
/*
 * event.c: what is news, how often it is told, and its form.
 */
#include "control/status/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/status/merge.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/hash.h"

#define NAME_MAX_LEN 253u

struct compare {
	struct str controller;
	event_fn fn;
	void *arg;
};

/* --- what is news --- */

static bool is_negative(const char *type)
{
	return strcmp(type, "Conflicted") == 0 || strcmp(type, "PartiallyInvalid") == 0 ||
		strcmp(type, "OverlappingTLSConfig") == 0;
}

static bool is_bad(const json_t *c)
{
	return strcmp(status_text(c, "status"),
		       is_negative(status_text(c, "type")) ? "True" : "False") == 0;
}

static bool is_good(const json_t *c)
{
	return strcmp(status_text(c, "status"), "True") == 0 && !is_bad(c);
}

/* <part>: of a listener, whose good news the Gateway tells. */
static bool is_news(const json_t *was, const json_t *now, bool part)
{
	const char *type = status_text(now, "type");

	if (strcmp(status_text(now, "reason"), "Pending") == 0)
		return false; /* on its way, the outcome follows */
	if (was != NULL && strcmp(status_text(was, "status"), status_text(now, "status")) == 0 &&
		strcmp(status_text(was, "reason"), status_text(now, "reason")) == 0)
		return false;
	if (is_bad(now))
		return strcmp(type, "Programmed") != 0 || !part;
	if (!is_good(now) || part)
		return false;
	return strcmp(type, "Accepted") == 0 || strcmp(type, "Programmed") == 0 ||
		(was != NULL && is_bad(was)); /* references that resolve again */
}

/* A note may be cut inside a UTF-8 sequence, which JSON would not take. */
static void cut_whole(char *s)
{
	size_t n = strlen(s), back = 0;

	if (n + 1 < EVENT_NOTE_MAX)
		return;
	while (back < 3 && n > back && ((unsigned char)s[n - 1 - back] & 0xc0) == 0x80)
		back++;
	if (n > back && ((unsigned char)s[n - 1 - back] & 0x80) != 0)
		s[n - 1 - back] = '\0';
}

static void compare_conditions(const struct compare *c, const char *where, bool part,
	const json_t *before, const json_t *after)
{
	const json_t *was = json_object_get(before, "conditions"), *list;
	json_t *now;
	size_t i;

	list = json_object_get(after, "conditions");
	json_array_foreach (list, i, now) {
		const char *type = status_text(now, "type");
		struct event_said e = {
			.warning = is_bad(now),
			.reason = status_text(now, "reason"),
			.action = type,
		};

		if (!is_news(status_condition(was, type), now, part) || e.reason[0] == '\0')
			continue;
		snprintf(e.note, sizeof(e.note), "%s%s%s", where, where[0] ? ": " : "",
			status_text(now, "message"));
		cut_whole(e.note);
		c->fn(c->arg, &e);
	}
}

static void compare_listeners(const struct compare *c, const json_t *before, const json_t *after)
{
	const json_t *was = json_object_get(before, "listeners"), *list;
	json_t *now, *old;
	char where[300];
	size_t i, k;

	list = json_object_get(after, "listeners");
	json_array_foreach (list, i, now) {
		const json_t *same = NULL;

		json_array_foreach (was, k, old)
			if (strcmp(status_text(old, "name"), status_text(now, "name")) == 0)
				same = old;
		snprintf(where, sizeof(where), "Listener %s", status_text(now, "name"));
		compare_conditions(c, where, true, same, now);
	}
}

static bool is_ours(const struct compare *c, const json_t *entry)
{
	return str_eq(str_of(status_text(entry, "controllerName")), c->controller);
}

/* parents or ancestors */
static void compare_entries(const struct compare *c, const char *member, const char *ref_key,
	const json_t *before, const json_t *after)
{
	const json_t *was = json_object_get(before, member), *list;
	json_t *now, *old;
	char where[800];
	size_t i, k;

	list = json_object_get(after, member);
	json_array_foreach (list, i, now) {
		json_t *ref = json_object_get(now, ref_key);
		const json_t *same = NULL;
		const char *kind = status_text(ref, "kind"), *ns = status_text(ref, "namespace"),
			   *section = status_text(ref, "sectionName");

		if (!is_ours(c, now))
			continue;
		json_array_foreach (was, k, old)
			if (is_ours(c, old) && json_equal(json_object_get(old, ref_key), ref))
				same = old;
		snprintf(where, sizeof(where), "%s %s%s%s%s%s", kind[0] ? kind : "Gateway", ns,
			ns[0] ? "/" : "", status_text(ref, "name"), section[0] ? " listener " : "",
			section);
		compare_conditions(c, where, false, same, now);
	}
}

void event_compare(const json_t *before, const json_t *after, struct str controller, event_fn fn,
	void *arg)
{
	const struct compare c = {controller, fn, arg};

	compare_conditions(&c, "", false, before, after);
	compare_listeners(&c, before, after);
	compare_entries(&c, "parents", "parentRef", before, after);
	compare_entries(&c, "ancestors", "ancestorRef", before, after);
}

/* --- how often --- */

uint64_t event_key(struct str uid, const char *reason)
{
	static const struct hash_key k = {{0x736c756963652d65ull, 0x76656e74732d7631ull}};
	uint64_t key = hash_mix(siphash(&k, uid.len ? uid.p : "", uid.len),
		siphash(&k, reason, strlen(reason)));

	return key != 0 ? key : 1;
}

/* The slot of <key>, or the one that is free or was used longest ago. */
static struct event_slot *slot_of(struct event_table *t, uint64_t key)
{
	struct event_slot *set = &t->slots[key % (EVENT_SLOTS / EVENT_WAYS) * EVENT_WAYS];
	struct event_slot *oldest = set;

	for (uint32_t i = 0; i < EVENT_WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (set[i].sent_us < oldest->sent_us)
			oldest = &set[i];
	}
	return oldest;
}

enum event_verdict event_ask(struct event_table *t, uint64_t key, uint64_t stamp, uint64_t now_us,
	struct event_slot **ret)
{
	struct event_slot *s = *ret = slot_of(t, key);

	if (s->key != key || now_us - s->first_us >= EVENT_SERIES_US) {
		*s = (struct event_slot){key, now_us, now_us, stamp, 1};
		return EVENT_NEW;
	}
	s->count++;
	if (now_us - s->sent_us < EVENT_INTERVAL_US)
		return EVENT_LATER;
	s->sent_us = now_us;
	return EVENT_AGAIN;
}

/* --- as the API has it --- */

json_t *event_time(int64_t us)
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;
	char day[32], buf[48];

	gmtime_r(&t, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf, sizeof(buf), "%s.%06dZ", day, (int)(us % 1000000));
	return json_string(buf);
}

struct str event_namespace(struct str ns)
{
	return ns.len ? ns : STR("default");
}

void event_name(struct str object, uint64_t stamp, char *buf, size_t size)
{
	struct str cut = str_first(object, NAME_MAX_LEN - 17);

	while (cut.len && (cut.p[cut.len - 1] == '.' || cut.p[cut.len - 1] == '-'))
		cut.len--;
	snprintf(buf, size, "%.*s.%016" PRIx64, STR_FMT(cut), stamp);
}

static void set_str(json_t *j, const char *key, struct str s)
{
	json_object_set_new(j, key, json_stringn(s.len ? s.p : "", s.len));
}

static json_t *regarding(const struct event_about *a)
{
	json_t *j = json_object();

	set_str(j, "apiVersion", a->api_version);
	set_str(j, "kind", a->kind);
	if (a->ns.len)
		set_str(j, "namespace", a->ns);
	set_str(j, "name", a->name);
	set_str(j, "uid", a->uid);
	return j;
}

json_t *event_body(const struct event_about *a, const struct event_said *e, uint64_t stamp,
	int64_t now_us)
{
	json_t *j = json_object(), *meta = json_object();
	char name[NAME_MAX_LEN + 1];

	bug_on(j == NULL || meta == NULL);
	event_name(a->name, stamp, name, sizeof(name));
	json_object_set_new(meta, "name", json_string(name));
	set_str(meta, "namespace", event_namespace(a->ns));
	json_object_set_new(j, "apiVersion", json_string("events.k8s.io/v1"));
	json_object_set_new(j, "kind", json_string("Event"));
	json_object_set_new(j, "metadata", meta);
	json_object_set_new(j, "eventTime", event_time(now_us));
	set_str(j, "reportingController", str_first(a->controller, 253));
	set_str(j, "reportingInstance", str_first(str_of(a->instance), 128));
	json_object_set_new(j, "type", json_string(e->warning ? "Warning" : "Normal"));
	set_str(j, "reason", str_first(str_of(e->reason), 128));
	set_str(j, "action", str_first(str_of(e->action), 128));
	json_object_set_new(j, "note", json_string(e->note));
	json_object_set_new(j, "regarding", regarding(a));
	return j;
}

json_t *event_series(uint32_t count, int64_t now_us)
{
	json_t *j = json_object(), *series = json_object();

	json_object_set_new(series, "count", json_integer(count));
	json_object_set_new(series, "lastObservedTime", event_time(now_us));
	json_object_set_new(j, "series", series);
	return j;
}
