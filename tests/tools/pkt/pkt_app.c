// SPDX-License-Identifier: Apache-2.0
/*
 * pkt_app.c: the application above TCP, and what a page may ask of the stack.
 */
#include "tests/tools/pkt/pkt.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

/* The words of pages are the names of tcp.h, whatever text the stack prints for them. */
static const char *const states[TCP_STATE_COUNT] = {"LISTEN", "SYN_SENT", "SYN_RECEIVED",
	"ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT", "CLOSING", "LAST_ACK", "TIME_WAIT",
	"CLOSED"};
static const char *const reasons[TCP_REASON_COUNT] = {"NONE", "REFUSED", "RESET", "TIMEOUT",
	"KEEPALIVE", "UNREACHABLE", "ABORTED", "NO_PORT", "NO_CONN", "NO_SOURCE"};
static const char *const events[] = {"connected", "readable", "sent", "eof", "closed"};

#define CFG(f) \
	{ \
#f, offsetof(struct tcp_config, f), sizeof(((struct tcp_config *)0)->f) \
	}
static const struct {
	const char *name;
	size_t at, size;
} config_fields[] = {CFG(conns_max), CFG(timewait_max), CFG(syn_backlog), CFG(conns_per_source_max),
	CFG(rcv_budget), CFG(rto_min_us), CFG(rto_max_us), CFG(rto_initial_us), CFG(syn_retries),
	CFG(retries), CFG(delack_us), CFG(timewait_us), CFG(fin_wait_2_us), CFG(linger_us),
	CFG(keepalive_us), CFG(keepalive_interval_us), CFG(keepalive_probes), CFG(mss_default),
	CFG(sack), CFG(timestamps), CFG(window_scaling), CFG(syn_cookies_always), CFG(cc)};

/* config FIELD VALUE|on|off */
void config_line(struct page *g, int argc, char **argv)
{
	uint64_t v = 0;

	if (argc != 3 ||
		(!parse_u64(argv[2], &v) && strcmp(argv[2], "on") && strcmp(argv[2], "off"))) {
		page_fail(g, "config FIELD NUMBER|on|off");
		return;
	}
	if (strcmp(argv[2], "on") == 0)
		v = 1;
	for (size_t i = 0; i < RTE_DIM(config_fields); i++)
		if (strcmp(argv[1], config_fields[i].name) == 0) {
			memcpy((char *)&g->cfg + config_fields[i].at, &v, config_fields[i].size);
			return;
		}
	if (strcmp(argv[1], "listen") == 0)
		g->listen = v != 0;
	else if (strcmp(argv[1], "mtu") == 0)
		g->mtu = (uint16_t)v;
	else if (strcmp(argv[1], "ports") == 0)
		g->ports = (uint16_t)v;
	else if (strcmp(argv[1], "tolerance_us") == 0)
		g->tolerance_us = v;
	else if (strcmp(argv[1], "peer_isn") == 0)
		g->peer_isn = (uint32_t)v;
	else
		page_fail(g, "no such setting: %s", argv[1]);
}

/* Hands out the news of the ready list. */
void app_ready(struct page *g)
{
	uint32_t ev;

	for (struct tcp_conn *c; (c = tcp_ready_pop(g->t, &ev)) != NULL;) {
		const struct tcp_flow *f = tcp_conn_flow(c);
		struct peer *p = tcp_user(c);

		for (unsigned i = PKT_PEERS; p == NULL && i-- > 0;)
			if (g->peer[i].port == f->remote_port && g->peer[i].c == NULL &&
				ip_eq(&g->peer[i].addr, &f->remote))
				p = &g->peer[i];
		if (p == NULL || (p->c != NULL && p->c != c)) {
			page_fail(g, "news of a connection that no line opened");
			return;
		}
		p->c = c;
		tcp_set_user(c, p);
		p->events |= ev;
		p->released += tcp_released_take(c);
	}
}

static bool always(const struct tcp_flow *f, void *ctx)
{
	return true;
}

