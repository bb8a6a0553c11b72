// SPDX-License-Identifier: Apache-2.0
/*
 * view_weights.c: what operators want of clusters while they run: at all sites, or at this one.
 *
 * The key is a cluster and a scope: ?scope=all, or the name of a site, of which only our own can be
 * written here. PUT says it anew, PATCH changes what it names (RFC 7396), DELETE takes it back, and so
 * does a change that leaves neither weight nor drain. A drain alone says nothing of the weight. Each
 * may carry If-Match with the tag of a GET. When the answer is there the change is durable, holds
 * here and is on its way to the other sites.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/api/view.h"
#include "dataplane/yaml/yaml_decode.h"
#include "federation/hlc.h"

#define SCOPE_ALL STR("all")

static json_t *json_ms(uint64_t ms)
{
	return ms == 0 ? json_null() : view_time((int64_t)(ms / 1000));
}

static json_t *json_weight(bool is_said, uint32_t weight)
{
	return is_said ? json_integer(weight) : json_null();
}

json_t *view_weight_record(const struct record *w)
{
	return json_pack("{s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o}", "cluster",
		view_str(w->cluster), "scope", view_str(w->scope.len ? w->scope : SCOPE_ALL),
		"weight", json_weight(!w->weight.weightless, w->weight.weight), "drain",
		w->weight.drain, "site", view_str(w->site), "actor", view_str(w->weight.actor),
		"reason", view_str(w->weight.reason), "since", json_ms(hlc_ms(w->stamp)), "until",
		json_ms(w->weight.expires_ms));
}

json_t *view_order(const struct cluster_order *o)
{
	if (o == NULL)
		return json_null();
	return json_pack("{s:o, s:b, s:o, s:o, s:o, s:o, s:o}", "weight",
		json_weight(o->has_weight, o->weight), "drain", o->drain, "site", view_str(o->site),
		"actor", view_str(o->actor), "reason", view_str(o->reason), "since",
		json_ms(o->since_ms), "until", json_ms(o->expires_ms));
}

static struct federation *federation_of(struct api_request *r)
{
	if (r->source->federate != NULL)
		return federate_federation(r->source->federate);
	api_reply_problem(r, PROBLEM_NOT_READY, "the site is not open yet");
	return NULL;
}

void view_weights(struct api_request *r)
{
	struct federation *f = federation_of(r);
	json_t *items, *lost;
	const struct record *w;
	uint32_t pos = 0;

	if (f == NULL)
		return;
	items = json_array();
	lost = json_array();
	while ((w = federation_next_record(f, &pos)) != NULL) {
		json_t *j;

		if (w->kind != RECORD_WEIGHT || record_is_dead(w, federation_time_ms(f)))
			continue;
		j = view_weight_record(w);
		json_object_set_new(j, "holdsHere",
			json_boolean(federation_weight(f, w->cluster) == w));
		json_array_append_new(items, j);
	}
	for (uint32_t i = 0; (w = federation_lost_edit(f, i)) != NULL; i++)
		json_array_append_new(lost, view_weight_record(w));
	api_reply_json(r, 200, json_pack("{s:o, s:o}", "items", items, "lostEdits", lost));
}

/* --- one of them --- */

struct key {
	struct str cluster, scope; /* scope empty: all sites */
};

/* False: replied. */
static bool take_key(struct api_request *r, struct key *ret)
{
	struct str scope = api_query_param(r, "scope");

	ret->cluster = api_path_param(r, 0);
	ret->scope = scope.p == NULL || str_eq(scope, SCOPE_ALL) ? STR("") : scope;
	if (!record_name_is_valid(ret->cluster)) {
		api_reply_problem(r, PROBLEM_NOT_FOUND, "that is no name of a cluster");
		return false;
	}
	if (ret->scope.len != 0 && !federate_knows(r->source->federate, ret->scope)) {
		api_reply_problem(r, PROBLEM_NOT_FOUND,
			"there is no site %.*s; scope is all, or the name of a site",
			STR_FMT(str_first(ret->scope, SITE_NAME_MAX)));
		return false;
	}
	return true;
}

