// SPDX-License-Identifier: Apache-2.0
/*
 * carrier_listen.c: the port that peers dial.
 *
 * Streams are left in <incoming> by nng's thread and become channels on the owner's, where the
 * limit on strangers is kept: those who hold a connection without having agreed on TLS.
 */
#include "federation/carrier_private.h"

#include <string.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/log.h"

#define PAUSE_MS 200 /* after a failed accept or listen */

static void accept_next(struct carrier_nng *n)
{
	nng_stream_listener_accept(n->listener, n->accept);
}

static void on_accepted(void *arg)
{
	struct carrier_nng *n = arg;
	int rv = nng_aio_result(n->accept);
	nng_stream *s = rv == 0 ? nng_aio_get_output(n->accept, 0) : NULL;
	bool go;

	carrier_lock(n);
	go = n->listening;
	if (s != NULL && go && n->incoming_count < CARRIER_NNG_STRANGERS_MAX) {
		n->incoming[n->incoming_count++] = s;
		s = NULL;
	}
	carrier_unlock(n);
	if (s != NULL)
		stream_drop(s);
	carrier_wake(n);
	if (go && rv == 0)
		accept_next(n);
	else if (go)
		nng_sleep_aio(PAUSE_MS, n->pause); /* out of descriptors, say */
}

static void on_pause(void *arg)
{
	struct carrier_nng *n = arg;
	bool go;

	carrier_lock(n);
	go = n->listening && nng_aio_result(n->pause) == 0;
	carrier_unlock(n);
	if (go)
		accept_next(n);
	carrier_wake(n); /* without a listener: the owner tries to have one */
}

void listen_init(struct carrier_nng *n)
{
	bug_on(nng_aio_alloc(&n->accept, on_accepted, n) != 0 ||
		nng_aio_alloc(&n->pause, on_pause, n) != 0); /* out of memory */
}

static void set_listening(struct carrier_nng *n, bool on)
{
	carrier_lock(n);
	n->listening = on;
	carrier_unlock(n);
}

/* An error of nng's. */
int listen_begin(struct carrier_nng *n)
{
	nng_stream_listener *new = NULL;
	int rv = nng_stream_listener_alloc(&new, n->listen);

	if (rv == 0)
		rv = nng_stream_listener_set_ptr(new, NNG_OPT_TLS_CONFIG, n->tls.server);
	if (rv == 0)
		rv = nng_stream_listener_listen(new);
	if (rv != 0) {
		if (new != NULL)
			nng_stream_listener_free(new);
		return rv;
	}
	n->listener = new;
	set_listening(n, true);
	accept_next(n);
	return 0;
}

/* Afterwards neither of the two operations runs, and none starts the other. */
void listen_end(struct carrier_nng *n)
{
	if (n->listener == NULL)
		return;
	set_listening(n, false);
	/* An accept that on_accepted() is about to begin would otherwise be waited for for ever. */
	nng_stream_listener_close(n->listener);
	nng_aio_cancel(n->pause);
	nng_aio_wait(n->pause);
	nng_aio_cancel(n->accept);
	nng_aio_wait(n->accept);
	nng_aio_cancel(n->pause); /* begun by the accept meanwhile */
	nng_aio_wait(n->pause);
	nng_stream_listener_free(n->listener);
	n->listener = NULL;
}

void listen_check(struct carrier_nng *n)
{
	if (!n->listen_again || n->listener != NULL)
		return;
	if (listen_begin(n) == 0) {
		n->listen_again = false;
		log_info("site", "url=%s msg=\"listening again\"", n->listen);
	} else {
		nng_sleep_aio(PAUSE_MS, n->pause);
	}
}

void listen_again(struct carrier_nng *n)
{
	n->listen_again = true;
	nng_sleep_aio(PAUSE_MS, n->pause);
}

void listen_take(struct carrier_nng *n)
{
	nng_stream *s[CARRIER_NNG_STRANGERS_MAX];
	unsigned count, strangers = 0;

	carrier_lock(n);
	count = n->incoming_count;
	memcpy(s, n->incoming, count * sizeof(s[0]));
	n->incoming_count = 0;
	carrier_unlock(n);
	list_for_each (l, &n->channels) {
		const struct channel *ch = list_entry(l, struct channel, link);

		strangers += !ch->dialed && !ch->told_up;
	}
	for (unsigned i = 0; i < count; i++) {
		if (n->count < CARRIER_NNG_CONNS_MAX && strangers < CARRIER_NNG_STRANGERS_MAX &&
			n->has_sink) {
			channel_begin(channel_new(n, false), s[i]);
			strangers++;
		} else {
			stream_drop(s[i]);
		}
	}
}
