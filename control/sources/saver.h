// SPDX-License-Identifier: Apache-2.0
/*
 * saver.h: the thread that waits for the disk, so that control's loop does not.
 *
 * Jobs are done in the order in which they were posted: replacing a file by the text of a shot, or
 * removing a folder. Objects never change and are counted by reference, so the thread makes the
 * text as well; the loop only collects references. Outcomes come back to the loop.
 */
#pragma once

#include "control/loop/loop.h"
#include "control/store/store_disk.h"

struct saver;

struct saver_job {
	struct list link;
	char *folder, *file; /* owned; file NULL: remove the folder */
	struct str cluster;  /* owned */
	enum kind kind;
	struct store_shot shot; /* of a file */
	int rc;			/* once done: 0 or a negative errno */
	struct err err;
	size_t bytes;
	uint64_t took_us;
};

typedef void (*saver_done_fn)(void *arg, const struct saver_job *job);

/* <done> comes from the loop, or from saver_free(). */
int saver_new(struct loop *loop, saver_done_fn done, void *arg, struct saver **ret,
	struct err *err);
/* Everything that was posted is done first. NULL is fine. */
void saver_free(struct saver *s);

/* The folder of a file, and the one in which that is. */
int saver_make_folder(const char *path, struct err *err);

/* Takes <shot> over. The folder is made when it is not there. */
void saver_write(struct saver *s, const char *folder, const char *file, struct store_shot *shot);
void saver_remove(struct saver *s, const char *folder, struct str cluster);
