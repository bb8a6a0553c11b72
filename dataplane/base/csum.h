// SPDX-License-Identifier: Apache-2.0
/*
 * csum.h: the Internet checksum's sum over bytes (RFC 1071).
 *
 * Sums are unreduced totals of 16-bit words in memory order: they add up in any order, and folding
 * and storing in the same order gives the right bytes on any machine. Pieces but the last must be
 * of even length, or be byte-swapped by whoever adds them.
 */
#pragma once

#include <endian.h>
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

/* Stores <v> and returns its sum: reading a header back would wait for the stores. */
static inline uint64_t csum_put32(uint8_t *p, uint32_t v)
{
	uint32_t be = htobe32(v);

	memcpy(p, &be, 4);
	return be;
}

/* Less than 8 bytes. */
static inline uint64_t csum_tail(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;
	uint32_t four;
	uint16_t two;

	if (len & 4) {
		memcpy(&four, p, 4);
		sum += four;
		p += 4;
	}
	if (len & 2) {
		memcpy(&two, p, 2);
		sum += two;
		p += 2;
	}
	if (len & 1) { /* the first byte of a word whose second is zero */
		two = 0;
		memcpy(&two, p, 1);
		sum += two;
	}
	return sum;
}

struct csum {
	uint64_t sum, carries;
};

static inline void csum_take(struct csum *s, uint64_t v)
{
	s->sum += v;
	s->carries += s->sum < v; /* an add with carry */
}

/* RFC 1071 2 (C): 64 bits at a time, the carries apart. */
static inline uint64_t csum_words(const uint8_t *p, size_t len)
{
	struct csum s = {0, 0};

	for (; len >= 32; p += 32, len -= 32) {
		csum_take(&s, csum_load(p));
		csum_take(&s, csum_load(p + 8));
		csum_take(&s, csum_load(p + 16));
		csum_take(&s, csum_load(p + 24));
	}
	for (; len >= 8; p += 8, len -= 8)
		csum_take(&s, csum_load(p));
	return csum_fold32(s.sum) + s.carries + csum_tail(p, len);
}

static inline uint64_t csum_bytes(const void *p, size_t len)
{
	return len >= CSUM_WIDE_MIN ? csum_wide(p, len) : csum_words(p, len);
}
