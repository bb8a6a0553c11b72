// SPDX-License-Identifier: Apache-2.0
/*
 * raw_peer.h: one stack, and a peer whose every segment the test writes by hand.
 *
 * What the stack sends is parsed (its checksum verified) and kept in order. The peer sits at
 * PEER, the stack at OURS, listening on port 80.
 */
#pragma once

#include "dataplane/net/ip.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/tcp/tcp_options.h"
#include "dataplane/tcp/tcp_segment.h"

#define RAW_OUT_MAX 4096

struct raw_segment {
	uint16_t src_port, dst_port;
	uint32_t seq, ack, len, wnd;
	uint8_t flags;
	struct tcp_options opt;
	struct ip_addr dst;
	uint8_t data[16]; /* the first bytes of the payload */
	uint16_t mbufs;	  /* of the chain it was */
};

struct net {
	uint16_t mtu;
	struct raw_segment out[RAW_OUT_MAX]; /* not taken yet */
	unsigned head, count;
};

struct raw {
	struct net net;
	struct rng rng;
	struct tcp_config cfg;
	struct tcp *tcp;
	struct rte_mempool *pool; /* borrowed */
	struct tcp_listeners *listeners;
	uint64_t now_us;
	struct ip_addr ours, peer;
	uint16_t peer_port, our_port; /* of the flow that raw_send() writes for */
	uint32_t flip; /* the bit of the next segments that arrives wrong, from 1 on; 0: none */
};

void raw_init(struct raw *r, const struct tcp_config *cfg, struct rte_mempool *pool);
/* A stack of a few connections and little memory. */
struct tcp_config raw_config_small(void);
/* Frees the stack; true when it was at rest and all mbufs are back. */
bool raw_fini(struct raw *r);
/* Sends one segment of the peer and lets the stack take a turn. */
void raw_send(struct raw *r, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
	const struct tcp_options *opt, const void *data, uint32_t len);
/* <n> full segments in a row from <seq> on, in one burst of the loop. */
void raw_send_burst(struct raw *r, uint32_t seq, uint32_t ack, unsigned n, uint32_t len);
/* Timers and output at a later time, step by step. */
void raw_advance(struct raw *r, uint64_t us);
void raw_turn(struct raw *r);
/* The next segment that the stack sent; false when there is none. */
bool raw_take(struct raw *r, struct raw_segment *ret);
void raw_drop_output(struct raw *r);
/* Completes a handshake (peer's ISS 1000, MSS 1460, no other option); returns the connection. */
struct tcp_conn *raw_accept(struct raw *r, uint16_t wnd, uint32_t *ret_iss);
/* raw_init() with raw_config_small(), then raw_accept(). */
struct tcp_conn *raw_open(struct raw *r, struct rte_mempool *pool, uint16_t wnd, uint32_t *ret_iss);
/* Aborts <c> (or NULL), lets TIME_WAIT pass, raw_fini(). */
bool raw_end(struct raw *r, struct tcp_conn *c);
/* raw_accept() with every option; the peer's TSval is 100, *ret_ts the stack's. */
struct tcp_conn *raw_accept_full(struct raw *r, uint32_t *ret_iss, uint32_t *ret_ts);
struct tcp_conn *raw_ready(struct raw *r, uint32_t *ret_events);
/* Writes <len> bytes. */
void raw_write(struct raw *r, struct tcp_conn *c, uint32_t len);
uint64_t raw_counter(const struct raw *r, const char *name);
