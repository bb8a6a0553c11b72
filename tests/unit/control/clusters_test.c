// SPDX-License-Identifier: Apache-2.0
/*
 * clusters_test.c: who may say what about a cluster, what holds, and what survives a restart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/clusters/drain.h"
#include "control/clusters/registry.h"

static char journal[] = "/tmp/clusters_test.XXXXXX";

static const struct config_cluster in_file[] = {
	{.name = {"east", 4}, .directory = "/d/east", .roles = 3},
	{.name = {"west", 4}, .directory = "/d/west", .roles = 2, .has_weight = true, .weight = 5},
};
static const struct control_config config = {.clusters = in_file, .clusters_count = 2};

static struct registry *fresh(void)
{
	struct registry *r;
	struct err err;

	unlink(journal);
	assert_int_equal(registry_new(journal, &r, &err), 0);
	assert_true(registry_set_file(r, &config));
	return r;
}

static struct registry *restarted(struct registry *r)
{
	struct err err;

	registry_free(r);
	assert_int_equal(registry_new(journal, &r, &err), 0);
	registry_set_file(r, &config);
	return r;
}

static const struct cluster *cluster(const struct registry *r, const char *name)
{
	return clusters_lookup(registry_clusters(r), str_of(name));
}

static void the_file_alone_gives_defaults(void **state)
{
	struct registry *r = fresh();

	assert_int_equal(registry_clusters(r)->count, 2);
	assert_int_equal(cluster(r, "east")->weight, CLUSTER_WEIGHT_DEFAULT);
	assert_int_equal(cluster(r, "east")->roles, CLUSTER_ROLES_ALL);
	assert_int_equal(cluster(r, "west")->weight, 5);
	assert_int_equal(cluster(r, "west")->roles, CLUSTER_ROLE_WORKLOAD);
	assert_false(registry_set_file(r, &config));
	registry_free(r);
}

static void rest_says_what_the_file_does_not(void **state)
{
	struct registry *r = fresh();
	struct clusters *before = clusters_get(registry_clusters(r));
	struct err err;

	assert_int_equal(registry_put(r,
				 &(struct cluster_def){.name = STR("east"),
					 .has_weight = true,
					 .weight = 0,
					 .has_admin = true,
					 .admin = CLUSTER_DRAIN},
				 &err),
		0);
	assert_int_equal(cluster(r, "east")->weight, 0);
	assert_int_equal(cluster(r, "east")->admin, CLUSTER_DRAIN);
	assert_ptr_not_equal(before, registry_clusters(r));
	assert_int_equal(clusters_lookup(before, STR("east"))->weight, CLUSTER_WEIGHT_DEFAULT);
	clusters_put(before);
	r = restarted(r);
	assert_int_equal(cluster(r, "east")->weight, 0);
	assert_int_equal(cluster(r, "east")->admin, CLUSTER_DRAIN);
	registry_free(r);
}

static void a_new_cluster_survives_a_restart(void **state)
{
	struct registry *r = fresh();
	struct err err;

	assert_int_equal(registry_put(r,
				 &(struct cluster_def){.name = STR("north"),
					 .kubeconfig = "/k \"n\"",
					 .context = "c",
					 .roles = CLUSTER_ROLE_WORKLOAD},
				 &err),
		0);
	r = restarted(r);
	assert_non_null(registry_find(r, STR("north")));
	assert_string_equal(registry_find(r, STR("north"))->def.kubeconfig, "/k \"n\"");
	assert_int_equal(cluster(r, "north")->roles, CLUSTER_ROLE_WORKLOAD);
	assert_int_equal(registry_delete(r, STR("north"), &err), 0);
	r = restarted(r);
	assert_null(registry_find(r, STR("north")));
	registry_free(r);
}

static const struct {
	struct cluster_def def;
	int rc;
	const char *why;
} refused[] = {
	{{.name = {"west", 4}, .has_weight = true, .weight = 6}, -EEXIST,
		"control.yaml says its weight"},
	{{.name = {"east", 4}, .kubeconfig = "/k"}, -EEXIST,
		"control.yaml says where its objects come from"},
	{{.name = {"east", 4}, .roles = 1}, -EEXIST, "control.yaml says its roles"},
	{{.name = {"none", 4}, .has_weight = true}, -ENOENT, "there is no such cluster"},
	{{.name = {"N", 1}, .directory = "/d"}, -EINVAL,
		"the name must be lower case letters, digits and '-', at most 63"},
	{{.name = {"n", 1}, .directory = "d"}, -EINVAL, "paths must be absolute"},
	{{.name = {"n", 1}, .directory = "/d", .in_cluster = true}, -EINVAL,
		"directory, kubeconfig and inCluster exclude each other"},
	{{.name = {"n", 1}, .directory = "/d", .context = "c"}, -EINVAL,
		"context belongs to a kubeconfig"},
	/* what YAML cannot hold we could not read again */
	{{.name = {"n", 1}, .directory = "/d\x7f"}, -EINVAL, NULL},
	{{.name = {"n", 1}, .kubeconfig = "/k", .context = "\xc2\x80"}, -EINVAL, NULL},
};

