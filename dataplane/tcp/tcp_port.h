// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_port.h: the order in which source ports are tried (RFC 6056). Pure.
 */
#pragma once

#include "dataplane/base/hash.h"
#include "dataplane/tcp/tcp.h"

#define TCP_PORT_COUNTERS 256

struct tcp_ports {
	struct tcp_port_slice slice;
	struct hash_key key[2];	/* secrets: the start, and the counter to use */
	uint16_t counter[TCP_PORT_COUNTERS];
};

/* The candidates for one destination: candidate i is tcp_port_at(w, i), i < w->count. */
struct tcp_port_walk {
	const struct tcp_ports *ports;
	uint32_t count;		/* 0: no port at all */
	uint32_t start;
	uint32_t counter;	/* index */
};

void tcp_ports_init(struct tcp_ports *p, struct rng *rng);
void tcp_port_walk(const struct tcp_ports *p, const struct ip_addr *local,
	const struct ip_addr *remote, uint16_t remote_port, struct tcp_port_walk *ret);
uint16_t tcp_port_at(const struct tcp_port_walk *w, uint32_t i);
/* Candidate <i> was taken: the next walk to that destination begins behind it. */
void tcp_port_took(struct tcp_ports *p, const struct tcp_port_walk *w, uint32_t i);
