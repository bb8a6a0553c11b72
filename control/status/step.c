// SPDX-License-Identifier: Apache-2.0
/*
 * step.c: the next request for one object: from what it has to what it shall have.
 *
 * Every write of a status carries the resourceVersion that it was made from (an optimistic lock:
 * the lists of several controllers are atomic) and only the members that change, so unknown ones
 * stay. What we know of the object is the store's version, or the server's last answer as long as
 * the store has not moved since the request.
 */
#include <stdio.h>
#include <stdlib.h>

#include "control/status/lbservice.h"
#include "control/status/merge.h"
#include "control/status/status_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/hash.h"

#define SERVICE_AGAIN_US 1000000u /* between two edits: somebody else may have his own mind */

/* An object as it is known best. */
struct seen {
	const struct object *object; /* the store's, or NULL */
	uint64_t version;	     /* hash of the store's */
	const json_t *known;	     /* the server's, newer than that; or NULL */
	struct str resource_version;
	int64_t generation;
	json_t *status; /* owned; NULL: none */
};

static uint64_t text_hash(struct str s)
{
	static const struct hash_key key = {{0x736c756963652d76ull, 0x657273696f6e7631ull}};

	return siphash(&key, s.len ? s.p : "", s.len) | 1;
}

uint64_t version_hash(struct str version)
{
	return text_hash(version);
}

static uint64_t json_hash(const json_t *j)
{
	autofree char *text = json_dumps(j, JSON_COMPACT | JSON_SORT_KEYS);

	bug_on(text == NULL);
	return text_hash(str_of(text));
}

/* --- what is known --- */

static void look(struct entry *e, struct seen *ret)
{
	const struct object *o =
		store_latest(e->writer->status->store, e->kind, e->writer->name, e->ns, e->name);
	const json_t *meta;

	*ret = (struct seen){.object = o};
	ret->version = version_hash(o != NULL ? o->resource_version : STR(""));
	if (e->known != NULL && e->known_after != ret->version) {
		json_decref(e->known);
		e->known = NULL;
	}
	ret->known = e->known;
	if (e->known != NULL) {
		meta = json_object_get(e->known, "metadata");
		ret->resource_version = str_of(status_text(meta, "resourceVersion"));
		ret->generation = json_integer_value(json_object_get(meta, "generation"));
		ret->status = json_incref(json_object_get(e->known, "status"));
	} else if (o != NULL) {
		ret->resource_version = o->resource_version;
		ret->generation = o->generation;
		ret->status = json_loadb(o->status.len ? o->status.p : "", o->status.len, 0, NULL);
	}
}

static bool has_finalizer(const struct seen *n)
{
	const json_t *list = json_object_get(json_object_get(n->known, "metadata"), "finalizers");
	json_t *f;
	size_t i;

	json_array_foreach (list, i, f)
		if (str_eq(str_of(json_string_value(f)), STR(FINALIZER_IN_USE)))
			return true;
	if (n->known != NULL || n->object == NULL)
		return false;
	for (uint32_t k = 0; k < n->object->finalizers_count; k++)
		if (str_eq(n->object->finalizers[k], STR(FINALIZER_IN_USE)))
			return true;
	return false;
}

/* --- requests --- */

void step_path(const struct entry *e, const char *suffix, char *buf, size_t size)
{
	const struct kind_info *k = &kind_info[e->kind];
	const char *version = k->versions[0];
	const struct kube_watch *w = NULL;
	char ns[80] = "";

	while ((w = kube_watch_next(e->writer->kube, w)) != NULL) {
		struct kube_watch_state st;

		kube_watch_state(w, &st);
		if (str_eq(str_of(st.group), k->group) && st.version[0] != '\0' &&
			str_eq(str_of(st.plural), str_of(k->plural)))
			version = st.version;
	}
	if (k->namespaced)
		snprintf(ns, sizeof(ns), "/namespaces/%.*s", STR_FMT(e->ns));
	snprintf(buf, size, "%s%.*s/%s%s/%s/%.*s%s", k->group.len ? "/apis/" : "/api",
		STR_FMT(k->group), version, ns, k->plural, STR_FMT(e->name), suffix);
}

