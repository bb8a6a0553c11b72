// SPDX-License-Identifier: Apache-2.0
/*
 * metrics_control.c: what control knows by itself: the configuration, its shares, the links, and
 * the process (names of the process collector as everybody's dashboards have them).
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/api/metrics.h"
#include "control/api/view.h"

static void add_links(struct prom *p, struct publish *pub)
{
	for (uint32_t i = 0; i < publish_count(pub); i++) {
		struct publish_state st;

		publish_state(pub, i, &st);
		const struct prom_labels l = PROM_LABELS({"dataplane", st.name});

		prom_add(p, PROM_GAUGE, "sluice_dataplane_connected",
			"1 while the dataplane is heard.", l, st.connected);
		prom_add(p, PROM_GAUGE, "sluice_dataplane_synced",
			"1 while the dataplane holds all that is wanted.", l, st.synced);
		prom_add(p, PROM_GAUGE, "sluice_dataplane_draining",
			"1 while the dataplane takes no new connections.", l, st.draining);
		prom_add(p, PROM_GAUGE, "sluice_config_generation",
			"Generation of the configuration, wanted and in use.",
			PROM_LABELS({"dataplane", st.name}, {"kind", STR("applied")}),
			st.generation);
		prom_add(p, PROM_GAUGE, "sluice_config_generation", "",
			PROM_LABELS({"dataplane", st.name}, {"kind", STR("desired")}),
			publish_generation(pub));
		prom_add_f(p, PROM_GAUGE, "sluice_dataplane_lag_seconds",
			"Age of the oldest change that is not acknowledged.", l,
			(double)st.lag_us / 1e6);
		prom_add_f(p, PROM_GAUGE, "sluice_dataplane_ack_seconds",
			"From publishing to acknowledgement, the last time.", l,
			(double)st.ack_us / 1e6);
		prom_add(p, PROM_COUNTER, "sluice_dataplane_connects_total",
			"Times the link came up.", l, st.connects);
		prom_add(p, PROM_COUNTER, "sluice_snapshots_sent_total", "Snapshots sent.", l,
			st.snapshots_sent);
		prom_add(p, PROM_COUNTER, "sluice_changes_sent_total",
			"Weight vectors and endpoint sets sent.", l, st.smalls_sent);
		prom_add(p, PROM_COUNTER, "sluice_dataplane_refused_total",
			"Messages that the dataplane refused.", l, st.refused);
		prom_add(p, PROM_COUNTER, "sluice_dataplane_bad_messages_total",
			"Bytes from the dataplane that were no message.", l, st.bad_messages);
	}
}

static void add_objects(struct prom *p, const struct plan *plan)
{
	const struct view *v = plan->view;

	for (int k = 0; k < KIND_COUNT; k++)
		for (uint32_t i = 0; i < v->kinds[k].count; i++)
			prom_add(p, PROM_GAUGE, "sluice_objects",
				"Objects in use, by cluster and kind.",
				PROM_LABELS({"cluster", v->kinds[k].objects[i]->cluster},
					{"kind", kind_info[k].name}),
				1);
	for (uint32_t i = 0; i < v->kinds[KIND_ENDPOINT_SLICE].count; i++) {
		const struct object *o = v->kinds[KIND_ENDPOINT_SLICE].objects[i];

		prom_add(p, PROM_GAUGE, "sluice_endpoints_refused",
			"Endpoints whose addresses cannot be a pod's, by cluster.",
			PROM_LABELS({"cluster", o->cluster}), o->endpoint_slice->refused);
	}
	prom_add(p, PROM_GAUGE, "sluice_problems", "Sentences about files and objects.",
		PROM_LABELS({"severity", STR("error")}), v->fatal_count);
	prom_add(p, PROM_GAUGE, "sluice_problems", "", PROM_LABELS({"severity", STR("warning")}),
		v->problem_count - v->fatal_count);
}

static void add_conditions(struct prom *p, struct str kind, const struct conditions *c)
{
	static const char *const status[] = {"False", "True", "Unknown"};

	for (uint32_t i = 0; i < c->count; i++)
		prom_add(p, PROM_GAUGE, "sluice_conditions",
			"Conditions of objects, by kind, type and status.",
			PROM_LABELS({"kind", kind}, {"type", str_of(c->c[i].type)},
				{"status", str_of(status[c->c[i].status])}),
			1);
}

static void add_plan(struct prom *p, const struct plan *plan)
{
	for (uint32_t i = 0; i < plan->classes_count; i++)
		add_conditions(p, STR("GatewayClass"), &plan->classes[i].conditions);
	for (uint32_t i = 0; i < plan->gateways_count; i++) {
		const struct plan_gateway *gw = &plan->gateways[i];

		add_conditions(p, STR("Gateway"), &gw->conditions);
		for (uint32_t k = 0; k < gw->listeners_count; k++)
			add_conditions(p, STR("Listener"), &gw->listeners[k].conditions);
	}
	for (uint32_t i = 0; i < plan->sets_count; i++)
		add_conditions(p, STR("ListenerSet"), &plan->sets[i].conditions);
	for (uint32_t i = 0; i < plan->routes_count; i++)
		for (uint32_t k = 0; k < plan->routes[i].parents_count; k++)
			add_conditions(p, kind_info[plan->routes[i].obj->kind].name,
				&plan->routes[i].parents[k].conditions);
}

static void add_rule_shares(struct prom *p, const struct build_config *c,
	const struct build_rule *rule)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < rule->backend_count; i++)
		total += rule->backends[i].weight;
	for (uint32_t i = 0; i < rule->backend_count; i++) {
		const struct build_backend *b = &rule->backends[i];
		double share = view_percent(b->weight, total) / 100.0;
		const struct build_service *s = b->status == BUILD_BACKEND_OK
			? view_service_lookup(c, b->service_id)
			: NULL;

		prom_add_f(p, PROM_GAUGE, "sluice_backend_share_ratio",
			"Share of a rule's requests that a backend gets.",
			PROM_LABELS({"rule", rule->name}, {"backend", b->name}), share);
		for (uint32_t k = 0; s != NULL && k < s->endpoint_count; k++)
			prom_add_f(p, PROM_GAUGE, "sluice_cluster_share_ratio",
				"Share of a rule's requests that ends in a cluster.",
				PROM_LABELS({"rule", rule->name},
					{"cluster", s->endpoints[k].cluster}),
				share * view_endpoint_percent(c, s, k) / 100.0);
	}
}

static void add_compiled(struct prom *p, const struct build_config *c)
{
	for (uint32_t i = 0; i < c->route_count; i++)
		for (uint32_t k = 0; k < c->routes[i].rule_count; k++)
			add_rule_shares(p, c, &c->routes[i].rules[k]);
	for (uint32_t i = 0; i < c->service_count; i++)
		for (uint32_t k = 0; k < c->services[i].endpoint_count; k++) {
			const struct build_endpoint *e = &c->services[i].endpoints[k];

			prom_add(p, PROM_GAUGE, "sluice_service_endpoints",
				"Endpoints of a service, by cluster and state.",
				PROM_LABELS({"service", c->services[i].name},
					{"cluster", e->cluster},
					{"state", str_of(e->draining ? "draining" : "ready")}),
				1);
		}
}

void metrics_control(struct prom *p, const struct api_source *s)
{
	static const char *const kinds[] = {"nothing", "small", "snapshot"};

	prom_add(p, PROM_GAUGE, "sluice_build_info", "Version of control.",
		PROM_LABELS({"version", STR(SLUICE_VERSION)}), 1);
	prom_add(p, PROM_COUNTER, "sluice_plans_total", "Plans made.", PROM_NO_LABELS, s->turns);
	prom_add_f(p, PROM_COUNTER, "sluice_plan_seconds_total", "Time spent on making plans.",
		PROM_NO_LABELS, (double)s->turn_us / 1e6);
	for (int i = 0; i < 3; i++)
		prom_add(p, PROM_COUNTER, "sluice_publishes_total",
			"Configurations published, by what had to be sent.",
			PROM_LABELS({"kind", str_of(kinds[i])}), s->publishes[i]);
	prom_add(p, PROM_COUNTER, "sluice_publish_errors_total",
		"Configurations that could not be published.", PROM_NO_LABELS, s->publish_errors);
	add_links(p, s->publish);
	metrics_clusters(p, s);
	metrics_status(p, s);
	if (s->plan != NULL) {
		add_objects(p, s->plan);
		add_plan(p, s->plan);
	}
	if (s->compiled != NULL)
		add_compiled(p, s->compiled);
}

/* --- the process --- */

