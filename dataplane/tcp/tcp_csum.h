// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_csum.h: the Internet checksum (RFC 1071) over pseudo-headers and mbuf chains.
 *
 * Sums are base/csum.h's; a piece that begins at an odd offset is byte-swapped when it is added.
 */
#pragma once

#include <netinet/in.h>

#include "dataplane/base/csum.h"
#include "dataplane/base/ip.h"
#include "dataplane/port/mbufq.h"

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

static inline uint16_t csum_swap(uint16_t sum)
{
	return (uint16_t)(sum << 8 | sum >> 8);
}

/* Adds a piece that begins <off> bytes into the whole. */
static inline uint64_t csum_add(uint64_t sum, uint64_t piece, size_t off)
{
	uint16_t f;

	if ((off & 1) == 0)
		return sum + csum_fold32(piece);
	f = csum_fold(piece);
	return sum + csum_swap(f);
}

/* RFC 9293 3.1 and RFC 8200 8.1: the sums are equal but for the addresses' length. */
static inline uint64_t csum_pseudo(const struct ip_addr *src, const struct ip_addr *dst,
	uint32_t len)
{
	uint64_t sum = (uint64_t)rte_cpu_to_be_32(len) + rte_cpu_to_be_32(IPPROTO_TCP);

	if (ip_is_v4(dst)) {
		uint32_t s4, d4;

		memcpy(&s4, src->b + 12, 4);
		memcpy(&d4, dst->b + 12, 4);
		return sum + s4 + d4;
	}
	return sum + csum_fold32(csum_load(src->b)) + csum_fold32(csum_load(src->b + 8)) +
		csum_fold32(csum_load(dst->b)) + csum_fold32(csum_load(dst->b + 8));
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

#define TCP_CSUM_NOTE_MIN CSUM_WIDE_MIN /* bytes that are worth remembering the sum of */

/* The sum of <n> bytes of <m> from <off> on, remembered by <m>. */
uint16_t tcp_csum_note(struct rte_mbuf *m, uint32_t off, uint32_t n);
/*
 * The same of bytes that are about to be sent: out of what <m> remembers where it can be. <m>
 * remembers the sum of what follows them then.
 */
uint16_t tcp_csum_take(struct rte_mbuf *m, uint32_t off, uint32_t n);
