// SPDX-License-Identifier: Apache-2.0
/*
 * present.c: see present.h.
 */
#include "control/reconcile/present.h"

#include <string.h>

void present_open(struct present *p, const struct object *o)
{
	p->status = NULL;
	if (o != NULL && o->status.len != 0)
		p->status = json_loadb(o->status.p, o->status.len, 0, NULL);
}

void present_close(struct present *p)
{
	json_decref(p->status);
}

struct str present_text(const json_t *j, const char *key)
{
	const json_t *s = json_object_get(j, key);

	return json_is_string(s) ? str_make(json_string_value(s), json_string_length(s)) : STR("");
}

const json_t *present_conditions(const struct present *p)
{
	return json_object_get(p->status, "conditions");
}

const json_t *present_listener(const struct present *p, struct str name)
{
	const json_t *l;
	size_t i;

	json_array_foreach (json_object_get(p->status, "listeners"), i, l)
		if (str_eq(present_text(l, "name"), name))
			return json_object_get(l, "conditions");
	return NULL;
}

const json_t *present_parent(const struct present *p, struct str controller,
	const struct parent_ref *ref)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (json_object_get(p->status, "parents"), i, entry) {
		const json_t *have = json_object_get(entry, "parentRef");

		if (str_eq(present_text(entry, "controllerName"), controller) &&
			str_eq(present_text(have, "kind"), ref->kind) &&
			str_eq(present_text(have, "namespace"), ref->ns) &&
			str_eq(present_text(have, "name"), ref->name) &&
			str_eq(present_text(have, "sectionName"), ref->section_name) &&
			json_integer_value(json_object_get(have, "port")) == ref->port)
			return json_object_get(entry, "conditions");
	}
	return NULL;
}

const json_t *present_ancestor(const struct present *p, struct str controller, struct str ns,
	struct str name)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (json_object_get(p->status, "ancestors"), i, entry) {
		const json_t *have = json_object_get(entry, "ancestorRef");

		if (str_eq(present_text(entry, "controllerName"), controller) &&
			str_eq(present_text(have, "namespace"), ns) &&
			str_eq(present_text(have, "name"), name))
			return json_object_get(entry, "conditions");
	}
	return NULL;
}

static bool is_in(const json_t *list, struct str controller)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (list, i, entry)
		if (str_eq(present_text(entry, "controllerName"), controller))
			return true;
	return false;
}

bool present_has_entries(const struct object *o, struct str controller)
{
	struct present p;
	bool has;

	if (o->status.len == 0 ||
		memmem(o->status.p, o->status.len, controller.p, controller.len) == NULL)
		return false;
	present_open(&p, o);
	has = is_in(json_object_get(p.status, "parents"), controller) ||
		is_in(json_object_get(p.status, "ancestors"), controller);
	present_close(&p);
	return has;
}
