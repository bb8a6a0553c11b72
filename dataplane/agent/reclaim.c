// SPDX-License-Identifier: Apache-2.0
/*
 * reclaim.c: a line in the order of tokens.
 */
#include "dataplane/agent/reclaim.h"

#include <stdlib.h>

#include "dataplane/base/bug.h"

struct item {
	struct list link;
	reclaim_fn fn;
	void *obj;
	uint64_t token; /* valid when committed */
	uint64_t since_us;
	bool committed, large, tell_late;
};

void reclaim_init(struct reclaim *r, struct rte_rcu_qsbr *qsbr, void *ctx)
{
	*r = (struct reclaim){.qsbr = qsbr, .ctx = ctx};
	list_init(&r->line);
}

bool reclaim_has_room(const struct reclaim *r, unsigned items, bool large)
{
	return r->count + items <= RECLAIM_ITEMS_MAX && (!large || r->large < RECLAIM_LARGE_MAX);
}

void reclaim_add(struct reclaim *r, reclaim_fn fn, void *obj, bool large, bool tell_late,
	uint64_t now_us)
{
	struct item *i = calloc(1, sizeof(*i));

	bug_on(i == NULL);
	*i = (struct item){.fn = fn,
		.obj = obj,
		.since_us = now_us,
		.large = large,
		.tell_late = tell_late};
	list_add_tail(&r->line, &i->link);
	r->count++;
	r->large += large;
}

void reclaim_commit(struct reclaim *r)
{
	uint64_t token;

	if (r->count == 0 || list_entry(r->line.prev, struct item, link)->committed)
		return;
	token = rte_rcu_qsbr_start(r->qsbr);
	for (struct list *l = r->line.prev; l != &r->line; l = l->prev) {
		struct item *i = list_entry(l, struct item, link);

		if (i->committed)
			break;
		i->token = token;
		i->committed = true;
	}
}

static void item_done(struct reclaim *r, struct item *i)
{
	list_del(&i->link);
	r->count--;
	r->large -= i->large;
	i->fn(r->ctx, i->obj, false);
	free(i);
}

static void tell_late(struct reclaim *r, uint64_t now_us)
{
	list_for_each (l, &r->line) {
		struct item *i = list_entry(l, struct item, link);

		if (!i->committed || now_us - i->since_us < RECLAIM_LATE_US)
			return;
		if (i->tell_late)
			i->fn(r->ctx, i->obj, true);
		i->tell_late = false;
	}
}

void reclaim_run(struct reclaim *r, uint64_t now_us)
{
	while (!list_is_empty(&r->line)) {
		struct item *i = list_entry(r->line.next, struct item, link);

		if (!i->committed || rte_rcu_qsbr_check(r->qsbr, i->token, false) != 1)
			break;
		item_done(r, i);
	}
	tell_late(r, now_us);
}

void reclaim_drain(struct reclaim *r)
{
	while (!list_is_empty(&r->line))
		item_done(r, list_entry(r->line.next, struct item, link));
}
