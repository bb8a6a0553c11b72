// SPDX-License-Identifier: Apache-2.0
/*
 * carrier_channel.c: one connection of the nng carrier: dialed or accepted, then greets, then is
 * up, then over.
 *
 * The first part runs on nng's threads, the second on the owner's.
 */
#include "federation/carrier_private.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"

void stream_drop(nng_stream *s)
{
	nng_stream_close(s);
	nng_stream_free(s);
}

/* --- on nng's threads --- */

/* Under the lock. */
static struct conn_frame *outbox_pop(struct channel *ch)
{
	struct conn_frame *f = ch->outbox[ch->out_first];

	if (ch->out_count == 0)
		return NULL;
	ch->out_first = (ch->out_first + 1) % CARRIER_NNG_OUTBOX_MAX;
	ch->out_count--;
	ch->out_bytes -= f->len;
	return f;
}

static bool channel_take(struct conn *c, struct conn_frame *f)
{
	struct channel *ch = c->owner;
	bool more;

	carrier_lock(ch->n);
	ch->inbox[(ch->in_first + ch->in_count++) % CARRIER_NNG_INBOX_MAX] = f;
	ch->stats.messages_received++;
	ch->stats.bytes_received += f->len;
	more = c->receiving = ch->in_count < CARRIER_NNG_INBOX_MAX;
	carrier_unlock(ch->n);
	carrier_wake(ch->n);
	return more;
}

static struct conn_frame *channel_give(struct conn *c, bool was_message)
{
	struct channel *ch = c->owner;
	struct conn_frame *f = NULL;

	carrier_lock(ch->n);
	if (!was_message) {
		c->greeted_out = true;
		ch->up = c->greeted_in;
	}
	if (!ch->failed)
		f = outbox_pop(ch);
	c->sending = f != NULL;
	ch->write_us = f != NULL ? clock_mono_us() : 0;
	carrier_unlock(ch->n);
	carrier_wake(ch->n);
	return f;
}

/* Bytes of theirs were decrypted, so TLS is agreed; nng says whether it looked at a certificate. */
static void channel_greeted(struct conn *c)
{
	struct channel *ch = c->owner;
	bool verified = false;

	if (nng_stream_get_bool(c->stream, NNG_OPT_TLS_VERIFIED, &verified) != 0)
		verified = false;
	carrier_lock(ch->n);
	c->greeted_in = verified;
	ch->up = verified && c->greeted_out;
	if (!verified) {
		ch->failed = true;
		ch->why = CARRIER_CERTIFICATE;
	}
	carrier_unlock(ch->n);
	carrier_wake(ch->n);
}

static void channel_failed(struct conn *c, enum conn_fault fault)
{
	static const enum carrier_end why[] = {
		[CONN_ENDED] = CARRIER_CLOSED,
		[CONN_CRYPTO] = CARRIER_CERTIFICATE,
		[CONN_BYTES] = CARRIER_CLOSED,
		[CONN_LONG] = CARRIER_TOO_LONG,
	};
	struct channel *ch = c->owner;

	carrier_lock(ch->n);
	if (!ch->failed)
		ch->why = !ch->met && fault == CONN_ENDED ? CARRIER_UNREACHABLE : why[fault];
	ch->failed = true;
	carrier_unlock(ch->n);
	carrier_wake(ch->n);
}

static const struct conn_ops conn_ops = {
	.take = channel_take,
	.give = channel_give,
	.greeted = channel_greeted,
	.failed = channel_failed,
};

static void on_dialed(void *arg)
{
	struct channel *ch = arg;
	int rv = nng_aio_result(ch->dial);

	carrier_lock(ch->n);
	if (rv == 0) {
		ch->stream = nng_aio_get_output(ch->dial, 0);
	} else {
		ch->failed = true;
		ch->why = rv == NNG_ECRYPTO || rv == NNG_EPEERAUTH ? CARRIER_CERTIFICATE
								   : CARRIER_UNREACHABLE;
	}
	carrier_unlock(ch->n);
	carrier_wake(ch->n);
}

/* --- on the owner's --- */

struct channel *channel_new(struct carrier_nng *n, bool dialed)
{
	struct channel *ch = calloc(1, sizeof(*ch));

	bug_on(ch == NULL);
	ch->n = n;
	ch->dialed = dialed;
	list_add_tail(&n->channels, &ch->link);
	n->count++;
	return ch;
}

void channel_free(struct channel *ch)
{
	list_del(&ch->link);
	ch->n->count--;
	if (ch->dial != NULL) {
		nng_aio_stop(ch->dial);
		nng_aio_free(ch->dial);
	}
	if (ch->conn != NULL)
		conn_free(ch->conn);
	if (ch->stream != NULL)
		stream_drop(ch->stream);
	if (ch->dialer != NULL) {
		nng_stream_dialer_close(ch->dialer);
		nng_stream_dialer_free(ch->dialer);
	}
	for (; ch->in_count > 0; ch->in_count--) {
		free(ch->inbox[ch->in_first]);
		ch->in_first = (ch->in_first + 1) % CARRIER_NNG_INBOX_MAX;
	}
	for (struct conn_frame *f = outbox_pop(ch); f != NULL; f = outbox_pop(ch))
		free(f);
	free(ch);
}

