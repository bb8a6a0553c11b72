// SPDX-License-Identifier: Apache-2.0
/*
 * link_conn.h: one connection: PAIR1's bytes over an nng stream, whatever carries the stream. Used
 * by the link between control and dataplane, and by federation's carrier between sites.
 *
 *	greeting	00 'S' 'P' 00, protocol 0x0011, 00 00; sent by both ends at once
 *	message		01, length 64 bits (of what follows), hop count 32 bits, body
 *
 * Each of its two operations is started either by the owner's thread or from the operation's own
 * callback, so the owner can end both and be sure that nothing runs any more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <nng/nng.h>

#define CONN_GREETING_BYTES 8u
#define CONN_HEAD_BYTES 13u /* type, length, hop count */
#define CONN_HOPS_MAX 255u  /* as nng's own */

/* A message with room for its head in front. */
struct conn_frame {
	size_t len;  /* of the body */
	uint8_t b[]; /* head, then body */
};

enum conn_stage { CONN_GREETING = 0, CONN_HEAD, CONN_BODY };

/* Why a connection failed. */
enum conn_fault {
	CONN_ENDED = 0, /* by the other side, the network, or its time */
	CONN_CRYPTO,	/* TLS was not agreed */
	CONN_BYTES,	/* not the protocol */
	CONN_LONG,	/* a message longer than <recv_max> */
};

struct conn;

/* Whom a connection tells; called on nng's threads. */
struct conn_ops {
	/* A whole message: it is the owner's. True: receive the next one. */
	bool (*take)(struct conn *c, struct conn_frame *f);
	/* The greeting was sent, or a message: the next one to send, or NULL. */
	struct conn_frame *(*give)(struct conn *c, bool was_message);
	/* Greeted by the peer. */
	void (*greeted)(struct conn *c);
	/* It is over, in one of its two directions or both. */
	void (*failed)(struct conn *c, enum conn_fault why);
};

struct conn {
	const struct conn_ops *ops; /* borrowed, as <owner> */
	void *owner;
	size_t recv_max;       /* a longer message ends the connection */
	int greeting_ms;       /* for the protocol's greeting, both ways */
	nng_stream *stream;    /* owned */
	nng_aio *rx, *tx;      /* owned */
	enum conn_stage stage; /* rx callback: rw */
	size_t have;	       /* bytes of this stage, rx callback: rw */
	uint8_t greeting_in[CONN_GREETING_BYTES], greeting_out[CONN_GREETING_BYTES];
	uint8_t head[CONN_HEAD_BYTES];
	struct conn_frame *in;	/* owned, while its body arrives */
	struct conn_frame *out; /* owned, on its way; NULL: the greeting is */
	size_t out_done;
	/* The owner's, under its lock: */
	bool greeted_in, greeted_out, up, failed;
	bool receiving, sending;
};

/*
 * Takes the stream. Begin with conn_send(c, NULL), the greeting, and conn_receive(). <receiving> and
 * <sending> are true then.
 */
struct conn *conn_new(const struct conn_ops *ops, void *owner, size_t recv_max, int greeting_ms,
	nng_stream *stream);
/* Owner: ends both operations, waits for their callbacks, frees. */
void conn_free(struct conn *c);
struct conn_frame *conn_frame_new(const void *body, size_t len);
/* Owner or callback, without the lock; the flag was set by the caller under the lock. */
void conn_receive(struct conn *c);
void conn_send(struct conn *c, struct conn_frame *f);
