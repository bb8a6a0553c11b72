// SPDX-License-Identifier: Apache-2.0
/*
 * chaos_test.c: whatever clients and servers do, the gateway neither dies nor keeps anything.
 *
 * Seeded: each row is a world in which some hundred random things happen, one after the other or at
 * the same moment: good, bad and half requests and responses, stalls, resets, closed and silent
 * endpoints, new configurations, an empty packet pool, passing time. Afterwards everybody leaves
 * and the gateway must hold nothing. During it no leg of an exchange may hold more than the limit.
 *
 * An argument is a seed: only that world is played.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/scenario/gateway/world.h"

#define SEEDS 60
#define STEPS 600
#define LIMIT 131072u

static struct rte_mempool *gw_pool, *peer_pool;

struct chaos {
	struct world w;
	struct rng rng;
	unsigned opened;
};

static uint64_t below(struct chaos *c, uint64_t n)
{
	return rng_below(&c->rng, n);
}

static uint64_t id_of(const char *kind, uint64_t n)
{
	char text[32];
	struct str parts[2] = {str_of(kind), {text, 0}};

	parts[1].len = (size_t)snprintf(text, sizeof(text), "%lu", n);
	return object_id(parts, 2);
}

/* A rule with up to three backends of up to three endpoints each, or no rule at all. */
static void new_config(struct chaos *c)
{
	struct world_config *wc = calloc(1, sizeof(*wc));
	struct arena *a = &wc->arena;
	struct build_listener *l;
	struct build_service *s;
	struct build_backend *b;
	struct build_match *m;
	struct build_rule *r;
	struct build_route *ro;
	struct build_attachment *at;
	struct ip_addr *vip;
	uint32_t n = below(c, 10) ? 1 + (uint32_t)below(c, 3) : 0;

	arena_init(a, 0);
	l = arena_new(a, struct build_listener);
	s = arena_array(a, struct build_service, 3);
	b = arena_array(a, struct build_backend, 3);
	m = arena_new(a, struct build_match);
	r = arena_new(a, struct build_rule);
	ro = arena_new(a, struct build_route);
	at = arena_new(a, struct build_attachment);
	vip = arena_new(a, struct ip_addr);
	*vip = world_vip(&c->w);
	for (uint32_t i = 0; i < n; i++) {
		struct build_endpoint *e = arena_array(a, struct build_endpoint, 3);
		uint32_t count = below(c, 8) ? 1 + (uint32_t)below(c, 3) : 0;

		for (uint32_t k = 0; k < count; k++)
			e[k] = (struct build_endpoint){.id = id_of("e", i * 3 + k + 1),
				.addr = world_endpoint(&c->w, i * 3 + k + 1),
				.port = 8080,
				.weight = (uint16_t)below(c, 6),
				.draining = below(c, 4) == 0};
		s[i] = (struct build_service){.id = id_of("s", i),
			.endpoints = e,
			.endpoint_count = count};
		b[i] = (struct build_backend){.id = id_of("b", i),
			.weight = (uint32_t)below(c, 8),
			.service_id = s[i].id,
			.status = below(c, 20) == 0 ? BUILD_BACKEND_NOT_FOUND : BUILD_BACKEND_OK};
	}
	*m = (struct build_match){.path_type = BUILD_MATCH_PREFIX, .path = STR("/")};
	*r = (struct build_rule){.id = id_of("r", 0),
		.matches = m,
		.match_count = 1,
		.backends = b,
		.backend_count = n,
		.request_timeout_ms = below(c, 3) ? 0 : 700};
	*ro = (struct build_route){.id = id_of("ro", 0), .rules = r, .rule_count = 1};
	*l = (struct build_listener){.id = id_of("l", 0),
		.addrs = vip,
		.addr_count = 1,
		.port = below(c, 20) ? WORLD_VIP_PORT : 81,
		.attachments = at,
		.attachment_count = below(c, 20) ? 1 : 0};
	wc->in = (struct build_config){.listeners = l,
		.listener_count = 1,
		.routes = ro,
		.route_count = 1,
		.services = s,
		.service_count = n,
		.settings = {.exchange_bytes_max = LIMIT,
			.connect_timeout_ms = 900,
			.response_timeout_ms = 1500,
			.header_timeout_ms = 1200}};
	world_apply(&c->w, wc);
}

static const char *const requests[] = {
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nHEAD / "
	"HTTP/1.1\r\nHost: a\r\n\r\n",
	"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
	"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
	"GET / HTTP/1.0\r\n\r\n",
	"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: ",
	"GET /bad HTTP/1.1\r\nHost : a\r\n\r\n",
	"\r\n",
	"5\r\nhello\r\n",
	"3;x=y\r\nabc\r\n",
	"0\r\n\r\n",
	"0\r\nX-T: 1\r\n\r\n",
	"hello",
	"G",
	"\x16\x03\x01",
};

static const char *const responses[] = {
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 204 No Content\r\n\r\n",
	"HTTP/1.1 204 No Content\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\n",
	"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
	"HTTP/1.0 200 OK\r\n\r\nuntil the end",
	"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nX: ",
	"SSH-2.0\r\n",
	"5\r\nhello\r\n",
	"0\r\n\r\n",
	"hello",
};

