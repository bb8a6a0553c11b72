// SPDX-License-Identifier: Apache-2.0
/*
 * load.c: once a second, what this site says of itself and of the clusters as it sees them.
 *
 * Dataplanes are asked by the verb "load", and told in the same breath which clusters' own sites we
 * do not hear: that is half of the proof when a site suspects itself (dataplane/upstream/
 * suspicion.h). A dataplane that does not answer is left out: its last word is not ours.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/federate/federate_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/snapshot/build.h"

/* What all dataplanes together say of a cluster; endpoints are the same for all of them. */
struct view_of_cluster {
	const char *name;
	struct record_health h;
	uint64_t requests;
	bool silent, seen;
};

struct sum {
	struct view_of_cluster c[FEDERATION_SITE_HEALTH_MAX];
	uint32_t count;
	uint64_t requests;
	unsigned busy, answered, draining, suspect;
};

static uint32_t number(const json_t *o, const char *key)
{
	json_int_t v = json_integer_value(json_object_get(o, key));

	return v < 0 ? 0 : v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static struct view_of_cluster *find(struct sum *s, const char *name)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (strcmp(s->c[i].name, name) == 0)
			return &s->c[i];
	if (s->count == FEDERATION_SITE_HEALTH_MAX)
		return NULL;
	s->c[s->count] = (struct view_of_cluster){.name = name};
	return &s->c[s->count++];
}

static void add_cluster(struct sum *s, const json_t *j)
{
	const char *name = json_string_value(json_object_get(j, "name"));
	struct view_of_cluster *c = name != NULL ? find(s, name) : NULL;
	uint32_t usable = number(j, "usable");

	if (c == NULL)
		return;
	c->h.total = number(j, "total");
	c->h.ready = number(j, "ready");
	/* the gloomiest of them: what one cannot reach, its clients cannot either */
	c->h.usable = c->seen && c->h.usable < usable ? c->h.usable : usable;
	c->requests += (uint64_t)json_integer_value(json_object_get(j, "requests"));
	c->seen = true;
	c->silent |= json_is_true(json_object_get(j, "silent"));
}

static void add_part(struct sum *s, const json_t *answer)
{
	unsigned busy = number(answer, "busy_permille");
	json_t *c;
	size_t i;

	s->answered++;
	s->requests += (uint64_t)json_integer_value(json_object_get(answer, "requests"));
	s->busy = busy > s->busy ? busy : s->busy;
	s->draining += json_is_true(json_object_get(answer, "draining"));
	s->suspect += json_is_true(json_object_get(answer, "suspect"));
	json_array_foreach (json_object_get(answer, "clusters"), i, c)
		add_cluster(s, c);
}

/* Per second since <was> was taken; counters of a dataplane that began anew count as nothing. */
static uint32_t rate(const struct load_mark *was, uint64_t requests, uint64_t now_us)
{
	uint64_t us = now_us - was->at_us;

	if (was->at_us == 0 || us == 0 || requests < was->requests)
		return 0;
	return (uint32_t)((requests - was->requests) * 1000000 / us);
}

static uint32_t take_rate(struct load_mark *m, uint64_t requests, uint64_t now_us)
{
	uint32_t r = rate(m, requests, now_us);

	*m = (struct load_mark){requests, now_us};
	return r;
}

/* The mark of a cluster; the table is as large as that of clusters. */
static struct load_mark *mark_of(struct federate *f, struct str cluster)
{
	const struct str parts[] = {STR("cluster"), cluster};
	uint64_t id = object_id(parts, 2);
	uint32_t i = 0;

	while (i < f->mark_count && f->marks[i].cluster != id)
		i++;
	if (i == f->mark_count) {
		if (i == CLUSTERS_MAX)
			i = f->mark_count = 0; /* clusters came and went; rates begin anew */
		f->marks[i] = (struct cluster_mark){.cluster = id};
		f->mark_count++;
	}
	return &f->marks[i].mark;
}

static void put_site(struct federate *f, const struct sum *s)
{
	struct record_site site = {
		.state = s->suspect != 0				 ? SITE_SUSPECT
			: s->answered != 0 && s->draining == s->answered ? SITE_DRAINING
									 : SITE_SERVING,
		.requests_per_s = take_rate(&f->all, s->requests, clock_mono_us()),
		.load_permille = (uint16_t)(s->busy > 1000 ? 1000 : s->busy),
		.vip_count = (uint16_t)f->vip_count,
	};

	memcpy(site.vips, f->vips, f->vip_count * sizeof(site.vips[0]));
	/* a refusal (our clock is behind) is counted and logged where weights meet it */
	federation_put_site(f->federation, &site, NULL);
}

