// SPDX-License-Identifier: Apache-2.0
/*
 * reclaim.h: what must wait until every worker has passed a quiescent point.
 *
 * Workers read configurations without locks. After a pointer was swapped the old object is kept
 * until each worker has reported a quiescent point that began after the swap (rte_rcu_qsbr). An
 * acknowledgement waits in the same line: a change has arrived when the last worker has it.
 * Nothing here blocks; a worker that hangs only makes the line longer, up to its bound.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_rcu_qsbr.h>

#include "dataplane/base/list.h"

#define RECLAIM_ITEMS_MAX 8192u	 /* small objects and acknowledgements in the line */
#define RECLAIM_LARGE_MAX 4u	 /* whole configurations in the line */
#define RECLAIM_LATE_US 1000000u /* a worker needs microseconds; after this one hangs */

/* Runs when the item's turn has come; <late>: not yet, but RECLAIM_LATE_US are over. */
typedef void (*reclaim_fn)(void *ctx, void *obj, bool late);

struct reclaim {
	struct rte_rcu_qsbr *qsbr; /* borrowed */
	void *ctx;
	struct list line; /* oldest first; its end has no token yet */
	unsigned count, large;
};

void reclaim_init(struct reclaim *r, struct rte_rcu_qsbr *qsbr, void *ctx);
/* True: there is room for <items> more. */
bool reclaim_has_room(const struct reclaim *r, unsigned items, bool large);
/* <fn>(ctx, obj, false) once; with <tell_late> also <fn>(ctx, obj, true) before, when it is late. */
void reclaim_add(struct reclaim *r, reclaim_fn fn, void *obj, bool large, bool tell_late,
	uint64_t now_us);
/* Everything added so far waits for quiescent points that begin now. */
void reclaim_commit(struct reclaim *r);
/* Runs what is due. */
void reclaim_run(struct reclaim *r, uint64_t now_us);
/* Runs everything: no worker exists any more. */
void reclaim_drain(struct reclaim *r);
static inline bool reclaim_is_empty(const struct reclaim *r)
{
	return r->count == 0;
}
