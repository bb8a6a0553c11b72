// SPDX-License-Identifier: Apache-2.0
/*
 * hex.h: a number's sixteen hexadecimal digits at once, for the names of requests.
 *
 * The digits stand in the order of the bytes in memory, the high one of each first. The vector twin
 * (SSSE3, in the baseline x86-64-v2) gives what the portable one gives.
 */
#pragma once

#include <stdint.h>

#ifdef __SSSE3__
#include <tmmintrin.h>
#endif

static inline void hex_digits_portable(char to[16], uint64_t v)
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < 16; i += 2, v >>= 8) {
		to[i] = digits[v >> 4 & 15];
		to[i + 1] = digits[v & 15];
	}
}

#ifdef __SSSE3__
static inline void hex_digits_vector(char to[16], uint64_t v)
{
	const __m128i digits = _mm_setr_epi8('0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a',
		'b', 'c', 'd', 'e', 'f');
	const __m128i low4 = _mm_set1_epi8(15);
	__m128i b = _mm_cvtsi64_si128((int64_t)v);
	__m128i high = _mm_and_si128(_mm_srli_epi16(b, 4), low4);
	__m128i nibbles = _mm_unpacklo_epi8(high, _mm_and_si128(b, low4));

	_mm_storeu_si128((__m128i *)(void *)to, _mm_shuffle_epi8(digits, nibbles));
}
#define hex_digits hex_digits_vector
#else
#define hex_digits hex_digits_portable
#endif
