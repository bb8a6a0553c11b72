// SPDX-License-Identifier: Apache-2.0
/*
 * world.h: a real plan of little manifests, and requests to it without a server.
 */
#pragma once

#include "control/api/request.h"
#include "control/compile/compile.h"

struct world {
	char dir[40];
	struct loop *loop;
	struct store *store;
	struct control_config config;
	struct plan *plan;
	struct arena arena;
	struct build_config build;
	struct publish *publish;
	struct api_source source;
};

extern struct world world;

/* Setup and teardown of a group. */
int world_open(void **state);
int world_close(void **state);

/* A request that is answered at once; ends with api_request_fini(). */
void ask(struct api_request *r, const struct api_input *in);
struct api_input input_get(const char *target);
json_t *body_of(const struct api_request *r);
/* Fails unless the answer is 200. */
json_t *get_json(const char *target);
/* "routes.0.rules.0.name": members and indexes from the root; fails when nothing is there. */
const json_t *at(const json_t *j, const char *path);
