// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_cycles.c: where the workers' cycles go: two looks some seconds apart, and what lies between.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/ctl/ctl.h"

#define SECONDS_DEFAULT 2.0
#define SECONDS_MAX 3600.0

/* How much <key> of <now>'s object <part> grew since <before>. */
static double grown(const json_t *before, const json_t *now, const char *part, const char *key)
{
	return (double)(number_of(json_object_get(now, part), key) -
		number_of(json_object_get(before, part), key));
}

static double total_cycles(const json_t *before, const json_t *now)
{
	const char *stage;
	double sum = 0;
	json_t *v;

	json_object_foreach (json_object_get(now, "cycles"), stage, v)
		sum += grown(before, now, "cycles", stage);
	return sum;
}

static double over(double a, double b)
{
	return b > 0 ? a / b : 0;
}

static void show_worker(const json_t *before, const json_t *now)
{
	static const char *const heads[] = {"STAGE", "CYCLES", "SHARE", "PER REQUEST", "PER PACKET",
		"PER TURN", NULL};
	double in = grown(before, now, "work", "packets_in");
	double out = grown(before, now, "work", "packets_out");
	double requests = grown(before, now, "work", "requests");
	double working = grown(before, now, "work", "turns_working");
	double empty = grown(before, now, "work", "turns_empty");
	double spun = grown(before, now, "work", "empty_cycles"), all = total_cycles(before, now);
	struct table *t;
	const char *stage;
	json_t *v;

	printf("%s/%d: %.0f requests, %.0f packets in, %.0f out; per working turn %.1f requests, "
	       "%.1f packets in; empty polls %.1f %%\n",
		text_of(now, "dataplane"), (int)number_of(now, "worker"), requests, in, out,
		over(requests, working), over(in, working), 100 * over(empty, empty + working));
	if (!json_is_true(json_object_get(now, "profiling"))) {
		printf("cycles are not counted: profileStages in gateway.yaml is false\n");
		return;
	}
	printf("turns without work took %.1f %% of all cycles; the others':\n",
		100 * over(spun, spun + all));
	t = table_new(heads);
	json_object_foreach (json_object_get(now, "cycles"), stage, v) {
		double c = grown(before, now, "cycles", stage);

		table_add(t, "%s", stage);
		table_add(t, "%.0f", c);
		table_add(t, "%.1f %%", 100 * over(c, all));
		table_add(t, "%.0f", over(c, requests));
		table_add(t, "%.0f", over(c, in + out));
		table_add(t, "%.0f", over(c, working));
	}
	table_print(t);
}

/* The same worker of the same dataplane in another look, or NULL. */
static const json_t *find_worker(const json_t *look, const json_t *w)
{
	json_t *o;
	size_t i;

	json_array_foreach (json_object_get(look, "items"), i, o)
		if (number_of(o, "worker") == number_of(w, "worker") &&
			json_equal(json_object_get(o, "dataplane"),
				json_object_get(w, "dataplane")))
			return o;
	return NULL;
}

static void show_all(const json_t *before, const json_t *now)
{
	const json_t *old;
	json_t *w, *e;
	size_t i;

	json_array_foreach (json_object_get(now, "items"), i, w) {
		old = find_worker(before, w);
		if (old != NULL)
			show_worker(old, w);
	}
	json_array_foreach (json_object_get(now, "errors"), i, e)
		fprintf(stderr, "sluicectl: dataplane %s: %s\n", text_of(e, "dataplane"),
			text_of(e, "error"));
}

int cmd_cycles(struct ctl *c)
{
	const char *text = ctl_option(c, "--seconds");
	double seconds = text != NULL ? atof(text) : SECONDS_DEFAULT;
	struct timespec ts;
	json_t *before, *now;

	if (!ctl_args_ok(c, 0, 0) || !(seconds > 0 && seconds <= SECONDS_MAX))
		return CTL_USAGE;
	ts = (struct timespec){(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
	before = ctl_get(c, "/api/v1/workers");
	if (before == NULL)
		return CTL_FAILED;
	nanosleep(&ts, NULL);
	now = ctl_get(c, "/api/v1/workers");
	if (now != NULL && c->json)
		show_json(json_object_get(now, "items"));
	else if (now != NULL)
		show_all(before, now);
	json_decref(before);
	json_decref(now);
	return now != NULL ? CTL_OK : CTL_FAILED;
}
