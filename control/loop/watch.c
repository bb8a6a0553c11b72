// SPDX-License-Identifier: Apache-2.0
/*
 * watch.c: one inotify descriptor for all roots.
 *
 * inotify watches directories, not trees, so each directory has a watch of its own. Whatever
 * happens to a directory (made, moved, removed) is answered by walking the trees again: adding a
 * watch to a directory that has one returns the same number, and the watches that the walk did
 * not meet are dropped. The walk comes before the callback, so a file that was written into a new
 * directory before its watch stood is found by whoever then reads the tree.
 *
 * The parent of each root is watched too, to see the root itself come, go or be swapped.
 * Reference: inotify(7), "Limitations and caveats".
 */
#include "control/loop/watch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"

#define WATCH_DEPTH_MAX 16
#define WATCH_PENDING_MAX 256	/* changed files; with more of them the tree is reported */
#define WATCH_RETRY_US 1000000u /* a root, or its parent, that is not there */
#define WATCH_MASK \
	(IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | \
		IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF)

struct watch_dir {
	int wd;
	int root;   /* -1: only the parent of a root */
	bool seen;  /* by the walk that is going on */
	char *path; /* owned */
};

enum pending_why { PENDING_READY = 0, PENDING_GONE, PENDING_WRITING };

struct pending {
	char *path; /* owned */
	enum pending_why why;
	uint64_t at_us; /* when it is reported at the latest */
};

struct watch {
	struct loop *loop;
	struct loop_fd in;
	struct loop_timer later; /* pending files, missing roots */
	struct watch_events ev;
	char *roots[WATCH_ROOTS_MAX]; /* owned */
	bool dirty[WATCH_ROOTS_MAX], missing[WATCH_ROOTS_MAX];
	int root_count;
	bool resync; /* the set of directories may have changed */
	bool full;   /* said that there are too many of them */
	struct watch_dir dirs[WATCH_DIRS_MAX];
	int dir_count;
	struct pending pending[WATCH_PENDING_MAX];
	int pending_count;
};

static void mark_all(struct watch *w)
{
	for (int i = 0; i < w->root_count; i++)
		w->dirty[i] = true;
}

static bool is_below(const char *path, const char *root)
{
	size_t n = strlen(root);

	return strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Every root above <path>: one tree may lie in another, or two clusters share one. */
static void mark_above(struct watch *w, const char *path)
{
	for (int i = 0; i < w->root_count; i++)
		if (is_below(path, w->roots[i]))
			w->dirty[i] = true;
}

/* --- the set of watched directories --- */

static struct watch_dir *dir_lookup(struct watch *w, int wd)
{
	for (int i = 0; i < w->dir_count; i++)
		if (w->dirs[i].wd == wd)
			return &w->dirs[i];
	return NULL;
}

static void dir_drop(struct watch *w, struct watch_dir *d)
{
	free(d->path);
	*d = w->dirs[--w->dir_count];
}

/* Its changes are still found, by whoever reads the tree now and then. */
static void say_full(struct watch *w, const char *path, const char *why)
{
	if (!w->full)
		log_warn("watch", "directory=%s msg=\"not watched: %s\"", path, why);
	w->full = true;
}

/* False when the directory is not there, or one too many. */
static bool dir_add(struct watch *w, const char *path, int root)
{
	int wd = inotify_add_watch(w->in.fd, path, WATCH_MASK | IN_ONLYDIR);
	struct watch_dir *d;
	char *copy;

	if (wd < 0) {
		if (errno == ENOSPC)
			say_full(w, path, "fs.inotify.max_user_watches is used up");
		return false;
	}
	d = dir_lookup(w, wd);
	if (d != NULL && d->seen)
		return true; /* a parent that also lies in a tree */
	copy = strdup(path);
	if (copy == NULL || (d == NULL && w->dir_count == WATCH_DIRS_MAX)) {
		free(copy);
		if (d == NULL)
			inotify_rm_watch(w->in.fd, wd);
		say_full(w, path, "too many directories");
		return false;
	}
	if (d == NULL)
		d = &w->dirs[w->dir_count++];
	else
		free(d->path);
	*d = (struct watch_dir){.wd = wd, .root = root, .seen = true, .path = copy};
	return true;
}

static bool entry_is_dir(const char *path, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type == DT_DIR;
	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool walk(struct watch *w, const char *path, int root, int depth)
{
	struct dirent *e;
	DIR *dir;

	if (!dir_add(w, path, root))
		return false;
	dir = depth < WATCH_DEPTH_MAX ? opendir(path) : NULL;
	if (dir == NULL)
		return true;
	while ((e = readdir(dir)) != NULL) {
		char sub[PATH_MAX];

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name) < (int)sizeof(sub) &&
			entry_is_dir(sub, e))
			walk(w, sub, root, depth + 1);
	}
	closedir(dir);
	return true;
}

