// SPDX-License-Identifier: Apache-2.0
/*
 * contract_test.h: what the contract_*_test.c share: a world of their own, set up and torn down around each
 * test, and the steps that most of them begin with.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/agent/contract_world.h"

static struct world w;

static inline int setup(void **state)
{
	world_open(&w);
	return 0;
}

static inline int teardown(void **state)
{
	world_close(&w);
	return 0;
}

static inline void start_both(void)
{
	world_dataplane_start(&w);
	world_control_start(&w);
}

static inline void publish_and_sync(const struct world_spec *s)
{
	world_publish(&w, s);
	assert_true(world_run_until(&w, world_is_synced, 0));
}

/* Now, or at the end of the turns that are under way. */
static inline bool workers_see(struct world *world, uint64_t weight)
{
	world_turn(world);
	for (unsigned i = 0; i < WORLD_WORKERS; i++)
		if (atomic_load(&world->workers[i].seen_w[0]) != weight)
			return false;
	return true;
}

/* Without control: only the dataplane runs. */
static inline bool soon(bool (*cond)(struct world *world, uint64_t arg), uint64_t arg)
{
	for (unsigned i = 0; i < WORLD_WAIT_MS; i++, usleep(1000))
		if (cond(&w, arg))
			return true;
	return false;
}
