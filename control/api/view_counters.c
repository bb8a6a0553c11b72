// SPDX-License-Identifier: Apache-2.0
/*
 * view_counters.c: every counter of every dataplane by name.
 *
 *	{"dataplanes": {"dp0": {
 *		"net": {"eth_drop_short": 0, ...}, "port": {"eth0": {...}}, ...	one per layer
 *		"agent": {...},
 *		"objects": {"listener": {"infra/gw/http": {"requests": 12, ...}}, "rule": ..},
 *		"usage": {"0": {...}}}},		what worker 0 holds at the moment
 *	 "errors": [...]}
 *
 * Objects that are no longer configured keep counting to the end of what they had in flight; they
 * are shown by the name the dataplane remembers, with their id.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/api/gather.h"
#include "control/api/labels.h"
#include "control/api/view.h"

/* The member of <obj>, made an empty object if it is not there. */
static json_t *member(json_t *obj, const char *key)
{
	json_t *m = json_object_get(obj, key);

	if (m == NULL) {
		m = json_object();
		json_object_set_new(obj, key, m);
	}
	return m;
}

static const char *text_of(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s != NULL ? s : "";
}

/* [{name, help, value}] -> {name: value} */
static void add_values(json_t *to, const json_t *list)
{
	json_t *c;
	size_t i;

	json_array_foreach ((json_t *)list, i, c)
		if (json_is_number(json_object_get(c, "value")))
			json_object_set(to, text_of(c, "name"), json_object_get(c, "value"));
}

static void add_sets(json_t *to, const json_t *answer)
{
	json_t *set;
	size_t i;

	json_array_foreach (json_object_get(answer, "sets"), i, set) {
		json_t *scope = member(to, text_of(set, "scope"));
		const char *instance = text_of(set, "instance");

		add_values(*instance ? member(scope, instance) : scope,
			json_object_get(set, "counters"));
	}
}

static void add_objects(json_t *to, const json_t *answer, const json_t *labels)
{
	json_t *list, *obj;
	const char *scope;
	size_t i;

	json_object_foreach (json_object_get(answer, "objects"), scope, list) {
		json_t *by_id = json_object_get(labels, scope), *out = member(to, scope);

		json_array_foreach (list, i, obj) {
			const char *id = text_of(obj, "id");
			const json_t *l = json_object_get(by_id, id);
			char *key = NULL;

			if (l != NULL)
				key = labels_text(l);
			else if (asprintf(&key, "%s #%s", text_of(obj, "name"), id) < 0)
				key = NULL;
			if (key != NULL)
				json_object_set(out, key, json_object_get(obj, "counters"));
			free(key);
		}
	}
}

/* What a worker says of itself, by its number, without what is no usage. */
static void add_usage(json_t *to, const json_t *answer)
{
	json_t *w;
	size_t i;

	json_array_foreach (json_object_get(answer, "workers"), i, w) {
		json_t *copy = json_copy(w);
		char key[16];

		snprintf(key, sizeof(key), "%d",
			(int)json_integer_value(json_object_get(w, "worker")));
		json_object_del(copy, "worker");
		json_object_del(copy, "stage");
		json_object_del(copy, "turns");
		json_object_del(copy, "in_turn_us");
		json_object_del(copy, "work");
		json_object_del(copy, "profiling");
		json_object_del(copy, "cycles");
		json_object_set_new(to, key, copy);
	}
}

enum { QUERY_COUNTERS, QUERY_CONFIG, QUERY_WORKERS, QUERY_COUNT };

static void counters_done(struct gather *g)
{
	const struct build_config *c = g->req->source->compiled;
	json_t *dataplanes = json_object();
	json_t *labels = c != NULL ? labels_new(c) : json_object();

	for (unsigned i = 0; i < g->part_count; i++) {
		const struct gather_part *part = &g->parts[i];
		char name[128];
		json_t *to;

		if (part->answer == NULL)
			continue;
		snprintf(name, sizeof(name), "%.*s", STR_FMT(part->name));
		to = member(dataplanes, name);
		if (part->query == QUERY_COUNTERS) {
			add_sets(to, part->answer);
			add_objects(member(to, "objects"), part->answer, labels);
		} else if (part->query == QUERY_CONFIG) {
			add_values(member(to, "agent"), json_object_get(part->answer, "counters"));
		} else {
			add_usage(member(to, "usage"), part->answer);
		}
	}
	json_decref(labels);
	api_reply_json(g->req, 200,
		json_pack("{s:o, s:o}", "dataplanes", dataplanes, "errors", gather_errors(g)));
}

void view_counters(struct api_request *r)
{
	const struct gather_options opt = {
		.queries =
			{
				[QUERY_COUNTERS] = {STR("counters"), STR("{\"objects\":true}")},
				[QUERY_CONFIG] = {.verb = STR("config")},
				[QUERY_WORKERS] = {.verb = STR("workers")},
			},
		.query_count = QUERY_COUNT,
		.fn = counters_done,
	};

	gather_start(r, &opt);
}
