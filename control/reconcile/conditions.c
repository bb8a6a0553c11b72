// SPDX-License-Identifier: Apache-2.0
/*
 * conditions.c: what is common to all conditions.
 *
 * Types and reasons are the API's (apis/v1 of release 1.7: gatewayclass_types, gateway_types,
 * listenerset_types, shared_types, policy_types, backendtlspolicy_types). Messages are sentences for
 * people: they name the field and what to do about it, and hold nothing that changes by itself,
 * because a changed message is a changed status. Programmed is said only of what every live
 * dataplane has acknowledged: the plan that was acknowledged last is an input.
 */
#include <string.h>

#include "control/reconcile/reconcile.h"
#include "dataplane/base/bug.h"

void condition_set(struct conditions *c, const struct object *o, const char *type,
	enum condition_status status, const char *reason, const char *message)
{
	bug_on(c->count == CONDITIONS_MAX);
	c->c[c->count++] = (struct condition){type, reason, status, message, o->generation, 0};
}

const struct condition *condition_find(const struct conditions *c, const char *type)
{
	for (uint32_t i = 0; i < c->count; i++)
		if (strcmp(c->c[i].type, type) == 0)
			return &c->c[i];
	return NULL;
}
