// SPDX-License-Identifier: Apache-2.0
/*
 * disk.c: see disk.h. The lock is held for moments, never while the disk works.
 */
#include "dataplane/agent/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/log.h"

static struct disk_job *job_of(struct list *l)
{
	return list_entry(l, struct disk_job, link);
}

/* Under the lock, or before the thread starts. */
static void note_journal(struct disk *d)
{
	const struct journal *j = &d->store->journal;

	d->journal = (struct disk_journal){journal_is_open(j), j->records, j->end};
}

static int write_change(struct journal *j, const struct disk_job *job, struct err *err)
{
	int rv = journal_reserve(j, job->len, err);

	if (rv == 0)
		rv = journal_append(j, job->key, job->data, job->len, err);
	if (rv != 0)
		journal_close(j); /* later changes must not be there without this one */
	return rv;
}

/* The changes from <first> to the end: all of them are durable, or none counts as such. */
static void write_changes(struct journal *j, struct list *first, struct list *end)
{
	bool was_open = journal_is_open(j);
	struct err err = {0};
	int rv = 0;

	if (first == end)
		return;
	if (!was_open)
		rv = err_set(&err, EIO, "the journal failed before");
	for (struct list *l = first; l != end && rv == 0; l = l->next)
		rv = write_change(j, job_of(l), &err);
	if (rv == 0)
		rv = journal_sync(j, &err);
	for (struct list *l = first; l != end; l = l->next) {
		job_of(l)->rv = rv;
		job_of(l)->err = err;
	}
	job_of(first)->failed_first = rv != 0 && was_open;
}

/* The last snapshot of the batch, and its outcome for all before it; returns what is behind it. */
static struct list *write_snapshot(struct store *s, struct list *batch)
{
	struct list *last = batch->prev;
	struct disk_job *job;

	while (last != batch && !job_of(last)->snapshot)
		last = last->prev;
	if (last == batch)
		return batch->next;
	job = job_of(last);
	job->rv = store_put(s, job->data, job->len, &job->head, &job->err);
	job->failed_first = job->rv != 0;
	for (struct list *l = batch->next; l != last; l = l->next) {
		job_of(l)->rv = job->rv;
		job_of(l)->err = job->err;
	}
	return last->next;
}

static void write_batch(struct disk *d, struct list *batch, uint64_t fence)
{
	struct err err;

	if (store_set_fence(d->store, fence, &err) != 0)
		log_error("agent", "msg=\"control epoch not written to disk: %s\"", err.msg);
	write_changes(&d->store->journal, write_snapshot(d->store, batch), batch);
}

static void list_move_all(struct list *from, struct list *to)
{
	struct list *l;

	while ((l = list_pop(from)) != NULL)
		list_add_tail(to, l);
}

/* Under the lock. False: nothing is left to do, and nothing will come. */
static bool wait_for_work(struct disk *d, uint64_t fence_done)
{
	while (list_is_empty(&d->todo) && d->fence <= fence_done && !d->stop)
		pthread_cond_wait(&d->wake, &d->lock);
	return !list_is_empty(&d->todo) || d->fence > fence_done;
}

