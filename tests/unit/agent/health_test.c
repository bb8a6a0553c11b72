// SPDX-License-Identifier: Apache-2.0
/*
 * health_test.c: a small world of clusters whose endpoints answer, refuse, err or are silent, on a
 * virtual clock; what the agent makes of it, and how soon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/agent/health.h"
#include "dataplane/base/rng.h"

#define MS 1000ull
#define SEC 1000000ull
#define STEP_US (10 * MS) /* how often the agent looks */
#define EACH 3u		  /* endpoints of a cluster */
#define CLUSTERS 4u
#define WORKERS 2u

enum { LOCAL = 0, WEST, NORTH, SOUTH };			/* all but LOCAL are remote */
enum mode { ANSWERS = 0, REFUSES, ERRS, MUTE, SILENT }; /* MUTE: accepts, and says nothing */

struct lab {
	struct health h;
	struct health_board *board;
	const struct probe_list *list;
	struct rng rng;
	uint64_t now_us;
	enum mode mode[CLUSTERS * EACH];
	uint64_t due_us[CLUSTERS * EACH], sent_us[CLUSTERS * EACH]; /* sent 0: none under way */
	enum mode met[CLUSTERS * EACH];				    /* by the one under way */
	uint64_t interval_us, timeout_us;
	uint16_t rise, fall;
	uint32_t clusters;
};

static uint32_t slot_of(uint32_t cluster, uint32_t i)
{
	return cluster * EACH + i;
}

static void list_all(struct lab *l)
{
	struct health_policy p[2] = {0};

	p[1] = (struct health_policy){.check = {.kind = BUILD_PROBE_TCP,
					      .interval_us = l->interval_us,
					      .timeout_us = l->timeout_us},
		.rise = l->rise,
		.fall = l->fall,
		.rules = {.base_ms = 30000,
			.max_ms = 300000,
			.errors = 5,
			.failures = 5,
			.percent = 10}};
	p[0].rules = p[1].rules;
	health_list_begin(&l->h, p, 2);
	for (uint32_t i = 0; i < l->clusters * EACH; i++)
		health_list_add(&l->h,
			&(struct health_listed){.id = 100 + i,
				.cluster = 1 + i / EACH,
				.slot = i,
				.port = 80,
				.policy = 1,
				.remote = i / EACH != LOCAL});
	health_list_end(&l->h, l->now_us);
}

static struct lab *lab_new(uint32_t clusters, uint64_t interval_ms, uint64_t timeout_ms,
	uint16_t fall)
{
	struct lab *l = calloc(1, sizeof(*l));

	l->board = calloc(1, sizeof(*l->board));
	l->clusters = clusters;
	l->interval_us = interval_ms * MS;
	l->timeout_us = timeout_ms * MS;
	l->rise = 1;
	l->fall = fall;
	l->now_us = 1000 * SEC;
	rng_seed(&l->rng, 1);
	health_init(&l->h, l->board);
	list_all(l);
	for (uint32_t i = 0; i < clusters * EACH; i++)
		l->due_us[i] = l->now_us + rng_below(&l->rng, l->interval_us);
	return l;
}

static void lab_free(struct lab *l)
{
	health_fini(&l->h);
	free(l->board);
	free(l);
}

/* The result of the probe of <i> that ends now; false: none does. */
static bool probe_ends(struct lab *l, uint32_t i, struct probe_report *r)
{
	uint64_t timeout_us = l->h.ep[i].suspected && l->timeout_us > HEALTH_SUSPECT_TIMEOUT_US
		? HEALTH_SUSPECT_TIMEOUT_US
		: l->timeout_us;
	uint64_t end = l->sent_us[i] + (l->met[i] >= MUTE ? timeout_us : MS);
	static const enum probe_result result[] = {PROBE_PASSED, PROBE_REFUSED, PROBE_STATUS,
		PROBE_NO_RESPONSE, PROBE_TIMEOUT};

	if (l->sent_us[i] == 0 || l->now_us < end)
		return false;
	*r = (struct probe_report){.id = 100 + i,
		.slot = i,
		.sent_us = l->sent_us[i],
		.done_us = end,
		.result = (uint8_t)result[l->met[i]]};
	l->sent_us[i] = 0;
	return true;
}

