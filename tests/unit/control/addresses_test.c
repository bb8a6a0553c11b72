// SPDX-License-Identifier: Apache-2.0
/*
 * addresses_test.c: an address once given stays: while the API server of its Gateway is away, and
 * when the address book is lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/reconcile/addresses.h"
#include "control/reconcile/plan.h"
#include "control/store/store_api.h"
#include "manifest_json.h"

struct world {
	struct store *store;
	struct control_config config;
	struct ip_net net;
	struct config_pool pool;
	struct address_book *book;
	char path[32];
};

static void book_load(struct world *w)
{
	struct err err;

	address_book_free(w->book);
	assert_int_equal(address_book_load(w->path, &w->book, &err), 0);
}

static void world_init(struct world *w, const char *pool)
{
	*w = (struct world){.store = store_new(), .path = "/tmp/addresses_test.XXXXXX"};
	close(mkstemp(w->path));
	unlink(w->path);
	w->config.controller_name = STR("gateway.sluice.internal/controller");
	assert_true(ip_net_parse(str_of(pool), &w->net));
	w->pool = (struct config_pool){.name = STR("p"), .cidrs = &w->net, .cidrs_count = 1};
	w->config.pools = &w->pool;
	w->config.pools_count = 1;
	book_load(w);
}

static void world_fini(struct world *w)
{
	address_book_free(w->book);
	store_free(w->store);
	unlink(w->path);
}

static void put(struct world *w, enum kind kind, const char *cluster, const char *text)
{
	json_t *j = manifest_json_text(text);

	assert_non_null(j);
	assert_int_equal(store_api_upsert(store_api_kind(w->store, str_of(cluster), kind), j),
		STORE_CHANGED);
	json_decref(j);
}

static void put_gateway(struct world *w, const char *cluster, const char *name, const char *rest)
{
	char text[1024];

	snprintf(text, sizeof(text),
		"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: %s, "
		"uid: u}, spec: {gatewayClassName: sluice, listeners: [{name: http, port: 80, "
		"protocol: HTTP}]}%s}",
		name, rest);
	put(w, KIND_GATEWAY, cluster, text);
}

#define BY_VALUE(name, value) \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: " name ", " \
	"uid: u}, spec: {gatewayClassName: sluice, addresses: [{value: " value "}], listeners: " \
	"[{name: http, port: 80, protocol: HTTP}]}}"

static void add_cluster(struct world *w, const char *cluster)
{
	put(w, KIND_GATEWAY_CLASS, cluster,
		"{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: "
		"sluice, uid: u}, spec: {controllerName: gateway.sluice.internal/controller}}");
	store_api_gate(w->store, str_of(cluster));
}

static void remove_gateway(struct world *w, const char *cluster, const char *name)
{
	json_t *j = json_pack("{s:{s:s, s:s, s:s}}", "metadata", "namespace", "default", "name",
		name, "uid", "u");

	store_api_delete(store_api_kind(w->store, str_of(cluster), KIND_GATEWAY), j);
	json_decref(j);
}

/* The next plan's "<gateway> <address> ..., ..."; it goes into the book. */
static const char *assigned(struct world *w)
{
	static char buf[512];
	struct plan_input in = {.view = store_view(w->store),
		.config = &w->config,
		.book = w->book};
	struct plan *p = plan_build(&in);
	char text[IP_ADDR_STRLEN];
	struct err err;
	size_t n = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < p->gateways_count; i++) {
		const struct plan_gateway *g = &p->gateways[i];

		n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%s%.*s", i ? ", " : "",
			STR_FMT(g->obj->name));
		for (uint32_t k = 0; k < g->addresses_count; k++)
			n += (size_t)snprintf(buf + n, sizeof(buf) - n, " %s",
				ip_format(&g->addresses[k], text));
	}
	assert_int_equal(address_book_update(w->book, p, w->path, &err), 0);
	plan_put(p);
	view_put(in.view);
	return buf;
}

static void start_anew(struct world *w)
{
	store_free(w->store);
	w->store = store_new();
	book_load(w);
}

