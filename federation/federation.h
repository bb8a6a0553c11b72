// SPDX-License-Identifier: Apache-2.0
/*
 * federation.h: one site among others; the whole interface of this folder.
 *
 * The owner (control/federate.c) tells what this site knows (its own state, clusters as it sees
 * them, its operators' weights) and is told what others say, by events. It gives a carrier, a
 * clock, randomness and a place for the journal; nothing here opens a socket or asks for the time.
 *
 * One thread. Events come from inside of the calls below and of the carrier's; they may read, but
 * not change or close. Pointers into records are good until the next call that is not a question.
 * What is guaranteed after how long: README.md.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/str.h"
#include "federation/carrier.h"
#include "federation/record.h"

#define FEDERATION_PEERS_MAX 31u
#define FEDERATION_SITE_HEALTH_MAX 64u	 /* clusters that one site may speak about */
#define FEDERATION_SITE_WEIGHTS_MAX 256u /* keys whose last writer may be one and the same site */
/* As many as all sites together may have: nobody can take another's place. */
#define FEDERATION_RECORDS_MAX \
	((FEDERATION_PEERS_MAX + 1) * \
		(1 + FEDERATION_SITE_HEALTH_MAX + FEDERATION_SITE_WEIGHTS_MAX))
#define FEDERATION_TICK_MS 100u
#define FEDERATION_HEARTBEAT_MS 1000u
#define FEDERATION_DEAD_MS 3000u    /* three heartbeats */
#define FEDERATION_UNREAD_MS 20000u /* a message that the peer does not take */
#define FEDERATION_CONNECT_MS 2000u /* the longest attempt to connect */
#define FEDERATION_AHEAD_MS 300000u /* stamps further ahead of our clock are refused */

enum refusal {
	REFUSAL_NONE = 0,
#define REFUSAL(name, metric, ends, help) REFUSAL_##name,
#include "federation/refusal.def"
#undef REFUSAL
	REFUSAL_COUNT
};
extern const char *const refusal_metrics[REFUSAL_COUNT]; /* [REFUSAL_NONE] is "none" */
extern const char *const refusal_helps[REFUSAL_COUNT];

enum peer_state {
#define PEER_STATE(name, text, limit, help) PEER_##name,
#include "federation/peer.def"
	PEER_STATE_COUNT
};
extern const char *const peer_state_names[PEER_STATE_COUNT];

struct federation;

/* Public keys are raw Ed25519 (RFC 8032), signing.h reads the usual text forms. */
#define FEDERATION_KEY_BYTES 32u

struct federation_peer {
	struct str name;
	const char *url;	      /* where it listens */
	const char *certificate_name; /* what its certificate calls it; NULL: <name> */
	uint8_t key[FEDERATION_KEY_BYTES];
};

enum federation_event_kind {
	FEDERATION_RECORD = 0, /* <record> is new, changed, or its time is over */
	FEDERATION_CONFLICT,   /* <lost>, written without knowledge of <record>, lost against it */
	FEDERATION_PEER,       /* <peer> has gone to <state> */
	FEDERATION_REFUSED,    /* <refusal>, by <peer> if it is known, at <address> */
};

struct federation_event {
	enum federation_event_kind kind;
	const struct record *record, *lost;
	struct str peer;
	enum peer_state state;
	enum refusal refusal;
	const char *address; /* as the carrier names it */
	uint64_t held_back;  /* refusals of this kind that were not told since the last */
};

/* Durable storage of weights; journal.h has one on a file. NULL: nothing outlives the process. */
struct federation_store {
	void *ctx;
	/* All of it, malloc'ed; nothing there is *ret_len 0. */
	int (*load)(void *ctx, void **ret, size_t *ret_len, struct err *err);
	/* Durable when it returns 0. */
	int (*append)(void *ctx, const void *data, size_t len, struct err *err);
	/* Instead of all that is there; a crash leaves the old or the new. */
	int (*replace)(void *ctx, const void *data, size_t len, struct err *err);
	/*
	 * From <offset> on it cannot be read; <kept> entries before that can. All of it is about to be
	 * replaced: keeps it for people, and says so. NULL: nobody does.
	 */
	void (*damaged)(void *ctx, size_t offset, uint32_t kept);
};

