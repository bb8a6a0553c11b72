// SPDX-License-Identifier: Apache-2.0
/*
 * port_device.c: what DPDK wants to hear for each profile: the device's name and arguments.
 */
#include "dataplane/port/port_device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_dev.h>

#include "dataplane/base/cleanup.h"
#include "dataplane/port/port_frame.h"

#define RING_FRAMES 2048 /* of an af_packet queue: what a fast sender fills during a 1 ms nap */
#define BIND_HINT "bind it with: dpdk-devbind.py -b vfio-pci %s"
#define ARGS_MAX 320

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
	const char *netdev;
	int mtu;

	if (cfg->profile == PORT_PCI && pci_check(cfg, err) < 0)
		return 0;
	if (cfg->mtu != 0)
		return cfg->mtu;
	if (cfg->profile != PORT_AF_PACKET && cfg->profile != PORT_AF_XDP)
		return RTE_ETHER_MTU;
	netdev = cfg->profile == PORT_AF_XDP ? cfg->device : cfg->iface;
	mtu = port_netdev_mtu(netdev);
	if (mtu < 0) {
		err_set(err, -mtu, "port %s: iface %s: %s", cfg->name, netdev, strerror(-mtu));
		return 0;
	}
	return (uint16_t)RTE_MIN(RTE_MAX(mtu, PORT_MTU_MIN), PORT_MTU_MAX);
}

/* What the arguments are made of, and where they go. */
struct request {
	const struct port_config *cfg;
	unsigned lane, queues;
	uint16_t mtu;
	char args[ARGS_MAX];
};

static void af_packet_args(struct request *r)
{
	uint16_t frame = port_frame_size(r->mtu);
	unsigned block = RTE_MAX(4096u, (unsigned)frame);

	snprintf(r->args, ARGS_MAX,
		"iface=%s,qpairs=%u,qdisc_bypass=1,blocksz=%u,framesz=%u,framecnt=%u",
		r->cfg->iface, r->queues, block, frame, RING_FRAMES);
}

/*
 * The client says how large rings and buffers are; a buffer holds a whole frame. Not zero-copy:
 * large bodies then came in buffers that were free already (DPDK 22.11).
 */
static void memif_args(struct request *r)
{
	const struct port_memif *m = &r->cfg->memif;

	snprintf(r->args, ARGS_MAX, "role=%s,socket=%s,socket-abstract=no,id=%u,rsize=%u,bsize=%u",
		m->role == PORT_ROLE_CLIENT ? "client" : "server", r->cfg->socket, m->id,
		rte_log2_u32(m->ring_size), port_frame_size(r->mtu));
}

static void virtio_user_args(struct request *r)
{
	const struct port_virtio *v = &r->cfg->virtio;

	snprintf(r->args, ARGS_MAX,
		"path=%s,queues=%u,queue_size=%u,packed_vq=%d,in_order=%d,mrg_rxbuf=%d",
		r->cfg->socket, r->queues, v->queue_size, v->packed, v->in_order, v->mergeable);
}

static void vhost_user_args(struct request *r)
{
	snprintf(r->args, ARGS_MAX, "iface=%s,queues=%u,client=%d", r->cfg->socket, r->queues,
		r->cfg->vhost.role == PORT_ROLE_CLIENT);
}

static void af_xdp_args(struct request *r)
{
	snprintf(r->args, ARGS_MAX, "iface=%s,start_queue=%u,queue_count=1", r->cfg->device,
		r->lane);
}

static void tap_args(struct request *r)
{
	snprintf(r->args, ARGS_MAX, "iface=%s", r->cfg->iface);
}

static const struct {
	const char *driver; /* NULL: the device is on the PCI bus */
	void (*args)(struct request *r);
} drivers[PORT_PROFILE_COUNT] = {
	[PORT_AF_PACKET] = {"net_af_packet", af_packet_args},
	[PORT_TAP] = {"net_tap", tap_args},
	[PORT_MEMIF] = {"net_memif", memif_args},
	[PORT_VIRTIO_USER] = {"net_virtio_user", virtio_user_args},
	[PORT_VHOST_USER] = {"net_vhost", vhost_user_args},
	[PORT_AF_XDP] = {"net_af_xdp", af_xdp_args},
};

static bool makes_socket(const struct port_config *cfg)
{
	return (cfg->profile == PORT_MEMIF && cfg->memif.role == PORT_ROLE_SERVER) ||
		(cfg->profile == PORT_VHOST_USER && cfg->vhost.role == PORT_ROLE_SERVER);
}

/* One that nobody listens on is left from a life that ended without root; bind(2) minds it. */
static int socket_clear(const struct port_config *cfg, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct stat st;

	if (lstat(cfg->socket, &st) < 0)
		return 0;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", cfg->socket);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, EEXIST, "port %s: %s is no socket", cfg->name, cfg->socket);
	/* EPROTOTYPE: one of another type, and alive */
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 || errno != ECONNREFUSED)
		return err_set(err, EADDRINUSE, "port %s: another program listens on %s", cfg->name,
			cfg->socket);
	if (unlink(cfg->socket) < 0)
		return err_set(err, errno, "port %s: %s: %s", cfg->name, cfg->socket,
			strerror(errno));
	return 0;
}

/* What comes in by a queue that no worker has taken passes us by, and nobody would know why. */
static int queues_check(const struct port_config *cfg, unsigned workers, struct err *err)
{
	char path[128];
	unsigned queues = 0;

	do
		snprintf(path, sizeof(path), "/sys/class/net/%s/queues/rx-%u", cfg->device, queues);
	while (access(path, F_OK) == 0 && ++queues <= PORT_QUEUES_MAX);
	if (queues == workers)
		return 0;
	return err_set(err, EINVAL,
		"port %s: %s has %u receive queues, and each worker takes one: make it %u "
		"(ethtool -L %s)",
		cfg->name, cfg->device, queues, workers, cfg->device);
}

/* Drivers say no more than EINVAL or ENODEV about these. */
int port_device_check(const struct port_config *cfg, unsigned workers, struct err *err)
{
	const char *netdev = NULL;

	if (cfg->profile == PORT_AF_PACKET)
		netdev = cfg->iface;
	if (cfg->profile == PORT_AF_XDP)
		netdev = cfg->device;
	if (netdev != NULL && if_nametoindex(netdev) == 0)
		return err_set(err, errno, "port %s: iface %s: %s", cfg->name, netdev,
			strerror(errno));
	if (cfg->profile == PORT_AF_XDP)
		return queues_check(cfg, workers, err);
	return makes_socket(cfg) ? socket_clear(cfg, err) : 0;
}

int port_device_add(const struct port_config *cfg, uint8_t index, unsigned lane, unsigned queues,
	uint16_t mtu, char dev[PORT_DEV_NAME_MAX], struct err *err)
{
	struct request r = {.cfg = cfg, .lane = lane, .queues = queues, .mtu = mtu};
	bool pci = drivers[cfg->profile].driver == NULL;
	int rc;

	if (pci) {
		snprintf(dev, PORT_DEV_NAME_MAX, "%s", cfg->pci);
	} else {
		snprintf(dev, PORT_DEV_NAME_MAX, "%s%u", drivers[cfg->profile].driver,
			index * PORT_QUEUES_MAX + lane);
		drivers[cfg->profile].args(&r);
	}
	rc = rte_eal_hotplug_add(pci ? "pci" : "vdev", dev, r.args);
	if (rc < 0)
		return err_set(err, -rc, "port %s: %s %s: %s", cfg->name, dev, r.args,
			strerror(-rc));
	return 0;
}
