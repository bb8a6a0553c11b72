// SPDX-License-Identifier: Apache-2.0
/*
 * nap.c: when to look again, when to sleep, and for how long.
 *
 * Where every port wakes its worker (the kernel's sockets beneath af_packet do), an empty turn ends
 * in sleep at once. Only where packets have been coming so fast that sleeping and being woken, whose
 * cost the sender shares, would take longer than the usual gap between two of them, the worker looks
 * on for a while. Sleep is bounded by the next timer, and by what a change of the configuration may
 * have to wait.
 *
 * A port without interrupts can only be asked. A worker that has one asks on for a while, because
 * answers of this box's neighbours come soon, and then ever more rarely: it sleeps an eighth of the
 * rest so far, so that a packet is late by at most an eighth of the silence before it.
 */
#include "dataplane/worker/nap.h"

#define WAKE_US 12 /* sleeping and being woken, both sides together, on a virtual machine */
#define WINDOW_US 1000
#define SPIN_US 50 /* of silence; a sender that does a burst is back by then */
#define WOKEN_MAX_US 4000
#define WOKEN_MIN_US 20 /* timers tick by the millisecond: so late is not late */
#define ASKED_MIN_US 20 /* below this a nap costs more than it saves */
#define ASKED_MAX_US 1000

static uint64_t clamp(uint64_t v, uint64_t low, uint64_t high)
{
	return v < low ? low : v > high ? high : v;
}

static uint64_t asked_length(uint64_t rest_us, uint64_t until_due_us)
{
	uint64_t us = clamp(rest_us / 8, ASKED_MIN_US, ASKED_MAX_US);

	if (rest_us < SPIN_US || until_due_us < ASKED_MIN_US)
		return 0;
	return us < until_due_us ? us : until_due_us;
}

static uint64_t woken_length(const struct nap *n, uint64_t rest_us, uint64_t until_due_us)
{
	if (n->work_per_ms * WAKE_US >= 1000 && rest_us < SPIN_US)
		return 0;
	return clamp(until_due_us, WOKEN_MIN_US, WOKEN_MAX_US);
}

void nap_note(struct nap *n, uint64_t now_us, unsigned work)
{
	uint64_t window = now_us - n->window_us;

	if (work > 0)
		n->worked_us = now_us;
	n->window_work += work;
	if (window < WINDOW_US)
		return;
	n->work_per_ms = n->window_work * 1000 / window;
	n->window_work = 0;
	n->window_us = now_us;
}

uint64_t nap_length(const struct nap *n, uint64_t due_us, uint64_t now_us)
{
	uint64_t rest = now_us - n->worked_us;

	if (due_us <= now_us)
		return 0;
	return n->is_woken ? woken_length(n, rest, due_us - now_us)
			   : asked_length(rest, due_us - now_us);
}
