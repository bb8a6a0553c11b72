// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_cluster.h: the verbs of sluicectl cluster that have a file of their own.
 */
#pragma once

#include "control/ctl/ctl.h"

int cluster_drain(struct ctl *c);
int cluster_undrain(struct ctl *c);

/* cmd_weight.c: what a drain shares with weights: both are orders, at all sites or at this one. */
const char *weight_actor(void);
/* <body> is taken over. False: what went wrong was said. *ret: the answer, the caller's. */
bool weight_call(struct ctl *c, const char *method, const char *cluster, bool local, json_t *body,
	json_t **ret);
