// SPDX-License-Identifier: Apache-2.0
/*
 * gen_link.c: EAL, the port, bursts.
 *
 * Memory: hugepages without files (--in-memory) when enough are free, so that nothing is left behind
 * by a crash; else ordinary memory. The device is whatever the caller's --vdev says. Of its offloads
 * checksums are used when both ways have them and a gateway is there; a reflector would send
 * unfinished checksums back. TSO and LRO only when asked for.
 */
#include "tests/bench/gen.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#define BUFFERS 32768
#define DESCS 1024
#define POOL_CACHE 512
#define ROOM_TSO 16384 /* a super-frame of 11 segments */
#define RX_SUMS (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)

static uint64_t huge_free_mb(void)
{
	uint64_t mb = 0;
	DIR *d = opendir("/sys/kernel/mm/hugepages");
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		unsigned long kb, n = 0;
		char path[512];
		FILE *f;

		if (sscanf(e->d_name, "hugepages-%lukB", &kb) != 1)
			continue;
		snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%s/free_hugepages",
			e->d_name);
		f = fopen(path, "r");
		if (f != NULL && fscanf(f, "%lu", &n) == 1)
			mb += n * kb / 1024;
		if (f != NULL)
			fclose(f);
	}
	if (d != NULL)
		closedir(d);
	return mb;
}

static uint16_t buffer_room(const struct gen_config *cfg)
{
	unsigned frame = cfg->mtu + 64u;

	if (cfg->tso)
		frame = ROOM_TSO;
	return (uint16_t)(frame < 2048 ? 2048 : frame);
}

int link_eal_start(struct gen *g, struct err *err)
{
	const struct gen_config *cfg = &g->cfg;
	uint64_t need = (uint64_t)BUFFERS * (buffer_room(cfg) + 512u) / (1 << 20) + 64;
	char lcores[32], prefix[128], mb[32];
	char *argv[16] = {"bench_gen", "--no-pci", "--no-telemetry", "--log-level=error",
		"--iova-mode=va", "--lcores", lcores, prefix};
	int argc = 8;

	snprintf(lcores, sizeof(lcores), "0@%u", cfg->cpu);
	snprintf(prefix, sizeof(prefix), "--file-prefix=%s", cfg->file_prefix);
	snprintf(mb, sizeof(mb), "%lu", need);
	g->link.huge = !cfg->no_huge && huge_free_mb() >= need;
	if (g->link.huge) {
		argv[argc++] = "--in-memory";
	} else {
		argv[argc++] = "--no-huge";
		argv[argc++] = "--no-shconf";
		argv[argc++] = "-m";
		argv[argc++] = mb;
	}
	if (rte_eal_init(argc, argv) < 0)
		return err_set(err, rte_errno, "DPDK did not start: %s", rte_strerror(rte_errno));
	return 0;
}

static bool vhost_tso(const struct gen *g)
{
	return strncmp(g->link.dev, "net_vhost", strlen("net_vhost")) == 0 &&
		strstr(g->cfg.vdev, ",tso=1") != NULL;
}

static void offloads(struct gen *g, const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
	struct gen_link *l = &g->link;
	uint64_t rx = info->rx_offload_capa, tx = info->tx_offload_capa;

	l->multi_segs = tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (!g->cfg.direct && (rx & RTE_ETH_RX_OFFLOAD_TCP_CKSUM) &&
		(tx & RTE_ETH_TX_OFFLOAD_TCP_CKSUM)) {
		l->tx_sum = true;
		conf->rxmode.offloads |= rx & RX_SUMS;
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	}
	/* the vhost driver takes large frames when told tso=1, and does not advertise it */
	if (g->cfg.tso && l->tx_sum && (tx & RTE_ETH_TX_OFFLOAD_TCP_TSO || vhost_tso(g))) {
		l->tso = true;
		conf->txmode.offloads |= tx & RTE_ETH_TX_OFFLOAD_TCP_TSO;
		conf->rxmode.offloads |=
			rx & (RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_SCATTER);
	}
}

static int configure(struct gen *g, struct err *err)
{
	struct gen_link *l = &g->link;
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = {0};
	uint16_t rx = DESCS, tx = DESCS;
	int rc = rte_eth_dev_info_get(l->port, &info);

	if (rc < 0)
		return err_set(err, -rc, "no device information");
	offloads(g, &info, &conf);
	if (g->cfg.tso && !l->tso)
		return err_set(err, ENOTSUP, "--tso: the port has no TSO");
	rc = rte_eth_dev_configure(l->port, l->queues, l->queues, &conf);
	if (rc == 0)
		rc = rte_eth_dev_adjust_nb_rx_tx_desc(l->port, &rx, &tx);
	for (uint16_t q = 0; q < l->queues && rc == 0; q++) {
		rc = rte_eth_rx_queue_setup(l->port, q, rx, SOCKET_ID_ANY, NULL, l->pool);
		if (rc == 0)
			rc = rte_eth_tx_queue_setup(l->port, q, tx, SOCKET_ID_ANY, NULL);
	}
	if (rc < 0)
		return err_set(err, -rc, "configure: %s", strerror(-rc));
	return 0;
}

