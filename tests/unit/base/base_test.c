// SPDX-License-Identifier: Apache-2.0
/*
 * base_test.c: the shared ground: hashes against published values, slices, addresses, arenas, and
 * the timer wheel against a naive list on random operations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/arena.h"
#include "dataplane/base/csum.h"
#include "dataplane/base/err.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/hex.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/rng.h"
#include "dataplane/base/str.h"
#include "dataplane/base/timer_wheel.h"

static void siphash_gives_the_papers_value(void **state)
{
	struct hash_key k = {{0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull}};
	uint8_t in[15];

	for (uint8_t i = 0; i < 15; i++)
		in[i] = i;
	assert_true(siphash(&k, in, 15) == 0xa129ca6149be45e5ull);
}

static void crc32c_gives_rfc3720_values(void **state)
{
	uint8_t b[32];

	memset(b, 0, 32);
	assert_int_equal(crc32c(0, b, 32), 0x8a9136aa);
	memset(b, 0xff, 32);
	assert_int_equal(crc32c(0, b, 32), 0x62a8ab43);
	assert_int_equal(crc32c(crc32c(0, b, 7), b + 7, 25), 0x62a8ab43);
}

/* RFC 1071 1: the sum of 16-bit words, here modulo 2^16 - 1. */
static uint32_t sum_by_the_book(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? p[i] : (uint32_t)p[i] << 8;
	return (uint32_t)(sum % 0xffff);
}

static void checksums_of_all_lengths_are_by_the_book(void **state)
{
	struct rng rng;
	uint8_t b[2200];

	rng_seed(&rng, 5);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < sizeof(b); i++)
			b[i] = round == 0 ? 0xff : (uint8_t)rng_u64(&rng);
		for (size_t len = 0; len < sizeof(b) - 8; len++) {
			const uint8_t *p = b + len % 8;
			uint32_t want = sum_by_the_book(p, len);

			assert_int_equal(csum_words(p, len) % 0xffff, want);
			assert_int_equal(csum_bytes(p, len) % 0xffff, want);
		}
	}
}

static void numbers_are_strict(void **state)
{
	static const char *const bad[] = {"", "+1", "-1", " 1", "1 ", "0x1",
		"18446744073709551616"};
	uint64_t v = 7;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(str_to_u64(str_of(bad[i]), &v));
	assert_true(v == 7);
	assert_true(str_to_u64(STR("18446744073709551615"), &v));
	assert_true(v == UINT64_MAX);
}

static void slices_cut_and_trim(void **state)
{
	struct str rest = STR("a,,b");

	assert_true(str_eq(str_cut(&rest, ','), STR("a")));
	assert_true(str_eq(str_cut(&rest, ','), STR("")));
	assert_true(str_eq(str_cut(&rest, ','), STR("b")));
	assert_null(rest.p);
	assert_true(str_eq(str_trim(STR(" \tx y\t ")), STR("x y")));
	assert_true(str_ieq(STR("Host"), STR("hOST")));
	assert_int_equal(str_rfind(STR("a:b:c"), ':'), 3);
}

static void words_fold_as_single_letters_do(void **state)
{
	char in[256 + 24], out[sizeof(in)];

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (char)(i * 37); /* every byte, beside many others */
	for (size_t at = 0; at < 256; at++)
		for (size_t len = 0; len <= 24; len++) {
			str_lower(out, str_make(in + at, len));
			for (size_t i = 0; i < len; i++)
				assert_int_equal(out[i], ascii_lower(in[at + i]));
		}
}

static void hexadecimal_twins_agree(void **state)
{
	char text[17] = {0};
	struct rng r;

	hex_digits_portable(text, 0xf0debc9a78563412);
	assert_string_equal(text, "123456789abcdef0");
	rng_seed(&r, 3);
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t v = rng_u64(&r);
		char a[16], b[16];

		hex_digits(a, v);
		hex_digits_portable(b, v);
		assert_memory_equal(a, b, 16);
	}
}

