// SPDX-License-Identifier: Apache-2.0
/*
 * journal.c: append, replay, rewrite.
 *
 * Record numbers make sure that bytes left over from before a cut are never taken for records. A
 * write that failed leaves the file in a state nobody knows, so it closes the journal: changes are
 * then applied but not durable, which control is told, until the next snapshot brings a new file.
 */
#include "dataplane/agent/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/file.h"
#include "dataplane/base/hash.h"
#include "dataplane/snapshot/message.h"

#define JOURNAL_VERSION 1u
static const uint8_t journal_magic[8] = "SLUCJNL";
#define RECORD_MAGIC 0x4a524543u /* "JREC" */

void journal_init(struct journal *j)
{
	*j = (struct journal){.fd = -1, .bytes_max = JOURNAL_BYTES_MAX};
}

void journal_close(struct journal *j)
{
	size_t max = j->bytes_max;

	if (j->fd >= 0)
		close(j->fd);
	free(j->path);
	journal_init(j);
	j->bytes_max = max;
}

static void head_encode(const struct journal_head *h, uint8_t *b)
{
	memset(b, 0, JOURNAL_HEADER_BYTES);
	memcpy(b, journal_magic, sizeof(journal_magic));
	be32_put(b + 8, JOURNAL_VERSION);
	be64_put(b + 16, h->image);
	be64_put(b + 24, h->structure);
	be64_put(b + 32, h->epoch);
	be64_put(b + 40, h->revision);
	be64_put(b + 48, h->generation);
	be32_put(b + 12, crc32c(0, b + 16, JOURNAL_HEADER_BYTES - 16));
}

static bool head_decode(const uint8_t *b, size_t len, struct journal_head *ret)
{
	if (len < JOURNAL_HEADER_BYTES || memcmp(b, journal_magic, sizeof(journal_magic)) != 0 ||
		be32_get(b + 8) != JOURNAL_VERSION ||
		be32_get(b + 12) != crc32c(0, b + 16, JOURNAL_HEADER_BYTES - 16))
		return false;
	*ret = (struct journal_head){.image = be64_get(b + 16),
		.structure = be64_get(b + 24),
		.epoch = be64_get(b + 32),
		.revision = be64_get(b + 40),
		.generation = be64_get(b + 48)};
	return true;
}

/* magic 32, number 32, length 32, checksum 32 of the rest and the message, key 64 */
static void record_encode(uint8_t *b, uint32_t number, uint64_t key, const void *message,
	size_t len)
{
	be32_put(b, RECORD_MAGIC);
	be32_put(b + 4, number);
	be32_put(b + 8, (uint32_t)len);
	be64_put(b + 16, key);
	be32_put(b + 12, crc32c(crc32c(crc32c(0, b, 12), b + 16, 8), message, len));
	memmove(b + JOURNAL_RECORD_BYTES, message, len);
}

/* Length of the message in the record at <b>; 0: there is no record with this number. */
static size_t record_decode(const uint8_t *b, size_t len, uint32_t number)
{
	size_t n;

	if (len < JOURNAL_RECORD_BYTES || be32_get(b) != RECORD_MAGIC || be32_get(b + 4) != number)
		return 0;
	n = be32_get(b + 8);
	if (n == 0 || n > MESSAGE_BYTES_MAX || n > len - JOURNAL_RECORD_BYTES)
		return 0;
	if (be32_get(b + 12) !=
		crc32c(crc32c(crc32c(0, b, 12), b + 16, 8), b + JOURNAL_RECORD_BYTES, n))
		return 0;
	return n;
}

/* The file is <data> and zeros up to the next step, durable; the journal stands behind it. */
static int journal_replace(struct journal *j, const char *path, const struct journal_head *head,
	const uint8_t *records, size_t len, uint32_t count, struct err *err)
{
	size_t end = JOURNAL_HEADER_BYTES + len;
	size_t total = (end / JOURNAL_STEP_BYTES + 1) * JOURNAL_STEP_BYTES;
	autofree uint8_t *b = calloc(1, total);
	autofree char *name = strdup(path);
	struct journal_head h = *head;
	int fd, rv;

	bug_on(b == NULL || name == NULL);
	head_encode(&h, b);
	if (len > 0)
		memcpy(b + JOURNAL_HEADER_BYTES, records, len);
	rv = file_replace(name, b, total, 0600, err);
	if (rv != 0)
		return rv;
	fd = open(name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, errno, "open %s: %s", name, strerror(errno));
	journal_close(j);
	j->fd = fd;
	j->path = name;
	name = NULL;
	j->head = h;
	j->end = end;
	j->zeroed = total;
	j->records = count;
	return 0;
}

int journal_create(struct journal *j, const char *path, const struct journal_head *head,
	struct err *err)
{
	return journal_replace(j, path, head, NULL, 0, 0, err);
}

static bool is_zero(const uint8_t *b, size_t len)
{
	return len == 0 || (b[0] == 0 && memcmp(b, b + 1, len - 1) == 0);
}

