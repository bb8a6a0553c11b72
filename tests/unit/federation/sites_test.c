// SPDX-License-Identifier: Apache-2.0
/*
 * sites_test.c: what operators are promised of two and more sites (federation/README.md), on a
 * virtual clock: how soon a change is everywhere, what survives which loss, who wins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "federation/signing.h"
#include "tests/sim/site_world.h"

#define NOBODY UINT32_MAX
#define DAY_MS (24ull * 3600 * 1000)

static struct world *w;

static void begin(uint32_t sites)
{
	w = world_new(sites, 7, /* real_signatures= */ true);
	for (uint32_t i = 0; i < sites; i++)
		world_start(w, i, true);
	world_run(w, 3000);
}

static int teardown(void **state)
{
	if (w->wrong[0] != '\0')
		print_error("%s\n", w->wrong);
	assert_string_equal(w->wrong, "");
	world_free(w);
	return 0;
}

static const struct record *at(uint32_t site, const char *cluster)
{
	return federation_weight(w->sites[site].federation, str_of(cluster));
}

static void set(uint32_t site, const char *cluster, uint32_t weight)
{
	struct record_weight v = {.weight = weight, .actor = STR("ann"), .reason = STR("test")};

	assert_int_equal(world_weight(w, site, cluster, "", &v), 0);
}

static struct federation_peer_state peer(uint32_t site, uint32_t i)
{
	struct federation_peer_state p;

	federation_peer(w->sites[site].federation, i, &p);
	return p;
}

static void a_change_is_everywhere_after_one_way(void **state)
{
	uint64_t before;

	begin(8);
	assert_true(peer(0, 0).is_connected && peer(0, 0).state == PEER_LIVE);
	world_run(w, 3000);
	w->wire.delay_ms = 40;
	before = w->deltas;
	set(3, "us-west", 10);
	assert_int_equal(at(3, "us-west")->weight.weight, 10); /* here at once */
	world_run(w, 42);
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(at(i, "us-west")->weight.weight, 10);
		assert_true(str_eq(at(i, "us-west")->weight.actor, STR("ann")));
		assert_true(str_eq(at(i, "us-west")->site, STR("site-03")));
	}
	assert_int_equal(w->deltas - before, 7);
}

static void an_unchanged_value_sends_nothing(void **state)
{
	uint64_t before;

	begin(2);
	world_health(w, 0, "us-west", 50);
	world_load(w, 0, 100);
	world_run(w, 3000);
	before = w->deltas;
	world_health(w, 0, "us-west", 50);
	world_load(w, 0, 100);
	assert_int_equal(w->deltas, before);
	world_health(w, 0, "us-west", 51);
	assert_int_equal(w->deltas, before + 1);
}

static void views_of_one_cluster_stand_side_by_side(void **state)
{
	const struct record *r;
	uint32_t views = 0;

	begin(3);
	for (uint32_t i = 0; i < 3; i++)
		world_health(w, i, "us-west", 10 * i);
	world_run(w, 100);
	for (uint32_t pos = 0; (r = federation_next_record(w->sites[2].federation, &pos)) != NULL;)
		views += r->kind == RECORD_HEALTH;
	assert_int_equal(views, 3);
}

static void a_local_weight_goes_before_that_of_all_and_is_seen_by_all(void **state)
{
	struct record_weight v = {.weight = 5};

	begin(2);
	set(0, "us-west", 80);
	assert_int_equal(world_weight(w, 1, "us-west", "site-01", &v), 0);
	world_run(w, 100);
	assert_int_equal(at(0, "us-west")->weight.weight, 80);
	assert_int_equal(at(1, "us-west")->weight.weight, 5);
	assert_true(world_is_equal(w, NOBODY));
}

