// SPDX-License-Identifier: Apache-2.0
/*
 * carrier_nng.c: what is told of connections, and the six functions.
 *
 * nng's threads move channels forward; the owner's thread looks at all of them when the eventfd
 * says so and tells the sink. It frees none before the end of a dispatch, so the sink may close
 * whatever it likes.
 */
#include "federation/carrier_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"

void carrier_wake(struct carrier_nng *n)
{
	uint64_t one = 1;

	/* Fails only when the counter is full, and then the descriptor is readable anyhow. */
	if (write(n->event_fd, &one, sizeof(one)) < 0)
		return;
}

/* One inbox at most, so that nobody keeps the others waiting. */
static void tell_messages(struct channel *ch)
{
	struct carrier_nng *n = ch->n;
	struct conn_frame *f;

	for (unsigned i = 0; i < CARRIER_NNG_INBOX_MAX && !ch->closed && n->has_sink; i++) {
		f = channel_receive(ch);
		if (f == NULL)
			return;
		n->sink.on_message(n->sink.arg, ch->number, f->b + CONN_HEAD_BYTES, f->len);
		free(f);
	}
	carrier_lock(n);
	if (ch->in_count > 0)
		carrier_wake(n);
	carrier_unlock(n);
}

static void tell(struct channel *ch)
{
	struct carrier_nng *n = ch->n;
	nng_stream *s;
	bool up, failed, empty;

	carrier_lock(n);
	s = ch->stream;
	ch->stream = NULL;
	up = ch->up;
	carrier_unlock(n);
	if (s != NULL)
		channel_begin(ch, s);
	if (up && !ch->told_up) {
		ch->told_up = true;
		if (ch->number == 0)
			ch->number = ++n->last_number;
		if (!ch->dialed)
			door_saw(&n->door, &ch->from);
		n->sink.on_up(n->sink.arg, ch->number, ch->dialed);
	}
	if (ch->told_up)
		tell_messages(ch);
	carrier_lock(n);
	failed = ch->failed;
	empty = ch->in_count == 0 || !ch->told_up;
	carrier_unlock(n);
	if (!failed || !empty || ch->closed)
		return;
	ch->closed = true;
	n->sink.on_down(n->sink.arg, ch->number, ch->why);
}

void carrier_nng_dispatch(struct carrier_nng *n)
{
	uint64_t ignored;

	if (read(n->event_fd, &ignored, sizeof(ignored)) < 0 && errno != EAGAIN)
		return;
	listen_check(n);
	listen_take(n);
	list_for_each_safe (l, &n->channels) {
		struct channel *ch = list_entry(l, struct channel, link);

		if (n->has_sink && !ch->closed)
			tell(ch);
	}
	list_for_each_safe (l, &n->channels) {
		struct channel *ch = list_entry(l, struct channel, link);

		if (ch->closed)
			channel_free(ch);
	}
}

/* --- the six functions --- */

static uint64_t carrier_open(void *ctx, const char *url, const char *name)
{
	struct carrier_nng *n = ctx;
	struct channel *ch;

	if (n->count >= CARRIER_NNG_CONNS_MAX)
		return 0;
	ch = channel_new(n, true);
	ch->number = ++n->last_number;
	if (channel_dial(ch, url, name) < 0) {
		channel_free(ch);
		return 0;
	}
	return ch->number;
}

static bool carrier_send(void *ctx, uint64_t number, const void *data, size_t len)
{
	struct channel *ch = channel_find(ctx, number);

	return ch != NULL && channel_send(ch, data, len);
}

static void carrier_receive(void *ctx, const struct carrier_sink *sink)
{
	struct carrier_nng *n = ctx;

	n->has_sink = sink != NULL;
	if (sink != NULL)
		n->sink = *sink;
	carrier_wake(n);
}

static void carrier_peer_id(void *ctx, uint64_t number, char *buf, size_t size)
{
	const struct channel *ch = channel_find(ctx, number);

	snprintf(buf, size, "%s", ch != NULL ? ch->address : "");
}

