// SPDX-License-Identifier: Apache-2.0
/*
 * gen_conn.c: the table of connections: chained buckets over one array.
 *
 * The array is mapped whole and touched as it is used, so a table for a million connections costs
 * nothing until they are opened. The connection freed last is the one used next.
 */
#include "tests/bench/gen.h"

#include <sys/mman.h>

#define TIME_WAIT_US 60000000u	 /* as Linux */
#define TIME_WAIT_MAX (1u << 18) /* as Linux with this much memory: tcp_max_tw_buckets */

static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

bool conn_table_init(struct conn_table *t, uint32_t size)
{
	uint32_t buckets = 1024;

	while (buckets < 2 * size && buckets < (1u << 30))
		buckets *= 2;
	t->size = size;
	t->mask = buckets - 1;
	list_init(&t->time_wait);
	t->conns = map((size_t)size * sizeof(struct conn));
	t->buckets = map((size_t)buckets * sizeof(uint32_t));
	return t->conns != NULL && t->buckets != NULL;
}

void conn_table_fini(struct conn_table *t)
{
	if (t->conns != NULL)
		munmap(t->conns, (size_t)t->size * sizeof(struct conn));
	if (t->buckets != NULL)
		munmap(t->buckets, ((size_t)t->mask + 1) * sizeof(uint32_t));
}

uint32_t conn_hash(const struct gen *g, const uint8_t *key)
{
	uint64_t w[4], h;
	uint32_t ports;

	if (!g->v6) {
		memcpy(w, key, 8);
		memcpy(&ports, key + 8, 4);
		return (uint32_t)hash_mix(w[0], g->hash_secret ^ ports);
	}
	memcpy(w, key, 32);
	memcpy(&ports, key + 32, 4);
	h = hash_mix(w[0] ^ ports, g->hash_secret ^ w[1]);
	return (uint32_t)hash_mix(w[2] ^ h, w[3]);
}

struct conn *conn_find(const struct gen *g, const uint8_t *key, uint32_t hash)
{
	const struct conn_table *t = &g->conns;

	for (uint32_t i = t->buckets[hash & t->mask]; i != 0;) {
		struct conn *c = conn_at(t, i - 1);

		if (memcmp(c->key, key, g->key_len) == 0)
			return c;
		i = c->next;
	}
	return NULL;
}

static struct conn *slot_take(struct gen *g)
{
	struct conn_table *t = &g->conns;
	struct conn *c;

	if (t->free == 0 && t->fresh == t->size && !list_is_empty(&t->time_wait)) {
		gen_count(g, GEN_TW_CUT);
		conn_free(g, list_entry(t->time_wait.next, struct conn, link));
	}
	if (t->free != 0) {
		c = conn_at(t, t->free - 1);
		t->free = c->next;
		return c;
	}
	return t->fresh < t->size ? conn_at(t, t->fresh++) : NULL;
}

struct conn *conn_new(struct gen *g, const uint8_t *key, uint32_t hash)
{
	struct conn_table *t = &g->conns;
	struct conn *c = slot_take(g);
	uint32_t *bucket = &t->buckets[hash & t->mask];

	if (c == NULL) {
		gen_count(g, GEN_NO_CONN);
		return NULL;
	}
	memset(c, 0, sizeof(*c));
	c->index = (uint32_t)(c - t->conns);
	memcpy(c->key, key, g->key_len);
	c->rto_at = c->ack_at = c->app_at = TIMER_NEVER;
	timer_init(&c->timer);
	list_init(&c->link);
	c->next = *bucket;
	*bucket = c->index + 1;
	if (++t->used > t->used_high)
		t->used_high = t->used;
	return c;
}

void conn_free(struct gen *g, struct conn *c)
{
	struct conn_table *t = &g->conns;
	uint32_t *at = &t->buckets[conn_hash(g, c->key) & t->mask];

	while (*at != c->index + 1)
		at = &conn_at(t, *at - 1)->next;
	*at = c->next;
	timer_cancel(&g->wheel, &c->timer);
	list_del(&c->link);
	reasm_free(&c->later);
	http_buffer_put(&g->http, &c->head);
	if (!(c->flags & CONN_BACKEND))
		check_end(&g->http, &c->check);
	if (c->state == CONN_TIME_WAIT)
		t->time_wait_count--;
	c->state = CONN_FREE;
	c->next = t->free;
	t->free = c->index + 1;
	t->used--;
}

void conn_wake(struct gen *g, struct conn *c, uint64_t at_us)
{
	if (at_us < c->timer.expires_us)
		timer_set(&g->wheel, &c->timer, at_us);
}

void conn_time_wait(struct gen *g, struct conn *c)
{
	struct conn_table *t = &g->conns;

	if (c->state != CONN_TIME_WAIT) {
		if (t->time_wait_count >= TIME_WAIT_MAX) {
			gen_count(g, GEN_TW_CUT);
			conn_free(g, list_entry(t->time_wait.next, struct conn, link));
		}
		list_del(&c->link);
		list_add_tail(&t->time_wait, &c->link);
		t->time_wait_count++;
	}
	c->state = CONN_TIME_WAIT;
	c->rto_at = c->ack_at = TIMER_NEVER;
	c->app_at = g->now_us + TIME_WAIT_US;
	conn_wake(g, c, c->app_at);
}
