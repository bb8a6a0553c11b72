// SPDX-License-Identifier: Apache-2.0
/*
 * port.c: makes, configures and starts the ports; main thread only.
 *
 * The user says what the port is (struct port_config); what DPDK wants to hear for it is decided
 * here (ring sizes, offloads) and in port_device.c (devices and their arguments). Checksums and
 * segmentation are left to a driver that offers them; where one of the ports does not (af_packet,
 * memif, AF_XDP), TCP does both itself on all of them.
 */
#include "dataplane/port/port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_ethdev.h>

#include "dataplane/port/port_device.h"

#define RING_DESCS 1024 /* of a NIC's queue */
#define TAP_DESCS 8	/* the tap driver reads one frame over as many buffers */
#define RX_CSUM (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)
#define RX_LARGE (RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_SCATTER)
/* Of one send: 65535 less the longest headers. */
#define TSO_MAX (UINT16_MAX - 40 - 60)
/* Its payload copied together, and one mbuf each for headers and a divided end. */
#define TSO_COPIES (TSO_MAX / 2048 + 2)
#define TSO_SEGS 128 /* mbufs of a chain that we would make */

static const char *const profile_names[PORT_PROFILE_COUNT] = {
#define PORT_PROFILE(NAME, name, help) name,
#include "dataplane/port/profile.def"
#undef PORT_PROFILE
};

const char *port_profile_name(enum port_profile p)
{
	return profile_names[p];
}

bool port_profile_has_tap(enum port_profile p)
{
	return p != PORT_AF_PACKET && p != PORT_TAP;
}

/* Receives what is for groups too: Neighbour Discovery asks for our VIPs there. */
static void groups_receive(uint16_t ethdev)
{
	if (rte_eth_allmulticast_enable(ethdev) != 0)
		rte_eth_promiscuous_enable(ethdev); /* eth_input() filters */
}

/* An ethdev, and which queues of the port are there. */
struct lane {
	uint16_t ethdev, queues;
	struct rte_mempool *const *pools; /* of these queues */
};

static int queues_setup(const struct lane *l, uint16_t rx, uint16_t tx)
{
	int rc = 0;

	for (uint16_t q = 0; q < l->queues && rc == 0; q++) {
		rc = rte_eth_rx_queue_setup(l->ethdev, q, rx, SOCKET_ID_ANY, NULL, l->pools[q]);
		if (rc == 0)
			rc = rte_eth_tx_queue_setup(l->ethdev, q, tx, SOCKET_ID_ANY, NULL);
	}
	return rc;
}

static bool is_offered(uint64_t capa, uint64_t what)
{
	return (capa & what) == what;
}

/*
 * What we ask of the device. The tap driver offers everything and does it in software, dearer
 * than we do.
 */
static void offloads_choose(struct port *p, const struct rte_eth_dev_info *info,
	enum port_offload_mode mode, struct rte_eth_conf *conf)
{
	unsigned segs = RTE_MIN(info->tx_desc_lim.nb_seg_max, TSO_SEGS);
	uint64_t rx = mode == PORT_OFFLOAD_NONE ? 0 : info->rx_offload_capa & RX_CSUM;
	uint64_t tx =
		mode == PORT_OFFLOAD_NONE || p->profile == PORT_TAP ? 0 : info->tx_offload_capa;

