// SPDX-License-Identifier: Apache-2.0
/*
 * upstream.h: the upper half of HTTP, from a request to an endpoint and back.
 *
 * Owns exchanges (one request paired with one upstream connection), the pools of idle upstream
 * connections, passive health, weighted sequences and the counters of listeners, rules, backends
 * and endpoints. All of that is kept in arrays by run-time slot (snapshot/config.h), so it
 * survives configurations; nothing here holds a pointer into a configuration beyond one turn.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/rng.h"
#include "dataplane/snapshot/config.h"
#include "dataplane/upstream/counters.h"

struct http;
struct upstream;

struct upstream_config {
	uint32_t worker, workers;	/* this worker's number, and how many there are */
	uint32_t exchanges_max;		/* requests in flight */
	uint32_t idle_per_endpoint_max;	/* pooled connections per endpoint */
	uint32_t eject_failures;	/* consecutive failures that eject; a refused connect: at once */
	uint32_t eject_base_us;		/* 10 s x times ejected in a row */
	uint32_t eject_max_us;		/* 300 s */
};
void upstream_config_default(struct upstream_config *cfg);

/* <h> is borrowed and outlives the struct upstream. */
struct upstream *upstream_new(const struct upstream_config *cfg, struct http *h, struct rng *rng,
	uint64_t now_us);
/* Exchanges in flight are given up (outcome STOPPED), pooled connections closed. */
void upstream_free(struct upstream *u);

/* Called by the loop after http_input(). <cfg> NULL: no configuration yet, requests get 503. */
void upstream_run(struct upstream *u, const struct config *cfg, uint64_t now_us);

/*
 * Counters of one object by its slot (counters.def), single writer, read relaxed by the agent.
 * They belong to the slot: the agent takes the difference when it gives a slot to another id.
 */
const uint64_t *upstream_counters(const struct upstream *u, enum counter_scope scope, uint32_t slot);

/* This worker's verdict on an endpoint, read relaxed by the agent. */
struct upstream_endpoint_state {
	uint64_t endpoint_id;		/* 0: never used by this worker */
	uint64_t ejected_until_us;	/* 0: not ejected */
	uint32_t in_flight, idle;
	uint32_t failures;		/* consecutive */
};
void upstream_endpoint_state(const struct upstream *u, uint32_t slot,
	struct upstream_endpoint_state *ret);
