// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_sack_test.c: the scoreboard against a model that keeps one cell per byte, on random
 * operations, and the sentences of RFC 2018, 2883 and 6675 as rows.
 */
#include "tests/unit/tcp/tcp_test.h"

#include "dataplane/base/rng.h"
#include "dataplane/tcp/tcp_sack.h"
#include "dataplane/tcp/tcp_seq.h"

#define SPAN 4096u

struct cell {
	uint8_t state;
	bool rtx;
	uint32_t sent_us;
};

struct model {
	struct cell c[SPAN]; /* byte n is at n % SPAN */
	uint32_t una, nxt;
};

static struct cell *cell(struct model *m, uint32_t seq)
{
	return &m->c[seq % SPAN];
}

static uint32_t model_count(struct model *m, uint8_t state)
{
	uint32_t n = 0;

	for (uint32_t s = m->una; s != m->nxt; s++)
		n += cell(m, s)->state == state;
	return n;
}

/* Byte by byte the same; times and rtx too. */
static void assert_same(const struct tcp_sack *s, struct model *m)
{
	uint32_t seq = s->una;

	assert_true(tcp_sack_is_sound(s));
	assert_int_equal(s->una, m->una);
	assert_int_equal(s->nxt, m->nxt);
	for (unsigned i = 0; i < s->n; i++)
		for (; seq != s->r[i].end; seq++) {
			assert_int_equal(s->r[i].state, cell(m, seq)->state);
			if (s->r[i].state == TCP_RANGE_SACKED)
				continue; /* its history no longer matters */
			assert_int_equal(s->r[i].sent_us, cell(m, seq)->sent_us);
			assert_int_equal(s->r[i].rtx, cell(m, seq)->rtx);
		}
	for (uint8_t st = 0; st < TCP_RANGE_STATE_COUNT; st++)
		assert_int_equal(s->bytes[st], model_count(m, st));
}

struct run {
	struct tcp_sack s;
	struct tcp_range block[TCP_SACK_LARGE];
	struct model m;
	struct rng rng;
	uint32_t now;
	bool merged; /* the array was full once: equality is over, soundness is not */
};

static void run_init(struct run *r, uint64_t seed, uint32_t una, bool large)
{
	memset(r, 0, sizeof(*r));
	rng_seed(&r->rng, seed);
	tcp_sack_init(&r->s, una);
	if (large)
		tcp_sack_grow(&r->s, r->block);
	r->m.una = r->m.nxt = una;
	r->now = (uint32_t)rng_u64(&r->rng);
}

static uint32_t pick(struct run *r, uint32_t n)
{
	return (uint32_t)rng_below(&r->rng, n);
}

static void do_send(struct run *r)
{
	uint32_t room = SPAN - 1 - (r->m.nxt - r->m.una), len = 1 + pick(r, 100);

	if (len > room)
		return;
	tcp_sack_sent(&r->s, len, r->now, 0);
	for (uint32_t i = 0; i < len; i++)
		*cell(&r->m, r->m.nxt++) = (struct cell){TCP_RANGE_FLIGHT, false, r->now};
}

static void do_ack(struct run *r)
{
	uint32_t n = pick(r, r->m.nxt - r->m.una + 1), delivered = 0;
	struct tcp_delivery d = {0};

	tcp_sack_ack(&r->s, r->m.una + n, &d);
	for (; n > 0; n--, r->m.una++)
		delivered += cell(&r->m, r->m.una)->state != TCP_RANGE_SACKED;
	if (!r->merged)
		assert_int_equal(d.bytes, delivered);
}

static void do_block(struct run *r)
{
	uint32_t span = r->m.nxt - r->m.una, delivered = 0;
	struct tcp_delivery d = {0};
	struct tcp_sack_block b;

	if (span == 0)
		return;
	b.start = r->m.una + pick(r, span);
	b.end = b.start + 1 + pick(r, r->m.nxt - b.start);
	assert_true(tcp_sack_block(&r->s, b, &d));
	for (uint32_t s = b.start; s != b.end; s++) {
		delivered += cell(&r->m, s)->state != TCP_RANGE_SACKED;
		cell(&r->m, s)->state = TCP_RANGE_SACKED;
	}
	if (!r->merged)
		assert_int_equal(d.bytes, delivered);
}

