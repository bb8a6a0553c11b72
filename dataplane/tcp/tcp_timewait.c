// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_timewait.c: a bounded table of finished connections, in order of expiry.
 *
 * A record lives outside the connection, so that a connection's memory is free the moment both
 * FINs are exchanged, and holds only what is needed to answer: all addresses come with the
 * segment that is being answered, and what is a function of them (the offset of our timestamps) is
 * computed anew. Every record waits equally long, so the table is a ring without links: half a
 * cache line each. A record that is released early (its ports are used again, its wait starts anew
 * as another record) leaves a gap that is closed when the ring's head comes to it.
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
#include "dataplane/base/pages.h"

bool tcp_timewait_init(struct tcp_timewait *w, uint32_t max)
{
	*w = (struct tcp_timewait){.max = max};
	w->r = calloc(max > 0 ? max : 1, sizeof(*w->r));
	pages_wish_large(w->r, max * sizeof(*w->r));
	return w->r != NULL;
}

void tcp_timewait_fini(struct tcp_timewait *w)
{
	free(w->r);
	w->r = NULL;
}

uint32_t tcp_timewait_alloc(struct tcp_timewait *w)
{
	uint32_t i = w->head + w->span;

	if (w->span == w->max)
		return TCP_TIMEWAIT_NONE;
	i = i < w->max ? i : i - w->max;
	w->span++;
	w->used++;
	w->r[i] = (struct tcp_timewait_record){.in_use = true};
	return i;
}

void tcp_timewait_release(struct tcp_timewait *w, uint32_t i)
{
	bug_on_hot(!w->r[i].in_use);
	w->r[i].in_use = false;
	w->used--;
	while (w->span > 0 && !w->r[w->head].in_use) {
		w->head = w->head + 1 < w->max ? w->head + 1 : 0;
		w->span--;
	}
}
