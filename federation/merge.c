// SPDX-License-Identifier: Apache-2.0
/*
 * merge.c: which records are taken.
 *
 * A record of another site is taken if that site is configured, signed it, may have so many, and
 * nothing newer is known under its key. Weights are written to the journal before they hold; a
 * delta's weights in one write. Checks go from cheap to dear, the signature comes last: an old
 * record costs no signature check unless it is news for the log.
 */
#include <errno.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"
#include "federation/state.h"

#define RECORD_TEXT "sluice federation record 1"

static size_t signed_text(uint8_t to[sizeof(RECORD_TEXT) + RECORD_BYTES_MAX], const uint8_t *fields,
	size_t len)
{
	memcpy(to, RECORD_TEXT, sizeof(RECORD_TEXT));
	memcpy(to + sizeof(RECORD_TEXT), fields, len);
	return sizeof(RECORD_TEXT) + len;
}

static bool is_signed(const struct federation *f, uint16_t site, const struct record_bytes *b)
{
	const uint8_t *key = site == SITE_SELF ? f->cfg.key : f->remotes[site - 1].key;
	uint8_t text[sizeof(RECORD_TEXT) + RECORD_BYTES_MAX];
	size_t len = signed_text(text, b->fields, b->fields_len);

	return f->cfg.signer.verify(f->cfg.signer.ctx, key, text, len, b->signature);
}

/* SITE_SELF, a peer's index, or -1. */
static int site_of(struct federation *f, struct str name)
{
	struct remote *r = federation_remote(f, name);

	if (str_eq(name, f->name))
		return SITE_SELF;
	return r != NULL ? r->site : -1;
}

/* Its author's site did not know <loser> when it wrote <winner>. */
static bool is_conflict(const struct record *winner, const struct record *loser)
{
	return winner->kind == RECORD_WEIGHT && !str_eq(winner->site, loser->site) &&
		winner->weight.seen < loser->stamp;
}

enum verdict { TAKE, IGNORE, REFUSE };

struct candidate {
	struct str bytes;
	struct record record;
	uint16_t site;
	enum refusal why; /* REFUSE */
};

static enum verdict refuse(struct candidate *c, enum refusal why)
{
	c->why = why;
	return REFUSE;
}

/* Our own record of a former life comes back: what we say now must be the newer one. */
static void say_again(struct federation *f, const struct candidate *theirs, uint32_t slot)
{
	struct record r = f->table->slots[slot]->record;
	struct err err;

	if (hlc_observe(&f->clock, theirs->record.stamp, federation_wall_ms(f)))
		merge_own(f, &r, &err);
}

/*
 * It is news for the log alone. As many as a site has keys may be so at once, when it comes back;
 * who makes up others would push out what people look for.
 */
static enum verdict judge_lost(struct federation *f, struct candidate *c, uint32_t slot)
{
	if (c->site != SITE_SELF &&
		!budget_take(&f->remotes[c->site - 1].lost, 1, f->cfg.now_ms(f->cfg.arg)))
		return refuse(c, REFUSAL_LOST_MANY);
	edits_lost(f, &f->table->slots[slot]->record, c->bytes);
	return IGNORE;
}

