// SPDX-License-Identifier: Apache-2.0
/*
 * bridge.c: joins a virtual port of DPDK with a netdev, so that kernels can talk to a gateway that
 * has no netdev of its own.
 *
 *	bridge NETDEV QUEUES VDEV
 *
 * VDEV is what EAL takes after --vdev: the other end of the gateway's memif, virtio_user or
 * vhost_user port. Offloads pass through: a checksum that the gateway left to its port is left to
 * the kernel, and a long send is cut there; the way back likewise, or completed here for a port
 * that cannot carry it. So a kernel judges every frame that the gateway sends. Ends on SIGTERM, on
 * SIGINT or after an hour.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ip.h>

#define BURST 32
#define FRAME_MAX 2048
#define SEGS_MAX 256
#define ROOMS 33 /* mbufs of the largest frame */
#define RUN_SECONDS 3600
#define RX_WANTED (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_LRO)
#define TX_WANTED (RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS)

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = 1;
}

struct bridge {
	int fd; /* of the netdev, with virtio headers */
	uint16_t ethdev, queues;
	bool tx_csum;		      /* the port carries unfinished checksums */
	bool tx_large;		      /* and sends that nobody has cut yet */
	struct rte_mbuf *room[ROOMS]; /* owned: for the next frame */
	struct rte_mempool *pool;
	uint64_t refused; /* frames that the kernel did not take */
};

static int fail(const char *what)
{
	fprintf(stderr, "bridge: %s: %s\n", what, strerror(errno));
	return -1;
}

