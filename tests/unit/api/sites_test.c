// SPDX-License-Identifier: Apache-2.0
/*
 * sites_test.c: operators' weights by REST: what is refused, what holds, what
 * survives; on the real journal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <nng/nng.h>

#include "control/api/server.h"
#include "dataplane/base/clock.h"
#include "tests/unit/api/world.h"

static unsigned changes;

static void on_clusters(void *arg)
{
	changes++;
}

static struct registry *registry;

static int site_open(void **state)
{
	struct err err;
	const struct federate_config cfg = {.loop = world.loop,
		.config = &world.config,
		.registry = registry,
		.publish = world.publish,
		.on_clusters = on_clusters};

	if (federate_open(&cfg, &world.source.federate, &err) < 0)
		fail_msg("%s", err.msg);
	return 0;
}

static void site_close(void)
{
	federate_close(world.source.federate);
	world.source.federate = NULL;
}

static int setup(void **state)
{
	if (world_open(state) != 0 || registry_new(NULL, &registry, NULL) < 0)
		return -1;
	registry_set_file(registry, &world.config);
	world.source.registry = registry;
	world.source.on_clusters = on_clusters;
	return site_open(state);
}

static int teardown(void **state)
{
	site_close();
	registry_free(registry);
	nng_fini();
	return world_close(state);
}

static unsigned ask_for(const char *method, const char *target, const char *if_match,
	const char *body, json_t **ret)
{
	struct api_request r;
	struct api_input in = {.method = str_of(method),
		.target = str_of(target),
		.content_type = STR("application/json"),
		.if_match = if_match != NULL ? str_of(if_match) : (struct str){NULL, 0},
		.body = str_of(body)};
	unsigned status;

	ask(&r, &in);
	status = r.reply.status;
	if (ret != NULL)
		*ret = body_of(&r);
	api_request_fini(&r);
	return status;
}

#define WEIGHT "/api/v1/weights/east"

static const struct step {
	const char *name, *method, *target, *if_match, *body;
	unsigned status;
	int weight; /* that the cluster has afterwards */
} steps[] = {
	{"nobody has said anything", "GET", WEIGHT, NULL, "", 404, 100},
	{"nothing can be taken back", "DELETE", WEIGHT, NULL, "", 404, 100},
	{"a weight needs a number", "PUT", WEIGHT, NULL, "{}", 422, 100},
	{"no negative weight", "PUT", WEIGHT, NULL, "{\"weight\":-1}", 422, 100},
	{"no weight beyond a million", "PUT", WEIGHT, NULL, "{\"weight\":1000001}", 422, 100},
	{"no text for a weight", "PUT", WEIGHT, NULL, "{\"weight\":\"10\"}", 422, 100},
	{"no ttl that is none", "PUT", WEIGHT, NULL, "{\"weight\":1,\"ttl\":\"soon\"}", 422, 100},
	{"no unknown member", "PUT", WEIGHT, NULL, "{\"weight\":1,\"wait\":1}", 422, 100},
	{"no scope of a site that is not known", "PUT", WEIGHT "?scope=west", NULL,
		"{\"weight\":1}", 404, 100},
	{"no name that is none", "PUT", "/api/v1/weights/EAST", NULL, "{\"weight\":1}", 404, 100},
	{"a tag of something that is not there does not match", "PUT", WEIGHT, "\"0\"",
		"{\"weight\":1}", 412, 100},
	{"a weight holds when it is answered", "PUT", WEIGHT, NULL,
		"{\"weight\":10,\"actor\":\"ann\",\"reason\":\"canary\",\"ttl\":\"1h\"}", 201, 10},
	{"it is there", "GET", WEIGHT, NULL, "", 200, 10},
	{"another takes its place", "PUT", WEIGHT, NULL, "{\"weight\":1000000}", 200, 1000000},
	{"a wrong tag does not match", "PATCH", WEIGHT, "\"0\"", "{\"weight\":1}", 412, 1000000},
	{"what a patch does not name stays", "PATCH", WEIGHT, NULL, "{\"reason\":\"x\"}", 200,
		1000000},
	{"zero is a weight", "PATCH", WEIGHT, "*", "{\"weight\":0}", 200, 0},
	{"a drain leaves the weight", "PATCH", WEIGHT, NULL, "{\"drain\":true}", 200, 0},
	{"its end too", "PATCH", WEIGHT, NULL, "{\"drain\":false}", 200, 0},
	{"and it still stands", "GET", WEIGHT, NULL, "", 200, 0},
	{"a drain of our site alone leaves that of all", "PATCH", WEIGHT "?scope=local", NULL,
		"{\"drain\":true}", 201, 0},
	{"its end takes it back", "PATCH", WEIGHT "?scope=local", NULL, "{\"drain\":false}", 200,
		0},
	{"for it said nothing else", "GET", WEIGHT "?scope=local", NULL, "", 404, 0},
	{"that of our site alone comes first", "PUT", WEIGHT "?scope=local", NULL,
		"{\"weight\":50}", 201, 50},
	{"the other one stays", "GET", WEIGHT, NULL, "", 200, 50},
	{"without it the other one holds", "DELETE", WEIGHT "?scope=local", NULL, "", 200, 0},
	{"who takes it back has a name of 63 bytes at most", "DELETE",
		WEIGHT "?actor=0123456789012345678901234567890123456789012345678901234567890123",
		NULL, "", 400, 0},
	{"taken back, what was said before holds", "DELETE",
		WEIGHT "?actor=ann&reason=it%20is%20over", NULL, "", 200, 100},
	{"and it is gone", "GET", WEIGHT, NULL, "", 404, 100},
	{"a drain says nothing of the weight", "PUT", WEIGHT, NULL, "{\"drain\":true}", 201, 100},
	{"a weight given meanwhile", "PATCH", WEIGHT, NULL, "{\"weight\":7}", 200, 7},
	{"may be taken back without the drain", "PATCH", WEIGHT, NULL, "{\"weight\":null}", 200,
		100},
	{"the end of a drain is the end of its order", "PATCH", WEIGHT, NULL, "{\"drain\":false}",
		200, 100},
	{"so it is gone", "GET", WEIGHT, NULL, "", 404, 100},
	{"no drain where there was none changes nothing", "PATCH", WEIGHT, NULL,
		"{\"drain\":false}", 200, 100},
	{"and leaves nothing", "GET", WEIGHT, NULL, "", 404, 100},
};

