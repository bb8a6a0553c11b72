// SPDX-License-Identifier: Apache-2.0
/*
 * table.h: all records that a site holds, its own and those of others, and their digest.
 *
 * Digest: every record has the hash of its fields, and its key chooses one of 256 buckets; a bucket
 * is the XOR of its records, the root is the hash of all buckets. Two sites hold the same if their
 * roots are equal, and where they differ the buckets tell. (XOR of a keyless hash is no defence
 * against a site that makes up collisions: it would only hide its own records from others.)
 *
 * A record has a slot that it keeps until it is forgotten: outboxes remember slots, not values.
 */
#pragma once

#include "federation/federation.h"
#include "federation/proto.h"

#define TABLE_SITES (FEDERATION_PEERS_MAX + 1)

struct entry {
	struct record record; /* strings point into <bytes> */
	uint8_t *bytes;	      /* owned: as it is sent and kept */
	uint32_t len;
	uint16_t site; /* index of its site, for the counts */
	bool is_told_dead;
	uint64_t digest;
};

struct table {
	struct entry *slots[FEDERATION_RECORDS_MAX]; /* owned; NULL: free */
	uint16_t index[2 * FEDERATION_RECORDS_MAX];  /* by key: slot + 1; 0: free */
	uint32_t used;				     /* slots below this one may be taken */
	uint32_t count;
	uint16_t counts[TABLE_SITES][RECORD_KIND_COUNT];
	uint64_t buckets[TABLE_BUCKETS];
};

#define TABLE_NONE UINT32_MAX

struct table *table_new(void);
void table_free(struct table *t); /* NULL is fine */

/* TABLE_NONE: no such key. */
uint32_t table_find(const struct table *t, const struct record *key);
/*
 * Takes a copy of <bytes>, which hold a valid record of site number <site>, in place of what is
 * there under its key. TABLE_NONE: full. The caller has decided that it wins.
 */
uint32_t table_put(struct table *t, const uint8_t *bytes, size_t len, uint16_t site);
void table_remove(struct table *t, uint32_t slot);
/* Would <site> with <more> records of this kind, and another one, have more than it may have? */
bool table_is_full(const struct table *t, uint16_t site, uint8_t kind, uint32_t more);

uint64_t table_root(const struct table *t);
uint32_t table_bucket(const struct record *r);
