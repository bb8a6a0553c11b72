// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_rtt_test.c: RFC 6298's arithmetic, RACK's verdicts, and congestion windows against the
 * formulae of RFC 5681, 6928 and 9438 in floating point.
 */
#include "tests/unit/tcp/tcp_test.h"

#include <math.h>

#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_rack.h"
#include "dataplane/tcp/tcp_rtt.h"

static const struct tcp_rtt_limits lim = {200000, 60000000};

static void the_first_sample_sets_everything(void **state)
{
	struct tcp_rtt r;

	tcp_rtt_init(&r, 1000000);
	assert_int_equal(tcp_rtt_timeout(&r, &lim), 1000000); /* 2.1 */
	tcp_rtt_sample(&r, 400000, 0, &lim);
	assert_int_equal(r.srtt_us, 400000);   /* 2.2: SRTT <- R */
	assert_int_equal(r.rttvar_us, 200000); /* RTTVAR <- R/2 */
	assert_int_equal(r.rto_us, 1200000);   /* SRTT + 4 * RTTVAR */
}

static void later_samples_are_smoothed_with_one_eighth_and_one_quarter(void **state)
{
	struct tcp_rtt r;

	tcp_rtt_init(&r, 1000000);
	tcp_rtt_sample(&r, 400000, 0, &lim);
	tcp_rtt_sample(&r, 800000, 0, &lim);
	assert_int_equal(r.rttvar_us, 250000); /* 3/4 * 200 + 1/4 * |400 - 800| */
	assert_int_equal(r.srtt_us, 450000);   /* 7/8 * 400 + 1/8 * 800 */
	assert_int_equal(r.rto_us, 1450000);
}

static void the_timeout_has_a_floor_and_a_ceiling(void **state)
{
	struct tcp_rtt r;

	tcp_rtt_init(&r, 1000000);
	tcp_rtt_sample(&r, 100, 0, &lim);
	assert_int_equal(r.rto_us, 200000);
	tcp_rtt_init(&r, 1000000);
	tcp_rtt_sample(&r, 100000000, 0, &lim);
	assert_int_equal(r.rto_us, 60000000);
}

static void back_off_doubles_and_a_sample_ends_it(void **state)
{
	struct tcp_rtt r;

	tcp_rtt_init(&r, 1000000);
	for (unsigned i = 0; i < 10; i++, r.backoff++)
		assert_int_equal(tcp_rtt_timeout(&r, &lim),
			(1000000u << i) < 60000000u ? 1000000u << i : 60000000u); /* 5.5 */
	r.backoff = 255;
	assert_int_equal(tcp_rtt_timeout(&r, &lim), 60000000);
	tcp_rtt_sample(&r, 100000, 0, &lim);
	assert_int_equal(tcp_rtt_timeout(&r, &lim), 300000);
}

static void the_minimum_follows_a_path_that_became_longer(void **state)
{
	struct tcp_rtt r;
	uint32_t now = UINT32_MAX - 5; /* the clock may wrap */

	tcp_rtt_init(&r, 1000000);
	tcp_rtt_sample(&r, 10000, now, &lim);
	for (unsigned i = 0; i < 3; i++)
		tcp_rtt_sample(&r, 50000, now += 61000000, &lim);
	assert_int_equal(tcp_rtt_min(&r), 50000);
	tcp_rtt_sample(&r, 20000, now + 1, &lim);
	assert_int_equal(tcp_rtt_min(&r), 20000);
}

static void an_absurd_sample_is_ignored_and_zero_counts_as_one(void **state)
{
	struct tcp_rtt r;

	tcp_rtt_init(&r, 1000000);
	tcp_rtt_sample(&r, 0xf0000000u, 0, &lim);
	assert_int_equal(r.srtt_us, 0);
	tcp_rtt_sample(&r, 0, 0, &lim);
	assert_int_equal(r.srtt_us, 1);
}

/*
 * RACK.
 */

struct rack_world {
	struct tcp_sack s;
	struct tcp_range block[TCP_SACK_LARGE];
	struct tcp_rack k;
	struct tcp_rack_path path;
};

/* Ten segments of 1000, one each 100 us from time 1000 on; round trip 10 ms. */
static void rack_setup(struct rack_world *w)
{
	tcp_sack_init(&w->s, 0);
	tcp_sack_grow(&w->s, w->block);
	for (uint32_t i = 0; i < 10; i++)
		tcp_sack_sent(&w->s, 1000, 1000 + i * 100, 0);
	tcp_rack_init(&w->k);
	w->path = (struct tcp_rack_path){.srtt_us = 10000, .min_rtt_us = 10000, .mss = 1000};
}

/* Segment <i> is SACKed; returns the bytes declared lost. */
static uint32_t rack_sack(struct rack_world *w, uint32_t i, uint32_t now, uint32_t *ret_wait)
{
	struct tcp_delivery d = {0};

	tcp_sack_block(&w->s, (struct tcp_sack_block){i * 1000, i * 1000 + 1000}, &d);
	tcp_rack_on_delivery(&w->k, &d, now, w->path.min_rtt_us, false);
	return tcp_rack_detect(&w->k, &w->s, &w->path, now, ret_wait);
}

