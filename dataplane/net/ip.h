// SPDX-License-Identifier: Apache-2.0
/*
 * ip.h: what the layers above IP may ask of it.
 *
 * Implemented by dataplane/net; tests of TCP alone link their own small ip_output().
 */
#pragma once

#include "dataplane/base/ip.h"
#include "dataplane/port/mbufq.h"

struct net;

/*
 * Where packets to one destination go; embedded in whoever sends often. Zeroed means "not looked
 * up yet". The net layer fills it and notices by <generation> that it has become stale.
 */
struct net_dst {
	uint32_t generation; /* of the net layer's tables; 0: look up */
	uint32_t neigh;	     /* index of the next hop's neighbour entry */
	uint16_t mtu;	     /* of the outgoing interface, IP bytes */
	uint8_t port;	     /* outgoing port index */
	uint8_t flags;
};

/*
 * Sends one packet. <m> starts at the L4 header whose checksum is complete; it may be a chain
 * (rte_mbuf.next). Takes <m> whatever happens; a drop is counted in net.def. DF is set on IPv4.
 */
void ip_output(struct net *n, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t proto, uint8_t ecn, struct net_dst *cache);
/* MTU (IP bytes) of the interface towards <dst>; 0: no route. Fills <cache>. */
uint16_t ip_route_mtu(struct net *n, const struct ip_addr *dst, struct net_dst *cache);
/* The peer made forward progress: its neighbour entry is reachable (RFC 4861 7.3.1). */
void ip_confirm(struct net *n, const struct net_dst *cache);
