// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_endings_test.c: one stack against a hand-written peer: ICMP, attacks, and the endings that a
 * well-behaved peer never shows. The matrix of states and segments is in the .pkt pages.
 */
#include "tests/unit/tcp/tcp_test.h"

#include "dataplane/tcp/tcp_conn.h"
#include "dataplane/tcp/tcp_csum.h"
#include "tests/unit/tcp/raw_peer.h"

#define SECOND 1000000ull

static struct rte_mempool *pool;

/*
 * ICMP and path MTU.
 */

static struct tcp_icmp_error too_big(const struct tcp_conn *c, uint32_t seq, uint32_t mtu)
{
	return (struct tcp_icmp_error){.flow = *tcp_conn_flow(c),
		.seq = seq,
		.mtu = mtu,
		.too_big = true};
}

static void too_big_lowers_the_mss_and_sends_again_in_smaller_pieces(void **state)
{
	struct tcp_icmp_error e;
	struct tcp_conn_info before, info;
	struct raw_segment s;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss, seq;

	c = raw_open(&r, pool, 65535, &iss);
	raw_write(&r, c, 4 * 1460);
	tcp_conn_info(c, r.now_us, &before);
	raw_drop_output(&r);
	e = too_big(c, iss + 1, 1300);
	tcp_icmp_input(r.tcp, &e, r.now_us);
	raw_turn(&r);
	for (seq = iss + 1; raw_take(&r, &s); seq += s.len) {
		assert_int_equal(s.seq, seq);
		assert_in_range(s.len, 1, 1260);
	}
	assert_int_equal(seq, iss + 1 + 4 * 1460);
	tcp_conn_info(c, r.now_us, &info);
	assert_int_equal(info.mss, 1260);
	assert_int_equal(info.cwnd, before.cwnd); /* RFC 1191 6.5: no sign of congestion */
	/* the next connection there knows it, and still announces what it can receive */
	r.peer_port++;
	raw_send(&r, TCP_SYN, 1, 0, 1000, NULL, NULL, 0);
	assert_true(raw_take(&r, &s));
	assert_int_equal(s.opt.mss, 1460);
	assert_true(raw_end(&r, c));
}

static void forged_icmp_changes_nothing(void **state)
{
	struct tcp_icmp_error e;
	struct tcp_conn_info info;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss;

	c = raw_open(&r, pool, 65535, &iss);
	e = too_big(c, iss + 1, 1300); /* nothing is in flight */
	tcp_icmp_input(r.tcp, &e, r.now_us);
	raw_write(&r, c, 1000);
	e.seq = iss + 1 + 1000;
	tcp_icmp_input(r.tcp, &e, r.now_us);
	e.seq = iss;
	tcp_icmp_input(r.tcp, &e, r.now_us);
	assert_int_equal(raw_counter(&r, "tcp_drop_icmp_seq"), 3);
	e.seq = iss + 1;
	e.mtu = 1500; /* raises nothing */
	tcp_icmp_input(r.tcp, &e, r.now_us);
	assert_int_equal(raw_counter(&r, "tcp_drop_icmp_mtu"), 1);
	e.too_big = false;
	e.hard = true; /* RFC 5461: soft in a synchronized state */
	tcp_icmp_input(r.tcp, &e, r.now_us);
	assert_int_equal(tcp_conn_state(c), TCP_ESTABLISHED);
	tcp_conn_info(c, r.now_us, &info);
	assert_int_equal(info.mss, 1460);
	e.hard = false;
	e.too_big = true;
	e.mtu = 68; /* the floor is what every path carries */
	tcp_icmp_input(r.tcp, &e, r.now_us);
	tcp_conn_info(c, r.now_us, &info);
	assert_int_equal(info.mss, 552 - 40);
	raw_turn(&r);
	raw_drop_output(&r);
	assert_true(raw_end(&r, c));
}

static void a_hard_error_ends_only_an_open_in_progress(void **state)
{
	struct tcp_config cfg = raw_config_small();
	struct tcp_icmp_error e = {.hard = true};
	struct raw_segment s;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t ev;

	raw_init(&r, &cfg, pool);
	assert_int_equal(tcp_connect(r.tcp, &r.peer, 80, NULL, r.now_us, &c), TCP_REASON_NONE);
	assert_true(raw_take(&r, &s));
	e.flow = *tcp_conn_flow(c);
	e.seq = s.seq + 1;
	tcp_icmp_input(r.tcp, &e, r.now_us);
	assert_null(raw_ready(&r, &ev));
	e.seq = s.seq;
	tcp_icmp_input(r.tcp, &e, r.now_us);
	assert_ptr_equal(raw_ready(&r, &ev), c);
	assert_int_equal(ev, TCP_EV_CLOSED);
	assert_int_equal(tcp_close_reason(c), TCP_REASON_UNREACHABLE);
	tcp_close(r.tcp, c, r.now_us);
	assert_true(raw_end(&r, NULL));
}

