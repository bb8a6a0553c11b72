// SPDX-License-Identifier: Apache-2.0
/*
 * edits_log.c: what a site writes to its journal, and the edits that lost.
 *
 * Every weight that is taken is appended before it holds, those of other sites too: a site that
 * starts alone has the last agreed weights. At the start, and when the journal has grown to twice
 * what is worth keeping, it is written anew: the epoch, the weights that stand, the lost edits.
 */
#include <errno.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/cleanup.h"
#include "federation/edits.h"
#include "federation/state.h"

#define JOURNAL_SPARE_BYTES (256u << 10)
#define ENTRY_MAX (EDITS_ENTRY_BYTES + RECORD_BYTES_MAX)

bool edits_lost_is_known(const struct federation *f, const struct record *r)
{
	for (uint32_t i = 0; i < LOST_MAX; i++) {
		const struct lost_edit *l = &f->lost[i];

		if (l->bytes != NULL && record_same_key(&l->record, r) &&
			record_compare(&l->record, r) == 0)
			return true;
	}
	return false;
}

/* False: not a record, or known already. */
static bool lost_add(struct federation *f, struct str bytes)
{
	struct lost_edit *l = &f->lost[f->lost_count % LOST_MAX];
	struct record_bytes b;
	struct record r;

	if (!record_split((const uint8_t *)bytes.p, bytes.len, &b) ||
		!record_decode(b.fields, b.fields_len, &r) || edits_lost_is_known(f, &r))
		return false;
	free(l->bytes);
	l->bytes = malloc(bytes.len);
	bug_on(l->bytes == NULL);
	memcpy(l->bytes, bytes.p, bytes.len);
	l->len = (uint32_t)bytes.len;
	bug_on(!record_split(l->bytes, l->len, &b));
	bug_on(!record_decode(b.fields, b.fields_len, &l->record));
	f->lost_count++;
	return true;
}

void edits_fini(struct federation *f)
{
	for (uint32_t i = 0; i < LOST_MAX; i++)
		free(f->lost[i].bytes);
}

/* All that is worth keeping, in the order of edits_load(). */
static int rewrite(struct federation *f, struct err *err)
{
	uint32_t count = f->table->count + LOST_MAX;
	size_t n = EDITS_MAGIC_BYTES;
	autofree uint8_t *b = malloc(n + ENTRY_MAX * (count + 1ul));
	uint8_t epoch[8];
	int rc;

	bug_on(b == NULL);
	memcpy(b, EDITS_MAGIC, EDITS_MAGIC_BYTES);
	be64_put(epoch, f->epoch);
	n += edits_put(b + n, EDITS_EPOCH, epoch, sizeof(epoch));
	for (uint32_t i = 0; i < f->table->used; i++) {
		const struct entry *e = f->table->slots[i];

		if (e != NULL && e->record.kind == RECORD_WEIGHT)
			n += edits_put(b + n, EDITS_RECORD, e->bytes, e->len);
	}
	for (uint32_t i = 0; i < LOST_MAX; i++) {
		const struct lost_edit *l = &f->lost[(f->lost_count + i) % LOST_MAX];

		if (l->bytes != NULL)
			n += edits_put(b + n, EDITS_LOST, l->bytes, l->len);
	}
	rc = f->store.replace(f->store.ctx, b, n, err);
	f->is_journal_broken = rc < 0;
	f->journal_bytes = n;
	f->journal_bound = 2 * n + JOURNAL_SPARE_BYTES;
	return rc;
}

static void forget_gone(struct federation *f)
{
	for (uint32_t i = 0; i < f->table->used; i++)
		if (f->table->slots[i] != NULL &&
			record_is_gone(&f->table->slots[i]->record, federation_time_ms(f)))
			table_remove(f->table, i);
}

/*
 * The file is our own, so signatures are not checked. A site that is not configured is forgotten.
 * What each site may have is not asked either: tombstones that were forgotten long ago still stand
 * in the file, and one that comes later may have made the place for what stood before it.
 */
