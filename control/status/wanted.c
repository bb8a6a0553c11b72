// SPDX-License-Identifier: Apache-2.0
/*
 * wanted.c: what the plan wants each object to say, and which Services there shall be.
 *
 * A pass goes through everything the plan speaks about. Objects it no longer speaks about are
 * forgotten, but for Services of ours: those go, also when their Gateway went while nobody looked.
 */
#include <stdlib.h>

#include "control/status/lbservice.h"
#include "control/status/merge.h"
#include "control/status/status_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"

static struct list *bucket_of(struct status *s, const struct writer *w, enum kind kind,
	struct str ns, struct str name)
{
	static const struct hash_key key = {{0x736c756963652d77ull, 0x72697465722d7631ull}};
	uint64_t h = siphash(&key, w->name.p, w->name.len) + (uint64_t)kind;

	h = hash_mix(h, siphash(&key, ns.len ? ns.p : "", ns.len));
	h = hash_mix(h, siphash(&key, name.len ? name.p : "", name.len));
	return &s->buckets[h % ENTRY_BUCKETS];
}

static struct entry *entry_new(struct writer *w, enum kind kind, struct str ns, struct str name)
{
	struct entry *e = calloc(1, sizeof(*e));
	char *p = malloc(ns.len + name.len + 1);

	bug_on(e == NULL || p == NULL);
	if (ns.len)
		memcpy(p, ns.p, ns.len);
	if (name.len)
		memcpy(p + ns.len, name.p, name.len);
	e->ns = (struct str){p, ns.len};
	e->name = (struct str){p + ns.len, name.len};
	e->writer = w;
	e->kind = kind;
	list_init(&e->queue);
	list_add_tail(bucket_of(w->status, w, kind, ns, name), &e->bucket);
	w->whys[e->why]++;
	return e;
}

struct entry *entry_find(struct status *s, struct writer *w, enum kind kind, struct str ns,
	struct str name)
{
	list_for_each (l, bucket_of(s, w, kind, ns, name)) {
		struct entry *e = list_entry(l, struct entry, bucket);

		if (e->writer == w && e->kind == kind && str_eq(e->ns, ns) && str_eq(e->name, name))
			return e;
	}
	return NULL;
}

void entry_free(struct entry *e)
{
	list_del(&e->bucket);
	if (list_is_linked(&e->queue))
		e->writer->waiting--;
	list_del(&e->queue);
	e->writer->whys[e->why]--;
	writer_drop_scout(e);
	json_decref(e->desired);
	json_decref(e->service);
	json_decref(e->known);
	json_decref(e->before);
	free((char *)e->ns.p);
	free(e);
}

/* Takes <value> over; true when it is another one. */
static bool replace(json_t **slot, json_t *value)
{
	if (*slot == value || (*slot != NULL && value != NULL && json_equal(*slot, value))) {
		json_decref(value);
		return false;
	}
	json_decref(*slot);
	*slot = value;
	return true;
}

/* Takes <desired> and <service> over. */
static struct entry *want(struct writer *w, enum kind kind, struct str ns, struct str name,
	json_t *desired, json_t *service)
{
	struct status *s = w->status;
	struct entry *e = entry_find(s, w, kind, ns, name) ?: entry_new(w, kind, ns, name);
	bool other = replace(&e->desired, desired);

	other |= replace(&e->service, service);
	if (other) {
		e->changed_us = clock_mono_us();
		e->looked_at = 0;
	}
	e->pass = s->pass;
	return e;
}

/* --- statuses --- */

static bool writes_to(struct status *s, const struct plan *p, struct str cluster)
{
	return (clusters_lookup(p->clusters, cluster)->roles & CLUSTER_ROLE_CONFIG) != 0 &&
		s->ops.kube(s->ops.arg, cluster) != NULL;
}

static struct str member(const json_t *j, const char *key)
{
	return str_of(status_text(j, key));
}

static void want_status(struct status *s, const struct plan *p, json_t *item)
{
	json_t *meta = json_object_get(item, "metadata");
	struct str cluster = member(item, "cluster");
	enum kind kind = kind_of(member(item, "apiVersion"), member(item, "kind"));
	int64_t generation = json_integer_value(json_object_get(meta, "generation"));
	struct entry *e;

	if (kind == KIND_COUNT || !kind_info[kind].keeps_status || !writes_to(s, p, cluster))
		return;
	e = want(writer_get(s, cluster), kind, member(meta, "namespace"), member(meta, "name"),
		json_incref(json_object_get(item, "status")), NULL);
	if (e->generation != generation)
		e->looked_at = 0;
	e->generation = generation;
}