static uint64_t interval_of(const struct lab *l, uint32_t i)
{
	if (l->h.ep[i].suspected && l->interval_us > HEALTH_SUSPECT_INTERVAL_US)
		return HEALTH_SUSPECT_INTERVAL_US;
	return l->interval_us;
}

/* One look of the agent. */
static void step(struct lab *l)
{
	struct probe_report r[CLUSTERS * EACH];
	unsigned n = 0;

	l->now_us += STEP_US;
	for (uint32_t i = 0; i < l->clusters * EACH; i++) {
		n += probe_ends(l, i, &r[n]);
		if (l->due_us[i] > l->now_us + interval_of(l, i)) /* hurried */
			l->due_us[i] = l->now_us + interval_of(l, i);
		if (l->sent_us[i] != 0 || l->due_us[i] > l->now_us)
			continue;
		l->sent_us[i] = l->due_us[i];
		l->met[i] = l->mode[i];
		l->due_us[i] += interval_of(l, i);
	}
	health_reports(&l->h, r, n, l->now_us);
}

static void run(struct lab *l, uint64_t ms)
{
	for (uint64_t end = l->now_us + ms * MS; l->now_us < end;)
		step(l);
}

static void set_mode(struct lab *l, uint32_t cluster, enum mode mode)
{
	for (uint32_t i = 0; i < EACH; i++)
		l->mode[slot_of(cluster, i)] = mode;
}

/* Endpoints of <cluster> whose verdict has all of <bits>; 0: that may be used. */
static unsigned how_many(const struct lab *l, uint32_t cluster, uint8_t bits)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < EACH; i++) {
		uint8_t v = health_verdict(l->board, slot_of(cluster, i));

		n += bits == 0 ? v == 0 : (v & bits) == bits;
	}
	return n;
}

/* Milliseconds until none of <cluster> may be used any more, or all may again. */
static uint64_t until_usable(struct lab *l, uint32_t cluster, unsigned count)
{
	uint64_t begin = l->now_us;

	for (unsigned i = 0; i < 3000 && how_many(l, cluster, 0) != count; i++)
		step(l);
	assert_int_equal(how_many(l, cluster, 0), count);
	return (l->now_us - begin) / MS;
}

static uint64_t counter(const struct lab *l, enum health_counter c)
{
	return l->h.counters[c];
}

/* Probes ------------------------------------------------------------------------------------- */

static void a_cluster_that_dies_is_left_within_a_second(void **state)
{
	static const enum mode how[] = {REFUSES, ERRS, SILENT};

	for (unsigned k = 0; k < 3; k++) {
		struct lab *l = lab_new(2, 250, 250, 3);

		run(l, 3000);
		assert_int_equal(how_many(l, WEST, 0), EACH);
		set_mode(l, WEST, how[k]);
		assert_in_range(until_usable(l, WEST, 0), 500, 1050);
		assert_int_equal(how_many(l, WEST, HEALTH_DOWN), EACH);
		assert_int_equal(how_many(l, LOCAL, 0), EACH);
		assert_int_equal(counter(l, HEALTH_C_WENT_DOWN), EACH);
		assert_int_equal(health_why(&l->h, &l->h.ep[slot_of(WEST, 0)], l->now_us),
			how[k] == SILENT ? VERDICT_WHY_SILENT : VERDICT_WHY_PROBES);
		set_mode(l, WEST, ANSWERS);
		assert_in_range(until_usable(l, WEST, EACH), 10, 300);
		assert_int_equal(counter(l, HEALTH_C_SUSPICIONS), 0);
		lab_free(l);
	}
}

