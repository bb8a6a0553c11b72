// SPDX-License-Identifier: Apache-2.0
/*
 * worker_clock.c: the time of a turn, from the time stamp counter.
 *
 * A few times per second the kernel's clock is looked at and the counter starts over from there, so
 * that no error of its frequency adds up (DPDK's may be off by 0.2 %) and workers agree with each
 * other and with the agent. Time
 * never steps back: a counter that ran fast makes it stand still for those microseconds.
 */
#include <time.h>

#include <rte_cycles.h>

#include "dataplane/base/clock.h"
#include "dataplane/worker/worker.h"

#define LOOKS_PER_S 16

static uint64_t wall_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec;
}

void worker_clock_init(struct worker_clock *c)
{
	c->tsc_hz = rte_get_tsc_hz();
	c->us_per_tsc_32 = (uint64_t)(((unsigned __int128)1000000 << 32) / c->tsc_hz);
	c->us_base = clock_mono_us();
	c->wall_s = wall_s();
	c->tsc_base = rte_rdtsc();
}

uint64_t worker_clock_us(struct worker_clock *c, uint64_t last_us)
{
	uint64_t tsc = rte_rdtsc(), us;

	if (unlikely(tsc - c->tsc_base > c->tsc_hz / LOOKS_PER_S)) {
		c->us_base = clock_mono_us();
		c->wall_s = wall_s();
		c->tsc_base = tsc;
	}
	us = c->us_base;
	us += (uint64_t)(((unsigned __int128)(tsc - c->tsc_base) * c->us_per_tsc_32) >> 32);
	return us > last_us ? us : last_us;
}
