// SPDX-License-Identifier: Apache-2.0
/*
 * http_housekeeping.c: what nobody asks for: old pooled connections, endpoints and listeners that
 * left the configuration, a packet pool that runs low.
 *
 * Each call does a bounded piece; while a sweep is under way the timer comes back every
 * millisecond, otherwise ten times a second.
 */
#include "dataplane/http/http_flow.h"

#define DRAIN_IDLE_US \
	1000000u /* a client that sends at least once a second gets its "Connection:
				* close" with a response; closing at once would meet its request half-way */

#define CLOSE_PER_STEP 256u

static struct http_up *up_of(struct pool_conn *pc)
{
	return (struct http_up *)((char *)pc - offsetof(struct http_up, pool));
}

/* These return true when nothing is left to do. */
static bool close_stale(struct http *h)
{
	for (uint32_t i = 0; i < CLOSE_PER_STEP; i++) {
		struct pool_conn *pc = upstream_stale_take(h->up);

		if (pc == NULL)
			return true;
		http_count(h, HTTP_UP_VANISHED);
		up_of(pc)->state = UP_BUSY; /* it has left the pool already */
		up_discard(h, up_of(pc));
	}
	return false;
}

static bool close_aged(struct http *h)
{
	for (uint32_t i = 0; i < CLOSE_PER_STEP; i++) {
		struct pool_conn *pc = pool_oldest(h->up);

		if (pc == NULL || h->now_us - pc->idle_us < h->cfg.up_idle_timeout_us)
			return true;
		http_count(h, HTTP_UP_IDLE_CLOSED);
		up_discard(h, up_of(pc));
	}
	return false;
}

/*
 * A connection between requests whose listener is gone, or that a drain may end, is closed once it
 * has been quiet for a while.
 */
static void look_at_down(struct http *h, struct http_down *d)
{
	bool unbound = h->config != NULL && !down_find_bind(h, d);

	if (!unbound && !h->draining)
		return;
	if (d->state != DOWN_IDLE || !mbufq_is_empty(&d->c.rx) || tcp_peek(d->c.tcp)->bytes > 0 ||
		h->now_us - d->since_us < DRAIN_IDLE_US) {
		h->sweep_again = true;
		return;
	}
	http_count(h, h->draining ? HTTP_DOWN_DRAINED : HTTP_DOWN_UNBOUND);
	d->c.in.done = true;
	down_close(h, d);
}

static bool sweep_downs(struct http *h)
{
	uint32_t end = RTE_MIN(h->sweep_down + HTTP_SWEEP_PER_STEP, h->downs.count);

	for (; h->sweep_down < end; h->sweep_down++) {
		struct http_down *d = slots_at(&h->downs, h->sweep_down);

		if (d != NULL)
			look_at_down(h, d);
	}
	return h->sweep_down >= h->downs.count;
}

static bool sweep_ups(struct http *h)
{
	if (h->config == NULL || h->now_us < h->sweep_us)
		return true;
	if (!upstream_sweep(h->up, h->config))
		return false;
	h->sweep_us = h->now_us + HTTP_SWEEP_US;
	return true;
}

/* Low packet buffers: shrink what a connection may hold, then refuse new requests. */
static void check_pressure(struct http *h)
{
	uint64_t free_count = rte_mempool_avail_count(h->pool);

	h->scarce = free_count < h->pool->size / 5;
	h->exhausted = free_count < h->pool->size / 20;
}

void http_housekeeping(struct http *h)
{
	bool done;

	check_pressure(h);
	if (h->sweep_again && h->sweep_down >= h->downs.count) {
		h->sweep_down = 0; /* others are between requests by now */
		h->sweep_again = false;
	}
	done = http_sweep_parked(h);
	done = sweep_downs(h) && done;
	done = sweep_ups(h) && done;
	done = close_aged(h) && done;
	done = close_stale(h) && done;
	timer_set(&h->wheel, &h->housekeeping,
		h->now_us + (done ? HTTP_HOUSEKEEPING_US : HTTP_SWEEP_STEP_US));
}
