// SPDX-License-Identifier: Apache-2.0
/*
 * hide.h: keeps the packets of VIPs and sources away from the kernel on a shared netdev.
 *
 * AF_PACKET gets a copy of each frame before the netdev-ingress hook, so a drop there hides the
 * frame from the kernel alone. Without it a kernel that forwards would send VIP traffic back out,
 * and one that proxies ARP would answer for our addresses.
 */
#pragma once

#include "dataplane/base/err.h"
#include "dataplane/base/ip.h"

/*
 * Sets the rules of <iface>: one transaction that replaces the table "sluice_<iface>" as a whole,
 * so a table left behind by a crash is replaced too. Runs nft; needs CAP_NET_ADMIN.
 */
int hide_set(const char *iface, const struct ip_addr *addrs, unsigned count, struct err *err);
int hide_clear(const char *iface, struct err *err);
/* The script of hide_set(), for it and for tests; malloc'ed. */
char *hide_script(const char *iface, const struct ip_addr *addrs, unsigned count);
/* Lets programs started by this thread keep CAP_NET_ADMIN when we are not root any more. */
int hide_allow(struct err *err);
