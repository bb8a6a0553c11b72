// SPDX-License-Identifier: Apache-2.0
/*
 * gen_client.c: who asks: closed loop, open loop, or connections that only rest.
 *
 * Closed loop: each connection sends its next request with the answer to the last. Open loop:
 * requests have a time of their own, evenly spaced; one that finds no free connection waits, and its
 * latency counts from the time that was intended, not from when it could be sent. A connection that
 * ends is replaced. Ports are handed out in turn over all client addresses, so that a 4-tuple rests
 * as long as the numbers allow; a reuse within 60 s is counted (it is legal: RFC 6191).
 */
#include "tests/bench/gen_tcp.h"

#define PORT_FIRST 1024u
#define PORT_COUNT 64512u
#define PORT_BLOCK 1024u
#define REUSE_US 60000000u
#define HANDSHAKES_MAX 256u /* while the first connections are opened */
#define OPENS_PER_TURN 32u
#define SENDS_PER_TURN 64u
#define BACKOFF_US 10000u /* after a refused or lost connection */
#define TUPLE_TRIES 64

static uint32_t coprime_step(uint32_t n)
{
	uint32_t step = (uint32_t)((uint64_t)n * 618 / 1000) | 1;

	for (;; step++) {
		uint32_t a = n, b = step % n;

		while (b != 0) {
			uint32_t t = a % b;

			a = b;
			b = t;
		}
		if (a == 1)
			return step % n;
	}
}

void client_init(struct gen *g)
{
	struct client *cl = &g->client;
	uint64_t tuples = (uint64_t)g->cfg.clients_count * PORT_COUNT;

	list_init(&cl->idle);
	cl->tuple = rng_below(&g->rng, tuples);
	cl->tuple -= cl->tuple % ((uint64_t)g->cfg.clients_count * PORT_BLOCK);
	cl->answer_us = (uint64_t)(g->cfg.answer_s * 1e6);
	if (g->cfg.scenario == CASE_CLOSE)
		cl->want_closing = g->cfg.connections;
	else if (g->cfg.mixed)
		cl->want_closing = g->cfg.connections / 10;
	cl->want_keep = g->cfg.connections - cl->want_closing;
	cl->next_id = (uint32_t)rng_u64(&g->rng);
	cl->route_step = g->cfg.routes > 1 ? coprime_step(g->cfg.routes) : 0;
	if (g->cfg.rate > 0 && g->cfg.scenario != CASE_IDLE)
		cl->interval_frac = (uint64_t)((double)g->tsc_hz * 65536 / g->cfg.rate);
}

static void address_add(const struct ip_net *net, uint32_t n, uint8_t *dst, bool v6)
{
	struct ip_addr a = net->addr;

	be32_put(a.b + 12, be32_get(a.b + 12) + n);
	memcpy(dst, v6 ? a.b : a.b + 12, v6 ? 16 : 4);
}

/* The server's side of the next connection, as its segments' source. */
static uint16_t server_next(struct gen *g, uint8_t *dst)
{
	if (!g->cfg.direct) {
		memcpy(dst, g->v6 ? g->cfg.vip.b : g->cfg.vip.b + 12, g->v6 ? 16 : 4);
		return g->cfg.vip_port;
	}
	/* host 0 is the network's own name */
	address_add(&g->cfg.backend_net, 1 + g->client.next_backend, dst, g->v6);
	if (++g->client.next_backend == g->cfg.backends)
		g->client.next_backend = 0;
	return g->cfg.backend_port;
}

/* A new block of ports: whoever comes from it now was there when the block was entered last. */
static void block_enter(struct gen *g, uint32_t port)
{
	uint64_t *used = &g->client.block_us[port / PORT_BLOCK];

	g->client.early = *used != 0 && g->now_us - *used < REUSE_US;
	*used = g->now_us;
}

/* A client address and port that no connection of ours uses. */
static bool tuple_next(struct gen *g, uint8_t key[CONN_KEY_MAX], uint32_t *hash)
{
	uint64_t tuples = (uint64_t)g->cfg.clients_count * PORT_COUNT;
	unsigned alen = g->v6 ? 16 : 4;

	for (int i = 0; i < TUPLE_TRIES; i++) {
		uint64_t t = g->client.tuple;
		uint32_t port = (uint32_t)(t / g->cfg.clients_count);

		if (t % ((uint64_t)g->cfg.clients_count * PORT_BLOCK) == 0)
			block_enter(g, port);
		g->client.tuple = t + 1 == tuples ? 0 : t + 1;
		be16_put(key + 2 * alen, server_next(g, key));
		address_add(&g->cfg.clients, (uint32_t)(t % g->cfg.clients_count), key + alen,
			g->v6);
		be16_put(key + 2 * alen + 2, (uint16_t)(PORT_FIRST + port));
		*hash = conn_hash(g, key);
		if (conn_find(g, key, *hash) == NULL)
			return true;
	}
	return false;
}

