// SPDX-License-Identifier: Apache-2.0
/*
 * gen_sum.h: the Internet checksum of the generator, its own and not the gateway's.
 *
 * Sums are of 16-bit words in memory order, kept in 64 bits; a part that starts at an odd place of
 * the packet is turned round with sum_swap() first. Long parts go through AVX2 where the processor
 * has it: the generator must stay cheaper than what it measures.
 * Standards: RFC 1071.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#define SUM_WIDE_MIN 128 /* below, the short loop is faster than the call */

/* The long form; any length. */
uint64_t sum_long(const void *data, uint32_t len);

static inline uint64_t sum_short(const void *data, uint32_t len)
{
	const uint8_t *p = data;
	uint64_t sum = 0;

	for (; len >= 4; len -= 4, p += 4) {
		uint32_t w;

		memcpy(&w, p, 4);
		sum += w;
	}
	if (len >= 2) {
		uint16_t w;

		memcpy(&w, p, 2);
		sum += w;
		len -= 2;
		p += 2;
	}
	if (len > 0) {
		uint8_t last[2] = {*p, 0};
		uint16_t w;

		memcpy(&w, last, 2);
		sum += w;
	}
	return sum;
}

static inline uint64_t sum_of(const void *data, uint32_t len)
{
	return len < SUM_WIDE_MIN ? sum_short(data, len) : sum_long(data, len);
}

/* To 16 bits, not complemented. */
static inline uint16_t sum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)sum;
}

/* Of a part that starts at an odd place: its bytes are the other halves of their words. */
static inline uint64_t sum_swap(uint64_t sum)
{
	return __builtin_bswap16(sum_fold(sum));
}

/* <sum> of <len> bytes, followed by a part whose own sum is <next>. */
static inline uint64_t sum_join(uint64_t sum, uint32_t len, uint64_t next)
{
	return sum + ((len & 1) ? sum_swap(next) : next);
}
