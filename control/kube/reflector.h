// SPDX-License-Identifier: Apache-2.0
/*
 * reflector.h: the state machine that keeps a copy of one resource of one API server.
 *
 *	DISCOVER ─found→ STREAM ─end bookmark→ WATCH (same connection)
 *	   │               └─any refusal of the kind→ LIST ─last page→ WATCH
 *	   └─absent→ ABSENT (a minute) → DISCOVER
 *	WATCH  end of stream → WATCH(rv) · 410 → STREAM · 404 → DISCOVER
 *	       connection lost → WAIT → VERIFY ─still there→ WATCH(rv), ─went back→ STREAM
 *	any    429, 5xx, 403 → WAIT → the same again
 *
 * Pure: it knows no socket, no JSON and no clock. Each function takes what has happened, the time
 * and a random number, and returns what to do as a set of REFLECTOR_DO_ bits; <wake_us> says when
 * to call reflector_on_wake(). The rules are client-go's Reflector, with these differences, each on
 * the careful side: lists are consistent reads and paged, since who writes status must not see the
 * past; after a lost connection the server's version is asked for first, because a server that was
 * restored from a backup would leave a watch from the future silent; a resource is called absent
 * only when it was looked for three times, because a server that starts serves its own kinds first; and
 * a server that answers one reflector is asked by all that had lost it, or had found it ill (5xx),
 * however patient each was.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/kube/rv.h"

enum reflector_phase {
#define REFLECTOR_PHASE(NAME, name) REFLECTOR_##NAME,
#include "control/kube/reflector.def"
	REFLECTOR_PHASE_COUNT
};

enum reflector_end {
#define REFLECTOR_END(NAME, name) REFLECTOR_END_##NAME,
#include "control/kube/reflector.def"
	REFLECTOR_END_COUNT
};

/* What the caller does, in this order. */
#define REFLECTOR_DO_CLOSE 0x001u    /* drop the request that is under way */
#define REFLECTOR_DO_COMMIT 0x002u   /* what was collected is all there is: hand it over */
#define REFLECTOR_DO_EMPTY 0x004u    /* there is nothing: hand that over */
#define REFLECTOR_DO_CLEAR 0x008u    /* forget what was collected */
#define REFLECTOR_DO_TELL 0x010u     /* reflector_watch_phase() has changed, or its reason */
#define REFLECTOR_DO_REFRESH 0x020u  /* get a new credential */
#define REFLECTOR_DO_DISCOVER 0x040u /* ask what is served, then reflector_on_discovery() */
#define REFLECTOR_DO_OPEN 0x080u     /* send what reflector_query() says */
#define REFLECTOR_DO_TAKE 0x100u     /* the event counts: into the collection or at once */
#define REFLECTOR_DO_BACK 0x200u     /* count it: the server went back */
#define REFLECTOR_DO_SHORT 0x400u    /* count it: a very short watch */

#define REFLECTOR_BACKOFF_MIN_US 800000u
#define REFLECTOR_BACKOFF_MAX_US 30000000u
#define REFLECTOR_BACKOFF_RESET_US 120000000u /* of health */
#define REFLECTOR_HURRY_US 1000000u
#define REFLECTOR_FORBIDDEN_US 30000000u
#define REFLECTOR_RETRY_AFTER_MAX_US 120000000u
#define REFLECTOR_ABSENT_US 60000000u
#define REFLECTOR_ABSENT_LOOKS 3u
#define REFLECTOR_LOOK_US 1000000u
#define REFLECTOR_ANSWER_US 60000000u /* until an answer must have begun */
#define REFLECTOR_LIST_US 300000000u  /* until a page must be complete */
#define REFLECTOR_SILENT_US 60000000u /* a streamed list without a sign of life */
#define REFLECTOR_WATCH_MIN_S 300u
#define REFLECTOR_WATCH_MAX_S 600u
#define REFLECTOR_GRACE_US 30000000u /* the server ends a watch in time, or we do */
#define REFLECTOR_SHORT_US 1000000u
#define REFLECTOR_RELIST_US 30000000u /* a second list within this is backed off */
#define REFLECTOR_PAGE 500u
#define REFLECTOR_PAGES_MAX 4096u
#define REFLECTOR_CONTINUE_MAX 4096u

