// SPDX-License-Identifier: Apache-2.0
/*
 * slots.c: one hash table per kind; chains run through the slots themselves.
 */
#include "dataplane/agent/slots.h"

#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/hash.h"

static const uint32_t slots_max[AGENT_SLOT_KIND_COUNT] = {
	[AGENT_SLOT_LISTENER] = SLOTS_LISTENER_MAX,
	[AGENT_SLOT_RULE] = SLOTS_RULE_MAX,
	[AGENT_SLOT_BACKEND] = SLOTS_BACKEND_MAX,
	[AGENT_SLOT_ENDPOINT] = SLOTS_ENDPOINT_MAX,
};

static void table_init(struct slot_table *t, enum agent_slot_kind kind)
{
	uint32_t heads = 1;

	*t = (struct slot_table){.kind = kind, .max = slots_max[kind]};
	while (heads < t->max)
		heads *= 2;
	t->mask = heads - 1;
	t->slots = calloc(t->max, sizeof(t->slots[0]));
	t->heads = malloc(heads * sizeof(t->heads[0]));
	bug_on(t->slots == NULL || t->heads == NULL);
	for (uint32_t i = 0; i < heads; i++)
		t->heads[i] = SLOT_NONE;
	list_init(&t->resting);
}

void slots_init(struct slots *s, const struct agent_ops *ops)
{
	for (unsigned k = 0; k < AGENT_SLOT_KIND_COUNT; k++)
		table_init(&s->t[k], (enum agent_slot_kind)k);
	s->ops = ops;
	pthread_mutex_init(&s->lock, NULL);
}

void slots_fini(struct slots *s)
{
	for (unsigned k = 0; k < AGENT_SLOT_KIND_COUNT; k++) {
		for (uint32_t i = 0; i < s->t[k].used; i++) {
			free(s->t[k].slots[i].name);
			free(s->t[k].slots[i].cluster);
		}
		free(s->t[k].slots);
		free(s->t[k].heads);
	}
	pthread_mutex_destroy(&s->lock);
}

static uint32_t *chain_of(struct slot_table *t, uint64_t id)
{
	return &t->heads[hash_mix(id, 0) & t->mask];
}

static uint32_t table_lookup(struct slot_table *t, uint64_t id)
{
	uint32_t i = *chain_of(t, id);

	while (i != SLOT_NONE && t->slots[i].id != id)
		i = t->slots[i].next;
	return i;
}

static void table_unlink(struct slot_table *t, uint32_t slot)
{
	uint32_t *at = chain_of(t, t->slots[slot].id);

	while (*at != slot)
		at = &t->slots[*at].next;
	*at = t->slots[slot].next;
}

/* A slot for a new id: one never used, else the one that has rested longest. */
static uint32_t table_take(struct slots *s, struct slot_table *t, uint64_t now_us)
{
	unsigned tries = 0;

	if (t->used < t->max)
		return t->used++;
	list_for_each (l, &t->resting) {
		struct slot *slot = list_entry(l, struct slot, rest);
		uint32_t i = (uint32_t)(slot - t->slots);

		if (now_us - slot->released_us < SLOTS_REST_US || tries++ == SLOTS_REUSE_TRIES)
			break;
		if (s->ops->slot_busy != NULL && s->ops->slot_busy(s->ops->ctx, t->kind, i))
			continue;
		list_del(&slot->rest);
		table_unlink(t, i);
		return i;
	}
	return SLOT_NONE;
}

/* Under the lock. */
static void text_set(char **at, struct str s)
{
	if (str_eq(str_of(*at), s) && (*at != NULL || s.len == 0))
		return;
	free(*at);
	*at = s.len == 0 ? NULL : strndup(s.p, s.len);
}

uint32_t slots_acquire(struct slots *s, enum agent_slot_kind kind, uint64_t id, struct str name,
	struct str cluster, uint64_t now_us)
{
	struct slot_table *t = &s->t[kind];
	uint32_t i = table_lookup(t, id);
	struct slot *slot;

	if (i == SLOT_NONE) {
		uint32_t *head = chain_of(t, id);

		i = table_take(s, t, now_us);
		if (i == SLOT_NONE)
			return SLOT_NONE;
		slot = &t->slots[i];
		slot->id = id;
		slot->refs = 0;
		slot->next = *head;
		*head = i;
		list_init(&slot->rest);
		if (s->ops->slot_assigned != NULL)
			s->ops->slot_assigned(s->ops->ctx, kind, i);
	}
	slot = &t->slots[i];
	if (slot->refs++ == 0) {
		list_del(&slot->rest);
		t->live++;
	}
	pthread_mutex_lock(&s->lock);
	text_set(&slot->name, name);
	text_set(&slot->cluster, cluster);
	pthread_mutex_unlock(&s->lock);
	return i;
}

void slots_release(struct slots *s, enum agent_slot_kind kind, uint32_t slot, uint64_t now_us)
{
	struct slot_table *t = &s->t[kind];
	struct slot *p = &t->slots[slot];

	bug_on(slot >= t->used || p->refs == 0);
	if (--p->refs > 0)
		return;
	t->live--;
	p->released_us = now_us;
	list_add_tail(&t->resting, &p->rest);
}

const struct slot *slots_get(const struct slots *s, enum agent_slot_kind kind, uint32_t slot)
{
	bug_on(slot >= s->t[kind].used);
	return &s->t[kind].slots[slot];
}

void slots_name(struct slots *s, enum agent_slot_kind kind, uint32_t slot, char *buf, size_t cap,
	struct str *ret_name, struct str *ret_cluster)
{
	const struct slot_table *t = &s->t[kind];
	struct str name = {0}, cluster = {0};

	pthread_mutex_lock(&s->lock);
	/* A slot is named before any worker hears of it, so what a record names has been given out. */
	if (slot < t->max) {
		name = str_first(str_of(t->slots[slot].name), cap);
		cluster = str_first(str_of(t->slots[slot].cluster), cap - name.len);
		if (name.len > 0)
			memcpy(buf, name.p, name.len);
		if (cluster.len > 0)
			memcpy(buf + name.len, cluster.p, cluster.len);
	}
	pthread_mutex_unlock(&s->lock);
	*ret_name = str_make(buf, name.len);
	*ret_cluster = str_make(buf + name.len, cluster.len);
}
