// SPDX-License-Identifier: Apache-2.0
/*
 * carrier_listen.c: the port that peers dial.
 *
 * Streams are left in <incoming> by nng's thread and become channels on the owner's, as far as the
 * limits on strangers go (carrier_door.c). When it is full nothing more is accepted until the owner
 * has looked: who is refused is for him to choose.
 */
#include "federation/carrier_private.h"

#include <string.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"

#define PAUSE_MS 200 /* after a failed accept or listen */

static void accept_next(struct carrier_nng *n)
{
	nng_stream_listener_accept(n->listener, n->accept);
}

/* One at a time: nng ends the process over an operation that is begun twice. */
static void pause_begin(struct carrier_nng *n)
{
	bool go;

	carrier_lock(n);
	go = !n->pausing;
	n->pausing = true;
	carrier_unlock(n);
	if (go)
		nng_sleep_aio(PAUSE_MS, n->pause);
}

static void on_accepted(void *arg)
{
	struct carrier_nng *n = arg;
	int rv = nng_aio_result(n->accept);
	nng_stream *s = rv == 0 ? nng_aio_get_output(n->accept, 0) : NULL;
	bool go, full;

	carrier_lock(n);
	go = n->listening;
	if (s != NULL && go) { /* there is room, or it would not have been accepted */
		n->incoming[n->incoming_count++] = s;
		s = NULL;
	}
	full = n->incoming_count == CARRIER_NNG_STRANGERS_MAX;
	n->accept_waits = go && rv == 0 && full;
	carrier_unlock(n);
	if (s != NULL)
		stream_drop(s);
	carrier_wake(n);
	if (go && rv == 0 && !full)
		accept_next(n);
	else if (go && rv != 0)
		pause_begin(n); /* out of descriptors, say */
}

static void on_pause(void *arg)
{
	struct carrier_nng *n = arg;
	bool go;

	carrier_lock(n);
	n->pausing = false;
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

/* Unless what came before is still to be taken: then that begins it. */
static void begin_accept(struct carrier_nng *n)
{
	bool go;

	carrier_lock(n);
	go = n->incoming_count < CARRIER_NNG_STRANGERS_MAX;
	n->accept_waits = !go;
	carrier_unlock(n);
	if (go)
		accept_next(n);
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
	begin_accept(n);
	return 0;
}

static void pause_end(struct carrier_nng *n)
{
	nng_aio_cancel(n->pause);
	nng_aio_wait(n->pause);
}

/* Afterwards neither of the two operations runs, and none starts the other. */
void listen_end(struct carrier_nng *n)
{
	pause_end(n);
	if (n->listener == NULL)
		return;
	set_listening(n, false);
	/* An accept that on_accepted() is about to begin would otherwise be waited for for ever. */
	nng_stream_listener_close(n->listener);
	pause_end(n);
	nng_aio_cancel(n->accept);
	nng_aio_wait(n->accept);
	pause_end(n); /* begun by the accept meanwhile */
	nng_stream_listener_free(n->listener);
	n->listener = NULL;
}

void listen_check(struct carrier_nng *n)
{
	bool pausing;

	carrier_lock(n);
	pausing = n->pausing;
	carrier_unlock(n);
	if (!n->listen_again || n->listener != NULL || pausing)
		return;
	if (listen_begin(n) == 0) {
		n->listen_again = false;
		log_info("site", "url=%s msg=\"listening again\"", n->listen);
	} else {
		pause_begin(n);
	}
}

void listen_again(struct carrier_nng *n)
{
	n->listen_again = true;
	pause_begin(n);
}

static void take(struct carrier_nng *n, nng_stream *s)
{
	struct ip_addr from, host;
	struct channel *ch;
	uint16_t port;

	if (!n->has_sink || !stream_address(s, &from, &port) || !door_admits(n, &from, &host)) {
		stream_drop(s);
		return;
	}
	ch = channel_new(n, false);
	ch->from = host;
	ch->since_us = clock_mono_us();
	channel_begin(ch, s);
}

void listen_take(struct carrier_nng *n)
{
	nng_stream *s[CARRIER_NNG_STRANGERS_MAX];
	unsigned count;
	bool go;

	carrier_lock(n);
	count = n->incoming_count;
	memcpy(s, n->incoming, count * sizeof(s[0]));
	n->incoming_count = 0;
	go = n->accept_waits && n->listening;
	n->accept_waits = false;
	carrier_unlock(n);
	for (unsigned i = 0; i < count; i++)
		take(n, s[i]);
	if (go)
		accept_next(n);
}
