// SPDX-License-Identifier: Apache-2.0
/*
 * net_impl.h: the inside of struct net; included by net/ and its tests only.
 *
 * Received packets wait on the stages' lists with their Ethernet header still in front
 * (m->l2_len, m->l3_len say how much), because answers and errors look back at it; only TCP
 * segments are cut to start at their own header.
 */
#pragma once

#include <rte_ether.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/timer_wheel.h"
#include "dataplane/net/csum.h"
#include "dataplane/net/net.h"
#include "dataplane/port/trace.h"

#define ETH_TYPE_IP4 0x0800
#define ETH_TYPE_ARP 0x0806
#define ETH_TYPE_VLAN 0x8100
#define ETH_TYPE_QINQ 0x88a8
#define ETH_TYPE_IP6 0x86dd
#define IP4_HDR 20
#define IP6_HDR 40
#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_ICMP6 58

/* Addresses that are ours: net_addrs.c. */
enum {
	ADDR_VIP = 0x01,
	ADDR_SOURCE = 0x02,
};
#define ADDR_SLOTS (2 * NET_ADDRS_MAX)
struct addr_slot {
	struct ip_addr addr;
	uint8_t kind;	  /* 0: free */
	uint8_t announce; /* how many announcements are left to send */
};
struct addr_table {
	struct addr_slot slot[ADDR_SLOTS];
};

/* One neighbour on one link: neigh.c. */
#define NEIGH_MAX 1024u	   /* next hops and on-link peers; RFC 6583 6: bounded */
#define NEIGH_QUEUE_MAX 4u /* packets that wait for an answer, per entry */
#define NEIGH_EXTRA_MAX \
	512u /* more of them, of all entries together: a burst of SYNs after start */
#define NEIGH_NONE UINT32_MAX

enum neigh_state { /* RFC 4861 7.3.2 */
	NEIGH_FREE = 0,
	NEIGH_INCOMPLETE,
	NEIGH_REACHABLE,
	NEIGH_STALE,
	NEIGH_DELAY,
	NEIGH_PROBE,
	NEIGH_STATE_COUNT
};

struct neigh {
	uint8_t l2[2 * RTE_ETHER_ADDR_LEN]; /* its address, then ours: the front of a frame */
	uint8_t state;			    /* enum neigh_state */
	uint8_t port;
	uint16_t version; /* changes when the slot gets another owner */
	uint8_t tries;	  /* solicitations sent and not answered */
	struct ip_addr addr;
	struct ip_addr asker;  /* ours: sender of the packet that started the resolution */
	uint64_t confirmed_us; /* last proof of reachability */
	uint32_t hash_next;    /* index, or NEIGH_NONE */
	struct timer timer;
	struct list lru;    /* in use or free; least recently made or found live first */
	struct mbufq queue; /* owned: IP packets while INCOMPLETE */
};

struct neigh_table {
	struct neigh e[NEIGH_MAX];
	uint32_t bucket[NEIGH_MAX]; /* heads of hash chains */
	uint64_t key;
	unsigned extra; /* packets that wait above NEIGH_QUEUE_MAX of their entry */
	struct list used, free;
};

#define IP4_NONE UINT64_MAX

/* A token bucket: at most <burst> at once and <per_s> per second. */
struct rate {
	uint32_t per_s, burst, tokens;
	uint64_t last_us;
};

struct net {
	uint64_t now_us;
	uint32_t generation;	   /* of routes, addresses and links; 0 is never current */
	struct port_queue *queues; /* borrowed */
	unsigned queue_count;
	const struct fib *fib;		/* borrowed, or NULL */
	bool link_up[PORTS_MAX];	/* copied: fib may be gone when the next one comes */
	struct rte_mempool *pool;	/* borrowed */
	struct addr_table *addrs;	/* owned: in force */
	uint64_t ip4_vip, ip4_source;	/* IPv4 addresses in it asked for last, or IP4_NONE */
	struct addr_table *addrs_spare; /* owned: the next one is built here */
	struct neigh_table *neigh;	/* owned */
	struct mbufq arp, ip4, ip6, icmp4, icmp6, tcp; /* owned: waiting for their stage */
	struct timer_wheel wheel;
	struct rng rng;
	bool announces;
	uint32_t announce_at; /* slot where the scan goes on */
	bool announce_more;   /* the scan has seen addresses with announcements left */
	uint64_t announce_us; /* next step of the scan, or TIMER_NEVER */
	struct rate echo_rate, unreach_rate, answer_rate;
	unsigned icmp_error_count, note_count;
	struct net_icmp_error icmp_errors[NET_ICMP_ERRORS_MAX];
	struct net_note notes[NET_NOTES_MAX];
	uint64_t counters[NET_C_COUNT]; /* worker: rw, agent: ro */
};

static inline void net_count(struct net *n, enum net_counter c)
{
	n->counters[c]++;
}

/* The one end of every packet that goes nowhere. */
static inline void net_drop(struct net *n, struct rte_mbuf *m, enum net_counter why)
{
	net_count(n, why);
	trace_pkt(m, "drop", "%s", net_counter_name(why));
	rte_pktmbuf_free(m);
}

static inline const uint8_t *pkt_at(struct rte_mbuf *m, unsigned off)
{
	return rte_pktmbuf_mtod_offset(m, const uint8_t *, off);
}

