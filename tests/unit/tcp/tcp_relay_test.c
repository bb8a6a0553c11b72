// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_relay_test.c: bytes that leave in the mbufs they came in: sums carried along against sums
 * made anew (ip_output() of raw_peer.c refuses a wrong one), and the chains that they leave in.
 */
#include "tests/unit/tcp/tcp_test.h"

#include "dataplane/tcp/tcp_csum.h"
#include "tests/unit/tcp/raw_peer.h"

static struct rte_mempool *pool;

static struct rte_mbuf *slice(struct rng *rng, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *b = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)len);

	*pkt_of(m) = (struct pkt){0};
	for (uint32_t i = 0; i < len; i++) /* runs of ones and zeros carry into everything */
		b[i] = (uint8_t)(rng_below(rng, 3) ? rng_u64(rng) : 0 - rng_below(rng, 2));
	return m;
}

static uint16_t plain(struct rte_mbuf *m, uint32_t off, uint32_t n)
{
	return csum_fold(csum_bytes(rte_pktmbuf_mtod_offset(m, const void *, off), n));
}

/* Something that happens to a slice between receive and send. */
static void disturb(struct rng *rng, struct rte_mbuf *m)
{
	switch (rng_below(rng, 8)) {
	case 0:
		rte_pktmbuf_adj(m, (uint16_t)rng_below(rng, m->data_len));
		break;
	case 1:
		rte_pktmbuf_trim(m, (uint16_t)rng_below(rng, m->data_len));
		break;
	case 2:
		*rte_pktmbuf_mtod_offset(m, uint8_t *, rng_below(rng, m->data_len)) ^= 0x55;
		pkt_sum_forget(m);
		break;
	default:
		break;
	}
}

static void a_sum_carried_over_any_cuts_is_the_plain_sum(void **state)
{
	struct rng rng;

	rng_seed(&rng, 5);
	for (unsigned n = 0; n < 3000; n++) {
		struct rte_mbuf *m = slice(&rng, 1 + (uint32_t)rng_below(&rng, 1900));
		uint32_t off = (uint32_t)rng_below(&rng, m->data_len), len;

		assert_int_equal(tcp_csum_note(m, off, m->data_len - off),
			plain(m, off, m->data_len - off));
		if (rng_below(&rng, 4))
			rte_pktmbuf_adj(m, (uint16_t)off); /* the header goes */
		disturb(&rng, m);
		for (off = 0; off < m->data_len; off += len) {
			len = 1 + (uint32_t)rng_below(&rng, m->data_len - off);
			assert_int_equal(tcp_csum_take(m, off, len) % 0xffff,
				plain(m, off, len) % 0xffff);
			if (rng_below(&rng, 6) == 0) /* once more: a retransmission */
				assert_int_equal(tcp_csum_take(m, off, len) % 0xffff,
					plain(m, off, len) % 0xffff);
		}
		rte_pktmbuf_free(m);
	}
}

static void what_is_left_behind_a_cut_is_remembered(void **state)
{
	static const uint32_t cuts[] = {101, 1200}; /* the shorter part is in front, is behind */
	struct rng rng;

	rng_seed(&rng, 6);
	for (unsigned i = 0; i < RTE_DIM(cuts); i++) {
		struct rte_mbuf *m = slice(&rng, 1400);

		tcp_csum_note(m, 0, 1400);
		tcp_csum_take(m, 0, cuts[i]);
		assert_int_equal(pkt_of(m)->sum_off, m->data_off + cuts[i]);
		assert_int_equal(pkt_of(m)->sum_len, 1400 - cuts[i]);
		assert_int_equal(pkt_of(m)->sum % 0xffff,
			plain(m, cuts[i], 1400 - cuts[i]) % 0xffff);
		rte_pktmbuf_free(m);
	}
}

/* All that has arrived goes back. */
static void echo(struct raw *r, struct tcp_conn *c)
{
	struct mbufq q;
	uint32_t events;

	mbufq_init(&q);
	while (raw_ready(r, &events) != NULL)
		;
	tcp_read(r->tcp, c, &q, UINT32_MAX);
	if (!mbufq_is_empty(&q))
		tcp_write(r->tcp, c, &q);
	tcp_credit(r->tcp, c, tcp_released_take(c));
	raw_turn(r);
}

/* The end of what the stack has sent so far. */
static uint32_t sent_end(struct raw *r, uint32_t end)
{
	struct raw_segment s;

	while (raw_take(r, &s))
		end = seq_max(end, s.seq + s.len);
	return end;
}

