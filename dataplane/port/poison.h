// SPDX-License-Identifier: Apache-2.0
/*
 * poison.h: makes AddressSanitizer understand mbufs.
 *
 * Packet memory is one big mapping, so a sanitizer sees no edges in it: reading behind a packet or
 * using one after its release looks harmless. In sanitizer builds the pools of port_pool_new()
 * therefore mark by hand what may be touched:
 *   - an mbuf in its pool is poisoned from its header to the end of its buffer: every use after
 *     release, a second release included, is a report;
 *   - of an mbuf in use only [data, data + data_len) is open: headroom and tailroom open as they
 *     are given out by prepend and append, and close again behind adj and trim.
 * The house's code reaches the mbuf functions below through mbufq.h, so the hooks cost it nothing
 * to use. Drivers are not hooked: they get open buffers from the pool, and port_rx() closes head-
 * and tailroom when a packet enters. Edges at the end are exact to the byte; at the start shadow
 * granules make them exact to eight.
 *
 * Other builds see only the DPDK functions.
 */
#pragma once

#include <rte_mbuf.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_POISON 1
#endif
#endif

#ifdef SLUICE_POISON

/* Mempool operations of poisoned pools: the default ring with hooks. */
#define POISON_OPS "sluice_poison"

/* Switches a pool made with POISON_OPS on; every mbuf is in it. */
void poison_pool_start(struct rte_mempool *mp);
/* Switches it off and opens everything, so that the memory may be unmapped or reused. */
void poison_pool_stop(struct rte_mempool *mp);
/* Of a packet that a driver handed over: closes what is not data. */
void poison_received(struct rte_mbuf *m);

struct rte_mbuf *poison_alloc(struct rte_mempool *mp);
char *poison_append(struct rte_mbuf *m, uint16_t len);
char *poison_prepend(struct rte_mbuf *m, uint16_t len);
char *poison_adj(struct rte_mbuf *m, uint16_t len);
int poison_trim(struct rte_mbuf *m, uint16_t len);

#ifndef POISON_NO_HOOKS /* poison.c itself needs the originals */
#define rte_pktmbuf_alloc(mp) poison_alloc(mp)
#define rte_pktmbuf_append(m, len) poison_append(m, len)
#define rte_pktmbuf_prepend(m, len) poison_prepend(m, len)
#define rte_pktmbuf_adj(m, len) poison_adj(m, len)
#define rte_pktmbuf_trim(m, len) poison_trim(m, len)
#endif

#else

static inline void poison_received(struct rte_mbuf *m)
{
	(void)m;
}

#endif
