// SPDX-License-Identifier: Apache-2.0
/*
 * timer_wheel.c: hierarchical timing wheel (Varghese, Lauck 1987) with lazy re-arming.
 *
 * Level 0 holds the next 256 ticks, level n the ticks whose distance needs n more bytes. When the
 * low byte of the tick counter wraps, the slot of the next level is filed anew (cascade).
 */
#include "dataplane/base/timer_wheel.h"

#include <stddef.h>

#include "dataplane/base/bug.h"

#define LOOKAHEAD 16 /* ticks that next_us looks through: every nap asks, and is shorter */

static uint64_t tick_of(uint64_t us)
{
	return (us + TIMER_TICK_US - 1) / TIMER_TICK_US;
}

void timer_wheel_init(struct timer_wheel *w, uint64_t now_us)
{
	for (int level = 0; level < 4; level++)
		for (int i = 0; i < 256; i++)
			list_init(&w->slots[level][i]);
	list_init(&w->due);
	w->tick = now_us / TIMER_TICK_US;
	w->armed_count = 0;
}

void timer_init(struct timer *t)
{
	list_init(&t->link);
	t->expires_us = TIMER_NEVER;
	t->slot_us = 0;
}

static void timer_file(struct timer_wheel *w, struct timer *t)
{
	uint64_t tick = tick_of(t->expires_us);
	uint64_t far = w->tick + UINT32_MAX;
	uint64_t dist;
	int level = 0;

	if (tick <= w->tick)
		tick = w->tick + 1;
	if (tick > far)
		tick = far;
	t->slot_us = (tick - 1) * TIMER_TICK_US;
	dist = tick ^ w->tick; /* the highest differing byte names the level */
	while (level < 3 && dist >> (8 * (level + 1)))
		level++;
	list_add_tail(&w->slots[level][(tick >> (8 * level)) & 255], &t->link);
}

void timer_refile(struct timer_wheel *w, struct timer *t, uint64_t expires_us)
{
	if (expires_us == TIMER_NEVER) {
		timer_cancel(w, t);
		return;
	}
	t->expires_us = expires_us;
	if (list_is_linked(&t->link))
		list_del(&t->link);
	else
		w->armed_count++;
	timer_file(w, t);
}

void timer_cancel(struct timer_wheel *w, struct timer *t)
{
	t->expires_us = TIMER_NEVER;
	if (!list_is_linked(&t->link))
		return;
	list_del(&t->link);
	bug_on_hot(w->armed_count == 0);
	w->armed_count--;
}

/* Files every timer of a higher level's slot anew, now that its ticks are near. */
static void cascade(struct timer_wheel *w, int level)
{
	struct list *slot = &w->slots[level][(w->tick >> (8 * level)) & 255];
	struct list batch, *l;

	list_init(&batch);
	while ((l = list_pop(slot)) != NULL)
		list_add_tail(&batch, l);
	while ((l = list_pop(&batch)) != NULL) {
		struct timer *t = list_entry(l, struct timer, link);

		if (tick_of(t->expires_us) <= w->tick)
			list_add_tail(&w->due, &t->link);
		else
			timer_file(w, t);
	}
}

static void advance_one(struct timer_wheel *w)
{
	struct list *l;

	w->tick++;
	for (int level = 1; level < 4 && (w->tick & ((1ull << (8 * level)) - 1)) == 0; level++)
		cascade(w, level);
	while ((l = list_pop(&w->slots[0][w->tick & 255])) != NULL) {
		struct timer *t = list_entry(l, struct timer, link);

		if (tick_of(t->expires_us) <= w->tick)
			list_add_tail(&w->due, &t->link);
		else
			timer_file(w, t);
	}
}

unsigned timer_wheel_run(struct timer_wheel *w, uint64_t now_us, unsigned budget, timer_fn fn,
	void *ctx)
{
	uint64_t target = now_us / TIMER_TICK_US;
	unsigned fired = 0;

	if (w->armed_count == 0 && w->tick < target)
		w->tick = target; /* nothing filed: no slot to visit */
	for (;;) {
		struct list *l;

		while (fired < budget && (l = list_pop(&w->due)) != NULL) {
			struct timer *t = list_entry(l, struct timer, link);

			if (t->expires_us > now_us) { /* moved while it waited here */
				timer_file(w, t);
				continue;
			}
			t->expires_us = TIMER_NEVER;
			w->armed_count--;
			fired++;
			fn(t, now_us, ctx);
		}
		if (fired >= budget || w->tick >= target)
			return fired;
		advance_one(w);
	}
}

uint64_t timer_wheel_next_us(const struct timer_wheel *w)
{
	if (w->armed_count == 0)
		return TIMER_NEVER;
	if (!list_is_empty(&w->due))
		return w->tick * TIMER_TICK_US;
	for (uint64_t tick = w->tick + 1;; tick++)
		if (!list_is_empty(&w->slots[0][tick & 255]) || (tick & 255) == 0 ||
			tick == w->tick + LOOKAHEAD)
			return tick * TIMER_TICK_US;
}
