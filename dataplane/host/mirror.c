// SPDX-License-Identifier: Apache-2.0
/*
 * mirror.c: rtnetlink dumps -> struct fib.
 *
 * Taken: links of our ports, their addresses, unicast and unreachable routes of the main table.
 * Routes over interfaces that are not ours are kept as such, so that a longer prefix elsewhere is
 * not sent our way by a shorter one. Multipath routes keep their next hops; weights are not used.
 * Standards: rtnetlink(7).
 */
#include "dataplane/host/mirror.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_ethdev.h>

#define DUMP_BUF 65536
#define DUMP_TRIES 3 /* a dump that the kernel interrupted is begun again */
#define METRIC_LAST (UINT32_MAX - 1)

struct table {
	struct fib_iface ifaces[PORTS_MAX];
	/* the kernel's side of tap ports; "any": none */
	struct ip_addr tap4[PORTS_MAX], tap6[PORTS_MAX];
	uint32_t route_count;
	bool full; /* routes were left out */
	struct fib_route routes[FIB_ROUTES_MAX];
};

struct mirror {
	const struct port *ports; /* borrowed */
	unsigned port_count;
	struct mnl_socket *notify; /* owned: notifications only */
	struct mnl_socket *dump;   /* owned: questions and answers */
	unsigned seq;
	struct table *now, *last; /* owned; <last>: what mirror_read() gave last */
	bool carrier[PORTS_MAX];  /* of NICs, as mirror_read() found it */
	bool have_last;
};

/* -- sockets ------------------------------------------------------------------------------- */

static struct mnl_socket *socket_open(unsigned groups, int flags)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | flags);

	if (s != NULL && mnl_socket_bind(s, groups, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(s);
		s = NULL;
	}
	return s;
}

int mirror_open(const struct port *ports, unsigned port_count, struct mirror **ret, struct err *err)
{
	struct mirror *m = calloc(1, sizeof(*m));

	bug_on(m == NULL);
	m->ports = ports;
	m->port_count = port_count;
	m->now = calloc(1, sizeof(*m->now));
	m->last = calloc(1, sizeof(*m->last));
	bug_on(m->now == NULL || m->last == NULL);
	m->notify = socket_open(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
			RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
		SOCK_NONBLOCK);
	m->dump = socket_open(0, 0);
	if (m->notify == NULL || m->dump == NULL) {
		int rc = err_set(err, errno, "rtnetlink: %s", strerror(errno));

		mirror_close(m);
		return rc;
	}
	*ret = m;
	return 0;
}

void mirror_close(struct mirror *m)
{
	if (m == NULL)
		return;
	if (m->notify != NULL)
		mnl_socket_close(m->notify);
	if (m->dump != NULL)
		mnl_socket_close(m->dump);
	free(m->now);
	free(m->last);
	free(m);
}

int mirror_fd(const struct mirror *m)
{
	return mnl_socket_get_fd(m->notify);
}

/* The tap beside a NIC is always up: only the driver knows whether there is a wire. */
static bool nic_carrier(const struct port *p)
{
	struct rte_eth_link link = {0};

	if (p->profile != PORT_PCI)
		return true;
	rte_eth_link_get_nowait(p->lanes[0], &link);
	return link.link_status == RTE_ETH_LINK_UP;
}

bool mirror_drain(struct mirror *m)
{
	char buf[DUMP_BUF];
	bool any = false;

	for (unsigned p = 0; p < m->port_count; p++)
		any |= nic_carrier(&m->ports[p]) != m->carrier[p];
	for (;;) {
		ssize_t n = mnl_socket_recvfrom(m->notify, buf, sizeof(buf));

		if (n < 0 && errno == ENOBUFS) {
			any = true; /* too many at once: some are lost, the dump will tell */
			continue;
		}
		if (n <= 0)
			return any;
		any = true;
	}
}

/* -- what the messages say ----------------------------------------------------------------- */

