// SPDX-License-Identifier: Apache-2.0
/*
 * world.c: the clock, the link, and the peers at its other end.
 */
#include "tests/scenario/gateway/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>

#include "dataplane/net/ip.h"
#include "dataplane/port/port.h"

#define SETTLE_TURNS 20000
#define SETTLE_US 2000000ull
#define LINK_US 10u /* one way */
#define PATTERN_BURST 16384u
#define UNACKED_MAX 131072u

/* The link ----------------------------------------------------------------------------------- */

/* What TCP knows as the network: one for each side. */
struct net {
	struct world *w;
	bool gateway;	/* packets of the gateway */
	struct mbufq q; /* on the way to the other side */
};

static struct net nets[2];

static bool is_silent(const struct world *w, const struct ip_addr *a)
{
	for (unsigned i = 1; i <= WORLD_ENDPOINTS; i++) {
		struct ip_addr e;

		if (w->mode[i] != ENDPOINT_SILENT)
			continue;
		e = world_endpoint(w, i);
		if (ip_eq(&e, a))
			return true;
	}
	return false;
}

/* As a wire would: the bytes arrive in a buffer of the receiver. */
void ip_output(struct net *n, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t proto, uint8_t ecn, struct net_dst *cache)
{
	struct world *w = n->w;
	struct rte_mbuf *copy = rte_pktmbuf_alloc(n->gateway ? w->peer_pool : w->gw_pool);

	if (copy != NULL && is_silent(w, dst)) {
		rte_pktmbuf_free(copy);
		copy = NULL;
	}
	if (copy != NULL) {
		*pkt_of(copy) = (struct pkt){.src = *src,
			.dst = *dst,
			.proto = proto,
			.ecn = ecn,
			.ttl = 64,
			.l4_len = (uint16_t)m->pkt_len,
			.flags = PKT_CSUM_GOOD};
		for (struct rte_mbuf *s = m; s != NULL; s = s->next)
			memcpy(rte_pktmbuf_append(copy, s->data_len), rte_pktmbuf_mtod(s, void *),
				s->data_len);
		mbufq_push(&n->q, copy);
	}
	rte_pktmbuf_free(m);
}

uint16_t ip_route_mtu(struct net *n, const struct ip_addr *dst, struct net_dst *cache)
{
	cache->mtu = 1500;
	return 1500;
}

void ip_confirm(struct net *n, const struct net_dst *cache)
{
}

/* Peers -------------------------------------------------------------------------------------- */

char world_pattern(uint64_t offset)
{
	return (char)('a' + (offset * 7 + (offset >> 8)) % 26);
}

static struct world_conn *conn_new(struct world *w)
{
	for (unsigned i = 0; i < WORLD_CONNS; i++) {
		struct world_conn *c = &w->conn[i];

		if (c->used)
			continue;
		*c = (struct world_conn){.used = true};
		return c;
	}
	fprintf(stderr, "world: more than %u connections\n", WORLD_CONNS);
	abort();
}

static void receive(struct world *w, struct world_conn *c)
{
	struct mbufq q;
	uint32_t n;

	mbufq_init(&q);
	n = tcp_read(w->peer, c->tc, &q, UINT32_MAX);
	if (c->rx_len + n > c->rx_cap) {
		c->rx_cap = (c->rx_len + n) * 2;
		c->rx = realloc(c->rx, c->rx_cap);
	}
	c->rx_len += mbufq_copy(&q, 0, n, c->rx + c->rx_len);
	tcp_credit(w->peer, c->tc, mbufq_free(&q));
}

static void write_bytes(struct world *w, struct world_conn *c, const void *data, size_t len)
{
	struct mbufq q;

	mbufq_init(&q);
	bug_on(!mbufq_append(&q, data, (uint32_t)len, w->peer_pool));
	tcp_write(w->peer, c->tc, &q);
}

