// SPDX-License-Identifier: Apache-2.0
/*
 * profile_run.c: plays one case against one worker and says what it has played.
 *
 * Run by scripts/profile under callgrind with --toggle-collect=profile_turn, so that only the
 * gateway's turns after the warm-up are counted: rx burst, ip, tcp, http, route, upstream, tcp, tx.
 * The clock and the nap at the end of a turn of worker_loop() are outside.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>

#include "tests/bench/profile.h"

#define MBUFS 16383u
#define WARM_TURNS 400u
#define TURNS_MAX 100000u
#define WIRE_BURST 1024u

static const struct profile_case cases[] = {
	{.name = "keepalive-100B", .conns = 64, .body = 100, .routes = 1},
	{.name = "keepalive-10kB", .conns = 64, .body = 10240, .routes = 1},
	{.name = "close-100B", .conns = 64, .body = 100, .routes = 1, .close = true},
	{.name = "open", .conns = 512, .body = 100, .routes = 1, .open_only = true},
};

struct bench {
	struct profile_case pc;
	struct worker_group group;
	struct port port; /* of the peer */
	struct rte_mempool *pools[2];
	struct profile_config config;
	const struct fib *fib;
	struct profile_peer peer;
	uint64_t now_us;
	uint32_t lost; /* frames that the wire could not carry */
};

/* libc's, replaced: the same numbers in every run. */
ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
	static struct rng rng;

	if (rng.s[0] == 0)
		rng_seed(&rng, 1);
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)(rng_u64(&rng) >> 32);
	return (ssize_t)len;
}

static void die(const char *what, const char *why)
{
	fprintf(stderr, "profile: %s: %s\n", what, why);
	exit(1);
}

static void eal_up(struct bench *b)
{
	char *argv[] = {"profile_run", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry",
		"--no-shconf", "--iova-mode=va", "--lcores=0", "--log-level=error", NULL};
	static const char *const devs[] = {"net_ring0", "net_ring1"};
	struct port *ports[] = {&b->group.ports[0], &b->port};
	struct err err = {""};

	if (rte_eal_init(10, argv) < 0)
		die("DPDK", "did not start");
	for (unsigned i = 0; i < 2; i++) {
		uint16_t ethdev;

		b->pools[i] = port_pool_new(i == 0 ? "gateway" : "peer", MBUFS, 1500, &err);
		if (b->pools[i] == NULL || rte_eal_hotplug_add("vdev", devs[i], "") < 0 ||
			rte_eth_dev_get_port_by_name(devs[i], &ethdev) < 0 ||
			port_adopt(ethdev, "wire", 0, &b->pools[i], 1, ports[i], &err) < 0)
			die(devs[i], err.msg);
		ports[i]->mac = (struct rte_ether_addr){{2, 0, 0, 0, 0, (uint8_t)(0xaa + i)}};
	}
}

static void gateway_up(struct bench *b)
{
	struct fib_iface ifaces[PORTS_MAX] = {{.up = true, .mtu = 1500, .addr_count = 1}};
	struct fib_route routes[] = {
		{.prefix = {profile_ip("192.0.2.0"), 120}, .path_count = 1},
		{.prefix = {profile_ip("0.0.0.0"), 96},
			.path_count = 1,
			.paths = {{.via = profile_ip("192.0.2.1")}}},
	};
	struct worker_config cfg = {.poll = WORKER_POLL_BUSY, .mbufs = MBUFS};
	struct err err;
	struct worker *w;

	tcp_config_default(&cfg.tcp);
	http_config_default(&cfg.http);
	cfg.tcp.conns_max = 8 * PROFILE_CONNS_MAX;
	cfg.tcp.conns_per_source_max = 0;
	cfg.http.down_max = cfg.http.up_max = cfg.http.exchanges_max = 2 * PROFILE_CONNS_MAX;
	cfg.sources[cfg.source_count++] = profile_ip("192.0.2.10");
	b->group.port_count = 1;
	if (worker_group_init(&b->group, &cfg, b->pools, 1, &err) < 0)
		die("worker", err.msg);
	w = b->group.w[0];
	ifaces[0].addrs[0] = (struct ip_net){profile_ip("192.0.2.2"), 120};
	b->fib = fib_build(ifaces, routes, RTE_DIM(routes));
	atomic_store(&b->group.config, &b->config.cfg);
	atomic_store(&b->group.fib, b->fib);
	rte_rcu_qsbr_thread_online(b->group.qsbr, 0);
	trace_self = w->trace;
	b->now_us = w->now_us;
}

/* As a wire would: the bytes arrive in buffers of the receiver. */
static unsigned wire(uint16_t from, struct rte_mempool *pool, struct rte_mbuf **ret)
{
	struct rte_mbuf *pkts[WIRE_BURST];
	unsigned n = 0, got;

	do {
		got = rte_eth_rx_burst(from, 0, pkts + n, (uint16_t)(WIRE_BURST - n));
		n += got;
	} while (got > 0 && n < WIRE_BURST);
	for (unsigned i = 0; i < n; i++) {
		ret[i] = rte_pktmbuf_copy(pkts[i], pool, 0, UINT32_MAX);
		if (ret[i] == NULL)
			die("wire", "out of packets");
		*pkt_of(ret[i]) = (struct pkt){0};
	}
	rte_pktmbuf_free_bulk(pkts, n);
	return n;
}

