// SPDX-License-Identifier: Apache-2.0
/*
 * merge.c: our part of a status that several write into.
 */
#include "control/status/merge.h"

#include <string.h>

#include "dataplane/base/bug.h"

/* What the API allows; a list that is longer would be refused as a whole. */
#define PARENTS_MAX 32u
#define ANCESTORS_MAX 16u

/* Conditions of these types are ours to set, and to take away. */
static const char *const our_types[] = {"Accepted", "SupportedVersion", "Programmed",
	"ResolvedRefs", "Conflicted", "OverlappingTLSConfig", "PartiallyInvalid",
	"InsecureFrontendValidationMode", NULL};

/* What makes a condition another one; lastTransitionTime follows from status. */
static const char *const telling[] = {"type", "status", "reason", "message", "observedGeneration",
	NULL};

const char *status_text(const json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key)) ?: "";
}

static bool is_word(const char *s, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(s, *words) == 0)
			return true;
	return false;
}

static bool same_members(const json_t *a, const json_t *b, const char *const *keys)
{
	for (; *keys != NULL; keys++) {
		json_t *x = json_object_get(a, *keys), *y = json_object_get(b, *keys);

		if (x != y && !json_equal(x, y))
			return false;
	}
	return true;
}

/* The first element of <list> whose <key> is this text. */
static json_t *find_by(const json_t *list, const char *key, const char *text)
{
	json_t *e;
	size_t i;

	json_array_foreach (list, i, e)
		if (strcmp(status_text(e, key), text) == 0)
			return e;
	return NULL;
}

const json_t *status_condition(const json_t *conditions, const char *type)
{
	return find_by(conditions, "type", type);
}

/* --- conditions --- */

static json_t *condition_merge(json_t *present, json_t *desired)
{
	json_t *merged, *since = json_object_get(present, "lastTransitionTime");

	if (present == NULL)
		return json_incref(desired);
	if (same_members(present, desired, telling))
		return json_incref(present);
	merged = json_copy(desired);
	bug_on(merged == NULL);
	if (json_is_string(since) &&
		strcmp(status_text(present, "status"), status_text(desired, "status")) == 0)
		json_object_set(merged, "lastTransitionTime", since);
	return merged;
}

/* Those that are there stay in their places; ours that are no longer said go. */
static json_t *conditions_merge(const json_t *present, const json_t *desired)
{
	json_t *list = json_array(), *e;
	size_t i;

	bug_on(list == NULL);
	json_array_foreach (present, i, e) {
		const char *type = status_text(e, "type");
		json_t *d = find_by(desired, "type", type);

		if (d != NULL && find_by(list, "type", type) == NULL)
			json_array_append_new(list, condition_merge(e, d));
		else if (d == NULL && json_is_object(e) && !is_word(type, our_types))
			json_array_append(list, e);
	}
	json_array_foreach (desired, i, e)
		if (find_by(list, "type", status_text(e, "type")) == NULL)
			json_array_append(list, e);
	return list;
}

/* <desired> over <present>, with the conditions merged; fields that we do not know stay. */
static json_t *entry_merge(json_t *present, json_t *desired)
{
	json_t *merged = json_is_object(present) ? json_copy(present) : json_object();

	bug_on(merged == NULL);
	json_object_update(merged, desired);
	json_object_set_new(merged, "conditions",
		conditions_merge(json_object_get(present, "conditions"),
			json_object_get(desired, "conditions")));
	return merged;
}

/* --- listeners: a map by name --- */

static json_t *listeners_merge(const json_t *present, const json_t *desired)
{
	json_t *list = json_array(), *e;
	size_t i;

	bug_on(list == NULL);
	json_array_foreach (desired, i, e)
		json_array_append_new(list,
			entry_merge(find_by(present, "name", status_text(e, "name")), e));
	return list;
}

/* The same elements by <key>, in any order: maps have none. */
static bool same_map(const json_t *a, const json_t *b, const char *key)
{
	json_t *e;
	size_t i;

	if (json_array_size(a) != json_array_size(b))
		return false;
	json_array_foreach (a, i, e) {
		json_t *other = find_by(b, key, status_text(e, key));

		if (other == NULL || !json_equal(e, other))
			return false;
	}
	return true;
}

/* --- parents and ancestors: atomic lists with entries of several controllers --- */

