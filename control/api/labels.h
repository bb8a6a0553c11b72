// SPDX-License-Identifier: Apache-2.0
/*
 * labels.h: from the ids that dataplanes count by to names for people and for metrics.
 */
#pragma once

#include <jansson.h>

#include "dataplane/snapshot/build.h"

/*
 * {"listener": {"<id>": {"listener": "infra/gw/http"}}, "rule": {"<id>": {"rule": ..}},
 *  "backend": {"<id>": {"rule": .., "backend": ..}},
 *  "endpoint": {"<id>": {"cluster": .., "endpoint": "<pod>", "address": "10.0.0.1:80"}}}
 *
 * The values of one object differ from those of any other of its kind: of two that are named alike
 * (in two clusters, say) the second has its id added.
 */
json_t *labels_new(const struct build_config *c);
/* The values joined by blanks; the caller frees. */
char *labels_text(const json_t *labels);
