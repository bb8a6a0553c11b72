// SPDX-License-Identifier: Apache-2.0
/*
 * scenario_verbs.c: what a line of a page can do and expect.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/scenario/gateway/scenario.h"

#include "dataplane/http/h1.h"
#include "dataplane/upstream/upstream.h"

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

/* "250ms", "9.9s", "3us" */
static uint64_t duration(struct run *r, const char *s)
{
	char *end;
	double v = strtod(s, &end);

	if (strcmp(end, "s") == 0)
		return (uint64_t)(v * 1e6 + 0.5);
	if (strcmp(end, "ms") == 0)
		return (uint64_t)(v * 1e3 + 0.5);
	run_fail(r, "%s: a duration ends in s or ms", s);
	return 0;
}

static unsigned endpoint_of(struct run *r, const char *s)
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

static void verb_endpoint(struct run *r, int argc, char **argv, const struct pattern *t)
{
	static const char *const modes[] = {"listens", "refuses", "silent"};
	unsigned n = endpoint_of(r, argv[1]);

	for (unsigned m = 0; !r->failed && m < 3; m++)
		if (strcmp(argv[2], modes[m]) == 0) {
			world_endpoint_mode(&r->w, n, (enum world_endpoint_mode)m);
			return;
		}
	run_fail(r, "endpoint eN listens|refuses|silent");
}

static void verb_wait(struct run *r, int argc, char **argv, const struct pattern *t)
{
	world_advance(&r->w, duration(r, argv[1]));
}

static bool compare(const char *op, uint64_t a, uint64_t b)
{
	return (strcmp(op, "=") == 0 && a == b) || (strcmp(op, "<=") == 0 && a <= b) ||
		(strcmp(op, ">=") == 0 && a >= b) || (strcmp(op, ">") == 0 && a > b);
}

static void verb_counter(struct run *r, int argc, char **argv, const struct pattern *t)
{
	bool known;
	uint64_t v = world_counter(&r->w, argv[1], &known);

	if (!known)
		run_fail(r, "counter %s?", argv[1]);
	else if (!compare(argv[2], v, strtoull(argv[3], NULL, 10)))
		run_fail(r, "%s is %lu", argv[1], v);
}

/* object listener|rule|backend|endpoint SLOT COUNTER = N */
static void verb_object(struct run *r, int argc, char **argv, const struct pattern *t)
{
	const struct upstream *u = http_upstream(r->w.http);

	for (unsigned sc = 0; sc < COUNTER_SCOPE_COUNT; sc++) {
		if (strcmp(argv[1], counter_scope_name(sc)) != 0)
			continue;
		for (unsigned i = 0; i < counter_count(sc); i++) {
			uint64_t v;

			if (strcmp(argv[3], counter_name(sc, i)) != 0)
				continue;
			v = upstream_counters(u, sc, (uint32_t)atoi(argv[2]))[i];
			if (!compare(argv[4], v, strtoull(argv[5], NULL, 10)))
				run_fail(r, "%s is %lu", argv[3], v);
			return;
		}
	}
	run_fail(r, "object %s %s?", argv[1], argv[3]);
}

static void verb_usage(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct http_usage u;
	struct {
		const char *name;
		uint64_t v;
	} rows[] = {{"down", 0}, {"up", 0}, {"up_idle", 0}, {"held", 0}, {"held_high", 0},
		{"head_buffers", 0}, {"mbufs", rte_mempool_in_use_count(r->w.gw_pool)},
		{"charged", 0}, {"parked", 0}};
	struct tcp_usage tcp;

	world_settle(&r->w);
	http_usage(r->w.http, &u);
	tcp_usage(r->w.gw, &tcp);
	rows[7].v = tcp.charged_bytes;
	rows[8].v = tcp.parked;
	rows[0].v = u.down, rows[1].v = u.up, rows[2].v = u.up_idle, rows[3].v = u.held_bytes;
	rows[4].v = u.held_bytes_high, rows[5].v = u.head_buffers;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(argv[1], rows[i].name) == 0) {
			if (!compare(argv[2], rows[i].v, strtoull(argv[3], NULL, 10)))
				run_fail(r, "%s is %lu", argv[1], rows[i].v);
			return;
		}
	run_fail(r, "usage %s?", argv[1]);
}

/* log KEY VALUE ...: the next access-log line holds these; "log none": there is none. */
static void verb_log(struct run *r, int argc, char **argv, const struct pattern *t)
{
	const struct access_record *rec = access_ring_peek(r->w.log);
	struct access_names names = {0};
	size_t n;

	if (rec == NULL) {
		if (strcmp(argv[1], "none") != 0)
			run_fail(r, "the access log is empty");
		return;
	}
	n = access_log_format(rec, &names, 0, r->log);
	r->log[n - 1] = 0;
	access_ring_pop(r->w.log);
	if (argc % 2 == 0)
		run_fail(r, "there is a line: %s", r->log);
	for (int i = 1; i + 1 < argc; i += 2) {
		char quoted[256], plain[256], last[256];

		snprintf(quoted, sizeof(quoted), "\"%s\":\"%s\"", argv[i], argv[i + 1]);
		snprintf(plain, sizeof(plain), "\"%s\":%s,", argv[i], argv[i + 1]);
		snprintf(last, sizeof(last), "\"%s\":%s}", argv[i], argv[i + 1]);
		if (strstr(r->log, quoted) == NULL && strstr(r->log, plain) == NULL &&
			strstr(r->log, last) == NULL)
			run_fail(r, "%s is not %s in %s", argv[i], argv[i + 1], r->log);
	}
}

static void verb_apply(struct run *r, int argc, char **argv, const struct pattern *t)
{
	config_apply(r);
	world_settle(&r->w);
}

/* What follows happens at one moment: nobody runs until "thaw". */
static void verb_freeze(struct run *r, int argc, char **argv, const struct pattern *t)
{
	r->w.frozen = true;
}

static void verb_thaw(struct run *r, int argc, char **argv, const struct pattern *t)
{
	r->w.frozen = false;
	world_settle(&r->w);
}

static void verb_date(struct run *r, int argc, char **argv, const struct pattern *t)
{
	http_set_date(r->w.http, strtoull(argv[1], NULL, 10));
}

static void verb_draining(struct run *r, int argc, char **argv, const struct pattern *t)
{
	http_set_draining(r->w.http, strcmp(argv[1], "on") == 0);
}

/* Leaves only so many mbufs in the gateway's pool. */
static void verb_mbufs(struct run *r, int argc, char **argv, const struct pattern *t)
{
	world_starve(&r->w, strcmp(argv[1], "all") == 0 ? UINT32_MAX : (uint32_t)atoi(argv[1]));
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
	{"endpoint", 3, false, false, verb_endpoint},
	{"wait", 2, false, false, verb_wait},
	{"counter", 4, false, false, verb_counter},
	{"object", 6, false, false, verb_object},
	{"usage", 4, false, false, verb_usage},
	{"log", 2, false, false, verb_log},
	{"apply", 1, false, false, verb_apply},
	{"draining", 2, false, false, verb_draining},
	{"freeze", 1, false, false, verb_freeze},
	{"thaw", 1, false, false, verb_thaw},
	{"listen", 1, false, false, verb_listen},
	{"mbufs", 2, false, false, verb_mbufs},
	{"date", 2, false, false, verb_date},
};

const struct verb *verb_of(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}
