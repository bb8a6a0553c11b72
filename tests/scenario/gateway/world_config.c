// SPDX-License-Identifier: Apache-2.0
/*
 * world_config.c: who has which address, who listens, and the configuration in force, with the
 * run-time slots that the agent would assign.
 */
#include "tests/scenario/gateway/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/arena.h"

/* Addresses ---------------------------------------------------------------------------------- */

static struct ip_addr addr(const struct world *w, const char *v4, const char *v6)
{
	struct ip_addr a;

	bug_on(!ip_parse(str_of(w->v4 ? v4 : v6), &a));
	return a;
}

struct ip_addr world_vip(const struct world *w)
{
	return addr(w, "203.0.113.80", "2001:db8:80::80");
}

struct ip_addr world_client(const struct world *w)
{
	return addr(w, "198.51.100.7", "2001:db8:c::7");
}

struct ip_addr world_source(const struct world *w)
{
	return addr(w, "10.9.0.1", "2001:db8:9::1");
}

struct ip_addr world_endpoint(const struct world *w, unsigned n)
{
	char v4[32], v6[32];

	snprintf(v4, sizeof(v4), "10.1.0.%u", n);
	snprintf(v6, sizeof(v6), "2001:db8:e::%u", n);
	return addr(w, v4, v6);
}

static int by_addr(const void *a, const void *b)
{
	const struct tcp_listener *x = a, *y = b;
	int d = memcmp(x->addr.b, y->addr.b, sizeof(x->addr.b));

	return d != 0 ? d : (int)x->port - (int)y->port;
}

void world_peers_listen(struct world *w)
{
	struct tcp_listeners *l = calloc(1, sizeof(*l) + WORLD_ENDPOINTS * sizeof(l->e[0]));

	for (unsigned i = 1; i <= WORLD_ENDPOINTS; i++)
		if (w->mode[i] != ENDPOINT_REFUSE)
			l->e[l->count++] = (struct tcp_listener){.addr = world_endpoint(w, i),
				.port = 8080,
				.bind = i};
	qsort(l->e, l->count, sizeof(l->e[0]), by_addr);
	tcp_set_listeners(w->peer, l);
	free(w->peer_listeners);
	w->peer_listeners = l;
}

void world_endpoint_mode(struct world *w, unsigned n, enum world_endpoint_mode mode)
{
	w->mode[n] = mode;
	world_peers_listen(w);
}

/* Configurations ----------------------------------------------------------------------------- */

/* A slot per id that stays with it, as the agent does it. */
static uint32_t slot_of(struct world *w, unsigned kind, uint64_t id)
{
	uint64_t *ids = &w->slot_ids[kind * WORLD_OBJECTS];

	for (uint32_t i = 0; i < WORLD_OBJECTS; i++) {
		if (ids[i] == 0)
			ids[i] = id;
		if (ids[i] == id)
			return i;
	}
	bug_on(true);
	return 0;
}

uint32_t world_endpoint_slot(struct world *w, uint64_t id)
{
	return slot_of(w, 3, id);
}

static const struct weight_vector *weights_of(struct world_config *c, const struct snapshot_rule *r)
{
	struct weight_vector *v =
		arena_alloc(&c->arena, sizeof(*v) + r->backend_count * sizeof(v->w[0]));

	v->rule_id = r->id;
	v->revision = c->in.generation;
	v->count = r->backend_count;
	for (uint32_t i = 0; i < r->backend_count; i++) {
		v->w[i] = snapshot_backend(&c->snap, r->backend_first + i).weight;
		v->total += v->w[i];
	}
	return v;
}

/* Clusters of equal shares, of endpoints that stand by cluster. */
static void share_out(struct world_config *c, struct endpoint_set *set,
	const struct snapshot_service *s)
{
	struct weight_vector *v =
		arena_alloc(&c->arena, sizeof(*v) + 2 * set->count * sizeof(v->w[0]));
	uint32_t *end = &v->w[set->count];
	struct str last = {NULL, 0};

	v->revision = c->in.generation;
	for (uint32_t i = 0; i < set->count; i++) {
		struct str name = snapshot_str(&c->snap,
			snapshot_endpoint(&c->snap, s->endpoint_first + i).cluster);

		if (i == 0 || !str_eq(name, last))
			v->w[v->count++] = 1;
		end[v->count - 1] = i + 1;
		last = name;
	}
	if (v->count < 2)
		return;
	v->total = v->count;
	set->cluster_count = v->count;
	set->cluster_end = end;
	atomic_init(&set->shares, v);
}

