// SPDX-License-Identifier: Apache-2.0
/*
 * registry_private.h: what registry.c and its journal share.
 */
#pragma once

#include "control/clusters/registry.h"

/* Definitions of one origin, their strings in an arena of their own. */
struct layer {
	struct arena arena;
	struct cluster_def *defs;
	uint32_t count;
};

void layer_init(struct layer *l);
void layer_fini(struct layer *l);
/* Copies; false when it is full. */
bool layer_add(struct layer *l, const struct cluster_def *def);
const struct cluster_def *layer_find(const struct layer *l, struct str name);

/* journal.c: a file that is not there is an empty layer. */
int journal_load(const char *path, struct layer *l, struct err *err);
int journal_save(const char *path, const struct layer *l, struct err *err);
