// SPDX-License-Identifier: Apache-2.0
/*
 * dispatch_test.c: whichever worker receives a packet, one and the same worker gets it.
 *
 * Workers here have a net and rings and nothing else, and take turns on one thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <rte_eal.h>

#include "dataplane/worker/worker.h"

static struct rte_mempool *pool;
static struct worker_group group;
static struct port_queue no_queues[PORTS_MAX];

static struct ip_addr addr_of(const char *text)
{
	struct ip_addr a;

	assert_true(ip_parse(str_of(text), &a));
	return a;
}

static void group_start(unsigned count)
{
	struct ip_addr vip = addr_of("192.0.2.100"), source = addr_of("2001:db8::50");
	struct err err;

	group = (struct worker_group){.count = count};
	for (unsigned i = 0; i < count; i++) {
		struct net_config cfg = {.queues = no_queues, .pool = pool, .seed = i};
		struct worker *w = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*w));

		*w = (struct worker){.group = &group, .index = i, .net = net_new(&cfg, 0)};
		assert_true(net_set_addrs(w->net, &vip, 1, &source, 1));
		group.w[i] = w;
	}
	assert_int_equal(dispatch_init(&group, &err), 0);
}

static void group_stop(void)
{
	dispatch_fini(&group);
	for (unsigned i = 0; i < group.count; i++) {
		net_free(group.w[i]->net);
		free(group.w[i]);
	}
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

/* A segment as net leaves it: data starts at the TCP header. */
static struct rte_mbuf *segment(const struct tcp_flow *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t tcp[20] = {(uint8_t)(f->remote_port >> 8), (uint8_t)f->remote_port,
		(uint8_t)(f->local_port >> 8), (uint8_t)f->local_port};

	assert_non_null(m);
	*pkt_of(m) = (struct pkt){.src = f->remote, .dst = f->local, .l4_len = 20};
	memcpy(rte_pktmbuf_append(m, 20), tcp, 20);
	return m;
}

/* One segment on <q> at the most; true: it was there and it has its hash. */
static bool has_one(struct mbufq *q)
{
	bool one = !mbufq_is_empty(q);

	if (one) {
		assert_int_equal(q->count, 1);
	}
	mbufq_free(q);
	return one;
}

/* Worker <from> receives a segment of <f>; who gets it? Exactly one does. */
static unsigned taker(const struct tcp_flow *f, unsigned from)
{
	struct mbufq in = {0}, mine = {0};
	unsigned to = from, takers = 0;

	mbufq_push(&in, segment(f));
	dispatch_packets(group.w[from], &in, &mine);
	assert_true(mbufq_is_empty(&in));
	takers += has_one(&mine);
	for (unsigned i = 0; i < group.count; i++) {
		dispatch_collect(group.w[i], &mine);
		if (has_one(&mine)) {
			takers++;
			to = i;
		}
	}
	assert_int_equal(takers, 1);
	return to;
}

static struct tcp_flow client_flow(struct rng *r)
{
	struct tcp_flow f = {addr_of("192.0.2.100"), addr_of("198.51.100.0"), 80, 0};

	f.remote.b[15] = (uint8_t)rng_u64(r);
	f.remote_port = (uint16_t)rng_u64(r);
	return f;
}

static void slices_cover_all_ports_once(void **state)
{
	for (unsigned n = 1; n <= WORKERS_MAX; n++) {
		unsigned next = DISPATCH_PORT_FIRST;

		for (unsigned i = 0; i < n; i++) {
			uint16_t first, count;

			dispatch_port_slice(i, n, &first, &count);
			assert_int_equal(first, next);
			assert_true(count >= 2000);
			for (unsigned p = first; p < first + (unsigned)count; p++)
				assert_int_equal(dispatch_port_owner((uint16_t)p, n), i);
			next = first + (unsigned)count;
		}
		assert_int_equal(next, 65536);
	}
}