static void one_sack_waits_a_quarter_rtt_and_three_do_not_wait(void **state)
{
	struct rack_world w;
	uint32_t wait;

	rack_setup(&w);
	assert_int_equal(rack_sack(&w, 1, 11100, &wait), 0);
	assert_int_equal(wait, 2400); /* min_rtt / 4, less the 100 us it is older */
	assert_int_equal(tcp_rack_detect(&w.k, &w.s, &w.path, 11100 + 2400, &wait), 1000);
	rack_setup(&w);
	rack_sack(&w, 1, 11100, &wait);
	assert_int_equal(rack_sack(&w, 2, 11200, &wait), 0);
	assert_int_equal(rack_sack(&w, 3, 11300, &wait), 1000); /* RFC 6675's threshold */
}

static void after_reordering_three_sacks_wait_too(void **state)
{
	struct rack_world w;
	uint32_t wait;

	rack_setup(&w);
	w.k.reordering = true;
	for (uint32_t i = 1; i <= 3; i++)
		assert_int_equal(rack_sack(&w, i, 11000 + i * 100, &wait), 0);
	assert_true(wait > 0);
	assert_int_equal(tcp_rack_detect(&w.k, &w.s, &w.path, 13700, &wait), 1000);
}

static void a_lost_retransmission_is_found(void **state)
{
	struct rack_world w;
	uint32_t wait;

	rack_setup(&w);
	for (uint32_t i = 1; i <= 3; i++)
		rack_sack(&w, i, 11000 + i * 100, &wait);
	w.path.recovering = true;
	tcp_sack_resent(&w.s, 0, 1000, 11300);
	tcp_sack_sent(&w.s, 1000, 11400, 0);			 /* new data behind it */
	assert_int_equal(rack_sack(&w, 10, 21400, &wait), 7000); /* and 4..9 with it */
}

static void dsacks_widen_the_window_once_a_round_and_it_narrows_again(void **state)
{
	struct rack_world w;

	rack_setup(&w);
	tcp_rack_on_dsack(&w.k, 10000, 0);
	tcp_rack_on_dsack(&w.k, 10000, 5000);
	assert_int_equal(w.k.reo_mult, 2);
	tcp_rack_on_dsack(&w.k, 20000, 10000);
	assert_int_equal(w.k.reo_mult, 3);
	assert_int_equal(tcp_rack_reo_wnd(&w.k, &w.s, &w.path), 7500);
	w.path.srtt_us = 6000;
	assert_int_equal(tcp_rack_reo_wnd(&w.k, &w.s, &w.path), 6000); /* never above SRTT */
	for (unsigned i = 0; i < TCP_RACK_PERSIST; i++)
		tcp_rack_on_recovered(&w.k);
	assert_int_equal(w.k.reo_mult, 1);
}

/*
 * Congestion windows.
 */

static void the_initial_window_is_rfc6928s(void **state)
{
	assert_int_equal(tcp_cc_initial_window(1460), 14600);
	assert_int_equal(tcp_cc_initial_window(536), 5360);
	assert_int_equal(tcp_cc_initial_window(9000), 18000);
}

/* One round: every byte of the window is acknowledged, two segments per ACK. */
static void one_round(struct tcp_cc *cc, uint64_t now_us, uint32_t rtt_us, uint32_t *seq)
{
	uint32_t window = cc->cwnd, done = 0;

	while (done < window) {
		uint32_t n = window - done < 2 * cc->mss ? window - done : 2 * cc->mss;
		struct tcp_cc_ack a = {.now_us = now_us,
			.bytes = n,
			.rtt_us = rtt_us,
			.srtt_us = rtt_us};

		done += n;
		*seq += n;
		a.una = *seq;
		a.nxt = *seq + window;
		tcp_cc_on_ack(cc, &a);
	}
}

static void slow_start_doubles_and_stops_when_the_rtt_grows(void **state)
{
	struct tcp_cc cc;
	uint32_t seq = 0, rtt = 20000;

	tcp_cc_init(&cc, &tcp_cc_newreno, 1000);
	one_round(&cc, 1, rtt, &seq);
	assert_int_equal(cc.cwnd, 20000);
	for (unsigned i = 0; i < 3; i++)
		one_round(&cc, 1, rtt, &seq);
	assert_int_equal(cc.cwnd, 160000);
	/* RFC 9406: an eighth more is a queue; after some rounds of it slow start is over */
	for (unsigned i = 0; i < 8 && cc.ssthresh == TCP_CC_SSTHRESH_INF; i++)
		one_round(&cc, 1, rtt + 5000, &seq);
	assert_true(cc.ssthresh < 160000 * 8);
	assert_true(cc.ssthresh > 160000);
}

