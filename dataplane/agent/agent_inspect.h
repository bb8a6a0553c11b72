// SPDX-License-Identifier: Apache-2.0
/*
 * agent_inspect.h: how the agent looks into real workers (verbs: agent.h).
 *
 * Counters are read relaxed while the workers write them. Everything else is asked for on the
 * worker's own lcore with worker_call(), in slices that a worker runs between two packets; a worker
 * that does not answer in time is left out and named.
 */
#pragma once

struct agent_ops;
struct worker_group;

/* For agent_start(). One group per process. */
const struct agent_ops *agent_ops(struct worker_group *g);
