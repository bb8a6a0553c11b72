// SPDX-License-Identifier: Apache-2.0
/*
 * csum.h: the Internet checksum's sum over bytes (RFC 1071).
 *
 * Sums are unreduced totals of 16-bit words in memory order: they add up in any order, and folding
 * and storing in the same order gives the right bytes on any machine. Pieces but the last must be
 * of even length, or be byte-swapped by whoever adds them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CSUM_WIDE_MIN 256u /* from here on the vector unit is worth a call */

/* The same as csum_words(), for long pieces. */
uint64_t csum_wide(const uint8_t *p, size_t len);

static inline uint64_t csum_fold32(uint64_t sum)
{
	return (sum & 0xffffffffu) + (sum >> 32);
}

static inline uint64_t csum_load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

/* RFC 1071 2 (C): 64 bits at a time, the carries collect in the upper half. Below 2^33. */
static inline uint64_t csum_words(const uint8_t *p, size_t len)
{
	unsigned __int128 sum = 0;
	uint64_t high, low;

	for (; len >= 32; p += 32, len -= 32) {
		sum += csum_load(p);
		sum += csum_load(p + 8);
		sum += csum_load(p + 16);
		sum += csum_load(p + 24);
	}
	for (; len >= 8; p += 8, len -= 8)
		sum += csum_load(p);
	if (len > 0) {
		uint64_t last = 0;

		memcpy(&last, p, len);
		sum += last;
	}
	low = (uint64_t)sum;
	high = (uint64_t)(sum >> 64);
	low += high;
	low += low < high;
	return csum_fold32(low);
}

static inline uint64_t csum_bytes(const void *p, size_t len)
{
	return len >= CSUM_WIDE_MIN ? csum_wide(p, len) : csum_words(p, len);
}
