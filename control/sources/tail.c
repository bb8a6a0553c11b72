// SPDX-License-Identifier: Apache-2.0
/*
 * tail.c: see tail.h. One write() per line: killed, we leave a line or none.
 */
#include "control/sources/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/sources/saver.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/file.h"
#include "dataplane/base/hash.h"

#define FILE_MODE 0600
#define CRC_LEN 9u /* 8 hexadecimal digits and a blank */

static char *name_of(const char *path, const char *end)
{
	char *name;

	bug_on(asprintf(&name, "%s%s", path, end) < 0);
	return name;
}

/* --- writing --- */

/* For free(). */
static char *line_of(struct str ns, struct str name, const struct object *o, size_t *ret_len)
{
	char crc[CRC_LEN + 1], *line;
	int n;

	if (o != NULL && o->text.len != 0)
		n = asprintf(&line, "%*s+%.*s\t%.*s\n", (int)CRC_LEN, "", STR_FMT(o->text),
			STR_FMT(o->status));
	else
		n = asprintf(&line, "%*s-%.*s/%.*s\n", (int)CRC_LEN, "", STR_FMT(ns),
			STR_FMT(name));
	bug_on(n < 0);
	snprintf(crc, sizeof(crc), "%08" PRIx32 " ",
		crc32c(0, line + CRC_LEN, (size_t)n - CRC_LEN - 1));
	memcpy(line, crc, CRC_LEN);
	*ret_len = (size_t)n;
	return line;
}

static int open_tail(const char *name, const char *path, struct err *err)
{
	int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
	int fd = open(name, flags, FILE_MODE);

	/* the first file of the cluster is on its way */
	if (fd < 0 && errno == ENOENT && saver_make_folder(path, err) == 0)
		fd = open(name, flags, FILE_MODE);
	return fd;
}

int tail_append(const char *path, size_t *size, struct str ns, struct str name,
	const struct object *o, struct err *err)
{
	autofree char *file = name_of(path, ".new"), *line = NULL;
	size_t len;
	int fd, rc = 0;

	line = line_of(ns, name, o, &len);
	if (*size + len > TAIL_BYTES_MAX)
		return err_set(err, EFBIG, "%s: more than %u bytes", file, TAIL_BYTES_MAX);
	fd = open_tail(file, path, err);
	if (fd < 0)
		return err_set(err, errno, "%s: %s", file, strerror(errno));
	if (write(fd, line, len) == (ssize_t)len) {
		*size += len;
	} else {
		rc = err_set(err, errno != 0 ? errno : ENOSPC, "%s: cannot be written", file);
		if (ftruncate(fd, (off_t)*size) < 0)
			*size = TAIL_BYTES_MAX; /* half a line is the end of it */
	}
	close(fd);
	return rc;
}

void tail_rotate(const char *path, size_t *size)
{
	autofree char *new = name_of(path, ".new"), *old = name_of(path, ".old");

	if (*size == 0 || access(old, F_OK) == 0) /* of a file that was not written: both count */
		return;
	if (rename(new, old) == 0)
		*size = 0;
}

void tail_drop_old(const char *path)
{
	autofree char *old = name_of(path, ".old");

	unlink(old);
}

void tail_remove(const char *path)
{
	autofree char *new = name_of(path, ".new");

	tail_drop_old(path);
	unlink(new);
}

/* --- reading --- */

static void forget(struct store_kind *k, struct str key)
{
	struct str ns = str_cut(&key, '/');
	json_t *j = json_pack("{s:{s:s%, s:s%}}", "metadata", "namespace", ns.p, ns.len, "name",
		key.p, key.len);

	if (j != NULL) /* bytes that are no name: nothing has it */
		store_api_delete(k, j);
	json_decref(j);
}

static bool take_line(struct store_kind *k, struct str line)
{
	struct str body = str_from(line, CRC_LEN);
	char crc[CRC_LEN + 1];

	if (line.len <= CRC_LEN + 1)
		return false;
	snprintf(crc, sizeof(crc), "%08" PRIx32 " ", crc32c(0, body.p, body.len));
	if (memcmp(crc, line.p, CRC_LEN) != 0)
		return false;
	if (body.p[0] == '-')
		forget(k, str_from(body, 1));
	else
		store_disk_replace(k, str_from(body, 1));
	return true;
}

/* Bytes up to the first line that is not whole. */
static size_t take_lines(struct store_kind *k, struct str text, uint32_t *count)
{
	size_t good = 0;

	while (good < text.len) {
		struct str rest = str_from(text, good);
		ptrdiff_t end = str_find(rest, '\n');

		if (end < 0 || !take_line(k, str_first(rest, (size_t)end)))
			break;
		good += (size_t)end + 1;
		++*count;
	}
	return good;
}

static uint32_t load_one(const char *path, const char *end, struct store_kind *k, size_t *ret_size)
{
	autofree char *name = name_of(path, end);
	autofree void *data = NULL;
	uint32_t count = 0;
	struct err err;
	size_t len;

	*ret_size = 0;
	if (file_read(name, TAIL_BYTES_MAX, &data, &len, &err) < 0)
		return 0;
	*ret_size = take_lines(k, str_make(data, len), &count);
	if (*ret_size != len && truncate(name, (off_t)*ret_size) < 0)
		*ret_size = TAIL_BYTES_MAX; /* nothing may be written behind what cannot be read */
	return count;
}

uint32_t tail_load(const char *path, struct store_kind *k, size_t *ret_size)
{
	size_t old_size;
	uint32_t count = load_one(path, ".old", k, &old_size);

	return count + load_one(path, ".new", k, ret_size);
}
