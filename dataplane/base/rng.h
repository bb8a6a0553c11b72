// SPDX-License-Identifier: Apache-2.0
/*
 * rng.h: seeded pseudo-random numbers (xoshiro256**), for jitter, phases and simulations.
 *
 * Not for secrets: keys come from getrandom(2) at start (rng_secret). Pure code takes a
 * struct rng as an argument, so a test with a seed repeats.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t s[4];
};

/* Any seed is good, 0 included. */
void rng_seed(struct rng *r, uint64_t seed);
/* Fills <buf> from getrandom(2); bug_on failure: without entropy there is no start. */
void rng_secret(void *buf, size_t len);

static inline uint64_t rng_u64(struct rng *r)
{
	uint64_t *s = r->s, t = s[1] << 17, x = s[1] * 5;

	x = ((x << 7) | (x >> 57)) * 9;
	s[2] ^= s[0], s[3] ^= s[1], s[1] ^= s[2], s[0] ^= s[3];
	s[2] ^= t;
	s[3] = (s[3] << 45) | (s[3] >> 19);
	return x;
}

/* Uniform in [0, n), n > 0; the bias of the multiply is below n / 2^64. */
static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)rng_u64(r) * n) >> 64);
}
