// SPDX-License-Identifier: Apache-2.0
/*
 * refs.c: ReferenceGrant.
 *
 * A reference from one namespace into another holds only if the target's namespace says so: some
 * grant there names the referrer's group, kind and namespace, and the target's group, kind and (or
 * no) name. Grants only add; removing the last one revokes at once.
 */
#include "control/reconcile/reconcile.h"

static bool from_fits(const struct reference_grant *g, const struct object *from)
{
	for (uint32_t i = 0; i < g->from_count; i++)
		if (str_eq(g->from[i].group, kind_info[from->kind].group) &&
			str_eq(g->from[i].kind, kind_info[from->kind].name) &&
			str_eq(g->from[i].ns, from->ns))
			return true;
	return false;
}

static bool to_fits(const struct reference_grant *g, struct str group, struct str kind,
	struct str name)
{
	for (uint32_t i = 0; i < g->to_count; i++)
		if (str_eq(g->to[i].group, group) && str_eq(g->to[i].kind, kind) &&
			(g->to[i].name.len == 0 || str_eq(g->to[i].name, name)))
			return true;
	return false;
}

bool refs_permitted(const struct view *v, const struct object *from, struct str to_group,
	struct str to_kind, struct str to_ns, struct str to_name)
{
	const struct view_kind *grants = &v->kinds[KIND_REFERENCE_GRANT];
	uint32_t i;

	if (str_eq(from->ns, to_ns))
		return true;
	for (i = view_first(grants, from->cluster, to_ns); i < grants->count; i++) {
		const struct object *o = grants->objects[i];

		if (!str_eq(o->cluster, from->cluster) || !str_eq(o->ns, to_ns))
			break;
		if (from_fits(o->reference_grant, from) &&
			to_fits(o->reference_grant, to_group, to_kind, to_name))
			return true;
	}
	return false;
}
