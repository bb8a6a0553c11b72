// SPDX-License-Identifier: Apache-2.0
/*
 * gen_reasm_test.c: the load generator puts segments together as they were: random overlapping ones
 * against an array of bytes, and SACK blocks that report what is held.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <rte_eal.h>

#include "dataplane/base/rng.h"
#include "tests/bench/gen_reasm.h"

#define SPAN 4000u

static struct rte_mempool *pool;

static struct rte_mbuf *make(const uint8_t *p, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), p, len);
	return m;
}

static uint8_t stream[SPAN], got[SPAN];

/* As TCP does it: what continues the stream never enters the list. Frees <m>. */
static bool accept(struct rte_mbuf *m, uint32_t from, bool fin, uint32_t *nxt)
{
	uint32_t end = from + m->pkt_len;
	bool last = false;

	if (end >= *nxt) {
		memcpy(got + from, rte_pktmbuf_mtod(m, void *), m->pkt_len);
		*nxt = end;
		last = fin;
	}
	rte_pktmbuf_free(m);
	return last;
}

static void one_stream(struct rng *r, uint32_t base)
{
	struct reasm q = {0};
	uint32_t nxt = 0;
	bool fin = false;

	for (uint32_t i = 0; i < SPAN; i++)
		stream[i] = (uint8_t)rng_u64(r);
	while (!fin) {
		uint32_t at = (uint32_t)rng_below(r, SPAN), len = (uint32_t)rng_below(r, 300);
		struct rte_mbuf *m;

		len = len < SPAN - at ? len : SPAN - at;
		m = make(stream + at, len);
		if (at <= nxt)
			fin |= accept(m, at, at + len == SPAN, &nxt);
		else
			reasm_add(&q, m, base + at, at + len == SPAN);
		while ((m = reasm_take(&q, base + nxt)) != NULL)
			fin |= accept(m, held_of(m)->seq - base, held_of(m)->fin, &nxt);
	}
	assert_int_equal(nxt, SPAN);
	assert_memory_equal(got, stream, SPAN);
	reasm_free(&q);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void segments_in_any_order_give_the_stream(void **state)
{
	struct rng r;

	(void)state;
	rng_seed(&r, 3);
	for (int round = 0; round < 200; round++)
		one_stream(&r, round & 1 ? (uint32_t)rng_u64(&r) : UINT32_MAX - SPAN / 2);
}

static void what_is_held_is_not_held_twice(void **state)
{
	struct reasm q = {0};
	uint8_t bytes[100] = {0};

	(void)state;
	assert_true(reasm_add(&q, make(bytes, 100), 1000, false));
	assert_false(reasm_add(&q, make(bytes, 100), 1000, false));
	assert_false(reasm_add(&q, make(bytes, 50), 1020, false));
	assert_true(reasm_add(&q, make(bytes, 100), 1000, true)); /* has the FIN */
	assert_int_equal(q.count, 2);
	reasm_free(&q);
}

static void the_queue_is_bounded(void **state)
{
	struct reasm q = {0};
	uint8_t byte = 0;

	(void)state;
	for (uint32_t i = 0; i < REASM_MAX + 10; i++)
		assert_int_equal(reasm_add(&q, make(&byte, 1), 10 + 2 * i, false), i < REASM_MAX);
	reasm_free(&q);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void the_first_block_holds_the_last_segment(void **state)
{
	struct reasm_block b[REASM_BLOCKS];
	struct reasm q = {0};
	uint8_t bytes[100] = {0};

	(void)state;
	assert_int_equal(reasm_blocks(&q, b), 0);
	reasm_add(&q, make(bytes, 100), 1000, false);
	reasm_add(&q, make(bytes, 100), 1100, false);
	reasm_add(&q, make(bytes, 100), 2000, false);
	reasm_add(&q, make(bytes, 100), 3000, false);
	reasm_add(&q, make(bytes, 100), 2050, false);
	assert_int_equal(reasm_blocks(&q, b), 3);
	assert_int_equal(b[0].start, 2000);
	assert_int_equal(b[0].end, 2150);
	assert_int_equal(b[1].start, 1000);
	assert_int_equal(b[1].end, 1200);
	assert_int_equal(b[2].start, 3000);
	assert_int_equal(b[2].end, 3100);
	reasm_free(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_in_any_order_give_the_stream),
		cmocka_unit_test(what_is_held_is_not_held_twice),
		cmocka_unit_test(the_queue_is_bounded),
		cmocka_unit_test(the_first_block_holds_the_last_segment),
	};
	char *argv[] = {"gen_reasm_test", "--no-huge", "-m", "64", "--no-pci", "--no-telemetry",
		"--no-shconf", "--log-level=error"};

	if (rte_eal_init(8, argv) < 0)
		return 1;
	pool = rte_pktmbuf_pool_create("t", 4095, 0, RTE_ALIGN(sizeof(struct held), 8), 1024,
		SOCKET_ID_ANY);
	if (pool == NULL)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