static void an_address_stays_while_its_api_server_is_away(void **state)
{
	struct world w;

	world_init(&w, "203.0.113.0/29");
	add_cluster(&w, "us-west");
	put_gateway(&w, "us-west", "away", "");
	assert_string_equal(assigned(&w), "away 203.0.113.1");
	for (int restarts = 0; restarts < 2; restarts++) {
		start_anew(&w);
		add_cluster(&w, "us-east");
		put_gateway(&w, "us-east", "here", "");
		assert_string_equal(assigned(&w), "here 203.0.113.2");
	}
	add_cluster(&w, "us-west");
	put_gateway(&w, "us-west", "away", "");
	assert_string_equal(assigned(&w), "here 203.0.113.2, away 203.0.113.1");
	world_fini(&w);
}

/* Whoever has an address serves with it: asking for it by value does not take it away. */
static void an_address_that_is_in_use_cannot_be_asked_for(void **state)
{
	struct world w;

	world_init(&w, "203.0.113.0/29");
	add_cluster(&w, "east");
	put_gateway(&w, "east", "b", "");
	assert_string_equal(assigned(&w), "b 203.0.113.1");
	put(&w, KIND_GATEWAY, "east", BY_VALUE("a", "203.0.113.1"));
	assert_string_equal(assigned(&w), "a, b 203.0.113.1");
	/* its own it may ask for, and what nobody has */
	put(&w, KIND_GATEWAY, "east", BY_VALUE("b", "203.0.113.1"));
	assert_string_equal(assigned(&w), "a, b 203.0.113.1");
	put(&w, KIND_GATEWAY, "east", BY_VALUE("a", "203.0.113.2"));
	assert_string_equal(assigned(&w), "a 203.0.113.2, b 203.0.113.1");
	/* and who asks for another gives up what he had */
	put(&w, KIND_GATEWAY, "east", BY_VALUE("b", "203.0.113.3"));
	put(&w, KIND_GATEWAY, "east", BY_VALUE("a", "203.0.113.1"));
	assert_string_equal(assigned(&w), "a 203.0.113.1, b 203.0.113.3");
	world_fini(&w);
}

/* It was away, another asked for its address and serves with it. */
static void an_old_status_takes_nothing_from_anybody(void **state)
{
	struct world w;

	world_init(&w, "203.0.113.0/29");
	add_cluster(&w, "east");
	put(&w, KIND_GATEWAY, "east", BY_VALUE("b", "203.0.113.1"));
	assert_string_equal(assigned(&w), "b 203.0.113.1");
	put_gateway(&w, "east", "a", ", status: {addresses: [{value: 203.0.113.1}]}");
	assert_string_equal(assigned(&w), "a 203.0.113.2, b 203.0.113.1");
	world_fini(&w);
}

static void an_address_stays_while_its_pool_is_away(void **state)
{
	struct world w;

	world_init(&w, "203.0.113.0/29");
	add_cluster(&w, "east");
	put_gateway(&w, "east", "b", "");
	assert_string_equal(assigned(&w), "b 203.0.113.1");
	w.config.pools_count = 0;
	assert_string_equal(assigned(&w), "b");
	w.config.pools_count = 1;
	put_gateway(&w, "east", "a", "");
	assert_string_equal(assigned(&w), "a 203.0.113.2, b 203.0.113.1");
	world_fini(&w);
}

static void a_book_that_could_not_be_written_is_written_later(void **state)
{
	struct plan_input in;
	struct plan *p;
	struct world w;
	struct err err;

	world_init(&w, "203.0.113.0/29");
	add_cluster(&w, "east");
	put_gateway(&w, "east", "b", "");
	in = (struct plan_input){.view = store_view(w.store), .config = &w.config, .book = w.book};
	p = plan_build(&in);
	assert_true(address_book_update(w.book, p, "/no/such/folder/book", &err) < 0);
	assert_int_equal(address_book_update(w.book, p, w.path, &err), 0);
	assert_int_equal(access(w.path, F_OK), 0);
	plan_put(p);
	view_put(in.view);
	world_fini(&w);
}

