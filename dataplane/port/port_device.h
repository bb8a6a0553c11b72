// SPDX-License-Identifier: Apache-2.0
/*
 * port_device.h: devices by profile and the netdevs beside them; private to port/.
 */
#pragma once

#include "dataplane/port/port.h"

#define PORT_DEV_NAME_MAX 64

/* Is the place there that <cfg> names, and free? */
int port_device_check(const struct port_config *cfg, unsigned workers, struct err *err);
/* Tells EAL about device <lane> of port <index>; its name there goes to <dev>. */
int port_device_add(const struct port_config *cfg, uint8_t index, unsigned lane, unsigned queues,
	uint16_t mtu, char dev[PORT_DEV_NAME_MAX], struct err *err);

/* The MTU that netdev <iface> has, or a negative errno. */
int port_netdev_mtu(const char *iface);
int port_netdev_mtu_set(const char *iface, uint16_t mtu);
int port_netdev_mac_set(const char *iface, const struct rte_ether_addr *mac);
/*
 * The tap netdev <iface>, made or, when it is there already, taken: its file, non-blocking and
 * without packet information, or a negative errno. It goes with the file unless it was there.
 */
int port_netdev_open(const char *iface);
/*
 * The files by which the af_packet driver reads netdev <ifindex>, one per queue and in their order.
 * False: there are not <count> of them.
 */
bool port_netdev_sockets(unsigned ifindex, int *ret, unsigned count);
