// SPDX-License-Identifier: Apache-2.0
/*
 * loop.c: epoll, with one timerfd for all timers and one signalfd.
 *
 * Timers are kept in a list sorted by due time: control has a few dozen (one per waiting API
 * request, one per periodic task), so the insertion walk is shorter than a heap's code. Order of
 * a turn: descriptors that are ready, at most LOOP_EVENTS_MAX, then timers that were due when the
 * turn began.
 */
#include "control/loop/loop.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <stdlib.h>
#include <unistd.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"

#define LOOP_EVENTS_MAX 64

struct loop {
	int epfd;
	bool stop;
	struct list timers; /* by at_us, soonest first */
	struct loop_fd timer, signals;
	loop_signal_fn signal_fn;
	void *signal_arg;
	struct epoll_event events[LOOP_EVENTS_MAX]; /* this turn's; removed ones have ptr NULL */
	int event_count;
};

static void on_timerfd(void *arg, uint32_t events)
{
	struct loop *loop = arg;
	uint64_t expirations;

	/* only the wake-up matters: which timers are due is decided by the clock */
	if (read(loop->timer.fd, &expirations, sizeof(expirations)) < 0)
		return;
}

int loop_new(struct loop **ret_loop, struct err *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int rc;

	if (loop == NULL)
		return err_set(err, ENOMEM, "event loop: out of memory");
	list_init(&loop->timers);
	loop->signals.fd = -1;
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	loop->timer = (struct loop_fd){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
		.fn = on_timerfd,
		.arg = loop,
	};
	if (loop->epfd < 0 || loop->timer.fd < 0)
		rc = err_set(err, errno, "event loop: %s", strerror(errno));
	else
		rc = loop_fd_add(loop, &loop->timer, EPOLLIN, err);
	if (rc < 0) {
		loop_free(loop);
		return rc;
	}
	*ret_loop = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	list_for_each_safe (l, &loop->timers)
		list_del(l);
	if (loop->signals.fd >= 0)
		close(loop->signals.fd);
	if (loop->timer.fd >= 0)
		close(loop->timer.fd);
	if (loop->epfd >= 0)
		close(loop->epfd);
	free(loop);
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
}

int loop_fd_add(struct loop *loop, struct loop_fd *f, uint32_t events, struct err *err)
{
	struct epoll_event ev = {.events = events, .data.ptr = f};

	bug_on(f->fn == NULL || f->active);
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, f->fd, &ev) < 0)
		return err_set(err, errno, "epoll: %s", strerror(errno));
	f->active = true;
	return 0;
}

void loop_fd_remove(struct loop *loop, struct loop_fd *f)
{
	if (!f->active)
		return;
	f->active = false;
	epoll_ctl(loop->epfd, EPOLL_CTL_DEL, f->fd, NULL);
	/* <f> may be freed now, and may still stand in this turn's events */
	for (int i = 0; i < loop->event_count; i++)
		if (loop->events[i].data.ptr == f)
			loop->events[i].data.ptr = NULL;
}

void loop_timer_init(struct loop_timer *t, loop_timer_fn fn, void *arg)
{
	*t = (struct loop_timer){.fn = fn, .arg = arg};
	list_init(&t->link);
}

void loop_timer_set(struct loop *loop, struct loop_timer *t, uint64_t delay_us)
{
	struct list *after;

	list_del(&t->link);
	t->at_us = clock_mono_us() + delay_us;
	for (after = loop->timers.prev; after != &loop->timers; after = after->prev)
		if (list_entry(after, struct loop_timer, link)->at_us <= t->at_us)
			break;
	list_add_head(after, &t->link);
}

void loop_timer_stop(struct loop_timer *t)
{
	list_del(&t->link);
}

bool loop_timer_is_set(const struct loop_timer *t)
{
	return list_is_linked(&t->link);
}

/* The timerfd wakes us at the soonest timer; a time in the past wakes at once. */
static void timerfd_arm(struct loop *loop)
{
	struct itimerspec its = {0};

	if (!list_is_empty(&loop->timers)) {
		uint64_t at = list_entry(loop->timers.next, struct loop_timer, link)->at_us;

		its.it_value.tv_sec = (time_t)(at / 1000000);
		its.it_value.tv_nsec = (long)(at % 1000000) * 1000;
	}
	timerfd_settime(loop->timer.fd, TFD_TIMER_ABSTIME, &its, NULL);
}

static void timers_run(struct loop *loop)
{
	uint64_t now = clock_mono_us();

	while (!list_is_empty(&loop->timers) && !loop->stop) {
		struct loop_timer *t = list_entry(loop->timers.next, struct loop_timer, link);

		/* what a callback arms now is due later than <now>, so this ends */
		if (t->at_us >= now)
			break;
		list_del(&t->link);
		t->fn(t->arg);
	}
}

static void fds_run(struct loop *loop)
{
	for (int i = 0; i < loop->event_count && !loop->stop; i++) {
		struct loop_fd *f = loop->events[i].data.ptr;

		if (f != NULL)
			f->fn(f->arg, loop->events[i].events);
	}
	loop->event_count = 0;
}

int loop_run(struct loop *loop)
{
	loop->stop = false;
	while (!loop->stop) {
		int n;

		timerfd_arm(loop);
		n = epoll_wait(loop->epfd, loop->events, LOOP_EVENTS_MAX, -1);
		if (n < 0 && errno != EINTR)
			return -errno;
		loop->event_count = n > 0 ? n : 0;
		fds_run(loop);
		timers_run(loop);
	}
	return 0;
}

static void on_signalfd(void *arg, uint32_t events)
{
	struct loop *loop = arg;
	struct signalfd_siginfo si;

	while (read(loop->signals.fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		loop->signal_fn(loop->signal_arg, (int)si.ssi_signo);
}

int loop_signals(struct loop *loop, const sigset_t *set, loop_signal_fn fn, void *arg,
	struct err *err)
{
	bug_on(loop->signals.fd >= 0);
	if (sigprocmask(SIG_BLOCK, set, NULL) < 0)
		return err_set(err, errno, "sigprocmask: %s", strerror(errno));
	loop->signal_fn = fn;
	loop->signal_arg = arg;
	loop->signals = (struct loop_fd){
		.fd = signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC),
		.fn = on_signalfd,
		.arg = loop,
	};
	if (loop->signals.fd < 0)
		return err_set(err, errno, "signalfd: %s", strerror(errno));
	return loop_fd_add(loop, &loop->signals, EPOLLIN, err);
}
