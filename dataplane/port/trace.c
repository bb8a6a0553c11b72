// SPDX-License-Identifier: Apache-2.0
/*
 * trace.c: the ring of lines between one worker and the agent.
 *
 * Single producer, single consumer: <written> is stored by the worker after the line is complete,
 * <read> by the agent after the line was copied out; neither waits for the other.
 */
#include "dataplane/port/trace.h"

#include <stdarg.h>
#include <stdio.h>

__thread struct trace *trace_self;

struct trace *trace_new(unsigned worker)
{
	struct trace *t = calloc(1, sizeof(*t));

	bug_on(t == NULL);
	t->worker = worker;
	return t;
}

void trace_free(struct trace *t)
{
	free(t);
}

bool trace_take(struct trace *t, char *buf)
{
	uint64_t r = atomic_load_explicit(&t->read, memory_order_relaxed);

	if (r == atomic_load_explicit(&t->written, memory_order_acquire))
		return false;
	memcpy(buf, t->lines[r % TRACE_LINES], TRACE_LINE_MAX);
	atomic_store_explicit(&t->read, r + 1, memory_order_release);
	return true;
}

static bool end_matches(const struct trace_filter *f, const struct ip_addr *a, uint16_t port)
{
	return (f->port == 0 || f->port == port) &&
		(f->net.len == 0 || ip_net_contains(&f->net, a));
}

bool trace_match(const struct ip_addr *src, uint16_t src_port, const struct ip_addr *dst,
	uint16_t dst_port)
{
	const struct trace_filter *f = &trace_self->filter;

	return end_matches(f, src, src_port) || end_matches(f, dst, dst_port);
}

void trace_emit(const char *stage, const char *fmt, ...)
{
	struct trace *t = trace_self;
	uint64_t w;
	char *line;
	int n;
	va_list ap;

	if (t == NULL)
		return;
	w = atomic_load_explicit(&t->written, memory_order_relaxed);
	if (w - atomic_load_explicit(&t->read, memory_order_acquire) >= TRACE_LINES) {
		t->lost++;
		return;
	}
	line = t->lines[w % TRACE_LINES];
	n = snprintf(line, TRACE_LINE_MAX, "%lu.%06lu w%u %s ", t->now_us / 1000000,
		t->now_us % 1000000, t->worker, stage);
	va_start(ap, fmt);
	vsnprintf(line + n, TRACE_LINE_MAX - (size_t)n, fmt, ap);
	va_end(ap);
	atomic_store_explicit(&t->written, w + 1, memory_order_release);
}
