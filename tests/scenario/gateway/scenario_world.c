// SPDX-License-Identifier: Apache-2.0
/*
 * scenario_world.c: what a line of a page does to the world around the connections, and what it
 * expects of counters, pools and the access log.
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/upstream/upstream.h"
#include "tests/scenario/gateway/scenario.h"

/* "250ms", "9.9s", "3us" */
static uint64_t duration(struct run *r, const char *s)
{
	char *end;
	double v = strtod(s, &end);

	if (strcmp(end, "s") == 0)
		return (uint64_t)(v * 1e6 + 0.5);
	if (strcmp(end, "ms") == 0)
		return (uint64_t)(v * 1e3 + 0.5);
	run_fail(r, "%s: a duration ends in s or ms", s);
	return 0;
}

static void verb_endpoint(struct run *r, int argc, char **argv, const struct pattern *t)
{
	static const char *const modes[] = {"listens", "refuses", "silent"};
	unsigned n = endpoint_of(r, argv[1]);

	for (unsigned m = 0; !r->failed && m < 3; m++)
		if (strcmp(argv[2], modes[m]) == 0) {
			world_endpoint_mode(&r->w, n, (enum world_endpoint_mode)m);
			return;
		}
	run_fail(r, "endpoint eN listens|refuses|silent");
}

static void verb_wait(struct run *r, int argc, char **argv, const struct pattern *t)
{
	world_advance(&r->w, duration(r, argv[1]));
}

static bool compare(const char *op, uint64_t a, uint64_t b)
{
	return (strcmp(op, "=") == 0 && a == b) || (strcmp(op, "<=") == 0 && a <= b) ||
		(strcmp(op, ">=") == 0 && a >= b) || (strcmp(op, ">") == 0 && a > b);
}

static void verb_counter(struct run *r, int argc, char **argv, const struct pattern *t)
{
	bool known;
	uint64_t v = world_counter(&r->w, argv[1], &known);

	if (!known)
		run_fail(r, "counter %s?", argv[1]);
	else if (!compare(argv[2], v, strtoull(argv[3], NULL, 10)))
		run_fail(r, "%s is %lu", argv[1], v);
}

/* object listener|rule|backend|endpoint SLOT COUNTER = N */
static void verb_object(struct run *r, int argc, char **argv, const struct pattern *t)
{
	const struct upstream *u = http_upstream(r->w.http);

	for (unsigned sc = 0; sc < COUNTER_SCOPE_COUNT; sc++) {
		if (strcmp(argv[1], counter_scope_name(sc)) != 0)
			continue;
		for (unsigned i = 0; i < counter_count(sc); i++) {
			uint64_t v;

			if (strcmp(argv[3], counter_name(sc, i)) != 0)
				continue;
			v = upstream_counters(u, sc, (uint32_t)atoi(argv[2]))[i];
			if (!compare(argv[4], v, strtoull(argv[5], NULL, 10)))
				run_fail(r, "%s is %lu", argv[3], v);
			return;
		}
	}
	run_fail(r, "object %s %s?", argv[1], argv[3]);
}

static void verb_usage(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct http_usage u;
	struct {
		const char *name;
		uint64_t v;
	} rows[] = {{"down", 0}, {"up", 0}, {"up_idle", 0}, {"held", 0}, {"held_high", 0},
		{"head_buffers", 0}, {"mbufs", rte_mempool_in_use_count(r->w.gw_pool)},
		{"charged", 0}, {"parked", 0}};
	struct tcp_usage tcp;

	world_settle(&r->w);
	http_usage(r->w.http, &u);
	tcp_usage(r->w.gw, &tcp);
	rows[7].v = tcp.charged_bytes;
	rows[8].v = tcp.parked;
	rows[0].v = u.down, rows[1].v = u.up, rows[2].v = u.up_idle, rows[3].v = u.held_bytes;
	rows[4].v = u.held_bytes_high, rows[5].v = u.head_buffers;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(argv[1], rows[i].name) == 0) {
			if (!compare(argv[2], rows[i].v, strtoull(argv[3], NULL, 10)))
				run_fail(r, "%s is %lu", argv[1], rows[i].v);
			return;
		}
	run_fail(r, "usage %s?", argv[1]);
}

/* log KEY VALUE ...: the next access-log line holds these; "log none": there is none. */
static void verb_log(struct run *r, int argc, char **argv, const struct pattern *t)
{
	const struct access_record *rec = access_ring_peek(r->w.log);
	struct access_names names = {0};
	size_t n;

	if (rec == NULL) {
		if (strcmp(argv[1], "none") != 0)
			run_fail(r, "the access log is empty");
		return;
	}
	n = access_log_format(rec, &names, 0, r->log);
	r->log[n - 1] = 0;
	access_ring_pop(r->w.log);
	if (argc % 2 == 0)
		run_fail(r, "there is a line: %s", r->log);
	for (int i = 1; i + 1 < argc; i += 2) {
		char quoted[256], plain[256], last[256];

		snprintf(quoted, sizeof(quoted), "\"%s\":\"%s\"", argv[i], argv[i + 1]);
		snprintf(plain, sizeof(plain), "\"%s\":%s,", argv[i], argv[i + 1]);
		snprintf(last, sizeof(last), "\"%s\":%s}", argv[i], argv[i + 1]);
		if (strstr(r->log, quoted) == NULL && strstr(r->log, plain) == NULL &&
			strstr(r->log, last) == NULL)
			run_fail(r, "%s is not %s in %s", argv[i], argv[i + 1], r->log);
	}
}

static void verb_apply(struct run *r, int argc, char **argv, const struct pattern *t)
{
	config_apply(r);
	world_settle(&r->w);
}

/* What follows happens at one moment: nobody runs until "thaw". */
static void verb_freeze(struct run *r, int argc, char **argv, const struct pattern *t)
{
	r->w.frozen = true;
}

static void verb_thaw(struct run *r, int argc, char **argv, const struct pattern *t)
{
	r->w.frozen = false;
	world_settle(&r->w);
}

static void verb_date(struct run *r, int argc, char **argv, const struct pattern *t)
{
	http_set_date(r->w.http, strtoull(argv[1], NULL, 10));
}

static void verb_draining(struct run *r, int argc, char **argv, const struct pattern *t)
{
	http_set_draining(r->w.http, strcmp(argv[1], "on") == 0);
}

/* Leaves only so many mbufs in the gateway's pool. */
static void verb_mbufs(struct run *r, int argc, char **argv, const struct pattern *t)
{
	world_starve(&r->w, strcmp(argv[1], "all") == 0 ? UINT32_MAX : (uint32_t)atoi(argv[1]));
}

static const struct verb verbs[] = {
	{"endpoint", 3, false, false, verb_endpoint},
	{"wait", 2, false, false, verb_wait},
	{"counter", 4, false, false, verb_counter},
	{"object", 6, false, false, verb_object},
	{"usage", 4, false, false, verb_usage},
	{"log", 2, false, false, verb_log},
	{"apply", 1, false, false, verb_apply},
	{"date", 2, false, false, verb_date},
	{"draining", 2, false, false, verb_draining},
	{"freeze", 1, false, false, verb_freeze},
	{"thaw", 1, false, false, verb_thaw},
	{"mbufs", 2, false, false, verb_mbufs},
};

const struct verb *verb_of_world(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return verb_of_probe(name);
}