static void transmit(struct world *w, struct world_conn *c)
{
	char buf[PATTERN_BURST];

	while (c->tx_len > 0 && !c->dead && tcp_unacked(c->tc) < UNACKED_MAX) {
		size_t n = c->tx_len < sizeof(buf) ? c->tx_len : sizeof(buf);

		write_bytes(w, c, c->tx, n);
		memmove(c->tx, c->tx + n, c->tx_len - n);
		c->tx_len -= n;
	}
	while (c->fill_left > 0 && c->tx_len == 0 && !c->dead && tcp_unacked(c->tc) < UNACKED_MAX) {
		size_t n = c->fill_left < sizeof(buf) ? (size_t)c->fill_left : sizeof(buf);

		for (size_t i = 0; i < n; i++)
			buf[i] = world_pattern(c->tx_pattern + i);
		write_bytes(w, c, buf, n);
		c->tx_pattern += n;
		c->fill_left -= n;
	}
}

void world_queue(struct world_conn *c, const void *data, size_t len)
{
	if (c->tx_len + len > c->tx_cap) {
		c->tx_cap = (c->tx_len + len) * 2;
		c->tx = realloc(c->tx, c->tx_cap);
	}
	memcpy(c->tx + c->tx_len, data, len);
	c->tx_len += len;
}

static void on_event(struct world *w, struct tcp_conn *tc, uint32_t events)
{
	struct world_conn *c = tcp_user(tc);

	if (c == NULL) {
		c = conn_new(w);
		c->tc = tc;
		c->server = true;
		c->endpoint = tcp_conn_bind(tc);
		tcp_set_user(tc, c);
	}
	c->connected |= (events & TCP_EV_CONNECTED) != 0;
	tcp_released_take(tc);
	if (!c->stalled)
		receive(w, c);
	c->eof |= (events & TCP_EV_EOF) != 0;
	if (events & TCP_EV_CLOSED) {
		c->dead = true;
		c->reason = tcp_close_reason(tc);
	}
}

static void peers_run(struct world *w)
{
	struct tcp_conn *tc;
	uint32_t events;

	while ((tc = tcp_ready_pop(w->peer, &events)) != NULL)
		on_event(w, tc, events);
	for (unsigned i = 0; i < WORLD_CONNS; i++)
		if (w->conn[i].used && w->conn[i].tc != NULL) {
			if (w->conn[i].server)
				world_server_run(w, &w->conn[i]);
			transmit(w, &w->conn[i]);
		}
}

struct world_conn *world_find(struct world *w, const char *name)
{
	for (unsigned i = 0; i < WORLD_CONNS; i++)
		if (w->conn[i].used && strcmp(w->conn[i].name, name) == 0)
			return &w->conn[i];
	return NULL;
}

struct world_conn *world_open(struct world *w, const char *name)
{
	struct world_conn *c = conn_new(w);
	struct ip_addr vip = world_vip(w);

	snprintf(c->name, sizeof(c->name), "%s", name);
	if (tcp_connect(w->peer, &vip, WORLD_VIP_PORT, c, w->now_us, &c->tc) != TCP_REASON_NONE)
		abort();
	world_settle(w);
	return c;
}

struct world_conn *world_accept(struct world *w, const char *name, unsigned n)
{
	for (unsigned i = 0; i < WORLD_CONNS; i++) {
		struct world_conn *c = &w->conn[i];

		if (!c->used || !c->server || c->accepted || c->endpoint != n)
			continue;
		c->accepted = true;
		snprintf(c->name, sizeof(c->name), "%s", name);
		return c;
	}
	return NULL;
}

void world_send(struct world *w, struct world_conn *c, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0 && c->tc != NULL && !c->dead) {
		size_t n = w->pieces ? 1 + (size_t)rng_below(&w->rng, w->pieces) : len;

		n = n < len ? n : len;
		write_bytes(w, c, p, n);
		p += n;
		len -= n;
		if (w->pieces)
			world_settle(w);
	}
	world_settle(w);
}

void world_fin(struct world *w, struct world_conn *c)
{
	tcp_shutdown(w->peer, c->tc);
	world_settle(w);
}

void world_reset(struct world *w, struct world_conn *c)
{
	if (c->tc != NULL)
		tcp_abort(w->peer, c->tc, w->now_us);
	c->tc = NULL;
	world_settle(w);
}

void world_poll(struct world *w, struct world_conn *c)
{
	if (c->tc != NULL)
		receive(w, c);
	world_settle(w);
}

