// SPDX-License-Identifier: Apache-2.0
/*
 * cluster.c: one API server: its life, its turns, and what is known about how it is.
 */
#include "control/kube/cluster.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/kube/pem.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/log.h"
#include "dataplane/yaml/yaml_tree.h"

#define EXPIRY_WARN_S (7 * 86400)

bool kube_text_add(struct kube_text *t, const char *p, size_t len, size_t max)
{
	size_t room = t->room ? t->room : 1024;

	if (len > max - t->len)
		return false;
	while (room < t->len + len)
		room *= 2;
	if (room > t->room) {
		t->p = realloc(t->p, room);
		bug_on(t->p == NULL);
		t->room = room;
	}
	memcpy(t->p + t->len, p, len);
	t->len += len;
	return true;
}

void kube_text_fini(struct kube_text *t)
{
	free(t->p);
	*t = (struct kube_text){NULL};
}

/* --- turns --- */

static void cluster_free(struct kube_cluster *c)
{
	list_for_each_safe (l, &c->watches)
		kube_watch_free(list_entry(l, struct kube_watch, link));
	calls_free(c);
	discoveries_free(c);
	transfers_fini(&c->transfers);
	credential_fini(&c->credential);
	loop_timer_stop(&c->pump);
	loop_timer_stop(&c->pace);
	kubeconfig_fini(&c->k);
	free(c->name);
	free(c->user_agent);
	free(c);
}

void cluster_enter(struct kube_cluster *c)
{
	c->busy++;
}

void cluster_leave(struct kube_cluster *c)
{
	if (c->busy == 1 && !c->closing) {
		c->again = false;
		discoveries_settle(c);
		watches_settle(c);
		calls_settle(c);
		if (c->again)
			loop_timer_set(c->loop, &c->pump, 0);
	}
	if (--c->busy == 0 && c->closing)
		cluster_free(c);
}

void cluster_soon(struct kube_cluster *c)
{
	c->again = true;
	if (c->busy == 0)
		loop_timer_set(c->loop, &c->pump, 0);
}

static void on_pump(void *arg)
{
	cluster_enter(arg);
	cluster_leave(arg);
}

static void on_credential(void *arg)
{
	on_pump(arg);
}

static void on_enter(void *arg)
{
	cluster_enter(arg);
}

static void on_leave(void *arg)
{
	cluster_leave(arg);
}

struct reflector_now cluster_now(struct kube_cluster *c)
{
	return (struct reflector_now){.us = clock_mono_us(), .random = rng_u64(&c->rng)};
}

/* --- what happened --- */

void cluster_complain(struct kube_cluster *c, const char *what, const char *fmt, ...)
{
	uint64_t now = clock_mono_us(), due = (now - c->complaint_us) / KUBE_COMPLAINT_US;
	char text[1024];
	va_list ap;

	if (due > 0) {
		c->complaints = c->complaints + due < KUBE_COMPLAINTS
			? c->complaints + (unsigned)due
			: KUBE_COMPLAINTS;
		c->complaint_us = now;
	}
	if (c->complaints == 0) {
		c->unsaid++;
		return;
	}
	c->complaints--;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->unsaid > 0)
		log_warn("kube", "cluster=%s resource=%s unsaid=%llu %s", c->name, what,
			(unsigned long long)c->unsaid, text);
	else
		log_warn("kube", "cluster=%s resource=%s %s", c->name, what, text);
	c->unsaid = 0;
}

static void note_error(struct kube_cluster *c, const char *why)
{
	c->last_error_us = clock_mono_us();
	err_set(&c->last_error, 0, "%s", why);
}

static void on_no_answer(struct kube_cluster *c, const struct transfer_end *end)
{
	static const enum kube_counter of[] = {[TRANSFER_REFUSED] = KUBE_COUNTER_CONNECT_FAILED,
		[TRANSFER_TLS] = KUBE_COUNTER_TLS_FAILED,
		[TRANSFER_BROKEN] = KUBE_COUNTER_BROKEN,
		[TRANSFER_TIMEOUT] = KUBE_COUNTER_TIMED_OUT};

	cluster_count(c, of[end->outcome]);
	note_error(c, end->why);
	if (c->connected_since_us != 0)
		cluster_complain(c, "*", "msg=\"connection lost: %s\"", end->why);
	c->connected_since_us = 0;
	c->lost = true;
}

