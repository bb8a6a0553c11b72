// SPDX-License-Identifier: Apache-2.0
/*
 * json_tree.h: JSON as the tree that the schemas read, so that an object is the same whether it
 * came in a file or from an API server.
 */
#pragma once

#include <jansson.h>

#include "dataplane/yaml/yaml_tree.h"

/*
 * Texts and keys are borrowed from <doc>. What no schema reads and may be large is left out:
 * status, metadata.managedFields, and the annotation in which kubectl keeps a copy of the manifest.
 * NULL when it is nested deeper than YAML_DEPTH_MAX.
 */
struct yaml_node *json_tree(struct arena *arena, const json_t *doc);
