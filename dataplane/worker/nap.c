// SPDX-License-Identifier: Apache-2.0
/*
 * nap.c: when to look again, when to sleep, and for how long.
 *
 * Where every port wakes its worker (the kernel's sockets beneath af_packet do), an empty turn ends
 * in sleep at once. Under load the next packets have come before the worker gets there, so it hardly
 * ever sleeps; at half load it sleeps between bursts, and what it would have burnt on empty turns is
 * more than going to sleep and waking cost. Sleep is bounded by the next timer, and by what a
 * change of the configuration may have to wait.
 *
 * A port without interrupts can only be asked. A worker that has one asks on for a while, because
 * answers of this box's neighbours come soon, and then ever more rarely: it sleeps an eighth of the
 * rest so far, so that a packet is late by at most an eighth of the silence before it.
 */
#include "dataplane/worker/nap.h"

#define WOKEN_MAX_US 4000
#define WOKEN_MIN_US 20 /* timers tick by the millisecond: so late is not late */
#define ASKED_SPIN_US 50
#define ASKED_MIN_US 20 /* below this a nap costs more than it saves */
#define ASKED_MAX_US 1000

static uint64_t clamp(uint64_t v, uint64_t low, uint64_t high)
{
	return v < low ? low : v > high ? high : v;
}

static uint64_t asked_length(uint64_t rest_us, uint64_t until_due_us)
{
	uint64_t us = clamp(rest_us / 8, ASKED_MIN_US, ASKED_MAX_US);

	if (rest_us < ASKED_SPIN_US || until_due_us < ASKED_MIN_US)
		return 0;
	return us < until_due_us ? us : until_due_us;
}

uint64_t nap_length(const struct nap *n, uint64_t now_us)
{
	if (n->due_us <= now_us)
		return 0;
	if (n->is_woken)
		return clamp(n->due_us - now_us, WOKEN_MIN_US, WOKEN_MAX_US);
	return asked_length(now_us - n->worked_us, n->due_us - now_us);
}