/* Index of the port whose netdev this is, or FIB_PORT_NONE. */
static uint8_t port_of(const struct mirror *m, unsigned ifindex)
{
	for (unsigned p = 0; p < m->port_count; p++)
		if (m->ports[p].ifindex == ifindex && ifindex != 0)
			return (uint8_t)p;
	return FIB_PORT_NONE;
}

static void attrs_get(const struct nlattr *first, const void *end, const struct nlattr **tb,
	unsigned max)
{
	const struct nlattr *a = first;

	memset(tb, 0, sizeof(*tb) * (max + 1));
	for (; mnl_attr_ok(a, (int)((const char *)end - (const char *)a)); a = mnl_attr_next(a))
		if (mnl_attr_get_type(a) <= max)
			tb[mnl_attr_get_type(a)] = a;
}

static bool addr_get(const struct nlattr *a, int family, struct ip_addr *ret)
{
	uint16_t len = a ? mnl_attr_get_payload_len(a) : 0;

	if (family == AF_INET && len == 4)
		*ret = ip_from_v4(mnl_attr_get_payload(a));
	else if (family == AF_INET6 && len == 16)
		*ret = ip_from_v6(mnl_attr_get_payload(a));
	else
		return false;
	return true;
}

static int on_link(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[IFLA_MTU + 1];
	struct mirror *m = ctx;
	uint8_t p = port_of(m, (unsigned)ifi->ifi_index);

	if (p == FIB_PORT_NONE)
		return MNL_CB_OK;
	attrs_get((const struct nlattr *)(ifi + 1), mnl_nlmsg_get_payload_tail(nlh), tb, IFLA_MTU);
	m->now->ifaces[p].up = (ifi->ifi_flags & IFF_UP) && (ifi->ifi_flags & IFF_RUNNING);
	if (tb[IFLA_MTU] != NULL && mnl_attr_validate(tb[IFLA_MTU], MNL_TYPE_U32) >= 0)
		m->now->ifaces[p].mtu =
			(uint16_t)RTE_MIN(mnl_attr_get_u32(tb[IFLA_MTU]), (uint32_t)UINT16_MAX);
	return MNL_CB_OK;
}

static int on_addr(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[IFA_LOCAL + 1];
	struct mirror *m = ctx;
	uint8_t p = port_of(m, ifa->ifa_index);
	struct ip_addr addr;
	struct fib_iface *f;

	if (p == FIB_PORT_NONE || (ifa->ifa_flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)))
		return MNL_CB_OK;
	attrs_get((const struct nlattr *)(ifa + 1), mnl_nlmsg_get_payload_tail(nlh), tb, IFA_LOCAL);
	if (!addr_get(tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS], ifa->ifa_family, &addr))
		return MNL_CB_OK;
	if (m->ports[p].profile == PORT_TAP) {
		struct ip_addr *tap = ip_is_v4(&addr) ? &m->now->tap4[p] : &m->now->tap6[p];

		if (ip_is_any(tap))
			*tap = addr;
		return MNL_CB_OK;
	}
	f = &m->now->ifaces[p];
	if (f->addr_count < FIB_IFACE_ADDRS_MAX)
		f->addrs[f->addr_count++] = (struct ip_net){addr,
			(uint8_t)(ifa->ifa_prefixlen + (ip_is_v4(&addr) ? 96 : 0))};
	return MNL_CB_OK;
}

/* RTA_GATEWAY is of the route's family, RTA_VIA of its own (RFC 8950: IPv4 over IPv6). */
static void via_get(const struct nlattr *const *tb, int family, struct ip_addr *ret)
{
	const struct rtvia *via;

	if (tb[RTA_VIA] == NULL) {
		addr_get(tb[RTA_GATEWAY], family, ret);
		return;
	}
	if (mnl_attr_get_payload_len(tb[RTA_VIA]) < sizeof(*via))
		return;
	via = mnl_attr_get_payload(tb[RTA_VIA]);
	if (via->rtvia_family == AF_INET6 &&
		mnl_attr_get_payload_len(tb[RTA_VIA]) >= sizeof(*via) + 16)
		*ret = ip_from_v6(via->rtvia_addr);
}

