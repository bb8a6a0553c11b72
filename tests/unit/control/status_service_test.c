// SPDX-License-Identifier: Apache-2.0
/*
 * status_service_test.c: the Service that shows a Gateway's VIPs, and what is told in Events.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/status/event.h"
#include "control/status/lbservice.h"
#include "control/status/merge.h"
#include "control/store/store.h"
#include "dataplane/base/cleanup.h"

#define LONG_63 "a23456789012345678901234567890123456789012345678901234567890123"
#define LONG_70 LONG_63 "4567890"

/* --- Services --- */

static const struct listener listeners[] = {
	{.name = STR("a"), .protocol = STR("HTTP"), .port = 80},
	{.name = STR("b"), .protocol = STR("HTTPS"), .port = 443},
	{.name = STR("c"), .protocol = STR("HTTPS"), .port = 443},
	{.name = STR("d"), .protocol = STR("UDP"), .port = 80},
};
static const struct kv infra[] = {{STR("app.kubernetes.io/managed-by"), STR("evil")},
	{STR("team"), STR("edge")}};

struct fixture {
	struct gateway spec;
	struct object obj;
	struct plan_listener l[4];
	struct ip_addr vip;
	struct plan_gateway gw;
	struct control_config config;
};

static void fixture_init(struct fixture *f, struct str ns, struct str name)
{
	*f = (struct fixture){.spec = {.class_name = STR("sluice"), .labels = {infra, 2}}};
	f->obj = (struct object){.kind = KIND_GATEWAY,
		.ns = ns,
		.name = name,
		.uid = STR("u-1"),
		.gateway = &f->spec};
	for (int i = 0; i < 4; i++)
		f->l[i].spec = &listeners[i];
	assert_true(ip_parse(STR("203.0.113.7"), &f->vip));
	f->gw = (struct plan_gateway){.obj = &f->obj,
		.addresses = &f->vip,
		.addresses_count = 1,
		.listeners = f->l,
		.listeners_count = 4,
		.serves = true};
	f->config.controller_name = STR("x.io/us");
	f->config.services_namespace = STR("tigera-gateway");
	f->config.services_class = STR("x.io/vip");
	f->config.services_name_label = "owning-name";
	f->config.services_namespace_label = "owning-namespace";
}

static const char *label(const json_t *service, const char *key)
{
	return status_text(json_object_get(json_object_get(service, "metadata"), "labels"), key);
}

static void it_is_found_by_the_labels_of_tutorials(void **state)
{
	struct fixture f;
	json_t *s;

	fixture_init(&f, STR("demo"), STR("web"));
	s = lbservice_desired(&f.gw, &f.config);
	assert_string_equal(label(s, "owning-name"), "web");
	assert_string_equal(label(s, "owning-namespace"), "demo");
	assert_string_equal(label(s, LABEL_GATEWAY_NAME), "web");
	assert_string_equal(label(s, "team"), "edge");
	assert_string_equal(label(s, LABEL_MANAGED_BY), "sluice");
	json_decref(s);
}

static void its_ports_are_those_of_the_listeners_each_once(void **state)
{
	struct fixture f;
	autofree char *text = NULL;
	json_t *s, *spec;

	fixture_init(&f, STR("demo"), STR("web"));
	s = lbservice_desired(&f.gw, &f.config);
	spec = json_object_get(s, "spec");
	assert_int_equal(json_array_size(json_object_get(spec, "ports")), 3);
	assert_true(json_is_false(json_object_get(spec, "allocateLoadBalancerNodePorts")));
	assert_null(json_object_get(spec, "selector"));
	json_decref(s);
	s = lbservice_status(&f.gw);
	text = json_dumps(s, JSON_COMPACT);
	assert_string_equal(text,
		"{\"loadBalancer\":{\"ingress\":[{\"ip\":\"203.0.113.7\",\"ipMode\":"
		"\"Proxy\"}]}}");
	json_decref(s);
}

static void an_owner_is_named_within_one_namespace_only(void **state)
{
	struct fixture f;
	json_t *far, *beside;

	fixture_init(&f, STR("demo"), STR("web"));
	far = lbservice_desired(&f.gw, &f.config);
	assert_null(json_object_get(json_object_get(far, "metadata"), "ownerReferences"));
	f.config.services_namespace = STR("");
	beside = lbservice_desired(&f.gw, &f.config);
	assert_string_equal(status_text(json_object_get(beside, "metadata"), "namespace"), "demo");
	assert_int_equal(json_array_size(json_object_get(json_object_get(beside, "metadata"),
				 "ownerReferences")),
		1);
	json_decref(far);
	json_decref(beside);
}

