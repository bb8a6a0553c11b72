// SPDX-License-Identifier: Apache-2.0
/*
 * rss_test.c: the hash against the published verification suite, and the source-port table against
 * a simulated port that hashes the bytes of the reply bit by bit, as the definition reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/rng.h"
#include "dataplane/port/rss.h"

#define UPSTREAMS 100000u

static const uint8_t suite_key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
	0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77,
	0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

/* The published verification suite, rows with ports. */
static const struct {
	const char *src, *dst;
	uint16_t src_port, dst_port;
	uint32_t hash;
} suite[] = {
	{"66.9.149.187", "161.142.100.80", 2794, 1766, 0x51ccc178},
	{"199.92.111.2", "65.69.140.83", 14230, 4739, 0xc626b0ea},
	{"24.19.198.95", "12.22.207.184", 12898, 38024, 0x5c2b394a},
	{"38.27.205.30", "209.142.163.6", 48228, 2217, 0xafc7327f},
	{"153.39.163.191", "202.188.127.2", 44251, 1303, 0x10e828a2},
	{"3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 2794, 1766, 0x40207d3d},
	{"3ffe:501:8::260:97ff:fe40:efab", "ff02::1", 14230, 4739, 0xdde51bbf},
	{"3ffe:1900:4545:3:200:f8ff:fe21:67cf", "fe80::200:f8ff:fe21:67cf", 44251, 38024,
		0x02d1feef},
};

static struct ip_addr addr(const char *text)
{
	struct ip_addr a;

	assert_true(ip_parse(str_of(text), &a));
	return a;
}

static void hash_gives_the_verification_suites_values(void **state)
{
	for (size_t i = 0; i < sizeof(suite) / sizeof(suite[0]); i++) {
		struct rss_tuple t = {addr(suite[i].src), addr(suite[i].dst), suite[i].src_port,
			suite[i].dst_port};

		assert_int_equal(rss_tuple_hash(suite_key, &t), suite[i].hash);
	}
}

/* A port as a NIC has it: programmable key and table, hash over the bytes on the wire. */
struct nic {
	uint8_t key[52];
	unsigned key_len;
	bool reads_key_backwards;
	uint32_t init[2]; /* [is v4] the constant of an affine variant */
	uint16_t reta[512];
	unsigned reta_size, queue_count;
};

static unsigned nic_key_bit(const struct nic *n, unsigned bit)
{
	unsigned at = bit / 8;

	return n->key[n->reads_key_backwards ? n->key_len - 1 - at : at] >> (7 - bit % 8) & 1;
}

static uint32_t nic_hash(const struct nic *n, const uint8_t *wire, unsigned len, bool v4)
{
	uint32_t hash = n->init[v4], window = 0;

	for (unsigned bit = 0; bit < 32; bit++)
		window = window << 1 | nic_key_bit(n, bit);
	for (unsigned bit = 0; bit < len * 8; bit++) {
		if (wire[bit / 8] >> (7 - bit % 8) & 1)
			hash ^= window;
		window = window << 1 | nic_key_bit(n, bit + 32);
	}
	return hash;
}

/* Hash of the packet <src>:<sport> -> <dst>:<dport> as it arrives. */
static uint32_t nic_receive(const struct nic *n, const struct rss_tuple *t)
{
	bool v4 = ip_is_v4(&t->src);
	unsigned alen = v4 ? 4 : 16;
	uint8_t wire[36];

	memcpy(wire, t->src.b + 16 - alen, alen);
	memcpy(wire + alen, t->dst.b + 16 - alen, alen);
	be16_put(wire + 2 * alen, t->src_port);
	be16_put(wire + 2 * alen + 2, t->dst_port);
	return nic_hash(n, wire, 2 * alen + 4, v4);
}

static unsigned nic_queue(const struct nic *n, const struct rss_tuple *t)
{
	return n->reta[nic_receive(n, t) % n->reta_size];
}

static struct ip_addr random_addr(struct rng *rng, bool v4)
{
	struct ip_addr a = addr(v4 ? "10.0.0.0" : "2001:db8::");

	be16_put(a.b + 14, (uint16_t)rng_u64(rng));
	if (!v4)
		be32_put(a.b + 8, (uint32_t)rng_u64(rng));
	return a;
}

static void nic_init(struct nic *n, struct rng *rng, unsigned reta_size, unsigned queues)
{
	memset(n, 0, sizeof(*n));
	n->key_len = rng_below(rng, 2) ? 40 : 52;
	for (unsigned i = 0; i < n->key_len; i++)
		n->key[i] = (uint8_t)rng_u64(rng);
	n->reta_size = reta_size;
	n->queue_count = queues;
	for (unsigned i = 0; i < reta_size; i++) /* uneven, and no queue without an entry */
		n->reta[i] = (uint16_t)(i < queues ? i : rng_below(rng, queues));
}

/* What the agent does at start: read the key back, learn the rest from packets. */
static struct rss_ports *learn(const struct nic *n, struct rng *rng, const uint8_t *queue_worker,
	unsigned workers, struct err *err)
{
	struct rss_config cfg = {.key_len = n->key_len,
		.reta = n->reta,
		.reta_size = n->reta_size,
		.queue_worker = queue_worker,
		.queue_count = n->queue_count,
		.worker_count = workers,
		.port_first = 1024};
	uint8_t key[52];

	memcpy(key, n->key, n->key_len);
	for (int v4 = 0; v4 < 2; v4++) {
		struct rss_sample s[16];

		for (int i = 0; i < 16; i++) {
			s[i].tuple = (struct rss_tuple){random_addr(rng, v4), random_addr(rng, v4),
				(uint16_t)rng_u64(rng), (uint16_t)rng_u64(rng)};
			s[i].hash = nic_receive(n, &s[i].tuple);
		}
		assert_true(rss_calibrate(key, n->key_len, s, 16,
			v4 ? &cfg.offset_v4 : &cfg.offset_v6));
	}
	cfg.key = key;
	return rss_ports_new(&cfg, err);
}

/* One bit per (backend, our port): the 4-tuples in use. Our address is one. */
#define BACKENDS 64
static uint8_t in_use[BACKENDS][65536 / 8];

static bool take(unsigned backend, uint16_t port)
{
	uint8_t bit = (uint8_t)(1u << port % 8), *b = &in_use[backend][port / 8];
	bool fresh = (*b & bit) == 0;

	*b |= bit;
	return fresh;
}

static void open_upstreams(const struct nic *n, const struct rss_ports *p,
	const uint8_t *queue_worker, unsigned workers, bool v4, struct rng *rng)
{
	struct ip_addr ours = random_addr(rng, v4), backend[BACKENDS];
	unsigned wrong = 0;

	memset(in_use, 0, sizeof(in_use));
	for (unsigned i = 0; i < BACKENDS; i++)
		backend[i] = random_addr(rng, v4);
	for (unsigned i = 0; i < UPSTREAMS; i++) {
		unsigned b = i % BACKENDS, worker = (unsigned)rng_below(rng, workers);
		uint16_t remote_port = (uint16_t)(8000 + b), port = 0;
		struct rss_base base = rss_ports_base(p, &ours, &backend[b], remote_port);
		struct rss_iter it;

		rss_port_start(p, &base, worker, rng_u64(rng), &it);
		do {
			assert_true(rss_port_next(p, &it, &port));
			assert_true(port >= 1024);
		} while (!take(b, port));
		struct rss_tuple reply = {backend[b], ours, remote_port, port};
		wrong += queue_worker[nic_queue(n, &reply)] != worker;
		wrong += rss_ports_worker(p, &reply) != worker;
	}
	assert_int_equal(wrong, 0);
}

static void hundred_thousand_upstreams_reach_their_worker(void **state)
{
	static const unsigned tables[] = {64, 128, 512};
	/* Queues need not be workers: two queues of one worker, and order is free. */
	static const uint8_t queue_worker[8] = {3, 0, 1, 2, 4, 0, 3, 1};
	struct rng rng;

	rng_seed(&rng, 1);
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		for (int variant = 0; variant < 2; variant++) {
			struct rss_ports *p = NULL;
			struct nic n;

			for (int tries = 0; p == NULL && tries < 20; tries++) {
				nic_init(&n, &rng, tables[t], 8);
				n.reads_key_backwards = variant;
				n.init[0] = variant ? 0xffffffff : 0;
				n.init[1] = variant ? 0x12345678 : 0;
				p = learn(&n, &rng, queue_worker, 5, NULL);
			}
			assert_non_null(p);
			open_upstreams(&n, p, queue_worker, 5, true, &rng);
			open_upstreams(&n, p, queue_worker, 5, false, &rng);
			rss_ports_free(p);
		}
	}
}

