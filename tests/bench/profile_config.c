// SPDX-License-Identifier: Apache-2.0
/*
 * profile_config.c: a configuration of any number of routes as the agent would hand it over.
 *
 * Route <i> has a hostname and a prefix of its own, so a request is looked up by both whatever
 * their number; one of its backends has weight 80, the other 20.
 */
#include "tests/bench/profile.h"

#include <stdio.h>
#include <stdlib.h>

struct ip_addr profile_ip(const char *text)
{
	struct ip_addr a;

	bug_on(!ip_parse(str_of(text), &a));
	return a;
}

struct ip_addr profile_vip(void)
{
	return profile_ip("203.0.113.80");
}

struct ip_addr profile_server(unsigned n)
{
	char text[32];

	snprintf(text, sizeof(text), "10.1.0.%u", n + 1);
	return profile_ip(text);
}

static uint64_t id_of(const char *kind, uint32_t n)
{
	struct str parts[2] = {str_of(kind), str_make(&n, sizeof(n))};

	return object_id(parts, 2);
}

static struct str text_of(struct arena *m, const char *format, uint32_t n)
{
	return str_of(arena_printf(m, format, n));
}

static const struct build_service *services_make(struct arena *m)
{
	struct build_service *s = arena_alloc(m, PROFILE_SERVERS * sizeof(*s));

	for (uint32_t i = 0; i < PROFILE_SERVERS; i++) {
		struct build_endpoint *e = arena_new(m, struct build_endpoint);

		*e = (struct build_endpoint){.id = id_of("endpoint", i),
			.addr = profile_server(i),
			.port = 8080,
			.weight = 1,
			.name = text_of(m, "pod-%u", i),
			.cluster = STR("us-east")};
		s[i] = (struct build_service){.id = id_of("service", i),
			.name = text_of(m, "us-east/demo/app-v%u:http", i),
			.endpoints = e,
			.endpoint_count = 1};
	}
	return s;
}

static struct build_route route_make(struct arena *m, uint32_t n)
{
	struct build_backend *b = arena_alloc(m, PROFILE_SERVERS * sizeof(*b));
	struct build_match *match = arena_new(m, struct build_match);
	struct build_rule *rule = arena_new(m, struct build_rule);

	for (uint32_t i = 0; i < PROFILE_SERVERS; i++)
		b[i] = (struct build_backend){.id = id_of("backend", n * PROFILE_SERVERS + i),
			.name = text_of(m, "demo/app-v%u:80", i),
			.weight = i == 0 ? 80 : 20,
			.service_id = id_of("service", i)};
	*match = (struct build_match){.path_type = BUILD_MATCH_PREFIX,
		.path = text_of(m, "/api/%05u", n)};
	*rule = (struct build_rule){.id = id_of("rule", n),
		.name = text_of(m, "demo/app-%05u rule 0", n),
		.matches = match,
		.match_count = 1,
		.backends = b,
		.backend_count = PROFILE_SERVERS};
	return (struct build_route){.id = id_of("route", n),
		.name = text_of(m, "demo/app-%05u", n),
		.rules = rule,
		.rule_count = 1};
}

static void image_make(struct profile_config *c, uint32_t routes)
{
	struct arena *m = &c->arena;
	struct build_listener *l = arena_new(m, struct build_listener);
	struct build_route *r = arena_alloc(m, routes * sizeof(*r));
	struct build_attachment *at = arena_alloc(m, routes * sizeof(*at));
	struct ip_addr *vip = arena_new(m, struct ip_addr);
	struct build_config in = {.generation = 1,
		.listeners = l,
		.listener_count = 1,
		.routes = r,
		.route_count = routes,
		.services = services_make(m),
		.service_count = PROFILE_SERVERS};
	struct err err;
	size_t len;

	*vip = profile_vip();
	*l = (struct build_listener){.id = id_of("listener", 0),
		.name = STR("web"),
		.addrs = vip,
		.addr_count = 1,
		.port = PROFILE_VIP_PORT,
		.attachments = at,
		.attachment_count = routes};
	for (uint32_t i = 0; i < routes; i++) {
		struct str host = text_of(m, "h%05u.example.com", i);

		r[i] = route_make(m, i);
		at[i] = (struct build_attachment){.route = i, .hostname = host, .original = host};
	}
	if (snapshot_build(&in, &c->image, &len, &err) < 0 ||
		snapshot_open(c->image, len, &c->snap, &err) < 0) {
		fprintf(stderr, "profile: %s\n", err.msg);
		exit(1);
	}
}

