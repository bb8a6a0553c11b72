// SPDX-License-Identifier: Apache-2.0
/*
 * refs.c: ReferenceGrant.
 *
 * A reference from one namespace into another holds only if the target's namespace says so: some
 * grant there names the referrer's group, kind and namespace, and the target's group, kind and (or
 * no) name. Grants only add; removing the last one revokes at once.
 *
 * The first reference that asks makes a set of all permissions there are, so that thousands of
 * references and grants do not multiply: one 64-bit SipHash for each pair of a from and a to of one
 * grant, under a key that nobody outside knows.
 * Standard: Gateway API v1.7, ReferenceGrant.
 */
#include <stdlib.h>

#include "control/reconcile/reconcile.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/rng.h"

struct permissions {
	uint64_t *slots; /* owned; open addressing, at most 3/4 full; 0: free */
	uint64_t mask;	 /* slots - 1; a power of two */
	uint64_t count;
};

static uint64_t hash_of(uint64_t h, struct str s)
{
	static struct hash_key key;
	static bool have;

	if (!have)
		rng_secret(&key, sizeof(key));
	have = true;
	return hash_mix(h, siphash(&key, s.len != 0 ? s.p : "", s.len));
}

/* Who refers, into which namespace of which cluster. */
static uint64_t from_hash(struct str cluster, struct str into, struct str group, struct str kind,
	struct str ns)
{
	return hash_of(hash_of(hash_of(hash_of(hash_of(1, cluster), into), group), kind), ns);
}

/* To what; <name> empty: all of that kind. */
static uint64_t to_hash(struct str group, struct str kind, struct str name)
{
	return hash_of(hash_of(hash_of(2, group), kind), name);
}

static uint64_t pair_hash(uint64_t from, uint64_t to)
{
	return hash_mix(from, to) | 1;
}

static uint64_t slot_of(const struct permissions *p, uint64_t pair)
{
	uint64_t i = (pair >> 1) & p->mask;

	while (p->slots[i] != 0 && p->slots[i] != pair)
		i = (i + 1) & p->mask;
	return i;
}

static void grow(struct permissions *p)
{
	struct permissions old = *p;
	uint64_t size = old.slots != NULL ? 2 * (old.mask + 1) : 64;

	p->slots = calloc(size, sizeof(*p->slots));
	bug_on(p->slots == NULL);
	p->mask = size - 1;
	for (uint64_t i = 0; old.slots != NULL && i <= old.mask; i++)
		if (old.slots[i] != 0)
			p->slots[slot_of(p, old.slots[i])] = old.slots[i];
	free(old.slots);
}

static void permit(struct permissions *p, uint64_t pair)
{
	uint64_t i = slot_of(p, pair);

	if (p->slots[i] != 0)
		return;
	p->slots[i] = pair;
	if (++p->count * 4 > (p->mask + 1) * 3)
		grow(p);
}

static void take_grant(struct permissions *p, const struct object *o)
{
	const struct reference_grant *g = o->reference_grant;

	for (uint32_t i = 0; i < g->from_count; i++) {
		const struct grant_from *f = &g->from[i];
		uint64_t from = from_hash(o->cluster, o->ns, f->group, f->kind, f->ns);

		for (uint32_t k = 0; k < g->to_count; k++)
			permit(p,
				pair_hash(from,
					to_hash(g->to[k].group, g->to[k].kind, g->to[k].name)));
	}
}

static const struct permissions *permissions(struct reconcile *r)
{
	const struct view_kind *grants = &r->view->kinds[KIND_REFERENCE_GRANT];

	if (r->permissions != NULL)
		return r->permissions;
	r->permissions = calloc(1, sizeof(*r->permissions));
	bug_on(r->permissions == NULL);
	grow(r->permissions);
	for (uint32_t i = 0; i < grants->count; i++)
		take_grant(r->permissions, grants->objects[i]);
	return r->permissions;
}

void refs_finish(struct reconcile *r)
{
	if (r->permissions != NULL)
		free(r->permissions->slots);
	free(r->permissions);
	r->permissions = NULL;
}

static bool has(const struct permissions *p, uint64_t pair)
{
	return p->slots[slot_of(p, pair)] == pair;
}

bool refs_permitted(struct reconcile *r, const struct object *from, struct str to_group,
	struct str to_kind, struct str to_ns, struct str to_name)
{
	const struct kind_info *who = &kind_info[from->kind];
	const struct permissions *p;
	uint64_t f;

	if (str_eq(from->ns, to_ns))
		return true;
	p = permissions(r);
	f = from_hash(from->cluster, to_ns, who->group, who->name, from->ns);
	return has(p, pair_hash(f, to_hash(to_group, to_kind, STR("")))) ||
		has(p, pair_hash(f, to_hash(to_group, to_kind, to_name)));
}
