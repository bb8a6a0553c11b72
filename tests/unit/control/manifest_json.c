// SPDX-License-Identifier: Apache-2.0
/*
 * manifest_json.c: YAML as sigs.k8s.io/yaml turns it into JSON, and what a server adds to it.
 */
#include "manifest_json.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control/model/object.h"
#include "control/store/store.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/yaml/yaml_tree.h"

static json_t *json_of(const struct yaml_node *n)
{
	struct err err;
	int64_t number;
	json_t *j;
	bool yes;

	if (n->kind == YAML_KIND_NULL)
		return json_null();
	if (n->kind == YAML_KIND_MAP) {
		j = json_object();
		yaml_for_each(c, n)
		{
			autofree char *key = strndup(c->key.p, c->key.len);

			json_object_set_new(j, key, json_of(c));
		}
		return j;
	}
	if (n->kind == YAML_KIND_SEQ) {
		j = json_array();
		yaml_for_each(c, n) json_array_append_new(j, json_of(c));
		return j;
	}
	if (yaml_is_string(n))
		return json_stringn_nocheck(n->text.p, n->text.len);
	if (yaml_to_bool(n, &yes, &err) == 0)
		return json_boolean(yes);
	if (yaml_to_int(n, INT64_MIN, INT64_MAX, &number, &err) == 0)
		return json_integer(number);
	return json_real(strtod(n->text.p, NULL));
}

static void serve(struct str cluster, json_t *object, manifest_fn fn, void *arg)
{
	static int serial;
	const char *version = json_string_value(json_object_get(object, "apiVersion"));
	const char *kind = json_string_value(json_object_get(object, "kind"));
	json_t *meta = json_object_get(object, "metadata"), *item;
	enum kind k = version && kind ? kind_of(str_of(version), str_of(kind)) : KIND_COUNT;
	char text[32];
	size_t i;

	json_array_foreach (json_object_get(object, "items"), i, item)
		serve(cluster, item, fn, arg);
	if (k == KIND_COUNT || !json_is_object(meta))
		return;
	snprintf(text, sizeof(text), "%d", ++serial);
	json_object_set_new(meta, "uid", json_string(text));
	json_object_set_new(meta, "resourceVersion", json_string(text));
	json_object_set_new(meta, "generation", json_integer(1));
	if (kind_info[k].namespaced && json_object_get(meta, "namespace") == NULL)
		json_object_set_new(meta, "namespace", json_string("default"));
	fn(arg, cluster, object);
}

static void serve_file(struct str cluster, const char *path, manifest_fn fn, void *arg)
{
	struct yaml_file f;
	struct err err;

	if (yaml_load(path, &f, &err) < 0)
		return;
	for (const struct yaml_node *doc = f.docs; doc != NULL; doc = doc->next) {
		json_t *j = json_of(doc);

		serve(cluster, j, fn, arg);
		json_decref(j);
	}
	yaml_file_fini(&f);
}

void manifest_json_dir(struct str cluster, const char *dir, manifest_fn fn, void *arg)
{
	struct dirent **names = NULL;
	int n = scandir(dir, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		autofree char *path = NULL;
		struct stat st;

		if (asprintf(&path, "%s/%s", dir, names[i]->d_name) < 0)
			abort();
		if (names[i]->d_name[0] != '.' && stat(path, &st) == 0) {
			if (S_ISDIR(st.st_mode))
				manifest_json_dir(cluster, path, fn, arg);
			else if (store_wants_file(names[i]->d_name))
				serve_file(cluster, path, fn, arg);
		}
		free(names[i]);
	}
	free(names);
}

static void take(void *arg, struct str cluster, json_t *object)
{
	*(json_t **)arg = json_incref(object);
}

json_t *manifest_json_text(const char *text)
{
	struct yaml_file f;
	struct err err;
	json_t *ret = NULL, *j;

	if (yaml_parse(str_of(text), "text", &f, &err) < 0)
		return NULL;
	j = json_of(f.docs);
	serve(STR(""), j, take, &ret);
	json_decref(j);
	yaml_file_fini(&f);
	return ret;
}
