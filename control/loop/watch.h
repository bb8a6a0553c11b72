// SPDX-License-Identifier: Apache-2.0
/*
 * watch.h: tells when something below a directory tree may have changed (inotify).
 *
 * A hint, never a promise of what changed: the reader compares the files himself. What is
 * promised: after any change below a root its callback runs, also for directories made later,
 * trees moved in or out, a root that appears, disappears or is swapped by a symbolic link, and
 * after the kernel's queue overflowed (then every root is reported).
 */
#pragma once

#include <stdbool.h>

#include "control/loop/loop.h"

#define WATCH_ROOTS_MAX 64  /* clusters and the folder of control.yaml */
#define WATCH_DIRS_MAX 4096 /* inotify's own limit per user is 8192 on a small machine */

struct watch;

/* <root> is what watch_add_root() returned. Once per root and batch of events. */
typedef void (*watch_fn)(void *arg, int root);

int watch_new(struct loop *loop, watch_fn fn, void *arg, struct watch **ret_watch,
	struct err *err);
void watch_free(struct watch *w);
/* A tree that need not exist yet. Returns the number of the root, or a negative errno. */
int watch_add_root(struct watch *w, const char *path, struct err *err);

/* Takes in what the kernel has queued; callbacks for it run from the loop, later. */
void watch_drain(struct watch *w);
/*
 * False while somebody has the file open and has written to it: what stands there now is half of
 * what will. After WATCH_UNSETTLED_US without a write the file counts as settled.
 */
bool watch_is_settled(const struct watch *w, const char *path);
#define WATCH_UNSETTLED_US 5000000u
