// SPDX-License-Identifier: Apache-2.0
/*
 * link.h: the carrier of messages between two processes: nng PAIR1, hidden behind a few functions.
 *
 * The dataplane listens, control dials: the dataplane lives longer, its URL is its identity, and a
 * restarted control connects at once instead of waiting for somebody's next try. PAIR1 holds one
 * connection; a second one is closed by the listener although its sends "succeed", so a connection
 * counts only after the application's WELCOME (snapshot/message.h).
 *
 * nng's callbacks run on its own threads and do nothing but queue an event and write an eventfd;
 * everything else belongs to the one thread that owns the link. nng starts its threads with the
 * first call of the process, and they inherit that caller's CPUs and signal mask: open the first
 * link from a thread on housekeeping CPUs with signals blocked, never from an lcore.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "dataplane/base/err.h"

#define LINK_INBOX_MAX 64u		 /* messages waiting; then the peer is slowed down */
#define LINK_OUTBOX_MAX 1024u		 /* messages waiting; then link_send() refuses */
#define LINK_OUTBOX_BYTES_MAX (32u << 20)
#define LINK_REDIAL_MS 100		 /* a dialer tries again after 0..100 ms, evenly spread */
#define LINK_PEER_UIDS_MAX 6u
#define LINK_CHECK_US 10000000u		 /* a listener without a connection is tried this often */

struct link;

struct link_config {
	const char *url;		/* ipc:///path */
	bool listen;			/* else dial, for ever */
	mode_t mode;			/* of the listener's socket */
	size_t recv_bytes_max;		/* a longer message closes the connection */
	uid_t peer_uids[LINK_PEER_UIDS_MAX]; /* who may be at the other end */
	unsigned peer_uid_count;
};

enum link_event_type {
	LINK_UP = 0,		/* connected; nothing is known about the peer but its uid */
	LINK_DOWN,		/* what was not sent by then is gone */
	LINK_MESSAGE,
};

struct link_event {
	enum link_event_type type;
	const void *data;	/* of a message: valid until the next link_next() */
	size_t len;
};

struct link_stats {
	uint64_t connects, disconnects, rejected_peers, received, sent, lost, refused, relistens;
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
bool link_is_up(const struct link *l);
void link_stats(const struct link *l, struct link_stats *ret);
/*
 * Once per second or so. A listener that has been alone for LINK_CHECK_US makes sure that it can
 * still be reached (its socket file may have been removed, nng's accept loop may have ended) and
 * listens again if not.
 */
void link_check(struct link *l, uint64_t now_us);
