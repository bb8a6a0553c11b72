// SPDX-License-Identifier: Apache-2.0
/*
 * inspect.h: what the files behind agent_inspect.h share.
 *
 *	inspect.c		the table of verbs, slots, time
 *	inspect_counters.c	counters
 *	inspect_endpoints.c	endpoints
 *	inspect_health.c	of endpoints
 *	inspect_load.c		load
 *	inspect_shares.c	endpoints: the factors of the traffic formula
 *	inspect_workers.c	conns, workers, neighbours
 *	inspect_trace.c		trace
 */
#pragma once

#include "dataplane/agent/agent_state.h"
#include "dataplane/upstream/counters.h"
#include "dataplane/worker/worker.h"

#define INSPECT_CALL_US 100000u /* a worker that takes longer hangs, or nearly */
#define INSPECT_SLICE 256u	/* objects or connections of one step */

/* What a worker had done when its load was asked for last. */
struct inspect_load {
	uint64_t at_us, working, empty, nap_us;
};

struct inspect {
	struct worker_group *g; /* borrowed */
	/* What a slot had counted when it was given to its present id: [slot * count + counter]. */
	uint64_t *zero[COUNTER_SCOPE_COUNT]; /* owned, NULL until the first slot is given anew */
	uint64_t turns[WORKERS_MAX], turn_us[WORKERS_MAX]; /* last seen, and since when */
	struct inspect_load load[WORKERS_MAX];
	uint64_t trace_end_us; /* 0: no trace is on */
};

bool inspect_counters(struct agent *a, void *ctx, struct agent_query *q);
bool inspect_endpoints(struct agent *a, void *ctx, struct agent_query *q);
bool inspect_load(struct agent *a, void *ctx, struct agent_query *q);
bool inspect_conns(struct agent *a, void *ctx, struct agent_query *q);
bool inspect_workers(struct agent *a, void *ctx, struct agent_query *q);
bool inspect_neighbours(struct agent *a, void *ctx, struct agent_query *q);
bool inspect_trace(struct agent *a, void *ctx, struct agent_query *q);
void inspect_trace_stop(struct inspect *in);

/* What is thought of the endpoint; null: nothing yet. Whom we suspect, if anybody. */
json_t *inspect_health(const struct agent *a, uint64_t id, uint32_t slot);
json_t *inspect_suspicion(const struct agent *a);
/* Of a service: policy, priorities, clusters. */
json_t *inspect_service_shares(const struct derive_service *d);
/* Of endpoint <at>: verdict, slow start, share. */
void inspect_endpoint_health(const struct agent *a, const struct endpoint_set *set,
	const struct derive_service *d, uint32_t at, json_t *to);
/* Rules with failover and what their backends get. */
json_t *inspect_failover(const struct live *l);

/* Sum over all workers of one counter of one object, since the slot was given to it. */
uint64_t inspect_object_counter(const struct inspect *in, enum counter_scope scope, uint32_t slot,
	unsigned counter);
/* Ends the query with a sentence. */
bool inspect_fail(struct agent_query *q, enum message_result status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The argument <name>: absent is <fallback>; false: it is no number in [0, max], the query ended. */
bool inspect_number(struct agent_query *q, const char *name, uint64_t fallback, uint64_t max,
	uint64_t *ret);
json_t *inspect_addr(const struct ip_addr *a);
/* "192.0.2.1:80", "[2001:db8::1]:80" */
json_t *inspect_addr_port(const struct ip_addr *a, uint16_t port);
