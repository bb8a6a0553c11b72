// SPDX-License-Identifier: Apache-2.0
/*
 * h1_line.h: the start of a field line at one look.
 *
 * Nearly all lines begin with a name that header.def has, of at most fifteen bytes. Then the
 * sixteen bytes at the line's start, folded, begin with what the table's row holds. That one
 * comparison shows a token with its colon behind it, once control characters are ruled out, since
 * folding makes a '-' of a CR. The same bytes and the sixteen behind them tell where the line can
 * end. What is not like this is left to the parser's general way, which accepts the same; the
 * twins here agree (h1_parts_test.c).
 */
#pragma once

#include "dataplane/http/h1_header.h"
#include "dataplane/http/h1_scan.h"

#define H1_LINE_WINDOW 32
#define H1_LINE_BEFORE 2		    /* readable in front of a line: the CRLF of another */
#define H1_LINE_BEHIND (H1_LINE_WINDOW + 2) /* readable from its start: the window, and a CRLF */
#define H1_LINE_NAME_MAX 15

struct h1_line {
	const struct h1_row *row;
	size_t stop; /* first control character, HTAB included; H1_LINE_WINDOW: further on */
};

/* False: not such a line. */
static inline bool h1_line_look_portable(const char *s, struct h1_line *ret)
{
	size_t n = 0, stop = 0;

	while (n <= H1_LINE_NAME_MAX && s[n] != ':')
		n++;
	if (n > H1_LINE_NAME_MAX)
		return false;
	ret->row = h1_row_candidate(str_make(s, n));
	if (ret->row->len == 0 || !h1_row_is(ret->row, str_make(s, n)))
		return false;
	while (stop < H1_LINE_WINDOW && (uint8_t)s[stop] >= ' ' && s[stop] != 0x7f)
		stop++;
	ret->stop = stop;
	return stop > n;
}

#ifdef __SSSE3__
static inline unsigned h1_line_stops(__m128i b)
{
	__m128i below = _mm_cmpeq_epi8(_mm_min_epu8(b, _mm_set1_epi8(' ' - 1)), b);
	__m128i del = _mm_cmpeq_epi8(b, _mm_set1_epi8(0x7f));

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(below, del));
}

static inline bool h1_line_look_vector(const char *s, struct h1_line *ret)
{
	__m128i lo = _mm_loadu_si128((const __m128i *)(const void *)s);
	__m128i hi = _mm_loadu_si128((const __m128i *)(const void *)(s + 16));
	unsigned colon = h1_equal(lo, ':'), differ;
	const struct h1_row *row;
	uint64_t stops;

	if (unlikely(colon == 0))
		return false;
	row = &h1_rows[h1_row_slot(s, (size_t)__builtin_ctz(colon))];
	stops = 1ull << H1_LINE_WINDOW | h1_line_stops(hi) << 16 | h1_line_stops(lo);
	/* RFC 9110 5.1: names are case-insensitive; 0x20 is a bit of ':' already */
	lo = _mm_or_si128(lo, _mm_set1_epi8(0x20));
	lo = _mm_cmpeq_epi8(lo, *(const __m128i *)(const void *)row->name);
	differ = ~(unsigned)_mm_movemask_epi8(lo) | (unsigned)stops;
	if (unlikely((differ & (colon ^ (colon - 1))) != 0)) /* up to the colon, with it */
		return false;
	ret->row = row;
	ret->stop = (size_t)__builtin_ctzll(stops);
	return true;
}
#define h1_line_look h1_line_look_vector
#else
#define h1_line_look h1_line_look_portable
#endif
