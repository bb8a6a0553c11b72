// SPDX-License-Identifier: Apache-2.0
/*
 * csum.h: the Internet checksum (RFC 1071) as partial sums.
 *
 * Sums are of 16-bit words in host memory order; folding and storing in the same order gives the
 * right bytes on any machine. Only the last part of a chain may be of odd length.
 */
#pragma once

#include <stdint.h>
#include <string.h>

#include "dataplane/base/ip.h"

static inline uint64_t csum_add(uint64_t sum, const void *data, uint32_t len)
{
	const uint8_t *p = data;
	uint16_t last = 0;

	for (; len >= 4; len -= 4, p += 4) {
		uint32_t w;

		memcpy(&w, p, 4);
		sum += w;
	}
	if (len >= 2) {
		uint16_t w;

		memcpy(&w, p, 2);
		sum += w;
		len -= 2;
		p += 2;
	}
	if (len > 0) {
		memcpy(&last, p, 1);
		sum += last;
	}
	return sum;
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
