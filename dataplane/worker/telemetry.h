// SPDX-License-Identifier: Apache-2.0
/*
 * telemetry.h: the workers' counters by DPDK's telemetry socket, for dpdk-telemetry.py and whatever
 * else speaks with it.
 *
 *	/sluice/workers                numbers of the workers
 *	/sluice/cycles,W               where worker W's cycles went: by stage of the loop (0 without
 *	                               profileStages), empty turns apart; packets and requests per turn
 *	/sluice/counters,W             the layers that count: "tcp", "port/wan", ...
 *	/sluice/counters,W,LAYER       what it has counted
 */
#pragma once

#include "dataplane/base/err.h"

struct worker_group;

/* Before anybody may ask; <g> until telemetry_stop(). Main thread. */
int telemetry_start(const struct worker_group *g, struct err *err);
/* Afterwards nobody looks at the group any more. */
void telemetry_stop(void);