void world_starve(struct world *w, uint32_t left)
{
	mbufq_free(&w->starved);
	while (left != UINT32_MAX && rte_mempool_avail_count(w->gw_pool) > left) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(w->gw_pool);

		bug_on(m == NULL);
		*pkt_of(m) = (struct pkt){0};
		mbufq_push(&w->starved, m);
	}
}

void world_forget_dead(struct world *w)
{
	for (unsigned i = 0; i < WORLD_CONNS; i++) {
		struct world_conn *c = &w->conn[i];

		if (!c->used || (c->tc != NULL && !c->dead))
			continue;
		if (c->tc != NULL)
			tcp_close(w->peer, c->tc, w->now_us);
		free(c->rx);
		free(c->tx);
		c->used = false;
		c->rx = c->tx = NULL;
	}
}

void world_consume(struct world_conn *c, size_t n)
{
	bug_on(n > c->rx_len);
	if (n > 0)
		memmove(c->rx, c->rx + n, c->rx_len - n);
	c->rx_len -= n;
}

/* The clock ---------------------------------------------------------------------------------- */

static void turn(struct world *w)
{
	struct mbufq q;

	q = nets[0].q; /* from the gateway */
	mbufq_init(&nets[0].q);
	tcp_input(w->peer, &q, w->now_us);
	q = nets[1].q;
	mbufq_init(&nets[1].q);
	tcp_input(w->gw, &q, w->now_us);
	tcp_timers_run(w->peer, w->now_us, 1000);
	tcp_timers_run(w->gw, w->now_us, 1000);
	if (w->before_turn != NULL)
		w->before_turn(w);
	http_run(w->http, w->cfg != NULL ? &w->cfg->cfg : NULL, w->now_us);
	peers_run(w);
	tcp_output(w->gw, w->now_us);
	tcp_output(w->peer, w->now_us);
}

static uint64_t next_us(struct world *w)
{
	uint64_t a = tcp_next_us(w->gw), b = tcp_next_us(w->peer), c = http_next_us(w->http);

	a = a < b ? a : b;
	return a < c ? a : c;
}

void world_settle(struct world *w)
{
	uint64_t end = w->now_us + SETTLE_US;
	unsigned turns = 0;

	if (w->frozen)
		return;
	do {
		turn(w);
		if (!mbufq_is_empty(&nets[0].q) || !mbufq_is_empty(&nets[1].q)) {
			w->now_us += LINK_US;
			turns = 0;
		} else if (next_us(w) > w->now_us) {
			return;
		}
	} while (w->now_us < end && ++turns < SETTLE_TURNS);
	if (turns < SETTLE_TURNS)
		return; /* somebody keeps on sending; that takes time and may go on later */
	fprintf(stderr, "world: does not come to rest at %lu us: gateway %lu peers %lu http %lu\n",
		w->now_us, tcp_next_us(w->gw), tcp_next_us(w->peer), http_next_us(w->http));
	abort();
}

static bool never(struct world *w, void *ctx)
{
	return false;
}

bool world_until(struct world *w, uint64_t us, world_done_fn done, void *ctx)
{
	uint64_t end = w->now_us + us;

	world_settle(w);
	while (!done(w, ctx)) {
		uint64_t next = next_us(w);

		if (w->now_us >= end)
			return false;
		next = next > w->now_us ? next : w->now_us + 1;
		w->now_us = next < end ? next : end;
		world_settle(w);
	}
	return true;
}

void world_advance(struct world *w, uint64_t us)
{
	world_until(w, us, never, NULL);
}

/* Lifecycle ---------------------------------------------------------------------------------- */

void world_setup(struct rte_mempool **ret_gw, struct rte_mempool **ret_peer)
{
	char *argv[] = {"gateway_test", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry",
		"--no-shconf", "--log-level=error", "--iova-mode=va", "--lcores=0", NULL};
	struct err err = {{0}};

	if (rte_eal_init(sizeof(argv) / sizeof(argv[0]) - 1, argv) < 0)
		abort();
	*ret_gw = port_pool_new("gateway", 16384, 1500, &err);
	*ret_peer = port_pool_new("peers", 32768, 1500, &err);
	if (*ret_gw == NULL || *ret_peer == NULL) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
}

