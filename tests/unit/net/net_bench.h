// SPDX-License-Identifier: Apache-2.0
/*
 * net_bench.h: one struct net on a port that leads back into itself, for tests and the fuzzer.
 *
 * The port is a real ethdev (net_ring): what the stack sends is what a receive burst then returns.
 * Addresses, routes and the router are those that the pages in tests/vectors/net name.
 */
#pragma once

#include "dataplane/net/net_impl.h"

#define BENCH_MBUFS 1023

struct bench {
	struct net *net;
	struct port port;
	struct port_queue queue;
	struct rte_mempool *pool;
	const struct fib *fib;
	uint64_t now_us;
	struct rte_mbuf *sent[PORT_BURST]; /* taken off the wire, not read yet */
	unsigned sent_count, sent_read;
	struct net_dst dst; /* of bench_send() */
	uint16_t cut;	    /* frames come in mbufs of so many bytes; 0: whole */
};

/* Once per process; ends it when there is no EAL to be had. */
void bench_eal(void);
/* A fresh stack; everything that a page may change is at its default. */
void bench_start(struct bench *b);
/* Ends the stack; the number of mbufs that were not given back. */
unsigned bench_stop(struct bench *b);

/* A frame from the wire, through all input stages. Longer ones than a buffer are cut. */
void bench_in(struct bench *b, const uint8_t *frame, size_t len);
/* A segment from TCP. */
void bench_send(struct bench *b, const struct ip_addr *src, const struct ip_addr *dst,
	const uint8_t *l4, size_t len);
/* The next frame that the stack has sent, or NULL; the caller frees it. */
struct rte_mbuf *bench_out(struct bench *b);
/* Lets time pass in steps of a millisecond; the last one is rounded up. */
void bench_wait(struct bench *b, uint64_t us);
/* <kernel>: with the kernel's addresses; <routes>: with any route at all. */
void bench_fib(struct bench *b, bool up, bool kernel, bool routes);
void bench_vips(struct bench *b, const struct ip_addr *extra);
struct ip_addr bench_ip(const char *text);
