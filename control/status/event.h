// SPDX-License-Identifier: Apache-2.0
/*
 * event.h: Events for those who type "kubectl describe": what a change of status means in words.
 *
 * Only changes make Events: a condition that says again what it said makes none. The same reason on
 * the same object is told at most once a minute; what came in between is counted in the series of
 * the Event that is there. Pure: time is an argument. (events.k8s.io/v1)
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/str.h"

#define EVENT_NOTE_MAX 1024u /* the API's, with its NUL */
#define EVENT_INTERVAL_US 60000000u
#define EVENT_SERIES_US 1800000000u /* later a new Event: servers forget them after an hour */
#define EVENT_SLOTS 4096u
#define EVENT_WAYS 4u

struct event_said {
	bool warning;
	const char *reason; /* the condition's */
	const char *action; /* the condition's type */
	char note[EVENT_NOTE_MAX];
};

typedef void (*event_fn)(void *arg, const struct event_said *e);

/*
 * What is news in <after>; <before> may be NULL. Conditions of the object, its listeners, and the
 * entries of parents and ancestors under our <controller>.
 */
void event_compare(const json_t *before, const json_t *after, struct str controller, event_fn fn,
	void *arg);

/* --- how often --- */

struct event_slot {
	uint64_t key;	   /* 0: free */
	uint64_t first_us; /* of the Event that is there */
	uint64_t sent_us;
	uint64_t stamp; /* names that Event */
	uint32_t count; /* times that it stands for; those not told yet included */
};

struct event_table {
	struct event_slot slots[EVENT_SLOTS];
};

enum event_verdict { EVENT_LATER = 0, EVENT_NEW, EVENT_AGAIN };

uint64_t event_key(struct str uid, const char *reason);
/* What to do about one that happens now; <stamp> is for a new one. */
enum event_verdict event_ask(struct event_table *t, uint64_t key, uint64_t stamp, uint64_t now_us,
	struct event_slot **ret);

/* --- as the API has it --- */

struct event_about {
	struct str api_version, kind, ns, name, uid; /* regarding */
	struct str controller;
	const char *instance; /* which of several processes */
};

/* The name of the Event: the object's, cut, and the stamp. */
void event_name(struct str object, uint64_t stamp, char *buf, size_t size);
json_t *event_body(const struct event_about *about, const struct event_said *e, uint64_t stamp,
	int64_t now_us);
json_t *event_series(uint32_t count, int64_t now_us); /* a merge patch */
/* MicroTime: "2026-11-21T09:00:00.000000Z" of microseconds since 1970. */
json_t *event_time(int64_t us);
/* Cluster-scoped objects have theirs in "default". */
struct str event_namespace(struct str ns);