static void full_segments_that_vanish_are_tried_smaller(void **state)
{
	struct tcp_conn_info info;
	struct raw_segment s;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss, len = 0;

	c = raw_open(&r, pool, 65535, &iss);
	raw_write(&r, c, 5000);
	raw_advance(&r, 10 * SECOND);
	while (raw_take(&r, &s))
		len = s.len;
	assert_int_equal(len, 536);
	tcp_conn_info(c, r.now_us, &info);
	assert_int_equal(info.mss, 536);
	assert_int_equal(raw_counter(&r, "tcp_pmtu_blackhole"), 1);
	assert_true(raw_end(&r, c));
}

/*
 * Attacks.
 */

static void challenge_acks_are_limited(void **state)
{
	struct raw_segment s;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss, n = 0;

	c = raw_open(&r, pool, 65535, &iss);
	for (unsigned i = 0; i < 1000; i++)
		raw_send(&r, TCP_RST, 1001 + 1 + i, 0, 0, NULL, NULL, 0);
	while (raw_take(&r, &s)) {
		assert_int_equal(s.flags, TCP_ACK);
		n++;
	}
	assert_in_range(n, 50, 150);
	assert_int_equal(raw_counter(&r, "tcp_challenge_limited"), 1000 - n);
	assert_int_equal(tcp_conn_state(c), TCP_ESTABLISHED);
	assert_true(raw_end(&r, c));
}

struct bad_row {
	const char *name, *counter;
	uint32_t at; /* byte to overwrite in the segment */
	uint8_t value;
	uint32_t cut; /* bytes cut off its end */
	bool fix;     /* the checksum is made good again */
};

static const struct bad_row bad_rows[] = {
	{"a wrong checksum is dropped", "tcp_drop_checksum", 16, 0xee, 0, false},
	{"a data offset below 5 is dropped", "tcp_drop_data_offset", 12, 0x40, 0, true},
	{"a data offset past the end is dropped", "tcp_drop_data_offset", 12, 0xf0, 0, true},
	{"a segment shorter than its IP length is dropped", "tcp_drop_length", 0, 0x9c, 3, false},
	{"an option of length zero is dropped", "tcp_drop_options", 21, 0, 0, true},
	{"an option past the end is dropped", "tcp_drop_options", 21, 9, 0, true},
};

static void bad_row(void **state)
{
	const struct bad_row *row = *state;
	struct tcp_config cfg = raw_config_small();
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	static struct raw r;
	struct mbufq q;
	uint8_t *h = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t sum;

	raw_init(&r, &cfg, pool);
	rte_pktmbuf_append(m, 28);
	memset(h, 0, 28);
	h[0] = 0x9c;
	h[3] = 80;
	h[12] = 0x60;
	h[13] = TCP_SYN;
	memcpy(h + 20, "\x02\x04\x05\xb4", 4);
	h[row->at] = row->value;
	*pkt_of(m) = (struct pkt){.src = r.peer, .dst = r.ours, .proto = 6, .l4_len = 28};
	if (row->fix) {
		sum = (uint16_t)~csum_fold(csum_pseudo(&r.peer, &r.ours, 28) + csum_bytes(h, 28));
		memcpy(h + 16, &sum, 2);
	}
	rte_pktmbuf_trim(m, (uint16_t)row->cut);
	mbufq_init(&q);
	mbufq_push(&q, m);
	tcp_input(r.tcp, &q, r.now_us);
	raw_turn(&r);
	assert_int_equal(raw_counter(&r, row->counter), 1);
	assert_int_equal(r.net.count, 0);
	assert_true(raw_end(&r, NULL));
}

/*
 * Bursts and pauses.
 */

static void a_burst_is_acknowledged_inside_and_at_its_end(void **state)
{
	static const uint32_t after[] = {2, 6, 14, 30, 32}; /* segments */
	struct tcp_config cfg = raw_config_small();
	struct raw_segment s;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss;

	cfg.rcv_budget = 256 * 1024;
	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 65535, &iss);
	for (uint32_t turn = 0; turn < 2; turn++) {
		uint32_t seq = 1001 + turn * 32 * 1000;

		raw_send_burst(&r, seq, iss + 1, 32, 1000);
		for (unsigned i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
			assert_true(raw_take(&r, &s));
			assert_int_equal(s.ack, seq + after[i] * 1000);
		}
		assert_false(raw_take(&r, &s));
	}
	assert_true(raw_end(&r, c));
}

