// SPDX-License-Identifier: Apache-2.0
/*
 * drain.h: a cluster that is to drain loses its share step by step, and gets it back so.
 *
 * What the registry says is where it goes; plans are made from the list that is given out here, in
 * which `withheld` lies somewhere between. A step is small enough for the others to keep up with,
 * and the next one comes DRAIN_STEP_US later. Weights of operators act at once, and so does "disabled".
 * The caller has the clock. How far drains are outlives the process (drain_file.c), so the next one
 * goes on from there.
 */
#pragma once

#include "control/clusters/clusters.h"

#define DRAIN_STEP_US 100000u

#define DRAIN_NAME_MAX 63u
#define DRAINS_KEPT_MAX CLUSTERS_MAX

/* A cluster of a former life that has not been seen in this one. */
struct drain_kept {
	char name[DRAIN_NAME_MAX + 1];
	uint16_t withheld;
};

struct drains {
	struct clusters *now; /* held; NULL: nothing was given out yet */
	struct drain_kept kept[DRAINS_KEPT_MAX];
	uint32_t kept_count;
	char *path;	/* owned; NULL: nothing is kept */
	uint32_t saved; /* checksum of what the file holds */
	bool is_saved, is_warned;
};

/* What the file says; without one, and when it is damaged (logged), nothing. */
void drains_open(struct drains *r, const char *path);
/* If anything has moved since. A failure is logged, once. */
void drains_save(struct drains *r);

void drains_fini(struct drains *r);
/*
 * The list for plans: that of <target>, one step further than before where they differ. Clusters
 * that were not there, nor in the former life, are where they shall be. The same pointer as before when nothing has changed;
 * borrowed until the next call. *ret_moving: another step is needed.
 */
struct clusters *drains_step(struct drains *r, const struct clusters *target, uint32_t points_per_s,
	bool *ret_moving);
/* The same without a step; of clusters that are on their way everything else is as in <target>. */
struct clusters *drains_take(struct drains *r, const struct clusters *target, bool *ret_moving);