static bool same_text(const json_t *a, const json_t *b, const char *key, const char *absent)
{
	json_t *x = json_object_get(a, key), *y = json_object_get(b, key);

	return strcmp(x != NULL ? json_string_value(x) ?: "" : absent,
		       y != NULL ? json_string_value(y) ?: "" : absent) == 0;
}

/* Equal as references: what was left out has its default. */
static bool same_ref(const json_t *a, const json_t *b)
{
	json_t *p = json_object_get(a, "port"), *q = json_object_get(b, "port");

	return same_text(a, b, "group", "gateway.networking.k8s.io") &&
		same_text(a, b, "kind", "Gateway") && same_text(a, b, "namespace", "") &&
		same_text(a, b, "name", "") && same_text(a, b, "sectionName", "") &&
		(p == q || json_equal(p, q));
}

static json_t *find_entry(const json_t *list, const char *ref, const json_t *entry,
	struct str controller)
{
	json_t *e;
	size_t i;

	json_array_foreach (list, i, e)
		if (str_eq(str_of(status_text(e, "controllerName")), controller) &&
			same_ref(json_object_get(e, ref), json_object_get(entry, ref)))
			return e;
	return NULL;
}

static json_t *entries_merge(const json_t *present, const json_t *desired, const char *ref,
	size_t max, struct str controller)
{
	json_t *list = json_array(), *e;
	size_t i;

	bug_on(list == NULL);
	json_array_foreach (present, i, e) {
		json_t *d;

		if (!str_eq(str_of(status_text(e, "controllerName")), controller)) {
			json_array_append(list, e);
			continue;
		}
		d = find_entry(desired, ref, e, controller);
		if (d != NULL && find_entry(list, ref, e, controller) == NULL)
			json_array_append_new(list, entry_merge(e, d));
	}
	json_array_foreach (desired, i, e) {
		if (json_array_size(list) < max && find_entry(list, ref, e, controller) == NULL)
			json_array_append(list, e);
	}
	return list;
}

/* --- the whole --- */

/* Nothing and an empty list say the same. */
static bool is_nothing(const json_t *j)
{
	return j == NULL || (json_is_array(j) && json_array_size(j) == 0) ||
		(json_is_integer(j) && json_integer_value(j) == 0);
}

/* The new value of one member; a new reference. */
static json_t *member_merge(const char *key, const json_t *present, json_t *desired,
	struct str controller)
{
	if (strcmp(key, "conditions") == 0)
		return conditions_merge(present, desired);
	if (strcmp(key, "listeners") == 0)
		return listeners_merge(present, desired);
	if (strcmp(key, "parents") == 0)
		return entries_merge(present, desired, "parentRef", PARENTS_MAX, controller);
	if (strcmp(key, "ancestors") == 0)
		return entries_merge(present, desired, "ancestorRef", ANCESTORS_MAX, controller);
	return json_incref(desired);
}

static bool same_member(const char *key, const json_t *a, const json_t *b)
{
	if (is_nothing(a) && is_nothing(b))
		return true;
	if (strcmp(key, "listeners") == 0)
		return same_map(a, b, "name");
	return json_equal(a, b);
}

json_t *status_merge(const json_t *present, const json_t *desired, struct str controller)
{
	json_t *patch = json_object(), *value;
	const char *key;

	bug_on(patch == NULL);
	json_object_foreach ((json_t *)desired, key, value) {
		const json_t *was = json_object_get(present, key);
		json_t *merged = member_merge(key, was, value, controller);

		if (same_member(key, was, merged))
			json_decref(merged);
		else
			json_object_set_new(patch, key, merged);
	}
	if (json_object_size(patch) != 0)
		return patch;
	json_decref(patch);
	return NULL;
}

bool status_patch_only_counts(const json_t *present, const json_t *patch)
{
	const json_t *now = json_object_get(patch, "listeners");
	const json_t *was = json_object_get(present, "listeners");
	json_t *e;
	size_t i;

	if (now == NULL || json_object_size(patch) != 1 ||
		json_array_size(now) != json_array_size(was))
		return false;
	json_array_foreach (now, i, e) {
		json_t *old = find_by(was, "name", status_text(e, "name")), *copy;
		bool same;

		if (old == NULL)
			return false;
		copy = json_copy(old);
		bug_on(copy == NULL);
		json_object_set(copy, "attachedRoutes", json_object_get(e, "attachedRoutes"));
		same = json_equal(copy, e);
		json_decref(copy);
		if (!same)
			return false;
	}
	return true;
}
