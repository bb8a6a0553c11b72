// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_limits_test.c: one stack against a hand-written peer: memory, pools and limits.
 */
#include "tests/unit/tcp/tcp_test.h"

#include "tests/unit/tcp/raw_peer.h"

#define SECOND 1000000ull
#define TRUESIZE (RTE_MBUF_DEFAULT_BUF_SIZE + sizeof(struct rte_mbuf) + PKT_PRIV_SIZE)

static struct rte_mempool *pool;

/*
 * Memory.
 */

static uint32_t charged(struct tcp_conn *c)
{
	struct tcp_conn_info info;

	tcp_conn_info(c, 0, &info);
	return info.charged;
}

static void a_flood_of_single_bytes_pins_kilobytes(void **state)
{
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss, n = 20000;

	c = raw_open(&r, pool, 65535, &iss);
	for (uint32_t i = 0; i < n; i++) {
		raw_send(&r, TCP_ACK, 1001 + i, iss + 1, 65535, NULL, NULL, 1);
		raw_drop_output(&r);
	}
	assert_int_equal(tcp_peek(c)->bytes, n);
	assert_in_range(charged(c), 1, 12 * TRUESIZE);
	assert_true(raw_end(&r, c));
}

/* Segments of 300 bytes in every second place: none may be merged with another. */
static void out_of_order_pieces_stay_within_the_budget_and_leave_room(void **state)
{
	struct tcp_config cfg = raw_config_small();
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss;

	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 65535, &iss);
	for (uint32_t i = 0; i < 60; i++) {
		raw_send(&r, TCP_ACK, 1001 + 300 + i * 600, iss + 1, 65535, NULL, NULL, 300);
		assert_in_range(charged(c), 0, cfg.rcv_budget - TRUESIZE);
	}
	assert_true(raw_counter(&r, "tcp_drop_ooo_budget") > 0);
	/* what everybody waits for finds room */
	raw_send(&r, TCP_ACK, 1001, iss + 1, 65535, NULL, NULL, 300);
	assert_int_equal(tcp_peek(c)->bytes, 600);
	assert_int_equal(raw_counter(&r, "tcp_drop_budget"), 0);
	raw_drop_output(&r);
	assert_true(raw_end(&r, c));
}

static void full_segments_in_the_window_are_never_refused(void **state)
{
	struct tcp_config cfg = raw_config_small();
	static struct raw r;
	struct raw_segment s;
	struct tcp_conn *c;
	uint32_t iss, seq = 1001, edge = 0;

	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 65535, &iss);
	do {
		raw_send(&r, TCP_ACK, seq, iss + 1, 65535, NULL, NULL, 1460);
		seq += 1460;
		while (raw_take(&r, &s))
			edge = s.ack + s.wnd;
	} while (edge == 0 || seq + 1460 <= edge);
	assert_int_equal(tcp_peek(c)->bytes, seq - 1001);
	assert_int_equal(raw_counter(&r, "tcp_drop_budget"), 0);
	assert_in_range(charged(c), 20 * TRUESIZE, cfg.rcv_budget);
	assert_true(raw_end(&r, c));
}

static void credit_reopens_a_closed_window(void **state)
{
	static struct raw r;
	struct raw_segment s = {.wnd = 1460};
	struct tcp_conn *c;
	struct mbufq q;
	uint32_t iss, seq = 1001, all;

	c = raw_open(&r, pool, 65535, &iss);
	for (unsigned i = 0; i < 100 && s.wnd > 0; i++) {
		raw_send(&r, TCP_ACK, seq, iss + 1, 65535, NULL, NULL, RTE_MIN(s.wnd, 1460u));
		while (raw_take(&r, &s))
			seq = s.ack;
	}
	assert_int_equal(s.wnd, 0);
	/* a probe of one byte is refused with an ACK, its ACK field is taken (RFC 9293 3.10.7.4) */
	raw_send(&r, TCP_ACK, seq, iss + 1, 777, NULL, NULL, 1);
	assert_true(raw_take(&r, &s));
	assert_int_equal(s.ack, seq);
	assert_int_equal(s.wnd, 0);
	/* reading keeps the charge, and so the window */
	mbufq_init(&q);
	tcp_read(r.tcp, c, &q, UINT32_MAX);
	raw_turn(&r);
	assert_false(raw_take(&r, &s));
	all = mbufq_free(&q);
	assert_int_equal(all, charged(c));
	tcp_credit(r.tcp, c, all);
	raw_turn(&r);
	assert_true(raw_take(&r, &s));
	assert_true(s.wnd > 20000);
	assert_true(raw_end(&r, c));
}

