// SPDX-License-Identifier: Apache-2.0
/*
 * parts_test.c: the agent's parts by themselves: journal, state directory, slots, the line of what
 * waits for workers.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/agent/reclaim.h"
#include "dataplane/agent/slots.h"
#include "dataplane/agent/store.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/file.h"
#include "dataplane/base/rng.h"

static char dir[64], path[128];

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/sluice-parts-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/journal", dir);
	return 0;
}

static int teardown(void **state)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

/* -- journal --------------------------------------------------------------------------------- */

#define KEYS 50u

/* What the journal's reader should end up with: the newest value of each key. */
struct model {
	uint32_t value[KEYS];
	unsigned records;
	unsigned stop_after; /* refuse the record behind so many */
};

static bool read_record(void *ctx, const void *message, size_t len)
{
	struct model *m = ctx;
	uint32_t key;

	assert_true(len >= 8);
	if (m->stop_after != 0 && m->records == m->stop_after)
		return false;
	key = be32_get(message);
	assert_true(key < KEYS);
	m->value[key] = be32_get((const char *)message + 4);
	m->records++;
	return true;
}

static const struct journal_head head = {.image = 11,
	.structure = 22,
	.epoch = 33,
	.revision = 44,
	.generation = 55};

static int append(struct journal *j, struct model *m, uint32_t key, uint32_t value, size_t len)
{
	autofree uint8_t *b = calloc(1, len);
	int rv = journal_reserve(j, len, NULL);

	be32_put(b, key);
	be32_put(b + 4, value);
	if (rv != 0)
		return rv;
	assert_int_equal(journal_append(j, key, b, len, NULL), 0);
	m->value[key] = value;
	return 0;
}

static void expect_model(const struct model *want, unsigned *ret_records)
{
	struct model got = {0};
	struct journal j;
	bool damaged;

	journal_init(&j);
	assert_int_equal(journal_open(&j, path, 11, read_record, &got, &damaged, NULL), 0);
	assert_false(damaged);
	assert_memory_equal(got.value, want->value, sizeof(got.value));
	assert_int_equal(j.head.structure, 22);
	assert_int_equal(j.head.revision, 44);
	*ret_records = got.records;
	journal_close(&j);
}

static void a_journal_gives_back_what_was_written(void **state)
{
	struct model m = {0};
	struct journal j;
	struct rng r;
	unsigned records;

	rng_seed(&r, 3);
	journal_init(&j);
	assert_int_equal(journal_create(&j, path, &head, NULL), 0);
	for (unsigned i = 0; i < 3000; i++) {
		assert_int_equal(append(&j, &m, (uint32_t)rng_below(&r, KEYS), i,
					 8 + rng_below(&r, 300)),
			0);
		if (i % 500 == 0) { /* closed and opened anew in between */
			bool damaged;
			struct model again = {0};

			assert_int_equal(journal_sync(&j, NULL), 0);
			journal_close(&j);
			assert_int_equal(journal_open(&j, path, 11, read_record, &again, &damaged,
						 NULL),
				0);
		}
	}
	journal_close(&j);
	expect_model(&m, &records);
	assert_int_equal(records, 3000);
}

static void a_full_journal_keeps_the_newest_of_each_key(void **state)
{
	struct model m = {0};
	struct journal j;
	struct stat st;
	unsigned records;

	journal_init(&j);
	j.bytes_max = 64u << 10;
	assert_int_equal(journal_create(&j, path, &head, NULL), 0);
	for (uint32_t i = 0; i < 20000; i++)
		assert_int_equal(append(&j, &m, i % KEYS, i, 100), 0);
	assert_int_equal(j.bytes_max, 64u << 10);
	journal_close(&j);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size <= (64 << 10) + 2 * JOURNAL_STEP_BYTES);
	expect_model(&m, &records);
	assert_true(records < 700);
}

static void a_journal_full_of_different_keys_says_so(void **state)
{
	struct model m = {0};
	struct journal j;
	int rv = 0;
	uint32_t i = 0;
	unsigned records;

	journal_init(&j);
	j.bytes_max = 32u << 10;
	assert_int_equal(journal_create(&j, path, &head, NULL), 0);
	for (; i < KEYS && rv == 0; i++)
		rv = append(&j, &m, i, i + 1, 1000);
	assert_int_equal(rv, -ENOSPC);
	assert_true(i > 10);
	assert_true(journal_is_open(&j)); /* what is in it stays */
	journal_close(&j);
	expect_model(&m, &records);
}

