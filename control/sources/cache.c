// SPDX-License-Identifier: Apache-2.0
/*
 * cache.c: see cache.h.
 */
#include "control/sources/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/model/remember.h"
#include "control/sources/saver.h"
#include "control/sources/sources_private.h"
#include "control/sources/tail.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"

struct cache_kind {
	bool file;    /* a good one is there, or on its way */
	bool refused; /* a bad one is there */
	bool disk;    /* its objects come from there: no list yet */
	bool listed;
	bool dirty;
	size_t tail;	  /* bytes of the changes since the last shot */
	bool tail_failed; /* one of them could not be written, which was said */
};

struct cache {
	struct caches *caches;
	struct str name; /* owned */
	char *folder;	 /* owned */
	int64_t seen_s;	 /* since 1970: the files were true then */
	struct cache_kind kinds[KIND_COUNT];
};

struct caches {
	struct loop *loop;
	struct store *store;
	char *dir; /* owned */
	struct saver *saver;
	struct loop_timer timer;
	struct cache *list[CLUSTERS_MAX]; /* owned */
	uint32_t count;
	unsigned writes, removals; /* under way */
	uint64_t batch_us;	   /* that the writes since the last rest have taken */
	bool failed;		   /* one of them */
	struct cache_state state;
};

const struct cache_counter_info cache_counter_info[CACHE_COUNTER_COUNT] = {
#define CACHE_COUNTER(NAME, name, help) [CACHE_##NAME] = {name, help},
#include "control/sources/cache.def"
#undef CACHE_COUNTER
};

/* --- writing --- */

/* For free(). */
static char *path_of(const struct cache *c, enum kind kind)
{
	char *path;

	bug_on(asprintf(&path, "%s/%s", c->folder, kind_info[kind].plural) < 0);
	return path;
}

static struct cache *cache_find(const struct caches *cs, struct str name)
{
	for (uint32_t i = 0; i < cs->count; i++)
		if (str_eq(cs->list[i]->name, name))
			return cs->list[i];
	return NULL;
}

/* Objects of a role that is not in force yet: they wait for all of its kinds. */
static bool is_early(const struct cache *c, enum kind kind)
{
	const struct store_kind *k = store_api_find(c->caches->store, c->name, kind);

	return k != NULL && store_api_is_hidden(k) && store_api_count(k) != 0;
}

/* At once: dataplanes will be told of it before the next file is there. */
static void on_object(void *arg, struct str cluster, enum kind kind, struct str ns, struct str name,
	const struct object *o)
{
	struct caches *cs = arg;
	struct cache *c = cache_find(cs, cluster);
	struct cache_kind *k = c != NULL ? &c->kinds[kind] : NULL;
	autofree char *path = NULL;
	struct err err = {""};

	if (k == NULL || !k->file || !object_is_remembered(kind) || is_early(c, kind))
		return;
	path = path_of(c, kind);
	if (tail_append(path, &k->tail, ns, name, o, &err) == 0) {
		cs->state.counters[CACHE_CHANGES]++;
		return;
	}
	cs->state.counters[CACHE_FAILED]++;
	if (!k->tail_failed)
		log_error("source", "cluster=%.*s kind=%.*s msg=\"a change is not on disk: %s\"",
			STR_FMT(cluster), STR_FMT(kind_info[kind].name), err.msg);
	k->tail_failed = true;
}

static void save_kind(struct cache *c, enum kind kind)
{
	struct caches *cs = c->caches;
	struct cache_kind *k = &c->kinds[kind];
	autofree char *path = path_of(c, kind);
	struct store_shot shot;

	store_shot_take(store_api_kind(cs->store, c->name, kind), &shot);
	tail_rotate(path, &k->tail);
	k->tail_failed = false;
	saver_write(cs->saver, c->folder, kind_info[kind].plural, &shot);
	cs->writes++;
	k->dirty = false;
	k->refused = false;
	k->file = true;
}

