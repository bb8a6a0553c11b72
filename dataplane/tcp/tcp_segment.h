// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_segment.h: one received segment, its header read once.
 */
#pragma once

#include "dataplane/port/mbufq.h"
#include "dataplane/tcp/tcp_counter.h"
#include "dataplane/tcp/tcp_options.h"
#include "dataplane/tcp/tcp_seq.h"

#define TCP_HEADER_LEN 20u

enum { /* RFC 9293 3.1, the bits of byte 13 */
	TCP_FIN = 0x01,
	TCP_SYN = 0x02,
	TCP_RST = 0x04,
	TCP_PSH = 0x08,
	TCP_ACK = 0x10,
	TCP_URG = 0x20,
};

struct tcp_segment {
	struct rte_mbuf *m;		 /* owned; its data is the payload; NULL once handed on */
	const struct ip_addr *src, *dst; /* in the mbuf's struct pkt: as long as <m> lives */
	uint16_t src_port, dst_port;	 /* host order */
	uint32_t seq, ack;
	uint32_t len; /* payload bytes, as left by trimming */
	uint16_t wnd; /* as on the wire */
	uint8_t flags;
	struct tcp_options opt;
};

/*
 * Reads the TCP header at the start of <m> and strips it. TCP_N_NONE when the segment is good,
 * else the drop's counter; <m> stays the caller's then.
 */
enum tcp_counter tcp_segment_parse(struct rte_mbuf *m, struct tcp_segment *ret);

/* RFC 9293 3.3.1: SEG.LEN counts SYN and FIN. */
static inline uint32_t tcp_segment_len(const struct tcp_segment *s)
{
	return s->len + ((s->flags & TCP_SYN) != 0) + ((s->flags & TCP_FIN) != 0);
}

/* Drops the first <n> payload bytes. */
static inline void tcp_segment_trim_front(struct tcp_segment *s, uint32_t n)
{
	pkt_skip(s->m, n);
	s->seq += n;
	s->len -= n;
}

/* Drops the last <n> payload bytes, and with them the FIN; a bare FIN stays. */
static inline void tcp_segment_trim_back(struct tcp_segment *s, uint32_t n)
{
	if (n == 0)
		return;
	pkt_cut(s->m, s->m->pkt_len - n);
	s->len -= n;
	s->flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
}
