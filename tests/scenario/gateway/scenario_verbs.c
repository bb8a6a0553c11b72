// SPDX-License-Identifier: Apache-2.0
/*
 * scenario_verbs.c: what a line of a page can do on a connection, and expect of it.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/scenario/gateway/scenario.h"

#include "dataplane/http/h1.h"

#define PATIENCE_US 3000000ull /* how long a line waits for what it expects */

/* Bytes as a page would write them. */
static const char *printable(const char *p, size_t len)
{
	static char text[1600];
	size_t n = 0;

	for (size_t i = 0; i < len && n + 8 < sizeof(text); i++) {
		if (p[i] == '\n')
			n += (size_t)sprintf(text + n, "\\n\n");
		else if (p[i] == '\r')
			n += (size_t)sprintf(text + n, "\\r");
		else if (isprint((unsigned char)p[i]))
			text[n++] = p[i];
		else
			n += (size_t)sprintf(text + n, "\\x%02x", (unsigned char)p[i]);
	}
	text[n] = 0;
	return text;
}

static struct world_conn *conn_of(struct run *r, char **argv)
{
	struct world_conn *c = world_find(&r->w, argv[1]);

	if (c == NULL)
		run_fail(r, "%s: no connection of that name", argv[1]);
	return c;
}

unsigned endpoint_of(struct run *r, const char *s)
{
	int n = s[0] == 'e' ? atoi(s + 1) : 0;

	if (n < 1 || n > (int)WORLD_ENDPOINTS)
		run_fail(r, "%s: endpoints are e1 to e%u", s, WORLD_ENDPOINTS);
	return (unsigned)n;
}

static void verb_open(struct run *r, int argc, char **argv, const struct pattern *t)
{
	world_open(&r->w, argv[1]);
}

struct wanted {
	struct world_conn *c;
	const struct pattern *t;
	const char *name;
	unsigned endpoint;
	uint64_t bytes, done;
	ptrdiff_t got;
	struct h1_chunk chunk;
};

static bool is_accepted(struct world *w, void *ctx)
{
	struct wanted *x = ctx;

	x->c = world_accept(w, x->name, x->endpoint);
	return x->c != NULL;
}

static void verb_accept(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct wanted x = {.name = argv[1], .endpoint = endpoint_of(r, argv[2])};

	if (!r->failed && !world_until(&r->w, PATIENCE_US, is_accepted, &x))
		run_fail(r, "no connection comes to %s", argv[2]);
}

static void verb_noaccept(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct wanted x = {.name = "unwanted", .endpoint = endpoint_of(r, argv[1])};

	if (!r->failed && world_until(&r->w, 10000, is_accepted, &x))
		run_fail(r, "a connection came to %s", argv[1]);
}

static void verb_send(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct world_conn *c = conn_of(r, argv);

	if (c != NULL)
		world_send(&r->w, c, t->p, t->len);
}

static bool is_received(struct world *w, void *ctx)
{
	struct wanted *x = ctx;

	x->got = pattern_match(x->t, x->c->rx, x->c->rx_len);
	return x->got != -2;
}

static void verb_recv(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct wanted x = {.c = conn_of(r, argv), .t = t};

	if (x.c == NULL)
		return;
	world_until(&r->w, PATIENCE_US, is_received, &x);
	if (x.got < 0)
		run_fail(r, "%s received%s:\n%s", argv[1], x.c->dead ? " (and is dead)" : "",
			printable(x.c->rx, x.c->rx_len));
	else
		world_consume(x.c, (size_t)x.got);
}

/* Chunked bodies: what counts is the data, not where the chunks end. */
static bool is_unchunked(struct world *w, void *ctx)
{
	struct wanted *x = ctx;
	struct world_conn *c = x->c;
	size_t used = 0;

	while (used < c->rx_len && (x->done < x->bytes || x->chunk.state != 0)) {
		struct h1_piece p;
		ssize_t n = h1_chunk_parse(&x->chunk, c->rx + used, 1, &p);

		if (n < 0 || p.last || (p.len > 0 && x->done == x->bytes))
			x->got = -1;
		else if (p.len > 0 && x->t != NULL && x->t->p[x->done] != c->rx[used])
			x->got = -1;
		else if (p.len > 0 && x->t == NULL && c->rx[used] != world_pattern(c->rx_pattern++))
			x->got = -1;
		if (x->got < 0)
			return true;
		x->done += p.len;
		used++;
	}
	world_consume(c, used);
	return x->done == x->bytes && x->chunk.state == 0;
}