static void path_add(struct fib_route *r, uint8_t port, const struct ip_addr *via)
{
	if (r->path_count < FIB_PATHS_MAX)
		r->paths[r->path_count++] = (struct fib_path){*via, port};
}

static void paths_get(const struct mirror *m, const struct nlattr *multi, int family,
	struct fib_route *r)
{
	const struct rtnexthop *nh = mnl_attr_get_payload(multi);
	int left = mnl_attr_get_payload_len(multi);

	while (left >= (int)sizeof(*nh) && nh->rtnh_len >= sizeof(*nh) && nh->rtnh_len <= left) {
		const struct nlattr *tb[RTA_VIA + 1];
		struct ip_addr via = {{0}};

		attrs_get((const struct nlattr *)RTNH_DATA(nh), (const char *)nh + nh->rtnh_len, tb,
			RTA_VIA);
		via_get(tb, family, &via);
		if (!(nh->rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)))
			path_add(r, port_of(m, (unsigned)nh->rtnh_ifindex), &via);
		left -= (int)NLMSG_ALIGN(nh->rtnh_len);
		nh = RTNH_NEXT(nh);
	}
}

static void route_add(struct table *t, const struct fib_route *r)
{
	if (t->route_count < FIB_ROUTES_MAX)
		t->routes[t->route_count++] = *r;
	else
		t->full = true;
}

/* Prefix and metric; false: not a route that forwards or refuses. */
static bool route_head(const struct rtmsg *rtm, const struct nlattr *const *tb, struct fib_route *r)
{
	uint32_t table = tb[RTA_TABLE] ? mnl_attr_get_u32(tb[RTA_TABLE]) : rtm->rtm_table;
	static const uint8_t zero[16];

	if (table != RT_TABLE_MAIN || (rtm->rtm_flags & RTM_F_CLONED))
		return false;
	if (rtm->rtm_family == AF_INET)
		r->prefix.addr = ip_from_v4(zero);
	if (tb[RTA_DST] != NULL && !addr_get(tb[RTA_DST], rtm->rtm_family, &r->prefix.addr))
		return false;
	r->prefix.len = (uint8_t)(rtm->rtm_dst_len + (rtm->rtm_family == AF_INET ? 96 : 0));
	r->metric = tb[RTA_PRIORITY] ? mnl_attr_get_u32(tb[RTA_PRIORITY]) : 0;
	return rtm->rtm_type == RTN_UNICAST || rtm->rtm_type == RTN_BLACKHOLE ||
		rtm->rtm_type == RTN_UNREACHABLE || rtm->rtm_type == RTN_PROHIBIT;
}

static int on_route(const struct nlmsghdr *nlh, void *ctx)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[RTA_VIA + 1];
	struct fib_route r = {0};
	struct ip_addr via = {{0}};
	struct mirror *m = ctx;

	attrs_get((const struct nlattr *)(rtm + 1), mnl_nlmsg_get_payload_tail(nlh), tb, RTA_VIA);
	if (!route_head(rtm, tb, &r))
		return MNL_CB_OK;
	if (rtm->rtm_type == RTN_UNICAST && tb[RTA_MULTIPATH] != NULL) {
		paths_get(m, tb[RTA_MULTIPATH], rtm->rtm_family, &r);
	} else if (rtm->rtm_type == RTN_UNICAST && tb[RTA_OIF] != NULL) {
		via_get(tb, rtm->rtm_family, &via);
		if (!(rtm->rtm_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)))
			path_add(&r, port_of(m, mnl_attr_get_u32(tb[RTA_OIF])), &via);
	}
	if (rtm->rtm_type != RTN_UNICAST || r.path_count > 0)
		route_add(m->now, &r);
	return MNL_CB_OK;
}

/* -- dumps --------------------------------------------------------------------------------- */

