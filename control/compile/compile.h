// SPDX-License-Identifier: Apache-2.0
/*
 * compile.h: from the plan to what the dataplane is told.
 *
 * Pure: equal plans give equal configurations. Ids are hashes of names (object_id()), so that
 * counters, pools and weighted sequences survive every change that keeps an object's name: a
 * listener is (cluster, namespace, gateway, listener), a rule (cluster, namespace, route, name or
 * index), a backend its rule and what it points to, an endpoint (cluster, address, port).
 */
#pragma once

#include "control/reconcile/plan.h"
#include "dataplane/base/arena.h"
#include "dataplane/snapshot/build.h"

/* Everything in *ret lives in <arena> or in <plan>. */
void compile_plan(const struct plan *plan, uint64_t generation, struct arena *arena,
	struct build_config *ret);
