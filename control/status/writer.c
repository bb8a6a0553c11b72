// SPDX-License-Identifier: Apache-2.0
/*
 * writer.c: which object comes next, what is sent for it, and what the answer means.
 *
 *	urgent	classes, Gateways, ListenerSets, Services: few, and people wait for them
 *	normal	routes and policies
 *	delayed	until their time has come: conflicts, failures, counts that still move
 *
 * An object is in one of them, or under way, or says what it shall. Delayed ones that rest (<resting>)
 * are looked at before their time when they or what they shall say has changed.
 */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "control/status/merge.h"
#include "control/status/status_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/log.h"

#define STEPS_PER_TURN 128u /* others on the loop want their turn, too */

static void count(struct writer *w, enum status_counter c)
{
	w->counters[c]++;
}

static bool is_urgent(enum kind k)
{
	return k == KIND_GATEWAY_CLASS || k == KIND_GATEWAY || k == KIND_LISTENER_SET ||
		k == KIND_SERVICE;
}

void writer_why(struct entry *e, enum status_why why)
{
	struct writer *w = e->writer;

	if (why == STATUS_WHY_SAID)
		e->since_us = 0;
	else if (e->why == STATUS_WHY_SAID)
		e->since_us = clock_mono_us();
	w->whys[e->why]--;
	w->whys[why]++;
	e->why = why;
}

void writer_queue(struct entry *e)
{
	struct writer *w = e->writer;

	if (e->under_way)
		return;
	e->resting = false;
	if (e->why == STATUS_WHY_SAID)
		writer_why(e, STATUS_WHY_QUEUED);
	if (list_is_linked(&e->queue))
		list_del(&e->queue);
	else
		w->waiting++;
	if (e->not_before_us > clock_mono_us())
		list_add_tail(&w->delayed, &e->queue);
	else
		list_add_tail(is_urgent(e->kind) ? &w->urgent : &w->normal, &e->queue);
}

void writer_soon(struct status *s, uint64_t delay_us)
{
	uint64_t at = clock_mono_us() + delay_us;

	if (!loop_timer_is_set(&s->pump_timer) || s->pump_timer.at_us > at)
		loop_timer_set(s->loop, &s->pump_timer, delay_us);
}

void writer_queue_changed(struct entry *e)
{
	if (e->resting)
		e->not_before_us = 0;
	writer_queue(e);
}

static void delay(struct entry *e, uint64_t until_us)
{
	uint64_t now = clock_mono_us();

	e->not_before_us = until_us;
	writer_queue(e);
	writer_soon(e->writer->status, until_us > now ? until_us - now : 0);
}

static void rest(struct entry *e, uint64_t until_us)
{
	delay(e, until_us);
	e->resting = true;
}

/* <base> doubled with each failure up to <max>, and up to that much again by chance. */
static void retry(struct entry *e, uint64_t base_us, uint64_t max_us)
{
	uint64_t wait = base_us << (e->failures < 9 ? e->failures : 9);

	wait = wait < max_us ? wait : max_us;
	e->failures++;
	delay(e, clock_mono_us() + wait / 2 + rng_below(&e->writer->status->rng, wait));
}

/* Refused for a reason that is the server's, or the account's, and not the object's. */
static void back_off(struct entry *e, enum status_why why, uint64_t base_us)
{
	struct entry **scout = &e->writer->scout[e->kind];

	writer_why(e, why);
	if (*scout == NULL)
		*scout = e;
	retry(e, base_us, *scout == e ? RETRY_SCOUT_US : RETRY_MAX_US);
}

/* One of the kind got through: whoever waits because of a refusal may try, too. */
static void wake_kind(struct writer *w, enum kind kind)
{
	uint64_t now = clock_mono_us(), *woken = &w->woken_us[kind], at;

	if (w->scout[kind] == NULL)
		return;
	w->scout[kind] = NULL;
	/* One that is still to come is joined: they do not add up to a time that never comes. */
	if (*woken <= now)
		*woken = *woken + RETRY_WAKE_US > now ? *woken + RETRY_WAKE_US : now;
	at = *woken;
	list_for_each (l, &w->delayed) {
		struct entry *e = list_entry(l, struct entry, queue);
		uint64_t mine = at + rng_below(&w->status->rng, RETRY_SPREAD_US);

		if (e->kind == kind && e->failures != 0 && !e->resting && mine < e->not_before_us)
			e->not_before_us = mine;
	}
	writer_soon(w->status, at - now);
}

