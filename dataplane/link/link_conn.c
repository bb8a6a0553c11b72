// SPDX-License-Identifier: Apache-2.0
/*
 * link_conn.c: see link_conn.h.
 */
#include "dataplane/link/link_conn.h"

#include <stdlib.h>
#include <string.h>

#include <nng/protocol/pair1/pair.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"

#define MESSAGE_TYPE_USER 1 /* of nng's ipc transport */

static const uint8_t greeting[CONN_GREETING_BYTES] = {0, 'S', 'P', 0, NNG_PAIR1_SELF >> 8,
	NNG_PAIR1_SELF & 0xff, 0, 0};

struct conn_frame *conn_frame_new(const void *body, size_t len)
{
	struct conn_frame *f = malloc(sizeof(*f) + CONN_HEAD_BYTES + len);

	bug_on(f == NULL);
	f->len = len;
	f->b[0] = MESSAGE_TYPE_USER;
	be64_put(f->b + 1, len + 4);
	be32_put(f->b + 9, 1); /* the first hop */
	if (body != NULL)
		memcpy(f->b + CONN_HEAD_BYTES, body, len);
	return f;
}

/* Where the bytes of this stage go. */
static uint8_t *stage_buffer(struct conn *c, size_t *ret_len)
{
	switch (c->stage) {
	case CONN_GREETING:
		*ret_len = CONN_GREETING_BYTES;
		return c->greeting_in;
	case CONN_HEAD:
		*ret_len = CONN_HEAD_BYTES;
		return c->head;
	default:
		*ret_len = c->in->len;
		return c->in->b + CONN_HEAD_BYTES;
	}
}

void conn_receive(struct conn *c)
{
	size_t len;
	uint8_t *p = stage_buffer(c, &len);
	nng_iov iov = {.iov_buf = p + c->have, .iov_len = len - c->have};

	nng_aio_set_timeout(c->rx,
		c->stage == CONN_GREETING ? c->greeting_ms : NNG_DURATION_INFINITE);
	nng_aio_set_iov(c->rx, 1, &iov);
	nng_stream_recv(c->stream, c->rx);
}

/* A message of a length that we take begins. False: *ret_why. */
static bool head_check(const struct conn *c, enum conn_fault *ret_why)
{
	uint64_t len = be64_get(c->head + 1);

	*ret_why = CONN_BYTES;
	if (c->head[0] != MESSAGE_TYPE_USER || len <= 4 || be32_get(c->head + 9) > CONN_HOPS_MAX)
		return false;
	*ret_why = CONN_LONG;
	return len - 4 <= c->recv_max;
}

/* All bytes of the stage are there. True: go on receiving. */
static bool stage_done(struct conn *c)
{
	enum conn_fault why = CONN_BYTES;
	struct conn_frame *f = c->in;

	c->have = 0;
	switch (c->stage) {
	case CONN_GREETING:
		if (memcmp(c->greeting_in, greeting, sizeof(greeting)) != 0)
			break;
		c->stage = CONN_HEAD;
		c->ops->greeted(c);
		return true;
	case CONN_HEAD:
		if (!head_check(c, &why))
			break;
		c->in = conn_frame_new(NULL, be64_get(c->head + 1) - 4);
		c->stage = CONN_BODY;
		return true;
	case CONN_BODY:
		c->in = NULL;
		c->stage = CONN_HEAD;
		return c->ops->take(c, f);
	}
	c->ops->failed(c, why);
	return false;
}

/* What nng's error means; only a TLS stream knows the first two. */
static enum conn_fault fault_of(int error)
{
	return error == NNG_ECRYPTO || error == NNG_EPEERAUTH ? CONN_CRYPTO : CONN_ENDED;
}

static void on_received(void *arg)
{
	struct conn *c = arg;
	int error = nng_aio_result(c->rx);
	size_t len;

	if (error != 0) {
		c->ops->failed(c, fault_of(error));
		return;
	}
	stage_buffer(c, &len);
	c->have += nng_aio_count(c->rx);
	if (c->have == len && !stage_done(c))
		return;
	conn_receive(c);
}

static void send_rest(struct conn *c)
{
	nng_iov iov;

	if (c->out == NULL)
		iov = (nng_iov){c->greeting_out + c->out_done, CONN_GREETING_BYTES - c->out_done};
	else
		iov = (nng_iov){c->out->b + c->out_done,
			CONN_HEAD_BYTES + c->out->len - c->out_done};
	nng_aio_set_iov(c->tx, 1, &iov);
	nng_stream_send(c->stream, c->tx);
}

void conn_send(struct conn *c, struct conn_frame *f)
{
	c->out = f;
	c->out_done = 0;
	send_rest(c);
}

static void on_sent(void *arg)
{
	struct conn *c = arg;
	bool was_message = c->out != NULL;
	size_t all = was_message ? CONN_HEAD_BYTES + c->out->len : CONN_GREETING_BYTES;
	int error = nng_aio_result(c->tx);
	struct conn_frame *next;

	if (error != 0) {
		c->ops->failed(c, fault_of(error));
		return;
	}
	c->out_done += nng_aio_count(c->tx);
	if (c->out_done < all) {
		send_rest(c);
		return;
	}
	free(c->out);
	c->out = NULL;
	next = c->ops->give(c, was_message);
	if (next != NULL)
		conn_send(c, next);
}

struct conn *conn_new(const struct conn_ops *ops, void *owner, size_t recv_max, int greeting_ms,
	nng_stream *stream)
{
	struct conn *c = calloc(1, sizeof(*c));

	bug_on(c == NULL);
	c->ops = ops;
	c->owner = owner;
	c->recv_max = recv_max;
	c->greeting_ms = greeting_ms;
	c->stream = stream;
	bug_on(nng_aio_alloc(&c->rx, on_received, c) != 0 ||
		nng_aio_alloc(&c->tx, on_sent, c) != 0); /* out of memory */
	memcpy(c->greeting_out, greeting, sizeof(greeting));
	c->receiving = c->sending = true;
	return c;
}

void conn_free(struct conn *c)
{
	nng_stream_close(c->stream);
	nng_aio_stop(c->rx);
	nng_aio_stop(c->tx);
	nng_aio_free(c->rx);
	nng_aio_free(c->tx);
	nng_stream_free(c->stream);
	free(c->in);
	free(c->out);
	free(c);
}
