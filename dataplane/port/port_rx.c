// SPDX-License-Identifier: Apache-2.0
/*
 * port_rx.c: bursts from the driver, with the packets' own metadata started afresh.
 */
#include <rte_ethdev.h>

#include "dataplane/base/prefetch.h"
#include "dataplane/port/port.h"

/*
 * What the driver knows about the L4 checksum, if this driver's word counts. NONE is as good as
 * GOOD: the sum in the packet is not complete, but the data's integrity was verified or never at
 * risk (virtio: the sender shares our memory). Unknown and bad sums are verified by who uses them.
 */
static uint8_t csum_flag(const struct port *p, const struct rte_mbuf *m)
{
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	if (!p->trusts_csum)
		return 0;
	if (l4 != RTE_MBUF_F_RX_L4_CKSUM_GOOD && l4 != RTE_MBUF_F_RX_L4_CKSUM_NONE)
		return 0;
	return PKT_CSUM_GOOD;
}

unsigned port_rx(struct port_queue *q, struct rte_mbuf **pkts)
{
	const struct port *p = q->port;
	unsigned got = rte_eth_rx_burst(q->ethdev, q->queue, pkts, PORT_BURST);
	unsigned kept = 0;

	for (unsigned i = 0; i < got; i++) /* headers, and where the payload begins */
		prefetch_lines(rte_pktmbuf_mtod(pkts[i], const char *), 2 * PREFETCH_LINE);
	for (unsigned i = 0; i < got; i++) {
		struct rte_mbuf *m = pkts[i];

		if (unlikely(m->nb_segs > PORT_CHAIN_MAX)) {
			q->counters[PORT_C_RX_CHAINED]++;
			rte_pktmbuf_free(m);
			continue;
		}
		poison_received(m);
		*pkt_of(m) = (struct pkt){.port = p->index, .flags = csum_flag(p, m)};
		q->counters[PORT_C_RX_BYTES] += m->pkt_len;
		pkts[kept++] = m;
	}
	q->counters[PORT_C_RX_PACKETS] += kept;
	return kept;
}
