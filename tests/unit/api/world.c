// SPDX-License-Identifier: Apache-2.0
/*
 * world.c: see world.h.
 */
#include "tests/unit/api/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/api/manifests.h"

struct world world;

static void world_plan(struct world *w)
{
	struct view *v = store_view(w->store);
	const struct plan_input in = {.view = v, .config = &w->config, .now_s = 1};

	w->plan = plan_build(&in);
	view_put(v);
	arena_init(&w->arena, 0);
	compile_plan(w->plan, 1, &w->arena, &w->build);
}

int world_open(void **state)
{
	struct world *w = &world;
	char path[64], cmd[600];
	struct err err;

	*w = (struct world){.dir = "/tmp/sluice-api-XXXXXX"};
	assert_non_null(mkdtemp(w->dir));
	snprintf(path, sizeof(path), "%s/control.yaml", w->dir);
	snprintf(cmd, sizeof(cmd),
		"printf '%%s\\n' 'clusters: [{name: east, directory: east}]' "
		"'pools: [{name: p, cidrs: [203.0.113.0/24]}]' "
		"'trustedNetworks: [10.0.0.0/8]' 'stateDirectory: state' >%s && mkdir %s/state",
		path, w->dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(loop_new(&w->loop, NULL), 0);
	if (control_config_load(path, &w->config, &err) < 0)
		fail_msg("%s", err.msg);
	w->store = store_new();
	store_put_text(w->store, STR("east"), "class.yaml", STR(CLASS_YAML));
	store_put_text(w->store, STR("east"), "gw.yaml", STR(GATEWAY_YAML));
	store_put_text(w->store, STR("east"), "route.yaml", STR(ROUTE_YAML(80, 20)));
	store_put_text(w->store, STR("east"), "app.yaml", STR(SERVICES_YAML));
	store_put_text(w->store, STR("east"), "bad.yaml", STR("kind: [\n"));
	world_plan(w);
	const struct publish_config pc = {.name = STR("test"),
		.state_dir = w->config.state_directory};
	if (publish_new(&pc, &w->publish, &err) < 0)
		fail_msg("%s", err.msg);
	w->source = (struct api_source){.config = &w->config,
		.config_path = path,
		.plan = w->plan,
		.compiled = &w->build,
		.publish = w->publish,
		.compile_error = "",
		.started_s = 1};
	return 0;
}

int world_close(void **state)
{
	char cmd[100];

	publish_free(world.publish);
	plan_put(world.plan);
	arena_fini(&world.arena);
	store_free(world.store);
	control_config_fini(&world.config);
	loop_free(world.loop);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", world.dir);
	return system(cmd);
}

/* --- one request --- */

void ask(struct api_request *r, const struct api_input *in)
{
	api_request_init(r, &world.source, world.loop);
	api_dispatch(r, in);
	assert_int_not_equal(r->reply.status, 0);
}

struct api_input input_get(const char *target)
{
	return (struct api_input){.method = STR("GET"), .target = str_of(target)};
}

json_t *body_of(const struct api_request *r)
{
	json_error_t je;
	json_t *j = json_loadb(r->reply.body, r->reply.body_len, 0, &je);

	if (j == NULL)
		fail_msg("no JSON: %s", je.text);
	return j;
}

json_t *get_json(const char *target)
{
	const struct api_input in = input_get(target);
	struct api_request r;
	json_t *j;

	ask(&r, &in);
	if (r.reply.status != 200)
		fail_msg("%s: %u %.*s", target, r.reply.status, (int)r.reply.body_len,
			r.reply.body);
	j = body_of(&r);
	api_request_fini(&r);
	return j;
}

/* "routes.0.rules.0.name": members and indexes from the root. */
const json_t *at(const json_t *j, const char *path)
{
	struct str rest = str_of(path);

	while (rest.p != NULL) {
		struct str part = str_cut(&rest, '.');
		char key[100];
		uint64_t i;

		snprintf(key, sizeof(key), "%.*s", STR_FMT(part));
		if (json_is_array(j) && str_to_u64(part, &i))
			j = json_array_get(j, i);
		else
			j = json_object_get(j, key);
	}
	if (j == NULL)
		fail_msg("nothing at %s", path);
	return j;
}
