// SPDX-License-Identifier: Apache-2.0
/*
 * csum.c: long pieces by the widest vectors that this processor has, chosen at run time.
 *
 * Each 64-bit lane keeps two totals: of the words themselves, modulo 2^64, and of their upper
 * halves. The second is exact, and what the first is then known to hold of the lower halves is
 * exact as well: three instructions per vector, no carries.
 */
#include "dataplane/base/csum.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define VECTOR 32u

struct lanes {
	__m256i words, high;
};

__attribute__((target("avx2"), always_inline)) static inline void take(struct lanes *s,
	const uint8_t *p)
{
	__m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);

	s->words = _mm256_add_epi64(s->words, v);
	s->high = _mm256_add_epi64(s->high, _mm256_srli_epi64(v, 32));
}

__attribute__((target("avx2"))) static uint64_t sum_avx2(const uint8_t *p, size_t len)
{
	struct lanes s = {_mm256_setzero_si256(), _mm256_setzero_si256()};
	uint64_t words[4], high[4], sum = 0;

	for (; len >= 4 * VECTOR; p += 4 * VECTOR, len -= 4 * VECTOR) {
		take(&s, p);
		take(&s, p + VECTOR);
		take(&s, p + 2 * VECTOR);
		take(&s, p + 3 * VECTOR);
	}
	_mm256_storeu_si256((__m256i *)(void *)words, s.words);
	_mm256_storeu_si256((__m256i *)(void *)high, s.high);
	for (unsigned i = 0; i < 4; i++)
		sum += words[i] - (high[i] << 32) + high[i];
	return sum + csum_words(p, len);
}
#endif

uint64_t csum_wide(const uint8_t *p, size_t len)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		return sum_avx2(p, len);
#endif
	return csum_words(p, len);
}
