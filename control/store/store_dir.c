// SPDX-License-Identifier: Apache-2.0
/*
 * store_dir.c: a cluster's directory of manifests.
 *
 * What `kubectl apply -R -f DIR` would take: *.yaml, *.yml and *.json, folders below included.
 * Hidden names are skipped, which also leaves out editors' temporary files and the ..data folder of
 * mounted ConfigMaps (whose visible entries are links to files, and links to files are followed;
 * links to folders are not, so there are no cycles).
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "control/store/store_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/yaml/yaml_tree.h"

#define DIR_DEPTH_MAX 16

bool store_wants_file(const char *name)
{
	struct str s = str_of(name);

	return s.len && s.p[0] != '.' &&
		(str_ends(s, STR(".yaml")) || str_ends(s, STR(".yml")) ||
			str_ends(s, STR(".json")));
}

void store_reload_file(struct store *s, struct str cluster, const char *path)
{
	struct store_file *f = store_file_find(s, cluster, path);
	autofree char *text = NULL;
	size_t len = 0;
	struct err err;
	int rc = yaml_read_file(path, &text, &len, &err);

	if (rc == -ENOENT) {
		store_remove_file(s, cluster, path);
		return;
	}
	if (f == NULL)
		f = store_file_add(s, cluster, path);
	f->seen = true;
	if (rc < 0) {
		f->text_hash = 0;
		store_file_problem(s, f, err.msg);
		return;
	}
	store_file_text(s, f, str_make(text, len));
}

static int walk(struct store *s, struct str cluster, const char *dir, int depth, struct err *err);

static int visit(struct store *s, struct str cluster, const char *dir, const char *name, int depth,
	struct err *err)
{
	autofree char *path = NULL;
	struct stat st;

	if (name[0] == '.')
		return 0;
	bug_on(asprintf(&path, "%s/%s", dir, name) < 0);
	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return walk(s, cluster, path, depth + 1, err);
	if (store_wants_file(name))
		store_reload_file(s, cluster, path);
	return 0;
}

static int walk(struct store *s, struct str cluster, const char *dir, int depth, struct err *err)
{
	struct dirent *e;
	DIR *d;
	int rc = 0;

	if (depth > DIR_DEPTH_MAX)
		return err_set(err, ELOOP, "%s: folders are nested deeper than %d", dir,
			DIR_DEPTH_MAX);
	d = opendir(dir);
	if (d == NULL) {
		rc = errno;
		return err_set(err, rc, "%s: %s", dir, strerror(rc));
	}
	while (rc == 0 && (errno = 0, e = readdir(d)) != NULL)
		rc = visit(s, cluster, dir, e->d_name, depth, err);
	if (rc == 0 && errno != 0) {
		rc = errno;
		rc = err_set(err, rc, "%s: %s", dir, strerror(rc));
	}
	closedir(d);
	return rc;
}

static void forget_unseen(struct store *s, struct str cluster)
{
	uint32_t i = 0;

	while (i < s->files_count) {
		struct store_file *f = s->files[i];

		if (!f->seen && str_eq(str_of(f->cluster), cluster))
			store_remove_file(s, cluster, f->path);
		else
			i++;
	}
}

int store_load_dir(struct store *s, struct str cluster, const char *dir, struct err *err)
{
	int rc;

	for (uint32_t i = 0; i < s->files_count; i++)
		s->files[i]->seen = false;
	rc = walk(s, cluster, dir, 0, err);
	if (rc == 0)
		forget_unseen(s, cluster);
	return rc;
}