/* May this packet, whose upper header is <l3> bytes behind Ethernet's, come in several mbufs? */
static inline bool is_chain_of_tcp(const struct rte_mbuf *m, uint8_t proto, unsigned l3)
{
	return proto == PROTO_TCP && m->data_len >= m->l2_len + l3 + 20u;
}

static inline const struct port *net_port(const struct net *n, unsigned port)
{
	return n->queues[port].port;
}

static inline bool net_link_is_up(const struct net *n, unsigned port)
{
	return port < n->queue_count && n->link_up[port];
}

/* net.c */
/*
 * A packet of our own with <len> bytes to be filled in at *ret_data; small enough for any buffer.
 * NULL, counted: the pool is empty.
 */
struct rte_mbuf *net_packet_new(struct net *n, unsigned port, uint16_t len, uint8_t **ret_data);
/* Marks a segment that the trace filter wants, and says so; its headers are still in front. */
void net_trace_in(struct rte_mbuf *m, const char *stage);

/* net_addrs.c */
/* ADDR_* of an address, 0 when it is not ours. */
uint8_t addr_kind(const struct net *n, const struct ip_addr *a);
/* True: an address of the kernel on this link; neighbours may answer to it as to us. */
bool addr_is_iface(const struct net *n, unsigned port, const struct ip_addr *a);
/* A kernel address on this link to ask about <target> with; false: there is none. */
bool addr_asker(const struct net *n, unsigned port, const struct ip_addr *target,
	struct ip_addr *ret);
void addr_announce_all(struct net *n);
void addr_announce_run(struct net *n, unsigned budget);
/* Neither a group, nor broadcast, nor unspecified, nor loopback. */
bool addr_is_unicast(const struct ip_addr *a);
/* The same of the four bytes of an IPv4 address. */
static inline bool addr_is_unicast4(const uint8_t *b)
{
	/* RFC 1122 3.2.1.3: 0/8 and 127/8 never appear outside a host; 224/3: groups, broadcast */
	return b[0] != 0 && b[0] != 127 && b[0] < 224;
}

/* rate.c */
void rate_init(struct rate *r, uint32_t per_s, uint32_t burst);
bool rate_take(struct rate *r, uint64_t now_us);

/* neigh.c */
void neigh_init(struct neigh_table *t, uint64_t key);
void neigh_fini(struct net *n);
static inline uint32_t neigh_handle(const struct net *n, const struct neigh *e)
{
	return (uint32_t)e->version << 16 | (uint32_t)(e - n->neigh->e);
}
/* The entry of a handle in net_dst.neigh, NULL when it has another owner by now. */
static inline struct neigh *neigh_of(const struct net *n, uint32_t handle)
{
	uint32_t i = handle & 0xffff; /* NEIGH_NONE's is not in the table */
	struct neigh *e = &n->neigh->e[i % NEIGH_MAX];

	if (i >= NEIGH_MAX || e->version != handle >> 16 || e->state == NEIGH_FREE)
		return NULL;
	return e;
}
struct neigh *neigh_lookup(const struct net *n, unsigned port, const struct ip_addr *addr);
/* Makes one if needed; NULL: the table is full of live entries. */
struct neigh *neigh_get(struct net *n, unsigned port, const struct ip_addr *addr,
	const struct ip_addr *asker);
/* Takes an IP packet for this neighbour: sends it, or queues it behind a question. */
void neigh_output(struct net *n, struct neigh *e, struct rte_mbuf *m);
void neigh_learn(struct net *n, const struct net_note *note);
void neigh_confirm(struct net *n, struct neigh *e);
/* Learns <note> and leaves it for the other workers. */
void neigh_tell(struct net *n, const struct net_note *note);
void neigh_timer(struct timer *t, uint64_t now_us, void *net);

/* eth.c, arp.c, nd.c: frames of our own. <dst> NULL: broadcast, or the target's group. */
void eth_output(struct net *n, struct rte_mbuf *m, unsigned port, const struct rte_ether_addr *dst,
	uint16_t type);
void arp_solicit(struct net *n, const struct neigh *e);
void arp_announce(struct net *n, unsigned port, const struct ip_addr *addr);
void nd_solicit(struct net *n, const struct neigh *e);
void nd_announce(struct net *n, unsigned port, const struct ip_addr *addr);
/* Takes a neighbour solicitation or advertisement whose ICMPv6 checksum is right. */
void nd_input(struct net *n, struct rte_mbuf *m);

/* ip_output.c */
void ip6_header_put(uint8_t *h, const struct ip_addr *src, const struct ip_addr *dst,
	uint16_t payload_len, uint8_t proto, uint8_t hop_limit, uint8_t ecn);

/* icmp.c: what both versions share */
/* An error about a segment of ours: dispatched later. */
void icmp_error_push(struct net *n, const struct net_icmp_error *e);
/* Sends "nothing listens there" about <m>, whose headers are intact; <m> stays the caller's. */
void icmp4_unreachable(struct net *n, struct rte_mbuf *m, uint8_t code);
void icmp6_unreachable(struct net *n, struct rte_mbuf *m, uint8_t type, uint8_t code,
	uint32_t pointer);
