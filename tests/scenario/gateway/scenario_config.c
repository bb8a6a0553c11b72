// SPDX-License-Identifier: Apache-2.0
/*
 * scenario_config.c: the words of a page that describe a configuration.
 *
 * Each rule is a route of its own on the one listener; each backend is a service of its own. Names,
 * and so ids, follow from the place: rule0, rule0-b1.
 */
#include "tests/scenario/gateway/scenario.h"

#include <stdio.h>
#include <stdlib.h>

#define RULES_MAX 8
#define BACKENDS_MAX 8

/* Room for a whole configuration; build_config's arrays point into it. */
struct draft {
	struct build_listener listener;
	struct ip_addr addr;
	struct build_route route[RULES_MAX];
	struct build_rule rule[RULES_MAX];
	struct build_match match[RULES_MAX];
	struct build_attachment attachment[RULES_MAX];
	struct build_backend backend[RULES_MAX][BACKENDS_MAX];
	struct build_service service[RULES_MAX * BACKENDS_MAX];
	struct build_endpoint endpoint[RULES_MAX * BACKENDS_MAX][WORLD_ENDPOINTS];
	struct ip_net trusted[4];
	uint32_t rules, services;
};

static uint64_t id_of(const char *kind, const char *name)
{
	struct str parts[2] = {str_of(kind), str_of(name)};

	return object_id(parts, 2);
}

/* struct world_config and its draft live in one arena; the draft is the first thing in it. */
static struct draft *draft_of(struct run *r)
{
	struct world_config *c = r->cfg;
	struct draft *d;

	if (c != NULL)
		return (struct draft *)(uintptr_t)c->in.listeners;
	c = calloc(1, sizeof(*c));
	arena_init(&c->arena, 0);
	d = arena_new(&c->arena, struct draft);
	d->addr = world_vip(&r->w);
	d->listener = (struct build_listener){.id = id_of("listener", "web"),
		.name = STR("web"),
		.addrs = &d->addr,
		.addr_count = 1,
		.port = WORLD_VIP_PORT,
		.attachments = d->attachment};
	c->in.listeners = &d->listener;
	c->in.listener_count = 1;
	c->in.routes = d->route;
	c->in.services = d->service;
	c->in.settings.trusted = d->trusted;
	r->cfg = c;
	return d;
}

/* "key=value": the value, or NULL. */
static const char *value(const char *arg, const char *key)
{
	size_t n = strlen(key);

	return strncmp(arg, key, n) == 0 && arg[n] == '=' ? arg + n + 1 : NULL;
}

static struct str copy(struct run *r, const char *s)
{
	return arena_str(&r->cfg->arena, str_of(s));
}

static void rule_word(struct run *r, int argc, char **argv)
{
	struct draft *d = draft_of(r);
	uint32_t i = d->rules++;
	const char *v;

	if (i >= RULES_MAX) {
		run_fail(r, "too many rules");
		return;
	}
	v = arena_printf(&r->cfg->arena, "rule%u", i);
	d->match[i] = (struct build_match){.path_type = BUILD_MATCH_PREFIX, .path = STR("/")};
	d->rule[i] = (struct build_rule){.id = id_of("rule", v),
		.name = copy(r, v),
		.matches = &d->match[i],
		.match_count = 1,
		.backends = d->backend[i]};
	d->route[i] = (struct build_route){.id = id_of("route", v),
		.name = copy(r, v),
		.rules = &d->rule[i],
		.rule_count = 1};
	d->attachment[i].route = i;
	for (int a = 1; a < argc; a++) {
		if ((v = value(argv[a], "host")) != NULL)
			d->attachment[i].hostname = d->attachment[i].original = copy(r, v);
		else if (strcmp(argv[a], "failover") == 0)
			d->rule[i].failover = true;
		else if ((v = value(argv[a], "path")) != NULL)
			d->match[i].path = copy(r, v);
		else if ((v = value(argv[a], "timeout_ms")) != NULL)
			d->rule[i].request_timeout_ms = (uint32_t)atoi(v);
		else if ((v = value(argv[a], "backend_timeout_ms")) != NULL)
			d->rule[i].backend_timeout_ms = (uint32_t)atoi(v);
		else
			run_fail(r, "rule: %s?", argv[a]);
	}
	d->listener.attachment_count = r->cfg->in.route_count = d->rules;
}

/* "e1", "e2:draining", "e3:weight=5", "e4:cluster=us-west" */
static void endpoint_word(struct run *r, struct build_service *s, struct build_endpoint *e,
	char *arg)
{
	char *more = strchr(arg, ':');
	int n = arg[0] == 'e' ? atoi(arg + 1) : 0;

	if (n < 1 || n > (int)WORLD_ENDPOINTS) {
		run_fail(r, "endpoint %s?", arg);
		return;
	}
	if (more != NULL)
		*more++ = 0;
	*e = (struct build_endpoint){.id = id_of("endpoint", arg),
		.port = 8080,
		.weight = 1,
		.addr = world_endpoint(&r->w, (unsigned)n),
		.name = copy(r, arg),
		.cluster = STR("us-east")};
	if (more != NULL && strcmp(more, "draining") == 0)
		e->draining = true;
	else if (more != NULL && value(more, "weight") != NULL)
		e->weight = (uint16_t)atoi(value(more, "weight"));
	else if (more != NULL && value(more, "cluster") != NULL)
		e->cluster = copy(r, value(more, "cluster"));
	else if (more != NULL)
		run_fail(r, "endpoint %s: %s?", arg, more);
	s->endpoint_count++;
}

