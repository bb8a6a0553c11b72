// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_raw_test.c: one stack against a hand-written peer: limits, memory, attacks, and the endings
 * that a well-behaved peer never shows. The state by segment matrix is in the .pkt pages.
 */
#include "tests/unit/tcp/tcp_test.h"

#include "dataplane/tcp/tcp_csum.h"
#include "tests/unit/tcp/raw_peer.h"

#define SECOND 1000000ull
#define TRUESIZE (RTE_MBUF_DEFAULT_BUF_SIZE + sizeof(struct rte_mbuf) + PKT_PRIV_SIZE)

static struct rte_mempool *pool;

static struct tcp_config small_config(void)
{
	struct tcp_config cfg;

	tcp_config_default(&cfg);
	cfg.conns_max = 8;
	cfg.timewait_max = 8;
	cfg.syn_backlog = 4;
	cfg.rcv_budget = 64 * 1024;
	return cfg;
}

/* Gone for good: abort, let TIME_WAIT pass, look for leaks. */
static void finish(struct raw *r, struct tcp_conn *c)
{
	if (c != NULL)
		tcp_abort(r->tcp, c, r->now_us);
	raw_advance(r, 400 * SECOND);
	raw_drop_output(r);
	assert_true(raw_fini(r));
}

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
	struct tcp_config cfg = small_config();
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss, n = 20000;

	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 65535, &iss);
	for (uint32_t i = 0; i < n; i++) {
		raw_send(&r, TCP_ACK, 1001 + i, iss + 1, 65535, NULL, NULL, 1);
		raw_drop_output(&r);
	}
	assert_int_equal(tcp_peek(c)->bytes, n);
	assert_in_range(charged(c), 1, 12 * TRUESIZE);
	finish(&r, c);
}

/* Segments of 300 bytes in every second place: none may be merged with another. */
static void out_of_order_pieces_stay_within_the_budget_and_leave_room(void **state)
{
	struct tcp_config cfg = small_config();
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
	finish(&r, c);
}

static void full_segments_in_the_window_are_never_refused(void **state)
{
	struct tcp_config cfg = small_config();
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
	finish(&r, c);
}

static void credit_reopens_a_closed_window(void **state)
{
	struct tcp_config cfg = small_config();
	static struct raw r;
	struct raw_segment s = {.wnd = 1};
	struct tcp_conn *c;
	struct mbufq q;
	uint32_t iss, seq = 1001, all;

	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 65535, &iss);
	for (unsigned i = 0; i < 100 && s.wnd > 0; i++) {
		raw_send(&r, TCP_ACK, seq, iss + 1, 65535, NULL, NULL, RTE_MIN(s.wnd == 1 ? 1460u : s.wnd, 1460u));
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
	finish(&r, c);
}

static void an_empty_pool_delays_and_loses_nothing(void **state)
{
	struct tcp_config cfg = small_config();
	static struct rte_mbuf *held[8192];
	static struct raw r;
	struct raw_segment s;
	struct tcp_conn *c;
	uint32_t iss, n = 0;

	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 65535, &iss);
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
	finish(&r, c);
}

/*
 * Limits.
 */

static void a_source_has_its_limit(void **state)
{
	struct tcp_config cfg = small_config();
	struct tcp_conn *c[3];
	struct raw_segment s;
	static struct raw r;
	uint32_t iss;

	cfg.conns_per_source_max = 2;
	raw_init(&r, &cfg, pool);
	c[0] = raw_accept(&r, 65535, &iss);
	r.peer_port++;
	raw_send(&r, TCP_SYN, 1, 0, 1000, NULL, NULL, 0); /* half-open counts too */
	assert_true(raw_take(&r, &s));
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
	finish(&r, c[1]);
}

static void a_full_pool_refuses_until_an_orphan_can_go(void **state)
{
	struct tcp_config cfg = small_config();
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
	finish(&r, c[0]);
}

static void a_full_backlog_is_answered_with_cookies_that_work(void **state)
{
	struct tcp_options syn = {.has_mss = true, .mss = 1400, .sack_permitted = true, .has_ts = true,
		.tsval = 100, .has_wscale = true, .wscale = 5}, ack = {.has_ts = true, .tsval = 101};
	struct tcp_config cfg = small_config();
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
	finish(&r, c);
}

