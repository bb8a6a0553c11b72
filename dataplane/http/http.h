// SPDX-License-Identifier: Apache-2.0
/*
 * http.h: one worker's HTTP/1.x connections, both legs.
 *
 * The lower half of HTTP: it owns the connection objects, their timers, head buffers and framing
 * state, and a list of connections with news. It decides nothing about routes or endpoints; the
 * upper half (upstream/upstream.h) takes the connections with news from here and does. A worker
 * calls, each turn of its loop:
 *
 *	http_input(w->http, now_us);             packets became bytes: who has news?
 *	upstream_run(w->up, config, now_us);     parse, route, pick, relay
 *
 * and may sleep until http_next_us(). One timer wheel serves both halves.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/rng.h"

struct access_ring;
struct http;
struct rte_mempool;
struct tcp;
struct tcp_conn;
struct tcp_flow;

/* Sizes are per worker and fixed at start; time-outs are defaults that a configuration overrides. */
struct http_config {
	uint32_t down_max;		/* client connections */
	uint32_t up_max;		/* upstream connections, idle ones included */
	uint32_t head_buffers;		/* of 16 KiB, for heads longer than one packet buffer */
	uint32_t log_sample;		/* log one of so many good requests; errors always; 0: errors only */
	uint32_t header_timeout_us;	/* 10 s: first byte of a head to its end */
	uint32_t idle_timeout_us;	/* 60 s: between requests */
	uint32_t body_timeout_us;	/* 30 s: window in which body_min_bytes of a request body must come */
	uint32_t body_min_bytes;	/* 256 */
	uint32_t stall_timeout_us;	/* 60 s: a peer that acknowledges nothing of what it was sent */
	uint32_t connect_timeout_us;	/* 5 s */
	uint32_t response_timeout_us;	/* 60 s: end of the request to the response head */
	uint32_t stream_timeout_us;	/* 300 s: between pieces of a response body */
	uint32_t up_idle_timeout_us;	/* 50 s: below the 60 s and 75 s usual at servers */
	uint32_t exchange_bytes_max;	/* 1 MiB by truesize, per leg of an exchange */
};
void http_config_default(struct http_config *cfg);

/* Lifecycle. Everything borrowed here outlives the struct http; <log> may be NULL. */
struct http *http_new(const struct http_config *cfg, struct tcp *tcp, struct rte_mempool *pool,
	struct rng *rng, struct access_ring *log, uint64_t now_us);
/* Connections still open are aborted. After upstream_free(). */
void http_free(struct http *h);
/* While true responses say "Connection: close" and idle client connections are closed. */
void http_set_draining(struct http *h, bool draining);

/* Called by the loop: collects news from TCP and from expired timers; bounded. */
void http_input(struct http *h, uint64_t now_us);
/* Nothing is due before; 0 while connections with news wait; TIMER_NEVER. */
uint64_t http_next_us(const struct http *h);

/* Seeing it: single writer, read relaxed by the agent. http.def's rows, then outcome.def's. */
const uint64_t *http_counters(const struct http *h, unsigned *ret_count);
const char *http_counter_name(unsigned i);
const char *http_counter_help(unsigned i);

/* In use now; all zero at rest but up_idle. */
struct http_usage {
	uint32_t down, up, up_idle, exchanges, head_buffers;
	uint32_t held_bytes;		/* bodies on their way from one leg to the other */
	uint32_t held_bytes_high;	/* most that one leg of one exchange ever held, truesize */
};
void http_usage(const struct http *h, struct http_usage *ret);
/* The flow of the other leg of <c>'s exchange; false when it has none now. For `sluicectl conns`. */
bool http_other_leg(const struct tcp_conn *c, struct tcp_flow *ret);
