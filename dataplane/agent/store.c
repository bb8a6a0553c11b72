// SPDX-License-Identifier: Apache-2.0
/*
 * store.c: see store.h.
 */
#include "dataplane/agent/store.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/file.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/str.h"

#define EPOCHS_BYTES_MAX 256u
#define NUMBER_DIGITS_MAX 18 /* below 2^63, so that numbers never run out */

static const char *path_of(const struct store *s, uint64_t number, const char *kind, char *buf)
{
	snprintf(buf, PATH_MAX, "%s/%" PRIu64 ".%s", s->dir, number, kind);
	return buf;
}

/* The number of "<number>.<kind>", or 0. */
static uint64_t number_of(const char *name, const char *kind)
{
	struct str rest = str_of(name), digits = str_cut(&rest, '.');
	uint64_t n;

	if (digits.len > NUMBER_DIGITS_MAX || !str_to_u64(digits, &n) ||
		!str_eq(rest, str_of(kind)))
		return 0;
	return n;
}

static int epochs_write(const struct store *s, uint64_t fence, uint64_t boot, struct err *err)
{
	char path[PATH_MAX], text[EPOCHS_BYTES_MAX];
	int n = snprintf(text, sizeof(text), "control %" PRIu64 "\nboot %" PRIu64 "\n", fence,
		boot);

	n += snprintf(text + n, sizeof(text) - (size_t)n, "crc %08x\n", crc32c(0, text, (size_t)n));
	snprintf(path, sizeof(path), "%s/epochs", s->dir);
	return file_replace(path, text, (size_t)n, 0600, err);
}

static bool epochs_read(struct store *s)
{
	char path[PATH_MAX], text[EPOCHS_BYTES_MAX + 1];
	autofree char *data = NULL;
	uint64_t fence, boot;
	unsigned crc;
	int head = 0;
	size_t len;

	snprintf(path, sizeof(path), "%s/epochs", s->dir);
	if (file_read(path, EPOCHS_BYTES_MAX, (void **)&data, &len, NULL) != 0)
		return false;
	memcpy(text, data, len);
	text[len] = '\0';
	if (sscanf(text, "control %" SCNu64 "\nboot %" SCNu64 "\n%ncrc %8x\n", &fence, &boot, &head,
		    &crc) != 3 ||
		crc32c(0, text, (size_t)head) != crc)
		return false;
	s->fence = fence;
	s->boot = boot;
	return true;
}

/* Calls for every entry of the directory; other files are nobody's business. */
static int each_file(const struct store *s, void (*fn)(void *ctx, const char *name), void *ctx,
	struct err *err)
{
	DIR *d = opendir(s->dir);
	struct dirent *e;

	if (d == NULL)
		return err_set(err, errno, "open %s: %s", s->dir, strerror(errno));
	while ((e = readdir(d)) != NULL)
		fn(ctx, e->d_name);
	closedir(d);
	return 0;
}

static void note_highest(void *ctx, const char *name)
{
	struct store *s = ctx;
	uint64_t a = number_of(name, "snapshot"), b = number_of(name, "journal");

	if (a > s->highest)
		s->highest = a;
	if (b > s->highest)
		s->highest = b;
}

int store_open(struct store *s, const char *dir, bool *ret_damaged, struct err *err)
{
	char path[PATH_MAX];
	int rv;

	*s = (struct store){.dir = strdup(dir)};
	bug_on(s->dir == NULL);
	journal_init(&s->journal);
	rv = each_file(s, note_highest, s, err);
	snprintf(path, sizeof(path), "%s/epochs", dir);
	*ret_damaged = !epochs_read(s) && access(path, F_OK) == 0;
	if (rv == 0)
		rv = epochs_write(s, s->fence, s->boot + 1, err);
	if (rv != 0) {
		store_close(s);
		return rv;
	}
	s->boot++;
	return 0;
}

void store_close(struct store *s)
{
	journal_close(&s->journal);
	free(s->dir);
	s->dir = NULL;
}

struct numbers {
	uint64_t *n;
	unsigned count;
};

/* Sorted, highest first; the lowest fall out at the end. */
static void note_snapshot(void *ctx, const char *name)
{
	struct numbers *l = ctx;
	uint64_t n = number_of(name, "snapshot");
	unsigned at = 0;

	if (n == 0)
		return;
	while (at < l->count && l->n[at] > n)
		at++;
	if (at == STORE_SNAPSHOTS_MAX)
		return;
	if (l->count == STORE_SNAPSHOTS_MAX)
		l->count--;
	memmove(&l->n[at + 1], &l->n[at], (l->count - at) * sizeof(l->n[0]));
	l->n[at] = n;
	l->count++;
}

unsigned store_list(const struct store *s, uint64_t numbers[STORE_SNAPSHOTS_MAX])
{
	struct numbers l = {.n = numbers};

	each_file(s, note_snapshot, &l, NULL);
	return l.count;
}

int store_read(const struct store *s, uint64_t number, size_t max, void **ret_data, size_t *ret_len,
	struct err *err)
{
	char path[PATH_MAX];

	return file_read(path_of(s, number, "snapshot", path), max, ret_data, ret_len, err);
}

int store_resume(struct store *s, uint64_t number, uint64_t image, journal_fn fn, void *ctx,
	bool *ret_damaged, struct err *err)
{
	char path[PATH_MAX];

	s->current = number;
	return journal_open(&s->journal, path_of(s, number, "journal", path), image, fn, ctx,
		ret_damaged, err);
}

struct sweep {
	const struct store *s;
	uint64_t keep[2];
};

static void sweep_file(void *ctx, const char *name)
{
	const struct sweep *w = ctx;
	uint64_t a = number_of(name, "snapshot"), b = number_of(name, "journal");
	uint64_t n = a > b ? a : b;
	char path[PATH_MAX];

	if (n == 0 || n == w->keep[0] || n == w->keep[1])
		return;
	/* What cannot be removed now is tried again after the next snapshot. */
	unlink(path_of(w->s, n, a != 0 ? "snapshot" : "journal", path));
}

int store_put(struct store *s, const void *image, size_t len, const struct journal_head *head,
	struct err *err)
{
	struct sweep w = {.s = s, .keep = {s->highest + 1, s->current}};
	uint64_t number = s->highest + 1;
	char path[PATH_MAX];
	int rv;

	s->highest = number;
	journal_close(&s->journal);
	rv = journal_create(&s->journal, path_of(s, number, "journal", path), head, err);
	if (rv != 0)
		return rv;
	rv = file_replace(path_of(s, number, "snapshot", path), image, len, 0600, err);
	if (rv != 0) {
		journal_close(&s->journal);
		return rv;
	}
	s->current = number;
	each_file(s, sweep_file, &w, NULL);
	return 0;
}

void store_set_aside(const struct store *s, uint64_t number)
{
	char from[PATH_MAX], to[PATH_MAX];

	snprintf(to, sizeof(to), "%s/damaged.snapshot", s->dir);
	if (rename(path_of(s, number, "snapshot", from), to) != 0)
		return; /* it stays, and will be skipped again */
	unlink(path_of(s, number, "journal", from));
}

int store_set_fence(struct store *s, uint64_t epoch, struct err *err)
{
	if (epoch <= s->fence)
		return 0;
	s->fence = epoch;
	return epochs_write(s, epoch, s->boot, err);
}