static void carrier_close(void *ctx, uint64_t number)
{
	struct carrier_nng *n = ctx;
	struct channel *ch = channel_find(n, number);

	if (ch == NULL)
		return;
	ch->closed = true; /* freed at the end of the next dispatch */
	carrier_wake(n);
}

static void carrier_stats(void *ctx, uint64_t number, struct carrier_stats *ret)
{
	struct carrier_nng *n = ctx;
	struct channel *ch = channel_find(n, number);

	*ret = (struct carrier_stats){0};
	if (ch == NULL)
		return;
	carrier_lock(n);
	*ret = ch->stats;
	ret->queued = ch->out_count;
	if (ch->write_us != 0)
		ret->waits_ms = (clock_mono_us() - ch->write_us) / 1000;
	carrier_unlock(n);
}

struct carrier carrier_nng_carrier(struct carrier_nng *n)
{
	return (struct carrier){
		.ctx = n,
		.open = carrier_open,
		.send = carrier_send,
		.receive = carrier_receive,
		.peer_id = carrier_peer_id,
		.close = carrier_close,
		.stats = carrier_stats,
	};
}

/* --- lifecycle --- */

int carrier_nng_open(const struct carrier_nng_config *cfg, struct carrier_nng **ret,
	struct err *err)
{
	struct carrier_nng *n = calloc(1, sizeof(*n));
	int rv;

	bug_on(n == NULL);
	list_init(&n->channels);
	pthread_mutex_init(&n->lock, NULL);
	n->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	bug_on(n->event_fd < 0); /* out of descriptors */
	listen_init(n);
	door_set_peers(&n->door, cfg->peers, cfg->peer_count);
	rv = carrier_tls_load(cfg, &n->tls, err);
	if (rv < 0) {
		carrier_nng_close(n);
		return rv;
	}
	if (cfg->listen != NULL) {
		n->listen = strdup(cfg->listen);
		bug_on(n->listen == NULL);
		rv = listen_begin(n);
	}
	if (rv != 0) {
		carrier_nng_close(n);
		return err_set(err, rv == NNG_EADDRINUSE ? EADDRINUSE : EINVAL, "listen on %s: %s",
			cfg->listen, nng_strerror(rv));
	}
	*ret = n;
	return 0;
}

void carrier_nng_close(struct carrier_nng *n)
{
	if (n == NULL)
		return;
	listen_end(n);
	nng_aio_stop(n->pause);
	nng_aio_stop(n->accept);
	nng_aio_free(n->pause);
	nng_aio_free(n->accept);
	list_for_each_safe (l, &n->channels)
		channel_free(list_entry(l, struct channel, link));
	for (unsigned i = 0; i < n->incoming_count; i++)
		stream_drop(n->incoming[i]);
	carrier_tls_fini(&n->tls);
	close(n->event_fd);
	pthread_mutex_destroy(&n->lock);
	free(n->listen);
	free(n);
}

int carrier_nng_fd(const struct carrier_nng *n)
{
	return n->event_fd;
}

/* Nobody is dialed or listened to any more. */
static void listen_stop(struct carrier_nng *n)
{
	listen_end(n);
	n->listen_again = false;
	free(n->listen);
	n->listen = NULL;
}

int carrier_nng_reload(struct carrier_nng *n, const struct carrier_nng_config *cfg, struct err *err)
{
	struct carrier_tls tls;
	int rc;

	if (cfg->ca == NULL) {
		listen_stop(n);
		return 0;
	}
	rc = carrier_tls_load(cfg, &tls, err);
	if (rc < 0)
		return rc;
	listen_stop(n);
	carrier_tls_fini(&n->tls);
	n->tls = tls;
	door_set_peers(&n->door, cfg->peers, cfg->peer_count);
	n->listen = cfg->listen != NULL ? strdup(cfg->listen) : NULL;
	if (n->listen == NULL || listen_begin(n) == 0)
		return 0;
	log_warn("site", "url=%s msg=\"the port is taken, trying on\"", n->listen);
	listen_again(n);
	return 0;
}
