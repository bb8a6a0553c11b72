// SPDX-License-Identifier: Apache-2.0
/*
 * gen_sum.c: checksums of whole frames.
 */
#include "tests/bench/gen_sum.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* 32-bit words widened to 64 bits: no carry is lost in less than 2^32 of them. */
__attribute__((target("avx2"))) static uint64_t sum_avx2(const uint8_t *p, uint32_t len)
{
	const __m256i low = _mm256_set1_epi64x(0xffffffff);
	__m256i a = _mm256_setzero_si256(), b = a;
	uint64_t lane[4];

	for (; len >= 64; len -= 64, p += 64) {
		__m256i x = _mm256_loadu_si256((const void *)p);
		__m256i y = _mm256_loadu_si256((const void *)(p + 32));

		a = _mm256_add_epi64(a, _mm256_and_si256(x, low));
		b = _mm256_add_epi64(b, _mm256_srli_epi64(x, 32));
		a = _mm256_add_epi64(a, _mm256_and_si256(y, low));
		b = _mm256_add_epi64(b, _mm256_srli_epi64(y, 32));
	}
	_mm256_storeu_si256((void *)lane, _mm256_add_epi64(a, b));
	return lane[0] + lane[1] + lane[2] + lane[3] + sum_short(p, len);
}

uint64_t sum_long(const void *data, uint32_t len)
{
	if (__builtin_cpu_supports("avx2"))
		return sum_avx2(data, len);
	return sum_short(data, len);
}
#else
uint64_t sum_long(const void *data, uint32_t len)
{
	return sum_short(data, len);
}
#endif
