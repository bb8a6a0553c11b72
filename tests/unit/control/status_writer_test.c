// SPDX-License-Identifier: Apache-2.0
/*
 * status_writer_test.c: whoever does not yet say what he shall has a time at which he is looked at
 * again, whatever the API server answers and whatever its watches leave out.
 *
 * The whole of control/status between a store, plans made of it and an API server of a few lines
 * that stands in for kube_request(). Watches bring nothing by themselves: a row says when.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/status/status_private.h"
#include "control/store/store_api.h"
#include "dataplane/base/clock.h"
#include "manifest_json.h"

#define EAST STR("us-east")
#define CONTROLLER "gateway.sluice.internal/controller"
#define ASKED_MAX 256u
#define SLACK_US 1000000u     /* a timer is set from the clock a moment later */
#define DEADLINE_US 20000000u /* of what takes milliseconds, on a machine that is busy */

/* A request, and its answer when its turn comes. */
struct asked {
	kube_done_fn done;
	void *arg;
	char method[8], path[256];
	json_t *body;
};

struct world {
	struct loop *loop;
	struct store *store;
	struct status *status;
	struct control_config config;
	struct config_pool pool;
	struct ip_net net;
	struct plan *plan;
	struct loop_timer answer, look;
	uint64_t deadline_us;
	bool (*until)(struct world *w);
	struct asked asked[ASKED_MAX];
	uint32_t asked_count;
	json_t *objects; /* the server's, by the path of the object */
	int64_t version; /* of the last write */
	bool hold;	 /* routes' answers wait */
	int refuse;	 /* status for PATCHes of the route <refused>; 0: none */
	const char *refused;
	bool once;
	const char *missing;	/* kind that a 404 names; NULL: it names nothing */
	bool service_gone;	/* somebody deletes each Service as soon as it was applied */
	uint32_t patches, gets; /* of routes, that were answered */
};

static struct world *world;
static char kube; /* something to point at */

/* --- the API server --- */

int __wrap_kube_request(struct kube_cluster *c, const struct kube_request *r,
	struct kube_call **ret, struct err *err);
int __wrap_kube_request(struct kube_cluster *c, const struct kube_request *r,
	struct kube_call **ret, struct err *err)
{
	struct asked *a = &world->asked[world->asked_count++];

	assert_true(world->asked_count < ASKED_MAX);
	*a = (struct asked){.done = r->done, .arg = r->arg, .body = json_incref(r->body)};
	snprintf(a->method, sizeof(a->method), "%s", r->method);
	snprintf(a->path, sizeof(a->path), "%s", r->path);
	loop_timer_set(world->loop, &world->answer, 1000);
	return 0;
}

const struct kube_watch *__wrap_kube_watch_next(const struct kube_cluster *c,
	const struct kube_watch *w);
const struct kube_watch *__wrap_kube_watch_next(const struct kube_cluster *c,
	const struct kube_watch *w)
{
	return NULL;
}

static const char *version_of(const json_t *object)
{
	return json_string_value(
		json_object_get(json_object_get(object, "metadata"), "resourceVersion"));
}

static void touch(struct world *w, json_t *object)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)++w->version);
	json_object_set_new(json_object_get(object, "metadata"), "resourceVersion",
		json_string(text));
}

static int refusal(struct world *w)
{
	int status = w->refuse;

	if (w->once)
		w->refuse = 0;
	return status;
}

/* A merge patch, made from the newest version: 200 and *ret_object, or what went wrong. */
static int patch(struct world *w, struct asked *a, json_t **ret_object)
{
	char *slash = strstr(a->path, "/status");
	const char *name = strrchr(a->path, '/');
	json_t *object, *mine = json_object_get(a->body, "status");

	if (slash != NULL) {
		*slash = '\0';
		name = strrchr(a->path, '/');
	}
	object = json_object_get(w->objects, a->path);
	if (object == NULL)
		return 404;
	w->patches += strstr(a->path, "/httproutes/") != NULL;
	if (w->refuse != 0 && strcmp(name + 1, w->refused) == 0) {
		if (w->missing != NULL)
			*ret_object = json_pack("{s:{s:s, s:s}}", "details", "kind", w->missing,
				"name", "demo");
		return refusal(w);
	}
	if (strcmp(version_of(a->body), version_of(object)) != 0)
		return 409;
	object = json_deep_copy(object);
	if (json_object_get(object, "status") == NULL)
		json_object_set_new(object, "status", json_object());
	json_object_update(json_object_get(object, "status"), mine);
	json_object_update(json_object_get(object, "metadata"),
		json_object_get(a->body, "metadata"));
	touch(w, object);
	json_object_set_new(w->objects, a->path, object);
	*ret_object = json_deep_copy(object);
	return 200;
}

