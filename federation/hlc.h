// SPDX-License-Identifier: Apache-2.0
/*
 * hlc.h: a clock that orders edits of several sites: 48 bits of milliseconds, 16 of a counter.
 *
 * A stamp is later than every stamp its maker had seen, also when clocks differ, and close to the
 * wall clock as long as theirs are (Kulkarni and others 2014). A stamp that is too far ahead of our
 * wall clock is refused, or one bad clock would carry all sites into the future.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HLC_AHEAD_MS 300000u

struct hlc {
	uint64_t last; /* made or seen; 0: none yet */
};

static inline uint64_t hlc_ms(uint64_t stamp)
{
	return stamp >> 16;
}

static inline uint64_t hlc_of_ms(uint64_t ms)
{
	return ms << 16;
}

/* Of a time that somebody says, which may have more than the 48 bits of a stamp. */
static inline bool hlc_ms_is_ahead(uint64_t ms, uint64_t wall_ms)
{
	return ms > wall_ms + HLC_AHEAD_MS;
}

static inline bool hlc_is_ahead(uint64_t stamp, uint64_t wall_ms)
{
	return hlc_ms_is_ahead(hlc_ms(stamp), wall_ms);
}

/* A new stamp, later than all before. A counter that is full takes the next millisecond. */
static inline uint64_t hlc_stamp(struct hlc *h, uint64_t wall_ms)
{
	uint64_t now = hlc_of_ms(wall_ms);

	h->last = now > h->last ? now : h->last + 1;
	return h->last;
}

/* A stamp of somebody else; false: it is too far ahead and ignored. */
static inline bool hlc_observe(struct hlc *h, uint64_t stamp, uint64_t wall_ms)
{
	if (hlc_is_ahead(stamp, wall_ms))
		return false;
	if (stamp > h->last)
		h->last = stamp;
	return true;
}

/* What sites that talk agree on, however their clocks differ: never before what was seen. */
static inline uint64_t hlc_time_ms(const struct hlc *h, uint64_t wall_ms)
{
	return hlc_ms(h->last) > wall_ms ? hlc_ms(h->last) : wall_ms;
}
