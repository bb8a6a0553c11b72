// SPDX-License-Identifier: Apache-2.0
/*
 * file.c: see file.h. For the control path: it waits for the disk.
 */
#include "dataplane/base/file.h"
#include "dataplane/base/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base/cleanup.h"

static int fail(struct err *err, const char *what, const char *path)
{
	int code = errno;

	return err_set(err, code, "%s %s: %s", what, path, strerror(code));
}

/* 0 or a negative errno; fewer bytes than <len> are -EIO, the file shrank. */
static int read_all(int fd, char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n < 0 ? errno : EIO;
			return -errno;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_read(const char *path, size_t max, void **ret_data, size_t *ret_len, struct err *err)
{
	/* O_NONBLOCK: a FIFO in place of the file must not stop us. */
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	autofree char *data = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		return fail(err, "open", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "%s: not a regular file", path);
	if ((uint64_t)st.st_size > max)
		return err_set(err, EFBIG, "%s: %llu bytes, at most %zu", path,
			(unsigned long long)st.st_size, max);
	data = pages_alloc((size_t)st.st_size);
	if (data == NULL)
		return err_set(err, ENOMEM, "%s: no memory", path);
	if (read_all(fd, data, (size_t)st.st_size) != 0)
		return fail(err, "read", path);
	*ret_data = data;
	*ret_len = (size_t)st.st_size;
	data = NULL;
	return 0;
}

static int write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_sync_folder(const char *folder, struct err *err)
{
	autoclose int fd = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY);

	if (fd < 0 || fsync(fd) != 0)
		return fail(err, "sync", folder);
	return 0;
}

int file_replace(const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
	char tmp[PATH_MAX], folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	autoclose int fd = -1;

	if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp))
		return err_set(err, ENAMETOOLONG, "%s: name too long", path);
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path + 1) : 1,
		slash ? path : ".");
	if (unlink(tmp) != 0 && errno != ENOENT)
		return fail(err, "remove", tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return fail(err, "create", tmp);
	if (write_all(fd, data, len) != 0 || fsync(fd) != 0 || rename(tmp, path) != 0) {
		int rv = fail(err, "write", tmp);

		unlink(tmp);
		return rv;
	}
	return file_sync_folder(folder, err);
}
