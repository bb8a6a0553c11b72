// SPDX-License-Identifier: Apache-2.0
/*
 * profile.h: one worker of the gateway between clients and servers, in one process, for counting.
 *
 * The worker is the real one on a port of DPDK's ring driver; the other end of that wire is a
 * second struct net and struct tcp that play all clients and all servers. Time is virtual and
 * randomness seeded, so a run executes the same instructions each time. What callgrind counts is
 * profile_turn() alone: the gateway's turn, from the received burst to the sent one.
 */
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/snapshot/snapshot.h"
#include "dataplane/worker/worker.h"

#define PROFILE_CONNS_MAX 1024u
#define PROFILE_SERVERS 2u
#define PROFILE_VIP_PORT 80u
#define PROFILE_TURN_US 20u /* virtual time from turn to turn */

/* What is played. */
struct profile_case {
	const char *name;
	uint32_t conns;	 /* clients at a time */
	uint32_t body;	 /* bytes of a response's body */
	uint32_t routes; /* of the configuration; requests go round all of them */
	bool close;	 /* a connection per request on the client's side */
	bool open_only;	 /* connections are opened and left idle */
};

/* profile_config.c: <routes> routes, each splits 80/20 between the two servers. */
struct profile_config {
	struct arena arena;
	void *image; /* owned */
	struct snapshot snap;
	struct config cfg;
};
void profile_config_make(struct profile_config *c, uint32_t routes);
void profile_config_free(struct profile_config *c);
struct ip_addr profile_ip(const char *text);
struct ip_addr profile_vip(void);
struct ip_addr profile_server(unsigned n);

/* profile_peer.c: the clients and the servers. */
struct profile_conn {
	struct tcp_conn *tc; /* NULL: not open */
	bool server;
	uint32_t got, want; /* client: bytes of the response so far, of the whole; 0: unknown */
	char head[512];
	uint32_t head_len;
};

struct profile_peer {
	struct profile_case pc;
	struct port_queue queue;
	struct net *net; /* owned */
	struct tcp *tcp; /* owned */
	struct rte_mempool *pool;
	struct tcp_listeners *listeners; /* owned */
	const struct fib *fib;		 /* owned */
	struct rng rng;
	char *response; /* owned */
	uint32_t response_len;
	uint32_t next_route;
	uint32_t opened, answered, wrong;
	struct profile_conn conn[2 * PROFILE_CONNS_MAX]; /* clients first */
};
void profile_peer_init(struct profile_peer *p, const struct profile_case *pc,
	const struct port *port, struct rte_mempool *pool, uint64_t now_us);
void profile_peer_fini(struct profile_peer *p);
/* Opens client <i>. */
void profile_peer_open(struct profile_peer *p, uint32_t i, uint64_t now_us);
/* Takes what has arrived and answers. */
void profile_peer_turn(struct profile_peer *p, struct rte_mbuf **pkts, unsigned count,
	uint64_t now_us);
