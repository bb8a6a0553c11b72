// SPDX-License-Identifier: Apache-2.0
/*
 * kubeconfig_json.h: a YAML value as JSON, for programs that are told about their cluster.
 */
#pragma once

#include <jansson.h>

#include "dataplane/yaml/yaml_tree.h"

/* Never NULL; the caller owns it. Depth and size are bounded by the tree's own limits. */
json_t *kubeconfig_json(const struct yaml_node *n);