static void what_makes_no_sense_is_refused_and_changes_nothing(void **state)
{
	struct registry *r = fresh();
	struct clusters *before = registry_clusters(r);
	struct err err;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_int_equal(registry_put(r, &refused[i].def, &err), refused[i].rc);
		if (refused[i].why != NULL)
			assert_string_equal(err.msg, refused[i].why);
		else
			assert_non_null(strstr(err.msg, "cannot be remembered: "));
	}
	assert_int_equal(registry_delete(r, STR("east"), &err), -EEXIST);
	assert_int_equal(registry_delete(r, STR("none"), &err), -ENOENT);
	assert_ptr_equal(before, registry_clusters(r));
	registry_free(r);
}

static void remote_clusters_come_last_and_belong_to_their_owner(void **state)
{
	const struct cluster_def defs[] = {
		{.name = STR("east"), .text = STR("kubeconfig")},
		{.name = STR("far"), .text = STR("kubeconfig")},
	};
	struct registry *r = fresh();
	struct err err;

	assert_true(registry_set_remote(r, STR("east"), defs, 2));
	assert_int_equal(registry_clusters(r)->count, 3);
	assert_int_equal(registry_find(r, STR("east"))->origin, CLUSTER_BY_FILE);
	assert_int_equal(registry_find(r, STR("far"))->origin, CLUSTER_BY_REMOTE);
	assert_int_equal(cluster(r, "far")->roles, CLUSTER_ROLE_WORKLOAD);
	assert_int_equal(registry_put(r, &(struct cluster_def){.name = STR("far"), .roles = 3},
				 &err),
		-EEXIST);
	assert_int_equal(registry_put(r,
				 &(struct cluster_def){.name = STR("far"),
					 .has_weight = true,
					 .weight = 3},
				 &err),
		0);
	assert_int_equal(registry_delete(r, STR("far"), &err), -EEXIST);
	assert_false(registry_set_remote(r, STR("west"), NULL, 0));
	assert_true(registry_set_remote(r, STR("east"), NULL, 0));
	assert_null(registry_find(r, STR("far")));
	assert_int_equal(registry_said(r, STR("far"))->weight, 3);
	assert_int_equal(registry_delete(r, STR("far"), &err), 0);
	assert_null(registry_said(r, STR("far")));
	registry_free(r);
}

static void a_remote_cluster_may_be_there_before_its_kubeconfig(void **state)
{
	const struct cluster_def awaited = {.name = STR("far"), .awaited = true};
	const struct cluster_def known = {.name = STR("far"), .text = STR("kubeconfig")};
	struct registry *r = fresh();

	assert_true(registry_set_remote(r, STR("east"), &awaited, 1));
	assert_true(registry_find(r, STR("far"))->def.awaited);
	assert_int_equal(cluster(r, "far")->roles, CLUSTER_ROLE_WORKLOAD);
	assert_false(registry_set_remote(r, STR("east"), &awaited, 1));
	assert_true(registry_set_remote(r, STR("east"), &known, 1));
	assert_false(registry_find(r, STR("far"))->def.awaited);
	assert_false(cluster_def_same_source(&awaited, &known));
	registry_free(r);
}

