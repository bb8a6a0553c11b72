// SPDX-License-Identifier: Apache-2.0
/*
 * inspect_workers.c: connections, neighbours and the state of each worker.
 */
#include <stdlib.h>

#include "dataplane/agent/agent_json.h"
#include "dataplane/agent/inspect.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/http/http.h"

#define CONNS_DEFAULT 1000u
#define CONNS_MAX 20000u     /* of one answer; the rest by cursor */
#define NEIGHBOURS_MAX 4096u /* of one worker */

/* -- conns ----------------------------------------------------------------------------------- */

struct conn_row {
	struct tcp_conn_info info;
	struct tcp_flow peer;
	bool has_peer;
};

/* One look at one worker; filled on its lcore. */
struct conn_slice {
	uint32_t cursor, count;
	bool last; /* no connection of this worker lies behind the cursor */
	struct conn_row rows[INSPECT_SLICE];
};

struct conn_walk {
	uint64_t worker, limit, given;
	struct conn_slice slice;
};

static void take_conn(const struct tcp_conn_info *info, void *ctx)
{
	struct conn_slice *s = ctx;
	struct conn_row *r = &s->rows[s->count++];

	r->info = *info;
	r->has_peer = http_other_leg(info->user, &r->peer);
}

static void take_slice(struct worker *w, void *arg)
{
	struct conn_slice *s = arg;
	s->count = 0;
	s->last = tcp_foreach(w->tcp, &s->cursor, INSPECT_SLICE, take_conn, s);
}

static json_t *conn_json(unsigned worker, const struct conn_row *r)
{
	const struct tcp_conn_info *i = &r->info;
	json_t *peer = json_null();

	if (r->has_peer)
		peer = json_pack("{s:o, s:o}", "local",
			inspect_addr_port(&r->peer.local, r->peer.local_port), "remote",
			inspect_addr_port(&r->peer.remote, r->peer.remote_port));
	return json_pack("{s:i, s:o, s:o, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
			 "s:I, "
			 "s:I, "
			 "s:I, s:I, s:I, s:i, s:o}",
		"worker", (int)worker, "local",
		inspect_addr_port(&i->flow.local, i->flow.local_port), "remote",
		inspect_addr_port(&i->flow.remote, i->flow.remote_port), "state",
		tcp_state_str(i->state), "active", i->active, "parked", i->parked, "cwnd",
		(json_int_t)i->cwnd, "ssthresh", (json_int_t)i->ssthresh, "srtt_us",
		(json_int_t)i->srtt_us, "rttvar_us", (json_int_t)i->rttvar_us, "rto_us",
		(json_int_t)i->rto_us, "snd_wnd", (json_int_t)i->snd_wnd, "rcv_wnd",
		(json_int_t)i->rcv_wnd, "unacked", (json_int_t)i->unacked, "unread",
		(json_int_t)i->unread, "bytes_in", (json_int_t)i->bytes_in, "bytes_out",
		(json_int_t)i->bytes_out, "retransmits", (json_int_t)i->retransmits,
		"retransmits_spurious", (json_int_t)i->retransmits_spurious, "mss", i->mss, "peer",
		peer);
}

static bool conns_begin(const struct inspect *in, struct agent_query *q)
{
	uint64_t worker, cursor, limit;
	struct conn_walk *k;

	if (!inspect_number(q, "worker", 0, WORKERS_MAX, &worker) ||
		!inspect_number(q, "cursor", 0, UINT32_MAX, &cursor) ||
		!inspect_number(q, "limit", CONNS_DEFAULT, CONNS_MAX, &limit))
		return false;
	q->state = k = calloc(1, sizeof(*k));
	bug_on(k == NULL);
	k->worker = worker;
	k->limit = limit;
	k->slice.cursor = (uint32_t)cursor;
	q->answer = json_pack("{s:[], s:n}", "conns", "next");
	return worker < in->g->count;
}

bool inspect_conns(struct agent *a, void *ctx, struct agent_query *q)
{
	const struct inspect *in = ctx;
	struct conn_walk *k;
	json_t *list;

	if (q->step == 0)
		return conns_begin(in, q);
	k = q->state;
	list = json_object_get(q->answer, "conns");
	if (!worker_call(in->g, (unsigned)k->worker, take_slice, &k->slice, INSPECT_CALL_US))
		return inspect_fail(q, MESSAGE_RESULT_FAILED, "worker %u does not answer",
			(unsigned)k->worker);
	for (uint32_t i = 0; i < k->slice.count; i++)
		json_array_append_new(list, conn_json((unsigned)k->worker, &k->slice.rows[i]));
	k->given += k->slice.count;
	if (k->slice.last) {
		k->worker++;
		k->slice.cursor = 0;
	}
	if (k->worker == in->g->count)
		return false;
	if (k->given < k->limit)
		return true;
	json_object_set_new(q->answer, "next",
		json_pack("{s:i, s:I}", "worker", (int)k->worker, "cursor",
			(json_int_t)k->slice.cursor));
	return false;
}

/* -- workers --------------------------------------------------------------------------------- */

struct usage {
	struct tcp_usage tcp;
	struct http_usage http;
};

static void take_usage(struct worker *w, void *arg)
{
	struct usage *u = arg;

	tcp_usage(w->tcp, &u->tcp);
	http_usage(w->http, &u->http);
}

