// SPDX-License-Identifier: Apache-2.0
/*
 * publish.h: the control end of the links to the dataplanes.
 *
 * publish_update() is told the whole wanted configuration each time; this module finds out what
 * changed and says as little as possible: nothing, a few small messages (weights, endpoint sets),
 * or a snapshot file. Per dataplane it is level-triggered: it remembers up to which revision a
 * dataplane was told, and what a reconnecting one still lacks follows from its HELLO alone, so a
 * restart of either side sends nothing that is already in place.
 *
 * Generation: number of a structure (all that only a snapshot can change), continues over restarts.
 * Revision: number of a published change within one control epoch. The epoch grows by one with
 * each start and is kept in the state directory, whose lock keeps a second process out.
 *
 * One thread: everything here is called from control's loop; nng's threads only wake it up.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/str.h"
#include "dataplane/snapshot/build.h"
#include "dataplane/snapshot/message.h"

#define PUBLISH_DATAPLANES_MAX 64u
#define PUBLISH_QUERIES_MAX 256u   /* unanswered at a time, over all dataplanes */
#define PUBLISH_QUERY_US 10000000u /* an answer later than this is given up */

struct publish;

struct publish_target {
	struct str name;
	const char *url; /* ipc:///run/sluice/dp0.ipc: the dataplane listens, we dial */
};

struct publish_config {
	struct str name;       /* of this control process, for the dataplanes' logs */
	const char *state_dir; /* must exist; snapshots are written below it */
	const struct publish_target *targets;
	uint32_t target_count;
	void (*on_change)(
		void *arg); /* some dataplane's state changed; not from publish_update() */
	void *arg;
};

/* Lifecycle. -EBUSY: another control process holds the state directory. */
int publish_new(const struct publish_config *cfg, struct publish **ret, struct err *err);
void publish_free(struct publish *p);

/* Called by the loop: whenever the descriptor is readable, call publish_dispatch(). */
int publish_poll_fd(const struct publish *p);
void publish_dispatch(struct publish *p);

enum publish_kind {
	PUBLISH_NOTHING = 0, /* equal to what is published */
	PUBLISH_SMALL,	     /* only weights and endpoint sets differ */
	PUBLISH_SNAPSHOT,
};

struct publish_outcome {
	enum publish_kind kind;
	uint64_t generation, revision; /* now wanted */
	uint32_t weights, endpoints;   /* rules and services that changed; PUBLISH_SMALL only */
};

/*
 * What every dataplane shall do from now on; <cfg>.generation is ignored. Nothing of <cfg> is kept
 * by pointer. An error (a limit of the image is passed) leaves the previous configuration wanted;
 * a file that cannot be written is tried again and shows in the dataplanes' state.
 */
int publish_update(struct publish *p, const struct build_config *cfg, struct publish_outcome *ret,
	struct err *err);

/* A drained dataplane takes no new connections; wanted until the opposite is said. */
void publish_drain(struct publish *p, uint32_t dataplane, bool on);

/* Everything below may be read at any time. */
uint64_t publish_epoch(const struct publish *p);
uint64_t publish_generation(const struct publish *p); /* wanted; 0 before the first update */
uint64_t publish_revision(const struct publish *p);
/* Every live dataplane, and at least one, has acknowledged <generation> or a later one. */
bool publish_is_programmed(const struct publish *p, uint64_t generation);
/* The same for <revision> of this epoch: a change of weights or endpoints has reached them all. */
bool publish_is_applied(const struct publish *p, uint64_t revision);

struct publish_state {
	struct str name;
	const char *url;
	bool connected;	     /* welcomed and heard within MESSAGE_DEAD_US */
	bool synced;	     /* holds all that is wanted, by its own digest */
	bool draining;	     /* as it says */
	struct str version;  /* of its program; empty before the first HELLO */
	uint64_t generation; /* in use there; 0: none or unknown */
	uint64_t revision;   /* acknowledged, of this epoch; 0: none yet */
	uint64_t lag_us;     /* age of the oldest change that it has not acknowledged; 0: none */
	uint64_t ack_us;     /* from publishing to acknowledgement, the last time */
	const char *error;   /* last refusal or failure since it was synced; "" */
	/* Since the start of this process. */
	uint64_t connects, snapshots_sent, smalls_sent, refused, bad_messages;
};

uint32_t publish_count(const struct publish *p);
void publish_state(const struct publish *p, uint32_t dataplane, struct publish_state *ret);

/*
 * Asks a dataplane (verbs: dataplane/agent/agent.h); <args> is a JSON object or empty. <fn> runs
 * once, from publish_dispatch(), with the whole answer (JSON when <status> is OK, else a sentence).
 * Returns the query's id for publish_query_cancel(), or 0 when too many are open.
 */
typedef void (*publish_reply_fn)(void *arg, enum message_result status, struct str text);
uint64_t publish_query(struct publish *p, uint32_t dataplane, struct str verb, struct str args,
	publish_reply_fn fn, void *arg);
/* <fn> will not run any more. */
void publish_query_cancel(struct publish *p, uint64_t id);