static void a_journal_that_is_none_is_an_error(void **state)
{
	struct registry *r = NULL;
	struct err err;
	FILE *f = fopen(journal, "we");

	fputs("clusters: [{name: a, weight: many}]\n", f);
	fclose(f);
	assert_int_equal(registry_new(journal, &r, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "line 1: clusters[0].weight: must be a number"));
}

static void there_are_at_most_so_many(void **state)
{
	struct registry *r = fresh();
	struct err err;
	char name[16];
	int rc = 0;

	for (unsigned i = 0; i < CLUSTERS_MAX && rc == 0; i++) {
		snprintf(name, sizeof(name), "c%u", i);
		rc = registry_put(r, &(struct cluster_def){.name = str_of(name), .directory = "/d"},
			&err);
	}
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(registry_clusters(r)->count, CLUSTERS_MAX);
	registry_free(r);
}

/* --- drains --- */

static struct clusters *list_of(uint32_t weight, enum cluster_admin admin)
{
	struct cluster c[] = {{.name = STR("east"), .weight = weight, .admin = admin},
		{.name = STR("west"), .weight = 100}};

	c[0].withheld = admin == CLUSTER_DRAIN ? CLUSTER_WHOLE : 0;
	return clusters_new(c, 2);
}

static uint16_t withheld(const struct clusters *c)
{
	return clusters_lookup(c, STR("east"))->withheld;
}

static void a_drain_goes_by_steps_and_back_again(void **state)
{
	struct clusters *active = list_of(100, CLUSTER_ACTIVE),
			*drain = list_of(100, CLUSTER_DRAIN);
	struct drains r = {NULL};
	bool moving;

	assert_int_equal(withheld(drains_take(&r, active, &moving)), 0);
	assert_false(moving);
	assert_int_equal(withheld(drains_take(&r, drain, &moving)), 0);
	assert_true(moving);
	for (unsigned i = 1; i <= 100; i++) {
		assert_int_equal(withheld(drains_step(&r, drain, 10, &moving)), 10 * i);
		assert_true(moving == (i < 100));
	}
	assert_int_equal(withheld(drains_step(&r, active, 300, &moving)), 700);
	assert_int_equal(withheld(drains_step(&r, drain, 10, &moving)), 710);
	assert_int_equal(withheld(drains_step(&r, active, 1000, &moving)), 0);
	assert_false(moving);
	drains_fini(&r);
	clusters_put(active);
	clusters_put(drain);
}

static void weights_and_the_end_of_a_cluster_act_at_once(void **state)
{
	struct clusters *active = list_of(100, CLUSTER_ACTIVE), *drain = list_of(7, CLUSTER_DRAIN),
			*disabled = list_of(7, CLUSTER_DISABLED), *now;
	struct drains r = {NULL};
	bool moving;

	drains_take(&r, active, &moving);
	now = drains_step(&r, drain, 10, &moving);
	assert_int_equal(clusters_lookup(now, STR("east"))->weight, 7);
	assert_int_equal(withheld(now), 10);
	now = drains_take(&r, disabled, &moving);
	assert_int_equal(clusters_lookup(now, STR("east"))->admin, CLUSTER_DISABLED);
	assert_false(moving);
	drains_fini(&r);
	clusters_put(active);
	clusters_put(drain);
	clusters_put(disabled);
}

static void a_drain_says_nothing_of_the_weight(void **state)
{
	struct registry *r = fresh();
	struct cluster_order o = {.cluster = STR("west"), .drain = true};

	assert_true(registry_set_orders(r, &o, 1));
	assert_int_equal(cluster(r, "west")->weight, 5);
	assert_int_equal(cluster(r, "west")->admin, CLUSTER_DRAIN);
	o.weight = 70;
	o.has_weight = true;
	assert_true(registry_set_orders(r, &o, 1));
	assert_int_equal(cluster(r, "west")->weight, 70);
	assert_true(registry_set_orders(r, NULL, 0));
	assert_int_equal(cluster(r, "west")->weight, 5);
	registry_free(r);
}

static void begin_anew(struct drains *r, const char *path)
{
	drains_save(r);
	drains_fini(r);
	drains_open(r, path);
}