static void load_record(struct federation *f, struct str bytes)
{
	struct record_bytes b;
	struct record r;
	struct remote *remote;
	uint16_t site;
	uint32_t slot;

	if (!record_split((const uint8_t *)bytes.p, bytes.len, &b) ||
		!record_decode(b.fields, b.fields_len, &r) || r.kind != RECORD_WEIGHT ||
		!record_is_its_makers(&r))
		return;
	if (r.stamp > f->clock.last)
		f->clock.last = r.stamp;
	remote = federation_remote(f, r.site);
	if (remote == NULL && !str_eq(r.site, f->name))
		return;
	site = remote == NULL ? SITE_SELF : remote->site;
	slot = table_find(f->table, &r);
	if (slot != TABLE_NONE && record_compare(&r, &f->table->slots[slot]->record) <= 0)
		return;
	if (table_put(f->table, (const uint8_t *)bytes.p, bytes.len, site) != TABLE_NONE)
		return;
	forget_gone(f);
	table_put(f->table, (const uint8_t *)bytes.p, bytes.len, site);
}

static void tell_damage(struct federation *f, size_t offset, uint32_t kept)
{
	if (f->store.damaged != NULL)
		f->store.damaged(f->store.ctx, offset, kept);
	federation_refused(f, NULL, REFUSAL_JOURNAL_DAMAGED);
}

static void load_entries(struct federation *f, struct str all)
{
	enum edits_type type;
	struct str payload, rest = all;
	uint32_t count = 0;

	if (str_starts(all, STR(EDITS_MAGIC)))
		rest = str_from(all, EDITS_MAGIC_BYTES);
	while (rest.len < all.len && edits_next(&rest, &type, &payload)) {
		count++;
		switch (type) {
		case EDITS_RECORD:
			load_record(f, payload);
			break;
		case EDITS_LOST:
			lost_add(f, payload);
			break;
		case EDITS_EPOCH:
			if (payload.len == 8 && be64_get(payload.p) >= f->epoch)
				f->epoch = be64_get(payload.p) + 1;
			break;
		}
	}
	if (rest.len > 0)
		tell_damage(f, all.len - rest.len, count);
}

int edits_load(struct federation *f, struct err *err)
{
	autofree void *data = NULL;
	size_t len;
	int rc;

	/* without a journal the time makes it later than all former lives */
	f->epoch = federation_wall_ms(f);
	if (!f->has_store)
		return 0;
	rc = f->store.load(f->store.ctx, &data, &len, err);
	if (rc < 0)
		return rc;
	load_entries(f, str_make(data, len));
	forget_gone(f);
	merge_sign_again(f);
	/* What was read holds also while the disk takes nothing; the next change tries again. */
	if (rewrite(f, err) < 0)
		federation_refused(f, NULL, REFUSAL_JOURNAL);
	return 0;
}

static int append(struct federation *f, enum edits_type type, const struct str *records,
	uint32_t count, struct err *err)
{
	autofree uint8_t *b = malloc(ENTRY_MAX * (size_t)count);
	size_t n = 0;
	int rc;

	if (!f->has_store)
		return 0;
	bug_on(b == NULL);
	if (f->is_journal_broken || f->journal_bytes > f->journal_bound) {
		rc = rewrite(f, err);
		if (rc < 0)
			return rc;
	}
	for (uint32_t i = 0; i < count; i++)
		n += edits_put(b + n, type, records[i].p, records[i].len);
	rc = f->store.append(f->store.ctx, b, n, err);
	f->is_journal_broken = rc < 0;
	f->journal_bytes += n;
	return rc;
}

int edits_append(struct federation *f, const struct str *records, uint32_t count, struct err *err)
{
	return append(f, EDITS_RECORD, records, count, err);
}

void edits_lost(struct federation *f, const struct record *winner, struct str bytes)
{
	struct federation_event e = {.kind = FEDERATION_CONFLICT, .record = winner};

	if (!lost_add(f, bytes))
		return;
	f->lost_unwritten++;
	e.lost = &f->lost[(f->lost_count - 1) % LOST_MAX].record;
	federation_tell(f, &e);
}

void edits_flush_lost(struct federation *f)
{
	uint32_t count = f->lost_unwritten < LOST_MAX ? f->lost_unwritten : LOST_MAX;
	struct str bytes[LOST_MAX];
	struct err err;

	f->lost_unwritten = 0;
	if (count == 0)
		return;
	for (uint32_t i = 0; i < count; i++) {
		const struct lost_edit *l = &f->lost[(f->lost_count - count + i) % LOST_MAX];

		bytes[i] = str_make(l->bytes, l->len);
	}
	/* for people; that it could not be kept for ever must not hold up the winner */
	(void)append(f, EDITS_LOST, bytes, count, &err);
}