static void what_we_could_not_do_counts_for_nothing(void **state)
{
	struct lab *l = lab_new(1, 250, 250, 1);
	struct probe_report r = {.id = 100, .slot = 0, .sent_us = l->now_us, .done_us = l->now_us};

	for (unsigned i = 0; i < 50; i++) {
		r.result = i % 2 ? PROBE_NO_MEANS : PROBE_LATE;
		health_reports(&l->h, &r, 1, l->now_us);
	}
	assert_int_equal(how_many(l, LOCAL, 0), EACH);
	lab_free(l);
}

static void results_of_those_who_left_are_stray(void **state)
{
	struct lab *l = lab_new(1, 250, 250, 1);
	struct probe_report r = {.id = 999, .slot = 0, .result = PROBE_TIMEOUT};

	health_reports(&l->h, &r, 1, l->now_us);
	r.slot = SLOTS_ENDPOINT_MAX + 7;
	health_reports(&l->h, &r, 1, l->now_us);
	assert_int_equal(counter(l, HEALTH_C_STRAY), 2);
	assert_int_equal(how_many(l, LOCAL, 0), EACH);
	lab_free(l);
}

static void who_comes_back_after_it_left_has_a_new_start(void **state)
{
	struct lab *l = lab_new(2, 250, 250, 3);

	set_mode(l, WEST, REFUSES);
	until_usable(l, WEST, 0);
	l->clusters = 1;
	list_all(l);
	l->clusters = 2;
	assert_int_equal(how_many(l, WEST, 0), EACH);
	list_all(l);
	assert_int_equal(how_many(l, WEST, 0), EACH);
	lab_free(l);
}

/* Suspicion ---------------------------------------------------------------------------------- */

static void cut_uplink(struct lab *l)
{
	for (uint32_t c = WEST; c < l->clusters; c++)
		set_mode(l, c, SILENT);
}

static void restore_uplink(struct lab *l)
{
	for (uint32_t c = WEST; c < l->clusters; c++)
		set_mode(l, c, ANSWERS);
}

static void assert_frozen(const struct lab *l)
{
	assert_true(l->h.suspicion.on);
	assert_int_equal(how_many(l, LOCAL, 0), EACH);
	for (uint32_t c = WEST; c < l->clusters; c++) {
		assert_int_equal(how_many(l, c, HEALTH_SUSPECTED), EACH);
		assert_int_equal(how_many(l, c, HEALTH_DOWN), 0);
		assert_int_equal(how_many(l, c, HEALTH_EJECTED), 0);
	}
	assert_int_equal(counter(l, HEALTH_C_SUSPICIONS), 1);
	assert_int_equal(counter(l, HEALTH_C_EJECTED), 0);
}

static void cut_off_from_two_clusters_we_suspect_ourselves_and_judge_nobody(void **state)
{
	static const uint16_t falls[] = {1, 2, 3, 10};

	for (unsigned k = 0; k < 4; k++) {
		struct lab *l = lab_new(3, 250, 250, falls[k]);

		run(l, 3000);
		cut_uplink(l);
		assert_in_range(until_usable(l, WEST, 0), 200, 600);
		run(l, 60000);
		assert_frozen(l);
		assert_int_equal(health_why(&l->h, &l->h.ep[slot_of(NORTH, 1)], l->now_us),
			VERDICT_WHY_SUSPICION);
		restore_uplink(l);
		assert_in_range(until_usable(l, WEST, EACH), 10, 300);
		assert_false(l->h.suspicion.on);
		run(l, 5000);
		assert_int_equal(how_many(l, NORTH, 0), EACH);
		if (falls[k] > 1)
			assert_int_equal(counter(l, HEALTH_C_WENT_DOWN), 0);
		lab_free(l);
	}
}

static void with_slow_probes_the_first_request_still_follows_within_a_second(void **state)
{
	struct lab *l = lab_new(3, 3000, 1000, 3);

	run(l, 9000);
	cut_uplink(l);
	run(l, 30000);
	assert_frozen(l);
	restore_uplink(l);
	/* a probe that was under way when the uplink came back waits for its time-out */
	assert_in_range(until_usable(l, WEST, EACH), 10, 800);
	lab_free(l);
}