/* <more>: records by site and kind that this delta has brought already, not yet in the table. */
static enum verdict judge(struct federation *f, struct candidate *c,
	uint16_t more[TABLE_SITES][RECORD_KIND_COUNT])
{
	struct record_bytes b;
	uint32_t slot;
	int site, order = 1;

	if (!record_split((const uint8_t *)c->bytes.p, c->bytes.len, &b) ||
		!record_decode(b.fields, b.fields_len, &c->record))
		return refuse(c, REFUSAL_RECORD);
	site = site_of(f, c->record.site);
	if (site < 0)
		return refuse(c, REFUSAL_RECORD_SITE);
	if (!record_is_its_makers(&c->record))
		return refuse(c, REFUSAL_RECORD_SCOPE);
	c->site = (uint16_t)site;
	if (record_is_gone(&c->record, federation_time_ms(f)))
		return IGNORE;
	slot = table_find(f->table, &c->record);
	if (slot != TABLE_NONE)
		order = record_compare(&c->record, &f->table->slots[slot]->record);
	if (order == 0)
		return IGNORE;
	if (order < 0 &&
		(!is_conflict(&f->table->slots[slot]->record, &c->record) ||
			edits_lost_is_known(f, &c->record)))
		return IGNORE;
	if (hlc_is_ahead(c->record.stamp, federation_wall_ms(f)))
		return refuse(c, REFUSAL_RECORD_AHEAD);
	if ((slot == TABLE_NONE || f->table->slots[slot]->site != site) && order > 0 &&
		table_is_full(f->table, c->site, c->record.kind, more[c->site][c->record.kind]))
		return refuse(c, REFUSAL_RECORD_MANY);
	if (!is_signed(f, c->site, &b))
		return refuse(c, REFUSAL_RECORD_FORGED);
	if (order < 0)
		return judge_lost(f, c, slot);
	if (site == SITE_SELF && slot != TABLE_NONE && f->table->slots[slot]->site == SITE_SELF &&
		(c->record.kind != RECORD_WEIGHT ||
			c->record.stamp == f->table->slots[slot]->record.stamp)) {
		say_again(f, c, slot);
		return IGNORE;
	}
	return TAKE;
}

/* It holds from now on. */
static uint32_t take(struct federation *f, const struct candidate *c)
{
	uint32_t slot = table_find(f->table, &c->record);
	struct federation_event e = {.kind = FEDERATION_RECORD};

	if (slot != TABLE_NONE) {
		const struct entry *old = f->table->slots[slot];

		if (record_compare(&c->record, &old->record) <= 0)
			return TABLE_NONE; /* the same delta had a newer one */
		if (is_conflict(&c->record, &old->record))
			edits_lost(f, &c->record, str_make(old->bytes, old->len));
	}
	hlc_observe(&f->clock, c->record.stamp, federation_wall_ms(f));
	slot = table_put(f->table, (const uint8_t *)c->bytes.p, c->bytes.len, c->site);
	bug_on(slot == TABLE_NONE); /* every site has its share of places */
	e.record = &f->table->slots[slot]->record;
	f->table->slots[slot]->is_told_dead = record_is_dead(e.record, federation_time_ms(f));
	federation_tell(f, &e);
	return slot;
}

bool merge_delta(struct federation *f, struct peer *from, struct str records,
	struct merge_result *ret)
{
	static struct candidate winners[DELTA_RECORDS_MAX];
	static struct str weights[DELTA_RECORDS_MAX];
	uint16_t more[TABLE_SITES][RECORD_KIND_COUNT] = {{0}};
	uint32_t n = 0, weight_count = 0;
	struct err err;
	bool bad, durable;

	*ret = (struct merge_result){0};
	while (records.len > 0 && n < DELTA_RECORDS_MAX) {
		struct candidate *c = &winners[n];

		*c = (struct candidate){.bytes = proto_next_record(&records, &bad)};
		switch (judge(f, c, more)) {
		case TAKE:
			more[c->site][c->record.kind]++;
			if (c->record.kind == RECORD_WEIGHT)
				weights[weight_count++] = c->bytes;
			n++;
			break;
		case REFUSE:
			ret->refused++;
			ret->forged += c->why == REFUSAL_RECORD_FORGED;
			federation_refused(f, from, c->why);
			break;
		case IGNORE:
			break;
		}
	}
	durable = weight_count == 0 || edits_append(f, weights, weight_count, &err) == 0;
	if (!durable)
		federation_refused(f, from, REFUSAL_JOURNAL);
	for (uint32_t i = 0; i < n; i++)
		if ((durable || winners[i].record.kind != RECORD_WEIGHT) &&
			take(f, &winners[i]) != TABLE_NONE)
			ret->taken++;
	edits_flush_lost(f);
	return durable;
}