static void parent_add(struct watch *w, const char *root)
{
	char parent[PATH_MAX], *slash;

	snprintf(parent, sizeof(parent), "%s", root);
	slash = strrchr(parent, '/');
	if (slash == NULL)
		strcpy(parent, ".");
	else
		slash[slash == parent] = '\0';
	dir_add(w, parent, -1);
}

/* Makes the watches equal to the trees as they are now. */
static void resync(struct watch *w)
{
	w->resync = false;
	for (int i = 0; i < w->dir_count; i++)
		w->dirs[i].seen = false;
	for (int i = 0; i < w->root_count; i++) {
		bool there = walk(w, w->roots[i], i, 0);

		w->dirty[i] |= there == w->missing[i];
		w->missing[i] = !there;
	}
	for (int i = 0; i < w->root_count; i++)
		parent_add(w, w->roots[i]);
	for (int i = w->dir_count - 1; i >= 0; i--) {
		if (w->dirs[i].seen)
			continue;
		inotify_rm_watch(w->in.fd, w->dirs[i].wd);
		dir_drop(w, &w->dirs[i]);
	}
}

/* --- files that have changed --- */

static void pending_drop(struct watch *w, struct pending *p)
{
	free(p->path);
	*p = w->pending[--w->pending_count];
}

static void pending_put(struct watch *w, const char *path, enum pending_why why, uint64_t delay_us)
{
	struct pending *p = NULL;

	for (int i = 0; i < w->pending_count && p == NULL; i++)
		if (strcmp(w->pending[i].path, path) == 0)
			p = &w->pending[i];
	if (p == NULL) {
		char *copy = w->pending_count < WATCH_PENDING_MAX ? strdup(path) : NULL;

		if (copy == NULL) {
			mark_above(w, path);
			return;
		}
		p = &w->pending[w->pending_count++];
		p->path = copy;
	} else if (p->why == PENDING_WRITING && why == PENDING_WRITING) {
		return; /* it began then: who never closes cannot put it off for ever */
	}
	p->why = why;
	p->at_us = clock_mono_us() + delay_us;
}

static bool is_writing_below(const struct watch *w, const char *root)
{
	for (int i = 0; i < w->pending_count; i++)
		if (w->pending[i].why == PENDING_WRITING && is_below(w->pending[i].path, root))
			return true;
	return false;
}

bool watch_is_writing(const struct watch *w)
{
	for (int i = 0; i < w->pending_count; i++)
		if (w->pending[i].why == PENDING_WRITING)
			return true;
	return false;
}

/* --- events --- */

static bool is_root(const struct watch *w, const char *path)
{
	for (int i = 0; i < w->root_count; i++)
		if (strcmp(w->roots[i], path) == 0)
			return true;
	return false;
}

/* As the caller of watch_add_root() would spell it; false when it is too long for a path. */
static bool join(char path[PATH_MAX], const char *dir, const char *name)
{
	if (strcmp(dir, ".") == 0)
		return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX;
	if (strcmp(dir, "/") == 0)
		dir = "";
	return snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX;
}

static bool is_link(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

/* A name made by link(2) or symlink(2) is whole; one made by open(2) will say when it is. */
static bool created_whole(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && (S_ISLNK(st.st_mode) || st.st_nlink > 1);
}

static void on_file(struct watch *w, const char *path, const char *name, uint32_t mask)
{
	if (!w->ev.wants(name)) {
		/* "..data" of a mounted ConfigMap: all files change with this one link */
		if ((mask & (IN_CREATE | IN_MOVED_TO)) && is_link(path))
			mark_above(w, path);
	} else if (mask & (IN_MOVED_FROM | IN_DELETE)) {
		pending_put(w, path, PENDING_GONE, WATCH_GONE_US);
	} else if ((mask & IN_MODIFY) || ((mask & IN_CREATE) && !created_whole(path))) {
		pending_put(w, path, PENDING_WRITING, WATCH_WRITING_US);
	} else {
		pending_put(w, path, PENDING_READY, 0);
	}
}

static void on_event(struct watch *w, const struct inotify_event *e)
{
	const struct watch_dir *d;
	char path[PATH_MAX];

	if (e->mask & IN_Q_OVERFLOW) {
		w->resync = true;
		mark_all(w);
		return;
	}
	d = dir_lookup(w, e->wd);
	if (d == NULL)
		return; /* dropped by a walk while this was queued */
	if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) {
		w->resync = true;
		if (d->root >= 0)
			mark_above(w, d->path);
		if (e->mask & IN_IGNORED) /* the kernel has taken the watch away */
			dir_drop(w, dir_lookup(w, e->wd));
		return;
	}
	if (e->len == 0 || !join(path, d->path, e->name))
		return;
	if (is_root(w, path))
		w->resync = true, mark_all(w);
	if (d->root < 0)
		return;
	if (e->mask & IN_ISDIR) {
		w->resync |= (e->mask & (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM)) != 0;
		mark_above(w, path);
		return;
	}
	on_file(w, path, e->name, e->mask);
}

