// SPDX-License-Identifier: Apache-2.0
/*
 * contract_world.h: both ends of the contract in a temporary directory, with workers that do
 * nothing but read the configuration as hard as they can.
 *
 * The real agent, the real publisher, a real socket and real files. A worker here checks at every
 * turn what real ones rely on (totals, slots, names of sets) and passes a quiescent point.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/publish/publish.h"
#include "dataplane/agent/agent.h"
#include "dataplane/worker/worker.h"

#define WORLD_WORKERS 2u
#define WORLD_RULES_MAX 64u
#define WORLD_ENDPOINTS_MAX 8192u
#define WORLD_WAIT_MS 15000u

/* What the configuration shall say; world_config() turns it into the input of the builder. */
struct world_spec {
	unsigned rules; /* each with two backends */
	unsigned listeners;
	uint32_t w[WORLD_RULES_MAX][2];
	unsigned endpoints;	 /* of service 0; service 1 has one */
	unsigned endpoint_first; /* number of the first: another one is another set */
	size_t name_len;	 /* of endpoints; 0: short */
};

struct world_worker {
	struct world *world;
	pthread_t thread;
	unsigned index;
	bool running;
	_Atomic uint64_t turns, seen_serial;
	_Atomic uint32_t seen_w[2];	 /* of the first rule */
	_Atomic uint32_t seen_endpoints; /* of service 0 */
};

struct world {
	char dir[64], dp_dir[96], control_dir[96], url[96];
	struct worker_group group;
	struct world_worker workers[WORLD_WORKERS];
	atomic_bool stop, hang; /* hang: worker 1 stops in the middle of a turn */
	atomic_bool hung;	/* it does */
	struct agent *agent;
	struct publish *publish;
	unsigned changes; /* calls of on_change */
	bool told_live;	  /* at the last one the dataplane counted */
};

void world_open(struct world *w);
void world_close(struct world *w);
void world_dataplane_start(struct world *w);
void world_dataplane_stop(struct world *w);
/* A dataplane over the folder of another process's world, until it is killed. */
_Noreturn void world_run_child(const char *dir);
void world_control_start(struct world *w);
void world_control_stop(struct world *w);
/* The file of this number ("snapshot", "journal") or of the highest (0) in the state directory. */
void world_file(const struct world *w, uint64_t number, const char *kind, char path[256]);

struct world_spec world_spec(unsigned rules);
/* Digest of all weights and endpoints, as both ends must see it. */
uint64_t world_state(const struct world_spec *s);
uint64_t world_rule_id(unsigned rule);
uint64_t world_backend_id(unsigned rule, unsigned backend);
uint64_t world_service_id(unsigned service);
/* publish_update() that must succeed. */
struct publish_outcome world_publish(struct world *w, const struct world_spec *s);
int world_try_publish(struct world *w, const struct world_spec *s, struct publish_outcome *out,
	struct err *err);
/* Builds the image of <s> alone. */
void world_image(const struct world_spec *s, uint64_t generation, void **ret, size_t *ret_len);

/* Lets control run for so long, or until the condition holds; false: it never did. */
bool world_run(struct world *w, unsigned ms);
bool world_run_until(struct world *w, bool (*cond)(struct world *w, uint64_t arg), uint64_t arg);
/*
 * Until every worker has ended a turn. One that was in the middle of it when all had a change may
 * still have to write down what it sees.
 */
void world_turn(struct world *w);
bool world_is_synced(struct world *w, uint64_t arg);
bool world_is_applied(struct world *w, uint64_t revision);
bool world_is_connected(struct world *w, uint64_t yes);
struct publish_state world_state_of(struct world *w);
/* Answer to a query as an object the caller decrefs; fails the test when there is none. */
json_t *world_query(struct world *w, const char *verb, const char *args);
enum message_result world_query_status(struct world *w, const char *verb, const char *args);
/* A counter of the agent by name, through the verb "config". */
int64_t world_counter(struct world *w, const char *name);
int64_t world_config_int(struct world *w, const char *key);