/* Every byte of the last records is damaged once: what lies before is always given back. */
static void damage_never_reaches_back(void **state)
{
	autofree uint8_t *good = NULL;
	struct model m = {0};
	struct journal j;
	size_t len, end;

	journal_init(&j);
	assert_int_equal(journal_create(&j, path, &head, NULL), 0);
	for (uint32_t i = 0; i < 3; i++)
		append(&j, &m, i, 100 + i, 40);
	end = j.end;
	journal_close(&j);
	assert_int_equal(file_read(path, 1u << 20, (void **)&good, &len, NULL), 0);
	for (size_t at = JOURNAL_HEADER_BYTES; at < end + 40; at++) {
		unsigned whole =
			(unsigned)((at - JOURNAL_HEADER_BYTES) / (JOURNAL_RECORD_BYTES + 40));
		struct model got = {0};
		bool damaged;

		good[at] ^= 0x40;
		assert_int_equal(file_replace(path, good, len, 0600, NULL), 0);
		good[at] ^= 0x40;
		assert_int_equal(journal_open(&j, path, 11, read_record, &got, &damaged, NULL), 0);
		assert_true(damaged);
		assert_int_equal(got.records, whole < 3 ? whole : 3);
		/* It goes on cleanly: nothing of the old tail shows up behind a new record. */
		append(&j, &got, 9, 9, 40);
		journal_close(&j);
		memset(&m, 0, sizeof(m));
		assert_int_equal(journal_open(&j, path, 11, read_record, &m, &damaged, NULL), 0);
		assert_false(damaged);
		assert_int_equal(m.records, got.records + 1);
		assert_int_equal(m.value[9], 9);
		journal_close(&j);
	}
	/* A record that its reader refuses ends the journal too. */
	assert_int_equal(file_replace(path, good, len, 0600, NULL), 0);
	memset(&m, 0, sizeof(m));
	m.stop_after = 2;
	bool damaged;
	assert_int_equal(journal_open(&j, path, 11, read_record, &m, &damaged, NULL), 0);
	assert_true(damaged);
	assert_int_equal(j.records, 2);
	journal_close(&j);
}

static void a_journal_of_something_else_is_not_opened(void **state)
{
	struct model m = {0};
	struct journal j;
	bool damaged;

	journal_init(&j);
	assert_int_equal(journal_open(&j, path, 11, read_record, &m, &damaged, NULL), -ENOENT);
	assert_int_equal(journal_create(&j, path, &head, NULL), 0);
	journal_close(&j);
	assert_int_equal(journal_open(&j, path, 12, read_record, &m, &damaged, NULL), -EINVAL);
	assert_int_equal(truncate(path, 63), 0);
	assert_int_equal(journal_open(&j, path, 11, read_record, &m, &damaged, NULL), -EINVAL);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(journal_open(&j, path, 11, read_record, &m, &damaged, NULL), -EINVAL);
	assert_false(journal_is_open(&j));
}

/* -- state directory ------------------------------------------------------------------------- */

static bool never(void *ctx, const void *message, size_t len)
{
	return false;
}

static void the_state_directory_keeps_two_snapshots(void **state)
{
	uint64_t numbers[STORE_SNAPSHOTS_MAX];
	struct store s;
	bool damaged;
	char text[8];

	for (unsigned boot = 1; boot <= 3; boot++) {
		assert_int_equal(store_open(&s, dir, &damaged, NULL), 0);
		assert_false(damaged);
		assert_int_equal(s.boot, boot);
		assert_int_equal(s.fence, boot - 1);
		assert_int_equal(store_set_fence(&s, boot, NULL), 0);
		assert_int_equal(store_set_fence(&s, 0, NULL), 0); /* never back */
		if (boot > 1)
			assert_int_equal(store_resume(&s, s.highest, 11, never, NULL, &damaged,
						 NULL),
				0);
		for (unsigned i = 0; i < 3; i++) {
			snprintf(text, sizeof(text), "%u.%u", boot, i);
			assert_int_equal(store_put(&s, text, sizeof(text), &head, NULL), 0);
		}
		store_close(&s);
	}
	assert_int_equal(store_open(&s, dir, &damaged, NULL), 0);
	assert_int_equal(store_list(&s, numbers), 2);
	assert_int_equal(numbers[0], 9);
	assert_int_equal(numbers[1], 8);
	store_set_aside(&s, 9);
	assert_int_equal(store_list(&s, numbers), 1);
	assert_int_equal(store_resume(&s, 8, 11, never, NULL, &damaged, NULL), 0);
	assert_int_equal(store_put(&s, text, sizeof(text), &head, NULL), 0);
	assert_int_equal(s.current, 10); /* a number is never used twice */
	store_close(&s);
}