static void newreno_adds_one_segment_per_round_and_halves(void **state)
{
	struct tcp_cc cc;
	uint32_t seq = 0;

	tcp_cc_init(&cc, &tcp_cc_newreno, 1000);
	cc.cwnd = cc.ssthresh = 40000;
	for (unsigned i = 1; i <= 10; i++) {
		one_round(&cc, 1, 10000, &seq);
		assert_int_equal(cc.cwnd, 40000 + i * 1000);
	}
	tcp_cc_on_loss(&cc);
	assert_int_equal(cc.ssthresh, 25000);
	cc.cwnd = 1000;
	tcp_cc_on_loss(&cc);
	assert_int_equal(cc.ssthresh, 2000); /* never below two segments */
}

/* 100 ms round trips: far from Reno's region. W(t) = 0.4 (t - K)^3 + W_max, in segments. */
static void cubic_follows_its_curve(void **state)
{
	double k = cbrt(1000 * 0.3 / 0.4);
	struct tcp_cc cc;
	uint32_t seq = 0;
	uint64_t now = 1000000;

	tcp_cc_init(&cc, &tcp_cc_cubic, 1000);
	cc.cwnd = cc.ssthresh = 1000000;
	tcp_cc_on_loss(&cc);
	assert_int_equal(cc.ssthresh, 700000); /* beta = 0.7 */
	cc.cwnd = cc.ssthresh;
	one_round(&cc, now, 100000, &seq);
	for (unsigned i = 1; i <= 140; i++) {
		double t = i * 0.1, want = 0.4 * pow(t - k, 3) + 1000;

		one_round(&cc, now + i * 100000, 100000, &seq);
		if (i % 20 == 0)
			assert_in_range(cc.cwnd, (uint64_t)(want * 1000 * 0.97),
				(uint64_t)(want * 1000 * 1.06));
	}
}

static void cubic_is_no_slower_than_reno_on_short_paths(void **state)
{
	struct tcp_cc cc;
	uint32_t seq = 0;
	uint64_t now = 1000000;

	tcp_cc_init(&cc, &tcp_cc_cubic, 1000);
	cc.cwnd = cc.ssthresh = 20000;
	tcp_cc_on_loss(&cc);
	cc.cwnd = cc.ssthresh; /* 14 segments */
	for (unsigned i = 0; i < 40; i++)
		one_round(&cc, now += 10000, 10000, &seq);
	/* alpha = 0.53 up to the old window, then 1: 12 rounds and 28 more */
	assert_in_range(cc.cwnd, 38000, 52000);
}

static void cubic_gives_way_when_its_share_falls(void **state)
{
	struct tcp_cc cc;

	tcp_cc_init(&cc, &tcp_cc_cubic, 1000);
	cc.cwnd = 100000;
	tcp_cc_on_loss(&cc);
	assert_int_equal(cc.cubic.w_max, 100000);
	cc.cwnd = 80000;
	tcp_cc_on_loss(&cc);
	assert_int_equal(cc.cubic.w_max, 68000); /* RFC 9438 4.7: cwnd * (1 + beta) / 2 */
}

static void an_idle_connection_restarts_from_the_initial_window(void **state)
{
	struct tcp_cc cc;

	tcp_cc_init(&cc, &tcp_cc_cubic, 1000);
	cc.cwnd = 100000;
	tcp_cc_on_idle(&cc);
	assert_int_equal(cc.cwnd, 10000);
	/* like a new one: slow start has no bound that was learnt long ago */
	cc.ssthresh = 3000;
	cc.cwnd = 4000;
	tcp_cc_on_idle(&cc);
	assert_int_equal(cc.cwnd, 4000);
	assert_int_equal(cc.ssthresh, TCP_CC_SSTHRESH_INF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_sample_sets_everything),
		cmocka_unit_test(later_samples_are_smoothed_with_one_eighth_and_one_quarter),
		cmocka_unit_test(the_timeout_has_a_floor_and_a_ceiling),
		cmocka_unit_test(back_off_doubles_and_a_sample_ends_it),
		cmocka_unit_test(the_minimum_follows_a_path_that_became_longer),
		cmocka_unit_test(an_absurd_sample_is_ignored_and_zero_counts_as_one),
		cmocka_unit_test(one_sack_waits_a_quarter_rtt_and_three_do_not_wait),
		cmocka_unit_test(after_reordering_three_sacks_wait_too),
		cmocka_unit_test(a_lost_retransmission_is_found),
		cmocka_unit_test(dsacks_widen_the_window_once_a_round_and_it_narrows_again),
		cmocka_unit_test(the_initial_window_is_rfc6928s),
		cmocka_unit_test(slow_start_doubles_and_stops_when_the_rtt_grows),
		cmocka_unit_test(newreno_adds_one_segment_per_round_and_halves),
		cmocka_unit_test(cubic_follows_its_curve),
		cmocka_unit_test(cubic_is_no_slower_than_reno_on_short_paths),
		cmocka_unit_test(cubic_gives_way_when_its_share_falls),
		cmocka_unit_test(an_idle_connection_restarts_from_the_initial_window),
	};

	return cmocka_run_group_tests_name("tcp_rtt", tests, NULL, NULL);
}