static const struct endpoint_set *endpoints_of(struct world *w, struct world_config *c,
	const struct snapshot_service *s)
{
	struct endpoint_set *set =
		arena_alloc(&c->arena, sizeof(*set) + s->endpoint_count * sizeof(set->e[0]));

	set->service_id = s->id;
	set->count = s->endpoint_count;
	for (uint32_t i = 0; i < s->endpoint_count; i++) {
		struct snapshot_endpoint e = snapshot_endpoint(&c->snap, s->endpoint_first + i);

		set->e[i] = (struct endpoint){.id = e.id,
			.addr = e.addr,
			.port = e.port,
			.weight = e.weight,
			.slot = slot_of(w, 3, e.id),
			.draining = e.draining};
	}
	share_out(c, set, s);
	return set;
}

static void fill_config(struct world *w, struct world_config *c)
{
	const struct snapshot *s = &c->snap;
	struct config *cfg = &c->cfg;

	*cfg = (struct config){.snap = s,
		.generation = c->in.generation,
		.serial = c->in.generation,
		.listener_count = snapshot_count(s, SNAPSHOT_LISTENER),
		.rule_count = snapshot_count(s, SNAPSHOT_RULE),
		.backend_count = snapshot_count(s, SNAPSHOT_BACKEND),
		.service_count = snapshot_count(s, SNAPSHOT_SERVICE),
		.listener_slot = c->listener_slot,
		.rules = c->rules,
		.backends = c->backends,
		.endpoints = c->sets};
	for (uint32_t i = 0; i < cfg->listener_count; i++)
		c->listener_slot[i] = slot_of(w, 0, snapshot_listener(s, i).id);
	for (uint32_t i = 0; i < cfg->rule_count; i++) {
		struct snapshot_rule r = snapshot_rule(s, i);

		c->rules[i] = (struct config_rule){
			.slot = slot_of(w, 1, r.id),
			.backend_first = r.backend_first,
			.backend_count = r.backend_count,
			.request_timeout_ms = r.request_timeout_ms,
			.backend_timeout_ms = r.backend_timeout_ms,
		};
		atomic_init(&c->rules[i].weights, weights_of(c, &r));
	}
	for (uint32_t i = 0; i < cfg->backend_count; i++) {
		struct snapshot_backend b = snapshot_backend(s, i);

		c->backends[i] = (struct config_backend){slot_of(w, 2, b.id), b.service};
	}
	for (uint32_t i = 0; i < cfg->service_count; i++) {
		struct snapshot_service v = snapshot_service(s, i);

		atomic_init(&c->sets[i], endpoints_of(w, c, &v));
	}
}

void world_config_free(struct world_config *c)
{
	if (c == NULL)
		return;
	arena_fini(&c->arena);
	free(c->image);
	free(c);
}

static void gateway_listen(struct world *w, struct world_config *c)
{
	uint32_t n = snapshot_count(&c->snap, SNAPSHOT_BIND);
	struct tcp_listeners *l = calloc(1, sizeof(*l) + n * sizeof(l->e[0]));

	for (uint32_t i = 0; i < n; i++) {
		struct snapshot_bind b = snapshot_bind(&c->snap, i);

		l->e[l->count++] = (struct tcp_listener){.addr = b.addr, .port = b.port, .bind = i};
	}
	qsort(l->e, l->count, sizeof(l->e[0]), by_addr);
	tcp_set_listeners(w->gw, l);
	free(w->gw_listeners);
	w->gw_listeners = l;
}

void world_listen(struct world *w)
{
	struct tcp_listeners *l = calloc(1, sizeof(*l) + sizeof(l->e[0]));

	l->count = 1;
	l->e[0] = (struct tcp_listener){.addr = world_vip(w), .port = WORLD_VIP_PORT};
	tcp_set_listeners(w->gw, l);
	free(w->gw_listeners);
	w->gw_listeners = l;
}

void world_apply(struct world *w, struct world_config *c)
{
	struct err err = {{0}};
	size_t len;

	c->in.generation = ++w->generation;
	if (snapshot_build(&c->in, &c->image, &len, &err) < 0 ||
		snapshot_open(c->image, len, &c->snap, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	fill_config(w, c);
	gateway_listen(w, c);
	world_config_free(w->cfg);
	w->cfg = c;
}
