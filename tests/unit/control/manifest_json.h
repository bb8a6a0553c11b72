// SPDX-License-Identifier: Apache-2.0
/*
 * manifest_json.h: manifests as an API server would hand them out, for tests of the way by JSON.
 */
#pragma once

#include <jansson.h>

#include "dataplane/base/str.h"

typedef void (*manifest_fn)(void *arg, struct str cluster, json_t *object);

/*
 * Every object of every file below <dir> that can be parsed, Lists taken apart, in the order of the
 * files' paths; with uid, resourceVersion, generation and, where it was left out, a namespace.
 */
void manifest_json_dir(struct str cluster, const char *dir, manifest_fn fn, void *arg);
/* One document; NULL when it cannot be parsed. */
json_t *manifest_json_text(const char *text);
