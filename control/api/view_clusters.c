// SPDX-License-Identifier: Apache-2.0
/*
 * view_clusters.c: which clusters there are, how they are, and what REST may change about them.
 *
 * PUT says everything anew (members left out take their defaults), PATCH only what it names (RFC
 * 7396). Both may carry If-Match with the tag of a GET, which speaks of what is edited and not of
 * the cluster's state. What control.yaml says about a cluster is not changed here but there: 409
 * tells which.
 */
#include <errno.h>
#include <stdio.h>

#include "control/api/view.h"
#include "dataplane/base/clock.h"

static const char *const role_names[] = {"config", "workload"};
static const char *const origin_names[] = {"control.yaml", "rest", "RemoteClusterConfiguration"};

#define ROLE_COUNT (sizeof(role_names) / sizeof(role_names[0]))

/* --- out --- */

static json_t *json_roles(unsigned roles)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ROLE_COUNT; i++)
		if (roles & 1u << i)
			json_array_append_new(list, json_string(role_names[i]));
	return list;
}

static json_t *json_source(const struct cluster_def *d)
{
	if (d->directory != NULL)
		return json_pack("{s:s}", "directory", d->directory);
	if (d->kubeconfig != NULL)
		return json_pack("{s:s, s:s*}", "kubeconfig", d->kubeconfig, "context", d->context);
	if (d->in_cluster)
		return json_pack("{s:b}", "inCluster", 1);
	return json_pack("{s:o}", "remoteClusterConfigurationOf", view_str(d->owner));
}

/* What control.yaml has fixed. */
static json_t *json_fixed(const struct cluster_entry *e)
{
	json_t *list = json_array();

	if (e->origin == CLUSTER_BY_FILE) {
		json_array_append_new(list, json_string("source"));
		json_array_append_new(list, json_string("roles"));
	}
	if (e->def.has_weight)
		json_array_append_new(list, json_string("weight"));
	if (e->def.has_admin)
		json_array_append_new(list, json_string("adminState"));
	return list;
}

static json_t *json_kinds(const struct api_source *s, struct str name)
{
	struct source_kind_state k;
	json_t *list = json_array();

	for (unsigned i = 0; sources_kind_state(s->sources, name, i, &k); i++)
		json_array_append_new(list,
			json_pack("{s:o, s:s, s:s, s:o, s:i, s:i, s:I, s:b, s:b}", "kind",
				view_str(kind_info[k.kind].name), "version", k.watch.version,
				"state", kube_watch_phase_name(k.watch.phase), "why",
				view_str(str_of(k.watch.why)), "objects", (int)k.objects, "invalid",
				(int)k.problems, "invalidSeen", (json_int_t)k.broken, "kept",
				k.kept, "fromDisk", k.from_disk));
	return list;
}

/* Since when the oldest of what is in use may have changed. */
static int64_t stale_s(const struct source_state *st)
{
	int64_t since = st->open && st->kube.stale_since_us != 0
		? (int64_t)((clock_mono_us() - st->kube.stale_since_us) / 1000000u)
		: 0;

	return since > st->disk_age_s ? since : st->disk_age_s;
}

static void add_server(json_t *state, const struct kube_cluster_state *k)
{
	json_object_set_new(state, "server", view_str(str_of(k->server)));
	json_object_set_new(state, "connected", json_boolean(k->connected));
	json_object_set_new(state, "lastError", view_str(str_of(k->last_error)));
	json_object_set_new(state, "requestsWaiting", json_integer(k->calls_waiting));
}

/* Objects that do not say yet what they shall: which, why, and for how long. */
static json_t *json_waits(const struct api_source *s, struct str name)
{
	struct status_wait waits[STATUS_WAITS_MAX];
	uint32_t count = status_waits(s->status, name, waits);
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++) {
		json_t *j = json_object();

		json_object_set_new(j, "kind", view_str(kind_info[waits[i].kind].name));
		json_object_set_new(j, "namespace", view_str(waits[i].ns));
		json_object_set_new(j, "name", view_str(waits[i].name));
		json_object_set_new(j, "why", json_string(status_why_info[waits[i].why].name));
		json_object_set_new(j, "milliseconds",
			json_integer((json_int_t)(waits[i].waits_us / 1000)));
		json_object_set_new(j, "failures", json_integer(waits[i].failures));
		json_array_append_new(list, j);
	}
	return list;
}

