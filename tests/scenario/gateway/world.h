// SPDX-License-Identifier: Apache-2.0
/*
 * world.h: a gateway between clients and servers, in one process and on a virtual clock.
 *
 * The gateway is the real struct http over the real struct tcp. The other end of the wire is a
 * second struct tcp that plays all clients and servers; between the two lies a link that copies
 * packets from one pool to the other, so that the gateway's pool shows what the gateway holds.
 */
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/http/access_log.h"
#include "dataplane/http/h1.h"
#include "dataplane/http/http.h"
#include "dataplane/snapshot/snapshot.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/upstream/board.h"
#include "dataplane/upstream/probe.h"

#define WORLD_ENDPOINTS 9u
#define WORLD_CONNS 64u
#define WORLD_OBJECTS 64u
#define WORLD_VIP_PORT 80u

/* One end of a connection as the test sees it. */
struct world_conn {
	char name[16];
	struct tcp_conn *tc; /* NULL: closed or reset by us */
	bool used, server, accepted;
	unsigned endpoint; /* server: 1..9 */
	bool connected, eof, dead, stalled;
	enum tcp_reason reason;
	char *rx; /* owned: received and not yet expected */
	size_t rx_len, rx_cap;
	char *tx; /* owned: queued to be sent as the window allows */
	size_t tx_len, tx_cap;
	uint64_t fill_left; /* pattern bytes still to be sent, behind tx */
	uint32_t answers,
		answer_bytes; /* server: requests it answers by itself, and with how much */
	bool in_body;	      /* server: reading the body of a request it will answer */
	uint64_t body_left, body_bytes;
	struct h1_chunk chunk;
	char request[128];		 /* server: its method and target */
	uint64_t tx_pattern, rx_pattern; /* offsets of the pattern so far */
};

enum world_endpoint_mode { ENDPOINT_LISTEN = 0, ENDPOINT_REFUSE, ENDPOINT_SILENT };

/* A configuration under construction, then in force. */
struct world_config {
	struct build_config in;
	struct arena arena;
	void *image;
	struct snapshot snap;
	struct config cfg;
	struct config_rule rules[WORLD_OBJECTS];
	struct config_backend backends[WORLD_OBJECTS];
	_Atomic(const struct endpoint_set *) sets[WORLD_OBJECTS];
	uint32_t listener_slot[WORLD_OBJECTS];
};

struct world {
	bool v4;
	uint64_t now_us;
	struct rng rng;
	struct rte_mempool *gw_pool, *peer_pool; /* borrowed */
	struct tcp *gw, *peer;			 /* owned */
	struct http_config http_cfg;
	struct http *http;		      /* owned */
	struct access_ring *log;	      /* owned */
	struct health_board *board;	      /* owned: what the agent would say */
	void (*before_turn)(struct world *w); /* or NULL: what it does between two turns */
	const struct upstream *upstreams[1];  /* of the one worker */
	struct world_config *cfg;	      /* owned; NULL: none yet */
	uint64_t generation;
	struct tcp_listeners *gw_listeners, *peer_listeners; /* owned */
	enum world_endpoint_mode mode[WORLD_ENDPOINTS + 1];
	struct world_conn conn[WORLD_CONNS];
	uint64_t slot_ids[WORLD_OBJECTS * 4]; /* run-time slots by id, as the agent assigns them */
	bool frozen;			      /* nobody runs */
	bool servers_answer;  /* servers that nobody accepted answer 204 by themselves */
	char seen[8192];      /* by those who answer by themselves: "METHOD target +bytes", lines */
	unsigned pieces;      /* sends are cut into pieces of 1..pieces bytes; 0: whole */
	struct mbufq starved; /* mbufs of the gateway's pool that we keep from it */
};

/* EAL and the two pools, once per process. */
void world_setup(struct rte_mempool **ret_gw, struct rte_mempool **ret_peer);

void world_init(struct world *w, bool v4, uint16_t ports, struct rte_mempool *gw,
	struct rte_mempool *peer, const struct http_config *http_cfg);
/* Frees everything. */
void world_fini(struct world *w);

struct ip_addr world_vip(const struct world *w);
struct ip_addr world_client(const struct world *w);
struct ip_addr world_source(const struct world *w); /* of connections to endpoints */
struct ip_addr world_endpoint(const struct world *w, unsigned n);

/* world_config.c: the endpoints that do not refuse listen at the peers' end. */
void world_peers_listen(struct world *w);
/* The run-time slot of an endpoint. */
uint32_t world_endpoint_slot(struct world *w, uint64_t id);
/* NULL: nothing. */
void world_config_free(struct world_config *c);
/* Takes <in> into force (arena and all); the configuration before is freed. */
void world_apply(struct world *w, struct world_config *c);
void world_endpoint_mode(struct world *w, unsigned n, enum world_endpoint_mode mode);

/* Runs until nobody has anything to do now: packets take some microseconds each way. */
void world_settle(struct world *w);
/* world_server.c: answers the requests that <c> has received whole. */
void world_server_run(struct world *w, struct world_conn *c);

/* Lets time pass, running what becomes due. */
void world_advance(struct world *w, uint64_t us);
/* Lets at most <us> pass, until <done> says so; returns what it said last. */
typedef bool (*world_done_fn)(struct world *w, void *ctx);
bool world_until(struct world *w, uint64_t us, world_done_fn done, void *ctx);

struct world_conn *world_find(struct world *w, const char *name);
struct world_conn *world_open(struct world *w, const char *name);
/* The oldest connection to endpoint <n> that was not accepted yet, or NULL. */
struct world_conn *world_accept(struct world *w, const char *name, unsigned n);
void world_send(struct world *w, struct world_conn *c, const void *data, size_t len);
void world_fin(struct world *w, struct world_conn *c);
void world_reset(struct world *w, struct world_conn *c);
/* Reads what a stalled connection has left unread. */
void world_poll(struct world *w, struct world_conn *c);
/* Takes mbufs out of the gateway's pool until <left> are in it; UINT32_MAX gives all back. */
void world_starve(struct world *w, uint32_t left);
/* Frees the places of connections that have ended. */
void world_forget_dead(struct world *w);
/* Queues bytes to be sent as fast as they are taken. */
void world_queue(struct world_conn *c, const void *data, size_t len);
/* The gateway listens at the VIP although it has no configuration. */
void world_listen(struct world *w);
/* Forgets the first <n> received bytes. */
void world_consume(struct world_conn *c, size_t n);
char world_pattern(uint64_t offset);

/* Ends all connections of the peers, lets everything calm down and returns what the gateway still
 * holds, as text; empty: nothing. */
const char *world_leftovers(struct world *w);
uint64_t world_counter(const struct world *w, const char *name, bool *ret_known);