static void files_of_others_are_left_alone(void **state)
{
	static const char *const names[] = {"x.snapshot", "-1.snapshot", "01x.snapshot",
		".snapshot", "99999999999999999999.snapshot", "7.snapshot.tmp", "7", "0.snapshot"};
	uint64_t numbers[STORE_SNAPSHOTS_MAX];
	struct store s;
	bool damaged;
	char file[160];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(file, sizeof(file), "%s/%s", dir, names[i]);
		assert_int_equal(file_replace(file, "x", 1, 0600, NULL), 0);
	}
	assert_int_equal(store_open(&s, dir, &damaged, NULL), 0);
	assert_int_equal(store_list(&s, numbers), 0);
	assert_int_equal(store_put(&s, "a", 1, &head, NULL), 0);
	assert_int_equal(store_put(&s, "b", 1, &head, NULL), 0);
	assert_int_equal(store_put(&s, "c", 1, &head, NULL), 0);
	store_close(&s);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(file, sizeof(file), "%s/%s", dir, names[i]);
		assert_int_equal(access(file, F_OK), 0);
	}
}

/* -- slots ----------------------------------------------------------------------------------- */

static uint32_t busy_slot = SLOT_NONE, assigned;

static bool is_busy(void *ctx, enum agent_slot_kind kind, uint32_t slot)
{
	return slot == busy_slot;
}

static void on_assigned(void *ctx, enum agent_slot_kind kind, uint32_t slot)
{
	assigned++;
}

static const struct agent_ops ops = {.slot_busy = is_busy, .slot_assigned = on_assigned};

static uint32_t take(struct slots *s, uint64_t id, uint64_t now_us)
{
	return slots_acquire(s, AGENT_SLOT_LISTENER, id, STR("name"), (struct str){0}, now_us);
}

static void an_id_keeps_its_slot(void **state)
{
	struct str name, cluster;
	struct slots s;
	char buf[8];
	uint32_t slot;

	slots_init(&s, &ops);
	slot = take(&s, 77, 0);
	assert_int_equal(take(&s, 77, 0), slot);
	assert_int_not_equal(take(&s, 78, 0), slot);
	slots_release(&s, AGENT_SLOT_LISTENER, slot, 1);
	slots_release(&s, AGENT_SLOT_LISTENER, slot, 1);
	assert_int_equal(s.t[AGENT_SLOT_LISTENER].live, 1);
	assert_int_equal(take(&s, 77, 1u << 30), slot); /* also after it was away */
	slots_name(&s, AGENT_SLOT_LISTENER, slot, buf, sizeof(buf), &name, &cluster);
	assert_true(str_eq(name, STR("name")));
	assert_int_equal(cluster.len, 0);
	slots_acquire(&s, AGENT_SLOT_ENDPOINT, 5, STR("pod-name-that-is-long"), STR("west"), 0);
	slots_name(&s, AGENT_SLOT_ENDPOINT, 0, buf, sizeof(buf), &name, &cluster);
	assert_true(str_eq(name, STR("pod-name")));
	slots_name(&s, AGENT_SLOT_ENDPOINT, UINT32_MAX, buf, sizeof(buf), &name, &cluster);
	assert_int_equal(name.len, 0);
	slots_fini(&s);
}

static void a_slot_changes_hands_only_after_a_rest(void **state)
{
	struct slots s;
	uint32_t first;

	slots_init(&s, &ops);
	assigned = 0;
	for (uint64_t id = 1; id <= SLOTS_LISTENER_MAX; id++)
		assert_int_not_equal(take(&s, id, 0), SLOT_NONE);
	assert_int_equal(assigned, SLOTS_LISTENER_MAX);
	assert_int_equal(take(&s, 5000, 0), SLOT_NONE);
	first = take(&s, 3, 0);
	slots_release(&s, AGENT_SLOT_LISTENER, first, 100);
	slots_release(&s, AGENT_SLOT_LISTENER, first, 100);
	slots_release(&s, AGENT_SLOT_LISTENER, take(&s, 4, 0), 100); /* one hold is left */
	assert_int_equal(take(&s, 5000, 100 + SLOTS_REST_US - 1), SLOT_NONE);
	busy_slot = first;
	assert_int_equal(take(&s, 5000, 100 + SLOTS_REST_US), SLOT_NONE);
	busy_slot = SLOT_NONE;
	assert_int_equal(take(&s, 5000, 100 + SLOTS_REST_US), first);
	assert_int_equal(take(&s, 3, 100 + SLOTS_REST_US), SLOT_NONE); /* the old id is forgotten */
	slots_fini(&s);
}

