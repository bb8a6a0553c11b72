// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_reasm_test.c: reassembly against an array of bytes, on random overlapping segments whose
 * copies differ, so that "the first copy wins" is visible; and what the SACK blocks say.
 */
#include "tests/unit/tcp/tcp_test.h"

#include "dataplane/base/rng.h"
#include "dataplane/tcp/tcp_reasm.h"
#include "dataplane/tcp/tcp_seq.h"

#define SPAN 20000u

static struct rte_mempool *pool;

static struct rte_mbuf *make(const uint8_t *data, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	assert_non_null(m);
	*pkt_of(m) = (struct pkt){.charge = pkt_truesize(m)};
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), data, len);
	return m;
}

struct model {
	uint8_t byte[SPAN];
	bool held[SPAN];
	uint32_t base; /* sequence number of byte 0 */
};

/* The queue holds exactly what the model holds from *nxt on, sorted and disjoint. */
static void assert_queue(struct tcp_reasm *r, const struct model *m, uint32_t nxt)
{
	uint32_t bytes = 0, expect = 0, last = nxt;

	for (struct rte_mbuf *b = r->q.head; b != NULL; b = pkt_of(b)->next) {
		uint32_t off = pkt_of(b)->seq - m->base;

		assert_true(seq_ge(pkt_of(b)->seq, last));
		last = pkt_of(b)->seq + b->data_len;
		for (uint32_t i = 0; i < b->data_len; i++) {
			assert_true(m->held[off + i]);
			assert_int_equal(rte_pktmbuf_mtod(b, uint8_t *)[i], m->byte[off + i]);
		}
		bytes += b->data_len;
	}
	assert_int_equal(bytes, r->q.bytes);
	for (uint32_t i = nxt - m->base; i < SPAN; i++)
		expect += m->held[i];
	assert_int_equal(bytes, expect);
}

/* Every block reported is wholly held, and is no duplicate. */
static void assert_blocks(struct tcp_reasm *r, const struct model *m, uint32_t nxt)
{
	struct tcp_sack_block b[TCP_SACK_BLOCKS_MAX];
	unsigned n;

	r->dsack.end = r->dsack.start;
	n = tcp_reasm_blocks(r, nxt, b, TCP_SACK_BLOCKS_MAX);
	for (unsigned i = 0; i < n; i++) {
		assert_true(seq_gt(b[i].start, nxt) && seq_gt(b[i].end, b[i].start));
		for (uint32_t s = b[i].start; s != b[i].end; s++)
			assert_true(m->held[s - m->base]);
	}
	assert_true((n > 0) == (r->q.head != NULL));
}

