// SPDX-License-Identifier: Apache-2.0
/*
 * port_tx.c: frames collect in the queue's buffer and leave in bursts, once per turn at the latest.
 *
 * A driver's ring that is full is offered the rest a few times and then loses it: waiting longer
 * would hold up every other connection of the worker, and TCP repeats what was lost.
 */
#include <string.h>

#include <rte_ethdev.h>

#include "dataplane/port/port.h"

#define TX_TRIES 4 /* of a flush against a full ring */

void port_queue_init(struct port_queue *q, const struct port *p, uint16_t queue,
	struct rte_mempool *pool)
{
	bool own = p->lane_count > 1; /* an ethdev of its own */

	*q = (struct port_queue){.port = p,
		.ethdev = p->lanes[own ? queue : 0],
		.queue = own ? 0 : queue,
		.wait_fd = p->wait_fds[queue],
		.pool = pool};
}

/* One buffer with all of a chain's bytes, for drivers that cannot gather; takes <m>. */
static struct rte_mbuf *joined(struct port_queue *q, struct rte_mbuf *m)
{
	struct rte_mbuf *copy = rte_pktmbuf_copy(m, q->pool, 0, UINT32_MAX);

	rte_pktmbuf_free(m);
	if (copy != NULL && copy->nb_segs == 1) {
		q->counters[PORT_C_TX_LINEAR]++;
		return copy;
	}
	rte_pktmbuf_free(copy);
	q->counters[PORT_C_TX_LINEAR_FAIL]++;
	return NULL;
}

void port_tx(struct port_queue *q, struct rte_mbuf *m)
{
	if (unlikely(m->nb_segs > 1 && !q->port->multi_segs)) {
		m = joined(q, m);
		if (m == NULL)
			return;
	}
	if (q->tx_count == PORT_BURST)
		port_tx_flush(q);
	q->tx[q->tx_count++] = m;
}

/* Headers as the driver wants them for its offloads; what it refuses is dropped. */
static void frames_prepare(struct port_queue *q)
{
	uint16_t done = 0;

	while (done < q->tx_count) {
		done += rte_eth_tx_prepare(q->ethdev, q->queue, q->tx + done, q->tx_count - done);
		if (likely(done == q->tx_count))
			return;
		q->counters[PORT_C_TX_REFUSED]++;
		rte_pktmbuf_free(q->tx[done]);
		q->tx_count--;
		memmove(q->tx + done, q->tx + done + 1, (q->tx_count - done) * sizeof(q->tx[0]));
	}
}

void port_tx_flush(struct port_queue *q)
{
	uint64_t bytes = 0;
	uint16_t sent = 0;

	if (q->tx_count == 0)
		return;
	if (q->port->offload.csum)
		frames_prepare(q);
	for (uint16_t i = 0; i < q->tx_count; i++)
		bytes += q->tx[i]->pkt_len;
	for (unsigned try = 0; try < TX_TRIES && sent < q->tx_count; try++) {
		if (try > 0)
			q->counters[PORT_C_TX_RETRY]++;
		sent += rte_eth_tx_burst(q->ethdev, q->queue, q->tx + sent, q->tx_count - sent);
	}
	q->counters[PORT_C_TX_PACKETS] += sent;
	q->counters[PORT_C_TX_FULL] += q->tx_count - sent;
	for (uint16_t i = sent; i < q->tx_count; i++) {
		bytes -= q->tx[i]->pkt_len;
		rte_pktmbuf_free(q->tx[i]);
	}
	q->counters[PORT_C_TX_BYTES] += bytes;
	q->tx_count = 0;
}