static void a_weight_ends_at_its_time_everywhere_without_a_message(void **state)
{
	struct record_weight v = {.weight = 5, .expires_ms = WORLD_START_MS + 20000};
	uint64_t events, deltas;

	begin(2);
	assert_int_equal(world_weight(w, 0, "us-west", "", &v), 0);
	world_run(w, 10000);
	assert_non_null(at(1, "us-west"));
	events = w->sites[1].events;
	deltas = w->deltas;
	world_run(w, 10000);
	assert_null(at(0, "us-west"));
	assert_null(at(1, "us-west"));
	assert_true(w->sites[1].events > events); /* and that is told */
	assert_int_equal(w->deltas, deltas);
}

/* Apart for a minute, edited on both sides, with clocks two minutes apart. */
static void two_sites_edited_while_apart_agree_within_5_s_and_log_the_loser(void **state)
{
	const struct record *lost;
	uint64_t ms;

	begin(2);
	w->sites[1].skew_ms = -120000;
	set(0, "us-west", 50);
	world_run(w, 1000);
	world_cut(w, 0, 1, true);
	world_run(w, 10000);
	assert_false(peer(0, 0).is_connected);
	assert_int_equal(at(1, "us-west")->weight.weight, 50); /* nothing is removed */
	set(1, "us-west", 1);
	set(1, "us-west", 2);
	world_run(w, 25000);
	set(0, "us-west", 3);
	world_run(w, 25000);
	world_cut(w, 0, 1, false);
	ms = world_converge(w, NOBODY, 5000);
	assert_true(ms != UINT64_MAX);
	assert_int_equal(at(0, "us-west")->weight.weight, 3);
	assert_int_equal(at(1, "us-west")->weight.weight, 3);
	for (uint32_t i = 0; i < 2; i++) {
		lost = federation_lost_edit(w->sites[i].federation, 0);
		assert_non_null(lost);
		assert_int_equal(lost->weight.weight, 2);
		assert_true(str_eq(lost->site, STR("site-01")));
		assert_int_equal(w->sites[i].conflicts, 1);
	}
	/* also after both have been restarted */
	world_stop(w, 0);
	world_start(w, 0, false);
	assert_int_equal(federation_lost_edit(w->sites[0].federation, 0)->weight.weight, 2);
}

static void an_edit_that_knew_the_last_one_is_no_conflict(void **state)
{
	begin(2);
	for (uint32_t i = 0; i < 6; i++) {
		set(i % 2, "us-west", i);
		world_run(w, 100);
	}
	assert_int_equal(w->sites[0].conflicts + w->sites[1].conflicts, 0);
	assert_null(federation_lost_edit(w->sites[0].federation, 0));
}

static void a_dead_peer_is_noticed_after_three_heartbeats(void **state)
{
	begin(2);
	world_cut(w, 0, 1, true);
	world_run(w, 1900);
	assert_true(peer(0, 0).is_connected);
	world_run(w, 1300);
	assert_false(peer(0, 0).is_connected);
	assert_int_equal(federation_refusals(w->sites[0].federation, REFUSAL_SILENT), 1);
}

static void a_restart_keeps_weights_without_any_peer(void **state)
{
	begin(2);
	set(0, "us-west", 10);
	set(1, "us-east", 20);
	world_run(w, 100);
	world_stop(w, 0);
	world_stop(w, 1);
	world_start(w, 0, false);
	assert_int_equal(at(0, "us-west")->weight.weight, 10);
	assert_int_equal(at(0, "us-east")->weight.weight, 20);
}

static void a_site_with_a_new_key_is_believed_about_its_old_weights(void **state)
{
	uint8_t secret[FEDERATION_KEY_BYTES] = {9};

	begin(2);
	set(0, "us-west", 10);
	world_stop(w, 0);
	world_stop(w, 1);
	signing_key_free(w->sites[0].signing);
	w->sites[0].signing = signing_key_new(secret);
	signing_public(w->sites[0].signing, w->sites[0].key);
	world_start(w, 0, false);
	world_start(w, 1, /* empty= */ true);
	assert_true(world_converge(w, NOBODY, 5000) != UINT64_MAX);
	assert_int_equal(at(1, "us-west")->weight.weight, 10);
	assert_int_equal(federation_refusals(w->sites[1].federation, REFUSAL_RECORD_FORGED), 0);
}