static void a_deleted_gateway_gets_it_back_if_nobody_needed_it(void **state)
{
	struct world w;

	world_init(&w, "203.0.113.0/30"); /* the first one is passed over: three */
	add_cluster(&w, "us-east");
	put_gateway(&w, "us-east", "a", "");
	put_gateway(&w, "us-east", "b", "");
	assert_string_equal(assigned(&w), "a 203.0.113.1, b 203.0.113.2");
	remove_gateway(&w, "us-east", "a");
	put_gateway(&w, "us-east", "c", "");
	assert_string_equal(assigned(&w), "b 203.0.113.2, c 203.0.113.3");
	put_gateway(&w, "us-east", "a", "");
	assert_string_equal(assigned(&w), "a 203.0.113.1, b 203.0.113.2, c 203.0.113.3");
	/* The pool is full: what nobody uses now is better than nothing. */
	remove_gateway(&w, "us-east", "a");
	put_gateway(&w, "us-east", "d", "");
	assert_string_equal(assigned(&w), "b 203.0.113.2, c 203.0.113.3, d 203.0.113.1");
	put_gateway(&w, "us-east", "a", "");
	assert_string_equal(assigned(&w), "a, b 203.0.113.2, c 203.0.113.3, d 203.0.113.1");
	world_fini(&w);
}

static const struct {
	const char *name, *status, *want;
} adopted[] = {
	{"its address", "{addresses: [{type: IPAddress, value: 203.0.113.5}]}", "gw 203.0.113.5"},
	{"one address of each family only",
		"{addresses: [{value: 203.0.113.5}, {value: 203.0.113.6}]}", "gw 203.0.113.5"},
	{"nothing that lies in no pool", "{addresses: [{value: 192.0.2.1}]}", "gw 203.0.113.1"},
	{"nothing that is no address", "{addresses: [{type: Hostname, value: a.example}]}",
		"gw 203.0.113.1"},
	{"nothing of what makes no sense", "{addresses: {value: [7]}}", "gw 203.0.113.1"},
	{"nothing where nothing is", "{}", "gw 203.0.113.1"},
};

static void without_the_book_a_gateway_keeps_what_its_status_says(void **state)
{
	for (size_t i = 0; i < sizeof(adopted) / sizeof(adopted[0]); i++) {
		char status[256];
		struct world w;

		world_init(&w, "203.0.113.0/29");
		add_cluster(&w, "us-east");
		snprintf(status, sizeof(status), ", status: %s", adopted[i].status);
		put_gateway(&w, "us-east", "gw", status);
		assert_string_equal(assigned(&w), adopted[i].want);
		assert_string_equal(assigned(&w), adopted[i].want);
		world_fini(&w);
	}
}

static void the_book_is_believed_more_than_status(void **state)
{
	struct world w;

	world_init(&w, "203.0.113.0/29");
	add_cluster(&w, "us-east");
	put_gateway(&w, "us-east", "gw", "");
	assert_string_equal(assigned(&w), "gw 203.0.113.1");
	start_anew(&w);
	add_cluster(&w, "us-east");
	put_gateway(&w, "us-east", "gw", ", status: {addresses: [{value: 203.0.113.5}]}");
	assert_string_equal(assigned(&w), "gw 203.0.113.1");
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_stays_while_its_api_server_is_away),
		cmocka_unit_test(an_address_that_is_in_use_cannot_be_asked_for),
		cmocka_unit_test(an_old_status_takes_nothing_from_anybody),
		cmocka_unit_test(an_address_stays_while_its_pool_is_away),
		cmocka_unit_test(a_book_that_could_not_be_written_is_written_later),
		cmocka_unit_test(a_deleted_gateway_gets_it_back_if_nobody_needed_it),
		cmocka_unit_test(without_the_book_a_gateway_keeps_what_its_status_says),
		cmocka_unit_test(the_book_is_believed_more_than_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