static struct tcp *stack_new(struct world *w, struct net *n, struct rte_mempool *pool,
	const struct ip_addr *source, uint16_t first_port, uint16_t port_count)
{
	struct tcp_port_slice ports = {.first = first_port, .count = port_count};
	struct tcp_config cfg;
	struct tcp *t;

	tcp_config_default(&cfg);
	cfg.conns_max = 512;
	cfg.timewait_max = 1024;
	t = tcp_new(&cfg, n, pool, &w->rng, w->now_us);
	tcp_set_sources(t, source, 1);
	tcp_set_ports(t, &ports);
	return t;
}

void world_init(struct world *w, bool v4, uint16_t ports, struct rte_mempool *gw,
	struct rte_mempool *peer, const struct http_config *http_cfg)
{
	struct ip_addr source, client;

	*w = (struct world){.v4 = v4,
		.now_us = 1000000000,
		.gw_pool = gw,
		.peer_pool = peer,
		.http_cfg = *http_cfg};
	rng_seed(&w->rng, 42);
	nets[0] = (struct net){.w = w, .gateway = true};
	nets[1] = (struct net){.w = w};
	source = world_source(w);
	client = world_client(w);
	w->gw = stack_new(w, &nets[0], gw, &source, 20000, ports ? ports : 10000);
	w->peer = stack_new(w, &nets[1], peer, &client, 40000, 10000);
	w->log = access_ring_new(256);
	w->http = http_new(http_cfg, w->gw, gw, &w->rng, 0, 1, w->log, w->now_us);
	w->board = calloc(1, sizeof(*w->board));
	bug_on(w->http == NULL || w->log == NULL || w->board == NULL);
	w->upstreams[0] = http_upstream(w->http);
	http_join(w->http, w->board, w->upstreams);
	world_peers_listen(w);
}

void world_fini(struct world *w)
{
	for (unsigned i = 0; i < WORLD_CONNS; i++) {
		free(w->conn[i].rx);
		free(w->conn[i].tx);
	}
	http_free(w->http);
	tcp_free(w->gw);
	tcp_free(w->peer);
	mbufq_free(&nets[0].q);
	mbufq_free(&nets[1].q);
	free(w->board);
	access_ring_free(w->log);
	world_config_free(w->cfg);
	free(w->gw_listeners);
	free(w->peer_listeners);
}

const char *world_leftovers(struct world *w)
{
	static char text[256];
	struct http_usage u;
	struct tcp_usage t;

	atomic_store(&w->board->probes, NULL);
	w->before_turn = NULL;
	for (unsigned i = 0; i < WORLD_CONNS; i++)
		if (w->conn[i].used)
			world_reset(w, &w->conn[i]);
	world_advance(w, 200 * 1000000ull);
	http_usage(w->http, &u);
	tcp_usage(w->gw, &t);
	text[0] = 0;
	if (u.probes | u.down | u.up | u.up_idle | u.exchanges | u.head_buffers | u.held_bytes |
		t.conns | t.half_open | t.charged_bytes | rte_mempool_in_use_count(w->gw_pool))
		snprintf(text, sizeof(text),
			"down %u up %u idle %u exchanges %u head buffers %u held %u; tcp conns %u "
			"half-open %u charged %u; mbufs %u",
			u.down, u.up, u.up_idle, u.exchanges, u.head_buffers, u.held_bytes, t.conns,
			t.half_open, t.charged_bytes, rte_mempool_in_use_count(w->gw_pool));
	return text;
}

uint64_t world_counter(const struct world *w, const char *name, bool *ret_known)
{
	unsigned n;
	const uint64_t *c = http_counters(w->http, &n);

	*ret_known = true;
	for (unsigned i = 0; i < n; i++)
		if (strcmp(http_counter_name(i), name) == 0)
			return c[i];
	for (unsigned i = 0; i < PROBE_COUNTER_COUNT; i++)
		if (strncmp(name, "probe_", 6) == 0 && strcmp(probe_counter_name(i), name + 6) == 0)
			return http_probe_counters(w->http)[i];
	*ret_known = false;
	return 0;
}
