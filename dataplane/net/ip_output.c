// SPDX-License-Identifier: Apache-2.0
/*
 * ip_output.c: a segment gets its IP header and its way out.
 *
 * The way (port, MTU, neighbour) is remembered in the caller's struct net_dst and looked up again
 * when the generation of routes and links has moved on or the neighbour's slot has another owner.
 * Standards: RFC 791, RFC 6864 (atomic datagrams: DF set, identification 0), RFC 8200.
 */
#include "dataplane/net/net_impl.h"

#define TTL 64 /* RFC 1122 3.2.1.7, the assigned numbers' recommendation */

/* The path for <dst> among those whose link is up; spread by destination. NULL: none. */
static const struct fib_path *path_choose(const struct net *n, const struct fib_route *r,
	const struct ip_addr *dst)
{
	uint8_t usable[FIB_PATHS_MAX];
	unsigned count = 0;

	for (uint32_t i = 0; i < r->path_count; i++)
		if (r->paths[i].port != FIB_PORT_NONE && net_link_is_up(n, r->paths[i].port))
			usable[count++] = (uint8_t)i;
	if (count == 0)
		return NULL;
	return &r->paths[usable[(be64_get(dst->b + 8) * 0x9e3779b97f4a7c15ull >> 32) % count]];
}

/* Finds the path and fills what does not need the neighbour; NULL: *ret_why is what to count. */
static const struct fib_path *dst_route(const struct net *n, const struct ip_addr *dst,
	struct net_dst *cache, enum net_counter *ret_why)
{
	const struct fib_route *r = n->fib ? fib_lookup(n->fib, dst) : NULL;
	const struct fib_path *path = r ? path_choose(n, r, dst) : NULL;

	*cache = (struct net_dst){.neigh = NEIGH_NONE};
	if (path == NULL) {
		bool down = r != NULL && r->path_count > 0 && r->paths[0].port != FIB_PORT_NONE;

		*ret_why = down ? NET_C_OUT_LINK_DOWN : NET_C_OUT_NO_ROUTE;
		return NULL;
	}
	cache->generation = n->generation;
	cache->port = path->port;
	cache->mtu = RTE_MIN(fib_iface(n->fib, path->port)->mtu, net_port(n, path->port)->mtu);
	return path;
}

static struct neigh *dst_resolve(struct net *n, const struct ip_addr *src,
	const struct ip_addr *dst, struct net_dst *cache)
{
	enum net_counter why;
	const struct fib_path *path = dst_route(n, dst, cache, &why);
	struct neigh *e;

	if (path == NULL) {
		net_count(n, why);
		return NULL;
	}
	e = neigh_get(n, path->port, ip_is_any(&path->via) ? dst : &path->via, src);
	if (e != NULL)
		cache->neigh = neigh_handle(n, e);
	return e;
}

static void ip4_header_put(uint8_t *h, const struct ip_addr *src, const struct ip_addr *dst,
	uint16_t total_len, uint8_t proto, uint8_t ecn)
{
	uint64_t sum = csum_put32(h, 0x45u << 24 | (uint32_t)ecn << 16 | total_len);
	uint16_t c;

	sum += csum_put32(h + 4, 0x4000); /* identification 0, DF, offset 0 */
	sum += csum_put32(h + 8, (uint32_t)TTL << 24 | (uint32_t)proto << 16);
	sum += csum_put32(h + 12, be32_get(src->b + 12));
	sum += csum_put32(h + 16, be32_get(dst->b + 12));
	c = csum_fold(sum);
	memcpy(h + 10, &c, 2);
}

void ip6_header_put(uint8_t *h, const struct ip_addr *src, const struct ip_addr *dst,
	uint16_t payload_len, uint8_t proto, uint8_t hop_limit, uint8_t ecn)
{
	be32_put(h, 6u << 28 | (uint32_t)ecn << 20); /* flow label 0: RFC 6437 3, none assigned */
	be16_put(h + 4, payload_len);
	h[6] = proto;
	h[7] = hop_limit;
	memcpy(h + 8, src->b, 16);
	memcpy(h + 24, dst->b, 16);
}

static void trace_out(struct rte_mbuf *m, const struct ip_addr *src, const struct ip_addr *dst)
{
	char a[IP_ADDR_STRLEN], b[IP_ADDR_STRLEN];
	const uint8_t *tcp = pkt_at(m, 0);

	if (m->data_len < 4 || !trace_match(src, be16_get(tcp), dst, be16_get(tcp + 2)))
		return;
	pkt_of(m)->flags |= PKT_TRACED;
	trace_emit("ip_output", "%s:%u > %s:%u len=%u", ip_format(src, a), be16_get(tcp),
		ip_format(dst, b), be16_get(tcp + 2), m->pkt_len);
}

/* The port cuts it into segments that fit (tcp_emit.c). */
static bool is_cut_later(const struct rte_mbuf *m, unsigned hdr, uint16_t mtu)
{
	return (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) && m->tso_segsz + m->l4_len + hdr <= mtu;
}

void ip_output(struct net *n, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t proto, uint8_t ecn, struct net_dst *cache)
{
	struct net_dst local = {0};
	struct neigh *e = NULL;
	unsigned hdr = ip_is_v4(dst) ? IP4_HDR : IP6_HDR;
	uint8_t *h;

	bug_on_hot(!RTE_MBUF_DIRECT(m) || rte_mbuf_refcnt_read(m) != 1);
	if (trace_is_on() && proto == PROTO_TCP)
		trace_out(m, src, dst);
	if (cache == NULL)
		cache = &local;
	if (likely(cache->generation == n->generation))
		e = neigh_of(n, cache->neigh);
	if (unlikely(e == NULL)) {
		e = dst_resolve(n, src, dst, cache);
		if (e == NULL) { /* dst_resolve() and neigh_get() have counted why */
			rte_pktmbuf_free(m);
			return;
		}
	}
	if (unlikely(m->pkt_len + hdr > cache->mtu && !is_cut_later(m, hdr, cache->mtu))) {
		net_drop(n, m, NET_C_OUT_TOO_BIG);
		return;
	}
	h = (uint8_t *)rte_pktmbuf_prepend(m, (uint16_t)hdr);
	if (unlikely(h == NULL)) {
		net_drop(n, m, NET_C_OUT_HEADROOM);
		return;
	}
	if (hdr == IP4_HDR)
		ip4_header_put(h, src, dst, (uint16_t)m->pkt_len, proto, ecn);
	else
		ip6_header_put(h, src, dst, (uint16_t)(m->pkt_len - hdr), proto, TTL, ecn);
	net_count(n, NET_C_IP_OUT);
	neigh_output(n, e, m);
}

uint16_t ip_route_mtu(struct net *n, const struct ip_addr *dst, struct net_dst *cache)
{
	struct net_dst local = {0};
	enum net_counter why; /* only asked: nothing is dropped */

	if (cache == NULL)
		cache = &local;
	if (cache->generation == n->generation)
		return cache->mtu;
	return dst_route(n, dst, cache, &why) != NULL ? cache->mtu : 0;
}

void ip_confirm(struct net *n, const struct net_dst *cache)
{
	struct neigh *e = NULL;

	if (cache->generation == n->generation)
		e = neigh_of(n, cache->neigh);
	if (e != NULL)
		neigh_confirm(n, e);
}
