// SPDX-License-Identifier: Apache-2.0
/*
 * writer.c: which object comes next, what is sent for it, and what the answer means.
 *
 *	urgent	classes, Gateways, ListenerSets, Services: few, and people wait for them
 *	normal	routes and policies
 *	delayed	until their time has come: conflicts, failures, counts that still move
 *
 * An object is in one of them, or under way, or rests.
 */
#include <assert.h>

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

void writer_queue(struct entry *e)
{
	struct writer *w = e->writer;

	if (e->under_way)
		return;
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

void writer_renew(struct entry *e)
{
	if (!e->refused)
		return;
	e->refused = false;
	e->not_before_us = 0;
	if (list_is_linked(&e->queue))
		writer_queue(e);
}

static void delay(struct entry *e, uint64_t until_us)
{
	uint64_t now = clock_mono_us();

	e->not_before_us = until_us;
	writer_queue(e);
	writer_soon(e->writer->status, until_us > now ? until_us - now : 0);
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
static void back_off(struct entry *e, uint64_t base_us)
{
	struct entry **scout = &e->writer->scout[e->kind];

	if (*scout == NULL)
		*scout = e;
	retry(e, base_us, *scout == e ? RETRY_SCOUT_US : RETRY_MAX_US);
}

/* One of the kind got through: whoever waits because of a refusal may try, too. */
static void wake_kind(struct writer *w, enum kind kind)
{
	uint64_t now = clock_mono_us(), at = w->woken_us + RETRY_WAKE_US;

	if (w->scout[kind] == NULL)
		return;
	at = at > now ? at : now;
	w->scout[kind] = NULL;
	w->woken_us = at;
	list_for_each (l, &w->delayed) {
		struct entry *e = list_entry(l, struct entry, queue);
		uint64_t mine = at + rng_below(&w->status->rng, RETRY_SPREAD_US);

		if (e->kind == kind && e->failures != 0 && !e->refused && mine < e->not_before_us)
			e->not_before_us = mine;
	}
	writer_soon(w->status, at - now);
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

static void on_success(struct entry *e, json_t *body)
{
	struct writer *w = e->writer;
	bool read = e->sent == STATUS_CONFLICTS;

	e->failures = 0;
	e->doubtful = false;
	wake_kind(w, e->kind);
	json_decref(e->known);
	e->known = NULL;
	e->known_after = e->sent_to;
	if (e->sent == STATUS_SERVICES_DELETED) {
		e->looked_at = e->sent_to;
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
		bool same = e->changed_us < e->sent_us; /* wanted when it was sent and now */
		json_t *left = e->kind != KIND_SERVICE && e->desired != NULL && same
			? status_merge(after, e->desired, str_of(w->status->controller))
			: NULL;

		/* An older definition prunes fields that it does not know: that is all it takes. */
		e->settled = left != NULL ? e->sent_hash : 0;
		if (left != NULL)
			count(w, STATUS_PRUNED);
		json_decref(left);
		announce_changes(e, e->before, after);
	}
	writer_queue(e);
}

static void on_conflict(struct entry *e)
{
	count(e->writer, STATUS_CONFLICTS);
	e->doubtful = true;
	retry(e, RETRY_CONFLICT_US, RETRY_MAX_US);
}

static void on_refusal(struct entry *e, int status, json_t *body, const char *why)
{
	struct writer *w = e->writer;

	if (status == 404 && e->kind != KIND_SERVICE) {
		/* The watch will say so, unless a server that starts knows no definitions yet. */
		count(w, STATUS_GONE);
		back_off(e, RETRY_FAILED_US);
	} else if (status == 404 && e->sent == STATUS_SERVICES_DELETED) {
		e->looked_at = e->sent_to;
	} else if (status == 403 || status == 401 || status == 404) {
		count(w, STATUS_DENIED);
		log_denied(e, why_of(body, why));
		back_off(e, RETRY_DENIED_US);
	} else if (status >= 400 && status < 500 && status != 408 && status != 429) {
		count(w, STATUS_REFUSED);
		log_refused(e, status, why_of(body, why));
		e->settled = e->sent_hash;
		e->refused = true;
		delay(e, clock_mono_us() + RETRY_MAX_US);
	} else {
		count(w, STATUS_FAILED);
		back_off(e, RETRY_FAILED_US);
	}
}

static void on_done(void *arg, int status, json_t *body, const char *why)
{
	struct entry *e = arg;
	struct status *s = e->writer->status;

	bug_on(!e->under_way);
	e->under_way = e->refused = false;
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
		retry(e, RETRY_FAILED_US, RETRY_MAX_US);
		return;
	}
	e->under_way = true;
	e->writer->under_way++;
}

static void take(struct entry *e)
{
	struct step step;

	list_del(&e->queue);
	e->writer->waiting--;
	step_next(e, clock_mono_us(), &step);
	if (step.method != NULL)
		send_step(e, &step);
	else if (step.wait_until_us != 0)
		delay(e, step.wait_until_us);
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
