// SPDX-License-Identifier: Apache-2.0
/*
 * view_status.c: what every object is told about itself, as the Gateway API writes status.
 *
 * Kinds are named as in a manifest, in any case, or by their plural as kubectl does. Problems are
 * the sentences about files and objects that could not be taken; "stale" ones have an older
 * version still in use.
 */
#include <stdio.h>

#include "control/api/view.h"

struct filter {
	struct str kind, ns, name, cluster;
	bool cluster_scoped; /* name is the whole path: the object has no namespace */
};

/* "httproute", "HTTPRoute", "httproutes", "gatewayclasses" */
static bool kind_matches(const char *kind, struct str want)
{
	struct str k = str_of(kind);

	if (str_ieq(k, want))
		return true;
	if (want.len == k.len + 1)
		return str_ieq(k, str_first(want, k.len)) && ascii_lower(want.p[k.len]) == 's';
	return want.len == k.len + 2 && str_ieq(k, str_first(want, k.len)) &&
		str_ieq(str_from(want, k.len), STR("es"));
}

static const char *text_of(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s != NULL ? s : "";
}

static bool matches(const struct filter *f, const json_t *obj)
{
	const json_t *meta = json_object_get(obj, "metadata");

	if (f->kind.len > 0 && !kind_matches(text_of(obj, "kind"), f->kind))
		return false;
	if (f->cluster.p != NULL && !str_eq(f->cluster, str_of(text_of(obj, "cluster"))))
		return false;
	if (f->ns.p != NULL && !str_eq(f->ns, str_of(text_of(meta, "namespace"))))
		return false;
	if (f->cluster_scoped && *text_of(meta, "namespace") != '\0')
		return false;
	return f->name.len == 0 || str_eq(f->name, str_of(text_of(meta, "name")));
}

/* New list of those that match. */
static json_t *objects(const struct api_request *r, const struct filter *f)
{
	json_t *all = plan_status_json(r->source->plan), *list = json_array(), *obj;
	size_t i;

	json_array_foreach (all, i, obj)
		if (matches(f, obj))
			json_array_append(list, obj);
	json_decref(all);
	return list;
}

static json_t *json_problems(const struct view *v)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < v->problem_count; i++)
		json_array_append_new(list,
			json_pack("{s:b, s:b, s:o}", "fatal", v->problems[i].fatal, "stale",
				v->problems[i].stale, "text", view_str(v->problems[i].text)));
	return list;
}

static json_t *json_notes(const struct plan *p)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < p->notes_count; i++)
		json_array_append_new(list, view_str(p->notes[i].text));
	return list;
}

static void reply_list(struct api_request *r, const struct filter *f)
{
	const struct plan *p = r->source->plan;

	if (!view_need_config(r))
		return;
	api_reply_json(r, 200,
		json_pack("{s:o, s:o, s:o, s:o}", "items", objects(r, f), "problems",
			json_problems(p->view), "notes", json_notes(p), "clusters",
			view_clusters_brief(r->source)));
}

static struct filter filter_of(const struct api_request *r)
{
	return (struct filter){
		.cluster = api_query_param(r, "cluster"),
		.ns = api_query_param(r, "namespace"),
	};
}

void view_status(struct api_request *r)
{
	struct filter f = filter_of(r);

	f.kind = api_query_param(r, "kind");
	reply_list(r, &f);
}

void view_status_kind(struct api_request *r)
{
	struct filter f = filter_of(r);

	f.kind = api_path_param(r, 0);
	reply_list(r, &f);
}

/* "us-east, us-west" */
static const char *clusters_of(struct api_request *r, const json_t *list)
{
	const char *text = "";
	const json_t *obj;
	size_t i;

	json_array_foreach (list, i, obj)
		text = arena_printf(&r->arena, "%s%s%s", text, i > 0 ? ", " : "",
			text_of(obj, "cluster"));
	return text;
}

static void reply_object(struct api_request *r, const struct filter *f)
{
	json_t *list;

	if (!view_need_config(r))
		return;
	list = objects(r, f);
	if (json_array_size(list) == 0)
		api_reply_problem(r, PROBLEM_NOT_FOUND, "no %.*s of that name has a status here",
			STR_FMT(f->kind));
	else if (json_array_size(list) > 1)
		api_reply_problem(r, PROBLEM_AMBIGUOUS,
			"it exists in clusters %s: say which with ?cluster=", clusters_of(r, list));
	else
		api_reply_json(r, 200, json_incref(json_array_get(list, 0)));
	json_decref(list);
}

void view_status_cluster_object(struct api_request *r)
{
	struct filter f = filter_of(r);

	f.kind = api_path_param(r, 0);
	f.name = api_path_param(r, 1);
	f.cluster_scoped = true;
	reply_object(r, &f);
}

void view_status_object(struct api_request *r)
{
	struct filter f = filter_of(r);

	f.kind = api_path_param(r, 0);
	f.ns = api_path_param(r, 1);
	f.name = api_path_param(r, 2);
	reply_object(r, &f);
}
