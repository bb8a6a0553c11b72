// SPDX-License-Identifier: Apache-2.0
/*
 * csum.h: the Internet checksum (RFC 1071) of IP and ICMP, out of base/csum.h's sums.
 */
#pragma once

#include "dataplane/base/csum.h"
#include "dataplane/base/ip.h"

static inline uint64_t csum_add(uint64_t sum, const void *data, uint32_t len)
{
	return sum + csum_bytes(data, len);
}

/* The checksum field's value, to be stored with memcpy. Over a packet with a right one: 0. */
static inline uint16_t csum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~sum;
}

/* An IPv4 header without options: ten words. */
static inline uint64_t csum_ip4(const uint8_t *h)
{
	uint32_t last;

	memcpy(&last, h + 16, 4);
	return csum_fold32(csum_load(h)) + csum_fold32(csum_load(h + 8)) + last;
}

/* RFC 9293 3.1, RFC 8200 8.1: the pseudo-header, both families. */
static inline uint64_t csum_pseudo(const struct ip_addr *src, const struct ip_addr *dst,
	uint8_t proto, uint32_t len)
{
	unsigned from = ip_is_v4(src) ? 12 : 0;
	uint8_t tail[8] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
		(uint8_t)len, 0, 0, 0, proto};
	uint64_t sum = csum_add(0, src->b + from, 16 - from);

	return csum_add(csum_add(sum, dst->b + from, 16 - from), tail, 8);
}
