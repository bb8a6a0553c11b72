// SPDX-License-Identifier: Apache-2.0
/*
 * status.h: the truth back to the API servers.
 *
 *	plan (acknowledged) ──→ wanted ──→ difference to what the object has ──→ kube_request()
 *	store_latest(): what it has ─────────┘            Lease held? ┘
 *
 * For each object of an API server that a plan speaks about: its status; for each Gateway a Service
 * that shows its VIPs; for a GatewayClass in use the finalizer; and Events about what has changed.
 * One request per object is under way at a time and is made when it is sent, so the newest plan
 * wins. Nothing is written twice: what the server answered counts until a watch has brought it.
 *
 * Whoever does not say yet what he shall is queued, under way, or has a time at which he is looked
 * at again, and a reason that is shown (why.def): there is no answer after which nothing follows.
 *
 * Who writes is decided by a Lease per cluster and controllerName. Without the right to it nothing
 * is written to that cluster.
 */
#pragma once

#include "control/kube/kube.h"
#include "control/loop/loop.h"
#include "control/reconcile/plan.h"
#include "control/store/store.h"

struct status;

struct status_ops {
	/* The client of a cluster; NULL: its objects come from elsewhere. */
	struct kube_cluster *(*kube)(void *arg, struct str cluster);
	void *arg;
};

/* <instance>: tells this process from others; the same again after a restart on this machine. */
struct status *status_new(struct loop *loop, struct store *store, const struct status_ops *ops,
	const char *instance);
void status_free(struct status *s); /* NULL is fine */
/* A name from the host, its present boot and the state directory: its path, and which one it is. */
void status_instance(const char *state_dir, char *buf, size_t size);

/*
 * The newest plan. <acked>: every live dataplane has it; a plan that is not acknowledged waits for
 * STATUS_GRACE_US for one that is, and is told then as it stands.
 */
void status_update(struct status *s, struct plan *p, bool acked);
#define STATUS_GRACE_US 1000000u
/* A plan that waits to be told was made from it. */
bool status_uses(const struct status *s, const struct control_config *config);
/* Objects came back with another status or version. */
void status_on_change(struct status *s);
/* Before kube_close(): requests to it will not be answered. */
void status_cluster_closed(struct status *s, struct str cluster);
/* Gives the Leases back; <done> comes when that is over, or after two seconds, or at once. */
void status_stop(struct status *s, void (*done)(void *arg), void *arg);

/* --- what REST and metrics show --- */

enum status_counter {
#define STATUS_COUNTER(NAME, name, help) STATUS_##NAME,
#include "control/status/status.def"
#undef STATUS_COUNTER
	STATUS_COUNTER_COUNT
};

enum status_why {
#define STATUS_WHY(NAME, word, help) STATUS_WHY_##NAME,
#include "control/status/why.def"
#undef STATUS_WHY
	STATUS_WHY_COUNT
};

struct status_counter_info {
	const char *name, *help;
};

extern const struct status_counter_info status_counter_info[STATUS_COUNTER_COUNT];
/* name: a word; help: a sentence's end. */
extern const struct status_counter_info status_why_info[STATUS_WHY_COUNT];

struct status_state {
	struct str cluster;
	bool leader;	      /* we write */
	bool denied;	      /* we may not touch the Lease */
	const char *holder;   /* of the Lease; "" */
	const char *identity; /* ours */
	uint32_t waiting, under_way, events_waiting;
	uint64_t counters[STATUS_COUNTER_COUNT];
	uint32_t whys[STATUS_WHY_COUNT]; /* objects */
};

/* The <i>th cluster; false behind the last. */
bool status_state(const struct status *s, uint32_t i, struct status_state *ret);

/* An object that does not yet say what it shall. */
struct status_wait {
	enum kind kind;
	struct str ns, name; /* until the next turn of the loop */
	enum status_why why;
	uint64_t waits_us;
	unsigned failures;
};

#define STATUS_WAITS_MAX 32u
/* Those of <cluster> that wait longest, the longest first; how many. */
uint32_t status_waits(const struct status *s, struct str cluster,
	struct status_wait ret[STATUS_WAITS_MAX]);
