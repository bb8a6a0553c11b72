// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_csum.c: sums carried from the segment that brought a body's bytes to the one that takes them
 * away, so that relayed bytes are summed once.
 *
 * What was summed to verify a segment stays with its mbuf (pkt.sum). A sender takes its bytes from
 * the front: of a slice that is cut, the shorter part is summed and the other one's sum is the
 * difference (RFC 1624 3). Whatever does not begin where the known sum does is summed anew; so is a
 * retransmission, which therefore never repeats a mistake made here.
 */
#include "dataplane/tcp/tcp_csum.h"

uint16_t tcp_csum_note(struct rte_mbuf *m, uint32_t off, uint32_t n)
{
	struct pkt *p = pkt_of(m);

	p->sum = csum_fold(csum_bytes(rte_pktmbuf_mtod_offset(m, const void *, off), n));
	p->sum_off = (uint16_t)(m->data_off + off);
	p->sum_len = (uint16_t)n;
	return p->sum;
}

/* <whole> without <part>. */
static uint16_t less(uint16_t whole, uint16_t part)
{
	return csum_fold((uint64_t)whole + (uint16_t)~part);
}

/* The sum of <n> bytes that begin <off> bytes into the whole. */
static uint16_t sum_at(const uint8_t *b, uint32_t n, uint32_t off)
{
	return csum_fold(csum_add(0, csum_bytes(b, n), off));
}

uint16_t tcp_csum_take(struct rte_mbuf *m, uint32_t off, uint32_t n)
{
	const uint8_t *b = rte_pktmbuf_mtod_offset(m, const uint8_t *, off);
	struct pkt *p = pkt_of(m);
	uint32_t at = m->data_off + off, rest = p->sum_len - n;
	uint16_t sum, left;

	if (p->sum_len < n || p->sum_off != at || rest > m->data_len - off - n)
		return sum_at(b, n, 0);
	if (n <= rest) {
		sum = sum_at(b, n, 0);
		left = less(p->sum, sum);
	} else {
		left = sum_at(b + n, rest, n);
		sum = less(p->sum, left);
	}
	bug_on_hot(sum % 0xffff != sum_at(b, n, 0) % 0xffff);
	p->sum = (n & 1) ? csum_swap(left) : left;
	p->sum_off = (uint16_t)(at + n);
	p->sum_len = (uint16_t)rest;
	return sum;
}