/* Something on the way accepts for them, or the uplink flickers: nobody has been reached yet. */
static void a_connection_that_brings_no_answer_ends_no_suspicion(void **state)
{
	static const uint16_t falls[] = {1, 3};

	for (unsigned k = 0; k < 2; k++) {
		struct lab *l = lab_new(3, 250, 250, falls[k]);

		run(l, 3000);
		cut_uplink(l);
		run(l, 3000);
		assert_frozen(l);
		set_mode(l, WEST, MUTE);
		run(l, 3000);
		assert_frozen(l);
		assert_int_equal(how_many(l, WEST, 0), 0);
		restore_uplink(l);
		assert_in_range(until_usable(l, WEST, EACH), 10, 600);
		lab_free(l);
	}
}

/* Probes that had connected when the uplink went do not hold up what the next ones say. */
static void connections_that_the_cut_caught_are_forgotten_as_well(void **state)
{
	struct lab *l = lab_new(3, 250, 250, 2);

	run(l, 3000);
	for (uint32_t c = WEST; c < l->clusters; c++)
		set_mode(l, c, MUTE);
	run(l, 250);
	cut_uplink(l);
	run(l, 5000);
	assert_true(l->h.suspicion.on);
	restore_uplink(l);
	run(l, 1000);
	assert_int_equal(how_many(l, WEST, 0), EACH);
	assert_int_equal(how_many(l, NORTH, 0), EACH);
	lab_free(l);
}

static void who_accepts_and_says_nothing_is_down_where_nobody_is_suspected(void **state)
{
	struct lab *l = lab_new(3, 250, 250, 3);

	run(l, 3000);
	set_mode(l, WEST, MUTE);
	run(l, 3000);
	assert_int_equal(how_many(l, WEST, HEALTH_DOWN), EACH);
	assert_false(l->h.suspicion.on);
	set_mode(l, WEST, ANSWERS);
	assert_in_range(until_usable(l, WEST, EACH), 10, 600);
	lab_free(l);
}

static void three_clusters_come_back_one_after_the_other(void **state)
{
	struct lab *l = lab_new(4, 250, 250, 3);

	run(l, 3000);
	cut_uplink(l);
	run(l, 3000);
	assert_frozen(l);
	set_mode(l, WEST, ANSWERS);
	run(l, 1000);
	assert_int_equal(how_many(l, WEST, 0), EACH);
	assert_int_equal(how_many(l, NORTH, 0), 0);
	restore_uplink(l);
	run(l, 1000);
	assert_int_equal(how_many(l, NORTH, 0), EACH);
	assert_int_equal(how_many(l, SOUTH, 0), EACH);
	lab_free(l);
}

static void who_was_down_before_the_cut_stays_down_after_it(void **state)
{
	struct lab *l = lab_new(3, 250, 250, 3);

	l->mode[slot_of(WEST, 0)] = SILENT;
	run(l, 5000);
	assert_int_equal(how_many(l, WEST, HEALTH_DOWN), 1);
	cut_uplink(l);
	run(l, 5000);
	assert_int_equal(how_many(l, WEST, HEALTH_SUSPECTED), EACH);
	assert_int_equal(how_many(l, WEST, HEALTH_DOWN), 1);
	restore_uplink(l);
	l->mode[slot_of(WEST, 0)] = SILENT;
	run(l, 1000);
	assert_int_equal(how_many(l, WEST, HEALTH_DOWN), 1);
	assert_int_equal(how_many(l, WEST, 0), EACH - 1);
	lab_free(l);
}

static void one_cluster_with_its_silent_site_is_suspicion_too(void **state)
{
	struct lab *l = lab_new(2, 250, 250, 3);

	run(l, 3000);
	health_peer_silent(&l->h, 1 + WEST, true);
	cut_uplink(l);
	run(l, 5000);
	assert_frozen(l);
	lab_free(l);
}

