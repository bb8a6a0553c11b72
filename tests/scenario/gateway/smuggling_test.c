// SPDX-License-Identifier: Apache-2.0
/*
 * smuggling_test.c: every vector of tests/vectors/h1 through the gateway, from both sides, at every
 * split point.
 *
 * A client that breaks a rule of framing gets that rule's status and a closed connection, and no
 * server sees more than the requests in front of it. A server that breaks one costs its client a
 * 502 or a response that is visibly cut off, and is not talked to again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/scenario/gateway/world.h"
#include "tests/unit/http/h1_vectors.h"

#define SPLITS_DENSE 256u /* longer inputs are split at 64 places */
#define SECOND 1000000ull

static struct world w;
static struct h1_vectors vectors;
static const char chunked_request[] =
	"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char chunked_response[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/* One play of a vector: where it was cut, and what came of it. */
struct play {
	const struct h1_vector *v;
	size_t split;
	struct world_conn *c, *s;
};

static int error_of(const char *name)
{
	for (int e = 1; e < H1_ERR_COUNT; e++)
		if (strcmp(h1_error_name(e), name) == 0)
			return e;
	return 0;
}

/* The vector's last expectation: 0: fine, -1: more, else the error. */
static int expected(const struct h1_vector *v)
{
	struct str last = STR("ok");
	char name[64];

	for (unsigned i = 0; h1_vector_fact(v, "expect", i).p != NULL; i++)
		last = h1_vector_fact(v, "expect", i);
	if (str_eq(last, STR("more")))
		return -1;
	if (!str_starts(last, STR("error ")))
		return 0;
	snprintf(name, sizeof(name), "%.*s", STR_FMT(str_from(last, 6)));
	assert_true(error_of(name) > 0);
	return error_of(name);
}

static void say(struct world_conn *c, struct str head, struct str body, size_t split)
{
	if (head.len > 0)
		world_send(&w, c, head.p, head.len);
	if (split > 0 && split < body.len)
		world_send(&w, c, body.p, split);
	else
		split = 0;
	if (c->tc != NULL && !c->dead)
		world_send(&w, c, body.p + split, body.len - split);
}

static int status_at(const char *p, size_t len)
{
	int status = 0;

	if (len >= 12 && sscanf(p, "HTTP/1.1 %3d", &status) != 1)
		return -1;
	return status;
}

/* Skips the 204s of the servers; the status behind them, 0: nothing. */
static int last_status(struct world_conn *c)
{
	static const char ok[] = "HTTP/1.1 204 No Content\r\n";
	size_t at = 0;

	while (c->rx_len - at >= sizeof(ok) - 1 && memcmp(c->rx + at, ok, sizeof(ok) - 1) == 0) {
		char *end = memmem(c->rx + at, c->rx_len - at, "\r\n\r\n", 4);

		assert_non_null(end);
		at = (size_t)(end + 4 - c->rx);
	}
	return status_at(c->rx + at, c->rx_len - at);
}

static void blame(const struct play *p, const char *what)
{
	fail_msg("%s, cut at %zu: %s; the client got %.*s; servers saw %s", p->v->name, p->split,
		what, (int)(p->c->rx_len < 300 ? p->c->rx_len : 300), p->c->rx_len ? p->c->rx : "",
		w.seen);
}

/* Client side -------------------------------------------------------------------------------- */

/* The requests that a stream's vector lists, as servers note them. */
static void expected_requests(const struct h1_vector *v, char *out, size_t size)
{
	size_t n = 0;

	out[0] = 0;
	for (unsigned i = 0; h1_vector_fact(v, "expect", i).p != NULL; i++) {
		struct str e = h1_vector_fact(v, "expect", i);
		struct str method = str_cut(&e, ' '), target = str_cut(&e, ' ');

		if (target.len == 0 || str_eq(method, STR("error")))
			continue;
		n += (size_t)snprintf(out + n, size - n, "%.*s %.*s %s%.*s\n", STR_FMT(method),
			STR_FMT(target), e.len ? "" : "+0", STR_FMT(e));
	}
}