static void do_lose(struct run *r)
{
	uint32_t span = r->m.nxt - r->m.una, start, len, lost = 0, n;

	if (span == 0)
		return;
	start = r->m.una + pick(r, span);
	len = 1 + pick(r, r->m.nxt - start);
	n = tcp_sack_lose(&r->s, start, len);
	for (; len > 0; len--, start++)
		if (cell(&r->m, start)->state == TCP_RANGE_FLIGHT) {
			cell(&r->m, start)->state = TCP_RANGE_LOST;
			lost++;
		}
	if (!r->merged)
		assert_int_equal(n, lost);
}

/* What NextSeg says is the first lost run, and sending it again puts it into flight. */
static void do_resend(struct run *r)
{
	uint32_t start, len, s = r->m.una;

	if (!tcp_sack_next_lost(&r->s, &start, &len)) {
		assert_true(r->merged || model_count(&r->m, TCP_RANGE_LOST) == 0);
		return;
	}
	if (!r->merged) {
		while (cell(&r->m, s)->state != TCP_RANGE_LOST)
			s++;
		assert_int_equal(s, start);
		for (; s != r->m.nxt && cell(&r->m, s)->state == TCP_RANGE_LOST; s++)
			;
		assert_int_equal(s, start + len);
	}
	len = 1 + pick(r, len);
	tcp_sack_resent(&r->s, start, len, r->now);
	for (; len > 0; len--, start++)
		*cell(&r->m, start) = (struct cell){TCP_RANGE_FLIGHT, true, r->now};
}

static void do_all(struct run *r)
{
	uint8_t from, to;

	switch (pick(r, 8)) {
	case 0:
		tcp_sack_lose_all(&r->s);
		from = TCP_RANGE_FLIGHT, to = TCP_RANGE_LOST;
		break;
	case 1:
		tcp_sack_unlose(&r->s);
		from = TCP_RANGE_LOST, to = TCP_RANGE_FLIGHT;
		break;
	default:
		return;
	}
	for (uint32_t s = r->m.una; s != r->m.nxt; s++)
		if (cell(&r->m, s)->state == from)
			cell(&r->m, s)->state = to;
}

static void step(struct run *r)
{
	static void (*const op[])(struct run *) = {do_send, do_send, do_send, do_ack, do_block,
		do_block, do_lose, do_resend, do_resend, do_all};
	unsigned n = r->s.n;

	r->now += pick(r, 1000) + 1;
	/* two more ranges than the array has room for: from here on it may have merged */
	r->merged |= n + 3 > r->s.max;
	op[pick(r, sizeof(op) / sizeof(op[0]))](r);
}

static void scoreboard_equals_the_model_on_random_operations(void **state)
{
	static struct run r;

	for (uint64_t seed = 1; seed <= 400; seed++) {
		/* half of the runs cross the end of the sequence space */
		run_init(&r, seed, seed % 2 ? 1000u : UINT32_MAX - 1500u, true);
		for (unsigned i = 0; i < 200 && !r.merged; i++) {
			step(&r);
			if (!r.merged)
				assert_same(&r.s, &r.m);
		}
	}
}

/* Forgetting may turn SACKED into FLIGHT or LOST, never the other way round. */
static void a_full_scoreboard_stays_sound_and_never_invents_a_sack(void **state)
{
	static struct run r;

	for (uint64_t seed = 1; seed <= 200; seed++) {
		run_init(&r, seed, UINT32_MAX - 3000u, false);
		for (unsigned i = 0; i < 300; i++) {
			uint32_t seq;

			step(&r);
			assert_true(tcp_sack_is_sound(&r.s));
			seq = r.s.una;
			for (unsigned k = 0; k < r.s.n; k++)
				for (; seq != r.s.r[k].end; seq++)
					if (r.s.r[k].state == TCP_RANGE_SACKED)
						assert_int_equal(cell(&r.m, seq)->state,
							TCP_RANGE_SACKED);
		}
	}
}

