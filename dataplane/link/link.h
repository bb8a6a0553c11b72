// SPDX-License-Identifier: Apache-2.0
/*
 * link.h: the carrier of messages between two processes: nng's PAIR1 over ipc, one peer at a time.
 *
 * The dataplane listens, control dials: the dataplane lives longer, its URL is its identity, and a
 * restarted control connects at once instead of waiting for somebody's next try. A listener that
 * has a connection closes every other one at once; the peer notices and dials again. A connection
 * counts only after the application's WELCOME (snapshot/message.h).
 *
 * The wire is PAIR1's, so any nng socket can be at the other end, but ours are built on nng's byte
 * streams: a PAIR1 socket of nng 1.5.2 whose connection ends between the head and the body of an
 * incoming message waits for ever in nng's one reaper thread (nng issue 1543, fixed in 1.7.3), and
 * then no connection of the process ever comes back.
 *
 * nng's callbacks run on its own threads and do nothing but move bytes, queue an event and write an
 * eventfd; everything else belongs to the one thread that owns the link. nng starts its threads
 * with the first call of the process, and they inherit that caller's CPUs and signal mask: open the
 * first link from a thread on housekeeping CPUs with signals blocked, never from an lcore.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dataplane/base/err.h"

#define LINK_INBOX_MAX 64u    /* messages waiting; then the peer is slowed down */
#define LINK_OUTBOX_MAX 1024u /* messages waiting; then link_send() refuses */
#define LINK_OUTBOX_BYTES_MAX (32u << 20)
#define LINK_REDIAL_MS 50     /* from the end of a connection or a try to the next try */
#define LINK_GREETING_MS 3000 /* for the protocol's greeting, both ways */
#define LINK_PEER_UIDS_MAX 6u
#define LINK_CHECK_US 2000000u /* how often a lonely listener looks after its socket */

struct link;

struct link_config {
	const char *url;		     /* ipc:///path */
	bool listen;			     /* else dial, for ever */
	mode_t mode;			     /* of the listener's socket */
	size_t recv_bytes_max;		     /* a longer message ends the connection */
	uid_t peer_uids[LINK_PEER_UIDS_MAX]; /* who may be at the other end */
	unsigned peer_uid_count;
};

enum link_event_type {
	LINK_UP = 0, /* connected; nothing is known about the peer but its uid */
	LINK_DOWN,   /* what was not sent by then is gone */
	LINK_MESSAGE,
};

struct link_event {
	enum link_event_type type;
	const void *data; /* of a message: valid until the next link_next() */
	size_t len;
};

struct link_stats {
	uint64_t connects, disconnects;
	uint64_t rejected_peers; /* not an allowed user */
	uint64_t rejected_busy;	 /* there was a connection already */
	uint64_t rejected_bytes; /* not the protocol, or a message too long */
	uint64_t received, sent;
	uint64_t lost;	  /* accepted for sending, not sent when the connection ended */
	uint64_t refused; /* not accepted for sending */
	uint64_t relistens;
};

/* A dialer need not find anybody yet. */
int link_open(const struct link_config *cfg, struct link **ret, struct err *err);
void link_close(struct link *l);
/* Readable while events may wait. */
int link_fd(const struct link *l);
/* The next event, in order; false: none, and link_fd() is no longer readable. */
bool link_next(struct link *l, struct link_event *ret);
/* Copies; false: not connected, or the outbox is full. */
bool link_send(struct link *l, const void *data, size_t len);
/* Ends the connection; LINK_DOWN follows, and with a dialer soon a new LINK_UP. */
void link_drop(struct link *l);
bool link_is_up(struct link *l);
void link_stats(struct link *l, struct link_stats *ret);
/*
 * Once per second or so: a listener without a connection whose socket file was removed or replaced
 * listens again.
 */
void link_check(struct link *l, uint64_t now_us);
