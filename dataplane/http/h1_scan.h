// SPDX-License-Identifier: Apache-2.0
/*
 * h1_scan.h: how far does a run of allowed bytes go? The inner loops of the parser.
 *
 * A class of bytes is one readable macro. From it the compiler makes sixteen bytes: bit <hi> of
 * row <lo> says whether byte hi*16+lo, an ASCII one, is a member. The portable twin asks that
 * table byte by byte; the vector twin (SSSE3, in the baseline x86-64-v2) looks sixteen bytes up
 * at once, by shuffling the rows with the low nibbles and picking the bit with the high ones.
 * Bytes above 0x7f are members of nothing. Both give equal results (h1_scan_test.c) and neither
 * reads a byte at or behind <end>.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __SSSE3__
#include <tmmintrin.h>
#endif

#define H1_IS_ALPHA(c) (((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z'))
#define H1_IS_DIGIT(c) ((c) >= '0' && (c) <= '9')
/* RFC 9110 5.6.2: tchar */
#define H1_IS_TOKEN(c) \
	(H1_IS_ALPHA(c) || H1_IS_DIGIT(c) || (c) == '!' || (c) == '#' || (c) == '$' || \
		(c) == '%' || (c) == '&' || (c) == '\'' || (c) == '*' || (c) == '+' || \
		(c) == '-' || (c) == '.' || (c) == '^' || (c) == '_' || (c) == '`' || \
		(c) == '|' || (c) == '~')
/* RFC 3986 and what browsers leave unescaped in practice; never '#', quotes, angles or blanks */
#define H1_IS_TARGET(c) \
	((c) > ' ' && (c) < 0x7f && (c) != '"' && (c) != '#' && (c) != '<' && (c) != '>')
/* registered names as routes can have them, and IPv4; an IPv6 literal is read apart */
#define H1_IS_HOST(c) (H1_IS_ALPHA(c) || H1_IS_DIGIT(c) || (c) == '-' || (c) == '.' || (c) == '_')
/* RFC 9110 5.5: not in a field value; all else is: HTAB, SP, VCHAR, obs-text */
#define H1_IS_CONTROL(c) (((c) < ' ' && (c) != '\t') || (c) == 0x7f)

struct h1_class {
	uint8_t row[16];
};

#define H1_ROW(IS, lo) \
	((IS(0x00 | (lo)) ? 0x01 : 0) | (IS(0x10 | (lo)) ? 0x02 : 0) | \
		(IS(0x20 | (lo)) ? 0x04 : 0) | (IS(0x30 | (lo)) ? 0x08 : 0) | \
		(IS(0x40 | (lo)) ? 0x10 : 0) | (IS(0x50 | (lo)) ? 0x20 : 0) | \
		(IS(0x60 | (lo)) ? 0x40 : 0) | (IS(0x70 | (lo)) ? 0x80 : 0))
#define H1_CLASS(IS) \
	{ \
		{ \
			H1_ROW(IS, 0), H1_ROW(IS, 1), H1_ROW(IS, 2), H1_ROW(IS, 3), H1_ROW(IS, 4), \
				H1_ROW(IS, 5), H1_ROW(IS, 6), H1_ROW(IS, 7), H1_ROW(IS, 8), \
				H1_ROW(IS, 9), H1_ROW(IS, 10), H1_ROW(IS, 11), H1_ROW(IS, 12), \
				H1_ROW(IS, 13), H1_ROW(IS, 14), H1_ROW(IS, 15) \
		} \
	}

static const struct h1_class h1_token = H1_CLASS(H1_IS_TOKEN);
static const struct h1_class h1_target = H1_CLASS(H1_IS_TARGET);
static const struct h1_class h1_host = H1_CLASS(H1_IS_HOST);
static const struct h1_class h1_control = H1_CLASS(H1_IS_CONTROL);

static inline bool h1_is(const struct h1_class *cl, char ch)
{
	uint8_t c = (uint8_t)ch;

	return c < 0x80 && (cl->row[c & 15] >> (c >> 4) & 1);
}

