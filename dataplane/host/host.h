// SPDX-License-Identifier: Apache-2.0
/*
 * host.h: what stays with the kernel, and the thread that looks after it.
 *
 * The kernel keeps its addresses, routes, BGP and BFD sessions and SSH. One thread of ours
 *   - mirrors its links, addresses and routes into a struct fib and publishes that to the workers
 *     (mirror.c): whatever writes routes into the kernel's main table, BIRD above all, routes for
 *     the dataplane as well;
 *   - keeps VIP and source traffic away from the kernel on netdevs that both share (hide.c).
 *
 * On a tap port the kernel is the other side of the wire: its addresses there are our neighbour's,
 * and what it would send elsewhere we send to it, as to a router.
 */
#pragma once

#include "dataplane/base/err.h"

struct host;
struct worker_group;

/*
 * Publishes the first table before it returns, so that workers start with routes; then starts the
 * thread. Needs CAP_NET_ADMIN for hide.c where a port is shared. Blocks all signals in its thread.
 */
int host_start(struct worker_group *g, struct host **ret, struct err *err);
/* Ends the thread and takes its rules away. group->fib stays published; see host_free(). */
void host_stop(struct host *h);
/* After host_stop() and after the last worker has ended. */
void host_free(struct host *h);
