// SPDX-License-Identifier: Apache-2.0
/*
 * match_test.c: the compiled matcher against the naive one, and the cost of many routes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/route/predicate.h"
#include "dataplane/route/route.h"
#include "dataplane/snapshot/snapshot.h"
#include "tests/unit/route/world.h"

struct opened {
	void *image;
	size_t len;
	struct snapshot s;
};

static void build_and_open(const struct build_config *c, struct opened *o)
{
	struct err err = {0};

	if (snapshot_build(c, &o->image, &o->len, &err) < 0)
		fail_msg("%s", err.msg);
	if (snapshot_open(o->image, o->len, &o->s, &err) < 0)
		fail_msg("%s", err.msg);
}

static struct str lower(struct str s, char *out)
{
	for (size_t i = 0; i < s.len; i++)
		out[i] = ascii_lower(s.p[i]);
	return str_make(out, s.len);
}

static uint64_t listener_id(const struct snapshot *s, uint32_t i)
{
	return i == SLOT_NONE ? 0 : snapshot_listener(s, i).id;
}

static uint64_t rule_id(const struct snapshot *s, uint32_t i)
{
	return i == SLOT_NONE ? 0 : snapshot_rule(s, i).id;
}

static void check_request(struct world *w, const struct opened *o, struct str text, uint16_t port)
{
	struct h1_head head;
	char host[256];
	struct route_request req = {.head = &head};
	struct route_result got;
	struct ip_addr addr;
	uint64_t listener, rule;
	uint32_t bind;

	ip_parse(STR("192.0.2.1"), &addr);
	bind = snapshot_find_bind(&o->s, &addr, port);
	if (bind == SLOT_NONE)
		return;
	assert_true(h1_parse_request(text.p, text.len, &head) > 0);
	req.host = lower(head.host_name, host);
	req.path = head.path;
	req.query = head.query;
	route_match(&o->s, bind, &req, &got);
	world_match(w, &addr, port, &head, req.host, &listener, &rule);
	if (listener_id(&o->s, got.listener) != listener || rule_id(&o->s, got.rule) != rule) {
		snapshot_dump(&o->s, stderr);
		fail_msg("port %u: %.*s: got rule %s", port, STR_FMT(text),
			got.rule == SLOT_NONE
				? "(none)"
				: snapshot_str(&o->s, snapshot_rule(&o->s, got.rule).name).p);
	}
}

static void compiled_and_naive_matcher_agree(void **state)
{
	unsigned matched = 0;

	for (uint64_t seed = 0; seed < 300; seed++) {
		struct world w;
		struct opened o;
		struct rng r;

		rng_seed(&r, seed);
		world_random(&w, &r, seed % 3 ? 4 : 40);
		build_and_open(&w.config, &o);
		for (unsigned i = 0; i < 100; i++)
			check_request(&w, &o, world_request(&w, &r), (uint16_t)(80 + i % 2)),
				matched++;
		free(o.image);
		world_free(&w);
	}
	assert_true(matched > 10000);
}

/* Paths as an older image has them, without their tail. */
static void strip_paths(struct opened *o, uint8_t **ret)
{
	size_t n = snapshot_count(&o->s, SNAPSHOT_PATH), old = offsetof(struct snapshot_path, rule);

	*ret = malloc(n * old + 1);
	for (uint32_t i = 0; i < n; i++)
		memcpy(*ret + i * old, snapshot_at(&o->s, SNAPSHOT_PATH, i), old);
	o->s.sec[SNAPSHOT_PATH].p = *ret;
	o->s.sec[SNAPSHOT_PATH].stride = (uint32_t)old;
}

static void older_images_match_the_same(void **state)
{
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct world w;
		struct opened o;
		uint8_t *paths;
		struct rng r;

		rng_seed(&r, seed);
		world_random(&w, &r, 20);
		build_and_open(&w.config, &o);
		strip_paths(&o, &paths);
		for (unsigned i = 0; i < 100; i++)
			check_request(&w, &o, world_request(&w, &r), (uint16_t)(80 + i % 2));
		free(paths);
		free(o.image);
		world_free(&w);
	}
}

