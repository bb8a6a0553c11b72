// SPDX-License-Identifier: Apache-2.0
/*
 * inspect_health.c: what is thought of an endpoint, since when and why, and whom we suspect.
 */
#include "dataplane/agent/agent_json.h"
#include "dataplane/agent/inspect.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"

/* One word for all of it; the first that holds. */
static const char *state_of(const struct health_endpoint *e, uint64_t now_us)
{
	if (e->suspected)
		return "suspected";
	if (!verdict_is_usable(&e->verdict))
		return verdict_state_str((enum verdict_state)e->verdict.state);
	if (sentence_holds(&e->sentence, now_us))
		return "ejected";
	if (!e->probed)
		return "unprobed";
	return verdict_state_str((enum verdict_state)e->verdict.state);
}

static json_t *probe_json(const struct health_endpoint *e, uint64_t now_us)
{
	const struct probe_report *r = &e->last;

	if (r->done_us == 0)
		return json_null();
	return json_pack("{s:s, s:i, s:I, s:I, s:i}", "result",
		probe_result_str((enum probe_result)r->result), "status", (int)r->status,
		"latency_us", (json_int_t)(r->done_us - r->sent_us), "age_us",
		(json_int_t)(now_us > r->done_us ? now_us - r->done_us : 0), "in_a_row",
		(int)e->verdict.run);
}

json_t *inspect_health(const struct agent *a, uint64_t id, uint32_t slot)
{
	const struct health *h = &a->ctx.health;
	const struct health_endpoint *e = health_get(h, id, slot);
	uint64_t now_us = clock_mono_us();
	bool usable;

	if (e == NULL) /* it came a moment ago */
		return json_null();
	usable = health_verdict(h->board, slot) == 0;
	return json_pack("{s:s, s:b, s:s, s:I, s:I, s:i, s:b, s:o}", "state", state_of(e, now_us),
		"usable", (int)usable, "why", verdict_why_str(health_why(h, e, now_us)), "since_us",
		(json_int_t)(e->changed_us != 0 ? now_us - e->changed_us : 0), "ejected_us",
		(json_int_t)(sentence_holds(&e->sentence, now_us) ? e->sentence.until_us - now_us
								  : 0),
		"ejections", (int)e->sentence.count, "remote", (int)e->remote, "probe",
		probe_json(e, now_us));
}

/* Names of the suspected clusters, each once. */
static json_t *suspected_clusters(const struct agent *a)
{
	const struct health *h = &a->ctx.health;
	json_t *list = json_array();

	for (unsigned k = 0; k < SUSPICION_CLUSTERS_MAX; k++) {
		if (!h->suspicion.c[k].suspected)
			continue;
		for (uint32_t i = 0; i < h->top; i++) {
			if (h->ep[i].id == 0 || h->ep[i].cluster != h->suspicion.c[k].id)
				continue;
			json_array_append_new(list,
				agent_json_str(
					str_of(slots_get(&a->ctx.slots, AGENT_SLOT_ENDPOINT, i)
							->cluster)));
			break;
		}
	}
	return list;
}

json_t *inspect_suspicion(const struct agent *a)
{
	const struct suspicion *s = &a->ctx.health.suspicion;

	return json_pack("{s:b, s:I, s:I, s:o}", "on", (int)s->on, "since_us",
		(json_int_t)(s->since_us != 0 ? clock_mono_us() - s->since_us : 0), "times",
		(json_int_t)s->times, "clusters", suspected_clusters(a));
}
