// SPDX-License-Identifier: Apache-2.0
/*
 * view_sites.c: this site and its peers: how they are, what each says, how well we hear them.
 *
 * What another site said stays when it falls silent, and is marked stale.
 */
#include <inttypes.h>

#include "control/api/view.h"
#include "federation/hlc.h"

static json_t *json_vips(const struct record_site *s)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < s->vip_count; i++)
		json_array_append_new(list, view_addr(&s->vips[i]));
	return list;
}

/* What the site says of itself. */
static void add_site(json_t *j, const struct record *r)
{
	const struct record_site *s = &r->of_site;

	json_object_set_new(j, "state", json_string(site_state_names[s->state]));
	json_object_set_new(j, "requestsPerSecond", json_integer(s->requests_per_s));
	json_object_set_new(j, "capacityPerSecond", json_integer(s->capacity_per_s));
	json_object_set_new(j, "load", json_real(s->load_permille / 1000.0));
	json_object_set_new(j, "vips", json_vips(s));
	json_object_set_new(j, "saidAt", view_time((int64_t)(hlc_ms(r->stamp) / 1000)));
}

/* A cluster as the site sees it. */
static json_t *json_health(const struct record *r)
{
	const struct record_health *h = &r->health;

	return json_pack("{s:o, s:s, s:I, s:I, s:I, s:I}", "name", view_str(r->cluster), "state",
		health_state_names[h->state], "endpoints", (json_int_t)h->total, "ready",
		(json_int_t)h->ready, "usable", (json_int_t)h->usable, "requestsPerSecond",
		(json_int_t)h->requests_per_s);
}

static void add_records(json_t *j, const struct federation *f, struct str site)
{
	json_t *clusters = json_array();
	const struct record *r;
	uint32_t pos = 0;

	while ((r = federation_next_record(f, &pos)) != NULL) {
		if (!str_eq(r->site, site))
			continue;
		if (r->kind == RECORD_SITE)
			add_site(j, r);
		else if (r->kind == RECORD_HEALTH && r->health.state != HEALTH_GONE)
			json_array_append_new(clusters, json_health(r));
	}
	json_object_set_new(j, "clusters", clusters);
}

static void add_peer(json_t *j, const struct federation_peer_state *p, uint64_t now_ms)
{
	json_object_set_new(j, "url", json_string(p->url));
	json_object_set_new(j, "peer",
		json_pack("{s:s, s:b, s:b, s:f, s:o, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I}",
			"state", peer_state_names[p->state], "connected", p->is_connected, "inStep",
			p->is_in_step, "stateSeconds", (double)(now_ms - p->since_ms) / 1000.0,
			"heardSecondsAgo",
			p->heard_ms == 0 ? json_null()
					 : json_real((double)(now_ms - p->heard_ms) / 1000.0),
			"clockAheadMs", (json_int_t)p->clock_ms, "unsent", (json_int_t)p->unsent,
			"lastRefusal", refusal_metrics[p->last_refusal], "connects",
			(json_int_t)p->connects, "recordsSent", (json_int_t)p->records_sent,
			"recordsTaken", (json_int_t)p->records_taken, "recordsRefused",
			(json_int_t)p->records_refused, "messagesSent",
			(json_int_t)p->messages_sent, "messagesReceived",
			(json_int_t)p->messages_received));
}

static json_t *json_self(struct federate *f)
{
	struct federation *fed = federate_federation(f);
	json_t *j = json_pack("{s:o, s:b, s:b, s:o}", "name", view_str(federate_name(f)), "self", 1,
		"stale", 0, "digest", view_id(federation_digest(fed)));

	add_records(j, fed, federate_name(f));
	return j;
}

static json_t *json_peer(struct federate *f, const struct federation_peer_state *p)
{
	json_t *j = json_pack("{s:o, s:b, s:b}", "name", view_str(p->name), "self", 0, "stale",
		!p->is_connected);

	add_peer(j, p, federate_now_ms());
	add_records(j, federate_federation(f), p->name);
	return j;
}

static bool need_site(struct api_request *r)
{
	if (r->source->federate != NULL)
		return true;
	api_reply_problem(r, PROBLEM_NOT_READY, "the site is not open yet");
	return false;
}

static json_t *json_refusals(const struct federation *f)
{
	json_t *j = json_object();

	for (unsigned i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++)
		json_object_set_new(j, refusal_metrics[i],
			json_integer((json_int_t)federation_refusals(f, (enum refusal)i)));
	return j;
}

json_t *view_site_event(const struct federation_event *e, const char **ret_name)
{
	static const char *const names[] =
		{[RECORD_SITE] = "site", [RECORD_HEALTH] = "health", [RECORD_WEIGHT] = "weight"};
	json_t *j = NULL;

	switch (e->kind) {
	case FEDERATION_RECORD:
		*ret_name = names[e->record->kind];
		if (e->record->kind == RECORD_WEIGHT) {
			j = view_weight_record(e->record);
			json_object_set_new(j, "removed", json_boolean(e->record->weight.removed));
			return j;
		}
		j = e->record->kind == RECORD_HEALTH ? json_health(e->record) : json_object();
		if (e->record->kind == RECORD_SITE)
			add_site(j, e->record);
		json_object_set_new(j, "site", view_str(e->record->site));
		return j;
	case FEDERATION_CONFLICT:
		*ret_name = "conflict";
		return json_pack("{s:o, s:o}", "holds", view_weight_record(e->record), "lost",
			view_weight_record(e->lost));
	case FEDERATION_PEER:
		*ret_name = "peer";
		return json_pack("{s:o, s:s}", "name", view_str(e->peer), "state",
			peer_state_names[e->state]);
	case FEDERATION_REFUSED:
		*ret_name = "refused";
		return json_pack("{s:o, s:s}", "peer", view_str(e->peer), "why",
			refusal_metrics[e->refusal]);
	}
	return NULL;
}

void view_events(struct api_request *r)
{
	api_reply_stream(r);
}

void view_sites(struct api_request *r)
{
	struct federate *f = r->source->federate;
	struct federation_peer_state p;
	json_t *items;

	if (!need_site(r))
		return;
	items = json_array();
	json_array_append_new(items, json_self(f));
	for (uint32_t i = 0; i < federation_peer_count(federate_federation(f)); i++) {
		federation_peer(federate_federation(f), i, &p);
		json_array_append_new(items, json_peer(f, &p));
	}
	api_reply_json(r, 200,
		json_pack("{s:o, s:o, s:o}", "self", view_str(federate_name(f)), "items", items,
			"refusals", json_refusals(federate_federation(f))));
}

void view_site(struct api_request *r)
{
	struct federate *f = r->source->federate;
	struct federation_peer_state p;

	if (!need_site(r))
		return;
	if (str_eq(api_path_param(r, 0), federate_name(f))) {
		api_reply_json(r, 200, json_self(f));
		return;
	}
	for (uint32_t i = 0; i < federation_peer_count(federate_federation(f)); i++) {
		federation_peer(federate_federation(f), i, &p);
		if (str_eq(api_path_param(r, 0), p.name)) {
			api_reply_json(r, 200, json_peer(f, &p));
			return;
		}
	}
	api_reply_problem(r, PROBLEM_NOT_FOUND, "there is no such site");
}
