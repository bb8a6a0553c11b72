// SPDX-License-Identifier: Apache-2.0
/*
 * worker_stats.c: names of stages and counters, the watchdog's eye, a dying process's dump.
 *
 * All of this reads what workers write, from other threads, relaxed: a number may be a moment old.
 */
#include "dataplane/worker/worker_stats.h"

#include <inttypes.h>

#include "dataplane/upstream/probe.h"
#include "dataplane/worker/worker.h"

static const char *const stage_names[WORKER_STAGE_COUNT] = {
#define WORKER_STAGE(NAME, name) name,
#define WORKER_COUNTER(NAME, name, help)
#include "dataplane/worker/worker.def"
#undef WORKER_STAGE
#undef WORKER_COUNTER
};

static const char *const counter_names[WORKER_C_COUNT] = {
#define WORKER_STAGE(NAME, name)
#define WORKER_COUNTER(NAME, name, help) name,
#include "dataplane/worker/worker.def"
#undef WORKER_STAGE
#undef WORKER_COUNTER
};

static const char *const counter_helps[WORKER_C_COUNT] = {
#define WORKER_STAGE(NAME, name)
#define WORKER_COUNTER(NAME, name, help) help,
#include "dataplane/worker/worker.def"
#undef WORKER_STAGE
#undef WORKER_COUNTER
};

const char *worker_stage_name(enum worker_stage s)
{
	return s < WORKER_STAGE_COUNT ? stage_names[s] : "?";
}

static const char *worker_counter_name(unsigned i)
{
	return counter_names[i];
}

static const char *worker_counter_help(unsigned i)
{
	return counter_helps[i];
}

static const char *stage_counter_name(unsigned i)
{
	return worker_stage_name((enum worker_stage)i);
}

static const char *stage_counter_help(unsigned i)
{
	return "TSC cycles spent in this stage, in turns that did something";
}

unsigned worker_counter_sets(const struct worker *w, struct counter_set *ret)
{
	unsigned n = 0;

	static_assert(PORTS_MAX + 6 <= WORKER_COUNTER_SETS_MAX, "one set per layer and port");
	for (unsigned p = 0; p < w->port_count; p++)
		ret[n++] = (struct counter_set){"port", w->queues[p].port->name,
			w->queues[p].counters, PORT_C_COUNT, port_counter_name, port_counter_help};
	ret[n] = (struct counter_set){"net", "", NULL, 0, net_counter_name, net_counter_help};
	ret[n].v = net_counters(w->net, &ret[n].count);
	n++;
	ret[n] = (struct counter_set){"tcp", "", NULL, 0, tcp_counter_name, tcp_counter_help};
	ret[n].v = tcp_counters(w->tcp, &ret[n].count);
	n++;
	ret[n] = (struct counter_set){"http", "", NULL, 0, http_counter_name, http_counter_help};
	ret[n].v = http_counters(w->http, &ret[n].count);
	n++;
	ret[n++] = (struct counter_set){"probe", "", http_probe_counters(w->http),
		PROBE_COUNTER_COUNT, probe_counter_name, probe_counter_help};
	ret[n++] = (struct counter_set){"worker", "", w->stats.counters, WORKER_C_COUNT,
		worker_counter_name, worker_counter_help};
	if (w->group->cfg.profile)
		ret[n++] = (struct counter_set){"cycles", "", w->stats.cycles, WORKER_STAGE_COUNT,
			stage_counter_name, stage_counter_help};
	return n;
}

void worker_work(const struct worker *w, struct worker_work *ret)
{
	const uint64_t *http;
	unsigned count;

	*ret = (struct worker_work){0};
	for (unsigned p = 0; p < w->port_count; p++) {
		ret->packets_in += w->queues[p].counters[PORT_C_RX_PACKETS];
		ret->packets_out += w->queues[p].counters[PORT_C_TX_PACKETS];
	}
	http = http_counters(w->http, &count);
	for (unsigned i = 0; i < count; i++)
		if (str_starts(str_of(http_counter_name(i)), STR("requests_")))
			ret->requests += http[i];
}

static void worker_dump_one(const struct worker *w, FILE *out)
{
	struct counter_set sets[WORKER_COUNTER_SETS_MAX];
	unsigned count = worker_counter_sets(w, sets);

	fprintf(out, "worker %u stage=%s turns=%" PRIu64 " config=%" PRIu64 "\n", w->index,
		worker_stage_name(atomic_load_explicit(&w->stats.stage, memory_order_relaxed)),
		atomic_load_explicit(&w->stats.turns, memory_order_relaxed), w->config_serial);
	for (unsigned s = 0; s < count; s++)
		for (unsigned i = 0; i < sets[s].count; i++)
			if (sets[s].v[i] != 0)
				fprintf(out, "  %s%s%s %s %" PRIu64 "\n", sets[s].scope,
					sets[s].instance[0] ? " " : "", sets[s].instance,
					sets[s].name(i), sets[s].v[i]);
}

void worker_dump(const struct worker_group *g, FILE *out)
{
	for (unsigned i = 0; i < g->count; i++)
		if (g->w[i] != NULL)
			worker_dump_one(g->w[i], out);
}

uint64_t worker_watchdog_check(struct worker_watch *watch, const struct worker_group *g,
	uint64_t now_us, unsigned *ret_worker, enum worker_stage *ret_stage)
{
	uint64_t worst = 0;

	for (unsigned i = 0; i < g->count; i++) {
		const struct worker_stats *st = &g->w[i]->stats;
		uint64_t turns = atomic_load_explicit(&st->turns, memory_order_relaxed);

		if (turns != watch->turns[i] || watch->since_us[i] == 0) {
			watch->turns[i] = turns;
			watch->since_us[i] = now_us;
			continue;
		}
		if (now_us - watch->since_us[i] <= worst)
			continue;
		worst = now_us - watch->since_us[i];
		*ret_worker = i;
		*ret_stage = atomic_load_explicit(&st->stage, memory_order_relaxed);
	}
	return worst;
}