static void a_listing_in_between_changes_nothing(void **state)
{
	struct lab *l = lab_new(3, 250, 250, 3);

	run(l, 3000);
	cut_uplink(l);
	run(l, 3000);
	list_all(l);
	run(l, 3000);
	assert_frozen(l);
	lab_free(l);
}

/* Endpoints <first> to <end>, each in a remote cluster of its own; those before <probed> are not. */
static void list_many(struct lab *l, uint32_t first, uint32_t end, uint32_t probed)
{
	struct health_policy p[2] = {{.rise = 1}, {.rise = 1, .fall = 1}};

	p[1].check = (struct probe_check){.kind = BUILD_PROBE_TCP,
		.interval_us = 250 * MS,
		.timeout_us = 250 * MS};
	health_list_begin(&l->h, p, 2);
	for (uint32_t i = first; i < end; i++)
		health_list_add(&l->h,
			&(struct health_listed){.id = 1000 + i,
				.cluster = 1 + i,
				.slot = i,
				.port = 80,
				.policy = i >= probed,
				.remote = true});
	health_list_end(&l->h, l->now_us);
}

static void all_fall_silent(struct lab *l, uint32_t first, uint32_t end)
{
	l->now_us += 300 * MS;
	for (uint32_t i = first; i < end; i++) {
		struct probe_report r = {.id = 1000 + i,
			.slot = i,
			.sent_us = l->now_us - 250 * MS,
			.done_us = l->now_us,
			.result = PROBE_TIMEOUT};

		health_reports(&l->h, &r, 1, l->now_us);
		assert_true(health_verdict(l->board, i) != 0);
	}
}

#define TOO_MANY (SUSPICION_CLUSTERS_MAX + 6)

static void more_clusters_than_are_watched_are_judged_as_well(void **state)
{
	struct lab *l = lab_new(1, 250, 250, 1);

	list_many(l, 0, TOO_MANY, 0);
	assert_int_equal(counter(l, HEALTH_C_UNWATCHED), 6);
	all_fall_silent(l, 0, TOO_MANY);
	lab_free(l);
}

static void places_of_clusters_that_have_left_go_to_others(void **state)
{
	struct lab *l = lab_new(1, 250, 250, 1);

	list_many(l, 0, TOO_MANY, 0);
	list_many(l, SUSPICION_CLUSTERS_MAX, TOO_MANY, 0);
	assert_int_equal(counter(l, HEALTH_C_UNWATCHED), 6);
	all_fall_silent(l, SUSPICION_CLUSTERS_MAX, TOO_MANY);
	assert_true(l->h.suspicion.on);
	list_many(l, 0, 1, 0);
	assert_false(l->h.suspicion.on);
	lab_free(l);
}

static void clusters_that_nobody_probes_take_no_place(void **state)
{
	struct lab *l = lab_new(1, 250, 250, 1);

	list_many(l, 0, TOO_MANY, SUSPICION_CLUSTERS_MAX);
	assert_int_equal(counter(l, HEALTH_C_UNWATCHED), 0);
	all_fall_silent(l, SUSPICION_CLUSTERS_MAX, TOO_MANY);
	assert_true(l->h.suspicion.on);
	lab_free(l);
}

/* Traffic ------------------------------------------------------------------------------------ */

static void worker_saw(struct lab *l, uint32_t slot, enum verdict_why why)
{
	struct health_traffic t = {0};

	sentence_pass(&t.sentence, NULL, why, 30 * SEC, 300 * SEC, l->now_us);
	health_traffic(&l->h, slot, &t, l->now_us);
}

static void timed_out(struct lab *l, uint32_t slot, uint32_t count, uint64_t since_us)
{
	struct health_traffic t = {.timeouts = count, .timeouts_us = since_us};

	health_traffic(&l->h, slot, &t, l->now_us);
}

