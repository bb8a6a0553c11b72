// SPDX-License-Identifier: Apache-2.0
/*
 * api_cluster.c: one API server: which kinds are watched, and what its events do to the store.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/sources/sources_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"

#define REDISCOVER_TIMES 4u
#define REDISCOVER_US 250000u

/* --- taking part --- */

static bool kinds_known(const struct api_cluster *c)
{
	for (unsigned i = 0; i < KIND_COUNT; i++) {
		const struct api_kind *k = &c->kinds[i];

		if (k->awaited && !k->known && (k->needed || !c->optional_over))
			return false;
	}
	return true;
}

static bool needed_known(const struct api_cluster *c)
{
	for (unsigned i = 0; i < KIND_COUNT; i++)
		if (c->kinds[i].awaited && c->kinds[i].needed && !c->kinds[i].known)
			return false;
	return true;
}

/*
 * A cluster that took part already was in use as disk or an older connection had it; what a new
 * role asks for comes into use now, all at once.
 */
static void synced(struct api_cluster *c)
{
	struct sources *s = c->sources;

	for (unsigned i = 0; i < KIND_COUNT; i++)
		if (c->kinds[i].watch != NULL)
			store_api_hide(c->kinds[i].store, false);
	if (store_api_gate_is_open(s->store, c->name)) {
		log_info("source", "cluster=%.*s msg=\"is known anew\"", STR_FMT(c->name));
		store_touch(s->store); /* a plan for whoever writes to it */
	} else {
		log_info("source", "cluster=%.*s msg=\"takes part\"", STR_FMT(c->name));
		store_api_gate(s->store, c->name);
	}
	cache_takes_part(c->cache);
	cache_seen(c->cache);
	s->events.on_change(s->events.arg);
}

static void gate_look(struct api_cluster *c)
{
	bool was = c->synced;

	c->synced = kinds_known(c);
	if (!c->synced && needed_known(c) && !loop_timer_is_set(&c->optional))
		loop_timer_set(c->sources->loop, &c->optional, SOURCES_OPTIONAL_US);
	if (c->synced && !was)
		synced(c);
}

static void go_on_without(struct api_kind *k)
{
	struct kube_watch_state st;

	kube_watch_state(k->watch, &st);
	log_warn("source", "cluster=%.*s kind=%.*s why=\"%s\" msg=\"goes on without\"",
		STR_FMT(k->cluster->name), STR_FMT(kind_info[k->kind].name), st.why);
	store_api_unseen(k->store, true);
}

static void on_optional(void *arg)
{
	struct api_cluster *c = arg;

	for (unsigned i = 0; i < KIND_COUNT; i++)
		if (c->kinds[i].awaited && !c->kinds[i].known)
			go_on_without(&c->kinds[i]);
	c->optional_over = true;
	gate_look(c);
}

/* --- definitions come and go --- */

/* "gateway.networking.k8s.io" of "gateways.gateway.networking.k8s.io" */
static struct str definition_group(const json_t *crd)
{
	const char *name =
		json_string_value(json_object_get(json_object_get(crd, "metadata"), "name"));
	const char *dot = name != NULL ? strchr(name, '.') : NULL;

	return dot != NULL ? str_of(dot + 1) : STR("");
}

/* They come one by one and are served a moment later: at once, and after 1, 2 and 4 seconds. */
static void definitions_look(void *arg)
{
	struct api_cluster *c = arg;
	bool over = ++c->rediscovered >= REDISCOVER_TIMES;

	for (unsigned i = 0; i < KIND_COUNT; i++) {
		if (c->kinds[i].look)
			kube_rediscover(c->kube, kind_info[i].group.p);
		c->kinds[i].look &= !over;
	}
	c->rediscover_at_us = clock_mono_us() + REDISCOVER_US;
	if (!over)
		loop_timer_set(c->sources->loop, &c->rediscover, 500000u << c->rediscovered);
}

/* <o>, of a kind's objects, came, changed or went: what its group serves is looked at again. */
static void definition_changed(struct api_kind *k, const json_t *o)
{
	struct api_cluster *c = k->cluster;
	uint64_t now = clock_mono_us();
	struct str group;
	bool any = false;

	if (k->kind != KIND_CRD)
		return;
	group = definition_group(o);
	for (unsigned i = 0; i < KIND_COUNT; i++)
		if (c->kinds[i].watch != NULL && group.len != 0 &&
			str_eq(kind_info[i].group, group))
			any = c->kinds[i].look = true;
	if (!any)
		return;
	c->rediscovered = 0;
	loop_timer_set(c->sources->loop, &c->rediscover,
		c->rediscover_at_us > now ? c->rediscover_at_us - now : 0);
}

