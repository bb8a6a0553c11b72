// SPDX-License-Identifier: Apache-2.0
/*
 * worker.h: everything one lcore owns, and the little that lcores share.
 *
 * A worker owns its struct worker and all beneath it. What crosses threads: the configuration
 * pointer (written by the agent, read once per turn), rings of packets between workers, the call
 * mailbox (agent -> worker), counters (written here, read relaxed by the agent) and the access-log
 * ring. Included by worker/, agent/, main.c and the simulation only.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_rcu_qsbr.h>

#include "dataplane/base/rng.h"
#include "dataplane/snapshot/config.h"

#define WORKERS_MAX 32

struct worker;

/* One per process. */
struct worker_group {
	struct worker *w[WORKERS_MAX];	/* owned */
	unsigned count;
	struct rte_rcu_qsbr *qsbr;	/* worker i is reader i */
	_Atomic(const struct config *) config; /* agent: w, workers: r; NULL until the first one */
	atomic_bool draining;		/* no new connections, Connection: close */
	atomic_bool stop;		/* leave the loop */
};

/*
 * Runs <fn>(worker, arg) on the worker's own lcore at the start of a turn. The caller (agent
 * thread) waits until all of them have run or <timeout_us> is over; false on time-out: then <fn>
 * is cancelled and will not run any more (arg may be freed).
 */
typedef void (*worker_fn)(struct worker *w, void *arg);
bool worker_call(struct worker_group *g, unsigned worker, worker_fn fn, void *arg,
	uint64_t timeout_us);
