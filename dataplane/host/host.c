// SPDX-License-Identifier: Apache-2.0
/*
 * host.c: the thread that keeps the dataplane and the kernel in agreement.
 *
 * It sleeps until rtnetlink has news or a twentieth of a second is over, then looks at both sides:
 * routes changed in the kernel become a new table for the workers, addresses changed in the
 * configuration become new rules in the kernel. Under a storm of route changes tables are made at
 * most ten times per second. A table that was replaced is freed once every worker has passed a
 * quiescent point; to look at the configuration the thread is itself a reader of the same variable.
 */
#include "dataplane/host/host.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"
#include "dataplane/host/hide.h"
#include "dataplane/host/mirror.h"
#include "dataplane/worker/worker.h"

#define LOOK_MS 50
#define READ_INTERVAL_US 100000
#define RETIRED_MAX 8 /* tables waiting for slow workers; beyond it no new one is published */
#define HIDE_RETRY_US 5000000

struct retired {
	const struct fib *fib; /* owned */
	uint64_t token;
};

struct host {
	struct worker_group *group; /* borrowed */
	struct mirror *mirror;	    /* owned */
	pthread_t thread;
	bool running;
	int stop_fd; /* eventfd: readable when the thread shall end */
	bool dirty;  /* the kernel has changed since the last read */
	uint64_t read_us;
	struct retired retired[RETIRED_MAX];
	unsigned retired_count;
	uint64_t hidden_generation; /* of the configuration whose addresses are hidden */
	bool hidden;		    /* at least once */
	uint64_t hide_retry_us;
	bool up[PORTS_MAX]; /* links, as last said */
};

/* -- routes -------------------------------------------------------------------------------- */

static void retired_free(struct host *h)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < h->retired_count; i++) {
		struct retired *r = &h->retired[i];

		if (rte_rcu_qsbr_check(h->group->qsbr, r->token, false) == 1)
			fib_free(r->fib);
		else
			h->retired[kept++] = *r;
	}
	h->retired_count = kept;
}

static void links_say(struct host *h, const struct fib *f)
{
	for (unsigned p = 0; p < h->group->port_count; p++) {
		const struct fib_iface *i = fib_iface(f, p);

		if (i->up == h->up[p])
			continue;
		h->up[p] = i->up;
		log_info("host", "port=%s link=%s mtu=%u", h->group->ports[p].name,
			i->up ? "up" : "down", i->mtu);
	}
}

static void fib_publish(struct host *h, const struct fib *f)
{
	const struct fib *old = atomic_exchange_explicit(&h->group->fib, f, memory_order_acq_rel);

	log_info("host", "routes=%u serial=%lu msg=\"route table published\"", fib_route_count(f),
		fib_serial(f));
	if (mirror_is_cut(h->mirror))
		log_warn("host", "msg=\"more than %u routes: the rest is ignored\"",
			FIB_ROUTES_MAX);
	links_say(h, f);
	worker_group_wake(h->group);
	if (old != NULL)
		h->retired[h->retired_count++] =
			(struct retired){old, rte_rcu_qsbr_start(h->group->qsbr)};
}

static int routes_take(struct host *h, struct err *err)
{
	const struct fib *f = NULL;
	int rc = mirror_read(h->mirror, &f, err);

	if (f != NULL)
		fib_publish(h, f);
	return rc;
}

static void routes_look(struct host *h, uint64_t now_us)
{
	struct err err;

	retired_free(h);
	h->dirty |= mirror_drain(h->mirror);
	if (!h->dirty || now_us - h->read_us < READ_INTERVAL_US || h->retired_count == RETIRED_MAX)
		return;
	h->read_us = now_us;
	/* what could not be read is read again: the kernel will not tell a second time */
	h->dirty = routes_take(h, &err) < 0;
	if (h->dirty)
		log_error("host", "msg=\"%s\"", err.msg);
}

/* -- rules --------------------------------------------------------------------------------- */

/* A copy of the configuration's addresses and ours; its number of addresses, or -1: no change. */
static int addrs_copy(struct host *h, struct ip_addr *ret)
{
	struct worker_group *g = h->group;
	const struct config *c;
	int n = -1;

	rte_rcu_qsbr_thread_online(g->qsbr, g->count);
	c = atomic_load_explicit(&g->config, memory_order_acquire);
	if (!h->hidden || (c != NULL && c->generation != h->hidden_generation)) {
		n = 0;
		for (uint32_t i = 0; c != NULL && i < c->vip_count && i < NET_ADDRS_MAX; i++)
			ret[n++] = c->vips[i];
		h->hidden_generation = c != NULL ? c->generation : 0;
	}
	rte_rcu_qsbr_thread_offline(g->qsbr, g->count);
	for (unsigned i = 0; n >= 0 && i < g->cfg.source_count; i++)
		ret[n++] = g->cfg.sources[i];
	return n;
}

