// SPDX-License-Identifier: Apache-2.0
/*
 * ip.h: one type for IPv4 and IPv6 addresses.
 *
 * An IPv4 address is held as its IPv4-mapped IPv6 address ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so
 * tables, keys and comparisons know one form. Bytes are in network order.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/base/str.h"

struct ip_addr {
	uint8_t b[16]; /* network byte order; IPv4 as ::ffff:a.b.c.d */
};

struct ip_net {
	struct ip_addr addr;
	uint8_t len; /* prefix length in the 128-bit form: IPv4 /24 is 120 */
};

#define IP_ADDR_STRLEN 46

static inline bool ip_is_v4(const struct ip_addr *a)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	return memcmp(a->b, mapped, 12) == 0;
}

static inline bool ip_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a->b, b->b, 16) == 0;
}

static inline bool ip_is_any(const struct ip_addr *a)
{
	static const uint8_t zero[16];
	static const uint8_t zero4[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	return memcmp(a->b, zero, 16) == 0 || memcmp(a->b, zero4, 16) == 0;
}

/* <v4> points to 4 bytes in network order. */
static inline struct ip_addr ip_from_v4(const void *v4)
{
	struct ip_addr a = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
	memcpy(a.b + 12, v4, 4);
	return a;
}

static inline struct ip_addr ip_from_v6(const void *v6)
{
	struct ip_addr a;
	memcpy(a.b, v6, 16);
	return a;
}

/* "192.0.2.1" or "2001:db8::1"; false on anything else, *ret untouched. */
bool ip_parse(struct str s, struct ip_addr *ret);
/* "192.0.2.0/24", "2001:db8::/32" or a bare address (host prefix). Host bits must be zero. */
bool ip_net_parse(struct str s, struct ip_net *ret);
/* Text form (RFC 5952) into <buf>, NUL-terminated; returns <buf>. */
char *ip_format(const struct ip_addr *a, char buf[IP_ADDR_STRLEN]);
bool ip_net_contains(const struct ip_net *n, const struct ip_addr *a);
