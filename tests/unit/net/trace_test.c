// SPDX-License-Identifier: Apache-2.0
/*
 * trace_test.c: a traced packet tells its walk in order, others say nothing, and a ring that is
 * full loses lines and counts them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/port/trace.h"
#include "tests/unit/net/net_bench.h"

static struct trace *trace;

static int setup(void **state)
{
	trace = trace_new(3);
	trace->now_us = 12345678;
	trace_self = trace;
	return 0;
}

static int teardown(void **state)
{
	trace_self = NULL;
	trace_free(trace);
	return 0;
}

static struct ip_net net_of(const char *text)
{
	struct ip_net n;

	assert_true(ip_net_parse(str_of(text), &n));
	return n;
}

static void expect_line(const char *want)
{
	char line[TRACE_LINE_MAX];

	assert_true(trace_take(trace, line));
	if (strstr(line, want) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", line, want);
}

static void expect_silence(void)
{
	char line[TRACE_LINE_MAX];

	assert_false(trace_take(trace, line));
}

static void nothing_is_said_without_a_filter(void **state)
{
	struct ip_addr a = bench_ip("192.0.2.1");

	trace_flow(&a, 1, &a, 2, "tcp", "never");
	expect_silence();
}

static void a_filter_is_about_one_end_of_a_flow(void **state)
{
	struct ip_addr c = bench_ip("198.51.100.7"), v = bench_ip("192.0.2.100");

	trace->filter = (struct trace_filter){true, net_of("198.51.100.0/24"), 5000};
	assert_true(trace_match(&c, 5000, &v, 80));
	assert_true(trace_match(&v, 80, &c, 5000));
	assert_false(trace_match(&c, 5001, &v, 80));
	assert_false(trace_match(&v, 5000, &c, 80)); /* address of one end, port of the other */
	trace->filter = (struct trace_filter){.on = true, .port = 80};
	assert_true(trace_match(&c, 5000, &v, 80));
	assert_false(trace_match(&c, 5000, &v, 81));
	trace->filter = (struct trace_filter){.on = true};
	assert_true(trace_match(&c, 1, &v, 2));
}

static void a_line_has_time_worker_and_stage(void **state)
{
	trace_emit("tcp", "hello %d", 42);
	expect_line("12.345678 w3 tcp hello 42");
}

static void a_long_line_is_cut(void **state)
{
	char line[TRACE_LINE_MAX];

	trace_emit("x", "%0500d", 7);
	assert_true(trace_take(trace, line));
	assert_int_equal(strlen(line), TRACE_LINE_MAX - 1);
}

static void a_full_ring_loses_the_newest_and_counts(void **state)
{
	for (unsigned i = 0; i < TRACE_LINES + 5; i++)
		trace_emit("x", "line %u.", i);
	assert_int_equal(trace->lost, 5);
	for (unsigned i = 0; i < TRACE_LINES; i++) {
		char want[32];

		snprintf(want, sizeof(want), "line %u.", i);
		expect_line(want);
	}
	expect_silence();
	trace_emit("x", "again");
	expect_line("again");
}

/* A SYN from 198.51.100.7:5000 to 192.0.2.100:80, as in ip4.page. */
static const uint8_t syn[] = {2, 0, 0, 0, 0, 0xaa, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 40, 0, 0,
	0x40, 0, 64, 6, 0x51, 0x5e, 198, 51, 100, 7, 192, 0, 2, 100, 0x13, 0x88, 0, 80, 0, 0, 3,
	0xe8, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0};

static void a_packets_walk_reads_in_the_order_of_the_stages(void **state)
{
	struct rte_mbuf *m;
	struct bench b;
	uint8_t frame[sizeof(syn)];
	uint16_t sum;

	memcpy(frame, syn, sizeof(syn));
	memset(frame + 24, 0, 2);
	sum = csum_fold(csum_add(0, frame + 14, IP4_HDR));
	memcpy(frame + 24, &sum, 2);
	bench_start(&b);
	trace->filter = (struct trace_filter){true, net_of("198.51.100.7"), 0};
	bench_in(&b, frame, sizeof(frame));
	expect_line("eth_input 02:00:00:00:00:01 > 02:00:00:00:00:AA port=0 len=54");
	expect_line("ip4_input 198.51.100.7:5000 > 192.0.2.100:80 ttl=64 l4_len=20");
	expect_silence();
	m = mbufq_pop(net_tcp_in(b.net));
	assert_true(pkt_of(m)->flags & PKT_TRACED);
	rte_pktmbuf_free(m);
	trace->filter.net = net_of("198.51.100.8");
	bench_in(&b, frame, sizeof(frame));
	expect_silence();
	assert_int_equal(bench_stop(&b), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_said_without_a_filter, setup, teardown),
		cmocka_unit_test_setup_teardown(a_filter_is_about_one_end_of_a_flow, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_line_has_time_worker_and_stage, setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_line_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_ring_loses_the_newest_and_counts, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_packets_walk_reads_in_the_order_of_the_stages,
			setup, teardown),
	};
	bench_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
