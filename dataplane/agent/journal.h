// SPDX-License-Identifier: Apache-2.0
/*
 * journal.h: the small changes applied since a snapshot, on disk beside it.
 *
 * A header names the snapshot (digest, and what the image itself does not hold: structure digest,
 * epoch, revision); records follow, each one message as it came, with number, key and checksum.
 * Records are written behind zeros that were written before, so that making one durable costs one
 * write of data and no change of the file's size. Zeros are the end; anything else that is no
 * record is a torn or damaged tail, which is cut off when the file is read.
 *
 * Only the newest record of a key matters: a full journal is rewritten with those alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"

#define JOURNAL_BYTES_MAX (8u << 20)
#define JOURNAL_STEP_BYTES (256u << 10) /* zeros written at a time */
#define JOURNAL_HEADER_BYTES 64u
#define JOURNAL_RECORD_BYTES 24u

struct journal_head {
	uint64_t image;		  /* digest of the snapshot */
	uint64_t structure;	  /* control's name for it, see message.h */
	uint64_t epoch, revision; /* of the message that brought the snapshot */
	uint64_t generation;
};

struct journal {
	int fd;		  /* -1: closed */
	char *path;	  /* owned */
	size_t bytes_max; /* JOURNAL_BYTES_MAX; tests make it smaller */
	size_t end;	  /* of the last record */
	size_t zeroed;	  /* the file is zeros from <end> to here */
	uint32_t records;
	bool dirty; /* something was appended since journal_sync() */
	struct journal_head head;
};

/* Called for each good record, oldest first; false: it cannot be used, reading stops before it. */
typedef bool (*journal_fn)(void *ctx, const void *message, size_t len);

void journal_init(struct journal *j);
/* A new file with its header, durable. An older file of that name is replaced. */
int journal_create(struct journal *j, const char *path, const struct journal_head *head,
	struct err *err);
/*
 * Opens, reads and gets ready to append. *ret_damaged: a damaged tail was cut off. -ENOENT: no
 * such file; -EINVAL: its header is damaged or names another snapshot than <image>.
 */
int journal_open(struct journal *j, const char *path, uint64_t image, journal_fn fn, void *ctx,
	bool *ret_damaged, struct err *err);
void journal_close(struct journal *j);
static inline bool journal_is_open(const struct journal *j)
{
	return j->fd >= 0;
}
/* Makes room for a message of <len> bytes, by rewriting if need be; -ENOSPC: it stays full. */
int journal_reserve(struct journal *j, size_t len, struct err *err);
/* Appends; durable after journal_sync(). Room was reserved. A failure closes the journal. */
int journal_append(struct journal *j, uint64_t key, const void *message, size_t len,
	struct err *err);
int journal_sync(struct journal *j, struct err *err);