static bool client_open(struct gen *g, uint64_t intended, bool closing)
{
	struct client *cl = &g->client;
	uint8_t key[CONN_KEY_MAX];
	struct conn *c;
	uint32_t hash;

	if (!tuple_next(g, key, &hash) || (c = tcp_connect(g, key, hash)) == NULL)
		return false;
	if (cl->early)
		gen_count(g, GEN_EARLY_REUSE);
	c->app = CLIENT_CONNECTING;
	c->closing = closing;
	c->intended_tsc = intended;
	c->app_at = g->now_us + cl->answer_us;
	conn_wake(g, c, c->app_at);
	cl->live++;
	cl->live_closing += closing;
	cl->connecting++;
	return true;
}

/* The client has no more to do with the connection. */
static void client_forget(struct gen *g, struct conn *c)
{
	struct client *cl = &g->client;

	if (c->app == CLIENT_GONE)
		return;
	cl->live--;
	cl->live_closing -= c->closing;
	cl->connecting -= c->app == CLIENT_CONNECTING;
	cl->outstanding -= c->app == CLIENT_WAITING;
	list_del(&c->link);
	c->app = CLIENT_GONE;
	c->app_at = TIMER_NEVER;
}

static void client_fail(struct gen *g, struct conn *c, enum gen_count why)
{
	gen_count(g, why);
	g->client.backoff_until = g->now_us + BACKOFF_US;
	client_forget(g, c);
	tcp_abort(g, c);
}

static uint8_t class_next(struct gen *g)
{
	uint64_t r;

	if (!g->cfg.mixed)
		return 0;
	r = rng_below(&g->rng, 100);
	return r < 80 ? 0 : r < 95 ? 1 : 2;
}

static void client_request(struct gen *g, struct conn *c, uint64_t intended)
{
	struct client *cl = &g->client;

	c->ask = (struct ask){.id = http_id(cl->next_id++),
		.route = (uint16_t)cl->next_route,
		.class = class_next(g),
		.close = c->closing};
	cl->next_route += cl->route_step;
	if (cl->next_route >= g->cfg.routes)
		cl->next_route -= g->cfg.routes;
	check_start(&c->check, &c->ask);
	c->intended_tsc = intended;
	c->app = CLIENT_WAITING;
	c->app_at = g->now_us + cl->answer_us;
	cl->outstanding++;
	if (!tcp_message(g, c, g->http.request[c->closing].len, false)) {
		client_fail(g, c, GEN_NOT_ACKED);
		return;
	}
	conn_wake(g, c, c->app_at);
}

void client_established(struct gen *g, struct conn *c)
{
	struct client *cl = &g->client;

	gen_count(g, GEN_OPENED);
	cl->connecting--;
	cl->progress_us = g->now_us;
	c->app = CLIENT_IDLE;
	c->app_at = TIMER_NEVER;
	if (c->closing)
		client_request(g, c, c->intended_tsc);
	else if (g->cfg.rate > 0 && g->cfg.scenario != CASE_IDLE)
		list_add_tail(&cl->idle, &c->link);
	else
		client_request(g, c, g->now_tsc);
}

static void record(struct gen *g, const struct conn *c)
{
	struct client *cl = &g->client;
	uint64_t at = g->cfg.rate > 0 ? c->intended_tsc : g->now_tsc;

	g->requests++;
	g->body_bytes += g->http.bytes[c->ask.class];
	cl->progress_us = g->now_us;
	if (at < cl->first_tsc || at >= cl->end_tsc)
		return;
	latency_add(&g->latency, g->now_tsc - c->intended_tsc);
}

static void client_complete(struct gen *g, struct conn *c)
{
	struct client *cl = &g->client;

	record(g, c);
	cl->outstanding--;
	c->app_at = TIMER_NEVER;
	c->app = CLIENT_IDLE;
	if (c->closing) {
		c->app = CLIENT_ENDING;
		c->app_at = g->now_us + cl->answer_us;
	} else if (g->cfg.scenario == CASE_IDLE || g->phase >= PHASE_DRAIN) {
		return;
	} else if (g->cfg.rate > 0) {
		list_add_tail(&cl->idle, &c->link);
	} else {
		client_request(g, c, g->now_tsc);
	}
}

