// SPDX-License-Identifier: Apache-2.0
/*
 * http.h: one worker's HTTP/1.x: client connections, exchanges, upstream connections.
 *
 * A struct http takes connections with news from its worker's TCP, parses requests, routes them,
 * picks an endpoint (upstream/), relays both bodies as mbufs with credit and answers by itself
 * where there is nothing to relay. It keeps no pointer into a struct config beyond one turn. A
 * worker calls, each turn of its loop after tcp_input() and before tcp_output():
 *
 *	http_run(w->http, config, now_us);
 *
 * and may sleep until http_next_us(). Before it http_set_date(), when a new second has begun.
 *
 * Standards: RFC 9110, RFC 9112.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/rng.h"
#include "dataplane/upstream/upstream.h"

struct access_ring;
struct probe_ring;
struct config;
struct http;
struct rte_mempool;
struct tcp;
struct tcp_conn;
struct tcp_flow;

/* Sizes are per worker and fixed at start; time-outs are defaults that a configuration overrides. */
struct http_config {
	uint32_t down_max;	/* client connections */
	uint32_t up_max;	/* upstream connections, idle ones included */
	uint32_t exchanges_max; /* requests in flight */
	uint32_t head_buffers;	/* of 16 KiB, for heads longer than one packet buffer */
	uint32_t log_sample; /* log one of so many good requests; errors always; 0: errors only */
	uint32_t header_timeout_us; /* 10 s: first byte of a head to its end */
	uint32_t idle_timeout_us;   /* 60 s: between requests */
	uint32_t
		body_timeout_us; /* 30 s: window in which body_min_bytes of a request body must come */
	uint32_t body_min_bytes;   /* 256 */
	uint32_t stall_timeout_us; /* 60 s: a peer that acknowledges nothing of what it was sent */
	uint32_t connect_timeout_us;  /* 2 s */
	uint32_t response_timeout_us; /* 60 s: end of the request to the response head */
	uint32_t stream_timeout_us;   /* 300 s: between pieces of a response body */
	uint32_t up_idle_timeout_us;  /* 50 s: below the 60 s and 75 s usual at servers */
	uint32_t exchange_bytes_max;  /* 1 MiB by truesize, per leg of an exchange */
	struct upstream_config upstream;
};
void http_config_default(struct http_config *cfg);

/*
 * Lifecycle. Everything borrowed here outlives the struct http; <log> may be NULL. <worker> is
 * this worker's number of <workers>: weighted sequences of different workers start apart.
 */
struct http *http_new(const struct http_config *cfg, struct tcp *tcp, struct rte_mempool *pool,
	struct rng *rng, uint32_t worker, uint32_t workers, struct access_ring *log,
	uint64_t now_us);
/* Connections still open are aborted, their requests logged as stopped. */
void http_free(struct http *h);
/* While true responses say "Connection: close" and idle client connections are closed. */
void http_set_draining(struct http *h, bool draining);

/*
 * Called by the loop, every turn: news from TCP, a bounded number of expired timers, housekeeping.
 * <cfg> NULL: no configuration has come yet, requests get 503.
 */
void http_run(struct http *h, const struct config *cfg, uint64_t now_us);
/* Seconds since 1970, told when they change: for the Date field of our own answers. */
void http_set_date(struct http *h, uint64_t wall_s);
/* Nothing is due before; 0 while connections with news wait; TIMER_NEVER. */
uint64_t http_next_us(const struct http *h);

/* Seeing it: single writer, read relaxed by the agent. http.def's rows, then outcome.def's. */
const uint64_t *http_counters(const struct http *h, unsigned *ret_count);
const char *http_counter_name(unsigned i);
const char *http_counter_help(unsigned i);

/* The workers are all there: what the agent says of endpoints, and what each worker has seen. */
void http_join(struct http *h, const struct health_board *board,
	const struct upstream *const *others);

/* Counters per listener, rule, backend and endpoint, and this worker's view of endpoints. */
const struct upstream *http_upstream(const struct http *h);

/* Active health checks: their results, for the agent to take; counters in probe.def's order. */
struct probe_ring *http_probe_ring(struct http *h);
const uint64_t *http_probe_counters(const struct http *h);

/* In use now; all zero at rest but up_idle. */
struct http_usage {
	uint32_t down, up, up_idle, exchanges, head_buffers, probes;
	uint32_t held_bytes;	  /* bodies on their way from one leg to the other */
	uint32_t held_bytes_high; /* most that one leg of one exchange ever held, truesize */
};
void http_usage(const struct http *h, struct http_usage *ret);
/* The flow of the other leg of a tcp_conn_info's <user>; false: it has none now. */
bool http_other_leg(const void *user, struct tcp_flow *ret);
