// SPDX-License-Identifier: Apache-2.0
/*
 * loop.h: the one thread of sluice-control: descriptors, timers, signals.
 *
 * Everything in control that holds state runs on this loop, so nothing there needs a lock.
 * Callbacks are handed storage that belongs to the caller; a callback may remove any descriptor
 * or timer, its own included. Libraries with threads of their own (nng) wake the loop through an
 * eventfd that they add like any descriptor.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/list.h"

struct loop;

typedef void (*loop_fd_fn)(void *arg, uint32_t events); /* EPOLLIN, ... */
typedef void (*loop_timer_fn)(void *arg);
typedef void (*loop_signal_fn)(void *arg, int signo);

struct loop_fd {
	int fd; /* borrowed: the owner closes it after loop_fd_remove() */
	loop_fd_fn fn;
	void *arg;
	bool active; /* loop: rw */
};

struct loop_timer {
	loop_timer_fn fn;
	void *arg;
	uint64_t at_us;	  /* clock_mono_us() at which it is due */
	struct list link; /* loop: rw; on no list while not armed */
};

int loop_new(struct loop **ret_loop, struct err *err);
void loop_free(struct loop *loop);
/* Until loop_stop(); 0, or a negative errno when the kernel fails us. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

int loop_fd_add(struct loop *loop, struct loop_fd *f, uint32_t events, struct err *err);
void loop_fd_remove(struct loop *loop, struct loop_fd *f);

void loop_timer_init(struct loop_timer *t, loop_timer_fn fn, void *arg);
/* Arms, or moves, to <delay_us> from now; 0: at the next turn, never from within this call. */
void loop_timer_set(struct loop *loop, struct loop_timer *t, uint64_t delay_us);
void loop_timer_stop(struct loop_timer *t);
bool loop_timer_is_set(const struct loop_timer *t);

/*
 * Blocks the signals of <set> for this thread and all threads it starts later, and delivers them
 * to <fn> on the loop. Call it before any thread is started.
 */
int loop_signals(struct loop *loop, const sigset_t *set, loop_signal_fn fn, void *arg,
	struct err *err);
