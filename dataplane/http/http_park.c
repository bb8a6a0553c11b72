// SPDX-License-Identifier: Apache-2.0
/*
 * http_park.c: client connections that wait long for their next request.
 *
 * Between requests a client connection is a few numbers: since when it waits and how many requests
 * it has had. Once it has waited for HTTP_PARK_US, TCP keeps these with a small record of its own
 * (tcp_park()), and both our object and TCP's are free for somebody who needs them. The next byte,
 * the end of the idle time-out, a drain or the removal of its listener brings it back.
 */
#include "dataplane/http/http_flow.h"

static bool is_at_rest(const struct http_down *d)
{
	const struct h1_conn *c = &d->c;

	return d->state == DOWN_IDLE && c->x == NULL && c->news == 0 && c->held == 0 && !c->eof &&
		!c->dead && c->head_buf == NULL && mbufq_is_empty(&c->rx) &&
		mbufq_is_empty(&c->trailer);
}

bool down_park(struct http *h, struct http_down *d)
{
	struct tcp_note note = {{d->since_us, d->requests}};

	if (!is_at_rest(d) || h->draining || !down_find_bind(h, d))
		return false;
	if (!tcp_park(h->tcp, d->c.tcp, note, d->since_us + h->lim.idle_us))
		return false;
	http_count(h, HTTP_DOWN_PARKED);
	down_release(h, d);
	return true;
}

void down_unpark(struct http *h, struct http_down *d)
{
	struct tcp_note note = tcp_note_of(d->c.tcp);

	http_count(h, HTTP_DOWN_UNPARKED);
	d->requests = (uint32_t)note.word[1];
	down_wait(h, d, note.word[0]);
}

/* A drain may end it, or its listener is gone. */
static bool has_to_go(const struct tcp_flow *f, void *ctx)
{
	struct http *h = ctx;
	bool goes = h->draining ||
		(h->config != NULL &&
			snapshot_find_bind(h->config->snap, &f->local, f->local_port) == SLOT_NONE);

	h->sweep_again |= goes; /* the sweep of client connections closes it */
	return goes;
}

bool http_sweep_parked(struct http *h)
{
	return tcp_parked_sweep(h->tcp, &h->sweep_parked, HTTP_SWEEP_PER_STEP, has_to_go, h);
}
