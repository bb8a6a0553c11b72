// SPDX-License-Identifier: Apache-2.0
/*
 * port_netdev.c: the kernel's netdevs beside or under our ports; main thread, before root is given
 * up. Standards: netdevice(7), the kernel's networking/tuntap.
 */
#include "dataplane/port/port_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/base/cleanup.h"

#define FILES_LOOKED_AT 1024 /* the first ones: ports are made at start */

/* An interface request about <iface>; 0 or a negative errno. */
static int netdev_ioctl(const char *iface, unsigned long request, struct ifreq *ifr)
{
	autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", iface);
	return ioctl(fd, request, ifr) < 0 ? -errno : 0;
}

int port_netdev_mtu(const char *iface)
{
	struct ifreq ifr = {0};
	int rc = netdev_ioctl(iface, SIOCGIFMTU, &ifr);

	return rc < 0 ? rc : ifr.ifr_mtu;
}

int port_netdev_mtu_set(const char *iface, uint16_t mtu)
{
	struct ifreq ifr = {.ifr_mtu = mtu};

	return netdev_ioctl(iface, SIOCSIFMTU, &ifr);
}

int port_netdev_mac_set(const char *iface, const struct rte_ether_addr *mac)
{
	struct ifreq ifr = {0};

	ifr.ifr_hwaddr.sa_family = 1; /* ARPHRD_ETHER */
	memcpy(ifr.ifr_hwaddr.sa_data, mac->addr_bytes, RTE_ETHER_ADDR_LEN);
	return netdev_ioctl(iface, SIOCSIFHWADDR, &ifr);
}

int port_netdev_open(const char *iface)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", iface);
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* A packet socket that receives from netdev <ifindex>? Only such are bound to a protocol. */
static bool reads_netdev(int fd, unsigned ifindex)
{
	struct sockaddr_ll addr = {0};
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return false;
	return addr.sll_family == AF_PACKET && addr.sll_ifindex == (int)ifindex &&
		addr.sll_protocol != 0;
}

/* The driver opens one after the other, and a new file gets the lowest free number. */
bool port_netdev_sockets(unsigned ifindex, int *ret, unsigned count)
{
	unsigned n = 0;

	for (int fd = 0; fd < FILES_LOOKED_AT; fd++) {
		if (!reads_netdev(fd, ifindex))
			continue;
		if (n < count)
			ret[n] = fd;
		n++;
	}
	return n == count;
}
