// SPDX-License-Identifier: Apache-2.0
/*
 * worker_idle.c: the end of a turn: on at once, or a nap.
 *
 * nap.c says which. What other threads have for the worker ends the nap at once: they look at
 * <asleep> after they have put it there, and the sleeper looks for it after it has set <asleep>,
 * both with a full fence between, so one of them sees the other. Packets end it where the port has
 * a file to wait for: poll(2) looks whether there are any before it sleeps. Such a port in trouble
 * (its netdev went down) is readable too, without packets: then the nap goes on without the ports.
 *
 * Busy polling never naps: right where the lcores have nothing else to do.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_pause.h>

#include "dataplane/worker/worker.h"

#define TROUBLE_NAP_US 1000 /* without the ports */

int worker_idle_init(struct worker *w)
{
	struct worker_idle *i = &w->idle;

	*i = (struct worker_idle){
		.nap = {.worked_us = w->now_us, .window_us = w->now_us, .is_woken = true}};
	i->fds[0] = (struct pollfd){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .events = POLLIN};
	if (i->fds[0].fd < 0)
		return -errno;
	i->fd_count = 1;
	for (unsigned p = 0; p < w->port_count; p++) {
		int fd = w->queues[p].wait_fd;

		if (fd < 0)
			i->nap.is_woken = false;
		else
			i->fds[i->fd_count++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	return 0;
}

void worker_idle_fini(struct worker *w)
{
	if (w->idle.fd_count > 0)
		close(w->idle.fds[0].fd);
	w->idle.fd_count = 0;
}

static uint64_t next_due_us(const struct worker *w)
{
	uint64_t net = net_next_us(w->net), tcp = tcp_next_us(w->tcp), http = http_next_us(w->http);
	uint64_t due = net < tcp ? net : tcp;

	return due < http ? due : http;
}

static bool has_news(const struct worker *w)
{
	return dispatch_has_news(w) || worker_mailbox_has_news(w) ||
		atomic_load_explicit(&w->group->stop, memory_order_relaxed);
}

/* An error is told once and then gone; one that stays must not make the worker spin. */
static bool has_trouble(const struct worker_idle *i)
{
	bool trouble = false;

	for (unsigned f = 1; f < i->fd_count; f++) {
		int error;
		socklen_t len = sizeof(error);

		if (likely((i->fds[f].revents & (POLLERR | POLLHUP | POLLNVAL)) == 0))
			continue;
		getsockopt(i->fds[f].fd, SOL_SOCKET, SO_ERROR, &error, &len);
		trouble = true;
	}
	return trouble;
}

static void sleep_until_woken(struct worker_idle *i, uint64_t us)
{
	struct timespec ts = {.tv_nsec = (long)us * 1000};
	struct timespec trouble_ts = {.tv_nsec = TROUBLE_NAP_US * 1000};
	eventfd_t n;

	if (ppoll(i->fds, i->fd_count, &ts, NULL) <= 0)
		return;
	if (unlikely(has_trouble(i)))
		ppoll(i->fds, 1, &trouble_ts, NULL);
	if (i->fds[0].revents & POLLIN)
		eventfd_read(i->fds[0].fd, &n);
}

static void nap(struct worker *w, uint64_t us)
{
	atomic_store_explicit(&w->idle.asleep, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (!has_news(w)) {
		uint64_t tsc = rte_rdtsc();

		sleep_until_woken(&w->idle, us);
		w->stats.counters[WORKER_C_NAPS]++;
		w->stats.counters[WORKER_C_NAP_US] +=
			((rte_rdtsc() - tsc) * w->clock.us_per_tsc_32) >> 32;
	}
	atomic_store_explicit(&w->idle.asleep, 0, memory_order_relaxed);
}

void worker_idle_run(struct worker *w)
{
	uint64_t us = 0;

	w->stats.empty = w->work == 0;
	nap_note(&w->idle.nap, w->now_us, w->work);
	if (w->work > 0) {
		w->stats.counters[WORKER_C_TURNS_WORK]++;
		return;
	}
	w->stats.counters[WORKER_C_TURNS_EMPTY]++;
	if (w->group->cfg.poll == WORKER_POLL_ADAPTIVE)
		us = nap_length(&w->idle.nap, next_due_us(w), w->now_us);
	if (us > 0)
		nap(w, us);
	else
		rte_pause();
}

void worker_wake(struct worker *w)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (likely(atomic_load_explicit(&w->idle.asleep, memory_order_relaxed) == 0))
		return;
	atomic_store_explicit(&w->idle.asleep, 0, memory_order_relaxed);
	eventfd_write(w->idle.fds[0].fd, 1);
}

void worker_group_wake(struct worker_group *g)
{
	for (unsigned i = 0; i < g->count; i++)
		if (g->w[i] != NULL)
			worker_wake(g->w[i]);
}