/* Who writes status to it; NULL: nobody here would. */
static json_t *json_writer(const struct api_source *s, struct str name)
{
	struct status_state st;
	uint32_t i = 0;
	json_t *j;

	while (status_state(s->status, i, &st) && !str_eq(st.cluster, name))
		i++;
	if (!status_state(s->status, i, &st))
		return NULL;
	j = json_object();
	json_object_set_new(j, "leader", json_boolean(st.leader));
	json_object_set_new(j, "denied", json_boolean(st.denied));
	json_object_set_new(j, "holder", view_str(str_of(st.holder)));
	json_object_set_new(j, "identity", json_string(st.identity));
	json_object_set_new(j, "waiting", json_integer(st.waiting + st.under_way));
	json_object_set_new(j, "writes", json_integer((json_int_t)st.counters[STATUS_WRITES]));
	json_object_set_new(j, "conflicts",
		json_integer((json_int_t)st.counters[STATUS_CONFLICTS]));
	json_object_set_new(j, "waits", json_waits(s, name));
	return j;
}

static json_t *json_state(const struct api_source *s, struct str name)
{
	struct source_state st;
	json_t *j = json_object(), *writer;

	if (s->sources == NULL || !sources_state(s->sources, name, &st))
		return j;
	json_object_set_new(j, "takesPart", json_boolean(st.takes_part));
	json_object_set_new(j, "error", view_str(str_of(st.error)));
	if (st.api) {
		json_object_set_new(j, "stale",
			json_boolean(st.from_disk || (st.open && st.kube.stale_since_us != 0)));
		json_object_set_new(j, "staleSeconds", json_integer(stale_s(&st)));
		json_object_set_new(j, "fromDisk", json_boolean(st.from_disk));
	}
	if (st.open) {
		add_server(j, &st.kube);
		json_object_set_new(j, "kinds", json_kinds(s, name));
	}
	writer = json_writer(s, name);
	if (writer != NULL)
		json_object_set_new(j, "writer", writer);
	return j;
}

/* What it is, by whoever said so; a tag is made of this, since its state moves by itself. */
static json_t *json_definition(const struct cluster_entry *e)
{
	const struct cluster_def *d = &e->def;

	return json_pack("{s:o, s:s, s:o, s:o, s:s, s:i, s:o}", "name", view_str(d->name), "origin",
		origin_names[e->origin], "source", json_source(d), "roles", json_roles(d->roles),
		"adminState", cluster_admin_names[d->admin], "weight", (int)d->weight,
		"fixedByFile", json_fixed(e));
}

/* As the newest plan has it: a drain is not over before dataplanes are told. */
static double drained_percent(const struct api_source *s, const struct cluster_def *d)
{
	const struct cluster *c =
		clusters_lookup(s->plan != NULL ? s->plan->clusters : NULL, d->name);

	return 100.0 * c->withheld / CLUSTER_WHOLE;
}

static json_t *json_cluster(const struct api_source *s, const struct cluster_entry *e)
{
	json_t *j = json_definition(e);

	json_object_set_new(j, "site", view_str(e->def.site));
	json_object_set_new(j, "drainedPercent", json_real(drained_percent(s, &e->def)));
	json_object_set_new(j, "order", view_order(e->order));
	json_object_set_new(j, "state", json_state(s, e->def.name));
	return j;
}

/* Kinds in this phase: ["HTTPRoute"] */
static json_t *kinds_in(const struct api_source *s, struct str name, enum kube_watch_phase phase)
{
	struct source_kind_state k;
	json_t *list = json_array();

	for (unsigned i = 0; sources_kind_state(s->sources, name, i, &k); i++)
		if (k.watch.phase == phase)
			json_array_append_new(list, view_str(kind_info[k.kind].name));
	return list;
}

