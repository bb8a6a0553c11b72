// SPDX-License-Identifier: Apache-2.0
/*
 * hostname.c: see hostname.h. Two patterns have names in common only if one contains the other.
 */
#include "control/reconcile/hostname.h"

static bool is_wildcard(struct str h)
{
	return str_starts(h, STR("*."));
}

bool hostname_matches(struct str pattern, struct str name)
{
	struct str suffix;

	if (pattern.len == 0 || str_eq(pattern, name))
		return true;
	if (!is_wildcard(pattern))
		return false;
	suffix = str_from(pattern, 1);
	return name.len > suffix.len && str_ends(name, suffix);
}

/* Every name of <inner> is also one of <outer>. */
static bool contains(struct str outer, struct str inner)
{
	if (outer.len == 0)
		return true;
	if (is_wildcard(outer) && is_wildcard(inner))
		return str_ends(str_from(inner, 1), str_from(outer, 1));
	return inner.len != 0 && !is_wildcard(inner) && hostname_matches(outer, inner);
}

bool hostname_intersect(struct str a, struct str b, struct str *ret)
{
	if (contains(a, b))
		*ret = b;
	else if (contains(b, a))
		*ret = a;
	else
		return false;
	return true;
}