/* What waits behind a hole has had its memory: credit opens as much window as without the hole. */
static void a_hole_does_not_cost_window(void **state)
{
	static struct raw r;
	struct raw_segment s = {.wnd = 0};
	struct tcp_conn *c;
	struct mbufq q;
	uint32_t iss, edge, in_order = 6 * 1460;

	c = raw_open(&r, pool, 65535, &iss);
	for (uint32_t i = 0; i < 12; i++)
		if (i != 6)
			raw_send(&r, TCP_ACK, 1001 + i * 1460, iss + 1, 65535, NULL, NULL, 1460);
	while (raw_take(&r, &s))
		;
	assert_int_equal(s.ack, 1001 + in_order);
	edge = s.ack + s.wnd;
	mbufq_init(&q);
	tcp_read(r.tcp, c, &q, UINT32_MAX);
	tcp_credit(r.tcp, c, mbufq_free(&q));
	raw_turn(&r);
	assert_true(raw_take(&r, &s));
	assert_true(s.ack + s.wnd >= edge + in_order - 1460);
	assert_true(raw_end(&r, c));
}

static void an_empty_pool_delays_and_loses_nothing(void **state)
{
	static struct rte_mbuf *held[8192];
	static struct raw r;
	struct raw_segment s;
	struct tcp_conn *c;
	uint32_t iss, n = 0;

	c = raw_open(&r, pool, 65535, &iss);
	raw_write(&r, c, 100);
	assert_true(raw_take(&r, &s));
	while ((held[n] = rte_pktmbuf_alloc(pool)) != NULL)
		n++;
	raw_advance(&r, 30 * SECOND); /* many timeouts' worth */
	assert_false(raw_take(&r, &s));
	assert_int_equal(tcp_conn_state(c), TCP_ESTABLISHED);
	assert_true(raw_counter(&r, "tcp_no_mbuf") > 0);
	while (n > 0)
		rte_pktmbuf_free(held[--n]);
	raw_advance(&r, SECOND / 10);
	assert_true(raw_take(&r, &s));
	assert_int_equal(s.seq, iss + 1);
	assert_int_equal(s.len, 100);
	assert_true(raw_end(&r, c));
}

/*
 * Limits.
 */

static void a_source_has_its_limit(void **state)
{
	struct tcp_config cfg = raw_config_small();
	struct tcp_conn *c[4];
	struct raw_segment s;
	static struct raw r;
	uint32_t iss;

	cfg.conns_per_source_max = 2;
	raw_init(&r, &cfg, pool);
	c[0] = raw_accept(&r, 65535, &iss);
	r.peer_port++;
	raw_send(&r, TCP_SYN, 1, 0, 1000, NULL, NULL, 0); /* half-open does not count */
	assert_true(raw_take(&r, &s));
	r.peer_port++;
	c[3] = raw_accept(&r, 65535, &iss);
	r.peer_port++;
	raw_send(&r, TCP_SYN, 1, 0, 1000, NULL, NULL, 0);
	assert_false(raw_take(&r, &s));
	assert_int_equal(raw_counter(&r, "tcp_drop_source_limit"), 1);
	r.peer.b[15]++; /* another source */
	c[1] = raw_accept(&r, 65535, &iss);
	r.peer.b[15]--;
	tcp_abort(r.tcp, c[0], r.now_us);
	raw_drop_output(&r);
	r.peer_port++;
	c[2] = raw_accept(&r, 65535, &iss);
	tcp_abort(r.tcp, c[2], r.now_us);
	tcp_abort(r.tcp, c[3], r.now_us);
	assert_true(raw_end(&r, c[1]));
}

