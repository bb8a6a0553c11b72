// SPDX-License-Identifier: Apache-2.0
/*
 * health.h: which endpoints may be used: probes, traffic and suspicion become one verdict.
 *
 * Workers probe and count (http/http_probe.c, upstream/health.c); the agent alone decides, and says
 * it to all workers at once on the board (upstream/board.h). Readiness as the API server has it is
 * the base truth: endpoints that are not ready are not even here, and verdicts only subtract.
 *
 *	health.c	results in, verdicts out; on a virtual clock in tests
 *	health_list.c	who is there, and the list of those to be probed
 *	health_live.c	where both meet the configuration, the workers and the log
 *
 * Who decides what: probes that fail in a row take an endpoint down. Workers eject at once what
 * refuses, and what errs in a row; the agent spreads their sentences to all. Time-outs of requests
 * eject only by the agent, and where there are probes only what answers them: what is silent
 * altogether is theirs to judge. Nothing is judged of clusters under suspicion (suspicion.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/snapshot/build.h"
#include "dataplane/upstream/board.h"
#include "dataplane/upstream/probe.h"
#include "dataplane/upstream/suspicion.h"
#include "dataplane/upstream/verdict.h"

#define HEALTH_SUSPECT_INTERVAL_US 250000u /* under suspicion probes come so often at least ... */
#define HEALTH_SUSPECT_TIMEOUT_US 500000u  /* ... and none waits longer: an uplink may be back */

enum health_counter {
#define HEALTH_COUNTER(NAME, name, help) HEALTH_C_##NAME,
#include "dataplane/agent/health.def"
#undef HEALTH_COUNTER
	HEALTH_C_COUNT
};
const char *health_counter_name(unsigned i);
const char *health_counter_help(unsigned i);

struct health_endpoint {
	uint64_t id;	  /* 0: nobody has the slot */
	uint64_t cluster; /* its name's hash; 0: it has none */
	uint64_t pass;	  /* of the listing that found it last */
	struct ip_addr addr;
	uint16_t port;
	uint16_t policy; /* number in the listing; 0: the defaults */
	bool probed;
	bool remote;
	bool suspected;
	bool fresh; /* since the listing that is under way */
	struct verdict verdict;
	struct sentence sentence; /* the newest of anybody, while it holds */
	uint64_t silent_us;	/* sent time of the first of the unanswered probes; 0: it answers */
	uint64_t changed_us;	/* since when the verdict on the board is what it is */
	uint32_t timeouts_seen; /* of a run that has led to a sentence already */
	uint32_t timeouts_held; /* of a run that was counted as one that leads to none yet */
	struct probe_report last; /* done_us 0: none yet */
};

/* A policy of the listing, as far as health is concerned. */
struct health_policy {
	struct probe_check check; /* kind BUILD_PROBE_NONE: not probed */
	uint16_t rise, fall;
	struct health_rules rules;
};

struct health {
	struct health_board *board;	/* borrowed */
	struct health_endpoint *ep;	/* owned, [SLOTS_ENDPOINT_MAX] */
	uint32_t top;			/* slots below it may be in use */
	uint64_t pass;			/* number of the newest listing */
	struct health_policy *policies; /* owned, [policy_count]; texts in <texts> */
	uint32_t policy_count;
	void *texts;	      /* owned: what the policies' words point to */
	uint32_t probed;      /* endpoints */
	uint64_t interval_us; /* the longest of all probes */
	struct suspicion suspicion;
	struct probe_list *list; /* owned; published; NULL: none */
	uint64_t list_serial, list_digest;
	uint64_t changes; /* verdicts on the board that have changed so far */
	bool relist;	  /* the list of probes is to be made anew */
	void (*on_changed)(void *ctx, uint32_t slot,
		uint64_t now_us); /* or NULL: a verdict on the board */
	void *ctx;
	uint64_t counters[HEALTH_C_COUNT];
};

void health_init(struct health *h, struct health_board *board);
/* No worker reads the list any more. */
void health_fini(struct health *h);

/* -- health_list.c: a listing, all of it in one go ------------------------------------------ */

/* <policies>, [count]: number 0 are the defaults; copied, words included. */
void health_list_begin(struct health *h, const struct health_policy *policies, uint32_t count);
struct health_listed {
	uint64_t id, cluster;
	struct ip_addr addr;
	uint32_t slot;
	uint16_t port, policy;
	bool remote, draining;
};
/* An endpoint that is listed twice belongs to the first policy that is not number 0. */
void health_list_add(struct health *h, const struct health_listed *e);
void health_list_end(struct health *h, uint64_t now_us);
/*
 * The list of probes when it differs from the published one, else NULL; the caller publishes it
 * and frees the former one, which is in *ret_old, when the workers have left it.
 */
const struct probe_list *health_list_probes(struct health *h, unsigned workers,
	struct probe_list **ret_old);

/* -- health.c ------------------------------------------------------------------------------- */

/* Results of probes, as they came. */
void health_reports(struct health *h, const struct probe_report *r, unsigned count,
	uint64_t now_us);
/* What traffic says of the endpoint in <slot>: the newest sentence of any worker, time-outs. */
struct health_traffic {
	struct sentence sentence;
	uint32_t timeouts;    /* in a row, over all workers */
	uint64_t timeouts_us; /* the first of them */
	uint64_t good_us;     /* newest response without an error */
};
void health_traffic(struct health *h, uint32_t slot, const struct health_traffic *t,
	uint64_t now_us);
/* What <slot>'s verdict is now, put on the board. True: it has changed. */
bool health_publish(struct health *h, uint32_t slot, uint64_t now_us);
/* Control does not hear the site of this cluster either, or hears it again. */
void health_peer_silent(struct health *h, uint64_t cluster, bool silent);
/* The endpoint <id> in <slot>, or NULL. */
const struct health_endpoint *health_get(const struct health *h, uint64_t id, uint32_t slot);
/* Why it is where it is. */
enum verdict_why health_why(const struct health *h, const struct health_endpoint *e,
	uint64_t now_us);
/* Name of a cluster as a number; 0: no name. */
uint64_t health_cluster_id(struct str name);