/* The walk gives exactly the ports that an exhaustive search gives, each once. */
static void walk_finds_every_port_of_a_worker_once(void **state)
{
	static const uint8_t queue_worker[] = {0, 1, 2};
	struct ip_addr ours = addr("192.0.2.1"), remote = addr("198.51.100.7");
	struct rng rng;
	struct nic n;

	rng_seed(&rng, 2);
	nic_init(&n, &rng, 128, 3);
	struct rss_ports *p = learn(&n, &rng, queue_worker, 3, NULL);
	assert_non_null(p);
	struct rss_base base = rss_ports_base(p, &ours, &remote, 443);
	for (unsigned w = 0; w < 3; w++) {
		unsigned want = 0, got = 0;
		struct rss_iter it;
		uint16_t port;

		memset(in_use, 0, sizeof(in_use));
		for (unsigned q = 1024; q < 65536; q++) {
			struct rss_tuple reply = {remote, ours, 443, (uint16_t)q};

			want += nic_queue(&n, &reply) == w;
		}
		rss_port_start(p, &base, w, rng_u64(&rng), &it);
		for (; rss_port_next(p, &it, &port); got++)
			assert_true(take(0, port));
		assert_int_equal(got, want);
		assert_false(rss_port_next(p, &it, &port));
	}
	rss_ports_free(p);
}