static const struct record *find(const struct federation *f, const struct key *k)
{
	const struct record *w;
	uint32_t pos = 0;

	while ((w = federation_next_record(f, &pos)) != NULL)
		if (w->kind == RECORD_WEIGHT && str_eq(w->cluster, k->cluster) &&
			str_eq(w->scope, k->scope) && !record_is_dead(w, federation_time_ms(f)))
			return w;
	return NULL;
}

static void reply_none(struct api_request *r)
{
	api_reply_problem(r, PROBLEM_NOT_FOUND, "no operator has said anything about it");
}

void view_weight(struct api_request *r)
{
	struct federation *f = federation_of(r);
	const struct record *w;
	struct key k;

	if (f == NULL || !take_key(r, &k))
		return;
	w = find(f, &k);
	if (w == NULL)
		reply_none(r);
	else
		api_reply_json(r, 200, view_weight_record(w));
}

/* --- in --- */

static const char *take_number(const json_t *v, struct record_weight *w)
{
	w->weightless = json_is_null(v);
	if (w->weightless)
		return NULL;
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
		json_integer_value(v) > RECORD_WEIGHT_MAX)
		return "must be a number from 0 to 1000000";
	w->weight = (uint32_t)json_integer_value(v);
	return NULL;
}

static const char *take_drain(const json_t *v, struct record_weight *w)
{
	w->drain = json_is_true(v);
	return json_is_boolean(v) || json_is_null(v) ? NULL : "must be true or false";
}

static const char *take_text(const json_t *v, size_t max, struct str *ret)
{
	*ret = STR("");
	if (json_is_null(v))
		return NULL;
	if (!json_is_string(v) || json_string_length(v) > max)
		return max == RECORD_ACTOR_MAX ? "must be text of at most 63 bytes"
					       : "must be text of at most 255 bytes";
	*ret = str_make(json_string_value(v), json_string_length(v));
	return NULL;
}

/* From now on; null: for ever. */
static const char *take_ttl(const json_t *v, uint64_t now_ms, struct record_weight *w)
{
	uint32_t ms;

	w->expires_ms = 0;
	if (json_is_null(v))
		return NULL;
	if (!json_is_string(v) ||
		!yaml_duration_ms(str_make(json_string_value(v), json_string_length(v)), &ms) ||
		ms < 1000)
		return "must be a duration like 90s or 1h, at least 1s";
	w->expires_ms = now_ms + ms;
	return NULL;
}

/* The members of <body> over what <w> has; strings are borrowed from it. False: replied. */
static bool take_body(struct api_request *r, const json_t *body, uint64_t now_ms,
	struct record_weight *w)
{
	const char *why = NULL, *key;
	json_t *v;

	json_object_foreach ((json_t *)body, key, v) {
		struct str k = str_of(key);

		if (str_eq(k, STR("weight")))
			why = take_number(v, w);
		else if (str_eq(k, STR("drain")))
			why = take_drain(v, w);
		else if (str_eq(k, STR("ttl")))
			why = take_ttl(v, now_ms, w);
		else if (str_eq(k, STR("actor")))
			why = take_text(v, RECORD_ACTOR_MAX, &w->actor);
		else if (str_eq(k, STR("reason")))
			why = take_text(v, RECORD_REASON_MAX, &w->reason);
		else
			why = "is not known; known: weight, drain, ttl, actor, reason";
		if (why != NULL)
			break;
	}
	if (why != NULL)
		api_reply_problem(r, PROBLEM_UNPROCESSABLE, "%.64s %s", key, why);
	return why == NULL;
}

/* RFC 9110 13.1.1; "*" asks that there is one at all. */
static bool check_match(struct api_request *r, const struct record *w)
{
	char etag[ETAG_STRLEN];

	if (r->in.if_match.p == NULL)
		return true;
	if (w != NULL) {
		api_etag_json(view_weight_record(w), etag);
		if (etag_matches_strongly(r->in.if_match, etag))
			return true;
	}
	api_reply_problem(r, PROBLEM_PRECONDITION_FAILED,
		"the weight is not as If-Match says; read it again");
	return false;
}

/* What may be written here at all. False: replied. */
static bool check_scope(struct api_request *r, const struct key *k)
{
	struct str own = federate_name(r->source->federate);

	if (k->scope.len == 0 || str_eq(k->scope, own))
		return true;
	api_reply_problem(r, PROBLEM_CONFLICT,
		"what holds at site %.*s alone is written there; this is %.*s", STR_FMT(k->scope),
		STR_FMT(own));
	return false;
}