static void shrinking_gives_the_block_back_and_keeps_the_bytes(void **state)
{
	struct tcp_range block[TCP_SACK_LARGE];
	struct tcp_delivery d = {0};
	struct tcp_sack s;

	tcp_sack_init(&s, 0);
	tcp_sack_grow(&s, block);
	tcp_sack_sent(&s, 10000, 5, 0);
	for (uint32_t i = 0; i < 20; i++)
		tcp_sack_block(&s, (struct tcp_sack_block){100 + i * 400, 200 + i * 400}, &d);
	assert_int_equal(d.bytes, 2000);
	assert_int_equal(s.n, 41);
	assert_ptr_equal(tcp_sack_shrink(&s), block);
	assert_null(tcp_sack_shrink(&s));
	assert_true(tcp_sack_is_sound(&s));
	assert_int_equal(tcp_sack_outstanding(&s), 10000);
}

static void sends_of_one_quantum_share_a_range(void **state)
{
	struct tcp_sack s;

	tcp_sack_init(&s, 0);
	tcp_sack_sent(&s, 100, 1000, 300);
	tcp_sack_sent(&s, 100, 1200, 300);
	tcp_sack_sent(&s, 100, 1300, 300);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.r[0].first_us, 1000);
	assert_int_equal(s.r[0].sent_us, 1300);
	tcp_sack_sent(&s, 100, 1301, 300);
	assert_int_equal(s.n, 2);
}

static void karn_takes_no_sample_from_what_was_sent_twice(void **state)
{
	struct tcp_delivery d = {0};
	struct tcp_sack s;

	tcp_sack_init(&s, 0);
	tcp_sack_sent(&s, 100, 10, 0);
	tcp_sack_sent(&s, 100, 20, 0);
	tcp_sack_lose(&s, 0, 100);
	tcp_sack_resent(&s, 0, 100, 500);
	tcp_sack_ack(&s, 100, &d);
	assert_false(d.has_rtt);
	assert_true(d.rtx_acked && d.newest[1].valid && !d.newest[0].valid);
	tcp_sack_ack(&s, 200, &d);
	assert_true(d.has_rtt);
	assert_int_equal(d.rtt_sent_us, 20);
}

static void reordering_is_an_original_below_what_arrived_before(void **state)
{
	struct tcp_delivery first = {0}, late = {0};
	struct tcp_sack s;

	tcp_sack_init(&s, 0);
	tcp_sack_sent(&s, 300, 10, 0);
	tcp_sack_block(&s, (struct tcp_sack_block){200, 300}, &first);
	assert_false(first.reordered);
	tcp_sack_block(&s, (struct tcp_sack_block){100, 200}, &late);
	assert_true(late.reordered);
}

static void nonsense_blocks_change_nothing(void **state)
{
	static const struct tcp_sack_block bad[] = {{1500, 1500}, {1600, 1500}, {900, 1000},
		{500, 800}, {1500, 2001}, {2000, 2100}, {0x80000000u, 1500}, {1500, 0x80000500u}};
	struct tcp_delivery d = {0};
	struct tcp_sack s;

	tcp_sack_init(&s, 1000);
	tcp_sack_sent(&s, 1000, 1, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(tcp_sack_block(&s, bad[i], &d));
		assert_int_equal(tcp_sack_pipe(&s), 1000);
	}
	/* partly old is partly good */
	assert_true(tcp_sack_block(&s, (struct tcp_sack_block){900, 1100}, &d));
	assert_int_equal(d.bytes, 100);
}

struct dsack_row {
	const char *name;
	unsigned n;
	uint32_t ack;
	struct tcp_sack_block b[2];
	bool is;
};

static const struct dsack_row dsack_rows[] = {
	{"no block is no duplicate report", 0, 100, {{0, 0}, {0, 0}}, false},
	{"a block below the ACK is (RFC 2883 4.1)", 1, 4000, {{3000, 3500}, {0, 0}}, true},
	{"a block up to the ACK is", 1, 4000, {{3500, 4000}, {0, 0}}, true},
	{"a block above the ACK is not", 1, 4000, {{4500, 5000}, {0, 0}}, false},
	{"a block inside the next one is (RFC 2883 4.2)", 2, 4000, {{5000, 5500}, {4500, 6000}},
		true},
	{"a block beside the next one is not", 2, 4000, {{7000, 7500}, {4500, 6000}}, false},
	{"an empty block is not", 1, 4000, {{3000, 3000}, {0, 0}}, false},
};