static void an_emptied_site_catches_up_with_its_own_edits_too(void **state)
{
	uint64_t epoch;

	begin(2);
	set(0, "us-west", 10);
	world_health(w, 0, "us-west", 30);
	world_run(w, 100);
	epoch = peer(1, 0).epoch;
	world_stop(w, 0);
	world_run(w, 500);
	world_start(w, 0, /* empty= */ true);
	assert_null(at(0, "us-west"));
	world_health(w, 0, "us-west", 30);
	world_run(w, 5000);
	assert_int_equal(at(0, "us-west")->weight.weight, 10);
	assert_true(world_is_equal(w, NOBODY));
	assert_true(peer(1, 0).epoch > epoch);
}

static void what_a_site_said_before_its_clock_went_back_does_not_outlive_what_it_says_now(
	void **state)
{
	const struct record *r;

	begin(2);
	world_health(w, 0, "us-west", 30);
	world_run(w, 100);
	world_stop(w, 0);
	world_run(w, 500);
	w->sites[0].skew_ms = -60000;
	world_start(w, 0, /* empty= */ true);
	world_health(w, 0, "us-west", 77);
	world_run(w, 5000);
	for (uint32_t pos = 0; (r = federation_next_record(w->sites[1].federation, &pos)) != NULL;)
		assert_int_equal(r->health.usable, 77);
	assert_true(world_is_equal(w, NOBODY));
}

static void records_reach_a_site_by_way_of_another(void **state)
{
	begin(3);
	world_cut(w, 0, 2, true);
	world_run(w, 10000);
	set(0, "us-west", 10);
	assert_true(world_converge(w, NOBODY, 8000) != UINT64_MAX);
	assert_true(str_eq(at(2, "us-west")->site, STR("site-00")));
}

static void a_clock_ten_minutes_ahead_is_left_alone(void **state)
{
	w = world_new(3, 7, true);
	w->sites[1].skew_ms = 600000;
	for (uint32_t i = 0; i < 3; i++)
		world_start(w, i, true);
	world_run(w, 5000);
	set(1, "us-west", 10);
	set(0, "us-east", 20);
	world_run(w, 10000);
	assert_null(at(0, "us-west"));
	assert_int_equal(at(2, "us-east")->weight.weight, 20);
	assert_true(federation_refusals(w->sites[0].federation, REFUSAL_CLOCK) > 0);
	/* its operator sees why */
	assert_true(federation_refusals(w->sites[1].federation, REFUSAL_UNWELCOME) > 0);
	assert_int_equal(peer(0, 0).last_refusal, REFUSAL_CLOCK);
}

static void tombstones_and_ended_weights_are_forgotten_after_a_day_by_all_alike(void **state)
{
	struct record_weight v = {.removed = true};
	const struct record *r;
	uint32_t held = 0, pos = 0;

	begin(2);
	set(0, "us-west", 10);
	set(0, "us-east", 20);
	world_run(w, 1000);
	assert_int_equal(world_weight(w, 1, "us-west", "", &v), 0);
	world_run(w, 1000);
	assert_null(at(0, "us-west"));
	w->now_ms += DAY_MS - 10000;
	world_run(w, 5000);
	assert_non_null(federation_next_record(w->sites[0].federation, &pos));
	w->now_ms += 10000;
	world_run(w, 5000);
	for (pos = 0; (r = federation_next_record(w->sites[0].federation, &pos)) != NULL;)
		held++;
	assert_int_equal(held, 1);
	assert_true(world_is_equal(w, NOBODY));
	assert_int_equal(at(1, "us-east")->weight.weight, 20);
}