static void check_client_error(const struct play *p, int err)
{
	int status = last_status(p->c);

	if (status != (int)h1_error_status(err))
		blame(p, "not the status of the rule");
	if (!p->c->eof && !p->c->dead)
		blame(p, "the connection stays open");
	if (p->v->kind != H1_VECTOR_STREAM && w.seen[0] != 0)
		blame(p, "a server saw a request");
}

static void play_client(struct play *p)
{
	bool chunked = p->v->kind == H1_VECTOR_CHUNKED;
	int err = expected(p->v), status;
	char requests[4096];

	w.servers_answer = true;
	p->c = world_open(&w, "c");
	say(p->c, chunked ? str_of(chunked_request) : STR(""), p->v->input, p->split);
	if (err > 0)
		check_client_error(p, err);
	status = last_status(p->c);
	if (err <= 0 && status != 0 && status != 404 && status != 100)
		blame(p, "refused");
	if (err < 0 && p->v->kind != H1_VECTOR_STREAM && w.seen[0] != 0)
		blame(p, "a server saw half a request");
	if (p->v->kind != H1_VECTOR_STREAM)
		return;
	expected_requests(p->v, requests, sizeof(requests));
	if (strcmp(requests, w.seen) != 0)
		blame(p, requests);
}

/* Server side -------------------------------------------------------------------------------- */

static const char *method_name(enum h1_method m)
{
	static const char *const names[] = {"GET", "GET", "HEAD", "POST", "PUT", "DELETE", "GET",
		"OPTIONS", "GET", "PATCH"};

	return names[m];
}

/* Is the response on the client's side complete? */
static bool is_complete(struct world_conn *c, enum h1_method m)
{
	static struct h1_head head;
	struct h1_chunk ck;
	struct h1_piece piece = {0};
	ssize_t n = h1_parse_response(c->rx, c->rx_len, m, &head);
	size_t at = (size_t)n;

	if (n <= 0)
		return false;
	if (head.body == H1_BODY_LENGTH)
		return c->rx_len - at >= head.content_length;
	if (head.body != H1_BODY_CHUNKED)
		return true;
	h1_chunk_init(&ck);
	while (at < c->rx_len && !piece.last) {
		n = h1_chunk_parse(&ck, c->rx + at, c->rx_len - at, &piece);
		assert_true(n > 0);
		at += (size_t)n;
	}
	return piece.last;
}

static void play_server(struct play *p)
{
	bool chunked = p->v->kind == H1_VECTOR_CHUNKED;
	enum h1_method m = chunked ? H1_GET : p->v->method;
	int err = expected(p->v), status;
	char request[128];

	if (m == H1_CONNECT)
		return; /* we never ask for a tunnel */
	w.servers_answer = false;
	p->c = world_open(&w, "c");
	snprintf(request, sizeof(request), "%s / HTTP/1.1\r\nHost: a\r\n%s\r\n", method_name(m),
		m == H1_POST || m == H1_PUT ? "Content-Length: 0\r\n" : "");
	world_send(&w, p->c, request, strlen(request));
	p->s = world_accept(&w, "s", 1);
	assert_non_null(p->s);
	say(p->s, chunked ? str_of(chunked_response) : STR(""), p->v->input, p->split);
	status = status_at(p->c->rx, p->c->rx_len);
	if (err > 0 && !chunked && status != 502)
		blame(p, "not 502");
	if (err > 0 && chunked && (is_complete(p->c, m) || (!p->c->eof && !p->c->dead)))
		blame(p, "not cut off");
	if (err > 0 && !p->s->eof && !p->s->dead)
		blame(p, "the server's connection stays open");
	if (err == 0 && (status == 502 || (chunked && !is_complete(p->c, m))))
		if (status_at(p->v->input.p, p->v->input.len) != 101)
			blame(p, "not passed on");
}

/* -------------------------------------------------------------------------------------------- */