/* Without a file of it a cluster does not count as complete. Of guards none is needed: no objects. */
static bool needs_file(enum kind kind, unsigned roles)
{
	return api_is_needed(kind, roles) && !api_is_guard(kind);
}

/*
 * Kinds that need no file come first: once the others are there the cluster counts as complete, and
 * a kill in between must not make it so too early.
 */
static void save_cluster(struct cache *c)
{
	if (!store_api_gate_is_open(c->caches->store, c->name))
		return;
	for (int needed = 0; needed <= 1; needed++)
		for (unsigned i = 0; i < KIND_COUNT; i++)
			if (c->kinds[i].dirty && !is_early(c, (enum kind)i) &&
				needs_file((enum kind)i, CLUSTER_ROLES_ALL) == needed)
				save_kind(c, (enum kind)i);
}

static void save_all(struct caches *cs)
{
	for (uint32_t i = 0; i < cs->count; i++)
		save_cluster(cs->list[i]);
}

static void on_timer(void *arg)
{
	save_all(arg);
}

static bool is_dirty(const struct caches *cs)
{
	bool dirty = false;

	for (uint32_t i = 0; i < cs->count; i++)
		for (unsigned k = 0; k < KIND_COUNT; k++)
			dirty |= cs->list[i]->kinds[k].dirty;
	return dirty;
}

static void schedule(struct caches *cs, uint64_t delay_us)
{
	if (cs->writes == 0 && !loop_timer_is_set(&cs->timer))
		loop_timer_set(cs->loop, &cs->timer, delay_us);
}

static void write_failed(struct caches *cs, const struct saver_job *j)
{
	struct cache *c = cache_find(cs, j->cluster);

	cs->state.counters[CACHE_FAILED]++;
	cs->failed = true;
	log_error("source", "cluster=%.*s kind=%.*s msg=\"not written to disk: %s\"",
		STR_FMT(j->cluster), STR_FMT(kind_info[j->kind].name), j->err.msg);
	if (c !=
		NULL) { /* the older file, if there is one, is good together with what came since */
		autofree char *path = path_of(c, j->kind);

		c->kinds[j->kind].dirty = true;
		c->kinds[j->kind].file = access(path, F_OK) == 0;
	}
}

static void drop_old(struct caches *cs, const struct saver_job *j)
{
	struct cache *c = cache_find(cs, j->cluster);
	autofree char *path = c != NULL ? path_of(c, j->kind) : NULL;

	if (path != NULL)
		tail_drop_old(path);
}

static void on_written(struct caches *cs, const struct saver_job *j)
{
	uint64_t rest;

	cs->writes--;
	cs->batch_us += j->took_us;
	if (j->rc < 0) {
		write_failed(cs, j);
	} else {
		drop_old(cs, j);
		cs->state.counters[CACHE_WRITTEN]++;
		cs->state.counters[CACHE_BYTES] += j->bytes;
		log_debug("source",
			"cluster=%.*s kind=%.*s bytes=%zu us=%" PRIu64 " msg=\"written\"",
			STR_FMT(j->cluster), STR_FMT(kind_info[j->kind].name), j->bytes,
			j->took_us);
	}
	if (cs->writes != 0)
		return;
	rest = cs->failed ? CACHE_AGAIN_US : cs->batch_us * CACHE_SAVE_SHARE;
	cs->batch_us = 0;
	cs->failed = false;
	if (is_dirty(cs))
		schedule(cs, rest > CACHE_SAVE_US ? rest : CACHE_SAVE_US);
}

static void on_removed(struct caches *cs, const struct saver_job *j)
{
	cs->removals--;
	cs->state.counters[j->rc < 0 ? CACHE_FAILED : CACHE_REMOVED]++;
	if (j->rc < 0)
		log_error("source", "cluster=%.*s msg=\"not removed from disk: %s\"",
			STR_FMT(j->cluster), j->err.msg);
}

static void on_done(void *arg, const struct saver_job *j)
{
	if (j->file != NULL)
		on_written(arg, j);
	else
		on_removed(arg, j);
}