void writer_drop_scout(struct entry *e)
{
	if (e->writer->scout[e->kind] != e)
		return;
	if (e->writer->kube != NULL)
		wake_kind(e->writer, e->kind);
	e->writer->scout[e->kind] = NULL;
}

/* --- answers --- */

static const char *why_of(const json_t *body, const char *why)
{
	const char *message = status_text(body, "message");

	return message[0] != '\0' ? message : why;
}

/* Denied once is denied for all of a kind: one line says it. */
static void log_denied(struct entry *e, const char *why)
{
	struct writer *w = e->writer;
	uint64_t bit = 1ull << e->kind;

	static_assert(KIND_COUNT <= 64, "a bit for each kind");
	if ((w->denied_logged & bit) == 0)
		log_error("status",
			"cluster=%.*s kind=%.*s object=%.*s/%.*s msg=\"may not write: %s (RBAC: "
			"configs/kube)\"",
			STR_FMT(w->name), STR_FMT(kind_info[e->kind].name), STR_FMT(e->ns),
			STR_FMT(e->name), why);
	w->denied_logged |= bit;
}

static void log_refused(const struct entry *e, int status, const char *why)
{
	log_warn("status", "cluster=%.*s kind=%.*s object=%.*s/%.*s status=%d msg=\"%.300s\"",
		STR_FMT(e->writer->name), STR_FMT(kind_info[e->kind].name), STR_FMT(e->ns),
		STR_FMT(e->name), status, why);
}

/* By a line of its own or a counter, or it has its time: counts wait for up to fifteen seconds. */
static bool is_said_elsewhere(enum status_why why)
{
	return why == STATUS_WHY_SAID || why == STATUS_WHY_REFUSED || why == STATUS_WHY_PRUNED ||
		why == STATUS_WHY_COUNTS;
}

static void say_slow(struct entry *e)
{
	struct writer *w = e->writer;
	uint64_t now = clock_mono_us(), waits = now - e->since_us;

	if (is_said_elsewhere(e->why) || e->slow || waits < SLOW_US ||
		(w->slow_us != 0 && now - w->slow_us < SLOW_LINES_US))
		return;
	e->slow = true;
	w->slow_us = now;
	log_warn("status",
		"cluster=%.*s kind=%.*s object=%.*s/%.*s waits_s=%" PRIu64 " why=%s tries=%u "
		"msg=\"its status is not right yet: %s\"",
		STR_FMT(w->name), STR_FMT(kind_info[e->kind].name), STR_FMT(e->ns),
		STR_FMT(e->name), waits / 1000000, status_why_info[e->why].name, e->failures,
		status_why_info[e->why].help);
}

/* It needs nothing more in the version that was looked at. */
static void said(struct entry *e)
{
	struct writer *w = e->writer;

	if (e->slow)
		log_info("status", "cluster=%.*s kind=%.*s object=%.*s/%.*s msg=\"is right now\"",
			STR_FMT(w->name), STR_FMT(kind_info[e->kind].name), STR_FMT(e->ns),
			STR_FMT(e->name));
	e->slow = false;
	e->failures = 0;
	writer_why(e, STATUS_WHY_SAID);
	writer_drop_scout(e);
}

static void settle(struct entry *e, enum status_why why)
{
	e->settled = e->sent_hash;
	e->settled_until_us = clock_mono_us() + REST_SETTLED_US;
	e->settled_why = why;
}

/* It shall say now what it should say when the request was sent. */
static bool is_as_sent(const struct entry *e)
{
	return e->changed_us < e->sent_us;
}