static int answer(struct world *w, struct asked *a, json_t **ret_body)
{
	*ret_body = NULL;
	if (strstr(a->path, "/leases") != NULL && strcmp(a->method, "GET") == 0)
		return 404;
	if (strcmp(a->method, "POST") == 0 || strcmp(a->method, "PUT") == 0) {
		*ret_body = json_incref(a->body);
		return 201;
	}
	if (strcmp(a->method, "PATCH") == 0 && strstr(a->path, "gateway.networking") != NULL)
		return patch(w, a, ret_body);
	if (w->service_gone && strstr(a->path, "/services/") != NULL &&
		strstr(a->path, "fieldManager") == NULL) {
		*ret_body = json_pack("{s:{s:s, s:s}}", "details", "kind", "services", "name", "x");
		return 404;
	}
	if (strcmp(a->method, "PATCH") == 0) {
		*ret_body = json_incref(a->body); /* a Service: as it was applied */
		return 200;
	}
	w->gets++;
	*ret_body = json_deep_copy(json_object_get(w->objects, a->path));
	return *ret_body != NULL ? 200 : 404;
}

static bool route_is_asked(struct world *w)
{
	for (uint32_t i = 0; i < w->asked_count; i++)
		if (strstr(w->asked[i].path, "/httproutes/") != NULL)
			return true;
	return false;
}

static void on_answer(void *arg)
{
	struct world *w = arg;
	uint32_t n = w->asked_count;
	struct asked now[ASKED_MAX];

	if (w->hold && route_is_asked(w))
		return;
	memcpy(now, w->asked, sizeof(now));
	w->asked_count = 0;
	for (uint32_t i = 0; i < n; i++) {
		json_t *body;
		int status = answer(w, &now[i], &body);

		now[i].done(now[i].arg, status, body, "");
		json_decref(body);
		json_decref(now[i].body);
	}
}

/* --- objects --- */

static const char *route_path(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path),
		"/apis/gateway.networking.k8s.io/v1/namespaces/demo/httproutes/%s", name);
	return path;
}

/* The watch brings it as the server has it now. */
static void bring(struct world *w, enum kind kind, const char *path)
{
	store_api_upsert(store_api_kind(w->store, EAST, kind), json_object_get(w->objects, path));
}

static json_t *manifest(struct world *w, const char *text)
{
	json_t *j = manifest_json_text(text);

	assert_non_null(j);
	json_object_set_new(json_object_get(j, "metadata"), "generation", json_integer(1));
	touch(w, j);
	return j;
}

static void put(struct world *w, enum kind kind, const char *path, const char *text)
{
	json_object_set_new(w->objects, path, manifest(w, text));
	bring(w, kind, path);
}

static void put_route(struct world *w, const char *name)
{
	char text[512];

	snprintf(text, sizeof(text),
		"{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: %s, "
		"namespace: demo}, spec: {parentRefs: [{name: gw}], hostnames: [%s.demo.lab], "
		"rules: [{backendRefs: [{name: app, port: 80}]}]}}",
		name, name);
	put(w, KIND_HTTP_ROUTE, route_path(name), text);
}

/* The routes' ResolvedRefs depends on it alone. */
static void put_service(struct world *w)
{
	json_t *j = manifest(w,
		"{apiVersion: v1, kind: Service, metadata: {name: app, namespace: demo}, "
		"spec: {ports: [{port: 80}]}}");

	store_api_upsert(store_api_kind(w->store, EAST, KIND_SERVICE), j);
	json_decref(j);
}

static void remove_service(struct world *w)
{
	json_t *j = manifest_json_text(
		"{apiVersion: v1, kind: Service, metadata: {name: app, namespace: demo}}");

	store_api_delete(store_api_kind(w->store, EAST, KIND_SERVICE), j);
	json_decref(j);
}

/* What the server says of ResolvedRefs: "True", "False" or "". */
static const char *resolved(struct world *w, const char *name)
{
	const json_t *status =
		json_object_get(json_object_get(w->objects, route_path(name)), "status");
	const json_t *parent = json_array_get(json_object_get(status, "parents"), 0), *c;
	size_t i;

	json_array_foreach (json_object_get(parent, "conditions"), i, c)
		if (strcmp(json_string_value(json_object_get(c, "type")), "ResolvedRefs") == 0)
			return json_string_value(json_object_get(c, "status"));
	return "";
}