static bool write_weight(struct api_request *r, const struct key *k, const struct record_weight *w)
{
	struct err err;
	int rc = federate_set_weight(r->source->federate, k->cluster, k->scope.len != 0, w, &err);

	if (rc == 0)
		return true;
	api_reply_problem(r,
		rc == -EINVAL				? PROBLEM_UNPROCESSABLE
			: rc == -ENOSPC || rc == -ETIME ? PROBLEM_CONFLICT
							: PROBLEM_INTERNAL,
		"%s", err.msg);
	return false;
}

/* A disk may take longer than a short ttl: then it is over before the answer. */
static void reply_written(struct api_request *r, const struct key *k, bool was_there)
{
	const struct record *w = find(federation_of(r), k);

	if (w != NULL)
		api_reply_json(r, was_there ? 200 : 201, view_weight_record(w));
	else
		api_reply_problem(r, PROBLEM_CONFLICT,
			"it was written, but its time was over before that was done");
}

/* What releases take that cannot leave it out: the weight as it is. */
static uint32_t weight_now(const struct api_request *r, struct str cluster)
{
	const struct cluster_entry *e = registry_find(r->source->registry, cluster);

	return e != NULL ? e->def.weight : RECORD_WEIGHT_DEFAULT;
}

/* Nothing is wanted any more. */
static void take_back(struct api_request *r, const struct key *k, struct record_weight w,
	bool was_there)
{
	w.weight = RECORD_WEIGHT_DEFAULT;
	w.removed = true;
	w.weightless = false;
	w.expires_ms = 0;
	if (!was_there || write_weight(r, k, &w))
		api_reply_json(r, 200,
			json_pack("{s:o, s:o, s:b}", "cluster", view_str(k->cluster), "scope",
				view_str(k->scope.len ? k->scope : SCOPE_ALL), "deleted",
				was_there));
}

static void write_change(struct api_request *r, const struct key *k, struct record_weight w,
	bool was_there)
{
	if (w.weightless)
		w.weight = weight_now(r, k->cluster);
	if (w.weightless && !w.drain)
		take_back(r, k, w, was_there);
	else if (write_weight(r, k, &w))
		reply_written(r, k, was_there);
}

static void change(struct api_request *r, bool patch)
{
	struct federation *f = federation_of(r);
	struct record_weight w = {.weightless = true};
	const struct record *was;
	struct key k;
	json_t *body;

	if (f == NULL || !take_key(r, &k) || !check_scope(r, &k))
		return;
	was = find(f, &k);
	if (!check_match(r, was))
		return;
	body = view_body(r);
	if (body == NULL)
		return;
	if (patch && was != NULL) {
		w = was->weight;
		/* those who change it answer for it */
		w.actor = w.reason = STR("");
	}
	if (!patch && json_object_get(body, "weight") == NULL &&
		json_object_get(body, "drain") == NULL)
		api_reply_problem(r, PROBLEM_UNPROCESSABLE, "weight or drain is needed");
	else if (take_body(r, body, federation_time_ms(f), &w))
		write_change(r, &k, w, was != NULL);
	json_decref(body);
}

void view_weight_put(struct api_request *r)
{
	change(r, false);
}

void view_weight_patch(struct api_request *r)
{
	change(r, true);
}

void view_weight_delete(struct api_request *r)
{
	struct federation *f = federation_of(r);
	struct record_weight w = {.actor = api_query_param(r, "actor"),
		.reason = api_query_param(r, "reason")};
	const struct record *was;
	struct key k;

	if (f == NULL || !take_key(r, &k) || !check_scope(r, &k))
		return;
	if (w.actor.len > RECORD_ACTOR_MAX || w.reason.len > RECORD_REASON_MAX) {
		api_reply_problem(r, PROBLEM_BAD_REQUEST, "actor may have %u bytes, reason %u",
			RECORD_ACTOR_MAX, RECORD_REASON_MAX);
		return;
	}
	was = find(f, &k);
	if (was == NULL) {
		reply_none(r);
		return;
	}
	if (check_match(r, was))
		take_back(r, &k, w, true);
}
