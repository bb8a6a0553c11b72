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
	uint32_t service_count;
	const struct build_route **routes;	 /* owned; sorted */
	const struct build_listener **listeners; /* owned; in the image's order */
	uint32_t *first_rule;			 /* owned; [in->routes]: rule in the image */
};

/* Binds, hosts, paths, candidates and predicates. */
int build_matching(struct build *b, struct err *err);