static void later_arm(struct watch *w)
{
	uint64_t now = clock_mono_us(), at = UINT64_MAX;

	for (int i = 0; i < w->root_count; i++)
		if (w->missing[i])
			at = now + WATCH_RETRY_US;
	for (int i = 0; i < w->pending_count; i++)
		if (w->pending[i].at_us < at)
			at = w->pending[i].at_us;
	if (at != UINT64_MAX)
		loop_timer_set(w->loop, &w->later, at > now ? at - now : 0);
}

static void drain(struct watch *w)
{
	_Alignas(struct inotify_event) char buf[16 * 1024];
	ssize_t n;

	while ((n = read(w->in.fd, buf, sizeof(buf))) > 0) {
		const struct inotify_event *e;

		for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof(*e) + e->len)) {
			e = (const struct inotify_event *)(buf + at);
			on_event(w, e);
		}
	}
	if (w->resync)
		resync(w);
}

static void report_trees(struct watch *w)
{
	for (int i = 0; i < w->root_count; i++) {
		if (!w->dirty[i] || is_writing_below(w, w->roots[i]))
			continue;
		w->dirty[i] = false;
		w->ev.changed(w->ev.arg, i, NULL);
	}
}

static void report_files(struct watch *w)
{
	uint64_t now = clock_mono_us();

	for (int i = w->pending_count - 1; i >= 0; i--) {
		struct pending *p = &w->pending[i];

		if (p->at_us > now)
			continue;
		for (int r = 0; r < w->root_count; r++)
			if (is_below(p->path, w->roots[r]))
				w->ev.changed(w->ev.arg, r, p->path);
		pending_drop(w, p);
	}
}

static void on_readable(void *arg, uint32_t events)
{
	struct watch *w = arg;

	drain(w);
	report_files(w);
	report_trees(w);
	later_arm(w);
}

static void on_later(void *arg)
{
	struct watch *w = arg;

	for (int i = 0; i < w->root_count; i++)
		w->resync |= w->missing[i];
	on_readable(w, 0);
}

/* --- lifecycle --- */

int watch_new(struct loop *loop, const struct watch_events *events, struct watch **ret_watch,
	struct err *err)
{
	struct watch *w = calloc(1, sizeof(*w));
	int rc;

	if (w == NULL)
		return err_set(err, ENOMEM, "watching directories: out of memory");
	w->loop = loop;
	w->ev = *events;
	loop_timer_init(&w->later, on_later, w);
	w->in = (struct loop_fd){.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC),
		.fn = on_readable,
		.arg = w};
	if (w->in.fd < 0)
		rc = err_set(err, errno, "inotify: %s", strerror(errno));
	else
		rc = loop_fd_add(loop, &w->in, EPOLLIN, err);
	if (rc < 0) {
		watch_free(w);
		return rc;
	}
	*ret_watch = w;
	return 0;
}

void watch_free(struct watch *w)
{
	if (w == NULL)
		return;
	loop_timer_stop(&w->later);
	loop_fd_remove(w->loop, &w->in);
	if (w->in.fd >= 0)
		close(w->in.fd);
	while (w->dir_count > 0)
		dir_drop(w, &w->dirs[w->dir_count - 1]);
	while (w->pending_count > 0)
		pending_drop(w, &w->pending[w->pending_count - 1]);
	for (int i = 0; i < w->root_count; i++)
		free(w->roots[i]);
	free(w);
}

int watch_add_root(struct watch *w, const char *path, struct err *err)
{
	size_t len = strlen(path);
	char *copy;
	int root = w->root_count;

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (root == WATCH_ROOTS_MAX || len == 0 || len >= PATH_MAX)
		return err_set(err, EINVAL, "%s: not watched: too many roots, or no such name",
			path);
	copy = strndup(path, len);
	if (copy == NULL)
		return err_set(err, ENOMEM, "%s: out of memory", path);
	w->roots[w->root_count++] = copy;
	resync(w);
	w->dirty[root] = false; /* whoever adds a root reads it anyway */
	later_arm(w);
	return root;
}