static uint32_t weight_of(struct registry *r, struct str name)
{
	return clusters_lookup(registry_clusters(r), name)->weight;
}

static void weights_are_set_and_taken_back(void **state)
{
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct step *s = &steps[i];
		unsigned status = ask_for(s->method, s->target, s->if_match, s->body, NULL);
		uint32_t weight = weight_of(registry, STR("east"));

		if (status != s->status || weight != (uint32_t)s->weight)
			fail_msg("%s: %u, weight %u", s->name, status, weight);
	}
}

static void a_weight_says_who_and_why_and_survives(void **state)
{
	json_t *j;

	assert_int_equal(ask_for("PUT", WEIGHT, NULL,
				 "{\"weight\":7,\"actor\":\"ann\",\"reason\":\"canary\"}", NULL),
		201);
	site_close();
	registry_set_orders(registry, NULL, 0);
	assert_int_equal(weight_of(registry, STR("east")), 100);
	site_open(state);
	assert_int_equal(weight_of(registry, STR("east")), 7);
	j = get_json("/api/v1/weights");
	assert_string_equal(json_string_value(at(j, "items.0.actor")), "ann");
	assert_string_equal(json_string_value(at(j, "items.0.reason")), "canary");
	assert_string_equal(json_string_value(at(j, "items.0.site")), "local");
	assert_true(json_is_true(at(j, "items.0.holdsHere")));
	assert_true(json_is_null(at(j, "items.0.until")));
	json_decref(j);
	assert_int_equal(ask_for("DELETE", WEIGHT, NULL, "", NULL), 200);
}