void app_park(struct page *g)
{
	uint32_t cursor = 0;

	for (unsigned i = 0; i < PKT_PEERS; i++) {
		struct peer *p = &g->peer[i];
		struct tcp_note note = {{i, ~(uint64_t)i}};

		if (p->c != NULL && tcp_park(g->t, p->c, note, g->now_us + 1000000))
			p->c = NULL;
	}
	tcp_parked_sweep(g->t, &cursor, UINT32_MAX, always, NULL);
	for (struct tcp_conn *c; (c = tcp_ready_pop(g->t, &(uint32_t){0})) != NULL;) {
		struct tcp_note note = tcp_note_of(c);

		bug_on(note.word[0] >= PKT_PEERS || note.word[1] != ~note.word[0]);
		g->peer[note.word[0]].c = c;
		tcp_set_user(c, &g->peer[note.word[0]]);
	}
}

static void app_connect(struct page *g, struct peer *p)
{
	if (!p->active)
		p->port = (uint16_t)(8000 + (p - g->peer));
	p->active = true;
	p->local_port = 0;
	p->refused = tcp_connect(g->t, &p->addr, p->port, p, g->now_us, &p->c);
	if (p->refused == TCP_REASON_NONE)
		p->local_port = tcp_conn_flow(p->c)->local_port;
	else
		p->c = NULL;
}

static void app_write(struct page *g, struct peer *p, uint64_t n)
{
	struct mbufq q;

	mbufq_init(&q);
	for (; n > 0; n--) {
		uint8_t b = wire_byte(p->written++, false);

		bug_on(!mbufq_append(&q, &b, 1, g->pool));
	}
	for (struct rte_mbuf *m = q.head; m != NULL; m = pkt_of(m)->next)
		pkt_of(m)->charge = m->data_len;
	tcp_write(g->t, p->c, &q);
}

static void app_read(struct page *g, struct peer *p, uint64_t n, bool all, bool alt)
{
	struct mbufq q;
	uint32_t got;
	uint8_t b;

	mbufq_init(&q);
	got = tcp_read(g->t, p->c, &q, all ? UINT32_MAX : (uint32_t)n);
	if ((!all && got != n) || got != q.bytes)
		page_fail(g, "expected to read %lu bytes, got %u in %u", n, got, q.bytes);
	for (uint32_t i = 0; i < got && !g->failed; i++) {
		mbufq_copy(&q, i, 1, &b);
		if (b != wire_byte(p->read + i, alt))
			page_fail(g, "byte %lu of the stream is not what was sent", p->read + i);
	}
	p->read += got;
	mbufq_move(&p->held, &q);
}

static void app_credit(struct page *g, struct peer *p)
{
	tcp_credit(g->t, p->c, mbufq_free(&p->held));
}

static void close_or_abort(struct page *g, struct peer *p, bool orderly)
{
	app_credit(g, p);
	if (orderly)
		tcp_close(g->t, p->c, g->now_us);
	else
		tcp_abort(g->t, p->c, g->now_us);
	p->c = NULL;
}

struct find {
	const struct peer *p;
	bool found;
	struct tcp_conn_info info;
};

static void find_conn(const struct tcp_conn_info *info, void *ctx)
{
	struct find *f = ctx;
	const struct tcp_flow *flow = &info->flow;

	if (f->found || flow->remote_port != f->p->port || !ip_eq(&flow->remote, &f->p->addr))
		return;
	f->found = true;
	f->info = *info;
}

/* Also of connections that the application has closed: those only the stack knows. */
static struct find look(struct page *g)
{
	struct find f = {.p = g->p};
	uint32_t cursor = 0;

	if (g->p->c != NULL) {
		f.found = true;
		tcp_conn_info(g->p->c, g->now_us, &f.info);
	} else {
		tcp_foreach(g->t, &cursor, UINT32_MAX, find_conn, &f);
	}
	return f;
}