static void dsack_row(void **state)
{
	const struct dsack_row *r = *state;

	assert_int_equal(tcp_sack_is_dsack(r->b, r->n, r->ack), r->is);
}

static void rfc6675_head_is_lost_by_bytes_or_by_islands(void **state)
{
	struct tcp_range block[TCP_SACK_LARGE];
	struct tcp_delivery d = {0};
	struct tcp_sack s;

	tcp_sack_init(&s, 0);
	tcp_sack_grow(&s, block);
	tcp_sack_sent(&s, 10000, 1, 0);
	tcp_sack_block(&s, (struct tcp_sack_block){1000, 3000}, &d);
	assert_false(tcp_sack_head_is_lost(&s, 1000, 3)); /* exactly 2 * SMSS */
	tcp_sack_block(&s, (struct tcp_sack_block){3000, 3001}, &d);
	assert_true(tcp_sack_head_is_lost(&s, 1000, 3));
	tcp_sack_reset(&s, 0);
	tcp_sack_sent(&s, 10000, 1, 0);
	for (uint32_t i = 0; i < 3; i++)
		tcp_sack_block(&s, (struct tcp_sack_block){1000 + i * 100, 1010 + i * 100}, &d);
	assert_true(tcp_sack_head_is_lost(&s, 1000, 3));
}

static void reneging_is_seen_at_the_head_and_undone(void **state)
{
	struct tcp_delivery d = {0};
	struct tcp_sack s;
	uint32_t start, len;

	tcp_sack_init(&s, 0);
	tcp_sack_sent(&s, 1000, 1, 0);
	tcp_sack_block(&s, (struct tcp_sack_block){0, 500}, &d);
	assert_true(tcp_sack_head_is_sacked(&s));
	assert_int_equal(tcp_sack_renege(&s), 500);
	assert_true(tcp_sack_next_lost(&s, &start, &len));
	assert_int_equal(start, 0);
	assert_int_equal(len, 500);
}

static void the_tail_is_the_last_that_nobody_has(void **state)
{
	struct tcp_delivery d = {0};
	struct tcp_sack s;
	uint32_t start, len;

	tcp_sack_init(&s, 0);
	assert_false(tcp_sack_tail(&s, 100, &start, &len));
	tcp_sack_sent(&s, 1000, 1, 0);
	assert_true(tcp_sack_tail(&s, 300, &start, &len));
	assert_int_equal(start, 700);
	tcp_sack_block(&s, (struct tcp_sack_block){200, 1000}, &d);
	assert_true(tcp_sack_tail(&s, 300, &start, &len));
	assert_int_equal(start, 0);
	assert_int_equal(len, 200);
}

int main(void)
{
	struct CMUnitTest tests[32] = {
		cmocka_unit_test(scoreboard_equals_the_model_on_random_operations),
		cmocka_unit_test(a_full_scoreboard_stays_sound_and_never_invents_a_sack),
		cmocka_unit_test(shrinking_gives_the_block_back_and_keeps_the_bytes),
		cmocka_unit_test(sends_of_one_quantum_share_a_range),
		cmocka_unit_test(karn_takes_no_sample_from_what_was_sent_twice),
		cmocka_unit_test(reordering_is_an_original_below_what_arrived_before),
		cmocka_unit_test(nonsense_blocks_change_nothing),
		cmocka_unit_test(rfc6675_head_is_lost_by_bytes_or_by_islands),
		cmocka_unit_test(reneging_is_seen_at_the_head_and_undone),
		cmocka_unit_test(the_tail_is_the_last_that_nobody_has),
	};
	size_t n = 10;

	for (size_t i = 0; i < sizeof(dsack_rows) / sizeof(dsack_rows[0]); i++)
		tests[n++] = (struct CMUnitTest){.name = dsack_rows[i].name,
			.test_func = dsack_row,
			.initial_state = (void *)(uintptr_t)&dsack_rows[i]};
	return _cmocka_run_group_tests("tcp_sack", tests, n, NULL, NULL);
}
