// SPDX-License-Identifier: Apache-2.0
/*
 * agent_kill_test.c: what the agent has acknowledged survives kill -9 of its process, at any moment.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "dataplane/base/clock.h"
#include "dataplane/base/rng.h"
#include "tests/unit/agent/agent_test.h"

static const char *self; /* path of this program */
static pid_t child;

static void child_start(void)
{
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when an assertion ends the test */
		execl(self, self, "--dataplane", w.dir, (char *)NULL);
		_exit(127);
	}
	assert_true(child > 0);
}

static void child_kill(void)
{
	int status;

	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

/* Sends edits from *sent + 1 on until <us> are over; the last acknowledged, <acked> when none was. */
static uint32_t edit_for(uint64_t us, uint32_t acked, uint32_t *sent)
{
	uint64_t end = clock_mono_us() + us;
	uint32_t answered = *sent;
	struct link_event ev;
	struct message m;

	while (clock_mono_us() < end) {
		if (*sent - answered < 8) {
			++*sent;
			raw_send(&r, weights(*sent, pair(*sent, 1)));
		}
		while (link_next(r.l, &ev)) {
			assert_int_equal(ev.type, LINK_MESSAGE);
			assert_int_equal(message_decode(ev.data, ev.len, &r.scratch, &m), 0);
			if (m.type != MESSAGE_ACK)
				continue;
			assert_int_equal(m.ack.result, MESSAGE_RESULT_OK);
			answered = acked = (uint32_t)m.ack.revision;
		}
	}
	return acked;
}

static void what_was_acknowledged_survives_kill_9(void **state)
{
	struct world_spec s = world_spec(2);
	uint32_t in_place = 1, sent = 1; /* the snapshot's own weights */
	struct rng rng;

	rng_seed(&rng, 7);
	world_dataplane_stop(&w);
	child_start();
	raw_be_control(&r, 5);
	assert_int_equal(answer(snapshot_of(&s, 1, 1)), MESSAGE_RESULT_OK);
	for (unsigned round = 0; round < 12; round++) {
		uint32_t acked = edit_for(2000 + rng_below(&rng, 30000), in_place, &sent);
		bool found = false;

		child_kill();
		raw_expect_down(&r);
		child_start();
		raw_be_control(&r, 5); /* what it says before it was told anything */
		s.w[0][1] = 1;
		for (uint32_t k = acked; k <= sent && !found; k++) {
			s.w[0][0] = k;
			if (k == 1) { /* none acknowledged yet: the snapshot's own */
				s.w[0][0] = 80;
				s.w[0][1] = 20;
			}
			found = r.hello.hello.state == world_state(&s);
			in_place = k;
			s.w[0][1] = 1;
		}
		if (!found)
			fail_msg("round %u: acknowledged %u, sent %u, neither is in place", round,
				acked, sent);
	}
	child_kill();
}

static void a_snapshot_cut_off_by_kill_9_is_whole_or_absent(void **state)
{
	struct world_spec s = world_spec(40);
	struct rng rng;
	uint64_t generation = 1;

	rng_seed(&rng, 8);
	world_dataplane_stop(&w);
	child_start();
	raw_be_control(&r, 5);
	assert_int_equal(answer(snapshot_of(&s, 1, 1)), MESSAGE_RESULT_OK);
	for (unsigned round = 0; round < 12; round++) {
		raw_send(&r, snapshot_of(&s, generation + 1, generation + 1));
		usleep((useconds_t)rng_below(&rng, 6000));
		child_kill();
		raw_expect_down(&r);
		child_start();
		raw_be_control(&r, 5);
		assert_true(r.hello.hello.generation == generation ||
			r.hello.hello.generation == generation + 1);
		assert_int_equal(raw_counter(&r, "snapshot_damaged"), 0);
		assert_int_equal(raw_counter(&r, "journal_lost"), 0);
		generation = r.hello.hello.generation;
	}
	child_kill();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_acknowledged_survives_kill_9, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_snapshot_cut_off_by_kill_9_is_whole_or_absent,
			setup, teardown),
	};

	if (argc == 3 && strcmp(argv[1], "--dataplane") == 0)
		world_run_child(argv[2]);
	self = argv[0];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
