// SPDX-License-Identifier: Apache-2.0
/*
 * outbox.c: a bit for each record to be sent, the number of its delta for each under way.
 */
#include "federation/outbox.h"

#include <assert.h>

static_assert(OUTBOX_DELTA_MAX >= RECORD_BYTES_MAX, "every record fits into a delta");

void outbox_init(struct outbox *o)
{
	memset(o, 0, sizeof(*o));
}

void outbox_mark(struct outbox *o, uint32_t slot)
{
	uint64_t bit = 1ull << slot % 64;

	if (o->dirty[slot / 64] & bit)
		return;
	o->dirty[slot / 64] |= bit;
	o->dirty_count++;
}

static void unmark(struct outbox *o, uint32_t slot)
{
	o->dirty[slot / 64] &= ~(1ull << slot % 64);
	o->dirty_count--;
}

bool outbox_is_empty(const struct outbox *o)
{
	return o->dirty_count == 0 && o->flight_count == 0;
}

static uint32_t window_find(const struct outbox *o, uint64_t seq)
{
	for (uint32_t i = 0; i < OUTBOX_WINDOW; i++)
		if (o->window[i].seq == seq)
			return i;
	return OUTBOX_WINDOW;
}

static void launch(struct outbox *o, uint32_t slot, uint32_t place)
{
	unmark(o, slot);
	o->flight_count += o->flight[slot] == 0;
	o->flight[slot] =
		(uint8_t)(place + 1); /* an older delta's acknowledgement does not count */
}

size_t outbox_take(struct outbox *o, const struct table *t, uint64_t seq, uint64_t now_ms,
	uint8_t *to, uint32_t *ret_records)
{
	uint32_t place = window_find(o, 0), n = 0;
	size_t len = 0;

	if (o->dirty_count == 0 || place == OUTBOX_WINDOW)
		return 0;
	for (uint32_t w = 0; w < sizeof(o->dirty) / sizeof(o->dirty[0]); w++) {
		while (o->dirty[w] != 0) {
			uint32_t slot = w * 64 + (uint32_t)__builtin_ctzll(o->dirty[w]);
			const struct entry *e = t->slots[slot];

			if (e == NULL) { /* forgotten meanwhile */
				unmark(o, slot);
				continue;
			}
			if (e->len > OUTBOX_DELTA_MAX - len)
				goto full;
			memcpy(to + len, e->bytes, e->len);
			len += e->len;
			launch(o, slot, place);
			n++;
		}
	}
full:
	if (len > 0) {
		o->window[place].seq = seq;
		o->window[place].sent_ms = now_ms;
	}
	*ret_records = n;
	return len;
}

/* The delta at <place> is over; its records have arrived, or are to be sent again. */
static void land(struct outbox *o, uint32_t place, bool again)
{
	o->window[place].seq = 0;
	for (uint32_t slot = 0; slot < FEDERATION_RECORDS_MAX && o->flight_count > 0; slot++) {
		if (o->flight[slot] != place + 1)
			continue;
		o->flight[slot] = 0;
		o->flight_count--;
		if (again)
			outbox_mark(o, slot);
	}
}

void outbox_ack(struct outbox *o, uint64_t seq)
{
	uint32_t place = window_find(o, seq);

	if (seq != 0 && place < OUTBOX_WINDOW)
		land(o, place, /* again= */ false);
}

void outbox_fail(struct outbox *o, uint64_t seq)
{
	uint32_t place = window_find(o, seq);

	if (seq != 0 && place < OUTBOX_WINDOW)
		land(o, place, /* again= */ true);
}

void outbox_tick(struct outbox *o, uint64_t now_ms)
{
	for (uint32_t i = 0; i < OUTBOX_WINDOW; i++)
		if (o->window[i].seq != 0 && now_ms - o->window[i].sent_ms >= OUTBOX_RESEND_MS)
			land(o, i, /* again= */ true);
}
