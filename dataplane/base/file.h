// SPDX-License-Identifier: Apache-2.0
/*
 * file.h: whole files, read with a bound and replaced so that a crash leaves the old or the new.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "dataplane/base/err.h"

/*
 * Reads a regular file (links at its end are not followed) into a malloc'ed buffer. -EFBIG when it
 * holds more than <max> bytes.
 */
int file_read(const char *path, size_t max, void **ret_data, size_t *ret_len, struct err *err);
/*
 * <path> holds these bytes, durable: written under another name, synced, renamed, folder synced.
 * What is left of an earlier try is overwritten.
 */
int file_replace(const char *path, const void *data, size_t len, mode_t mode, struct err *err);
/* Makes names that were created, renamed or removed in <folder> durable. */
int file_sync_folder(const char *folder, struct err *err);
