// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_parts_test.c: the small pure parts: table and source counts against naive lists, cookies,
 * source ports, TIME_WAIT records, path MTUs, checksums.
 */
#include "tests/unit/tcp/tcp_test.h"

#include "dataplane/base/rng.h"
#include "dataplane/tcp/tcp_cookie.h"
#include "dataplane/tcp/tcp_csum.h"
#include "dataplane/tcp/tcp_pmtu.h"
#include "dataplane/tcp/tcp_port.h"
#include "dataplane/tcp/tcp_source.h"
#include "dataplane/tcp/tcp_table.h"
#include "dataplane/tcp/tcp_timewait.h"

static struct ip_addr v4(uint32_t a)
{
	uint8_t b[4] = {(uint8_t)(a >> 24), (uint8_t)(a >> 16), (uint8_t)(a >> 8), (uint8_t)a};

	return ip_from_v4(b);
}

static struct ip_addr v6(uint64_t net, uint64_t host)
{
	struct ip_addr a;

	for (unsigned i = 0; i < 8; i++) {
		a.b[i] = (uint8_t)(net >> (56 - 8 * i));
		a.b[8 + i] = (uint8_t)(host >> (56 - 8 * i));
	}
	return a;
}

/*
 * Table.
 */

#define REFS 600u

static bool table_has(const struct tcp_table *t, uint64_t hash, uint32_t ref)
{
	struct tcp_table_iter it;
	uint32_t r, times = 0;

	for (r = tcp_table_first(t, &it, hash); r != TCP_TABLE_NONE; r = tcp_table_next(t, &it))
		times += r == ref;
	assert_in_range(times, 0, 1);
	return times == 1;
}

/* <spread> hashes in all: few of them make long runs of buckets. */
static void table_run(uint64_t seed, uint64_t spread)
{
	static uint64_t hash[REFS];
	static bool in[REFS];
	struct tcp_table t;
	struct rng rng;

	rng_seed(&rng, seed);
	assert_true(tcp_table_init(&t, REFS, &rng));
	memset(in, 0, sizeof(in));
	for (uint32_t i = 0; i < REFS; i++)
		hash[i] = hash_mix(rng_below(&rng, spread) + 1, seed);
	for (unsigned n = 0; n < 6000; n++) {
		uint32_t i = (uint32_t)rng_below(&rng, REFS);

		if (in[i])
			tcp_table_remove(&t, hash[i], i);
		else
			tcp_table_insert(&t, hash[i], i);
		in[i] = !in[i];
		i = (uint32_t)rng_below(&rng, REFS);
		assert_int_equal(table_has(&t, hash[i], i), in[i]);
	}
	for (uint32_t i = 0; i < REFS; i++)
		assert_int_equal(table_has(&t, hash[i], i), in[i]);
	for (uint32_t i = 0; i < REFS; i++)
		if (in[i])
			tcp_table_remove(&t, hash[i], i);
	assert_int_equal(t.used, 0);
	for (uint32_t b = 0; b <= t.mask; b++)
		assert_int_equal(t.b[b].passed, 0);
	tcp_table_fini(&t);
}

static void the_table_equals_a_list_on_random_operations(void **state)
{
	table_run(1, UINT64_MAX);
	table_run(2, 100);
	table_run(3, 8); /* 75 references under one hash */
}

static void a_reference_can_be_replaced_in_place(void **state)
{
	struct tcp_table t;
	struct rng rng;

	rng_seed(&rng, 1);
	assert_true(tcp_table_init(&t, 100, &rng));
	tcp_table_insert(&t, 42, 1);
	tcp_table_insert(&t, 42, 2);
	tcp_table_replace(&t, 42, 1, 3);
	assert_true(table_has(&t, 42, 3) && table_has(&t, 42, 2) && !table_has(&t, 42, 1));
	tcp_table_fini(&t);
}