static void remove_files(struct caches *cs, const char *folder, struct str cluster)
{
	saver_remove(cs->saver, folder, cluster);
	cs->removals++;
}

/* --- reading --- */

static void load_kind(struct cache *c, enum kind kind, const char *path,
	struct store_disk_result *sum)
{
	struct caches *cs = c->caches;
	struct cache_kind *k = &c->kinds[kind];
	struct store_disk_result got = {0};
	enum store_disk_fault fault = STORE_DISK_OK;
	struct err err = {""};
	uint32_t changes;

	if (store_disk_load(store_api_kind(cs->store, c->name, kind), path, &fault, &got, &err) ==
		-ENOENT) {
		tail_remove(path);
		return;
	}
	if (fault == STORE_DISK_OK) {
		changes = tail_load(path, store_api_kind(cs->store, c->name, kind), &k->tail);
		k->dirty = changes != 0;
		sum->changes += changes;
	} else {
		tail_remove(path);
	}
	k->file = k->disk = fault == STORE_DISK_OK;
	k->refused = fault != STORE_DISK_OK;
	if (k->refused) {
		cs->state.refused[fault]++;
		log_error("source", "cluster=%.*s kind=%.*s fault=%s msg=\"%s\"", STR_FMT(c->name),
			STR_FMT(kind_info[kind].name), store_disk_fault_info[fault].name, err.msg);
	}
	sum->objects += got.objects;
	sum->invalid += got.invalid;
}

static void load(struct cache *c, unsigned roles)
{
	struct store_disk_result sum = {0};
	uint64_t start = clock_mono_us();
	struct stat st;

	if (stat(c->folder, &st) < 0)
		return;
	c->seen_s = st.st_mtim.tv_sec;
	for (unsigned i = 0; i < KIND_COUNT; i++) {
		autofree char *path = path_of(c, (enum kind)i);

		if (api_is_watched((enum kind)i, roles) && object_is_remembered((enum kind)i))
			load_kind(c, (enum kind)i, path, &sum);
		else
			tail_remove(path);
	}
	c->caches->state.counters[CACHE_LOADED] += sum.objects;
	c->caches->state.counters[CACHE_INVALID] += sum.invalid;
	log_info("source",
		"cluster=%.*s objects=%u changes=%u invalid=%u us=%" PRIu64
		" msg=\"read from disk\"",
		STR_FMT(c->name), sum.objects, sum.changes, sum.invalid, clock_mono_us() - start);
}

/* --- one cluster --- */

/* Names are labels, or those of Kubernetes objects; none may be a way out of our folder. */
static bool is_file_name(struct str s)
{
	return s.len != 0 && s.p[0] != '.' && str_find(s, '/') < 0 && str_find(s, '\0') < 0;
}

struct cache *cache_open(struct caches *cs, struct str cluster, unsigned roles)
{
	struct cache *c;

	if (cs == NULL || cs->count == CLUSTERS_MAX || !is_file_name(cluster))
		return NULL;
	c = calloc(1, sizeof(*c));
	bug_on(c == NULL);
	c->caches = cs;
	c->name = (struct str){strndup(cluster.p, cluster.len), cluster.len};
	bug_on(c->name.p == NULL || asprintf(&c->folder, "%s/%.*s", cs->dir, STR_FMT(cluster)) < 0);
	cs->list[cs->count++] = c;
	if (cs->removals == 0) /* else it may be this one that is being removed */
		load(c, roles);
	return c;
}

void cache_close(struct cache *c)
{
	uint32_t i = 0;

	if (c == NULL)
		return;
	while (c->caches->list[i] != c)
		i++;
	c->caches->list[i] = c->caches->list[--c->caches->count];
	free((char *)c->name.p);
	free(c->folder);
	free(c);
}

void cache_drop(struct cache *c)
{
	if (c == NULL)
		return;
	remove_files(c->caches, c->folder, c->name);
	cache_close(c);
}

