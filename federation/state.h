// SPDX-License-Identifier: Apache-2.0
/*
 * state.h: what the files of federation/ share: one site with all that it knows.
 *
 *	federation.c	lifecycle, carrier events, ticks, questions
 *	actions.c	what the peer machine does: greeting and hanging up
 *	sync.c		... and once a peer is proved: digests, deltas, heartbeats
 *	merge.c		which records are taken, of others and of our own
 *	edits_log.c	the journal as this site uses it, and edits that lost
 */
#pragma once

#include "federation/budget.h"
#include "federation/federation.h"
#include "federation/hlc.h"
#include "federation/outbox.h"
#include "federation/peer.h"
#include "federation/table.h"

#define SITE_SELF 0u /* index of this site; peers have their place in the list + 1 */
#define INCOMING_MAX (FEDERATION_PEERS_MAX + 8u)
#define LOST_MAX 128u /* edits that lost, remembered */
#define DELTA_RECORDS_MAX 1024u
#define RETRY_MS 500u	       /* between attempts to connect, and as much again at random */
#define RETRY_REFUSED_MS 5000u /* after one that was refused */
#define SYNC_AGAIN_MS 5000u    /* between two comparisons that we begin */

/* A configured site. */
struct remote {
	struct str name;
	char *url, *certificate_name;
	uint8_t key[FEDERATION_KEY_BYTES];
	uint16_t site;	     /* index */
	struct peer dialer;  /* used if our name sorts before its: one of two dials */
	struct peer *proved; /* its connection, once it has proved itself on it */
	struct outbox *outbox;
	struct budget records, messages, digests, drops;
	struct budget lost;   /* edits of this site's that lose, by way of anybody */
	enum peer_state told; /* the state in the last event */
	enum refusal last_refusal;
	uint64_t epoch, heard_ms;
	int64_t clock_ms;
	uint64_t connects, records_sent, records_taken, records_refused, messages_sent,
		messages_received;
};

struct lost_edit {
	struct record record;
	uint8_t *bytes; /* owned */
	uint32_t len;
};

struct federation {
	struct federation_config cfg; /* strings and lists owned below */
	struct federation_store store;
	bool has_store;
	struct str name;
	uint64_t epoch;
	struct hlc clock;
	struct table *table;
	struct remote remotes[FEDERATION_PEERS_MAX];
	uint32_t remote_count;
	struct peer incoming[INCOMING_MAX]; /* conn 0: free */
	struct lost_edit lost[LOST_MAX];    /* a ring */
	uint32_t lost_count;		    /* ever */
	uint32_t lost_unwritten;	    /* of them, not yet in the journal */
	size_t journal_bytes, journal_bound;
	bool is_journal_broken;
	uint64_t swept_ms; /* last look for records whose time is over */
	struct {
		uint64_t count, told_ms, held_back;
	} refusals[REFUSAL_COUNT];
	uint8_t out[PROTO_MAX];
};

/* federation.c */
uint64_t federation_wall_ms(const struct federation *f);
/* Counts and tells, not more often than once a second of each kind; <p> may be NULL. */
void federation_refused(struct federation *f, struct peer *p, enum refusal why);
void federation_tell(struct federation *f, const struct federation_event *e);
struct remote *federation_remote(struct federation *f, struct str name);
/* Of two sites one dials: we, or <r>. */
bool federation_dials(const struct federation *f, const struct remote *r);
bool federation_send(struct peer *p, struct proto_message *m);

/* actions.c, sync.c */
extern const struct peer_actions federation_actions;
enum refusal action_join(struct peer *p, const struct proto_message *m, uint64_t now_ms);
enum refusal action_ask(struct peer *p, const struct proto_message *m, uint64_t now_ms);
enum refusal action_compare(struct peer *p, const struct proto_message *m, uint64_t now_ms);
enum refusal action_take(struct peer *p, const struct proto_message *m, uint64_t now_ms);
enum refusal action_clear(struct peer *p, const struct proto_message *m, uint64_t now_ms);
enum refusal action_beat(struct peer *p, const struct proto_message *m, uint64_t now_ms);
void sync_heartbeat(struct peer *p, uint64_t now_ms);
void sync_flush(struct peer *p, uint64_t now_ms); /* sends what waits, as far as it may */

/* merge.c: all records of a delta; false: they could not be made durable, ask again. */
struct merge_result {
	uint32_t taken, refused, forged;
};
bool merge_delta(struct federation *f, struct peer *from, struct str records,
	struct merge_result *ret);
/* A record of our own: stamped, signed, durable if a weight, taken and marked for all peers. */
int merge_own(struct federation *f, struct record *r, struct err *err);
void merge_sweep(struct federation *f); /* records whose time is over */
/* At the start: our records of a time when we had another key; nothing else of them changes. */
void merge_sign_again(struct federation *f);

/* edits_log.c */
int edits_load(struct federation *f, struct err *err);
int edits_append(struct federation *f, const struct str *records, uint32_t count, struct err *err);
/* Remembers and tells an edit that lost against <winner>; known ones once only. */
void edits_lost(struct federation *f, const struct record *winner, struct str bytes);
bool edits_lost_is_known(const struct federation *f, const struct record *r);
/* One write for all that lost in a call: a peer may send a thousand in a message. */
void edits_flush_lost(struct federation *f);
void edits_fini(struct federation *f);