static void backend_word(struct run *r, int argc, char **argv)
{
	struct draft *d = draft_of(r);
	struct build_rule *rule;
	struct build_backend *b;
	struct build_service *s;
	const char *name, *v;
	uint32_t si = d->services++;

	if (d->rules == 0)
		rule_word(r, 1, argv);
	rule = &d->rule[d->rules - 1];
	name = arena_printf(&r->cfg->arena, "rule%u-b%u", d->rules - 1, rule->backend_count);
	b = &d->backend[d->rules - 1][rule->backend_count++];
	s = &d->service[si];
	*s = (struct build_service){.id = id_of("service", name),
		.name = copy(r, name),
		.endpoints = d->endpoint[si]};
	*b = (struct build_backend){.id = id_of("backend", name),
		.name = copy(r, name),
		.weight = 1,
		.service_id = s->id};
	r->cfg->in.service_count = d->services;
	for (int a = 1; a < argc; a++) {
		if ((v = value(argv[a], "weight")) != NULL)
			b->weight = (uint32_t)atoi(v);
		else if (strcmp(argv[a], "invalid") == 0)
			b->status = BUILD_BACKEND_NOT_FOUND;
		else
			endpoint_word(r, s, &d->endpoint[si][s->endpoint_count], argv[a]);
	}
}

static void set_word(struct run *r, int argc, char **argv)
{
	static const struct {
		const char *name;
		size_t off;
	} keys[] = {
		{"header_timeout_ms", offsetof(struct build_settings, header_timeout_ms)},
		{"idle_timeout_ms", offsetof(struct build_settings, idle_timeout_ms)},
		{"connect_timeout_ms", offsetof(struct build_settings, connect_timeout_ms)},
		{"response_timeout_ms", offsetof(struct build_settings, response_timeout_ms)},
		{"exchange_bytes_max", offsetof(struct build_settings, exchange_bytes_max)},
	};

	draft_of(r);
	for (size_t i = 0; argc == 3 && i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(argv[1], keys[i].name) == 0) {
			*(uint32_t *)((char *)&r->cfg->in.settings + keys[i].off) =
				(uint32_t)atoi(argv[2]);
			return;
		}
	run_fail(r, "set: %s?", argc > 1 ? argv[1] : "");
}

/* Sizes and time-outs that are fixed at start: only before the first verb. */
static void http_word(struct run *r, int argc, char **argv)
{
	static const struct {
		const char *name;
		size_t off;
	} keys[] = {
		{"down_max", offsetof(struct http_config, down_max)},
		{"up_max", offsetof(struct http_config, up_max)},
		{"exchanges_max", offsetof(struct http_config, exchanges_max)},
		{"head_buffers", offsetof(struct http_config, head_buffers)},
		{"log_sample", offsetof(struct http_config, log_sample)},
		{"body_timeout_us", offsetof(struct http_config, body_timeout_us)},
		{"stall_timeout_us", offsetof(struct http_config, stall_timeout_us)},
		{"stream_timeout_us", offsetof(struct http_config, stream_timeout_us)},
		{"up_idle_timeout_us", offsetof(struct http_config, up_idle_timeout_us)},
	};

	for (size_t i = 0; argc == 3 && i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(argv[1], keys[i].name) == 0) {
			*(uint32_t *)((char *)&r->http_cfg + keys[i].off) = (uint32_t)atoi(argv[2]);
			return;
		}
	run_fail(r, "http: %s?", argc > 1 ? argv[1] : "");
}

static void trust_word(struct run *r)
{
	struct draft *d = draft_of(r);
	struct ip_net n = {.addr = world_client(&r->w), .len = 128};

	d->trusted[r->cfg->in.settings.trusted_count++] = n;
}

static void listener_word(struct run *r, int argc, char **argv)
{
	struct draft *d = draft_of(r);
	const char *v = argc > 1 ? value(argv[1], "port") : NULL;

	if (v == NULL)
		run_fail(r, "listener: port=N?");
	else
		d->listener.port = (uint16_t)atoi(v);
}

bool config_word(struct run *r, int argc, char **argv)
{
	if (strcmp(argv[0], "rule") == 0)
		rule_word(r, argc, argv);
	else if (strcmp(argv[0], "backend") == 0)
		backend_word(r, argc, argv);
	else if (strcmp(argv[0], "set") == 0)
		set_word(r, argc, argv);
	else if (strcmp(argv[0], "http") == 0 && !r->started)
		http_word(r, argc, argv);
	else if (strcmp(argv[0], "ports") == 0 && argc == 2 && !r->started)
		r->ports = (uint16_t)atoi(argv[1]);
	else if (strcmp(argv[0], "trust") == 0)
		trust_word(r);
	else if (strcmp(argv[0], "listener") == 0)
		listener_word(r, argc, argv);
	else
		return false;
	return true;
}

void config_apply(struct run *r)
{
	struct world_config *c = r->cfg;

	if (c == NULL)
		return;
	r->cfg = NULL;
	world_apply(&r->w, c);
}
