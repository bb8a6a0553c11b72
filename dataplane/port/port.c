// SPDX-License-Identifier: Apache-2.0
/*
 * port.c: makes, configures and starts the ports; main thread only.
 *
 * The user says what the port is (struct port_config); what DPDK wants to hear for it is decided
 * here and nowhere else: device arguments, ring sizes, offloads. We ask a driver for scatter on
 * transmit and for checksum verdicts on receive, and write every checksum ourselves, because the
 * drivers of laboratories (af_packet, tap, memif) do nothing for us there.
 */
#include "dataplane/port/port.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "dataplane/base/cleanup.h"
#include "dataplane/port/port_frame.h"

#define RING_FRAMES 2048 /* of an af_packet queue: what a fast sender fills during a 1 ms nap */
#define RING_DESCS 1024	 /* of a NIC's queue */
#define TAP_DESCS 8	 /* the tap driver reads one frame over as many buffers */
#define BIND_HINT "bind it with: dpdk-devbind.py -b vfio-pci %s"
#define RX_CSUM (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)

static const char *const profile_names[PORT_PROFILE_COUNT] = {
	[PORT_AF_PACKET] = "af_packet",
	[PORT_TAP] = "tap",
	[PORT_PCI] = "pci",
};

int port_profile_parse(struct str s)
{
	for (int i = 0; i < PORT_PROFILE_COUNT; i++)
		if (str_eq(s, str_of(profile_names[i])))
			return i;
	return -1;
}

const char *port_profile_name(enum port_profile p)
{
	return profile_names[p];
}

/* An interface request about <iface>; 0 or a negative errno. */
static int iface_ioctl(const char *iface, unsigned long request, struct ifreq *ifr)
{
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", iface);
	return ioctl(fd, request, ifr) < 0 ? -errno : 0;
}

/* A NIC is usable when it exists and a driver for user space holds it. */
static int pci_check(const struct port_config *cfg, struct err *err)
{
	char path[128], target[256];
	const char *driver;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", cfg->pci);
	if (access(path, F_OK) < 0)
		return err_set(err, ENODEV, "port %s: pci %s: no such device", cfg->name, cfg->pci);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", cfg->pci);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return err_set(err, ENODEV, "port %s: pci %s: no driver holds it; " BIND_HINT,
			cfg->name, cfg->pci, cfg->pci);
	target[n] = '\0';
	driver = strrchr(target, '/') != NULL ? strrchr(target, '/') + 1 : target;
	/* mlx4 and mlx5 are driven beside their kernel driver */
	if (strcmp(driver, "vfio-pci") != 0 && strcmp(driver, "igb_uio") != 0 &&
		strcmp(driver, "uio_pci_generic") != 0 && strncmp(driver, "mlx", 3) != 0)
		return err_set(err, EBUSY, "port %s: pci %s: the kernel's %s holds it; " BIND_HINT,
			cfg->name, cfg->pci, driver, cfg->pci);
	return 0;
}

uint16_t port_mtu_probe(const struct port_config *cfg, struct err *err)
{
	struct ifreq ifr = {0};
	int rc;

	if (cfg->profile == PORT_PCI && pci_check(cfg, err) < 0)
		return 0;
	if (cfg->mtu != 0)
		return cfg->mtu;
	if (cfg->profile != PORT_AF_PACKET)
		return RTE_ETHER_MTU;
	rc = iface_ioctl(cfg->iface, SIOCGIFMTU, &ifr);
	if (rc < 0) {
		err_set(err, -rc, "port %s: iface %s: %s", cfg->name, cfg->iface, strerror(-rc));
		return 0;
	}
	return (uint16_t)RTE_MIN(RTE_MAX(ifr.ifr_mtu, PORT_MTU_MIN), PORT_MTU_MAX);
}

