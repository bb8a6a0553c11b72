// SPDX-License-Identifier: Apache-2.0
/*
 * worker_call.c: the agent's functions, run where the data lives.
 *
 * One slot per worker. The caller fills it and posts; the worker takes it, runs it and says done.
 * A caller that has waited long enough takes an untouched slot back, so it knows whether the
 * function ran; one that is running already is waited for, because its argument is in use.
 *
 *	FREE --caller--> POSTED --worker--> RUNNING --worker--> DONE --caller--> FREE
 *	                   '------caller, time-out------> FREE
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base/clock.h"
#include "dataplane/worker/worker.h"

enum { MAILBOX_FREE = 0, MAILBOX_POSTED, MAILBOX_RUNNING, MAILBOX_DONE };

static pthread_mutex_t callers = PTHREAD_MUTEX_INITIALIZER; /* one call at a time, process-wide */

bool worker_mailbox_has_news(const struct worker *w)
{
	return atomic_load_explicit(&w->mailbox.state, memory_order_relaxed) == MAILBOX_POSTED;
}

void worker_mailbox_run(struct worker *w)
{
	struct worker_mailbox *b = &w->mailbox;
	uint32_t posted = MAILBOX_POSTED;

	if (likely(!worker_mailbox_has_news(w)))
		return;
	if (!atomic_compare_exchange_strong(&b->state, &posted, MAILBOX_RUNNING))
		return; /* taken back in this very moment */
	b->fn(w, b->arg);
	w->stats.counters[WORKER_C_CALLS]++;
	w->work++;
	atomic_store_explicit(&b->state, MAILBOX_DONE, memory_order_release);
	syscall(SYS_futex, &b->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Until the state is no longer <state>, or <us> are over. */
static void state_wait(struct worker_mailbox *b, uint32_t state, uint64_t us)
{
	struct timespec ts = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};

	syscall(SYS_futex, &b->state, FUTEX_WAIT_PRIVATE, state, &ts, NULL, 0);
}

/* True when the worker has begun; then it will also end. */
static bool begun_wait(struct worker_mailbox *b, uint64_t timeout_us)
{
	uint64_t end = clock_mono_us() + timeout_us, now;
	uint32_t posted = MAILBOX_POSTED;

	while ((now = clock_mono_us()) < end) {
		if (atomic_load_explicit(&b->state, memory_order_acquire) != MAILBOX_POSTED)
			return true;
		state_wait(b, MAILBOX_POSTED, end - now);
	}
	return !atomic_compare_exchange_strong(&b->state, &posted, MAILBOX_FREE);
}

bool worker_call(struct worker_group *g, unsigned worker, worker_fn fn, void *arg,
	uint64_t timeout_us)
{
	struct worker *w = g->w[worker];
	struct worker_mailbox *b = &w->mailbox;
	bool ran;

	bug_on(worker >= g->count);
	pthread_mutex_lock(&callers);
	b->fn = fn;
	b->arg = arg;
	atomic_store_explicit(&b->state, MAILBOX_POSTED, memory_order_release);
	worker_wake(w);
	ran = begun_wait(b, timeout_us);
	while (ran && atomic_load_explicit(&b->state, memory_order_acquire) != MAILBOX_DONE)
		state_wait(b, MAILBOX_RUNNING, 1000000);
	atomic_store_explicit(&b->state, MAILBOX_FREE, memory_order_relaxed);
	pthread_mutex_unlock(&callers);
	return ran;
}
