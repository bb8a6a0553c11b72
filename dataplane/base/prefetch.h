// SPDX-License-Identifier: Apache-2.0
/*
 * prefetch.h: asking for memory before it is needed.
 *
 * With thousands of connections nothing of a connection is in the cache when its packet comes, and
 * a packet's way goes through half a dozen objects, each found by a pointer in the one before. What
 * a burst will touch is therefore asked for in stages, one pointer further in each stage, so that
 * the misses of different packets overlap. A prefetch never faults: a stale pointer costs a slot in
 * a queue, nothing else.
 */
#pragma once

#include <stddef.h>

#define PREFETCH_LINE 64u

static inline void prefetch(const void *p)
{
	__builtin_prefetch(p);
}

/* To be written soon. */
static inline void prefetch_for_write(void *p)
{
	__builtin_prefetch(p, 1);
}

/* All lines of [p, p + bytes); <p> begins a line. */
static inline void prefetch_lines(const void *p, size_t bytes)
{
#pragma GCC unroll 16
	for (size_t at = 0; at < bytes; at += PREFETCH_LINE)
		__builtin_prefetch((const char *)p + at);
}
