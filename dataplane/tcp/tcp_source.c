// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_source.c: open addressing with linear probing at half load at most; removal moves later
 * entries of the run back, so there are no tombstones (Knuth 6.4, algorithm R).
 */
#include "dataplane/tcp/tcp_source.h"

#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/hash.h"

bool tcp_source_init(struct tcp_source_table *t, uint32_t capacity, struct rng *rng)
{
	uint32_t n = 16;

	while (n < 2 * (uint64_t)capacity)
		n *= 2;
	t->e = calloc(n, sizeof(*t->e));
	t->mask = n - 1;
	t->key[0] = rng_u64(rng);
	t->key[1] = rng_u64(rng);
	return t->e != NULL;
}

void tcp_source_fini(struct tcp_source_table *t)
{
	free(t->e);
	t->e = NULL;
}

/* A customer's IPv6 network is one source: it can use any of 2^64 addresses. */
static struct ip_addr source_of(const struct ip_addr *remote)
{
	struct ip_addr a = *remote;

	if (!ip_is_v4(remote))
		memset(a.b + 8, 0, 8);
	return a;
}

static uint32_t home_of(const struct tcp_source_table *t, const struct ip_addr *a)
{
	uint64_t w[2];

	memcpy(w, a->b, 16);
	return (uint32_t)hash_mix(w[0] ^ t->key[0], w[1] ^ t->key[1]) & t->mask;
}

/* The entry of <a>, or the free one where it would go. */
static uint32_t find(const struct tcp_source_table *t, const struct ip_addr *a)
{
	uint32_t i = home_of(t, a);

	while (t->e[i].count != 0 && !ip_eq(&t->e[i].addr, a))
		i = (i + 1) & t->mask;
	return i;
}

uint32_t tcp_source_count(const struct tcp_source_table *t, const struct ip_addr *remote)
{
	struct ip_addr a = source_of(remote);

	return t->e[find(t, &a)].count;
}

void tcp_source_add(struct tcp_source_table *t, const struct ip_addr *remote)
{
	struct ip_addr a = source_of(remote);
	struct tcp_source *e = &t->e[find(t, &a)];

	e->addr = a;
	e->count++;
}

void tcp_source_remove(struct tcp_source_table *t, const struct ip_addr *remote)
{
	struct ip_addr a = source_of(remote);
	uint32_t hole = find(t, &a), i;

	bug_on_hot(t->e[hole].count == 0);
	if (--t->e[hole].count > 0)
		return;
	for (i = (hole + 1) & t->mask; t->e[i].count != 0; i = (i + 1) & t->mask) {
		uint32_t home = home_of(t, &t->e[i].addr);

		/* it may move back to the hole when its home is not behind the hole */
		if (((i - home) & t->mask) < ((i - hole) & t->mask))
			continue;
		t->e[hole] = t->e[i];
		t->e[i].count = 0;
		hole = i;
	}
}
