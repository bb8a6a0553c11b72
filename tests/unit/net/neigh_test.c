// SPDX-License-Identifier: Apache-2.0
/*
 * neigh_test.c: the neighbour table is bounded, gives up the right entries, and notices when a
 * connection's memory of it is out of date.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/net/net_bench.h"

static struct bench b;
static uint32_t sent; /* packets, numbered in their first bytes */

static int setup(void **state)
{
	sent = 0;
	bench_start(&b);
	return 0;
}

static int teardown(void **state)
{
	return bench_stop(&b) == 0 ? 0 : -1;
}

static void quiet(void)
{
	for (struct rte_mbuf *m; (m = bench_out(&b)) != NULL;)
		rte_pktmbuf_free(m);
}

static struct ip_addr peer(unsigned i)
{
	struct ip_addr a = bench_ip("2001:db8::1:0:0");

	a.b[14] = (uint8_t)(i >> 8);
	a.b[15] = (uint8_t)i;
	return a;
}

static void hear_from(unsigned i, uint8_t flags)
{
	struct net_note note = {peer(i), {{2, 0, 0, 1, (uint8_t)(i >> 8), (uint8_t)i}}, 0, flags};

	net_note_apply(b.net, &note);
}

static void send_to(unsigned i, struct net_dst *cache)
{
	struct ip_addr src = bench_ip("2001:db8::100"), dst = peer(i);
	struct rte_mbuf *m = rte_pktmbuf_alloc(b.pool);

	*pkt_of(m) = (struct pkt){0};
	memset(rte_pktmbuf_append(m, 20), 0, 20);
	be32_put(rte_pktmbuf_mtod(m, uint8_t *), sent++);
	ip_output(b.net, m, &src, &dst, PROTO_TCP, 0, cache);
	port_tx_flush(&b.queue);
	quiet();
}

static uint64_t counted(enum net_counter c)
{
	return b.net->counters[c];
}

static void an_unanswered_entry_makes_room_for_a_new_one(void **state)
{
	struct net_dst cache[2] = {0};

	send_to(0, &cache[0]);
	for (unsigned i = 1; i < NEIGH_MAX; i++)
		hear_from(i, NET_NOTE_ASKED | NET_NOTE_OVERRIDE | NET_NOTE_SOLICITED);
	assert_int_equal(counted(NET_C_NEIGH_EVICTED), 0);
	send_to(NEIGH_MAX, &cache[1]);
	assert_int_equal(counted(NET_C_NEIGH_EVICTED), 1);
	assert_int_equal(counted(NET_C_NEIGH_FAILED), 1); /* the packet that waited for peer 0 */
	assert_null(neigh_of(b.net, cache[0].neigh));
	assert_non_null(neigh_of(b.net, cache[1].neigh));
}

static void a_table_of_live_entries_refuses_newcomers(void **state)
{
	struct net_dst cache = {0};
	struct ip_addr first = peer(0);

	for (unsigned i = 0; i < NEIGH_MAX; i++)
		hear_from(i, NET_NOTE_ASKED | NET_NOTE_OVERRIDE | NET_NOTE_SOLICITED);
	for (unsigned i = 0; i < NEIGH_MAX; i++)
		hear_from(i, NET_NOTE_SOLICITED); /* askers are STALE at first: now they are live */
	send_to(NEIGH_MAX, &cache);
	assert_int_equal(counted(NET_C_NEIGH_FULL), 1);
	assert_non_null(neigh_lookup(b.net, 0, &first));
}

/* Strangers that only ask are STALE for ever: they must not fill the table behind live ones. */
static void live_entries_do_not_shield_the_stale_ones_behind_them(void **state)
{
	struct net_dst cache = {0};

	for (unsigned i = 0; i < 40; i++)
		hear_from(i, NET_NOTE_ASKED | NET_NOTE_OVERRIDE | NET_NOTE_SOLICITED);
	for (unsigned i = 40; i < NEIGH_MAX; i++)
		hear_from(i, NET_NOTE_ASKED | NET_NOTE_OVERRIDE);
	for (unsigned i = 0; i < 3; i++)
		send_to(NEIGH_MAX, &cache);
	assert_int_equal(counted(NET_C_NEIGH_EVICTED), 1);
	assert_non_null(neigh_of(b.net, cache.neigh));
}

static void asking_for_a_route_drops_nothing(void **state)
{
	struct ip_addr dst = peer(1);

	bench_fib(&b, true, true, false);
	assert_int_equal(ip_route_mtu(b.net, &dst, NULL), 0);
	assert_int_equal(counted(NET_C_OUT_NO_ROUTE), 0);
}

static void many_packets_to_nowhere_hold_a_bounded_number_of_buffers(void **state)
{
	struct net_dst cache = {0};

	for (unsigned i = 0; i < 80; i++) {
		cache = (struct net_dst){0};
		for (unsigned j = 0; j < 20; j++)
			send_to(i, &cache);
	}
	assert_int_equal(rte_mempool_in_use_count(b.pool), 80 * NEIGH_QUEUE_MAX + NEIGH_EXTRA_MAX);
	assert_int_equal(counted(NET_C_NEIGH_QUEUE), 80 * (20 - NEIGH_QUEUE_MAX) - NEIGH_EXTRA_MAX);
	bench_wait(&b, 4000000);
	quiet();
	assert_int_equal(rte_mempool_in_use_count(b.pool), 0);
	assert_int_equal(counted(NET_C_NEIGH_LOST), 80);
}

