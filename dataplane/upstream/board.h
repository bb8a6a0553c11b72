// SPDX-License-Identifier: Apache-2.0
/*
 * board.h: what the agent tells all workers about the health of endpoints, by run-time slot.
 *
 * Written by the agent alone, read relaxed: a verdict acts on every lcore with its next pick. A slot
 * that is given to another endpoint is wiped before any worker hears of that one.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "dataplane/snapshot/config.h"
#include "dataplane/upstream/verdict.h"

struct probe_list;

enum {				   /* health_board.verdict: 0 is usable */
	HEALTH_DOWN = 1 << 0,	   /* probes say so */
	HEALTH_EJECTED = 1 << 1,   /* a sentence holds, of the agent or of any worker */
	HEALTH_SUSPECTED = 1 << 2, /* nobody judges it, and nothing new is sent there */
};

/* What puts an endpoint out because of its traffic, and for how long. */
struct health_rules {
	uint32_t base_ms, max_ms;
	uint16_t errors;   /* 5xx responses in a row; 0: not looked at */
	uint16_t failures; /* lost connections, or time-outs, in a row; 0: not looked at */
	uint8_t percent;   /* of the endpoints of a service that errors may put out at once */
	bool given;	   /* false: nobody has said anything, the defaults hold */
};

struct health_entry {
	struct health_rules rules;
	struct sentence sentence; /* by the agent, for time-outs; or the newest that it has seen */
	uint64_t answers_us;	  /* time-outs of what was sent before are those of a silence */
	uint64_t pardon_us;	  /* sentences of workers that began before are over */
};

#define HEALTH_SLOW_WHOLE 32u /* parts of a weight in health_board.slow */

struct health_board {
	uint8_t verdict[SLOTS_ENDPOINT_MAX];
	uint8_t slow[SLOTS_ENDPOINT_MAX]; /* what a weight lacks while its endpoint comes up */
	struct health_entry entry[SLOTS_ENDPOINT_MAX];
	_Atomic(const struct probe_list *) probes; /* NULL: none; swapped as configurations are */
};

static inline uint8_t health_slow(const struct health_board *b, uint32_t slot)
{
	return __atomic_load_n(&b->slow[slot], __ATOMIC_RELAXED);
}

static inline uint8_t health_verdict(const struct health_board *b, uint32_t slot)
{
	return __atomic_load_n(&b->verdict[slot], __ATOMIC_RELAXED);
}
