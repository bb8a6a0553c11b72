// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_watch.c: counters, drops, conns, trace: what dataplanes do.
 */
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/ctl/ctl.h"
#include "dataplane/base/clock.h"

/* --- counters, drops --- */

struct walk {
	struct table *t;
	const char *glob; /* NULL: all */
	bool nonzero;
};

static bool name_wanted(const struct walk *w, const char *name)
{
	if (w->glob == NULL)
		return true;
	if (strpbrk(w->glob, "*?[") == NULL)
		return strstr(name, w->glob) != NULL;
	return fnmatch(w->glob, name, 0) == 0;
}

/* Depth is that of the answer: dataplane, layer or kind, object, counter. */
static void walk(const struct walk *w, const char *prefix, const json_t *node)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)node, key, v) {
		char name[900];

		snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", key);
		if (json_is_object(v)) {
			walk(w, name, v);
		} else if (json_is_number(v) && name_wanted(w, name) &&
			(!w->nonzero || json_number_value(v) != 0)) {
			table_add(w->t, "%s", name);
			table_add_json(w->t, v);
		}
	}
}

static int show_counters(struct ctl *c, const char *glob, bool nonzero)
{
	static const char *const heads[] = {"COUNTER", "VALUE", NULL};
	json_t *j = ctl_get(c, "/api/v1/counters"), *e;
	struct walk w = {.glob = glob, .nonzero = nonzero};
	size_t i;

	if (j == NULL)
		return CTL_FAILED;
	if (c->json) {
		show_json(j);
		json_decref(j);
		return CTL_OK;
	}
	w.t = table_new(heads);
	walk(&w, "", json_object_get(j, "dataplanes"));
	table_print(w.t);
	json_array_foreach (json_object_get(j, "errors"), i, e)
		fprintf(stderr, "sluicectl: dataplane %s: %s\n", text_of(e, "dataplane"),
			text_of(e, "error"));
	json_decref(j);
	return CTL_OK;
}

int cmd_counters(struct ctl *c)
{
	bool nonzero = ctl_flag(c, "--nonzero");

	if (!ctl_args_ok(c, 0, 1))
		return CTL_USAGE;
	return show_counters(c, c->argc > 0 ? c->argv[0] : NULL, nonzero);
}

int cmd_drops(struct ctl *c)
{
	bool all = ctl_flag(c, "--all");

	if (!ctl_args_ok(c, 0, 0))
		return CTL_USAGE;
	return show_counters(c, "*_drop_*", !all);
}

/* --- conns --- */

#define CONNS_PAGE "500"
#define CONNS_PAGES_MAX 10000

static void add_conn(struct table *t, const json_t *k)
{
	const json_t *peer = json_object_get(k, "peer");

	table_add(t, "%s/%d", text_of(k, "dataplane"), (int)number_of(k, "worker"));
	table_add(t, "%s", json_is_true(json_object_get(k, "active")) ? "upstream" : "client");
	table_add(t, "%s%s", text_of(k, "state"),
		json_is_true(json_object_get(k, "parked")) ? " (parked)" : "");
	table_add(t, "%s", text_of(k, "local"));
	table_add(t, "%s", text_of(k, "remote"));
	table_add(t, "%s", text_of(peer, "remote"));
	table_add_json(t, json_object_get(k, "cwnd"));
	table_add(t, "%.2f ms", (double)number_of(k, "srtt_us") / 1e3);
	table_add_json(t, json_object_get(k, "retransmits"));
	table_add_json(t, json_object_get(k, "bytes_in"));
	table_add_json(t, json_object_get(k, "bytes_out"));
}

struct paging {
	const char *state; /* NULL: all */
	json_t *items;	   /* found so far */
	json_t *todo;	   /* pages to fetch: {"dataplane", "worker", "cursor"}, all optional */
	int64_t left;
};

/* Takes <place> over. */
static bool fetch_page(struct ctl *c, struct paging *p, json_t *place)
{
	char path[512] = "/api/v1/conns?limit=" CONNS_PAGE;
	json_t *j, *k, *v;
	const char *key;
	size_t i;

	json_object_foreach (place, key, v) {
		char number[24];

		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		ctl_query_add(path, sizeof(path), key,
			json_is_string(v) ? json_string_value(v) : number);
	}
	json_decref(place);
	j = ctl_get(c, path);
	if (j == NULL)
		return false;
	json_array_foreach (json_object_get(j, "items"), i, k) {
		if (p->left == 0 ||
			(p->state != NULL && strcasecmp(p->state, text_of(k, "state")) != 0))
			continue;
		json_array_append(p->items, k);
		p->left--;
	}
	json_array_extend(p->todo, json_object_get(j, "next"));
	json_decref(j);
	return true;
}

static bool fetch_all(struct ctl *c, struct paging *p)
{
	for (int n = 0; n < CONNS_PAGES_MAX && json_array_size(p->todo) > 0 && p->left > 0; n++) {
		json_t *place = json_incref(json_array_get(p->todo, 0));

		json_array_remove(p->todo, 0);
		if (!fetch_page(c, p, place))
			return false;
	}
	return true;
}

static void show_conns(const json_t *items)
{
	static const char *const heads[] = {"WORKER", "LEG", "STATE", "LOCAL", "REMOTE", "PEER",
		"CWND", "SRTT", "RETRANSMITS", "BYTES IN", "BYTES OUT", NULL};
	struct table *t = table_new(heads);
	json_t *k;
	size_t i;

	json_array_foreach ((json_t *)items, i, k)
		add_conn(t, k);
	table_print(t);
}

