// SPDX-License-Identifier: Apache-2.0
/*
 * peer.c: runs the table of peer.def.
 *
 * The whole machine is a grid of states and events; a cell is the next state and one action. One
 * function moves, one function refuses, and both end in peer_set_state(), the only writer of the
 * state. What an action finds out becomes the next event, so a cause and its effect are two rows
 * of the table and never two places in the code.
 *
 * Actions come from outside (actions.c and sync.c have the real ones, tests have others), time is
 * an argument, and nothing here allocates, sends or logs.
 */
#include "federation/peer.h"

#include <stdio.h>

#include "dataplane/base/bug.h"

/* An event, what its action found out, and what followed from that; more is a loop in the table. */
#define STEPS_MAX 3u

enum event_kind { KIND_NONE, KIND_TIMER, KIND_CARRIER, KIND_MESSAGE, KIND_OWN };

struct move {
	uint8_t to, action; /* PEER_ACTION_NONE: no such row */
};

static const struct move moves[PEER_STATE_COUNT][PEER_EVENT_COUNT] = {
#define PEER_MOVE(from, event, next, act) \
	[PEER_##from][PEER_EVENT_##event] = {.to = PEER_##next, .action = PEER_ACTION_##act},
#include "federation/peer.def"
};

static const uint32_t limits_ms[PEER_STATE_COUNT] = {
#define PEER_STATE(name, text, limit, help) limit,
#include "federation/peer.def"
};

static const uint8_t event_kinds[PEER_EVENT_COUNT] = {
	KIND_NONE,
#define PEER_EVENT(name, text, kind, help) KIND_##kind,
#include "federation/peer.def"
};

const char *const peer_state_names[PEER_STATE_COUNT] = {
#define PEER_STATE(name, text, limit, help) text,
#include "federation/peer.def"
};

const char *const peer_event_names[PEER_EVENT_COUNT] = {
	"none",
#define PEER_EVENT(name, text, kind, help) text,
#include "federation/peer.def"
};

static void peer_set_state(struct peer *p, enum peer_state to, uint64_t now_ms)
{
	p->state = to;
	p->since_ms = now_ms;
	p->deadline_ms = limits_ms[to] != 0 ? now_ms + limits_ms[to] : 0;
}

void peer_refuse(struct peer *p, enum refusal why, uint64_t now_ms)
{
	p->why = why;
	p->actions->fn[PEER_ACTION_HANG_UP](p, NULL, now_ms);
	p->why = REFUSAL_NONE;
	p->then = PEER_EVENT_NONE;
	peer_set_state(p, PEER_WAIT, now_ms);
}

/* One cell of the grid. */
static void peer_move(struct peer *p, enum peer_event event, const struct proto_message *m,
	uint64_t now_ms)
{
	struct move move = moves[p->state][event];
	enum refusal why;

	if (move.action == PEER_ACTION_NONE) {
		if (event_kinds[event] == KIND_MESSAGE)
			peer_refuse(p, REFUSAL_UNEXPECTED, now_ms);
		return;
	}
	why = p->actions->fn[move.action](p, m, now_ms);
	if (why != REFUSAL_NONE)
		peer_refuse(p, why, now_ms);
	else if (move.to != p->state || event == PEER_EVENT_LATE)
		peer_set_state(p, move.to, now_ms); /* a limit that was used up begins again */
}

void peer_step(struct peer *p, enum peer_event event, const struct proto_message *m,
	uint64_t now_ms)
{
	bug_on(event == PEER_EVENT_NONE || event >= PEER_EVENT_COUNT);
	bug_on((event_kinds[event] == KIND_MESSAGE) != (m != NULL));
	p->then = PEER_EVENT_NONE;
	for (uint32_t n = 0; event != PEER_EVENT_NONE; n++) {
		bug_on(n == STEPS_MAX);
		peer_move(p, event, m, now_ms);
		event = p->then;
		p->then = PEER_EVENT_NONE;
		m = NULL;
	}
}

enum peer_event peer_due(const struct peer *p, uint64_t now_ms)
{
	if (peer_is_proved(p) && now_ms - p->heard_ms >= FEDERATION_DEAD_MS)
		return PEER_EVENT_SILENT;
	if (p->deadline_ms != 0 && now_ms >= p->deadline_ms)
		return PEER_EVENT_LATE;
	if (p->state == PEER_WAIT && p->due_ms != 0 && now_ms >= p->due_ms)
		return PEER_EVENT_DUE;
	return PEER_EVENT_NONE;
}

enum peer_event peer_event_of(const struct proto_message *m)
{
	static const uint8_t of_type[PROTO_TYPE_COUNT] = {
#define PROTO_MESSAGE(name, number, text, max, help) [number] = PEER_EVENT_##name,
#include "federation/proto.def"
	};

	if (m->type == PROTO_WELCOME && m->welcome.why.len > 0)
		return PEER_EVENT_REJECT;
	return of_type[m->type];
}

void peer_dump(void (*line)(void *arg, const char *text), void *arg)
{
	static const char *const actions[PEER_ACTION_COUNT] = {
		"",
#define PEER_ACTION(name) #name,
#include "federation/peer.def"
	};
	char text[128];

	line(arg, "digraph peer {");
	for (uint32_t s = 0; s < PEER_STATE_COUNT; s++)
		for (uint32_t e = 0; e < PEER_EVENT_COUNT; e++) {
			const struct move *m = &moves[s][e];

			if (m->action == PEER_ACTION_NONE)
				continue;
			snprintf(text, sizeof(text), "\t%s -> %s [label=\"%s / %s\"];",
				peer_state_names[s], peer_state_names[m->to], peer_event_names[e],
				actions[m->action]);
			line(arg, text);
		}
	line(arg, "}");
}
