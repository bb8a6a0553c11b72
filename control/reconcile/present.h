// SPDX-License-Identifier: Apache-2.0
/*
 * present.h: the status that an object carries, as its API server had it.
 *
 * It may have been written by anybody and hold anything: what does not have the API's form is as if
 * it were not there. Lists are borrowed from the struct; NULL: there is none.
 */
#pragma once

#include <jansson.h>

#include "control/model/gateway.h"

struct present {
	json_t *status; /* NULL: none */
};

void present_open(struct present *p, const struct object *o); /* NULL: as one without status */
void present_close(struct present *p);

const json_t *present_conditions(const struct present *p);
const json_t *present_listener(const struct present *p, struct str name);
/* Of the entries under our controllerName, the conditions of the one for this parentRef. */
const json_t *present_parent(const struct present *p, struct str controller,
	const struct parent_ref *ref);
const json_t *present_ancestor(const struct present *p, struct str controller, struct str ns,
	struct str name);
/* Is there any entry of ours in status.parents or status.ancestors? */
bool present_has_entries(const struct object *o, struct str controller);

/* A member that is a string; else empty. */
struct str present_text(const json_t *j, const char *key);
