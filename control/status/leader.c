// SPDX-License-Identifier: Apache-2.0
/*
 * leader.c: the Lease of one cluster (coordination.k8s.io/v1): lease.c's steps as requests.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "control/status/merge.h"
#include "control/status/status_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/"
#define LEASE_TIMEOUT_MS 5000u

/* The controllerName as a name of an object. */
static void lease_name(const struct status *s, char *buf, size_t size)
{
	snprintf(buf, size, "%s", s->controller);
	for (char *p = buf; *p != '\0'; p++) {
		*p = (char)tolower((unsigned char)*p);
		if (!(*p >= 'a' && *p <= 'z') && !(*p >= '0' && *p <= '9') && *p != '.')
			*p = '-';
	}
}

static void schedule(struct writer *w)
{
	uint64_t now = clock_mono_us(), at = lease_next_us(&w->lease);
	uint64_t wait = at > now ? at - now : 0;

	if (at == UINT64_MAX)
		return;
	/* Several processes shall not ask in step. */
	if (wait > 0 && !w->lease.held)
		wait += rng_below(&w->status->rng, wait / 5 + 1);
	loop_timer_set(w->status->loop, &w->lease_timer, wait);
}

/* Each trouble once, until another one comes or it is over. */
static void say(struct writer *w, const char *why)
{
	if (strncmp(w->lease_why, why, sizeof(w->lease_why) - 1) == 0)
		return;
	snprintf(w->lease_why, sizeof(w->lease_why), "%s", why);
	if (why[0] == '\0')
		return;
	if (w->lease.held)
		log_warn("status", "cluster=%.*s msg=\"the Lease was not renewed: %.150s\"",
			STR_FMT(w->name), w->lease_why);
	else
		log_error("status",
			"cluster=%.*s msg=\"no status is written to this cluster: the Lease in "
			"namespace %s cannot be had: %.150s\"",
			STR_FMT(w->name), w->status->lease_namespace, w->lease_why);
}

/* --- records --- */

static void record_read(const json_t *body, struct lease_record *ret)
{
	const json_t *spec = json_object_get(body, "spec");
	json_int_t duration = json_integer_value(json_object_get(spec, "leaseDurationSeconds"));
	json_int_t transitions = json_integer_value(json_object_get(spec, "leaseTransitions"));

	*ret = (struct lease_record){
		.duration_s = duration > 0 && duration < 3600 ? (uint32_t)duration : 0,
		.transitions =
			transitions > 0 && transitions < INT32_MAX ? (uint32_t)transitions : 0,
	};
	snprintf(ret->holder, sizeof(ret->holder), "%s", status_text(spec, "holderIdentity"));
	snprintf(ret->version, sizeof(ret->version), "%s",
		status_text(json_object_get(body, "metadata"), "resourceVersion"));
}

static json_t *record_json(const struct writer *w, const struct lease_record *r)
{
	json_t *j = json_object(), *meta = json_object(), *spec = json_object();
	char name[256];

	lease_name(w->status, name, sizeof(name));
	json_object_set_new(meta, "name", json_string(name));
	json_object_set_new(meta, "namespace", json_string(w->status->lease_namespace));
	if (r->version[0] != '\0')
		json_object_set_new(meta, "resourceVersion", json_string(r->version));
	json_object_set_new(spec, "holderIdentity", json_string(r->holder));
	json_object_set_new(spec, "leaseDurationSeconds", json_integer(r->duration_s));
	json_object_set_new(spec, "acquireTime", event_time(w->lease_acquired_us));
	json_object_set_new(spec, "renewTime", event_time(status_wall_us()));
	json_object_set_new(spec, "leaseTransitions", json_integer(r->transitions));
	json_object_set_new(j, "apiVersion", json_string("coordination.k8s.io/v1"));
	json_object_set_new(j, "kind", json_string("Lease"));
	json_object_set_new(j, "metadata", meta);
	json_object_set_new(j, "spec", spec);
	return j;
}

/* --- answers --- */

static void tell(struct writer *w, bool was)
{
	if (w->lease.held == was)
		return;
	log_info("status", "cluster=%.*s leader=%s holder=%s", STR_FMT(w->name),
		w->lease.held ? "yes" : "no", w->lease.seen.holder);
	if (w->lease.held)
		writer_soon(w->status, 0);
}

