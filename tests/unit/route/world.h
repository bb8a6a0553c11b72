// SPDX-License-Identifier: Apache-2.0
/*
 * world.h: random configurations, and a matcher written straight from the words of the Gateway
 * API: no index, no compilation, every rule of every route looked at. The oracle of the compiled
 * one.
 */
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/base/rng.h"
#include "dataplane/http/h1.h"
#include "dataplane/snapshot/build.h"

struct world {
	struct arena arena;
	struct build_config config;
};

/* Names, paths and predicates come from small alphabets, so that they meet. */
void world_random(struct world *w, struct rng *r, unsigned routes_max);
void world_free(struct world *w);
/* The same objects in another order. */
void world_shuffle(struct world *w, struct rng *r);

/* A random request head (text), often one that something matches. */
struct str world_request(struct world *w, struct rng *r);

/* Ids of listener and rule; 0: none. */
void world_match(const struct world *w, const struct ip_addr *addr, uint16_t port,
	const struct h1_head *head, struct str host, uint64_t *ret_listener, uint64_t *ret_rule);