/* One dump of <type>; each message goes to <fn>. 0, -EINTR: begin again, or another errno. */
static int dump_once(struct mirror *m, uint16_t type, uint8_t family, mnl_cb_t fn)
{
	char buf[DUMP_BUF];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	unsigned portid = mnl_socket_get_portid(m->dump);
	int rc = MNL_CB_OK;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = ++m->seq;
	/* rtmsg is the longest of the three headers, and all begin with the family */
	*(uint8_t *)mnl_nlmsg_put_extra_header(nlh, sizeof(struct rtmsg)) = family;
	if (mnl_socket_sendto(m->dump, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (rc > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(m->dump, buf, sizeof(buf));

		if (n < 0)
			return -errno;
		rc = mnl_cb_run(buf, (size_t)n, m->seq, portid, fn, m);
	}
	return rc < 0 ? -errno : 0;
}

/* The kernel's side of a tap is a router to everywhere that is not on one of our links. */
static void tap_routes(struct mirror *m, unsigned p)
{
	struct table *t = m->now;
	struct fib_route dflt = {.metric = METRIC_LAST, .path_count = 1};

	for (uint32_t i = 0; i < t->route_count; i++) {
		struct fib_route *r = &t->routes[i];
		const struct ip_addr *via = ip_is_v4(&r->prefix.addr) ? &t->tap4[p] : &t->tap6[p];

		for (uint32_t k = 0; k < r->path_count && !ip_is_any(via); k++)
			if (r->paths[k].port == FIB_PORT_NONE)
				r->paths[k] = (struct fib_path){*via, (uint8_t)p};
	}
	if (!ip_is_any(&t->tap4[p])) {
		dflt.prefix = (struct ip_net){ip_from_v4((uint8_t[4]){0}), 96};
		dflt.paths[0] = (struct fib_path){t->tap4[p], (uint8_t)p};
		route_add(t, &dflt);
	}
	if (!ip_is_any(&t->tap6[p])) {
		dflt.prefix = (struct ip_net){{{0}}, 0};
		dflt.paths[0] = (struct fib_path){t->tap6[p], (uint8_t)p};
		route_add(t, &dflt);
	}
}

static int dump_all(struct mirror *m)
{
	static const struct {
		uint16_t type;
		uint8_t family;
		mnl_cb_t fn;
	} dumps[] = {
		{RTM_GETLINK, AF_UNSPEC, on_link},
		{RTM_GETADDR, AF_UNSPEC, on_addr},
		{RTM_GETROUTE, AF_INET, on_route},
		{RTM_GETROUTE, AF_INET6, on_route},
	};
	int rc = 0;

	memset(m->now, 0, offsetof(struct table, routes));
	for (unsigned i = 0; i < RTE_DIM(dumps) && rc == 0; i++)
		rc = dump_once(m, dumps[i].type, dumps[i].family, dumps[i].fn);
	for (unsigned p = 0; p < m->port_count && rc == 0; p++) {
		if (m->ports[p].profile == PORT_TAP)
			tap_routes(m, p);
		m->carrier[p] = nic_carrier(&m->ports[p]);
		m->now->ifaces[p].up &= m->carrier[p];
	}
	return rc;
}

static bool is_same(const struct table *a, const struct table *b)
{
	return memcmp(a, b, offsetof(struct table, routes)) == 0 &&
		memcmp(a->routes, b->routes, a->route_count * sizeof(a->routes[0])) == 0;
}

int mirror_read(struct mirror *m, const struct fib **ret, struct err *err)
{
	struct table *t;
	int rc = -EINTR;

	for (unsigned i = 0; i < DUMP_TRIES && rc == -EINTR; i++)
		rc = dump_all(m);
	if (rc < 0)
		return err_set(err, -rc, "rtnetlink: %s", strerror(-rc));
	*ret = NULL;
	if (m->have_last && is_same(m->now, m->last))
		return 0;
	*ret = fib_build(m->now->ifaces, m->now->routes, m->now->route_count);
	t = m->last;
	m->last = m->now;
	m->now = t;
	m->have_last = true;
	return 0;
}

bool mirror_is_cut(const struct mirror *m)
{
	return m->last->full;
}
