// SPDX-License-Identifier: Apache-2.0
/*
 * labels.c: one table per kind, and a set of the texts that are taken.
 */
#include "control/api/labels.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/api/view.h"

struct table {
	json_t *by_id, *taken;
};

char *labels_text(const json_t *labels)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	const char *key, *blank = "";
	json_t *v;

	if (f == NULL)
		return NULL;
	json_object_foreach ((json_t *)labels, key, v) {
		fprintf(f, "%s%s", blank, json_string_value(v));
		blank = " ";
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* Takes <labels> over. <last> is the member that tells two objects apart, if need be by the id. */
static void table_add(struct table *t, uint64_t id, json_t *labels, const char *last)
{
	char key[VIEW_ID_STRLEN], *text = labels_text(labels);

	view_id_format(id, key);
	if (text != NULL && json_object_get(t->taken, text) != NULL &&
		json_object_get(t->by_id, key) == NULL)
		json_object_set_new(labels, last,
			json_sprintf("%s #%s", json_string_value(json_object_get(labels, last)),
				key));
	else if (text != NULL)
		json_object_set_new(t->taken, text, json_true());
	json_object_set_new(t->by_id, key, labels);
	free(text);
}

static void add_rules(const struct build_route *r, struct table *rules, struct table *backends)
{
	for (uint32_t i = 0; i < r->rule_count; i++) {
		const struct build_rule *rule = &r->rules[i];
		json_t *labels = json_pack("{s:o}", "rule", view_str(rule->name));
		json_t *name;

		table_add(rules, rule->id, labels, "rule");
		name = json_object_get(labels, "rule");
		for (uint32_t k = 0; k < rule->backend_count; k++)
			table_add(backends, rule->backends[k].id,
				json_pack("{s:O, s:o}", "rule", name, "backend",
					view_str(rule->backends[k].name)),
				"backend");
	}
}

static void add_endpoints(const struct build_service *s, struct table *endpoints)
{
	for (uint32_t i = 0; i < s->endpoint_count; i++) {
		const struct build_endpoint *e = &s->endpoints[i];
		char addr[IP_ADDR_STRLEN];
		bool v4 = ip_is_v4(&e->addr);

		table_add(endpoints, e->id,
			json_pack("{s:o, s:o, s:o}", "cluster", view_str(e->cluster), "endpoint",
				view_str(e->name), "address",
				json_sprintf("%s%s%s:%u", v4 ? "" : "[", ip_format(&e->addr, addr),
					v4 ? "" : "]", e->port)),
			"endpoint");
	}
}

json_t *labels_new(const struct build_config *c)
{
	struct table t[4];
	json_t *all;

	for (int i = 0; i < 4; i++)
		t[i] = (struct table){json_object(), json_object()};
	for (uint32_t i = 0; i < c->listener_count; i++)
		table_add(&t[0], c->listeners[i].id,
			json_pack("{s:o}", "listener", view_str(c->listeners[i].name)), "listener");
	for (uint32_t i = 0; i < c->route_count; i++)
		add_rules(&c->routes[i], &t[1], &t[2]);
	for (uint32_t i = 0; i < c->service_count; i++)
		add_endpoints(&c->services[i], &t[3]);
	all = json_pack("{s:o, s:o, s:o, s:o}", "listener", t[0].by_id, "rule", t[1].by_id,
		"backend", t[2].by_id, "endpoint", t[3].by_id);
	for (int i = 0; i < 4; i++)
		json_decref(t[i].taken);
	return all;
}
