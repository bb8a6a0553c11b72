// SPDX-License-Identifier: Apache-2.0
/*
 * journal.c: what REST said about clusters, as a small YAML file.
 *
 *	clusters:
 *	- {name: "us-west", kubeconfig: "/etc/...", roles: 2, weight: 50, adminState: "drain"}
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "control/clusters/registry_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/file.h"
#include "dataplane/yaml/yaml_decode.h"

/* cluster_admin_names, as a table of fields can have it. */
static const char *const admin_words[] = {"active", "drain", "disabled", NULL};

struct entry {
	struct cluster_def def;
	int admin;
};

struct entries {
	const struct entry *entries;
	uint32_t entries_count;
};

static const struct yaml_field entry_fields[] = {
	YAML_STR(struct entry, "name", def.name, .required = true, .min = 1, .max = 63),
	YAML_CSTR(struct entry, "directory", def.directory, .max = 4000),
	YAML_CSTR(struct entry, "kubeconfig", def.kubeconfig, .max = 4000),
	YAML_CSTR(struct entry, "context", def.context, .max = 253),
	YAML_BOOL(struct entry, "inCluster", def.in_cluster),
	YAML_U32(struct entry, "roles", def.roles, .max = CLUSTER_ROLES_ALL),
	YAML_U32(struct entry, "weight", def.weight, .max = CLUSTER_WEIGHT_MAX),
	YAML_PRESENT(struct entry, "weight", def.has_weight),
	YAML_ENUM(struct entry, "adminState", admin, admin_words),
	YAML_PRESENT(struct entry, "adminState", def.has_admin),
};
static const struct yaml_schema entry_schema = YAML_SCHEMA(struct entry, entry_fields);

static const struct yaml_field journal_fields[] = {
	YAML_LIST(struct entries, "clusters", entries, &entry_schema, .max = CLUSTERS_MAX),
};
static const struct yaml_schema journal_schema = YAML_SCHEMA(struct entries, journal_fields);

static void on_report(struct yaml_decoder *d, bool fatal, uint32_t line, const char *path,
	const char *what)
{
	if (d->errors == 1)
		err_set(d->ctx, EINVAL, "line %u: %s: %s", line, path, what);
}

/* <l> NULL: only whether it could be read. */
static int decode(const char *path, struct yaml_file *f, struct layer *l, struct err *err)
{
	struct err why = {""};
	struct yaml_decoder d = {.strict = true, .report = on_report, .ctx = &why};
	struct entries all = {NULL, 0};
	struct arena arena;
	int rc;

	arena_init(&arena, 0);
	d.arena = &arena;
	rc = yaml_decode(&d, f->docs, &journal_schema, &all);
	if (rc < 0)
		err_set(err, EINVAL, "%s: %s", path, why.msg);
	for (uint32_t i = 0; rc == 0 && l != NULL && i < all.entries_count; i++) {
		struct cluster_def def = all.entries[i].def;

		def.admin = (enum cluster_admin)all.entries[i].admin;
		layer_add(l, &def);
	}
	arena_fini(&arena);
	return rc;
}

int journal_load(const char *path, struct layer *l, struct err *err)
{
	struct yaml_file f;
	int rc = yaml_load(path, &f, err);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	rc = decode(path, &f, l, err);
	yaml_file_fini(&f);
	return rc;
}

/* JSON knows characters that YAML does not, and we could not start with what we cannot read. */
static int check_readable(const char *path, struct str text, struct err *err)
{
	struct yaml_file f;
	int rc = yaml_parse(text, path, &f, err);

	if (rc == 0) {
		rc = decode(path, &f, NULL, err);
		yaml_file_fini(&f);
	}
	if (rc < 0)
		err_wrap(err, "cannot be remembered");
	return rc;
}

static json_t *entry_json(const struct cluster_def *d)
{
	json_t *j = json_pack("{s:s%}", "name", d->name.p, d->name.len);

	if (d->directory != NULL)
		json_object_set_new(j, "directory", json_string(d->directory));
	if (d->kubeconfig != NULL)
		json_object_set_new(j, "kubeconfig", json_string(d->kubeconfig));
	if (d->context != NULL)
		json_object_set_new(j, "context", json_string(d->context));
	if (d->in_cluster)
		json_object_set_new(j, "inCluster", json_true());
	if (d->roles != 0)
		json_object_set_new(j, "roles", json_integer(d->roles));
	if (d->has_weight)
		json_object_set_new(j, "weight", json_integer(d->weight));
	if (d->has_admin)
		json_object_set_new(j, "adminState", json_string(cluster_admin_names[d->admin]));
	return j;
}

int journal_save(const char *path, const struct layer *l, struct err *err)
{
	json_t *list = json_array(), *root = json_pack("{s:o}", "clusters", list);
	autofree char *text = NULL;
	int rc;

	for (uint32_t i = 0; i < l->count; i++)
		json_array_append_new(list, entry_json(&l->defs[i]));
	text = json_dumps(root, JSON_INDENT(1));
	json_decref(root);
	bug_on(text == NULL);
	rc = check_readable(path, str_of(text), err);
	return rc < 0 ? rc : file_replace(path, text, strlen(text), 0640, err);
}