/* Tombstones that were forgotten still stand in the journal; they take no place at the next start. */
static void forgotten_tombstones_take_no_place_after_a_restart(void **state)
{
	struct record_weight v = {.removed = true};
	uint32_t half = FEDERATION_SITE_WEIGHTS_MAX * 3 / 4;
	char name[16];

	begin(1);
	for (uint32_t i = 0; i < half; i++) {
		snprintf(name, sizeof(name), "old%u", i);
		set(0, name, 1);
		assert_int_equal(world_weight(w, 0, name, "", &v), 0);
	}
	w->now_ms += DAY_MS;
	world_run(w, 3000);
	for (uint32_t i = 0; i < half; i++) {
		snprintf(name, sizeof(name), "new%u", i);
		set(0, name, 1);
	}
	world_stop(w, 0);
	world_start(w, 0, false);
	for (uint32_t i = 0; i < half; i++) {
		snprintf(name, sizeof(name), "new%u", i);
		assert_non_null(at(0, name));
		snprintf(name, sizeof(name), "old%u", i);
		assert_null(at(0, name));
	}
}

static void a_thousand_changes_while_a_peer_is_away_are_sent_once_each_key(void **state)
{
	uint64_t before;

	begin(2);
	world_cut(w, 0, 1, true);
	world_run(w, 5000);
	for (uint32_t i = 0; i < 1000; i++)
		set(0, "us-west", i);
	before = peer(0, 0).records_sent;
	world_cut(w, 0, 1, false);
	assert_true(world_converge(w, NOBODY, 5000) != UINT64_MAX);
	assert_int_equal(peer(0, 0).records_sent - before, 1);
	assert_int_equal(at(1, "us-west")->weight.weight, 999);
}

static void a_full_disk_stops_edits_here_but_not_at_the_others(void **state)
{
	struct record_weight v = {.weight = 5};

	begin(3);
	w->sites[1].is_disk_full = true;
	assert_int_equal(world_weight(w, 1, "us-west", "", &v), -ENOSPC);
	set(0, "us-west", 10);
	world_run(w, 3000);
	assert_int_equal(at(2, "us-west")->weight.weight, 10);
	assert_null(at(1, "us-west")); /* it would forget it: it does not act on it */
	w->sites[1].is_disk_full = false;
	assert_true(world_converge(w, NOBODY, 5000) != UINT64_MAX);
	assert_int_equal(at(1, "us-west")->weight.weight, 10);
}

static void a_site_speaks_about_so_many_clusters_and_no_more(void **state)
{
	char name[16];

	begin(2);
	for (uint32_t i = 0; i < FEDERATION_SITE_HEALTH_MAX; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		assert_int_equal(world_health(w, 0, name, 1), 0);
	}
	assert_int_equal(world_health(w, 0, "one-more", 1), -ENOSPC);
	assert_int_equal(world_health(w, 1, "one-more", 1), 0);
	world_run(w, 1000);
	assert_true(world_is_equal(w, NOBODY));
}

#define T(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_change_is_everywhere_after_one_way),
		T(an_unchanged_value_sends_nothing),
		T(views_of_one_cluster_stand_side_by_side),
		T(a_local_weight_goes_before_that_of_all_and_is_seen_by_all),
		T(a_weight_ends_at_its_time_everywhere_without_a_message),
		T(two_sites_edited_while_apart_agree_within_5_s_and_log_the_loser),
		T(an_edit_that_knew_the_last_one_is_no_conflict),
		T(a_dead_peer_is_noticed_after_three_heartbeats),
		T(a_restart_keeps_weights_without_any_peer),
		T(a_site_with_a_new_key_is_believed_about_its_old_weights),
		T(an_emptied_site_catches_up_with_its_own_edits_too),
		T(what_a_site_said_before_its_clock_went_back_does_not_outlive_what_it_says_now),
		T(records_reach_a_site_by_way_of_another),
		T(a_clock_ten_minutes_ahead_is_left_alone),
		T(tombstones_and_ended_weights_are_forgotten_after_a_day_by_all_alike),
		T(forgotten_tombstones_take_no_place_after_a_restart),
		T(a_thousand_changes_while_a_peer_is_away_are_sent_once_each_key),
		T(a_full_disk_stops_edits_here_but_not_at_the_others),
		T(a_site_speaks_about_so_many_clusters_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
