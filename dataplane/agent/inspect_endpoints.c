// SPDX-License-Identifier: Apache-2.0
/*
 * inspect_endpoints.c: the endpoints in use, and what each worker thinks of them.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/agent/agent_json.h"
#include "dataplane/agent/inspect.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/http/http.h"
#include "dataplane/upstream/upstream.h"

struct walk {
	uint64_t serial; /* of the configuration that is walked */
	uint32_t service, endpoint;
	json_t *list; /* endpoints of the service, borrowed from the answer */
};

static json_t *endpoint_json(struct agent *a, const struct inspect *in, const struct endpoint *e)
{
	const struct slot *s = slots_get(&a->ctx.slots, AGENT_SLOT_ENDPOINT, e->slot);
	uint64_t now_us = clock_mono_us(), in_flight = 0, idle = 0, ejected_us = 0;
	unsigned ejected = 0;

	for (unsigned i = 0; i < in->g->count; i++) {
		struct upstream_endpoint_state st;

		upstream_endpoint_state(http_upstream(in->g->w[i]->http), e->slot, &st);
		if (st.endpoint_id != e->id)
			continue;
		in_flight += st.in_flight;
		idle += st.idle;
		if (!sentence_holds(&st.sentence, now_us))
			continue;
		ejected++;
		if (st.sentence.until_us - now_us > ejected_us)
			ejected_us = st.sentence.until_us - now_us;
	}
	return json_pack("{s:o, s:o, s:o, s:o, s:i, s:i, s:b, s:I, s:I, s:i, s:I, s:o}", "id",
		agent_json_id(e->id), "name", agent_json_str(str_of(s->name)), "cluster",
		agent_json_str(str_of(s->cluster)), "address", inspect_addr(&e->addr), "port",
		e->port, "weight", e->weight, "draining", e->draining, "in_flight",
		(json_int_t)in_flight, "idle", (json_int_t)idle, "ejected_workers", (int)ejected,
		"ejected_us", (json_int_t)ejected_us, "health", inspect_health(a, e->id, e->slot));
}

/* <wanted>: name or id of a service; NULL: all. */
static bool service_is_wanted(const struct live *l, uint32_t i, const char *wanted)
{
	struct snapshot_service s = snapshot_service(&l->snap, i);
	char hex[17];

	if (wanted == NULL)
		return true;
	snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)s.id);
	return strcmp(hex, wanted) == 0 || str_eq(snapshot_str(&l->snap, s.name), str_of(wanted));
}

static void service_begin(const struct live *l, struct walk *w, json_t *services)
{
	struct snapshot_service s = snapshot_service(&l->snap, w->service);
	const struct endpoint_set *set = config_endpoints(&l->cfg, w->service);

	w->list = json_array();
	w->endpoint = 0;
	json_array_append_new(services,
		json_pack("{s:o, s:o, s:I, s:o, s:o}", "id", agent_json_id(s.id), "name",
			agent_json_str(snapshot_str(&l->snap, s.name)), "revision",
			(json_int_t)set->revision, "shares",
			inspect_service_shares(l->derived[w->service]), "endpoints", w->list));
}

/* One slice. False: that was the last one. */
static bool walk_services(struct agent *a, const struct inspect *in, struct walk *w,
	json_t *services, const char *wanted)
{
	const struct live *l = a->ctx.live;

	for (unsigned n = 0; n < INSPECT_SLICE; n++) {
		const struct endpoint_set *set;
		json_t *e;

		if (w->service == l->cfg.service_count)
			return false;
		if (w->list == NULL) {
			if (!service_is_wanted(l, w->service, wanted)) {
				w->service++;
				continue;
			}
			service_begin(l, w, services);
		}
		/* The set may have been replaced since the last slice: then the rest is the new one's. */
		set = config_endpoints(&l->cfg, w->service);
		if (w->endpoint >= set->count) {
			w->list = NULL;
			w->service++;
			continue;
		}
		e = endpoint_json(a, in, &set->e[w->endpoint]);
		inspect_endpoint_health(a, set, l->derived[w->service], w->endpoint++, e);
		json_array_append_new(w->list, e);
	}
	return true;
}

bool inspect_endpoints(struct agent *a, void *ctx, struct agent_query *q)
{
	const char *wanted = json_string_value(json_object_get(q->args, "service"));
	const struct live *l = a->ctx.live;
	struct walk *w;

	if (q->step == 0) {
		q->answer = json_pack("{s:[], s:o}", "services", "suspicion", inspect_suspicion(a));
		q->state = calloc(1, sizeof(*w));
		bug_on(q->state == NULL);
	}
	w = q->state;
	if (l == NULL)
		return false;
	if (w->serial != l->cfg.serial) { /* begin, or begin anew: the configuration was replaced */
		json_array_clear(json_object_get(q->answer, "services"));
		json_object_set_new(q->answer, "failover", inspect_failover(l));
		*w = (struct walk){.serial = l->cfg.serial};
	}
	return walk_services(a, ctx, w, json_object_get(q->answer, "services"), wanted);
}