/* Another version, or other words, may be taken at once; and the same ones some day. */
static void refused(struct entry *e)
{
	writer_why(e, STATUS_WHY_REFUSED);
	if (e->sent == STATUS_WRITES) {
		settle(e, STATUS_WHY_REFUSED);
		writer_queue(e);
	} else if (is_as_sent(e)) {
		e->looked_at = e->sent_to;
		rest(e, clock_mono_us() + REST_SERVICE_US);
	} else {
		retry(e, RETRY_FAILED_US, RETRY_MAX_US);
	}
}

/* A watch will say so, or has said so while nobody could look. */
static void deleted(struct entry *e)
{
	e->looked_at = e->sent_to;
	rest(e, clock_mono_us() + REST_VERSION_US);
}

static void on_success(struct entry *e, json_t *body)
{
	struct writer *w = e->writer;
	bool read = e->sent == STATUS_CONFLICTS;

	if (!read) /* what is read says nothing about writing */
		e->failures = 0;
	e->doubtful = false;
	wake_kind(w, e->kind);
	json_decref(e->known);
	e->known = NULL;
	e->known_after = e->sent_to;
	if (e->sent == STATUS_SERVICES_DELETED) {
		deleted(e);
		count(w, e->sent);
		return;
	}
	e->known = json_incref(body);
	if (!read) {
		count(w, e->sent);
		e->written_us = clock_mono_us();
		w->denied_logged &= ~(1ull << e->kind);
	}
	if (e->sent == STATUS_WRITES) {
		const json_t *after = json_object_get(body, "status");
		json_t *left = e->kind != KIND_SERVICE && e->desired != NULL && is_as_sent(e)
			? status_merge(after, e->desired, str_of(w->status->controller))
			: NULL;

		/* An older definition prunes fields that it does not know: that is all it takes. */
		e->settled = 0;
		if (left != NULL) {
			settle(e, STATUS_WHY_PRUNED);
			count(w, STATUS_PRUNED);
		}
		json_decref(left);
		announce_changes(e, e->before, after);
	}
	writer_queue(e);
}

static void on_conflict(struct entry *e)
{
	count(e->writer, STATUS_CONFLICTS);
	wake_kind(e->writer, e->kind); /* it looks at what is written */
	/* What we knew is older than what is there, whether a watch says so or not. */
	json_decref(e->known);
	e->known = NULL;
	e->doubtful = true;
	writer_why(e, STATUS_WHY_CONFLICT);
	retry(e, RETRY_CONFLICT_US, RETRY_CONFLICT_MAX_US);
}

/*
 * Who names what is missing knows the kind: the object, and a watch will say so, or its namespace.
 * A namespace that ended while its server started may leave objects behind, whose definition it had
 * not found yet: they can be read and deleted, but every write is answered 404. Who names nothing
 * may be a server that starts and knows no definitions yet.
 */
static void on_gone(struct entry *e, const json_t *details)
{
	bool orphan = strcmp(status_text(details, "kind"), "namespaces") == 0;

	json_decref(e->known); /* a store that saw it come and go is where it was */
	e->known = NULL;
	if (status_text(details, "name")[0] == '\0') {
		back_off(e, STATUS_WHY_GONE, RETRY_FAILED_US);
		return;
	}
	writer_drop_scout(e);
	writer_why(e, orphan ? STATUS_WHY_ORPHAN : STATUS_WHY_GONE);
	retry(e, RETRY_FAILED_US, RETRY_MAX_US);
}

/* A Service that went meanwhile is made again; that nobody may make one there is another matter. */
static bool is_itself_gone(const struct entry *e, const json_t *details)
{
	return e->kind != KIND_SERVICE || strcmp(status_text(details, "kind"), "services") == 0;
}

