// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_sim_test.c: whole transfers between two stacks over a bad wire, on a virtual clock.
 *
 * Every row runs with several seeds. What must hold whatever the wire does: all bytes arrive intact
 * and in order both ways, both ends see the end, no budget is exceeded, and afterwards nothing is
 * left: no connection, no TIME_WAIT, no charge, no mbuf. The first group prints rate and needless
 * retransmissions per impairment, for tuning.
 */
#include "tests/unit/tcp/sim_world.h"
#include "tests/unit/tcp/tcp_test.h"

#include <stdlib.h>

#include "dataplane/base/rng.h"

#define SECOND 1000000ull

struct row {
	const char *name;
	struct wire wire; /* both ways */
	bool no_sack, no_ts, no_ws, v6, newreno;
	uint32_t budget;     /* 0: the default */
	double mbit_min;     /* mean rate over the seeds */
	double spurious_max; /* of the data segments */
};

#define LINE .delay_us = 5000, .mbit = 100, .queue = 256
#define LOSS .loss = 0.02
#define REORDER .reorder = 0.03, .reorder_max = 2
#define DUP .dup = 0.01
#define CORRUPT .corrupt = 0.001
#define ALL LOSS, REORDER, DUP, CORRUPT

static const struct row rows[] = {
	{"clean", .wire = {LINE}, .mbit_min = 70, .spurious_max = 0},
	{"clean v6", .wire = {LINE}, .v6 = true, .mbit_min = 65, .spurious_max = 0},
	{"clean, no window scale", .wire = {LINE}, .no_ws = true, .mbit_min = 40},
	{"2 % loss", .wire = {LINE, LOSS}, .mbit_min = 9, .spurious_max = 0.01},
	{"2 % loss v6", .wire = {LINE, LOSS}, .v6 = true, .mbit_min = 9, .spurious_max = 0.01},
	{"2 % loss, NewReno", .wire = {LINE, LOSS}, .newreno = true, .mbit_min = 8,
		.spurious_max = 0.01},
	{"2 % loss, no SACK", .wire = {LINE, LOSS}, .no_sack = true, .mbit_min = 7,
		.spurious_max = 0.06},
	{"2 % loss, no timestamps", .wire = {LINE, LOSS}, .no_ts = true, .mbit_min = 9,
		.spurious_max = 0.01},
	{"2 % loss, no window scale", .wire = {LINE, LOSS}, .no_ws = true, .mbit_min = 8,
		.spurious_max = 0.01},
	{"3 % reorder", .wire = {LINE, REORDER}, .mbit_min = 60, .spurious_max = 0.01},
	{"3 % reorder, no SACK", .wire = {LINE, REORDER}, .no_sack = true, .mbit_min = 60,
		.spurious_max = 0.01},
	{"3 % reorder, no timestamps", .wire = {LINE, REORDER}, .no_ts = true, .mbit_min = 60,
		.spurious_max = 0.01},
	{"3 % reorder by up to 8", .wire = {LINE, .reorder = 0.03, .reorder_max = 8},
		.mbit_min = 30, .spurious_max = 0.05},
	{"1 % duplicate", .wire = {LINE, DUP}, .mbit_min = 60, .spurious_max = 0.01},
	{"1 % duplicate, no SACK", .wire = {LINE, DUP}, .no_sack = true, .mbit_min = 60,
		.spurious_max = 0.01},
	{"0.1 % corruption", .wire = {LINE, CORRUPT}, .mbit_min = 30, .spurious_max = 0.01},
	{"all together", .wire = {LINE, ALL}, .mbit_min = 8, .spurious_max = 0.01},
	{"all together v6", .wire = {LINE, ALL}, .v6 = true, .mbit_min = 8, .spurious_max = 0.01},
	{"all together, no SACK", .wire = {LINE, ALL}, .no_sack = true, .mbit_min = 5,
		.spurious_max = 0.06},
	{"all together, no timestamps", .wire = {LINE, ALL}, .no_ts = true, .mbit_min = 8,
		.spurious_max = 0.01},
	{"all together, no window scale", .wire = {LINE, ALL}, .no_ws = true, .mbit_min = 8,
		.spurious_max = 0.01},
	{"all together, nothing negotiated", .wire = {LINE, ALL}, .no_sack = true, .no_ts = true,
		.no_ws = true, .mbit_min = 4, .spurious_max = 0.08},
	{"10 % loss", .wire = {.delay_us = 5000, .mbit = 100, .queue = 256, .loss = 0.1},
		.mbit_min = 0.5, .spurious_max = 0.03},
	{"a queue of 20", .wire = {.delay_us = 5000, .mbit = 100, .queue = 20}, .mbit_min = 25,
		.spurious_max = 0.01},
	{"150 ms away", .wire = {.delay_us = 75000, .mbit = 100, .queue = 256}, .mbit_min = 5,
		.spurious_max = 0},
	{"next door", .wire = {.delay_us = 20, .mbit = 1000, .queue = 256}, .mbit_min = 200,
		.spurious_max = 0},
	{"next door, all together", .wire = {.delay_us = 20, .mbit = 1000, .queue = 256, ALL},
		.mbit_min = 5, .spurious_max = 0.03},
	{"16 KiB of budget", .wire = {LINE, LOSS}, .budget = 16 * 1024, .mbit_min = 0.5,
		.spurious_max = 0.02},
};

