// SPDX-License-Identifier: Apache-2.0
/*
 * gen_latency.h: a histogram of fixed relative error.
 *
 * Values below 256 have a bucket of their own; above, each power of two is cut into 128 equal
 * buckets, so a value that is read back is at most 1/128 above the one that was recorded. One
 * addition per value, no floating point, no allocation. The unit is the caller's.
 */
#pragma once

#include <stdint.h>

#define LATENCY_SUB_BITS 7
#define LATENCY_BUCKETS ((64 - LATENCY_SUB_BITS + 1) << LATENCY_SUB_BITS)

struct latency {
	uint64_t count, max;
	uint64_t lost; /* events that never came to an end: slower than all others */
	uint32_t bucket[LATENCY_BUCKETS];
};

static inline unsigned latency_bucket(uint64_t v)
{
	unsigned shift;

	if (v < (2u << LATENCY_SUB_BITS))
		return (unsigned)v;
	shift = 63u - (unsigned)__builtin_clzll(v) - LATENCY_SUB_BITS;
	return (shift << LATENCY_SUB_BITS) + (unsigned)(v >> shift);
}

static inline void latency_add(struct latency *l, uint64_t v)
{
	l->count++;
	l->bucket[latency_bucket(v)]++;
	if (v > l->max)
		l->max = v;
}

/* The largest value of a bucket. */
uint64_t latency_bucket_top(unsigned bucket);
/*
 * The smallest recorded value (rounded up to its bucket's top, never above the maximum) that at
 * least <per_100000> hundred-thousandths of all values do not exceed: 50000 is the median,
 * 99900 is p99.9. LATENCY_UNKNOWN when that one is lost; 0 when there was nothing.
 */
#define LATENCY_UNKNOWN UINT64_MAX
uint64_t latency_at(const struct latency *l, uint32_t per_100000);
