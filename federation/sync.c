// SPDX-License-Identifier: Apache-2.0
/*
 * sync.c: how two proved sites come to hold the same, and notice when they do not.
 *
 * A change goes to every peer at once, as a delta, and again until it is acknowledged. Everything
 * else is anti-entropy: heartbeats carry the root of the digest; where roots differ for two beats
 * with nothing under way, one side sends its 256 buckets, the other answers with its own, and both
 * send all records of the buckets that differ. Who has the newer one wins, so it does not matter
 * who sends first, what comes twice, or what was overtaken. That is also how records reach a site
 * whose link to their maker is cut, by way of the others.
 */
#include "dataplane/base/bytes.h"
#include "federation/state.h"

static void settle(struct peer *p)
{
	if (p->state == PEER_SYNC && p->is_compared && outbox_is_empty(p->remote->outbox))
		p->then = PEER_EVENT_SETTLED;
}

void sync_flush(struct peer *p, uint64_t now_ms)
{
	static uint8_t records[OUTBOX_DELTA_MAX];
	struct remote *r = p->remote;
	uint32_t count;
	size_t len;

	while ((len = outbox_take(r->outbox, p->federation->table, p->seq + 1, now_ms, records,
			&count)) > 0) {
		struct proto_message m = {.type = PROTO_DELTA,
			.delta.records = str_make(records, len)};

		if (!federation_send(p, &m)) {
			outbox_fail(r->outbox, p->seq + 1);
			return;
		}
		r->records_sent += count;
	}
}

static void send_digest(struct peer *p, bool is_answer)
{
	struct proto_message m = {.type = PROTO_DIGEST, .digest.is_answer = is_answer};

	for (uint32_t i = 0; i < TABLE_BUCKETS; i++)
		be64_put(m.digest.buckets + i * 8, p->federation->table->buckets[i]);
	federation_send(p, &m);
}

void sync_heartbeat(struct peer *p, uint64_t now_ms)
{
	struct federation *f = p->federation;
	struct proto_message m = {.type = PROTO_HEARTBEAT,
		.heartbeat = {.root = table_root(f->table), .wall_ms = federation_wall_ms(f)}};

	p->beat_ms = now_ms + FEDERATION_HEARTBEAT_MS;
	federation_send(p, &m);
}

/* The site has proved itself on <p>: an older connection of its is over. */
enum refusal action_join(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	struct remote *r = p->remote;

	if (r->proved != NULL && r->proved != p)
		peer_step(r->proved, PEER_EVENT_REPLACED, NULL, now_ms);
	r->proved = p;
	r->connects++;
	r->epoch = p->epoch;
	r->last_refusal = REFUSAL_NONE;
	p->is_compared = p->awaits = false;
	p->beats_behind = 0;
	outbox_init(r->outbox);
	sync_heartbeat(p, now_ms);
	if (p->dialed)
		action_ask(p, NULL, now_ms);
	return REFUSAL_NONE;
}

enum refusal action_ask(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	p->asked_ms = now_ms;
	p->awaits = true;
	p->is_compared = false;
	p->beats_behind = 0;
	send_digest(p, /* is_answer= */ false);
	return REFUSAL_NONE;
}

enum refusal action_compare(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	struct federation *f = p->federation;
	bool differs[TABLE_BUCKETS];
	bool is_awaited = m->digest.is_answer && p->awaits;

	/* either makes us send much: a question not oftener than an honest peer asks */
	if (!is_awaited && !budget_take(&p->remote->digests, 1, now_ms)) {
		federation_refused(f, p, REFUSAL_FLOOD);
		return REFUSAL_NONE;
	}
	p->awaits &= !m->digest.is_answer;
	for (uint32_t i = 0; i < TABLE_BUCKETS; i++)
		differs[i] = be64_get(m->digest.buckets + i * 8) != f->table->buckets[i];
	for (uint32_t i = 0; i < f->table->used; i++)
		if (f->table->slots[i] != NULL &&
			differs[table_bucket(&f->table->slots[i]->record)])
			outbox_mark(p->remote->outbox, i);
	if (!m->digest.is_answer)
		send_digest(p, /* is_answer= */ true);
	p->is_compared = true;
	sync_flush(p, now_ms);
	settle(p);
	return REFUSAL_NONE;
}

/* Number of records; false: their lengths do not add up, or there are too many. */
static bool count_records(struct str records, uint32_t *ret)
{
	bool bad = false;
	uint32_t n = 0;

	while (records.len > 0 && !bad && n <= DELTA_RECORDS_MAX) {
		proto_next_record(&records, &bad);
		n++;
	}
	*ret = n;
	return !bad && n <= DELTA_RECORDS_MAX;
}

enum refusal action_take(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	struct federation *f = p->federation;
	struct remote *r = p->remote;
	struct proto_message ack = {.type = PROTO_ACK, .ack.seq = m->seq};
	struct merge_result got;
	uint32_t count;

	if (!count_records(m->delta.records, &count))
		return REFUSAL_FORMAT;
	if (!budget_take(&r->records, count, now_ms)) {
		/* not acknowledged: an honest peer sends it again, later */
		federation_refused(f, p, REFUSAL_FLOOD);
		return budget_take(&r->drops, 1, now_ms) ? REFUSAL_NONE : REFUSAL_FLOOD_LONG;
	}
	if (!merge_delta(f, p, m->delta.records, &got))
		return REFUSAL_NONE;
	r->records_taken += got.taken;
	r->records_refused += got.refused;
	/* a signature costs more to check than to make up */
	budget_charge(&r->records, got.forged * 64ll);
	ack.ack.refused = got.refused;
	federation_send(p, &ack);
	return REFUSAL_NONE;
}

enum refusal action_clear(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	outbox_ack(p->remote->outbox, m->ack.seq);
	sync_flush(p, now_ms);
	settle(p);
	return REFUSAL_NONE;
}

enum refusal action_beat(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	struct federation *f = p->federation;
	uint64_t wall_ms = federation_wall_ms(f);

	if (hlc_ms_is_ahead(m->heartbeat.wall_ms, wall_ms))
		return REFUSAL_CLOCK;
	p->remote->clock_ms = (int64_t)(m->heartbeat.wall_ms - wall_ms);
	p->is_in_step = m->heartbeat.root == table_root(f->table);
	if (p->is_in_step || !outbox_is_empty(p->remote->outbox))
		p->beats_behind = 0;
	else
		p->beats_behind++;
	if (p->is_in_step && p->state == PEER_SYNC && outbox_is_empty(p->remote->outbox))
		p->then = PEER_EVENT_SETTLED;
	else if (p->beats_behind >= 2 && p->state == PEER_LIVE &&
		now_ms - p->asked_ms >= SYNC_AGAIN_MS)
		p->then = PEER_EVENT_BEHIND;
	return REFUSAL_NONE;
}
