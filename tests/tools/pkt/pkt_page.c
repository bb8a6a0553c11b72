// SPDX-License-Identifier: Apache-2.0
/*
 * pkt_page.c: the virtual clock and the lines of a page.
 *
 * Times are relative to the line before; a line that expects a segment moves that mark to the time
 * at which the segment really left. Whatever leaves must be expected before the next line that
 * acts: a segment too many is as wrong as one too few.
 */
#include "tests/tools/pkt/pkt.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/timer_wheel.h"

#define START_US 1000000000ull
#define TURNS_MAX 200000u     /* per wait; a clock that does not get on is our bug */
#define REST_US 2000000000ull /* after this long everything must be gone */

void page_fail(struct page *g, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (g->failed)
		return; /* the first one is the cause */
	g->failed = true;
	n = snprintf(g->msg, sizeof(g->msg), "%s:%d: IPv%d, +%.6f: ", g->file, g->line,
		g->v4 ? 4 : 6, (double)(g->now_us - g->start_us) / 1e6);
	va_start(ap, fmt);
	vsnprintf(g->msg + n, sizeof(g->msg) - (size_t)n, fmt, ap);
	va_end(ap);
}

void page_turn(struct page *g, struct mbufq *in)
{
	if (in != NULL)
		tcp_input(g->t, in, g->now_us);
	tcp_timers_run(g->t, g->now_us, 256);
	app_ready(g);
	tcp_output(g->t, g->now_us);
	app_ready(g);
	if (g->park)
		app_park(g);
}

/* Pending segment of the present peer. */
static struct captured *pending_here(struct page *g)
{
	for (unsigned i = 0; i < g->pending_count; i++)
		if (g->pending[i]->peer == (unsigned)(g->p - g->peer))
			return g->pending[i];
	return NULL;
}

void page_drop(struct page *g, struct captured *c)
{
	unsigned i = 0;

	while (g->pending[i] != c)
		i++;
	g->pending_count--;
	memmove(&g->pending[i], &g->pending[i + 1], (g->pending_count - i) * sizeof(c));
	wire_forget(c);
}

void page_clock_run(struct page *g, uint64_t until_us, bool stop_at_segment)
{
	for (unsigned turns = 0; g->now_us < until_us && !g->failed; turns++) {
		uint64_t next = tcp_next_us(g->t);

		if (stop_at_segment && pending_here(g) != NULL)
			return;
		if (next <= g->now_us)
			next = g->now_us + TIMER_TICK_US;
		g->now_us = RTE_MIN(next, until_us);
		page_turn(g, NULL);
		if (turns > TURNS_MAX)
			page_fail(g, "the stack always wants to run at once (tcp_next_us)");
	}
}

static void nothing_pending(struct page *g)
{
	char text[512];
	struct seg s;

	if (g->pending_count == 0 || g->failed)
		return;
	if (wire_read(g, g->pending[0], &s))
		page_fail(g, "unexpected segment of peer %u at +%.6f: %s", g->pending[0]->peer,
			(double)(g->pending[0]->at_us - g->start_us) / 1e6,
			seg_format(&s, text, sizeof(text)));
}

static const char *opts_differ(const struct seg *want, const struct seg *got)
{
	if (want->opts_more ? (got->opts & want->opts) != want->opts : got->opts != want->opts)
		return "options";
	if ((want->opts & OPT_MSS) && want->mss != got->mss)
		return "mss";
	if ((want->opts & OPT_WSCALE) && want->wscale != got->wscale)
		return "wscale";
	if ((want->opts & OPT_TS) &&
		((!want->tsval_any && want->tsval != got->tsval) ||
			(!want->tsecr_any && want->tsecr != got->tsecr)))
		return "timestamps";
	if (want->sacks != got->sacks ||
		memcmp(want->sack, got->sack, sizeof(want->sack[0]) * want->sacks) != 0)
		return "SACK blocks";
	return NULL;
}

/* NULL: as expected. <got> may be a piece of a longer expected segment: its length is not asked. */
static const char *seg_differs(const struct seg *want, const struct seg *got, bool last)
{
	uint8_t must = want->flags;

	if (!last)
		must &= (uint8_t) ~(F_FIN | F_PSH);
	/* PSH is asked for where the page writes it (RFC 9293 3.9.1.2: on the last buffered one). */
	if ((got->flags & ~F_PSH) != (must & ~F_PSH) || (must & ~got->flags & F_PSH))
		return "flags";
	if (got->seq != want->seq)
		return "sequence number";
	if ((must & F_ACK) && !want->ack_any && got->ack != want->ack)
		return "acknowledgement";
	if (want->win_op == '='		      ? got->win != want->win
			: want->win_op == '>' ? got->win < want->win
					      : want->win_op == '<' && got->win > want->win)
		return "window";
	return want->opts_given ? opts_differ(want, got) : NULL;
}

