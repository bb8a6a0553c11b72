// SPDX-License-Identifier: Apache-2.0
/*
 * net_bench.c: a stack on a looped port.
 */
#include "tests/unit/net/net_bench.h"

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>

static struct rte_mempool *pool;
static struct port port;

void bench_eal(void)
{
	char *argv[] = {"bench", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry",
		"--no-shconf", "--iova-mode=va", "--lcores=0", "--log-level=error", NULL};
	struct err err;
	uint16_t ethdev;

	if (rte_eal_init(10, argv) < 0 || rte_eal_hotplug_add("vdev", "net_ring0", "") < 0) {
		fprintf(stderr, "no EAL\n");
		exit(1);
	}
	pool = port_pool_new("bench", BENCH_MBUFS, 1500, &err);
	if (pool == NULL || rte_eth_dev_get_port_by_name("net_ring0", &ethdev) < 0 ||
		port_adopt(ethdev, "bench", 0, &pool, 1, &port, &err) < 0) {
		fprintf(stderr, "no port: %s\n", err.msg);
		exit(1);
	}
	port.mac = (struct rte_ether_addr){{2, 0, 0, 0, 0, 0xaa}};
}

struct ip_addr bench_ip(const char *text)
{
	struct ip_addr a;

	bug_on(!ip_parse(str_of(text), &a));
	return a;
}

static void iface_add(struct fib_iface *f, const char *addr, uint8_t len)
{
	f->addrs[f->addr_count++] = (struct ip_net){bench_ip(addr), len};
}

static struct fib_route route(const char *prefix, uint8_t len, const char *via)
{
	struct ip_addr any = {{0}};

	return (struct fib_route){.prefix = {bench_ip(prefix), len},
		.path_count = 1,
		.paths = {{via ? bench_ip(via) : any, 0}}};
}

void bench_fib(struct bench *b, bool up, bool kernel, bool routes)
{
	struct fib_iface ifaces[PORTS_MAX] = {{.up = up, .mtu = 1500}};
	struct fib_route r[] = {
		route("192.0.2.0", 120, NULL),
		route("0.0.0.0", 96, "192.0.2.1"),
		route("2001:db8::", 64, NULL),
		route("fe80::", 64, NULL),
		route("::", 0, "fe80::1"),
	};
	const struct fib *old = b->fib;

	if (kernel) {
		iface_add(&ifaces[0], "192.0.2.2", 120);
		iface_add(&ifaces[0], "fe80::2", 64);
		iface_add(&ifaces[0], "2001:db8::2", 64);
	}
	b->fib = fib_build(ifaces, r, routes ? RTE_DIM(r) : 0);
	net_set_fib(b->net, b->fib);
	fib_free(old);
}

void bench_vips(struct bench *b, const struct ip_addr *extra)
{
	struct ip_addr vips[3] = {bench_ip("192.0.2.100"), bench_ip("2001:db8::100")};
	struct ip_addr sources[2] = {bench_ip("192.0.2.50"), bench_ip("2001:db8::50")};

	if (extra != NULL)
		vips[2] = *extra;
	bug_on(!net_set_addrs(b->net, vips, extra ? 3 : 2, sources, 2));
}

void bench_start(struct bench *b)
{
	struct net_config cfg = {.queues = &b->queue,
		.queue_count = 1,
		.pool = pool,
		.announces = true,
		.seed = 1};

	*b = (struct bench){.port = port, .pool = pool, .now_us = 1000000};
	port_queue_init(&b->queue, &b->port, 0, pool);
	b->net = net_new(&cfg, b->now_us);
	net_turn(b->net, b->now_us);
	bench_vips(b, NULL);
	bench_fib(b, true, true, true);
	bench_wait(b, 4000000); /* the announcements of the start are not what pages are about */
	for (struct rte_mbuf *m; (m = bench_out(b)) != NULL;)
		rte_pktmbuf_free(m);
	memset(b->net->counters, 0, sizeof(b->net->counters));
}

unsigned bench_stop(struct bench *b)
{
	for (struct rte_mbuf *m; (m = bench_out(b)) != NULL;)
		rte_pktmbuf_free(m);
	net_free(b->net);
	fib_free(b->fib);
	return rte_mempool_in_use_count(pool);
}

static struct rte_mbuf *mbuf_of(struct bench *b, const uint8_t *data, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(b->pool);
	uint16_t take = (uint16_t)RTE_MIN(len, (size_t)rte_pktmbuf_tailroom(m));

	bug_on(m == NULL);
	*pkt_of(m) = (struct pkt){0};
	memcpy(rte_pktmbuf_append(m, take), data, take);
	return m;
}

/* A frame as a port hands it over that fills one buffer after the other. */
static struct rte_mbuf *chain_of(struct bench *b, const uint8_t *data, size_t len)
{
	struct rte_mbuf *m = mbuf_of(b, data, RTE_MIN(len, (size_t)b->cut)), *last = m;

	for (size_t at = b->cut; at < len; at += b->cut) {
		last->next = mbuf_of(b, data + at, RTE_MIN(len - at, (size_t)b->cut));
		last = last->next;
		m->pkt_len += last->data_len;
		m->nb_segs++;
	}
	return m;
}

void bench_in(struct bench *b, const uint8_t *frame, size_t len)
{
	struct rte_mbuf *m = b->cut > 0 ? chain_of(b, frame, len) : mbuf_of(b, frame, len);

	net_turn(b->net, b->now_us);
	eth_input(b->net, 0, &m, 1);
	arp_input(b->net);
	ip4_input(b->net);
	ip6_input(b->net);
	icmp4_input(b->net);
	icmp6_input(b->net);
	port_tx_flush(&b->queue);
}

void bench_send(struct bench *b, const struct ip_addr *src, const struct ip_addr *dst,
	const uint8_t *l4, size_t len)
{
	ip_output(b->net, mbuf_of(b, l4, len), src, dst, PROTO_TCP, 0, &b->dst);
	port_tx_flush(&b->queue);
}

struct rte_mbuf *bench_out(struct bench *b)
{
	if (b->sent_read == b->sent_count) {
		b->sent_read = 0;
		b->sent_count = port_rx(&b->queue, b->sent);
	}
	return b->sent_read < b->sent_count ? b->sent[b->sent_read++] : NULL;
}

void bench_wait(struct bench *b, uint64_t us)
{
	uint64_t end = b->now_us + us;

	while (b->now_us < end) {
		b->now_us += 1000;
		net_turn(b->net, b->now_us);
		net_timers_run(b->net, 64);
		port_tx_flush(&b->queue);
	}
}