/* What every object shall say is as much work as the plan itself: not for nobody. */
static bool writes_anywhere(struct status *s, const struct plan *p)
{
	for (uint32_t i = 0; p->clusters != NULL && i < p->clusters->count; i++)
		if (writes_to(s, p, p->clusters->items[i].name))
			return true;
	return p->clusters == NULL; /* without a list any cluster may be one */
}

static void want_statuses(struct status *s, const struct plan *p)
{
	json_t *list, *item;
	size_t i;

	if (!writes_anywhere(s, p))
		return;
	list = plan_status_json(p);
	json_array_foreach (list, i, item)
		want_status(s, p, item);
	json_decref(list);
}

/* --- finalizers --- */

static bool is_used(const struct plan *p, const struct object *class)
{
	for (uint32_t i = 0; i < p->gateways_count; i++)
		if (p->gateways[i].class_obj == class)
			return true;
	return false;
}

static void want_finalizers(struct status *s, const struct plan *p)
{
	for (uint32_t i = 0; i < p->classes_count; i++) {
		const struct object *o = p->classes[i].obj;
		struct writer *w = writes_to(s, p, o->cluster) ? writer_get(s, o->cluster) : NULL;
		struct entry *e =
			w != NULL ? entry_find(s, w, KIND_GATEWAY_CLASS, o->ns, o->name) : NULL;
		bool used = is_used(p, o);

		if (e == NULL)
			continue;
		if (e->in_use != used)
			e->looked_at = 0;
		e->in_use = used;
	}
}

/* --- Services --- */

static void want_service(struct status *s, const struct plan *p, const struct plan_gateway *gw)
{
	struct str ns = lbservice_namespace(gw->obj, p->config);
	json_t *service = lbservice_desired(gw, p->config);
	const struct object *there;
	char name[LBSERVICE_NAME_MAX];

	if (service == NULL)
		return;
	lbservice_name(gw->obj, name);
	there = store_latest(s->store, KIND_SERVICE, gw->obj->cluster, ns, str_of(name));
	if (there != NULL && !lbservice_is_ours(there, p->config)) {
		json_decref(service); /* somebody's own, by accident of names */
		return;
	}
	want(writer_get(s, gw->obj->cluster), KIND_SERVICE, ns, str_of(name), lbservice_status(gw),
		service);
}

/* What is marked as ours and was not wanted in this pass shall go. */
static void unwant_services(struct status *s, const struct plan *p)
{
	const struct view_kind *k = &p->view->kinds[KIND_SERVICE];

	for (uint32_t i = 0; i < k->count; i++) {
		const struct object *o = k->objects[i];
		struct entry *e;

		if (o->uid.len == 0 || !lbservice_is_ours(o, p->config) ||
			!writes_to(s, p, o->cluster))
			continue;
		e = entry_find(s, writer_get(s, o->cluster), KIND_SERVICE, o->ns, o->name);
		if (e == NULL || e->pass != s->pass)
			want(writer_get(s, o->cluster), KIND_SERVICE, o->ns, o->name, NULL, NULL);
	}
}

static void want_services(struct status *s, const struct plan *p)
{
	for (uint32_t i = 0; i < p->gateways_count; i++)
		if (writes_to(s, p, p->gateways[i].obj->cluster))
			want_service(s, p, &p->gateways[i]);
	unwant_services(s, p);
}

/* --- a pass --- */

/*
 * What a route's status says of Gateways goes with them, also what was still on its way when the plan
 * was made, so that the plan could not see it. True while there is something to take back.
 */
static bool take_back(struct status *s, const struct plan *p, struct entry *e)
{
	const struct object *o = store_latest(s->store, e->kind, e->writer->name, e->ns, e->name);
	const char *list = json_object_get(e->desired, "parents") != NULL ? "parents"
		: json_object_get(e->desired, "ancestors") != NULL	  ? "ancestors"
									  : NULL;

	if (o == NULL || list == NULL || !writes_to(s, p, e->writer->name))
		return false;
	if (json_array_size(json_object_get(e->desired, list)) == 0 && !e->under_way &&
		e->looked_at == version_hash(o->resource_version))
		return false;
	want(e->writer, e->kind, e->ns, e->name, json_pack("{s:[]}", list), NULL);
	if (e->generation != o->generation)
		e->looked_at = 0;
	e->generation = o->generation;
	return true;
}

static void forget_others(struct status *s, const struct plan *p)
{
	for (uint32_t i = 0; i < ENTRY_BUCKETS; i++)
		list_for_each_safe (l, &s->buckets[i]) {
			struct entry *e = list_entry(l, struct entry, bucket);

			if (e->pass != s->pass && !take_back(s, p, e) && !e->under_way)
				entry_free(e);
		}
}

void wanted_build(struct status *s, const struct plan *p)
{
	s->pass++;
	want_statuses(s, p);
	want_finalizers(s, p);
	want_services(s, p);
	forget_others(s, p);
}
