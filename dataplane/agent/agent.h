// SPDX-License-Identifier: Apache-2.0
/*
 * agent.h: the dataplane's thread for everything that is not traffic.
 *
 * The agent listens for control (nng PAIR1 over ipc), applies snapshots and small changes, keeps
 * them on disk as last known good, and answers questions. It is the only writer of
 * group->config. Workers are never waited for without a bound: what they may still read is freed
 * once each of them has passed a quiescent point.
 *
 * Verbs of a query; arguments and answers are JSON objects, numbers are numbers, ids are strings
 * of 16 hex digits, addresses text. Arguments in brackets may be left out.
 *
 *	config -> {dataplane, version, boot, control: {connected, name, epoch}, generation, revision,
 *		revision_epoch, structure, state, image, draining, durable, journal: {records, bytes},
 *		slots: {listener: {used, max}, ...}, counters: [{name, help, value}]}
 *	counters [objects: true] -> {sets: [{scope, instance, counters: [{name, help, value,
 *		workers: [...]}]}], objects: {listener: [{id, name, configured, counters: {name:
 *		value}}], ..., endpoint: [{..., cluster}]}, help: {listener: {name: text}, ...}}
 *	conns [worker, cursor (where to begin), limit] -> {conns: [{worker, local, remote, state,
 *		active, cwnd, ssthresh, srtt_us, rttvar_us, rto_us, snd_wnd, rcv_wnd, unacked, unread, bytes_in,
 *		bytes_out, retransmits, retransmits_spurious, mss, peer: {local, remote} | null}],
 *		next: {worker, cursor} | null}
 *	endpoints [service] -> {services: [{id, name, revision, shares: {overprovisioning,
 *		panic_threshold, slow_start_ms, ramp_points_per_s, norm, tiers: [{priority, total,
 *		ready, available, health, load, panic}], clusters: [{name, priority, remote, weight,
 *		total, ready, available, withheld, held, ramp, reach, panic, share}]}, endpoints:
 *		[{id, name, cluster, address, port, weight, draining, in_flight, idle,
 *		ejected_workers, ejected_us, verdict, slow_start, share, health: {state, usable,
 *		why, since_us, ejected_us, ejections, remote, probe: {result, status, latency_us,
 *		age_us, in_a_row} | null} | null}]}], failover: [{id, name, overprovisioning,
 *		panic_threshold, backends: [{id, and as a cluster}]}], suspicion: {on, since_us,
 *		times, clusters: [name]}}; all times are ages
 *	load [silent: names of clusters whose own site is not heard] -> {requests, busy_permille,
 *		draining, suspect, clusters: [{name, total, ready, usable, silent, requests}]}
 *	workers -> {workers: [{worker, stage, turns, in_turn_us, packets: {...}, tcp: {...},
 *		http: {...}}]}, without tcp and http when the worker does not answer
 *	neighbours -> {neighbours: [{worker, address, mac, port, state, age_us}]}
 *	trace {action: "start", [net, port, seconds]} | {action: "fetch"} | {action: "stop"}
 *		-> {on, lost, lines: [...]}
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "dataplane/base/err.h"
#include "dataplane/snapshot/message.h"

#define AGENT_PEER_UIDS_MAX 4u

struct access_names;
struct access_record;
struct agent;
struct worker_group;

struct agent_config {
	const char *name;      /* of this dataplane */
	const char *url;       /* ipc:///run/sluice/dp0.ipc; the folder exists */
	const char *state_dir; /* exists, writable by the user the process will have */
	mode_t socket_mode;    /* of the ipc socket; 0: 0660 */
	uid_t peer_uids[AGENT_PEER_UIDS_MAX]; /* who may connect besides root and ourselves */
	unsigned peer_uid_count;
	const cpu_set_t *cpus; /* housekeeping CPUs for the agent and nng; NULL: as inherited */
};

/* What a run-time slot counts (snapshot/config.h: SLOTS_*). */
enum agent_slot_kind {
	AGENT_SLOT_LISTENER = 0,
	AGENT_SLOT_RULE,
	AGENT_SLOT_BACKEND,
	AGENT_SLOT_ENDPOINT,
	AGENT_SLOT_KIND_COUNT
};

/* A question on its way. A verb works in bounded steps, so that changes of weights pass it by. */
struct agent_query {
	const json_t *args; /* an object */
	json_t *answer;	    /* verb: an object, owned by the query once set */
	void *state;	    /* verb: freed with free() when the query ends */
	unsigned step;	    /* 0 at the first call, then +1 */
	struct err err;	    /* verb: the sentence for any status but OK */
	enum message_result status;
};
/* True: call again. */
typedef bool (*agent_verb_fn)(struct agent *a, void *ctx, struct agent_query *q);
struct agent_verb {
	const char *name;
	agent_verb_fn fn;
};

/*
 * What the agent cannot know: how to look into workers. All run on the agent's thread; functions
 * may be NULL. The real ones are in agent_inspect.h.
 */
struct agent_ops {
	void *ctx;
	const struct agent_verb *verbs;
	unsigned verb_count;
	/* Somebody still counts on this slot (requests in flight): it keeps its id. */
	bool (*slot_busy)(void *ctx, enum agent_slot_kind kind, uint32_t slot);
	/* The slot belongs to another id from now on: what is counted there becomes its zero. */
	void (*slot_assigned)(void *ctx, enum agent_slot_kind kind, uint32_t slot);
	/* A few times per second. */
	void (*tick)(void *ctx, uint64_t now_us);
};

/*
 * Reads the last known good configuration, publishes it to <g> (workers may or may not run yet)
 * and starts the thread. An empty state directory is a start without configuration; damaged files
 * are counted, logged and skipped. Needs only g->qsbr, g->config, g->draining and g->count; <ops>
 * is copied. Blocks all signals in its thread.
 */
int agent_start(const struct agent_config *cfg, struct worker_group *g, const struct agent_ops *ops,
	struct agent **ret, struct err *err);
/* Ends the thread and closes the link. group->config stays published; see agent_free(). */
void agent_stop(struct agent *a);
/* After agent_stop() and after the last worker has ended: frees the configuration. */
void agent_free(struct agent *a);

/* Any thread: the names behind a record's slots; they are copied into <buf> while looking. */
#define AGENT_NAMES_MAX 1280u
void agent_access_names(struct agent *a, const struct access_record *rec, char buf[AGENT_NAMES_MAX],
	struct access_names *ret);