/* Random life of ids against a plain array: no two ids ever hold one slot. */
static void slots_are_never_shared(void **state)
{
	static uint32_t held[SLOTS_LISTENER_MAX], slot_of[3000];
	static unsigned refs[3000];
	struct slots s;
	struct rng r;
	uint64_t now = 0;

	slots_init(&s, &ops);
	rng_seed(&r, 5);
	memset(held, 0, sizeof(held));
	memset(refs, 0, sizeof(refs));
	for (unsigned i = 0; i < 100000; i++, now += 100000) {
		uint32_t id = 1 + (uint32_t)rng_below(&r, 2999), slot;

		if (refs[id] > 0 && rng_below(&r, 3) > 0) {
			slots_release(&s, AGENT_SLOT_LISTENER, slot_of[id], now);
			if (--refs[id] == 0)
				held[slot_of[id]] = 0;
			continue;
		}
		slot = take(&s, id, now);
		if (slot == SLOT_NONE)
			continue;
		assert_true(held[slot] == 0 || held[slot] == id);
		assert_true(refs[id] == 0 || slot == slot_of[id]);
		held[slot] = id;
		slot_of[id] = slot;
		refs[id]++;
	}
	slots_fini(&s);
}

/* -- the line -------------------------------------------------------------------------------- */

static char said[64];

static void say(void *ctx, void *obj, bool late)
{
	size_t n = strlen(said);

	said[n] = (char)(late ? *(char *)obj - 'a' + 'A' : *(char *)obj);
	said[n + 1] = '\0';
}

static void the_line_moves_when_every_worker_has_passed(void **state)
{
	struct rte_rcu_qsbr *q = aligned_alloc(RTE_CACHE_LINE_SIZE, rte_rcu_qsbr_get_memsize(2));
	struct reclaim r;

	rte_rcu_qsbr_init(q, 2);
	for (unsigned i = 0; i < 2; i++) {
		rte_rcu_qsbr_thread_register(q, i);
		rte_rcu_qsbr_thread_online(q, i);
	}
	reclaim_init(&r, q, NULL);
	said[0] = '\0';
	reclaim_add(&r, say, "a", false, false, 0);
	reclaim_add(&r, say, "b", true, true, 0);
	reclaim_run(&r, 1);
	assert_string_equal(said, ""); /* not committed */
	reclaim_commit(&r);
	reclaim_add(&r, say, "c", false, true, 10);
	rte_rcu_qsbr_quiescent(q, 0);
	reclaim_run(&r, 2);
	assert_string_equal(said, "");
	reclaim_run(&r, RECLAIM_LATE_US + 5);
	reclaim_run(&r, RECLAIM_LATE_US + 6);
	assert_string_equal(said, "B"); /* once, and only who wants to know */
	rte_rcu_qsbr_quiescent(q, 1);
	reclaim_run(&r, 3);
	assert_string_equal(said, "Bab");
	reclaim_commit(&r);
	rte_rcu_qsbr_quiescent(q, 0);
	rte_rcu_qsbr_thread_offline(q, 1); /* who is away holds nobody up */
	reclaim_run(&r, 4);
	assert_string_equal(said, "Babc");
	assert_true(reclaim_is_empty(&r));
	for (unsigned i = 0; i < RECLAIM_LARGE_MAX; i++) {
		assert_true(reclaim_has_room(&r, 1, true));
		reclaim_add(&r, say, "l", true, false, 0);
	}
	assert_false(reclaim_has_room(&r, 1, true));
	assert_true(reclaim_has_room(&r, RECLAIM_ITEMS_MAX - RECLAIM_LARGE_MAX, false));
	assert_false(reclaim_has_room(&r, RECLAIM_ITEMS_MAX, false));
	reclaim_drain(&r);
	assert_string_equal(said, "Babcllll");
	free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_journal_gives_back_what_was_written, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_full_journal_keeps_the_newest_of_each_key, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_journal_full_of_different_keys_says_so, setup,
			teardown),
		cmocka_unit_test_setup_teardown(damage_never_reaches_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_journal_of_something_else_is_not_opened, setup,
			teardown),
		cmocka_unit_test_setup_teardown(the_state_directory_keeps_two_snapshots, setup,
			teardown),
		cmocka_unit_test_setup_teardown(files_of_others_are_left_alone, setup, teardown),
		cmocka_unit_test(an_id_keeps_its_slot),
		cmocka_unit_test(a_slot_changes_hands_only_after_a_rest),
		cmocka_unit_test(slots_are_never_shared),
		cmocka_unit_test(the_line_moves_when_every_worker_has_passed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
