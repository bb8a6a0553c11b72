// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_sack.c: where every byte between SND.UNA and SND.NXT stands.
 *
 * The scoreboard is a sorted array of ranges that covers [una, nxt) without a gap. Each range is
 * in flight, SACKED or lost, and remembers when it was sent: so one structure answers RFC 6675
 * (pipe, NextSeg), feeds RFC 8985 (RACK: what was sent before something that arrived) and gives
 * RTT samples under Karn's rule. The life of a byte:
 *
 *	sent ──> FLIGHT ──block──> SACKED ──ack──> gone
 *	           │  ^
 *	      lose │  │ resent, unlose
 *	           v  │
 *	           LOST
 *
 * Peers without SACK use the same board: only its first byte is ever declared lost (NewReno).
 *
 * It is bounded. When the array is full, two neighbours become one at the least price in bytes
 * whose state is forgotten. A mixed pair takes the state that knows less, so a forgotten SACK costs
 * a retransmission and never a hole; a merged pair takes the later time, so a forgotten time
 * delays a verdict and never hastens it.
 *
 * Standards: RFC 2018, 2883, 6675, 8985 (the parts that look at history).
 */
#include "dataplane/tcp/tcp_sack.h"

#include <string.h>

#include "dataplane/base/bug.h"
#include "dataplane/tcp/tcp_seq.h"

static uint32_t range_len(const struct tcp_sack *s, unsigned i)
{
	return s->r[i].end - tcp_range_start(s, i);
}

void tcp_sack_reset(struct tcp_sack *s, uint32_t una)
{
	s->n = 0;
	s->una = s->nxt = s->fack = una;
	memset(s->bytes, 0, sizeof(s->bytes));
}

void tcp_sack_init(struct tcp_sack *s, uint32_t una)
{
	s->r = s->small;
	s->max = TCP_SACK_SMALL;
	tcp_sack_reset(s, una);
}

void tcp_sack_grow(struct tcp_sack *s, struct tcp_range *block)
{
	bug_on_hot(s->r != s->small);
	memcpy(block, s->small, s->n * sizeof(*block));
	s->r = block;
	s->max = TCP_SACK_LARGE;
}

/*
 * Making room.
 */

/* The state that knows less about the bytes: LOST, then FLIGHT, then SACKED. */
static uint8_t state_humbler(uint8_t a, uint8_t b)
{
	static const uint8_t rank[TCP_RANGE_STATE_COUNT] =
		{[TCP_RANGE_SACKED] = 0, [TCP_RANGE_FLIGHT] = 1, [TCP_RANGE_LOST] = 2};

	return rank[a] > rank[b] ? a : b;
}

/* Bytes whose state is forgotten when range <i> and the next one become one. */
static uint32_t merge_price(const struct tcp_sack *s, unsigned i)
{
	uint8_t a = s->r[i].state, b = s->r[i + 1].state;

	if (a == b)
		return 0;
	return range_len(s, state_humbler(a, b) == a ? i + 1 : i);
}

static void set_state(struct tcp_sack *s, unsigned i, uint8_t state)
{
	uint32_t len = range_len(s, i);

	s->bytes[s->r[i].state] -= len;
	s->bytes[state] += len;
	s->r[i].state = state;
}

/* Range <i> swallows the next one. */
static void merge(struct tcp_sack *s, unsigned i)
{
	struct tcp_range *a = &s->r[i], *b = a + 1;
	uint8_t state = state_humbler(a->state, b->state);

	set_state(s, i, state);
	set_state(s, i + 1, state);
	a->end = b->end;
	a->sent_us = seq_max(a->sent_us, b->sent_us);
	a->first_us = seq_min(a->first_us, b->first_us);
	a->rtx |= b->rtx;
	memmove(b, b + 1, (s->n - i - 2) * sizeof(*b));
	s->n--;
}

/* Cheapest pair first, then the pair sent closest together, then the oldest. */
static void merge_cheapest(struct tcp_sack *s)
{
	uint32_t best_price = UINT32_MAX, best_gap = UINT32_MAX;
	unsigned best = 0;

	for (unsigned i = 0; i + 1 < s->n; i++) {
		uint32_t price = merge_price(s, i);
		uint32_t a = s->r[i].sent_us, b = s->r[i + 1].sent_us;
		uint32_t gap = seq_lt(a, b) ? b - a : a - b;

		if (price < best_price || (price == best_price && gap < best_gap)) {
			best_price = price;
			best_gap = gap;
			best = i;
		}
	}
	merge(s, best);
}

