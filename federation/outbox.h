// SPDX-License-Identifier: Apache-2.0
/*
 * outbox.h: what a peer has not acknowledged.
 *
 * Slots of the table, not values: a record that changes ten times before it can be sent is sent
 * once, with its newest value, and however slow the peer is, the outbox never grows. A delta that
 * is not acknowledged in time is forgotten and its records are sent again.
 */
#pragma once

#include "federation/table.h"

#define OUTBOX_WINDOW 8u	/* deltas under way */
#define OUTBOX_RESEND_MS 2000u	/* beyond any round trip between sites */
#define OUTBOX_DELTA_MAX 32000u /* bytes of records in one */

struct outbox {
	uint64_t dirty[(FEDERATION_RECORDS_MAX + 63) / 64]; /* to be sent */
	uint8_t flight[FEDERATION_RECORDS_MAX];		    /* 1 + place in the window; 0: not */
	struct {
		uint64_t seq, sent_ms; /* seq 0: free */
	} window[OUTBOX_WINDOW];
	uint32_t dirty_count, flight_count;
};

void outbox_init(struct outbox *o);
void outbox_mark(struct outbox *o, uint32_t slot);
bool outbox_is_empty(const struct outbox *o); /* nothing to send and nothing unacknowledged */
/*
 * Moves records into a delta of number <seq>: bytes written to <to> (OUTBOX_DELTA_MAX); 0: nothing
 * to send, or the window is full.
 */
size_t outbox_take(struct outbox *o, const struct table *t, uint64_t seq, uint64_t now_ms,
	uint8_t *to, uint32_t *ret_records);
void outbox_ack(struct outbox *o, uint64_t seq);
void outbox_fail(struct outbox *o, uint64_t seq); /* it was not sent after all */
void outbox_tick(struct outbox *o, uint64_t now_ms);
