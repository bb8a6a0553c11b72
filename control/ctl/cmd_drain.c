// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_drain.c: cluster drain: takes a cluster's share back by steps and waits until it is idle.
 *
 * The drain is an order like a weight (cmd_weight.c), at every site unless --local, and control's to
 * carry out: this command asks for it and looks on at its own site. Interrupting it, or losing control,
 * changes nothing about the drain. Idle means that every dataplane has answered and none has a
 * request in flight to an endpoint of the cluster.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/ctl/cmd_cluster.h"

#define LOOK_NS 300000000L
#define SECONDS_MAX 86400

struct drain {
	const char *name;
	double drained; /* percent */
	int64_t in_flight;
	unsigned silent; /* dataplanes that did not answer */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signo)
{
	interrupted = signo;
}

/* An endpoint stands behind each of its services; it is counted once. */
static int64_t in_flight_of(const json_t *endpoints, const char *cluster)
{
	json_t *seen = json_object(), *service, *e, *runtime;
	int64_t sum = 0;
	const char *key;
	size_t i, k;

	json_array_foreach (json_object_get(endpoints, "items"), i, service)
		json_array_foreach (json_object_get(service, "endpoints"), k, e) {
			if (strcmp(text_of(e, "cluster"), cluster) != 0 ||
				json_object_get(seen, text_of(e, "id")) != NULL)
				continue;
			json_object_set_new(seen, text_of(e, "id"), json_true());
			json_object_foreach (json_object_get(e, "dataplanes"), key, runtime)
				sum += number_of(runtime, "in_flight");
		}
	json_decref(seen);
	return sum;
}

/* False: control did not answer, which was said. */
static bool look(const struct ctl *c, struct drain *d)
{
	char path[400] = "/api/v1/clusters";
	json_t *cluster, *endpoints;

	ctl_segment_add(path, sizeof(path), d->name);
	cluster = ctl_get(c, path);
	if (cluster == NULL)
		return false;
	d->drained = json_number_value(json_object_get(cluster, "drainedPercent"));
	json_decref(cluster);
	endpoints = ctl_get(c, "/api/v1/endpoints");
	if (endpoints == NULL)
		return false;
	d->in_flight = in_flight_of(endpoints, d->name);
	d->silent = (unsigned)json_array_size(json_object_get(endpoints, "errors"));
	json_decref(endpoints);
	return true;
}

static void report(const struct ctl *c, const struct drain *d)
{
	if (c->json)
		show_json(json_pack("{s:s, s:f, s:I, s:i}", "name", d->name, "drainedPercent",
			d->drained, "requests", (json_int_t)d->in_flight, "silentDataplanes",
			(int)d->silent));
	else
		printf("%s: %.4g%% drained, %lld requests in flight%s\n", d->name, d->drained,
			(long long)d->in_flight, d->silent ? ", not all dataplanes answer" : "");
	fflush(stdout);
}

static bool is_over(const struct drain *d)
{
	return d->drained >= 100 && d->in_flight == 0 && d->silent == 0;
}

/* 0: no limit. -1: that is no number of seconds. */
static long seconds_of(struct ctl *c)
{
	const char *text = ctl_option(c, "--timeout");
	char *end;
	long v;

	if (text == NULL)
		return 0;
	v = strtol(text, &end, 10);
	return *end == '\0' && end != text && v >= 1 && v <= SECONDS_MAX ? v : -1;
}

static int watch(const struct ctl *c, struct drain *d, long seconds)
{
	struct timespec pause = {.tv_nsec = LOOK_NS}, start, now;
	struct drain told = {.drained = -1};

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		if (!look(c, d))
			return CTL_FAILED;
		if (d->drained != told.drained || d->in_flight != told.in_flight ||
			d->silent != told.silent)
			report(c, d);
		told = *d;
		if (is_over(d))
			return CTL_OK;
		nanosleep(&pause, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (interrupted || (seconds != 0 && now.tv_sec - start.tv_sec >= seconds))
			break;
	}
	fprintf(stderr,
		"sluicectl: not idle yet; the drain goes on, \"sluicectl cluster undrain %s\" ends "
		"it\n",
		d->name);
	return interrupted ? 128 + interrupted : CTL_FAILED;
}

/*
 * Weight and end of an order that is there already stay; a drain says nothing of the weight, so what
 * was said before the drain holds after it. False: said why not.
 */
static bool order(struct ctl *c, const char *name, bool drain, bool local)
{
	const char *reason = ctl_option(c, "--reason"), *ttl = ctl_option(c, "--ttl");
	char path[400] = "/api/v1/clusters";
	json_t *cluster, *body, *j;

	if (!ctl_args_ok(c, 1, 1))
		return false;
	ctl_segment_add(path, sizeof(path), name);
	cluster = ctl_get(c, path);
	if (cluster == NULL)
		return false;
	json_decref(cluster);
	body = json_pack("{s:b, s:s, s:s*, s:s*}", "drain", drain, "actor", weight_actor(),
		"reason", reason, "ttl", ttl);
	if (!weight_call(c, "PATCH", name, local, body, &j))
		return false;
	json_decref(j);
	return true;
}

int cluster_drain(struct ctl *c)
{
	const struct sigaction sa = {.sa_handler = on_interrupt};
	struct drain d = {.name = NULL};
	long seconds = seconds_of(c);
	bool local = ctl_flag(c, "--local");

	if (c->argc < 1)
		return ctl_usage(c, "the name of a cluster is needed");
	if (seconds < 0)
		return ctl_usage(c, "--timeout: a number of seconds up to %d", SECONDS_MAX);
	d.name = c->argv[0];
	if (!order(c, d.name, true, local))
		return CTL_FAILED;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	return watch(c, &d, seconds);
}

int cluster_undrain(struct ctl *c)
{
	bool local = ctl_flag(c, "--local");

	if (c->argc < 1)
		return ctl_usage(c, "the name of a cluster is needed");
	return order(c, c->argv[0], false, local) ? CTL_OK : CTL_FAILED;
}
