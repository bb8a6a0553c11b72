// SPDX-License-Identifier: Apache-2.0
/*
 * kubewatch.c: lists and watches resources of one API server by kubeconfig and prints what the
 * client tells its consumers, one line per fact; requests come from standard input.
 *
 *	kubewatch KUBECONFIG [--context NAME] [--untrusted] GROUP/VERSION[,VERSION]/PLURAL ...
 *
 *	state configmaps synced ""            item|upsert|delete configmaps default/a UID VERSION
 *	replace configmaps 12 whole|part      done 409 Conflict
 *
 * Input: "METHOD PATH [JSON]" sends a request, "state" prints counters and states as JSON, "look"
 * asks for absent resources now; the end of input ends the program. The core group is "-".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "control/kube/kube.h"
#include "dataplane/base/cleanup.h"

#define RESOURCES_MAX 32
#define VERSIONS_MAX 8
#define LINE_MAX_ (8u << 20)

struct resource {
	const char *group, *plural;
	const char *versions[VERSIONS_MAX + 1];
};

static struct loop *loop;
static struct kube_cluster *cluster;
static struct resource resources[RESOURCES_MAX];
static int resource_count;
static char *input;
static size_t input_len;

static void say_object(const char *what, const struct resource *r, const json_t *o)
{
	const json_t *m = json_object_get(o, "metadata");
	const char *ns = json_string_value(json_object_get(m, "namespace")),
		   *name = json_string_value(json_object_get(m, "name")),
		   *uid = json_string_value(json_object_get(m, "uid")),
		   *rv = json_string_value(json_object_get(m, "resourceVersion"));

	printf("%s %s %s/%s %s %s\n", what, r->plural, ns ? ns : "", name, uid, rv ? rv : "-");
}

static void on_replace(void *arg, struct kube_items *items, bool whole)
{
	const struct resource *r = arg;
	json_t *o;

	printf("replace %s %u %s\n", r->plural, kube_items_count(items), whole ? "whole" : "part");
	while ((o = kube_items_next(items)) != NULL)
		say_object("item", r, o);
}

static void on_upsert(void *arg, json_t *o)
{
	say_object("upsert", arg, o);
}

static void on_delete(void *arg, json_t *o)
{
	say_object("delete", arg, o);
}

static void on_state(void *arg, enum kube_watch_phase phase, const char *why)
{
	const struct resource *r = arg;

	printf("state %s %s \"%s\"\n", r->plural, kube_watch_phase_name(phase), why);
}

static const struct kube_watch_events events = {on_replace, on_upsert, on_delete, on_state};

static void on_done(void *arg, int status, json_t *body, const char *why)
{
	const char *reason = json_string_value(json_object_get(body, "reason"));

	printf("done %d %s\n", status, status == 0 ? why : reason ? reason : "-");
}

static void say_state(void)
{
	struct kube_cluster_state s;
	json_t *counters = json_object(), *watches = json_object();
	json_t *j;
	autofree char *text = NULL;

	kube_cluster_state(cluster, &s);
	for (int i = 0; i < KUBE_COUNTER_COUNT; i++)
		json_object_set_new(counters, kube_counter_info[i].name,
			json_integer((json_int_t)s.counters[i]));
	for (const struct kube_watch *w = kube_watch_next(cluster, NULL); w != NULL;
		w = kube_watch_next(cluster, w)) {
		struct kube_watch_state ws;

		kube_watch_state(w, &ws);
		json_object_set_new(watches, ws.plural,
			json_pack("{s:s, s:s, s:i, s:s}", "version", ws.version, "phase",
				kube_watch_phase_name(ws.phase), "objects", (int)ws.objects, "rv",
				ws.resource_version));
	}
	j = json_pack("{s:b, s:i, s:i, s:f, s:s, s:o, s:o}", "connected", s.connected, "synced",
		(int)s.synced, "waiting", (int)s.calls_waiting, "pace", s.calls_per_second,
		"last_error", s.last_error, "counters", counters, "watches", watches);
	text = json_dumps(j, JSON_COMPACT);
	printf("counters %s\n", text);
	json_decref(j);
}

static void send_request(char *line)
{
	char *rest = line, *method = strsep(&rest, " "), *path = strsep(&rest, " ");
	struct kube_request r = {.method = method, .path = path ? path : "", .done = on_done};
	struct err err;

	if (rest != NULL)
		r.body = json_loads(rest, 0, NULL);
	if (strcmp(method, "PATCH") == 0)
		r.content_type = KUBE_MERGE_PATCH;
	if (kube_request(cluster, &r, NULL, &err) < 0)
		printf("done 0 %s\n", err.msg);
	json_decref(r.body);
}

static void on_line(char *line)
{
	if (strcmp(line, "state") == 0)
		say_state();
	else if (strcmp(line, "look") == 0)
		kube_rediscover(cluster, NULL);
	else if (line[0] != '\0')
		send_request(line);
}

static void on_input(void *arg, uint32_t what)
{
	ssize_t n = read(0, input + input_len, LINE_MAX_ - 1 - input_len);
	char *rest = input, *end;

	if (n <= 0) {
		loop_stop(loop);
		return;
	}
	input_len += (size_t)n;
	input[input_len] = '\0';
	while ((end = strchr(rest, '\n')) != NULL) {
		*end = '\0';
		on_line(rest);
		rest = end + 1;
	}
	input_len -= (size_t)(rest - input);
	memmove(input, rest, input_len + 1);
}

/* "group/v1,v1beta1/plural"; cut in place. */
static int add_resource(char *text)
{
	struct resource *r = &resources[resource_count];
	char *group = strsep(&text, "/"), *versions = strsep(&text, "/"), *v;
	int n = 0;

	if (text == NULL || resource_count == RESOURCES_MAX)
		return -1;
	while ((v = strsep(&versions, ",")) != NULL && n < VERSIONS_MAX)
		r->versions[n++] = v;
	r->group = strcmp(group, "-") == 0 ? "" : group;
	r->plural = text;
	resource_count++;
	return 0;
}

static int usage(void)
{
	fprintf(stderr,
		"kubewatch KUBECONFIG [--context NAME] [--untrusted] "
		"GROUP/VERSION[,VERSION]/PLURAL ...\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct kube_source source = {.name = "test", .path = argv[1]};
	struct loop_fd in = {.fd = 0, .fn = on_input};
	struct err err = {""};
	int rc;

	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--context") == 0 && i + 1 < argc)
			source.context = argv[++i];
		else if (strcmp(argv[i], "--untrusted") == 0)
			source.untrusted = true;
		else if (add_resource(argv[i]) < 0)
			return usage();
	}
	if (argc < 2)
		return usage();
	setvbuf(stdout, NULL, _IOLBF, 0);
	input = malloc(LINE_MAX_);
	rc = loop_new(&loop, &err);
	if (rc == 0)
		rc = kube_open(loop, &source, &cluster, &err);
	for (int i = 0; rc == 0 && i < resource_count; i++) {
		const struct kube_resource r = {.group = resources[i].group,
			.plural = resources[i].plural,
			.versions = resources[i].versions};

		rc = kube_watch(cluster, &r, &events, &resources[i], NULL, &err);
	}
	if (rc == 0)
		rc = loop_fd_add(loop, &in, EPOLLIN, &err);
	if (rc == 0)
		rc = loop_run(loop);
	if (rc < 0)
		fprintf(stderr, "%s\n", err.msg);
	kube_close(cluster);
	loop_free(loop);
	free(input);
	return rc < 0;
}
