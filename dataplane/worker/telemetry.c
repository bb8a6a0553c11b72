// SPDX-License-Identifier: Apache-2.0
/*
 * telemetry.c: answers to DPDK's telemetry, on its threads.
 *
 * They read what workers write, relaxed, as the agent does. The lock is between these threads and
 * the main thread's start and stop; no worker knows it. An answer is bounded by the tables of
 * counters, each of which fits one dictionary.
 */
#include "dataplane/worker/telemetry.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_telemetry.h>

#include "dataplane/base/bug.h"
#include "dataplane/worker/worker.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct worker_group *group; /* under <lock>; NULL: nobody is there */

/* "W" or "W,REST": the worker, and what follows; NULL: there is no such worker. */
static const struct worker *worker_of(const char *params, const char **ret_rest)
{
	unsigned long n;
	char *end;

	if (params == NULL || params[0] < '0' || params[0] > '9')
		return NULL;
	n = strtoul(params, &end, 10);
	if ((*end != '\0' && *end != ',') || n >= group->count)
		return NULL;
	*ret_rest = *end == ',' ? end + 1 : "";
	return group->w[n];
}

static int workers_answer(const char *params, struct rte_tel_data *d)
{
	rte_tel_data_start_array(d, RTE_TEL_INT_VAL);
	for (unsigned i = 0; i < group->count; i++)
		rte_tel_data_add_array_int(d, (int)i);
	return 0;
}

static int cycles_answer(const char *params, struct rte_tel_data *d)
{
	const char *rest;
	const struct worker *w = worker_of(params, &rest);
	const uint64_t *own;
	struct worker_work work;
	uint64_t turns;

	if (w == NULL)
		return -EINVAL;
	own = w->stats.counters;
	turns = own[WORKER_C_TURNS_WORK];
	worker_work(w, &work);
	rte_tel_data_start_dict(d);
	for (unsigned s = 0; s < WORKER_STAGE_COUNT; s++)
		rte_tel_data_add_dict_u64(d, worker_stage_name((enum worker_stage)s),
			w->stats.cycles[s]);
	rte_tel_data_add_dict_u64(d, "empty_cycles", own[WORKER_C_EMPTY_CYCLES]);
	rte_tel_data_add_dict_u64(d, "turns_empty", own[WORKER_C_TURNS_EMPTY]);
	rte_tel_data_add_dict_u64(d, "turns_working", turns);
	rte_tel_data_add_dict_u64(d, "packets_in", work.packets_in);
	rte_tel_data_add_dict_u64(d, "packets_out", work.packets_out);
	rte_tel_data_add_dict_u64(d, "requests", work.requests);
	if (turns > 0) { /* dictionaries hold no fractions */
		rte_tel_data_add_dict_u64(d, "packets_in_per_1000_turns",
			work.packets_in * 1000 / turns);
		rte_tel_data_add_dict_u64(d, "requests_per_1000_turns",
			work.requests * 1000 / turns);
	}
	return 0;
}

/* "tcp", "port/wan" */
static void layer_name(const struct counter_set *s, char buf[RTE_TEL_MAX_STRING_LEN])
{
	snprintf(buf, RTE_TEL_MAX_STRING_LEN, "%s%s%s", s->scope, s->instance[0] ? "/" : "",
		s->instance);
}

static int counters_answer(const char *params, struct rte_tel_data *d)
{
	struct counter_set sets[WORKER_COUNTER_SETS_MAX];
	char name[RTE_TEL_MAX_STRING_LEN];
	const char *rest;
	const struct worker *w = worker_of(params, &rest);
	unsigned count = w == NULL ? 0 : worker_counter_sets(w, sets);

	if (w == NULL)
		return -EINVAL;
	if (*rest == '\0')
		rte_tel_data_start_array(d, RTE_TEL_STRING_VAL);
	for (unsigned i = 0; i < count; i++) {
		layer_name(&sets[i], name);
		if (*rest == '\0') {
			rte_tel_data_add_array_string(d, name);
		} else if (strcmp(rest, name) == 0) {
			bug_on(sets[i].count > RTE_TEL_MAX_DICT_ENTRIES);
			rte_tel_data_start_dict(d);
			for (unsigned c = 0; c < sets[i].count; c++)
				rte_tel_data_add_dict_u64(d, sets[i].name(c), sets[i].v[c]);
			return 0;
		}
	}
	return *rest == '\0' ? 0 : -EINVAL;
}

static const struct {
	const char *cmd;
	int (*fn)(const char *params, struct rte_tel_data *d);
	const char *help;
} commands[] = {
	{"/sluice/workers", workers_answer, "Numbers of the workers. Takes no parameters"},
	{"/sluice/cycles", cycles_answer,
		"Cycles by stage of the loop, turns, packets and requests. Parameters: int worker"},
	{"/sluice/counters", counters_answer,
		"Counters of a layer, or the layers. Parameters: int worker[,layer]"},
};

static int answer(const char *cmd, const char *params, struct rte_tel_data *d)
{
	int rc = -ENODEV;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; group != NULL && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(cmd, commands[i].cmd) == 0)
			rc = commands[i].fn(params, d);
	pthread_mutex_unlock(&lock);
	return rc;
}

int telemetry_start(const struct worker_group *g, struct err *err)
{
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		int rc = rte_telemetry_register_cmd(commands[i].cmd, answer, commands[i].help);

		if (rc < 0 && rc != -EEXIST)
			return err_set(err, -rc, "telemetry %s: %s", commands[i].cmd,
				strerror(-rc));
	}
	pthread_mutex_lock(&lock);
	group = g;
	pthread_mutex_unlock(&lock);
	return 0;
}

void telemetry_stop(void)
{
	pthread_mutex_lock(&lock);
	group = NULL;
	pthread_mutex_unlock(&lock);
}