/* Data of whole chunks: the bytes of <t>, or <bytes> of the pattern when it is NULL. */
static void expect_chunked(struct run *r, char **argv, const struct pattern *t, uint64_t bytes)
{
	struct wanted x = {.c = conn_of(r, argv), .t = t, .bytes = bytes};

	if (x.c == NULL)
		return;
	h1_chunk_init(&x.chunk);
	if (!world_until(&r->w, 20 * PATIENCE_US, is_unchunked, &x))
		run_fail(r, "%s: %lu of %lu bytes came in chunks", argv[1], x.done, bytes);
	else if (x.got < 0)
		run_fail(r, "%s: wrong chunk data at %lu:\n%s", argv[1], x.done,
			printable(x.c->rx, x.c->rx_len));
}

static void verb_chunk(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct pattern data = text_decode(r, &r->arena, argv[2], strlen(argv[2]), false);

	expect_chunked(r, argv, &data, data.len);
}

static void verb_chunks(struct run *r, int argc, char **argv, const struct pattern *t)
{
	static const char end[] = "0\\r\\n\\r\\n";
	struct pattern last = text_decode(r, &r->arena, end, sizeof(end) - 1, false);

	verb_chunk(r, argc, argv, t);
	if (!r->failed)
		verb_recv(r, argc, argv, &last);
}

static void verb_chunkdrain(struct run *r, int argc, char **argv, const struct pattern *t)
{
	expect_chunked(r, argv, NULL, strtoull(argv[2], NULL, 10));
}

/* chunkfill X BYTES SIZE: pattern bytes in chunks of SIZE, without the last one. */
static void verb_chunkfill(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct world_conn *c = conn_of(r, argv);
	uint64_t left = strtoull(argv[2], NULL, 10), size = strtoull(argv[3], NULL, 10);

	if (c == NULL || size == 0)
		return;
	while (left > 0) {
		uint64_t n = left < size ? left : size;
		char line[32];

		world_queue(c, line, (size_t)snprintf(line, sizeof(line), "%lx\r\n", n));
		for (uint64_t i = 0; i < n; i++) {
			char b = world_pattern(c->tx_pattern++);

			world_queue(c, &b, 1);
		}
		world_queue(c, "\r\n", 2);
		left -= n;
	}
	world_settle(&r->w);
}

/* answer S N SIZE: the server answers the next N requests by itself, with SIZE bytes each. */
static void verb_answer(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct world_conn *c = conn_of(r, argv);

	if (c == NULL)
		return;
	c->answers = (uint32_t)atoi(argv[2]);
	c->answer_bytes = (uint32_t)atoi(argv[3]);
	world_settle(&r->w);
}

/* A response with Content-Length at the start of what was received: its length; 0: not whole. */
static size_t whole_response(const struct world_conn *c)
{
	static struct h1_head head;
	ssize_t n = h1_parse_response(c->rx, c->rx_len, H1_GET, &head);

	if (n <= 0 || c->rx_len - (size_t)n < head.content_length)
		return 0;
	return (size_t)n + (head.body == H1_BODY_LENGTH ? (size_t)head.content_length : 0);
}

static bool is_swallowed(struct world *w, void *ctx)
{
	struct wanted *x = ctx;
	size_t n;

	while (x->done < x->bytes && (n = whole_response(x->c)) > 0) {
		world_consume(x->c, n);
		x->done++;
	}
	return x->done == x->bytes;
}

/* swallow C N: receives N whole responses, whatever they are. */
static void verb_swallow(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct wanted x = {.c = conn_of(r, argv), .bytes = strtoull(argv[2], NULL, 10)};

	if (x.c != NULL && !world_until(&r->w, 20 * PATIENCE_US, is_swallowed, &x))
		run_fail(r, "%s: %lu of %lu responses came", argv[1], x.done, x.bytes);
}

static bool has_response(struct world *w, void *ctx)
{
	return whole_response(ctx) > 0;
}

/*
 * answers N STATUS=COUNT...: client "a" sends N requests one after the other on one connection,
 * all servers that nobody has accepted answer 204 by themselves.
 */
static void verb_answers(struct run *r, int argc, char **argv, const struct pattern *t)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	unsigned got[600] = {0};
	struct wanted x = {.c = world_find(&r->w, "a")};

	r->w.servers_answer = true;
	if (x.c == NULL)
		x.c = world_open(&r->w, "a");
	for (int i = 0; i < atoi(argv[1]) && !r->failed; i++) {
		int status = 0;

		world_send(&r->w, x.c, request, sizeof(request) - 1);
		if (!world_until(&r->w, PATIENCE_US, has_response, x.c))
			run_fail(r, "no response to request %d", i);
		else if (sscanf(x.c->rx, "HTTP/1.1 %3d", &status) == 1)
			got[status < 600 ? status : 0]++;
		world_consume(x.c, whole_response(x.c));
	}
	for (int i = 2; i < argc; i++)
		if (got[atoi(argv[i]) % 600] != (unsigned)atoi(strchr(argv[i], '=') + 1))
			run_fail(r, "%u responses %d", got[atoi(argv[i]) % 600], atoi(argv[i]));
	r->w.servers_answer = false;
}

