// SPDX-License-Identifier: Apache-2.0
/*
 * reflector.c: see reflector.h. Reference: client-go tools/cache/reflector.go; Kubernetes API
 * concepts, "Efficient detection of changes", "Streaming lists"; KEP-3157.
 */
#include "control/kube/reflector.h"

#include <stdio.h>

#include "dataplane/base/bug.h"

const char *reflector_phase_name(enum reflector_phase p)
{
	static const char *const names[] = {
#define REFLECTOR_PHASE(NAME, name) name,
#include "control/kube/reflector.def"
	};

	return names[p];
}

const char *reflector_end_name(enum reflector_end e)
{
	static const char *const names[] = {
#define REFLECTOR_END(NAME, name) name,
#include "control/kube/reflector.def"
	};

	return names[e];
}

/* --- patience --- */

/* The next delay: it doubles up to a bound, and chance adds up to the same again. */
static uint64_t backoff(struct reflector *r, struct reflector_now now)
{
	uint64_t d;

	if (r->backoff_us == 0 || now.us - r->backoff_at_us > REFLECTOR_BACKOFF_RESET_US)
		r->backoff_us = REFLECTOR_BACKOFF_MIN_US;
	d = r->backoff_us;
	r->backoff_us = d * 2 < REFLECTOR_BACKOFF_MAX_US ? d * 2 : REFLECTOR_BACKOFF_MAX_US;
	r->backoff_at_us = now.us;
	return d + now.random % (d + 1);
}

static unsigned wait_us(struct reflector *r, enum reflector_phase next, uint64_t delay_us,
	struct reflector_now now)
{
	r->phase = REFLECTOR_WAIT;
	r->next = next;
	r->wake_us = now.us + delay_us;
	r->refreshed = false;
	r->in_step = false;
	r->unheard = false;
	return REFLECTOR_DO_CLOSE | REFLECTOR_DO_TELL;
}

static unsigned wait_backoff(struct reflector *r, enum reflector_phase next,
	struct reflector_now now)
{
	return wait_us(r, next, backoff(r, now), now);
}

static unsigned wait_unheard(struct reflector *r, enum reflector_phase next,
	struct reflector_now now)
{
	unsigned what = wait_backoff(r, next, now);

	r->unheard = true;
	return what;
}

void reflector_hurry(struct reflector *r, struct reflector_now now)
{
	uint64_t at = now.us + now.random % REFLECTOR_HURRY_US;

	r->backoff_us = 0; /* it grew while nobody was there */
	if (r->phase == REFLECTOR_WAIT && r->unheard && at < r->wake_us)
		r->wake_us = at;
}

/* --- what comes next --- */

static unsigned discover(struct reflector *r)
{
	r->phase = REFLECTOR_DISCOVER;
	r->wake_us = 0;
	return REFLECTOR_DO_CLOSE | REFLECTOR_DO_DISCOVER;
}

static unsigned open_as(struct reflector *r, enum reflector_phase phase)
{
	r->phase = phase;
	r->wake_us = 0;
	r->answered = false;
	return REFLECTOR_DO_CLOSE | REFLECTOR_DO_OPEN;
}

static unsigned list_pages(struct reflector *r)
{
	r->page_rv[0] = r->cont[0] = '\0';
	r->pages = 0;
	return open_as(r, REFLECTOR_LIST) | REFLECTOR_DO_CLEAR;
}

static unsigned list(struct reflector *r, struct reflector_now now)
{
	r->listed_us = now.us;
	if (r->stream_refused)
		return list_pages(r);
	return open_as(r, REFLECTOR_STREAM) | REFLECTOR_DO_CLEAR;
}

/* At once when the last list is a while ago, else a server could keep us listing. */
static unsigned relist(struct reflector *r, struct reflector_now now)
{
	if (r->listed_us != 0 && now.us - r->listed_us < REFLECTOR_RELIST_US)
		return wait_backoff(r, REFLECTOR_STREAM, now);
	return list(r, now);
}

static unsigned enter(struct reflector *r, enum reflector_phase phase, struct reflector_now now)
{
	switch (phase) {
	case REFLECTOR_DISCOVER:
		return discover(r);
	case REFLECTOR_STREAM:
	case REFLECTOR_LIST:
		return list(r, now);
	default:
		return open_as(r, phase);
	}
}

