// SPDX-License-Identifier: Apache-2.0
/*
 * kube.h: a client of Kubernetes API servers, several clusters on one control loop.
 *
 * Knows curl, JSON and kubeconfig; knows no store, no model and no plan. One struct kube_cluster
 * per API server, one struct kube_watch per resource in it (a "reflector": list, then watch),
 * requests through a queue that paces itself. Nothing here blocks: whoever opens a cluster that is
 * down gets it all the same, and hears of it by on_state().
 *
 * All callbacks come from the loop, never from within the function that asked for them. A callback
 * may call anything here, kube_close() of its own cluster included. JSON handed to a callback is
 * borrowed: json_incref() what shall stay.
 *
 * What a server says is not trusted: an object that cannot be one (no name, wrong types, too
 * large, keys twice) costs a counter and a log line, and what was known before stays.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/loop/loop.h"
#include "dataplane/base/err.h"
#include "dataplane/base/str.h"

struct kube_cluster;
struct kube_watch;
struct kube_call;

/* --- clusters --- */

#define KUBE_NAME_MAX 64u /* of a cluster, with its NUL */

/* Where the address and the credential of a cluster come from. */
struct kube_source {
	const char *name;    /* of the cluster, as logs and metrics show it */
	const char *path;    /* of a kubeconfig; NULL with <text> NULL: we run inside the cluster */
	struct str text;     /* instead of <path>: its bytes, for example from a Secret */
	const char *context; /* NULL: the file's current-context */
	/*
	 * The kubeconfig was written by somebody who is not the operator of this machine: it may
	 * name no file and no program here, and no proxy.
	 */
	bool untrusted;
	const char *user_agent; /* NULL: "sluice-control/<version>"; also the field manager */
};

/*
 * Reads the kubeconfig and the files that it names. <err> says file, line and field. Connections
 * are made when something is asked for.
 */
int kube_open(struct loop *loop, const struct kube_source *source, struct kube_cluster **ret,
	struct err *err);
/* Ends all watches and calls; none of their callbacks comes any more. NULL is fine. */
void kube_close(struct kube_cluster *c);
/* Only checks what kube_open() would check, for "sluice-control --check" and REST. */
int kube_check(const struct kube_source *source, struct err *err);

/* --- watches --- */

/* KUBE_WATCH(NAME, name, sentence), in the order of enum kube_watch_phase. */
enum kube_watch_phase {
#define KUBE_WATCH(NAME, name, help) KUBE_WATCH_##NAME,
#include "control/kube/kube.def"
	KUBE_WATCH_COUNT
};

const char *kube_watch_phase_name(enum kube_watch_phase p);

struct kube_items; /* the objects of one list, read one by one */

struct kube_watch_events {
	/*
	 * All that the server has: objects that are not among the items are gone. When <whole> is
	 * false some items could not be read, and objects that are not among those that could be
	 * stay as they were. An object that was deleted and made again meanwhile (another uid) has
	 * been announced by on_delete() before.
	 */
	void (*on_replace)(void *arg, struct kube_items *items, bool whole);
	/* New or changed. Has apiVersion, kind and metadata with name, uid, resourceVersion. */
	void (*on_upsert)(void *arg, json_t *object);
	/* Its last state, or only its metadata (namespace, name, uid). */
	void (*on_delete)(void *arg, json_t *object);
	/*
	 * After on_replace() when both are due; may repeat a phase with another reason. <why>: one
	 * sentence for people, "" when all is well. May be NULL.
	 */
	void (*on_state)(void *arg, enum kube_watch_phase phase, const char *why);
};

/* NULL at the end. The object is valid until the next call and until on_replace() returns. */
json_t *kube_items_next(struct kube_items *items);
/* How many there are in all. */
uint32_t kube_items_count(const struct kube_items *items);

struct kube_resource {
	const char *group;	     /* "" is the core group */
	const char *const *versions; /* acceptable, best first, NULL at the end; must live on */
	const char *plural;	     /* "httproutes" */
	const char *namespace_;	     /* NULL: all namespaces */
	const char *label_selector;  /* NULL: all objects; not escaped */
	const char *field_selector;  /* NULL, or for example "type=kubernetes.io/tls" */
	bool metadata_only; /* objects come without spec and status: what is large stays there */
};