static void on_refusal(struct entry *e, int status, json_t *body, const char *why)
{
	const json_t *details = json_object_get(body, "details");
	struct writer *w = e->writer;

	if (status == 404 && e->sent == STATUS_SERVICES_DELETED) {
		deleted(e);
	} else if (status == 404 && is_itself_gone(e, details)) {
		count(w, STATUS_GONE);
		on_gone(e, details);
	} else if (status == 403 || status == 401 || status == 404) {
		count(w, STATUS_DENIED);
		log_denied(e, why_of(body, why));
		back_off(e, STATUS_WHY_DENIED, RETRY_DENIED_US);
	} else if (status >= 400 && status < 500 && status != 408 && status != 429) {
		count(w, STATUS_REFUSED);
		log_refused(e, status, why_of(body, why));
		wake_kind(w, e->kind);
		refused(e);
	} else {
		count(w, STATUS_FAILED);
		back_off(e, STATUS_WHY_FAILED, RETRY_FAILED_US);
	}
}

static void on_done(void *arg, int status, json_t *body, const char *why)
{
	struct entry *e = arg;
	struct status *s = e->writer->status;

	bug_on(!e->under_way);
	e->under_way = false;
	e->writer->under_way--;
	if (status >= 200 && status < 300 &&
		(json_is_object(body) || e->sent == STATUS_SERVICES_DELETED))
		on_success(e, body);
	else if (status == 409)
		on_conflict(e);
	else
		on_refusal(e, status, body, why);
	json_decref(e->before);
	e->before = NULL;
	if (e->pass != s->pass)
		entry_free(e);
	writer_soon(s, 0);
}

/* --- sending --- */

static void send_step(struct entry *e, struct step *step)
{
	struct kube_request r = {.method = step->method,
		.path = step->path,
		.content_type = step->content_type,
		.body = step->body,
		.done = on_done,
		.arg = e};
	struct err err;

	e->sent = step->what;
	e->sent_us = clock_mono_us();
	if (kube_request(e->writer->kube, &r, NULL, &err) < 0) {
		log_refused(e, 0, err.msg);
		writer_why(e, STATUS_WHY_FAILED);
		retry(e, RETRY_FAILED_US, RETRY_MAX_US);
		return;
	}
	e->under_way = true;
	e->writer->under_way++;
}

static void wait_or_rest(struct entry *e, const struct step *step)
{
	if (step->wait_until_us == 0) {
		said(e);
		return;
	}
	writer_why(e, step->why);
	if (step->rests)
		rest(e, step->wait_until_us);
	else
		delay(e, step->wait_until_us);
}

static void take(struct entry *e)
{
	struct step step;

	list_del(&e->queue);
	e->writer->waiting--;
	say_slow(e);
	step_next(e, clock_mono_us(), &step);
	if (step.method != NULL)
		send_step(e, &step);
	else
		wait_or_rest(e, &step);
	json_decref(step.body);
}

/* Back to the queues; the time of the next. */
static uint64_t wake_delayed(struct writer *w, uint64_t now_us)
{
	uint64_t next = UINT64_MAX;

	list_for_each_safe (l, &w->delayed) {
		struct entry *e = list_entry(l, struct entry, queue);

		if (e->not_before_us <= now_us)
			writer_queue(e);
		else if (e->not_before_us < next)
			next = e->not_before_us;
	}
	return next;
}

static void pump(struct writer *w, uint32_t *budget)
{
	struct status *s = w->status;
	uint64_t now = clock_mono_us(), next;

	if (w->kube == NULL || !w->lease.held || s->stopping)
		return;
	next = wake_delayed(w, now);
	while (w->under_way<WRITES_UNDER_WAY && * budget> 0) {
		struct list *from = list_is_empty(&w->urgent) ? &w->normal : &w->urgent;

		if (list_is_empty(from))
			break;
		(*budget)--;
		take(list_entry(from->next, struct entry, queue));
	}
	if (next != UINT64_MAX)
		writer_soon(s, next > now ? next - now : 0);
	/* Events are for people who read them later: they go when nothing else wants to. */
	if (w->under_way < WRITES_UNDER_WAY)
		announce_pump(w);
}

void writer_pump(struct status *s)
{
	uint32_t budget = STEPS_PER_TURN;

	for (uint32_t i = 0; i < s->writers_count; i++)
		pump(s->writers[i], &budget);
	if (budget == 0)
		writer_soon(s, 0);
}
