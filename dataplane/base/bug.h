// SPDX-License-Identifier: Apache-2.0
/*
 * bug.h: assertions about ourselves.
 *
 * bug_on() is always compiled in and ends the process; bug_on_hot() costs nothing in release
 * builds and is bug_on() in debug, test and fuzz builds. Nothing that a packet, a peer, a
 * manifest or a message can cause may be a bug_on: that is a value with a counter.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

/* Called after the message, before abort(): the process may print its state (NULL: nothing). */
extern void (*bug_dump_fn)(void);

_Noreturn void bug_panic(const char *file, int line, const char *func, const char *what);

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define bug_on(cond) \
	do { \
		if (unlikely(cond)) \
			bug_panic(__FILE__, __LINE__, __func__, #cond); \
	} while (0)

#ifdef SLUICE_DEBUG
#define bug_on_hot(cond) bug_on(cond)
#else
#define bug_on_hot(cond) ((void)sizeof((cond) ? 1 : 0))
#endif
