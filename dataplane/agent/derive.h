// SPDX-License-Identifier: Apache-2.0
/*
 * derive.h: from what control sent and what health says to the weights that workers use.
 *
 * Control's objects (endpoint sets, weight vectors) are the base and stay what they are: its digests
 * are theirs. From them and the health board follow, by the traffic formula (route/traffic.h), the
 * shares of clusters in each service and the weights of rules with failover; they are published
 * beside the base by swapping one pointer, only where they differ, once per turn of the agent
 * however many verdicts have changed. Everything here is the agent's thread's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/agent/ramp.h"
#include "dataplane/base/str.h"
#include "dataplane/snapshot/config.h"
#include "dataplane/snapshot/message.h"

#define DERIVE_STEP_US 100000u /* between steps of ramps and slow starts */

struct live;
struct live_context;

/* A cluster of a service: what is known of it, and what follows. */
struct derive_cluster {
	struct ramp_part part;
	struct str name;
	uint32_t unready;
	uint32_t place; /* in the set; SLOT_NONE: none of its endpoints is in it */
};

struct derive_service {
	struct traffic_policy policy;
	uint32_t step;		      /* of the ramp, millionths; 0: none */
	uint32_t slow_start_ms;	      /* 0: none */
	struct weight_vector *shares; /* owned; published; NULL: the set's own are */
	struct traffic result;	      /* of the newest solution */
	bool touched;		      /* in this run */
	char *text;		      /* owned: names */
	uint32_t count;
	struct derive_cluster c[]; /* at most TRAFFIC_MEMBERS_MAX */
};

/* A rule with failover. */
struct derive_rule {
	uint32_t rule; /* index in the image */
	struct traffic_policy policy;
	uint32_t step;
	const struct weight_vector *base; /* control's, borrowed */
	struct weight_vector *weights;	  /* owned; published; NULL: <base> is */
	struct traffic result;
	uint32_t count;
	struct ramp_part part[]; /* as the rule's backends */
};

/* An endpoint on its way up. */
struct derive_slow {
	uint64_t id, since_us;
	uint32_t slot, window_ms;
};

struct derive {
	uint64_t serial;			 /* of derived vectors */
	uint64_t dirty[SLOTS_ENDPOINT_MAX / 64]; /* a bit per slot: its verdict may have changed */
	uint8_t was[SLOTS_ENDPOINT_MAX];	 /* verdicts of the run before */
	struct derive_slow slow[SLOTS_ENDPOINT_MAX];
	uint32_t slow_count;
	uint16_t slow_at[SLOTS_ENDPOINT_MAX]; /* by slot: place in <slow>, + 1; 0: none */
	uint64_t step_us;		      /* of the newest step */
	bool any_dirty, pending, running, frozen;
	uint64_t published; /* vectors, for counters and tests */
};

/*
 * The hooks of health: the verdict on the board for <slot> has changed; we suspect ourselves, or no
 * longer do (remote ramps rest). Both act with the next derive_run().
 */
void live_health_changed(struct live_context *c, uint32_t slot);
void live_health_frozen(struct live_context *c, bool frozen);

/* Once per turn of the agent: does what is due. Never waits. */
void derive_run(struct live_context *c, uint64_t now_us);
/* Something goes on by itself: derive_run() wants to be called every DERIVE_STEP_US. */
bool derive_is_running(const struct live_context *c);

/*
 * For swap.c and live.c. <set> is new for service <service> of <l> and not published yet; what is
 * known of clusters comes with it. Memory of ramps is taken over from <l> or from the configuration
 * in use.
 */
void derive_service_set(struct live_context *c, struct live *l, uint32_t service,
	struct endpoint_set *set, const struct message_cluster *clusters, uint32_t count,
	uint64_t now_us);
/* <base> is new for rule <rule>; published, or what follows from it. */
void derive_rule_set(struct live_context *c, struct live *l, uint32_t rule,
	const struct weight_vector *base, uint64_t now_us);
/* Rules that have failover in the image of <l>, whose services are set. */
void derive_rules_open(struct live_context *c, struct live *l, uint64_t now_us);
/* <service> is new: the rules whose backends stand on it are due. */
void derive_rules_of(struct live_context *c, struct live *l, uint32_t service, uint64_t now_us);
/* Endpoints of a cluster that shall be ready and are not, each once. */
struct derive_unready {
	struct str cluster; /* until the next change of the configuration */
	uint64_t unready;
};
/* Of all clusters that have any; their number. */
uint32_t derive_unready(const struct live_context *c, struct derive_unready *ret, uint32_t max);
/* Nobody reads <l> any more. */
void derive_free(struct live *l);