unsigned reflector_start(struct reflector *r, struct reflector_now now)
{
	*r = (struct reflector){.phase = REFLECTOR_DISCOVER};
	return REFLECTOR_DO_DISCOVER;
}

unsigned reflector_restart(struct reflector *r, struct reflector_now now)
{
	return discover(r);
}

unsigned reflector_look(struct reflector *r, struct reflector_now now)
{
	if (r->phase != REFLECTOR_ABSENT || r->wake_us == 0)
		return 0;
	r->wake_us = 0;	   /* until the answer */
	r->backoff_us = 0; /* what went wrong before says nothing about what is new */
	return REFLECTOR_DO_DISCOVER;
}

/* --- discovery --- */

static unsigned not_found(struct reflector *r, struct reflector_now now)
{
	if (r->phase != REFLECTOR_ABSENT && ++r->absent_looks < REFLECTOR_ABSENT_LOOKS)
		return wait_us(r, REFLECTOR_DISCOVER, REFLECTOR_LOOK_US, now);
	r->absent_looks = 0;
	r->wake_us = now.us + REFLECTOR_ABSENT_US;
	if (r->phase == REFLECTOR_ABSENT)
		return 0;
	r->phase = REFLECTOR_ABSENT;
	r->rv[0] = '\0';
	r->have = r->in_step = r->absent = true;
	return REFLECTOR_DO_EMPTY | REFLECTOR_DO_TELL;
}

unsigned reflector_on_discovery(struct reflector *r, enum reflector_found f,
	struct reflector_now now)
{
	bool was_absent = r->phase == REFLECTOR_ABSENT;

	if (r->phase != REFLECTOR_DISCOVER && !was_absent)
		return 0;
	if (f == REFLECTOR_NOT_FOUND)
		return not_found(r, now);
	r->absent_looks = 0;
	if (f == REFLECTOR_FOUND)
		return list(r, now);
	if (was_absent) { /* what we said stays true as far as anybody knows */
		r->wake_us = now.us + backoff(r, now);
		return 0;
	}
	return wait_unheard(r, REFLECTOR_DISCOVER, now);
}

/* --- requests --- */

void reflector_on_open(struct reflector *r, struct reflector_now now)
{
	uint32_t spread = REFLECTOR_WATCH_MAX_S - REFLECTOR_WATCH_MIN_S + 1;

	r->opened_us = r->event_us = now.us;
	r->events = 0;
	r->answered = false;
	r->timeout_s = REFLECTOR_WATCH_MIN_S + (uint32_t)(now.random % spread);
	r->wake_us = now.us + REFLECTOR_ANSWER_US;
}

/* When a request that was answered must show something next. */
static void set_deadline(struct reflector *r)
{
	if (r->phase == REFLECTOR_STREAM)
		r->wake_us = r->event_us + REFLECTOR_SILENT_US;
	else if (r->phase == REFLECTOR_WATCH)
		r->wake_us = r->opened_us + r->timeout_s * 1000000ull + REFLECTOR_GRACE_US;
	else
		r->wake_us = r->opened_us + REFLECTOR_LIST_US;
}

static unsigned in_step(struct reflector *r)
{
	bool was = r->in_step;

	r->in_step = true;
	return was ? 0 : REFLECTOR_DO_TELL;
}

unsigned reflector_on_answer(struct reflector *r, struct reflector_now now)
{
	r->answered = true;
	r->refreshed = false;
	r->not_found = 0;
	set_deadline(r);
	return r->phase == REFLECTOR_WATCH ? in_step(r) : 0;
}

static void set_rv(struct reflector *r, const char *rv)
{
	snprintf(r->rv, sizeof(r->rv), "%s", rv);
}

static unsigned commit(struct reflector *r, const char *rv)
{
	bool was_absent = r->absent;

	set_rv(r, rv);
	r->have = true;
	r->absent = false;
	r->stream_failed = 0;
	return REFLECTOR_DO_COMMIT | in_step(r) | (was_absent ? REFLECTOR_DO_TELL : 0);
}

static unsigned on_watch_event(struct reflector *r, enum reflector_event e, const char *rv,
	struct reflector_now now)
{
	/* within one watch versions only grow; what goes back is not the server we knew */
	if (rv_is_older(rv, r->rv))
		return relist(r, now) | REFLECTOR_DO_BACK;
	set_rv(r, rv);
	return e < REFLECTOR_EVENT_BOOKMARK ? REFLECTOR_DO_TAKE : 0;
}

