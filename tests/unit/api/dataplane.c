// SPDX-License-Identifier: Apache-2.0
/*
 * dataplane.c: see dataplane.h.
 */
#include "tests/unit/api/dataplane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dataplane/agent/agent.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/worker/worker.h"

#define CONTROL_UID 65534 /* what control becomes where there is no user sluice */

#define LATE_US 3000000u

struct dataplane {
	struct agent *agent;
	struct worker_group group;
	char url[128], state[128];
};

static bool verb_counters(struct agent *a, void *ctx, struct agent_query *q)
{
	q->answer = json_pack("{s:[{s:s, s:s, s:[{s:s, s:s, s:i}, {s:s, s:s, s:i}]},"
			      "{s:s, s:s, s:[{s:s, s:s, s:i}]}], s:{}}",
		"sets", "scope", "net", "instance", "", "counters", "name", "eth_drop_short",
		"help", "frames cut short", "value", 3, "name", "arp_in", "help", "ARP", "value", 5,
		"scope", "port", "instance", "eth0", "counters", "name", "rx_packets", "help",
		"packets", "value", 12, "objects");
	json_array_append_new(json_object_get(json_array_get(json_object_get(q->answer, "sets"), 1),
				      "counters"),
		json_pack("{s:s, s:s, s:i}", "name", "nap_us", "help", "asleep", "value", 1500000));
	return false;
}

static bool verb_conns(struct agent *a, void *ctx, struct agent_query *q)
{
	json_int_t worker = json_integer_value(json_object_get(q->args, "worker"));
	json_int_t cursor = json_integer_value(json_object_get(q->args, "cursor"));

	static uint64_t asked_us;

	if (worker == 7 && q->step == 0)
		asked_us = clock_mono_us();
	if (worker == 7 && clock_mono_us() - asked_us < LATE_US)
		return true;
	if (worker > 7) {
		q->status = MESSAGE_RESULT_BAD_ARGS;
		err_set(&q->err, EINVAL, "worker %lld: there is none", worker);
		return false;
	}
	q->answer = json_pack("{s:[{s:i, s:s, s:s, s:s, s:b, s:i, s:i, s:i, s:i, s:i, s:{s:s}}]}",
		"conns", "worker", 0, "local", "203.0.113.10:80", "remote", "10.201.0.2:4000",
		"state", "ESTABLISHED", "active", 0, "cwnd", 14480, "srtt_us", 210, "retransmits",
		(int)cursor, "bytes_in", 100, "bytes_out", 2000, "peer", "remote",
		"10.203.0.11:8080");
	/* two pages */
	json_object_set_new(q->answer, "next",
		cursor == 0 ? json_pack("{s:i, s:i}", "worker", 0, "cursor", 1) : json_null());
	return false;
}

static bool verb_endpoints(struct agent *a, void *ctx, struct agent_query *q)
{
	q->answer = json_pack("{s:[]}", "services");
	return false;
}

static bool verb_workers(struct agent *a, void *ctx, struct agent_query *q)
{
	q->answer = json_pack("{s:[{s:i, s:s, s:i, s:i, s:{s:i}}]}", "workers", "worker", 0,
		"stage", "rx", "turns", 9, "in_turn_us", 1, "tcp", "conns", 2);
	return false;
}

/* Started: one packet's walk, then the beginning of the next. */
static bool verb_trace(struct agent *a, void *ctx, struct agent_query *q)
{
	const char *action = json_string_value(json_object_get(q->args, "action"));
	static bool pending;

	if (action != NULL && strcmp(action, "start") == 0)
		pending = true;
	q->answer = json_pack("{s:b, s:i, s:[]}", "on", 1, "lost", 0, "lines");
	if (action != NULL && strcmp(action, "fetch") == 0 && pending) {
		json_object_set_new(q->answer, "lines",
			json_pack("[s, s, s]", "1.000001 w0 ip4_input 10.201.0.2:4000 > x",
				"1.000001 w0 tcp_input SYN", "1.000900 w0 ip4_input next"));
		pending = false;
	}
	return false;
}

static const struct agent_verb verbs[] = {
	{"counters", verb_counters},
	{"conns", verb_conns},
	{"endpoints", verb_endpoints},
	{"workers", verb_workers},
	{"trace", verb_trace},
};

struct dataplane *dataplane_start(const char *dir)
{
	struct dataplane *d = calloc(1, sizeof(*d));
	struct agent_config cfg = {.name = "dp0", .socket_mode = 0666};
	const struct agent_ops ops = {.verbs = verbs,
		.verb_count = sizeof(verbs) / sizeof(verbs[0])};
	struct err err;

	bug_on(d == NULL);
	d->group.qsbr = aligned_alloc(64, (rte_rcu_qsbr_get_memsize(1) + 63) & ~(size_t)63);
	bug_on(d->group.qsbr == NULL || rte_rcu_qsbr_init(d->group.qsbr, 1) != 0);
	snprintf(d->url, sizeof(d->url), "ipc://%s/dp0.ipc", dir);
	snprintf(d->state, sizeof(d->state), "%s/dp0.state", dir);
	mkdir(d->state, 0700);
	cfg.url = d->url;
	cfg.state_dir = d->state;
	cfg.peer_uids[cfg.peer_uid_count++] = CONTROL_UID;
	if (agent_start(&cfg, &d->group, &ops, &d->agent, &err) < 0) {
		fprintf(stderr, "agent: %s\n", err.msg);
		abort();
	}
	return d;
}

void dataplane_stop(struct dataplane *d)
{
	agent_stop(d->agent);
	agent_free(d->agent);
	free(d->group.qsbr);
	free(d);
}
