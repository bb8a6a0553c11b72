// SPDX-License-Identifier: Apache-2.0
/*
 * drain_file.c: how far drains are, kept for a control that starts anew.
 *
 *	drains 1 LENGTH CHECKSUM
 *	us-west 430
 *
 * LENGTH and CRC-32C (in hex) are those of the lines that follow, one for each cluster: permille of
 * its share that are withheld. Written over in place with each step, ten times a second while
 * something moves, and not synced: it must outlive the process. What a loss of power leaves of it
 * is good, or refused by its checksum; then drains stand at their ends, as without a file.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/clusters/drain.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/file.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/log.h"

#define HEAD "drains 1 "
#define HEAD_BYTES (sizeof(HEAD) - 1 + 4 + 1 + 8 + 1) /* with both numbers, of fixed width */
#define LINE_MAX_BYTES (DRAIN_NAME_MAX + 6u)
static_assert(2 * CLUSTERS_MAX * LINE_MAX_BYTES <= 9999, "a length has four digits");
#define FILE_BYTES_MAX (HEAD_BYTES + 2 * CLUSTERS_MAX * LINE_MAX_BYTES)

/* The next line of <rest> as name and permille; false: it is none. */
static bool take_line(struct str *rest, struct drain_kept *ret)
{
	ptrdiff_t end = str_find(*rest, '\n'), gap;
	struct str line = end < 0 ? STR("") : str_first(*rest, (size_t)end);
	uint32_t n = 0;

	gap = str_find(line, ' ');
	if (gap <= 0 || gap > (ptrdiff_t)DRAIN_NAME_MAX || (size_t)gap + 1 == line.len)
		return false;
	for (size_t i = (size_t)gap + 1; i < line.len; i++) {
		if (line.p[i] < '0' || line.p[i] > '9' || n > CLUSTER_WHOLE)
			return false;
		n = n * 10 + (uint32_t)(line.p[i] - '0');
	}
	if (n > CLUSTER_WHOLE)
		return false;
	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)gap, line.p);
	ret->withheld = (uint16_t)n;
	*rest = str_from(*rest, (size_t)end + 1);
	return true;
}

/* The lines behind a good head; false: it is none. */
static bool take_head(struct str all, struct str *ret)
{
	unsigned len, crc;
	char head[HEAD_BYTES + 1];

	if (all.len < HEAD_BYTES)
		return false;
	snprintf(head, sizeof(head), "%.*s", (int)HEAD_BYTES, all.p);
	if (sscanf(head, HEAD "%4u %8x", &len, &crc) != 2 || all.len - HEAD_BYTES < len)
		return false;
	*ret = str_first(str_from(all, HEAD_BYTES), len);
	return crc32c(0, ret->p, len) == crc;
}

static bool take_all(struct drains *r, struct str all)
{
	struct str lines;

	if (!take_head(all, &lines))
		return false;
	while (lines.len > 0 && r->kept_count < DRAINS_KEPT_MAX)
		if (!take_line(&lines, &r->kept[r->kept_count++]))
			return false;
	return true; /* what is more are clusters of long ago */
}

void drains_open(struct drains *r, const char *path)
{
	autofree void *data = NULL;
	struct err err = {""};
	size_t len = 0;
	int rc = file_read(path, FILE_BYTES_MAX, &data, &len, &err);

	r->path = strdup(path);
	bug_on(r->path == NULL);
	if (rc == -ENOENT)
		return;
	if (rc == 0 && !take_all(r, str_make(data, len)))
		rc = err_set(&err, EINVAL, "%s: damaged", path);
	if (rc == 0)
		return;
	r->kept_count = 0;
	log_warn("drain", "msg=\"%s; drains go to their ends at once\"", err.msg);
}

static size_t put_line(char *to, size_t room, struct str name, unsigned withheld)
{
	int n = snprintf(to, room, "%.*s %u\n", STR_FMT(name), withheld);

	bug_on(n < 0 || (size_t)n >= room);
	return (size_t)n;
}

/* Lines, of those too that were there in a former life and are not here yet. */
static size_t put_lines(const struct drains *r, char *to, size_t room)
{
	size_t n = 0;

	for (uint32_t i = 0; r->now != NULL && i < r->now->count; i++)
		n += put_line(to + n, room - n, r->now->items[i].name, r->now->items[i].withheld);
	for (uint32_t i = 0; i < r->kept_count; i++)
		n += put_line(to + n, room - n, str_of(r->kept[i].name), r->kept[i].withheld);
	return n;
}

static int write_file(const char *path, const char *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	int rc;

	if (fd < 0)
		return -errno;
	rc = pwrite(fd, data, len, 0) == (ssize_t)len ? 0 : errno != 0 ? -errno : -EIO;
	close(fd);
	return rc;
}

void drains_save(struct drains *r)
{
	char text[FILE_BYTES_MAX + 1], *lines = text + HEAD_BYTES;
	char head[HEAD_BYTES + 1];
	size_t len;
	uint32_t crc;
	int rc;

	if (r->path == NULL)
		return;
	len = put_lines(r, lines, sizeof(text) - HEAD_BYTES);
	crc = crc32c(0, lines, len);
	if (r->is_saved && crc == r->saved)
		return;
	snprintf(head, sizeof(head), HEAD "%4u %08" PRIx32 "\n", (unsigned)len, crc);
	memcpy(text, head, HEAD_BYTES);
	errno = 0;
	rc = write_file(r->path, text, HEAD_BYTES + len);
	if (rc < 0 && !r->is_warned)
		log_warn("drain", "msg=\"write %s: %s; a restart would end drains at once\"",
			r->path, strerror(-rc));
	r->is_warned = rc < 0;
	r->is_saved = rc == 0;
	r->saved = crc;
}
