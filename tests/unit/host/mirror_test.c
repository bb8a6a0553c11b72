// SPDX-License-Identifier: Apache-2.0
/*
 * mirror_test.c: what `ip route` and `ip addr` are told is what the dataplane's table says.
 *
 * Runs in a network namespace of its own with two veth pairs: p0 is a port of ours, x0 is not.
 * Without the right to make a namespace there is nothing to test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dataplane/host/mirror.h"
#include "tests/unit/skip.h"

static struct port ports[2] = {{.name = "wan", .profile = PORT_AF_PACKET, .mtu = 1500},
	{.name = "lab", .profile = PORT_TAP, .index = 1, .mtu = 1500}};
static struct mirror *mirror;
static const struct fib *fib;

static void ip(const char *args)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "ip %s", args);
	if (system(cmd) != 0)
		fail_msg("%s", cmd);
}

static void read_again(void)
{
	const struct fib *f = NULL;
	struct err err;

	if (mirror_read(mirror, &f, &err) < 0)
		fail_msg("%s", err.msg);
	if (f == NULL)
		return;
	fib_free(fib);
	fib = f;
}

static struct ip_addr addr_of(const char *text)
{
	struct ip_addr a;

	assert_true(ip_parse(str_of(text), &a));
	return a;
}

static const struct fib_route *route(const char *dst)
{
	struct ip_addr a = addr_of(dst);

	return fib_lookup(fib, &a);
}

/* The only path to <dst> goes by <port> over <via> (NULL: it is on the link). */
static void expect_path(const char *dst, uint8_t port, const char *via)
{
	const struct fib_route *r = route(dst);

	assert_non_null(r);
	assert_int_equal(r->path_count, 1);
	assert_int_equal(r->paths[0].port, port);
	if (via == NULL) {
		assert_true(ip_is_any(&r->paths[0].via));
	} else {
		struct ip_addr want = addr_of(via);

		assert_true(ip_eq(&r->paths[0].via, &want));
	}
}

static int setup(void **state)
{
	struct err err;

	ip("link add p0 type veth peer name q0");
	ip("link add x0 type veth peer name y0");
	ip("link set q0 up");
	ip("link set y0 up");
	ip("link set p0 up mtu 1400");
	ip("link set x0 up");
	ip("addr add 192.0.2.2/24 dev p0");
	ip("addr add 2001:db8::2/64 dev p0 nodad");
	ip("addr add 198.51.100.2/24 dev x0");
	ports[0].ifindex = if_nametoindex("p0");
	if (mirror_open(ports, 1, &mirror, &err) < 0)
		return -1;
	read_again();
	return 0;
}

static int teardown(void **state)
{
	mirror_close(mirror);
	fib_free(fib);
	fib = NULL;
	ip("link del p0");
	ip("link del x0");
	ip("route flush table main"); /* blackholes hang on no link */
	return 0;
}

static void links_and_addresses_are_seen(void **state)
{
	const struct fib_iface *f = fib_iface(fib, 0);
	struct ip_addr v4 = addr_of("192.0.2.2"), v6 = addr_of("2001:db8::2");
	unsigned found = 0;

	assert_true(f->up);
	assert_int_equal(f->mtu, 1400);
	for (unsigned i = 0; i < f->addr_count; i++) {
		found += ip_eq(&f->addrs[i].addr, &v4) && f->addrs[i].len == 120;
		found += ip_eq(&f->addrs[i].addr, &v6) && f->addrs[i].len == 64;
	}
	assert_int_equal(found, 2);
	expect_path("192.0.2.77", 0, NULL);
	expect_path("2001:db8::77", 0, NULL);
	assert_true(route("203.0.113.1") == NULL || route("203.0.113.1")->path_count == 0);
}

static void gateways_are_next_hops(void **state)
{
	ip("route add default via 192.0.2.1");
	ip("route add 203.0.113.0/24 via 192.0.2.3");
	ip("-6 route add default via 2001:db8::1 dev p0");
	read_again();
	expect_path("203.0.113.9", 0, "192.0.2.3");
	expect_path("8.8.8.8", 0, "192.0.2.1");
	expect_path("2001:4860::1", 0, "2001:db8::1");
	ip("route del 203.0.113.0/24");
	read_again();
	expect_path("203.0.113.9", 0, "192.0.2.1");
}

static void multipath_routes_keep_their_paths(void **state)
{
	const struct fib_route *r;

	ip("route add 203.0.113.0/24 nexthop via 192.0.2.3 nexthop via 192.0.2.4 "
	   "nexthop via 198.51.100.1");
	ip("-6 route add 2001:db8:1::/48 nexthop via 2001:db8::3 dev p0 "
	   "nexthop via 2001:db8::4 dev p0");
	read_again();
	r = route("203.0.113.1");
	assert_int_equal(r->path_count, 3);
	assert_int_equal(r->paths[0].port, 0);
	assert_int_equal(r->paths[1].port, 0);
	assert_int_equal(r->paths[2].port, FIB_PORT_NONE);
	r = route("2001:db8:1::1");
	assert_int_equal(r->path_count, 2);
}

