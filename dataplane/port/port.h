// SPDX-License-Identifier: Apache-2.0
/*
 * port.h: the wire, as an ethdev with one rx and one tx queue per worker.
 *
 * A struct port is made once at start and read-only afterwards. A struct port_queue is one worker's
 * end of one port: it belongs to that worker alone, buffers what is to be sent during a turn of the
 * loop, and hands it to the driver in bursts.
 *
 * Profiles (what stands in configs/gateway.yaml as `profile:`):
 *   af_packet  shares the kernel's netdev <iface>. The kernel keeps its own addresses, routes and
 *              sockets there; host/host_hide.c keeps our VIPs' packets away from it.
 *   tap        makes a tap netdev <iface>; the wire is the kernel on its other side, which is our
 *              neighbour and our router. For labs and for machines without any spare interface.
 *   pci        takes a NIC away from the kernel by its PCI address.
 *   memif, virtio_user, vhost_user
 *              join another program in user space through shared memory, found by a unix socket.
 *   af_xdp     takes all frames of a netdev's first queues, one queue and one ethdev per worker.
 * The last five have a tap netdev <iface> beside them, made by port_netdev.c: what the kernel says
 * there about addresses and routes is true of the port.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <net/if.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include "dataplane/base/err.h"
#include "dataplane/port/mbufq.h"

#define PORTS_MAX 8	  /* interfaces of one dataplane; indexes fit pkt.port */
#define PORT_BURST 64	  /* packets per rx or tx call: one turn's work stays below a millisecond */
#define PORT_MTU_MIN 1280 /* RFC 8200 5 */
#define PORT_MTU_MAX 9000
#define PORT_NAME_MAX 32
#define PORT_QUEUES_MAX 32
#define PORT_CHAIN_MAX 64 /* mbufs of a received frame; 64 KiB fill 32 */

#define PORT_SOCKET_MAX 108 /* sockaddr_un */

enum port_profile {
#define PORT_PROFILE(NAME, name, help) PORT_##NAME,
#include "dataplane/port/profile.def"
#undef PORT_PROFILE
	PORT_PROFILE_COUNT
};

enum port_offload_mode {       /* how much of its work a port may be given */
	PORT_OFFLOAD_AUTO = 0, /* all that it offers and that is worth it */
	PORT_OFFLOAD_CHECKSUM, /* checksums, but no cutting into segments */
	PORT_OFFLOAD_NONE,
};

/* What a port does for TCP on transmit; all zero: nothing, software does it. */
struct port_offload {
	bool csum;	  /* TCP checksums, IPv4 and IPv6; frames go through rte_eth_tx_prepare() */
	bool ip_csum;	  /* IPv4 header checksums, which its segmentation wants to write */
	uint32_t tso_max; /* TCP payload of one send that the port cuts; 0: it does not cut */
	uint16_t refs_max; /* mbufs of such a send before its payload is copied together */
};

enum port_role { PORT_ROLE_SERVER = 0, PORT_ROLE_CLIENT };

struct port_memif {
	enum port_role role; /* the server makes the socket, the client the memory */
	uint32_t id;	     /* of the interface on that socket */
	uint16_t ring_size;  /* power of two */
};

struct port_vhost {
	enum port_role role; /* the server makes the socket */
};

struct port_virtio {
	uint16_t queue_size; /* power of two */
	bool packed, in_order, mergeable;
};

struct port_config {
	char name[PORT_NAME_MAX]; /* what counters and logs call it */
	enum port_profile profile;
	char iface[IFNAMSIZ]; /* af_packet: existing netdev; else the one to make */
	char pci[32];	      /* pci: "0000:3b:00.0" */
	uint16_t mtu;	      /* 0: the netdev's own, else 1500 */
	enum port_offload_mode offloads;
	char socket[PORT_SOCKET_MAX]; /* memif, virtio_user, vhost_user */
	char device[IFNAMSIZ];	      /* af_xdp: the netdev whose queues are taken */
	struct port_memif memif;
	struct port_virtio virtio;
	struct port_vhost vhost;
};

