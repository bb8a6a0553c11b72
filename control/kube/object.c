// SPDX-License-Identifier: Apache-2.0
/*
 * object.c: see object.h. Limits: a name is a DNS subdomain or a path segment of at most 253 bytes,
 * a namespace a DNS label of 63 (Kubernetes, "Object Names and IDs").
 */
#include "control/kube/object.h"

#include <errno.h>
#include <stdbool.h>

#define NAME_MAX_ 253u
#define NAMESPACE_MAX 63u
#define UID_MAX 128u
#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

/* As many as there are brackets and commas outside of strings. */
static bool too_many_values(struct str text)
{
	bool in_string = false;
	uint32_t n = 0;

	if (text.len <= OBJECT_VALUES_MAX)
		return false;
	for (size_t i = 0; i < text.len && n <= OBJECT_VALUES_MAX; i++) {
		char c = text.p[i];

		if (c == '"')
			in_string = !in_string;
		else if (in_string)
			i += c == '\\';
		else
			n += c == ',' || c == '{' || c == '[';
	}
	return n > OBJECT_VALUES_MAX;
}

json_t *object_parse(struct str text, struct err *err)
{
	json_error_t e;
	json_t *j;

	if (too_many_values(text)) {
		err_set(err, EINVAL, "holds more than %u values", OBJECT_VALUES_MAX);
		return NULL;
	}
	j = json_loadb(text.len ? text.p : "", text.len, JSON_REJECT_DUPLICATES, &e);
	if (j == NULL || json_is_object(j))
		goto out;
	json_decref(j);
	j = NULL;
	strcpy(e.text, "not an object");
out:
	if (j == NULL)
		err_set(err, EINVAL, "%s", e.text);
	return j;
}

const char *object_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

const char *object_rv(const json_t *object)
{
	const char *rv = object_text(json_object_get(object, "metadata"), "resourceVersion");

	if (rv == NULL || rv[0] == '\0' || strlen(rv) >= RV_MAX)
		return NULL;
	/* it comes back to the server as a part of a query */
	for (const char *c = rv; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f || strchr("%&+#", *c))
			return NULL;
	return rv;
}

/* A text without blanks, slashes and the like; "" counts as absent. */
static int meta_text(const json_t *meta, const char *key, size_t max, bool required,
	const char **ret, struct err *err)
{
	const json_t *v = json_object_get(meta, key);
	const char *s = json_string_value(v);

	*ret = "";
	if (v != NULL && s == NULL)
		return err_set(err, EINVAL, "metadata.%s is not a string", key);
	if (s == NULL || s[0] == '\0')
		return required ? err_set(err, EINVAL, "metadata.%s is missing", key) : 0;
	if (strlen(s) > max)
		return err_set(err, EINVAL, "metadata.%s is longer than %zu bytes", key, max);
	for (const char *c = s; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || *c == '/' || *c == '%' || *c == 0x7f)
			return err_set(err, EINVAL, "metadata.%s holds a byte it must not", key);
	*ret = s;
	return 0;
}

static int check_type(const json_t *object, const char *key, const char *want, struct err *err)
{
	const json_t *v = json_object_get(object, key);
	const char *s = json_string_value(v);

	if (v == NULL || (s != NULL && strcmp(s, want) == 0))
		return 0;
	return err_set(err, EINVAL, "%s is %.80s instead of %s", key, s ? s : "no string", want);
}

int object_check(const json_t *object, const struct object_type *type, struct object_meta *ret,
	struct err *err)
{
	const json_t *meta = json_object_get(object, "metadata");

	if (!json_is_object(object) || !json_is_object(meta))
		return err_set(err, EINVAL, "metadata is missing");
	if (meta_text(meta, "name", NAME_MAX_, true, &ret->name, err) < 0 ||
		meta_text(meta, "namespace", NAMESPACE_MAX, type->namespaced, &ret->ns, err) < 0 ||
		meta_text(meta, "uid", UID_MAX, true, &ret->uid, err) < 0 ||
		meta_text(meta, "resourceVersion", RV_MAX - 1, true, &ret->rv, err) < 0)
		return -EINVAL;
	if (object_rv(object) == NULL)
		return err_set(err, EINVAL, "metadata.resourceVersion holds a byte it must not");
	if (ret->ns[0] != '\0' && !type->namespaced)
		return err_set(err, EINVAL, "metadata.namespace on an object that has none");
	if (check_type(object, "apiVersion", type->api_version, err) < 0 ||
		check_type(object, "kind", type->kind, err) < 0)
		return -EINVAL;
	return 0;
}

void object_trim(json_t *object, const struct object_type *type)
{
	json_t *meta = json_object_get(object, "metadata");

	json_object_set_new(object, "apiVersion", json_string(type->api_version));
	json_object_set_new(object, "kind", json_string(type->kind));
	json_object_del(meta, "managedFields");
	json_object_del(json_object_get(meta, "annotations"), LAST_APPLIED);
}

json_t *object_tombstone(const struct object_type *type, const char *key, const char *uid)
{
	const char *slash = strchr(key, '/');
	json_t *meta = json_pack("{s:s, s:s}", "name", slash + 1, "uid", uid);

	if (slash > key)
		json_object_set_new(meta, "namespace", json_stringn(key, (size_t)(slash - key)));
	return json_pack("{s:s, s:s, s:o}", "apiVersion", type->api_version, "kind", type->kind,
		"metadata", meta);
}