static void weights_of_clusters_that_are_not_there_take_no_place(void **state)
{
	char target[64];

	for (unsigned i = 0; i < CLUSTERS_MAX + 6; i++) {
		snprintf(target, sizeof(target), "/api/v1/weights/nowhere-%u", i);
		assert_int_equal(ask_for("PUT", target, NULL, "{\"weight\":1}", NULL), 201);
	}
	assert_int_equal(ask_for("PUT", WEIGHT, NULL, "{\"weight\":9}", NULL), 201);
	assert_int_equal(weight_of(registry, STR("east")), 9);
	assert_int_equal(ask_for("DELETE", WEIGHT, NULL, "", NULL), 200);
	for (unsigned i = 0; i < CLUSTERS_MAX + 6; i++) {
		snprintf(target, sizeof(target), "/api/v1/weights/nowhere-%u", i);
		assert_int_equal(ask_for("DELETE", target, NULL, "", NULL), 200);
	}
}

static void a_drain_is_an_order_like_a_weight(void **state)
{
	assert_int_equal(ask_for("PUT", WEIGHT, NULL, "{\"drain\":true}", NULL), 201);
	assert_int_equal(clusters_lookup(registry_clusters(registry), STR("east"))->admin,
		CLUSTER_DRAIN);
	assert_int_equal(ask_for("DELETE", WEIGHT, NULL, "", NULL), 200);
	assert_int_equal(clusters_lookup(registry_clusters(registry), STR("east"))->admin,
		CLUSTER_ACTIVE);
}

static void a_site_alone_is_a_site(void **state)
{
	json_t *j = get_json("/api/v1/sites");

	assert_string_equal(json_string_value(json_object_get(j, "self")), "local");
	assert_int_equal(json_array_size(json_object_get(j, "items")), 1);
	json_decref(j);
	assert_int_equal(ask_for("GET", "/api/v1/sites/local", NULL, "", NULL), 200);
	assert_int_equal(ask_for("GET", "/api/v1/sites/east", NULL, "", NULL), 404);
}

static void on_stop(void *arg)
{
	loop_stop(world.loop);
}

static void a_weight_ends_when_its_time_is_over(void **state)
{
	uint64_t end = clock_mono_us() + 5000000;

	assert_int_equal(ask_for("PUT", WEIGHT, NULL, "{\"weight\":3,\"ttl\":\"1s\"}", NULL), 201);
	assert_int_equal(weight_of(registry, STR("east")), 3);
	struct loop_timer stop;

	loop_timer_init(&stop, on_stop, NULL);
	while (weight_of(registry, STR("east")) != 100 && clock_mono_us() < end) {
		loop_timer_set(world.loop, &stop, 100000);
		loop_run(world.loop);
	}
	assert_int_equal(weight_of(registry, STR("east")), 100);
}

static void a_server_ends_while_somebody_listens(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	static const char get[] = "GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n";
	struct server_options opt = {.socket = addr.sun_path,
		.mode = 0600,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1};
	struct loop_timer stop;
	struct server *s;
	struct err err;
	char answer[512] = "";
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/api.sock", world.dir);
	if (server_open(world.loop, &opt, &world.source, &s, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(write(fd, get, sizeof(get) - 1), sizeof(get) - 1);
	loop_timer_init(&stop, on_stop, NULL);
	loop_timer_set(world.loop, &stop, 200000);
	loop_run(world.loop);
	assert_true(read(fd, answer, sizeof(answer) - 1) > 0);
	assert_non_null(strstr(answer, "text/event-stream"));
	server_close(s);
	loop_timer_set(world.loop, &stop, 1000); /* nothing of the server's runs any more */
	loop_run(world.loop);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			weights_of_clusters_that_are_not_there_take_no_place), /* first: no slot is old */
		cmocka_unit_test(weights_are_set_and_taken_back),
		cmocka_unit_test(a_weight_says_who_and_why_and_survives),
		cmocka_unit_test(a_drain_is_an_order_like_a_weight),
		cmocka_unit_test(a_site_alone_is_a_site),
		cmocka_unit_test(a_weight_ends_when_its_time_is_over),
		cmocka_unit_test(a_server_ends_while_somebody_listens),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