/*
 * Finds out which version is served, lists, and keeps up. KUBE_WATCH_ABSENT: the server has no
 * such resource; on_replace() without items came before, and it is looked for again every minute
 * and after kube_rediscover().
 */
int kube_watch(struct kube_cluster *c, const struct kube_resource *r,
	const struct kube_watch_events *events, void *arg, struct kube_watch **ret,
	struct err *err);
void kube_unwatch(struct kube_watch *w);
/* A CustomResourceDefinition of <group> has changed (NULL: any): look again now. */
void kube_rediscover(struct kube_cluster *c, const char *group);
/* The version in use, "" while none is known. Paths for kube_request() are made with it. */
const char *kube_watch_version(const struct kube_watch *w);

/* --- requests --- */

#define KUBE_JSON "application/json"
#define KUBE_MERGE_PATCH "application/merge-patch+json"
#define KUBE_JSON_PATCH "application/json-patch+json"
#define KUBE_APPLY_PATCH "application/apply-patch+yaml"

/*
 * <status> is HTTP's, 409 and other refusals included; 0: no answer, <why> says what happened (the
 * request may or may not have been done). <body>: the object, or the server's Status; NULL when
 * there was no JSON.
 */
typedef void (*kube_done_fn)(void *arg, int status, json_t *body, const char *why);

struct kube_request {
	const char *method;	  /* "GET", "POST", "PUT", "PATCH", "DELETE" */
	const char *path;	  /* "/apis/...", with its query, escaped */
	const char *content_type; /* of <body>; NULL: KUBE_JSON */
	json_t *body;		  /* borrowed, written out at once; NULL: none */
	kube_done_fn done;	  /* comes exactly once, unless cancelled; may be NULL */
	void *arg;
	uint32_t timeout_ms; /* from being sent; 0: KUBE_CALL_TIMEOUT_MS */
	bool urgent;	     /* before all others and not paced: the Lease */
};

#define KUBE_CALL_TIMEOUT_MS 60000u
#define KUBE_CALLS_MAX 8192u /* waiting, of one cluster */

/*
 * Queued and sent at the pace that the server bears (Retry-After and 429 are waited out, at most
 * ten times). -ENOBUFS when the queue is full, -EINVAL for a path that is none. <ret>: NULL when
 * the caller will never cancel; valid until <done> is called.
 */
int kube_request(struct kube_cluster *c, const struct kube_request *r, struct kube_call **ret,
	struct err *err);
/* <done> will not be called. What was sent already may still be done by the server. */
void kube_call_cancel(struct kube_call *call);

/* --- what REST and metrics show --- */

enum kube_counter {
#define KUBE_COUNTER(NAME, name, help) KUBE_COUNTER_##NAME,
#include "control/kube/kube.def"
	KUBE_COUNTER_COUNT
};

struct kube_counter_info {
	const char *name, *help;
};

extern const struct kube_counter_info kube_counter_info[KUBE_COUNTER_COUNT];

struct kube_cluster_state {
	const char *name, *server;   /* borrowed from the cluster */
	bool connected;		     /* the last thing asked was answered */
	uint64_t connected_since_us; /* clock_mono_us(); 0 while not connected */
	uint64_t stale_since_us;     /* of the watch that is stale longest; 0: none is */
	const char *last_error;	     /* "" while there was none; kept when it is over */
	uint64_t last_error_us;
	uint32_t watches, synced; /* synced: those with all that the server has, or absent */
	uint32_t calls_waiting, calls_sent;
	double calls_per_second; /* the pace now */
	uint64_t counters[KUBE_COUNTER_COUNT];
};

struct kube_watch_state {
	const char *group, *version, *plural; /* version "" while none is known */
	enum kube_watch_phase phase;
	const char *why;	 /* it is not synced; "" when it is */
	bool ever_synced;	 /* what was handed over was complete at least once */
	uint64_t stale_since_us; /* 0: it is not stale */
	uint64_t last_event_us;	 /* bookmarks included; 0: none yet */
	uint32_t objects;
	uint64_t relists;
	const char *resource_version;
};

void kube_cluster_state(const struct kube_cluster *c, struct kube_cluster_state *ret);
void kube_watch_state(const struct kube_watch *w, struct kube_watch_state *ret);
/* The watches of a cluster, in the order they were made: NULL gives the first, and at the end. */
const struct kube_watch *kube_watch_next(const struct kube_cluster *c, const struct kube_watch *w);
