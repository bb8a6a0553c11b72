// SPDX-License-Identifier: Apache-2.0
/*
 * sim_wire.h: the inside of the simulated world, shared by its wire and its applications.
 */
#pragma once

#include "tests/unit/tcp/sim_world.h"

#define HEAP_MAX 65536u
#define STREAMS_MAX 4096
#define SERVER_PORT 80
#define QUEUE_MAX 4096
#define HOLD_US 5000u /* a held packet goes on after this when nobody passes it */

struct net {
	struct world *w;
	unsigned side;
};

struct flying {
	uint64_t at_us, number;
	struct rte_mbuf *m;
};

struct direction {
	struct wire wire;
	struct wire_stats stats;
	uint64_t free_ns;	       /* the line is busy until then */
	uint64_t leaves_ns[QUEUE_MAX]; /* ring: when the queued packets are on the line */
	unsigned first, queued;
	struct rte_mbuf *held; /* being reordered */
	unsigned held_for;     /* packets still to pass it */
	uint64_t held_until_us;
};

struct stream {
	bool used, open;
	struct tcp_conn *c;
	unsigned side;
	uint64_t seed_out, seed_in, sent, opened_us;
	uint64_t allowance_us; /* up to here the reading rate has been used */
	bool fin_sent;
	struct stream_plan plan;
	struct stream_result res;
};

struct world {
	struct world_config cfg;
	struct rng rng, stack_rng[2];
	uint64_t now_us, numbers;
	struct net net[2];
	struct tcp *tcp[2];
	struct rte_mempool *pool[2];
	struct direction dir[2];
	struct flying *heap;
	unsigned flying;
	struct mbufq rx[2];
	struct tcp_listeners *listeners;
	struct stream stream[STREAMS_MAX][2];
	int conns;
};

/* sim_wire.c */
struct rte_mbuf *wire_heap_pop(struct world *w);
/* Packets that nobody passed go on. */
void wire_release_held(struct world *w);
