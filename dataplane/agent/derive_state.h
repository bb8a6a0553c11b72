// SPDX-License-Identifier: Apache-2.0
/*
 * derive_state.h: what derive.c (when, and what is published) calls in derive_state.c (what follows
 * from what is known) and derive_slow.c (endpoints on their way up).
 */
#pragma once

#include "dataplane/agent/derive.h"
#include "dataplane/agent/live.h"

/* The set that is published; the agent may write its shares. */
struct endpoint_set *derive_set(const struct live *l, uint32_t service);

/* The state of the same service before, and its set; NULL: nobody knew it. */
const struct derive_service *derive_memory(const struct live_context *c, const struct live *l,
	uint32_t service, const struct endpoint_set **ret_set);
struct derive_service *derive_service_new(const struct live_context *c,
	const struct endpoint_set *set, const struct message_cluster *clusters, uint32_t count,
	const struct build_policy *policy);
void derive_service_adopt(struct derive_service *d, const struct derive_service *old);
void derive_service_free(struct derive_service *d);
void derive_service_solve(const struct live_context *c, const struct endpoint_set *set,
	struct derive_service *d);
void derive_service_step(const struct live_context *c, struct derive_service *d);
bool derive_service_is_running(const struct derive_service *d);

struct derive_rule *derive_rule_new(const struct live_context *c, const struct live *l,
	uint32_t rule);
void derive_rule_solve(const struct live *l, struct derive_rule *r);
/* All its backends can take what control gave them. */
bool derive_rule_is_base(const struct derive_rule *r);

/* Is the verdict on one of its endpoints dirty? Those that are usable again begin slowly. */
bool derive_set_is_dirty(struct live_context *c, const struct endpoint_set *set,
	const struct derive_service *d, uint64_t now_us);
void derive_dirty_clear(struct live_context *c);
/* Endpoints of <set> that are not in <old> begin slowly. */
void derive_slow_start_new(struct live_context *c, const struct endpoint_set *set,
	const struct endpoint_set *old, uint32_t window_ms, uint64_t now_us);
void derive_slow_step(struct live_context *c, uint64_t now_us);
