// SPDX-License-Identifier: Apache-2.0
/*
 * gen_run.c: the loop, and the phases of a run, each with an end of its own.
 *
 * port comes up -> the VIP's MAC address is known -> all connections are open -> warm-up -> measure
 * -> answers that are still due -> RST to everybody. A phase that does not get anywhere ends the run
 * with a sentence; what was counted until then is reported all the same.
 *
 * A turn that found nothing to do is idle; the generator's busy share is the rest of the cycles.
 */
#include "tests/bench/gen_tcp.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define NEIGH_S 10.0
#define STILL_S 5.0  /* nothing is answered for so long: the other side is down */
#define RAMP_S 300.0 /* all connections, also a million of them */
#define DRAIN_S 0.5  /* beyond the patience with an answer, whose timer comes first */
#define LINK_CHECK_US 100000u
#define TIMERS_PER_TURN 256
#define ERRORS_MAX 1000 /* and more than answers: no use to go on */
#define PROGRESS_US 1000000u

static void end_with(struct gen *g, enum gen_end end, const char *why)
{
	if (g->end == END_GOOD) {
		g->end = end;
		err_set(&g->why, 1, "%s", why);
	}
	g->phase = PHASE_END;
}

static uint64_t ticks(const struct gen *g, double s)
{
	return (uint64_t)(s * (double)g->tsc_hz);
}

static void sample(const struct gen *g, struct gen_sample *s)
{
	struct timespec cpu;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	s->cpu_us = (uint64_t)cpu.tv_sec * 1000000 + (uint64_t)cpu.tv_nsec / 1000;
	s->tsc = g->now_tsc;
	s->busy_tsc = g->busy_tsc;
	s->requests = g->requests;
	s->body_bytes = g->body_bytes;
	s->rx_packets = g->link.rx_packets;
	s->tx_packets = g->link.tx_packets;
	memcpy(s->count, g->count, sizeof(s->count));
}

static uint64_t errors(const struct gen *g)
{
	uint64_t n = 0;

#define ERROR(name) n += g->count[GEN_##name];
#define EVENT(name)
#define GEN_COUNT(name, json, kind, help) kind(name)
#include "tests/bench/gen.def"
#undef GEN_COUNT
#undef ERROR
#undef EVENT
	return n;
}

static void clock_read(struct gen *g)
{
	g->now_tsc = rte_rdtsc();
	g->now_us = gen_us(g, g->now_tsc);
	g->now_ms = (uint32_t)(g->ms_start + g->now_us / 1000);
}

/* One turn; true when it did something. */
static bool turn(struct gen *g)
{
	struct rte_mbuf *pkts[LINK_BURST];
	unsigned did = 0;
	uint16_t n = g->link.started ? link_rx(g, pkts) : 0;

	clock_read(g);
	if (n > 0)
		tcp_input(g, pkts, n);
	did = n + client_run(g);
	if (g->now_us - g->last_tick_us >= TIMER_TICK_US) {
		g->last_tick_us = g->now_us;
		did += timer_wheel_run(&g->wheel, g->now_us, TIMERS_PER_TURN, tcp_timer, g);
	}
	if (link_waiting(&g->link) > 0) {
		did++;
		link_flush(g);
	}
	return did > 0;
}

static void enter(struct gen *g, enum gen_phase phase, double seconds)
{
	static const char *const names[] = {"port", "neighbour", "connections", "warm-up",
		"measure", "last answers", "end"};

	g->phase = phase;
	g->tsc_phase_end = g->now_tsc + ticks(g, seconds);
	g->client.progress_us = g->now_us;
	if (g->cfg.verbose)
		fprintf(stderr, "bench_gen: %s\n", names[phase]);
}

static void port_phase(struct gen *g)
{
	if (g->now_us - g->link_checked_us < LINK_CHECK_US)
		return;
	g->link_checked_us = g->now_us;
	if (link_is_up(g))
		enter(g, PHASE_NEIGH, NEIGH_S);
	else if (g->now_tsc > g->tsc_phase_end)
		end_with(g, END_DOWN, "the port's other side did not come up");
}

