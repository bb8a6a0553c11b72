// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_table.h: from a 4-tuple's hash to candidates, open addressing in 64-byte buckets.
 *
 * The table holds 32-bit references and 16-bit tags, no keys: the caller compares the 4-tuple of
 * each candidate, which is almost always the right one. What a reference means is the caller's
 * business. One cache miss to find a candidate, one to verify it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "dataplane/base/hash.h"
#include "dataplane/base/prefetch.h"
#include "dataplane/tcp/tcp.h"

#define TCP_TABLE_SLOTS 8
#define TCP_TABLE_NONE UINT32_MAX

struct tcp_bucket {
	uint16_t tag[TCP_TABLE_SLOTS]; /* 0: free */
	uint32_t ref[TCP_TABLE_SLOTS];
	uint32_t passed; /* entries that wanted or passed this bucket and live further on */
	uint32_t unused[3];
};
_Static_assert(sizeof(struct tcp_bucket) == 64, "one cache line per bucket");

struct tcp_table {
	struct tcp_bucket *b; /* owned, mask + 1 of them */
	uint32_t mask;
	uint32_t used;
	uint64_t key[6]; /* secrets of the hash */
};

/* Room for <capacity> references at half load; keys from <rng>. False: no memory. */
bool tcp_table_init(struct tcp_table *t, uint32_t capacity, struct rng *rng);
void tcp_table_fini(struct tcp_table *t);
/* The caller keeps within the capacity and does not insert twice. */
void tcp_table_insert(struct tcp_table *t, uint64_t hash, uint32_t ref);
/* The reference must be there. */
void tcp_table_remove(struct tcp_table *t, uint64_t hash, uint32_t ref);
/* <from> becomes <to> under the same hash. */
void tcp_table_replace(struct tcp_table *t, uint64_t hash, uint32_t from, uint32_t to);

static inline uint64_t tcp_word(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

/* Keyed: without the key nobody can aim at one bucket. Two multiplications, four for IPv6. */
static inline uint64_t tcp_table_hash(const struct tcp_table *t, const struct ip_addr *local,
	const struct ip_addr *remote, uint16_t local_port, uint16_t remote_port)
{
	uint64_t ports = (uint64_t)local_port << 16 | remote_port;
	uint64_t h =
		hash_mix(tcp_word(local->b + 8) ^ t->key[0], tcp_word(remote->b + 8) ^ t->key[1]);

	if (!ip_is_v4(remote))
		h = hash_mix(h ^ t->key[2],
			hash_mix(tcp_word(local->b) ^ t->key[3], tcp_word(remote->b) ^ t->key[4]));
	return hash_mix(h, ports ^ t->key[5]);
}

struct tcp_table_iter {
	const struct tcp_bucket *bucket;
	uint32_t at;   /* index of <bucket> */
	uint32_t hits; /* slots of <bucket> still to be tried, one bit each */
	uint16_t tag;
};

static inline uint16_t tcp_table_tag(uint64_t hash)
{
	uint16_t tag = (uint16_t)(hash >> 48);

	return tag != 0 ? tag : 1;
}

/* One bit for each slot whose tag is <tag>. */
static inline uint32_t tcp_table_match(const struct tcp_bucket *b, uint16_t tag)
{
	uint32_t hits = 0;

#ifdef __SSE2__
	__m128i eq = _mm_cmpeq_epi16(_mm_load_si128((const __m128i *)(const void *)b->tag),
		_mm_set1_epi16((short)tag));

	/* one byte per slot, then one bit */
	hits = (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(eq, _mm_setzero_si128()));
#else
	for (unsigned i = 0; i < TCP_TABLE_SLOTS; i++)
		hits |= (uint32_t)(b->tag[i] == tag) << i;
#endif
	return hits;
}

/* The candidates of <hash>, one after the other; TCP_TABLE_NONE ends them. */
uint32_t tcp_table_next(const struct tcp_table *t, struct tcp_table_iter *it);

static inline uint32_t tcp_table_first(const struct tcp_table *t, struct tcp_table_iter *it,
	uint64_t hash)
{
	it->at = (uint32_t)hash & t->mask;
	it->bucket = &t->b[it->at];
	it->tag = tcp_table_tag(hash);
	it->hits = tcp_table_match(it->bucket, it->tag);
	if (it->hits != 0) {
		unsigned slot = (unsigned)__builtin_ctz(it->hits);

		it->hits &= it->hits - 1;
		return it->bucket->ref[slot];
	}
	return tcp_table_next(t, it);
}

static inline void tcp_table_prefetch(const struct tcp_table *t, uint64_t hash)
{
	prefetch(&t->b[(uint32_t)hash & t->mask]);
}