static void on_answer(struct writer *w, int status, json_t *body, const char *why, bool read)
{
	const char *message = status_text(body, "message");
	uint64_t now = clock_mono_us();
	struct lease_record r;

	record_read(body, &r);
	if (status >= 200 && status < 300 && json_is_object(body)) {
		if (read)
			lease_on_record(&w->lease, &r, now);
		else
			lease_on_written(&w->lease, &r, now);
		say(w, "");
	} else if (status == 404 && read) {
		lease_on_absent(&w->lease, now);
	} else if (status == 403 || status == 404) { /* 404 to a POST: no such namespace */
		lease_on_denied(&w->lease, now);
		say(w, message);
	} else if (status == 409) {
		lease_on_conflict(&w->lease, now);
	} else {
		lease_on_failure(&w->lease, now);
		say(w, message[0] != '\0' ? message : why[0] != '\0' ? why : "the server fails");
	}
}

static void on_done(struct writer *w, int status, json_t *body, const char *why, bool read)
{
	bool was = w->lease.held;

	w->lease_call = NULL;
	if (w->status->stopping)
		return;
	on_answer(w, status, body, why, read);
	tell(w, was);
	schedule(w);
}

static void on_read(void *arg, int status, json_t *body, const char *why)
{
	on_done(arg, status, body, why, true);
}

static void on_written(void *arg, int status, json_t *body, const char *why)
{
	on_done(arg, status, body, why, false);
}

/* --- requests --- */

static int send_lease(struct writer *w, enum lease_step step, const struct lease_record *r,
	kube_done_fn done)
{
	json_t *body = step != LEASE_GET ? record_json(w, r) : NULL;
	char name[256] = "", path[512];
	struct err err;
	int rc;

	if (step != LEASE_CREATE)
		lease_name(w->status, name, sizeof(name));
	snprintf(path, sizeof(path), LEASES "%s/leases%s%s", w->status->lease_namespace,
		name[0] ? "/" : "", name);
	rc = kube_request(w->kube,
		&(struct kube_request){.method = step == LEASE_GET ? "GET"
				: step == LEASE_CREATE		   ? "POST"
								   : "PUT",
			.path = path,
			.body = body,
			.done = done,
			.arg = w,
			.timeout_ms = LEASE_TIMEOUT_MS,
			.urgent = true},
		&w->lease_call, &err);
	json_decref(body);
	return rc;
}

static void on_timer(void *arg)
{
	struct writer *w = arg;
	bool was = w->lease.held, fresh = false;
	enum lease_step step = lease_due(&w->lease, clock_mono_us());
	struct lease_record r;

	tell(w, was);
	if (step != LEASE_WAIT) {
		r = lease_wanted(&w->lease, &fresh);
		if (fresh)
			w->lease_acquired_us = status_wall_us();
		if (send_lease(w, step, &r, step == LEASE_GET ? on_read : on_written) < 0)
			lease_on_failure(&w->lease, clock_mono_us());
	}
	schedule(w);
}

void leader_start(struct writer *w)
{
	lease_init(&w->lease, w->status->instance);
	w->lease_why[0] = '\0';
	loop_timer_init(&w->lease_timer, on_timer, w);
	loop_timer_set(w->status->loop, &w->lease_timer, 0);
}

void leader_stop(struct writer *w)
{
	loop_timer_stop(&w->lease_timer);
	w->lease_call = NULL;
	w->lease.held = false;
	w->lease.under_way = false;
}

static void on_released(void *arg, int status, json_t *body, const char *why)
{
	struct writer *w = arg;

	w->lease_call = NULL;
	w->lease.held = false;
	loop_timer_set(w->status->loop, &w->status->stop_timer, 0);
}

bool leader_release(struct writer *w)
{
	struct lease_record r;
	bool fresh;

	loop_timer_stop(&w->lease_timer);
	if (!w->lease.held || w->kube == NULL)
		return false;
	kube_call_cancel(w->lease_call);
	w->lease_call = NULL;
	r = lease_wanted(&w->lease, &fresh);
	r.holder[0] = '\0';
	r.duration_s = 1;
	return send_lease(w, LEASE_PUT, &r, on_released) == 0;
}
