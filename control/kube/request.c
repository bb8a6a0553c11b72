// SPDX-License-Identifier: Apache-2.0
/*
 * request.c: requests of others: a queue, the pace of rate.h, and patience.
 *
 * Sent again without asking: what never left us, what was refused as too much (429, or 503 with
 * Retry-After), and once what was refused as 401, with a new credential. All else, a conflict
 * first of all, is the caller's to judge.
 */
#include <errno.h>
#include <stdlib.h>

#include "control/kube/cluster.h"
#include "dataplane/base/bug.h"

#define CALL_AGAIN_US 1000000u /* before what found no connection is tried again */

static void call_free(struct kube_call *call)
{
	transfer_cancel(call->transfer);
	list_del(&call->link);
	kube_text_fini(&call->text);
	free(call->method);
	free(call->path);
	free(call->content_type);
	free(call->body);
	free(call);
}

static void call_done(struct kube_call *call, int status, json_t *body, const char *why)
{
	struct kube_cluster *c = call->c;
	kube_done_fn done = call->cancelled ? NULL : call->done;
	void *arg = call->arg;

	if (status == 0)
		cluster_count(c, KUBE_COUNTER_CALLS_FAILED);
	if (status == 409)
		cluster_count(c, KUBE_COUNTER_CALLS_CONFLICT);
	call_free(call);
	if (done != NULL && !c->closing)
		done(arg, status, body, why);
}

static void queue_again(struct kube_call *call, uint64_t delay_us)
{
	struct kube_cluster *c = call->c;

	kube_text_fini(&call->text);
	call->not_before_us = clock_mono_us() + delay_us;
	list_del(&call->link);
	list_add_head(call->urgent ? &c->urgent : &c->waiting, &call->link);
	c->waiting_count++;
	cluster_count(c, KUBE_COUNTER_CALLS_AGAIN);
}

/* True when it will be sent again. */
static bool try_again(struct kube_call *call, const struct transfer_end *end)
{
	struct kube_cluster *c = call->c;
	uint64_t now = clock_mono_us();
	bool unsent = end->outcome == TRANSFER_REFUSED || end->outcome == TRANSFER_TLS;

	if (call->cancelled || ++call->tries >= KUBE_CALL_TRIES)
		return false;
	if (end->outcome == TRANSFER_OK && end->status == 401 && !call->refreshed) {
		call->refreshed = true;
		credential_refused(&c->credential, end->generation);
		queue_again(call, 0);
		return true;
	}
	if (end->outcome == TRANSFER_OK &&
		(end->status == 429 || (end->status == 503 && end->retry_after_us >= 0))) {
		uint64_t after = end->retry_after_us > 0 ? (uint64_t)end->retry_after_us : 1000000;

		cluster_count(c, KUBE_COUNTER_STATUS_429);
		queue_again(call, rate_on_refused(&c->rate, after, now));
		return true;
	}
	/* whoever is in a hurry wants to know it now */
	if (!unsent || call->urgent || call->tries >= KUBE_CALL_UNSENT_TRIES)
		return false;
	queue_again(call, CALL_AGAIN_US * call->tries);
	return true;
}

static bool on_body(void *arg, int status, const char *p, size_t len)
{
	struct kube_call *call = arg;

	return kube_text_add(&call->text, p, len, KUBE_ANSWER_MAX);
}

static void on_end(void *arg, const struct transfer_end *end)
{
	struct kube_call *call = arg;
	struct kube_cluster *c = call->c;
	uint64_t now = clock_mono_us();
	json_t *body;

	call->transfer = NULL;
	c->sent_count--;
	cluster_on_end(c, end);
	cluster_soon(c);
	if (end->outcome == TRANSFER_OK && end->status != 429)
		rate_on_answer(&c->rate, now - call->sent_us, now);
	else if (end->outcome == TRANSFER_TIMEOUT)
		rate_cut(&c->rate, 0.5, now);
	if (try_again(call, end))
		return;
	if (end->outcome != TRANSFER_OK) {
		call_done(call, 0, NULL,
			end->outcome == TRANSFER_STOPPED ? "the answer is too large" : end->why);
		return;
	}
	body = object_parse(str_make(call->text.p, call->text.len), NULL);
	call_done(call, end->status, body, "");
	json_decref(body);
}

static const struct transfer_ops ops = {.on_body = on_body, .on_end = on_end};

/* --- sending --- */

static void send_call(struct kube_call *call)
{
	struct kube_cluster *c = call->c;
	struct transfer_request r = {.method = call->method,
		.path = call->path,
		.body = call->body,
		.body_len = call->body_len,
		.content_type = call->body != NULL ? call->content_type : NULL,
		.timeout_ms = call->timeout_ms};

	list_del(&call->link);
	list_add_tail(&c->sent, &call->link);
	c->waiting_count--;
	c->sent_count++;
	call->sent_us = clock_mono_us();
	cluster_count(c, KUBE_COUNTER_REQUESTS);
	call->transfer = transfer_start(&c->transfers, &r, &ops, call);
	bug_on(call->transfer == NULL);
}