static void put_clusters(struct federate *f, struct sum *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		struct view_of_cluster *c = &s->c[i];

		c->h.requests_per_s =
			take_rate(mark_of(f, str_of(c->name)), c->requests, clock_mono_us());
		c->h.state = c->silent ? HEALTH_SILENT : HEALTH_OK;
		federation_put_health(f->federation, str_of(c->name), &c->h, NULL);
	}
}

/* What we said of clusters that no dataplane knows any more is taken back. */
static void put_gone(struct federate *f, const struct sum *s)
{
	char gone[FEDERATION_SITE_HEALTH_MAX][SITE_NAME_MAX + 1];
	struct record_health none = {.state = HEALTH_GONE};
	const struct record *r;
	uint32_t pos = 0, count = 0;

	while ((r = federation_next_record(f->federation, &pos)) != NULL) {
		uint32_t i = 0;

		if (r->kind != RECORD_HEALTH || !str_eq(r->site, federate_name(f)) ||
			r->health.state == HEALTH_GONE || count == FEDERATION_SITE_HEALTH_MAX)
			continue;
		while (i < s->count && !str_eq(str_of(s->c[i].name), r->cluster))
			i++;
		if (i == s->count)
			snprintf(gone[count++], sizeof(gone[0]), "%.*s", STR_FMT(r->cluster));
	}
	for (uint32_t i = 0; i < count; i++)
		federation_put_health(f->federation, str_of(gone[i]), &none, NULL);
}

static void put_all(struct federate *f)
{
	struct sum s = {.count = 0};

	for (uint32_t i = 0; i < publish_count(f->cfg.publish); i++)
		if (f->load[i].answer != NULL)
			add_part(&s, f->load[i].answer);
	put_site(f, &s);
	put_clusters(f, &s);
	if (s.answered != 0 && s.answered == publish_count(f->cfg.publish))
		put_gone(f, &s);
}

static void on_answer(void *arg, enum message_result status, struct str text)
{
	struct load_part *p = arg;

	p->query_id = 0;
	if (status == MESSAGE_RESULT_OK)
		p->answer = json_loadb(text.p, text.len, 0, NULL);
}

/* Peers of configured clusters' sites that were heard once and are not now. */
static bool site_is_silent(const struct federate *f, struct str site)
{
	struct federation_peer_state st;

	for (uint32_t i = 0; i < federation_peer_count(f->federation); i++) {
		federation_peer(f->federation, i, &st);
		if (str_eq(st.name, site))
			return st.epoch != 0 && !st.is_connected;
	}
	return false;
}

static json_t *silent_clusters(const struct federate *f)
{
	json_t *list = json_array();
	uint32_t count;
	const struct cluster_entry *e = registry_entries(f->cfg.registry, &count);

	for (uint32_t i = 0; i < count; i++)
		if (e[i].def.site.len != 0 && site_is_silent(f, e[i].def.site))
			json_array_append_new(list,
				json_stringn(e[i].def.name.p, e[i].def.name.len));
	return list;
}

void load_cancel(struct federate *f)
{
	for (uint32_t i = 0; i < PUBLISH_DATAPLANES_MAX; i++) {
		struct load_part *p = &f->load[i];

		if (p->query_id != 0)
			publish_query_cancel(f->cfg.publish, p->query_id);
		p->query_id = 0;
		json_decref(p->answer);
		p->answer = NULL;
	}
}

void load_ask(void *arg)
{
	struct federate *f = arg;
	json_t *args = json_pack("{s:o}", "silent", silent_clusters(f));
	char *text = json_dumps(args, JSON_COMPACT);

	json_decref(args);
	bug_on(text == NULL);
	put_all(f);
	load_cancel(f);
	for (uint32_t i = 0; i < publish_count(f->cfg.publish); i++) {
		f->load[i].f = f;
		f->load[i].query_id = publish_query(f->cfg.publish, i, STR("load"), str_of(text),
			on_answer, &f->load[i]);
	}
	free(text);
	loop_timer_set(f->loop, &f->load_timer, FEDERATE_LOAD_US);
}

void federate_set_vips(struct federate *f, const struct ip_addr *vips, uint32_t count)
{
	f->vip_count = count < RECORD_VIPS_MAX ? count : RECORD_VIPS_MAX;
	memcpy(f->vips, vips, f->vip_count * sizeof(f->vips[0]));
}