static void without_an_address_there_is_none(void **state)
{
	struct fixture f;

	fixture_init(&f, STR("demo"), STR("web"));
	f.gw.addresses_count = 0;
	assert_null(lbservice_desired(&f.gw, &f.config));
}

static bool is_label(const char *s)
{
	size_t n = strlen(s);

	return n <= 63 && s[0] >= 'a' && s[0] <= 'z' && s[n - 1] != '-' &&
		strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static void its_name_is_a_dns_label_and_unique(void **state)
{
	static const char *const gateways[][2] = {{"demo", "web"}, {"demo-web", "x"},
		{"demo", "web-x"}, {"1", "2.3"}, {"1", "2-3"}, {LONG_63, LONG_70},
		{LONG_63, LONG_70 ".a"}};
	char names[7][LBSERVICE_NAME_MAX];

	for (int i = 0; i < 7; i++) {
		struct object o = {.ns = str_of(gateways[i][0]), .name = str_of(gateways[i][1])};

		lbservice_name(&o, names[i]);
		assert_true(is_label(names[i]));
		for (int k = 0; k < i; k++)
			assert_string_not_equal(names[i], names[k]);
	}
}

static void long_names_are_hashed_in_labels(void **state)
{
	char buf[LABEL_VALUE_LEN_MAX + 1], other[LABEL_VALUE_LEN_MAX + 1];

	label_value(STR(LONG_63), buf);
	assert_string_equal(buf, LONG_63);
	label_value(STR(LONG_70), buf);
	assert_int_equal(strlen(buf), 63);
	label_value(STR(LONG_70 "x"), other);
	assert_string_not_equal(buf, other);
}

/* As the store has what we wrote, through the schema of Service. */
static const struct object *stored(struct store *store, const json_t *service, const char *edit,
	struct view **ret_view)
{
	autofree char *json = json_dumps(service, JSON_COMPACT);
	char text[4096], *at;

	snprintf(text, sizeof(text), "%s", json);
	at = edit != NULL ? strstr(text, edit) : NULL;
	if (at != NULL)
		at[0] = at[0] == 'e' ? 'f' : 'e';
	store_put_text(store, STR("c"), "f.yaml", str_of(text));
	*ret_view = store_view(store);
	return view_find(*ret_view, KIND_SERVICE, STR("c"), STR("tigera-gateway"),
		str_of(status_text(json_object_get(service, "metadata"), "name")));
}

static void what_somebody_edited_is_seen(void **state)
{
	static const char *const edits[] = {NULL, "edge\"", "demo/web\""};
	struct fixture f;
	json_t *s;

	fixture_init(&f, STR("demo"), STR("web"));
	s = lbservice_desired(&f.gw, &f.config);
	for (int i = 0; i < 3; i++) {
		struct store *store = store_new();
		struct view *v;
		const struct object *o = stored(store, s, edits[i], &v);

		assert_non_null(o);
		assert_int_equal(lbservice_differs(o, s), edits[i] != NULL);
		assert_true(lbservice_is_ours(o, &f.config));
		view_put(v);
		store_free(store);
	}
	json_decref(s);
}

/* --- Events --- */

static void note(void *arg, const struct event_said *e)
{
	char *buf = arg;
	size_t n = strlen(buf);

	snprintf(buf + n, 1024 - n, "%c %s: %s\n", e->warning ? 'W' : 'N', e->reason, e->note);
}

#define C(t, s, r, m) "{'type':'" t "','status':'" s "','reason':'" r "','message':'" m "'}"
#define P(conditions) \
	"{'parents':[{'controllerName':'x.io/us','parentRef':{'kind':'Gateway','name':'gw'}," \
	"'conditions':[" conditions "]},{'controllerName':'y','parentRef':{'name':'gw'}," \
	"'conditions':[" C("Accepted", "False", "Bad", "theirs") "]}]}"

static const struct event_row {
	const char *name, *before, *after, *events;
} event_rows[] = {
	{"accepted is told", "{}", "{'conditions':[" C("Accepted", "True", "Accepted", "ok") "]}",
		"N Accepted: ok\n"},
	{"once", "{'conditions':[" C("Accepted", "True", "Accepted", "ok") "]}",
		"{'conditions':[" C("Accepted", "True", "Accepted", "other words") "]}", ""},
	{"another reason is news", "{'conditions':[" C("Accepted", "True", "Accepted", "ok") "]}",
		"{'conditions':[" C("Accepted", "True", "ListenersNotValid", "some") "]}",
		"N ListenersNotValid: some\n"},
	{"what is on its way is not told", "{}",
		"{'conditions':[" C("Programmed", "False", "Pending", "wait") "]}", ""},
	{"a refusal is a warning", "{'conditions':[" C("Accepted", "True", "Accepted", "") "]}",
		"{'conditions':[" C("Accepted", "False", "Invalid", "why") "]}",
		"W Invalid: why\n"},
	{"references that resolve from the start are no news", "{}",
		P(C("ResolvedRefs", "True", "ResolvedRefs", "all")), ""},
	{"those that resolve again are", P(C("ResolvedRefs", "False", "BackendNotFound", "x")),
		P(C("ResolvedRefs", "True", "ResolvedRefs", "all")),
		"N ResolvedRefs: Gateway gw: all\n"},
	{"a missing grant is told with its Gateway",
		P(C("ResolvedRefs", "True", "ResolvedRefs", "")),
		P(C("ResolvedRefs", "False", "RefNotPermitted", "no grant")),
		"W RefNotPermitted: Gateway gw: no grant\n"},
	{"rules that are dropped are told", P(""),
		P(C("PartiallyInvalid", "True", "UnsupportedValue", "Dropped Rule: 1")),
		"W UnsupportedValue: Gateway gw: Dropped Rule: 1\n"},
	{"of a listener only what is wrong", "{}",
		"{'listeners':[{'name':'a','conditions':[" C("Accepted", "True", "Accepted",
			"") "," C("Conflicted", "True", "HostnameConflict", "b") "]}]}",
		"W HostnameConflict: Listener a: b\n"},
	{"what is no status is no news", "{'conditions':7}", "{'conditions':[1,'x',{}]}", ""},
};

static json_t *parse(const char *text)
{
	autofree char *copy = strdup(text);
	json_t *j;

	for (char *p = copy; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	j = json_loads(copy, 0, NULL);
	assert_non_null(j);
	return j;
}

static void test_event(void **state)
{
	const struct event_row *row = *state;
	json_t *before = parse(row->before), *after = parse(row->after);
	char buf[1024] = "";

	event_compare(before, after, STR("x.io/us"), note, buf);
	assert_string_equal(buf, row->events);
	json_decref(before);
	json_decref(after);
}

static void at_most_once_a_minute_and_counted(void **state)
{
	struct event_table *t = calloc(1, sizeof(*t));
	uint64_t key = event_key(STR("uid"), "Accepted"), s = 1000000, now = 5 * s;
	struct event_slot *slot;

	assert_non_null(t);
	assert_int_equal(event_ask(t, key, 1, now, &slot), EVENT_NEW);
	for (int i = 0; i < 59; i++)
		assert_int_equal(event_ask(t, key, 1, now += s, &slot), EVENT_LATER);
	assert_int_equal(event_ask(t, key, 1, now += s, &slot), EVENT_AGAIN);
	assert_int_equal(slot->count, 61);
	assert_int_equal(event_ask(t, event_key(STR("uid"), "Invalid"), 1, now, &slot), EVENT_NEW);
	assert_int_equal(event_ask(t, key, 2, now + EVENT_SERIES_US, &slot), EVENT_NEW);
	free(t);
}

static void names_and_times_are_as_the_api_wants_them(void **state)
{
	char name[300], longest[254];
	json_t *j = event_time(1795252440000042);

	assert_string_equal(json_string_value(j), "2026-11-21T09:14:00.000042Z");
	json_decref(j);
	memset(longest, 'a', 253);
	longest[253] = '\0';
	event_name(str_of(longest), UINT64_MAX, name, sizeof(name));
	assert_int_equal(strlen(name), 253);
	event_name(STR("web"), 255, name, sizeof(name));
	assert_string_equal(name, "web.00000000000000ff");
}

#define ROWS (sizeof(event_rows) / sizeof(event_rows[0]))

int main(void)
{
	static const struct CMUnitTest fixed[] = {
		cmocka_unit_test(it_is_found_by_the_labels_of_tutorials),
		cmocka_unit_test(its_ports_are_those_of_the_listeners_each_once),
		cmocka_unit_test(an_owner_is_named_within_one_namespace_only),
		cmocka_unit_test(without_an_address_there_is_none),
		cmocka_unit_test(its_name_is_a_dns_label_and_unique),
		cmocka_unit_test(long_names_are_hashed_in_labels),
		cmocka_unit_test(what_somebody_edited_is_seen),
		cmocka_unit_test(at_most_once_a_minute_and_counted),
		cmocka_unit_test(names_and_times_are_as_the_api_wants_them),
	};
	struct CMUnitTest tests[ROWS + sizeof(fixed) / sizeof(fixed[0])];

	memcpy(tests, fixed, sizeof(fixed));
	for (size_t i = 0; i < ROWS; i++)
		tests[sizeof(fixed) / sizeof(fixed[0]) + i] =
			(struct CMUnitTest){event_rows[i].name, test_event, NULL, NULL,
				(void *)&event_rows[i]};
	return cmocka_run_group_tests_name("status_service", tests, NULL, NULL);
}