static void a_workers_sentence_holds_for_all_until_a_probe_passes(void **state)
{
	struct lab *l = lab_new(2, 250, 250, 3);
	uint32_t slot = slot_of(WEST, 0);

	run(l, 1000);
	l->mode[slot] = REFUSES;
	worker_saw(l, slot, VERDICT_WHY_REFUSED);
	assert_int_equal(l->board->verdict[slot], HEALTH_EJECTED);
	assert_int_equal(l->board->entry[slot].sentence.count, 1);
	l->mode[slot] = ANSWERS;
	run(l, 600);
	assert_int_equal(l->board->verdict[slot], 0);
	assert_true(l->board->entry[slot].pardon_us > 0);
	assert_int_equal(counter(l, HEALTH_C_PARDONED), 1);
	lab_free(l);
}

/* A pod that restarts: refused, unready, ready again; the workers still have their sentence. */
static void who_comes_back_has_served_what_workers_gave_him_before(void **state)
{
	struct lab *l = lab_new(2, 3600000, 250, 3);
	struct health_traffic t = {0};
	uint32_t slot = slot_of(WEST, 0);

	l->now_us += SEC;
	sentence_pass(&t.sentence, NULL, VERDICT_WHY_REFUSED, 30 * SEC, 300 * SEC, l->now_us);
	health_traffic(&l->h, slot, &t, l->now_us);
	assert_int_equal(l->board->verdict[slot], HEALTH_EJECTED);
	l->now_us += SEC;
	l->clusters = 1;
	list_all(l);
	l->now_us += SEC;
	l->clusters = 2;
	list_all(l);
	health_traffic(&l->h, slot, &t, l->now_us);
	assert_int_equal(l->board->verdict[slot], 0);
	assert_true(l->board->entry[slot].pardon_us > t.sentence.since_us);
	sentence_pass(&t.sentence, NULL, VERDICT_WHY_REFUSED, 30 * SEC, 300 * SEC, l->now_us + 1);
	health_traffic(&l->h, slot, &t, l->now_us + 2);
	assert_int_equal(l->board->verdict[slot], HEALTH_EJECTED);
	lab_free(l);
}

static void errors_are_not_forgiven_because_a_probe_passes(void **state)
{
	struct lab *l = lab_new(2, 250, 250, 3);
	uint32_t slot = slot_of(WEST, 0);

	run(l, 1000);
	worker_saw(l, slot, VERDICT_WHY_ERRORS);
	run(l, 5000);
	assert_int_equal(l->board->verdict[slot], HEALTH_EJECTED);
	/* unless probes had taken it down as well, and see it recover */
	set_mode(l, WEST, ERRS);
	run(l, 1500);
	set_mode(l, WEST, ANSWERS);
	run(l, 600);
	assert_int_equal(l->board->verdict[slot], 0);
	lab_free(l);
}

static void timeouts_in_a_row_eject_who_answers_probes(void **state)
{
	struct lab *l = lab_new(2, 250, 250, 3);
	uint32_t slot = slot_of(WEST, 0);
	uint64_t since = l->now_us + SEC;

	run(l, 1000);
	timed_out(l, slot, 4, since);
	assert_int_equal(l->board->verdict[slot], 0);
	run(l, 1000);
	timed_out(l, slot, 5, since);
	assert_int_equal(l->board->verdict[slot], HEALTH_EJECTED);
	assert_int_equal(health_why(&l->h, &l->h.ep[slot], l->now_us), VERDICT_WHY_TIMEOUTS);
	timed_out(l, slot, 5, since);
	assert_int_equal(counter(l, HEALTH_C_EJECTED), 1);
	lab_free(l);
}

static void timeouts_eject_nobody_whom_probes_do_not_reach(void **state)
{
	struct lab *l = lab_new(3, 3000, 1000, 3);
	uint64_t since;

	run(l, 9000);
	cut_uplink(l);
	since = l->now_us;
	for (unsigned n = 1; n < 1000; n++) {
		run(l, 30);
		for (uint32_t i = 0; i < EACH; i++)
			timed_out(l, slot_of(WEST, i), n, since);
	}
	assert_frozen(l);
	assert_true(counter(l, HEALTH_C_HELD_BACK) > 0);
	lab_free(l);
}

