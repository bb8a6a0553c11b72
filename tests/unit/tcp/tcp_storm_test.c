// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_storm_test.c: anything a peer can send, at any moment, in seeded storms.
 *
 * On the floor of the page runner: peers open connections or are connected to, then send segments
 * whose flags, numbers, lengths, windows and options lie around what the stack expects or anywhere,
 * while the application writes, reads, closes and aborts, ICMP errors come in and the clock leaps.
 * Every segment that the stack sends passes the checks of pkt_wire.c, every byte that is read is the
 * one that was sent, and at the end nothing is left. A failing seed is printed.
 */
#include "tests/unit/tcp/tcp_test.h"

#include <stdlib.h>

#include <rte_mempool.h>

#include "dataplane/port/port.h"
#include "tests/tools/pkt/pkt.h"

#define SEEDS 400u
#define STEPS 300u

struct storm {
	struct page page;
	struct rng rng;
	unsigned peers; /* opened so far */
	bool reopens;	/* SYN cookies: an ACK alone can open */
	struct {
		uint32_t rcv, una, nxt; /* what the stack said last, what it sent, relative */
		bool over;		/* closed by the application */
	} know[PKT_PEERS];
};

static struct storm storm;
static struct rte_mempool *pool;

static uint32_t below(struct storm *s, uint32_t n)
{
	return (uint32_t)rng_below(&s->rng, n);
}

static bool one_in(struct storm *s, uint32_t n)
{
	return below(s, n) == 0;
}

/* Near <around>, mostly. */
static uint32_t near(struct storm *s, uint32_t around)
{
	switch (below(s, 12)) {
	case 0:
		return around + below(s, 4000) - 2000;
	case 1:
		return around + below(s, 4) - 2;
	case 2:
		return around + below(s, 200000) - 100000;
	case 3:
		return one_in(s, 4) ? (uint32_t)rng_u64(&s->rng) : around + 1460;
	default:
		return around;
	}
}

/* Reads all that was sent, checks it, and keeps what a peer would know. */
static void listen_to_stack(struct storm *s)
{
	struct page *g = &s->page;

	while (g->pending_count > 0 && !g->failed) {
		struct captured *c = g->pending[0];
		unsigned i = c->peer;
		struct seg seg;

		if (!wire_read(g, c, &seg))
			return;
		if (seg.flags & F_SYN)
			g->peer[i].local_port = seg.src_port;
		if (seg.flags & F_ACK)
			s->know[i].rcv = seg.ack;
		if (!(seg.flags & F_RST) && (int32_t)(seg.seq + seg.len - s->know[i].nxt) > 0)
			s->know[i].nxt = seg.seq + seg.len + ((seg.flags & (F_FIN | F_SYN)) != 0);
		page_drop(g, c);
	}
}

static void inject(struct storm *s, struct seg *seg)
{
	wire_inject(&s->page, seg);
	listen_to_stack(s);
}

/* Options as a text that seg_parse() reads; SYNs of one peer always carry the same. */
static void options_add(struct storm *s, char *text, size_t size, unsigned i, bool syn)
{
	uint32_t nxt = s->know[i].nxt;
	int n = (int)strlen(text);

	if (syn)
		snprintf(text + n, size - (size_t)n, " <mss %u%s%s%s>", 500 + i % 3 * 480,
			i & 1 ? ",sackOK" : "", i & 2 ? ",TS val 1000 ecr 0" : "",
			i & 4 ? ",wscale 3" : "");
	else if (i & 2)
		snprintf(text + n, size - (size_t)n, " <TS val %u ecr last%s>",
			1000 + (uint32_t)(s->page.now_us - s->page.start_us) / 1000 -
				below(s, 2) * below(s, 50),
			one_in(s, 40) ? ",raw 0505" : "");
	else if (one_in(s, 3))
		snprintf(text + n, size - (size_t)n, " <sack %d:%d %d:%d>",
			(int)near(s, nxt - 3000), (int)near(s, nxt), (int)near(s, nxt - 500),
			(int)near(s, nxt));
	else if (one_in(s, 20))
		snprintf(text + n, size - (size_t)n, " <raw %02x%02x%02x>", below(s, 9),
			below(s, 12), below(s, 256));
}