/* The first byte of [p, end) whose membership in <cl> is <stop>, or <end>. */
static inline const char *h1_scan_portable(const char *p, const char *end,
	const struct h1_class *cl, bool stop)
{
	while (p < end && h1_is(cl, *p) != stop)
		p++;
	return p;
}

#ifdef __SSSE3__
/* One bit per byte: set for each <c>. */
static inline unsigned h1_equal(__m128i b, char c)
{
	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(b, _mm_set1_epi8(c)));
}

/* One bit per byte of the sixteen at <p>: set for members. */
static inline unsigned h1_members(const char *p, const struct h1_class *cl)
{
	const __m128i bit = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
	const __m128i low4 = _mm_set1_epi8(15);
	__m128i b = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i rows = _mm_loadu_si128((const __m128i *)(const void *)cl->row);
	__m128i row = _mm_shuffle_epi8(rows, _mm_and_si128(b, low4));
	__m128i want = _mm_shuffle_epi8(bit, _mm_and_si128(_mm_srli_epi16(b, 4), low4));
	__m128i none = _mm_cmpeq_epi8(_mm_and_si128(row, want), _mm_setzero_si128());

	return ~(unsigned)_mm_movemask_epi8(none) & 0xffff;
}

static inline const char *h1_scan_vector(const char *p, const char *end, const struct h1_class *cl,
	bool stop)
{
	for (; end - p >= 16; p += 16) {
		unsigned m = h1_members(p, cl);

		if (!stop)
			m ^= 0xffff;
		if (m != 0)
			return p + __builtin_ctz(m);
	}
	return h1_scan_portable(p, end, cl, stop);
}

/*
 * The same when the bytes from <begin> on are readable too: the last block is then the sixteen
 * bytes that end at <end>, of which those in front of <p> are shifted out.
 */
static inline const char *h1_scan_after_vector(const char *begin, const char *p, const char *end,
	const struct h1_class *cl, bool stop)
{
	unsigned m;

	for (; end - p >= 16; p += 16) {
		m = h1_members(p, cl);
		if (!stop)
			m ^= 0xffff;
		if (m != 0)
			return p + __builtin_ctz(m);
	}
	if (end - begin < 16)
		return h1_scan_portable(p, end, cl, stop);
	m = h1_members(end - 16, cl);
	if (!stop)
		m ^= 0xffff;
	m >>= 16 - (end - p);
	return m != 0 ? p + __builtin_ctz(m) : end;
}
#define h1_scan h1_scan_vector
#define h1_scan_after h1_scan_after_vector
#else
#define h1_scan h1_scan_portable
#define h1_scan_after(begin, p, end, cl, stop) h1_scan_portable(p, end, cl, stop)
#endif

/*
 * Is there anything in the path that has to be looked at: '%', '\', "//" or "/."? Most paths have
 * none of it, and only the others pay for the closer look.
 */
static inline bool h1_path_is_plain_portable(const char *p, const char *end)
{
	for (; p < end; p++) {
		if (*p == '%' || *p == '\\')
			return false;
		if (*p == '/' && p + 1 < end && (p[1] == '/' || p[1] == '.'))
			return false;
	}
	return true;
}

#ifdef __SSSE3__
static inline bool h1_path_is_plain_vector(const char *p, const char *end)
{
	/* Blocks overlap by one byte, so that each pair lies in one block. */
	for (; end - p >= 16; p += 15) {
		__m128i b = _mm_loadu_si128((const __m128i *)(const void *)p);
		unsigned slash = h1_equal(b, '/'), dot = h1_equal(b, '.');

		if ((h1_equal(b, '%') | h1_equal(b, '\\') | (slash << 1 & (slash | dot))) != 0)
			return false;
	}
	return h1_path_is_plain_portable(p, end);
}
#define h1_path_is_plain h1_path_is_plain_vector
#else
#define h1_path_is_plain h1_path_is_plain_portable
#endif