struct channel *channel_find(struct carrier_nng *n, uint64_t number)
{
	list_for_each (l, &n->channels) {
		struct channel *ch = list_entry(l, struct channel, link);

		if (ch->number == number && number != 0 && !ch->closed)
			return ch;
	}
	return NULL;
}

bool stream_address(nng_stream *s, struct ip_addr *ret, uint16_t *ret_port)
{
	nng_sockaddr sa;

	if (nng_stream_get_addr(s, NNG_OPT_REMADDR, &sa) != 0)
		return false;
	if (sa.s_family == NNG_AF_INET) {
		*ret = ip_from_v4(&sa.s_in.sa_addr);
		*ret_port = ntohs(sa.s_in.sa_port);
	} else if (sa.s_family == NNG_AF_INET6) {
		*ret = ip_from_v6(sa.s_in6.sa_addr);
		*ret_port = ntohs(sa.s_in6.sa_port);
	} else {
		return false;
	}
	return true;
}

/* False: TCP knows no other side. */
static bool address_note(struct channel *ch, nng_stream *s)
{
	char host[IP_ADDR_STRLEN];
	struct ip_addr a;
	uint16_t port;

	if (!stream_address(s, &a, &port))
		return false;
	snprintf(ch->address, sizeof(ch->address), ip_is_v4(&a) ? "%s:%u" : "[%s]:%u",
		ip_format(&a, host), port);
	return true;
}

/*
 * A stream that was found becomes the connection. nng's poller may see a socket before its
 * connect() (EPOLLHUP without an error) and call it connected: such a stream has the time of an
 * attempt left for TCP and TLS, and what never comes of it was unreachable.
 */
void channel_begin(struct channel *ch, nng_stream *s)
{
	uint32_t ms;

	ch->met = address_note(ch, s);
	ms = ch->met ? CARRIER_NNG_GREETING_MS : CARRIER_NNG_CONNECT_MS;
	ch->conn = conn_new(&conn_ops, ch, CARRIER_MESSAGE_MAX, ms, s);
	conn_send(ch->conn, NULL);
	conn_receive(ch->conn);
}

int channel_dial(struct channel *ch, const char *url, const char *name)
{
	nng_tls_config *tls = carrier_tls_client(&ch->n->tls, name);
	bool ok = tls != NULL && nng_stream_dialer_alloc(&ch->dialer, url) == 0 &&
		nng_stream_dialer_set_ptr(ch->dialer, NNG_OPT_TLS_CONFIG, tls) == 0 &&
		nng_aio_alloc(&ch->dial, on_dialed, ch) == 0;

	if (tls != NULL)
		nng_tls_config_free(tls); /* the dialer has its own reference */
	if (!ok)
		return -1;
	snprintf(ch->address, sizeof(ch->address), "%s", url);
	nng_aio_set_timeout(ch->dial, CARRIER_NNG_CONNECT_MS);
	nng_stream_dialer_dial(ch->dialer, ch->dial);
	return 0;
}

bool channel_send(struct channel *ch, const void *data, size_t len)
{
	struct conn_frame *f, *now = NULL;
	bool queued;

	if (ch->conn == NULL || len == 0 || len > CARRIER_MESSAGE_MAX)
		return false;
	f = conn_frame_new(data, len);
	carrier_lock(ch->n);
	queued = !ch->failed && ch->out_count < CARRIER_NNG_OUTBOX_MAX &&
		ch->out_bytes + len <= CARRIER_NNG_OUTBOX_BYTES_MAX;
	if (queued) {
		ch->outbox[(ch->out_first + ch->out_count++) % CARRIER_NNG_OUTBOX_MAX] = f;
		ch->out_bytes += len;
		ch->stats.messages_sent++;
		ch->stats.bytes_sent += len;
		if (!ch->conn->sending)
			now = outbox_pop(ch);
		if (now != NULL)
			ch->write_us = clock_mono_us();
		ch->conn->sending = true;
	}
	carrier_unlock(ch->n);
	if (!queued)
		free(f);
	if (now != NULL)
		conn_send(ch->conn, now);
	return queued;
}

/* The next message, or NULL; a connection that was slowed down goes on. */
struct conn_frame *channel_receive(struct channel *ch)
{
	struct conn_frame *f = NULL;
	bool receive = false;

	carrier_lock(ch->n);
	if (ch->in_count > 0) {
		f = ch->inbox[ch->in_first];
		ch->in_first = (ch->in_first + 1) % CARRIER_NNG_INBOX_MAX;
		ch->in_count--;
		receive = !ch->conn->receiving && !ch->failed;
		ch->conn->receiving |= receive;
	}
	carrier_unlock(ch->n);
	if (receive)
		conn_receive(ch->conn);
	return f;
}
