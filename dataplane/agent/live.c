// SPDX-License-Identifier: Apache-2.0
/*
 * live.c: one object swapped as a whole.
 *
 * The new vector or set is complete before its pointer is stored (release); workers load it with
 * acquire and use it for one request. The old one waits in the line of reclaim.h.
 */
#include "dataplane/agent/live.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"

static enum message_result object_check(const struct live *l, const struct live_object *o,
	const struct message *m, uint64_t generation, uint64_t revision, struct err *err)
{
	if (generation != l->cfg.generation) {
		err_set(err, EINVAL, "meant for generation %llu, in use is %llu",
			(unsigned long long)generation, (unsigned long long)l->cfg.generation);
		return MESSAGE_RESULT_GENERATION;
	}
	if (o == NULL) {
		err_set(err, EINVAL, "generation %llu has no such object",
			(unsigned long long)generation);
		return MESSAGE_RESULT_UNKNOWN_OBJECT;
	}
	if (m->epoch < o->epoch || (m->epoch == o->epoch && revision < o->revision)) {
		err_set(err, EINVAL, "revision %llu is older than %llu of epoch %llu",
			(unsigned long long)revision, (unsigned long long)o->revision,
			(unsigned long long)o->epoch);
		return MESSAGE_RESULT_STALE;
	}
	return MESSAGE_RESULT_OK;
}

bool live_journal_has_room(const struct live *l, size_t len)
{
	/* Half of it, so that a rewritten journal has room for more than the next record. */
	return l->journal_bytes + JOURNAL_RECORD_BYTES + len <= JOURNAL_BYTES_MAX / 2;
}

static void object_set(struct live *l, struct live_object *o, void *owned, uint64_t digest,
	uint64_t epoch, uint64_t revision, size_t len)
{
	uint32_t bytes = JOURNAL_RECORD_BYTES + (uint32_t)len;

	l->state += digest - o->digest;
	l->journal_bytes += (uint64_t)bytes - o->journal_bytes;
	*o = (struct live_object){digest, epoch, revision, bytes, owned};
	if (epoch > l->epoch || (epoch == l->epoch && revision > l->revision)) {
		l->epoch = epoch;
		l->revision = revision;
	}
}

/* <w> gets the weights in the image's order; false: not every backend exactly once, or too heavy. */
static bool weights_fill(const struct live *l, uint32_t rule, const struct message *m,
	struct weight_vector *v)
{
	struct snapshot_rule r = snapshot_rule(&l->snap, rule);
	bool seen[SNAPSHOT_RULE_BACKENDS_MAX] = {false};

	if (m->weights.count != r.backend_count || r.backend_count > SNAPSHOT_RULE_BACKENDS_MAX)
		return false;
	for (uint32_t i = 0; i < m->weights.count; i++) {
		uint32_t b = snapshot_find_backend(&l->snap, m->weights.w[i].backend_id);
		uint32_t at = b - r.backend_first;

		if (b == SLOT_NONE || b < r.backend_first || at >= r.backend_count || seen[at] ||
			m->weights.w[i].weight > SNAPSHOT_WEIGHT_MAX)
			return false;
		seen[at] = true;
		v->w[at] = m->weights.w[i].weight;
		v->total += v->w[at];
	}
	return true;
}

/* What was replaced: workers may read it, if it was published at all. */
static void retire(struct live_context *c, const struct live *l, reclaim_fn fn, void *obj,
	uint64_t now_us)
{
	if (obj == NULL)
		return;
	if (l == c->live)
		reclaim_add(&c->reclaim, fn, obj, false, false, now_us);
	else
		fn(c, obj, false);
}

static void free_vector(void *ctx, void *obj, bool late)
{
	free(obj);
}