static struct world *row_world(const struct row *r, uint64_t seed)
{
	struct world_config c = {.seed = seed, .v6 = r->v6};

	for (unsigned side = 0; side < 2; side++) {
		struct tcp_config *t = &c.tcp[side];

		c.wire[side] = r->wire;
		tcp_config_default(t);
		t->conns_max = 64;
		t->timewait_max = 64;
		t->syn_backlog = 16;
		t->sack = !r->no_sack;
		t->timestamps = !r->no_ts;
		t->window_scaling = !r->no_ws;
		t->cc = r->newreno;
		if (r->budget)
			t->rcv_budget = r->budget;
	}
	return world_new(&c);
}

static void assert_complete(const struct world *w, int id, const struct stream_plan plan[2],
	uint32_t budget)
{
	for (unsigned side = 0; side < 2; side++) {
		const struct stream_result *r = world_result(w, id, side);

		assert_false(r->bad_byte);
		assert_true(r->eof);
		assert_int_equal(r->received, plan[1 - side].send_bytes);
		assert_string_equal(tcp_reason_str(r->reason), "none");
		assert_in_range(r->charged_max, 0, budget);
	}
}

/* Waits for TIME_WAIT and the last packets, then looks for anything left. */
static void assert_clean(struct world *w)
{
	world_run_for(w, 12 * SECOND);
	assert_true(world_is_clean(w));
}

#define SEEDS 3
#define BYTES (1536 * 1024)

static void transfer_row(void **state)
{
	const struct row *r = *state;
	double us = 0, segments = 0, needless = 0;
	uint64_t rto = 0, bytes = 0;

	for (unsigned seed = 1; seed <= 2 * SEEDS; seed++) {
		struct world *w = row_world(r, seed);
		unsigned up = seed % 2; /* the direction of the bulk */
		struct stream_plan plan[2] = {{.send_bytes = 3000}, {.send_bytes = 3000}};
		const struct wire_stats *ws = world_wire_stats(w, up);
		uint64_t lost, rtx;
		int id;

		plan[up].send_bytes = BYTES / (r->mbit_min < 1 ? 8 : 1);
		id = world_open(w, plan, NULL);
		assert_true(world_run(w, 600 * SECOND));
		assert_complete(w, id, plan, r->budget ? r->budget : 512 * 1024);
		us += (double)(world_result(w, id, 1 - up)->done_us - SECOND);
		bytes += plan[up].send_bytes;
		rtx = world_result(w, id, up)->retransmits;
		lost = ws->data_lost;
		segments += (double)ws->data_packets;
		needless += rtx > lost ? (double)(rtx - lost) : 0;
		rto += world_counter(w, up, "tcp_rto");
		assert_clean(w);
		world_free(w);
	}
	printf("%-34s %6.1f Mbit/s, needless %5.2f %%, timeouts %lu\n", r->name,
		(double)bytes * 8 / us, 100 * needless / segments, rto);
	assert_true((double)bytes * 8 / us >= r->mbit_min);
	assert_true(needless <= r->spurious_max * segments + 2 * SEEDS);
}

/*
 * Many connections at once with everything at random: sizes, slices, rates, budgets, ends.
 */

static struct stream_plan random_plan(struct rng *rng)
{
	struct stream_plan p = {
		.send_bytes = rng_below(rng, 4) ? rng_below(rng, 60000) : 0,
		.write_max = rng_below(rng, 3) ? 1 + (uint32_t)rng_below(rng, 1900) : 0,
		.unacked_max = 2000 + (uint32_t)rng_below(rng, 100000),
		.close_when_sent = rng_below(rng, 2) == 0,
	};