static const struct weight_vector *weights_make(struct profile_config *c, uint32_t i)
{
	struct snapshot_rule r = snapshot_rule(&c->snap, i);
	struct weight_vector *v =
		arena_alloc(&c->arena, sizeof(*v) + r.backend_count * sizeof(v->w[0]));

	*v = (struct weight_vector){.rule_id = r.id, .revision = 1, .count = r.backend_count};
	for (uint32_t k = 0; k < r.backend_count; k++) {
		v->w[k] = snapshot_backend(&c->snap, r.backend_first + k).weight;
		v->total += v->w[k];
	}
	return v;
}

static const struct endpoint_set *endpoints_make(struct profile_config *c, uint32_t i)
{
	struct snapshot_service s = snapshot_service(&c->snap, i);
	struct endpoint_set *set =
		arena_alloc(&c->arena, sizeof(*set) + s.endpoint_count * sizeof(set->e[0]));

	*set = (struct endpoint_set){.service_id = s.id, .revision = 1, .count = s.endpoint_count};
	for (uint32_t k = 0; k < s.endpoint_count; k++) {
		struct snapshot_endpoint e = snapshot_endpoint(&c->snap, s.endpoint_first + k);

		set->e[k] = (struct endpoint){.id = e.id,
			.addr = e.addr,
			.port = e.port,
			.weight = e.weight,
			.slot = s.endpoint_first + k};
	}
	return set;
}

/* Run-time slots are the indexes: there is one configuration only. */
static const uint32_t *slots_make(struct arena *m, uint32_t count)
{
	uint32_t *slots = arena_alloc(m, count * sizeof(*slots));

	for (uint32_t i = 0; i < count; i++)
		slots[i] = i;
	return slots;
}

static const struct config_rule *rules_make(struct profile_config *c, uint32_t count)
{
	struct config_rule *a = arena_array(&c->arena, struct config_rule, count);

	for (uint32_t i = 0; i < count; i++) {
		struct snapshot_rule r = snapshot_rule(&c->snap, i);

		a[i].slot = i;
		a[i].backend_first = r.backend_first;
		a[i].backend_count = r.backend_count;
		atomic_init(&a[i].weights, weights_make(c, i));
	}
	return a;
}

static const struct config_backend *backends_make(struct profile_config *c, uint32_t count)
{
	struct config_backend *a = arena_array(&c->arena, struct config_backend, count);

	for (uint32_t i = 0; i < count; i++)
		a[i] = (struct config_backend){i, snapshot_backend(&c->snap, i).service};
	return a;
}

static void listeners_make(struct profile_config *c)
{
	struct snapshot_bind b = snapshot_bind(&c->snap, 0);
	struct tcp_listeners *l = arena_alloc(&c->arena, sizeof(*l) + sizeof(l->e[0]));
	struct ip_addr *vip = arena_new(&c->arena, struct ip_addr);

	*vip = b.addr;
	l->count = 1;
	l->e[0] = (struct tcp_listener){.addr = b.addr, .port = b.port, .bind = 0};
	c->cfg.tcp_listeners = l;
	c->cfg.vips = vip;
	c->cfg.vip_count = 1;
}

void profile_config_make(struct profile_config *c, uint32_t routes)
{
	const struct snapshot *s = &c->snap;
	struct config *cfg = &c->cfg;

	arena_init(&c->arena, 0);
	image_make(c, routes);
	*cfg = (struct config){.snap = s,
		.generation = 1,
		.serial = 1,
		.listener_count = snapshot_count(s, SNAPSHOT_LISTENER),
		.rule_count = snapshot_count(s, SNAPSHOT_RULE),
		.backend_count = snapshot_count(s, SNAPSHOT_BACKEND),
		.service_count = snapshot_count(s, SNAPSHOT_SERVICE)};
	cfg->listener_slot = slots_make(&c->arena, cfg->listener_count);
	cfg->rules = rules_make(c, cfg->rule_count);
	cfg->backends = backends_make(c, cfg->backend_count);
	cfg->endpoints = arena_alloc(&c->arena, cfg->service_count * sizeof(cfg->endpoints[0]));
	for (uint32_t i = 0; i < cfg->service_count; i++)
		atomic_init(&cfg->endpoints[i], endpoints_make(c, i));
	listeners_make(c);
}

void profile_config_free(struct profile_config *c)
{
	arena_fini(&c->arena);
	free(c->image);
}