enum message_result live_apply_weights(struct live_context *c, struct live *l,
	const struct message *m, size_t len, uint64_t now_us, struct err *err)
{
	uint32_t rule = snapshot_find_rule(&l->snap, m->weights.rule_id);
	struct live_object *o = rule == SLOT_NONE ? NULL : &l->rules[rule];
	enum message_result res =
		object_check(l, o, m, m->weights.generation, m->weights.revision, err);
	struct weight_vector *v;

	if (res != MESSAGE_RESULT_OK)
		return res;
	v = calloc(1, sizeof(*v) + m->weights.count * sizeof(v->w[0]));
	bug_on(v == NULL);
	v->rule_id = m->weights.rule_id;
	v->revision = m->weights.revision;
	v->count = m->weights.count;
	if (!weights_fill(l, rule, m, v)) {
		free(v);
		err_set(err, EINVAL, "%u weights do not name the rule's backends once each",
			m->weights.count);
		return MESSAGE_RESULT_BAD_VECTOR;
	}
	derive_rule_set(c, l, rule, v, now_us);
	retire(c, l, free_vector, o->owned, now_us);
	object_set(l, o, v,
		message_weights_digest(m->weights.rule_id, m->weights.w, m->weights.count),
		m->epoch, m->weights.revision, len);
	return MESSAGE_RESULT_OK;
}

static void set_release_slots(struct live_context *c, const struct endpoint_set *set,
	uint64_t now_us)
{
	for (uint32_t i = 0; i < set->count; i++)
		slots_release(&c->slots, AGENT_SLOT_ENDPOINT, set->e[i].slot, now_us);
}

/* A set that came by message and that no worker reads any more. */
static void free_set(void *ctx, void *obj, bool late)
{
	set_release_slots(ctx, obj, clock_mono_us());
	free(obj);
}

/* NULL: no slots left, nothing held. */
static struct endpoint_set *set_new(struct live_context *c, const struct message *m,
	uint64_t now_us)
{
	struct endpoint_set *set = calloc(1, endpoint_set_bytes(m->endpoints.count));

	bug_on(set == NULL);
	set->service_id = m->endpoints.service_id;
	set->revision = m->endpoints.revision;
	for (uint32_t i = 0; i < m->endpoints.count; i++) {
		const struct message_endpoint *e = &m->endpoints.e[i];
		uint32_t slot = slots_acquire(&c->slots, AGENT_SLOT_ENDPOINT, e->id, e->name,
			e->cluster, now_us);

		if (slot == SLOT_NONE) {
			set_release_slots(c, set, now_us);
			free(set);
			return NULL;
		}
		set->e[set->count++] = (struct endpoint){.id = e->id,
			.addr = e->addr,
			.port = e->port,
			.weight = e->weight,
			.slot = slot,
			.draining = e->draining};
	}
	endpoint_set_finish(set, m->endpoints.e);
	return set;
}

enum message_result live_apply_endpoints(struct live_context *c, struct live *l,
	const struct message *m, size_t len, uint64_t now_us, struct err *err)
{
	uint32_t service = snapshot_find_service(&l->snap, m->endpoints.service_id);
	struct live_object *o = service == SLOT_NONE ? NULL : &l->services[service];
	enum message_result res =
		object_check(l, o, m, m->endpoints.generation, m->endpoints.revision, err);
	struct endpoint_set *set;

	if (res != MESSAGE_RESULT_OK)
		return res;
	for (uint32_t i = 0; i < m->endpoints.count; i++)
		if (ip_is_any(&m->endpoints.e[i].addr) || m->endpoints.e[i].id == 0) {
			err_set(err, EINVAL, "endpoint %u has no address or no id", i);
			return MESSAGE_RESULT_BAD_MESSAGE;
		}
	set = set_new(c, m, now_us);
	if (set == NULL) {
		err_set(err, ENOSPC, "more than %u endpoints", SLOTS_ENDPOINT_MAX);
		return MESSAGE_RESULT_SLOTS;
	}
	derive_service_set(c, l, service, set, m->endpoints.clusters, m->endpoints.cluster_count,
		now_us);
	atomic_store_explicit(&l->endpoints[service], set, memory_order_release);
	if (l == c->live)
		health_live_stale(c);
	retire(c, l, free_set, o->owned, now_us);
	object_set(l, o, set,
		message_endpoints_digest(m->endpoints.service_id, m->endpoints.e,
			m->endpoints.count, m->endpoints.clusters, m->endpoints.cluster_count),
		m->epoch, m->endpoints.revision, len);
	derive_rules_of(c, l, service, now_us);
	return MESSAGE_RESULT_OK;
}

uint64_t live_key(const struct message *m)
{
	bug_on(m->type != MESSAGE_WEIGHTS && m->type != MESSAGE_ENDPOINTS);
	return m->type == MESSAGE_WEIGHTS ? m->weights.rule_id : ~m->endpoints.service_id;
}