/* Drops of a queue, by port.def; index into port_queue.counters. */
enum port_counter {
#define PORT_COUNTER(NAME, name, help) PORT_C_##NAME,
#include "dataplane/port/port.def"
#undef PORT_COUNTER
	PORT_C_COUNT
};

struct port {
	char name[PORT_NAME_MAX];
	enum port_profile profile;
	uint8_t index; /* in the dataplane: pkt.port */
	uint16_t queues;
	uint16_t lanes[PORT_QUEUES_MAX]; /* DPDK's port ids: one, or with af_xdp one per queue */
	uint16_t lane_count;
	uint16_t mtu;	      /* IP bytes */
	unsigned ifindex;     /* of the netdev on the kernel's side; 0: none */
	char iface[IFNAMSIZ]; /* its name, empty: none */
	int netdev_fd;	      /* owned; of a tap that only names the port to the kernel; -1 */
	int wait_fds[PORT_QUEUES_MAX]; /* the driver's; readable when its queue has packets; -1 */
	struct rte_ether_addr mac;
	bool multi_segs;  /* the driver sends chains */
	bool trusts_csum; /* the driver's verdict on L4 checksums is real */
	struct port_offload offload;
};

struct port_queue {
	const struct port *port; /* borrowed, process lifetime */
	uint16_t ethdev;	 /* DPDK's port id, and the queue there */
	uint16_t queue;
	uint16_t tx_count;
	struct rte_mempool *pool; /* borrowed: for linear copies */
	int wait_fd;		  /* readable when packets have come; -1: the port is silent */
	struct rte_mbuf *tx[PORT_BURST]; /* owned until flushed */
	uint64_t counters[PORT_C_COUNT]; /* worker: rw, agent: ro */
};

const char *port_profile_name(enum port_profile p);
/* True: a tap stands beside the port, for the kernel's addresses and routes. */
bool port_profile_has_tap(enum port_profile p);

/* Lifecycle, main thread. */
/*
 * The MTU that <cfg> will have, before the port exists: mbufs are sized by it. 0 with a sentence:
 * there is no such interface, or no such NIC that we could drive.
 */
uint16_t port_mtu_probe(const struct port_config *cfg, struct err *err);
/* One worker's packets: <count> mbufs for frames of up to <mtu>; poisoned in sanitizer builds. */
struct rte_mempool *port_pool_new(const char *name, unsigned count, uint16_t mtu, struct err *err);
/* The same in one block without gaps, as AF_XDP needs it; no device can use it by DMA. */
struct rte_mempool *port_pool_new_flat(const char *name, unsigned count, uint16_t mtu,
	struct err *err);
void port_pool_free(struct rte_mempool *pool);
/* Makes, configures and starts the port with one queue pair per pool. */
int port_open(const struct port_config *cfg, uint8_t index, struct rte_mempool *const *pools,
	unsigned queues, struct port *ret, struct err *err);
/* The same for an ethdev that exists (tests: net_ring). */
int port_adopt(uint16_t ethdev, const char *name, uint8_t index, struct rte_mempool *const *pools,
	unsigned queues, struct port *ret, struct err *err);
void port_close(struct port *p);
/* What all of <ports> do: a stack does not know which of them a segment will leave by. */
void port_offload_common(const struct port *ports, unsigned count, struct port_offload *ret);

/* Called by the worker's loop. */
void port_queue_init(struct port_queue *q, const struct port *p, uint16_t queue,
	struct rte_mempool *pool);
/*
 * A burst of at most PORT_BURST packets, their pkt begun; the caller owns them. A virtio neighbour's
 * unsegmented sends come in several mbufs.
 */
unsigned port_rx(struct port_queue *q, struct rte_mbuf **pkts);
/* Takes <m>, a complete frame; it leaves with the next flush at the latest. */
void port_tx(struct port_queue *q, struct rte_mbuf *m);
void port_tx_flush(struct port_queue *q);

/* Names and sentences of the counters, in the order of port.def. */
const char *port_counter_name(unsigned i);
const char *port_counter_help(unsigned i);