static bool is_shared(const struct port *p)
{
	return p->profile == PORT_AF_PACKET;
}

static bool has_shared(const struct worker_group *g)
{
	for (unsigned p = 0; p < g->port_count; p++)
		if (is_shared(&g->ports[p]))
			return true;
	return false;
}

static int addrs_hide(struct host *h, const struct ip_addr *addrs, unsigned count, struct err *err)
{
	int rc = 0;

	for (unsigned p = 0; p < h->group->port_count && rc == 0; p++)
		if (is_shared(&h->group->ports[p]))
			rc = hide_set(h->group->ports[p].iface, addrs, count, err);
	return rc;
}

static void rules_look(struct host *h, uint64_t now_us)
{
	static struct ip_addr addrs[NET_ADDRS_MAX + WORKER_SOURCES_MAX];
	struct err err;
	int n;

	if (now_us < h->hide_retry_us)
		return;
	n = addrs_copy(h, addrs);
	if (n < 0)
		return;
	h->hidden = addrs_hide(h, addrs, (unsigned)n, &err) == 0;
	if (h->hidden) {
		log_info("host", "addresses=%d msg=\"hidden from the kernel\"", n);
		return;
	}
	h->hide_retry_us = now_us + HIDE_RETRY_US;
	log_error("host", "addresses=%d msg=\"not hidden from the kernel: %s\"", n, err.msg);
}

static void rules_clear(struct host *h)
{
	struct err err;

	for (unsigned p = 0; p < h->group->port_count; p++)
		if (is_shared(&h->group->ports[p]) &&
			hide_clear(h->group->ports[p].iface, &err) < 0)
			log_warn("host", "iface=%s msg=\"%s\"", h->group->ports[p].iface, err.msg);
}

/* -- thread -------------------------------------------------------------------------------- */

static void *host_main(void *arg)
{
	struct host *h = arg;
	struct pollfd fds[2] = {{.fd = h->stop_fd, .events = POLLIN},
		{.fd = mirror_fd(h->mirror), .events = POLLIN}};
	bool shared = has_shared(h->group);
	struct err err;

	if (shared && hide_allow(&err) < 0)
		log_error("host", "msg=\"%s\"", err.msg);
	while (!(fds[0].revents & POLLIN)) {
		uint64_t now = clock_mono_us();

		routes_look(h, now);
		if (shared)
			rules_look(h, now);
		/* while a storm is waited out, its notifications need not wake us */
		poll(fds, h->dirty ? 1 : 2, LOOK_MS);
	}
	rules_clear(h);
	return NULL;
}

int host_start(struct worker_group *g, struct host **ret, struct err *err)
{
	struct host *h = calloc(1, sizeof(*h));
	sigset_t all, old;
	int rc;

	bug_on(h == NULL);
	h->group = g;
	h->stop_fd = eventfd(0, EFD_CLOEXEC);
	rte_rcu_qsbr_thread_register(g->qsbr, g->count);
	rc = mirror_open(g->ports, g->port_count, &h->mirror, err);
	if (rc == 0)
		rc = routes_take(h, err);
	if (rc < 0) {
		host_free(h);
		return rc;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&h->thread, NULL, host_main, h);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		host_free(h);
		return err_set(err, rc, "host thread: %s", strerror(rc));
	}
	pthread_setname_np(h->thread, "host");
	h->running = true;
	*ret = h;
	return 0;
}

void host_stop(struct host *h)
{
	uint64_t one = 1;

	if (h == NULL || !h->running)
		return;
	if (write(h->stop_fd, &one, sizeof(one)) < 0)
		log_error("host", "msg=\"eventfd: %s\"", strerror(errno));
	pthread_join(h->thread, NULL);
	h->running = false;
}

void host_free(struct host *h)
{
	if (h == NULL)
		return;
	host_stop(h);
	for (unsigned i = 0; i < h->retired_count; i++)
		fib_free(h->retired[i].fib);
	fib_free(atomic_exchange(&h->group->fib, NULL));
	mirror_close(h->mirror);
	close(h->stop_fd);
	free(h);
}
