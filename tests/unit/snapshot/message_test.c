// SPDX-License-Identifier: Apache-2.0
/*
 * message_test.c: every message survives its own wire form; every injury has a name.
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
#include "dataplane/base/cleanup.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/rng.h"
#include "dataplane/snapshot/message.h"

static struct message_scratch scratch, scratch2;
static uint8_t buf[MESSAGE_BYTES_MAX + 64], buf2[MESSAGE_BYTES_MAX + 64];

static const struct message_weight weights[] = {{11, 80}, {22, 20}, {33, 0}};
static const struct message_endpoint endpoints[] = {
	{.id = 1,
		.addr = {{[10] = 0xff, 0xff, 10, 0, 0, 1}},
		.port = 8080,
		.weight = 1,
		.name = {"app-v1-x", 8},
		.cluster = {"us-east", 7}},
	{.id = 2, .addr = {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}}, .port = 65535, .draining = true},
};

static const struct message_cluster clusters[] = {
	{.name = {"us-east", 7}, .unready = 3},
	{.name = {"us-west", 7}, .priority = 2, .remote = true, .withheld = 250},
};

#define HEAD .flags = 1, .session = 0x01020304, .epoch = UINT64_MAX, .seq = 9, .stamp_us = 1234567

static const struct message samples[] = {
	{HEAD, .type = MESSAGE_HELLO,
		.hello = {.name = {"dp0", 3},
			.version = {"0.1.0", 5},
			.text = {"served the previous snapshot", 28},
			.fence = 7,
			.generation = 5,
			.revision = 99,
			.revision_epoch = 6,
			.structure = 1,
			.state = 2,
			.image = 3,
			.draining = true}},
	{HEAD, .type = MESSAGE_WELCOME, .welcome = {.name = {"control", 7}, .version = {"1", 1}}},
	{HEAD, .type = MESSAGE_HEARTBEAT, .heartbeat = {1, 2, 3, 4, false}},
	{HEAD, .type = MESSAGE_SNAPSHOT, .snapshot = {1, 2, 3, 4, 5, {"/var/lib/x", 10}}},
	{HEAD, .type = MESSAGE_ENDPOINTS, .endpoints = {1, 2, 3, 2, endpoints, 2, clusters}},
	{HEAD, .type = MESSAGE_WEIGHTS, .weights = {1, 2, 3, 3, weights}},
	{HEAD, .type = MESSAGE_DRAIN, .drain = {true}},
	{HEAD, .type = MESSAGE_ACK, .ack = {1, 2, 3, MESSAGE_RESULT_SLOTS, {"no room", 7}}},
	{HEAD, .type = MESSAGE_QUERY, .query = {1, {"conns", 5}, {"{\"limit\":\n5}", 12}}},
	{HEAD, .type = MESSAGE_REPLY, .reply = {1, 0, {"{\0}", 3}}},
};
#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static void repair(uint8_t *p, size_t len)
{
	be32_put(p + 36, 0);
	be32_put(p + 36, crc32c(0, p, len));
}

static void every_message_survives_its_wire_form(void **state)
{
	for (size_t i = 0; i < SAMPLES; i++) {
		struct message m;
		size_t n = message_encode(&samples[i], buf, sizeof(buf));

		assert_true(n >= MESSAGE_HEADER_BYTES);
		assert_int_equal(message_decode(buf, n, &scratch, &m), MESSAGE_ERR_NONE);
		assert_int_equal(m.type, samples[i].type);
		assert_true(m.epoch == UINT64_MAX && m.seq == 9 && m.stamp_us == 1234567);
		assert_int_equal(m.session, 0x01020304);
		assert_int_equal(message_encode(&m, buf2, sizeof(buf2)), n);
		assert_memory_equal(buf, buf2, n);
	}
	assert_int_equal(SAMPLES, MESSAGE_TYPE_MAX - 1); /* every type has a sample */
}

