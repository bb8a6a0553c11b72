// SPDX-License-Identifier: Apache-2.0
/*
 * fib_test.c: the longest match by ranges agrees with the longest match by looking at everything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/base/rng.h"
#include "dataplane/net/fib.h"

static const struct fib_iface no_ifaces[PORTS_MAX];

static struct ip_net net_of(const char *text)
{
	struct ip_net n;

	assert_true(ip_net_parse(str_of(text), &n));
	return n;
}

static struct ip_addr addr_of(const char *text)
{
	struct ip_addr a;

	assert_true(ip_parse(str_of(text), &a));
	return a;
}

static struct fib_route route_of(const char *prefix, uint32_t metric, uint8_t port)
{
	return (struct fib_route){.prefix = net_of(prefix),
		.metric = metric,
		.path_count = 1,
		.paths = {{.port = port}}};
}

static void expect(const struct fib *f, const char *dst, const char *prefix)
{
	struct ip_addr a = addr_of(dst);
	const struct fib_route *r = fib_lookup(f, &a);
	struct ip_net n;

	if (prefix == NULL) {
		assert_true(r == NULL || r->path_count == 0);
		return;
	}
	n = net_of(prefix);
	assert_non_null(r);
	assert_true(ip_eq(&r->prefix.addr, &n.addr) && r->prefix.len == n.len);
}

static void an_empty_table_has_no_route(void **state)
{
	const struct fib *f = fib_build(no_ifaces, NULL, 0);

	expect(f, "192.0.2.1", NULL);
	expect(f, "2001:db8::1", NULL);
	expect(f, "::", NULL);
	expect(f, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL);
	fib_free(f);
}

static void the_longest_prefix_wins_and_ends_where_it_ends(void **state)
{
	struct fib_route r[] = {
		route_of("0.0.0.0/0", 0, 0),
		route_of("192.0.2.0/24", 0, 0),
		route_of("192.0.2.128/25", 0, 0),
		route_of("192.0.2.255/32", 0, 0),
		route_of("255.255.255.255/32", 0, 0),
		route_of("0.0.0.0/32", 0, 0),
	};
	const struct fib *f = fib_build(no_ifaces, r, 6);

	expect(f, "192.0.1.255", "0.0.0.0/0");
	expect(f, "192.0.2.0", "192.0.2.0/24");
	expect(f, "192.0.2.127", "192.0.2.0/24");
	expect(f, "192.0.2.128", "192.0.2.128/25");
	expect(f, "192.0.2.254", "192.0.2.128/25");
	expect(f, "192.0.2.255", "192.0.2.255/32");
	expect(f, "192.0.3.0", "0.0.0.0/0");
	expect(f, "255.255.255.255", "255.255.255.255/32");
	expect(f, "255.255.255.254", "0.0.0.0/0");
	expect(f, "0.0.0.0", "0.0.0.0/32");
	expect(f, "0.0.0.1", "0.0.0.0/0");
	fib_free(f);
}

static void families_do_not_fall_through_to_each_other(void **state)
{
	struct fib_route six[] = {route_of("::/0", 0, 0)}, four[] = {route_of("0.0.0.0/0", 0, 0)};
	const struct fib *f = fib_build(no_ifaces, six, 1);

	expect(f, "2001:db8::1", "::/0");
	expect(f, "::1:0:0", "::/0");
	expect(f, "192.0.2.1", NULL);
	fib_free(f);
	f = fib_build(no_ifaces, four, 1);
	expect(f, "192.0.2.1", "0.0.0.0/0");
	expect(f, "2001:db8::1", NULL);
	expect(f, "::fffe:ffff:ffff", NULL);
	expect(f, "::1:0:0:0", NULL);
	fib_free(f);
}

static void of_equal_prefixes_a_port_of_ours_then_the_metric_wins(void **state)
{
	struct fib_route r[] = {
		route_of("0.0.0.0/0", 10, FIB_PORT_NONE),
		route_of("0.0.0.0/0", 300, 1),
		route_of("0.0.0.0/0", 200, 2),
		route_of("0.0.0.0/0", 250, 3),
	};
	const struct fib *f = fib_build(no_ifaces, r, 4);
	struct ip_addr a = addr_of("192.0.2.1");

	assert_int_equal(fib_lookup(f, &a)->paths[0].port, 2);
	fib_free(f);
}

static bool covers(const struct ip_net *n, const struct ip_addr *a)
{
	for (unsigned bit = 0; bit < n->len; bit++)
		if (((n->addr.b[bit / 8] ^ a->b[bit / 8]) >> (7 - bit % 8)) & 1)
			return false;
	return true;
}

/* The oracle: every route is looked at. -1: none. */
static int naive(const struct fib_route *r, unsigned count, const struct ip_addr *a)
{
	int best = -1;

	for (unsigned i = 0; i < count; i++)
		if (covers(&r[i].prefix, a) && (best < 0 || r[i].prefix.len > r[best].prefix.len))
			best = (int)i;
	return best;
}

/* Few distinct bytes, so that prefixes nest and meet. */
static struct ip_addr random_addr(struct rng *g, bool v4)
{
	static const uint8_t some[4] = {0, 1, 0x80, 0xff};
	struct ip_addr a = {{[10] = 0xff, [11] = 0xff}};

	for (unsigned i = v4 ? 12 : 0; i < 16; i++)
		a.b[i] = some[rng_below(g, 4)];
	return a;
}

static struct ip_net random_net(struct rng *g)
{
	bool v4 = rng_below(g, 2);
	struct ip_net n = {random_addr(g, v4), 0};

	n.len = (uint8_t)(v4 ? 96 + rng_below(g, 33) : rng_below(g, 129));
	for (unsigned bit = n.len; bit < 128; bit++)
		n.addr.b[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return n;
}

static void random_tables_agree_with_a_scan(void **state)
{
	static struct fib_route r[65];
	struct rng g;

	rng_seed(&g, 7);
	for (unsigned round = 0; round < 400; round++) {
		unsigned count = (unsigned)rng_below(&g, 64);
		const struct fib *f;

		for (unsigned i = 0; i < count; i++)
			r[i] = (struct fib_route){.prefix = random_net(&g), .path_count = 1};
		f = fib_build(no_ifaces, r, count);
		r[count] = (struct fib_route){.prefix = net_of("0.0.0.0/0")};
		for (unsigned i = 0; i < 200; i++) {
			struct ip_addr a = random_addr(&g, rng_below(&g, 2));
			int want = naive(r, count + 1, &a);
			const struct fib_route *got = fib_lookup(f, &a);

			assert_int_equal(got != NULL, want >= 0);
			if (got != NULL)
				assert_int_equal(got->prefix.len, r[want].prefix.len);
		}
		fib_free(f);
	}
}

static void tables_have_serial_numbers(void **state)
{
	const struct fib *a = fib_build(no_ifaces, NULL, 0), *b = fib_build(no_ifaces, NULL, 0);

	assert_true(fib_serial(a) != fib_serial(b));
	fib_free(a);
	fib_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_table_has_no_route),
		cmocka_unit_test(the_longest_prefix_wins_and_ends_where_it_ends),
		cmocka_unit_test(families_do_not_fall_through_to_each_other),
		cmocka_unit_test(of_equal_prefixes_a_port_of_ours_then_the_metric_wins),
		cmocka_unit_test(random_tables_agree_with_a_scan),
		cmocka_unit_test(tables_have_serial_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
