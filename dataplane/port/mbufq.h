// SPDX-License-Identifier: Apache-2.0
/*
 * mbufq.h: packets' metadata and queues of mbufs, the bodies' "slices".
 *
 * Every mbuf of our pools carries a struct pkt in its private area. A body slice is one
 * single-segment mbuf whose data_off/data_len delimit the bytes; slices are chained through
 * pkt.next, never through rte_mbuf.next (that one is for a frame to send, and for one that came in
 * several buffers until TCP takes it apart). Moving a body from one connection to the other moves
 * queue links and copies nothing.
 *
 * Credit: an mbuf that was received into a connection is charged to that connection's receive
 * budget by its truesize until somebody frees it and hands the charge back (tcp.h:
 * tcp_released_take, tcp_credit). pkt.charge carries the amount; splitting and merging conserve it.
 */
#pragma once

#include <rte_mbuf.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/prefetch.h"
#include "dataplane/port/poison.h" /* hooks of sanitizer builds: alloc, append, adj, ... */

/* Private area of an mbuf, 64 bytes = one cache line. */
struct pkt {
	struct rte_mbuf *next;	 /* next in a struct mbufq */
	struct ip_addr src, dst; /* filled by ip4_input / ip6_input */
	uint32_t seq;		 /* TCP: sequence number of the first byte, host order */
	uint32_t charge;	 /* bytes to hand back when this mbuf is freed; 0: not charged */
	uint16_t l4_len;	 /* bytes from the L4 header to the end of the IP payload */
	uint8_t proto;		 /* IPPROTO_TCP, ... */
	uint8_t ttl;		 /* TTL or hop limit as received */
	uint8_t ecn;		 /* low two bits of TOS / traffic class */
	uint8_t port;		 /* index of the port it came in by */
	uint8_t flags;		 /* PKT_* */
	uint8_t worker;		 /* worker whose pool it came from */
	uint16_t sum;		 /* RFC 1071, of the bytes as they were received ... */
	uint16_t sum_off;	 /* ... from here on in the buffer, as data_off */
	uint16_t sum_len;	 /* ... so many; 0: nobody knows a sum */
	uint16_t unused;
};
#define PKT_CSUM_GOOD 0x01  /* L4 checksum known good (NIC said so) */
#define PKT_FIN 0x02	    /* TCP: a FIN follows the last byte */
#define PKT_TRACED 0x04	    /* `sluicectl trace` wants this packet's walk */
#define PKT_OTHER_HOST 0x08 /* not for a VIP or source: belongs to the host interface */
#define PKT_L2_GROUP 0x10   /* came in a broadcast or multicast frame */

_Static_assert(sizeof(struct pkt) == 64, "struct pkt is one cache line of private area");

#define PKT_PRIV_SIZE RTE_ALIGN(sizeof(struct pkt), RTE_MBUF_PRIV_ALIGN)

static inline struct pkt *pkt_of(struct rte_mbuf *m)
{
	return rte_mbuf_to_priv(m);
}

/*
 * Called by whoever writes into an mbuf that was received: its sum is no longer that of its bytes.
 * Moving the ends of the data needs no call, the sum's own place tells.
 */
static inline void pkt_sum_forget(struct rte_mbuf *m)
{
	pkt_of(m)->sum_len = 0;
}

/*
 * Asks for the buffer that the third allocation from now will hand out. What goes into one that was
 * sent long ago is written to memory, and the stores that wait for it soon hold up all others.
 */
static inline void pkt_alloc_ahead(struct rte_mempool *pool)
{
	const struct rte_mempool_cache *c = rte_mempool_default_cache(pool, rte_lcore_id());
	char *m;

	if (c == NULL || c->len < 3)
		return;
	m = (char *)c->objs[c->len - 3];
	prefetch_for_write(m);
	prefetch_for_write(m + PREFETCH_LINE);
	prefetch_for_write(m + sizeof(struct rte_mbuf));
	m += sizeof(struct rte_mbuf) + PKT_PRIV_SIZE + RTE_PKTMBUF_HEADROOM - PREFETCH_LINE;
#pragma GCC unroll 6
	for (unsigned i = 0; i < 6; i++)
		prefetch_for_write(m + (size_t)i * PREFETCH_LINE);
}