static void the_hash_depends_on_every_part_of_the_flow(void **state)
{
	struct ip_addr a[2] = {v4(0x0a000001), v6(0x20010db800000000, 1)};
	struct ip_addr b[2] = {v4(0x0a000002), v6(0x20010db800000001, 1)};
	struct tcp_table t;
	struct rng rng;

	rng_seed(&rng, 1);
	assert_true(tcp_table_init(&t, 16, &rng));
	for (unsigned i = 0; i < 2; i++) {
		uint64_t h = tcp_table_hash(&t, &a[i], &b[i], 80, 1000);

		assert_true(h != tcp_table_hash(&t, &a[i], &a[i], 80, 1000));
		assert_true(h != tcp_table_hash(&t, &b[i], &b[i], 80, 1000));
		assert_true(h != tcp_table_hash(&t, &b[i], &a[i], 80, 1000));
		assert_true(h != tcp_table_hash(&t, &a[i], &b[i], 81, 1000));
		assert_true(h != tcp_table_hash(&t, &a[i], &b[i], 80, 1001));
		assert_true(h != tcp_table_hash(&t, &a[i], &b[i], 1000, 80));
	}
	tcp_table_fini(&t);
}

/*
 * Sources.
 */

static void source_counts_equal_a_list_on_random_operations(void **state)
{
	enum { ADDRS = 60, TOTAL = 200 };
	struct ip_addr addr[ADDRS];
	uint32_t count[ADDRS] = {0}, total = 0;
	struct tcp_source_table t;
	struct rng rng;

	rng_seed(&rng, 3);
	for (unsigned i = 0; i < ADDRS; i++)
		addr[i] = i % 2 ? v4((uint32_t)rng_u64(&rng)) : v6(rng_u64(&rng), 1);
	assert_true(tcp_source_init(&t, TOTAL, &rng));
	for (unsigned n = 0; n < 20000; n++) {
		unsigned i = (unsigned)rng_below(&rng, ADDRS);

		if (rng_below(&rng, 2) && total < TOTAL) {
			tcp_source_add(&t, &addr[i]);
			count[i]++, total++;
		} else if (count[i] > 0) {
			tcp_source_remove(&t, &addr[i]);
			count[i]--, total--;
		}
		i = (unsigned)rng_below(&rng, ADDRS);
		assert_int_equal(tcp_source_count(&t, &addr[i]), count[i]);
	}
	tcp_source_fini(&t);
}

static void a_v6_network_of_64_bits_is_one_source(void **state)
{
	struct ip_addr a = v6(0x20010db800000000, 1), b = v6(0x20010db800000000, 99);
	struct ip_addr other = v6(0x20010db800000001, 1);
	struct tcp_source_table t;
	struct rng rng;

	rng_seed(&rng, 3);
	assert_true(tcp_source_init(&t, 10, &rng));
	tcp_source_add(&t, &a);
	assert_int_equal(tcp_source_count(&t, &b), 1);
	assert_int_equal(tcp_source_count(&t, &other), 0);
	tcp_source_fini(&t);
}

/*
 * Cookies.
 */

#define MINUTE 60000000ull

struct cookie_world {
	struct tcp_cookies k;
	struct rng rng;
	struct tcp_flow f;
};

static void cookie_setup(struct cookie_world *w, uint64_t now)
{
	rng_seed(&w->rng, 5);
	tcp_cookies_init(&w->k, &w->rng, now);
	w->f = (struct tcp_flow){v4(1), v4(2), 80, 1234};
}