static void a_drain_goes_on_where_it_was_in_the_next_life(void **state)
{
	struct clusters *active = list_of(100, CLUSTER_ACTIVE),
			*drain = list_of(100, CLUSTER_DRAIN), *none = clusters_new(NULL, 0);
	struct drains r = {NULL};
	bool moving;

	unlink(journal);
	drains_open(&r, journal);
	drains_take(&r, active, &moving);
	begin_anew(&r, journal); /* killed between the order and the first step */
	assert_int_equal(withheld(drains_take(&r, drain, &moving)), 0);
	assert_int_equal(withheld(drains_step(&r, drain, 430, &moving)), 430);
	begin_anew(&r, journal);
	drains_take(&r, none, &moving); /* its RemoteClusterConfiguration comes later */
	begin_anew(&r, journal);
	assert_int_equal(withheld(drains_take(&r, drain, &moving)), 430);
	assert_true(moving);
	assert_int_equal(withheld(drains_step(&r, drain, 10, &moving)), 440);
	begin_anew(&r, journal);
	assert_int_equal(withheld(drains_step(&r, active, 10, &moving)),
		430); /* taken back meanwhile */
	/* what it was is asked once: a cluster that comes back is where it shall be, as always */
	drains_take(&r, none, &moving);
	assert_int_equal(withheld(drains_take(&r, drain, &moving)), CLUSTER_WHOLE);
	drains_fini(&r);
	clusters_put(active);
	clusters_put(drain);
	clusters_put(none);
}

static void a_damaged_file_of_drains_says_nothing(void **state)
{
	static const char *const damaged[] = {"", "drains 1 ",
		"drains 1   11 00000000\n"
		"east 430\n",
		"drains 1 9999 00000000\n"
		"east 430\n",
		"something else\n"};
	struct clusters *drain = list_of(100, CLUSTER_DRAIN);
	bool moving;

	for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		struct drains r = {NULL};
		FILE *f = fopen(journal, "w");

		assert_non_null(f);
		fputs(damaged[i], f);
		fclose(f);
		drains_open(&r, journal);
		assert_int_equal(r.kept_count, 0);
		assert_int_equal(withheld(drains_take(&r, drain, &moving)), CLUSTER_WHOLE);
		drains_fini(&r);
	}
	clusters_put(drain);
}

static void what_has_not_moved_is_the_same_list(void **state)
{
	struct clusters *a = list_of(100, CLUSTER_DRAIN), *b = list_of(100, CLUSTER_DRAIN), *now;
	struct drains r = {NULL};
	bool moving;

	now = drains_take(&r, a, &moving);
	assert_int_equal(withheld(now), CLUSTER_WHOLE); /* it has drained before we came */
	assert_false(moving);
	assert_ptr_equal(drains_take(&r, b, &moving), now);
	assert_ptr_equal(drains_step(&r, b, 10, &moving), now);
	drains_fini(&r);
	clusters_put(a);
	clusters_put(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_alone_gives_defaults),
		cmocka_unit_test(rest_says_what_the_file_does_not),
		cmocka_unit_test(a_new_cluster_survives_a_restart),
		cmocka_unit_test(what_makes_no_sense_is_refused_and_changes_nothing),
		cmocka_unit_test(remote_clusters_come_last_and_belong_to_their_owner),
		cmocka_unit_test(a_remote_cluster_may_be_there_before_its_kubeconfig),
		cmocka_unit_test(a_journal_that_is_none_is_an_error),
		cmocka_unit_test(there_are_at_most_so_many),
		cmocka_unit_test(a_drain_goes_by_steps_and_back_again),
		cmocka_unit_test(a_drain_says_nothing_of_the_weight),
		cmocka_unit_test(a_drain_goes_on_where_it_was_in_the_next_life),
		cmocka_unit_test(a_damaged_file_of_drains_says_nothing),
		cmocka_unit_test(weights_and_the_end_of_a_cluster_act_at_once),
		cmocka_unit_test(what_has_not_moved_is_the_same_list),
	};
	int fd = mkstemp(journal), rc;

	if (fd < 0)
		return 1;
	close(fd);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(journal);
	return rc;
}
