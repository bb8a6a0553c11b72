// SPDX-License-Identifier: Apache-2.0
/*
 * present_test.c: what a plan takes over from the status that objects carry. A control process that
 * starts anew must not move lastTransitionTime, must take nobody else's for its own, and must say
 * which of its own entries shall go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/reconcile/reconcile.h"
#include "control/store/store_api.h"
#include "manifest_json.h"

#define EAST STR("us-east")
#define NOW 1793000000 /* "2026-10-26T07:33:20Z" */
#define NOW_TEXT "2026-10-26T07:33:20Z"
#define OURS "gateway.sluice.internal/controller"
#define CONDITION(type, status, time) \
	"{type: " type ", status: '" status "', reason: R, message: m, lastTransitionTime: '" time \
	"'}"

/* <text> as an API server of cluster us-east has it, with <status>; NULL: none. */
static void feed(struct store *s, const char *text, const char *status)
{
	char whole[2048];
	const char *version, *kind;
	json_t *j;

	snprintf(whole, sizeof(whole), "%.*s, status: %s}", (int)strlen(text) - 1, text,
		status != NULL ? status : "{}");
	j = manifest_json_text(whole);
	assert_non_null(j);
	version = json_string_value(json_object_get(j, "apiVersion"));
	kind = json_string_value(json_object_get(j, "kind"));
	assert_int_not_equal(store_api_upsert(store_api_kind(s, EAST,
						      kind_of(str_of(version), str_of(kind))),
				     j),
		STORE_BROKEN);
	json_decref(j);
}

#define API "apiVersion: gateway.networking.k8s.io/v1, "

static struct store *world(const char *gateway_status)
{
	struct store *s = store_new();

	feed(s,
		"{" API "kind: GatewayClass, metadata: {name: sluice}, spec: {controllerName: " OURS
		"}}",
		NULL);
	feed(s,
		"{" API "kind: Gateway, metadata: {name: gw, namespace: infra}, spec: "
		"{gatewayClassName: sluice, addresses: [{value: 203.0.113.10}], listeners: "
		"[{name: http, port: 80, protocol: HTTP}]}}",
		gateway_status);
	return s;
}

static void route(struct store *s, const char *parent, const char *status)
{
	char text[512];

	snprintf(text, sizeof(text),
		"{" API "kind: HTTPRoute, metadata: {name: r, namespace: infra}, spec: "
		"{parentRefs: [{name: %s}]}}",
		parent);
	feed(s, text, status);
}

/* The status that a control process which has just started wants for the first of a kind. */
static json_t *status_of(struct store *s, const char *kind)
{
	struct control_config config = {.controller_name = STR(OURS)};
	struct plan_input in = {.config = &config, .now_s = NOW};
	json_t *all, *o, *found = NULL;
	struct plan *p;
	size_t i;

	store_api_gate(s, EAST);
	in.view = store_view(s);
	p = plan_build(&in);
	all = plan_status_json(p);
	json_array_foreach (all, i, o)
		if (found == NULL &&
			strcmp(json_string_value(json_object_get(o, "kind")), kind) == 0)
			found = json_incref(json_object_get(o, "status"));
	json_decref(all);
	plan_put(p);
	view_put(in.view);
	store_free(s);
	return found;
}

static const char *since(const json_t *of, const char *type)
{
	const json_t *c;
	size_t i;

	json_array_foreach (json_object_get(of, "conditions"), i, c)
		if (strcmp(json_string_value(json_object_get(c, "type")), type) == 0)
			return json_string_value(json_object_get(c, "lastTransitionTime"));
	fail_msg("no condition %s", type);
	return "";
}

#define LONG_AGO "2025-01-02T03:04:05Z"

static void a_condition_whose_status_stays_keeps_its_time_over_a_restart(void **state)
{
	json_t *st =
		status_of(world("{conditions: [" CONDITION("Accepted", "True",
				  LONG_AGO) ", " CONDITION("Programmed", "True",
				  LONG_AGO) "], listeners: [{name: http, conditions: "
					    "[" CONDITION("Accepted", "True", LONG_AGO) "]}]}"),
			"Gateway");
	const json_t *l = json_array_get(json_object_get(st, "listeners"), 0);

	assert_string_equal(since(st, "Accepted"), LONG_AGO);
	assert_string_equal(since(st, "Programmed"), NOW_TEXT); /* nobody has acknowledged */
	assert_string_equal(since(l, "Accepted"), LONG_AGO);
	assert_string_equal(since(l, "Conflicted"), NOW_TEXT);
	json_decref(st);
}

