// SPDX-License-Identifier: Apache-2.0
/*
 * peer.h: the other end of one connection, or of the wish for one: a machine by table (peer.def).
 *
 * Pure: what happens is an event, the time is an argument, what is to be done is an action of the
 * owner's. Who the peer is, is known for certain from state SYNC on.
 */
#pragma once

#include "federation/federation.h"
#include "federation/proto.h"

enum peer_event {
	PEER_EVENT_NONE = 0,
#define PEER_EVENT(name, text, kind, help) PEER_EVENT_##name,
#include "federation/peer.def"
	PEER_EVENT_COUNT
};

enum peer_action {
	PEER_ACTION_NONE = 0,
#define PEER_ACTION(name) PEER_ACTION_##name,
#include "federation/peer.def"
	PEER_ACTION_COUNT
};

extern const char *const peer_event_names[PEER_EVENT_COUNT];

struct remote;
struct federation;

struct peer {
	/* The machine's; peer.c alone writes these. */
	enum peer_state state;
	enum refusal why;     /* during HANG_UP: the reason, or REFUSAL_NONE */
	uint64_t since_ms;    /* the state was entered */
	uint64_t deadline_ms; /* event LATE; 0: none */
	/* Written by actions and read by the machine. */
	enum peer_event then; /* happens next */
	uint64_t due_ms;      /* event DUE, in WAIT; 0: never, they dial */
	uint64_t heard_ms;    /* last message, or connection */
	/* The actions'. */
	const struct peer_actions *actions;
	struct federation *federation;
	struct remote *remote; /* whom we dialed, or who it says it is; NULL: not known yet */
	uint64_t conn;	       /* 0: none */
	bool dialed;
	uint64_t seq, epoch; /* our last message; of its process */
	uint8_t nonce[32], their_nonce[32];
	uint64_t beat_ms, asked_ms; /* next heartbeat; last digest that we sent */
	uint32_t beats_behind;	    /* in a row whose root was not ours with nothing under way */
	bool is_compared;	    /* we have seen a digest since we came to SYNC */
	bool awaits;		    /* we have asked, by our digest, and no answer has come */
	bool is_in_step;
};

/* What is done: REFUSAL_NONE, or why the connection must end. <m> is the event's message or NULL. */
typedef enum refusal (
	*peer_action_fn)(struct peer *p, const struct proto_message *m, uint64_t now_ms);

struct peer_actions {
	peer_action_fn fn[PEER_ACTION_COUNT]; /* [PEER_ACTION_NONE] is not used */
};

/* Runs <event> and what follows from it. */
void peer_step(struct peer *p, enum peer_event event, const struct proto_message *m,
	uint64_t now_ms);
/* Ends the connection for something that is not in the table, as bytes that make no message. */
void peer_refuse(struct peer *p, enum refusal why, uint64_t now_ms);
/* The timer that has run out, or PEER_EVENT_NONE. */
enum peer_event peer_due(const struct peer *p, uint64_t now_ms);

enum peer_event peer_event_of(const struct proto_message *m);
static inline bool peer_is_proved(const struct peer *p)
{
	return p->state == PEER_SYNC || p->state == PEER_LIVE;
}

/* The table as a graph in DOT, for people. */
void peer_dump(void (*line)(void *arg, const char *text), void *arg);
