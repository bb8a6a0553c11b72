// SPDX-License-Identifier: Apache-2.0
/*
 * store.h: the dataplane's state directory: last known good, and who may change it.
 *
 *	<n>.snapshot	an image as control wrote it; the highest number is current, the next one is
 *			kept for the day the current one turns out to be damaged
 *	<n>.journal	small changes applied on top of it (journal.h)
 *	epochs		highest control epoch ever welcomed, number of this boot
 *
 * A file is complete or absent (written aside, synced, renamed). The journal comes before its
 * snapshot, so a snapshot that is there has its journal.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/agent/journal.h"
#include "dataplane/base/err.h"

#define STORE_SNAPSHOTS_MAX 64u /* looked at on start; two are normal */

struct store {
	char *dir;	  /* owned */
	uint64_t current; /* number of the files in use; 0: none */
	uint64_t highest; /* number ever seen */
	uint64_t fence, boot;
	struct journal journal; /* of <current>; closed when it failed */
};

/* Reads the epochs and counts the boot. *ret_damaged: the file of epochs was, and begins anew. */
int store_open(struct store *s, const char *dir, bool *ret_damaged, struct err *err);
void store_close(struct store *s);
/* Numbers of the snapshots, newest first; returns how many. */
unsigned store_list(const struct store *s, uint64_t numbers[STORE_SNAPSHOTS_MAX]);
int store_read(const struct store *s, uint64_t number, size_t max, void **ret_data, size_t *ret_len,
	struct err *err);
/* Opens and replays the journal of snapshot <number>, which is current from now on. */
int store_resume(struct store *s, uint64_t number, uint64_t image, journal_fn fn, void *ctx,
	bool *ret_damaged, struct err *err);
/* The image becomes current, durable, with an empty journal; all but one older are removed. */
int store_put(struct store *s, const void *image, size_t len, const struct journal_head *head,
	struct err *err);
/* Keeps a damaged snapshot out of the way, for people to look at: <n>.damaged, only one. */
void store_set_aside(const struct store *s, uint64_t number);
int store_set_fence(struct store *s, uint64_t epoch, struct err *err);
