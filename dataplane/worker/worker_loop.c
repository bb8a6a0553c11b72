// SPDX-License-Identifier: Apache-2.0
/*
 * worker_loop.c: the order of things: the table of contents of the dataplane.
 *
 * One worker, one lcore, one loop. A turn takes what has arrived, carries it up layer by layer,
 * lets HTTP decide, carries the answers down and sends them. Down by call, up by queue: no layer
 * calls one above it; what it has for that layer it leaves on a list, and the lines below hand the
 * lists over. Each stage does a bounded amount of work, so every other stage is never far away.
 *
 * Nothing here blocks but the nap at the end of a turn without work. What comes from other threads
 * is looked at once per turn: configuration and routes (step 1), a call of the agent (step 1),
 * packets and notes of the other workers (step 3).
 */
#include "dataplane/worker/worker.h"

#include <sys/prctl.h>

#include <rte_cycles.h>

#define TIMERS_PER_TURN 64 /* of each layer: a million connections must not expire in one turn */

/* A turn's cycles go to the stages when it did something, else to one counter. */
static void turn_account(struct worker_stats *st)
{
	for (unsigned i = 0; i < WORKER_STAGE_COUNT; i++) {
		if (st->empty)
			st->counters[WORKER_C_EMPTY_CYCLES] += st->turn_cycles[i];
		else
			st->cycles[i] += st->turn_cycles[i];
		st->turn_cycles[i] = 0;
	}
}

static void stage_account(struct worker_stats *st, enum worker_stage s)
{
	uint64_t tsc = rte_rdtsc();

	st->turn_cycles[atomic_load_explicit(&st->stage, memory_order_relaxed)] +=
		tsc - st->stage_tsc;
	st->stage_tsc = tsc;
	if (s == WORKER_STAGE_CONFIG) /* the next turn begins */
		turn_account(st);
}

/* The stage marker: what the watchdog names, and where cycles are counted. */
static inline void stage(struct worker *w, enum worker_stage s)
{
	if (unlikely(w->group->cfg.profile))
		stage_account(&w->stats, s);
	atomic_store_explicit(&w->stats.stage, s, memory_order_relaxed);
}

static void worker_begin(struct worker *w)
{
	trace_self = w->trace;
	w->stats.stage_tsc = rte_rdtsc();
	/* a nap of 20 us must not become one of 70: the default slack is 50 us */
	prctl(PR_SET_TIMERSLACK, 1);
	rte_rcu_qsbr_thread_online(w->group->qsbr, w->index);
}

static void worker_end(struct worker *w)
{
	rte_rcu_qsbr_thread_offline(w->group->qsbr, w->index);
	trace_self = NULL;
}

/* One time stamp for all that this turn does. */
static void turn_begin(struct worker *w, uint64_t now_us)
{
	uint64_t turns = atomic_load_explicit(&w->stats.turns, memory_order_relaxed);

	w->now_us = now_us;
	w->trace->now_us = w->now_us;
	w->work = 0;
	net_turn(w->net, w->now_us);
	atomic_store_explicit(&w->stats.turns, turns + 1, memory_order_relaxed);
}

static void listeners_take(struct worker *w, const struct config *c)
{
	const struct worker_config *cfg = &w->group->cfg;

	w->config = c;
	w->config_serial = c->serial;
	tcp_set_listeners(w->tcp, c->tcp_listeners);
	/* the agent refuses a generation with more addresses than fit */
	bug_on(!net_set_addrs(w->net, c->vips, c->vip_count, cfg->sources, cfg->source_count));
	w->stats.counters[WORKER_C_CONFIGS]++;
	w->work++;
}

static void drain_take(struct worker *w)
{
	bool draining = atomic_load_explicit(&w->group->draining, memory_order_relaxed);

	if (likely(draining == w->draining))
		return;
	w->draining = draining;
	tcp_set_draining(w->tcp, draining);
	http_set_draining(w->http, draining);
}

static void date_take(struct worker *w)
{
	if (likely(w->clock.wall_s == w->wall_s))
		return;
	w->wall_s = w->clock.wall_s;
	http_set_date(w->http, w->wall_s);
}

/* The newest configuration and routes; what the last turn read of the old ones is let go. */
static void config_take(struct worker *w)
{
	struct worker_group *g = w->group;
	const struct config *c;
	const struct fib *f;

	rte_rcu_qsbr_quiescent(g->qsbr, w->index);
	c = atomic_load_explicit(&g->config, memory_order_acquire);
	f = atomic_load_explicit(&g->fib, memory_order_acquire);
	if (unlikely(c != NULL && c->serial != w->config_serial))
		listeners_take(w, c);
	if (unlikely(f != NULL && fib_serial(f) != w->fib_serial)) {
		w->fib_serial = fib_serial(f);
		net_set_fib(w->net, f);
		w->stats.counters[WORKER_C_FIBS]++;
		w->work++;
	}
	drain_take(w);
	date_take(w);
}

static void bursts_receive(struct worker *w)
{
	struct rte_mbuf *pkts[PORT_BURST];

	for (unsigned p = 0; p < w->port_count; p++) {
		unsigned count = port_rx(&w->queues[p], pkts);

		eth_input(w->net, p, pkts, count);
		w->work += count;
	}
}

static void bursts_send(struct worker *w)
{
	for (unsigned p = 0; p < w->port_count; p++)
		port_tx_flush(&w->queues[p]);
}

void worker_turn(struct worker *w, uint64_t now_us)
{
	struct mbufq segments = {0}; /* of flows that are ours */

	/* step 1: what other threads want */
	turn_begin(w, now_us);
	stage(w, WORKER_STAGE_CONFIG);
	config_take(w);
	stage(w, WORKER_STAGE_CALL);
	worker_mailbox_run(w);

	/* step 2: bursts of packets -> net -> TCP segments, answered ARP, ND and echo */
	stage(w, WORKER_STAGE_RX);
	bursts_receive(w);
	stage(w, WORKER_STAGE_NET);
	arp_input(w->net);
	ip4_input(w->net);
	ip6_input(w->net);
	icmp4_input(w->net);
	icmp6_input(w->net);

	/* step 3: every segment to the worker that owns its flow */
	stage(w, WORKER_STAGE_DISPATCH);
	dispatch_packets(w, net_tcp_in(w->net), &segments);
	dispatch_notes(w);
	dispatch_collect(w, &segments);

	/* step 4: segments -> bytes -> connections with news */
	stage(w, WORKER_STAGE_TCP_INPUT);
	tcp_input(w->tcp, &segments, w->now_us);
	stage(w, WORKER_STAGE_TIMERS);
	net_timers_run(w->net, TIMERS_PER_TURN);
	tcp_timers_run(w->tcp, w->now_us, TIMERS_PER_TURN);

	/* step 5: parse, route, pick, relay both ways */
	stage(w, WORKER_STAGE_HTTP);
	http_run(w->http, w->config, w->now_us);

	/* step 6: connections that owe a segment; frames leave */
	stage(w, WORKER_STAGE_TCP_OUTPUT);
	tcp_output(w->tcp, w->now_us);
	stage(w, WORKER_STAGE_TX);
	bursts_send(w);
}

int worker_loop(void *arg)
{
	struct worker *w = arg;

	worker_begin(w);
	while (!atomic_load_explicit(&w->group->stop, memory_order_relaxed)) {
		worker_turn(w, worker_clock_us(&w->clock, w->now_us));

		/* step 7: spin or nap */
		stage(w, WORKER_STAGE_IDLE);
		worker_idle_run(w);
	}
	worker_end(w);
	return 0;
}