static void timeouts_of_a_silence_eject_nobody_when_it_is_over(void **state)
{
	struct lab *l = lab_new(2, 250, 250, 3);
	uint32_t slot = slot_of(WEST, 0);
	uint64_t since;

	run(l, 1000);
	set_mode(l, WEST, SILENT);
	since = l->now_us + 500 * MS;
	run(l, 1000);
	for (unsigned n = 1; n <= 50; n++) {
		timed_out(l, slot, n, since);
		run(l, 20);
	}
	set_mode(l, WEST, ANSWERS);
	until_usable(l, WEST, EACH);
	assert_true(l->board->entry[slot].answers_us > since); /* workers leave out what is older */
	run(l, 1000);
	timed_out(l, slot, 50, since);
	assert_int_equal(l->board->verdict[slot], 0);
	assert_int_equal(counter(l, HEALTH_C_EJECTED), 0);
	timed_out(l, slot, 55, since);
	assert_int_equal(counter(l, HEALTH_C_EJECTED), 1);
	lab_free(l);
}

static void where_nothing_is_probed_timeouts_eject_at_once(void **state)
{
	struct lab *l = lab_new(1, 250, 250, 3);
	struct health_policy p = {.rules = {.base_ms = 30000, .max_ms = 300000, .failures = 3}};

	health_list_begin(&l->h, &p, 1);
	health_list_add(&l->h, &(struct health_listed){.id = 100, .slot = 0, .cluster = 1});
	health_list_end(&l->h, l->now_us);
	timed_out(l, 0, 3, l->now_us);
	assert_int_equal(l->board->verdict[0], HEALTH_EJECTED);
	l->now_us += 30 * SEC;
	timed_out(l, 0, 3, l->now_us - 30 * SEC);
	assert_int_equal(l->board->verdict[0], 0); /* the same ones do not count twice */
	timed_out(l, 0, 6, l->now_us - 30 * SEC);
	assert_int_equal(l->h.ep[0].sentence.until_us - l->now_us, 60 * SEC);
	lab_free(l);
}

/* Lists -------------------------------------------------------------------------------------- */

static void everybody_is_probed_once_by_one_worker(void **state)
{
	struct lab *l = lab_new(4, 250, 250, 3);
	struct probe_list *old = NULL;
	const struct probe_list *p = health_list_probes(&l->h, WORKERS, &old);
	unsigned seen[CLUSTERS * EACH] = {0};

	assert_non_null(p);
	assert_null(old);
	for (unsigned w = 0; w < WORKERS; w++) {
		assert_true(p->first[w] < p->first[w + 1]);
		for (uint32_t i = p->first[w]; i < p->first[w + 1]; i++) {
			assert_int_equal(probe_owner(p->t[i].id, WORKERS), w);
			seen[p->t[i].slot]++;
			assert_int_equal(p->checks[p->t[i].check].interval_us, 250 * MS);
		}
	}
	for (uint32_t i = 0; i < CLUSTERS * EACH; i++)
		assert_int_equal(seen[i], 1);
	lab_free(l);
}

static void a_list_that_says_the_same_is_not_made_again(void **state)
{
	struct lab *l = lab_new(2, 250, 250, 3);
	struct probe_list *old = NULL;
	const struct probe_list *first = health_list_probes(&l->h, WORKERS, &old), *second;

	list_all(l);
	assert_null(health_list_probes(&l->h, WORKERS, &old));
	l->interval_us = 500 * MS;
	list_all(l);
	second = health_list_probes(&l->h, WORKERS, &old);
	assert_non_null(second);
	assert_ptr_equal(old, first);
	assert_true(second->serial > first->serial);
	free(old);
	lab_free(l);
}