static void starting_places_differ(void **state)
{
	static const uint8_t queue_worker[] = {0, 1};
	struct ip_addr ours = addr("2001:db8::1"), remote = addr("2001:db8::2");
	unsigned distinct = 0;
	struct rng rng;
	struct nic n;

	rng_seed(&rng, 3);
	nic_init(&n, &rng, 64, 2);
	struct rss_ports *p = learn(&n, &rng, queue_worker, 2, NULL);
	assert_non_null(p);
	struct rss_base base = rss_ports_base(p, &ours, &remote, 80);
	memset(in_use, 0, sizeof(in_use));
	for (int i = 0; i < 1000; i++) {
		struct rss_iter it;
		uint16_t port;

		rss_port_start(p, &base, 1, rng_u64(&rng), &it);
		assert_true(rss_port_next(p, &it, &port));
		distinct += take(0, port);
	}
	assert_true(distinct > 900); /* of about 32 000: the birthday bound expects some 985 */
	rss_ports_free(p);
}

static void a_hash_that_is_not_toeplitz_is_refused(void **state)
{
	uint8_t key[40], before[40];
	uint32_t offset = 77;
	struct rss_sample s[8];
	struct rng rng;

	rng_seed(&rng, 4);
	memcpy(key, suite_key, 40);
	memcpy(before, key, 40);
	for (int i = 0; i < 8; i++) {
		s[i].tuple = (struct rss_tuple){random_addr(&rng, true), random_addr(&rng, true),
			(uint16_t)rng_u64(&rng), 80};
		s[i].hash = rss_tuple_hash(key, &s[i].tuple) ^ 5;
	}
	assert_true(rss_calibrate(key, 40, s, 8, &offset));
	assert_int_equal(offset, 5);
	s[7].hash ^= 0x100;
	assert_false(rss_calibrate(key, 40, s, 8, &offset));
	assert_false(rss_calibrate(key, 40, s, 1, &offset));
	assert_int_equal(offset, 5);
	assert_memory_equal(key, before, 40);
}

static void unusable_settings_are_refused_by_name(void **state)
{
	static const uint8_t all_workers[] = {0, 1}, one_worker[] = {0, 0};
	uint16_t reta[512] = {0}, lost[64] = {[63] = 2};
	uint8_t flat[40];

	memset(flat, 5, sizeof(flat)); /* repeats every 8 bits: at most 8 of 9 bits are reached */
	for (unsigned i = 0; i < 512; i++)
		reta[i] = i & 1;
	struct rss_config good = {suite_key, 40, reta, 64, all_workers, 2, 2, 0, 0, 1024};
	struct {
		struct rss_config cfg;
		const char *says;
	} bad[7] = {{good, "39 bytes"}, {good, "96 entries"}, {good, "4096 entries"},
		{good, "entry 63: queue 2 belongs to no worker"},
		{good, "no entry leads to worker 1"}, {good, "source ports reach"},
		{good, "0 workers"}};
	bad[0].cfg.key_len = 39;
	bad[1].cfg.reta_size = 96;
	bad[2].cfg.reta_size = 4096;
	bad[3].cfg.reta = lost;
	bad[4].cfg.queue_worker = one_worker;
	bad[5].cfg.key = flat;
	bad[5].cfg.reta_size = 512;
	bad[6].cfg.worker_count = 0;
	for (size_t i = 0; i < 7; i++) {
		struct err err = {{0}};

		assert_null(rss_ports_new(&bad[i].cfg, &err));
		if (strstr(err.msg, bad[i].says) == NULL)
			fail_msg("row %zu: \"%s\" does not say \"%s\"", i, err.msg, bad[i].says);
	}
	struct rss_ports *p = rss_ports_new(&good, NULL);
	assert_non_null(p);
	rss_ports_free(p);
	rss_ports_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash_gives_the_verification_suites_values),
		cmocka_unit_test(hundred_thousand_upstreams_reach_their_worker),
		cmocka_unit_test(walk_finds_every_port_of_a_worker_once),
		cmocka_unit_test(starting_places_differ),
		cmocka_unit_test(a_hash_that_is_not_toeplitz_is_refused),
		cmocka_unit_test(unusable_settings_are_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