static void after_a_pause_the_path_is_learnt_anew(void **state)
{
	struct tcp_conn_info info;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss, srtt;

	c = raw_open(&r, pool, 65535, &iss);
	raw_write(&r, c, 100);
	r.now_us += 1000;
	raw_send(&r, TCP_ACK, 1001, iss + 101, 65535, NULL, NULL, 0);
	assert_int_not_equal(tcp_rtt_min(&c->rtt), 0);
	srtt = c->rtt.srtt_us;
	c->cc.ssthresh = 3000; /* learnt from some loss */
	raw_advance(&r, 5 * SECOND);
	raw_write(&r, c, 100);
	assert_int_equal(tcp_rtt_min(&c->rtt), 0);
	tcp_conn_info(c, r.now_us, &info);
	assert_int_equal(info.ssthresh, TCP_CC_SSTHRESH_INF);
	assert_int_equal(info.srtt_us, srtt);
	raw_drop_output(&r);
	assert_true(raw_end(&r, c));
}

/*
 * Endings.
 */

static void a_stale_peer_is_reset_and_the_next_port_tried_at_once(void **state)
{
	struct tcp_config cfg = raw_config_small();
	struct raw_segment syn, s;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t ev;

	raw_init(&r, &cfg, pool);
	assert_int_equal(tcp_connect(r.tcp, &r.peer, 443, NULL, r.now_us, &c), TCP_REASON_NONE);
	assert_true(raw_take(&r, &syn));
	r.peer_port = 443;
	r.our_port = syn.src_port;
	raw_send(&r, TCP_ACK, 5555, syn.seq + 77777, 1000, NULL, NULL, 0);
	assert_true(raw_take(&r, &s));
	assert_int_equal(s.flags, TCP_RST);
	assert_int_equal(s.seq, syn.seq + 77777);
	assert_int_equal(s.src_port, syn.src_port);
	assert_true(raw_take(&r, &s));
	assert_int_equal(s.flags, TCP_SYN);
	assert_int_not_equal(s.src_port, syn.src_port);
	r.our_port = s.src_port;
	raw_send(&r, TCP_SYN | TCP_ACK, 5555, s.seq + 1, 1000, NULL, NULL, 0);
	assert_ptr_equal(raw_ready(&r, &ev), c);
	assert_int_equal(ev, TCP_EV_CONNECTED);
	assert_true(raw_end(&r, c));
}

/* Closed with an upload still coming: it is drained for a while, then reset. */
static void a_closed_connection_drains_and_then_resets(void **state)
{
	struct raw_segment s;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss, seq = 1001;

	c = raw_open(&r, pool, 65535, &iss);
	raw_write(&r, c, 500);
	tcp_close(r.tcp, c, r.now_us);
	raw_turn(&r);
	raw_drop_output(&r);
	for (unsigned i = 0; i < 10; i++, seq += 1000) {
		raw_send(&r, TCP_ACK, seq, iss + 1 + 501, 65535, NULL, NULL, 1000);
		raw_advance(&r, 100000);
	}
	while (raw_take(&r, &s)) {
		assert_int_equal(s.flags & TCP_RST, 0);
		assert_int_not_equal(s.wnd, 0);
	}
	assert_int_equal(s.ack, seq);
	raw_advance(&r, 3 * SECOND);
	raw_send(&r, TCP_ACK, seq, iss + 1 + 501, 65535, NULL, NULL, 1000);
	assert_true(raw_take(&r, &s));
	assert_int_equal(s.flags & TCP_RST, TCP_RST);
	assert_int_equal(raw_counter(&r, "tcp_linger_rst"), 1);
	assert_true(raw_end(&r, NULL));
}

static void an_orphan_does_not_wait_for_ever_for_a_fin(void **state)
{
	struct tcp_usage u;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss;

	c = raw_open(&r, pool, 65535, &iss);
	tcp_close(r.tcp, c, r.now_us);
	raw_turn(&r);
	raw_send(&r, TCP_ACK, 1001, iss + 2, 65535, NULL, NULL, 0);
	raw_advance(&r, 29 * SECOND);
	tcp_usage(r.tcp, &u);
	assert_int_equal(u.conns, 1);
	raw_advance(&r, 2 * SECOND);
	tcp_usage(r.tcp, &u);
	assert_int_equal(u.conns, 0);
	assert_int_equal(raw_counter(&r, "tcp_orphan_timeout"), 1);
	assert_true(raw_end(&r, NULL));
}