/* Memory that an mbuf really pins, for budgets. */
static inline uint32_t pkt_truesize(const struct rte_mbuf *m)
{
	return (uint32_t)(m->buf_len + sizeof(struct rte_mbuf) + PKT_PRIV_SIZE);
}

/* Of a frame in one mbuf or several: keeps the first <len> bytes (len <= m->pkt_len). */
void pkt_cut(struct rte_mbuf *m, uint32_t len);
/* Drops the first <n> bytes (n <= m->pkt_len); the first mbuf stays, if need be empty. */
void pkt_skip(struct rte_mbuf *m, uint32_t n);
/* Takes the first mbuf off; returns the others, their pkt begun, or NULL. */
struct rte_mbuf *pkt_unchain(struct rte_mbuf *m);

struct mbufq {
	struct rte_mbuf *head, *tail; /* owned; NULL when empty */
	uint32_t bytes;		      /* sum of data_len */
	uint32_t count;		      /* mbufs */
};

static inline void mbufq_init(struct mbufq *q)
{
	*q = (struct mbufq){NULL, NULL, 0, 0};
}

static inline bool mbufq_is_empty(const struct mbufq *q)
{
	return q->head == NULL;
}

/* Takes <m>. */
static inline void mbufq_push(struct mbufq *q, struct rte_mbuf *m)
{
	pkt_of(m)->next = NULL;
	if (q->tail != NULL)
		pkt_of(q->tail)->next = m;
	else
		q->head = m;
	q->tail = m;
	q->bytes += m->data_len;
	q->count++;
}

/* NULL when empty; the caller owns the mbuf. */
static inline struct rte_mbuf *mbufq_pop(struct mbufq *q)
{
	struct rte_mbuf *m = q->head;

	if (m == NULL)
		return NULL;
	q->head = pkt_of(m)->next;
	if (q->head == NULL)
		q->tail = NULL;
	q->bytes -= m->data_len;
	q->count--;
	pkt_of(m)->next = NULL;
	return m;
}

/* Appends all of <src>, which is empty afterwards. */
static inline void mbufq_move(struct mbufq *dst, struct mbufq *src)
{
	if (src->head == NULL)
		return;
	if (dst->tail != NULL)
		pkt_of(dst->tail)->next = src->head;
	else
		dst->head = src->head;
	dst->tail = src->tail;
	dst->bytes += src->bytes;
	dst->count += src->count;
	mbufq_init(src);
}

/* Frees all mbufs; returns the sum of their charges. */
static inline uint32_t mbufq_free(struct mbufq *q)
{
	uint32_t charge = 0;
	struct rte_mbuf *m;

	while ((m = mbufq_pop(q)) != NULL) {
		charge += pkt_of(m)->charge;
		rte_pktmbuf_free(m);
	}
	return charge;
}

/*
 * Drops the first <n> bytes (n <= q->bytes); mbufs that become empty are freed. Returns the sum of
 * the freed mbufs' charges.
 */
uint32_t mbufq_trim(struct mbufq *q, uint32_t n);
/*
 * Moves the first <n> bytes (n <= src->bytes) to the end of <dst>. An mbuf that straddles the cut
 * is divided: its first part is copied into a fresh mbuf of <pool> when short (<= 256 bytes),
 * else referenced by an indirect mbuf; the charge stays with the later part. False when the pool
 * is empty: then nothing after the last whole mbuf was moved.
 */
bool mbufq_split(struct mbufq *dst, struct mbufq *src, uint32_t n, struct rte_mempool *pool);
/* Copies up to <n> bytes from offset <off> to <buf>; returns how many there were. */
uint32_t mbufq_copy(const struct mbufq *q, uint32_t off, uint32_t n, void *buf);
/* Appends bytes, filling tailroom of an unshared last mbuf first. False when the pool is empty. */
bool mbufq_append(struct mbufq *q, const void *data, uint32_t len, struct rte_mempool *pool);
