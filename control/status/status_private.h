// SPDX-License-Identifier: Apache-2.0
/*
 * status_private.h: what the files of control/status share.
 */
#pragma once

#include "control/clusters/clusters.h"
#include "control/status/event.h"
#include "control/status/lease.h"
#include "control/status/status.h"
#include "dataplane/base/list.h"
#include "dataplane/base/rng.h"

#define FINALIZER_IN_USE "gateway-exists-finalizer.gateway.networking.k8s.io"

#define ENTRY_BUCKETS 8192u
#define WRITES_UNDER_WAY 16u /* per cluster; the client paces them */
#define EVENTS_UNDER_WAY 2u
#define EVENTS_WAITING_MAX 1024u

/*
 * attachedRoutes moves with every route: such a change waits for a second of rest, but no longer
 * than fifteen since the last write, so that creating 1 000 routes costs a handful of writes.
 */
#define COUNTS_QUIET_US 1000000u
#define COUNTS_MAX_US 15000000u
#define COUNTS_AGAIN_US 100000u

#define RETRY_CONFLICT_US 50000u       /* doubled each time, and jittered */
#define RETRY_CONFLICT_MAX_US 4000000u /* whoever writes there all the time lets us in some day */
#define RETRY_FAILED_US 1000000u
#define RETRY_MAX_US 30000000u
#define RETRY_SCOUT_US 6000000u	 /* the most that a scout waits, but for chance */
#define RETRY_WAKE_US 5000000u	 /* from one waking of all to the next */
#define RETRY_SPREAD_US 1000000u /* those that are woken do not come all at once */
#define RETRY_DENIED_US 4000000u /* doubled, too: a server that starts knows no roles yet */

#define REST_VERSION_US 5000000u   /* what another version shall say comes with a plan, soon */
#define REST_SETTLED_US 300000000u /* before what was not taken is sent again as it was */
#define REST_SERVICE_US 30000000u  /* the same of a Service */
#define SLOW_US 10000000u	   /* who waits longer is named in the log, ... */
#define SLOW_LINES_US 30000000u	   /* ... one in so long */

struct writer;

/* One object that something shall be written to. */
struct entry {
	struct list bucket; /* in status.buckets */
	struct list queue;  /* in one of its writer's, or unlinked */
	struct writer *writer;
	enum kind kind;
	struct str ns, name; /* owned, one allocation */
	uint64_t pass;	     /* the last one that spoke about it */

	json_t *desired;    /* owned: status; NULL: nothing (a Service: it shall go) */
	json_t *service;    /* owned: of a Service all the rest */
	int64_t generation; /* that <desired> speaks about */
	bool in_use;	    /* a GatewayClass with Gateways */

	json_t *known;	      /* owned: the object as the server answered last, or NULL */
	uint64_t known_after; /* hash of the version in the store that it comes after */
	uint64_t looked_at;   /* hash of the version that needs nothing more; 0: look */
	uint64_t sent_to;     /* hash of the version in the store when the request was made */
	json_t *before;	      /* owned: status before the request that is under way */
	uint64_t settled;     /* hash of a patch that the server does not take (in full), ... */
	uint64_t settled_until_us; /* ... so that it is not sent again before */
	enum status_why settled_why;
	uint64_t sent_hash;	  /* of the patch under way */
	enum status_counter sent; /* what it is */
	bool under_way, doubtful; /* doubtful: GET first */
	bool resting;		  /* nothing to be done until it changes, or its time has come */
	bool slow;		  /* named in the log */
	enum status_why why;
	uint64_t since_us; /* it does not say what it shall; 0: it does */
	unsigned failures;
	uint64_t not_before_us, changed_us, sent_us, written_us;
};

struct event_wait {
	struct list link;
	struct writer *writer;
	char *path;   /* owned */
	json_t *body; /* owned */
	bool patch;
};

/* One cluster. */
struct writer {
	struct status *status;
	struct str name;	   /* owned */
	struct kube_cluster *kube; /* borrowed; NULL: none now */
	struct lease lease;
	bool lease_fresh;
	int64_t lease_acquired_us; /* since 1970 */
	char lease_why[200];	   /* what was logged last */
	struct loop_timer lease_timer;
	struct kube_call *lease_call;
	struct list urgent, normal, delayed; /* of entries */
	struct list events;		     /* of event_wait */
	uint32_t waiting, under_way, events_waiting, events_under_way;
	uint64_t denied_logged; /* bits by kind: said once */
	/*
	 * By kind: of those that were refused for now, the one that goes on asking; when it gets
	 * through the others need not wait out their time. NULL: none was refused.
	 */
	struct entry *scout[KIND_COUNT];
	uint64_t woken_us[KIND_COUNT]; /* the last waking, or the next */
	uint64_t slow_us;	       /* when the log named one */
	uint32_t whys[STATUS_WHY_COUNT];
	uint64_t counters[STATUS_COUNTER_COUNT];
};

struct status {
	struct loop *loop;
	struct store *store;
	struct status_ops ops;
	char instance[128];
	struct writer *writers[CLUSTERS_MAX]; /* owned */
	uint32_t writers_count;
	struct list *buckets;
	struct plan *plan; /* held: to be told; NULL: none that is new */
	struct plan *next; /* held: waits for its acknowledgement; NULL: none */
	char controller[254], lease_namespace[64];
	uint64_t pass, pass_end_us, pass_cost_us;
	struct loop_timer pass_timer, grace_timer, pump_timer, stop_timer;
	void (*stopped)(void *arg);
	void *stopped_arg;
	bool stopping;
	struct event_table *events;
	struct rng rng;
};

/* wanted.c: what the plan wants of every object. */
void wanted_build(struct status *s, const struct plan *p);
struct entry *entry_find(struct status *s, struct writer *w, enum kind kind, struct str ns,
	struct str name);
void entry_free(struct entry *e);
struct writer *writer_get(struct status *s, struct str cluster);

/* step.c: the next request for an object. */
struct step {
	const char *method, *content_type;
	char path[1200];
	json_t *body; /* owned by the step; NULL: none */
	enum status_counter what;
	/* With method NULL: */
	enum status_why why;
	uint64_t wait_until_us; /* 0: why is SAID */
	bool rests;		/* nothing to be done before, unless it changes */
};
uint64_t version_hash(struct str version);
/* method NULL: nothing to do. <now_us>: monotonic. */
void step_next(struct entry *e, uint64_t now_us, struct step *ret);
/* "/apis/<group>/<version>/namespaces/<ns>/<plural>/<name><suffix>" */
void step_path(const struct entry *e, const char *suffix, char *buf, size_t size);

/* writer.c: queues, requests, answers. */
void writer_queue(struct entry *e);
/* Looks at one that rests, too, when it or what it shall say has changed. */
void writer_queue_changed(struct entry *e);
void writer_why(struct entry *e, enum status_why why);
/* It can no longer show whether the server takes anything: another of those that wait may. */
void writer_drop_scout(struct entry *e);
void writer_pump(struct status *s);
void writer_soon(struct status *s, uint64_t delay_us);

/* leader.c */
void leader_start(struct writer *w);
void leader_stop(struct writer *w); /* no more of it; requests are cancelled */
/* True when an answer is still to come. */
bool leader_release(struct writer *w);

/* announce.c */
void announce_changes(struct entry *e, const json_t *before, const json_t *after);
void announce_pump(struct writer *w);
void announce_drop(struct writer *w);

int64_t status_wall_us(void);