/* Time and chance of one call. */
struct reflector_now {
	uint64_t us, random;
};

struct reflector {
	enum reflector_phase phase;
	enum reflector_phase next; /* of WAIT */
	uint64_t wake_us;	   /* 0: no need */
	/* what we hold */
	char rv[RV_MAX]; /* of what was handed over; "" before the first time */
	bool have;	 /* something complete was handed over */
	bool in_step;	 /* and nothing has gone wrong since */
	bool absent;	 /* what was handed over is that there is no such resource */
	/* this request */
	uint64_t opened_us, event_us;
	uint32_t timeout_s, events;
	bool answered, refreshed;
	/* this list */
	char page_rv[RV_MAX], cont[REFLECTOR_CONTINUE_MAX];
	uint32_t pages;
	bool stream_refused; /* this server cannot stream lists; forgotten when it is lost */
	uint8_t stream_failed;
	/* patience */
	uint64_t backoff_us, backoff_at_us, listed_us;
	bool unheard; /* WAIT because nobody answered, or nobody who could */
	uint32_t absent_looks, not_found;
};

enum reflector_event {
	REFLECTOR_EVENT_ADDED = 0,
	REFLECTOR_EVENT_MODIFIED,
	REFLECTOR_EVENT_DELETED,
	REFLECTOR_EVENT_BOOKMARK,
	REFLECTOR_EVENT_INITIAL_END, /* the bookmark that ends a streamed list */
};

enum reflector_found { REFLECTOR_FOUND = 0, REFLECTOR_NOT_FOUND, REFLECTOR_FIND_FAILED };

/* What a refusal says, from its status line or from an ERROR event. */
struct reflector_refusal {
	int status;
	bool rv_too_large;	/* reason or cause ResourceVersionTooLarge */
	int64_t retry_after_us; /* -1: not said */
};

unsigned reflector_start(struct reflector *r, struct reflector_now now);
unsigned reflector_on_discovery(struct reflector *r, enum reflector_found f,
	struct reflector_now now);
/* The request was sent. */
void reflector_on_open(struct reflector *r, struct reflector_now now);
/* Status 200. */
unsigned reflector_on_answer(struct reflector *r, struct reflector_now now);
unsigned reflector_on_refusal(struct reflector *r, const struct reflector_refusal *why,
	struct reflector_now now);
unsigned reflector_on_event(struct reflector *r, enum reflector_event e, const char *rv,
	struct reflector_now now);
/* A page is complete; <cont> "" on the last one. */
unsigned reflector_on_page(struct reflector *r, const char *rv, const char *cont,
	struct reflector_now now);
unsigned reflector_on_end(struct reflector *r, enum reflector_end end, struct reflector_now now);
unsigned reflector_on_wake(struct reflector *r, struct reflector_now now);
/* Somebody else was answered: who waits because nobody was there waits a second at most. */
void reflector_hurry(struct reflector *r, struct reflector_now now);
/* Everything again: another version is better now. */
unsigned reflector_restart(struct reflector *r, struct reflector_now now);
/* Look for an absent resource now. */
unsigned reflector_look(struct reflector *r, struct reflector_now now);

/* The query of the request to send; <cont> must be escaped by the caller, see reflector_cont(). */
void reflector_query(const struct reflector *r, char *buf, size_t size);
/* The continue token for this request; "" when it has none. */
const char *reflector_cont(const struct reflector *r);
const char *reflector_phase_name(enum reflector_phase p);
const char *reflector_end_name(enum reflector_end e);
