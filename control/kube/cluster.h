// SPDX-License-Identifier: Apache-2.0
/*
 * cluster.h: what the parts of the client share about one cluster. Private to this folder.
 *
 * Whoever is called from outside (socket, timer, program) stands between cluster_enter() and
 * cluster_leave(). Within, things are only noted: a watch in its <todo>, a call in the queue, the
 * end of the cluster in <closing>; cluster_leave() does them, where libcurl is not on the stack.
 */
#pragma once

#include "control/kube/frame.h"
#include "control/kube/kube.h"
#include "control/kube/objects.h"
#include "control/kube/rate.h"
#include "control/kube/reflector.h"
#include "control/kube/transfer.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/rng.h"

#define KUBE_OBJECT_MAX (4u << 20)
#define KUBE_LIST_BYTES_MAX \
	(256u << 20)			/* of the trimmed objects of lists that are not whole yet */
#define KUBE_KEYS_BYTES_MAX (64u << 20) /* of the names of all objects, known and listed */
#define KUBE_STATUS_MAX (16u << 10)	/* of the body of a refusal */
#define KUBE_ANSWER_MAX (16u << 20)	/* of the body of an answer to a call */
#define KUBE_CALLS_IN_FLIGHT 8u
#define KUBE_CALL_TRIES 10u
#define KUBE_CALL_UNSENT_TRIES 3u /* of a call that finds no connection */
#define KUBE_HURRY_US 10000000u	  /* one that is lost again and again is asked so often */
#define KUBE_ILL_US 3000000u /* nothing but 5xx for so long: the server as a whole is not well */
#define KUBE_COMPLAINTS 20u  /* log lines at once, */
#define KUBE_COMPLAINT_US 1000000u /* then one in this time */

/* Bytes that arrive, up to a bound. */
struct kube_text {
	char *p; /* owned */
	size_t len, room;
};

/* False when there would be more than <max>. */
bool kube_text_add(struct kube_text *t, const char *p, size_t len, size_t max);
void kube_text_fini(struct kube_text *t);

/* What one group and version serves. */
struct discovery {
	struct list link;
	char *path; /* owned; "/apis/<group>/<version>" */
	struct transfer *transfer;
	bool pending, refreshed;
	uint64_t at_us;	     /* when it was answered; 0: not yet, or to be asked again */
	bool failed, absent; /* no sense or no answer; 404 */
	json_t *resources;   /* owned; the list of that name */
	struct kube_text text;
	struct kube_cluster *c;
	struct err why;
};

struct kube_watch {
	struct kube_cluster *c;
	struct list link;
	struct kube_resource r; /* its texts are owned, but for the versions */
	struct kube_watch_events ev;
	void *arg;
	bool gone; /* kube_unwatch() */

	struct reflector reflector;
	struct loop_timer timer;
	unsigned todo;	/* REFLECTOR_DO_CLOSE, _REFRESH, _DISCOVER, _OPEN */
	uint32_t index; /* in r.versions: which one is asked for */

	/* in use */
	char *path;	     /* owned; "/apis/.../httproutes"; NULL: no version yet */
	const char *version; /* "" */
	char *api_version, *kind;
	struct object_type type;    /* as objects are handed over, */
	struct object_type as_sent; /* and as the server says it: another with metadata_only */

	/* this request */
	struct transfer *transfer;
	struct frame frame;
	bool framing, page_done;
	enum reflector_phase asked;
	uint32_t generation; /* of the credential it was sent with */
	int end_as;	     /* enum reflector_end when we stopped it ourselves; -1: we did not */
	char page_rv[RV_MAX], page_cont[REFLECTOR_CONTINUE_MAX];
	struct kube_text refusal;

	struct objects known, fresh;
	uint32_t unreadable; /* items of <fresh> */
	uint32_t page_items; /* of this page, readable or not */

	enum kube_watch_phase told;
	bool told_any;
	struct err why;
	uint64_t stale_since_us, last_event_us, relists;
};

