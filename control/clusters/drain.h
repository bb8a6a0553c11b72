// SPDX-License-Identifier: Apache-2.0
/*
 * drain.h: a cluster that is to drain loses its share step by step, and gets it back so.
 *
 * What the registry says is where it goes; plans are made from the list that is given out here, in
 * which `withheld` lies somewhere between. A step is small enough for the others to keep up with,
 * and the next one comes DRAIN_STEP_US later. Weights of operators act at once, and so does "disabled".
 * Pure: the caller has the clock.
 */
#pragma once

#include "control/clusters/clusters.h"

#define DRAIN_STEP_US 100000u

struct drains {
	struct clusters *now; /* held; NULL: nothing was given out yet */
};

void drains_fini(struct drains *r);
/*
 * The list for plans: that of <target>, one step further than before where they differ. Clusters
 * that were not there are where they shall be. The same pointer as before when nothing has changed;
 * borrowed until the next call. *ret_moving: another step is needed.
 */
struct clusters *drains_step(struct drains *r, const struct clusters *target, uint32_t points_per_s,
	bool *ret_moving);
/* The same without a step; of clusters that are on their way everything else is as in <target>. */
struct clusters *drains_take(struct drains *r, const struct clusters *target, bool *ret_moving);
