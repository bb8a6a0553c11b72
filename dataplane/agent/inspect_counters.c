// SPDX-License-Identifier: Apache-2.0
/*
 * inspect_counters.c: every counter by its name, and those of objects by id.
 *
 * Names and sentences come from the .def tables of the layers. Objects that are configured are all
 * listed; those that left, as long as their slot remembers them and they have counted anything.
 */
#include <stdlib.h>

#include "dataplane/agent/agent_json.h"
#include "dataplane/agent/inspect.h"
#include "dataplane/base/bug.h"

/* Where the walk over objects stands. */
struct walk {
	enum counter_scope scope;
	uint32_t slot;
	json_t *list; /* of this scope, borrowed from the answer */
};

static json_t *set_counters(const struct inspect *in, unsigned set, const struct counter_set *first)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < first->count; i++) {
		json_t *workers = json_array();
		uint64_t sum = 0;

		for (unsigned w = 0; w < in->g->count; w++) {
			struct counter_set sets[WORKER_COUNTER_SETS_MAX];
			uint64_t v;

			bug_on(worker_counter_sets(in->g->w[w], sets) <= set);
			v = __atomic_load_n(&sets[set].v[i], __ATOMIC_RELAXED);
			sum += v;
			json_array_append_new(workers, json_integer((json_int_t)v));
		}
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:I, s:o}", "name", first->name(i), "help",
				first->help(i), "value", (json_int_t)sum, "workers", workers));
	}
	return list;
}

static json_t *all_sets(const struct inspect *in)
{
	struct counter_set sets[WORKER_COUNTER_SETS_MAX];
	unsigned n = in->g->count > 0 ? worker_counter_sets(in->g->w[0], sets) : 0;
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:o}", "scope", sets[i].scope, "instance",
				sets[i].instance, "counters", set_counters(in, i, &sets[i])));
	return list;
}

static json_t *object_help(void)
{
	json_t *all = json_object();

	for (unsigned s = 0; s < COUNTER_SCOPE_COUNT; s++) {
		json_t *help = json_object();

		for (unsigned i = 0; i < counter_count((enum counter_scope)s); i++)
			json_object_set_new(help, counter_name((enum counter_scope)s, i),
				json_string(counter_help((enum counter_scope)s, i)));
		json_object_set_new(all, counter_scope_name((enum counter_scope)s), help);
	}
	return all;
}

/* NULL: it left and never counted anything. */
static json_t *object_json(const struct inspect *in, enum counter_scope scope, uint32_t slot,
	const struct slot *s)
{
	json_t *counters = json_object(), *j;
	bool any = s->refs > 0;

	for (unsigned i = 0; i < counter_count(scope); i++) {
		uint64_t v = inspect_object_counter(in, scope, slot, i);

		any |= v != 0;
		json_object_set_new(counters, counter_name(scope, i), json_integer((json_int_t)v));
	}
	if (!any) {
		json_decref(counters);
		return NULL;
	}
	j = json_pack("{s:o, s:o, s:b, s:o}", "id", agent_json_id(s->id), "name",
		agent_json_str(str_of(s->name)), "configured", s->refs > 0, "counters", counters);
	if (scope == COUNTER_ENDPOINT)
		json_object_set_new(j, "cluster", agent_json_str(str_of(s->cluster)));
	return j;
}

/* One slice of objects. False: that was the last one. */
static bool walk_objects(struct agent *a, const struct inspect *in, struct walk *w, json_t *objects)
{
	for (unsigned n = 0; n < INSPECT_SLICE; n++) {
		enum agent_slot_kind kind = (enum agent_slot_kind)w->scope;
		json_t *j;

		if (w->list == NULL) {
			w->list = json_array();
			json_object_set_new(objects, counter_scope_name(w->scope), w->list);
		}
		if (w->slot == a->ctx.slots.t[kind].used) {
			w->list = NULL;
			w->slot = 0;
			if (++w->scope == COUNTER_SCOPE_COUNT)
				return false;
			continue;
		}
		j = object_json(in, w->scope, w->slot, slots_get(&a->ctx.slots, kind, w->slot));
		w->slot++;
		if (j != NULL)
			json_array_append_new(w->list, j);
	}
	return true;
}

bool inspect_counters(struct agent *a, void *ctx, struct agent_query *q)
{
	const struct inspect *in = ctx;

	if (q->step == 0) {
		q->answer = json_pack("{s:o}", "sets", all_sets(in));
		if (!json_is_true(json_object_get(q->args, "objects")))
			return false;
		json_object_set_new(q->answer, "help", object_help());
		json_object_set_new(q->answer, "objects", json_object());
		q->state = calloc(1, sizeof(struct walk));
		bug_on(q->state == NULL);
		return true;
	}
	return walk_objects(a, in, q->state, json_object_get(q->answer, "objects"));
}