static void a_parents_time_comes_from_our_own_entry_for_it(void **state)
{
	struct store *s = world(NULL);
	json_t *st;

	route(s, "gw",
		"{parents: [{controllerName: example.com/other, parentRef: {group: "
		"gateway.networking.k8s.io, kind: Gateway, name: gw}, conditions: [" CONDITION(
			"Accepted", "True",
			"2020-01-01T00:00:00Z") "]}, {controllerName: " OURS
						", parentRef: {kind: Gateway, name: gw, "
						"sectionName: http}, conditions: [" CONDITION(
							"Accepted", "True",
							"2021-01-01T00:00:00Z") "]}, "
										"{controllerName:"
										" " OURS
										", parentRef: "
										"{kind: Gateway, "
										"name: gw}, "
										"conditions: "
										"[" CONDITION(
											"Accepted",
											"True",
											LONG_AGO) "]}]}");
	st = status_of(s, "HTTPRoute");
	assert_string_equal(since(json_array_get(json_object_get(st, "parents"), 0), "Accepted"),
		LONG_AGO);
	json_decref(st);
}

static void a_status_that_makes_no_sense_is_as_none(void **state)
{
	static const char *const nonsense[] = {
		"{conditions: 7}",
		"{conditions: [7, null, {type: Accepted}, {type: Accepted, status: 'True'}]}",
		"{conditions: {type: Accepted}, listeners: {name: http}}",
		"{conditions: [" CONDITION("Accepted", "True", "yesterday") "]}",
		"{listeners: [null, {name: 7}, {name: http, conditions: no}]}",
	};

	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		json_t *st = status_of(world(nonsense[i]), "Gateway");

		assert_string_equal(since(st, "Accepted"), NOW_TEXT);
		json_decref(st);
	}
}

#define ENTRY(controller) \
	"{parents: [{controllerName: " controller \
	", parentRef: {kind: Gateway, name: gw}, conditions: [" CONDITION("Accepted", "True", \
		LONG_AGO) "]}]}"

static void a_route_that_left_us_is_told_to_drop_our_entries(void **state)
{
	struct store *s = world(NULL);
	json_t *st;

	route(s, "elsewhere", ENTRY(OURS));
	st = status_of(s, "HTTPRoute");
	assert_non_null(st);
	assert_int_equal(json_array_size(json_object_get(st, "parents")), 0);
	json_decref(st);
}

static void a_route_with_entries_of_others_only_is_none_of_our_business(void **state)
{
	struct store *s = world(NULL);

	route(s, "elsewhere", ENTRY("example.com/other"));
	assert_null(status_of(s, "HTTPRoute"));
}

static void a_policy_that_no_route_leads_to_drops_our_entries(void **state)
{
	static const char policy[] =
		"{" API "kind: BackendTLSPolicy, metadata: {name: p, namespace: infra}, spec: "
		"{targetRefs: [{group: '', kind: Service, name: web}], validation: {hostname: "
		"web.example.com, wellKnownCACertificates: System}}}";
	struct store *s = world(NULL);
	json_t *st;

	feed(s, policy, "{ancestors: [{controllerName: " OURS ", ancestorRef: {name: gw}}]}");
	st = status_of(s, "BackendTLSPolicy");
	assert_non_null(st);
	assert_int_equal(json_array_size(json_object_get(st, "ancestors")), 0);
	json_decref(st);
	s = world(NULL);
	feed(s, policy, NULL);
	assert_null(status_of(s, "BackendTLSPolicy"));
}

static enum condition_status programmed(struct store *s, struct plan **acked)
{
	static const struct control_config config = {.controller_name = {OURS, sizeof(OURS) - 1}};
	struct plan_input in = {.config = &config, .now_s = NOW, .acked = *acked};
	struct plan *p;

	in.view = store_view(s);
	p = plan_build(&in);
	view_put(in.view);
	plan_put(*acked);
	*acked = p;
	return condition_find(&p->gateways[0].conditions, "Programmed")->status;
}

/* Its generation is 1 again, and its listeners are others. */
static void a_gateway_made_again_is_not_the_one_that_was_acknowledged(void **state)
{
	struct store *s = world(NULL);
	struct plan *acked = NULL;

	store_api_gate(s, EAST);
	assert_int_equal(programmed(s, &acked), CONDITION_FALSE);
	assert_int_equal(programmed(s, &acked), CONDITION_TRUE);
	feed(s,
		"{" API "kind: Gateway, metadata: {name: gw, namespace: infra}, spec: "
		"{gatewayClassName: sluice, addresses: [{value: 203.0.113.10}], listeners: "
		"[{name: http, port: 81, protocol: HTTP}]}}",
		NULL);
	assert_int_equal(programmed(s, &acked), CONDITION_FALSE);
	assert_int_equal(programmed(s, &acked), CONDITION_TRUE);
	plan_put(acked);
	store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_condition_whose_status_stays_keeps_its_time_over_a_restart),
		cmocka_unit_test(a_parents_time_comes_from_our_own_entry_for_it),
		cmocka_unit_test(a_status_that_makes_no_sense_is_as_none),
		cmocka_unit_test(a_route_that_left_us_is_told_to_drop_our_entries),
		cmocka_unit_test(a_route_with_entries_of_others_only_is_none_of_our_business),
		cmocka_unit_test(a_policy_that_no_route_leads_to_drops_our_entries),
		cmocka_unit_test(a_gateway_made_again_is_not_the_one_that_was_acknowledged),
	};

	return cmocka_run_group_tests_name("present", tests, NULL, NULL);
}
