// SPDX-License-Identifier: Apache-2.0
/*
 * prefetch.h: asking for memory before it is needed.
 *
 * With thousands of connections nothing of a connection is in the cache when its packet comes, and
 * a packet's way goes through half a dozen objects, each found by a pointer in the one before. What
 * a burst will touch is therefore asked for in stages, one pointer further in each stage, so that
 * the misses of different packets overlap. A prefetch never faults: a stale pointer costs a slot in
 * a queue, nothing else.
 *
 * GCC 12 and 13 take a function that does nothing else for one without effects and drop its calls
 * (GCC bug 109985), so each function here says that it has one.
 */
#pragma once

#include <stddef.h>

#define PREFETCH_LINE 64u

/* No instruction, but nothing that a compiler may leave out. */
static inline void prefetch_matters(void)
{
	__asm__ volatile("");
}

static inline void prefetch(const void *p)
{
	__builtin_prefetch(p);
	prefetch_matters();
}

/* To be written soon. */
static inline void prefetch_for_write(void *p)
{
	__builtin_prefetch(p, 1);
	prefetch_matters();
}

/* All lines of [p, p + bytes); <p> begins a line. */
static inline void prefetch_lines(const void *p, size_t bytes)
{
#pragma GCC unroll 16
	for (size_t at = 0; at < bytes; at += PREFETCH_LINE)
		__builtin_prefetch((const char *)p + at);
	prefetch_matters();
}