void cluster_on_good(struct kube_cluster *c)
{
	uint64_t now = clock_mono_us();

	c->good_us = now;
	if (!c->lost || (c->hurried_us != 0 && now - c->hurried_us < KUBE_HURRY_US))
		return;
	c->lost = false;
	c->hurried_us = now;
	watches_hurry(c);
}

void cluster_on_end(struct kube_cluster *c, const struct transfer_end *end)
{
	char text[32];

	if (end->outcome != TRANSFER_OK && end->outcome != TRANSFER_STOPPED) {
		on_no_answer(c, end);
		return;
	}
	cluster_count(c, KUBE_COUNTER_ANSWERS);
	if (c->connected_since_us == 0)
		c->connected_since_us = clock_mono_us();
	if (end->status < 400) {
		cluster_on_good(c);
		return;
	}
	snprintf(text, sizeof(text), "status %d", end->status);
	note_error(c, text);
	if (end->status == 401)
		cluster_count(c, KUBE_COUNTER_STATUS_401);
	else if (end->status == 403)
		cluster_count(c, KUBE_COUNTER_STATUS_403);
	else if (end->status >= 500)
		cluster_count(c, KUBE_COUNTER_STATUS_5XX);
	c->lost |= end->status >= 500 && clock_mono_us() - c->good_us > KUBE_ILL_US;
}

void cluster_on_refusal(struct kube_cluster *c, const struct reflector_refusal *r)
{
	if (r->status == 410)
		cluster_count(c, KUBE_COUNTER_STATUS_410);
	else if (r->status == 404)
		cluster_count(c, KUBE_COUNTER_STATUS_404);
	else if (r->status == 429 || (r->status == 503 && r->retry_after_us >= 0))
		cluster_count(c, KUBE_COUNTER_STATUS_429);
	else if (r->status != 401 && r->status != 403 && r->status < 500)
		cluster_count(c, KUBE_COUNTER_STATUS_OTHER);
}

enum credential_state cluster_credential(struct kube_cluster *c)
{
	struct credential *cred = &c->credential;
	/* those of a refusal meanwhile included */
	uint64_t failures = c->counters[KUBE_COUNTER_CREDENTIAL_FAILED];
	enum credential_state s = credential_get(cred);

	c->counters[KUBE_COUNTER_CREDENTIALS] = cred->reads;
	c->counters[KUBE_COUNTER_CREDENTIAL_FAILED] = cred->failures;
	if (cred->failures != failures) {
		note_error(c, cred->why.msg);
		cluster_complain(c, "*", "msg=\"credential: %s\"", cred->why.msg);
	}
	return s;
}

/* --- lifecycle --- */

static int load(const struct kube_source *s, struct kubeconfig *k, struct err *err)
{
	autofree char *own = NULL;
	struct str text = s->text;
	int rc;

	if (s->path == NULL && text.p == NULL)
		return kubeconfig_in_cluster(k, err);
	if (text.p == NULL) {
		rc = yaml_read_file(s->path, &own, &text.len, err);
		if (rc < 0)
			return rc;
		text.p = own;
	}
	return kubeconfig_parse(text, s->path != NULL ? s->path : "kubeconfig", s->context,
		s->untrusted, k, err);
}

int kube_check(const struct kube_source *source, struct err *err)
{
	struct kubeconfig k;
	int rc = load(source, &k, err);

	if (rc < 0)
		return rc;
	rc = kubeconfig_files(&k, err);
	kubeconfig_fini(&k);
	return rc;
}

static void warn_expiry(const struct kube_cluster *c)
{
	long left = pem_seconds_left(c->credential.cert);

	if (c->credential.cert.len > 0 && left < EXPIRY_WARN_S)
		log_warn("kube", "cluster=%s msg=\"the client certificate %s %ld hours\"", c->name,
			left < 0 ? "ended before" : "ends in", labs(left) / 3600);
}

