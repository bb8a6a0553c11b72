// SPDX-License-Identifier: Apache-2.0
/*
 * contract_spec.c: what the world of contract_world.h is told to configure, as the builder takes it.
 */
#include "tests/unit/agent/contract_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>

#include <cmocka.h>

#include "dataplane/base/arena.h"
#include "dataplane/snapshot/snapshot.h"

static uint64_t id_of(const char *kind, unsigned a, unsigned b)
{
	char text[64];
	struct str part;

	snprintf(text, sizeof(text), "%s/%u/%u", kind, a, b);
	part = str_of(text);
	return object_id(&part, 1);
}

uint64_t world_rule_id(unsigned rule)
{
	return id_of("rule", rule, 0);
}

uint64_t world_backend_id(unsigned rule, unsigned backend)
{
	return id_of("backend", rule, backend);
}

uint64_t world_service_id(unsigned service)
{
	return id_of("service", service, 0);
}

struct world_spec world_spec(unsigned rules)
{
	struct world_spec s = {.rules = rules, .listeners = 1, .endpoints = 2};

	for (unsigned i = 0; i < rules; i++) {
		s.w[i][0] = 80;
		s.w[i][1] = 20;
	}
	return s;
}

static struct ip_addr address(unsigned a, unsigned b)
{
	const uint8_t v4[4] = {10, (uint8_t)a, (uint8_t)(b >> 8), (uint8_t)b};

	return ip_from_v4(v4);
}

static void make_services(const struct world_spec *s, struct arena *a, struct build_config *c)
{
	struct build_service *services = arena_array(a, struct build_service, 2);

	for (unsigned i = 0; i < 2; i++) {
		unsigned n = i == 0 ? s->endpoints : 1, first = i == 0 ? s->endpoint_first : 0;
		struct build_endpoint *e = arena_array(a, struct build_endpoint, n + 1);

		for (unsigned k = 0; k < n; k++) {
			char *name = arena_printf(a, "%0*u", s->name_len ? (int)s->name_len : 1,
				first + k);

			e[k] = (struct build_endpoint){.id = id_of("endpoint", i, first + k),
				.addr = address(i + 1, first + k + 1),
				.port = 8080,
				.weight = 1,
				.name = str_of(name),
				.cluster = STR("us-east")};
		}
		services[i] = (struct build_service){.id = world_service_id(i),
			.endpoints = e,
			.name = str_of(arena_printf(a, "us-east/demo/app-v%u:http", i + 1)),
			.endpoint_count = n};
	}
	c->services = services;
	c->service_count = 2;
}

static void make_route(const struct world_spec *s, struct arena *a, struct build_config *c)
{
	struct build_route *route = arena_new(a, struct build_route);
	struct build_rule *rules = arena_array(a, struct build_rule, s->rules + 1);

	for (unsigned i = 0; i < s->rules; i++) {
		struct build_backend *b = arena_array(a, struct build_backend, 2);
		struct build_match *m = arena_new(a, struct build_match);

		for (unsigned k = 0; k < 2; k++)
			b[k] = (struct build_backend){.id = world_backend_id(i, k),
				.name = str_of(arena_printf(a, "demo/app-v%u:80", k + 1)),
				.weight = s->w[i][k],
				.service_id = world_service_id(k)};
		*m = (struct build_match){.path_type = BUILD_MATCH_PREFIX,
			.path = str_of(arena_printf(a, "/%u", i))};
		rules[i] = (struct build_rule){.id = world_rule_id(i),
			.matches = m,
			.name = str_of(arena_printf(a, "demo/app rule %u", i)),
			.match_count = 1,
			.backends = b,
			.backend_count = 2};
	}
	*route = (struct build_route){.id = id_of("route", 0, 0),
		.name = STR("demo/app"),
		.rules = rules,
		.rule_count = s->rules};
	c->routes = route;
	c->route_count = 1;
}

static void world_config(const struct world_spec *s, struct arena *a, struct build_config *c)
{
	struct build_listener *l = arena_array(a, struct build_listener, s->listeners + 1);
	struct build_attachment *att = arena_new(a, struct build_attachment);

	*c = (struct build_config){.generation = 1};
	make_services(s, a, c);
	make_route(s, a, c);
	for (unsigned i = 0; i < s->listeners; i++) {
		struct ip_addr *addr = arena_new(a, struct ip_addr);

		*addr = address(200, i + 1);
		l[i] = (struct build_listener){.id = id_of("listener", i, 0),
			.addrs = addr,
			.name = str_of(arena_printf(a, "infra/gw/http-%u", i)),
			.addr_count = 1,
			.port = 80,
			.attachments = att,
			.attachment_count = 1};
	}
	c->listeners = l;
	c->listener_count = s->listeners;
}

uint64_t world_state(const struct world_spec *s)
{
	struct build_config c;
	struct arena a;
	uint64_t sum = 0;

	arena_init(&a, 0);
	world_config(s, &a, &c);
	for (unsigned i = 0; i < s->rules; i++) {
		struct message_weight w[2];

		for (unsigned k = 0; k < 2; k++)
			w[k] = (struct message_weight){world_backend_id(i, k), s->w[i][k]};
		sum += message_weights_digest(world_rule_id(i), w, 2);
	}
	for (unsigned i = 0; i < 2; i++) {
		const struct build_service *b = &c.services[i];
		struct message_endpoint *e =
			arena_array(&a, struct message_endpoint, b->endpoint_count + 1);

		for (unsigned k = 0; k < b->endpoint_count; k++)
			e[k] = (struct message_endpoint){b->endpoints[k].id, b->endpoints[k].addr,
				b->endpoints[k].port, b->endpoints[k].weight,
				b->endpoints[k].draining, b->endpoints[k].name,
				b->endpoints[k].cluster};
		sum += message_endpoints_digest(b->id, e, b->endpoint_count, NULL, 0);
	}
	arena_fini(&a);
	return sum;
}

int world_try_publish(struct world *w, const struct world_spec *s, struct publish_outcome *out,
	struct err *err)
{
	struct build_config c;
	struct arena a;
	int rv;

	arena_init(&a, 0);
	world_config(s, &a, &c);
	rv = publish_update(w->publish, &c, out, err);
	arena_fini(&a); /* nothing of it may be kept */
	return rv;
}

struct publish_outcome world_publish(struct world *w, const struct world_spec *s)
{
	struct publish_outcome out;
	struct err err;

	if (world_try_publish(w, s, &out, &err) != 0)
		fail_msg("%s", err.msg);
	return out;
}

void world_image(const struct world_spec *s, uint64_t generation, void **ret, size_t *ret_len)
{
	struct build_config c;
	struct arena a;
	struct err err;

	arena_init(&a, 0);
	world_config(s, &a, &c);
	c.generation = generation;
	if (snapshot_build(&c, ret, ret_len, &err) != 0)
		fail_msg("%s", err.msg);
	arena_fini(&a);
}