json_t *view_clusters_brief(const struct api_source *s)
{
	json_t *list = json_array();
	const struct cluster_entry *e = NULL;
	uint32_t count = 0;

	if (s->registry != NULL && s->sources != NULL)
		e = registry_entries(s->registry, &count);
	for (uint32_t i = 0; i < count; i++) {
		struct source_state st;

		if (!sources_state(s->sources, e[i].def.name, &st))
			continue;
		json_array_append_new(list,
			json_pack("{s:o, s:b, s:b, s:o, s:o, s:o, s:o}", "name",
				view_str(e[i].def.name), "takesPart", st.takes_part, "connected",
				!st.api || (st.open && st.kube.connected), "error",
				view_str(str_of(st.error)), "listing",
				kinds_in(s, e[i].def.name, KUBE_WATCH_LISTING), "stale",
				kinds_in(s, e[i].def.name, KUBE_WATCH_STALE), "absent",
				kinds_in(s, e[i].def.name, KUBE_WATCH_ABSENT)));
	}
	return list;
}

static bool need_registry(struct api_request *r)
{
	if (r->source->registry != NULL)
		return true;
	api_reply_problem(r, PROBLEM_NOT_READY, "the registry is not open yet");
	return false;
}

void view_clusters(struct api_request *r)
{
	json_t *items = json_array();
	const struct cluster_entry *e;
	uint32_t count;

	if (!need_registry(r)) {
		json_decref(items);
		return;
	}
	e = registry_entries(r->source->registry, &count);
	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(items, json_cluster(r->source, &e[i]));
	api_reply_json(r, 200, json_pack("{s:o}", "items", items));
}

void view_cluster(struct api_request *r)
{
	const struct cluster_entry *e;

	if (!need_registry(r))
		return;
	e = registry_find(r->source->registry, api_path_param(r, 0));
	if (e == NULL)
		api_reply_problem(r, PROBLEM_NOT_FOUND, "there is no such cluster");
	else
		api_reply_json_tagged(r, json_cluster(r->source, e), json_definition(e));
}

/* --- in --- */

/* NULL, or what is wrong with the value of a member. */
static const char *take_text(const json_t *v, const char **ret)
{
	if (json_is_null(v)) {
		*ret = NULL;
		return NULL;
	}
	if (!json_is_string(v) || json_string_length(v) == 0 || json_string_length(v) > 4000)
		return "must be text";
	*ret = json_string_value(v);
	return NULL;
}

static const char *take_roles(const json_t *v, unsigned *ret)
{
	const json_t *item;
	size_t i, k;

	*ret = 0;
	if (json_is_null(v))
		return NULL;
	json_array_foreach (v, i, item) {
		for (k = 0; k < ROLE_COUNT; k++)
			if (json_is_string(item) &&
				str_eq(str_of(json_string_value(item)), str_of(role_names[k])))
				break;
		if (k == ROLE_COUNT)
			break;
		*ret |= 1u << k;
	}
	return *ret == 0 || i != json_array_size(v) ? "must be a list of config and workload"
						    : NULL;
}

static const char *take_weight(const json_t *v, struct cluster_def *d)
{
	d->has_weight = !json_is_null(v);
	if (d->has_weight &&
		(!json_is_integer(v) || json_integer_value(v) < 0 ||
			json_integer_value(v) > CLUSTER_WEIGHT_MAX))
		return "must be a number from 0 to 1000000";
	d->weight = d->has_weight ? (uint32_t)json_integer_value(v) : 0;
	return NULL;
}

static const char *take_admin(const json_t *v, struct cluster_def *d)
{
	unsigned i = 0;

	d->has_admin = !json_is_null(v);
	d->admin = CLUSTER_ACTIVE;
	if (!d->has_admin)
		return NULL;
	while (i < CLUSTER_ADMIN_COUNT &&
		!(json_is_string(v) &&
			str_eq(str_of(json_string_value(v)), str_of(cluster_admin_names[i]))))
		i++;
	d->admin = (enum cluster_admin)i;
	return i == CLUSTER_ADMIN_COUNT ? "must be active, drain or disabled" : NULL;
}

static const char *take_bool(const json_t *v, bool *ret)
{
	*ret = json_is_true(v);
	return json_is_boolean(v) || json_is_null(v) ? NULL : "must be true or false";
}