/* Room for <k> more ranges; k is at most 2, so every array has it when two are left. */
static void reserve(struct tcp_sack *s, unsigned k)
{
	while (s->n + k > s->max)
		merge_cheapest(s);
}

struct tcp_range *tcp_sack_shrink(struct tcp_sack *s)
{
	struct tcp_range *block = s->r;

	if (block == s->small)
		return NULL;
	s->max = TCP_SACK_SMALL;
	reserve(s, 0);
	memcpy(s->small, block, s->n * sizeof(*block));
	s->r = s->small;
	return block;
}

/*
 * Cutting and joining.
 */

/* Index of the range that holds <seq>, which is in [una, nxt]; n for nxt. */
static unsigned range_find(const struct tcp_sack *s, uint32_t seq)
{
	unsigned lo = 0, hi = s->n;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (seq_lt(seq, s->r[mid].end))
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* Index of the range that begins at <seq>, cutting one in two where needed (see reserve). */
static unsigned range_cut(struct tcp_sack *s, uint32_t seq)
{
	unsigned i = range_find(s, seq);
	struct tcp_range *r = &s->r[i];

	if (i == s->n || tcp_range_start(s, i) == seq)
		return i;
	bug_on_hot(s->n >= s->max);
	memmove(r + 1, r, (s->n - i) * sizeof(*r));
	s->n++;
	r->end = seq;
	return i + 1;
}

/* SACKED neighbours have no history worth keeping apart. */
static void join_sacked(struct tcp_sack *s, unsigned i)
{
	while (i + 1 < s->n && s->r[i].state == TCP_RANGE_SACKED &&
		s->r[i + 1].state == TCP_RANGE_SACKED)
		merge(s, i);
	if (i > 0 && s->r[i].state == TCP_RANGE_SACKED && s->r[i - 1].state == TCP_RANGE_SACKED)
		merge(s, i - 1);
}

/*
 * Sending.
 */

void tcp_sack_sent(struct tcp_sack *s, uint32_t len, uint32_t now_us, uint32_t quantum_us)
{
	struct tcp_range *last = s->n ? &s->r[s->n - 1] : NULL;

	if (last != NULL && last->state == TCP_RANGE_FLIGHT && !last->rtx &&
		now_us - last->first_us <= quantum_us) {
		s->nxt += len;
		s->bytes[TCP_RANGE_FLIGHT] += len;
		last->end = s->nxt;
		last->sent_us = now_us;
		return;
	}
	reserve(s, 1);
	s->nxt += len;
	s->bytes[TCP_RANGE_FLIGHT] += len;
	s->r[s->n++] = (struct tcp_range){
		.end = s->nxt,
		.sent_us = now_us,
		.first_us = now_us,
		.state = TCP_RANGE_FLIGHT,
	};
}

void tcp_sack_resent(struct tcp_sack *s, uint32_t start, uint32_t len, uint32_t now_us)
{
	unsigned i, end;

	bug_on_hot(len == 0 || !seq_in(start, s->una, s->nxt) || seq_gt(start + len, s->nxt));
	reserve(s, 2);
	i = range_cut(s, start);
	end = range_cut(s, start + len);
	for (unsigned k = i; k < end; k++) {
		if (s->r[k].state != TCP_RANGE_SACKED)
			set_state(s, k, TCP_RANGE_FLIGHT);
		s->r[k].sent_us = s->r[k].first_us = now_us;
		s->r[k].rtx = true;
	}
	/* a run of retransmissions of one turn is one range again */
	while (end - i > 1 && s->r[i].state == s->r[i + 1].state) {
		merge(s, i);
		end--;
	}
	if (i > 0 && s->r[i - 1].state == TCP_RANGE_FLIGHT && s->r[i].state == TCP_RANGE_FLIGHT &&
		s->r[i - 1].rtx && s->r[i - 1].first_us == now_us)
		merge(s, i - 1);
}

/*
 * Hearing.
 */

static void note_arrival(struct tcp_delivery *d, const struct tcp_range *r, uint32_t end)
{
	struct tcp_arrival *a = &d->newest[r->rtx];

	if (a->valid &&
		(seq_lt(r->sent_us, a->sent_us) ||
			(r->sent_us == a->sent_us && seq_le(end, a->end))))
		return;
	*a = (struct tcp_arrival){true, r->sent_us, end};
}

/* <len> bytes of range <r>, up to <end>, left the network. */
static void note_delivery(struct tcp_delivery *d, const struct tcp_range *r, uint32_t len,
	uint32_t end, uint32_t fack)
{
	d->bytes += len;
	note_arrival(d, r, end);
	if (r->rtx) {
		d->rtx_acked = true;
	} else if (seq_lt(end, fack)) {
		d->reordered = true; /* RFC 8985 6.2 step 3 */
	}
}

void tcp_sack_ack(struct tcp_sack *s, uint32_t ack, struct tcp_delivery *d)
{
	uint32_t fack = s->fack;
	unsigned gone = 0;

	bug_on_hot(!seq_in(ack - s->una, 0, s->nxt - s->una + 1));
	while (s->una != ack) {
		struct tcp_range *r = &s->r[gone];
		uint32_t end = seq_min(r->end, ack), len = end - s->una;

		s->bytes[r->state] -= len;
		if (r->state != TCP_RANGE_SACKED)
			note_delivery(d, r, len, end, fack);
		if (!r->rtx && r->state != TCP_RANGE_SACKED && !d->has_rtt) {
			d->has_rtt = true;
			d->rtt_sent_us = r->first_us;
		}
		d->rtx_acked |= r->rtx;
		s->una = end;
		if (r->end == end)
			gone++;
	}
	s->n -= gone;
	memmove(s->r, s->r + gone, s->n * sizeof(*s->r));
	s->fack = seq_max(s->fack, ack);
}

void tcp_sack_ack_plain(struct tcp_sack *s, uint32_t ack, struct tcp_delivery *d)
{
	unsigned gone = 0;

	bug_on_hot(!tcp_sack_is_plain(s) || s->una == ack || !seq_in(ack, s->una, s->nxt + 1));
	d->has_rtt = true;
	d->rtt_sent_us = s->r[0].first_us;
	d->bytes = ack - s->una;
	while (seq_lt(s->r[gone].end, ack))
		gone++;
	d->newest[0] = (struct tcp_arrival){true, s->r[gone].sent_us, ack};
	gone += s->r[gone].end == ack;
	s->n = (uint16_t)(s->n - gone);
	if (s->n > 0)
		memmove(s->r, s->r + gone, s->n * sizeof(*s->r));
	s->bytes[TCP_RANGE_FLIGHT] -= d->bytes;
	s->una = s->fack = ack;
}

bool tcp_sack_block(struct tcp_sack *s, struct tcp_sack_block b, struct tcp_delivery *d)
{
	uint32_t fack = s->fack;
	unsigned i, end;

	if (!seq_lt(b.start, b.end) || seq_le(b.end, s->una) || seq_gt(b.end, s->nxt))
		return false;
	if (seq_lt(b.start, s->una))
		b.start = s->una;
	i = range_find(s, b.start);
	if (s->r[i].state == TCP_RANGE_SACKED && seq_le(b.end, s->r[i].end))
		return true; /* known */
	reserve(s, 2);
	i = range_cut(s, b.start);
	end = range_cut(s, b.end);
	for (unsigned k = i; k < end; k++) {
		if (s->r[k].state == TCP_RANGE_SACKED)
			continue;
		note_delivery(d, &s->r[k], range_len(s, k), s->r[k].end, fack);
		set_state(s, k, TCP_RANGE_SACKED);
	}
	join_sacked(s, i);
	s->fack = seq_max(s->fack, b.end);
	return true;
}

bool tcp_sack_is_dsack(const struct tcp_sack_block *b, unsigned n, uint32_t ack)
{
	if (n == 0 || !seq_lt(b[0].start, b[0].end))
		return false;
	/* RFC 2883 4.1: below the cumulative acknowledgement ... */
	if (seq_le(b[0].end, ack))
		return true;
	/* ... 4.2: or inside the block that follows */
	return n > 1 && seq_ge(b[0].start, b[1].start) && seq_le(b[0].end, b[1].end);
}

/*
 * Verdicts.
 */

uint32_t tcp_sack_lose(struct tcp_sack *s, uint32_t start, uint32_t len)
{
	uint32_t lost;
	unsigned i, end;

	len = seq_gt(start + len, s->nxt) ? s->nxt - start : len;
	if (len == 0)
		return 0;
	bug_on_hot(!seq_in(start, s->una, s->nxt));
	reserve(s, 2);
	lost = s->bytes[TCP_RANGE_LOST];
	i = range_cut(s, start);
	end = range_cut(s, start + len);
	for (; i < end; i++)
		if (s->r[i].state == TCP_RANGE_FLIGHT)
			set_state(s, i, TCP_RANGE_LOST);
	return s->bytes[TCP_RANGE_LOST] - lost;
}

uint32_t tcp_sack_lose_range(struct tcp_sack *s, unsigned i)
{
	if (s->r[i].state != TCP_RANGE_FLIGHT)
		return 0;
	set_state(s, i, TCP_RANGE_LOST);
	return range_len(s, i);
}

/* Every range in state <from> takes state <to>. */
static uint32_t turn_all(struct tcp_sack *s, uint8_t from, uint8_t to)
{
	uint32_t bytes = s->bytes[from];

	for (unsigned i = 0; i < s->n; i++)
		if (s->r[i].state == from)
			set_state(s, i, to);
	return bytes;
}

uint32_t tcp_sack_lose_all(struct tcp_sack *s)
{
	return turn_all(s, TCP_RANGE_FLIGHT, TCP_RANGE_LOST);
}

uint32_t tcp_sack_unlose(struct tcp_sack *s)
{
	return turn_all(s, TCP_RANGE_LOST, TCP_RANGE_FLIGHT);
}

uint32_t tcp_sack_renege(struct tcp_sack *s)
{
	return turn_all(s, TCP_RANGE_SACKED, TCP_RANGE_LOST);
}

/*
 * Questions.
 */

bool tcp_sack_next_lost(const struct tcp_sack *s, uint32_t *ret_start, uint32_t *ret_len)
{
	if (s->bytes[TCP_RANGE_LOST] == 0)
		return false;
	for (unsigned i = 0; i < s->n; i++) {
		if (s->r[i].state != TCP_RANGE_LOST)
			continue;
		*ret_start = tcp_range_start(s, i);
		for (; i + 1 < s->n && s->r[i + 1].state == TCP_RANGE_LOST; i++)
			;
		*ret_len = s->r[i].end - *ret_start;
		return true;
	}
	return false;
}

bool tcp_sack_head_is_lost(const struct tcp_sack *s, uint32_t mss, unsigned dupthresh)
{
	unsigned islands = 0;

	/* RFC 6675 4, IsLost: more than (DupThresh - 1) * SMSS bytes above it have arrived ... */
	if (s->bytes[TCP_RANGE_SACKED] > (dupthresh - 1) * mss)
		return true;
	/* ... or DupThresh discontiguous sequences */
	for (unsigned i = 0; i < s->n; i++)
		islands += s->r[i].state == TCP_RANGE_SACKED;
	return islands >= dupthresh;
}

bool tcp_sack_head_is_sacked(const struct tcp_sack *s)
{
	return s->n > 0 && s->r[0].state == TCP_RANGE_SACKED;
}

bool tcp_sack_tail(const struct tcp_sack *s, uint32_t max, uint32_t *ret_start, uint32_t *ret_len)
{
	for (unsigned i = s->n; i-- > 0;) {
		if (s->r[i].state == TCP_RANGE_SACKED)
			continue;
		*ret_len = range_len(s, i) < max ? range_len(s, i) : max;
		*ret_start = s->r[i].end - *ret_len;
		return true;
	}
	return false;
}

bool tcp_sack_is_sound(const struct tcp_sack *s)
{
	uint32_t bytes[TCP_RANGE_STATE_COUNT] = {0};

	if (s->n > s->max || (s->n == 0 && s->una != s->nxt) ||
		(s->n > 0 && s->r[s->n - 1].end != s->nxt))
		return false;
	for (unsigned i = 0; i < s->n; i++) {
		if (!seq_lt(tcp_range_start(s, i), s->r[i].end) ||
			s->r[i].state >= TCP_RANGE_STATE_COUNT)
			return false;
		bytes[s->r[i].state] += range_len(s, i);
	}
	return memcmp(bytes, s->bytes, sizeof(bytes)) == 0;
}
