// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_table.c: a hash table of references with tags, per worker.
 *
 * The low bits of the hash choose the bucket, the high 16 the tag. A full bucket is passed over
 * to the next one and counts who passed, so a search ends at the first bucket that nobody passed
 * and removal leaves no tombstones. The table is built at twice the capacity and never grows.
 */
#include "dataplane/tcp/tcp_table.h"

#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/pages.h"

bool tcp_table_init(struct tcp_table *t, uint32_t capacity, struct rng *rng)
{
	uint32_t buckets = 1;

	while ((uint64_t)buckets * TCP_TABLE_SLOTS / 2 < capacity)
		buckets *= 2;
	t->b = aligned_alloc(64, (size_t)buckets * sizeof(*t->b));
	if (t->b == NULL)
		return false;
	pages_wish_large(t->b, (size_t)buckets * sizeof(*t->b));
	memset(t->b, 0, (size_t)buckets * sizeof(*t->b));
	t->mask = buckets - 1;
	t->used = 0;
	for (unsigned i = 0; i < 6; i++)
		t->key[i] = rng_u64(rng);
	return true;
}

void tcp_table_fini(struct tcp_table *t)
{
	free(t->b);
	t->b = NULL;
}

void tcp_table_insert(struct tcp_table *t, uint64_t hash, uint32_t ref)
{
	uint32_t at = (uint32_t)hash & t->mask, hits;

	bug_on_hot(t->used >= (t->mask + 1) * TCP_TABLE_SLOTS);
	while ((hits = tcp_table_match(&t->b[at], 0)) == 0) {
		t->b[at].passed++;
		at = (at + 1) & t->mask;
	}
	t->b[at].tag[__builtin_ctz(hits)] = tcp_table_tag(hash);
	t->b[at].ref[__builtin_ctz(hits)] = ref;
	t->used++;
}

/* The slot of <ref>; *ret_bucket is its bucket. */
static unsigned locate(const struct tcp_table *t, uint64_t hash, uint32_t ref, uint32_t *ret_bucket)
{
	uint32_t at = (uint32_t)hash & t->mask;

	for (uint32_t seen = 0; seen <= t->mask; seen++, at = (at + 1) & t->mask) {
		uint32_t hits = tcp_table_match(&t->b[at], tcp_table_tag(hash));

		for (; hits != 0; hits &= hits - 1) {
			unsigned slot = (unsigned)__builtin_ctz(hits);

			if (t->b[at].ref[slot] == ref) {
				*ret_bucket = at;
				return slot;
			}
		}
		if (t->b[at].passed == 0)
			break;
	}
	bug_panic(__FILE__, __LINE__, __func__, "reference is not in the table");
}

void tcp_table_remove(struct tcp_table *t, uint64_t hash, uint32_t ref)
{
	uint32_t at;
	unsigned slot = locate(t, hash, ref, &at);

	t->b[at].tag[slot] = 0;
	for (uint32_t i = (uint32_t)hash & t->mask; i != at; i = (i + 1) & t->mask)
		t->b[i].passed--;
	t->used--;
}

void tcp_table_replace(struct tcp_table *t, uint64_t hash, uint32_t from, uint32_t to)
{
	uint32_t at;
	unsigned slot = locate(t, hash, from, &at);

	t->b[at].ref[slot] = to;
}

uint32_t tcp_table_next(const struct tcp_table *t, struct tcp_table_iter *it)
{
	for (uint32_t seen = 0; seen <= t->mask; seen++) {
		if (it->hits != 0) {
			unsigned slot = (unsigned)__builtin_ctz(it->hits);

			it->hits &= it->hits - 1;
			return it->bucket->ref[slot];
		}
		if (it->bucket->passed == 0)
			return TCP_TABLE_NONE;
		it->at = (it->at + 1) & t->mask;
		it->bucket = &t->b[it->at];
		it->hits = tcp_table_match(it->bucket, it->tag);
	}
	return TCP_TABLE_NONE;
}
