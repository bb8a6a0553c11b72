// SPDX-License-Identifier: Apache-2.0
/*
 * worker.h: everything one lcore owns, and the little that lcores share.
 *
 * A worker owns its struct worker and all beneath it. What crosses threads: the configuration and
 * the FIB (pointers written by others, read once per turn), rings of packets and notes between
 * workers (dispatch.h), the call mailbox (agent -> worker), counters (written here, read
 * relaxed by the agent), the trace ring, and the access-log ring. Included by worker/, agent/,
 * host/, main.c and the simulation only.
 */
#pragma once

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_rcu_qsbr.h>

#include "dataplane/base/rng.h"
#include "dataplane/http/access_log.h"
#include "dataplane/http/http.h"
#include "dataplane/net/net.h"
#include "dataplane/port/port.h"
#include "dataplane/port/trace.h"
#include "dataplane/snapshot/config.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/worker/dispatch.h"
#include "dataplane/worker/nap.h"
#include "dataplane/worker/worker_stats.h"

#define WORKERS_MAX 32
#define WORKER_SOURCES_MAX 64 /* upstream source addresses */

struct worker;

enum worker_poll {
	WORKER_POLL_ADAPTIVE = 0, /* naps while there is nothing to do */
	WORKER_POLL_BUSY,	  /* never sleeps */
};

/* What main.c has read from the configuration file; immutable after start. */
struct worker_config {
	enum worker_poll poll;
	bool profile;		 /* count cycles per stage */
	unsigned mbufs;		 /* packets in each worker's pool */
	struct tcp_config tcp;	 /* per worker */
	struct http_config http; /* per worker */
	unsigned access_records; /* ring of each worker; 0: no access log */
	struct ip_addr sources[WORKER_SOURCES_MAX];
	unsigned source_count;
};

/* The agent's way to run code on a worker's lcore, see worker_call(). */
struct worker_mailbox {
	_Atomic uint32_t state; /* enum in worker_call.c */
	void (*fn)(struct worker *w, void *arg);
	void *arg;
};

/* The time stamp counter as microseconds of CLOCK_MONOTONIC, see worker_clock.c. */
struct worker_clock {
	uint64_t tsc_base, us_base; /* the last look at the kernel's clock */
	uint64_t tsc_hz;
	uint64_t us_per_tsc_32; /* microseconds per tick, times 2^32 */
	uint64_t wall_s;	/* seconds since 1970 at that look */
};

/* A nap and how to end it, see worker_idle.c. */
struct worker_idle {
	_Atomic uint32_t asleep; /* 1 while the worker may be sleeping */
	unsigned fd_count;
	struct nap nap;
	struct pollfd fds[1 + PORTS_MAX]; /* what ends a nap: others' news (owned), then ports */
};

struct worker {
	uint64_t now_us; /* of this turn: one stamp per burst, at ingress */
	struct worker_clock clock;
	const struct config *config; /* borrowed, valid until the next quiescent point */
	uint64_t config_serial;	     /* of config; 0: none yet */
	uint64_t fib_serial;	     /* of the routes that net has */
	struct worker_group *group;
	unsigned index;
	unsigned work; /* things done this turn: 0 may become a nap */
	unsigned port_count;
	bool draining;	 /* what tcp and http have been told */
	uint64_t wall_s; /* what http has been told */
	struct port_queue queues[PORTS_MAX];
	struct rte_mempool *pool; /* owned */
	struct net *net;	  /* owned */
	struct tcp *tcp;	  /* owned */
	struct http *http;	  /* owned */
	struct access_ring *log;  /* owned; NULL: no access log */
	struct trace *trace;	  /* owned */
	struct rng rng;
	struct dispatch dispatch;
	struct worker_stats stats;
	struct worker_mailbox mailbox __rte_cache_aligned; /* written by the agent */
	struct worker_idle idle __rte_cache_aligned;	   /* written by other workers */
} __rte_cache_aligned;

/* One per process. */
struct worker_group {
	struct worker *w[WORKERS_MAX]; /* owned */
	unsigned count;
	struct worker_config cfg;
	struct port ports[PORTS_MAX];
	unsigned port_count;
	struct rte_rcu_qsbr *qsbr;	       /* worker i is reader i; reader <count> is host/ */
	_Atomic(const struct config *) config; /* agent: w, workers: r; NULL until the first one */
	struct health_board health;	       /* agent: w, workers: r */
	const struct upstream *upstreams[WORKERS_MAX]; /* of the workers, for each other */
	_Atomic(const struct fib *) fib; /* host: w, workers: r; NULL until the first one */
	atomic_bool draining;		 /* no new connections, Connection: close */
	atomic_bool stop;		 /* leave the loop */
};

/*
 * Lifecycle, main thread. Ports are open; each worker gets its stacks and rings. Workers are then
 * launched on lcores with worker_loop() and end when group.stop is set.
 */
int worker_group_init(struct worker_group *g, const struct worker_config *cfg,
	struct rte_mempool *const *pools, unsigned count, struct err *err);
void worker_group_fini(struct worker_group *g);
/* rte_eal_remote_launch() function; <arg> is the struct worker. */
int worker_loop(void *arg);
/* One turn of it at <now_us>, without the nap. */
void worker_turn(struct worker *w, uint64_t now_us);

/*
 * Runs <fn>(worker, arg) on the worker's own lcore at the start of a turn. The caller (agent
 * thread) waits until it has run or <timeout_us> is over; false on time-out: then <fn> is cancelled
 * and will not run any more (arg may be freed).
 */
typedef void (*worker_fn)(struct worker *w, void *arg);
bool worker_call(struct worker_group *g, unsigned worker, worker_fn fn, void *arg,
	uint64_t timeout_us);
/* Ends the worker's nap, if it naps; any thread. */
void worker_wake(struct worker *w);
/* All of them: there is something new in struct worker_group. */
void worker_group_wake(struct worker_group *g);

/* For worker/ only: the stages that worker_loop.c names and other files hold. */
void worker_clock_init(struct worker_clock *c);
/* Monotonic, microseconds; <last_us>: what it said before. */
uint64_t worker_clock_us(struct worker_clock *c, uint64_t last_us);
void worker_mailbox_run(struct worker *w);
/* True: the agent waits for a call. */
bool worker_mailbox_has_news(const struct worker *w);
/* The worker has its queues; 0 or a negative errno. */
int worker_idle_init(struct worker *w);
void worker_idle_fini(struct worker *w);
void worker_idle_run(struct worker *w);