static void *disk_thread(void *arg)
{
	const uint64_t one = 1;
	struct disk *d = arg;
	uint64_t fence = 0;
	struct list batch;

	pthread_setname_np(pthread_self(), "agent-disk");
	list_init(&batch);
	pthread_mutex_lock(&d->lock);
	while (wait_for_work(d, fence)) {
		fence = d->fence;
		list_move_all(&d->todo, &batch);
		pthread_mutex_unlock(&d->lock);
		write_batch(d, &batch, fence);
		pthread_mutex_lock(&d->lock);
		list_move_all(&batch, &d->done);
		note_journal(d);
		if (write(d->done_fd, &one, sizeof(one)) < 0)
			continue; /* its counter is full: readable anyhow */
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

void disk_init(struct disk *d, struct store *store, int done_fd)
{
	*d = (struct disk){.store = store, .done_fd = done_fd};
	list_init(&d->todo);
	list_init(&d->done);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->wake, NULL);
}

int disk_start(struct disk *d, const cpu_set_t *cpus)
{
	pthread_attr_t attr;
	int rv;

	note_journal(d);
	pthread_attr_init(&attr);
	if (cpus != NULL)
		pthread_attr_setaffinity_np(&attr, sizeof(*cpus), cpus);
	rv = pthread_create(&d->thread, &attr, disk_thread, d);
	pthread_attr_destroy(&attr);
	d->running = rv == 0;
	return rv;
}

void disk_stop(struct disk *d)
{
	if (!d->running)
		return;
	pthread_mutex_lock(&d->lock);
	d->stop = true;
	pthread_cond_signal(&d->wake);
	pthread_mutex_unlock(&d->lock);
	pthread_join(d->thread, NULL);
	d->running = false;
}

void disk_job_free(struct disk_job *j)
{
	free(j->data);
	free(j);
}

void disk_fini(struct disk *d)
{
	struct disk_job *j;

	bug_on(d->running || !list_is_empty(&d->todo));
	while ((j = disk_collect(d)) != NULL)
		disk_job_free(j);
	pthread_cond_destroy(&d->wake);
	pthread_mutex_destroy(&d->lock);
}

bool disk_has_room(struct disk *d, size_t len, bool snapshot)
{
	bool room;

	pthread_mutex_lock(&d->lock);
	room = snapshot ? d->snapshots < DISK_SNAPSHOTS_MAX
			: d->jobs < DISK_JOBS_MAX && d->bytes + len <= DISK_BYTES_MAX;
	pthread_mutex_unlock(&d->lock);
	return room;
}

static struct disk_job *job_new(void *ctx, const void *data, size_t len)
{
	struct disk_job *j = calloc(1, sizeof(*j));

	bug_on(j == NULL);
	j->ctx = ctx;
	j->len = len;
	j->data = malloc(len + 1);
	bug_on(j->data == NULL);
	memcpy(j->data, data, len);
	return j;
}

static void post(struct disk *d, struct disk_job *j)
{
	list_add_tail(&d->todo, &j->link);
	pthread_cond_signal(&d->wake);
}

void disk_post_change(struct disk *d, void *ctx, uint64_t key, const void *message, size_t len)
{
	struct disk_job *j = job_new(ctx, message, len);

	j->key = key;
	pthread_mutex_lock(&d->lock);
	d->jobs++;
	d->bytes += len;
	post(d, j);
	pthread_mutex_unlock(&d->lock);
}

void disk_post_snapshot(struct disk *d, void *ctx, const void *image, size_t len,
	const struct journal_head *head)
{
	struct disk_job *j = job_new(ctx, image, len);

	j->snapshot = true;
	j->head = *head;
	pthread_mutex_lock(&d->lock);
	list_for_each (l, &d->todo) {
		if (!job_of(l)->snapshot)
			continue;
		free(job_of(l)->data); /* nobody will write it any more */
		job_of(l)->data = NULL;
	}
	d->snapshots++;
	post(d, j);
	pthread_mutex_unlock(&d->lock);
}

void disk_post_fence(struct disk *d, uint64_t epoch)
{
	pthread_mutex_lock(&d->lock);
	d->fence = epoch;
	pthread_cond_signal(&d->wake);
	pthread_mutex_unlock(&d->lock);
}

struct disk_job *disk_collect(struct disk *d)
{
	struct disk_job *j = NULL;
	struct list *l;

	pthread_mutex_lock(&d->lock);
	l = list_pop(&d->done);
	if (l != NULL) {
		j = job_of(l);
		d->snapshots -= j->snapshot;
		d->jobs -= !j->snapshot;
		d->bytes -= j->snapshot ? 0 : j->len;
	}
	pthread_mutex_unlock(&d->lock);
	return j;
}

struct disk_journal disk_journal(struct disk *d)
{
	struct disk_journal j;

	pthread_mutex_lock(&d->lock);
	j = d->journal;
	pthread_mutex_unlock(&d->lock);
	return j;
}
