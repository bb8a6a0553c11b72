// SPDX-License-Identifier: Apache-2.0
/*
 * remote.c: RemoteClusterConfigurations of a config cluster become workload clusters (Calico).
 *
 * The kubeconfig is in a Secret, which is watched by its name alone. It was written by whoever may
 * write Secrets there, not by the operator of this machine: the client is told so and follows no
 * path in it. What is not understood costs a line in the log, and a cluster that was understood
 * before stays as it was: until its object is gone, or its Secret was gone for REMOTE_GONE_US (one
 * that is written anew is gone for a moment). As long as nobody knows whether there is a Secret,
 * because the client was just opened or may not read it, there is the one of before.
 */
#include <stdio.h>
#include <stdlib.h>

#include "control/model/decode.h"
#include "control/model/federation.h"
#include "control/model/secret.h"
#include "control/sources/sources_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/log.h"

#define REMOTES_MAX 32u
#define REMOTE_GONE_US 10000000u

/* The Secret of one object. */
struct access {
	struct remote *remote;
	char name[254], secret_ns[64], secret_name[254];
	char selector[300];
	struct kube_watch *watch;
	struct object *secret; /* owned reference; the last good one, or NULL */
	struct loop_timer gone;
	bool is_gone; /* the Secret, and long enough */
	bool wanted;
};

struct remote {
	struct api_cluster *cluster;
	struct access *list[REMOTES_MAX]; /* owned */
	uint32_t count;
	struct loop_timer timer; /* the registry is told from the loop, not from within an event */
};

static bool usable(const struct access *a, struct str *ret_text)
{
	struct str type;

	if (a->secret == NULL)
		return false;
	*ret_text = kv_find(&a->secret->secret->known, STR("kubeconfig"));
	type = kv_find(&a->secret->secret->known, STR("datastoreType"));
	return ret_text->len != 0 && (type.len == 0 || str_eq(type, STR("kubernetes")));
}

/* What the Secret said before this client was opened, or before it made no sense. */
static bool was_usable(const struct access *a, struct str *ret_text)
{
	const struct api_cluster *c = a->remote->cluster;
	const struct cluster_entry *e = registry_find(c->sources->registry, str_of(a->name));

	if (a->is_gone || e == NULL || e->origin != CLUSTER_BY_REMOTE || e->def.awaited ||
		!str_eq(e->def.owner, c->name))
		return false;
	*ret_text = e->def.text;
	return true;
}

/*
 * After a start nobody knows what the Secret says before it is read, but that there is a cluster is
 * on disk, and what was in it.
 */
static bool is_awaited(const struct access *a)
{
	return a->secret == NULL && !a->is_gone && !loop_timer_is_set(&a->gone);
}

static void complain(const struct access *a)
{
	log_warn("source",
		"cluster=%.*s kind=RemoteClusterConfiguration name=%s msg=\"Secret %s/%s %s\"",
		STR_FMT(a->remote->cluster->name), a->name, a->secret_ns, a->secret_name,
		a->is_gone		    ? "is not there"
			: a->secret == NULL ? "is not known yet"
					    : "has no kubeconfig for datastoreType kubernetes");
}

static void on_timer(void *arg)
{
	struct remote *r = arg;
	struct sources *s = r->cluster->sources;
	struct cluster_def defs[REMOTES_MAX];
	uint32_t count = 0;
	bool changed;

	for (uint32_t i = 0; i < r->count; i++) {
		const struct access *a = r->list[i];
		struct str text;
		bool good = usable(a, &text);

		if (!good)
			complain(a);
		if (good || was_usable(a, &text))
			defs[count++] = (struct cluster_def){.name = str_of(a->name), .text = text};
		else if (is_awaited(a))
			defs[count++] =
				(struct cluster_def){.name = str_of(a->name), .awaited = true};
	}
	changed = registry_set_remote(s->registry, r->cluster->name, defs, count);
	if (changed)
		s->events.on_clusters(s->events.arg);
}

static void soon(struct remote *r)
{
	loop_timer_set(r->cluster->sources->loop, &r->timer, 0);
}

/* --- the Secret --- */

static void on_object(void *ctx, struct object *o)
{
	struct access *a = ctx;

	object_put(a->secret);
	a->secret = o;
}

static void on_broken(void *ctx, enum kind kind, struct str ns, struct str name)
{
}

static void on_problem(void *ctx, bool fatal, const char *text)
{
	if (fatal)
		log_warn("source", "msg=\"%s\"", text);
}

