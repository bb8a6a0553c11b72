// SPDX-License-Identifier: Apache-2.0
/*
 * eal_start.h: DPDK's environment, with the arguments that a user should not have to know.
 */
#pragma once

#include <sched.h>

#include "dataplane/base/err.h"

struct gateway_config;

/*
 * Starts EAL: lcore 0 is the main thread on all CPUs the process may use, worker i is lcore i + 1.
 * <mtu>: of the largest port, for the size of the packet pools. *ret_cpus: where threads that are
 * no workers shall run.
 */
int eal_start(const struct gateway_config *c, unsigned mtu, cpu_set_t *ret_cpus, struct err *err);