static enum tcp_state state_now(struct page *g)
{
	struct find f = look(g);
	struct tcp_usage u;

	if (f.found)
		return f.info.state;
	tcp_usage(g->t, &u);
	return u.timewait > 0 ? TCP_TIME_WAIT : u.half_open > 0 ? TCP_SYN_RECEIVED : TCP_CLOSED;
}

#define INFO(f) \
	{ \
#f, offsetof(struct tcp_conn_info, f), sizeof(((struct tcp_conn_info *)0)->f) \
	}
static const struct {
	const char *name;
	size_t at, size;
} info_fields[] = {INFO(cwnd), INFO(ssthresh), INFO(srtt_us), INFO(rttvar_us), INFO(rto_us),
	INFO(snd_wnd), INFO(rcv_wnd), INFO(unacked), INFO(unread), INFO(charged), INFO(bytes_in),
	INFO(bytes_out), INFO(retransmits), INFO(retransmits_spurious), INFO(mss), INFO(active)};

/* The number called <name>; false when there is none. */
static bool number_now(struct page *g, const char *name, uint64_t *ret)
{
	struct find f = look(g);

	*ret = 0;
	if (strcmp(name, "released") == 0) {
		*ret = g->p->released;
		return true;
	}
	for (size_t i = 0; f.found && i < RTE_DIM(info_fields); i++)
		if (strcmp(name, info_fields[i].name) == 0) {
			memcpy(ret, (char *)&f.info + info_fields[i].at, info_fields[i].size);
			return true;
		}
	return false;
}

static void expect_number(struct page *g, const char *name, const char *op, const char *value,
	uint64_t got)
{
	uint64_t want;
	bool ok;

	if (!parse_u64(value, &want) || !compare(op, got, want, &ok))
		page_fail(g, "%s ==|!=|>=|<= NUMBER", name);
	else if (!ok)
		page_fail(g, "expected %s %s %lu, got %lu", name, op, want, got);
}

static void expect_event(struct page *g, const char *name, bool wanted)
{
	for (unsigned i = 0; i < RTE_DIM(events); i++) {
		if (strcmp(name, events[i]) != 0)
			continue;
		if (((g->p->events >> i) & 1) != wanted)
			page_fail(g, "expected %sevent %s", wanted ? "" : "no ", name);
		g->p->events &= ~(1u << i);
		return;
	}
	page_fail(g, "no such event: %s", name);
}

static void app_expect(struct page *g, int argc, char **argv)
{
	struct peer *p = g->p;
	const char *got;
	uint64_t n;

	if (argc == 2 && (!strcmp(argv[0], "state") || !strcmp(argv[0], "reason"))) {
		if (argv[0][0] == 's')
			got = states[state_now(g)];
		else
			got = reasons[p->c != NULL ? tcp_close_reason(p->c) : p->refused];
		if (strcmp(got, argv[1]) != 0)
			page_fail(g, "expected %s %s, got %s", argv[0], argv[1], got);
	} else if (argc == 1) {
		expect_event(g, argv[0], true);
	} else if (argc == 2 && strcmp(argv[0], "no") == 0) {
		expect_event(g, argv[1], false);
	} else if (argc == 3 && number_now(g, argv[0], &n)) {
		expect_number(g, argv[0], argv[1], argv[2], n);
	} else {
		page_fail(g, "expect what? (or no such connection)");
	}
}

/* Verbs that need no connection; false: not one of them. */
static bool app_stack(struct page *g, const char *verb, const char *arg)
{
	bool on = arg != NULL && strcmp(arg, "on") == 0;

	if (strcmp(verb, "connect") == 0) {
		app_connect(g, g->p);
	} else if (strcmp(verb, "listen") == 0) {
		g->listeners->count = on;
		tcp_set_listeners(g->t, g->listeners);
	} else if (strcmp(verb, "drain") == 0) {
		tcp_set_draining(g->t, on);
	} else {
		return false;
	}
	return true;
}