static bool port_check(struct page *g, const struct seg *want, const struct seg *got)
{
	struct peer *p = g->p;
	bool same = got->src_port == p->local_port;

	if (p->active && (got->flags & F_SYN))
		p->local_port = got->src_port;
	else if (!same)
		page_fail(g, "from port %u, the connection has %u", got->src_port, p->local_port);
	if (want->newport && same)
		page_fail(g, "expected another source port");
	return !g->failed;
}

/* The next segment of this peer, no later than <until_us>; NULL: page_fail() was called. */
static struct captured *segment_next(struct page *g, const struct seg *want, uint64_t want_us,
	struct seg *ret)
{
	char text[512];
	struct captured *c;

	page_clock_run(g, want_us + g->tolerance_us, true);
	c = pending_here(g);
	if (g->failed)
		return NULL;
	if (c == NULL) {
		page_fail(g, "expected %s\n  got nothing by then",
			seg_format(want, text, sizeof(text)));
		return NULL;
	}
	return wire_read(g, c, ret) && port_check(g, want, ret) ? c : NULL;
}

/* One captured segment against what is left of <want>; returns its length in *ret_len. */
static bool segment_match(struct page *g, const struct seg *want, uint64_t want_us, uint32_t piece,
	uint32_t *ret_len)
{
	char a[512], b[512];
	struct captured *c;
	struct seg got;
	const char *why;

	do {
		c = segment_next(g, want, want_us, &got);
		if (c == NULL)
			return false;
		why = seg_differs(want, &got, got.len == want->len);
		if (why == NULL &&
			(got.len > want->len ||
				(got.len < want->len &&
					(got.len == 0 || (piece != 0 && got.len != piece)))))
			why = "length";
		if (why == NULL &&
			(c->at_us + g->tolerance_us < want_us ||
				c->at_us > want_us + g->tolerance_us))
			why = "time";
		if (why != NULL && want->until && got.len == 0 && got.flags == F_ACK) {
			page_drop(g, c);
			continue;
		}
		if (why != NULL) {
			page_fail(g, "%s differs\n  expected %s at +%.6f\n  got      %s at +%.6f",
				why, seg_format(want, a, sizeof(a)),
				(double)(want_us - g->start_us) / 1e6,
				seg_format(&got, b, sizeof(b)),
				(double)(c->at_us - g->start_us) / 1e6);
			return false;
		}
	} while (why != NULL);
	g->base_us = c->at_us;
	*ret_len = got.len;
	page_drop(g, c);
	return true;
}

/* A segment that may come now and need not. */
static void may_line(struct page *g, const struct seg *want, uint64_t want_us)
{
	struct captured *c;
	struct seg got;

	page_clock_run(g, want_us, false);
	g->base_us = want_us;
	c = pending_here(g);
	if (!g->failed && c != NULL && wire_read(g, c, &got) && got.len == want->len &&
		seg_differs(want, &got, true) == NULL)
		page_drop(g, c);
}

/* Any number of pure ACKs; what they acknowledge is for the lines that follow. */
static void acks_line(struct page *g, uint64_t want_us)
{
	struct captured *c;
	struct seg got;

	page_clock_run(g, want_us, false);
	g->base_us = want_us;
	while (!g->failed && (c = pending_here(g)) != NULL) {
		if (wire_read(g, c, &got) && (got.flags != F_ACK || got.len > 0))
			return;
		page_drop(g, c);
	}
}

/* A line longer than a segment is met by full-sized segments in order and a last one. */
static void expect_line(struct page *g, char *text, uint64_t want_us)
{
	struct seg want;
	uint64_t secs;
	uint32_t piece = 0, len;
	char num[32];

	if (sscanf(text, " (nothing for %31[0-9.])", num) == 1 && parse_seconds(num, &secs)) {
		nothing_pending(g);
		page_clock_run(g, want_us + secs, false);
		g->base_us = want_us + secs;
		nothing_pending(g);
		return;
	}
	if (strcmp(text + strspn(text, " "), "acks") == 0) {
		acks_line(g, want_us);
		return;
	}
	if (!seg_parse(g, text, false, &want))
		return;
	if (want.may) {
		may_line(g, &want, want_us);
		return;
	}
	do {
		if (!segment_match(g, &want, want_us, piece, &len))
			return;
		piece = len;
		want.seq += len;
		want.len -= len;
	} while (want.len > 0);
}

