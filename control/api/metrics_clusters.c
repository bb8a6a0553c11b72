// SPDX-License-Identifier: Apache-2.0
/*
 * metrics_clusters.c: how the clusters' sources are: what a pager wants to know about an API server.
 */
#include <stdio.h>

#include "control/api/metrics.h"
#include "control/api/view.h"
#include "dataplane/base/clock.h"

static void add_kinds(struct prom *p, const struct api_source *s, struct str cluster)
{
	struct source_kind_state k;

	for (unsigned i = 0; sources_kind_state(s->sources, cluster, i, &k); i++) {
		const struct prom_labels l =
			PROM_LABELS({"cluster", cluster}, {"kind", kind_info[k.kind].name});

		prom_add(p, PROM_GAUGE, "sluice_source_synced",
			"1 while all that the API server has of a kind is known.", l,
			k.watch.phase == KUBE_WATCH_SYNCED || k.watch.phase == KUBE_WATCH_ABSENT);
		prom_add(p, PROM_GAUGE, "sluice_source_from_disk",
			"1 while a kind's objects are those of before the start.", l, k.from_disk);
		prom_add(p, PROM_GAUGE, "sluice_source_objects", "Objects held of a kind.", l,
			k.objects);
		prom_add(p, PROM_GAUGE, "sluice_source_invalid",
			"Objects whose newest version is not valid.", l, k.problems);
		prom_add(p, PROM_COUNTER, "sluice_source_invalid_total",
			"Versions of objects that were not valid.", l, k.broken);
		prom_add(p, PROM_COUNTER, "sluice_source_relists_total", "Whole lists taken again.",
			l, k.watch.relists);
		if (k.watch.last_event_us != 0)
			prom_add_f(p, PROM_GAUGE, "sluice_source_silence_seconds",
				"Since the API server said anything about a kind.", l,
				(double)(clock_mono_us() - k.watch.last_event_us) / 1e6);
	}
}

static void add_server(struct prom *p, struct str cluster, const struct kube_cluster_state *k)
{
	const struct prom_labels l = PROM_LABELS({"cluster", cluster});

	prom_add(p, PROM_GAUGE, "sluice_cluster_connected",
		"1 while the last thing asked of the API server was answered.", l, k->connected);
	prom_add_f(p, PROM_GAUGE, "sluice_cluster_stale_seconds",
		"Since when not all of the API server's changes are known; 0: they are.", l,
		k->stale_since_us != 0 ? (double)(clock_mono_us() - k->stale_since_us) / 1e6 : 0);
	prom_add(p, PROM_GAUGE, "sluice_kube_requests_waiting", "Requests waiting to be sent.", l,
		k->calls_waiting);
	for (int i = 0; i < KUBE_COUNTER_COUNT; i++) {
		char name[96];

		snprintf(name, sizeof(name), "sluice_kube_%s_total", kube_counter_info[i].name);
		prom_add(p, PROM_COUNTER, name, kube_counter_info[i].help, l, k->counters[i]);
	}
}

/* The files with API servers' last objects. */
static void add_cache(struct prom *p, const struct api_source *s)
{
	struct cache_state st;

	sources_cache_state(s->sources, &st);
	for (int i = 0; i < CACHE_COUNTER_COUNT; i++) {
		char name[96];

		snprintf(name, sizeof(name), "sluice_cache_%s_total", cache_counter_info[i].name);
		prom_add(p, PROM_COUNTER, name, cache_counter_info[i].help, PROM_LABELS(),
			st.counters[i]);
	}
	for (int i = STORE_DISK_OK + 1; i < STORE_DISK_FAULT_COUNT; i++)
		prom_add(p, PROM_COUNTER, "sluice_cache_refused_total",
			"Files of objects that were not used.",
			PROM_LABELS({"reason", str_of(store_disk_fault_info[i].name)}),
			st.refused[i]);
}

void metrics_clusters(struct prom *p, const struct api_source *s)
{
	const struct cluster_entry *e = NULL;
	uint32_t count = 0;

	if (s->registry != NULL && s->sources != NULL)
		e = registry_entries(s->registry, &count);
	if (s->sources != NULL)
		add_cache(p, s);
	for (uint32_t i = 0; i < count; i++) {
		const struct cluster_def *d = &e[i].def;
		struct source_state st;

		prom_add(p, PROM_GAUGE, "sluice_cluster_weight",
			"Weight of a cluster against others.", PROM_LABELS({"cluster", d->name}),
			d->weight);
		prom_add(p, PROM_GAUGE, "sluice_cluster_admin_state",
			"1 for the state that was set.",
			PROM_LABELS({"cluster", d->name},
				{"state", str_of(cluster_admin_names[d->admin])}),
			1);
		if (!sources_state(s->sources, d->name, &st))
			continue;
		prom_add(p, PROM_GAUGE, "sluice_cluster_takes_part",
			"1 when the cluster's objects are part of the configuration.",
			PROM_LABELS({"cluster", d->name}), st.takes_part);
		if (st.api)
			prom_add(p, PROM_GAUGE, "sluice_cluster_from_disk_seconds",
				"Age of the objects that are in use from disk; 0: all were listed "
				"since the start.",
				PROM_LABELS({"cluster", d->name}), (uint64_t)st.disk_age_s);
		if (st.open) {
			add_server(p, d->name, &st.kube);
			add_kinds(p, s, d->name);
		}
	}
}
