// SPDX-License-Identifier: Apache-2.0
/*
 * gen_body.c: makes the pattern and its running sums.
 */
#include "tests/bench/gen_body.h"

#include "dataplane/base/rng.h"

/* The sums fit 32 bits: half the bytes count 256-fold. */
_Static_assert((uint64_t)(BODY_PERIOD + BODY_SLICE_MAX) * 0xff00 <= UINT32_MAX, "sums overflow");

void body_init(struct body *b)
{
	struct rng r;

	rng_seed(&r, 4); /* any fixed seed: both sides and all runs serve the same bytes */
	for (uint32_t i = 0; i < BODY_PERIOD; i++)
		b->pattern[i] = (uint8_t)rng_u64(&r);
	for (uint32_t i = BODY_PERIOD; i < sizeof(b->pattern); i++)
		b->pattern[i] = b->pattern[i - BODY_PERIOD];
	b->running[0] = 0;
	for (uint32_t i = 0; i < sizeof(b->pattern); i++) {
		uint8_t pair[2] = {0, 0};
		uint16_t word;

		pair[i & 1] = b->pattern[i];
		memcpy(&word, pair, 2);
		b->running[i + 1] = b->running[i] + word;
	}
}