static void a_cookie_brings_back_what_it_was_made_of(void **state)
{
	static const uint16_t mss[][2] = {{1460, 1460}, {1459, 1440}, {536, 536}, {535, 64},
		{9000, 8940}};
	struct cookie_world w;

	cookie_setup(&w, 0);
	for (unsigned i = 0; i < sizeof(mss) / sizeof(mss[0]); i++)
		for (unsigned bits = 0; bits < 8; bits++) {
			struct tcp_cookie c = {.mss = mss[i][0],
						  .ts_on = bits & 1,
						  .sack_on = bits & 2,
						  .ws_on = bits & 4,
						  .wscale = 9},
					  got;
			uint32_t ts = 1000 + i, sent = ts, iss;

			iss = tcp_cookie_make(&w.k, &w.rng, &w.f, 77, &c, 1, &sent);
			assert_true(!c.ts_on || (sent <= ts && ts - sent < 64));
			assert_true(tcp_cookie_check(&w.k, &w.rng, &w.f, 77, iss, c.ts_on, sent, 2,
				&got));
			assert_int_equal(got.mss, mss[i][1]);
			assert_int_equal(got.sack_on, c.ts_on && c.sack_on);
			assert_int_equal(got.ws_on, c.ts_on && c.ws_on);
			assert_int_equal(got.wscale, got.ws_on ? 9 : 0);
		}
}

static void a_cookie_lives_for_one_to_two_minutes(void **state)
{
	struct tcp_cookie c = {.mss = 1460}, got;
	struct cookie_world w;
	uint32_t iss, ts = 0;

	for (uint64_t age = 0; age <= 5 * MINUTE; age += MINUTE / 4) {
		cookie_setup(&w, 0);
		iss = tcp_cookie_make(&w.k, &w.rng, &w.f, 77, &c, MINUTE / 2, &ts);
		bool good = tcp_cookie_check(&w.k, &w.rng, &w.f, 77, iss, false, 0,
			MINUTE / 2 + age, &got);

		if (age <= MINUTE)
			assert_true(good);
		if (age > 2 * MINUTE)
			assert_false(good);
	}
}

static void a_changed_cookie_flow_or_option_is_refused(void **state)
{
	struct tcp_cookie c = {.mss = 1460, .ts_on = true, .sack_on = true}, got;
	uint32_t ts = 640, iss, good = 0;
	struct cookie_world w;
	struct tcp_flow other;

	cookie_setup(&w, 0);
	assert_false(tcp_cookie_check(&w.k, &w.rng, &w.f, 77, 0, true, ts, 1, &got));
	iss = tcp_cookie_make(&w.k, &w.rng, &w.f, 77, &c, 1, &ts);
	for (unsigned bit = 0; bit < 32; bit++)
		good += tcp_cookie_check(&w.k, &w.rng, &w.f, 77, iss ^ (1u << bit), true, ts, 2,
			&got);
	for (unsigned bit = 0; bit < 6; bit++)
		good += tcp_cookie_check(&w.k, &w.rng, &w.f, 77, iss, true, ts ^ (1u << bit), 2,
			&got);
	good += tcp_cookie_check(&w.k, &w.rng, &w.f, 78, iss, true, ts, 2, &got);
	good += tcp_cookie_check(&w.k, &w.rng, &w.f, 77, iss, false, 0, 2, &got);
	other = w.f, other.remote_port++;
	good += tcp_cookie_check(&w.k, &w.rng, &other, 77, iss, true, ts, 2, &got);
	other = w.f, other.remote = v4(3);
	good += tcp_cookie_check(&w.k, &w.rng, &other, 77, iss, true, ts, 2, &got);
	assert_int_equal(good, 0);
	/* the time bits of the echo are the peer's to vary: only the options are covered */
	assert_true(tcp_cookie_check(&w.k, &w.rng, &w.f, 77, iss, true, ts + 64, 2, &got));
}

/*
 * Ports.
 */

static void a_walk_visits_every_port_of_the_slice_once(void **state)
{
	static uint8_t seen[65536];
	struct ip_addr a = v4(1), b = v4(2);
	struct tcp_port_walk w;
	struct tcp_ports p;
	struct rng rng;
	uint16_t port;
	unsigned n = 0;

	rng_seed(&rng, 9);
	tcp_ports_init(&p, &rng);
	p.slice = (struct tcp_port_slice){.first = 64000, .count = 1536};
	memset(seen, 0, sizeof(seen));
	tcp_port_walk(&p, &a, &b, 443, &w);
	for (; tcp_port_next(&w, &port); n++) {
		assert_in_range(port, 64000, 65535);
		assert_int_equal(seen[port]++, 0);
	}
	assert_int_equal(n, 1536);
	p.slice.count = 0;
	tcp_port_walk(&p, &a, &b, 443, &w);
	assert_false(tcp_port_next(&w, &port));
}