static int netdev_open(struct bridge *b, const char *name)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct packet_mreq mreq = {.mr_type = PACKET_MR_PROMISC};
	int one = 1, size = 8 << 20;

	addr.sll_ifindex = mreq.mr_ifindex = (int)if_nametoindex(name);
	if (addr.sll_ifindex == 0)
		return fail(name);
	b->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (b->fd < 0 || setsockopt(b->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) < 0 ||
		setsockopt(b->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) < 0 ||
		setsockopt(b->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
		setsockopt(b->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0 ||
		bind(b->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
		setsockopt(b->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mreq, sizeof(mreq)) < 0)
		return fail(name);
	return 0;
}

static int port_start(struct bridge *b)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = {0};

	b->pool = rte_pktmbuf_pool_create("bridge", 16384, 0, 0, FRAME_MAX + RTE_PKTMBUF_HEADROOM,
		SOCKET_ID_ANY);
	if (b->pool == NULL || rte_eth_dev_info_get(b->ethdev, &info) < 0)
		return -1;
	conf.rxmode.offloads = info.rx_offload_capa & RX_WANTED;
	conf.txmode.offloads = info.tx_offload_capa & TX_WANTED;
	b->tx_csum = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	if (rte_eth_dev_configure(b->ethdev, b->queues, b->queues, &conf) < 0)
		return -1;
	for (uint16_t q = 0; q < b->queues; q++)
		if (rte_eth_rx_queue_setup(b->ethdev, q, 1024, SOCKET_ID_ANY, NULL, b->pool) < 0 ||
			rte_eth_tx_queue_setup(b->ethdev, q, 1024, SOCKET_ID_ANY, NULL) < 0)
			return -1;
	return rte_eth_dev_start(b->ethdev);
}

/* Where the TCP header begins, 0: not TCP. */
static uint16_t tcp_at(const uint8_t *f, size_t len)
{
	if (len >= 54 && f[12] == 0x08 && f[13] == 0x00 && f[23] == IPPROTO_TCP)
		return (uint16_t)(14 + (f[14] & 15) * 4);
	if (len >= 74 && f[12] == 0x86 && f[13] == 0xdd && f[20] == IPPROTO_TCP)
		return 54;
	return 0;
}

/* What the port said about a frame, in the kernel's words. */
static void header_of(const struct rte_mbuf *m, struct virtio_net_hdr *h)
{
	const uint8_t *f = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t at = tcp_at(f, m->data_len);
	bool partial = (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE;

	*h = (struct virtio_net_hdr){0};
	if (at == 0 || at + 13u > m->data_len || !partial)
		return;
	h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->csum_start = at;
	h->csum_offset = 16;
	if (!(m->ol_flags & RTE_MBUF_F_RX_LRO))
		return;
	h->gso_type = f[12] == 0x08 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	h->gso_size = m->tso_segsz;
	h->hdr_len = (uint16_t)(at + (f[at + 12] >> 4) * 4);
}

static void to_netdev(struct bridge *b, struct rte_mbuf *m)
{
	struct iovec v[SEGS_MAX + 1];
	struct virtio_net_hdr h;
	int n = 1;

	header_of(m, &h);
	v[0] = (struct iovec){&h, sizeof(h)};
	for (struct rte_mbuf *s = m; s != NULL && n <= SEGS_MAX; s = s->next)
		v[n++] = (struct iovec){rte_pktmbuf_mtod(s, void *), s->data_len};
	if (writev(b->fd, v, n) < 0)
		b->refused++;
	rte_pktmbuf_free(m);
}

static unsigned from_port(struct bridge *b)
{
	struct rte_mbuf *pkts[BURST];
	unsigned total = 0;

	for (uint16_t q = 0; q < b->queues; q++) {
		uint16_t n = rte_eth_rx_burst(b->ethdev, q, pkts, BURST);

		for (uint16_t i = 0; i < n; i++)
			to_netdev(b, pkts[i]);
		total += n;
	}
	return total;
}

/* The sum that the kernel has left to its device: to the port's peer, or completed here. */
static void checksum_pass(const struct bridge *b, struct rte_mbuf *m,
	const struct virtio_net_hdr *h)
{
	uint8_t *f = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t at = tcp_at(f, m->data_len), sum;

	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
		h->csum_start + h->csum_offset + 2u > m->data_len)
		return;
	if (b->tx_csum && at == h->csum_start) {
		m->l2_len = 14;
		m->l3_len = at - 14u;
		m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM |
			(f[12] == 0x08 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
		if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE)
			return;
		m->l4_len = (f[at + 12] >> 4) * 4u;
		m->tso_segsz = h->gso_size;
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		return;
	}
	sum = (uint16_t)~rte_raw_cksum(f + h->csum_start, m->data_len - h->csum_start);
	memcpy(f + h->csum_start + h->csum_offset, &sum, 2);
}

/* One flow keeps to one queue, or its segments would overtake each other. */
static uint16_t queue_of(const struct bridge *b, const struct rte_mbuf *m)
{
	const uint8_t *f = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t at = tcp_at(f, m->data_len);

	return at == 0 ? 0 : (f[at + 1] ^ f[at + 3]) % b->queues;
}

/* The next frame, in as many mbufs as it fills; NULL: there is none, or no memory. */
static struct rte_mbuf *frame_read(struct bridge *b, struct virtio_net_hdr *h)
{
	unsigned rooms = b->tx_large ? ROOMS : 1, used = 0;
	struct iovec v[ROOMS + 1] = {{h, sizeof(*h)}};
	struct rte_mbuf *m;
	ssize_t left;

	for (unsigned i = 0; i < rooms; i++) {
		if (b->room[i] == NULL && (b->room[i] = rte_pktmbuf_alloc(b->pool)) == NULL)
			return NULL;
		v[i + 1] = (struct iovec){rte_pktmbuf_mtod(b->room[i], void *), FRAME_MAX};
	}
	left = readv(b->fd, v, (int)rooms + 1) - (ssize_t)sizeof(*h);
	if (left <= 0)
		return NULL;
	m = b->room[0];
	m->pkt_len = (uint32_t)left;
	for (; left > 0; left -= FRAME_MAX) {
		b->room[used]->data_len = (uint16_t)RTE_MIN(left, (ssize_t)FRAME_MAX);
		if (used > 0)
			b->room[used - 1]->next = b->room[used];
		used++;
	}
	m->nb_segs = (uint16_t)used;
	memmove(b->room, b->room + used, (ROOMS - used) * sizeof(b->room[0]));
	memset(b->room + ROOMS - used, 0, used * sizeof(b->room[0]));
	return m;
}

static unsigned from_netdev(struct bridge *b)
{
	unsigned n = 0;

	for (; n < BURST; n++) {
		struct virtio_net_hdr h;
		struct rte_mbuf *m = frame_read(b, &h);

		if (m == NULL)
			return n;
		checksum_pass(b, m, &h);
		if (rte_eth_tx_burst(b->ethdev, queue_of(b, m), &m, 1) != 1)
			rte_pktmbuf_free(m);
	}
	return n;
}

static void run(struct bridge *b)
{
	struct pollfd fd = {.fd = b->fd, .events = POLLIN};
	struct timespec nap = {0, 50000};
	time_t end = time(NULL) + RUN_SECONDS;

	while (!stop && time(NULL) < end) {
		if (from_port(b) + from_netdev(b) > 0)
			continue;
		if (ppoll(&fd, 1, &nap, NULL) < 0 && errno != EINTR)
			return;
	}
}

int main(int argc, char **argv)
{
	struct bridge b = {.fd = -1};
	char prefix[64];
	char *eal[] = {"bridge", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry",
		"--no-shconf", "--single-file-segments", "--iova-mode=va", "--log-level=error",
		prefix, "--lcores=0", "--vdev", NULL};

	if (argc != 4 || (b.queues = (uint16_t)atoi(argv[2])) == 0) {
		fprintf(stderr, "usage: bridge NETDEV QUEUES VDEV\n");
		return 2;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	snprintf(prefix, sizeof(prefix), "--file-prefix=bridge%d", (int)getpid());
	eal[sizeof(eal) / sizeof(eal[0]) - 1] = argv[3];
	/* told so, vhost takes large sends, and does not advertise it */
	b.tx_large = strstr(argv[3], "net_vhost") != NULL && strstr(argv[3], ",tso=1") != NULL;
	if (netdev_open(&b, argv[1]) < 0)
		return 1;
	if (rte_eal_init(sizeof(eal) / sizeof(eal[0]), eal) < 0 || port_start(&b) < 0) {
		fprintf(stderr, "bridge: %s does not start\n", argv[3]);
		return 1;
	}
	printf("bridge: ready\n");
	fflush(stdout);
	run(&b);
	printf("bridge: refused=%lu\n", b.refused);
	rte_eth_dev_stop(b.ethdev);
	rte_eth_dev_close(b.ethdev);
	rte_eal_cleanup();
	return 0;
}
