// SPDX-License-Identifier: Apache-2.0
/*
 * gen_link.h: the generator's port, by default with one queue each way. With several, what a flow
 * sends keeps to one of them, and they are received from in turn.
 *
 * Packets to send are gathered and go out in bursts; what the driver's ring does not take waits in
 * a queue of ours, in order, and is dropped (counted) only when that is full. Buffers are taken
 * from the pool in bulk.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "dataplane/base/err.h"

struct gen;
struct gen_config;

#define LINK_BURST 64
#define LINK_TX_MAX 8192 /* power of two */
#define LINK_QUEUES_MAX 8

struct link_tx {
	struct rte_mbuf *m[LINK_TX_MAX]; /* owned */
	uint32_t head, tail;
};

struct gen_link {
	uint16_t port;
	bool made, started, tx_sum, tso, multi_segs, huge;
	uint16_t room; /* bytes of a buffer behind its headroom */
	struct rte_mempool *pool;
	struct rte_mbuf *spare[LINK_BURST];
	uint32_t spares;
	struct link_tx tx[LINK_QUEUES_MAX];
	uint16_t queues, rx_next; /* rx_next: the queue to receive from first */
	uint64_t rx_packets, tx_packets;
	uint8_t mac[6];
	char dev[64]; /* EAL's name of the device */
};

/* EAL with the memory that the configuration asks for. */
int link_eal_start(struct gen *g, struct err *err);
int link_open(struct gen *g, struct err *err);
/* Starts the port if that was not possible yet. */
bool link_is_up(struct gen *g);
/* Also after a failed link_open(). */
void link_close(struct gen *g);

/* An empty mbuf with LINK_HEADROOM in front, or NULL (counted). */
struct rte_mbuf *link_alloc(struct gen *g);
/* Takes <m>. */
void link_send(struct gen *g, struct rte_mbuf *m);
void link_flush(struct gen *g);
/* How many packets wait to be taken by the driver. */
uint32_t link_waiting(const struct gen_link *l);
uint16_t link_rx(struct gen *g, struct rte_mbuf **pkts);
