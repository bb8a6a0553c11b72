// SPDX-License-Identifier: Apache-2.0
/*
 * object.h: what must be right in an object before anybody may see it: its metadata. Whether the
 * rest makes sense is for the schemas of the model.
 */
#pragma once

#include <jansson.h>

#include "control/kube/rv.h"
#include "dataplane/base/err.h"
#include "dataplane/base/str.h"

struct object_meta {
	const char *ns; /* "" when it has none; all borrowed from the object */
	const char *name, *uid, *rv;
};

/* What objects of a resource must be. */
struct object_type {
	const char *api_version, *kind;
	bool namespaced;
};

#define OBJECT_VALUES_MAX (1u << 18)

/*
 * One JSON object without a key twice and of at most so many values, each of which takes a hundred
 * times the byte that stands for it; NULL with a sentence. The caller owns it.
 */
json_t *object_parse(struct str text, struct err *err);
/* 0, or -EINVAL with a sentence that begins with the field. */
int object_check(const json_t *object, const struct object_type *type, struct object_meta *ret,
	struct err *err);
/*
 * Puts apiVersion and kind where a list left them out, and takes away what nobody reads and is
 * often larger than the rest: managedFields and what kubectl remembers of its last apply.
 */
void object_trim(json_t *object, const struct object_type *type);
/* metadata.resourceVersion; NULL when it is missing, no string, too long or no word of a query. */
const char *object_rv(const json_t *object);
/* The text of a member, or NULL when it is none. */
const char *object_text(const json_t *object, const char *key);
/* An object that only says which one it was. */
json_t *object_tombstone(const struct object_type *type, const char *key, const char *uid);