static void the_first_packets_of_a_hundred_connections_wait_for_one_answer(void **state)
{
	struct net_dst cache = {0};
	unsigned left = 0;

	for (unsigned round = 0; round < 10; round++) { /* what they took is given back */
		cache = (struct net_dst){0};
		for (unsigned i = 0; i < 100; i++)
			send_to(round, &cache);
		hear_from(round, NET_NOTE_SOLICITED | NET_NOTE_OVERRIDE);
		for (struct rte_mbuf *m; port_tx_flush(&b.queue), (m = bench_out(&b)) != NULL;
			left++)
			rte_pktmbuf_free(m);
		assert_int_equal(left, 100 * (round + 1));
	}
	assert_int_equal(counted(NET_C_NEIGH_QUEUE), 0);
	assert_int_equal(b.net->neigh->extra, 0);
}

static void where_no_more_can_wait_the_oldest_go(void **state)
{
	struct net_dst cache = {0};
	struct rte_mbuf *m;

	for (unsigned i = 0; i < NEIGH_QUEUE_MAX + NEIGH_EXTRA_MAX + 7; i++)
		send_to(1, &cache);
	assert_int_equal(counted(NET_C_NEIGH_QUEUE), 7);
	hear_from(1, NET_NOTE_SOLICITED | NET_NOTE_OVERRIDE);
	port_tx_flush(&b.queue);
	m = bench_out(&b);
	assert_non_null(m);
	assert_int_equal(be32_get(rte_pktmbuf_mtod(m, uint8_t *) + 14 + 40), 7);
	rte_pktmbuf_free(m);
	quiet();
}

static void a_reused_slot_is_not_taken_for_the_old_neighbour(void **state)
{
	struct net_dst cache = {0};
	uint32_t old;

	send_to(1, &cache);
	old = cache.neigh;
	bench_wait(&b, 4000000); /* peer 1 never answers */
	quiet();
	for (unsigned i = 2; i < NEIGH_MAX + 2; i++)
		hear_from(i, NET_NOTE_ASKED | NET_NOTE_OVERRIDE);
	assert_null(neigh_of(b.net, old));
	send_to(1, &cache);
	assert_true(cache.neigh != old);
}

static void new_routes_reach_connections_that_remember_old_ones(void **state)
{
	struct net_dst cache = {0};

	hear_from(1, NET_NOTE_ASKED | NET_NOTE_OVERRIDE);
	send_to(1, &cache);
	assert_int_equal(counted(NET_C_IP_OUT), 1);
	bench_fib(&b, true, true, false);
	send_to(1, &cache);
	assert_int_equal(counted(NET_C_OUT_NO_ROUTE), 1);
	bench_fib(&b, true, true, true);
	send_to(1, &cache);
	assert_int_equal(counted(NET_C_IP_OUT), 2);
}

static void notes_of_one_turn_are_bounded(void **state)
{
	struct net_note note = {peer(1), {{2, 0, 0, 0, 0, 1}}, 0, 0};
	unsigned count;

	for (unsigned i = 0; i < NET_NOTES_MAX + 3; i++)
		neigh_tell(b.net, &note);
	net_notes(b.net, &count);
	assert_int_equal(count, NET_NOTES_MAX);
	assert_int_equal(counted(NET_C_NOTES_FULL), 3);
	net_turn(b.net, b.now_us);
	net_notes(b.net, &count);
	assert_int_equal(count, 0);
}

static void an_empty_pool_costs_answers_and_nothing_else(void **state)
{
	struct rte_mbuf *all[BENCH_MBUFS];
	unsigned n = 0;
	struct net_note asker = {bench_ip("192.0.2.1"), {{2, 0, 0, 0, 0, 1}}, 0, NET_NOTE_ASKED};
	struct rte_mbuf *last;
	uint8_t arp[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0,
		6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 100};

	net_note_apply(b.net, &asker);
	last = rte_pktmbuf_alloc(b.pool);
	*pkt_of(last) = (struct pkt){0};
	memcpy(rte_pktmbuf_append(last, sizeof(arp)), arp, sizeof(arp));
	while ((all[n] = rte_pktmbuf_alloc(b.pool)) != NULL)
		n++;
	eth_input(b.net, 0, &last, 1);
	arp_input(b.net);
	assert_int_equal(counted(NET_C_OUT_NO_MBUF), 1);
	rte_pktmbuf_free_bulk(all, n);
}

static void a_packet_without_headroom_is_dropped(void **state)
{
	struct ip_addr src = bench_ip("2001:db8::100"), dst = peer(1);
	struct rte_mbuf *m = rte_pktmbuf_alloc(b.pool);

	hear_from(1, NET_NOTE_ASKED | NET_NOTE_OVERRIDE);
	*pkt_of(m) = (struct pkt){0};
	rte_pktmbuf_append(m, 20);
	rte_pktmbuf_prepend(m, RTE_PKTMBUF_HEADROOM - 39);
	ip_output(b.net, m, &src, &dst, PROTO_TCP, 0, NULL);
	assert_int_equal(counted(NET_C_OUT_HEADROOM), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_unanswered_entry_makes_room_for_a_new_one, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_table_of_live_entries_refuses_newcomers, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			live_entries_do_not_shield_the_stale_ones_behind_them, setup, teardown),
		cmocka_unit_test_setup_teardown(asking_for_a_route_drops_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			many_packets_to_nowhere_hold_a_bounded_number_of_buffers, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_first_packets_of_a_hundred_connections_wait_for_one_answer, setup,
			teardown),
		cmocka_unit_test_setup_teardown(where_no_more_can_wait_the_oldest_go, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_reused_slot_is_not_taken_for_the_old_neighbour,
			setup, teardown),
		cmocka_unit_test_setup_teardown(new_routes_reach_connections_that_remember_old_ones,
			setup, teardown),
		cmocka_unit_test_setup_teardown(notes_of_one_turn_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(an_empty_pool_costs_answers_and_nothing_else, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_packet_without_headroom_is_dropped, setup,
			teardown),
	};
	bench_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