static void neigh_phase(struct gen *g)
{
	if (g->cfg.direct || g->neigh_known)
		enter(g, PHASE_RAMP, RAMP_S);
	else if (g->now_tsc > g->tsc_phase_end)
		end_with(g, END_DOWN, "the gateway does not say who has the VIP");
	else
		neigh_run(g);
}

/* All connections have been there: those of one request may have come and gone. */
static bool ramp_complete(const struct gen *g)
{
	const struct client *cl = &g->client;
	bool idle = g->cfg.scenario == CASE_IDLE;

	if (cl->interval_frac != 0)
		return cl->live >= cl->want_keep && cl->connecting == 0;
	return g->count[GEN_OPENED] >= g->cfg.connections &&
		(!idle || (cl->live == g->cfg.connections && cl->outstanding == 0));
}

static void ramp_phase(struct gen *g)
{
	struct client *cl = &g->client;

	if (ramp_complete(g)) {
		cl->ramped = true;
		enter(g, PHASE_WARMUP, g->cfg.warmup_s);
		cl->first_tsc = g->tsc_phase_end;
		cl->end_tsc = cl->first_tsc + ticks(g, g->cfg.duration_s);
		cl->intended_tsc = g->now_tsc;
		if (cl->interval_frac != 0)
			cl->offered = (uint64_t)(g->cfg.rate * g->cfg.duration_s);
	} else if (g->now_tsc > g->tsc_phase_end) {
		end_with(g, END_DOWN, "not all connections could be opened");
	}
}

/* The last answers get the patience of all others: one that never comes is a time-out. */
static void drain_phase(struct gen *g)
{
	const struct client *cl = &g->client;

	if (cl->outstanding + cl->connecting > 0 && g->now_tsc < g->tsc_phase_end)
		return;
	g->count[GEN_TIMEOUT] += cl->outstanding;
	g->count[GEN_CONNECT_TIMEOUT] += cl->connecting;
	g->phase = PHASE_END;
}

/* Nothing right comes: is nobody there, or somebody who is wrong? */
static void give_up(struct gen *g, const char *wrong)
{
	sample(g, &g->to);
	if (g->count[GEN_OPENED] > 0)
		end_with(g, errors(g) > ERRORS_MAX || g->requests == 0 ? END_WRONG : END_DOWN,
			wrong);
	else if (g->count[GEN_REFUSED] > 0)
		end_with(g, END_DOWN, "the gateway refuses all connections");
	else
		end_with(g, END_DOWN, "the gateway does not answer");
}

/* The other side answers nothing, or nothing right. */
static void watch(struct gen *g)
{
	const struct client *cl = &g->client;
	bool busy = cl->interval_frac == 0 && g->cfg.scenario != CASE_IDLE;
	bool due = busy || cl->outstanding > 0 || cl->connecting > 0 || g->phase == PHASE_RAMP;
	uint64_t n = errors(g);

	if (due && g->now_us - cl->progress_us > (uint64_t)(STILL_S * 1e6))
		give_up(g,
			g->requests > 0 ? "the gateway has stopped answering"
					: "no right answer came");
	else if (n > ERRORS_MAX && n > g->requests)
		give_up(g, "more errors than answers");
}

static void progress(struct gen *g)
{
	if (!g->cfg.verbose || g->now_us - g->said_us < PROGRESS_US)
		return;
	g->said_us = g->now_us;
	fprintf(stderr,
		"bench_gen: open %u requests %lu due %u errors %lu retransmits %lu table %u\n",
		g->client.live, g->requests, g->client.outstanding, errors(g),
		g->count[GEN_RETRANSMIT], g->conns.used);
}