static void a_flow_has_one_owner_whoever_receives_it(void **state)
{
	for (unsigned n = 1; n <= 4; n++) {
		struct rng r;

		group_start(n);
		rng_seed(&r, n);
		for (unsigned i = 0; i < 200; i++) {
			struct tcp_flow f = client_flow(&r);
			unsigned owner = taker(&f, 0);

			assert_true(owner < n);
			for (unsigned from = 1; from < n; from++)
				assert_int_equal(taker(&f, from), owner);
		}
		group_stop();
	}
}

static void clients_spread_over_all_workers(void **state)
{
	unsigned got[4] = {0};
	struct rng r;

	group_start(4);
	rng_seed(&r, 1);
	for (unsigned i = 0; i < 4000; i++) {
		struct tcp_flow f = client_flow(&r);

		got[taker(&f, i % 4)]++;
	}
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(got[i], 850, 1150);
	group_stop();
}

static void a_reply_goes_to_the_worker_whose_port_it_is(void **state)
{
	struct tcp_flow f = {addr_of("2001:db8::50"), addr_of("2001:db8:1::9"), 0, 8080};
	unsigned n = 3;

	group_start(n);
	for (unsigned i = 0; i < n; i++) {
		uint16_t first, count;

		dispatch_port_slice(i, n, &first, &count);
		for (unsigned from = 0; from < n; from++) {
			f.local_port = first;
			assert_int_equal(taker(&f, from), i);
			f.local_port = (uint16_t)(first + count - 1);
			assert_int_equal(taker(&f, from), i);
		}
	}
	group_stop();
}

static void what_a_ring_cannot_hold_is_dropped_and_counted(void **state)
{
	struct tcp_flow f = {addr_of("2001:db8::50"), addr_of("2001:db8:1::9"), 65535, 8080};
	struct mbufq in = {0}, mine = {0};
	const unsigned sent = 1500;

	group_start(2);
	for (unsigned i = 0; i < sent; i++) {
		mbufq_push(&in, segment(&f));
		if (in.count == 100)
			dispatch_packets(group.w[0], &in, &mine);
	}
	assert_true(mbufq_is_empty(&mine));
	assert_int_equal(group.w[0]->stats.counters[WORKER_C_DISPATCH_OUT], DISPATCH_RING - 1);
	assert_int_equal(group.w[0]->stats.counters[WORKER_C_DISPATCH_FULL],
		sent - (DISPATCH_RING - 1));
	assert_true(dispatch_has_news(group.w[1]));
	assert_false(dispatch_has_news(group.w[0]));
	while (dispatch_has_news(group.w[1]))
		dispatch_collect(group.w[1], &mine);
	assert_int_equal(mine.count, DISPATCH_RING - 1);
	mbufq_free(&mine);
	group_stop();
}

static void a_runt_stays_where_it_came_in(void **state)
{
	struct mbufq in = {0}, mine = {0};
	struct rte_mbuf *m;

	group_start(2);
	m = rte_pktmbuf_alloc(pool);
	*pkt_of(m) = (struct pkt){0};
	rte_pktmbuf_append(m, 3);
	mbufq_push(&in, m);
	dispatch_packets(group.w[1], &in, &mine);
	assert_int_equal(mine.count, 1);
	mbufq_free(&mine);
	group_stop();
}

static int setup(void **state)
{
	char *argv[] = {"dispatch_test", "--no-huge", "-m", "64", "--no-pci", "--no-telemetry",
		"--no-shconf", "--iova-mode=va", "--lcores=0", "--log-level=error", NULL};
	struct err err;

	if (rte_eal_init(10, argv) < 0)
		return -1;
	pool = port_pool_new("dispatch", 4095, 1500, &err);
	return pool != NULL ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slices_cover_all_ports_once),
		cmocka_unit_test(a_flow_has_one_owner_whoever_receives_it),
		cmocka_unit_test(clients_spread_over_all_workers),
		cmocka_unit_test(a_reply_goes_to_the_worker_whose_port_it_is),
		cmocka_unit_test(what_a_ring_cannot_hold_is_dropped_and_counted),
		cmocka_unit_test(a_runt_stays_where_it_came_in),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
