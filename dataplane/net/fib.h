// SPDX-License-Identifier: Apache-2.0
/*
 * fib.h: where packets go: an immutable mirror of the kernel's addresses, routes and MTUs.
 *
 * host/host_mirror.c builds one from rtnetlink whenever something changed; workers read it through
 * a pointer that is swapped like the configuration (RCU) and copy what lives longer. IPv4 sits in
 * ::ffff:0:0/96, so there is one table; a route never covers the other family.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/ip.h"
#include "dataplane/port/port.h"

#define FIB_ROUTES_MAX 65536u	/* a gateway takes defaults and its sites, not the Internet's table */
#define FIB_PATHS_MAX 8u	/* next hops of one route; more are left out */
#define FIB_IFACE_ADDRS_MAX 16u	/* of one port */
#define FIB_PORT_NONE 0xff	/* the path leaves by an interface that is not ours */

struct fib_path {
	struct ip_addr via;	/* next hop; "any": the destination itself is on the link */
	uint8_t port;		/* index, or FIB_PORT_NONE */
};

struct fib_route {
	struct ip_net prefix;
	uint32_t metric;	/* lower wins among equal prefixes */
	uint32_t path_count;	/* 0: unreachable, blackhole, prohibit */
	struct fib_path paths[FIB_PATHS_MAX];
};

struct fib_iface {
	bool up;		/* administratively up and with carrier */
	uint16_t mtu;		/* IP bytes; never above the port's own */
	uint32_t addr_count;
	struct ip_net addrs[FIB_IFACE_ADDRS_MAX]; /* address (host bits kept) and prefix length */
};

struct fib {
	uint32_t range_count;
	struct fib_iface ifaces[PORTS_MAX];
	const struct fib_range *ranges;	 /* sorted, from :: to ffff:...:ffff without a gap */
	const struct fib_route *routes;
};

/* The route in force from <first> up to the next range's first. */
struct fib_range {
	struct ip_addr first;
	uint32_t route;		/* index, or FIB_RANGE_NONE */
};
#define FIB_RANGE_NONE UINT32_MAX

/*
 * <routes> in any order; of equal prefixes one with a path over a port of ours wins, then the lower
 * metric, then the earlier one. Freed with fib_free(); never NULL (out of memory ends the process).
 */
const struct fib *fib_build(const struct fib_iface *ifaces, const struct fib_route *routes,
	uint32_t count);
void fib_free(const struct fib *f);
/* The longest match, or NULL. */
const struct fib_route *fib_lookup(const struct fib *f, const struct ip_addr *dst);