/* --- running --- */

static void plan(struct world *w)
{
	struct plan_input in = {.config = &w->config, .now_s = 1, .previous = w->plan};
	struct plan *p;

	in.view = store_view(w->store);
	in.acked = w->plan;
	p = plan_build(&in);
	view_put(in.view);
	plan_put(w->plan);
	w->plan = p;
	status_update(w->status, p, true);
}

static void on_look(void *arg)
{
	struct world *w = arg;

	if (w->until(w) || clock_mono_us() > w->deadline_us)
		loop_stop(w->loop);
	else
		loop_timer_set(w->loop, &w->look, 1000);
}

static void run_until(struct world *w, bool (*until)(struct world *w))
{
	w->until = until;
	w->deadline_us = clock_mono_us() + DEADLINE_US;
	loop_timer_set(w->loop, &w->look, 0);
	assert_int_equal(loop_run(w->loop), 0);
	assert_true(until(w));
}

static struct entry *entry_of(struct world *w, const char *name)
{
	if (w->status->writers_count == 0)
		return NULL; /* no plan yet */
	return entry_find(w->status, writer_get(w->status, EAST), KIND_HTTP_ROUTE, STR("demo"),
		str_of(name));
}

static enum status_why why_of(struct world *w, const char *name)
{
	const struct entry *e = entry_of(w, name);

	return e != NULL ? e->why : STATUS_WHY_QUEUED;
}

/* Who rests without a time says what he shall, as far as the store and our last answer know. */
static void assert_nobody_is_forgotten(struct world *w)
{
	for (uint32_t i = 0; i < ENTRY_BUCKETS; i++)
		list_for_each (l, &w->status->buckets[i]) {
			const struct entry *e = list_entry(l, struct entry, bucket);
			bool queued = list_is_linked(&e->queue);

			if (!e->under_way && !queued && e->why != STATUS_WHY_SAID)
				fail_msg("%.*s rests: %s", STR_FMT(e->name),
					status_why_info[e->why].name);
			if (queued && e->not_before_us > clock_mono_us())
				assert_true(loop_timer_is_set(&w->status->pump_timer) &&
					w->status->pump_timer.at_us <= e->not_before_us + SLACK_US);
		}
}

static struct kube_cluster *kube_of(void *arg, struct str cluster)
{
	return (struct kube_cluster *)&kube;
}

static void begin(struct world *w)
{
	const struct status_ops ops = {.kube = kube_of};
	struct err err;

	*w = (struct world){.version = 1000, .objects = json_object(), .refused = ""};
	world = w;
	assert_int_equal(loop_new(&w->loop, &err), 0);
	loop_timer_init(&w->answer, on_answer, w);
	loop_timer_init(&w->look, on_look, w);
	w->store = store_new();
	w->config.controller_name = STR(CONTROLLER);
	w->config.lease_namespace = STR("sluice-system");
	w->status = status_new(w->loop, w->store, &ops, "one");
	store_api_gate(w->store, EAST);
	put(w, KIND_GATEWAY_CLASS, "/apis/gateway.networking.k8s.io/v1/gatewayclasses/sluice",
		"{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: "
		"sluice}, spec: {controllerName: " CONTROLLER "}}");
	put(w, KIND_GATEWAY, "/apis/gateway.networking.k8s.io/v1/namespaces/demo/gateways/gw",
		"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gw, "
		"namespace: demo}, spec: {gatewayClassName: sluice, listeners: [{name: http, "
		"protocol: HTTP, port: 80}]}}");
}

static void end(struct world *w)
{
	assert_nobody_is_forgotten(w);
	status_free(w->status);
	for (uint32_t i = 0; i < w->asked_count; i++)
		json_decref(w->asked[i].body);
	plan_put(w->plan);
	store_free(w->store);
	loop_free(w->loop);
	json_decref(w->objects);
}

static bool says_false(struct world *w)
{
	return strcmp(resolved(w, "r0"), "False") == 0;
}

static bool says_true(struct world *w)
{
	return strcmp(resolved(w, "r0"), "True") == 0;
}

/* --- rows --- */

static void a_conflict_with_our_own_last_answer_is_read_again_though_no_watch_says_why(void **state)
{
	struct world w;

	begin(&w);
	put_route(&w, "r0");
	plan(&w);
	run_until(&w, says_false);
	/* another writes, and the watch brings neither his version nor ours */
	touch(&w, json_object_get(w.objects, route_path("r0")));
	put_service(&w);
	plan(&w);
	run_until(&w, says_true);
	assert_int_equal(w.gets, 1);
	end(&w);
}