/* The members of <body> over what <d> has; strings are borrowed from it. False: replied. */
static bool take_body(struct api_request *r, const json_t *body, struct cluster_def *d)
{
	const char *why = NULL, *key;
	json_t *v;

	json_object_foreach ((json_t *)body, key, v) {
		struct str k = str_of(key);

		if (str_eq(k, STR("directory")))
			why = take_text(v, &d->directory);
		else if (str_eq(k, STR("kubeconfig")))
			why = take_text(v, &d->kubeconfig);
		else if (str_eq(k, STR("context")))
			why = take_text(v, &d->context);
		else if (str_eq(k, STR("inCluster")))
			why = take_bool(v, &d->in_cluster);
		else if (str_eq(k, STR("roles")))
			why = take_roles(v, &d->roles);
		else if (str_eq(k, STR("weight")))
			why = take_weight(v, d);
		else if (str_eq(k, STR("adminState")))
			why = take_admin(v, d);
		else
			why = "is not known; known: directory, kubeconfig, context, inCluster, "
			      "roles, weight, adminState";
		if (why != NULL)
			break;
	}
	if (why != NULL)
		api_reply_problem(r, PROBLEM_UNPROCESSABLE, "%.64s %s", key, why);
	return why == NULL;
}

/* RFC 9110 13.1.1: the representation is still the one that the client has seen. */
static bool check_match(struct api_request *r)
{
	const struct cluster_entry *e = registry_find(r->source->registry, api_path_param(r, 0));
	char etag[ETAG_STRLEN];

	if (r->in.if_match.p == NULL)
		return true;
	if (e != NULL) {
		api_etag_json(json_definition(e), etag);
		if (etag_matches_strongly(r->in.if_match, etag))
			return true;
	}
	api_reply_problem(r, PROBLEM_PRECONDITION_FAILED,
		"the cluster is not as If-Match says; read it again");
	return false;
}

static void reply_refusal(struct api_request *r, int rc, const char *why)
{
	api_reply_problem(r,
		rc == -ENOENT		? PROBLEM_NOT_FOUND
			: rc == -EEXIST ? PROBLEM_CONFLICT
			: rc == -EINVAL ? PROBLEM_UNPROCESSABLE
			: rc == -ENOSPC ? PROBLEM_CONFLICT
					: PROBLEM_INTERNAL,
		"%s", why);
}

static void put(struct api_request *r, const struct cluster_def *d)
{
	struct registry *reg = r->source->registry;
	const struct cluster_entry *e = registry_find(reg, d->name);
	bool existed = e != NULL,
	     sourced = d->directory != NULL || d->kubeconfig != NULL || d->in_cluster;
	struct err err;
	/* one that cannot be reached any more is the one to be drained */
	int rc = sourced && (e == NULL || !cluster_def_same_source(d, &e->def))
		? sources_check(d, &err)
		: 0;

	if (rc < 0) {
		api_reply_problem(r, PROBLEM_UNPROCESSABLE, "%s", err.msg);
		return;
	}
	rc = registry_put(reg, d, &err);
	if (rc < 0) {
		reply_refusal(r, rc, err.msg);
		return;
	}
	r->source->on_clusters(r->source->on_clusters_arg);
	api_reply_json(r, existed ? 200 : 201,
		json_cluster(r->source, registry_find(reg, d->name)));
}

static void change(struct api_request *r, struct cluster_def d)
{
	json_t *body;

	if (!need_registry(r) || !check_match(r))
		return;
	body = view_body(r);
	if (body == NULL)
		return;
	d.name = api_path_param(r, 0);
	if (take_body(r, body, &d))
		put(r, &d);
	json_decref(body);
}

void view_cluster_put(struct api_request *r)
{
	change(r, (struct cluster_def){.name = {NULL, 0}});
}

void view_cluster_patch(struct api_request *r)
{
	const struct cluster_def *said = NULL;

	if (!need_registry(r))
		return;
	if (registry_find(r->source->registry, api_path_param(r, 0)) == NULL) {
		api_reply_problem(r, PROBLEM_NOT_FOUND, "there is no such cluster");
		return;
	}
	said = registry_said(r->source->registry, api_path_param(r, 0));
	change(r, said != NULL ? *said : (struct cluster_def){.name = {NULL, 0}});
}

void view_cluster_delete(struct api_request *r)
{
	struct err err;
	int rc;

	if (!need_registry(r) || !check_match(r))
		return;
	rc = registry_delete(r->source->registry, api_path_param(r, 0), &err);
	if (rc < 0) {
		reply_refusal(r, rc, err.msg);
		return;
	}
	r->source->on_clusters(r->source->on_clusters_arg);
	api_reply_json(r, 200,
		json_pack("{s:o, s:b}", "name", view_str(api_path_param(r, 0)), "deleted", 1));
}
