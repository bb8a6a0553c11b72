// SPDX-License-Identifier: Apache-2.0
/*
 * edits.c: entries, and the file by append and fdatasync.
 *
 * After a write that failed nobody knows what the file holds, so nothing more is appended to it:
 * the next change tries to replace the whole by what is known to be good (federation's store).
 */
#include "federation/edits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/file.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/log.h"

struct edits_file {
	char *path;
	int fd; /* -1: to be replaced before anything is appended */
};

size_t edits_put(uint8_t *to, enum edits_type type, const void *payload, size_t len)
{
	to[8] = (uint8_t)type;
	memcpy(to + EDITS_ENTRY_BYTES, payload, len);
	be32_put(to, (uint32_t)len);
	be32_put(to + 4, crc32c(0, to + 8, len + 1));
	return EDITS_ENTRY_BYTES + len;
}

bool edits_next(struct str *rest, enum edits_type *ret_type, struct str *ret_payload)
{
	const uint8_t *p = (const uint8_t *)rest->p;
	uint32_t len;

	if (rest->len < EDITS_ENTRY_BYTES)
		return false;
	len = be32_get(p);
	if (len > rest->len - EDITS_ENTRY_BYTES || be32_get(p + 4) != crc32c(0, p + 8, len + 1u))
		return false;
	*ret_type = (enum edits_type)p[8];
	*ret_payload = str_make(p + EDITS_ENTRY_BYTES, len);
	*rest = str_from(*rest, EDITS_ENTRY_BYTES + len);
	return true;
}

struct edits_file *edits_file_new(const char *path)
{
	struct edits_file *f = calloc(1, sizeof(*f));

	bug_on(f == NULL);
	f->path = strdup(path);
	f->fd = -1;
	bug_on(f->path == NULL);
	return f;
}

static void file_end(struct edits_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

void edits_file_free(struct edits_file *f)
{
	if (f == NULL)
		return;
	file_end(f);
	free(f->path);
	free(f);
}

static int file_begin(struct edits_file *f, struct err *err)
{
	f->fd = open(f->path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	return f->fd < 0 ? err_set(err, errno, "open %s: %s", f->path, strerror(errno)) : 0;
}

static int load(void *ctx, void **ret, size_t *ret_len, struct err *err)
{
	struct edits_file *f = ctx;
	int rc = file_read(f->path, EDITS_FILE_MAX, ret, ret_len, err);

	if (rc == -ENOENT) {
		*ret = NULL;
		*ret_len = 0;
		return 0;
	}
	return rc;
}

static int append(void *ctx, const void *data, size_t len, struct err *err)
{
	struct edits_file *f = ctx;
	ssize_t n;

	if (f->fd < 0)
		return err_set(err, EIO, "%s: not writable after an earlier failure", f->path);
	n = write(f->fd, data, len);
	if (n == (ssize_t)len && fdatasync(f->fd) == 0)
		return 0;
	if (n >= 0 && n != (ssize_t)len)
		errno = ENOSPC;
	file_end(f);
	return err_set(err, errno, "write %s: %s", f->path, strerror(errno));
}

static int replace(void *ctx, const void *data, size_t len, struct err *err)
{
	struct edits_file *f = ctx;
	int rc = file_replace(f->path, data, len, 0600, err);

	file_end(f);
	return rc < 0 ? rc : file_begin(f, err);
}

/* A second name for what is there: the new journal then takes the place of the first alone. */
static void damaged(void *ctx, size_t offset, uint32_t kept)
{
	struct edits_file *f = ctx;
	char aside[4096 + 16];
	bool ok;

	snprintf(aside, sizeof(aside), "%s.damaged", f->path);
	unlink(aside); /* one is kept, the newest */
	ok = link(f->path, aside) == 0;
	log_error("site",
		"file=%s offset=%zu entries_kept=%u kept_as=%s msg=\"the journal of weights is "
		"damaged from there on; peers bring back what they have\"",
		f->path, offset, kept, ok ? aside : strerror(errno));
}

struct federation_store edits_file_store(struct edits_file *f)
{
	return (struct federation_store){.ctx = f,
		.load = load,
		.append = append,
		.replace = replace,
		.damaged = damaged};
}