	if (rng_below(rng, 6) == 0)
		p.read_rate = 20000 + (uint32_t)rng_below(rng, 500000);
	if (rng_below(rng, 6) == 0)
		p.read_stall_us = rng_below(rng, 20 * SECOND);
	if (rng_below(rng, 5) == 0)
		p.write_max = 1; /* single bytes */
	if (p.write_max == 1)
		p.send_bytes %= 2000;
	if (p.write_max > 0) /* a slice is an mbuf, however short: all of them must fit the pool */
		p.unacked_max = RTE_MIN(p.unacked_max, p.write_max * 100);
	return p;
}

static struct wire random_wire(struct rng *rng)
{
	struct wire wire = {
		.delay_us = (uint32_t)rng_below(rng, 50000),
		.mbit = 5 + (uint32_t)rng_below(rng, 1000),
		.queue = 20 + (uint32_t)rng_below(rng, 300),
		.loss = (double)rng_below(rng, 50) / 1000,
		.dup = (double)rng_below(rng, 30) / 1000,
		.corrupt = (double)rng_below(rng, 10) / 1000,
		.reorder = (double)rng_below(rng, 60) / 1000,
		.reorder_max = 1 + (uint32_t)rng_below(rng, 8),
	};

	return wire;
}

static void random_life(uint64_t seed)
{
	static struct stream_plan plans[40][2];
	struct world_config c = {.seed = seed};
	struct world *w;
	struct rng rng;
	uint32_t budget;

	rng_seed(&rng, seed * 977);
	c.v6 = rng_below(&rng, 2);
	c.mtu = rng_below(&rng, 3) ? 1500 : (uint16_t)(1280 + rng_below(&rng, 200));
	budget = 12000 + (uint32_t)rng_below(&rng, 600000);
	for (unsigned side = 0; side < 2; side++) {
		tcp_config_default(&c.tcp[side]);
		c.tcp[side].conns_max = 128;
		c.tcp[side].timewait_max = 128;
		c.tcp[side].syn_backlog = 8; /* some of them come by cookie */
		c.tcp[side].retries = 20;
		c.tcp[side].syn_retries = 10;
		c.tcp[side].fin_wait_2_us = 300000000;
		c.tcp[side].rcv_budget = budget;
		c.tcp[side].sack = rng_below(&rng, 4) != 0;
		c.tcp[side].timestamps = rng_below(&rng, 4) != 0;
		c.tcp[side].window_scaling = rng_below(&rng, 4) != 0;
		c.tcp[side].cc = (uint8_t)rng_below(&rng, 2);
		c.wire[side] = random_wire(&rng);
	}
	w = world_new(&c);
	for (int i = 0; i < 40; i++) {
		plans[i][0] = random_plan(&rng);
		plans[i][1] = random_plan(&rng);
		/* a cookie's peer must speak: nothing else repeats a lost last ACK */
		plans[i][0].send_bytes += plans[i][0].send_bytes == 0;
		if (plans[i][0].close_when_sent) /* one has to begin */
			plans[i][1].close_when_sent = false;
		assert_int_equal(world_open(w, plans[i], NULL), i);
		if (rng_below(&rng, 2))
			world_run_for(w, rng_below(&rng, 100000));
	}
	if (!world_run(w, 3000 * SECOND)) {
		world_dump(w);
		fail_msg("seed %lu does not end", seed);
	}
	for (int i = 0; i < 40; i++)
		assert_complete(w, i, plans[i], budget);
	world_run_for(w, 400 * SECOND);
	assert_true(world_is_clean(w));
	world_free(w);
}

static void random_lives_end_whole_and_leave_nothing(void **state)
{
	const char *from = getenv("SIM_SEED"); /* a failing one, or the first of more */
	const char *count = getenv("SIM_SEEDS");
	uint64_t first = from ? strtoull(from, NULL, 10) : 1;

	for (uint64_t seed = first; seed < first + (count ? strtoull(count, NULL, 10) : 12); seed++)
		random_life(seed);
}

int main(void)
{
	struct CMUnitTest tests[64];
	size_t n = 0;

	test_eal_init();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		tests[n++] = (struct CMUnitTest){.name = rows[i].name,
			.test_func = transfer_row,
			.initial_state = (void *)(uintptr_t)&rows[i]};
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(random_lives_end_whole_and_leave_nothing);
	return _cmocka_run_group_tests("tcp_sim", tests, n, NULL, NULL);
}
