// SPDX-License-Identifier: Apache-2.0
/*
 * yaml_config.c: see yaml_config.h.
 */
#include "dataplane/yaml/yaml_config.h"

#include <errno.h>
#include <string.h>

const char *const yaml_config_log_levels[] = {"error", "warn", "info", "debug", NULL};

/* What the callbacks of one decode need. */
struct loading {
	const char *name; /* of the file */
	int folder_len;	  /* in <name>, with the slash */
	struct err *err;
	bool failed;
};

static void on_report(struct yaml_decoder *d, bool fatal, uint32_t line, const char *path,
	const char *what)
{
	struct loading *l = d->ctx;

	if (!l->failed)
		err_set(l->err, EINVAL, "%s:%u: %s%s%s", l->name, line, path, path[0] ? ": " : "",
			what);
	l->failed = true;
}

int yaml_config_load(const char *path, const struct yaml_schema *schema, void *ret,
	struct arena *ret_arena, struct err *err)
{
	const char *slash = strrchr(path, '/');
	struct loading l = {path, slash != NULL ? (int)(slash - path) + 1 : 0, err, false};
	struct yaml_decoder d = {.strict = true, .report = on_report, .ctx = &l};
	struct yaml_file f;
	struct arena arena;
	int rc = yaml_load(path, &f, err);

	if (rc < 0)
		return rc;
	if (f.doc_count > 1) {
		yaml_file_fini(&f);
		return err_set(err, EINVAL, "%s: holds more than one document", path);
	}
	arena_init(&arena, 0);
	d.arena = &arena;
	rc = yaml_decode(&d, f.docs, schema, ret);
	yaml_file_fini(&f);
	if (rc < 0) {
		arena_fini(&arena);
		return rc;
	}
	*ret_arena = arena;
	return 0;
}

const char *yaml_config_resolve(const struct yaml_decoder *d, const char *path)
{
	const struct loading *l = d->ctx;

	if (path == NULL || path[0] == '/')
		return path;
	return arena_printf(d->arena, "%.*s%s", l->folder_len, l->name, path);
}

const char *yaml_config_check_url(struct str s)
{
	return str_starts(s, STR("ipc:///")) && s.len > 7 ? NULL
							  : "must be ipc:// and an absolute path";
}

const char *yaml_config_check_mode(struct str s)
{
	bool ok = s.len >= 3 && s.len <= 4 && (s.len == 3 || s.p[0] == '0');

	for (size_t i = 0; i < s.len; i++)
		ok = ok && s.p[i] >= '0' && s.p[i] <= '7';
	return ok ? NULL : "must be three octal digits in quotes, like \"0660\"";
}