static void fail_list(struct kube_cluster *c, struct list *calls, const char *why)
{
	/* those that callbacks add now are for the next turn */
	for (uint32_t n = c->waiting_count; n > 0 && !list_is_empty(calls) && !c->closing; n--) {
		struct kube_call *call = list_entry(calls->next, struct kube_call, link);

		c->waiting_count--;
		call_done(call, 0, NULL, why);
	}
}

/* 0 when it may go now, else when to look again. */
static uint64_t delay_of(struct kube_call *call, uint64_t now)
{
	if (now < call->not_before_us)
		return call->not_before_us - now;
	return call->urgent ? 0 : rate_take(&call->c->rate, now);
}

/* Sends until the pace or the number of those under way says stop; when to go on. */
static uint64_t send_due(struct kube_cluster *c, struct list *calls, uint32_t in_flight_max)
{
	uint64_t now = clock_mono_us(), soonest = UINT64_MAX;

	list_for_each_safe (l, calls) {
		struct kube_call *call = list_entry(l, struct kube_call, link);
		uint64_t delay;

		if (c->sent_count >= in_flight_max)
			break;
		delay = delay_of(call, now);
		if (delay == 0)
			send_call(call);
		else
			soonest = delay < soonest ? delay : soonest;
		if (delay > 0 && now >= call->not_before_us)
			break;
	}
	return soonest;
}

static void send_all_due(struct kube_cluster *c)
{
	uint64_t urgent = send_due(c, &c->urgent, UINT32_MAX),
		 other = send_due(c, &c->waiting, KUBE_CALLS_IN_FLIGHT),
		 soonest = urgent < other ? urgent : other;

	if (soonest != UINT64_MAX)
		loop_timer_set(c->loop, &c->pace, soonest);
}

void calls_settle(struct kube_cluster *c)
{
	struct err why;

	if (c->waiting_count == 0)
		return;
	switch (cluster_credential(c)) {
	case CREDENTIAL_PENDING:
		return;
	case CREDENTIAL_FAILED:
		why = c->credential.why;
		err_wrap(&why, "no credential");
		fail_list(c, &c->urgent, why.msg);
		fail_list(c, &c->waiting, why.msg);
		return;
	case CREDENTIAL_READY:
		send_all_due(c);
	}
}

/* --- asking --- */

static bool is_path(const char *p)
{
	if (p[0] != '/')
		return false;
	for (; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || *p == '#')
			return false;
	return true;
}

static char *copy(const char *s)
{
	char *c = strdup(s);

	bug_on(c == NULL);
	return c;
}

int kube_request(struct kube_cluster *c, const struct kube_request *r, struct kube_call **ret,
	struct err *err)
{
	struct kube_call *call;

	if (!is_path(r->path))
		return err_set(err, EINVAL, "%s: no path of an API server", r->path);
	if (c->waiting_count >= KUBE_CALLS_MAX) {
		cluster_count(c, KUBE_COUNTER_CALLS_FULL);
		return err_set(err, ENOBUFS, "cluster %s: too many requests wait", c->name);
	}
	call = calloc(1, sizeof(*call));
	bug_on(call == NULL);
	*call = (struct kube_call){.c = c, .done = r->done, .arg = r->arg, .urgent = r->urgent};
	call->method = copy(r->method);
	call->path = copy(r->path);
	call->content_type = copy(r->content_type != NULL ? r->content_type : KUBE_JSON);
	call->timeout_ms = r->timeout_ms != 0 ? r->timeout_ms : KUBE_CALL_TIMEOUT_MS;
	if (r->body != NULL) {
		call->body = json_dumps(r->body, JSON_COMPACT);
		bug_on(call->body == NULL);
		call->body_len = strlen(call->body);
	}
	list_add_tail(r->urgent ? &c->urgent : &c->waiting, &call->link);
	c->waiting_count++;
	cluster_count(c, KUBE_COUNTER_CALLS);
	cluster_soon(c);
	if (ret != NULL)
		*ret = call;
	return 0;
}

void kube_call_cancel(struct kube_call *call)
{
	if (call == NULL)
		return;
	call->cancelled = true;
	if (call->transfer != NULL)
		return; /* its end frees it */
	call->c->waiting_count--;
	call_free(call);
}

void calls_free(struct kube_cluster *c)
{
	list_for_each_safe (l, &c->urgent)
		call_free(list_entry(l, struct kube_call, link));
	list_for_each_safe (l, &c->waiting)
		call_free(list_entry(l, struct kube_call, link));
	list_for_each_safe (l, &c->sent)
		call_free(list_entry(l, struct kube_call, link));
}
