// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_timewait.c: a bounded table of finished connections, in order of expiry.
 *
 * A record lives outside the connection, so that a connection's memory is free the moment both
 * FINs are exchanged, and holds only what is needed to answer: all addresses come with the
 * segment that is being answered. Every record waits equally long, so the list is a queue.
 *
 * The wait is tcp_config.timewait_us, 10 s by default, not the 4 minutes of RFC 9293 3.4.2 (2 MSL).
 * The reasons: no segment lives for two minutes on today's paths (the hop limit runs out in
 * milliseconds, queues hold seconds), PAWS and random ISNs reject old duplicates by themselves
 * (RFC 7323 5, RFC 6528), and a proxy that had to wait 2 MSL could open only some hundred
 * connections per second to a backend. 1 s is what RFC 6191 already accepts between uses.
 *
 * Standards: RFC 9293 3.6.1, RFC 1337, RFC 6191.
 */
#include "dataplane/tcp/tcp_timewait.h"

#include <stdlib.h>

#include "dataplane/base/bug.h"

bool tcp_timewait_init(struct tcp_timewait *w, uint32_t max)
{
	*w = (struct tcp_timewait){
		.max = max,
		.head = TCP_TIMEWAIT_NONE,
		.tail = TCP_TIMEWAIT_NONE,
		.free = TCP_TIMEWAIT_NONE,
	};
	w->r = calloc(max > 0 ? max : 1, sizeof(*w->r));
	return w->r != NULL;
}

void tcp_timewait_fini(struct tcp_timewait *w)
{
	free(w->r);
	w->r = NULL;
}

static void unlink_record(struct tcp_timewait *w, uint32_t i)
{
	struct tcp_timewait_record *r = &w->r[i];

	if (r->prev != TCP_TIMEWAIT_NONE)
		w->r[r->prev].next = r->next;
	else
		w->head = r->next;
	if (r->next != TCP_TIMEWAIT_NONE)
		w->r[r->next].prev = r->prev;
	else
		w->tail = r->prev;
}

static void append_record(struct tcp_timewait *w, uint32_t i)
{
	w->r[i].next = TCP_TIMEWAIT_NONE;
	w->r[i].prev = w->tail;
	if (w->tail != TCP_TIMEWAIT_NONE)
		w->r[w->tail].next = i;
	else
		w->head = i;
	w->tail = i;
}

uint32_t tcp_timewait_alloc(struct tcp_timewait *w)
{
	uint32_t i = w->free;

	if (i != TCP_TIMEWAIT_NONE)
		w->free = w->r[i].next;
	else if (w->touched < w->max)
		i = w->touched++;
	else
		return TCP_TIMEWAIT_NONE;
	w->used++;
	w->r[i] = (struct tcp_timewait_record){.in_use = true};
	append_record(w, i);
	return i;
}

void tcp_timewait_release(struct tcp_timewait *w, uint32_t i)
{
	bug_on_hot(!w->r[i].in_use);
	unlink_record(w, i);
	w->r[i].in_use = false;
	w->r[i].next = w->free;
	w->free = i;
	w->used--;
}

void tcp_timewait_restart(struct tcp_timewait *w, uint32_t i, uint32_t until_ms)
{
	unlink_record(w, i);
	append_record(w, i);
	w->r[i].until_ms = until_ms;
}
