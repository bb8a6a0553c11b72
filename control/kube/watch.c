// SPDX-License-Identifier: Apache-2.0
/*
 * watch.c: a reflector with hands: it sends what the machine wants sent, and tells the machine and
 * the consumer what came. Requests are in watch_request.c, what is inside of their answers in
 * watch_input.c.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/kube/cluster.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/log.h"

#define SETTLE_STEPS_MAX 8 /* of one watch at once; more of them wait for the next turn */

void watch_why(struct kube_watch *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->why.msg, sizeof(w->why.msg), fmt, ap);
	va_end(ap);
}

/* --- what the consumer is told --- */

static enum kube_watch_phase phase_of(const struct reflector *r)
{
	if (!r->have)
		return KUBE_WATCH_LISTING;
	if (!r->in_step)
		return KUBE_WATCH_STALE;
	return r->absent ? KUBE_WATCH_ABSENT : KUBE_WATCH_SYNCED;
}

static void log_phase(const struct kube_watch *w, enum kube_watch_phase p)
{
	if (p == KUBE_WATCH_SYNCED || p == KUBE_WATCH_ABSENT)
		log_info("kube", "cluster=%s resource=%s version=%s state=%s objects=%u",
			w->c->name, w->r.plural, w->version, kube_watch_phase_name(p),
			w->known.count);
	else if (w->why.msg[0] != '\0')
		cluster_complain(w->c, w->r.plural, "state=%s msg=\"%s\"", kube_watch_phase_name(p),
			w->why.msg);
}

static void tell(struct kube_watch *w)
{
	enum kube_watch_phase p = phase_of(&w->reflector);

	if (p == KUBE_WATCH_SYNCED || p == KUBE_WATCH_ABSENT)
		w->why.msg[0] = '\0';
	if (p != KUBE_WATCH_STALE)
		w->stale_since_us = 0;
	else if (w->stale_since_us == 0)
		w->stale_since_us = clock_mono_us();
	if (!w->told_any || p != w->told || w->why.msg[0] != '\0')
		log_phase(w, p);
	w->told_any = true;
	w->told = p;
	if (w->ev.on_state != NULL && !w->gone && !w->c->closing)
		w->ev.on_state(w->arg, p, w->why.msg);
}

void watch_apply(struct kube_watch *w, unsigned what)
{
	const unsigned later = REFLECTOR_DO_CLOSE | REFLECTOR_DO_REFRESH | REFLECTOR_DO_DISCOVER |
		REFLECTOR_DO_OPEN;

	if (what & REFLECTOR_DO_CLOSE)
		w->todo = 0; /* what was wanted before is not wanted any more */
	w->todo |= what & later;
	if (what & REFLECTOR_DO_DISCOVER)
		w->index = 0;
	if (w->todo != 0)
		cluster_soon(w->c);
	if (what & REFLECTOR_DO_SHORT)
		cluster_count(w->c, KUBE_COUNTER_WATCHES_SHORT);
	if (what & REFLECTOR_DO_COMMIT)
		watch_commit(w);
	if (what & REFLECTOR_DO_EMPTY)
		watch_empty(w);
	if (what & REFLECTOR_DO_CLEAR) {
		objects_clear(&w->fresh);
		w->unreadable = 0;
	}
	if (what & REFLECTOR_DO_TELL)
		tell(w);
}

/* --- discovery --- */

static void use_version(struct kube_watch *w, const json_t *resource)
{
	const char *g = w->r.group, *ns = w->r.namespace_;

	w->version = w->r.versions[w->index];
	free(w->path);
	free(w->api_version);
	free(w->kind);
	w->type.namespaced = json_is_true(json_object_get(resource, "namespaced"));
	bug_on(asprintf(&w->api_version, "%s%s%s", g, g[0] ? "/" : "", w->version) < 0);
	bug_on(asprintf(&w->path, "%s/%s%s%s/%s", g[0] ? "/apis" : "/api", w->api_version,
		       ns && w->type.namespaced ? "/namespaces/" : "",
		       ns && w->type.namespaced ? ns : "", w->r.plural) < 0);
	w->kind = strdup(object_text(resource, "kind"));
	w->type.api_version = w->api_version;
	w->type.kind = w->kind;
	w->as_sent = w->type;
	if (w->r.metadata_only) {
		w->as_sent.api_version = "meta.k8s.io/v1";
		w->as_sent.kind = "PartialObjectMetadata";
	}
}