struct kube_call {
	struct kube_cluster *c;
	struct list link;			   /* waiting or sent */
	char *method, *path, *content_type, *body; /* owned */
	size_t body_len;
	kube_done_fn done;
	void *arg;
	uint32_t timeout_ms, tries;
	bool urgent, refreshed, cancelled;
	struct transfer *transfer; /* while it is sent */
	uint64_t sent_us, not_before_us;
	struct kube_text text;
};

struct kube_cluster {
	struct loop *loop;
	char *name, *user_agent; /* owned */
	struct kubeconfig k;
	struct credential credential;
	struct transfers transfers;
	struct rng rng;
	struct list watches, discoveries, urgent, waiting, sent;
	uint32_t waiting_count, sent_count;
	struct rate rate;
	struct objects_budget keys;
	struct loop_timer pump; /* cluster_leave() is wanted soon */
	struct loop_timer pace; /* the rate lets the next call go */
	unsigned busy;
	bool again; /* something was noted while cluster_leave() was at work */
	bool closing;

	uint64_t counters[KUBE_COUNTER_COUNT];
	uint64_t connected_since_us, last_error_us;
	/* Requests found nobody, or nobody who could do them, and watches_hurry() was not called since. */
	bool lost;
	uint64_t good_us, hurried_us;
	struct err last_error;
	unsigned complaints; /* log lines that are left */
	uint64_t complaint_us, unsaid;
};

void cluster_enter(struct kube_cluster *c);
void cluster_leave(struct kube_cluster *c);
/* cluster_leave() will come, at the latest in the next turn. */
void cluster_soon(struct kube_cluster *c);
struct reflector_now cluster_now(struct kube_cluster *c);

static inline void cluster_count(struct kube_cluster *c, enum kube_counter n)
{
	c->counters[n]++;
}

/* Counts how a request ended, remembers it, and whether the server answers. */
void cluster_on_end(struct kube_cluster *c, const struct transfer_end *end);
/* The server does what it was asked for: who waits for it to come back shall not wait on. */
void cluster_on_good(struct kube_cluster *c);
/* The counter of a refusal of a list or watch. */
void cluster_on_refusal(struct kube_cluster *c, const struct reflector_refusal *r);
/* A log line about <what> (a resource or path), unless there were too many just now. */
void cluster_complain(struct kube_cluster *c, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* May a request go out now? READY, PENDING, or FAILED with c->credential.why. */
enum credential_state cluster_credential(struct kube_cluster *c);

/* Does what is noted for each; called where libcurl is not on the stack. */
void watches_settle(struct kube_cluster *c);
void watches_hurry(struct kube_cluster *c);
void calls_settle(struct kube_cluster *c);
void kube_watch_free(struct kube_watch *w);
void calls_free(struct kube_cluster *c);

/* --- discovery.c --- */

/* The document of a group's version: fresh, or asked for now; then discovery_done() comes. */
struct discovery *discovery_get(struct kube_cluster *c, const char *group, const char *version);
/* Ask again when it is needed next; <group> NULL: all. */
void discovery_forget(struct kube_cluster *c, const char *group);
/* The resource of that name that can be listed and watched; NULL: none. */
const json_t *discovery_find(const struct discovery *d, const char *plural);
void discoveries_settle(struct kube_cluster *c);
void discoveries_free(struct kube_cluster *c);

/* --- watch.c and its parts --- */

/* Notes what a reflector wants; what can be done within libcurl is done. */
void watch_apply(struct kube_watch *w, unsigned what);
/* Discovery has something new: watches that wait for it go on. */
void watch_on_discovered(struct kube_watch *w);
/* Sends what the reflector wants. */
void watch_send(struct kube_watch *w);
/* Bytes of an answer 200; false: stop. */
bool watch_input(struct kube_watch *w, const char *p, size_t len);
void watch_commit(struct kube_watch *w);
void watch_empty(struct kube_watch *w);
/* A sentence for on_state(). */
void watch_why(struct kube_watch *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What a Status object says of a refusal. */
void refusal_read(const json_t *status, struct reflector_refusal *r, const char **ret_message);