/* 1000 ports towards one destination; TIME_WAIT gives them back after a second. */
static void ports_run_out_by_name_and_come_back(void **state)
{
	struct tcp_config cfg = small_config();
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
		assert_int_equal(
			tcp_connect(r.tcp, &r.peer, 443, NULL, r.now_us, &c[i]), TCP_REASON_NONE);
		raw_drop_output(&r);
	}
	assert_int_equal(
		tcp_connect(r.tcp, &r.peer, 443, NULL, r.now_us, &extra), TCP_REASON_NO_PORT);
	assert_int_equal(raw_counter(&r, "tcp_connect_no_port"), 1);
	assert_int_equal( /* another destination has them all */
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
		assert_int_equal(
			tcp_connect(r.tcp, &r.peer, 443, NULL, r.now_us, &c[i]), TCP_REASON_NONE);
	raw_drop_output(&r);
	assert_int_equal(
		tcp_connect(r.tcp, &r.peer, 443, NULL, r.now_us, &extra), TCP_REASON_NO_PORT);
	raw_advance(&r, 1001000);
	raw_drop_output(&r);
	assert_int_equal(
		tcp_connect(r.tcp, &r.peer, 443, NULL, r.now_us, &extra), TCP_REASON_NONE);
	assert_int_equal(tcp_conn_flow(extra)->local_port, r.our_port);
	assert_int_equal(raw_counter(&r, "tcp_timewait_reused"), 1);
	for (unsigned i = 1; i < 1000; i++)
		tcp_close(r.tcp, c[i], r.now_us);
	finish(&r, extra);
}

static void connects_are_refused_by_name(void **state)
{
	struct tcp_config cfg = small_config();
	struct tcp_conn *c[8], *extra;
	struct ip_addr v6;
	static struct raw r;

	raw_init(&r, &cfg, pool);
	ip_parse(STR("2001:db8::1"), &v6);
	assert_int_equal(tcp_connect(r.tcp, &v6, 80, NULL, r.now_us, &extra), TCP_REASON_NO_SOURCE);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(
			tcp_connect(r.tcp, &r.peer, 80, NULL, r.now_us, &c[i]), TCP_REASON_NONE);
	assert_int_equal(tcp_connect(r.tcp, &r.peer, 80, NULL, r.now_us, &extra), TCP_REASON_NO_CONN);
	r.net.mtu = 0;
	assert_int_equal(
		tcp_connect(r.tcp, &r.peer, 80, NULL, r.now_us, &extra), TCP_REASON_UNREACHABLE);
	r.net.mtu = 1500;
	for (unsigned i = 1; i < 8; i++)
		tcp_close(r.tcp, c[i], r.now_us);
	finish(&r, c[0]);
}

/*
 * ICMP and path MTU.
 */

static struct tcp_icmp_error too_big(const struct tcp_conn *c, uint32_t seq, uint32_t mtu)
{
	return (struct tcp_icmp_error){
		.flow = *tcp_conn_flow(c), .seq = seq, .mtu = mtu, .too_big = true};
}

static void too_big_lowers_the_mss_and_sends_again_in_smaller_pieces(void **state)
{
	struct tcp_config cfg = small_config();
	struct tcp_icmp_error e;
	struct tcp_conn_info before, info;
	struct raw_segment s;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss, seq;

	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 65535, &iss);
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
	finish(&r, c);
}

static void forged_icmp_changes_nothing(void **state)
{
	struct tcp_config cfg = small_config();
	struct tcp_icmp_error e;
	struct tcp_conn_info info;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss;

	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 65535, &iss);
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
	finish(&r, c);
}

static void a_hard_error_ends_only_an_open_in_progress(void **state)
{
	struct tcp_config cfg = small_config();
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
	finish(&r, NULL);
}

static void full_segments_that_vanish_are_tried_smaller(void **state)
{
	struct tcp_config cfg = small_config();
	struct tcp_conn_info info;
	struct raw_segment s;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss, len = 0;

	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 65535, &iss);
	raw_write(&r, c, 5000);
	raw_advance(&r, 10 * SECOND);
	while (raw_take(&r, &s))
		len = s.len;
	assert_int_equal(len, 536);
	tcp_conn_info(c, r.now_us, &info);
	assert_int_equal(info.mss, 536);
	assert_int_equal(raw_counter(&r, "tcp_pmtu_blackhole"), 1);
	finish(&r, c);
}

/*
 * Attacks.
 */

static void challenge_acks_are_limited(void **state)
{
	struct tcp_config cfg = small_config();
	struct raw_segment s;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss, n = 0;

	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 65535, &iss);
	for (unsigned i = 0; i < 1000; i++)
		raw_send(&r, TCP_RST, 1001 + 1 + i, 0, 0, NULL, NULL, 0);
	while (raw_take(&r, &s)) {
		assert_int_equal(s.flags, TCP_ACK);
		n++;
	}
	assert_in_range(n, 50, 150);
	assert_int_equal(raw_counter(&r, "tcp_challenge_limited"), 1000 - n);
	assert_int_equal(tcp_conn_state(c), TCP_ESTABLISHED);
	finish(&r, c);
}

