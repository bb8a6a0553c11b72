// SPDX-License-Identifier: Apache-2.0
/*
 * h1_header.h: from a field name to its row of header.def, for the files of this folder.
 *
 * A name that is a token is compared by setting bit 0x20 of each byte: letters fold to lower
 * case, digits and '-' keep their value, and no other token byte becomes one of those.
 */
#pragma once

#include <stdalign.h>

#include "dataplane/base/bug.h"
#include "dataplane/http/h1.h"

#define H1_ROW_HOP 0x01	   /* = H1_HEADER_HOP */
#define H1_ROW_ORIGIN 0x02 /* = H1_HEADER_ORIGIN */
#define H1_ROW_NO_TRAILER 0x04
#define H1_ROW_NO_UNDERSCORE 0x08
#define H1_ROW_NAMED 0x10 /* removed when Connection names it */
#define H1_ROW_OURS 0x20  /* = H1_HEADER_OURS */

struct h1_row {
	alignas(32) char name[24]; /* lower case, and its colon */
	uint8_t len;		   /* 0: the row of all names that the table does not have */
	uint8_t flags;		   /* H1_ROW_* */
	uint8_t id;		   /* enum h1_header_id */
	uint8_t header_flags;	   /* those of H1_HEADER_* */
};
extern const struct h1_row h1_rows[H1_HDR_COUNT]; /* by id */
extern const uint8_t h1_row_slots[256];		  /* hash -> id, 0: none */

/* Of letters the low five bits are the same in both cases. */
#define H1_ROW_HASH(len, first, last_but_one) \
	(((len) + 3 * ((first)&31) + 18 * ((last_but_one)&31)) & 255)

static inline bool h1_folds_to8(const char *p, const char *lower)
{
	uint64_t a, b;

	memcpy(&a, p, 8);
	memcpy(&b, lower, 8);
	return (a | 0x2020202020202020ull) == b;
}

static inline bool h1_folds_to4(const char *p, const char *lower)
{
	uint32_t a, b;

	memcpy(&a, p, 4);
	memcpy(&b, lower, 4);
	return (a | 0x20202020u) == b;
}

/*
 * Is the token <name> the lower-case name of <row>? Lengths are equal, and not 0. Words that
 * overlap cover all of it.
 */
static inline bool h1_row_is(const struct h1_row *row, struct str name)
{
	size_t i = 0, n = name.len;

	if (n < 4) {
		for (; i < n; i++)
			if ((name.p[i] | 0x20) != row->name[i])
				return false;
		return true;
	}
	if (n < 8)
		return h1_folds_to4(name.p, row->name) &&
			h1_folds_to4(name.p + n - 4, row->name + n - 4);
	for (; i + 8 <= n; i += 8)
		if (!h1_folds_to8(name.p + i, row->name + i))
			return false;
	return h1_folds_to8(name.p + n - 8, row->name + n - 8);
}

/* The row that a token of these letters can be; two bytes before <name> are readable. */
static inline unsigned h1_row_slot(const char *name, size_t len)
{
	return h1_row_slots[H1_ROW_HASH((unsigned)len, (uint8_t)name[0], (uint8_t)name[len - 2])];
}

/*
 * The row that has the length and the two letters of the token <name>, so the only one it can be.
 * Row 0 (OTHER) when there is none.
 */
static inline const struct h1_row *h1_row_candidate(struct str name)
{
	const struct h1_row *row = &h1_rows[0];

	if (name.len >= 2)
		row += h1_row_slot(name.p, name.len);
	return row->len == name.len ? row : &h1_rows[0];
}

/*
 * Row of a token; *ret_underscore is set when it is a guarded name spelled with '_' for '-'. The
 * row is then 0.
 */
const struct h1_row *h1_row_lookup_slow(const struct h1_row *candidate, struct str name,
	bool *ret_underscore);

/* "X-Forwarded-" and more, in any case, with '-' or '_': tells where a request came from. */
bool h1_is_forwarded_family(struct str name);

static inline const struct h1_row *h1_row_lookup(struct str name, bool *ret_underscore)
{
	const struct h1_row *row = h1_row_candidate(name);

	if (row->len == 0 || h1_row_is(row, name))
		return row;
	return h1_row_lookup_slow(row, name, ret_underscore);
}
