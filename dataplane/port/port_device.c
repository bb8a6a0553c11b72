// SPDX-License-Identifier: Apache-2.0
/*
 * port_device.c: what DPDK wants to hear for each profile: the device's name and arguments.
 */
#include "dataplane/port/port_device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_dev.h>

#include "dataplane/port/port_frame.h"

#define RING_FRAMES 2048 /* of an af_packet queue: what a fast sender fills during a 1 ms nap */
#define BIND_HINT "bind it with: dpdk-devbind.py -b vfio-pci %s"
#define ARGS_MAX 320

struct device {
	const char *bus;
	char name[PORT_DEV_NAME_MAX], args[ARGS_MAX];
};

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
	int mtu;

	if (cfg->profile == PORT_PCI && pci_check(cfg, err) < 0)
		return 0;
	if (cfg->mtu != 0)
		return cfg->mtu;
	if (cfg->profile != PORT_AF_PACKET)
		return RTE_ETHER_MTU;
	mtu = port_netdev_mtu(cfg->iface);
	if (mtu < 0) {
		err_set(err, -mtu, "port %s: iface %s: %s", cfg->name, cfg->iface, strerror(-mtu));
		return 0;
	}
	return (uint16_t)RTE_MIN(RTE_MAX(mtu, PORT_MTU_MIN), PORT_MTU_MAX);
}

static void af_packet_args(const struct port_config *cfg, unsigned queues, uint16_t mtu,
	struct device *d)
{
	uint16_t frame = port_frame_size(mtu);
	unsigned block = RTE_MAX(4096u, (unsigned)frame);

	snprintf(d->args, ARGS_MAX,
		"iface=%s,qpairs=%u,qdisc_bypass=1,blocksz=%u,framesz=%u,framecnt=%u", cfg->iface,
		queues, block, frame, RING_FRAMES);
}

/* The client says how large rings and buffers are; a buffer holds a whole frame. */
static void memif_args(const struct port_config *cfg, unsigned queues, uint16_t mtu,
	struct device *d)
{
	const struct port_memif *m = &cfg->memif;

	snprintf(d->args, ARGS_MAX,
		"role=%s,socket=%s,socket-abstract=no,id=%u,rsize=%u,bsize=%u,zero-copy=%s",
		m->role == PORT_ROLE_CLIENT ? "client" : "server", cfg->socket, m->id,
		rte_log2_u32(m->ring_size), port_frame_size(mtu), m->zero_copy ? "yes" : "no");
}

static void virtio_user_args(const struct port_config *cfg, unsigned queues, uint16_t mtu,
	struct device *d)
{
	const struct port_virtio *v = &cfg->virtio;

	snprintf(d->args, ARGS_MAX,
		"path=%s,queues=%u,queue_size=%u,packed_vq=%d,in_order=%d,mrg_rxbuf=%d",
		cfg->socket, queues, v->queue_size, v->packed, v->in_order, v->mergeable);
}

static void tap_args(const struct port_config *cfg, unsigned queues, uint16_t mtu, struct device *d)
{
	snprintf(d->args, ARGS_MAX, "iface=%s", cfg->iface);
}

static const struct {
	const char *driver; /* NULL: the device is on the PCI bus */
	void (*args)(const struct port_config *, unsigned, uint16_t, struct device *);
} drivers[PORT_PROFILE_COUNT] = {
	[PORT_AF_PACKET] = {"net_af_packet", af_packet_args},
	[PORT_TAP] = {"net_tap", tap_args},
	[PORT_MEMIF] = {"net_memif", memif_args},
	[PORT_VIRTIO_USER] = {"net_virtio_user", virtio_user_args},
};

int port_device_add(const struct port_config *cfg, uint8_t index, unsigned queues, uint16_t mtu,
	char dev[PORT_DEV_NAME_MAX], struct err *err)
{
	struct device d = {.bus = "vdev"};
	int rc;

	if (cfg->profile == PORT_AF_PACKET && if_nametoindex(cfg->iface) == 0)
		return err_set(err, errno, "port %s: iface %s: %s", cfg->name, cfg->iface,
			strerror(errno));
	if (drivers[cfg->profile].driver == NULL) {
		d.bus = "pci";
		snprintf(d.name, sizeof(d.name), "%s", cfg->pci);
	} else {
		snprintf(d.name, sizeof(d.name), "%s%u", drivers[cfg->profile].driver, index);
		drivers[cfg->profile].args(cfg, queues, mtu, &d);
	}
	rc = rte_eal_hotplug_add(d.bus, d.name, d.args);
	if (rc < 0)
		return err_set(err, -rc, "port %s: %s %s: %s", cfg->name, d.name, d.args,
			strerror(-rc));
	snprintf(dev, PORT_DEV_NAME_MAX, "%s", d.name);
	return 0;
}
