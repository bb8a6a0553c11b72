// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_segment.c: from bytes to a struct tcp_segment, trusting nothing.
 *
 * The checksum is verified before any field is believed; the sum of a long payload is kept. After
 * this file the mbuf's data is the payload alone; where that came in several mbufs, tcp_rcv.c takes
 * them apart.
 */
#include "dataplane/tcp/tcp_segment.h"

#include "dataplane/base/bytes.h"
#include "dataplane/tcp/tcp_csum.h"

/* RFC 9293 3.1, MUST-3: the receiver MUST check the checksum. */
static bool checksum_is_good(struct rte_mbuf *m, const struct pkt *p)
{
	const uint8_t *h = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t len = p->l4_len, head = (uint32_t)(h[12] >> 4) * 4; /* believed or not: even */
	uint64_t sum;

	if (p->flags & PKT_CSUM_GOOD)
		return true;
	sum = csum_pseudo(&p->src, &p->dst, len);
	if (unlikely(m->nb_segs > 1))
		sum += csum_chain(m, len);
	else if (len >= head + TCP_CSUM_NOTE_MIN)
		sum += csum_words(h, head) + tcp_csum_note(m, head, len - head);
	else
		sum += csum_bytes(h, len);
	return csum_fold(sum) == 0xffff;
}

/* IP has cut the padding off; what is still longer is cut here, what is shorter disagrees. */
static enum tcp_counter check_lengths(struct rte_mbuf *m, const struct pkt *p)
{
	if (p->l4_len < TCP_HEADER_LEN || p->l4_len > m->pkt_len)
		return TCP_N_DROP_LENGTH;
	if (p->l4_len < m->pkt_len)
		pkt_cut(m, p->l4_len);
	if (m->data_len < TCP_HEADER_LEN)
		return TCP_N_DROP_FRAGMENTED;
	return TCP_N_NONE;
}

enum tcp_counter tcp_segment_parse(struct rte_mbuf *m, struct tcp_segment *ret)
{
	const struct pkt *p = pkt_of(m);
	enum tcp_counter why = check_lengths(m, p);
	const uint8_t *h;
	uint32_t hlen;

	if (why != TCP_N_NONE)
		return why;
	if (!checksum_is_good(m, p))
		return TCP_N_DROP_CHECKSUM;
	h = rte_pktmbuf_mtod(m, const uint8_t *);
	hlen = (uint32_t)(h[12] >> 4) * 4;
	if (hlen < TCP_HEADER_LEN || hlen > p->l4_len)
		return TCP_N_DROP_DATA_OFFSET;
	if (hlen > m->data_len)
		return TCP_N_DROP_FRAGMENTED;
	if (!tcp_options_parse(h + TCP_HEADER_LEN, hlen - TCP_HEADER_LEN, &ret->opt))
		return TCP_N_DROP_OPTIONS;
	ret->m = m;
	ret->src = &p->src;
	ret->dst = &p->dst;
	ret->src_port = be16_get(h);
	ret->dst_port = be16_get(h + 2);
	ret->seq = be32_get(h + 4);
	ret->ack = be32_get(h + 8);
	ret->flags = h[13] & 0x3f;
	ret->wnd = be16_get(h + 14);
	ret->len = p->l4_len - hlen;
	rte_pktmbuf_adj(m, (uint16_t)hlen);
	return TCP_N_NONE;
}
