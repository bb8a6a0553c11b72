// SPDX-License-Identifier: Apache-2.0
/*
 * sources.c: the registry's list against what is open.
 */
#include "control/sources/sources.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "control/sources/sources_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/log.h"

struct source *source_find(const struct sources *s, struct str name)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (str_eq(s->list[i]->def.name, name))
			return s->list[i];
	return NULL;
}

static const char *copy_cstr(struct arena *a, const char *text)
{
	return text != NULL ? arena_str(a, str_of(text)).p : NULL;
}

static void def_copy(struct arena *a, const struct cluster_def *from, struct cluster_def *to)
{
	*to = *from;
	to->name = arena_str(a, from->name);
	to->directory = copy_cstr(a, from->directory);
	to->kubeconfig = copy_cstr(a, from->kubeconfig);
	to->context = copy_cstr(a, from->context);
	to->text = from->text.len != 0 ? arena_str(a, from->text) : STR("");
	to->owner = STR("");
}

static void say(struct source *c, const char *what)
{
	if (!str_eq(str_of(c->error), str_of(what)))
		log_warn("source", "cluster=%.*s msg=\"%s\"", STR_FMT(c->def.name), what);
	snprintf(c->error, sizeof(c->error), "%s", what);
}

/* --- directories --- */

static void directory_load(struct sources *s, struct source *c)
{
	struct err err;

	if (store_load_dir(s->store, c->def.name, c->def.directory, &err) < 0)
		say(c, err.msg);
	else
		c->error[0] = '\0';
}

static void on_watch(void *arg, int root, const char *path)
{
	struct sources *s = arg;

	for (uint32_t i = 0; i < s->count; i++) {
		struct source *c = s->list[i];

		if (source_is_api(&c->def) || c->root != root)
			continue;
		if (path != NULL)
			store_reload_file(s->store, c->def.name, path);
		else
			directory_load(s, c);
	}
	s->events.on_change(s->events.arg);
}

/* All roots anew, before the directories are read: what changes in between is read twice. */
static void watch_renew(struct sources *s)
{
	const struct watch_events ev = {.changed = on_watch, .wants = store_wants_file, .arg = s};
	struct watch *fresh;
	struct err err;

	if (watch_new(s->loop, &ev, &fresh, &err) < 0) {
		log_error("source", "msg=\"%s\"", err.msg);
		return;
	}
	watch_free(s->watch);
	s->watch = fresh;
	for (uint32_t i = 0; i < s->count; i++) {
		struct source *c = s->list[i];

		if (source_is_api(&c->def))
			continue;
		c->root = watch_add_root(fresh, c->def.directory, &err);
		if (c->root < 0)
			say(c, err.msg);
	}
}

/* --- API servers --- */