static void a_full_pool_refuses_until_an_orphan_can_go(void **state)
{
	struct tcp_config cfg = raw_config_small();
	struct tcp_conn *c[8];
	struct raw_segment s;
	static struct raw r;
	uint32_t iss;

	raw_init(&r, &cfg, pool);
	for (unsigned i = 0; i < 8; i++, r.peer_port++)
		c[i] = raw_accept(&r, 65535, &iss);
	raw_send(&r, TCP_SYN, 1, 0, 1000, NULL, NULL, 0);
	assert_false(raw_take(&r, &s));
	assert_int_equal(raw_counter(&r, "tcp_drop_conns_limit"), 1);
	tcp_close(r.tcp, c[0], r.now_us);
	raw_turn(&r);
	raw_drop_output(&r);
	c[0] = raw_accept(&r, 65535, &iss);
	assert_int_equal(raw_counter(&r, "tcp_orphan_evicted"), 1);
	for (unsigned i = 1; i < 8; i++)
		tcp_abort(r.tcp, c[i], r.now_us);
	assert_true(raw_end(&r, c[0]));
}

static void a_full_backlog_is_answered_with_cookies_that_work(void **state)
{
	struct tcp_options syn = {.has_mss = true,
		.mss = 1400,
		.sack_permitted = true,
		.has_ts = true,
		.tsval = 100,
		.has_wscale = true,
		.wscale = 5};
	struct tcp_options ack = {.has_ts = true, .tsval = 101};
	struct tcp_config cfg = raw_config_small();
	struct tcp_conn_info info;
	struct raw_segment s;
	struct tcp_usage u;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t ev;

	raw_init(&r, &cfg, pool);
	for (unsigned i = 0; i < 4; i++, r.peer_port++)
		raw_send(&r, TCP_SYN, 1, 0, 1000, &syn, NULL, 0);
	raw_drop_output(&r);
	raw_send(&r, TCP_SYN, 7000, 0, 1000, &syn, NULL, 0);
	assert_true(raw_take(&r, &s));
	tcp_usage(r.tcp, &u);
	assert_int_equal(u.half_open, 4);
	assert_int_equal(raw_counter(&r, "tcp_cookie_sent"), 1);
	ack.tsecr = s.opt.tsval;
	raw_send(&r, TCP_ACK, 7001, s.seq + 2, 1000, &ack, NULL, 0); /* a guess: RST */
	assert_true(raw_take(&r, &s));
	assert_int_equal(s.flags, TCP_RST);
	raw_send(&r, TCP_ACK, 7001, s.seq - 1, 1000, &ack, NULL, 0);
	c = raw_ready(&r, &ev);
	assert_non_null(c);
	tcp_conn_info(c, r.now_us, &info);
	assert_int_equal(info.mss, 1400 - 12);
	assert_int_equal(info.snd_wnd, 1000 << 5);
	/* SACK was kept as well: a hole is reported */
	raw_send(&r, TCP_ACK, 7101, s.seq - 1, 1000, &ack, NULL, 100);
	while (raw_take(&r, &s))
		;
	assert_int_equal(s.opt.sack_count, 1);
	assert_int_equal(s.opt.sack[0].start, 7101);
	assert_true(raw_end(&r, c));
}

