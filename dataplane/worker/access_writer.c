// SPDX-License-Identifier: Apache-2.0
/*
 * access_writer.c: rings -> lines -> file.
 */
#include "dataplane/worker/access_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"
#include "dataplane/worker/worker.h"

#define BUF_BYTES 65536
#define PER_RING 256	     /* records of one ring before the next has its turn */
#define REST_US 10000	     /* between looks at empty rings */
#define COMPLAIN_US 60000000 /* a full disk is said once a minute */

struct access_writer {
	struct worker_group *group; /* borrowed */
	char path[4096];
	access_names_fn names;
	void *ctx;
	pthread_t thread;
	atomic_bool stop, reopen;
	int fd;
	uint64_t lost_bytes, complained_us;
	size_t len;
	char buf[BUF_BYTES];
};

static int file_open(const char *path)
{
	if (strcmp(path, "-") == 0)
		return dup(STDOUT_FILENO);
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

static void complain(struct access_writer *a, const char *what, int error)
{
	uint64_t now = clock_mono_us();

	if (a->complained_us != 0 && now - a->complained_us < COMPLAIN_US)
		return;
	a->complained_us = now;
	log_error("access_log", "path=%s lost_bytes=%lu msg=\"%s: %s\"", a->path, a->lost_bytes,
		what, strerror(error));
}

static void file_reopen(struct access_writer *a)
{
	int fd = file_open(a->path);

	if (fd < 0) {
		complain(a, "open", errno);
		return; /* the old file is better than none */
	}
	close(a->fd);
	a->fd = fd;
}

static void flush(struct access_writer *a)
{
	size_t done = 0;

	if (atomic_exchange(&a->reopen, false))
		file_reopen(a);
	while (done < a->len) {
		ssize_t n = write(a->fd, a->buf + done, a->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			a->lost_bytes += a->len - done;
			complain(a, "write", errno);
			break;
		}
		done += (size_t)n;
	}
	a->len = 0;
}

/* What added to monotonic time gives microseconds since 1970. */
static uint64_t wall_offset_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000 - clock_mono_us();
}

static unsigned ring_drain(struct access_writer *a, struct access_ring *r, uint64_t offset)
{
	const struct access_record *rec;
	unsigned n = 0;

	for (; n < PER_RING && (rec = access_ring_peek(r)) != NULL; n++) {
		char text[ACCESS_NAMES_MAX];
		struct access_names names = {0};

		if (a->len + ACCESS_LINE_MAX > sizeof(a->buf))
			flush(a);
		a->names(a->ctx, rec, text, &names);
		a->len += access_log_format(rec, &names, offset, a->buf + a->len);
		access_ring_pop(r);
	}
	return n;
}

static unsigned rings_drain(struct access_writer *a)
{
	uint64_t offset = wall_offset_us();
	unsigned n = 0;

	for (unsigned i = 0; i < a->group->count; i++)
		n += ring_drain(a, a->group->w[i]->log, offset);
	return n;
}

static void *writer_main(void *arg)
{
	struct access_writer *a = arg;

	for (;;) {
		bool last = atomic_load(&a->stop);
		struct timespec rest = {.tv_nsec = REST_US * 1000};

		if (rings_drain(a) > 0)
			continue;
		flush(a);
		if (last)
			return NULL;
		nanosleep(&rest, NULL);
	}
}

int access_writer_start(struct worker_group *g, const char *path, access_names_fn names, void *ctx,
	struct access_writer **ret, struct err *err)
{
	struct access_writer *a = calloc(1, sizeof(*a));
	sigset_t all, old;
	int rc;

	bug_on(a == NULL);
	a->group = g;
	a->names = names;
	a->ctx = ctx;
	snprintf(a->path, sizeof(a->path), "%s", path);
	a->fd = file_open(path);
	if (a->fd < 0) {
		rc = err_set(err, errno, "access log %s: %s", path, strerror(errno));
		free(a);
		return rc;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&a->thread, NULL, writer_main, a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		close(a->fd);
		free(a);
		return err_set(err, rc, "access log thread: %s", strerror(rc));
	}
	pthread_setname_np(a->thread, "access-log");
	*ret = a;
	return 0;
}

void access_writer_reopen(struct access_writer *a)
{
	atomic_store(&a->reopen, true);
}

void access_writer_stop(struct access_writer *a)
{
	if (a == NULL)
		return;
	atomic_store(&a->stop, true);
	pthread_join(a->thread, NULL);
	close(a->fd);
	free(a);
}