static json_t *usage_json(json_t *j, const struct usage *u)
{
	json_object_set_new(j, "tcp",
		json_pack("{s:I, s:I, s:I, s:I, s:I}", "conns", (json_int_t)u->tcp.conns, "parked",
			(json_int_t)u->tcp.parked, "half_open", (json_int_t)u->tcp.half_open,
			"timewait", (json_int_t)u->tcp.timewait, "charged_bytes",
			(json_int_t)u->tcp.charged_bytes));
	json_object_set_new(j, "http",
		json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "down", (json_int_t)u->http.down,
			"up", (json_int_t)u->http.up, "up_idle", (json_int_t)u->http.up_idle,
			"exchanges", (json_int_t)u->http.exchanges, "head_buffers",
			(json_int_t)u->http.head_buffers, "held_bytes",
			(json_int_t)u->http.held_bytes, "held_bytes_high_water",
			(json_int_t)u->http.held_bytes_high));
	return j;
}

static uint64_t in_turn_us(const struct inspect *in, unsigned i)
{
	const struct worker_stats *s = &in->g->w[i]->stats;
	uint64_t turns = atomic_load_explicit(&s->turns, memory_order_relaxed);

	/* A nap is no turn, and one that has moved on since the last tick is not stuck. */
	if (turns != in->turns[i] ||
		atomic_load_explicit(&s->stage, memory_order_relaxed) == WORKER_STAGE_IDLE)
		return 0;
	return clock_mono_us() - in->turn_us[i];
}

/* What the worker has done since its start; written by its lcore, read relaxed. */
static json_t *work_json(const struct worker *w)
{
	const uint64_t *own = w->stats.counters;
	struct worker_work work;

	worker_work(w, &work);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "packets_in",
		(json_int_t)work.packets_in, "packets_out", (json_int_t)work.packets_out,
		"requests", (json_int_t)work.requests, "turns_working",
		(json_int_t)own[WORKER_C_TURNS_WORK], "turns_empty",
		(json_int_t)own[WORKER_C_TURNS_EMPTY], "empty_cycles",
		(json_int_t)own[WORKER_C_EMPTY_CYCLES]);
}

/* By stage in the order of the loop, of turns that did something; zero unless they are wanted. */
static json_t *cycles_json(const struct worker *w)
{
	json_t *j = json_object();

	for (unsigned s = 0; s < WORKER_STAGE_COUNT; s++)
		json_object_set_new(j, worker_stage_name((enum worker_stage)s),
			json_integer((json_int_t)w->stats.cycles[s]));
	return j;
}

static json_t *worker_json(const struct inspect *in, unsigned i)
{
	const struct worker *w = in->g->w[i];
	uint32_t stage = atomic_load_explicit(&w->stats.stage, memory_order_relaxed);
	struct usage u;
	json_t *j = json_pack("{s:i, s:s, s:I, s:I, s:{s:I, s:I}, s:o, s:b, s:o}", "worker", (int)i,
		"stage", worker_stage_name((enum worker_stage)stage), "turns",
		(json_int_t)atomic_load_explicit(&w->stats.turns, memory_order_relaxed),
		"in_turn_us", (json_int_t)in_turn_us(in, i), "packets", "free",
		(json_int_t)rte_mempool_avail_count(w->pool), "in_use",
		(json_int_t)rte_mempool_in_use_count(w->pool), "work", work_json(w), "profiling",
		in->g->cfg.profile, "cycles", cycles_json(w));

	if (!worker_call(in->g, i, take_usage, &u, INSPECT_CALL_US))
		return j; /* its stage says why */
	return usage_json(j, &u);
}

bool inspect_workers(struct agent *a, void *ctx, struct agent_query *q)
{
	const struct inspect *in = ctx;

	if (q->step == 0)
		q->answer = json_pack("{s:[]}", "workers");
	if (q->step < in->g->count)
		json_array_append_new(json_object_get(q->answer, "workers"),
			worker_json(in, q->step));
	return q->step + 1 < in->g->count;
}

/* -- neighbours ------------------------------------------------------------------------------ */

struct neighbours {
	uint32_t count;
	struct net_neigh_info rows[NEIGHBOURS_MAX];
};

static void take_neighbour(const struct net_neigh_info *e, void *ctx)
{
	struct neighbours *n = ctx;

	if (n->count < NEIGHBOURS_MAX)
		n->rows[n->count++] = *e;
}

static void take_neighbours(struct worker *w, void *arg)
{
	struct neighbours *n = arg;

	n->count = 0;
	net_neigh_foreach(w->net, take_neighbour, n);
}

static json_t *neighbour_json(const struct inspect *in, unsigned worker,
	const struct net_neigh_info *e)
{
	char mac[RTE_ETHER_ADDR_FMT_SIZE];

	rte_ether_format_addr(mac, sizeof(mac), &e->mac);
	return json_pack("{s:i, s:o, s:s, s:s, s:s, s:I}", "worker", (int)worker, "address",
		inspect_addr(&e->addr), "mac", mac, "port",
		e->port < in->g->port_count ? in->g->ports[e->port].name : "", "state", e->state,
		"age_us", (json_int_t)e->age_us);
}

bool inspect_neighbours(struct agent *a, void *ctx, struct agent_query *q)
{
	const struct inspect *in = ctx;
	struct neighbours *n;

	if (q->step == 0) {
		q->answer = json_pack("{s:[]}", "neighbours");
		q->state = calloc(1, sizeof(*n));
		bug_on(q->state == NULL);
	}
	n = q->state;
	if (q->step >= in->g->count)
		return false;
	if (!worker_call(in->g, q->step, take_neighbours, n, INSPECT_CALL_US))
		return inspect_fail(q, MESSAGE_RESULT_FAILED, "worker %u does not answer", q->step);
	for (uint32_t i = 0; i < n->count; i++)
		json_array_append_new(json_object_get(q->answer, "neighbours"),
			neighbour_json(in, q->step, &n->rows[i]));
	return q->step + 1 < in->g->count;
}
