// SPDX-License-Identifier: Apache-2.0
/*
 * rss.h: which worker a packet will reach, and which source port reaches a wanted worker.
 *
 * A NIC with receive side scaling hashes the 4-tuple (Toeplitz), looks the low bits up in its
 * indirection table and so finds a queue. A proxy needs the inverse: the reply to a connection
 * that this worker opens must come back to this worker. Toeplitz is linear over XOR, so
 *
 *	hash(backend, ours) = base(backend address, our address, backend port) ^ P[our port]
 *
 * and P does not depend on the destination. Ports with the same low bits of P are a coset of the
 * kernel of P: one representative per table entry and one list of kernel elements give every port
 * of every entry, a few KiB for all destinations, and the n-th port in O(1) without a retry.
 *
 * Some NICs compute an affine variant (a constant is added by XOR: other initial value) or take
 * the key in reversed byte order. rss_calibrate() finds both from a few packets with known tuples
 * and the hash that the NIC reported; what it cannot explain must not be trusted.
 *
 * Pure: no ethdev. Built once per port by the agent, then immutable and shared by all workers.
 * Standards: RFC 6056 3.3 (start at a random place, then step); the hash is the one that Microsoft
 * published with its RSS verification suite.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/ip.h"

#define RSS_KEY_MIN 40u /* bytes: 36 of an IPv6 tuple, 4 of the last window */
#define RSS_KEY_MAX 64u
#define RSS_RETA_MAX 2048u

struct rss_ports;

/* A received packet's 4-tuple: source first, as the NIC hashes it. Both addresses of one family. */
struct rss_tuple {
	struct ip_addr src, dst;
	uint16_t src_port, dst_port; /* host order */
};

struct rss_config {
	const uint8_t *key;	     /* as read back from the NIC, after calibration */
	unsigned key_len;	     /* RSS_KEY_MIN..RSS_KEY_MAX */
	const uint16_t *reta;	     /* entry -> queue */
	unsigned reta_size;	     /* power of two, <= RSS_RETA_MAX */
	const uint8_t *queue_worker; /* queue -> worker */
	unsigned queue_count;
	unsigned worker_count;
	uint32_t offset_v4, offset_v6; /* constant of an affine variant, from calibration; else 0 */
	uint16_t port_first;	       /* no source port below this is handed out */
};

/* Toeplitz hash of <len> bytes (a multiple of 4) with a key of at least <len> + 4 bytes. */
uint32_t rss_toeplitz(const uint8_t *key, const uint8_t *in, size_t len);
/* The hash of a TCP packet, by family: src, dst, src port, dst port. */
uint32_t rss_tuple_hash(const uint8_t *key, const struct rss_tuple *t);

struct rss_sample {
	struct rss_tuple tuple;
	uint32_t hash; /* as the NIC reported it */
};
/*
 * Explains <count> >= 2 samples of one family by the key as given or, failing that, with its bytes
 * reversed (then <key> is reversed in place), and a constant. False: this is no Toeplitz that we
 * know, or one sample disagrees; <key> and *ret_offset are untouched.
 */
bool rss_calibrate(uint8_t *key, unsigned key_len, const struct rss_sample *s, unsigned count,
	uint32_t *ret_offset);

/*
 * NULL with the reason in <err>: sizes out of range, an entry or a queue that leads nowhere, a
 * worker without an entry, or a key under which source ports do not reach every entry.
 */
struct rss_ports *rss_ports_new(const struct rss_config *cfg, struct err *err);
void rss_ports_free(struct rss_ports *p);
/* The worker that a packet with this tuple reaches. */
unsigned rss_ports_worker(const struct rss_ports *p, const struct rss_tuple *t);

/*
 * The part of the hash that one destination fixes; worth keeping per upstream endpoint. <local>
 * and <remote> as seen from here, the reply has them swapped.
 */
struct rss_base {
	uint16_t low; /* low bits of the hash while our port is 0 */
	bool v4;
};
struct rss_base rss_ports_base(const struct rss_ports *p, const struct ip_addr *local,
	const struct ip_addr *remote, uint16_t remote_port);

/*
 * Walks all source ports by which replies from this destination reach <worker>: each exactly once,
 * from a place that <random> chooses.
 */
struct rss_iter {
	uint32_t left;		/* candidates not yet visited */
	uint32_t entry, kernel; /* current place: of the worker's entries, of the kernel */
	uint16_t worker;
	struct rss_base base;
};
void rss_port_start(const struct rss_ports *p, const struct rss_base *base, unsigned worker,
	uint64_t random, struct rss_iter *ret);
/* False when all have been visited; else *ret_port in host order. */
bool rss_port_next(const struct rss_ports *p, struct rss_iter *it, uint16_t *ret_port);
