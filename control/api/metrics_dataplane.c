// SPDX-License-Identifier: Apache-2.0
/*
 * metrics_dataplane.c: counters of the dataplanes as metrics.
 *
 * Names come from the tables of the layers (.def), so a new counter is a new metric:
 *
 *	net eth_drop_short (any name with "_drop_")	sluice_drops_total{layer, reason}
 *	net arp_replies_sent				sluice_net_arp_replies_sent_total
 *	port "wan" rx_packets				sluice_port_rx_packets_total{port="wan"}
 *	listener responses_5xx				sluice_listener_responses_total{code_class}
 *	rule time_us					sluice_rule_time_seconds_total
 *	agent apply_us_max (a gauge by its name)	sluice_agent_apply_seconds_max
 *
 * Objects carry the names of the configuration. Endpoints come and go with every rollout, so their
 * counters are summed per cluster; each by itself is in /api/v1/counters. Objects that are no
 * longer configured are left out.
 */
#include <stdio.h>
#include <string.h>

#include "control/api/metrics.h"

struct sink {
	struct prom *p;
	struct str dataplane;
};

static const char *text_of(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s != NULL ? s : "";
}

static uint64_t number_of(const json_t *v)
{
	json_int_t n = json_integer_value(v);

	return n > 0 ? (uint64_t)n : 0;
}

/* Base units: "time_us" and "apply_us_last" are seconds, with their value in millionths. */
static bool name_in_seconds(const char *name, char *buf, size_t size)
{
	const char *us = strstr(name, "_us");

	if (us == NULL || (us[3] != '\0' && us[3] != '_'))
		return false;
	snprintf(buf, size, "%.*s_seconds%s", (int)(us - name), name, us + 3);
	return true;
}

/* What may fall again, by the words that our tables use for it. */
static bool is_gauge(const char *name)
{
	struct str s = str_of(name);

	return str_ends(s, STR("_last")) || str_ends(s, STR("_max")) ||
		strstr(name, "high_water") != NULL;
}

static void add_value(const struct sink *s, enum prom_type type, const char *scope,
	const char *name, const char *help, struct prom_labels labels, uint64_t value)
{
	const char *end = type == PROM_COUNTER ? "_total" : "";
	size_t n = strlen(scope);
	char metric[200], seconds[160];

	if (strncmp(name, scope, n) == 0 && name[n] == '_')
		name += n + 1; /* "tcp tcp_syn_in" */
	if (name_in_seconds(name, seconds, sizeof(seconds))) {
		snprintf(metric, sizeof(metric), "sluice_%s_%s%s", scope, seconds, end);
		prom_add_f(s->p, type, metric, help, labels, (double)value / 1e6);
	} else {
		snprintf(metric, sizeof(metric), "sluice_%s_%s%s", scope, name, end);
		prom_add(s->p, type, metric, help, labels, value);
	}
}

/* <labels> has room for one more. */
static void add_counter(const struct sink *s, const char *scope, const char *name, const char *help,
	struct prom_label *labels, unsigned count, uint64_t value)
{
	if (strlen(name) == sizeof("responses_2xx") - 1 && strncmp(name, "responses_", 10) == 0) {
		labels[count++] = (struct prom_label){"code_class", str_of(name + 10)};
		name = "responses";
		help = "Responses by class of status.";
	}
	add_value(s, is_gauge(name) ? PROM_GAUGE : PROM_COUNTER, scope, name, help,
		(struct prom_labels){labels, count}, value);
}