static void on_secret(void *arg, json_t *object)
{
	struct access *a = arg;
	const struct decode_handler handler = {on_object, on_broken, on_problem, a};

	loop_timer_stop(&a->gone);
	a->is_gone = false;
	object_decode_json(object, a->remote->cluster->name, KIND_SECRET, &handler);
	soon(a->remote);
}

static void on_gone(void *arg)
{
	struct access *a = arg;

	a->is_gone = true;
	object_put(a->secret);
	a->secret = NULL;
	soon(a->remote);
}

/* It may be about to be written anew. */
static void on_secret_gone(void *arg, json_t *object)
{
	struct access *a = arg;

	if (!a->is_gone && !loop_timer_is_set(&a->gone))
		loop_timer_set(a->remote->cluster->sources->loop, &a->gone, REMOTE_GONE_US);
}

static void on_secrets(void *arg, struct kube_items *items, bool whole)
{
	struct access *a = arg;
	json_t *o;

	if (kube_items_count(items) == 0 && whole)
		on_secret_gone(a, NULL);
	while ((o = kube_items_next(items)) != NULL)
		on_secret(arg, o);
	soon(a->remote);
}

static void secret_watch(struct access *a)
{
	static const struct kube_watch_events events = {on_secrets, on_secret, on_secret_gone,
		NULL};
	const struct kube_resource r = {
		.group = "",
		.versions = kind_info[KIND_SECRET].versions,
		.plural = "secrets",
		.namespace_ = a->secret_ns,
		.field_selector = a->selector,
	};
	struct err err;

	snprintf(a->selector, sizeof(a->selector), "metadata.name=%s", a->secret_name);
	if (kube_watch(a->remote->cluster->kube, &r, &events, a, &a->watch, &err) < 0)
		log_error("source", "cluster=%.*s secret=%s/%s msg=\"%s\"",
			STR_FMT(a->remote->cluster->name), a->secret_ns, a->secret_name, err.msg);
}

/* --- the objects --- */

static void access_free(struct access *a)
{
	if (a->watch != NULL)
		kube_unwatch(a->watch);
	loop_timer_stop(&a->gone);
	object_put(a->secret);
	free(a);
}

static bool is_access(const struct access *a, const struct object *o)
{
	return str_eq(o->name, str_of(a->name)) &&
		str_eq(o->remote_cluster->secret_ns, str_of(a->secret_ns)) &&
		str_eq(o->remote_cluster->secret_name, str_of(a->secret_name));
}

static void want(struct remote *r, const struct object *o)
{
	const struct remote_cluster *spec = o->remote_cluster;
	struct access *a;

	for (uint32_t i = 0; i < r->count; i++) {
		if (is_access(r->list[i], o)) {
			r->list[i]->wanted = true;
			return;
		}
	}
	if (spec->secret_name.len == 0 || o->name.len > 63 || r->count == REMOTES_MAX) {
		log_warn("source",
			"cluster=%.*s kind=RemoteClusterConfiguration name=%.*s msg=\"%s\"",
			STR_FMT(o->cluster), STR_FMT(o->name),
			spec->secret_name.len == 0
				? "is left alone: only clusterAccessSecret is understood"
				: "is left alone: its name is too long, or there are too many");
		return;
	}
	a = calloc(1, sizeof(*a));
	bug_on(a == NULL);
	a->remote = r;
	a->wanted = true;
	loop_timer_init(&a->gone, on_gone, a);
	snprintf(a->name, sizeof(a->name), "%.*s", STR_FMT(o->name));
	snprintf(a->secret_ns, sizeof(a->secret_ns), "%.*s", STR_FMT(spec->secret_ns));
	snprintf(a->secret_name, sizeof(a->secret_name), "%.*s", STR_FMT(spec->secret_name));
	r->list[r->count++] = a;
	secret_watch(a);
}

static void refresh_one(void *arg, const struct object *o)
{
	want(arg, o);
}

void remote_refresh(struct remote *r)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < r->count; i++)
		r->list[i]->wanted = false;
	store_api_each(r->cluster->kinds[KIND_REMOTE_CLUSTER].store, refresh_one, r);
	for (uint32_t i = 0; i < r->count; i++) {
		if (r->list[i]->wanted)
			r->list[kept++] = r->list[i];
		else
			access_free(r->list[i]);
	}
	r->count = kept;
	soon(r);
}

struct remote *remote_new(struct api_cluster *c)
{
	struct remote *r = calloc(1, sizeof(*r));

	bug_on(r == NULL);
	r->cluster = c;
	loop_timer_init(&r->timer, on_timer, r);
	return r;
}

void remote_free(struct remote *r)
{
	loop_timer_stop(&r->timer);
	for (uint32_t i = 0; i < r->count; i++)
		access_free(r->list[i]);
	free(r);
}