int cmd_conns(struct ctl *c)
{
	const char *max = ctl_option(c, "--max"), *dataplane = ctl_option(c, "--dataplane");
	struct paging p = {
		.state = ctl_option(c, "--state"),
		.left = max != NULL ? atol(max) : 10000,
	};
	bool ok;

	if (!ctl_args_ok(c, 0, 0))
		return CTL_USAGE;
	p.items = json_array();
	p.todo = json_pack("[{}]");
	if (dataplane != NULL)
		json_object_set_new(json_array_get(p.todo, 0), "dataplane", json_string(dataplane));
	ok = fetch_all(c, &p);
	if (ok && c->json)
		show_json(p.items);
	else if (ok)
		show_conns(p.items);
	json_decref(p.items);
	json_decref(p.todo);
	return ok ? CTL_OK : CTL_FAILED;
}

/* --- trace --- */

#define TRACE_POLL_MS 50
#define TRACE_QUIET_US 300000u /* after the last packet wanted: its walk may go on that long */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signo)
{
	interrupted = 1;
}

struct tracing {
	long count, seen; /* packets wanted, begun */
	char turn[48];	  /* time and worker of the last wanted packet's beginning */
	uint64_t last_us; /* when the last line came */
	bool has_eth;	  /* walks begin a stage before IP */
	bool done;
};

/* "12.345678 w0 ip4_input ...": the stage, and in <turn> what stands before it. */
static const char *stage_of(const char *line, char *turn, size_t size)
{
	const char *worker = strchr(line, ' ');
	const char *stage = worker != NULL ? strchr(worker + 1, ' ') : NULL;

	snprintf(turn, size, "%.*s", stage != NULL ? (int)(stage - line) : 0, line);
	return stage != NULL ? stage + 1 : "";
}

static bool begins_walk(struct tracing *tr, const char *stage)
{
	bool eth = strncmp(stage, "eth_input ", 10) == 0;
	bool ip = strncmp(stage, "ip4_input ", 10) == 0 || strncmp(stage, "ip6_input ", 10) == 0;

	tr->has_eth |= eth;
	return eth || (ip && !tr->has_eth);
}

/*
 * A worker takes a burst through one stage after the other, so the walks of one turn are woven
 * into each other: those that began in the same turn as the last one wanted are shown with it.
 */
static bool is_wanted_line(struct tracing *tr, const char *line)
{
	char turn[sizeof(tr->turn)];

	if (!begins_walk(tr, stage_of(line, turn, sizeof(turn))))
		return true;
	if (tr->seen >= tr->count && strcmp(turn, tr->turn) != 0)
		return false;
	tr->seen++;
	memcpy(tr->turn, turn, sizeof(turn));
	return true;
}

static void show_lines(struct tracing *tr, const json_t *answer)
{
	json_t *line;
	size_t i;

	json_array_foreach (json_object_get(answer, "lines"), i, line) {
		const char *text = text_of(line, "text");

		if (tr->done || !is_wanted_line(tr, text)) {
			tr->done = true;
			return;
		}
		tr->last_us = clock_mono_us();
		printf("%s %s\n", text_of(line, "dataplane"), text);
	}
	fflush(stdout);
}

static bool is_over(struct tracing *tr, uint64_t end_us)
{
	uint64_t now = clock_mono_us();

	if (tr->seen >= tr->count && now - tr->last_us > TRACE_QUIET_US)
		tr->done = true;
	return tr->done || interrupted || now > end_us;
}

static int trace_run(struct ctl *c, struct tracing *tr, uint64_t end_us)
{
	const struct timespec pause = {.tv_nsec = TRACE_POLL_MS * 1000000L};
	json_t *j = NULL;

	while (!is_over(tr, end_us)) {
		nanosleep(&pause, NULL);
		j = ctl_get(c, "/api/v1/trace");
		if (j == NULL)
			return CTL_FAILED;
		show_lines(tr, j);
		json_decref(j);
	}
	j = ctl_call(c, "DELETE", "/api/v1/trace", NULL, NULL);
	if (j == NULL)
		return CTL_FAILED;
	show_lines(tr, j);
	if (number_of(j, "lost") > 0)
		fprintf(stderr, "sluicectl: %ld lines were lost\n", (long)number_of(j, "lost"));
	json_decref(j);
	if (tr->seen == 0)
		fputs("sluicectl: no such packet came\n", stderr);
	return CTL_OK;
}

int cmd_trace(struct ctl *c)
{
	const char *client = ctl_option(c, "--client"), *count = ctl_option(c, "--count");
	const char *seconds = ctl_option(c, "--seconds");
	struct tracing tr = {.count = count != NULL ? atol(count) : 1};
	long s = seconds != NULL ? atol(seconds) : 10;
	struct sigaction sa = {.sa_handler = on_interrupt};
	json_t *body, *j;

	if (!ctl_args_ok(c, 0, 0))
		return CTL_USAGE;
	if (tr.count < 1 || s < 1 || s > 3600)
		return ctl_usage(c, "--count is at least 1, --seconds from 1 to 3600");
	sigaction(SIGINT, &sa, NULL);
	body = json_pack("{s:I}", "seconds", (json_int_t)s);
	if (client != NULL)
		json_object_set_new(body, "client", json_string(client));
	j = ctl_call(c, "POST", "/api/v1/trace", body, NULL);
	if (j == NULL)
		return CTL_FAILED;
	json_decref(j);
	return trace_run(c, &tr, clock_mono_us() + (uint64_t)s * 1000000u);
}
