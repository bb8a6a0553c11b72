// SPDX-License-Identifier: Apache-2.0
/*
 * fib.h: where packets go: an immutable mirror of the kernel's addresses, routes and MTUs.
 *
 * host/mirror.c builds one from rtnetlink whenever something changed; workers read it through a
 * pointer that is swapped like the configuration (RCU) and copy what lives longer. IPv4 sits in
 * ::ffff:0:0/96, so there is one table; a route never covers the other family.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/ip.h"
#include "dataplane/port/port.h"

#define FIB_ROUTES_MAX 65536u	/* defaults and sites, not the Internet's table */
#define FIB_PATHS_MAX 8u	/* next hops of one route; more are left out */
#define FIB_IFACE_ADDRS_MAX 16u /* of one port */
#define FIB_PORT_NONE 0xff	/* the path leaves by an interface that is not ours */

struct fib;

struct fib_path {
	struct ip_addr via; /* next hop; "any": the destination itself is on the link */
	uint8_t port;	    /* index, or FIB_PORT_NONE */
};

struct fib_route {
	struct ip_net prefix; /* host bits are zero */
	uint32_t metric;      /* lower wins among equal prefixes */
	uint32_t path_count;  /* 0: unreachable, blackhole, prohibit */
	struct fib_path paths[FIB_PATHS_MAX];
};

struct fib_iface {
	bool up;      /* administratively up and with carrier */
	uint16_t mtu; /* IP bytes */
	uint32_t addr_count;
	struct ip_net addrs[FIB_IFACE_ADDRS_MAX]; /* the kernel's, host bits kept */
};

/*
 * <ifaces> has PORTS_MAX entries. <routes> come in any order; of equal prefixes one with a path
 * over a port of ours wins, then the lower metric, then the earlier one. Never NULL: running out of
 * memory ends the process.
 */
const struct fib *fib_build(const struct fib_iface *ifaces, const struct fib_route *routes,
	uint32_t count);
void fib_free(const struct fib *f);
/* The longest match, or NULL. */
const struct fib_route *fib_lookup(const struct fib *f, const struct ip_addr *dst);
const struct fib_iface *fib_iface(const struct fib *f, unsigned port);
uint32_t fib_route_count(const struct fib *f);
/* Different for every table of this process: a pointer alone may come back to life. */
uint64_t fib_serial(const struct fib *f);