static void an_orphan_with_a_peer_that_takes_nothing_is_reset(void **state)
{
	struct tcp_usage u;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss;

	c = raw_open(&r, pool, 0, &iss);
	raw_write(&r, c, 5000);
	tcp_close(r.tcp, c, r.now_us);
	for (unsigned i = 0; i < 40; i++) {
		raw_advance(&r, SECOND);
		raw_send(&r, TCP_ACK, 1001, iss + 1, 0, NULL, NULL, 0); /* alive, and closed */
	}
	tcp_usage(r.tcp, &u);
	assert_int_equal(u.conns, 0);
	raw_drop_output(&r);
	assert_true(raw_end(&r, NULL));
}

static void keepalive_asks_five_times_and_gives_up(void **state)
{
	struct raw_segment s;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss, ev;

	c = raw_open(&r, pool, 65535, &iss);
	raw_advance(&r, 59 * SECOND);
	assert_false(raw_take(&r, &s));
	raw_advance(&r, 2 * SECOND);
	assert_true(raw_take(&r, &s));
	assert_int_equal(s.seq, iss); /* SND.NXT - 1 */
	assert_int_equal(s.len, 0);
	raw_send(&r, TCP_ACK, 1001, iss + 1, 65535, NULL, NULL, 0); /* alive */
	raw_advance(&r, 59 * SECOND);
	assert_false(raw_take(&r, &s));
	raw_advance(&r, 60 * SECOND);
	assert_ptr_equal(raw_ready(&r, &ev), c);
	assert_int_equal(ev, TCP_EV_CLOSED);
	assert_int_equal(tcp_close_reason(c), TCP_REASON_KEEPALIVE);
	assert_int_equal(raw_counter(&r, "tcp_keepalive_probe"), 6);
	tcp_close(r.tcp, c, r.now_us);
	assert_true(raw_end(&r, NULL));
}

static void what_a_dead_connection_had_queued_is_released(void **state)
{
	static struct raw r;
	struct tcp_conn *c;
	struct rte_mbuf *m;
	struct mbufq q;
	uint32_t iss, ev;

	c = raw_open(&r, pool, 0, &iss);
	mbufq_init(&q);
	m = rte_pktmbuf_alloc(pool);
	*pkt_of(m) = (struct pkt){.charge = 1234};
	rte_pktmbuf_append(m, 10);
	mbufq_push(&q, m);
	tcp_write(r.tcp, c, &q);
	raw_send(&r, TCP_RST, 1001, 0, 0, NULL, NULL, 0);
	assert_ptr_equal(raw_ready(&r, &ev), c);
	assert_int_equal(ev, TCP_EV_CLOSED | TCP_EV_SENT);
	assert_int_equal(tcp_close_reason(c), TCP_REASON_RESET);
	assert_int_equal(tcp_released_take(c), 1234);
	m = rte_pktmbuf_alloc(pool);
	*pkt_of(m) = (struct pkt){.charge = 77};
	mbufq_push(&q, m);
	tcp_write(r.tcp, c, &q); /* too late: it comes straight back */
	assert_int_equal(tcp_released_take(c), 77);
	tcp_close(r.tcp, c, r.now_us);
	assert_true(raw_end(&r, NULL));
}

int main(void)
{
	struct CMUnitTest tests[32] = {
		cmocka_unit_test(too_big_lowers_the_mss_and_sends_again_in_smaller_pieces),
		cmocka_unit_test(forged_icmp_changes_nothing),
		cmocka_unit_test(a_hard_error_ends_only_an_open_in_progress),
		cmocka_unit_test(full_segments_that_vanish_are_tried_smaller),
		cmocka_unit_test(challenge_acks_are_limited),
		cmocka_unit_test(a_burst_is_acknowledged_inside_and_at_its_end),
		cmocka_unit_test(after_a_pause_the_path_is_learnt_anew),
		cmocka_unit_test(a_stale_peer_is_reset_and_the_next_port_tried_at_once),
		cmocka_unit_test(a_closed_connection_drains_and_then_resets),
		cmocka_unit_test(an_orphan_does_not_wait_for_ever_for_a_fin),
		cmocka_unit_test(an_orphan_with_a_peer_that_takes_nothing_is_reset),
		cmocka_unit_test(keepalive_asks_five_times_and_gives_up),
		cmocka_unit_test(what_a_dead_connection_had_queued_is_released),
	};
	size_t n = 13;

	test_eal_init();
	pool = rte_pktmbuf_pool_create("raw", 4095, 0, PKT_PRIV_SIZE, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	bug_on(pool == NULL);
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++)
		tests[n++] = (struct CMUnitTest){.name = bad_rows[i].name,
			.test_func = bad_row,
			.initial_state = (void *)(uintptr_t)&bad_rows[i]};
	return _cmocka_run_group_tests("tcp_endings", tests, n, NULL, NULL);
}