void cache_changed(struct cache *c, enum kind kind)
{
	if (c == NULL || !object_is_remembered(kind))
		return;
	c->kinds[kind].dirty = true;
	schedule(c->caches, CACHE_SAVE_US);
}

void cache_listed(struct cache *c, enum kind kind)
{
	struct cache_kind *k;

	if (c == NULL)
		return;
	k = &c->kinds[kind];
	k->disk = false;
	k->listed = true;
	if (!k->file) /* that there is none is worth a file: the first one will stand beside it */
		cache_changed(c, kind);
}

void cache_takes_part(struct cache *c)
{
	if (c != NULL)
		schedule(c->caches, CACHE_SAVE_US);
}

void cache_seen(struct cache *c)
{
	if (c != NULL)
		(void)utimensat(AT_FDCWD, c->folder, NULL, 0); /* it need not be there yet */
}

bool cache_suffices(const struct cache *c, unsigned roles, bool strict)
{
	bool any = false;

	for (unsigned i = 0; c != NULL && i < KIND_COUNT; i++) {
		const struct cache_kind *k = &c->kinds[i];

		any |= k->disk;
		if (!api_is_watched((enum kind)i, roles) || !object_is_remembered((enum kind)i))
			continue;
		if (k->listed || k->disk)
			continue;
		if (needs_file((enum kind)i, roles) ||
			(k->refused && (strict || api_is_guard((enum kind)i))))
			return false;
	}
	return any;
}

bool cache_kind_is_from_disk(const struct cache *c, enum kind kind)
{
	return c != NULL && c->kinds[kind].disk;
}

bool cache_is_from_disk(const struct cache *c, int64_t *ret_age_s)
{
	int64_t age = c != NULL ? (int64_t)time(NULL) - c->seen_s : 0;
	bool any = false;

	for (unsigned i = 0; i < KIND_COUNT; i++)
		any |= cache_kind_is_from_disk(c, (enum kind)i);
	*ret_age_s = any && age > 0 ? age : 0;
	return any;
}

/* --- all of them --- */

int caches_new(struct loop *loop, struct store *store, const char *dir, struct caches **ret,
	struct err *err)
{
	struct caches *cs = calloc(1, sizeof(*cs));
	int rc;

	bug_on(cs == NULL);
	cs->loop = loop;
	cs->store = store;
	cs->dir = strdup(dir);
	bug_on(cs->dir == NULL);
	loop_timer_init(&cs->timer, on_timer, cs);
	store_api_listen(store, on_object, cs);
	rc = saver_new(loop, on_done, cs, &cs->saver, err);
	if (rc < 0) {
		store_api_listen(store, NULL, NULL);
		free(cs->dir);
		free(cs);
		return rc;
	}
	*ret = cs;
	return 0;
}

void caches_free(struct caches *cs)
{
	if (cs == NULL)
		return;
	store_api_listen(cs->store, NULL, NULL);
	save_all(cs);
	saver_free(cs->saver);
	loop_timer_stop(&cs->timer);
	while (cs->count != 0)
		cache_close(cs->list[0]);
	free(cs->dir);
	free(cs);
}

void caches_state(const struct caches *cs, struct cache_state *ret)
{
	*ret = cs != NULL ? cs->state : (struct cache_state){.counters = {0}};
}

void caches_sweep(struct caches *cs, bool (*wanted)(void *arg, struct str cluster), void *arg)
{
	DIR *d = cs != NULL ? opendir(cs->dir) : NULL;
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		autofree char *folder = NULL;

		if (e->d_name[0] == '.' || wanted(arg, str_of(e->d_name)))
			continue;
		bug_on(asprintf(&folder, "%s/%s", cs->dir, e->d_name) < 0);
		log_info("source", "cluster=%s msg=\"is no more; its objects on disk go\"",
			e->d_name);
		remove_files(cs, folder, str_of(e->d_name));
	}
	if (d != NULL)
		closedir(d);
}