/* conn N [from HOST] [to PORT] [as M] [isn X]: which peer the next lines speak of. */
static void conn_line(struct page *g, int argc, char **argv)
{
	uint64_t n = 0, v = 0;
	struct peer *p;

	if (argc < 2 || argc % 2 != 0 || !parse_u64(argv[1], &n) || n >= PKT_PEERS) {
		page_fail(g, "conn NUMBER [from HOST] [to PORT] [as CONN] [isn NUMBER]");
		return;
	}
	p = g->p = &g->peer[n];
	if (p->port == 0)
		p->port = (uint16_t)(40000 + n);
	for (int i = 2; i < argc && parse_u64(argv[i + 1], &v); i += 2) {
		if (strcmp(argv[i], "from") == 0) {
			p->addr.b[g->v4 ? 15 : 7] = (uint8_t)v;
		} else if (strcmp(argv[i], "to") == 0) {
			p->local_port = (uint16_t)v;
		} else if (strcmp(argv[i], "isn") == 0) {
			p->irs += (uint32_t)v;
		} else if (strcmp(argv[i], "as") == 0 && v < PKT_PEERS) {
			p->before = &g->peer[v];
			p->addr = g->peer[v].addr;
			p->port = g->peer[v].port;
			p->local_port = g->peer[v].local_port;
			p->active = g->peer[v].active;
			p->irs = g->peer[v].irs;
		}
	}
}

static const struct {
	const char *name;
	bool acts; /* segments not expected so far are wrong */
	void (*fn)(struct page *g, int argc, char **argv);
} verbs[] = {{"app", true, app_line}, {"icmp", true, icmp_line}, {"conn", false, conn_line},
	{"counter", false, counter_line}, {"usage", false, usage_line}};

static void verb_line(struct page *g, char *text)
{
	char *argv[12], *save = NULL;
	int argc = 0;

	for (char *w = strtok_r(text, " \t", &save); w != NULL && argc < 12;
		w = strtok_r(NULL, " \t", &save))
		argv[argc++] = w;
	for (size_t i = 0; argc > 0 && i < RTE_DIM(verbs); i++) {
		if (strcmp(argv[0], verbs[i].name) != 0)
			continue;
		if (verbs[i].acts && !(argc > 1 && strcmp(argv[1], "expect") == 0))
			nothing_pending(g);
		if (!g->failed)
			verbs[i].fn(g, argc, argv);
		return;
	}
	page_fail(g, "no such line: %s", argc > 0 ? argv[0] : "");
}

/* Cuts comment, time and family off; NULL: nothing to do in this run. */
static char *line_open(struct page *g, char *line, uint64_t *ret_us)
{
	char *comment = strstr(line, "//"), *space;

	if (comment != NULL)
		*comment = '\0';
	line += strspn(line, " \t");
	*ret_us = 0;
	if (*line == '+') {
		space = line + strcspn(line, " \t");
		if (*space == '\0')
			return NULL;
		*space = '\0';
		if (!parse_seconds(line + 1, ret_us))
			page_fail(g, "not a time: %s", line);
		line = space + 1;
		line += strspn(line, " \t");
	}
	if (strncmp(line, "v4 ", 3) == 0 || strncmp(line, "v6 ", 3) == 0) {
		if ((line[1] == '4') != g->v4)
			return NULL;
		line += 3;
		line += strspn(line, " \t");
	}
	return *line == '\0' ? NULL : line;
}

static void run_line(struct page *g, char *line)
{
	uint64_t dt_us, want_us;
	struct seg s;

	line = line_open(g, line, &dt_us);
	if (line == NULL || strncmp(line, "config ", 7) == 0)
		return;
	for (size_t n = strlen(line); n > 0 && strchr(" \t", line[n - 1]) != NULL; n--)
		line[n - 1] = '\0';
	want_us = g->base_us + dt_us;
	if (*line == '>') {
		expect_line(g, line + 1, want_us);
		return;
	}
	page_clock_run(g, want_us, false);
	if (dt_us > 0)
		nothing_pending(g);
	g->base_us = want_us;
	if (*line != '<') {
		verb_line(g, line);
		return;
	}
	nothing_pending(g);
	if (!g->failed && seg_parse(g, line + 1, true, &s))
		wire_inject(g, &s);
}

static void configure(struct page *g, char *line)
{
	char *argv[4], *save = NULL;
	uint64_t dt_us;
	int argc = 0;

	line = line_open(g, line, &dt_us);
	if (line == NULL || strncmp(line, "config ", 7) != 0)
		return;
	for (char *w = strtok_r(line, " \t", &save); w != NULL && argc < 4;
		w = strtok_r(NULL, " \t", &save))
		argv[argc++] = w;
	config_line(g, argc, argv);
}