static void send_anything(struct storm *s, unsigned i)
{
	static const char *const flags[] = {".", "P.", ".", "P.", "F.", "FP.", "R", "R.", "S", "S.",
		"-", "U.", "F", "SF", "SR.", "FSRPU."};
	const char *f = flags[below(s, one_in(s, 6) ? RTE_DIM(flags) : 4)];
	uint32_t len = one_in(s, 2) ? 0 : below(s, one_in(s, 8) ? 6000 : 1461);
	uint32_t seq = near(s, s->know[i].rcv);
	bool syn = strchr(f, 'S') != NULL;
	uint32_t ack = near(s, one_in(s, 3) ? s->know[i].una : s->know[i].nxt);
	char text[256];
	struct seg seg;

	if (syn && s->know[i].over)
		return;

	if (strchr(f, 'R') != NULL && !one_in(s, 8))
		seq++; /* else every life is short */
	if (syn && !(s->page.peer[i].events & TCP_EV_CONNECTED))
		seq = 0; /* a peer has one initial sequence number */
	snprintf(text, sizeof(text), "%s %d:%d(%u) ack %d win %u", f, (int)seq, (int)seq + (int)len,
		len, (int)ack, one_in(s, 5) ? below(s, 3) * below(s, 700) : 65535);
	options_add(s, text, sizeof(text), i, syn);
	s->page.p = &s->page.peer[i];
	if (one_in(s, 30))
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " each %u",
			1 + below(s, 300));
	if (!seg_parse(&s->page, text, true, &seg))
		return;
	if (ack - s->know[i].una <= s->know[i].nxt - s->know[i].una)
		s->know[i].una = ack;
	if (len / seg.each > 40)
		seg.each = 1460;
	inject(s, &seg);
}

static void handshake(struct storm *s)
{
	unsigned i = s->peers;
	struct page *g = &s->page;
	char text[256] = "S 0:0(0) win 65535", words[] = "connect";
	char *argv[] = {(char[]){"app"}, words};
	struct seg seg;

	if (i == PKT_PEERS)
		return;
	s->peers++;
	g->p = &g->peer[i];
	s->know[i].rcv = 1;
	s->know[i].nxt = 1;
	if (i % 4 == 3) {
		app_line(g, 2, argv);
		listen_to_stack(s);
		if (g->p->c == NULL)
			return;
		snprintf(text, sizeof(text), "S. 0:0(0) ack 1 win 65535");
	} else {
		g->p->port = (uint16_t)(40000 + i);
	}
	options_add(s, text, sizeof(text), i, true);
	if (one_in(s, 8) || !seg_parse(g, text, true, &seg))
		return;
	inject(s, &seg);
	snprintf(text, sizeof(text), ". 1:1(0) ack 1 win %u", one_in(s, 6) ? 0 : 8192);
	if (i & 2)
		snprintf(text + strlen(text), 100, " <TS val 1000 ecr last>");
	if (i % 4 != 3 && !one_in(s, 8) && seg_parse(g, text, true, &seg))
		inject(s, &seg);
}

static void application(struct storm *s, unsigned i)
{
	static const char *const verbs[] = {"write", "write", "read", "read", "credit", "budget",
		"shutdown", "close", "abort"};
	struct peer *p = &s->page.peer[i];
	bool dead = (p->events & TCP_EV_CLOSED) != 0;
	const char *verb = dead ? "close" : verbs[below(s, one_in(s, 8) ? RTE_DIM(verbs) : 6)];
	char number[16] = "all", name[16];
	char *argv[] = {(char[]){"app"}, name, number};

	if (p->c == NULL || (verb[0] == 'w' && tcp_unacked(p->c) > 60000))
		return;
	if (verb[0] == 'w' || verb[0] == 'b')
		snprintf(number, sizeof(number), "%u", 1 + below(s, one_in(s, 3) ? 20000 : 2000));
	snprintf(name, sizeof(name), "%s", verb);
	s->page.p = p;
	app_line(&s->page, 3, argv);
	s->know[i].over = p->c == NULL;
	listen_to_stack(s);
}