static int cluster_init(struct kube_cluster *c, const struct kube_source *s, struct err *err)
{
	uint64_t seed;
	int rc;

	c->name = strdup(s->name);
	c->user_agent = strdup(s->user_agent ? s->user_agent : "sluice-control/" SLUICE_VERSION);
	list_init(&c->watches);
	list_init(&c->discoveries);
	list_init(&c->urgent);
	list_init(&c->waiting);
	list_init(&c->sent);
	rng_secret(&seed, sizeof(seed));
	rng_seed(&c->rng, seed);
	rate_init(&c->rate, clock_mono_us());
	loop_timer_init(&c->pump, on_pump, c);
	loop_timer_init(&c->pace, on_pump, c);
	c->keys.max = KUBE_KEYS_BYTES_MAX;
	c->complaints = KUBE_COMPLAINTS;
	c->complaint_us = clock_mono_us();
	rc = load(s, &c->k, err);
	if (rc == 0)
		rc = credential_init(&c->credential, c->loop, &c->k, on_credential, c, err);
	c->transfers = (struct transfers){.loop = c->loop,
		.k = &c->k,
		.credential = &c->credential,
		.user_agent = c->user_agent,
		.enter = on_enter,
		.leave = on_leave,
		.arg = c};
	list_init(&c->transfers.timer.link);
	if (rc == 0)
		rc = transfers_init(&c->transfers, err);
	return rc;
}

int kube_open(struct loop *loop, const struct kube_source *source, struct kube_cluster **ret,
	struct err *err)
{
	struct kube_cluster *c;
	int rc;

	if (source->name[0] == '\0' || strlen(source->name) >= KUBE_NAME_MAX)
		return err_set(err, EINVAL, "a cluster's name has 1 to %u bytes",
			KUBE_NAME_MAX - 1);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, ENOMEM, "libcurl cannot start");
	json_object_seed(0);
	c = calloc(1, sizeof(*c));
	bug_on(c == NULL);
	c->loop = loop;
	rc = cluster_init(c, source, err);
	if (rc < 0) {
		cluster_free(c);
		return rc;
	}
	warn_expiry(c);
	*ret = c;
	return 0;
}

void kube_close(struct kube_cluster *c)
{
	if (c == NULL)
		return;
	c->closing = true;
	if (c->busy == 0)
		cluster_free(c);
}

/* --- what is shown --- */

static void count_watches(const struct kube_cluster *c, struct kube_cluster_state *s)
{
	list_for_each (l, &c->watches) {
		const struct kube_watch *w = list_entry(l, struct kube_watch, link);

		if (w->gone)
			continue;
		s->watches++;
		s->synced += w->told_any &&
			(w->told == KUBE_WATCH_SYNCED || w->told == KUBE_WATCH_ABSENT);
		if (w->stale_since_us != 0 &&
			(s->stale_since_us == 0 || w->stale_since_us < s->stale_since_us))
			s->stale_since_us = w->stale_since_us;
	}
}

void kube_cluster_state(const struct kube_cluster *c, struct kube_cluster_state *ret)
{
	*ret = (struct kube_cluster_state){
		.name = c->name,
		.server = c->k.cluster.server,
		.connected = c->connected_since_us != 0,
		.connected_since_us = c->connected_since_us,
		.last_error = c->last_error.msg,
		.last_error_us = c->last_error_us,
		.calls_waiting = c->waiting_count,
		.calls_sent = c->sent_count,
		.calls_per_second = c->rate.per_second,
	};
	memcpy(ret->counters, c->counters, sizeof(ret->counters));
	count_watches(c, ret);
}

void kube_watch_state(const struct kube_watch *w, struct kube_watch_state *ret)
{
	*ret = (struct kube_watch_state){
		.group = w->r.group,
		.version = w->version,
		.plural = w->r.plural,
		.phase = w->told,
		.why = w->told == KUBE_WATCH_SYNCED ? "" : w->why.msg,
		.ever_synced = w->reflector.have,
		.stale_since_us = w->stale_since_us,
		.last_event_us = w->last_event_us,
		.objects = w->known.count,
		.relists = w->relists,
		.resource_version = w->reflector.rv,
	};
}

const struct kube_watch *kube_watch_next(const struct kube_cluster *c, const struct kube_watch *w)
{
	for (const struct list *l = w != NULL ? w->link.next : c->watches.next; l != &c->watches;
		l = l->next) {
		const struct kube_watch *next = list_entry(l, const struct kube_watch, link);

		if (!next->gone)
			return next;
	}
	return NULL;
}
