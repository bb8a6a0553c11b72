// SPDX-License-Identifier: Apache-2.0
/*
 * worker_stats.h: what a worker knows about itself: its stage, its turns, its counters.
 *
 * The stage marker is one relaxed store per stage, so that the watchdog (main thread) can name the
 * stage in which a worker is stuck. Cycles per stage are counted only when the configuration asks.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct worker;
struct worker_group;

enum worker_stage {
#define WORKER_STAGE(NAME, name) WORKER_STAGE_##NAME,
#define WORKER_COUNTER(NAME, name, help)
#include "dataplane/worker/worker.def"
#undef WORKER_STAGE
#undef WORKER_COUNTER
	WORKER_STAGE_COUNT
};

enum worker_counter {
#define WORKER_STAGE(NAME, name)
#define WORKER_COUNTER(NAME, name, help) WORKER_C_##NAME,
#include "dataplane/worker/worker.def"
#undef WORKER_STAGE
#undef WORKER_COUNTER
	WORKER_C_COUNT
};

struct worker_stats {
	_Atomic uint32_t stage; /* enum worker_stage; watchdog: ro */
	_Atomic uint64_t turns; /* watchdog: ro */
	uint64_t stage_tsc;	/* when the stage began, while cycles are counted */
	bool empty;		/* the last turn found nothing to do */
	uint64_t turn_cycles[WORKER_STAGE_COUNT]; /* of this turn */
	uint64_t cycles[WORKER_STAGE_COUNT];	  /* of turns that did something */
	uint64_t counters[WORKER_C_COUNT];	  /* worker: rw, agent: ro */
};

const char *worker_stage_name(enum worker_stage s);

/* One array of single-writer counters with their names; read the values relaxed. */
struct counter_set {
	const char *scope;    /* "net", "tcp", "worker", "port" */
	const char *instance; /* the port's name; "" else */
	const uint64_t *v;
	unsigned count;
	const char *(*name)(unsigned i);
	const char *(*help)(unsigned i);
};
#define WORKER_COUNTER_SETS_MAX 16
/* Fills <ret> (WORKER_COUNTER_SETS_MAX of them) and returns how many; the arrays live with <w>. */
unsigned worker_counter_sets(const struct worker *w, struct counter_set *ret);
/* What a worker has done since its start. */
struct worker_work {
	uint64_t packets_in, packets_out, requests;
};
void worker_work(const struct worker *w, struct worker_work *ret);
/* Everything about all workers that helps after a crash or a hang, as text. */
void worker_dump(const struct worker_group *g, FILE *out);

/*
 * The watchdog's memory. worker_watchdog_check() is called a few times per second by the main
 * thread; it returns how long the worst worker has been in one turn, and which and where.
 */
struct worker_watch {
	uint64_t turns[32], since_us[32];
};
uint64_t worker_watchdog_check(struct worker_watch *watch, const struct worker_group *g,
	uint64_t now_us, unsigned *ret_worker, enum worker_stage *ret_stage);