static void addresses_parse_and_print(void **state)
{
	static const char *const same[] = {"192.0.2.1", "2001:db8::1", "::", "0.0.0.0",
		"255.254.100.99", "10.9.101.200"};
	char buf[IP_ADDR_STRLEN];
	struct ip_addr a;
	struct ip_net n;

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_true(ip_parse(str_of(same[i]), &a));
		assert_string_equal(ip_format(&a, buf), same[i]);
	}
	assert_false(ip_parse(STR("192.0.2.256"), &a));
	assert_false(ip_parse(STR("192.0.2.1 "), &a));
	assert_false(ip_net_parse(STR("192.0.2.1/24"), &n));
	assert_true(ip_net_parse(STR("192.0.2.0/23"), &n));
	assert_true(ip_parse(STR("192.0.3.255"), &a) && ip_net_contains(&n, &a));
	assert_true(ip_parse(STR("192.0.4.0"), &a) && !ip_net_contains(&n, &a));
	assert_false(ip_net_parse(STR("192.0.2.0/33"), &n));
}

static void arena_refuses_beyond_its_limit(void **state)
{
	struct arena a;

	arena_init(&a, 64);
	assert_non_null(arena_alloc(&a, 48));
	assert_null(arena_alloc(&a, 17));
	assert_true(a.overflow);
	arena_fini(&a);
	arena_init(&a, 0);
	assert_string_equal(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
	arena_fini(&a);
}

static void errors_are_wrapped_in_front(void **state)
{
	struct err e;

	assert_int_equal(err_set(&e, 22, "weight %d", -1), -22);
	err_wrap(&e, "rule %d", 2);
	assert_string_equal(e.msg, "rule 2: weight -1");
}

#define TIMERS 300

struct wheel_world {
	struct timer_wheel w;
	struct timer t[TIMERS];
	uint64_t want[TIMERS]; /* the oracle: TIMER_NEVER when disarmed */
	struct rng rng;
};

static void on_timer(struct timer *t, uint64_t now_us, void *ctx)
{
	struct wheel_world *x = ctx;
	size_t i = (size_t)(t - x->t);

	assert_true(x->want[i] <= now_us);
	x->want[i] = TIMER_NEVER;
	if (rng_below(&x->rng, 4) == 0) {
		x->want[i] = now_us + rng_below(&x->rng, 100000);
		timer_set(&x->w, t, x->want[i]);
	}
}

static uint64_t random_delay(struct rng *r)
{
	static const uint64_t reach[] = {2000, 300000, 80000000, 30000000000ull, 9000000000000ull};

	return rng_below(r, reach[rng_below(r, 5)]);
}

static void wheel_fires_as_a_naive_list_would(void **state)
{
	static struct wheel_world x;
	uint64_t now = 123456789;

	rng_seed(&x.rng, 1);
	timer_wheel_init(&x.w, now);
	for (int i = 0; i < TIMERS; i++) {
		timer_init(&x.t[i]);
		x.want[i] = TIMER_NEVER;
	}
	for (int step = 0; step < 20000; step++) {
		size_t i = rng_below(&x.rng, TIMERS);
		uint64_t next;

		x.want[i] = rng_below(&x.rng, 5) ? now + random_delay(&x.rng) : TIMER_NEVER;
		timer_set(&x.w, &x.t[i], x.want[i]);
		next = timer_wheel_next_us(&x.w);
		for (int k = 0; k < TIMERS; k++)
			if (x.want[k] != TIMER_NEVER && x.want[k] > now)
				assert_true(next <= x.want[k] + TIMER_TICK_US);
		now += step % 100 == 0 ? rng_below(&x.rng, 3000000000ull)
				       : rng_below(&x.rng, 20000);
		while (timer_wheel_run(&x.w, now, 16, on_timer, &x) == 16)
			;
		for (int k = 0; k < TIMERS; k++)
			assert_true(x.want[k] + TIMER_TICK_US >= now || x.want[k] == TIMER_NEVER);
	}
	for (int i = 0; i < TIMERS; i++)
		timer_cancel(&x.w, &x.t[i]);
	assert_true(x.w.armed_count == 0);
	assert_true(timer_wheel_next_us(&x.w) == TIMER_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_gives_the_papers_value),
		cmocka_unit_test(crc32c_gives_rfc3720_values),
		cmocka_unit_test(checksums_of_all_lengths_are_by_the_book),
		cmocka_unit_test(numbers_are_strict),
		cmocka_unit_test(slices_cut_and_trim),
		cmocka_unit_test(words_fold_as_single_letters_do),
		cmocka_unit_test(hexadecimal_twins_agree),
		cmocka_unit_test(addresses_parse_and_print),
		cmocka_unit_test(arena_refuses_beyond_its_limit),
		cmocka_unit_test(errors_are_wrapped_in_front),
		cmocka_unit_test(wheel_fires_as_a_naive_list_would),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
