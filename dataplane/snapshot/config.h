// SPDX-License-Identifier: Apache-2.0
/*
 * config.h: the configuration as a worker sees it.
 *
 * An opened snapshot plus what changes between snapshots: weight vectors and endpoint sets, each an
 * immutable object behind one pointer that the agent swaps whole and frees after every worker has
 * passed a quiescent point. Run-time slots (counters, weighted sequences, pools) belong to stable
 * object ids and survive snapshots; the agent assigns them, the image knows nothing of them.
 * Workers hold a struct config * for one turn of their loop; what lives longer copies ids or slots.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "dataplane/base/ip.h"
#include "dataplane/base/str.h"

struct snapshot; /* an opened image: snapshot.h */

/* Upper bounds of run-time slots per worker; the agent refuses a generation that needs more. */
#define SLOTS_LISTENER_MAX 1024u
#define SLOTS_RULE_MAX 16384u
#define SLOTS_BACKEND_MAX 32768u
#define SLOTS_ENDPOINT_MAX 16384u
#define SLOT_NONE UINT32_MAX

struct endpoint {
	uint64_t id;
	struct ip_addr addr;
	uint16_t port;
	uint16_t weight;
	uint32_t slot; /* run-time slot of this endpoint id */
	bool draining; /* take no new requests unless all are draining */
};

/* Immutable; swapped whole. One entry per backend of the rule, in the image's order. */
struct weight_vector {
	uint64_t rule_id;
	uint64_t revision;
	uint64_t total; /* sum of w */
	uint64_t panic; /* of clusters, a bit each: verdicts on their endpoints are not heeded */
	uint32_t count;
	uint32_t w[];
};

/*
 * Immutable but for <shares>; swapped whole. The endpoints stand by the cluster in which they run,
 * and <shares> says what each cluster gets: it shall not depend on how busy or how numerous its
 * endpoints are. The shares follow health, so they are swapped on their own, as rules' weights are.
 */
struct endpoint_set {
	uint64_t service_id;
	uint64_t revision;
	uint32_t count, cluster_count;
	bool panic_never;	     /* rather nobody than one against whom there is a verdict */
	bool slow_start;	     /* endpoints may be on their way up: health_slow() */
	const uint32_t *cluster_end; /* [cluster_count]: behind the last of each cluster */
	_Atomic(const struct weight_vector *) shares; /* NULL: one cluster, nothing to choose */
	struct endpoint e[];
};

/* What a request needs of a rule: half a cache line, for there may be many. */
struct config_rule {
	_Atomic(const struct weight_vector *) weights; /* load with acquire */
	uint32_t slot;
	uint32_t backend_first, backend_count;
	uint32_t request_timeout_ms, backend_timeout_ms; /* 0: none */
	uint32_t reserved;
};
_Static_assert(sizeof(struct config_rule) == 32, "two in a cache line");

struct config_backend {
	uint32_t slot;
	uint32_t service; /* index, or SLOT_NONE: it serves nothing */
};

struct config {
	const struct snapshot *snap; /* owned by the agent, valid until quiescence */
	uint64_t generation; /* of the structure; stays when only weights and endpoints differ */
	uint64_t serial;     /* of this object, never 0: an address alone may come back to life */
	uint32_t listener_count, rule_count, backend_count, service_count;
	const uint32_t *listener_slot;			 /* [listener index in the image] */
	const struct config_rule *rules;		 /* [rule index] */
	const struct config_backend *backends;		 /* [backend index] */
	_Atomic(const struct endpoint_set *) *endpoints; /* [service index] */
	const struct tcp_listeners *tcp_listeners; /* for tcp_set_listeners(): bind = bind index */
	const struct ip_addr *vips; /* every address of every listener, sorted, unique */
	uint32_t vip_count;
};

static inline const struct weight_vector *config_weights(const struct config *c, uint32_t rule)
{
	return atomic_load_explicit(&c->rules[rule].weights, memory_order_acquire);
}

/* What each cluster gets, or NULL. */
static inline const struct weight_vector *endpoint_set_shares(const struct endpoint_set *set)
{
	return atomic_load_explicit(&set->shares, memory_order_acquire);
}

static inline const struct endpoint_set *config_endpoints(const struct config *c, uint32_t service)
{
	return atomic_load_explicit(&c->endpoints[service], memory_order_acquire);
}