static void order_of_the_input_does_not_show(void **state)
{
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct opened a, b;
		struct world w;
		struct rng r;

		rng_seed(&r, seed);
		world_random(&w, &r, 20);
		build_and_open(&w.config, &a);
		for (int i = 0; i < 3; i++) {
			world_shuffle(&w, &r);
			build_and_open(&w.config, &b);
			assert_int_equal(a.len, b.len);
			assert_memory_equal(a.image, b.image, a.len);
			assert_true(a.s.digest == b.s.digest);
			free(b.image);
		}
		free(a.image);
		world_free(&w);
	}
}

/* <count> routes: each a hostname of its own, or all on one hostname with a path of their own. */
static void many_routes(struct arena *a, struct build_config *c, uint32_t count, bool hosts)
{
	struct build_route *routes = arena_array(a, struct build_route, count);
	struct build_attachment *at = arena_array(a, struct build_attachment, count);
	struct build_listener *l = arena_new(a, struct build_listener);
	struct ip_addr *addr = arena_new(a, struct ip_addr);

	ip_parse(STR("192.0.2.1"), addr);
	for (uint32_t i = 0; i < count; i++) {
		struct build_rule *rule = arena_new(a, struct build_rule);
		struct build_match *m = arena_new(a, struct build_match);
		char *name = arena_printf(a, "ns/r%05u", i);
		struct str id[1] = {str_of(name)};

		*m = (struct build_match){.path_type = BUILD_MATCH_PREFIX,
			.path = hosts ? STR("/") : str_of(arena_printf(a, "/svc/v%u", i))};
		*rule = (struct build_rule){.id = object_id(id, 1),
			.name = str_of(name),
			.matches = m,
			.match_count = 1};
		routes[i] = (struct build_route){.id = rule->id,
			.name = str_of(name),
			.rules = rule,
			.rule_count = 1};
		at[i].route = i;
		if (hosts)
			at[i].original = at[i].hostname =
				str_of(arena_printf(a, "h%u.example.com", i));
	}
	*l = (struct build_listener){.id = 1,
		.name = STR("l"),
		.addrs = addr,
		.addr_count = 1,
		.port = 80,
		.attachments = at,
		.attachment_count = count};
	*c = (struct build_config){.generation = 1,
		.listeners = l,
		.listener_count = 1,
		.routes = routes,
		.route_count = count};
}

/* The most steps that one request takes among <count> routes. */
static uint32_t most_steps(uint32_t count, bool hosts)
{
	struct arena a;
	struct build_config c;
	struct opened o;
	uint32_t most = 0;
	struct h1_head head = {.method = STR("GET")};

	arena_init(&a, 0);
	many_routes(&a, &c, count, hosts);
	build_and_open(&c, &o);
	for (uint32_t i = 0; i < count; i++) {
		char host[64], path[64];
		struct route_request req = {.head = &head};
		struct route_result got;

		snprintf(host, sizeof(host), hosts ? "h%u.example.com" : "example.com", i);
		snprintf(path, sizeof(path), hosts ? "/a/b" : "/svc/v%u/x", i);
		req.host = str_of(host);
		req.path = str_of(path);
		route_match(&o.s, 0, &req, &got);
		assert_int_not_equal(got.rule, SLOT_NONE);
		assert_true(snapshot_rule(&o.s, got.rule).id == c.routes[i].id);
		most = got.steps > most ? got.steps : most;
	}
	free(o.image);
	arena_fini(&a);
	return most;
}

static void ten_thousand_routes_cost_what_ten_cost(void **state)
{
	assert_true(most_steps(10, true) <= 16);
	assert_true(most_steps(10000, true) <= SNAPSHOT_PROBES_MAX + 16);
	assert_true(most_steps(10, false) <= 16);
	assert_true(most_steps(10000, false) <= SNAPSHOT_PROBES_MAX + 16);
}

