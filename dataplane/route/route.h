// SPDX-License-Identifier: Apache-2.0
/*
 * route.h: from a request to a rule, from a rule to a backend. Pure: no packets, no sockets.
 *
 * Precedence is Gateway API v1.7's (HTTPRoute, GEP-722 and the conformance suite): most specific
 * listener hostname, most specific route hostname (the route's own), exact path, longest prefix,
 * method, most headers, most query parameters, oldest route, namespace/name, first rule. A request
 * that matches no rule of the most specific hostname falls through to the next hostname.
 */
#pragma once

#include "dataplane/base/rng.h"
#include "dataplane/base/str.h"
#include "dataplane/snapshot/config.h"

struct h1_head;

struct route_request {
	struct str host;	    /* lower case, without port and trailing dot; may be empty */
	struct str path;	    /* as received, starting with '/' */
	struct str query;	    /* without '?' */
	const struct h1_head *head; /* method and fields */
	bool trusted;		    /* the peer's H1_HEADER_ORIGIN fields are believed */
};

struct route_result {
	uint32_t listener; /* index, valid also without a rule; SLOT_NONE: no listener */
	uint32_t rule;	   /* index, or SLOT_NONE: 404 */
	uint32_t steps;	   /* table slots and candidates looked at */
};

/*
 * <bind> is snapshot_find_bind() of the connection. A path that does not start with '/' (OPTIONS *)
 * matches no rule. Fields that go no further are not looked at (H1_HEADER_HOP, of a peer that is
 * not trusted also H1_HEADER_ORIGIN): what matches is what the peer says and the backend will see.
 */
void route_match(const struct snapshot *snap, uint32_t bind, const struct route_request *req,
	struct route_result *ret);

/*
 * Weighted choice: a stratified low-discrepancy sequence per rule and worker. State lives in the
 * worker, by rule slot, and survives snapshots and weight changes.
 */
#define PICK_BACKENDS_MAX 64u /* = SNAPSHOT_RULE_BACKENDS_MAX */
#define PICK_PHASE_MAX 64u    /* picks skipped at the start, at most */

struct pick_seq {
	uint64_t n;			/* choices so far */
	uint64_t key;			/* places picks inside strata; moves on with each draw */
	uint64_t revision;		/* of the weights that the lags are scaled to */
	uint32_t phase, workers;	/* this worker starts phase/workers of a stratum later */
	uint32_t total, count;		/* of those weights; total 0: not started */
	int32_t lag[PICK_BACKENDS_MAX]; /* owed less given, in 1/total requests; below total */
};
void pick_seq_init(struct pick_seq *s, uint32_t worker, uint32_t workers, uint64_t key);
/*
 * Index into the vector, or SLOT_NONE when all weights are zero. Advances the sequence: call it
 * for first picks only, never for retries; where one backend has all the weight <s> stays as it is.
 * At most PICK_BACKENDS_MAX backends and a total of 2^30.
 * Over any window of requests each backend's count misses its share by less than two.
 */
uint32_t pick_backend(struct pick_seq *s, const struct weight_vector *w);
