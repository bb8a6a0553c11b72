// SPDX-License-Identifier: Apache-2.0
/*
 * check.c: --check and --dump: the same way from manifests to snapshot, without dataplanes, state
 * or side effects.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "control/control.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/snapshot/snapshot.h"

#define CHECK_WAIT_US 20000000u /* for API servers */

enum { CHECK_OK = 0, CHECK_WRONG = 1, CHECK_USAGE = 2 };

static bool is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void add_cluster(struct control_config *c, struct config_cluster *list, const char *name,
	const char *dir)
{
	if (c->clusters_count < CLUSTERS_MAX)
		list[c->clusters_count++] = (struct config_cluster){
			.name = arena_str(&c->arena, str_of(name)),
			.directory = arena_printf(&c->arena, "%s", dir),
			.roles = CLUSTER_ROLES_ALL,
		};
}

/* Each folder in <path> is a cluster, unless manifests stand beside them; by name. */
static void add_folders(struct control_config *c, struct config_cluster *list, const char *path)
{
	struct dirent **entries = NULL;
	int n = scandir(path, &entries, NULL, alphasort);
	bool manifests = false;

	for (int i = 0; i < n; i++)
		manifests |= store_wants_file(entries[i]->d_name);
	for (int i = 0; i < n; i++) {
		const char *sub = arena_printf(&c->arena, "%s/%s", path, entries[i]->d_name);

		if (!manifests && entries[i]->d_name[0] != '.' && is_dir(sub))
			add_cluster(c, list, entries[i]->d_name, sub);
		free(entries[i]);
	}
	free(entries);
}

/* A folder without control.yaml: manifests of one cluster, or one folder per cluster. */
static void config_from_dir(const char *path, struct control_config *ret)
{
	struct config_cluster *list;

	*ret = (struct control_config){
		.controller_name = STR("gateway.sluice.internal/controller")};
	arena_init(&ret->arena, 0);
	list = arena_array(&ret->arena, struct config_cluster, CLUSTERS_MAX);
	ret->clusters = list;
	add_folders(ret, list, path);
	if (ret->clusters_count == 0)
		add_cluster(ret, list, "cluster", path);
}

static int load_config(const char *path, struct control_config *ret, struct err *err)
{
	char file[4096];

	if (!is_dir(path))
		return control_config_load(path, ret, err);
	if (snprintf(file, sizeof(file), "%s/control.yaml", path) >= (int)sizeof(file))
		return err_set(err, ENAMETOOLONG, "%s: too long", path);
	if (access(file, F_OK) == 0)
		return control_config_load(file, ret, err);
	config_from_dir(path, ret);
	return 0;
}

/* --- reading: the same sources as in service, until all is known --- */

struct reading {
	struct loop *loop;
	struct store *store;
	struct registry *registry;
	struct sources *sources;
	struct loop_timer deadline;
};

/* Whoever can be asked has answered. */
static bool all_known(const struct reading *r)
{
	const struct cluster_entry *list;
	struct source_state st;
	uint32_t count;

	list = registry_entries(r->registry, &count);
	for (uint32_t i = 0; i < count; i++)
		if (sources_state(r->sources, list[i].def.name, &st) && st.open && !st.takes_part)
			return false;
	return true;
}

static void on_change(void *arg)
{
	const struct reading *r = arg;

	if (r->sources != NULL && all_known(r))
		loop_stop(r->loop);
}

static void on_status(void *arg)
{
}

static void on_clusters(void *arg)
{
}

static void on_deadline(void *arg)
{
	loop_stop(((struct reading *)arg)->loop);
}

/* Prints what cannot be read and returns false. */
static bool say_clusters(const struct reading *r)
{
	const struct cluster_entry *list;
	bool ok = true;
	uint32_t count;

	list = registry_entries(r->registry, &count);
	for (uint32_t i = 0; i < count; i++) {
		struct source_state st;
		const char *why = "";

		if (!sources_state(r->sources, list[i].def.name, &st))
			continue;
		why = *st.error				 ? st.error
			: st.takes_part			 ? ""
			: st.open && *st.kube.last_error ? st.kube.last_error
							 : "is not known in time";
		if (*why == '\0')
			continue;
		printf("cluster %.*s: %s\n", STR_FMT(list[i].def.name), why);
		ok = false;
	}
	return ok;
}

static int reading_open(struct reading *r, const struct control_config *c, struct err *err)
{
	const struct sources_events events = {on_change, on_status, on_clusters, NULL, r};
	int rc = loop_new(&r->loop, err);

	if (rc == 0)
		rc = registry_new(NULL, &r->registry, err);
	if (rc < 0)
		return rc;
	r->store = store_new();
	registry_set_file(r->registry, c);
	rc = sources_new(r->loop, r->store, r->registry, NULL, &events, &r->sources, err);
	if (rc < 0)
		return rc;
	sources_apply(r->sources);
	if (!all_known(r)) {
		loop_timer_init(&r->deadline, on_deadline, r);
		loop_timer_set(r->loop, &r->deadline, CHECK_WAIT_US);
		rc = loop_run(r->loop);
		loop_timer_stop(&r->deadline);
	}
	return rc;
}

static void reading_close(struct reading *r)
{
	sources_free(r->sources);
	if (r->store != NULL)
		store_free(r->store);
	registry_free(r->registry);
	if (r->loop != NULL)
		loop_free(r->loop);
}

/* Builds the image as publishing would, for its limits; prints it when asked to. */
static bool build_image(struct plan *p, bool dump)
{
	struct compiled *k = compiled_new(p);
	autofree void *image = NULL;
	struct snapshot snap;
	struct err err;
	size_t len;
	bool ok;

	k->build.generation = 1;
	ok = snapshot_build(&k->build, &image, &len, &err) == 0 &&
		snapshot_open(image, len, &snap, &err) == 0;
	if (!ok)
		printf("snapshot: %s\n", err.msg);
	else if (dump)
		snapshot_dump(&snap, stdout);
	compiled_free(k);
	return ok;
}

static bool check_plan(const struct control_config *c, const struct reading *r, bool dump)
{
	struct view *view = store_view(r->store);
	const struct plan_input in = {
		.view = view,
		.clusters = registry_clusters(r->registry),
		.config = c,
		.now_s = (int64_t)time(NULL),
	};
	struct plan *p = plan_build(&in);
	unsigned errors = plan_print(p, dump ? stderr : stdout);
	bool ok = build_image(p, dump) && errors == 0;

	plan_put(p);
	view_put(view);
	return ok;
}

int check_run(const char *path, bool dump)
{
	struct control_config config;
	struct reading r = {NULL};
	struct err err;
	bool ok;

	if (load_config(path, &config, &err) < 0) {
		printf("%s\n", err.msg);
		return CHECK_USAGE;
	}
	ok = reading_open(&r, &config, &err) == 0;
	if (!ok)
		printf("%s\n", err.msg);
	ok = ok && say_clusters(&r);
	if (r.sources != NULL)
		ok = check_plan(&config, &r, dump) && ok;
	reading_close(&r);
	control_config_fini(&config);
	return ok ? CHECK_OK : CHECK_WRONG;
}
