// SPDX-License-Identifier: Apache-2.0
/*
 * net.h: Ethernet, ARP, Neighbour Discovery, IP and ICMP of one worker, as its loop sees them.
 *
 * Input is a chain of stages, each of which takes a list and sorts it onto the lists of the next:
 *
 *	eth_input -> arp_input
 *	          -> ip4_input -> icmp4_input \
 *	          -> ip6_input -> icmp6_input  >-> net_tcp_in(), net_icmp_errors(), answers
 *	                          (nd inside) /
 *
 * Output is ip_output() of ip.h. Packets that are neither for a VIP nor for one of our source
 * addresses are the host's business: they are counted and let go, because the kernel has its own
 * copy of them (af_packet) or is their sender (tap).
 *
 * Every drop has one row in net.def. Nothing here blocks, allocates or logs; each table, queue and
 * rate is bounded by a constant below.
 *
 * Standards: RFC 894, 826, 5227 (announcement only), 791, 1122, 6864, 792, 8200, 4443, 4861, 4291.
 * Left out on purpose: reassembly (fragments are dropped under their own counter: TCP to a VIP has
 * no business being fragmented since path MTU discovery, and reassembly is what attackers like
 * best), redirects, router solicitation (the kernel's routes are mirrored), DAD for VIPs (several
 * appliances may hold a VIP at once).
 */
#pragma once

#include "dataplane/base/rng.h"
#include "dataplane/net/fib.h"
#include "dataplane/net/ip.h"

#define NET_ADDRS_MAX 4096u	/* VIPs and sources; the agent refuses a generation with more */
#define NET_ICMP_ERRORS_MAX 64u /* handed over per turn */
#define NET_NOTES_MAX 64u	/* neighbour facts handed over per turn */

struct net;

enum net_counter {
#define NET_COUNTER(NAME, name, help) NET_C_##NAME,
#include "dataplane/net/net.def"
#undef NET_COUNTER
	NET_C_COUNT
};

struct net_config {
	struct port_queue *queues; /* borrowed: [port index] */
	unsigned queue_count;
	struct rte_mempool *pool; /* borrowed */
	bool announces;		  /* this worker tells the links about new VIPs */
	uint64_t seed;		  /* jitter and table keys */
};

/* Lifecycle. */
struct net *net_new(const struct net_config *cfg, uint64_t now_us);
void net_free(struct net *n);
/*
 * Addresses that are ours from now on. New VIPs are announced on every link. False: more than
 * NET_ADDRS_MAX, nothing changed.
 */
bool net_set_addrs(struct net *n, const struct ip_addr *vips, unsigned vip_count,
	const struct ip_addr *sources, unsigned source_count);
/* Borrowed until the next call; NULL: no route anywhere. */
void net_set_fib(struct net *n, const struct fib *fib);

/* Called by the loop, in this order. */
/* A turn begins: forgets what the last one handed over. */
void net_turn(struct net *n, uint64_t now_us);
/* Takes <pkts>, of one port. */
void eth_input(struct net *n, unsigned port, struct rte_mbuf **pkts, unsigned count);
void arp_input(struct net *n);
void ip4_input(struct net *n);
void ip6_input(struct net *n);
void icmp4_input(struct net *n);
void icmp6_input(struct net *n);
/* TCP segments to us: data starts at the TCP header, pkt is filled. The caller empties it. */
struct mbufq *net_tcp_in(struct net *n);
/* True: <dst> is an upstream source address of ours (dispatch by port slice, not by hash). */
bool net_is_source(const struct net *n, const struct ip_addr *dst);

/* An ICMP or ICMPv6 error about a TCP segment of ours; the embedded headers have been checked. */
struct net_icmp_error {
	struct ip_addr local, remote; /* as we sent it */
	uint16_t local_port, remote_port;
	uint32_t seq;	    /* of the embedded segment */
	uint32_t mtu;	    /* too big: the next hop's MTU, 0 unknown; else 0 */
	bool too_big, hard; /* hard: port, protocol or administratively unreachable */
};
/* Those of this turn. */
const struct net_icmp_error *net_icmp_errors(const struct net *n, unsigned *ret_count);

/* A neighbour told us about itself; whoever hears it tells the other workers. */
struct net_note {
	struct ip_addr addr;
	struct rte_ether_addr mac;
	uint8_t port;
	uint8_t flags; /* NET_NOTE_* */
};
#define NET_NOTE_SOLICITED 0x01 /* an answer to a question of ours: it can hear us */
#define NET_NOTE_OVERRIDE 0x02	/* RFC 4861 4.4: replaces another link-layer address */
#define NET_NOTE_ASKED 0x04	/* it asked for one of ours: may make an entry */
#define NET_NOTE_NO_MAC 0x08	/* mac is empty: can confirm what is known, cannot teach */
/* What this turn's packets said. */
const struct net_note *net_notes(const struct net *n, unsigned *ret_count);
/* What another worker heard. */
void net_note_apply(struct net *n, const struct net_note *note);

/* Due retransmissions, probes and announcements, at most <budget> of each. */
void net_timers_run(struct net *n, unsigned budget);
uint64_t net_next_us(const struct net *n);

/* Seeing it. */
const uint64_t *net_counters(const struct net *n, unsigned *ret_count);
const char *net_counter_name(unsigned i);
const char *net_counter_help(unsigned i);
struct net_neigh_info {
	struct ip_addr addr;
	struct rte_ether_addr mac;
	uint8_t port;
	const char *state;
	uint64_t age_us; /* since the last confirmation */
};
typedef void (*net_neigh_fn)(const struct net_neigh_info *e, void *ctx);
void net_neigh_foreach(const struct net *n, net_neigh_fn fn, void *ctx);