static void play_one(struct play *p, bool server)
{
	struct http_usage u;

	w.seen[0] = 0;
	if (server)
		play_server(p);
	else
		play_client(p);
	for (unsigned i = 0; i < WORLD_CONNS; i++)
		if (w.conn[i].used)
			world_reset(&w, &w.conn[i]);
	world_forget_dead(&w);
	http_usage(w.http, &u);
	if (u.down + u.up + u.exchanges + u.head_buffers + u.held_bytes > 0)
		fail_msg("%s, cut at %zu: something is left", p->v->name, p->split);
}

static void at_every_split_point(const struct h1_vector *v, bool server)
{
	size_t len = v->input.len, step = len <= SPLITS_DENSE ? 1 : len / 64;

	for (size_t split = 0; split < len || split == 0; split += step) {
		struct play p = {.v = v, .split = split};

		play_one(&p, server);
	}
}

static void clients_vector(void **state)
{
	at_every_split_point(*state, false);
}

static void servers_vector(void **state)
{
	at_every_split_point(*state, true);
}

static void new_world(struct rte_mempool *gw, struct rte_mempool *peer)
{
	static struct world_config *c;
	static struct build_endpoint e;
	static struct build_service s = {.id = 1, .endpoints = &e, .endpoint_count = 1};
	static struct build_backend b = {.id = 2, .weight = 1, .service_id = 1};
	static struct build_match m = {.path_type = BUILD_MATCH_PREFIX, .path = {"/", 1}};
	static struct build_rule r = {.id = 3,
		.matches = &m,
		.match_count = 1,
		.backends = &b,
		.backend_count = 1};
	static struct build_route ro = {.id = 4, .rules = &r, .rule_count = 1};
	static struct build_attachment at;
	static struct ip_addr vip;
	static struct build_listener l = {.id = 5,
		.addrs = &vip,
		.addr_count = 1,
		.port = WORLD_VIP_PORT,
		.attachments = &at,
		.attachment_count = 1};
	struct http_config cfg;

	http_config_default(&cfg);
	cfg.down_max = cfg.up_max = cfg.exchanges_max = 16;
	world_init(&w, true, 0, gw, peer, &cfg);
	vip = world_vip(&w);
	e = (struct build_endpoint){.id = 6,
		.addr = world_endpoint(&w, 1),
		.port = 8080,
		.weight = 1};
	c = calloc(1, sizeof(*c));
	arena_init(&c->arena, 0);
	c->in = (struct build_config){.listeners = &l,
		.listener_count = 1,
		.routes = &ro,
		.route_count = 1,
		.services = &s,
		.service_count = 1};
	world_apply(&w, c);
}

int main(int argc, char **argv)
{
	struct rte_mempool *gw, *peer;
	struct CMUnitTest *rows;
	char(*names)[200];
	size_t n = 0;
	int rc;

	world_setup(&gw, &peer);
	h1_vectors_load(&vectors, VECTORS_DIR);
	new_world(gw, peer);
	rows = calloc(vectors.count * 2, sizeof(*rows));
	names = calloc(vectors.count * 2, sizeof(*names));
	for (size_t i = 0; i < vectors.count * 2; i++) {
		struct h1_vector *v = &vectors.v[i / 2];
		bool server = i % 2;

		if (server ? v->kind == H1_VECTOR_REQUEST || v->kind == H1_VECTOR_STREAM
			   : v->kind == H1_VECTOR_RESPONSE)
			continue;
		if (argc > 1 && strstr(v->name, argv[1]) == NULL)
			continue;
		snprintf(names[n], sizeof(names[n]), "%s [%s]", v->name,
			server ? "server" : "client");
		rows[n] = (struct CMUnitTest){.name = names[n],
			.test_func = server ? servers_vector : clients_vector,
			.initial_state = v};
		n++;
	}
	rc = _cmocka_run_group_tests("smuggling", rows, n, NULL, NULL);
	world_fini(&w);
	h1_vectors_free(&vectors);
	free(rows);
	free(names);
	return rc;
}
