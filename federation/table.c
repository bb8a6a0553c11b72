// SPDX-License-Identifier: Apache-2.0
/*
 * table.c: slots, an index over them by open addressing, and buckets kept up to date.
 */
#include "federation/table.h"

#include <assert.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/hash.h"

#define INDEX_SIZE (2 * FEDERATION_RECORDS_MAX)

static_assert(FEDERATION_RECORDS_MAX < UINT16_MAX, "slots are kept in 16 bits");

static const struct hash_key digest_key = {{0x736c756963652064ull, 0x6967657374206f66ull}};

struct table *table_new(void)
{
	struct table *t = calloc(1, sizeof(*t));

	bug_on(t == NULL);
	return t;
}

static void entry_free(struct entry *e)
{
	if (e != NULL)
		free(e->bytes);
	free(e);
}

void table_free(struct table *t)
{
	if (t == NULL)
		return;
	for (uint32_t i = 0; i < t->used; i++)
		entry_free(t->slots[i]);
	free(t);
}

static uint32_t home(const struct record *key)
{
	return (uint32_t)(record_key_hash(key) % INDEX_SIZE);
}

/* The place of <key> in the index, or the free one where it would stand. Never full: half empty. */
static uint32_t place(const struct table *t, const struct record *key)
{
	uint32_t at = home(key);

	while (t->index[at] != 0 && !record_same_key(&t->slots[t->index[at] - 1]->record, key))
		at = (at + 1) % INDEX_SIZE;
	return at;
}

uint32_t table_find(const struct table *t, const struct record *key)
{
	uint32_t at = place(t, key);

	return t->index[at] == 0 ? TABLE_NONE : t->index[at] - 1u;
}

uint32_t table_bucket(const struct record *r)
{
	return (uint32_t)(record_key_hash(r) >> 56);
}

/* In or out: XOR does both. */
static void account(struct table *t, const struct entry *e, int sign)
{
	t->buckets[table_bucket(&e->record)] ^= e->digest;
	t->counts[e->site][e->record.kind] = (uint16_t)(t->counts[e->site][e->record.kind] + sign);
}

static struct entry *entry_new(const uint8_t *bytes, size_t len, uint16_t site)
{
	struct entry *e = calloc(1, sizeof(*e));
	struct record_bytes b;

	bug_on(e == NULL || site >= TABLE_SITES);
	e->bytes = malloc(len);
	bug_on(e->bytes == NULL);
	memcpy(e->bytes, bytes, len);
	e->len = (uint32_t)len;
	e->site = site;
	bug_on(!record_split(e->bytes, len, &b));
	bug_on(!record_decode(b.fields, b.fields_len, &e->record));
	e->digest = siphash(&digest_key, b.fields, b.fields_len);
	return e;
}

static uint32_t free_slot(struct table *t)
{
	for (uint32_t i = 0; i < t->used; i++)
		if (t->count < t->used && t->slots[i] == NULL)
			return i;
	return t->used < FEDERATION_RECORDS_MAX ? t->used++ : TABLE_NONE;
}

uint32_t table_put(struct table *t, const uint8_t *bytes, size_t len, uint16_t site)
{
	struct entry *e = entry_new(bytes, len, site);
	uint32_t at = place(t, &e->record), slot;

	if (t->index[at] != 0) {
		slot = t->index[at] - 1u;
		account(t, t->slots[slot], -1);
		entry_free(t->slots[slot]);
	} else {
		slot = free_slot(t);
		if (slot == TABLE_NONE) {
			entry_free(e);
			return TABLE_NONE;
		}
		t->index[at] = (uint16_t)(slot + 1);
		t->count++;
	}
	t->slots[slot] = e;
	account(t, e, 1);
	return slot;
}

/* Closes the gap at <hole>: whoever stands behind it and belongs before it moves up (Knuth 6.4 R). */
static void index_close(struct table *t, uint32_t hole)
{
	uint32_t at = hole;

	for (;;) {
		uint32_t h;

		at = (at + 1) % INDEX_SIZE;
		if (t->index[at] == 0)
			break;
		h = home(&t->slots[t->index[at] - 1]->record);
		if ((at + INDEX_SIZE - h) % INDEX_SIZE < (at + INDEX_SIZE - hole) % INDEX_SIZE)
			continue;
		t->index[hole] = t->index[at];
		hole = at;
	}
	t->index[hole] = 0;
}

void table_remove(struct table *t, uint32_t slot)
{
	struct entry *e = t->slots[slot];
	uint32_t at;

	bug_on(e == NULL);
	at = place(t, &e->record);
	bug_on(t->index[at] != slot + 1);
	index_close(t, at);
	account(t, e, -1);
	entry_free(e);
	t->slots[slot] = NULL;
	t->count--;
}

bool table_is_full(const struct table *t, uint16_t site, uint8_t kind, uint32_t more)
{
	static const uint16_t most[RECORD_KIND_COUNT] = {[RECORD_SITE] = 1,
		[RECORD_HEALTH] = FEDERATION_SITE_HEALTH_MAX,
		[RECORD_WEIGHT] = FEDERATION_SITE_WEIGHTS_MAX};

	return t->counts[site][kind] + more >= most[kind];
}

uint64_t table_root(const struct table *t)
{
	uint8_t b[TABLE_BUCKETS * 8];

	for (uint32_t i = 0; i < TABLE_BUCKETS; i++)
		be64_put(b + i * 8, t->buckets[i]);
	return siphash(&digest_key, b, sizeof(b));
}
