// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_csum.h: the Internet checksum (RFC 1071) over headers, pseudo-headers and mbuf chains.
 *
 * Sums are kept as unreduced 64-bit totals of 16-bit words in memory order, so partial sums add up
 * in any order; a piece that begins at an odd offset is byte-swapped when it is added.
 */
#pragma once

#include <netinet/in.h>

#include "dataplane/base/ip.h"
#include "dataplane/port/mbufq.h"

static inline uint64_t csum_fold32(uint64_t sum)
{
	return (sum & 0xffffffffu) + (sum >> 32);
}

/* 16 bits, not complemented. */
static inline uint16_t csum_fold(uint64_t sum)
{
	uint32_t s;

	sum = csum_fold32(csum_fold32(sum));
	s = (uint32_t)sum;
	s = (s & 0xffffu) + (s >> 16);
	s = (s & 0xffffu) + (s >> 16);
	return (uint16_t)s;
}

/* Total of <len> bytes; every 32-bit word adds less than 2^32, so 64 bits hold 16 GiB. */
static inline uint64_t csum_bytes(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint64_t sum = 0;

	for (; len >= 8; b += 8, len -= 8) {
		uint64_t v;

		memcpy(&v, b, 8);
		sum += (v & 0xffffffffu) + (v >> 32);
	}
	if (len > 0) {
		uint64_t v = 0;

		memcpy(&v, b, len);
		sum += (v & 0xffffffffu) + (v >> 32);
	}
	return sum;
}

/* Adds a piece that begins <off> bytes into the whole. */
static inline uint64_t csum_add(uint64_t sum, uint64_t piece, size_t off)
{
	uint16_t f;

	if ((off & 1) == 0)
		return sum + csum_fold32(piece);
	f = csum_fold(piece);
	return sum + (uint16_t)((f << 8) | (f >> 8));
}

/* RFC 9293 3.1 and RFC 8200 8.1: the sums are equal but for the addresses' length. */
static inline uint64_t csum_pseudo(const struct ip_addr *src, const struct ip_addr *dst,
	uint32_t len)
{
	size_t skip = ip_is_v4(dst) ? 12 : 0;
	uint8_t tail[8] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
		(uint8_t)len, 0, 0, 0, IPPROTO_TCP};

	return csum_bytes(src->b + skip, 16 - skip) + csum_bytes(dst->b + skip, 16 - skip) +
		csum_bytes(tail, sizeof(tail));
}

/* Total of the first <len> bytes of a chain. */
static inline uint64_t csum_chain(const struct rte_mbuf *m, uint32_t len)
{
	uint64_t sum = 0;

	for (uint32_t off = 0; m != NULL && off < len; m = m->next) {
		uint32_t n = RTE_MIN((uint32_t)m->data_len, len - off);

		sum = csum_add(sum, csum_bytes(rte_pktmbuf_mtod(m, const void *), n), off);
		off += n;
	}
	return sum;
}