static void routes_elsewhere_are_kept_as_such(void **state)
{
	ip("route add default via 192.0.2.1");
	ip("route add 203.0.113.0/24 via 198.51.100.1");
	read_again();
	expect_path("203.0.113.1", FIB_PORT_NONE, "198.51.100.1");
	expect_path("203.0.114.1", 0, "192.0.2.1");
}

static void refusing_routes_have_no_path(void **state)
{
	ip("route add default via 192.0.2.1");
	ip("route add blackhole 203.0.113.0/25");
	ip("route add unreachable 203.0.113.128/25");
	read_again();
	assert_int_equal(route("203.0.113.1")->path_count, 0);
	assert_int_equal(route("203.0.113.200")->path_count, 0);
}

static void ipv4_may_go_over_an_ipv6_next_hop(void **state)
{
	ip("route add 203.0.113.0/24 via inet6 2001:db8::9 dev p0");
	read_again();
	expect_path("203.0.113.1", 0, "2001:db8::9");
}

static void other_tables_do_not_count(void **state)
{
	ip("route add 203.0.113.0/24 via 192.0.2.3 table 77");
	read_again();
	assert_true(route("203.0.113.1") == NULL || route("203.0.113.1")->path_count == 0);
}

static void a_link_that_goes_down_is_noticed(void **state)
{
	mirror_drain(mirror);
	ip("link set q0 down");
	/* The kernel tells the other end of a pair by a worker of its own, soon. */
	for (unsigned i = 0; i < 500 && fib_iface(fib, 0)->up; i++) {
		usleep(10000);
		if (mirror_drain(mirror))
			read_again();
	}
	assert_false(fib_iface(fib, 0)->up);
}

static void a_nic_without_carrier_is_down_though_its_netdev_is_up(void **state)
{
	while (mirror_drain(mirror))
		;
	ports[0].profile = PORT_PCI;
	ports[0].lanes[0] = RTE_MAX_ETHPORTS - 1; /* a device that is gone */
	assert_true(mirror_drain(mirror));	  /* the kernel knows nothing of it */
	read_again();
	ports[0].profile = PORT_AF_PACKET;
	assert_false(fib_iface(fib, 0)->up);
	assert_int_equal(fib_iface(fib, 0)->mtu, 1400);
	expect_path("192.0.2.77", 0, NULL);
}

static void nothing_new_is_nothing(void **state)
{
	const struct fib *f = NULL;
	struct err err;

	mirror_drain(mirror);
	assert_false(mirror_drain(mirror));
	assert_int_equal(mirror_read(mirror, &f, &err), 0);
	assert_null(f);
	ip("route add 203.0.113.0/24 via 192.0.2.3");
	assert_true(mirror_drain(mirror));
	assert_int_equal(mirror_read(mirror, &f, &err), 0);
	assert_non_null(f);
	fib_free(f);
}

/* The kernel may hold the Internet's table: what fits is served, the program does not give up. */
static void a_table_too_large_is_cut_and_no_failure(void **state)
{
	assert_false(mirror_is_cut(mirror));
	assert_int_equal(system("awk 'BEGIN { for (i = 0; i < 65600; i++) printf "
				"\"route add blackhole 10.%d.%d.%d\\n\", "
				"i / 65536, i / 256 % 256, i % 256 }' | ip -batch -"),
		0);
	read_again();
	assert_true(fib_route_count(fib) >= FIB_ROUTES_MAX);
	assert_true(mirror_is_cut(mirror));
	assert_int_equal(route("10.0.0.9")->path_count, 0);
}

/* Here x0 plays the kernel's side of a tap: its addresses are our neighbour's. */
static void behind_a_tap_the_kernel_is_our_router(void **state)
{
	struct err err;

	mirror_close(mirror);
	ports[1].ifindex = if_nametoindex("x0");
	assert_int_equal(mirror_open(ports, 2, &mirror, &err), 0);
	ip("link add z0 type veth peer name w0");
	ip("link set w0 up");
	ip("link set z0 up");
	ip("addr add 10.9.0.1/24 dev z0");
	read_again();
	assert_int_equal(fib_iface(fib, 1)->addr_count, 0);
	expect_path("198.51.100.77", 1, NULL);
	expect_path("10.9.0.5", 1, "198.51.100.2");
	expect_path("8.8.8.8", 1, "198.51.100.2");
	expect_path("192.0.2.9", 0, NULL);
	ip("link del z0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(links_and_addresses_are_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(gateways_are_next_hops, setup, teardown),
		cmocka_unit_test_setup_teardown(multipath_routes_keep_their_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(routes_elsewhere_are_kept_as_such, setup, teardown),
		cmocka_unit_test_setup_teardown(refusing_routes_have_no_path, setup, teardown),
		cmocka_unit_test_setup_teardown(ipv4_may_go_over_an_ipv6_next_hop, setup, teardown),
		cmocka_unit_test_setup_teardown(other_tables_do_not_count, setup, teardown),
		cmocka_unit_test_setup_teardown(a_link_that_goes_down_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_nic_without_carrier_is_down_though_its_netdev_is_up, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_new_is_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_table_too_large_is_cut_and_no_failure, setup,
			teardown),
		cmocka_unit_test_setup_teardown(behind_a_tap_the_kernel_is_our_router, setup,
			teardown),
	};

	if (unshare(CLONE_NEWNET) < 0)
		return skip_all("root, to make a network namespace");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
