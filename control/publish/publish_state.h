// SPDX-License-Identifier: Apache-2.0
/*
 * publish_state.h: struct publish and what its files call in each other. For publish/ and its tests.
 *
 *	publish.c		lifecycle, descriptor, questions about state
 *	publish_update.c	what changed? build_config -> objects, image, revision
 *	publish_copy.c		the wanted configuration, kept
 *	publish_link.c		the session with one dataplane, and what it still lacks
 *	publish_query.c		open questions
 *	publish_epoch.c		lock, epoch and generation on disk
 */
#pragma once

#include "control/publish/publish.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/list.h"
#include "dataplane/link/link.h"

#define PUBLISH_TICK_US 250000u
#define PUBLISH_WINDOW 256u	     /* changes sent and not acknowledged, per dataplane */
#define PUBLISH_RETRY_MIN_US 500000u /* a refused snapshot is sent again after this, doubling */
#define PUBLISH_RETRY_MAX_US 30000000u
#define PUBLISH_IMAGES_KEPT 4u /* files; a dataplane may be reading an older one */
#define PUBLISH_GENERATION_MAX (UINT64_C(1) << 62) /* a HELLO beyond is not believed */

/* What one rule or service shall be: the content of its small message. */
struct pub_object {
	struct list link;	 /* publish.objects: by revision, oldest first */
	struct pub_object *next; /* in its hash chain */
	uint64_t id, revision, digest, published_us;
	uint8_t type; /* MESSAGE_WEIGHTS or MESSAGE_ENDPOINTS */
	uint32_t count;
	void *items; /* owned: struct message_weight[] or struct message_endpoint[] */
	char *text;  /* owned: names of endpoints and clusters */
	uint32_t cluster_count;
	struct message_cluster *clusters; /* owned: of endpoints */
};

enum pub_sent_kind { PUB_SENT_SMALL = 0, PUB_SENT_SNAPSHOT, PUB_SENT_DRAIN, PUB_SENT_REFUSED };

/* Sent and not acknowledged. */
struct pub_sent {
	uint64_t seq, generation, revision, structure, published_us;
	enum pub_sent_kind kind;
	bool done; /* acknowledged, but an earlier one is not */
};

/* What the dataplane has, by its HELLO, its acknowledgements and its heartbeats. */
struct pub_have {
	uint64_t generation, structure, state;
	uint64_t revision, epoch;
	bool state_known; /* nothing was sent since it told <state> */
};

struct pub_session {
	bool up, welcomed;
	uint32_t id;   /* the dataplane's, from its HELLO */
	uint64_t boot; /* its epoch */
	uint64_t up_us, heard_us, beat_us;
	uint64_t seq_out[MESSAGE_STREAM_COUNT], seq_in[MESSAGE_STREAM_COUNT];
};

struct pub_dataplane {
	struct publish *p;
	char *name, *url;  /* owned */
	struct link *link; /* owned */
	struct pub_session s;
	struct pub_have have;
	struct pub_sent sent[PUBLISH_WINDOW];
	unsigned sent_first, sent_count;
	uint64_t sent_revision; /* in this session, up to here everything is there or on its way */
	uint64_t acked_generation, acked_revision;
	uint64_t using_generation; /* as it last said */
	uint64_t snapshot_due_us;  /* a snapshot is wanted at this time; 0: none is */
	uint64_t retry_us;	   /* next distance between tries */
	uint64_t last_heard_us;	   /* also of earlier sessions; 0: never */
	uint64_t ack_us;
	bool counts; /* it did at the last look, see pub_dataplane_is_live() */
	bool hole;   /* a change was refused: later ones do not count up to it */
	bool synced, draining, drain_wanted, drain_due, drain_refused;
	char version[MESSAGE_NAME_MAX + 1];
	char error[MESSAGE_TEXT_MAX + 1];
	uint64_t connects, snapshots_sent, smalls_sent, refused, bad_messages;
};

struct pub_query {
	struct list link;
	uint64_t id, deadline_us;
	uint32_t dataplane;
	publish_reply_fn fn;
	void *arg;
	char *text; /* owned: chunks so far */
	size_t len;
	enum message_result status;
	bool done; /* its answer is complete, or will never come */
};

struct publish {
	char *name, *state_dir; /* owned */
	void (*on_change)(void *arg);
	void *arg;
	int lock_fd, epoll_fd, timer_fd, wake_fd;
	bool changed; /* on_change is due */
	uint64_t started_us;

	uint64_t epoch;
	bool fresh; /* the state directory knew no epoch: take one above a dataplane's */
	uint64_t generation, revision, structure;
	uint64_t state;		   /* sum of the objects' digests */
	bool wanted;		   /* there was an update */
	uint64_t image_us;	   /* when the image's content was published */
	struct list objects;	   /* struct pub_object */
	struct pub_object **heads; /* owned, [mask + 1] */
	uint32_t object_count, mask;

	struct arena cfg_arena;	 /* owns <cfg> */
	struct build_config cfg; /* what is wanted */
	uint64_t base_revision;	 /* what came before cannot be told in small messages alone */
	void *image; /* owned: snapshot of <cfg> at <image_revision>; NULL: none built */
	size_t image_len;
	uint64_t image_digest, image_generation, image_revision;
	char *image_path;		      /* owned; NULL: not on disk */
	char *old_paths[PUBLISH_IMAGES_KEPT]; /* owned */
	unsigned old_next;

	struct pub_dataplane *dps; /* owned */
	uint32_t dp_count;
	struct list queries; /* struct pub_query */
	unsigned query_count;
	uint64_t query_last;
	struct message_scratch *scratch;
	uint8_t *buf; /* MESSAGE_BYTES_MAX */
};

/* publish_update.c */
void pub_objects_free(struct publish *p);
/* The first object, in the order of revisions, above <revision>; NULL: none. */
const struct pub_object *pub_objects_above(const struct publish *p, uint64_t revision);
/* The message of an object; generation and head are the caller's. */
void pub_object_message(const struct pub_object *o, uint64_t generation, struct message *ret);
/* Makes sure that the image on disk is that of the newest revision. */
int pub_image_store(struct publish *p, struct err *err);

/* publish_copy.c */
void pub_config_copy(const struct build_config *from, struct arena *a, struct build_config *ret);

/* publish_link.c */
int pub_dataplane_open(struct pub_dataplane *d, struct err *err);
void pub_dataplane_close(struct pub_dataplane *d);
/* Takes everything that came. */
void pub_dataplane_run(struct pub_dataplane *d, uint64_t now_us);
/* Sends what it lacks, as far as the window allows. */
void pub_dataplane_pump(struct pub_dataplane *d, uint64_t now_us);
void pub_dataplane_tick(struct pub_dataplane *d, uint64_t now_us);
/* The wanted configuration changed; <image>: a new image is part of it. */
void pub_dataplane_published(struct pub_dataplane *d, bool image, uint64_t now_us);
bool pub_dataplane_is_live(const struct pub_dataplane *d, uint64_t now_us);
bool pub_dataplane_send(struct pub_dataplane *d, struct message *m);

/* publish_query.c */
void pub_query_reply(struct publish *p, uint32_t dataplane, const struct message *m);
/* The session of <dataplane> ended. */
void pub_query_lost(struct publish *p, uint32_t dataplane);
/* Runs the callbacks of what is complete or late. */
void pub_query_run(struct publish *p, uint64_t now_us);
void pub_query_free_all(struct publish *p);

/* publish_epoch.c */
/* Locks the directory and starts the next epoch. */
int pub_epoch_open(struct publish *p, struct err *err);
int pub_epoch_write(const struct publish *p, struct err *err);
