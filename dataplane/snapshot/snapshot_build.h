// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_build.h: what the two halves of the builder share: snapshot_build.c (objects) and
 * snapshot_match.c (matching tables).
 */
#pragma once

#include "dataplane/snapshot/snapshot_image.h"

struct build_key {
	uint64_t id;
	uint32_t index;
};

struct build {
	const struct build_config *in;
	struct image im;
	struct build_key *services; /* owned; sorted by id */
	struct build_key *policies; /* owned; sorted by id; index + 1 */
	uint32_t service_count, policy_count;
	const struct build_route **routes;	 /* owned; sorted */
	const struct build_listener **listeners; /* owned; in the image's order */
	uint32_t *first_rule;			 /* owned; [in->routes]: rule in the image */
};

/* Policies, before services and rules refer to them. */
int build_policies(struct build *b, struct err *err);
/* Number of the policy in the image: index + 1; 0 for the id 0. -EINVAL: it is not there. */
int build_policy_number(const struct build *b, uint64_t id, uint32_t *ret, struct err *err);
/* The clusters of a service. */
int build_clusters(struct build *b, const struct build_service *svc, struct err *err);
int build_name_check(struct str name, const char *what, struct err *err);

/* Binds, hosts, paths, candidates and predicates. */
int build_matching(struct build *b, struct err *err);
