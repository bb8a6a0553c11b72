// SPDX-License-Identifier: Apache-2.0
/*
 * rate.c: token buckets for everything that a stranger can make us send.
 */
#include "dataplane/net/net_impl.h"

void rate_init(struct rate *r, uint32_t per_s, uint32_t burst)
{
	*r = (struct rate){.per_s = per_s, .burst = burst, .tokens = burst};
}

bool rate_take(struct rate *r, uint64_t now_us)
{
	uint64_t fresh = (now_us - r->last_us) * r->per_s / 1000000;

	if (fresh > 0) {
		r->tokens = (uint32_t)RTE_MIN((uint64_t)r->burst, r->tokens + fresh);
		r->last_us = now_us;
	}
	if (r->tokens == 0)
		return false;
	r->tokens--;
	return true;
}