static void verb_listen(struct run *r, int argc, char **argv, const struct pattern *t)
{
	world_listen(&r->w);
}

static void verb_fill(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct world_conn *c = conn_of(r, argv);

	if (c == NULL)
		return;
	c->fill_left += strtoull(argv[2], NULL, 10);
	world_settle(&r->w);
}

static bool is_filled(struct world *w, void *ctx)
{
	struct wanted *x = ctx;
	struct world_conn *c = x->c;
	size_t n = c->rx_len < x->bytes ? c->rx_len : (size_t)x->bytes;

	for (size_t i = 0; i < n && x->got >= 0; i++)
		if (c->rx[i] != world_pattern(c->rx_pattern + i))
			x->got = -1;
	c->rx_pattern += n;
	x->bytes -= n;
	world_consume(c, n);
	return x->bytes == 0 || x->got < 0;
}

static void verb_drain(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct wanted x = {.c = conn_of(r, argv), .bytes = strtoull(argv[2], NULL, 10)};

	if (x.c == NULL)
		return;
	if (!world_until(&r->w, 20 * PATIENCE_US, is_filled, &x))
		run_fail(r, "%s: %lu bytes of the pattern do not come", argv[1], x.bytes);
	else if (x.got < 0)
		run_fail(r, "%s: the pattern is broken at %lu", argv[1], x.c->rx_pattern);
}

static void verb_nothing(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct world_conn *c = conn_of(r, argv);

	if (c == NULL)
		return;
	world_settle(&r->w);
	if (c->rx_len > 0)
		run_fail(r, "%s received:\n%s", argv[1], printable(c->rx, c->rx_len));
	else if (c->eof || c->dead)
		run_fail(r, "%s was closed", argv[1]);
}

static bool is_ended(struct world *w, void *ctx)
{
	struct wanted *x = ctx;

	return x->c->eof || x->c->dead;
}

/* What ended it, with nothing unexpected before. */
static void expect_end(struct run *r, char **argv, bool fin, bool rst)
{
	struct wanted x = {.c = conn_of(r, argv)};

	if (x.c == NULL)
		return;
	if (!world_until(&r->w, PATIENCE_US, is_ended, &x))
		run_fail(r, "%s is still open", argv[1]);
	else if (x.c->rx_len > 0)
		run_fail(r, "%s received:\n%s", argv[1], printable(x.c->rx, x.c->rx_len));
	else if (x.c->eof && !fin)
		run_fail(r, "%s was closed in order", argv[1]);
	else if (!x.c->eof && !rst)
		run_fail(r, "%s died: %s", argv[1], tcp_reason_str(x.c->reason));
}

static void verb_eof(struct run *r, int argc, char **argv, const struct pattern *t)
{
	expect_end(r, argv, true, false);
}

static void verb_isreset(struct run *r, int argc, char **argv, const struct pattern *t)
{
	expect_end(r, argv, false, true);
}

static void verb_gone(struct run *r, int argc, char **argv, const struct pattern *t)
{
	expect_end(r, argv, true, true);
}

static void verb_fin(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct world_conn *c = conn_of(r, argv);

	if (c != NULL)
		world_fin(&r->w, c);
}

static void verb_reset(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct world_conn *c = conn_of(r, argv);

	if (c != NULL)
		world_reset(&r->w, c);
}

static void verb_stall(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct world_conn *c = conn_of(r, argv);

	if (c != NULL)
		c->stalled = true;
}

static void verb_resume(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct world_conn *c = conn_of(r, argv);

	if (c == NULL)
		return;
	c->stalled = false;
	world_poll(&r->w, c);
}

static const struct verb verbs[] = {
	{"open", 2, false, false, verb_open},
	{"accept", 3, false, false, verb_accept},
	{"noaccept", 2, false, false, verb_noaccept},
	{"send", 2, true, false, verb_send},
	{"recv", 2, false, true, verb_recv},
	{"chunk", 3, false, false, verb_chunk},
	{"chunks", 3, false, false, verb_chunks},
	{"fill", 3, false, false, verb_fill},
	{"chunkfill", 4, false, false, verb_chunkfill},
	{"chunkdrain", 3, false, false, verb_chunkdrain},
	{"answer", 4, false, false, verb_answer},
	{"swallow", 3, false, false, verb_swallow},
	{"answers", 3, false, false, verb_answers},
	{"drain", 3, false, false, verb_drain},
	{"nothing", 2, false, false, verb_nothing},
	{"eof", 2, false, false, verb_eof},
	{"isreset", 2, false, false, verb_isreset},
	{"gone", 2, false, false, verb_gone},
	{"fin", 2, false, false, verb_fin},
	{"reset", 2, false, false, verb_reset},
	{"stall", 2, false, false, verb_stall},
	{"resume", 2, false, false, verb_resume},
	{"listen", 1, false, false, verb_listen},
};

const struct verb *verb_of(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return verb_of_world(name);
}