static void discovered(struct kube_watch *w, enum reflector_found f, const json_t *resource)
{
	bool live =
		w->reflector.phase != REFLECTOR_DISCOVER && w->reflector.phase != REFLECTOR_ABSENT;

	w->todo &= ~REFLECTOR_DO_DISCOVER;
	/* a look at what is served now, while all is well */
	if (live) {
		if (f == REFLECTOR_FOUND && w->version != w->r.versions[w->index])
			watch_apply(w, reflector_restart(&w->reflector, cluster_now(w->c)));
		return;
	}
	if (f == REFLECTOR_FOUND)
		use_version(w, resource);
	else if (f == REFLECTOR_NOT_FOUND)
		watch_why(w, "the server has no %s%s%s", w->r.plural, w->r.group[0] ? "." : "",
			w->r.group);
	watch_apply(w, reflector_on_discovery(&w->reflector, f, cluster_now(w->c)));
}

/* One version after the other, best first, until one is served. */
void watch_on_discovered(struct kube_watch *w)
{
	while (w->todo & REFLECTOR_DO_DISCOVER) {
		const char *version = w->r.versions[w->index];
		const json_t *resource;
		struct discovery *d;

		if (version == NULL) {
			discovered(w, REFLECTOR_NOT_FOUND, NULL);
			return;
		}
		d = discovery_get(w->c, w->r.group, version);
		if (d->pending)
			return;
		resource = discovery_find(d, w->r.plural);
		if (resource != NULL) {
			discovered(w, REFLECTOR_FOUND, resource);
		} else if (d->failed) {
			watch_why(w, "%s", d->why.msg);
			discovered(w, REFLECTOR_FIND_FAILED, NULL);
		} else {
			w->index++;
		}
	}
}

/* --- doing what is noted --- */

/* True when there may be more to do at once. */
static bool step(struct kube_watch *w)
{
	unsigned todo = w->todo;

	if (todo & REFLECTOR_DO_CLOSE) {
		transfer_cancel(w->transfer);
		w->transfer = NULL;
		w->todo &= ~REFLECTOR_DO_CLOSE;
	}
	if (todo & REFLECTOR_DO_REFRESH) {
		credential_refused(&w->c->credential, w->generation);
		w->todo &= ~REFLECTOR_DO_REFRESH;
	}
	if (todo & REFLECTOR_DO_DISCOVER) {
		watch_on_discovered(w);
		return w->todo != todo && !(w->todo & REFLECTOR_DO_DISCOVER);
	}
	if (!(w->todo & REFLECTOR_DO_OPEN))
		return false;
	switch (cluster_credential(w->c)) {
	case CREDENTIAL_PENDING:
		return false;
	case CREDENTIAL_FAILED:
		w->todo &= ~REFLECTOR_DO_OPEN;
		watch_why(w, "no credential: %s", w->c->credential.why.msg);
		watch_apply(w,
			reflector_on_end(&w->reflector, REFLECTOR_END_REFUSED, cluster_now(w->c)));
		return true;
	case CREDENTIAL_READY:
		w->todo &= ~REFLECTOR_DO_OPEN;
		watch_send(w);
	}
	return w->todo != 0;
}

static void settle(struct kube_watch *w)
{
	uint64_t now, wake;

	for (int i = 0; i < SETTLE_STEPS_MAX && !w->gone && !w->c->closing; i++)
		if (!step(w))
			break;
	if (w->gone || w->c->closing)
		return;
	now = clock_mono_us();
	wake = w->reflector.wake_us;
	if (wake == 0)
		loop_timer_stop(&w->timer);
	else
		loop_timer_set(w->c->loop, &w->timer, wake > now ? wake - now : 0);
}

void watches_settle(struct kube_cluster *c)
{
	list_for_each_safe (l, &c->watches) {
		struct kube_watch *w = list_entry(l, struct kube_watch, link);

		if (w->gone)
			kube_watch_free(w);
		else
			settle(w);
	}
}

