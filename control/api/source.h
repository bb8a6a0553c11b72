// SPDX-License-Identifier: Apache-2.0
/*
 * source.h: what the API shows: the present state of control, borrowed for one call.
 *
 * The composition root fills it before each turn in which a handler may run; handlers run on the
 * loop's thread and keep nothing of it across a wait.
 */
#pragma once

#include <stdint.h>

#include "control/clusters/registry.h"
#include "control/config/config.h"
#include "control/federate/federate.h"
#include "control/publish/publish.h"
#include "control/reconcile/plan.h"
#include "control/sources/sources.h"
#include "control/status/status.h"
#include "dataplane/snapshot/build.h"

struct api_source {
	const struct control_config *config;
	const char *config_path;
	const struct plan *plan;	     /* NULL before the first turn */
	const struct build_config *compiled; /* of that plan; NULL as long as there is none */
	struct publish *publish;
	struct registry *registry;     /* handlers may change it, and call on_clusters() then */
	const struct sources *sources; /* NULL in tests without any */
	const struct status *status;   /* the same */
	struct federate *federate;     /* the same */
	void (*on_clusters)(void *arg);
	void *on_clusters_arg;
	const char *compile_error; /* why <compiled> is not published; "" */
	int64_t started_s;	   /* seconds since 1970 */
	uint64_t turns, turn_us;   /* plans made, time spent on them */
	uint64_t publishes[3];	   /* by enum publish_kind */
	uint64_t publish_errors;
};
