// SPDX-License-Identifier: Apache-2.0
/*
 * watch.h: tells which files below a directory tree have changed (inotify).
 *
 * A hint that costs nothing to take twice: the reader reads the file again and compares. What is
 * promised: after any change of a wanted file its path is reported, or its whole tree; the tree
 * also for directories made later or moved in or out, for a root that appears, disappears or is
 * swapped by a symbolic link, and when the kernel's queue overflowed.
 *
 * A file is reported when it is whole: at once after a rename, on close when it is written in
 * place, and after WATCH_WRITING_US at the latest when the writer keeps it open. A file that is
 * gone is reported after WATCH_GONE_US, because editors move the old file away before they write
 * the new one, and between the two its objects must not vanish.
 */
#pragma once

#include <stdbool.h>

#include "control/loop/loop.h"

#define WATCH_ROOTS_MAX 64  /* one per cluster */
#define WATCH_DIRS_MAX 4096 /* inotify's own limit per user is 8192 on a small machine */
#define WATCH_WRITING_US 5000000u
#define WATCH_GONE_US 100000u

struct watch;

/* <root>: from watch_add_root(). <path>: the file to read again; NULL: the whole tree. */
typedef void (*watch_fn)(void *arg, int root, const char *path);
typedef bool (*watch_wants_fn)(const char *name);

struct watch_events {
	watch_fn changed;
	watch_wants_fn wants; /* names of files that matter */
	void *arg;
};

int watch_new(struct loop *loop, const struct watch_events *events, struct watch **ret_watch,
	struct err *err);
void watch_free(struct watch *w);
/* A tree that need not exist yet. Returns the number of the root, or a negative errno. */
int watch_add_root(struct watch *w, const char *path, struct err *err);
/* True while some wanted file is being written: no moment to read whole trees. */
bool watch_is_writing(const struct watch *w);