static void one_run(uint64_t seed, uint32_t base)
{
	static struct model m;
	struct tcp_reasm r;
	struct mbufq out;
	struct rng rng;
	uint32_t nxt = base, charge_in = 0, freed = 0;
	uint8_t buf[1500];

	rng_seed(&rng, seed);
	memset(&m, 0, sizeof(m));
	m.base = base;
	tcp_reasm_init(&r);
	mbufq_init(&out);
	for (unsigned i = 0; i < 120; i++) {
		uint32_t room = SPAN - (nxt - base), off, len;

		if (room < 2000)
			break;
		off = (uint32_t)rng_below(&rng, RTE_MIN(room - 1500, 6000u));
		len = 1 + (uint32_t)rng_below(&rng, rng_below(&rng, 2) ? 1500 : 40);
		for (uint32_t k = 0; k < len; k++)
			buf[k] = (uint8_t)rng_u64(&rng);
		for (uint32_t k = 0; k < len; k++) {
			uint32_t at = nxt - base + off + k;

			if (!m.held[at]) {
				m.held[at] = true;
				m.byte[at] = buf[k];
			}
		}
		charge_in += (uint32_t)(RTE_MBUF_DEFAULT_BUF_SIZE + sizeof(struct rte_mbuf) +
			PKT_PRIV_SIZE);
		switch (tcp_reasm_add(&r, nxt + off, make(buf, len), true, &freed)) {
		case TCP_REASM_MERGED:
		case TCP_REASM_DUPLICATE:
			charge_in -= (uint32_t)(RTE_MBUF_DEFAULT_BUF_SIZE +
				sizeof(struct rte_mbuf) + PKT_PRIV_SIZE);
			break;
		case TCP_REASM_STORED:
			break;
		default:
			fail();
		}
		tcp_reasm_take(&r, &nxt, &out, &freed);
		assert_queue(&r, &m, nxt);
		assert_blocks(&r, &m, nxt);
	}
	/* what came out in order is what the model says */
	for (uint32_t at = 0; out.head != NULL;) {
		struct rte_mbuf *b = mbufq_pop(&out);

		for (uint32_t k = 0; k < b->data_len; k++, at++)
			assert_int_equal(rte_pktmbuf_mtod(b, uint8_t *)[k], m.byte[at]);
		freed += pkt_of(b)->charge;
		rte_pktmbuf_free(b);
	}
	freed += tcp_reasm_fini(&r);
	assert_int_equal(freed, charge_in);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void overlaps_keep_the_first_copy_of_every_byte(void **state)
{
	for (uint64_t seed = 1; seed <= 300; seed++)
		one_run(seed, seed % 2 ? 5000u : UINT32_MAX - 7000u);
}

static void without_budget_only_tailroom_is_used(void **state)
{
	uint8_t buf[1000] = {0};
	struct tcp_reasm r;
	uint32_t freed = 0;

	tcp_reasm_init(&r);
	assert_int_equal(tcp_reasm_add(&r, 1000, make(buf, 1000), true, &freed), TCP_REASM_STORED);
	assert_int_equal(tcp_reasm_add(&r, 2000, make(buf, 1000), false, &freed), TCP_REASM_MERGED);
	assert_int_equal(tcp_reasm_add(&r, 3000, make(buf, 1000), false, &freed), TCP_REASM_FULL);
	assert_int_equal(tcp_reasm_add(&r, 9000, make(buf, 10), false, &freed), TCP_REASM_FULL);
	assert_int_equal(r.q.count, 1);
	assert_int_equal(r.q.bytes, 2000);
	assert_int_equal(r.sack_count, 1);
	tcp_reasm_fini(&r);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

/* Else every copy would leave an empty mbuf behind, charged in full. */
static void what_two_neighbours_hold_between_them_is_a_duplicate(void **state)
{
	uint8_t buf[1000] = {0};
	struct tcp_sack_block b[2];
	struct tcp_reasm r;
	uint32_t freed = 0;

	tcp_reasm_init(&r);
	tcp_reasm_add(&r, 1000, make(buf, 500), true, &freed);
	tcp_reasm_add(&r, 1500, make(buf, 1000), true, &freed);
	assert_int_equal(tcp_reasm_add(&r, 1200, make(buf, 600), true, &freed),
		TCP_REASM_DUPLICATE);
	assert_int_equal(r.q.count, 2);
	assert_int_equal(tcp_reasm_blocks(&r, 0, b, 2), 2);
	assert_int_equal(b[0].start, 1200); /* RFC 2883 4: all of it was a duplicate */
	assert_int_equal(b[0].end, 1800);
	assert_int_equal(b[1].start, 1000);
	assert_int_equal(b[1].end, 2500);
	tcp_reasm_fini(&r);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

/* A clone shares the bytes, so it must not take over those of the mbufs it covers. */
static void a_shared_segment_is_never_written(void **state)
{
	uint8_t old[100], new[300];
	struct tcp_reasm r;
	struct rte_mbuf *m, *clone;
	uint32_t freed = 0, nxt = 0;
	struct mbufq out;

	memset(old, 'o', sizeof(old));
	memset(new, 'n', sizeof(new));
	tcp_reasm_init(&r);
	mbufq_init(&out);
	tcp_reasm_add(&r, 100, make(old, 100), true, &freed);
	m = make(new, 300);
	clone = rte_pktmbuf_clone(m, pool);
	assert_int_equal(tcp_reasm_add(&r, 0, m, true, &freed), TCP_REASM_STORED);
	assert_int_equal(rte_pktmbuf_mtod(clone, uint8_t *)[150], 'n');
	tcp_reasm_take(&r, &nxt, &out, &freed);
	assert_int_equal(nxt, 200); /* the part behind the old mbuf comes again */
	rte_pktmbuf_free(clone);
	mbufq_free(&out);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void blocks_come_newest_first_and_a_duplicate_once(void **state)
{
	struct tcp_sack_block b[4];
	uint8_t buf[100] = {0};
	struct tcp_reasm r;
	uint32_t freed = 0;

	tcp_reasm_init(&r);
	for (uint32_t i = 0; i < 5; i++)
		tcp_reasm_add(&r, 1000 + i * 1000, make(buf, 100), true, &freed);
	assert_int_equal(tcp_reasm_blocks(&r, 0, b, 4), 4);
	assert_int_equal(b[0].start, 5000); /* RFC 2018 4: the first block holds the newest */
	assert_int_equal(b[3].start, 2000); /* the oldest was pushed out */
	assert_int_equal(tcp_reasm_add(&r, 3020, make(buf, 30), true, &freed), TCP_REASM_DUPLICATE);
	assert_int_equal(tcp_reasm_blocks(&r, 0, b, 3), 3);
	assert_int_equal(b[0].start, 3020); /* RFC 2883 4: the duplicate, then its block */
	assert_int_equal(b[0].end, 3050);
	assert_int_equal(b[1].start, 3000);
	assert_int_equal(tcp_reasm_blocks(&r, 0, b, 1), 1);
	assert_int_equal(b[0].start, 3000);
	tcp_reasm_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overlaps_keep_the_first_copy_of_every_byte),
		cmocka_unit_test(without_budget_only_tailroom_is_used),
		cmocka_unit_test(what_two_neighbours_hold_between_them_is_a_duplicate),
		cmocka_unit_test(a_shared_segment_is_never_written),
		cmocka_unit_test(blocks_come_newest_first_and_a_duplicate_once),
	};

	test_eal_init();
	pool = rte_pktmbuf_pool_create("reasm", 1023, 0, PKT_PRIV_SIZE, RTE_MBUF_DEFAULT_BUF_SIZE,
		0);
	bug_on(pool == NULL);
	return cmocka_run_group_tests_name("tcp_reasm", tests, NULL, NULL);
}
