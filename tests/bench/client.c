// SPDX-License-Identifier: Apache-2.0
/*
 * client.c: the client's run: pacing, phases, percentiles; see client.h.
 *
 * Closed loop: a connection sends its next request when the answer to the last one is complete (and,
 * with a connection per request, the other side has closed it). Open loop: request i is due at
 * start + i / rate, whatever happened to those before; its latency counts from then, also when no
 * connection was free to send it (no coordinated omission).
 */
#include "tests/bench/client_conn.h"

#include <stdlib.h>
#include <string.h>

#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 256

struct client_run me;
static volatile sig_atomic_t stopped;

void client_stop(void)
{
	stopped = 1;
}

uint64_t client_errors(const struct client_result *r)
{
	return r->failed_connect + r->failed_status + r->failed_length + r->failed_content +
		r->failed_reset + r->failed_timeout;
}

static uint64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* -- the run --------------------------------------------------------------------------------- */

static void events_wait(void)
{
	struct epoll_event ev[EVENTS];
	struct timespec t = {.tv_nsec = TICK_US * 1000};
	int n;

	if (me.cfg->rate > 0 && !me.over && me.ready_head != me.ready_tail) {
		uint64_t due = due_us(me.sent);
		uint64_t left = due > me.now_us ? due - me.now_us : 0;

		t.tv_nsec = (long)(left < TICK_US ? left : TICK_US) * 1000;
	}
	n = epoll_pwait2(me.ep, ev, EVENTS, &t, NULL);
	me.now_us = clock_us();
	for (int i = 0; i < n; i++) {
		conn_event(ev[i].data.ptr, ev[i].events);
		if (i % 16 == 15)
			me.now_us = clock_us();
	}
}

static void turns_until(uint64_t end_us)
{
	while (me.now_us < end_us && !stopped) {
		ready_run();
		events_wait();
		conns_tick();
	}
}

static bool anything_open(void)
{
	for (unsigned i = 0; i < me.cfg->conns; i++)
		if (me.conns[i].state > IDLE)
			return true;
	return false;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static uint64_t percentile(double p)
{
	uint64_t want = (uint64_t)((double)me.res->requests * p), sum = 0;

	for (uint64_t i = 0; i < CLIENT_HIST; i++)
		if ((sum += me.hist[i]) > want)
			return i;
	return 0;
}

static void measure(void (*mark)(const char *what))
{
	uint64_t begin;
	double cpu;

	me.now_us = begin = clock_us();
	cpu = cpu_seconds();
	me.measuring = true;
	mark("begin");
	turns_until(begin + (uint64_t)(me.cfg->duration_s * 1e6));
	me.measuring = false;
	mark("end");
	me.res->seconds = (double)(me.now_us - begin) / 1e6;
	me.res->busy = (cpu_seconds() - cpu) / me.res->seconds;
	if (me.cfg->rate > 0) {
		uint64_t owed = (uint64_t)((double)(me.now_us - me.start_us) * me.cfg->rate / 1e6);

		me.res->unsent = owed > me.sent ? owed - me.sent : 0;
	}
}

static void run_begin(const struct client_config *cfg, struct client_result *ret)
{
	memset(ret, 0, sizeof(*ret));
	me.cfg = cfg;
	me.res = ret;
	me.seed = 0x9e3779b97f4a7c15;
	me.conns = calloc(cfg->conns, sizeof(*me.conns));
	me.ready = calloc(CLIENT_CONNS_MAX, sizeof(struct conn *));
	me.hist = calloc(CLIENT_HIST, sizeof(*me.hist));
	me.buf = malloc(READ_BYTES);
	me.pattern = malloc(READ_BYTES + CLIENT_PATTERN);
	me.ep = epoll_create1(EPOLL_CLOEXEC);
	if (!me.conns || !me.ready || !me.hist || !me.buf || !me.pattern || me.ep < 0)
		abort();
	for (unsigned i = 0; i < READ_BYTES + CLIENT_PATTERN; i++)
		me.pattern[i] = "0123456789abcdefghijklmnopqrstuvwxyz"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[i % CLIENT_PATTERN];
	requests_make();
	prctl(PR_SET_TIMERSLACK, 1);
}

static void run_end(void)
{
	for (unsigned i = 0; i < me.cfg->conns; i++)
		if (me.conns[i].state >= CONNECTING)
			close(me.conns[i].fd);
	close(me.ep);
	requests_free();
	free(me.conns);
	free(me.ready);
	free(me.hist);
	free(me.buf);
	free(me.pattern);
}

bool client_run(const struct client_config *cfg, void (*mark)(const char *what),
	struct client_result *ret)
{
	uint64_t grace;

	run_begin(cfg, ret);
	me.now_us = me.start_us = clock_us();
	for (unsigned i = 0; i < cfg->conns; i++) {
		struct conn *c = &me.conns[i];

		c->closing = cfg->close || (cfg->mixed && i % 10 == 0);
		if (c->closing)
			conn_ready(c);
		else
			conn_open(c);
	}
	turns_until(me.start_us + (uint64_t)(cfg->warmup_s * 1e6));
	measure(mark);
	me.over = true;
	grace = me.now_us + CLIENT_PATIENCE_S * 1000000ull;
	while (anything_open() && me.now_us < grace && !stopped) {
		events_wait();
		conns_tick();
	}
	for (unsigned i = 0; i < cfg->conns && !stopped; i++)
		ret->failed_timeout += me.conns[i].state == HEAD || me.conns[i].state == BODY;
	ret->p50_us = percentile(.5);
	ret->p99_us = percentile(.99);
	ret->p999_us = percentile(.999);
	run_end();
	return me.good > 0;
}