int link_open(struct gen *g, struct err *err)
{
	struct gen_link *l = &g->link;
	const char *args = strchr(g->cfg.vdev, ',');
	struct rte_ether_addr mac;
	int rc;

	snprintf(l->dev, sizeof(l->dev), "%.*s",
		(int)(args != NULL ? (size_t)(args - g->cfg.vdev) : strlen(g->cfg.vdev)),
		g->cfg.vdev);
	l->room = buffer_room(&g->cfg);
	l->queues = (uint16_t)g->cfg.queues;
	l->pool = rte_pktmbuf_pool_create("gen", BUFFERS, POOL_CACHE,
		RTE_ALIGN(sizeof(struct held), RTE_MBUF_PRIV_ALIGN), l->room + RTE_PKTMBUF_HEADROOM,
		SOCKET_ID_ANY);
	if (l->pool == NULL)
		return err_set(err, rte_errno, "packet buffers: %s", rte_strerror(rte_errno));
	rc = rte_eal_hotplug_add("vdev", l->dev, args != NULL ? args + 1 : "");
	if (rc < 0)
		return err_set(err, -rc, "port %s: %s", g->cfg.vdev, strerror(-rc));
	l->made = true;
	if (rte_eth_dev_get_port_by_name(l->dev, &l->port) != 0)
		return err_set(err, ENODEV, "port %s: the device made no port", g->cfg.vdev);
	rc = configure(g, err);
	if (rc < 0) {
		err_wrap(err, "port %s", g->cfg.vdev);
		return rc;
	}
	if (rte_eth_macaddr_get(l->port, &mac) != 0 || rte_is_zero_ether_addr(&mac))
		rte_eth_random_addr(mac.addr_bytes); /* a ring has none */
	memcpy(l->mac, mac.addr_bytes, sizeof(l->mac));
	return 0;
}

bool link_is_up(struct gen *g)
{
	struct rte_eth_link link;

	if (!g->link.started) {
		/* a memif client starts only when its server is there */
		if (rte_eth_dev_start(g->link.port) != 0)
			return false;
		g->link.started = true;
		rte_eth_promiscuous_enable(
			g->link.port); /* some have none and deliver everything */
	}
	return rte_eth_link_get_nowait(g->link.port, &link) == 0 && link.link_status;
}

void link_close(struct gen *g)
{
	struct gen_link *l = &g->link;

	for (uint16_t q = 0; q < l->queues; q++)
		for (struct link_tx *t = &l->tx[q]; t->head != t->tail; t->head++)
			rte_pktmbuf_free(t->m[t->head % LINK_TX_MAX]);
	rte_pktmbuf_free_bulk(l->spare, l->spares);
	l->spares = 0;
	if (l->made) {
		if (l->started)
			rte_eth_dev_stop(l->port);
		rte_eth_dev_close(l->port); /* drivers unlink their sockets here */
	}
	rte_mempool_free(l->pool);
	l->made = false;
	l->pool = NULL;
}

struct rte_mbuf *link_alloc(struct gen *g)
{
	struct gen_link *l = &g->link;

	if (unlikely(l->spares == 0)) {
		if (rte_pktmbuf_alloc_bulk(l->pool, l->spare, LINK_BURST) != 0) {
			gen_count(g, GEN_NO_MBUF);
			return NULL;
		}
		l->spares = LINK_BURST;
	}
	return l->spare[--l->spares];
}

/* By the ports of a TCP segment without IP options; both directions of a flow are alike. */
static uint16_t queue_of(const struct gen *g, const struct rte_mbuf *m)
{
	const uint8_t *p = rte_pktmbuf_mtod_offset(m, const uint8_t *, 14 + g->l3_len);

	if (g->link.queues == 1 || m->data_len < 14u + g->l3_len + 4)
		return 0;
	return (uint16_t)((p[1] ^ p[3]) % g->link.queues);
}

static void queue_flush(struct gen_link *l, uint16_t queue)
{
	struct link_tx *t = &l->tx[queue];

	while (t->head != t->tail) {
		uint32_t at = t->head % LINK_TX_MAX, n = t->tail - t->head;
		uint16_t want =
			(uint16_t)RTE_MIN(RTE_MIN(n, LINK_TX_MAX - at), (uint32_t)LINK_BURST);
		uint16_t took = rte_eth_tx_burst(l->port, queue, &t->m[at], want);

		t->head += took;
		l->tx_packets += took;
		if (took < want)
			break;
	}
}

void link_send(struct gen *g, struct rte_mbuf *m)
{
	uint16_t queue = queue_of(g, m);
	struct link_tx *t = &g->link.tx[queue];

	if (unlikely(t->tail - t->head == LINK_TX_MAX)) {
		gen_count(g, GEN_TX_DROPPED);
		rte_pktmbuf_free(m);
		return;
	}
	t->m[t->tail++ % LINK_TX_MAX] = m;
	if (t->tail - t->head == LINK_BURST)
		queue_flush(&g->link, queue);
}

void link_flush(struct gen *g)
{
	for (uint16_t q = 0; q < g->link.queues; q++)
		queue_flush(&g->link, q);
}

uint32_t link_waiting(const struct gen_link *l)
{
	uint32_t n = 0;

	for (uint16_t q = 0; q < l->queues; q++)
		n += l->tx[q].tail - l->tx[q].head;
	return n;
}

uint16_t link_rx(struct gen *g, struct rte_mbuf **pkts)
{
	struct gen_link *l = &g->link;
	uint16_t n = 0;

	for (uint16_t i = 0; i < l->queues && n == 0; i++) {
		n = rte_eth_rx_burst(l->port, l->rx_next, pkts, LINK_BURST);
		l->rx_next = l->rx_next + 1 < l->queues ? l->rx_next + 1 : 0;
	}
	l->rx_packets += n;
	return n;
}