/* --- events of one kind --- */

static void tell(struct api_kind *k, enum store_change change)
{
	struct sources *s = k->cluster->sources;

	if (change >= STORE_CHANGED) /* the worst of many may be that one is not valid */
		cache_changed(k->cluster->cache, k->kind);
	/* Those of a client that was opened anew are the store's already, and yet news to it. */
	if (k->kind == KIND_REMOTE_CLUSTER)
		remote_refresh(k->cluster->remote);
	if (change == STORE_SAME)
		return;
	if (change == STORE_STATUS)
		s->events.on_status(s->events.arg);
	else if (store_api_gate_is_open(s->store, k->cluster->name))
		s->events.on_change(s->events.arg);
}

static void take_empty(struct api_kind *k)
{
	store_api_begin(k->store);
	tell(k, store_api_end(k->store, true));
}

/*
 * A list without objects comes when all were deleted, and when the server no longer serves the kind:
 * then they stay. Who deletes a definition deletes its objects, but then the server has said so of
 * each before; a kind that vanishes without is a server that starts, or a group that is down.
 */
static void settle(struct api_kind *k, bool absent)
{
	if (!k->emptied)
		return;
	k->emptied = false;
	loop_timer_stop(&k->settle);
	k->kept = absent && store_api_count(k->store) != 0;
	if (k->kept)
		log_warn("source",
			"cluster=%.*s kind=%.*s objects=%u msg=\"the kind is gone, its "
			"objects stay in use\"",
			STR_FMT(k->cluster->name), STR_FMT(kind_info[k->kind].name),
			store_api_count(k->store));
	else
		take_empty(k);
	cache_listed(k->cluster->cache, k->kind);
}

static void on_settle(void *arg)
{
	struct api_kind *k = arg;
	struct kube_watch_state st;

	kube_watch_state(k->watch, &st);
	settle(k, st.phase == KUBE_WATCH_ABSENT);
}

/* Of definitions only their names and metadata come, and only those of Gateways and routes stay. */
static bool is_kept(const struct api_kind *k, const json_t *o)
{
	return k->kind != KIND_CRD || str_eq(definition_group(o), kind_info[KIND_GATEWAY].group);
}

static void on_replace(void *arg, struct kube_items *items, bool whole)
{
	struct api_kind *k = arg;
	enum store_change worst = STORE_SAME, gone;
	json_t *o;

	if (kube_items_count(items) == 0 && whole && store_api_count(k->store) != 0) {
		k->emptied = true;
		loop_timer_set(k->cluster->sources->loop, &k->settle, 0);
		return;
	}
	k->emptied = k->kept = false;
	store_api_begin(k->store);
	while ((o = kube_items_next(items)) != NULL) {
		enum store_change change =
			is_kept(k, o) ? store_api_upsert(k->store, o) : STORE_SAME;

		worst = change > worst ? change : worst;
		definition_changed(k, o);
	}
	gone = store_api_end(k->store, whole);
	worst = gone > worst ? gone : worst;
	cache_listed(k->cluster->cache, k->kind);
	tell(k, worst);
}

static void on_upsert(void *arg, json_t *object)
{
	struct api_kind *k = arg;

	settle(k, false);
	k->kept = false;
	definition_changed(k, object);
	if (is_kept(k, object))
		tell(k, store_api_upsert(k->store, object));
}

static void on_delete(void *arg, json_t *object)
{
	struct api_kind *k = arg;

	settle(k, false);
	definition_changed(k, object);
	tell(k, store_api_delete(k->store, object));
}

static void on_state(void *arg, enum kube_watch_phase phase, const char *why)
{
	struct api_kind *k = arg;

	settle(k, phase == KUBE_WATCH_ABSENT);
	if (!k->known && (phase == KUBE_WATCH_SYNCED || phase == KUBE_WATCH_ABSENT)) {
		k->known = true;
		tell(k, store_api_unseen(k->store, false));
	}
	gate_look(k->cluster);
}

/* --- opening and closing --- */

