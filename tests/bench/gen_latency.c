// SPDX-License-Identifier: Apache-2.0
/*
 * gen_latency.c: percentiles out of the histogram.
 */
#include "tests/bench/gen_latency.h"

uint64_t latency_bucket_top(unsigned bucket)
{
	unsigned shift;

	if (bucket < (2u << LATENCY_SUB_BITS))
		return bucket;
	shift = (bucket >> LATENCY_SUB_BITS) - 1;
	bucket -= shift << LATENCY_SUB_BITS;
	return (((uint64_t)bucket + 1) << shift) - 1;
}

uint64_t latency_at(const struct latency *l, uint32_t per_100000)
{
	unsigned __int128 part = (unsigned __int128)(l->count + l->lost) * per_100000;
	uint64_t want = (uint64_t)((part + 99999) / 100000), seen = 0;

	if (want == 0)
		want = 1;
	if (want > l->count)
		return l->lost > 0 ? LATENCY_UNKNOWN : 0;
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		seen += l->bucket[i];
		if (seen >= want) {
			uint64_t top = latency_bucket_top(i);

			return top < l->max ? top : l->max;
		}
	}
	return l->max;
}
