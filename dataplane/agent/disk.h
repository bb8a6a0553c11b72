// SPDX-License-Identifier: Apache-2.0
/*
 * disk.h: the thread that waits for the disk, so that nobody else does.
 *
 * The agent posts what shall be durable and goes on with the next message; the thread takes all
 * that waits, writes it in order and syncs once, and the agent collects the outcomes, in the order
 * in which it posted. Between start and stop the store belongs to the thread alone.
 *
 * A snapshot makes everything before it superfluous: what waits in front of one is not written but
 * shares its outcome. So a disk that stalled for long is caught up with by one snapshot.
 */
#pragma once

#include <pthread.h>
#include <sched.h>

#include "dataplane/agent/store.h"
#include "dataplane/base/list.h"

#define DISK_JOBS_MAX 8192u	   /* changes waiting, or done and not collected */
#define DISK_BYTES_MAX (64u << 20) /* of their messages */
#define DISK_SNAPSHOTS_MAX 16u	   /* beside them; no more than two still have their image */

struct disk_job {
	struct list link;
	void *ctx;
	bool snapshot;
	bool failed_first; /* the failure is new, not the consequence of an older one */
	int rv;		   /* once collected: 0, or why it is not durable */
	struct err err;
	struct journal_head head; /* of a snapshot */
	uint64_t key;		  /* of a change */
	uint8_t *data;		  /* owned: image or message */
	size_t len;
};

struct disk_journal { /* for people, as of the last batch */
	bool open;
	uint32_t records;
	size_t bytes;
};

struct disk {
	struct store *store; /* borrowed; thread: rw */
	int done_fd;	     /* borrowed eventfd: something can be collected */
	pthread_t thread;
	bool running;

	pthread_mutex_t lock; /* protects all below */
	pthread_cond_t wake;
	struct list todo, done; /* struct disk_job, oldest first */
	unsigned jobs, snapshots;
	size_t bytes;	/* of changes */
	uint64_t fence; /* control's epoch that shall be on disk */
	bool stop;
	struct disk_journal journal;
};

void disk_init(struct disk *d, struct store *store, int done_fd);
/* <cpus> may be NULL; the thread inherits the caller's signal mask. A positive errno. */
int disk_start(struct disk *d, const cpu_set_t *cpus);
/* Returns when everything posted was written, or refused by the disk. More than once is fine. */
void disk_stop(struct disk *d);
/* Stopped; what was not collected is freed. */
void disk_fini(struct disk *d);

/* Before posting: there is room for a change of <len> bytes, or for a snapshot. */
bool disk_has_room(struct disk *d, size_t len, bool snapshot);
/* All copy. */
void disk_post_change(struct disk *d, void *ctx, uint64_t key, const void *message, size_t len);
void disk_post_snapshot(struct disk *d, void *ctx, const void *image, size_t len,
	const struct journal_head *head);
/* On disk before anything that is posted later; there is nothing to collect. */
void disk_post_fence(struct disk *d, uint64_t epoch);
/* The oldest that is done, for the caller to pass to disk_job_free(); NULL: none. */
struct disk_job *disk_collect(struct disk *d);
void disk_job_free(struct disk_job *j);
struct disk_journal disk_journal(struct disk *d);
