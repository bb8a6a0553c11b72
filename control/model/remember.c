// SPDX-License-Identifier: Apache-2.0
/*
 * remember.c: shallow copies with members left out; the document itself is not touched.
 */
#include "control/model/remember.h"

#include "dataplane/base/bug.h"

bool object_is_remembered(enum kind kind)
{
	return kind != KIND_SECRET;
}

/* A copy of the member in its place, to leave things out of; NULL: it is no map. */
static json_t *member_copy(json_t *doc, const char *key)
{
	json_t *copy = json_copy(json_object_get(doc, key));

	if (!json_is_object(copy)) {
		json_decref(copy);
		return NULL;
	}
	json_object_set_new(doc, key, copy);
	return copy;
}

/* What the client has left out already, unless the text came from somewhere else. */
static void metadata_trim(json_t *doc)
{
	json_t *meta = member_copy(doc, "metadata");
	json_t *annotations = meta != NULL ? member_copy(meta, "annotations") : NULL;

	json_object_del(meta, "managedFields");
	json_object_del(annotations, "kubectl.kubernetes.io/last-applied-configuration");
}

static void keep_ca(json_t *doc)
{
	json_t *ca = json_incref(json_object_get(json_object_get(doc, "data"), "ca.crt"));

	json_object_del(doc, "binaryData");
	json_object_del(doc, "data");
	if (ca != NULL)
		json_object_set_new(doc, "data", json_pack("{s:o}", "ca.crt", ca));
}

static void keep_metadata(json_t *doc)
{
	json_t *meta = json_incref(json_object_get(doc, "metadata"));

	json_object_clear(doc);
	json_object_set_new(doc, "metadata", meta);
}

char *object_remember(const json_t *doc, enum kind kind)
{
	json_t *copy;
	char *text;

	if (!object_is_remembered(kind) || !json_is_object(doc))
		return NULL;
	copy = json_copy((json_t *)doc);
	bug_on(copy == NULL);
	json_object_del(copy, "status");
	metadata_trim(copy);
	if (kind == KIND_CONFIG_MAP)
		keep_ca(copy);
	else if (kind_info[kind].schema == NULL)
		keep_metadata(copy);
	text = json_dumps(copy, JSON_COMPACT);
	json_decref(copy);
	return text;
}