	p->multi_segs = is_offered(info->tx_offload_capa, RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
	/*
	 * A virtio neighbour may send us what it has not cut, over as many buffers as it takes. Not
	 * of a NIC: what joins segments hides the sender's clock.
	 */
	if (mode == PORT_OFFLOAD_AUTO && p->profile == PORT_VIRTIO_USER &&
		is_offered(rx, RTE_ETH_RX_OFFLOAD_TCP_CKSUM))
		rx |= is_offered(info->rx_offload_capa, RX_LARGE) ? RX_LARGE : 0;
	p->trusts_csum = is_offered(rx, RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
	p->offload.csum = is_offered(tx, RTE_ETH_TX_OFFLOAD_TCP_CKSUM);
	p->offload.ip_csum = p->offload.csum && is_offered(tx, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
	if (mode == PORT_OFFLOAD_AUTO && p->offload.csum && p->multi_segs && segs > TSO_COPIES &&
		is_offered(tx, RTE_ETH_TX_OFFLOAD_TCP_TSO)) {
		p->offload.tso_max = TSO_MAX;
		p->offload.refs_max = (uint16_t)(segs - TSO_COPIES);
	}
	conf->rxmode.offloads = rx;
	if (p->multi_segs)
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (p->offload.csum)
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	if (p->offload.ip_csum)
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	if (p->offload.tso_max != 0)
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
}

void port_offload_common(const struct port *ports, unsigned count, struct port_offload *ret)
{
	*ret = count > 0 ? ports[0].offload : (struct port_offload){0};
	for (unsigned i = 1; i < count; i++) {
		const struct port_offload *o = &ports[i].offload;

		ret->csum = ret->csum && o->csum;
		ret->refs_max = RTE_MIN(ret->refs_max, o->refs_max);
		/* whether the header's sum is left to the port is said once for all of them */
		ret->tso_max = o->ip_csum == ret->ip_csum ? RTE_MIN(ret->tso_max, o->tso_max) : 0;
	}
	if (!ret->csum || ret->tso_max == 0)
		ret->tso_max = ret->refs_max = 0;
}

static int lane_configure(struct port *p, enum port_offload_mode mode, const struct lane *l,
	struct err *err)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = {0};
	uint16_t rx = p->profile == PORT_TAP ? TAP_DESCS : RING_DESCS, tx = RING_DESCS;
	int rc = rte_eth_dev_info_get(l->ethdev, &info);

	if (rc < 0)
		return err_set(err, -rc, "port %s: no device information", p->name);
	if (info.max_rx_queues < l->queues || info.max_tx_queues < l->queues)
		return err_set(err, EINVAL,
			"port %s: the device has %u rx and %u tx queues, %u workers need one each",
			p->name, info.max_rx_queues, info.max_tx_queues, l->queues);
	offloads_choose(p, &info, mode, &conf);
	if (l->queues > 1 && p->profile == PORT_PCI) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
			info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP);
	}
	rc = rte_eth_dev_configure(l->ethdev, l->queues, l->queues, &conf);
	if (rc == 0)
		rc = rte_eth_dev_adjust_nb_rx_tx_desc(l->ethdev, &rx, &tx);
	if (rc == 0)
		rc = queues_setup(l, rx, tx);
	if (rc < 0)
		return err_set(err, -rc, "port %s: configure: %s", p->name, strerror(-rc));
	return 0;
}

static int lane_start(struct port *p, enum port_offload_mode mode, const struct lane *l,
	struct err *err)
{
	int rc = lane_configure(p, mode, l, err);

	if (rc < 0)
		return rc;
	rc = rte_eth_dev_start(l->ethdev);
	if (rc < 0)
		return err_set(err, -rc, "port %s: start: %s", p->name, strerror(-rc));
	p->lanes[p->lane_count++] = l->ethdev;
	groups_receive(l->ethdev);
	return 0;
}

static void port_init(struct port *p, const struct port_config *cfg, uint8_t index, unsigned queues)
{
	*p = (struct port){.profile = cfg->profile,
		.index = index,
		.queues = (uint16_t)queues,
		.mtu = RTE_ETHER_MTU,
		.netdev_fd = -1};
	for (unsigned q = 0; q < PORT_QUEUES_MAX; q++)
		p->wait_fds[q] = -1;
	snprintf(p->name, sizeof(p->name), "%s", cfg->name);
}

int port_adopt(uint16_t ethdev, const char *name, uint8_t index, struct rte_mempool *const *pools,
	unsigned queues, struct port *ret, struct err *err)
{
	struct port_config cfg = {.profile = PORT_AF_PACKET};
	struct lane l = {ethdev, (uint16_t)queues, pools};
	int rc;

	snprintf(cfg.name, sizeof(cfg.name), "%s", name);
	port_init(ret, &cfg, index, queues);
	rc = lane_start(ret, cfg.offloads, &l, err);
	rte_eth_macaddr_get(ethdev, &ret->mac);
	return rc;
}

/*
 * The tap driver gives the kernel's side and ours the same address, and two stations with one
 * address confuse every reader of a capture: the kernel's gets another one.
 */
static int tap_separate(const struct port *p, struct err *err)
{
	struct rte_ether_addr mac = p->mac;
	int rc;

	mac.addr_bytes[5] ^= 1;
	rc = port_netdev_mac_set(p->iface, &mac);
	if (rc < 0)
		return err_set(err, -rc, "port %s: address of %s: %s", p->name, p->iface,
			strerror(-rc));
	return 0;
}

/*
 * The kernel's name for a port that it does not drive: a tap with the port's own address, so that
 * both are one station to the link.
 */
static int netdev_join(struct port *p, struct err *err)
{
	int rc = port_netdev_open(p->iface);

	if (rc >= 0) {
		p->netdev_fd = rc;
		rc = port_netdev_mac_set(p->iface, &p->mac);
	}
	if (rc < 0)
		return err_set(err, -rc, "port %s: iface %s: %s", p->name, p->iface, strerror(-rc));
	return 0;
}