static struct world_conn *any_conn(struct chaos *c)
{
	for (int tries = 0; tries < 20; tries++) {
		struct world_conn *x = &c->w.conn[below(c, WORLD_CONNS)];

		if (x->used && x->tc != NULL && !x->dead)
			return x;
	}
	return NULL;
}

static void say(struct chaos *c, struct world_conn *x, const char *text)
{
	char pattern[8] = {0};

	c->w.pieces = (unsigned)below(c, 3) * 5;
	world_send(&c->w, x, text, strlen(text));
	/* more than fits a head's first mbuf, or a body of some size */
	if (below(c, 6) == 0)
		for (uint64_t i = below(c, 4000); i > 0 && !x->dead; i--) {
			pattern[0] = world_pattern(i);
			world_queue(x, pattern, 1);
		}
	if (below(c, 10) == 0)
		x->fill_left += below(c, 300000);
}

/* Mostly something that makes sense at this moment. */
static const char *words(struct chaos *c, struct world_conn *x)
{
	uint64_t good = below(c, 4);

	if (!x->server)
		return requests[below(c, good ? 9 : sizeof(requests) / sizeof(requests[0]))];
	return responses[below(c, good ? 7 : sizeof(responses) / sizeof(responses[0]))];
}

static void act_on(struct chaos *c, struct world_conn *x)
{
	switch (below(c, 16)) {
	case 0:
		x->stalled = !x->stalled;
		if (!x->stalled)
			world_poll(&c->w, x);
		return;
	case 1:
		if (below(c, 2))
			world_fin(&c->w, x);
		return;
	case 2:
		if (below(c, 2))
			world_reset(&c->w, x);
		return;
	default:
		if (x->server && x->rx_len == 0 && below(c, 8))
			return; /* nothing was asked yet */
		say(c, x, words(c, x));
		x->rx_len = x->server ? 0 : x->rx_len;
	}
}

static void step(struct chaos *c)
{
	struct world_conn *x = any_conn(c);
	char name[16];

	world_forget_dead(&c->w);
	switch (below(c, 60)) {
	case 0:
		world_endpoint_mode(&c->w, 1 + (unsigned)below(c, 9),
			(enum world_endpoint_mode)(below(c, 2) ? 0 : below(c, 3)));
		return;
	case 1:
		new_config(c);
		return;
	case 2:
		world_starve(&c->w, below(c, 2) ? UINT32_MAX : (uint32_t)below(c, 12));
		return;
	case 3:
		world_starve(&c->w, UINT32_MAX);
		http_set_draining(c->w.http, false);
		return;
	case 4:
		http_set_draining(c->w.http, below(c, 4) == 0);
		return;
	case 5 ... 7:
		world_advance(&c->w, below(c, 2000000));
		return;
	case 8 ... 12:
		snprintf(name, sizeof(name), "c%u", c->opened++);
		world_open(&c->w, name);
		return;
	default:
		if (x != NULL)
			act_on(c, x);
	}
}

static void nothing_is_left_of(void **state)
{
	uint64_t seed = (uint64_t)(uintptr_t)*state;
	struct chaos *c = calloc(1, sizeof(*c));
	struct http_config cfg;
	struct http_usage u;
	const char *left;

	rng_seed(&c->rng, seed);
	http_config_default(&cfg);
	cfg.down_max = 12;
	cfg.up_max = 8;
	cfg.exchanges_max = 10;
	cfg.head_buffers = 2;
	cfg.body_timeout_us = cfg.stall_timeout_us = 3000000;
	cfg.exchange_bytes_max = LIMIT;
	world_init(&c->w, seed % 2, seed % 5 ? 0 : 6, gw_pool, peer_pool, &cfg);
	c->w.servers_answer = seed % 3 == 0;
	new_config(c);
	for (int i = 0; i < STEPS; i++)
		step(c);
	world_starve(&c->w, UINT32_MAX);
	left = world_leftovers(&c->w);
	http_usage(c->w.http, &u);
	if (left[0] != 0)
		fail_msg("seed %lu: the gateway holds: %s", seed, left);
	if (u.held_bytes_high > LIMIT)
		fail_msg("seed %lu: one leg held %u bytes", seed, u.held_bytes_high);
	world_fini(&c->w);
	free(c);
}

int main(int argc, char **argv)
{
	static struct CMUnitTest rows[SEEDS];
	static char names[SEEDS][64];
	size_t n = 0;

	world_setup(&gw_pool, &peer_pool);
	for (uint64_t s = 1; s <= SEEDS; s++) {
		if (argc > 1 && strtoull(argv[1], NULL, 10) != s)
			continue;
		snprintf(names[n], sizeof(names[n]), "nothing is left of the world of seed %lu", s);
		rows[n] = (struct CMUnitTest){.name = names[n],
			.test_func = nothing_is_left_of,
			.initial_state = (void *)(uintptr_t)s};
		n++;
	}
	return _cmocka_run_group_tests("chaos", rows, n, NULL, NULL);
}
