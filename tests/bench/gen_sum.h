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

#define SUM_WIDE_MIN 256 /* below, the short loop is faster than the call */

/* The long form; any length. */
uint64_t sum_long(const void *data, uint32_t len);

/* One's complement addition: the carry comes back in. */
static inline uint64_t sum_carry(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

static inline uint64_t sum_load(const uint8_t *p, uint32_t len)
{
	uint32_t w4;
	uint16_t w2;
	uint64_t w8;

	switch (len) { /* known when this is compiled; the halves' order in a word does not matter */
	case 8:
		memcpy(&w8, p, 8);
		return w8;
	case 4:
		memcpy(&w4, p, 4);
		return w4;
	default:
		memcpy(&w2, p, 2);
		return w2;
	}
}

#if defined(__x86_64__)
/* 32 bytes with one carry chain, which compilers do not make of the plain form. */
static inline uint64_t sum_32(uint64_t sum, const uint8_t *p)
{
	__asm__("addq (%1), %0\n\tadcq 8(%1), %0\n\tadcq 16(%1), %0\n\tadcq 24(%1), %0\n\tadcq $0, "
		"%0"
		: "+r"(sum)
		: "r"(p), "m"(*(const uint8_t(*)[32])p)
		: "cc");
	return sum;
}
#else
static inline uint64_t sum_32(uint64_t sum, const uint8_t *p)
{
	for (unsigned i = 0; i < 32; i += 8)
		sum = sum_carry(sum, sum_load(p + i, 8));
	return sum;
}
#endif

/* At most 33 bits, so that sums can be added up. */
static inline uint64_t sum_short(const void *data, uint32_t len)
{
	const uint8_t *p = data;
	uint64_t sum = 0;

	for (; len >= 32; len -= 32, p += 32)
		sum = sum_32(sum, p);
	for (; len >= 8; len -= 8, p += 8)
		sum = sum_carry(sum, sum_load(p, 8));
	if (len & 4) {
		sum = sum_carry(sum, sum_load(p, 4));
		p += 4;
	}
	if (len & 2) {
		sum = sum_carry(sum, sum_load(p, 2));
		p += 2;
	}
	if (len & 1) {
		uint8_t last[2] = {*p, 0};

		sum = sum_carry(sum, sum_load(last, 2));
	}
	return (sum >> 32) + (sum & 0xffffffff);
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