unsigned reflector_on_event(struct reflector *r, enum reflector_event e, const char *rv,
	struct reflector_now now)
{
	r->event_us = now.us;
	r->events++;
	if (r->phase == REFLECTOR_WATCH)
		return on_watch_event(r, e, rv, now);
	bug_on(r->phase != REFLECTOR_STREAM);
	set_deadline(r);
	if (e < REFLECTOR_EVENT_BOOKMARK)
		return REFLECTOR_DO_TAKE;
	if (e == REFLECTOR_EVENT_BOOKMARK)
		return 0;
	r->phase = REFLECTOR_WATCH;
	set_deadline(r);
	return commit(r, rv);
}

static unsigned verified(struct reflector *r, const char *rv, struct reflector_now now)
{
	if (rv_is_older(rv, r->rv))
		return relist(r, now) | REFLECTOR_DO_BACK;
	return open_as(r, REFLECTOR_WATCH);
}

unsigned reflector_on_page(struct reflector *r, const char *rv, const char *cont,
	struct reflector_now now)
{
	if (r->phase == REFLECTOR_VERIFY)
		return verified(r, rv, now);
	bug_on(r->phase != REFLECTOR_LIST);
	/* all pages are of one version; a token that does not move would go on for ever */
	if ((r->pages > 0 && strcmp(rv, r->page_rv) != 0) || strlen(cont) >= sizeof(r->cont) ||
		(cont[0] != '\0' && strcmp(cont, r->cont) == 0) || ++r->pages > REFLECTOR_PAGES_MAX)
		return wait_backoff(r, REFLECTOR_LIST, now);
	snprintf(r->page_rv, sizeof(r->page_rv), "%s", rv);
	snprintf(r->cont, sizeof(r->cont), "%s", cont);
	if (cont[0] != '\0')
		return open_as(r, REFLECTOR_LIST);
	return commit(r, rv) | open_as(r, REFLECTOR_WATCH);
}

/* --- refusals --- */

/* The server has nothing against us, only against this way of asking. */
static bool refuses_streams(int status)
{
	return status == 400 || status == 405 || status == 406 || status == 415 || status == 422 ||
		status == 501;
}

static unsigned unauthorized(struct reflector *r, struct reflector_now now)
{
	if (r->refreshed)
		return wait_backoff(r, r->phase, now);
	r->refreshed = true;
	/* a stream that was refused half-way begins anew: what was deleted meanwhile is not said */
	return open_as(r, r->phase) | REFLECTOR_DO_REFRESH |
		(r->phase == REFLECTOR_STREAM ? REFLECTOR_DO_CLEAR : 0);
}

/* The resource is gone, or moved to another version: the next list is a new one. */
static unsigned on_404(struct reflector *r, struct reflector_now now)
{
	r->in_step = false;
	if (r->not_found++ > 0)
		return wait_backoff(r, REFLECTOR_DISCOVER, now);
	return discover(r) | REFLECTOR_DO_TELL;
}

static unsigned too_many(struct reflector *r, int64_t retry_after_us, struct reflector_now now)
{
	uint64_t d = backoff(r, now), asked = retry_after_us > 0 ? (uint64_t)retry_after_us : 0;

	if (asked > REFLECTOR_RETRY_AFTER_MAX_US)
		asked = REFLECTOR_RETRY_AFTER_MAX_US;
	return wait_us(r, r->phase, asked > d ? asked : d, now);
}

static unsigned refused_stream(struct reflector *r, struct reflector_now now)
{
	r->stream_refused = true;
	return list(r, now);
}

unsigned reflector_on_refusal(struct reflector *r, const struct reflector_refusal *why,
	struct reflector_now now)
{
	int status = why->status;