int journal_open(struct journal *j, const char *path, uint64_t image, journal_fn fn, void *ctx,
	bool *ret_damaged, struct err *err)
{
	autofree void *data = NULL;
	struct journal_head head;
	size_t len, off = JOURNAL_HEADER_BYTES, n;
	uint32_t count = 0;
	const uint8_t *b;
	int rv = file_read(path, j->bytes_max + JOURNAL_STEP_BYTES, &data, &len, err);

	if (rv != 0)
		return rv;
	b = data;
	if (!head_decode(b, len, &head) || head.image != image)
		return err_set(err, EINVAL, "%s: not the journal of snapshot %016llx", path,
			(unsigned long long)image);
	for (; (n = record_decode(b + off, len - off, count)) > 0; count++) {
		if (!fn(ctx, b + off + JOURNAL_RECORD_BYTES, n))
			break;
		off += JOURNAL_RECORD_BYTES + n;
	}
	*ret_damaged = !is_zero(b + off, len - off);
	if (*ret_damaged)
		return journal_replace(j, path, &head, b + JOURNAL_HEADER_BYTES,
			off - JOURNAL_HEADER_BYTES, count, err);
	journal_close(j);
	j->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (j->fd < 0)
		return err_set(err, errno, "open %s: %s", path, strerror(errno));
	j->path = strdup(path);
	bug_on(j->path == NULL);
	j->head = head;
	j->end = off;
	j->zeroed = len;
	j->records = count;
	return 0;
}

/* A set of keys, big enough for all records of a file. */
struct key_set {
	uint64_t *keys; /* 0: a free place */
	uint32_t mask;
	bool has_zero;
};

/* False: it was in the set already. */
static bool key_set_add(struct key_set *s, uint64_t key)
{
	bool is_new = !s->has_zero;

	if (key == 0) {
		s->has_zero = true;
		return is_new;
	}
	for (uint32_t i = (uint32_t)hash_mix(key, 0);; i++) {
		uint64_t *at = &s->keys[i & s->mask];

		if (*at == key)
			return false;
		if (*at == 0) {
			*at = key;
			return true;
		}
	}
}

/*
 * Moves the newest record of each key to the front of <b>, in their order and renumbered. Returns
 * how many and, in *len, their bytes.
 */
static uint32_t keep_newest(uint8_t *b, size_t *len, uint32_t count)
{
	autofree size_t *offs = calloc(count + 1, sizeof(offs[0]));
	autofree bool *keep = calloc(count + 1, sizeof(keep[0]));
	struct key_set set = {.mask = 1};
	autofree uint64_t *keys = NULL;
	size_t out = 0;
	uint32_t kept = 0;

	while (set.mask < 2 * count)
		set.mask = set.mask * 2 + 1;
	set.keys = keys = calloc(set.mask + 1, sizeof(keys[0]));
	bug_on(offs == NULL || keep == NULL || keys == NULL);
	for (uint32_t i = 0; i < count; i++)
		offs[i + 1] = offs[i] + JOURNAL_RECORD_BYTES + be32_get(b + offs[i] + 8);
	bug_on(offs[count] != *len);
	for (uint32_t i = count; i > 0; i--)
		keep[i - 1] = key_set_add(&set, be64_get(b + offs[i - 1] + 16));
	for (uint32_t i = 0; i < count; i++) {
		size_t n = offs[i + 1] - offs[i] - JOURNAL_RECORD_BYTES;
		const uint8_t *from = b + offs[i];

		if (!keep[i])
			continue;
		record_encode(b + out, kept++, be64_get(from + 16), from + JOURNAL_RECORD_BYTES, n);
		out += JOURNAL_RECORD_BYTES + n;
	}
	*len = out;
	return kept;
}

/* Afterwards at least half of the room is free, or the newest records alone need more. */
static int journal_rewrite(struct journal *j, struct err *err)
{
	size_t len = j->end - JOURNAL_HEADER_BYTES;
	autofree uint8_t *b = malloc(len + 1);
	struct journal_head head = j->head;
	autofree char *path = strdup(j->path);
	ssize_t n = pread(j->fd, b, len, JOURNAL_HEADER_BYTES);
	uint32_t count = j->records;

	bug_on(b == NULL || path == NULL);
	if (n < 0 || (size_t)n != len)
		return err_set(err, EIO, "read %s: %s", j->path, n < 0 ? strerror(errno) : "short");
	count = keep_newest(b, &len, count);
	return journal_replace(j, path, &head, b, len, count, err);
}

int journal_reserve(struct journal *j, size_t len, struct err *err)
{
	size_t need = JOURNAL_RECORD_BYTES + len;
	int rv;

	bug_on(!journal_is_open(j));
	if (j->end + need <= j->bytes_max)
		return 0;
	rv = journal_rewrite(j, err);
	if (rv != 0)
		return rv;
	if (j->end + need <= j->bytes_max && j->end <= j->bytes_max / 2)
		return 0;
	return err_set(err, ENOSPC, "%u objects changed since the snapshot fill the journal",
		j->records);
}

static int write_at(int fd, const uint8_t *p, size_t len, size_t off)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		off += (size_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int journal_append(struct journal *j, uint64_t key, const void *message, size_t len,
	struct err *err)
{
	size_t need = JOURNAL_RECORD_BYTES + len, total = need;
	autofree uint8_t *b = NULL;
	int rv;

	bug_on(!journal_is_open(j) || len == 0 || len > MESSAGE_BYTES_MAX);
	if (j->end + need > j->zeroed) /* the record and new zeros behind it in one write */
		total = need + JOURNAL_STEP_BYTES;
	b = calloc(1, total);
	bug_on(b == NULL);
	record_encode(b, j->records, key, message, len);
	rv = write_at(j->fd, b, total, j->end);
	if (rv != 0) {
		err_set(err, -rv, "write %s: %s", j->path, strerror(-rv));
		journal_close(j);
		return rv;
	}
	if (j->end + total > j->zeroed)
		j->zeroed = j->end + total;
	j->end += need;
	j->records++;
	j->dirty = true;
	return 0;
}

int journal_sync(struct journal *j, struct err *err)
{
	if (!j->dirty)
		return 0;
	if (fdatasync(j->fd) != 0) {
		int code = errno;

		err_set(err, code, "sync %s: %s", j->path, strerror(code));
		journal_close(j);
		return -code;
	}
	j->dirty = false;
	return 0;
}