struct federation_signer {
	void *ctx;
	bool (*sign)(void *ctx, const void *data, size_t len, uint8_t ret[RECORD_SIGNATURE_BYTES]);
	bool (*verify)(void *ctx, const uint8_t key[FEDERATION_KEY_BYTES], const void *data,
		size_t len, const uint8_t signature[RECORD_SIGNATURE_BYTES]);
};

struct federation_config {
	struct str name;		     /* this site */
	uint8_t key[FEDERATION_KEY_BYTES];   /* public half of what <signer> signs with */
	const struct federation_peer *peers; /* copied */
	uint32_t peer_count;
	struct carrier carrier;
	struct federation_signer signer;
	const struct federation_store *store; /* copied */
	void *arg;			      /* of the functions below */
	uint64_t (*now_ms)(void *arg);	      /* monotonic */
	uint64_t (*wall_ms)(void *arg);	      /* Unix time; may jump */
	void (*random)(void *arg, void *buf, size_t len);
	void (*on_event)(void *arg, const struct federation_event *e);
};

/* Lifecycle. The journal is read here, so weights hold before the first event. */
int federation_open(const struct federation_config *cfg, struct federation **ret, struct err *err);
void federation_close(struct federation *f); /* NULL is fine */
/* Every FEDERATION_TICK_MS: connects, heartbeats, time-outs, what could not be sent at once. */
void federation_tick(struct federation *f);

/*
 * What this site says of itself. An unchanged value sends nothing. -ENOSPC: too many clusters;
 * -EINVAL: not valid; -ETIME: our clock is more than FEDERATION_AHEAD_MS behind what we have
 * already said or heard, nobody would take it.
 */
int federation_put_site(struct federation *f, const struct record_site *s, struct err *err);
int federation_put_health(struct federation *f, struct str cluster, const struct record_health *h,
	struct err *err);

/*
 * An operator's change, durable before it holds and sent. <w>.seen is ignored. Tombstone:
 * .removed. Errors as above, or the journal's; then nothing has changed.
 */
int federation_set_weight(struct federation *f, struct str cluster, struct str scope,
	const struct record_weight *w, struct err *err);

/* Questions. */
/* What holds for a cluster at this site: its own scope before "all sites"; NULL: nothing does. */
const struct record *federation_weight(const struct federation *f, struct str cluster);
/* What somebody wants of it at all sites (<scope> empty), or at one alone; NULL: nobody anything. */
const struct record *federation_weight_at(const struct federation *f, struct str cluster,
	struct str scope);
/* One by one, in no order: *pos starts at 0; NULL at the end. Dead records are among them. */
const struct record *federation_next_record(const struct federation *f, uint32_t *pos);
/* Edits that lost, newest first; NULL at the end. */
const struct record *federation_lost_edit(const struct federation *f, uint32_t i);
/* Now, as sites agree on it: for record_is_dead(). Unix time in ms. */
uint64_t federation_time_ms(const struct federation *f);
uint64_t federation_digest(const struct federation *f); /* equal at sites in step */

struct federation_peer_state {
	struct str name;
	const char *url;
	enum peer_state state;
	bool is_connected;	     /* proved, and heard within FEDERATION_DEAD_MS */
	bool is_in_step;	     /* its digest was ours, by its last heartbeat */
	uint64_t epoch;		     /* of its process; 0: never met */
	uint64_t since_ms, heard_ms; /* monotonic: state entered, last message */
	int64_t clock_ms;	     /* its wall clock minus ours, by the last heartbeat */
	uint32_t unsent;	     /* records that it has not acknowledged */
	enum refusal last_refusal;
	uint64_t connects, records_sent, records_taken, records_refused, messages_sent,
		messages_received;
};

uint32_t federation_peer_count(const struct federation *f);
void federation_peer(const struct federation *f, uint32_t i, struct federation_peer_state *ret);
uint64_t federation_refusals(const struct federation *f, enum refusal why);