static void add_set(const struct sink *s, const char *scope, const char *instance,
	const json_t *counters)
{
	json_t *c;
	size_t i;

	json_array_foreach ((json_t *)counters, i, c) {
		const char *name = text_of(c, "name");
		struct prom_label l[PROM_LABELS_MAX] = {{"dataplane", s->dataplane}};
		unsigned n = 1;

		if (strstr(name, "_drop_") != NULL) {
			l[n++] = (struct prom_label){"layer", str_of(scope)};
			l[n++] = (struct prom_label){"reason", str_of(name)};
			prom_add(s->p, PROM_COUNTER, "sluice_drops_total",
				"Packets dropped, by reason.", (struct prom_labels){l, n},
				number_of(json_object_get(c, "value")));
			continue;
		}
		if (*instance != '\0')
			l[n++] = (struct prom_label){scope, str_of(instance)};
		add_counter(s, scope, name, text_of(c, "help"), l, n,
			number_of(json_object_get(c, "value")));
	}
}

static unsigned object_labels(const char *scope, const json_t *names, struct prom_label *l,
	unsigned n)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)names, key, v) {
		if (strcmp(scope, "endpoint") == 0 && strcmp(key, "cluster") != 0)
			continue;
		if (n < PROM_LABELS_MAX - 1)
			l[n++] = (struct prom_label){key, str_of(json_string_value(v))};
	}
	return n;
}

static void add_object(const struct sink *s, const char *scope, const json_t *obj,
	const json_t *names, const json_t *helps)
{
	json_t *v;
	const char *name;

	json_object_foreach (json_object_get(obj, "counters"), name, v) {
		struct prom_label l[PROM_LABELS_MAX] = {{"dataplane", s->dataplane}};
		unsigned n = object_labels(scope, names, l, 1);
		const char *help = text_of(helps, name);

		add_counter(s, scope, name, *help ? help : name, l, n, number_of(v));
	}
}

static void add_objects(const struct sink *s, const json_t *answer, const json_t *labels)
{
	const json_t *helps = json_object_get(answer, "help");
	const char *scope;
	json_t *list, *obj;
	size_t i;

	json_object_foreach (json_object_get(answer, "objects"), scope, list) {
		const json_t *by_id = json_object_get(labels, scope);

		json_array_foreach (list, i, obj) {
			const json_t *names = json_object_get(by_id, text_of(obj, "id"));

			if (names != NULL)
				add_object(s, scope, obj, names, json_object_get(helps, scope));
		}
	}
}

/* Numbers of a worker's report, however deep: sluice_worker_<path>{worker}. */
static void add_usage(const struct sink *s, struct str worker, const char *path, const json_t *obj)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)obj, key, v) {
		char name[120];

		if (snprintf(name, sizeof(name), "%s%s%s", path, *path ? "_" : "", key) >=
			(int)sizeof(name))
			continue;
		if (json_is_object(v))
			add_usage(s, worker, name, v);
		else if (json_is_integer(v) && strcmp(key, "worker") != 0)
			add_value(s, PROM_GAUGE, "worker", name, "As the worker reports it.",
				PROM_LABELS({"dataplane", s->dataplane}, {"worker", worker}),
				number_of(v));
	}
}

static void add_workers(const struct sink *s, const json_t *answer)
{
	json_t *w;
	size_t i;

	json_array_foreach (json_object_get(answer, "workers"), i, w) {
		json_t *use = json_copy(w);
		char number[16];

		/* these grow: they are among the counters */
		json_object_del(use, "work");
		json_object_del(use, "cycles");
		snprintf(number, sizeof(number), "%u",
			(unsigned)number_of(json_object_get(w, "worker")));
		add_usage(s, str_of(number), "", use);
		json_decref(use);
	}
}

void metrics_dataplane(struct prom *p, const struct gather_part *part, const json_t *labels)
{
	const struct sink s = {p, part->name};
	const json_t *a = part->answer;
	json_t *set;
	size_t i;

	if (part->query == METRICS_QUERY_WORKERS) {
		add_workers(&s, a);
	} else if (part->query == METRICS_QUERY_CONFIG) {
		add_set(&s, "agent", "", json_object_get(a, "counters"));
	} else {
		json_array_foreach (json_object_get(a, "sets"), i, set)
			add_set(&s, text_of(set, "scope"), text_of(set, "instance"),
				json_object_get(set, "counters"));
		add_objects(&s, a, labels);
	}
}