static int af_packet_args(const struct port_config *cfg, uint16_t mtu, unsigned queues, char *buf,
	size_t size, struct err *err)
{
	uint16_t frame = port_frame_size(mtu);
	unsigned block = RTE_MAX(4096u, (unsigned)frame);

	if (if_nametoindex(cfg->iface) == 0)
		return err_set(err, errno, "port %s: iface %s: %s", cfg->name, cfg->iface,
			strerror(errno));
	snprintf(buf, size, "iface=%s,qpairs=%u,qdisc_bypass=1,blocksz=%u,framesz=%u,framecnt=%u",
		cfg->iface, queues, block, frame, RING_FRAMES);
	return 0;
}

/* Tells EAL about the device; its name there goes to <dev>. */
static int device_add(const struct port_config *cfg, uint8_t index, unsigned queues, uint16_t mtu,
	char *dev, size_t size, struct err *err)
{
	char args[256] = "";
	const char *bus = "vdev";
	int rc = 0;

	switch (cfg->profile) {
	case PORT_AF_PACKET:
		snprintf(dev, size, "net_af_packet%u", index);
		rc = af_packet_args(cfg, mtu, queues, args, sizeof(args), err);
		break;
	case PORT_TAP:
		snprintf(dev, size, "net_tap%u", index);
		snprintf(args, sizeof(args), "iface=%s", cfg->iface);
		break;
	default:
		bus = "pci";
		snprintf(dev, size, "%s", cfg->pci);
		break;
	}
	if (rc < 0)
		return rc;
	rc = rte_eal_hotplug_add(bus, dev, args);
	if (rc < 0)
		return err_set(err, -rc, "port %s: %s %s: %s", cfg->name, dev, args, strerror(-rc));
	return 0;
}

/* Receives what is for groups too: Neighbour Discovery asks for our VIPs there. */
static void groups_receive(uint16_t ethdev)
{
	if (rte_eth_allmulticast_enable(ethdev) != 0)
		rte_eth_promiscuous_enable(ethdev); /* eth_input() filters */
}

static int queues_setup(struct port *p, struct rte_mempool *const *pools, uint16_t rx, uint16_t tx)
{
	int rc = 0;

	for (uint16_t q = 0; q < p->queues && rc == 0; q++) {
		rc = rte_eth_rx_queue_setup(p->ethdev, q, rx, SOCKET_ID_ANY, NULL, pools[q]);
		if (rc == 0)
			rc = rte_eth_tx_queue_setup(p->ethdev, q, tx, SOCKET_ID_ANY, NULL);
	}
	return rc;
}

static int configure(struct port *p, struct rte_mempool *const *pools, struct err *err)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = {0};
	uint16_t rx = p->profile == PORT_TAP ? TAP_DESCS : RING_DESCS, tx = RING_DESCS;
	int rc = rte_eth_dev_info_get(p->ethdev, &info);

	if (rc < 0)
		return err_set(err, -rc, "port %s: no device information", p->name);
	if (info.max_rx_queues < p->queues || info.max_tx_queues < p->queues)
		return err_set(err, EINVAL,
			"port %s: the device has %u rx and %u tx queues, %u workers need one each",
			p->name, info.max_rx_queues, info.max_tx_queues, p->queues);
	p->multi_segs = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	p->trusts_csum = (info.rx_offload_capa & RX_CSUM) == RX_CSUM;
	conf.txmode.offloads = p->multi_segs ? RTE_ETH_TX_OFFLOAD_MULTI_SEGS : 0;
	conf.rxmode.offloads = p->trusts_csum ? RX_CSUM : 0;
	if (p->queues > 1 && p->profile == PORT_PCI) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
			info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP);
	}
	rc = rte_eth_dev_configure(p->ethdev, p->queues, p->queues, &conf);
	if (rc == 0)
		rc = rte_eth_dev_adjust_nb_rx_tx_desc(p->ethdev, &rx, &tx);
	if (rc == 0)
		rc = queues_setup(p, pools, rx, tx);
	if (rc < 0)
		return err_set(err, -rc, "port %s: configure: %s", p->name, strerror(-rc));
	return 0;
}