static bool is_done(struct world *w)
{
	const struct writer *wr = w->status->writers[0];

	return wr != NULL && wr->lease.held && wr->waiting == 0 && wr->under_way == 0 &&
		w->status->plan == NULL;
}

static bool has_met_conflicts(struct world *w)
{
	return w->status->writers[0]->counters[STATUS_CONFLICTS] >= 4;
}

static void reading_between_conflicts_does_not_make_them_come_faster(void **state)
{
	struct world w;
	uint64_t began;

	begin(&w);
	put_route(&w, "r0");
	plan(&w);
	run_until(&w, is_done);
	began = clock_mono_us();
	w.refuse = 409;
	w.refused = "r0";
	put_service(&w);
	plan(&w);
	run_until(&w, has_met_conflicts);
	/* at least half of 50, 100 and 200 ms */
	assert_true(clock_mono_us() - began >= 7 * RETRY_CONFLICT_US / 2);
	assert_int_equal(entry_of(&w, "r0")->failures, 4);
	end(&w);
}

static bool is_refused(struct world *w)
{
	return why_of(w, "r0") == STATUS_WHY_REFUSED;
}

static void what_was_refused_is_sent_again_when_its_time_has_come(void **state)
{
	struct world w;
	struct step step;
	struct entry *e;

	begin(&w);
	put_route(&w, "r0");
	w.refuse = 422;
	w.refused = "r0";
	plan(&w);
	run_until(&w, is_refused);
	assert_int_equal(w.patches, 1);
	assert_nobody_is_forgotten(&w);
	e = entry_of(&w, "r0");
	step_next(e, e->settled_until_us - 1, &step);
	assert_true(step.method == NULL && step.rests && step.why == STATUS_WHY_REFUSED);
	step_next(e, e->settled_until_us, &step);
	assert_string_equal(step.method, "PATCH");
	json_decref(step.body);
	end(&w);
}

static void what_was_refused_is_sent_at_once_when_it_shall_say_something_else(void **state)
{
	struct world w;

	begin(&w);
	put_route(&w, "r0");
	w.refuse = 422;
	w.refused = "r0";
	plan(&w);
	run_until(&w, is_refused);
	w.refuse = 0;
	put_service(&w);
	plan(&w);
	run_until(&w, says_true);
	end(&w);
}

static bool has_looked(struct world *w)
{
	return w->status->plan == NULL;
}

static void what_changed_while_it_was_refused_is_sent_at_once(void **state)
{
	struct world w;

	begin(&w);
	put_route(&w, "r0");
	w.hold = w.once = true;
	w.refuse = 422;
	w.refused = "r0";
	plan(&w);
	run_until(&w, route_is_asked);
	put_service(&w);
	plan(&w);
	run_until(&w, has_looked);
	w.hold = false;
	loop_timer_set(w.loop, &w.answer, 0);
	run_until(&w, says_true);
	end(&w);
}

static bool waits_for_a_plan(struct world *w)
{
	return why_of(w, "r0") == STATUS_WHY_VERSION;
}

static void an_object_ahead_of_its_plan_is_looked_at_again(void **state)
{
	struct world w;
	json_t *route;

	begin(&w);
	put_route(&w, "r0");
	plan(&w);
	run_until(&w, says_false);
	route = json_object_get(w.objects, route_path("r0"));
	json_object_set_new(json_object_get(route, "metadata"), "generation", json_integer(2));
	touch(&w, route);
	bring(&w, KIND_HTTP_ROUTE, route_path("r0"));
	status_on_change(w.status);
	run_until(&w, waits_for_a_plan);
	assert_nobody_is_forgotten(&w);
	put_service(&w);
	plan(&w);
	run_until(&w, says_true);
	end(&w);
}

static void wakings_do_not_add_up_to_a_time_that_never_comes(void **state)
{
	struct world w;
	struct writer *wr;

	begin(&w);
	put_route(&w, "r0");
	put_route(&w, "r1");
	plan(&w);
	run_until(&w, is_done);
	wr = writer_get(w.status, EAST);
	for (int i = 0; i < 20; i++) {
		/* one was refused, and another one gets through */
		wr->scout[KIND_HTTP_ROUTE] = entry_of(&w, "r1");
		bring(&w, KIND_HTTP_ROUTE, route_path("r0"));
		if (i % 2 == 0)
			put_service(&w);
		else
			remove_service(&w);
		plan(&w);
		run_until(&w, i % 2 == 0 ? says_true : says_false);
	}
	assert_true(wr->woken_us[KIND_HTTP_ROUTE] <= clock_mono_us() + RETRY_WAKE_US);
	end(&w);
}