static void ports_of_destinations_begin_at_different_places_and_move_on(void **state)
{
	struct ip_addr a = v4(1), last = v4(149);
	struct tcp_port_walk w;
	struct tcp_ports p;
	struct rng rng;
	uint16_t first[50], port;
	unsigned same = 0;

	rng_seed(&rng, 9);
	tcp_ports_init(&p, &rng);
	p.slice = (struct tcp_port_slice){.first = 1024, .count = 60000};
	for (unsigned i = 0; i < 50; i++) {
		struct ip_addr b = v4(100 + i);

		tcp_port_walk(&p, &a, &b, 443, &w);
		assert_true(tcp_port_next(&w, &first[i]));
		for (unsigned k = 0; k < i; k++)
			same += first[k] == first[i];
	}
	assert_in_range(same, 0, 2);
	tcp_port_took(&p, &w);
	tcp_port_walk(&p, &a, &last, 443, &w);
	assert_true(tcp_port_next(&w, &port));
	assert_int_equal(port, first[49] + 1);
}

/* On a port with RSS: only ports whose replies reach this worker, each once, others elsewhere. */
static void with_rss_a_walk_visits_this_workers_ports_only(void **state)
{
	static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
		0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4,
		0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac,
		0x01, 0xfa};
	static const uint8_t queue_worker[2] = {0, 1};
	static uint16_t reta[64];
	struct rss_config cfg = {.key = key,
		.key_len = 40,
		.reta = reta,
		.reta_size = 64,
		.queue_worker = queue_worker,
		.queue_count = 2,
		.worker_count = 2,
		.port_first = 1024};
	struct ip_addr a = v4(0x0a000001), b = v4(0x0a000002);
	static uint8_t seen[65536];
	struct rss_ports *rss;
	struct tcp_port_walk w;
	struct tcp_ports p;
	struct rng rng;
	uint16_t port;
	unsigned n = 0;

	for (unsigned i = 0; i < 64; i++)
		reta[i] = i % 2;
	rss = rss_ports_new(&cfg, NULL);
	assert_non_null(rss);
	rng_seed(&rng, 9);
	tcp_ports_init(&p, &rng);
	for (unsigned worker = 0; worker < 2; worker++) {
		p.slice = (struct tcp_port_slice){.rss = rss, .worker = worker};
		tcp_port_walk(&p, &a, &b, 443, &w);
		for (; tcp_port_next(&w, &port); n++) {
			struct rss_tuple reply = {b, a, 443, port};

			assert_int_equal(rss_ports_worker(rss, &reply), worker);
			assert_int_equal(seen[port]++, 0);
		}
	}
	assert_int_equal(n, 65536 - 1024);
	rss_ports_free(rss);
}

/*
 * TIME_WAIT and path MTU.
 */

static void records_end_in_the_order_they_came_in(void **state)
{
	struct tcp_timewait w;
	uint32_t a, b, c;

	assert_true(tcp_timewait_init(&w, 3));
	assert_int_equal(tcp_timewait_oldest(&w), TCP_TIMEWAIT_NONE);
	a = tcp_timewait_alloc(&w), b = tcp_timewait_alloc(&w), c = tcp_timewait_alloc(&w);
	assert_int_equal(tcp_timewait_alloc(&w), TCP_TIMEWAIT_NONE);
	assert_int_equal(tcp_timewait_oldest(&w), a);
	tcp_timewait_release(&w, b); /* from the middle: its place stays taken */
	assert_int_equal(w.used, 2);
	assert_int_equal(tcp_timewait_alloc(&w), TCP_TIMEWAIT_NONE);
	tcp_timewait_release(&w, a); /* the gap behind it closes too */
	assert_int_equal(tcp_timewait_oldest(&w), c);
	assert_int_equal(w.span, 1);
	assert_int_equal(tcp_timewait_alloc(&w), a); /* around the ring's end */
	tcp_timewait_release(&w, c), tcp_timewait_release(&w, a);
	assert_int_equal(w.used, 0);
	assert_int_equal(w.span, 0);
	assert_int_equal(tcp_timewait_oldest(&w), TCP_TIMEWAIT_NONE);
	tcp_timewait_fini(&w);
}

