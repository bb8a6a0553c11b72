// SPDX-License-Identifier: Apache-2.0
/*
 * tail.h: what has changed since a kind's file was written (cache.h), beside that file.
 *
 *	<plural>.new	the changes since the last shot of the kind, appended as they come
 *	<plural>.old	those of before, until the file made of that shot is in place
 *
 *	<CRC-32C of the rest of the line> +<object as JSON> TAB <its status, or nothing>
 *	<CRC-32C of the rest of the line> -<namespace>/<name>
 *
 * A file takes seconds to come and is synced; these lines are written before a plan is made of what
 * they say, and not synced: a process that is killed leaves them, a machine that loses its power may
 * not. Without them a control that was killed and comes back while API servers are away would
 * publish objects older than what dataplanes have: requests to pods that are gone.
 *
 * The last line about an object is its newest state, so lines that are older than the file do no
 * harm. Reading ends at the first line that is not whole, and cuts the file there.
 */
#pragma once

#include "control/store/store_disk.h"

#define TAIL_BYTES_MAX (16u << 20) /* of each; a file is on its way long before */

/*
 * <path>: of the kind's file. <o> NULL: it is gone. *size: of the tail so far. -EFBIG: it is full,
 * and stays as it is until the next file.
 */
int tail_append(const char *path, size_t *size, struct str ns, struct str name,
	const struct object *o, struct err *err);
/* A shot of the kind was taken: what comes now is newer. */
void tail_rotate(const char *path, size_t *size);
/* The file made of that shot is in place. */
void tail_drop_old(const char *path);
/* There is no file, or none that is used: what came after it means nothing. */
void tail_remove(const char *path);
/* After the file was read: how many changes there were. */
uint32_t tail_load(const char *path, struct store_kind *k, size_t *ret_size);
