// SPDX-License-Identifier: Apache-2.0
/*
 * dispatch.h: which worker owns a flow, and how its packets get there.
 *
 * Where a port has no usable RSS, any worker may receive any packet. Both legs of a request must
 * still meet on one lcore: a client's flow belongs to the worker that a keyed hash of the 4-tuple
 * names, and a reply from an upstream to the worker whose slice of source ports its destination
 * port lies in. Packets for others go over single-producer single-consumer rings, one per ordered
 * pair of workers; so do notes (neighbour facts, ICMP errors), on rings of their own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/ip.h"
#include "dataplane/net/net.h"
#include "dataplane/port/mbufq.h"

#define DISPATCH_WORKERS_MAX 32
#define DISPATCH_RING 1024 /* packets: 16 bursts, a millisecond of a fast port */
#define DISPATCH_NOTES 256
#define DISPATCH_PORT_FIRST 1024 /* lowest upstream source port */

struct worker;
struct worker_group;

struct dispatch_note {
	enum { DISPATCH_NOTE_NEIGH = 0, DISPATCH_NOTE_ICMP } kind;
	union {
		struct net_note neigh;
		struct net_icmp_error icmp;
	};
};

struct dispatch {
	struct hash_key key; /* the same for all workers of the boot */
	unsigned self, count;
	struct rte_ring *packets_to[DISPATCH_WORKERS_MAX];   /* owned; NULL for self */
	struct rte_ring *packets_from[DISPATCH_WORKERS_MAX]; /* the others' packets_to[self] */
	struct rte_ring *notes_to[DISPATCH_WORKERS_MAX];
	struct rte_ring *notes_from[DISPATCH_WORKERS_MAX];
};

/* Source ports of worker <i> of <n>: a contiguous slice of [1024, 65535]; all slices cover it. */
void dispatch_port_slice(unsigned i, unsigned n, uint16_t *ret_first, uint16_t *ret_count);
/* Whose slice <port> lies in; ports below 1024 belong to worker 0. */
unsigned dispatch_port_owner(uint16_t port, unsigned n);
/* Keyed hash of a flow, as the receiver sees it. Never 0. */
uint32_t dispatch_hash(const struct hash_key *key, const struct ip_addr *src, uint16_t src_port,
	const struct ip_addr *dst, uint16_t dst_port);
/* The owner of a flow whose local end is (local, local_port). */
unsigned dispatch_owner(const struct dispatch *d, bool local_is_source, uint32_t hash,
	uint16_t local_port);

int dispatch_init(struct worker_group *g, struct err *err);
void dispatch_fini(struct worker_group *g);

/* Called by the loop. */
/* Leaves our own segments on <mine>, gives the rest of <in> away; <in> is empty afterwards. */
void dispatch_packets(struct worker *w, struct mbufq *in, struct mbufq *mine);
/* Tells the others what this turn's input taught net; handles our own ICMP errors. */
void dispatch_notes(struct worker *w);
/* Collects what the other workers had for us. */
void dispatch_collect(struct worker *w, struct mbufq *mine);
/* True: something waits on a ring for this worker. */
bool dispatch_has_news(const struct worker *w);
