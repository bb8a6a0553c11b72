// SPDX-License-Identifier: Apache-2.0
/*
 * disk.c: when a cluster takes part as it was on disk, and when its files are true, or go.
 */
#include "control/sources/sources_private.h"
#include "dataplane/base/log.h"

void disk_take_part(struct source *c, bool strict)
{
	struct sources *s = c->sources;
	int64_t age_s;

	if (store_api_gate_is_open(s->store, c->def.name) ||
		!cache_suffices(c->cache, c->def.roles, strict))
		return;
	cache_is_from_disk(c->cache, &age_s);
	log_warn("source", "cluster=%.*s age_s=%lld msg=\"takes part as it was on disk\"",
		STR_FMT(c->def.name), (long long)age_s);
	store_api_gate(s->store, c->def.name);
	s->events.on_change(s->events.arg);
}

static void on_disk(void *arg)
{
	disk_take_part(arg, true);
}

void disk_init(struct source *c)
{
	loop_timer_init(&c->disk, on_disk, c);
}

void disk_open(struct sources *s, struct source *c)
{
	if (c->cache != NULL)
		return;
	c->cache = cache_open(s->caches, c->def.name, c->def.roles);
	if (cache_suffices(c->cache, c->def.roles, true))
		loop_timer_set(s->loop, &c->disk, SOURCES_DISK_US);
}

void disk_drop(struct source *c)
{
	loop_timer_stop(&c->disk);
	cache_drop(c->cache);
	c->cache = NULL;
	if (c->api != NULL)
		c->api->cache = NULL;
}

void disk_seen(const struct source *c)
{
	struct kube_cluster_state st;

	if (c->api == NULL || !c->api->synced)
		return;
	kube_cluster_state(c->api->kube, &st);
	if (st.connected && st.stale_since_us == 0)
		cache_seen(c->cache);
}

static bool is_listed(void *arg, struct str cluster)
{
	const struct sources *s = arg;

	return source_find(s, cluster) != NULL;
}

void disk_sweep(struct sources *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		const struct source *c = s->list[i];

		if (s->swept ||
			(source_is_api(&c->def) && (c->def.roles & CLUSTER_ROLE_CONFIG) &&
				(c->api == NULL || !c->api->synced)))
			return;
	}
	s->swept = true;
	caches_sweep(s->caches, is_listed, s);
}
