// SPDX-License-Identifier: Apache-2.0
/*
 * wire_queue.c: the fate of a packet: dropped by a full queue, lost, corrupted, doubled, held back.
 *
 * Every decision draws from the direction's own generator in a fixed order, so a seed repeats as
 * long as the ends send the same packets. Corruption flips one bit behind the IP header: the only
 * thing that can notice is TCP's checksum.
 */
#include "tests/tools/wire/wire.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bug.h"

#define HOLD_MAX_US 3000 /* a held packet without successors goes on after this */

void wire_queue_init(struct wire_queue *q, const struct wire_profile *prof, uint64_t seed)
{
	memset(q, 0, sizeof(*q));
	q->prof = *prof;
	rng_seed(&q->rng, seed);
	q->slot = calloc(WIRE_SLOTS, sizeof(*q->slot));
	bug_on(q->slot == NULL);
}

void wire_queue_fini(struct wire_queue *q)
{
	free(q->slot);
	q->slot = NULL;
}

static bool chance(struct wire_queue *q, double p)
{
	return (double)(rng_u64(&q->rng) >> 11) * (1.0 / 9007199254740992.0) < p;
}

static void append(struct wire_queue *q, const uint8_t *frame, uint16_t len, uint64_t arrive_us)
{
	struct wire_packet *p = &q->slot[q->tail % WIRE_SLOTS];

	if (q->tail - q->head == WIRE_SLOTS) {
		q->stats.queue_drops++;
		return;
	}
	p->arrive_us = arrive_us;
	p->len = len;
	memcpy(p->data, frame, len);
	q->tail++;
}

static void release_held(struct wire_queue *q, uint64_t arrive_us)
{
	q->held_behind = 0;
	append(q, q->held.data, q->held.len, arrive_us);
}

/* Sends <frame> over the line; false when the queue in front of it is full. */
static bool line_send(struct wire_queue *q, uint16_t len, uint64_t now_us, uint64_t *ret_arrive)
{
	uint64_t start = q->line_free_us > now_us ? q->line_free_us : now_us;
	uint64_t bits = ((uint64_t)len + 24) * 8; /* preamble, FCS and gap, as Ethernet */

	if (q->prof.rate_bps != 0) {
		uint64_t full_us = 1538ull * 8 * 1000000 / q->prof.rate_bps;

		if (start - now_us > full_us * q->prof.queue_max)
			return false;
		q->line_free_us = start + bits * 1000000 / q->prof.rate_bps;
		start = q->line_free_us;
	}
	*ret_arrive = start + q->prof.delay_us;
	return true;
}

void wire_queue_put(struct wire_queue *q, const uint8_t *frame, uint16_t len, uint16_t l4_off,
	bool impair, uint64_t now_us, bool *ret_intact)
{
	uint8_t copy[WIRE_FRAME_MAX];
	uint64_t arrive;
	bool lost, dup, hold, corrupt;

	*ret_intact = false;
	q->stats.packets++;
	q->stats.bytes += len;
	if (!line_send(q, len, now_us, &arrive)) {
		q->stats.queue_drops++;
		return;
	}
	lost = impair && chance(q, q->prof.loss);
	corrupt = impair && chance(q, q->prof.corrupt);
	dup = impair && chance(q, q->prof.dup);
	hold = impair && chance(q, q->prof.reorder);
	if (lost) {
		q->stats.lost++;
		return;
	}
	memcpy(copy, frame, len);
	if (corrupt && len > l4_off) {
		copy[l4_off + rng_below(&q->rng, len - l4_off)] ^=
			(uint8_t)(1u << rng_below(&q->rng, 8));
		q->stats.corrupted++;
	}
	*ret_intact = !corrupt;
	if (hold && q->held_behind == 0) {
		q->held_behind = 1 + (unsigned)rng_below(&q->rng, q->prof.reorder_by_max);
		q->held_until_us = arrive + HOLD_MAX_US;
		q->held.len = len;
		memcpy(q->held.data, copy, len);
		q->stats.reordered++;
		return;
	}
	append(q, copy, len, arrive);
	if (dup) {
		append(q, copy, len, arrive);
		q->stats.duplicated++;
	}
	if (q->held_behind > 0 && --q->held_behind == 0)
		release_held(q, arrive);
}

const struct wire_packet *wire_queue_get(struct wire_queue *q, uint64_t now_us)
{
	const struct wire_packet *p;

	if (q->held_behind > 0 && now_us >= q->held_until_us)
		release_held(q, q->held_until_us);
	if (q->head == q->tail)
		return NULL;
	p = &q->slot[q->head % WIRE_SLOTS];
	if (p->arrive_us > now_us)
		return NULL;
	q->head++;
	return p;
}

uint64_t wire_queue_next_us(const struct wire_queue *q)
{
	uint64_t next = UINT64_MAX;

	if (q->head != q->tail)
		next = q->slot[q->head % WIRE_SLOTS].arrive_us;
	if (q->held_behind > 0 && q->held_until_us < next)
		next = q->held_until_us;
	return next;
}
