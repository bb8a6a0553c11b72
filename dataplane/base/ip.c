// SPDX-License-Identifier: Apache-2.0
/*
 * ip.c: text forms of addresses (RFC 5952, RFC 4291), prefixes.
 */
#include "dataplane/base/ip.h"

#include <arpa/inet.h>
#include <stdio.h>

bool ip_parse(struct str s, struct ip_addr *ret)
{
	char text[IP_ADDR_STRLEN];
	uint8_t raw[16];

	if (s.len == 0 || s.len >= sizeof(text) || memchr(s.p, 0, s.len) != NULL)
		return false;
	memcpy(text, s.p, s.len);
	text[s.len] = 0;
	if (inet_pton(AF_INET, text, raw) == 1) {
		*ret = ip_from_v4(raw);
		return true;
	}
	if (inet_pton(AF_INET6, text, raw) == 1) {
		*ret = ip_from_v6(raw);
		return true;
	}
	return false;
}

/* True when all bits after the first <len> are zero. */
static bool host_bits_zero(const struct ip_addr *a, unsigned len)
{
	for (unsigned bit = len; bit < 128; bit++)
		if (a->b[bit / 8] & (0x80u >> (bit % 8)))
			return false;
	return true;
}

bool ip_net_parse(struct str s, struct ip_net *ret)
{
	ptrdiff_t slash = str_find(s, '/');
	struct ip_net n = {.len = 128};
	uint64_t len;

	if (!ip_parse(slash < 0 ? s : str_first(s, (size_t)slash), &n.addr))
		return false;
	if (slash >= 0) {
		unsigned base = str_find(s, ':') < 0 ? 96 : 0;

		if (!str_to_u64(str_from(s, (size_t)slash + 1), &len) || len > 128 - base)
			return false;
		n.len = (uint8_t)(base + len);
	}
	if (!host_bits_zero(&n.addr, n.len))
		return false;
	*ret = n;
	return true;
}

/* A line of the access log has one: inet_ntop() is ten times as long. */
static void format_v4(const uint8_t *b, char *p)
{
	for (unsigned i = 0; i < 4; i++) {
		unsigned v = b[i];

		if (v >= 100)
			*p++ = (char)('0' + v / 100);
		if (v >= 10)
			*p++ = (char)('0' + v / 10 % 10);
		*p++ = (char)('0' + v % 10);
		*p++ = i < 3 ? '.' : '\0';
	}
}

char *ip_format(const struct ip_addr *a, char buf[IP_ADDR_STRLEN])
{
	if (ip_is_v4(a))
		format_v4(a->b + 12, buf);
	else
		inet_ntop(AF_INET6, a->b, buf, IP_ADDR_STRLEN);
	return buf;
}

bool ip_net_contains(const struct ip_net *n, const struct ip_addr *a)
{
	unsigned whole = n->len / 8, rest = n->len % 8;

	if (memcmp(n->addr.b, a->b, whole) != 0)
		return false;
	if (rest == 0)
		return true;
	return ((n->addr.b[whole] ^ a->b[whole]) & (uint8_t)(0xff00u >> rest)) == 0;
}
