// SPDX-License-Identifier: Apache-2.0
/*
 * gen_body.h: what the backends serve: bytes that know their place.
 *
 * A body is eight digits that repeat the request's number and then a fixed pseudo-random pattern of
 * prime period, so bytes that are lost, doubled, moved or of another request's answer do not pass
 * for right ones. The pattern lies twice in a row in memory and with running sums beside it: any
 * slice is one memcpy() or memcmp(), and its checksum two look-ups.
 */
#pragma once

#include <stdint.h>

#include "tests/bench/gen_sum.h"

#define BODY_PERIOD 8191u     /* prime: no multiple of a segment's length is a whole period */
#define BODY_SLICE_MAX 32768u /* bytes of one slice */
#define BODY_ID_LEN 8u
#define BODY_BYTES_MAX 9999999u /* seven digits in the request */

struct body {
	uint8_t pattern[BODY_PERIOD + BODY_SLICE_MAX];
	uint32_t running[BODY_PERIOD + BODY_SLICE_MAX + 1]; /* sum of all bytes before */
};

void body_init(struct body *b);

/* <len> bytes of the pattern from offset <off> of a body, len <= BODY_SLICE_MAX. */
static inline const uint8_t *body_at(const struct body *b, uint32_t off)
{
	return b->pattern + off % BODY_PERIOD;
}

/* Their checksum, as of a part that starts at an even place. */
static inline uint64_t body_sum(const struct body *b, uint32_t off, uint32_t len)
{
	uint32_t at = off % BODY_PERIOD;
	uint64_t sum = b->running[at + len] - b->running[at];

	return (at & 1) ? sum_swap(sum) : sum;
}
