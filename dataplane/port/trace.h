// SPDX-License-Identifier: Apache-2.0
/*
 * trace.h: one packet's walk through the stages, as text.
 *
 * A worker owns a struct trace: a filter and a ring of lines. While no filter is set nothing here
 * costs more than a test of one bit of pkt.flags. The IP layer marks packets that match
 * (PKT_TRACED); every stage that has something to say about a marked packet says it beside its own
 * code with trace_pkt(), so a walk reads in the order of the stages. What concerns a connection and
 * not a packet uses trace_flow(). The agent drains the ring; a full ring loses lines and counts
 * them.
 *
 *	trace_pkt(m, "tcp", "%s -> %s ack=%u", from, to, ack);
 *	-> 12.345678 w0 tcp SYN_RECEIVED -> ESTABLISHED ack=1
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/ip.h"
#include "dataplane/port/mbufq.h"

#define TRACE_LINES 1024u   /* of one worker; power of two */
#define TRACE_LINE_MAX 192u /* bytes, NUL included; longer lines are cut */

struct trace_filter {
	bool on;
	struct ip_net net; /* either end of the flow; length 0: any */
	uint16_t port;	   /* of that same end, host order; 0: any */
};

struct trace {
	struct trace_filter filter; /* worker: rw; set it by worker_call() */
	unsigned worker;
	uint64_t now_us;		/* of the turn; the worker's loop writes it */
	_Atomic uint64_t written, read; /* lines; worker writes one, agent the other */
	uint64_t lost;			/* ring full */
	char lines[TRACE_LINES][TRACE_LINE_MAX];
};

/* This thread's trace; NULL in threads that are no workers, where tracing is a cheap no. */
extern __thread struct trace *trace_self;

struct trace *trace_new(unsigned worker);
void trace_free(struct trace *t);
/* Agent: the oldest line into <buf> (TRACE_LINE_MAX bytes); false: none. */
bool trace_take(struct trace *t, char *buf);

/* True: the filter wants packets between these ends. */
bool trace_match(const struct ip_addr *src, uint16_t src_port, const struct ip_addr *dst,
	uint16_t dst_port);
void trace_emit(const char *stage, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline bool trace_is_on(void)
{
	return unlikely(trace_self != NULL && trace_self->filter.on);
}

#define trace_pkt(m, stage, ...) \
	do { \
		if (unlikely(pkt_of(m)->flags & PKT_TRACED)) \
			trace_emit(stage, __VA_ARGS__); \
	} while (0)

/* For layers that hold connections: <local> and <remote> are struct ip_addr pointers. */
#define trace_flow(local, local_port, remote, remote_port, stage, ...) \
	do { \
		if (trace_is_on() && trace_match(local, local_port, remote, remote_port)) \
			trace_emit(stage, __VA_ARGS__); \
	} while (0)