static void a_path_mtu_is_forgotten_after_ten_minutes(void **state)
{
	struct ip_addr a = v4(1), b = v4(2);
	struct tcp_pmtu p;
	struct rng rng;

	rng_seed(&rng, 1);
	tcp_pmtu_init(&p, &rng);
	assert_int_equal(tcp_pmtu_lookup(&p, &a, 0), 0);
	tcp_pmtu_learn(&p, &a, 1300, 5);
	assert_int_equal(tcp_pmtu_lookup(&p, &a, 10 * MINUTE), 1300);
	assert_int_equal(tcp_pmtu_lookup(&p, &a, 10 * MINUTE + 5), 0);
	assert_int_equal(tcp_pmtu_lookup(&p, &b, 6), 0);
}

/*
 * Checksums.
 */

static uint16_t naive_sum(const uint8_t *p, size_t n)
{
	uint32_t s = 0;

	for (size_t i = 0; i < n; i++)
		s += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)((s << 8) | (s >> 8)); /* in memory order */
}

static void sums_of_pieces_are_the_sum_of_the_whole(void **state)
{
	uint8_t buf[3000];
	struct rng rng;

	rng_seed(&rng, 11);
	for (unsigned n = 0; n < 2000; n++) {
		size_t len = rng_below(&rng, sizeof(buf)), off = 0;
		uint64_t sum = 0;

		for (size_t i = 0; i < len; i++)
			buf[i] = (uint8_t)(rng_below(&rng, 3) ? rng_u64(&rng) : 0xff);
		while (off < len) {
			size_t k = 1 + rng_below(&rng, len - off);

			sum = csum_add(sum, csum_bytes(buf + off, k), off);
			off += k;
		}
		/* 0 and 0xffff are the same number in ones' complement */
		assert_int_equal(csum_fold(sum) % 0xffff, naive_sum(buf, len) % 0xffff);
	}
}

/* RFC 1071 3: the example's sum is ddf2. */
static void the_example_of_rfc1071(void **state)
{
	static const uint8_t p[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	uint16_t s = csum_fold(csum_bytes(p, sizeof(p)));

	assert_memory_equal(&s, "\xdd\xf2", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_equals_a_list_on_random_operations),
		cmocka_unit_test(a_reference_can_be_replaced_in_place),
		cmocka_unit_test(the_hash_depends_on_every_part_of_the_flow),
		cmocka_unit_test(source_counts_equal_a_list_on_random_operations),
		cmocka_unit_test(a_v6_network_of_64_bits_is_one_source),
		cmocka_unit_test(a_cookie_brings_back_what_it_was_made_of),
		cmocka_unit_test(a_cookie_lives_for_one_to_two_minutes),
		cmocka_unit_test(a_changed_cookie_flow_or_option_is_refused),
		cmocka_unit_test(a_walk_visits_every_port_of_the_slice_once),
		cmocka_unit_test(ports_of_destinations_begin_at_different_places_and_move_on),
		cmocka_unit_test(with_rss_a_walk_visits_this_workers_ports_only),
		cmocka_unit_test(records_end_in_the_order_they_came_in),
		cmocka_unit_test(a_path_mtu_is_forgotten_after_ten_minutes),
		cmocka_unit_test(sums_of_pieces_are_the_sum_of_the_whole),
		cmocka_unit_test(the_example_of_rfc1071),
	};

	return cmocka_run_group_tests_name("tcp_parts", tests, NULL, NULL);
}