static void peer_turn(struct bench *b)
{
	struct rte_mbuf *pkts[WIRE_BURST];
	uint16_t gateway = b->group.ports[0].lanes[0], sent;
	unsigned n = wire(gateway, b->pools[1], pkts);

	profile_peer_turn(&b->peer, pkts, n, b->now_us);
	n = wire(b->port.lanes[0], b->pools[0], pkts);
	sent = rte_eth_tx_burst(gateway, 0, pkts, (uint16_t)n);
	b->lost += n - sent;
	rte_pktmbuf_free_bulk(pkts + sent, n - sent);
}

/* What is counted; its twin is not. */
__attribute__((noinline)) static void profile_turn(struct bench *b)
{
	worker_turn(b->group.w[0], b->now_us);
}

__attribute__((noinline)) static void other_turn(struct bench *b)
{
	worker_turn(b->group.w[0], b->now_us);
	__asm__ volatile(""); /* not to be folded into its twin */
}

static void step(struct bench *b, void (*gateway)(struct bench *b))
{
	b->now_us += PROFILE_TURN_US;
	gateway(b);
	peer_turn(b);
}

/* Neighbours are known and, but for the case that counts opening, all connections at work. */
static void warm_up(struct bench *b)
{
	uint32_t conns = b->pc.open_only ? 1 : b->pc.conns;

	for (uint32_t i = 0; i < WARM_TURNS; i++) {
		/* one after the other, so that requests and responses mix in each burst */
		if (i < 2 * conns && i % 2 == 0)
			profile_peer_open(&b->peer, i / 2, b->now_us);
		step(b, other_turn);
	}
}

static uint32_t done(const struct bench *b)
{
	return b->pc.open_only ? b->peer.opened : b->peer.answered;
}

/* Plays until <want> requests (or connections) are done; returns how many were. */
static uint32_t play(struct bench *b, uint32_t want)
{
	uint32_t before = done(b), next = 1;

	for (uint32_t i = 0; i < TURNS_MAX && done(b) - before < want; i++) {
		for (uint32_t k = 0; b->pc.open_only && k < 8 && next < b->pc.conns; k++)
			profile_peer_open(&b->peer, next++, b->now_us);
		step(b, profile_turn);
	}
	return done(b) - before;
}

static void report(struct bench *b, uint32_t count, uint64_t turns, const uint64_t *port)
{
	const struct port_queue *q = &b->group.w[0]->queues[0];

	printf("case=%s routes=%u connections=%u count=%u turns=%lu in=%lu out=%lu wrong=%u "
	       "lost=%u\n",
		b->pc.name, b->pc.routes, b->pc.conns, count, turns,
		q->counters[PORT_C_RX_PACKETS] - port[PORT_C_RX_PACKETS],
		q->counters[PORT_C_TX_PACKETS] - port[PORT_C_TX_PACKETS], b->peer.wrong, b->lost);
}

static int bench_run(struct bench *b, uint32_t want)
{
	struct worker *w;
	uint64_t port[PORT_C_COUNT], turns;
	uint32_t count;

	eal_up(b);
	profile_config_make(&b->config, b->pc.routes);
	gateway_up(b);
	profile_peer_init(&b->peer, &b->pc, &b->port, b->pools[1], b->now_us);
	w = b->group.w[0];
	warm_up(b);
	memcpy(port, w->queues[0].counters, sizeof(port));
	turns = w->stats.turns;
	count = play(b, b->pc.open_only ? b->pc.conns - 1 : want);
	report(b, count, w->stats.turns - turns, port);
	profile_peer_fini(&b->peer);
	trace_self = NULL;
	rte_rcu_qsbr_thread_offline(b->group.qsbr, 0);
	worker_group_fini(&b->group);
	fib_free(b->fib);
	profile_config_free(&b->config);
	return count == 0 || b->peer.wrong > 0 || b->lost > 0;
}

/* profile_run CASE [ROUTES [CONNECTIONS [REQUESTS]]] */
int main(int argc, char **argv)
{
	static struct bench b;
	uint32_t n[3] = {0};

	for (unsigned i = 0; i < RTE_DIM(cases); i++)
		if (argc > 1 && strcmp(argv[1], cases[i].name) == 0)
			b.pc = cases[i];
	for (int i = 2; i < argc && i < 5; i++)
		n[i - 2] = (uint32_t)strtoul(argv[i], NULL, 10);
	if (b.pc.name == NULL || n[1] > PROFILE_CONNS_MAX) {
		fprintf(stderr, "profile_run CASE [ROUTES [CONNECTIONS [REQUESTS]]]\n");
		return 2;
	}
	b.pc.routes = n[0] != 0 ? n[0] : b.pc.routes;
	b.pc.conns = n[1] != 0 ? n[1] : b.pc.conns;
	return bench_run(&b, n[2] != 0 ? n[2] : 1024);
}