static void mark_for_all(struct federation *f, uint32_t slot)
{
	for (uint32_t i = 0; i < f->remote_count; i++) {
		struct peer *p = f->remotes[i].proved;

		if (p == NULL)
			continue;
		outbox_mark(f->remotes[i].outbox, slot);
		sync_flush(p, f->cfg.now_ms(f->cfg.arg));
	}
}

/* As it is sent: length, fields, signature. 0: not a valid record. */
static size_t seal(struct federation *f, const struct record *r, uint8_t to[RECORD_BYTES_MAX])
{
	uint8_t text[sizeof(RECORD_TEXT) + RECORD_BYTES_MAX];
	size_t n = record_encode(r, to + 2, RECORD_BYTES_MAX - 2 - RECORD_SIGNATURE_BYTES), len;

	if (n == 0)
		return 0;
	be16_put(to, (uint16_t)n);
	len = signed_text(text, to + 2, n);
	bug_on(!f->cfg.signer.sign(f->cfg.signer.ctx, text, len, to + 2 + n));
	return 2 + n + RECORD_SIGNATURE_BYTES;
}

void merge_sign_again(struct federation *f)
{
	uint8_t text[sizeof(RECORD_TEXT) + RECORD_BYTES_MAX];

	for (uint32_t i = 0; i < f->table->used; i++) {
		struct entry *e = f->table->slots[i];
		struct record_bytes b;

		if (e == NULL || e->site != SITE_SELF)
			continue;
		bug_on(!record_split(e->bytes, e->len, &b));
		if (!is_signed(f, SITE_SELF, &b))
			bug_on(!f->cfg.signer.sign(f->cfg.signer.ctx, text,
				signed_text(text, b.fields, b.fields_len),
				e->bytes + e->len - RECORD_SIGNATURE_BYTES));
	}
}

int merge_own(struct federation *f, struct record *r, struct err *err)
{
	uint8_t bytes[RECORD_BYTES_MAX];
	struct candidate c = {.site = SITE_SELF};
	uint32_t slot = table_find(f->table, r);
	struct hlc clock = f->clock;
	size_t len;
	int rc;

	r->site = f->name;
	r->stamp = hlc_stamp(&clock, federation_wall_ms(f));
	if (hlc_is_ahead(r->stamp, federation_wall_ms(f)))
		return err_set(err, ETIME, "our clock is %u s or more behind what sites have said",
			FEDERATION_AHEAD_MS / 1000);
	if ((slot == TABLE_NONE || f->table->slots[slot]->site != SITE_SELF) &&
		table_is_full(f->table, SITE_SELF, r->kind, 0))
		return err_set(err, ENOSPC, "too many %s records of this site",
			record_kind_names[r->kind]);
	len = seal(f, r, bytes);
	if (len == 0)
		return err_set(err, EINVAL, "not a valid %s record", record_kind_names[r->kind]);
	c.bytes = str_make(bytes, len);
	c.record = *r;
	if (r->kind == RECORD_WEIGHT) {
		rc = edits_append(f, &c.bytes, 1, err);
		if (rc < 0)
			return rc;
	}
	f->clock = clock;
	mark_for_all(f, take(f, &c));
	edits_flush_lost(f);
	return 0;
}

void merge_sweep(struct federation *f)
{
	uint64_t now_ms = federation_time_ms(f);

	for (uint32_t i = 0; i < f->table->used; i++) {
		struct entry *e = f->table->slots[i];
		struct federation_event ev = {.kind = FEDERATION_RECORD};

		if (e == NULL || !record_is_dead(&e->record, now_ms))
			continue;
		if (!e->is_told_dead) {
			e->is_told_dead = true;
			ev.record = &e->record;
			federation_tell(f, &ev);
		}
		if (record_is_gone(&e->record, now_ms))
			table_remove(f->table, i);
	}
}