void client_data(struct gen *g, struct conn *c, const uint8_t *p, uint32_t len)
{
	static const enum gen_count why[] = {
		[-CHECK_BAD_STATUS] = GEN_BAD_STATUS,
		[-CHECK_BAD_HEAD] = GEN_BAD_HEAD,
		[-CHECK_BAD_LENGTH] = GEN_BAD_LENGTH,
		[-CHECK_BAD_CONTENT] = GEN_BAD_CONTENT,
		[-CHECK_NO_BUFFER] = GEN_NO_HEAD_BUFFER,
	};
	int n;

	if (c->app == CLIENT_GONE)
		return;
	if (c->app != CLIENT_WAITING) {
		client_fail(g, c, GEN_EXTRA_BYTES);
		return;
	}
	n = check_feed(&g->http, &c->check, p, len);
	if (unlikely(n < 0))
		client_fail(g, c, why[-n]);
	else if (unlikely((uint32_t)n < len && c->check.done))
		client_fail(g, c, GEN_EXTRA_BYTES);
	else if (c->check.done)
		client_complete(g, c);
}

void client_fin(struct gen *g, struct conn *c)
{
	if (c->app == CLIENT_WAITING) {
		gen_count(g, GEN_CLOSED_EARLY);
		g->client.backoff_until = g->now_us + BACKOFF_US;
	} else if (c->app == CLIENT_IDLE) {
		gen_count(g, g->cfg.scenario == CASE_IDLE ? GEN_IDLE_LOST : GEN_CLOSED_IDLE);
	}
	client_forget(g, c);
	tcp_close(g, c);
}

void client_lost(struct gen *g, struct conn *c, enum gen_count why)
{
	if (c->app == CLIENT_GONE)
		return;
	if (c->app == CLIENT_IDLE)
		why = g->cfg.scenario == CASE_IDLE ? GEN_IDLE_LOST : GEN_CLOSED_IDLE;
	gen_count(g, why);
	g->client.backoff_until = g->now_us + BACKOFF_US;
	client_forget(g, c);
}

void client_timer(struct gen *g, struct conn *c)
{
	client_fail(g, c, c->app == CLIENT_CONNECTING ? GEN_CONNECT_TIMEOUT : GEN_TIMEOUT);
}

/* Open loop: requests whose time has come. */
static unsigned requests_due(struct gen *g)
{
	struct client *cl = &g->client;
	unsigned n = 0;

	while (cl->intended_tsc <= g->now_tsc && n < SENDS_PER_TURN) {
		bool closing = cl->want_closing > 0 &&
			(g->cfg.scenario == CASE_CLOSE || cl->scheduled % 10 == 9);

		if (closing ? cl->live_closing >= cl->want_closing : list_is_empty(&cl->idle)) {
			cl->late = true;
			return n;
		}
		if (!closing)
			client_request(g, list_entry(list_pop(&cl->idle), struct conn, link),
				cl->intended_tsc);
		else if (!client_open(g, cl->intended_tsc, true))
			return n;
		g->count[GEN_LATE] += cl->late;
		n++;
		cl->scheduled++;
		cl->intended_frac += cl->interval_frac;
		cl->intended_tsc += cl->intended_frac >> 16;
		cl->intended_frac &= 0xffff;
	}
	if (n < SENDS_PER_TURN)
		cl->late = false;
	return n;
}

unsigned client_run(struct gen *g)
{
	struct client *cl = &g->client;
	bool open_loop = cl->interval_frac != 0;
	uint32_t want = cl->want_keep + (open_loop ? 0 : cl->want_closing);
	uint32_t live = cl->live - (open_loop ? cl->live_closing : 0);
	unsigned n = 0;

	if (g->phase < PHASE_RAMP || g->phase >= PHASE_DRAIN)
		return 0;
	while (unlikely(live < want) && n < OPENS_PER_TURN && g->now_us >= cl->backoff_until &&
		(cl->ramped || cl->connecting < HANDSHAKES_MAX)) {
		if (!client_open(g, g->now_tsc, !open_loop && cl->live_closing < cl->want_closing))
			break;
		live++;
		n++;
	}
	if (open_loop && g->phase >= PHASE_WARMUP)
		n += requests_due(g);
	return n;
}
