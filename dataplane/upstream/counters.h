// SPDX-License-Identifier: Apache-2.0
/*
 * counters.h: what is counted per listener, rule, backend and endpoint (table: counters.def).
 *
 * One array per scope and worker, indexed by run-time slot then by counter. Single writer: the
 * worker; the agent reads relaxed and sums. A row begins a cache line that has room for the first
 * COUNTERS_FIRST_LINE of them: what a good request touches, so that with thousands of rules it
 * costs one line of each object.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

enum counter_scope {
	COUNTER_LISTENER = 0,
	COUNTER_RULE,
	COUNTER_BACKEND,
	COUNTER_ENDPOINT,
	COUNTER_SCOPE_COUNT
};

enum {
#define LISTENER_COUNTER(NAME, name, help) COUNTER_LISTENER_##NAME,
#include "dataplane/upstream/counters.def"
	COUNTER_LISTENER_COUNT
};
enum {
#define RULE_COUNTER(NAME, name, help) COUNTER_RULE_##NAME,
#include "dataplane/upstream/counters.def"
	COUNTER_RULE_COUNT
};
enum {
#define BACKEND_COUNTER(NAME, name, help) COUNTER_BACKEND_##NAME,
#include "dataplane/upstream/counters.def"
	COUNTER_BACKEND_COUNT
};
enum {
#define ENDPOINT_COUNTER(NAME, name, help) COUNTER_ENDPOINT_##NAME,
#include "dataplane/upstream/counters.def"
	COUNTER_ENDPOINT_COUNT
};

#define COUNTERS_FIRST_LINE 7u
static_assert(COUNTER_LISTENER_REQUESTS < COUNTERS_FIRST_LINE &&
		COUNTER_LISTENER_STATUS_2XX < COUNTERS_FIRST_LINE &&
		COUNTER_LISTENER_TIME_US < COUNTERS_FIRST_LINE &&
		COUNTER_LISTENER_BYTES_IN < COUNTERS_FIRST_LINE &&
		COUNTER_LISTENER_BYTES_OUT < COUNTERS_FIRST_LINE,
	"listener");
static_assert(COUNTER_RULE_REQUESTS < COUNTERS_FIRST_LINE &&
		COUNTER_RULE_STATUS_2XX < COUNTERS_FIRST_LINE &&
		COUNTER_RULE_TIME_US < COUNTERS_FIRST_LINE,
	"rule");
static_assert(COUNTER_BACKEND_PICKS < COUNTERS_FIRST_LINE &&
		COUNTER_BACKEND_REQUESTS < COUNTERS_FIRST_LINE &&
		COUNTER_BACKEND_STATUS_2XX < COUNTERS_FIRST_LINE &&
		COUNTER_BACKEND_TIME_US < COUNTERS_FIRST_LINE,
	"backend");
static_assert(COUNTER_ENDPOINT_REQUESTS < COUNTERS_FIRST_LINE &&
		COUNTER_ENDPOINT_BYTES_IN < COUNTERS_FIRST_LINE &&
		COUNTER_ENDPOINT_BYTES_OUT < COUNTERS_FIRST_LINE &&
		COUNTER_ENDPOINT_FIRST_BYTE_US < COUNTERS_FIRST_LINE,
	"endpoint");

/* How many counters and slots a scope has; its name ("listener", ...); a counter's name and text. */
unsigned counter_count(enum counter_scope scope);
uint32_t counter_slots(enum counter_scope scope);
const char *counter_scope_name(enum counter_scope scope);
const char *counter_name(enum counter_scope scope, unsigned i);
const char *counter_help(enum counter_scope scope, unsigned i);

/* The only way to write a counter: a plain store that another thread may read at any time. */
static inline void counter_add(uint64_t *c, uint64_t n)
{
	__atomic_store_n(c, *c + n, __ATOMIC_RELAXED);
}