#define FDS_COUNTED_MAX 65536u

/* Not from /proc/self/fd: a process that gave up root may not look there. */
static uint64_t count_fds(rlim_t max)
{
	uint64_t n = 0;

	for (rlim_t fd = 0; fd < max && fd < FDS_COUNTED_MAX; fd++)
		n += fcntl((int)fd, F_GETFD) >= 0;
	return n;
}

/* proc(5): fields 14, 15, 20, 22, 23, 24 of stat; the name in field 2 may hold blanks. */
static void add_stat(struct prom *p)
{
	unsigned long utime, stime, vsize;
	unsigned long long start;
	long threads, rss, tick = sysconf(_SC_CLK_TCK);
	FILE *f = fopen("/proc/self/stat", "re");
	char line[1024], *rest;

	if (f == NULL)
		return;
	rest = fgets(line, sizeof(line), f) != NULL ? strrchr(line, ')') : NULL;
	fclose(f);
	if (rest == NULL ||
		sscanf(rest,
			") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu "
			"%*d %*d %*d %*d %ld %*d %llu %lu %ld",
			&utime, &stime, &threads, &start, &vsize, &rss) != 6)
		return;
	prom_add_f(p, PROM_COUNTER, "process_cpu_seconds_total", "CPU time, user and system.",
		PROM_NO_LABELS, (double)(utime + stime) / (double)tick);
	prom_add(p, PROM_GAUGE, "process_threads", "Threads.", PROM_NO_LABELS, (uint64_t)threads);
	prom_add(p, PROM_GAUGE, "process_virtual_memory_bytes", "Virtual memory.", PROM_NO_LABELS,
		vsize);
	prom_add(p, PROM_GAUGE, "process_resident_memory_bytes", "Resident memory.", PROM_NO_LABELS,
		(uint64_t)rss * (uint64_t)sysconf(_SC_PAGESIZE));
}

void metrics_process(struct prom *p)
{
	struct rlimit lim;

	add_stat(p);
	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return;
	prom_add(p, PROM_GAUGE, "process_open_fds", "Open descriptors.", PROM_NO_LABELS,
		count_fds(lim.rlim_cur));
	prom_add(p, PROM_GAUGE, "process_max_fds", "Most descriptors there may be.", PROM_NO_LABELS,
		lim.rlim_cur);
}
