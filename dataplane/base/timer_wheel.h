// SPDX-License-Identifier: Apache-2.0
/*
 * timer_wheel.h: one lazily re-armed timer per connection, O(1), no allocation.
 *
 * Four levels of 256 slots, tick 1 ms: 2^32 ms reach. A timer holds the time at which its owner
 * wants to be looked at; moving that time further away costs one store (timer_set), because a
 * timer that fires too early is put back by timer_wheel_run, and the wheel moves a timer only when
 * its new time is earlier. A timer fires at or after its time, late by one tick at the most.
 * Time is an argument (microseconds, any monotonic origin), so wheels run on a virtual clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/list.h"

#define TIMER_NEVER UINT64_MAX
#define TIMER_TICK_US 1000u

struct timer {
	struct list link;    /* on a slot of the wheel while armed */
	uint64_t expires_us; /* wanted time, or TIMER_NEVER */
	uint64_t slot_us;    /* where the tick begins whose slot it is filed under */
};

struct timer_wheel {
	struct list slots[4][256];
	struct list due; /* expired and not handed out yet */
	uint64_t tick;	 /* every slot of a tick <= this one has been run */
	uint64_t armed_count;
};

typedef void (*timer_fn)(struct timer *t, uint64_t now_us, void *ctx);

void timer_wheel_init(struct timer_wheel *w, uint64_t now_us);
void timer_init(struct timer *t);
static inline bool timer_is_armed(const struct timer *t)
{
	return t->expires_us != TIMER_NEVER;
}
/* Arms or moves; TIMER_NEVER disarms. A time in the past fires on the next run. */
static inline void timer_set(struct timer_wheel *w, struct timer *t, uint64_t expires_us);
/* Takes the timer off the wheel; must be called before its memory is reused. */
void timer_cancel(struct timer_wheel *w, struct timer *t);
/*
 * Calls <fn> for each timer due at <now_us>, disarmed, at most <budget> of them; the rest comes
 * with the next call. <fn> may set or cancel any timer of the wheel. Returns how many fired.
 */
unsigned timer_wheel_run(struct timer_wheel *w, uint64_t now_us, unsigned budget, timer_fn fn,
	void *ctx);
/*
 * A time before which nothing can be due, for naps and virtual clocks; TIMER_NEVER when nothing
 * is armed. May be earlier than the first expiry (cascades, lazy timers), never later.
 */
uint64_t timer_wheel_next_us(const struct timer_wheel *w);

/* timer_set() where the wheel has to know. */
void timer_refile(struct timer_wheel *w, struct timer *t, uint64_t expires_us);

static inline void timer_set(struct timer_wheel *w, struct timer *t, uint64_t expires_us)
{
	/* filed under its tick or an earlier one: at worst it fires too early once, and is put back */
	if (list_is_linked(&t->link) && expires_us > t->slot_us && expires_us != TIMER_NEVER)
		t->expires_us = expires_us;
	else
		timer_refile(w, t, expires_us);
}