static void set_step(struct entry *e, struct step *ret, const char *method, const char *type,
	const char *suffix, json_t *body, enum status_counter what)
{
	ret->method = method;
	ret->content_type = type;
	ret->body = body;
	ret->what = what;
	step_path(e, suffix, ret->path, sizeof(ret->path));
}

static json_t *locked(const struct seen *n, json_t *metadata)
{
	json_t *body = json_object();

	json_object_set_new(metadata, "resourceVersion",
		json_stringn(n->resource_version.len ? n->resource_version.p : "",
			n->resource_version.len));
	json_object_set_new(body, "metadata", metadata);
	return body;
}

/* Takes <patch> over. */
static void step_status(struct entry *e, const struct seen *n, json_t *patch, struct step *ret)
{
	json_t *body = locked(n, json_object());

	e->sent_hash = json_hash(patch);
	json_object_set_new(body, "status", patch);
	json_decref(e->before);
	e->before = json_incref(n->status);
	set_step(e, ret, "PATCH", KUBE_MERGE_PATCH, "/status", body, STATUS_WRITES);
}

static json_t *finalizers_json(const struct seen *n, bool in_use)
{
	const json_t *known = json_object_get(json_object_get(n->known, "metadata"), "finalizers");
	json_t *list = json_array(), *f;
	size_t i;

	json_array_foreach (known, i, f)
		json_array_append(list, f);
	for (uint32_t k = 0; n->known == NULL && k < n->object->finalizers_count; k++)
		json_array_append_new(list,
			json_stringn(n->object->finalizers[k].p, n->object->finalizers[k].len));
	if (in_use)
		json_array_append_new(list, json_string(FINALIZER_IN_USE));
	for (i = json_array_size(list); !in_use && i-- > 0;)
		if (str_eq(str_of(json_string_value(json_array_get(list, i))),
			    STR(FINALIZER_IN_USE)))
			json_array_remove(list, i);
	return list;
}

/* A GatewayClass stays while Gateways use it ("SHOULD be added", gatewayclass_types.go). */
static bool step_finalizer(struct entry *e, const struct seen *n, struct step *ret)
{
	json_t *meta;

	if (has_finalizer(n) == e->in_use || n->object == NULL ||
		(e->in_use && n->object->deleted != 0))
		return false;
	meta = json_object();
	json_object_set_new(meta, "finalizers", finalizers_json(n, e->in_use));
	e->sent_hash = 0;
	set_step(e, ret, "PATCH", KUBE_MERGE_PATCH, "", locked(n, meta), STATUS_FINALIZERS);
	return true;
}

/* A plan waits to be looked at: under load passes may be further apart than a second of rest. */
static bool is_moving(const struct entry *e)
{
	const struct status *s = e->writer->status;

	return s->plan != NULL || s->next != NULL;
}

static void rest_until(struct step *ret, enum status_why why, uint64_t until_us)
{
	ret->why = why;
	ret->wait_until_us = until_us;
	ret->rests = true;
}

/* The server has seen this very patch, and did not take it: not at once again. */
static bool is_settled(const struct entry *e, const json_t *patch, uint64_t now_us,
	struct step *ret)
{
	if (json_hash(patch) != e->settled || now_us >= e->settled_until_us)
		return false;
	rest_until(ret, e->settled_why, e->settled_until_us);
	return true;
}