static void hostile_hosts_and_paths_cost_a_bounded_number_of_steps(void **state)
{
	static char host[4096], path[16384];
	struct arena a;
	struct build_config c;
	struct opened o;
	struct h1_head head = {.method = STR("GET")};
	struct route_request req = {.host = {host, 0}, .path = {path, sizeof(path)}, .head = &head};

	memset(path, '/', sizeof(path));
	for (size_t i = 0; i < sizeof(host); i++)
		host[i] = i % 2 ? '.' : 'a';
	arena_init(&a, 0);
	many_routes(&a, &c, 100, false);
	build_and_open(&c, &o);
	for (req.host.len = 0; req.host.len < sizeof(host); req.host.len += 17) {
		struct route_result got;

		route_match(&o.s, 0, &req, &got);
		assert_int_equal(got.rule, SLOT_NONE);
		assert_true(got.steps < 64);
	}
	free(o.image);
	arena_fini(&a);
}

static void asterisk_matches_a_listener_and_no_rule(void **state)
{
	struct arena a;
	struct build_config c;
	struct opened o;
	struct h1_head head = {.method = STR("OPTIONS")};
	struct route_request req = {.host = STR("h1.example.com"), .path = STR("*"), .head = &head};
	struct route_result got;

	arena_init(&a, 0);
	many_routes(&a, &c, 3, true);
	build_and_open(&c, &o);
	route_match(&o.s, 0, &req, &got);
	assert_int_equal(got.listener, 0);
	assert_int_equal(got.rule, SLOT_NONE);
	free(o.image);
	arena_fini(&a);
}

static void query_predicates_decode_and_take_the_first(void **state)
{
	static const struct {
		const char *query;
		bool want; /* q = "a b" */
	} rows[] = {
		{"q=a+b", true},
		{"q=a%20b", true},
		{"%71=a%20b", true},
		{"x=1&q=a+b", true},
		{"q=a+b&q=c", true},
		{"q=c&q=a+b", false},
		{"q=a+", false},
		{"q=a+bc", false},
		{"Q=a+b", false},
		{"q", false},
		{"", false},
		{"q=a%2", false},
		{"qq=a+b", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(predicate_query(str_of(rows[i].query), STR("q"), STR("a b")),
			rows[i].want);
	assert_false(predicate_query((struct str){NULL, 0}, STR("q"), STR("")));
	assert_true(predicate_query(STR("q"), STR("q"), STR("")));
}

static void a_stranger_cannot_choose_a_rule_by_a_forwarding_field(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client-Cert: c\r\n"
				   "X-Request-Id: i\r\nX-A: a\r\n\r\n";
	const uint8_t strange = H1_HEADER_HOP | H1_HEADER_ORIGIN;
	struct h1_head head;

	assert_true(h1_parse_request(text, sizeof(text) - 1, &head) > 0);
	assert_true(predicate_header(&head, strange, STR("x-a"), STR("a")));
	assert_false(predicate_header(&head, strange, STR("x-request-id"), STR("i")));
	assert_false(predicate_header(&head, strange, STR("x-forwarded-client-cert"), STR("c")));
	assert_true(predicate_header(&head, H1_HEADER_HOP, STR("x-request-id"), STR("i")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compiled_and_naive_matcher_agree),
		cmocka_unit_test(older_images_match_the_same),
		cmocka_unit_test(order_of_the_input_does_not_show),
		cmocka_unit_test(ten_thousand_routes_cost_what_ten_cost),
		cmocka_unit_test(hostile_hosts_and_paths_cost_a_bounded_number_of_steps),
		cmocka_unit_test(asterisk_matches_a_listener_and_no_rule),
		cmocka_unit_test(query_predicates_decode_and_take_the_first),
		cmocka_unit_test(a_stranger_cannot_choose_a_rule_by_a_forwarding_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