	if (r->phase < REFLECTOR_STREAM || r->phase == REFLECTOR_WAIT)
		return 0;
	if (status == 410 || (why->rv_too_large && r->phase == REFLECTOR_WATCH))
		return relist(r, now);
	if (status == 401)
		return unauthorized(r, now);
	if (status == 403 && !r->have)
		return wait_us(r, r->phase,
			REFLECTOR_FORBIDDEN_US + now.random % REFLECTOR_BACKOFF_MIN_US, now);
	if (status == 404)
		return on_404(r, now);
	if (status == 429 || (status == 503 && why->retry_after_us >= 0))
		return too_many(r, why->retry_after_us, now);
	if (r->phase == REFLECTOR_STREAM && (refuses_streams(status) || r->stream_failed++ > 0))
		return refused_stream(r, now);
	if (r->phase == REFLECTOR_WATCH && (status == 400 || status == 422))
		return wait_backoff(r, REFLECTOR_STREAM, now); /* it does not like our version */
	return status >= 500 ? wait_unheard(r, r->phase, now) : wait_backoff(r, r->phase, now);
}

/* --- endings --- */

static unsigned watch_ended(struct reflector *r, enum reflector_end end, struct reflector_now now)
{
	/* what was lost comes again from <rv>, or, when that is what makes no sense, in a list */
	if (end == REFLECTOR_END_BAD)
		return wait_backoff(r, r->events > 0 ? REFLECTOR_WATCH : REFLECTOR_STREAM, now);
	if (end != REFLECTOR_END_EOF)
		return wait_unheard(r, REFLECTOR_VERIFY, now);
	if (now.us - r->opened_us >= REFLECTOR_SHORT_US)
		return open_as(r, REFLECTOR_WATCH);
	return wait_backoff(r, REFLECTOR_WATCH, now) | (r->events == 0 ? REFLECTOR_DO_SHORT : 0);
}

static unsigned stream_ended(struct reflector *r, enum reflector_end end, struct reflector_now now)
{
	if (end == REFLECTOR_END_REFUSED)
		return wait_unheard(r, REFLECTOR_STREAM, now);
	if (end == REFLECTOR_END_TOO_LARGE)
		return wait_backoff(r, REFLECTOR_STREAM, now);
	return refused_stream(r, now);
}

unsigned reflector_on_end(struct reflector *r, enum reflector_end end, struct reflector_now now)
{
	/* who answers next may be another server, or a newer one */
	if (end == REFLECTOR_END_REFUSED)
		r->stream_refused = false, r->stream_failed = 0;
	switch (r->phase) {
	case REFLECTOR_WATCH:
		return watch_ended(r, end, now);
	case REFLECTOR_STREAM:
		return stream_ended(r, end, now);
	case REFLECTOR_LIST:
	case REFLECTOR_VERIFY:
		return end == REFLECTOR_END_REFUSED || end == REFLECTOR_END_BROKEN ||
				end == REFLECTOR_END_TIMEOUT
			? wait_unheard(r, r->phase, now)
			: wait_backoff(r, r->phase, now);
	default:
		return 0;
	}
}

unsigned reflector_on_wake(struct reflector *r, struct reflector_now now)
{
	if (r->wake_us == 0 || now.us < r->wake_us)
		return 0;
	r->wake_us = 0;
	if (r->phase == REFLECTOR_WAIT)
		return enter(r, r->next, now);
	if (r->phase == REFLECTOR_ABSENT)
		return REFLECTOR_DO_DISCOVER;
	if (r->phase == REFLECTOR_WATCH && r->answered) /* the server should have ended it */
		return open_as(r, REFLECTOR_WATCH);
	return reflector_on_end(r, REFLECTOR_END_TIMEOUT, now);
}

void reflector_query(const struct reflector *r, char *buf, size_t size)
{
	switch (r->phase) {
	case REFLECTOR_STREAM:
		snprintf(buf, size,
			"watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
			"&allowWatchBookmarks=true&timeoutSeconds=%u",
			r->timeout_s);
		return;
	case REFLECTOR_WATCH:
		snprintf(buf, size,
			"watch=1&allowWatchBookmarks=true&timeoutSeconds=%u&resourceVersion=%s",
			r->timeout_s, r->rv);
		return;
	case REFLECTOR_VERIFY:
		snprintf(buf, size, "limit=1");
		return;
	default:
		bug_on(r->phase != REFLECTOR_LIST);
		snprintf(buf, size, "limit=%u", REFLECTOR_PAGE);
	}
}

const char *reflector_cont(const struct reflector *r)
{
	return r->phase == REFLECTOR_LIST ? r->cont : "";
}
