// SPDX-License-Identifier: Apache-2.0
/*
 * worker_idle.c: the end of a turn: on at once, or a nap.
 *
 * A port without interrupts can only be asked, so a resting worker asks rarely: after a while of
 * empty turns it sleeps, never longer than an eighth of the rest so far (a packet is then late by
 * at most an eighth of the silence before it), than a millisecond, and than the next timer. What
 * other threads have for it ends the nap at once: they look at <asleep> after they have put it
 * there, and the sleeper looks for it after it has set <asleep>, both with a full fence between, so
 * one of them sees the other.
 *
 * Busy polling never naps: right where the lcores have nothing else to do.
 */
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <rte_pause.h>

#include "dataplane/worker/worker.h"

#define SPIN_US 50    /* of silence before the first nap: answers of this box's neighbours come */
#define NAP_MIN_US 20 /* below this a nap costs more than it saves */
#define NAP_MAX_US 1000

static uint64_t next_due_us(const struct worker *w)
{
	uint64_t net = net_next_us(w->net), tcp = tcp_next_us(w->tcp), http = http_next_us(w->http);
	uint64_t due = net < tcp ? net : tcp;

	return due < http ? due : http;
}

/* How long a nap may be now; 0: none. */
static uint64_t nap_length(const struct worker *w)
{
	uint64_t rest = w->now_us - w->idle.worked_us, due = next_due_us(w), nap;

	if (rest < SPIN_US || due <= w->now_us)
		return 0;
	nap = RTE_MIN(RTE_MAX(rest / 8, (uint64_t)NAP_MIN_US), (uint64_t)NAP_MAX_US);
	nap = RTE_MIN(nap, due - w->now_us);
	return nap < NAP_MIN_US ? 0 : nap;
}

static bool has_news(const struct worker *w)
{
	return dispatch_has_news(w) || worker_mailbox_has_news(w) ||
		atomic_load_explicit(&w->group->stop, memory_order_relaxed);
}

static void nap(struct worker *w, uint64_t us)
{
	struct timespec ts = {.tv_nsec = (long)us * 1000};

	atomic_store_explicit(&w->idle.asleep, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (!has_news(w)) {
		syscall(SYS_futex, &w->idle.asleep, FUTEX_WAIT_PRIVATE, 1, &ts, NULL, 0);
		w->stats.counters[WORKER_C_NAPS]++;
		w->stats.counters[WORKER_C_NAP_US] += us;
	}
	atomic_store_explicit(&w->idle.asleep, 0, memory_order_relaxed);
}

void worker_idle_run(struct worker *w)
{
	uint64_t us;

	w->stats.empty = w->work == 0;
	if (w->work > 0) {
		w->idle.worked_us = w->now_us;
		w->stats.counters[WORKER_C_TURNS_WORK]++;
		return;
	}
	w->stats.counters[WORKER_C_TURNS_EMPTY]++;
	us = w->group->cfg.poll == WORKER_POLL_BUSY ? 0 : nap_length(w);
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
	syscall(SYS_futex, &w->idle.asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