static int netdev_settle(struct port *p, const struct port_config *cfg, struct err *err)
{
	int rc = 0;

	snprintf(p->iface, sizeof(p->iface), "%s", cfg->iface);
	if (port_profile_has_tap(cfg->profile))
		rc = netdev_join(p, err);
	p->ifindex = if_nametoindex(cfg->iface);
	if (rc == 0 && cfg->profile == PORT_TAP)
		rc = tap_separate(p, err);
	return rc;
}

/* What a worker without work can wait for; the driver does not say, so its sockets are looked for. */
static void waits_settle(struct port *p)
{
	int fds[PORT_QUEUES_MAX];

	if (p->profile == PORT_AF_PACKET && port_netdev_sockets(p->ifindex, fds, p->queues))
		memcpy(p->wait_fds, fds, p->queues * sizeof(fds[0]));
}

/* Brings the MTU of the netdev, and of a NIC beside it, in line with the configuration's. */
static int mtu_settle(struct port *p, const struct port_config *cfg, uint16_t mtu, struct err *err)
{
	int rc = 0;

	p->mtu = mtu;
	if (cfg->mtu == 0)
		return 0;
	if (p->profile == PORT_PCI)
		rc = rte_eth_dev_set_mtu(p->lanes[0], mtu);
	if (rc == 0)
		rc = port_netdev_mtu_set(p->iface, mtu);
	if (rc < 0)
		return err_set(err, -rc, "port %s: mtu %u: %s", p->name, mtu, strerror(-rc));
	return 0;
}

/* Lane <n> of the port: an ethdev made for <queues> of its workers. */
static int lane_open(struct port *p, const struct port_config *cfg, unsigned n, uint16_t mtu,
	struct rte_mempool *const *pools, unsigned queues, struct err *err)
{
	struct lane l = {.queues = (uint16_t)queues, .pools = pools};
	char dev[PORT_DEV_NAME_MAX];
	int rc = port_device_add(cfg, p->index, n, queues, mtu, dev, err);

	if (rc < 0)
		return rc;
	if (rte_eth_dev_get_port_by_name(dev, &l.ethdev) < 0)
		return err_set(err, ENODEV, "port %s: %s is no network device", cfg->name, dev);
	return lane_start(p, cfg->offloads, &l, err);
}

static int lanes_open(struct port *p, const struct port_config *cfg, uint16_t mtu,
	struct rte_mempool *const *pools, struct err *err)
{
	int rc = 0;

	/* a driver of AF_XDP shows no more queues than the netdev has "combined" channels */
	if (cfg->profile != PORT_AF_XDP)
		return lane_open(p, cfg, 0, mtu, pools, p->queues, err);
	for (unsigned i = 0; i < p->queues && rc == 0; i++)
		rc = lane_open(p, cfg, i, mtu, pools + i, 1, err);
	return rc;
}

/* vhost has one address for all of its kind, and only what we write into frames counts. */
static void mac_choose(struct port *p)
{
	if (p->profile == PORT_VHOST_USER)
		rte_eth_random_addr(p->mac.addr_bytes);
	else
		rte_eth_macaddr_get(p->lanes[0], &p->mac);
}

int port_open(const struct port_config *cfg, uint8_t index, struct rte_mempool *const *pools,
	unsigned queues, struct port *ret, struct err *err)
{
	uint16_t mtu = port_mtu_probe(cfg, err);
	struct port p;
	int rc;

	if (mtu == 0)
		return -ENODEV;
	bug_on(queues > PORT_QUEUES_MAX);
	port_init(&p, cfg, index, queues);
	rc = port_device_check(cfg, queues, err);
	if (rc == 0)
		rc = lanes_open(&p, cfg, mtu, pools, err);
	if (rc == 0) {
		mac_choose(&p);
		rc = netdev_settle(&p, cfg, err);
	}
	if (rc == 0)
		rc = mtu_settle(&p, cfg, mtu, err);
	if (rc < 0) {
		port_close(&p);
		return rc;
	}
	waits_settle(&p);
	*ret = p;
	return rc;
}

void port_close(struct port *p)
{
	if (p->queues == 0)
		return;
	for (unsigned i = 0; i < p->lane_count; i++) {
		rte_eth_dev_stop(p->lanes[i]);
		rte_eth_dev_close(p->lanes[i]);
	}
	if (p->netdev_fd >= 0)
		close(p->netdev_fd);
	p->queues = 0;
}

static const char *const counter_names[] = {
#define PORT_COUNTER(NAME, name, help) name,
#include "dataplane/port/port.def"
#undef PORT_COUNTER
};

static const char *const counter_helps[] = {
#define PORT_COUNTER(NAME, name, help) help,
#include "dataplane/port/port.def"
#undef PORT_COUNTER
};

const char *port_counter_name(unsigned i)
{
	return counter_names[i];
}

const char *port_counter_help(unsigned i)
{
	return counter_helps[i];
}
