// SPDX-License-Identifier: Apache-2.0
/*
 * str.h: a slice of bytes, the house's string.
 *
 * A struct str is (pointer, length) into memory that somebody else owns: a packet, an arena, a
 * literal. It is passed by value, it is never NUL-terminated by contract, and it may hold any
 * byte. {NULL, 0} and {p, 0} are both the empty string; no function here reads p when len is 0.
 * Case-insensitive functions fold ASCII only, because host names and header names are ASCII
 * (RFC 9110 5.1, RFC 4343).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *p; /* borrowed */
	size_t len;
};

/* A literal as a slice, usable in static initialisers: STR("GET"). */
#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})

/* printf("%.*s", STR_FMT(s)) */
#define STR_FMT(s) (int)(s).len, (s).len ? (s).p : ""

static inline struct str str_of(const char *cstr)
{
	return (struct str){cstr, cstr ? strlen(cstr) : 0};
}

static inline struct str str_make(const void *p, size_t len)
{
	return (struct str){(const char *)p, len};
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline char ascii_lower(char c)
{
	return (c >= 'A' && c <= 'Z') ? (char)(c | 0x20) : c;
}

/* The eight bytes of <w>, each as ascii_lower() gives it. */
static inline uint64_t ascii_lower8(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101u, low7 = w & ones * 0x7f;
	uint64_t from_a = low7 + ones * (0x80 - 'A'), past_z = low7 + ones * (0x80 - 'Z' - 1);

	return w | (from_a & ~past_z & ~w & ones * 0x80) >> 2; /* 0x80 >> 2 is the bit */
}

/* Writes <s> in lower case to <to>, which has room for it. */
static inline void str_lower(char *to, struct str s)
{
	uint64_t w;

	if (s.len < 8) {
		for (size_t i = 0; i < s.len; i++)
			to[i] = ascii_lower(s.p[i]);
		return;
	}
	for (size_t i = 0; i + 8 < s.len; i += 8) {
		memcpy(&w, s.p + i, 8);
		w = ascii_lower8(w);
		memcpy(to + i, &w, 8);
	}
	memcpy(&w, s.p + s.len - 8, 8); /* the last eight, some of them once more */
	w = ascii_lower8(w);
	memcpy(to + s.len - 8, &w, 8);
}

/* Value of a hexadecimal digit, or -1. */
static inline int ascii_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline bool str_ieq(struct str a, struct str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
			return false;
	return true;
}

/* Byte order, shorter first among equals: the order of memcmp, for sorted tables. */
static inline int str_cmp(struct str a, struct str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int d = n ? memcmp(a.p, b.p, n) : 0;

	if (d != 0)
		return d;
	return (a.len > b.len) - (a.len < b.len);
}

static inline bool str_starts(struct str s, struct str prefix)
{
	return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.p, prefix.p, prefix.len) == 0);
}

static inline bool str_ends(struct str s, struct str suffix)
{
	return s.len >= suffix.len &&
		(suffix.len == 0 || memcmp(s.p + s.len - suffix.len, suffix.p, suffix.len) == 0);
}

/* From byte <from> to the end; empty when <from> is past it. */
static inline struct str str_from(struct str s, size_t from)
{
	if (from >= s.len)
		return (struct str){NULL, 0};
	return (struct str){s.p + from, s.len - from};
}

/* At most the first <n> bytes. */
static inline struct str str_first(struct str s, size_t n)
{
	return (struct str){s.p, s.len < n ? s.len : n};
}

/* Index of the first <c>, or -1. */
static inline ptrdiff_t str_find(struct str s, char c)
{
	const char *q = s.len ? (const char *)memchr(s.p, c, s.len) : NULL;

	return q ? q - s.p : -1;
}

/* Index of the last <c>, or -1. */
static inline ptrdiff_t str_rfind(struct str s, char c)
{
	for (size_t i = s.len; i > 0; i--)
		if (s.p[i - 1] == c)
			return (ptrdiff_t)(i - 1);
	return -1;
}

/* Without leading and trailing SP and HTAB (RFC 9110 5.6.3: OWS). */
static inline struct str str_trim(struct str s)
{
	while (s.len && (s.p[0] == ' ' || s.p[0] == '\t'))
		s.p++, s.len--;
	while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/*
 * Cuts the part before <sep> off the front of *<rest> and returns it; without <sep> the whole
 * rest is returned and *<rest> becomes {NULL, 0}. Loop while rest.p != NULL.
 */
static inline struct str str_cut(struct str *rest, char sep)
{
	ptrdiff_t i = str_find(*rest, sep);
	struct str head = *rest;

	if (i < 0) {
		*rest = (struct str){NULL, 0};
		return head;
	}
	head.len = (size_t)i;
	rest->p += i + 1;
	rest->len -= (size_t)i + 1;
	return head;
}

/*
 * Decimal digits only, no sign, no blanks, at least one digit (RFC 9110 8.6: Content-Length).
 * False on anything else and on values above UINT64_MAX; *ret_value is then untouched.
 */
static inline bool str_to_u64(struct str s, uint64_t *ret_value)
{
	uint64_t v = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned d = (unsigned char)s.p[i] - '0';

		if (d > 9 || v > (UINT64_MAX - d) / 10)
			return false;
		v = v * 10 + d;
	}
	*ret_value = v;
	return true;
}