/* What is looked at once a millisecond or so. */
static void supervise(struct gen *g)
{
	switch (g->phase) {
	case PHASE_PORT:
		port_phase(g);
		break;
	case PHASE_NEIGH:
		neigh_phase(g);
		break;
	case PHASE_RAMP:
		ramp_phase(g);
		break;
	case PHASE_WARMUP:
		if (g->now_tsc < g->tsc_phase_end)
			break;
		enter(g, PHASE_MEASURE, g->cfg.duration_s);
		sample(g, &g->from);
		break;
	case PHASE_MEASURE:
		if (g->now_tsc < g->tsc_phase_end)
			break;
		sample(g, &g->to);
		enter(g, PHASE_DRAIN, g->cfg.answer_s + DRAIN_S);
		break;
	case PHASE_DRAIN:
		drain_phase(g);
		break;
	default:
		break;
	}
	if (g->phase >= PHASE_RAMP && g->phase <= PHASE_MEASURE)
		watch(g);
	progress(g);
}

/* RST to everybody, so that the other side keeps nothing of this run. */
static void abort_all(struct gen *g)
{
	for (uint32_t i = 0; i < g->conns.fresh; i++) {
		struct conn *c = conn_at(&g->conns, i);

		if (c->state == CONN_FREE)
			continue;
		tcp_abort(g, c);
		for (int tries = 0; tries < 1000 && link_waiting(&g->link) > LINK_BURST; tries++) {
			struct rte_mbuf *pkts[LINK_BURST];

			link_flush(g);
			rte_pktmbuf_free_bulk(pkts, link_rx(g, pkts));
		}
	}
	link_flush(g);
}

/*
 * Open loop: requests whose time had come and that were not answered, most of them because they
 * found no connection, are slower than the slowest. One more or less is the window's edge.
 */
static void latency_complete(struct gen *g)
{
	const struct client *cl = &g->client;
	uint64_t end = g->now_tsc < cl->end_tsc ? g->now_tsc : cl->end_tsc, due;

	if (cl->interval_frac == 0 || !cl->ramped || end <= cl->first_tsc)
		return;
	due = (uint64_t)((double)(end - cl->first_tsc) / (double)g->tsc_hz * g->cfg.rate);
	if (due > g->latency.count + 1)
		g->latency.lost = due - g->latency.count;
}

static void judge(struct gen *g)
{
	const struct client *cl = &g->client;
	uint64_t right = g->latency.count;

	if (g->end == END_GOOD && errors(g) > 0)
		end_with(g, END_WRONG, "errors were counted");
	else if (g->end == END_GOOD && g->cfg.scenario != CASE_IDLE &&
		g->to.requests == g->from.requests && (cl->interval_frac == 0 || cl->offered > 0))
		end_with(g, END_DOWN, "nothing was answered in the time that is measured");
	else if (g->end == END_GOOD && cl->interval_frac != 0 && right < cl->offered * 95 / 100)
		end_with(g, END_SLOW, "the offered rate was not kept");
}

void gen_run(struct gen *g)
{
	uint64_t supervised_us = 0, last;

	clock_read(g);
	enter(g, PHASE_PORT, g->cfg.port_s);
	timer_wheel_init(&g->wheel, g->now_us);
	client_init(g);
	last = g->now_tsc;
	while (g->phase != PHASE_END) {
		bool worked = turn(g);
		uint64_t now = rte_rdtsc();

		if (worked)
			g->busy_tsc += now - last;
		last = now;
		if (g->now_us - supervised_us >= 500) {
			supervised_us = g->now_us;
			supervise(g);
			if (*g->stop)
				end_with(g, END_INTERRUPTED, "interrupted");
		}
		if (g->phase < PHASE_RAMP)
			usleep(50);
	}
	if (g->from.tsc == 0) /* never measured: everything counts */
		g->from.tsc = g->tsc_start;
	if (g->to.tsc == 0)
		sample(g, &g->to);
	latency_complete(g);
	judge(g);
	g->open_at_end = g->client.live - g->client.connecting;
	if (g->link.started)
		abort_all(g);
}