static bool both_are_refused(struct world *w)
{
	const struct entry *a = entry_of(w, "r0"), *b = entry_of(w, "r1");

	return a->failures != 0 && b->failures != 0;
}

static void when_the_one_that_asks_for_all_is_gone_the_others_ask(void **state)
{
	struct world w;
	struct writer *wr;
	struct entry *other;

	begin(&w);
	put_route(&w, "r0");
	put_route(&w, "r1");
	plan(&w);
	run_until(&w, is_done);
	wr = writer_get(w.status, EAST);
	/* the server knows neither; r0 asks first */
	json_object_del(w.objects, route_path("r0"));
	json_object_del(w.objects, route_path("r1"));
	put_service(&w);
	plan(&w);
	run_until(&w, both_are_refused);
	other = wr->scout[KIND_HTTP_ROUTE] == entry_of(&w, "r0") ? entry_of(&w, "r1")
								 : entry_of(&w, "r0");
	other->not_before_us = clock_mono_us() + RETRY_MAX_US;
	entry_free(wr->scout[KIND_HTTP_ROUTE]);
	assert_true(other->not_before_us <= clock_mono_us() + RETRY_WAKE_US + RETRY_SPREAD_US);
	end(&w);
}

static bool only_the_orphan_waits(struct world *w)
{
	struct status_wait waits[STATUS_WAITS_MAX];

	return status_waits(w->status, EAST, waits) == 1 && waits[0].why == STATUS_WHY_ORPHAN &&
		str_eq(waits[0].name, STR("r0"));
}

static void an_object_without_its_namespace_is_named_and_keeps_nobody_waiting(void **state)
{
	struct status_wait waits[STATUS_WAITS_MAX];
	struct world w;

	begin(&w);
	put_route(&w, "r0");
	w.refuse = 404;
	w.refused = "r0";
	w.missing = "namespaces";
	plan(&w);
	run_until(&w, only_the_orphan_waits);
	assert_null(writer_get(w.status, EAST)->scout[KIND_HTTP_ROUTE]);
	assert_nobody_is_forgotten(&w);
	w.refuse = 0; /* it was made again */
	run_until(&w, says_false);
	run_until(&w, is_done);
	assert_int_equal(status_waits(w.status, EAST, waits), 0);
	end(&w);
}

static bool is_made_again(struct world *w)
{
	return w->status->writers_count != 0 &&
		w->status->writers[0]->counters[STATUS_SERVICES_APPLIED] == 2;
}

/* The store has never seen it, or came and went with it: all is as before for it. */
static void a_service_that_somebody_deletes_is_made_again_and_not_denied(void **state)
{
	struct writer *wr;
	struct world w;

	begin(&w);
	assert_true(ip_net_parse(STR("192.0.2.0/28"), &w.net));
	w.pool = (struct config_pool){.name = STR("p"), .cidrs = &w.net, .cidrs_count = 1};
	w.config.pools = &w.pool;
	w.config.pools_count = 1;
	w.service_gone = true;
	plan(&w);
	plan(&w);
	run_until(&w, is_made_again);
	wr = writer_get(w.status, EAST);
	assert_int_equal(wr->counters[STATUS_DENIED], 0);
	assert_true(wr->counters[STATUS_GONE] != 0);
	assert_null(wr->scout[KIND_SERVICE]);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_conflict_with_our_own_last_answer_is_read_again_though_no_watch_says_why),
		cmocka_unit_test(reading_between_conflicts_does_not_make_them_come_faster),
		cmocka_unit_test(what_was_refused_is_sent_again_when_its_time_has_come),
		cmocka_unit_test(what_was_refused_is_sent_at_once_when_it_shall_say_something_else),
		cmocka_unit_test(what_changed_while_it_was_refused_is_sent_at_once),
		cmocka_unit_test(an_object_ahead_of_its_plan_is_looked_at_again),
		cmocka_unit_test(wakings_do_not_add_up_to_a_time_that_never_comes),
		cmocka_unit_test(when_the_one_that_asks_for_all_is_gone_the_others_ask),
		cmocka_unit_test(an_object_without_its_namespace_is_named_and_keeps_nobody_waiting),
		cmocka_unit_test(a_service_that_somebody_deletes_is_made_again_and_not_denied),
	};

	return cmocka_run_group_tests_name("status_writer", tests, NULL, NULL);
}
