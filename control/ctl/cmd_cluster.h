// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_cluster.h: the verbs of sluicectl cluster that have a file of their own.
 */
#pragma once

#include "control/ctl/ctl.h"

int cluster_drain(struct ctl *c);