static void lists_arrive_whole_and_in_order(void **state)
{
	struct message m;
	size_t n = message_encode(&samples[4], buf, sizeof(buf));

	assert_int_equal(message_decode(buf, n, &scratch, &m), MESSAGE_ERR_NONE);
	assert_int_equal(m.endpoints.count, 2);
	assert_true(str_eq(m.endpoints.e[0].name, STR("app-v1-x")));
	assert_true(str_eq(m.endpoints.e[0].cluster, STR("us-east")));
	assert_true(ip_eq(&m.endpoints.e[1].addr, &endpoints[1].addr));
	assert_true(m.endpoints.e[1].draining && !m.endpoints.e[0].draining);
	assert_int_equal(m.endpoints.cluster_count, 2);
	assert_true(str_eq(m.endpoints.clusters[1].name, STR("us-west")));
	assert_true(m.endpoints.clusters[1].remote && !m.endpoints.clusters[0].remote);
	assert_int_equal(m.endpoints.clusters[0].unready, 3);
	assert_int_equal(m.endpoints.clusters[1].priority, 2);
	assert_int_equal(m.endpoints.clusters[1].withheld, 250);
	n = message_encode(&samples[5], buf, sizeof(buf));
	assert_int_equal(message_decode(buf, n, &scratch, &m), MESSAGE_ERR_NONE);
	assert_int_equal(m.weights.count, 3);
	assert_memory_equal(m.weights.w, weights, sizeof(weights));
}

static void no_cut_message_is_accepted(void **state)
{
	for (size_t i = 0; i < SAMPLES; i++) {
		size_t n = message_encode(&samples[i], buf, sizeof(buf));

		for (size_t cut = 0; cut < n; cut++) {
			autofree uint8_t *copy = malloc(cut ? cut : 1);
			struct message m;

			memcpy(copy, buf, cut);
			assert_int_not_equal(message_decode(copy, cut, &scratch, &m), 0);
		}
	}
}