void app_line(struct page *g, int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "", *arg = argc > 2 ? argv[2] : NULL;
	struct peer *p = g->p;
	uint64_t n = 0;
	bool number = arg != NULL && parse_u64(arg, &n);

	if (strcmp(verb, "expect") == 0) {
		app_expect(g, argc - 2, argv + 2);
		return;
	}
	if (app_stack(g, verb, arg)) {
		page_turn(g, NULL);
		return;
	}
	if (p->c == NULL) {
		page_fail(g, "app %s: there is no connection", verb);
		return;
	}
	if (strcmp(verb, "write") == 0 && number)
		app_write(g, p, n);
	else if (strcmp(verb, "read") == 0 && (number || (arg != NULL && !strcmp(arg, "all"))))
		app_read(g, p, n, !number, argc > 3 && strcmp(argv[3], "alt") == 0);
	else if (strcmp(verb, "credit") == 0)
		app_credit(g, p);
	else if (strcmp(verb, "budget") == 0 && number)
		tcp_set_budget(g->t, p->c, (uint32_t)n);
	else if (strcmp(verb, "shutdown") == 0)
		tcp_shutdown(g->t, p->c);
	else if (strcmp(verb, "close") == 0 || strcmp(verb, "abort") == 0)
		close_or_abort(g, p, verb[0] == 'c');
	else
		page_fail(g, "app %s: no such verb, or no such argument", verb);
	page_turn(g, NULL);
}

/* counter NAME OP NUMBER */
void counter_line(struct page *g, int argc, char **argv)
{
	unsigned count = 0;
	const uint64_t *c = tcp_counters(g->t, &count);

	for (unsigned i = 0; argc == 4 && i < count; i++)
		if (strcmp(tcp_counter_name(i), argv[1]) == 0) {
			expect_number(g, argv[1], argv[2], argv[3], c[i]);
			return;
		}
	page_fail(g, "counter NAME ==|!=|>=|<= NUMBER (or no such counter)");
}

/* usage conns|half_open|timewait|charged OP NUMBER */
void usage_line(struct page *g, int argc, char **argv)
{
	struct tcp_usage u;

	tcp_usage(g->t, &u);
	if (argc != 4)
		page_fail(g, "usage WHAT ==|!=|>=|<= NUMBER");
	else if (strcmp(argv[1], "conns") == 0)
		expect_number(g, argv[1], argv[2], argv[3], u.conns);
	else if (strcmp(argv[1], "half_open") == 0)
		expect_number(g, argv[1], argv[2], argv[3], u.half_open);
	else if (strcmp(argv[1], "timewait") == 0)
		expect_number(g, argv[1], argv[2], argv[3], u.timewait);
	else if (strcmp(argv[1], "charged") == 0)
		expect_number(g, argv[1], argv[2], argv[3], u.charged_bytes);
	else
		page_fail(g, "no such usage: %s", argv[1]);
}

/* icmp too_big|hard|soft seq N [mtu N] */
void icmp_line(struct page *g, int argc, char **argv)
{
	struct peer *p = g->p;
	struct tcp_icmp_error e = {.flow = {g->local, p->addr, p->local_port, p->port}};

	for (int i = 2; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "seq") == 0)
			e.seq = p->iss + (uint32_t)strtoll(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "mtu") == 0)
			e.mtu = (uint32_t)strtoul(argv[i + 1], NULL, 0);
	}
	if (argc < 4 ||
		(strcmp(argv[1], "too_big") && strcmp(argv[1], "hard") &&
			strcmp(argv[1], "soft"))) {
		page_fail(g, "icmp too_big|hard|soft seq N [mtu N]");
		return;
	}
	e.too_big = argv[1][0] == 't';
	e.hard = argv[1][0] == 'h';
	if (e.mtu != 0 && !g->v4)
		e.mtu += 20; /* pages speak of IPv4's MTU; the MSS is the same */
	tcp_icmp_input(g->t, &e, g->now_us);
	page_turn(g, NULL);
}