static void icmp(struct storm *s, unsigned i)
{
	static const char *const kinds[] = {"too_big", "hard", "soft"};
	char kind[16], seq[16], mtu[16];
	char *argv[] = {(char[]){"icmp"}, kind, (char[]){"seq"}, seq, (char[]){"mtu"}, mtu};

	snprintf(kind, sizeof(kind), "%s", kinds[below(s, 3)]);
	snprintf(seq, sizeof(seq), "%d", (int)near(s, s->know[i].una));
	snprintf(mtu, sizeof(mtu), "%u", below(s, 1600));
	s->page.p = &s->page.peer[i];
	icmp_line(&s->page, 6, argv);
	listen_to_stack(s);
}

static void leap(struct storm *s)
{
	uint32_t ms = one_in(s, 20) ? below(s, 30000) : below(s, 60);

	page_clock_run(&s->page, s->page.now_us + ms * 1000ull, false);
	listen_to_stack(s);
}

/* Segments for it could only open another connection of the same 4-tuple: another story. */
static bool is_dead(const struct storm *s, unsigned i)
{
	return (s->page.peer[i].events & TCP_EV_CLOSED) != 0 || (s->know[i].over && s->reopens);
}

static void step(struct storm *s)
{
	unsigned what = below(s, 20), i;

	if (s->peers == 0 || what == 0) {
		handshake(s);
		return;
	}
	i = s->peers - 1 - below(s, RTE_MIN(s->peers, 6u));
	if (what < 12 && !is_dead(s, i))
		send_anything(s, i);
	else if (what < 17)
		application(s, i);
	else if (what < 18)
		icmp(s, i);
	else
		leap(s);
}

static void configure(struct storm *s)
{
	struct tcp_config *cfg = &s->page.cfg;

	cfg->sack = !one_in(s, 4);
	cfg->timestamps = !one_in(s, 4);
	cfg->window_scaling = !one_in(s, 4);
	cfg->syn_cookies_always = one_in(s, 5);
	cfg->syn_backlog = one_in(s, 3) ? 1 : 64;
	s->reopens = cfg->syn_cookies_always || cfg->syn_backlog == 1;
	cfg->conns_max = one_in(s, 3) ? 4 : 64;
	cfg->timewait_max = one_in(s, 3) ? 1 : 16;
	cfg->conns_per_source_max = one_in(s, 4) ? 5 : 0;
	cfg->rcv_budget = 4096 + below(s, 65536);
	cfg->cc = (uint8_t)below(s, 2);
	cfg->retries = 1 + below(s, 8);
	cfg->linger_us = below(s, 2000000);
	cfg->fin_wait_2_us = 1000 + below(s, 10000000);
	cfg->keepalive_us = one_in(s, 3) ? 0 : 1 + below(s, 20000000);
}

static void no_segment_breaks_anything(void **state)
{
	struct storm *s = &storm;

	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		memset(s, 0, sizeof(*s));
		rng_seed(&s->rng, seed);
		page_init(&s->page, "seed", seed % 2 == 0, pool);
		s->page.line = (int)seed;
		configure(s);
		page_start(&s->page);
		for (unsigned n = 0; n < STEPS && !s->page.failed; n++)
			step(s);
		if (!page_end(&s->page))
			fail_msg("%s", s->page.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_segment_breaks_anything),
	};
	int rc;

	test_eal_init();
	pool = port_pool_new("storm", 8191, 1500, NULL);
	bug_on(pool == NULL);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	port_pool_free(pool);
	rte_eal_cleanup();
	return rc;
}