static void relayed_bytes_leave_with_right_checksums(void **state)
{
	uint32_t iss, seq = 1001, una, nxt;
	static struct raw r;
	struct tcp_conn *c = raw_open(&r, pool, 65535, &iss);
	uint8_t data[1460];
	struct rng rng;

	rng_seed(&rng, 7);
	una = nxt = iss + 1;
	for (unsigned n = 0; n < 2000; n++) {
		uint32_t len = rng_below(&rng, 4) ? 1460 - (uint32_t)rng_below(&rng, 8)
						  : 1 + (uint32_t)rng_below(&rng, 1459);

		for (uint32_t i = 0; i < len; i++)
			data[i] = (uint8_t)rng_u64(&rng);
		raw_send(&r, TCP_ACK, seq, una, 65535, NULL, data, len);
		seq += len;
		echo(&r, c);
		nxt = sent_end(&r, nxt);
		if (rng_below(&rng, 50) == 0)
			raw_advance(&r, 300000); /* and now the retransmission */
		nxt = sent_end(&r, nxt);
		una += (uint32_t)rng_below(&rng, nxt - una + 1);
		if (rng_below(&rng, 3) == 0)
			una = nxt;
	}
	assert_true(raw_counter(&r, "tcp_rtx_segments") > 10);
	assert_int_equal(seq - 1001, nxt - iss - 1);
	assert_true(raw_end(&r, c));
}

/* Of two copies of a byte that differ the first one is kept, inside the second one's mbuf. */
static void of_two_copies_the_one_that_is_kept_is_summed(void **state)
{
	static struct raw r;
	uint32_t iss, events;
	struct tcp_conn *c = raw_open(&r, pool, 65535, &iss);
	uint8_t first[300], byte;

	memset(first, 'y', sizeof(first));
	raw_send(&r, TCP_ACK, 1001 + 500, iss + 1, 65535, NULL, first, sizeof(first));
	raw_send(&r, TCP_ACK, 1001, iss + 1, 65535, NULL, NULL, 1460);
	assert_int_equal(mbufq_copy(tcp_peek(c), 500, 1, &byte), 1);
	assert_int_equal(byte, 'y');
	raw_drop_output(&r);
	assert_ptr_equal(raw_ready(&r, &events), c);
	echo(&r, c);
	assert_int_equal(sent_end(&r, iss + 1), iss + 1 + 1460);
	assert_true(raw_end(&r, c));
}

static void a_bit_that_arrives_wrong_is_refused(void **state)
{
	uint32_t iss, bits[] = {0, 8 * 12, 8 * 19, 8 * 20, 8 * 300, 8 * 1479 + 7};
	static struct raw r;
	struct tcp_conn *c = raw_open(&r, pool, 65535, &iss);
	struct rng rng;
	unsigned sent = 0;

	rng_seed(&rng, 8);
	raw_drop_output(&r);
	for (uint32_t i = 0; i < 500; i++, sent++) {
		r.flip = 1 + (i < RTE_DIM(bits) ? bits[i] : (uint32_t)rng_below(&rng, 8 * 1480));
		raw_send(&r, TCP_ACK, 1001, iss + 1, 65535, NULL, NULL, 1460);
	}
	assert_int_equal(raw_counter(&r, "tcp_drop_checksum"), sent);
	assert_int_equal(r.net.count, 0);
	assert_int_equal(tcp_peek(c)->bytes, 0);
	r.flip = 0;
	raw_send(&r, TCP_ACK, 1001, iss + 1, 65535, NULL, NULL, 1460);
	assert_int_equal(tcp_peek(c)->bytes, 1460);
	assert_true(raw_end(&r, c));
}

/*
 * Chains for ports that cut.
 */

#define SLICES 12u
#define SLICE_LEN 1200u

/* What does not go by reference fills whole buffers, so that a chain never is too long for ever. */
static void copied_slices_are_packed_without_gaps(void **state)
{
	struct tcp_config cfg = raw_config_small();
	uint32_t iss, room = RTE_MBUF_DEFAULT_DATAROOM, rest;
	struct raw_segment s;
	static struct raw r;
	struct tcp_conn *c;
	struct rng rng;
	struct mbufq q;

	cfg.tx = (struct port_offload){.csum = true,
		.ip_csum = true,
		.tso_max = 65435,
		.refs_max = 2};
	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 65535, &iss);
	raw_drop_output(&r);
	rng_seed(&rng, 9);
	mbufq_init(&q);
	for (unsigned i = 0; i < SLICES; i++)
		mbufq_push(&q, slice(&rng, SLICE_LEN));
	tcp_write(r.tcp, c, &q);
	raw_turn(&r);
	assert_true(raw_take(&r, &s));
	assert_int_equal(s.len, SLICES * SLICE_LEN);
	rest = s.len - cfg.tx.refs_max * SLICE_LEN;
	assert_in_range(s.mbufs, 1, 1 + cfg.tx.refs_max + (rest + room - 1) / room);
	assert_true(raw_end(&r, c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sum_carried_over_any_cuts_is_the_plain_sum),
		cmocka_unit_test(what_is_left_behind_a_cut_is_remembered),
		cmocka_unit_test(relayed_bytes_leave_with_right_checksums),
		cmocka_unit_test(of_two_copies_the_one_that_is_kept_is_summed),
		cmocka_unit_test(a_bit_that_arrives_wrong_is_refused),
		cmocka_unit_test(copied_slices_are_packed_without_gaps),
	};

	test_eal_init();
	pool = rte_pktmbuf_pool_create("raw", 4095, 0, PKT_PRIV_SIZE, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	bug_on(pool == NULL);
	return cmocka_run_group_tests_name("tcp_relay", tests, NULL, NULL);
}
