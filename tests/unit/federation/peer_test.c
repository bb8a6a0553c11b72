// SPDX-License-Identifier: Apache-2.0
/*
 * peer_test.c: the peer machine cell by cell, with actions that only write down that they ran.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "federation/peer.h"

static char walk[256];
static enum refusal next_refusal; /* of the next action */
static enum peer_event next_event;

static enum refusal note(struct peer *p, const char *name)
{
	enum refusal why = next_refusal;

	snprintf(walk + strlen(walk), sizeof(walk) - strlen(walk), "%s%s", walk[0] ? " " : "",
		name);
	next_refusal = REFUSAL_NONE;
	p->then = next_event;
	next_event = PEER_EVENT_NONE;
	return why;
}

#define PEER_ACTION(name) \
	static enum refusal do_##name(struct peer *p, const struct proto_message *m, \
		uint64_t now_ms) \
	{ \
		return note(p, #name); \
	}
#include "federation/peer.def"

static const struct peer_actions actions = {
	.fn =
		{
			NULL,
#define PEER_ACTION(name) do_##name,
#include "federation/peer.def"
		},
};

static struct peer in_state(enum peer_state s)
{
	walk[0] = '\0';
	next_refusal = REFUSAL_NONE;
	next_event = PEER_EVENT_NONE;
	return (struct peer){.state = s, .actions = &actions, .heard_ms = 1000};
}

static const struct proto_message *message_for(enum peer_event e)
{
	static struct proto_message m;

	return e >= PEER_EVENT_CHALLENGE && e <= PEER_EVENT_HEARTBEAT ? &m : NULL;
}

static void both_sides_walk_from_nothing_to_live(void **state)
{
	static const struct {
		enum peer_event event;
		enum peer_state after;
	} dialer[] = {
		{PEER_EVENT_DUE, PEER_DIAL},
		{PEER_EVENT_UP, PEER_GREET},
		{PEER_EVENT_CHALLENGE, PEER_PROVE},
		{PEER_EVENT_HELLO, PEER_JOIN},
		{PEER_EVENT_WELCOME, PEER_SYNC},
		{PEER_EVENT_DIGEST, PEER_SYNC},
		{PEER_EVENT_DELTA, PEER_SYNC},
		{PEER_EVENT_ACK, PEER_SYNC},
		{PEER_EVENT_SETTLED, PEER_LIVE},
		{PEER_EVENT_DELTA, PEER_LIVE},
		{PEER_EVENT_HEARTBEAT, PEER_LIVE},
		{PEER_EVENT_BEHIND, PEER_SYNC},
		{PEER_EVENT_LATE, PEER_SYNC},
		{PEER_EVENT_SILENT, PEER_WAIT},
	};
	struct peer p = in_state(PEER_WAIT);

	for (size_t i = 0; i < sizeof(dialer) / sizeof(dialer[0]); i++) {
		peer_step(&p, dialer[i].event, message_for(dialer[i].event), 1000 + i);
		if (p.state != dialer[i].after)
			fail_msg("after %s: %s", peer_event_names[dialer[i].event],
				peer_state_names[p.state]);
	}
	assert_string_equal(walk,
		"DIAL GREET PROVE ADMIT JOIN COMPARE TAKE CLEAR STAY TAKE BEAT "
		"ASK ASK SILENT");
	p = in_state(PEER_WAIT);
	peer_step(&p, PEER_EVENT_UP, NULL, 5);
	assert_true(p.state == PEER_GREET && p.since_ms == 5 && p.deadline_ms > 5);
}

/* Which messages are at home in which state; everything else ends the connection. */
static void a_message_in_the_wrong_state_ends_the_connection(void **state)
{
	static const char *const home[PEER_STATE_COUNT] = {
		[PEER_WAIT] = "",
		[PEER_DIAL] = "",
		[PEER_GREET] = "challenge reject",
		[PEER_PROVE] = "hello reject",
		[PEER_JOIN] = "welcome reject",
		[PEER_SYNC] = "digest delta ack heartbeat reject",
		[PEER_LIVE] = "digest delta ack heartbeat reject",
	};

	for (enum peer_state s = PEER_WAIT; s < PEER_STATE_COUNT; s++)
		for (enum peer_event e = PEER_EVENT_CHALLENGE; e <= PEER_EVENT_HEARTBEAT; e++) {
			struct peer p = in_state(s);
			bool at_home = strstr(home[s], peer_event_names[e]) != NULL;

			peer_step(&p, e, message_for(e), 2000);
			if (at_home == (strcmp(walk, "HANG_UP") == 0))
				fail_msg("%s in %s: %s", peer_event_names[e], peer_state_names[s],
					walk);
			if (!at_home)
				assert_int_equal(p.state, PEER_WAIT);
		}
}

static void a_lost_connection_means_waiting_wherever_it_is_lost(void **state)
{
	for (enum peer_state s = PEER_DIAL; s < PEER_STATE_COUNT; s++) {
		struct peer p = in_state(s);

		peer_step(&p, PEER_EVENT_DOWN, NULL, 2000);
		assert_int_equal(p.state, PEER_WAIT);
		assert_string_equal(walk, "REST");
	}
}

static void an_action_that_refuses_ends_the_connection_from_every_cell(void **state)
{
	for (enum peer_state s = PEER_WAIT; s < PEER_STATE_COUNT; s++)
		for (enum peer_event e = PEER_EVENT_NONE + 1; e < PEER_EVENT_COUNT; e++) {
			struct peer p = in_state(s);

			next_refusal = REFUSAL_FLOOD_LONG;
			peer_step(&p, e, message_for(e), 2000);
			if (walk[0] == '\0')
				continue; /* no such row */
			assert_int_equal(p.state, PEER_WAIT);
			assert_true(p.why == REFUSAL_NONE && strstr(walk, "HANG_UP") != NULL);
		}
}

static void what_an_action_finds_out_happens_next(void **state)
{
	struct peer p = in_state(PEER_SYNC);

	next_event = PEER_EVENT_SETTLED;
	peer_step(&p, PEER_EVENT_ACK, message_for(PEER_EVENT_ACK), 2000);
	assert_int_equal(p.state, PEER_LIVE);
	assert_string_equal(walk, "CLEAR STAY");
}

static void limits_and_silence_are_timers(void **state)
{
	struct peer p = in_state(PEER_WAIT);

	assert_int_equal(peer_due(&p, 1000000), PEER_EVENT_NONE); /* they dial */
	p.due_ms = 3000;
	assert_int_equal(peer_due(&p, 2999), PEER_EVENT_NONE);
	assert_int_equal(peer_due(&p, 3000), PEER_EVENT_DUE);
	peer_step(&p, PEER_EVENT_DUE, NULL, 3000);
	assert_int_equal(peer_due(&p, 4999), PEER_EVENT_NONE); /* connect attempts end after 2 s */
	assert_int_equal(peer_due(&p, 5000), PEER_EVENT_LATE);
	p = in_state(PEER_LIVE);
	assert_int_equal(peer_due(&p, 3999), PEER_EVENT_NONE); /* heard at 1000 */
	assert_int_equal(peer_due(&p, 4000), PEER_EVENT_SILENT);
}

static void messages_do_not_put_off_the_limit_of_a_state(void **state)
{
	struct peer p = in_state(PEER_SYNC);

	p.deadline_ms = 3000;
	peer_step(&p, PEER_EVENT_DELTA, message_for(PEER_EVENT_DELTA), 2900);
	assert_int_equal(p.deadline_ms, 3000);
	peer_step(&p, PEER_EVENT_LATE, NULL, 3000);
	assert_true(p.state == PEER_SYNC && p.deadline_ms > 3000);
}

static uint32_t dumped;

enum {
	MOVES = 0
#define PEER_MOVE(from, event, to, action) +1
#include "federation/peer.def"
};

static void count_line(void *arg, const char *text)
{
	dumped++;
	if (arg != NULL)
		puts(text);
}

static void the_table_prints_as_a_graph(void **state)
{
	peer_dump(count_line, NULL);
	assert_int_equal(dumped, MOVES + 2); /* no row hides another */
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sides_walk_from_nothing_to_live),
		cmocka_unit_test(a_message_in_the_wrong_state_ends_the_connection),
		cmocka_unit_test(a_lost_connection_means_waiting_wherever_it_is_lost),
		cmocka_unit_test(an_action_that_refuses_ends_the_connection_from_every_cell),
		cmocka_unit_test(what_an_action_finds_out_happens_next),
		cmocka_unit_test(limits_and_silence_are_timers),
		cmocka_unit_test(messages_do_not_put_off_the_limit_of_a_state),
		cmocka_unit_test(the_table_prints_as_a_graph),
	};

	if (argc > 1 && strcmp(argv[1], "--dump-fsm") == 0) {
		peer_dump(count_line, argv);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
