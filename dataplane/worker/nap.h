// SPDX-License-Identifier: Apache-2.0
/*
 * nap.h: how long a worker that found nothing to do may sleep: a pure function of the time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct nap {
	bool is_woken;	      /* a packet at any port ends the nap */
	uint64_t worked_us;   /* the last turn that did something */
	uint64_t window_us;   /* since when <window_work> is counted */
	uint64_t window_work; /* packets */
	uint64_t work_per_ms; /* of the window before */
};

/* A turn at <now_us> has done <work>. */
void nap_note(struct nap *n, uint64_t now_us, unsigned work);
/* After a turn without work; <due_us>: the next timer. Microseconds; 0: look again at once. */
uint64_t nap_length(const struct nap *n, uint64_t due_us, uint64_t now_us);
