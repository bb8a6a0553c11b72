// SPDX-License-Identifier: Apache-2.0
/*
 * live.h: a configuration in use: the opened snapshot plus the small changes applied to it.
 *
 * swap.c makes one from an image and publishes it; live.c replaces single weight vectors and
 * endpoint sets in it. What workers read is struct config (snapshot/config.h) inside; the rest is
 * the agent's own book-keeping.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/agent/derive.h"
#include "dataplane/agent/health.h"
#include "dataplane/agent/journal.h"
#include "dataplane/agent/reclaim.h"
#include "dataplane/agent/slots.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/err.h"
#include "dataplane/snapshot/config.h"
#include "dataplane/snapshot/message.h"
#include "dataplane/snapshot/snapshot.h"

struct worker_group;

/* What a rule's weights or a service's endpoints are now. */
struct live_object {
	uint64_t digest;	  /* message_weights_digest() or message_endpoints_digest() */
	uint64_t epoch, revision; /* of the message that brought it; the snapshot's own at first */
	uint32_t journal_bytes;	  /* of its newest record; 0: it has none */
	void *owned; /* the vector or set, if it is not the image's own (in the arena) */
};

struct live {
	struct config cfg; /* what is published */
	struct snapshot snap;
	void *image;			      /* owned */
	struct arena arena;		      /* everything that lives as long as the image */
	struct live_object *rules, *services; /* [index in the image] */
	struct endpoint_set **image_sets;     /* [service] as the image has them; they hold slots */
	struct config_rule *config_rules;     /* cfg.rules, writable */
	struct config_backend *config_backends;		 /* cfg.backends, writable */
	_Atomic(const struct endpoint_set *) *endpoints; /* cfg.endpoints, writable */
	struct derive_service **derived;		 /* [service], owned */
	struct derive_rule **failover_of;		 /* [rule], NULL: it has no failover */
	struct derive_rule **failover;			 /* those that have, owned */
	uint32_t failover_count;
	uint64_t structure;	  /* control's name of the structure, 0: unknown */
	uint64_t state;		  /* sum of the digests of all objects */
	uint64_t journal_bytes;	  /* of all newest records: what a rewritten journal holds */
	uint64_t epoch, revision; /* newest change applied, the snapshot itself included */
	uint64_t snapshot_epoch, snapshot_revision;
};

/* What health_live.c remembers between two looks. */
struct health_live {
	uint64_t look_us, list_us, traffic_us; /* of the newest one of each */
	uint64_t news;	 /* of all workers, as of the newest look at traffic */
	uint64_t log_us; /* the second that <log_lines> belongs to */
	unsigned log_lines;
	bool stale;	/* the configuration is another: list all endpoints */
	bool some_out;	/* look at traffic again although there is no news */
	bool suspected; /* what has been said of suspicion */
};

/* Everything that swap.c and live.c need of the agent. */
struct live_context {
	struct worker_group *group; /* borrowed */
	struct slots slots;
	struct reclaim reclaim;
	struct live *live; /* owned; published; NULL: none yet */
	uint64_t serial;   /* of the newest configuration built */
	struct health health;
	struct health_live health_live;
	struct derive derive;
};

void live_init(struct live_context *c, struct worker_group *g, const struct agent_ops *ops);
/* No worker exists any more: frees everything. */
void live_fini(struct live_context *c);

/*
 * swap.c. Opens the image and builds the configuration; on success it owns <image>. Slots that are
 * not published yet are held already; swap_discard() gives all of it back.
 */
enum message_result swap_open(struct live_context *c, void *image, size_t len,
	const struct journal_head *head, uint64_t now_us, struct live **ret, struct err *err);
void swap_discard(struct live_context *c, struct live *l);
/* Publishes; the one before is freed when the workers have left it. Room for 1 large item. */
void swap_publish(struct live_context *c, struct live *l, uint64_t now_us);

/*
 * endpoint_set.c. Room for <count> endpoints and for what is known of their clusters; when all are
 * in, each at the place of its message's, they are put in order and their clusters weighed.
 */
size_t endpoint_set_bytes(uint32_t count);
void endpoint_set_finish(struct endpoint_set *set, const struct message_endpoint *e);

/*
 * live.c. Apply to <l>, published or not; any result but OK: nothing changed. Needs room in the
 * line for one item. <len>: bytes of the message.
 */
enum message_result live_apply_weights(struct live_context *c, struct live *l,
	const struct message *m, size_t len, uint64_t now_us, struct err *err);
enum message_result live_apply_endpoints(struct live_context *c, struct live *l,
	const struct message *m, size_t len, uint64_t now_us, struct err *err);
/* False: the journal could not keep a record of every changed object with one more of <len>. */
bool live_journal_has_room(const struct live *l, size_t len);
/* Journal key of the object that <m> replaces. */
uint64_t live_key(const struct message *m);

/* health_live.c. */
void health_live_init(struct live_context *c);
/* Endpoints or policies in use are others. */
void health_live_stale(struct live_context *c);
/* Once per turn of the agent: does what is due. */
void health_live_run(struct live_context *c, uint64_t now_us);
#define HEALTH_LOOK_MS 10 /* health_live_run() wants to be called so often while ... */
bool health_live_is_running(const struct live_context *c);