/* 1000 ports towards one destination; TIME_WAIT gives them back after a second. */
static void ports_run_out_by_name_and_come_back(void **state)
{
	struct tcp_config cfg = raw_config_small();
	struct tcp_options syn_ack = {.has_mss = true, .mss = 1460, .has_ts = true, .tsval = 5};
	static struct tcp_conn *c[1000];
	struct tcp_conn *extra;
	struct raw_segment s;
	static struct raw r;
	uint32_t ev;

	cfg.conns_max = 1100;
	cfg.timewait_max = 1100;
	raw_init(&r, &cfg, pool);
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(tcp_connect(r.tcp, &r.peer, 443, NULL, r.now_us, &c[i]),
			TCP_REASON_NONE);
		raw_drop_output(&r);
	}
	assert_int_equal(tcp_connect(r.tcp, &r.peer, 443, NULL, r.now_us, &extra),
		TCP_REASON_NO_PORT);
	assert_int_equal(raw_counter(&r, "tcp_connect_no_port"), 1);
	assert_int_equal(/* another destination has them all */
		tcp_connect(r.tcp, &r.peer, 444, NULL, r.now_us, &extra), TCP_REASON_NONE);
	tcp_close(r.tcp, extra, r.now_us);
	for (unsigned i = 1; i < 1000; i++)
		tcp_close(r.tcp, c[i], r.now_us);
	/* the last one lives and dies in order, by our FIN first */
	raw_advance(&r, 20000);
	r.our_port = tcp_conn_flow(c[0])->local_port;
	r.peer_port = 443;
	raw_drop_output(&r);
	raw_advance(&r, SECOND);
	assert_true(raw_take(&r, &s)); /* SYN again */
	syn_ack.tsecr = s.opt.tsval;
	raw_send(&r, TCP_SYN | TCP_ACK, 9000, s.seq + 1, 5000, &syn_ack, NULL, 0);
	assert_ptr_equal(raw_ready(&r, &ev), c[0]);
	tcp_close(r.tcp, c[0], r.now_us);
	raw_turn(&r);
	raw_drop_output(&r);
	syn_ack.has_mss = false;
	raw_send(&r, TCP_ACK | TCP_FIN, 9001, s.seq + 2, 5000, &syn_ack, NULL, 0);
	for (unsigned i = 1; i < 1000; i++)
		assert_int_equal(tcp_connect(r.tcp, &r.peer, 443, NULL, r.now_us, &c[i]),
			TCP_REASON_NONE);
	raw_drop_output(&r);
	assert_int_equal(tcp_connect(r.tcp, &r.peer, 443, NULL, r.now_us, &extra),
		TCP_REASON_NO_PORT);
	raw_advance(&r, 1001000);
	raw_drop_output(&r);
	assert_int_equal(tcp_connect(r.tcp, &r.peer, 443, NULL, r.now_us, &extra), TCP_REASON_NONE);
	assert_int_equal(tcp_conn_flow(extra)->local_port, r.our_port);
	assert_int_equal(raw_counter(&r, "tcp_timewait_reused"), 1);
	for (unsigned i = 1; i < 1000; i++)
		tcp_close(r.tcp, c[i], r.now_us);
	assert_true(raw_end(&r, extra));
}

static void connects_are_refused_by_name(void **state)
{
	struct tcp_config cfg = raw_config_small();
	struct tcp_conn *c[8], *extra;
	struct ip_addr v6;
	static struct raw r;

	raw_init(&r, &cfg, pool);
	ip_parse(STR("2001:db8::1"), &v6);
	assert_int_equal(tcp_connect(r.tcp, &v6, 80, NULL, r.now_us, &extra), TCP_REASON_NO_SOURCE);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(tcp_connect(r.tcp, &r.peer, 80, NULL, r.now_us, &c[i]),
			TCP_REASON_NONE);
	assert_int_equal(tcp_connect(r.tcp, &r.peer, 80, NULL, r.now_us, &extra),
		TCP_REASON_NO_CONN);
	r.net.mtu = 0;
	assert_int_equal(tcp_connect(r.tcp, &r.peer, 80, NULL, r.now_us, &extra),
		TCP_REASON_UNREACHABLE);
	r.net.mtu = 1500;
	for (unsigned i = 1; i < 8; i++)
		tcp_close(r.tcp, c[i], r.now_us);
	assert_true(raw_end(&r, c[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flood_of_single_bytes_pins_kilobytes),
		cmocka_unit_test(out_of_order_pieces_stay_within_the_budget_and_leave_room),
		cmocka_unit_test(full_segments_in_the_window_are_never_refused),
		cmocka_unit_test(credit_reopens_a_closed_window),
		cmocka_unit_test(a_hole_does_not_cost_window),
		cmocka_unit_test(an_empty_pool_delays_and_loses_nothing),
		cmocka_unit_test(a_source_has_its_limit),
		cmocka_unit_test(a_full_pool_refuses_until_an_orphan_can_go),
		cmocka_unit_test(a_full_backlog_is_answered_with_cookies_that_work),
		cmocka_unit_test(ports_run_out_by_name_and_come_back),
		cmocka_unit_test(connects_are_refused_by_name),
	};

	test_eal_init();
	pool = rte_pktmbuf_pool_create("raw", 4095, 0, PKT_PRIV_SIZE, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	bug_on(pool == NULL);
	return cmocka_run_group_tests_name("tcp_limits", tests, NULL, NULL);
}