static void each_line(struct page *g, const char *text, void (*fn)(struct page *, char *))
{
	char line[512];

	for (g->line = 1; *text != '\0' && !g->failed; g->line++) {
		size_t len = strcspn(text, "\n");

		if (len >= sizeof(line)) {
			page_fail(g, "line too long");
			return;
		}
		memcpy(line, text, len);
		line[len] = '\0';
		text += len + (text[len] == '\n');
		fn(g, line);
	}
	g->line--;
}

static void stack_new(struct page *g)
{
	struct tcp_port_slice slice = {.first = 20000, .count = g->ports};

	g->listeners = calloc(1, sizeof(*g->listeners) + sizeof(struct tcp_listener));
	bug_on(g->listeners == NULL);
	g->listeners->count = g->listen;
	g->listeners->e[0] = (struct tcp_listener){g->local, PKT_LOCAL_PORT, 7};
	g->t = tcp_new(&g->cfg, NULL, g->pool, &g->rng, g->now_us);
	bug_on(g->t == NULL);
	tcp_set_listeners(g->t, g->listeners);
	tcp_set_sources(g->t, &g->local, 1);
	tcp_set_ports(g->t, &slice);
}

static void peers_init(struct page *g)
{
	ip_parse(str_of(g->v4 ? "192.0.2.1" : "2001:db8::1"), &g->local);
	for (unsigned i = 0; i < PKT_PEERS; i++) {
		struct peer *p = &g->peer[i];

		ip_parse(str_of(g->v4 ? "198.51.100.1" : "2001:db8:0:1::1"), &p->addr);
		p->local_port = PKT_LOCAL_PORT;
		p->irs = g->peer_isn;
		p->syn_in.opts = p->syn_out.opts = 0;
	}
	g->p = &g->peer[0];
	g->p->port = 40000;
}

/* Everything is let go of; when the last timer is over, nothing may be left. */
static void rest(struct page *g)
{
	uint64_t until = g->now_us + REST_US;
	struct tcp_usage u;

	for (unsigned i = 0; i < PKT_PEERS; i++) {
		struct peer *p = &g->peer[i];

		if (p->c != NULL) {
			tcp_credit(g->t, p->c, mbufq_free(&p->held));
			tcp_abort(g->t, p->c, g->now_us);
			p->c = NULL;
		}
	}
	do {
		uint64_t next = tcp_next_us(g->t);

		while (g->pending_count > 0)
			page_drop(g, g->pending[0]);
		g->now_us = RTE_MAX(next == TIMER_NEVER ? 0 : next, g->now_us + TIMER_TICK_US);
		page_turn(g, NULL);
		tcp_usage(g->t, &u);
	} while (!g->failed && (u.conns | u.half_open | u.timewait) != 0 && g->now_us < until);
	while (g->pending_count > 0)
		page_drop(g, g->pending[0]);
	if ((u.conns | u.half_open | u.timewait | u.charged_bytes) != 0)
		page_fail(g,
			"left behind: %u connections, %u half-open, %u TIME_WAIT, %u bytes charged",
			u.conns, u.half_open, u.timewait, u.charged_bytes);
}

void page_init(struct page *g, const char *file, bool v4, struct rte_mempool *pool)
{
	*g = (struct page){.file = file,
		.v4 = v4,
		.pool = pool,
		.listen = true,
		.mtu = 1500,
		.ports = 40000,
		.tolerance_us = 2000,
		.peer_isn = 0xfffffe00,
		.start_us = START_US,
		.base_us = START_US,
		.now_us = START_US,
		.resting = rte_mempool_avail_count(pool)};
	pkt_page = g;
	rng_seed(&g->rng, 1);
	tcp_config_default(&g->cfg);
	g->cfg.conns_max = 64;
	g->cfg.timewait_max = 64;
}

void page_start(struct page *g)
{
	peers_init(g);
	stack_new(g);
}

bool page_end(struct page *g)
{
	rest(g);
	tcp_free(g->t);
	free(g->listeners);
	if (rte_mempool_avail_count(g->pool) != g->resting)
		page_fail(g, "%u mbufs leaked", g->resting - rte_mempool_avail_count(g->pool));
	return !g->failed;
}

bool page_run(struct page *g, const char *file, char *text, bool v4, bool park, bool chain,
	struct rte_mempool *pool)
{
	page_init(g, file, v4, pool);
	g->park = park;
	g->chain = chain;
	each_line(g, text, configure);
	if (g->failed)
		return false;
	page_start(g);
	each_line(g, text, run_line);
	nothing_pending(g);
	return page_end(g);
}
