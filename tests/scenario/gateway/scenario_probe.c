// SPDX-License-Identifier: Apache-2.0
/*
 * scenario_probe.c: pages about active health checks: who is to be probed, and what the agent would
 * hear of it.
 *
 *	probe http|tcp [interval=MS] [timeout=MS] [path=P] [host=H] [method=M] [status=A-B]... [swapped] eN...
 *		swapped: with each turn the list is another one of the same content
 *	probe none
 *	probed eN RESULT [STATUS]	the next result is this one; waits for it
 *	probed none			there is none
 *	verdict eN down|ejected|suspected|none	what the agent says of it
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/upstream/probe.h"
#include "tests/scenario/gateway/scenario.h"

#define WAIT_US 10000000ull

/* A list of one check. */
struct probing {
	struct probe_list l;
	struct probe_check check;
	struct probe_target t[WORLD_ENDPOINTS];
};

static uint64_t id_of(unsigned n)
{
	char name[16];
	struct str parts[2] = {STR("endpoint"), {0}};

	snprintf(name, sizeof(name), "e%u", n);
	parts[1] = str_of(name);
	return object_id(parts, 2);
}

static struct str copy(struct run *r, const char *s)
{
	return arena_str(&r->arena, str_of(s));
}

static const char *value(const char *arg, const char *key)
{
	size_t n = strlen(key);

	return strncmp(arg, key, n) == 0 && arg[n] == '=' ? arg + n + 1 : NULL;
}

static void status_word(struct probe_check *k, const char *v)
{
	unsigned first = 0, last = 0;

	if (sscanf(v, "%u-%u", &first, &last) == 1)
		last = first;
	k->status[k->status_count++] = (struct build_status_range){(uint16_t)first, (uint16_t)last};
}

static void target_word(struct run *r, struct probing *l, const char *arg)
{
	unsigned n = endpoint_of(r, arg);

	if (r->failed)
		return;
	l->t[l->l.first[1]++] = (struct probe_target){.id = id_of(n),
		.addr = world_endpoint(&r->w, n),
		.port = 8080,
		.slot = world_endpoint_slot(&r->w, id_of(n))};
}

static void option_word(struct run *r, struct probing *l, const char *arg)
{
	struct probe_check *k = &l->check;
	const char *v;

	if ((v = value(arg, "interval")) != NULL)
		k->interval_us = strtoull(v, NULL, 10) * 1000;
	else if ((v = value(arg, "timeout")) != NULL)
		k->timeout_us = strtoull(v, NULL, 10) * 1000;
	else if ((v = value(arg, "path")) != NULL)
		k->path = copy(r, v);
	else if ((v = value(arg, "host")) != NULL)
		k->host = copy(r, v);
	else if ((v = value(arg, "method")) != NULL)
		k->method = copy(r, v);
	else if ((v = value(arg, "status")) != NULL)
		status_word(k, v);
	else
		target_word(r, l, arg);
}

static struct probing *published;

/* The agent may swap lists between any two turns; the one before is gone then. */
static void swap_list(struct world *w)
{
	struct probing *l;

	if (published == NULL)
		return;
	l = malloc(sizeof(*l));
	bug_on(l == NULL);
	*l = *published;
	l->l.serial++;
	l->l.checks = &l->check;
	l->l.t = l->t;
	atomic_store(&w->board->probes, &l->l);
	free(published);
	published = l;
}

static void verb_probe(struct run *r, int argc, char **argv, const struct pattern *t)
{
	static uint64_t serial;
	struct probing *l;

	atomic_store(&r->w.board->probes, NULL);
	r->w.before_turn = NULL;
	free(published);
	published = NULL;
	if (strcmp(argv[1], "none") == 0)
		return;
	l = published = malloc(sizeof(*l));
	bug_on(l == NULL);
	serial += 1u << 20; /* those of swap_list() lie between */
	*l = (struct probing){.l = {.serial = serial, .checks = &l->check, .t = l->t},
		.check = {.kind = strcmp(argv[1], "tcp") == 0 ? BUILD_PROBE_TCP : BUILD_PROBE_HTTP,
			.interval_us = 1000000,
			.timeout_us = 1000000,
			.method = STR("GET"),
			.path = STR("/")}};
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], "swapped") == 0)
			r->w.before_turn = swap_list;
		else
			option_word(r, l, argv[i]);
	if (!probe_check_is_sane(&l->check))
		run_fail(r, "probe: not a check");
	atomic_store(&r->w.board->probes, &l->l);
}

static bool has_result(struct world *w, void *ctx)
{
	return probe_ring_take(http_probe_ring(w->http), ctx);
}

static void verb_probed(struct run *r, int argc, char **argv, const struct pattern *t)
{
	struct probe_report p;
	bool none = strcmp(argv[1], "none") == 0;
	unsigned status = argc > 3 ? (unsigned)atoi(argv[3]) : 0;

	if (!world_until(&r->w, none ? 0 : WAIT_US, has_result, &p)) {
		if (!none)
			run_fail(r, "no probe ends");
		return;
	}
	if (none || argc < 3) {
		run_fail(r, "a probe ended: %s", probe_result_str(p.result));
		return;
	}
	if (p.id != id_of(endpoint_of(r, argv[1])) ||
		strcmp(probe_result_str(p.result), argv[2]) != 0 || p.status != status)
		run_fail(r, "probe %s of slot %u, status %u", probe_result_str(p.result), p.slot,
			p.status);
	if (p.done_us < p.sent_us || p.done_us > r->w.now_us)
		run_fail(r, "it took from %lu to %lu", p.sent_us, p.done_us);
}

static void verb_verdict(struct run *r, int argc, char **argv, const struct pattern *t)
{
	static const struct {
		const char *word;
		uint8_t verdict;
	} words[] = {{"none", 0}, {"down", HEALTH_DOWN}, {"ejected", HEALTH_EJECTED},
		{"suspected", HEALTH_SUSPECTED}};
	uint32_t slot = world_endpoint_slot(&r->w, id_of(endpoint_of(r, argv[1])));

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(argv[2], words[i].word) == 0) {
			r->w.board->verdict[slot] = words[i].verdict;
			return;
		}
	run_fail(r, "verdict %s?", argv[2]);
}

static const struct verb verbs[] = {
	{"verdict", 3, false, false, verb_verdict},
	{"probe", 2, false, false, verb_probe},
	{"probed", 2, false, false, verb_probed},
};

const struct verb *verb_of_probe(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}