void watches_hurry(struct kube_cluster *c)
{
	list_for_each (l, &c->watches)
		reflector_hurry(&list_entry(l, struct kube_watch, link)->reflector, cluster_now(c));
	cluster_soon(c);
}

static void on_timer(void *arg)
{
	struct kube_watch *w = arg;
	struct kube_cluster *c = w->c;
	bool waited = w->reflector.phase == REFLECTOR_WAIT;

	cluster_enter(c);
	if (!waited && w->reflector.phase != REFLECTOR_ABSENT && !w->reflector.answered)
		watch_why(w, "no answer within %u s", REFLECTOR_ANSWER_US / 1000000u);
	else if (!waited && w->reflector.phase != REFLECTOR_ABSENT)
		watch_why(w, "the answer does not end");
	watch_apply(w, reflector_on_wake(&w->reflector, cluster_now(c)));
	cluster_leave(c);
}

/* --- lifecycle --- */

static char *copy(const char *s)
{
	char *c = s != NULL ? strdup(s) : NULL;

	bug_on(s != NULL && c == NULL);
	return c;
}

static bool is_segment(const char *s)
{
	return s[0] != '\0' && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == strlen(s);
}

int kube_watch(struct kube_cluster *c, const struct kube_resource *r,
	const struct kube_watch_events *events, void *arg, struct kube_watch **ret, struct err *err)
{
	struct kube_watch *w;

	if ((r->group[0] != '\0' && !is_segment(r->group)) || !is_segment(r->plural) ||
		(r->namespace_ != NULL && !is_segment(r->namespace_)))
		return err_set(err, EINVAL, "%s.%s: no name of a resource", r->plural, r->group);
	w = calloc(1, sizeof(*w));
	bug_on(w == NULL);
	*w = (struct kube_watch){.c = c,
		.r = *r,
		.ev = *events,
		.arg = arg,
		.version = "",
		.end_as = -1};
	w->r.group = copy(r->group);
	w->r.plural = copy(r->plural);
	w->r.namespace_ = copy(r->namespace_);
	w->r.label_selector = copy(r->label_selector);
	w->r.field_selector = copy(r->field_selector);
	objects_init(&w->known, &c->keys, 0);
	objects_init(&w->fresh, &c->keys, KUBE_LIST_BYTES_MAX);
	loop_timer_init(&w->timer, on_timer, w);
	list_add_tail(&c->watches, &w->link);
	w->todo = reflector_start(&w->reflector, cluster_now(c));
	cluster_soon(c);
	if (ret != NULL)
		*ret = w;
	return 0;
}

void kube_watch_free(struct kube_watch *w)
{
	transfer_cancel(w->transfer);
	loop_timer_stop(&w->timer);
	list_del(&w->link);
	objects_fini(&w->known);
	objects_fini(&w->fresh);
	if (w->framing)
		frame_fini(&w->frame);
	kube_text_fini(&w->refusal);
	free(w->path);
	free(w->api_version);
	free(w->kind);
	free((char *)w->r.group);
	free((char *)w->r.plural);
	free((char *)w->r.namespace_);
	free((char *)w->r.label_selector);
	free((char *)w->r.field_selector);
	free(w);
}

void kube_unwatch(struct kube_watch *w)
{
	if (w == NULL)
		return;
	w->gone = true;
	loop_timer_stop(&w->timer);
	cluster_soon(w->c);
}

void kube_rediscover(struct kube_cluster *c, const char *group)
{
	discovery_forget(c, group);
	list_for_each (l, &c->watches) {
		struct kube_watch *w = list_entry(l, struct kube_watch, link);

		if (w->gone || (group != NULL && strcmp(w->r.group, group) != 0))
			continue;
		w->index = 0;
		if (w->reflector.phase == REFLECTOR_ABSENT)
			watch_apply(w, reflector_look(&w->reflector, cluster_now(c)));
		else
			w->todo |= REFLECTOR_DO_DISCOVER;
	}
	cluster_soon(c);
}

const char *kube_watch_version(const struct kube_watch *w)
{
	return w->version;
}