struct bad_row {
	const char *name, *counter;
	uint32_t at;		/* byte to overwrite in the segment */
	uint8_t value;
	uint32_t cut;		/* bytes cut off its end */
	bool fix;		/* the checksum is made good again */
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
	struct tcp_config cfg = small_config();
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	static struct raw r;
	struct mbufq q;
	uint8_t *h = (uint8_t *)rte_pktmbuf_append(m, 28);
	uint16_t sum;

	raw_init(&r, &cfg, pool);
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
	finish(&r, NULL);
}

/*
 * Endings.
 */

static void a_stale_peer_is_reset_and_the_next_port_tried_at_once(void **state)
{
	struct tcp_config cfg = small_config();
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
	finish(&r, c);
}

/* Closed with an upload still coming: it is drained for a while, then reset. */
static void a_closed_connection_drains_and_then_resets(void **state)
{
	struct tcp_config cfg = small_config();
	struct raw_segment s;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss, seq = 1001;

	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 65535, &iss);
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
	finish(&r, NULL);
}

static void an_orphan_does_not_wait_for_ever_for_a_fin(void **state)
{
	struct tcp_config cfg = small_config();
	struct tcp_usage u;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss;

	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 65535, &iss);
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
	finish(&r, NULL);
}

static void an_orphan_with_a_peer_that_takes_nothing_is_reset(void **state)
{
	struct tcp_config cfg = small_config();
	struct tcp_usage u;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss;

	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 0, &iss);
	raw_write(&r, c, 5000);
	tcp_close(r.tcp, c, r.now_us);
	for (unsigned i = 0; i < 40; i++) {
		raw_advance(&r, SECOND);
		raw_send(&r, TCP_ACK, 1001, iss + 1, 0, NULL, NULL, 0); /* alive, and closed */
	}
	tcp_usage(r.tcp, &u);
	assert_int_equal(u.conns, 0);
	raw_drop_output(&r);
	finish(&r, NULL);
}

static void keepalive_asks_five_times_and_gives_up(void **state)
{
	struct tcp_config cfg = small_config();
	struct raw_segment s;
	static struct raw r;
	struct tcp_conn *c;
	uint32_t iss, ev;

	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 65535, &iss);
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
	finish(&r, NULL);
}

static void what_a_dead_connection_had_queued_is_released(void **state)
{
	struct tcp_config cfg = small_config();
	static struct raw r;
	struct tcp_conn *c;
	struct rte_mbuf *m;
	struct mbufq q;
	uint32_t iss, ev;

	raw_init(&r, &cfg, pool);
	c = raw_accept(&r, 0, &iss);
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
	finish(&r, NULL);
}

int main(void)
{
	struct CMUnitTest tests[48] = {
		cmocka_unit_test(a_flood_of_single_bytes_pins_kilobytes),
		cmocka_unit_test(out_of_order_pieces_stay_within_the_budget_and_leave_room),
		cmocka_unit_test(full_segments_in_the_window_are_never_refused),
		cmocka_unit_test(credit_reopens_a_closed_window),
		cmocka_unit_test(an_empty_pool_delays_and_loses_nothing),
		cmocka_unit_test(a_source_has_its_limit),
		cmocka_unit_test(a_full_pool_refuses_until_an_orphan_can_go),
		cmocka_unit_test(a_full_backlog_is_answered_with_cookies_that_work),
		cmocka_unit_test(ports_run_out_by_name_and_come_back),
		cmocka_unit_test(connects_are_refused_by_name),
		cmocka_unit_test(too_big_lowers_the_mss_and_sends_again_in_smaller_pieces),
		cmocka_unit_test(forged_icmp_changes_nothing),
		cmocka_unit_test(a_hard_error_ends_only_an_open_in_progress),
		cmocka_unit_test(full_segments_that_vanish_are_tried_smaller),
		cmocka_unit_test(challenge_acks_are_limited),
		cmocka_unit_test(a_stale_peer_is_reset_and_the_next_port_tried_at_once),
		cmocka_unit_test(a_closed_connection_drains_and_then_resets),
		cmocka_unit_test(an_orphan_does_not_wait_for_ever_for_a_fin),
		cmocka_unit_test(an_orphan_with_a_peer_that_takes_nothing_is_reset),
		cmocka_unit_test(keepalive_asks_five_times_and_gives_up),
		cmocka_unit_test(what_a_dead_connection_had_queued_is_released),
	};
	size_t n = 21;

	test_eal_init();
	pool = rte_pktmbuf_pool_create(
		"raw", 4095, 0, PKT_PRIV_SIZE, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	bug_on(pool == NULL);
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++)
		tests[n++] = (struct CMUnitTest){.name = bad_rows[i].name,
			.test_func = bad_row,
			.initial_state = (void *)(uintptr_t)&bad_rows[i]};
	return _cmocka_run_group_tests("tcp_raw", tests, n, NULL, NULL);
}
