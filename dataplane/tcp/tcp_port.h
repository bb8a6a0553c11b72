// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_port.h: the order in which source ports are tried (RFC 6056). Pure.
 */
#pragma once

#include "dataplane/base/hash.h"
#include "dataplane/port/rss.h"
#include "dataplane/tcp/tcp.h"

#define TCP_PORT_COUNTERS 256

struct tcp_ports {
	struct tcp_port_slice slice;
	struct hash_key key[2]; /* secrets: the start, and the counter to use */
	uint16_t counter[TCP_PORT_COUNTERS];
};

/* The candidates for one destination, each once: next() until it says false. */
struct tcp_port_walk {
	const struct tcp_ports *ports;
	uint32_t left;	  /* candidates not yet handed out */
	uint32_t at;	  /* of a slice: offset of the next one */
	uint32_t counter; /* index */
	uint32_t tried;
	struct rss_iter rss;
};

void tcp_ports_init(struct tcp_ports *p, struct rng *rng);
void tcp_port_walk(const struct tcp_ports *p, const struct ip_addr *local,
	const struct ip_addr *remote, uint16_t remote_port, struct tcp_port_walk *ret);
bool tcp_port_next(struct tcp_port_walk *w, uint16_t *ret_port);
/* The last candidate was taken: the next walk to that destination begins behind it. */
void tcp_port_took(struct tcp_ports *p, const struct tcp_port_walk *w);