static int ethdev_start(uint16_t ethdev, const char *name, enum port_profile profile, uint8_t index,
	struct rte_mempool *const *pools, unsigned queues, struct port *ret, struct err *err)
{
	struct port p = {.profile = profile,
		.index = index,
		.ethdev = ethdev,
		.queues = (uint16_t)queues,
		.mtu = RTE_ETHER_MTU};
	int rc;

	snprintf(p.name, sizeof(p.name), "%s", name);
	rc = configure(&p, pools, err);
	if (rc < 0)
		return rc;
	rc = rte_eth_dev_start(ethdev);
	if (rc < 0)
		return err_set(err, -rc, "port %s: start: %s", name, strerror(-rc));
	rte_eth_macaddr_get(ethdev, &p.mac);
	groups_receive(ethdev);
	*ret = p;
	return 0;
}

int port_adopt(uint16_t ethdev, const char *name, uint8_t index, struct rte_mempool *const *pools,
	unsigned queues, struct port *ret, struct err *err)
{
	return ethdev_start(ethdev, name, PORT_AF_PACKET, index, pools, queues, ret, err);
}

/*
 * The tap driver gives the kernel's side and ours the same address, and two stations with one
 * address confuse every reader of a capture: the kernel's gets another one.
 */
static int tap_separate(const struct port *p, struct err *err)
{
	struct ifreq ifr = {0};
	int rc;

	ifr.ifr_hwaddr.sa_family = 1; /* ARPHRD_ETHER */
	memcpy(ifr.ifr_hwaddr.sa_data, p->mac.addr_bytes, RTE_ETHER_ADDR_LEN);
	ifr.ifr_hwaddr.sa_data[5] ^= 1;
	rc = iface_ioctl(p->iface, SIOCSIFHWADDR, &ifr);
	if (rc < 0)
		return err_set(err, -rc, "port %s: address of %s: %s", p->name, p->iface,
			strerror(-rc));
	return 0;
}

/* Brings the netdev's MTU in line with the configuration's, or reads it. */
static int mtu_settle(struct port *p, const struct port_config *cfg, uint16_t mtu, struct err *err)
{
	struct ifreq ifr = {.ifr_mtu = mtu};
	int rc;

	p->mtu = mtu;
	if (cfg->mtu == 0)
		return 0;
	if (p->iface[0] != '\0')
		rc = iface_ioctl(p->iface, SIOCSIFMTU, &ifr);
	else
		rc = rte_eth_dev_set_mtu(p->ethdev, mtu);
	if (rc < 0)
		return err_set(err, -rc, "port %s: mtu %u: %s", p->name, mtu, strerror(-rc));
	return 0;
}

int port_open(const struct port_config *cfg, uint8_t index, struct rte_mempool *const *pools,
	unsigned queues, struct port *ret, struct err *err)
{
	uint16_t mtu = port_mtu_probe(cfg, err), ethdev;
	struct port p;
	char dev[64];
	int rc;

	if (mtu == 0)
		return -ENODEV;
	rc = device_add(cfg, index, queues, mtu, dev, sizeof(dev), err);
	if (rc < 0)
		return rc;
	if (rte_eth_dev_get_port_by_name(dev, &ethdev) < 0)
		return err_set(err, ENODEV, "port %s: %s is no network device", cfg->name, dev);
	rc = ethdev_start(ethdev, cfg->name, cfg->profile, index, pools, queues, &p, err);
	if (rc < 0)
		return rc;
	if (cfg->profile != PORT_PCI) {
		snprintf(p.iface, sizeof(p.iface), "%s", cfg->iface);
		p.ifindex = if_nametoindex(cfg->iface);
	}
	rc = mtu_settle(&p, cfg, mtu, err);
	if (rc == 0 && cfg->profile == PORT_TAP)
		rc = tap_separate(&p, err);
	if (rc < 0)
		port_close(&p);
	else
		*ret = p;
	return rc;
}

void port_close(struct port *p)
{
	if (p->queues == 0)
		return;
	rte_eth_dev_stop(p->ethdev);
	rte_eth_dev_close(p->ethdev);
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