static void kind_watch(struct api_cluster *c, const struct watched *w)
{
	static const struct kube_watch_events events = {on_replace, on_upsert, on_delete, on_state};
	const struct kind_info *info = &kind_info[w->kind];
	struct api_kind *k = &c->kinds[w->kind];
	/* kind_info's strings are literals */
	const struct kube_resource r = {
		.group = info->group.p,
		.versions = info->versions,
		.plural = info->plural,
		.field_selector = w->field_selector,
		.metadata_only = w->kind == KIND_CRD,
	};
	struct store *store = c->sources->store;
	bool fresh = store_api_find(store, c->name, w->kind) == NULL;
	struct err err;

	if (k->watch != NULL)
		return;
	k->store = store_api_kind(store, c->name, w->kind);
	/* a list half of which is here must not be part of a plan */
	if (fresh && store_api_gate_is_open(store, c->name))
		store_api_hide(k->store, true);
	if (c->optional_over) {
		loop_timer_stop(&c->optional);
		c->optional_over = false;
	}
	if (kube_watch(c->kube, &r, &events, k, &k->watch, &err) < 0)
		log_error("source", "cluster=%.*s kind=%.*s msg=\"%s\"", STR_FMT(c->name),
			STR_FMT(info->name), err.msg);
}

/* Also of a kind that only an older client of the cluster has watched. */
static void kind_unwatch(struct api_cluster *c, enum kind kind)
{
	struct api_kind *k = &c->kinds[kind];

	k->store = store_api_find(c->sources->store, c->name, kind);
	kube_unwatch(k->watch);
	k->watch = NULL;
	k->known = k->emptied = k->kept = k->awaited = false;
	loop_timer_stop(&k->settle);
	if (k->store == NULL)
		return;
	take_empty(k);
	store_api_unseen(k->store, false);
	store_api_hide(k->store, true);
	cache_listed(c->cache, kind);
}

void api_cluster_roles(struct api_cluster *c, unsigned roles)
{
	const struct watched *w;

	for (size_t i = 0; (w = api_watched(i)) != NULL; i++) {
		struct api_kind *k = &c->kinds[w->kind];

		if ((w->roles & roles) == 0) {
			kind_unwatch(c, w->kind);
			continue;
		}
		kind_watch(c, w);
		k->needed = (w->needed & roles) != 0;
		/* Who only lends endpoints need not show us which kinds he has. */
		k->awaited = k->watch != NULL &&
			(k->kind != KIND_CRD || (roles & CLUSTER_ROLE_CONFIG) != 0);
	}
	gate_look(c);
}

struct kube_source kube_source_of(const struct cluster_def *def)
{
	return (struct kube_source){
		.name = def->name.p,
		.path = def->kubeconfig,
		.text = def->text.len != 0 ? def->text : (struct str){NULL, 0},
		.context = def->context,
		.untrusted = def->text.len != 0,
	};
}

int api_cluster_open(struct sources *s, const struct cluster_def *def, struct cache *cache,
	struct api_cluster **ret, struct err *err)
{
	const struct kube_source source = kube_source_of(def);
	struct api_cluster *c = calloc(1, sizeof(*c));
	int rc;

	bug_on(c == NULL);
	c->sources = s;
	c->name = def->name;
	c->cache = cache;
	loop_timer_init(&c->optional, on_optional, c);
	loop_timer_init(&c->rediscover, definitions_look, c);
	for (unsigned i = 0; i < KIND_COUNT; i++) {
		c->kinds[i].cluster = c;
		c->kinds[i].kind = (enum kind)i;
		loop_timer_init(&c->kinds[i].settle, on_settle, &c->kinds[i]);
	}
	rc = kube_open(s->loop, &source, &c->kube, err);
	if (rc < 0) {
		free(c);
		return rc;
	}
	c->remote = remote_new(c);
	api_cluster_roles(c, def->roles);
	if (c->kinds[KIND_REMOTE_CLUSTER].store != NULL &&
		store_api_count(c->kinds[KIND_REMOTE_CLUSTER].store) != 0)
		remote_refresh(c->remote); /* those on disk, or of the client before */
	*ret = c;
	return 0;
}

void api_cluster_close(struct api_cluster *c)
{
	if (c == NULL)
		return;
	remote_free(c->remote);
	for (unsigned i = 0; i < KIND_COUNT; i++)
		loop_timer_stop(&c->kinds[i].settle);
	loop_timer_stop(&c->optional);
	loop_timer_stop(&c->rediscover);
	if (c->sources->events.on_closing != NULL)
		c->sources->events.on_closing(c->sources->events.arg, c->name);
	kube_close(c->kube);
	free(c);
}
