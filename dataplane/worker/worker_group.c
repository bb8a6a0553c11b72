// SPDX-License-Identifier: Apache-2.0
/*
 * worker_group.c: the workers' life: built by the main thread before any of them runs, torn down
 * by it after the last one has ended.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/worker/worker.h"

static int qsbr_init(struct worker_group *g, struct err *err)
{
	unsigned readers = g->count + 1; /* the last one: host/ */
	size_t size = RTE_ALIGN(rte_rcu_qsbr_get_memsize(readers), RTE_CACHE_LINE_SIZE);

	g->qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, size);
	if (g->qsbr == NULL || rte_rcu_qsbr_init(g->qsbr, readers) != 0)
		return err_set(err, ENOMEM, "quiescent-state memory for %u workers", g->count);
	for (unsigned i = 0; i < g->count; i++)
		rte_rcu_qsbr_thread_register(g->qsbr, i);
	return 0;
}

static void net_init(struct worker *w, struct rte_mempool *pool)
{
	struct worker_group *g = w->group;
	struct net_config cfg = {.queues = w->queues,
		.queue_count = g->port_count,
		.pool = pool,
		.announces = w->index == 0,
		.seed = rng_u64(&w->rng)};

	for (unsigned p = 0; p < g->port_count; p++)
		port_queue_init(&w->queues[p], &g->ports[p], (uint16_t)w->index, pool);
	w->port_count = g->port_count;
	w->net = net_new(&cfg, w->now_us);
	/* the sources are ours before control has said anything */
	bug_on(!net_set_addrs(w->net, NULL, 0, g->cfg.sources, g->cfg.source_count));
}

static int tcp_init(struct worker *w)
{
	struct worker_group *g = w->group;
	struct tcp_port_slice slice = {0};

	w->tcp = tcp_new(&g->cfg.tcp, w->net, w->pool, &w->rng, w->now_us);
	if (w->tcp == NULL)
		return -ENOMEM;
	dispatch_port_slice(w->index, g->count, &slice.first, &slice.count);
	tcp_set_ports(w->tcp, &slice);
	tcp_set_sources(w->tcp, g->cfg.sources, g->cfg.source_count);
	return 0;
}

static int http_init(struct worker *w)
{
	struct worker_group *g = w->group;

	if (g->cfg.access_records > 0) {
		w->log = access_ring_new(g->cfg.access_records);
		if (w->log == NULL)
			return -ENOMEM;
	}
	w->http = http_new(&g->cfg.http, w->tcp, w->pool, &w->rng, w->index, g->count, w->log,
		w->now_us);
	return w->http != NULL ? 0 : -ENOMEM;
}

static int worker_init(struct worker_group *g, unsigned index, struct rte_mempool *pool,
	struct err *err)
{
	struct worker *w = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*w));
	uint64_t seed;

	if (w == NULL)
		return err_set(err, ENOMEM, "worker %u", index);
	*w = (struct worker){.group = g, .index = index, .pool = pool};
	g->w[index] = w;
	rng_secret(&seed, sizeof(seed));
	rng_seed(&w->rng, seed);
	worker_clock_init(&w->clock);
	w->now_us = w->clock.us_base;
	w->trace = trace_new(index);
	net_init(w, pool);
	if (worker_idle_init(w) < 0)
		return err_set(err, errno, "worker %u: eventfd: %s", index, strerror(errno));
	if (tcp_init(w) < 0 || http_init(w) < 0)
		return err_set(err, ENOMEM, "worker %u: out of memory; lower the limits", index);
	return 0;
}

/* What one worker learns of endpoints is of use to the others. */
static void join_all(struct worker_group *g)
{
	for (unsigned i = 0; i < g->count; i++)
		g->upstreams[i] = http_upstream(g->w[i]->http);
	for (unsigned i = 0; i < g->count; i++)
		http_join(g->w[i]->http, &g->health, g->upstreams);
}

int worker_group_init(struct worker_group *g, const struct worker_config *cfg,
	struct rte_mempool *const *pools, unsigned count, struct err *err)
{
	int rc;

	bug_on(count == 0 || count > WORKERS_MAX);
	g->cfg = *cfg;
	g->count = count;
	rc = qsbr_init(g, err);
	for (unsigned i = 0; i < count && rc == 0; i++)
		rc = worker_init(g, i, pools[i], err);
	if (rc == 0)
		rc = dispatch_init(g, err);
	if (rc < 0)
		worker_group_fini(g);
	else
		join_all(g);
	return rc;
}

/* Down the layers: each gives its packets back before the one beneath it goes. */
static void worker_fini(struct worker *w)
{
	if (w == NULL)
		return;
	if (w->http != NULL)
		http_free(w->http);
	access_ring_free(w->log);
	if (w->tcp != NULL)
		tcp_free(w->tcp);
	for (unsigned p = 0; p < w->port_count; p++)
		port_tx_flush(&w->queues[p]);
	net_free(w->net);
	trace_free(w->trace);
	worker_idle_fini(w);
	free(w);
}

void worker_group_fini(struct worker_group *g)
{
	dispatch_fini(g);
	for (unsigned i = 0; i < g->count; i++) {
		worker_fini(g->w[i]);
		g->w[i] = NULL;
	}
	free(g->qsbr);
	g->qsbr = NULL;
}