/* Another file, or other bytes in it; 0: none. */
static uint64_t stamp_of(const char *path)
{
	struct stat st;

	if (path == NULL || stat(path, &st) < 0)
		return 0;
	return hash_mix(hash_mix((uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec),
		hash_mix(st.st_ino, (uint64_t)st.st_size));
}

/* A client that works is given up only for another one. */
static void api_open(struct sources *s, struct source *c)
{
	struct api_cluster *fresh;
	struct err err;

	c->file_stamp = stamp_of(c->def.kubeconfig);
	if ((c->api != NULL || c->def.awaited) && sources_check(&c->def, &err) < 0) {
		say(c, err.msg);
		return;
	}
	api_cluster_close(c->api);
	c->api = NULL;
	if (api_cluster_open(s, &c->def, c->cache, &fresh, &err) < 0) {
		say(c, err.msg);
		return;
	}
	c->api = fresh;
	c->error[0] = '\0';
}

static void api_look(struct sources *s, struct source *c)
{
	if (c->api == NULL || stamp_of(c->def.kubeconfig) != c->file_stamp)
		api_open(s, c);
}

int sources_check(const struct cluster_def *def, struct err *err)
{
	const struct kube_source source = kube_source_of(def);

	if (def->awaited)
		return err_set(err, ENOENT,
			"its kubeconfig, in the Secret of a RemoteClusterConfiguration, is not "
			"known yet");
	return source_is_api(def) ? kube_check(&source, err) : 0;
}

/* --- the list --- */

static void source_free(struct source *c)
{
	loop_timer_stop(&c->disk);
	api_cluster_close(c->api);
	arena_fini(&c->arena);
	free(c);
}

static struct source *source_new(struct sources *s, const struct cluster_def *def)
{
	struct source *c = calloc(1, sizeof(*c));

	bug_on(c == NULL);
	c->sources = s;
	disk_init(c);
	arena_init(&c->arena, 0);
	def_copy(&c->arena, def, &c->def);
	c->root = -1;
	c->wanted = true;
	return c;
}

static void source_remove(struct sources *s, uint32_t i)
{
	struct source *c = s->list[i];

	log_info("source", "cluster=%.*s msg=\"removed\"", STR_FMT(c->def.name));
	disk_drop(c);
	store_remove_cluster(s->store, c->def.name);
	if (registry_set_remote(s->registry, c->def.name, NULL, 0))
		s->events.on_clusters(s->events.arg);
	source_free(c);
	s->list[i] = s->list[--s->count];
}

/* Another place to get the same cluster's objects from. Those of one server do for another's. */
static void source_move(struct sources *s, struct source *c, const struct cluster_def *def)
{
	struct arena old = c->arena;

	api_cluster_close(c->api); /* borrows the old strings, and the cache */
	c->api = NULL;
	if (source_is_api(&c->def) != source_is_api(def)) {
		disk_drop(c);
		store_remove_cluster(s->store, c->def.name);
	}
	arena_init(&c->arena, 0);
	def_copy(&c->arena, def, &c->def);
	arena_fini(&old);
}

/* A client that works is given up only for one that can, which each look tries again. */
static bool may_move(struct source *c, const struct cluster_def *def)
{
	struct err err;

	c->behind = c->api != NULL && source_is_api(def) && sources_check(def, &err) < 0;
	if (c->behind)
		say(c, err.msg);
	return !c->behind;
}

static bool apply_one(struct sources *s, const struct cluster_def *def)
{
	struct source *c = source_find(s, def->name);
	bool other = c == NULL || !cluster_def_same_source(&c->def, def);
	bool moved = c == NULL || (other && may_move(c, def)), directories;

	if (c == NULL && s->count == CLUSTERS_MAX)
		return false; /* those that have just left go with the next apply, which is on its way */
	if (c == NULL) {
		c = s->list[s->count++] = source_new(s, def);
		directories = !source_is_api(def);
	} else if (moved) {
		directories = !source_is_api(&c->def) || !source_is_api(def);
		source_move(s, c, def);
	} else {
		directories = false;
	}
	c->wanted = true;
	if (!other && c->behind) { /* what is in use is what the list says again */
		c->behind = false;
		c->error[0] = '\0';
	}
	c->def.roles = def->roles;
	if (source_is_api(&c->def) && moved) {
		disk_open(s, c);
		api_open(s, c);
	} else if (c->api != NULL) {
		api_cluster_roles(c->api, def->roles);
	}
	return directories;
}

void sources_apply(struct sources *s)
{
	const struct cluster_entry *entries;
	bool directories = false;
	uint32_t count;

	for (uint32_t i = 0; i < s->count; i++)
		s->list[i]->wanted = false;
	entries = registry_entries(s->registry, &count);
	for (uint32_t i = 0; i < count; i++) {
		struct source *c = source_find(s, entries[i].def.name);

		if (c != NULL)
			c->wanted = true;
	}
	for (uint32_t i = s->count; i-- > 0;) {
		if (s->list[i]->wanted)
			continue;
		directories |= !source_is_api(&s->list[i]->def);
		source_remove(s, i);
	}
	entries = registry_entries(s->registry, &count);
	for (uint32_t i = 0; i < count; i++)
		directories |= apply_one(s, &entries[i].def);
	if (directories) {
		watch_renew(s);
		for (uint32_t i = 0; i < s->count; i++)
			if (!source_is_api(&s->list[i]->def))
				directory_load(s, s->list[i]);
	}
	s->events.on_change(s->events.arg);
}

static void look(struct sources *s)
{
	bool writing = s->watch != NULL && watch_is_writing(s->watch), behind = false;

	for (uint32_t i = 0; i < s->count; i++) {
		behind |= s->list[i]->behind;
		if (source_is_api(&s->list[i]->def))
			api_look(s, s->list[i]);
		else if (!writing) /* half a file would be half the objects */
			directory_load(s, s->list[i]);
	}
	if (behind)
		sources_apply(s);
	else
		s->events.on_change(s->events.arg);
}

void sources_reload(struct sources *s)
{
	look(s);
}

static void on_rescan(void *arg)
{
	struct sources *s = arg;

	loop_timer_set(s->loop, &s->rescan, SOURCES_RESCAN_US);
	look(s);
	for (uint32_t i = 0; i < s->count; i++)
		disk_seen(s->list[i]);
	disk_sweep(s);
}

/* --- readiness --- */

/* One that could not even be opened keeps nobody waiting, but for what is on disk of it. */
static bool is_awaited(const struct sources *s, const struct source *c)
{
	return (c->api != NULL || loop_timer_is_set(&c->disk)) &&
		!store_api_gate_is_open(s->store, c->def.name);
}

bool sources_ready(const struct sources *s)
{
	for (uint32_t i = 0; i < s->count && !s->start_over; i++)
		if (is_awaited(s, s->list[i]))
			return false;
	return true;
}

static void on_start(void *arg)
{
	struct sources *s = arg;

	for (uint32_t i = 0; i < s->count; i++)
		disk_take_part(s->list[i], false);
	for (uint32_t i = 0; i < s->count; i++)
		if (is_awaited(s, s->list[i]))
			log_warn("source", "cluster=%.*s msg=\"not known yet; going on without\"",
				STR_FMT(s->list[i]->def.name));
	s->start_over = true;
	s->events.on_change(s->events.arg);
}

int sources_new(struct loop *loop, struct store *store, struct registry *registry,
	const char *cache_dir, const struct sources_events *events, struct sources **ret,
	struct err *err)
{
	struct sources *s = calloc(1, sizeof(*s));
	int rc = 0;

	bug_on(s == NULL);
	if (cache_dir != NULL)
		rc = caches_new(loop, store, cache_dir, &s->caches, err);
	if (rc < 0) {
		free(s);
		return rc;
	}
	s->loop = loop;
	s->store = store;
	s->registry = registry;
	s->events = *events;
	loop_timer_init(&s->rescan, on_rescan, s);
	loop_timer_init(&s->start, on_start, s);
	loop_timer_set(loop, &s->rescan, SOURCES_RESCAN_US);
	loop_timer_set(loop, &s->start, SOURCES_START_US);
	*ret = s;
	return 0;
}

void sources_free(struct sources *s)
{
	if (s == NULL)
		return;
	loop_timer_stop(&s->rescan);
	loop_timer_stop(&s->start);
	for (uint32_t i = 0; i < s->count; i++) {
		disk_seen(s->list[i]);
		source_free(s->list[i]);
	}
	caches_free(s->caches);
	watch_free(s->watch);
	free(s);
}

/* --- state --- */

struct kube_cluster *sources_kube(const struct sources *s, struct str cluster)
{
	const struct source *c = source_find(s, cluster);

	return c != NULL && c->api != NULL && c->api->synced ? c->api->kube : NULL;
}

void sources_cache_state(const struct sources *s, struct cache_state *ret)
{
	caches_state(s->caches, ret);
}

bool sources_state(const struct sources *s, struct str cluster, struct source_state *ret)
{
	const struct source *c = source_find(s, cluster);

	if (c == NULL)
		return false;
	*ret = (struct source_state){
		.api = source_is_api(&c->def),
		.takes_part = !source_is_api(&c->def) || store_api_gate_is_open(s->store, cluster),
		.error = c->error,
		.open = c->api != NULL,
	};
	ret->from_disk = cache_is_from_disk(c->cache, &ret->disk_age_s);
	if (c->api != NULL)
		kube_cluster_state(c->api->kube, &ret->kube);
	return true;
}

bool sources_kind_state(const struct sources *s, struct str cluster, unsigned i,
	struct source_kind_state *ret)
{
	const struct source *c = source_find(s, cluster);

	for (unsigned k = 0; c != NULL && c->api != NULL && k < KIND_COUNT; k++) {
		const struct api_kind *kind = &c->api->kinds[k];

		if (kind->watch == NULL || i-- != 0)
			continue;
		*ret = (struct source_kind_state){
			.kind = kind->kind,
			.objects = store_api_count(kind->store),
			.problems = store_api_problems(kind->store),
			.broken = store_api_broken(kind->store),
			.kept = kind->kept,
			.from_disk = cache_kind_is_from_disk(c->cache, kind->kind),
		};
		kube_watch_state(kind->watch, &ret->watch);
		if (ret->from_disk && ret->watch.phase == KUBE_WATCH_LISTING)
			ret->watch.phase = KUBE_WATCH_STALE;
		return true;
	}
	return false;
}
