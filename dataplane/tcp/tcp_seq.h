// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_seq.h: arithmetic on sequence numbers and on 32-bit clocks, both modulo 2^32.
 *
 * RFC 9293 3.4: "a <b" means b is ahead of a by less than 2^31. The same comparison serves
 * timestamps (RFC 7323 5.2) and the low 32 bits of the microsecond clock (half range: 35 minutes).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool seq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline bool seq_gt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static inline bool seq_ge(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

static inline uint32_t seq_max(uint32_t a, uint32_t b)
{
	return seq_gt(a, b) ? a : b;
}

static inline uint32_t seq_min(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? a : b;
}

/* first <= s < end */
static inline bool seq_in(uint32_t s, uint32_t first, uint32_t end)
{
	return s - first < end - first;
}
