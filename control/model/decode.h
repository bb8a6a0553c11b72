// SPDX-License-Identifier: Apache-2.0
/*
 * decode.h: from a YAML document, or an object of an API server, to objects.
 */
#pragma once

#include <jansson.h>

#include "control/model/object.h"
#include "dataplane/yaml/yaml_tree.h"

/* What comes out of one document (a List gives several). */
struct decode_handler {
	/* A good object; the reference is the handler's. */
	void (*on_object)(void *ctx, struct object *o);
	/*
	 * One that is not valid. <kind> KIND_COUNT or an empty <name>: it could not be read which
	 * object this is.
	 */
	void (*on_broken)(void *ctx, enum kind kind, struct str ns, struct str name);
	/* "file:line: Kind namespace/name: field: what and why" */
	void (*on_problem)(void *ctx, bool fatal, const char *text);
	void *ctx;
};

/* <doc> is one root of <f>. */
void object_decode(const struct yaml_file *f, const struct yaml_node *doc, struct str cluster,
	const struct decode_handler *h);

/* "2026-11-21T09:00:00Z" -> seconds since 1970; false when it is no such time. */
bool decode_time(struct str s, int64_t *ret);

/*
 * One object as an API server writes it, which is of <kind>. Exactly one of on_object and on_broken
 * is called. Defaults and rules are the same as for manifests: servers may be of any version, and
 * may be wrong.
 */
void object_decode_json(const json_t *doc, struct str cluster, enum kind kind,
	const struct decode_handler *h);