static void no_flipped_bit_is_accepted(void **state)
{
	for (size_t i = 0; i < SAMPLES; i++) {
		size_t n = message_encode(&samples[i], buf, sizeof(buf));

		for (size_t bit = 0; bit < n * 8; bit++) {
			struct message m;

			buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_int_not_equal(message_decode(buf, n, &scratch, &m), 0);
			buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
}

static void injuries_behind_a_good_checksum_do_no_harm(void **state)
{
	struct rng r;

	rng_seed(&r, 1);
	for (unsigned round = 0; round < 20000; round++) {
		size_t n = message_encode(&samples[rng_below(&r, SAMPLES)], buf, sizeof(buf)), n2;
		struct message m, m2;

		for (uint64_t k = 1 + rng_below(&r, 4); k > 0; k--)
			buf[rng_below(&r, n)] = (uint8_t)rng_u64(&r);
		repair(buf, n);
		if (message_decode(buf, n, &scratch, &m) != MESSAGE_ERR_NONE)
			continue;
		n2 = message_encode(&m, buf2, sizeof(buf2));
		assert_true(n2 > 0 && n2 <= n);
		assert_int_equal(message_decode(buf2, n2, &scratch2, &m2), MESSAGE_ERR_NONE);
	}
}

/* Each row injures a good WEIGHTS message in one way; its first field is at byte 48. */
struct injury {
	const char *name;
	enum message_error want;
	unsigned at, value, bytes; /* a big-endian number written over the message */
	bool unrepaired;
};

static const struct injury injuries[] = {
	{"another magic", MESSAGE_ERR_MAGIC, 0, 0x4142, 2, false},
	{"another major version", MESSAGE_ERR_MAJOR, 2, 2, 1, false},
	{"a header shorter than ours", MESSAGE_ERR_HEADER, 6, 47, 2, false},
	{"a header past the end", MESSAGE_ERR_HEADER, 6, 0xffff, 2, false},
	{"a body longer than it is", MESSAGE_ERR_LENGTH, 32, 0xffffffff, 4, false},
	{"a wrong checksum", MESSAGE_ERR_CHECKSUM, 36, 1, 4, true},
	{"type zero", MESSAGE_ERR_TYPE, 4, 0, 1, false},
	{"a type from the future", MESSAGE_ERR_TYPE, 4, 200, 1, false},
	{"the stream of another type", MESSAGE_ERR_STREAM, 24, 0, 2, false},
	{"a field past the end", MESSAGE_ERR_TRUNCATED, 50, 0x7fffffff, 4, false},
	{"a field whose length wraps", MESSAGE_ERR_TRUNCATED, 50, 0xfffffffc, 4, false},
	{"a number of the wrong length", MESSAGE_ERR_FIELD_LENGTH, 50, 22, 4, false},
	{"a field twice", MESSAGE_ERR_FIELD_TWICE, 62, 1, 2, false},
	{"a required field renamed away", MESSAGE_ERR_FIELD_MISSING, 48, 77, 2, false},
};

static void every_injury_has_its_name(void **state)
{
	for (size_t i = 0; i < sizeof(injuries) / sizeof(injuries[0]); i++) {
		const struct injury *j = &injuries[i];
		size_t n = message_encode(&samples[5], buf, sizeof(buf));
		struct message m = {.type = 99};

		for (unsigned b = 0; b < j->bytes; b++)
			buf[j->at + b] = (uint8_t)(j->value >> 8 * (j->bytes - 1 - b));
		if (!j->unrepaired)
			repair(buf, n);
		if (message_decode(buf, n, &scratch, &m) != j->want)
			fail_msg("%s: %s", j->name,
				message_error_name(message_decode(buf, n, &scratch, &m)));
		if (j->want < MESSAGE_ERR_TYPE)
			assert_int_equal(m.type, 99);
		else
			assert_true(m.seq == 9);
	}
}

static void values_outside_their_range_are_refused(void **state)
{
	struct message m;
	size_t n = message_encode(&samples[6], buf, sizeof(buf));

	buf[n - 1] = 2; /* neither false nor true */
	repair(buf, n);
	assert_int_equal(message_decode(buf, n, &scratch, &m), MESSAGE_ERR_FIELD_VALUE);
	n = message_encode(&samples[1], buf, sizeof(buf));
	buf[MESSAGE_HEADER_BYTES + 6] = '\n'; /* in a name that will be logged */
	repair(buf, n);
	assert_int_equal(message_decode(buf, n, &scratch, &m), MESSAGE_ERR_FIELD_VALUE);
}

static void unknown_fields_and_longer_headers_are_skipped(void **state)
{
	static const uint8_t extra[] = {0x7f, 0xff, 0, 0, 0, 3, 'n', 'e', 'w'};
	size_t n = message_encode(&samples[5], buf, sizeof(buf));
	struct message m;

	memcpy(buf + n, extra, sizeof(extra));
	n += sizeof(extra);
	be32_put(buf + 32, (uint32_t)(n - MESSAGE_HEADER_BYTES));
	repair(buf, n);
	assert_int_equal(message_decode(buf, n, &scratch, &m), MESSAGE_ERR_NONE);
	assert_int_equal(m.weights.count, 3);
	memmove(buf + 56, buf + 48, n - 48);
	memset(buf + 48, 0xaa, 8);
	be16_put(buf + 6, 56);
	repair(buf, n + 8);
	assert_int_equal(message_decode(buf, n + 8, &scratch, &m), MESSAGE_ERR_NONE);
	assert_int_equal(m.weights.count, 3);
}

static void limits_hold_on_both_ends(void **state)
{
	static struct message_weight many[MESSAGE_WEIGHTS_MAX + 1];
	static struct message_endpoint crowd[MESSAGE_ENDPOINTS_MAX];
	static char name[MESSAGE_ENDPOINT_NAME_MAX + 1];
	struct message m = samples[5], out;
	size_t n;

	m.weights.w = many;
	m.weights.count = MESSAGE_WEIGHTS_MAX;
	n = message_encode(&m, buf, sizeof(buf));
	assert_int_equal(message_decode(buf, n, &scratch, &out), MESSAGE_ERR_NONE);
	assert_int_equal(out.weights.count, MESSAGE_WEIGHTS_MAX);
	m.weights.count++;
	assert_int_equal(message_encode(&m, buf, sizeof(buf)), 0);
	/* The same, made by somebody else's encoder. */
	m.weights.count--;
	n = message_encode(&m, buf, sizeof(buf));
	memcpy(buf + n, buf + n - 18, 18);
	be32_put(buf + 32, (uint32_t)(n + 18 - MESSAGE_HEADER_BYTES));
	repair(buf, n + 18);
	assert_int_equal(message_decode(buf, n + 18, &scratch, &out), MESSAGE_ERR_ITEMS);

	memset(name, 'n', sizeof(name));
	for (size_t i = 0; i < MESSAGE_ENDPOINTS_MAX; i++)
		crowd[i] = (struct message_endpoint){.id = i + 1, .port = 1};
	m = samples[4];
	m.endpoints.e = crowd;
	m.endpoints.count = MESSAGE_ENDPOINTS_MAX;
	n = message_encode(&m, buf, sizeof(buf));
	assert_int_equal(message_decode(buf, n, &scratch, &out), MESSAGE_ERR_NONE);
	for (size_t i = 0; i < MESSAGE_ENDPOINTS_MAX; i++)
		crowd[i].name = str_make(name, MESSAGE_ENDPOINT_NAME_MAX);
	assert_int_equal(message_encode(&m, buf, sizeof(buf)), 0); /* over MESSAGE_BYTES_MAX */
	crowd[0].name.len++;
	m.endpoints.count = 1;
	assert_int_equal(message_encode(&m, buf, sizeof(buf)), 0);
	assert_int_equal(message_encode(&samples[0], buf, MESSAGE_HEADER_BYTES + 3), 0);
	memset(buf, 0, sizeof(buf));
	be16_put(buf, MESSAGE_MAGIC);
	assert_int_equal(message_decode(buf, MESSAGE_BYTES_MAX + 1, &scratch, &out),
		MESSAGE_ERR_TOO_LONG);
}

static void digests_name_contents_and_not_their_order(void **state)
{
	struct message_weight w[3] = {weights[2], weights[0], weights[1]};
	struct message_endpoint e[2] = {endpoints[1], endpoints[0]};
	uint64_t dw = message_weights_digest(5, weights, 3);
	uint64_t de = message_endpoints_digest(5, endpoints, 2, clusters, 2);

	assert_true(message_weights_digest(5, w, 3) == dw);
	assert_true(message_endpoints_digest(5, e, 2, clusters, 2) == de);
	assert_true(message_weights_digest(6, weights, 3) != dw);
	assert_true(message_weights_digest(5, weights, 2) != dw);
	assert_true(message_weights_digest(5, NULL, 0) !=
		message_endpoints_digest(5, NULL, 0, NULL, 0));
	w[0].weight ^= 1;
	assert_true(message_weights_digest(5, w, 3) != dw);
	e[1].draining = true;
	assert_true(message_endpoints_digest(5, e, 2, clusters, 2) != de);
	e[1].draining = false;
	e[1].cluster = STR("us-west");
	assert_true(message_endpoints_digest(5, e, 2, clusters, 2) != de);
}

static void digests_name_clusters_and_keep_the_older_versions_value(void **state)
{
	struct message_cluster c[2] = {clusters[1], clusters[0]};
	uint64_t d = message_endpoints_digest(5, endpoints, 2, clusters, 2);

	/* digests of journals on disk that version 1.0 wrote */
	assert_true(message_endpoints_digest(5, endpoints, 2, NULL, 0) == 0x248364383b956848ull);
	assert_true(message_endpoints_digest(5, endpoints, 2, c, 2) == d);
	assert_true(message_endpoints_digest(5, endpoints, 2, c, 1) != d);
	c[0].unready++;
	assert_true(message_endpoints_digest(5, endpoints, 2, c, 2) != d);
	c[0].unready--;
	c[0].withheld++;
	assert_true(message_endpoints_digest(5, endpoints, 2, c, 2) != d);
	c[0].withheld--;
	c[0].priority++;
	assert_true(message_endpoints_digest(5, endpoints, 2, c, 2) != d);
	c[0].priority--;
	c[0].remote = false;
	assert_true(message_endpoints_digest(5, endpoints, 2, c, 2) != d);
}

/* A message of version 1.0 is one of now without clusters: its bytes are kept in the corpus. */
static void an_older_endpoints_message_is_understood(void **state)
{
	FILE *f = fopen(MESSAGE_CORPUS "/endpoints-1.0", "rb");
	struct message m;
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	assert_int_equal(message_decode(buf, n, &scratch, &m), MESSAGE_ERR_NONE);
	assert_int_equal(m.endpoints.count, 2);
	assert_int_equal(m.endpoints.cluster_count, 0);
	assert_true(str_eq(m.endpoints.e[0].cluster, STR("us-east")));
}

static void clusters_outside_their_range_are_refused(void **state)
{
	struct message_cluster c[MESSAGE_CLUSTERS_MAX + 1] = {{.priority = 16}};
	static char name[MESSAGE_ENDPOINT_NAME_MAX + 1];
	struct message m = {.type = MESSAGE_ENDPOINTS, .endpoints.clusters = c}, out;
	size_t n;

	m.endpoints.cluster_count = 1;
	assert_int_equal(message_encode(&m, buf, sizeof(buf)), 0);
	c[0] = (struct message_cluster){.withheld = 1001};
	assert_int_equal(message_encode(&m, buf, sizeof(buf)), 0);
	memset(name, 'n', sizeof(name));
	c[0] = (struct message_cluster){.name = str_make(name, sizeof(name))};
	assert_int_equal(message_encode(&m, buf, sizeof(buf)), 0);
	memset(c, 0, sizeof(c));
	m.endpoints.cluster_count = MESSAGE_CLUSTERS_MAX + 1;
	assert_int_equal(message_encode(&m, buf, sizeof(buf)), 0);
	m.endpoints.cluster_count = MESSAGE_CLUSTERS_MAX;
	n = message_encode(&m, buf, sizeof(buf));
	assert_int_equal(message_decode(buf, n, &scratch, &out), MESSAGE_ERR_NONE);
	assert_int_equal(out.endpoints.cluster_count, MESSAGE_CLUSTERS_MAX);
	/* The same, made by somebody else's encoder: one more, then one out of range. */
	memcpy(buf + n, buf + n - 14, 14);
	be32_put(buf + 32, (uint32_t)(n + 14 - MESSAGE_HEADER_BYTES));
	repair(buf, n + 14);
	assert_int_equal(message_decode(buf, n + 14, &scratch, &out), MESSAGE_ERR_ITEMS);
	n = message_encode(&m, buf, sizeof(buf));
	buf[n - 8] = 16;
	repair(buf, n);
	assert_int_equal(message_decode(buf, n, &scratch, &out), MESSAGE_ERR_FIELD_VALUE);
}

/* message_test --corpus DIR writes the samples as seeds for the fuzzer. */
static int write_corpus(const char *dir)
{
	for (size_t i = 0; i < SAMPLES; i++) {
		size_t n = message_encode(&samples[i], buf, sizeof(buf));
		char path[4096];
		autofclose FILE *f = NULL;

		snprintf(path, sizeof(path), "%s/%s", dir, message_type_str(samples[i].type));
		f = fopen(path, "wb");
		if (f == NULL || fwrite(buf, 1, n, f) != n)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_survives_its_wire_form),
		cmocka_unit_test(lists_arrive_whole_and_in_order),
		cmocka_unit_test(no_cut_message_is_accepted),
		cmocka_unit_test(no_flipped_bit_is_accepted),
		cmocka_unit_test(injuries_behind_a_good_checksum_do_no_harm),
		cmocka_unit_test(every_injury_has_its_name),
		cmocka_unit_test(values_outside_their_range_are_refused),
		cmocka_unit_test(unknown_fields_and_longer_headers_are_skipped),
		cmocka_unit_test(limits_hold_on_both_ends),
		cmocka_unit_test(digests_name_contents_and_not_their_order),
		cmocka_unit_test(digests_name_clusters_and_keep_the_older_versions_value),
		cmocka_unit_test(an_older_endpoints_message_is_understood),
		cmocka_unit_test(clusters_outside_their_range_are_refused),
	};

	if (argc == 3 && strcmp(argv[1], "--corpus") == 0)
		return write_corpus(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
