// SPDX-License-Identifier: Apache-2.0
/*
 * debounce.h: when to act on a stream of changes.
 *
 * The first change of a quiet period is acted on at once; changes that follow within the window
 * wait until the window is over and are acted on together, so nothing waits longer than the
 * window. Acting may itself take longer than the window: the next window starts when it is done.
 * Pure: time is an argument.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct debounce {
	uint64_t window_us;
	uint64_t open_at_us; /* before this time changes wait; 0: never acted */
	bool pending;
};

#define DEBOUNCE_NOW 0

/*
 * A change was seen. DEBOUNCE_NOW: act in this turn; else the number of microseconds after which
 * to ask debounce_is_due().
 */
static inline uint64_t debounce_on_change(struct debounce *d, uint64_t now_us)
{
	d->pending = true;
	return now_us >= d->open_at_us ? DEBOUNCE_NOW : d->open_at_us - now_us;
}

static inline bool debounce_is_due(const struct debounce *d, uint64_t now_us)
{
	return d->pending && now_us >= d->open_at_us;
}

/* We have acted on every change seen so far. */
static inline void debounce_on_acted(struct debounce *d, uint64_t now_us)
{
	d->pending = false;
	d->open_at_us = now_us + d->window_us;
}

/* There was nothing to act on after all; the next change is the first of a quiet period again. */
static inline void debounce_on_nothing(struct debounce *d)
{
	d->pending = false;
}
