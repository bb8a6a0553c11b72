// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_check.h: facts that the builder and the reader of an image must agree on, and the walk
 * over all records that the reader does. For the files of this folder.
 */
#pragma once

#include "dataplane/snapshot/snapshot.h"

/* Every record of an image whose section table is sound. */
int snapshot_check(const struct snapshot *s, struct err *err);

bool snapshot_is_text(const struct snapshot *s, struct snapshot_ref r, uint32_t max);
/* snapshot_policy.c */
int snapshot_policies_check(const struct snapshot *s, struct err *err);
/* Of a service whose range is sound. */
int snapshot_clusters_check(const struct snapshot *s, const struct snapshot_service *v,
	struct err *err);

/*
 * Lower case, labels of letters, digits, '-' and '_', not empty, at most SNAPSHOT_HOSTNAME_MAX;
 * "*." in front is a wildcard. The empty hostname is valid: any.
 */
bool snapshot_hostname_is_valid(struct str h);
/* "*.example.com": true, and ".example.com" in *ret_suffix. */
bool snapshot_hostname_is_wild(struct str h, struct str *ret_suffix);
unsigned snapshot_label_count(struct str name);
/* Elements of a path: "/a/b" has two, "" and "/" none, "/a/" two (the last is empty). */
unsigned snapshot_element_count(struct str path);

int snapshot_bind_cmp(const struct snapshot_bind *a, const struct snapshot_bind *b);

/* Hashes of a node's key; matching computes the same piece by piece. */
uint64_t snapshot_host_hash(const struct snapshot *s, const struct snapshot_host *h);
uint64_t snapshot_path_hash(const struct snapshot *s, const struct snapshot_path *p);