static void next_status(struct entry *e, const struct seen *n, uint64_t now_us, struct step *ret)
{
	uint64_t rest = e->changed_us + COUNTS_QUIET_US, late = e->written_us + COUNTS_MAX_US;
	uint64_t due = rest < late ? rest : late;
	json_t *patch;

	if (n->object != NULL && n->object->uid.len == 0)
		return; /* not an API server's */
	/* The plan is about another version of the object: the one about this follows. */
	if (n->resource_version.len == 0 || n->generation != e->generation) {
		rest_until(ret, STATUS_WHY_VERSION, now_us + REST_VERSION_US);
		return;
	}
	if (e->kind == KIND_GATEWAY_CLASS && step_finalizer(e, n, ret))
		return;
	patch = status_merge(n->status, e->desired, str_of(e->writer->status->controller));
	if (patch == NULL || is_settled(e, patch, now_us, ret)) {
		json_decref(patch);
		return;
	}
	if (is_moving(e) && due <= now_us && late > now_us)
		due = now_us + COUNTS_AGAIN_US;
	if (due > now_us && status_patch_only_counts(n->status, patch)) {
		ret->wait_until_us = due;
		ret->why = STATUS_WHY_COUNTS;
		json_decref(patch);
		return;
	}
	step_status(e, n, patch, ret);
}

/* --- Services --- */

static const json_t *ingress_of(const json_t *status)
{
	return json_object_get(json_object_get(status, "loadBalancer"), "ingress");
}

static bool same_ingress(const json_t *a, const json_t *b)
{
	a = ingress_of(a);
	b = ingress_of(b);
	return (json_array_size(a) == 0 && json_array_size(b) == 0) ||
		json_equal((json_t *)a, (json_t *)b);
}

/* The server's answer to our own edit is believed; else what the store has is compared. */
static bool service_is_right(const struct entry *e, const struct seen *n)
{
	const json_t *meta = json_object_get(n->known, "metadata");
	const char *digest =
		status_text(json_object_get(json_object_get(e->service, "metadata"), "annotations"),
			ANNOTATION_DIGEST);

	if (n->known != NULL)
		return str_eq(str_of(digest),
			str_of(status_text(json_object_get(meta, "annotations"),
				ANNOTATION_DIGEST)));
	return n->object != NULL && !lbservice_differs(n->object, e->service);
}

static void step_delete(struct entry *e, const struct seen *n, struct step *ret)
{
	json_t *body = json_object(), *pre = json_object();

	if (n->object == NULL || n->object->deleted != 0) {
		json_decref(body);
		json_decref(pre);
		return;
	}
	json_object_set_new(pre, "uid", json_stringn(n->object->uid.p, n->object->uid.len));
	json_object_set_new(body, "apiVersion", json_string("v1"));
	json_object_set_new(body, "kind", json_string("DeleteOptions"));
	json_object_set_new(body, "preconditions", pre);
	set_step(e, ret, "DELETE", KUBE_JSON, "", body, STATUS_SERVICES_DELETED);
}

static void next_service(struct entry *e, const struct seen *n, uint64_t now_us, struct step *ret)
{
	uint64_t again_us = e->written_us != 0 ? e->written_us + SERVICE_AGAIN_US : 0;
	json_t *patch;

	if (e->service == NULL) {
		step_delete(e, n, ret);
		return;
	}
	if (!service_is_right(e, n)) {
		ret->wait_until_us = again_us;
		ret->why = STATUS_WHY_PACED;
		if (now_us >= again_us)
			set_step(e, ret, "PATCH", KUBE_APPLY_PATCH,
				"?fieldManager=sluice-control&force=true", json_incref(e->service),
				STATUS_SERVICES_APPLIED);
		return;
	}
	if (same_ingress(n->status, e->desired))
		return;
	patch = json_deep_copy(e->desired);
	if (is_settled(e, patch, now_us, ret))
		json_decref(patch);
	else
		step_status(e, n, patch, ret);
}

/* --- the whole --- */

void step_next(struct entry *e, uint64_t now_us, struct step *ret)
{
	struct seen n;

	*ret = (struct step){.method = NULL};
	look(e, &n);
	e->doubtful = e->doubtful && n.version == e->sent_to;
	if (e->doubtful && n.known == NULL)
		set_step(e, ret, "GET", KUBE_JSON, "", NULL, STATUS_CONFLICTS);
	else if (e->kind == KIND_SERVICE)
		next_service(e, &n, now_us, ret);
	else
		next_status(e, &n, now_us, ret);
	if (ret->method != NULL)
		e->sent_to = n.version;
	else if (ret->wait_until_us == 0 || ret->rests)
		e->looked_at = n.version;
	json_decref(n.status);
}