static void under_suspicion_probes_come_faster(void **state)
{
	struct lab *l = lab_new(3, 3000, 1000, 3);
	struct probe_list *old = NULL;
	const struct probe_list *p;

	health_list_probes(&l->h, WORKERS, &old);
	run(l, 9000);
	cut_uplink(l);
	run(l, 9000);
	assert_true(l->h.relist);
	p = health_list_probes(&l->h, WORKERS, &old);
	assert_non_null(p);
	for (uint32_t i = 0; i < p->first[WORKERS]; i++)
		assert_int_equal(p->checks[p->t[i].check].interval_us,
			p->t[i].slot < EACH ? 3 * SEC : HEALTH_SUSPECT_INTERVAL_US);
	free(old);
	lab_free(l);
}

static void a_check_that_cannot_be_sent_probes_nobody(void **state)
{
	static const struct probe_check bad[] = {
		{.kind = BUILD_PROBE_HTTP, .method = STR("GET"), .path = STR("/a b")},
		{.kind = BUILD_PROBE_HTTP, .method = STR("GET"), .path = STR("/\r\nX: y")},
		{.kind = BUILD_PROBE_HTTP, .method = STR("GET"), .path = STR("x")},
		{.kind = BUILD_PROBE_HTTP, .method = STR(""), .path = STR("/")},
		{.kind = BUILD_PROBE_HTTP,
			.method = STR("GET"),
			.path = STR("/"),
			.host = STR("a\nb")},
		{.kind = 77, .method = STR("GET"), .path = STR("/")},
	};
	struct lab *l = lab_new(1, 250, 250, 3);

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct health_policy p = {.check = bad[i]};

		p.check.interval_us = p.check.timeout_us = SEC;
		health_list_begin(&l->h, &p, 1);
		health_list_add(&l->h, &(struct health_listed){.id = 100, .slot = 0});
		health_list_end(&l->h, l->now_us);
		assert_int_equal(l->h.probed, 0);
		assert_int_equal(counter(l, HEALTH_C_CHECK_INVALID), i + 1);
	}
	lab_free(l);
}

#define ROW(fn) cmocka_unit_test(fn)

int main(void)
{
	const struct CMUnitTest rows[] = {
		ROW(a_cluster_that_dies_is_left_within_a_second),
		ROW(what_we_could_not_do_counts_for_nothing),
		ROW(results_of_those_who_left_are_stray),
		ROW(who_comes_back_after_it_left_has_a_new_start),
		ROW(cut_off_from_two_clusters_we_suspect_ourselves_and_judge_nobody),
		ROW(with_slow_probes_the_first_request_still_follows_within_a_second),
		ROW(a_connection_that_brings_no_answer_ends_no_suspicion),
		ROW(connections_that_the_cut_caught_are_forgotten_as_well),
		ROW(who_accepts_and_says_nothing_is_down_where_nobody_is_suspected),
		ROW(three_clusters_come_back_one_after_the_other),
		ROW(who_was_down_before_the_cut_stays_down_after_it),
		ROW(one_cluster_with_its_silent_site_is_suspicion_too),
		ROW(a_listing_in_between_changes_nothing),
		ROW(more_clusters_than_are_watched_are_judged_as_well),
		ROW(places_of_clusters_that_have_left_go_to_others),
		ROW(clusters_that_nobody_probes_take_no_place),
		ROW(a_workers_sentence_holds_for_all_until_a_probe_passes),
		ROW(who_comes_back_has_served_what_workers_gave_him_before),
		ROW(errors_are_not_forgiven_because_a_probe_passes),
		ROW(timeouts_in_a_row_eject_who_answers_probes),
		ROW(timeouts_eject_nobody_whom_probes_do_not_reach),
		ROW(timeouts_of_a_silence_eject_nobody_when_it_is_over),
		ROW(where_nothing_is_probed_timeouts_eject_at_once),
		ROW(everybody_is_probed_once_by_one_worker),
		ROW(a_list_that_says_the_same_is_not_made_again),
		ROW(under_suspicion_probes_come_faster),
		ROW(a_check_that_cannot_be_sent_probes_nobody),
	};

	return cmocka_run_group_tests_name("health", rows, NULL, NULL);
}
