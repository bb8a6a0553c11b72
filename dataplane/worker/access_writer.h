// SPDX-License-Identifier: Apache-2.0
/*
 * access_writer.h: the thread that writes what workers put on their access-log rings.
 *
 * It takes the rings in turn, puts names to the slots, formats, and appends to one file in large
 * pieces. A reader of the file sees a line within a few hundredths of a second. Workers never wait for it:
 * what does not fit a ring is dropped and counted there (http.def).
 */
#pragma once

#include "dataplane/base/err.h"
#include "dataplane/http/access_log.h"

#define ACCESS_NAMES_MAX 2048 /* bytes for the names of one record */

struct access_writer;
struct worker_group;

/* The names behind a record's slots, copied into <buf>; called on the writer's thread. */
typedef void (*access_names_fn)(void *ctx, const struct access_record *rec,
	char buf[ACCESS_NAMES_MAX], struct access_names *ret);

/* <path>: appended to, made if missing; "-": standard output. Blocks all signals in its thread. */
int access_writer_start(struct worker_group *g, const char *path, access_names_fn names, void *ctx,
	struct access_writer **ret, struct err *err);
/* Any thread: the file is opened anew before the next write, for log rotation. */
void access_writer_reopen(struct access_writer *w);
/* Writes what is left and ends the thread; the workers have ended. */
void access_writer_stop(struct access_writer *w);
